"""`python -m pipeline`, also `quora-pipeline`."""

from pipeline.command_line import signals


def main() -> None:
    """Run the command line."""
    # Before the imports of the commands, which take a moment.
    signals.heed()
    from pipeline.command_line.cli import main as run

    run()


if __name__ == "__main__":
    main()
