"""Run the loopback server by hand: `python -m pipeline_tests.modal_loopback --port 9911 --state FOLDER`."""

import asyncio
import json
import signal
import sys
import tempfile
import threading
from pathlib import Path

import click
from aiohttp import web
from grpclib.server import Server

from .control_channel import ControlChannel, content_routes
from .control_plane import ControlPlane
from .gate import Connection, Gate
from .private_root import missing_for_private_roots
from .scheduler import Scheduler
from .state import Settings, World

_LARGEST_UPLOAD_BYTES = 2**30


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


async def serve(folder: Path, port: int, settings: Settings, stops_with_input: bool) -> None:
    """Serve until SIGINT or SIGTERM, and leave no container behind.

    Prints one line of JSON when it is ready: `server_url` for clients, `control_url` for the test.

    Args:
        folder: where the state's content goes; must not exist or be empty.
        port: where clients connect; 0 takes a free one.
        settings: see there.
        stops_with_input: stop also when standard input ends, as it does when the process that holds it dies.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if stops_with_input:
        threading.Thread(target=_stop_after_input, args=(loop, stop), daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="loopback-modal-") as sockets:
        world = World(folder, Path(sockets), settings)
        scheduler = Scheduler(world, lambda scheduler, container: ControlPlane(world, scheduler, container))
        socket = str(world.sockets / "clients")
        control_plane = Server([ControlPlane(world, scheduler)])
        await control_plane.start(path=socket)

        async def to_control_plane() -> Connection:
            return await asyncio.open_unix_connection(socket)

        async def to_content() -> Connection:
            return await asyncio.open_connection("127.0.0.1", content_port)

        gates = [Gate(to_control_plane, port), Gate(to_content)]
        application = web.Application(client_max_size=_LARGEST_UPLOAD_BYTES)
        application.add_routes(content_routes(world) + ControlChannel(world, gates).routes())
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        content_port = runner.addresses[0][1]
        for gate in gates:
            await gate.open()
        world.container_url = f"http://127.0.0.1:{content_port}"
        world.client_url = f"http://127.0.0.1:{gates[1].port}"
        ready = {"server_url": f"http://127.0.0.1:{gates[0].port}", "control_url": f"{world.container_url}/control"}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        try:
            await stop.wait()
        finally:
            for gate in gates:
                await gate.close()
            await scheduler.kill_all()
            control_plane.close()
            await control_plane.wait_closed()
            await runner.cleanup()


def _stop_after_input(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    sys.stdin.read()
    loop.call_soon_threadsafe(stop.set)


if __name__ == "__main__":
    main()
