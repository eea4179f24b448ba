"""Names of the files that people open."""

PAGE_FILE_NAME = "report.html"
"""In a run folder, and beside a stored report."""

SUMMARY_FILE_NAME = "summary.json"
"""Beside a stored report: what the leaderboard needs of it."""

CALIBRATION_FILE_NAME = "duplicate_probability.json"
"""In the run folder of a model that carries no `decision.json`."""

FILES_KEY = "files"
"""In the JSON beside a result file: SHA-256 of each file that came with it, by its path below the run folder."""
