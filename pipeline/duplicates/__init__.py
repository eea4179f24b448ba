"""Using a model: tell whether two questions ask the same, search a corpus, mine it for duplicates."""
