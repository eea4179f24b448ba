"""Vectors of texts: embedding and caching them, all pairs above a cosine, and the nearest of a query."""
