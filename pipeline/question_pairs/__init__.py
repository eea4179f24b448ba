"""The data: where question pairs come from, what they look like, and how they are split."""
