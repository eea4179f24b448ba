"""Fine-tune a sentence-embedding model on duplicate questions and prove the gain, as Dagster assets."""
