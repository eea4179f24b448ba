"""Sentence-embedding models: which one, loading it, and turning texts into embeddings."""
