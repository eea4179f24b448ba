"""Questions that tell whether a model gives sound embeddings: what a user may ask of it."""

PROBE_QUESTIONS = [
    "How do I learn to play the guitar?",
    "How do I bake bread?",
    "What is the best way to learn guitar?",
    "Why?",
    "Was kostet eine Fahrkarte nach Zürich?",
    "如何学习编程？",
    "",
    "Is it true that " + "the more one reads, the more one forgets, and " * 40 + "why?",
]
"""Short and long, with and without letters that the tokenizer knows; two begin with the same words."""

DIFFERENT = 4
"""So many of them, from the first on, are English and short: every model tells them apart."""
