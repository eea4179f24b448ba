"""The assets: what exists, and what it is made from."""
