"""Runs the work in Modal containers."""
