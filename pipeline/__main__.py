"""`python -m pipeline`."""

from pipeline.command_line.cli import main

main()
