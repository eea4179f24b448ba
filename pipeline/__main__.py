"""`python -m pipeline`, also `quora-pipeline`."""

import gc

from pipeline.command_line import signals

_GARBAGE_THRESHOLD = 50_000
"""Of new objects. With Python's own 700 (or 2,000) a sixth of the time of importing torch is spent looking for garbage,
where there is none."""


def main() -> None:
    """Run the command line."""
    # Before the imports of the commands, which take a moment.
    signals.heed()
    gc.set_threshold(_GARBAGE_THRESHOLD)
    from pipeline.command_line.cli import main as run

    run()


if __name__ == "__main__":
    main()
