"""Tools on the Hugging Face Hub: their files, their code, and back."""
