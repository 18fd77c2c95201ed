"""A session's runs as a document: what was asked of the guest, what it was told, what came of it; and again."""
