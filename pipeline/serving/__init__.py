"""The service: answers over HTTP about pairs of questions and about known questions."""
