"""A session's runs as a document: what was asked of the guest, its answers, what came of it; and the replay."""
