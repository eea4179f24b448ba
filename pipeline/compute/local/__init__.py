"""Runs the work in this process."""
