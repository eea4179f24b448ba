"""`python -m pipeline_tests.modal_loopback --port 9911 --state FOLDER` runs the loopback server by hand."""

import asyncio
from pathlib import Path

import click

from .private_root import missing_for_private_roots
from .server import serve
from .state import Settings


@click.command()
@click.option("--port", default=0, help="Where clients connect; 0 takes a free port.")
@click.option("--state", type=click.Path(path_type=Path), required=True, help="New folder for the server's content.")
@click.option("--idle-seconds", default=Settings.idle_seconds, help="The longest that an idle container stays.")
@click.option("--stops-with-input", is_flag=True, help="Stop when standard input ends.")
def main(port: int, state: Path, idle_seconds: float, stops_with_input: bool) -> None:
    """Serve Modal's protocol on 127.0.0.1 until interrupted."""
    if problem := missing_for_private_roots():
        raise click.ClickException(problem)
    asyncio.run(serve(state, port, Settings(idle_seconds=idle_seconds), stops_with_input))


if __name__ == "__main__":
    main()
