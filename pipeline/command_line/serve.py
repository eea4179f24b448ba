"""`python -m pipeline serve`: compares questions and searches known questions over HTTP."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from pipeline.command_line import signals
from pipeline.command_line.click_options import column_option, device_option, model_option
from pipeline.command_line.terminal import live_progress, say
from pipeline.core.errors import NotInstalledError, counted, reason_of


@click.command("serve")
@click.option(
    "--in",
    "source",
    metavar="FILE",
    help="The known questions. [default: those that the job `mine` read last, if any]",
)
@column_option
@model_option
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; others than this machine's need a token.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8080,
    show_default=True,
    help="Port to listen on; 0 for a free one.",
)
@click.option(
    "--journal",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the journal of added and removed questions. [default: service/ in PIPELINE_HOME]",
)
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="NAME=VALUE",
    help="max_body_bytes, max_batch, request_seconds, max_waiting, watch_seconds or index_from; may be repeated.",
)
@device_option
def serve_command(
    source: str | None,
    column: str | None,
    choice: str,
    host: str,
    port: int,
    journal: Path | None,
    limits: tuple[str, ...],
    device: Any,
) -> None:
    """Serve over HTTP: are two questions duplicates, and which known questions are most similar?

    The page is at /, the description for programs at /openapi.json. A newly promoted model and newly mined questions
    are loaded without a stop. With --host 0.0.0.0 other machines can reach the service: set PIPELINE_SERVE_TOKEN,
    which requests must send.

    \b
    python -m pipeline serve --in questions.csv
    python -m pipeline serve --model exported --port 9000
    """
    from pipeline.serving.options import require_token
    from pipeline.settings import environment

    token = environment.serve_token()
    require_token(host, token)
    chosen_limits = _limits(limits)
    if source is None and column is not None:
        raise click.UsageError("--column names a column of a file: add --in FILE")
    try:
        from pipeline.serving import journal as journals
        from pipeline.serving import server
        from pipeline.serving.metrics import ServiceMetrics
        from pipeline.serving.service import Service
    except ImportError as error:
        raise NotInstalledError(
            f"`serve` needs more packages ({reason_of(error)}): pip install 'quora-finetuning-pipeline[serve]'"
        ) from error
    console = Console()
    with ExitStack() as stack:
        listener = stack.enter_context(server.listening(host, port))
        kept = stack.enter_context(journals.opened(journal or environment.service_folder()))
        with live_progress(Console(stderr=True)) as progress:
            loader = _loader(choice, device, source, column, chosen_limits)
            # Before loading: a change meanwhile makes another state, and another load.
            state = loader.state()
            snapshot = loader.load(kept.changes(), progress)
        service = Service(snapshot, state, loader, kept, ServiceMetrics())

        def ready() -> None:
            known, chosen = snapshot.known, snapshot.classifier.chosen
            of = f" from {snapshot.corpus}" if snapshot.corpus else ""
            how = "searched exactly" if known.kind == "exact" else f"searched by an index, recall {known.recall:.1%}"
            say(console, f"Model    {chosen.said}")
            if chosen.decision is None:
                say(console, "Decision none: the model has no decision.json, so answers have only cosines")
            say(console, f"Known    {counted(len(known), 'question')}{of}, {how}")
            say(console, f"Serving  {server.address_of(listener, host)} (Ctrl-C stops it)")

        signals.wait(server.longest_end(chosen_limits))
        server.run(
            service,
            listener,
            host,
            token,
            on_ready=ready,
            on_ending=lambda: say(console, "Stopping answering the requests in progress"),
        )


def _limits(given: tuple[str, ...]) -> Any:
    from pydantic import ValidationError

    from pipeline.serving.options import ServiceLimits

    pairs = [one.partition("=") for one in given]
    try:
        return ServiceLimits.model_validate({name.strip(): value for name, _, value in pairs})
    except ValidationError as error:
        detail = error.errors()[0]
        name = ".".join(map(str, detail["loc"]))
        there = ", ".join(ServiceLimits.model_fields)
        said = f"there is no such limit: choose from {there}" if detail["type"] == "extra_forbidden" else detail["msg"]
        raise click.UsageError(f"--limit {name}: {said}") from None


def _loader(choice: str, device: Any, file: str | None, column: str | None, limits: Any) -> Any:
    from pipeline.command_line.use_model import ready_classifier
    from pipeline.core.store import VersionStore
    from pipeline.duplicates.chosen_model import watched_assets
    from pipeline.orchestration.steps import QUESTIONS
    from pipeline.serving.snapshot import SnapshotLoader
    from pipeline.settings import environment
    from pipeline.vectors.cache import VectorCache

    return SnapshotLoader(
        find=lambda: ready_classifier(choice, device),
        store=VersionStore(environment.home()),
        cache=VectorCache(environment.vectors_folder()),
        watched=watched_assets(choice),
        questions_asset=None if file else QUESTIONS,
        file=file,
        column=column,
        limits=limits,
    )
