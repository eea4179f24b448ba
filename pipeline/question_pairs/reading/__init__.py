"""Reads files of question pairs in every form that they circulate in."""
