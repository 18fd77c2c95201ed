"""Programs that an agent runs in its own guest before the model's: they are read as text, never imported here."""
