"""Names of the files that people open."""

PAGE_FILE_NAME = "report.html"
"""In a run folder, and beside a stored report."""

CALIBRATION_FILE_NAME = "duplicate_probability.json"
"""In the run folder of a model that carries no `decision.json`."""
