"""How good a model is at telling duplicate questions from others."""
