"""How soon the service answers: one request after the other, at a rate that grows up to saturation, and 200 at once.

    python benchmarks/serving.py model=FOLDER onnx=FOLDER int8=FOLDER --known questions.txt --output serving

Each model is served in turn by `python -m pipeline serve`, over the same known questions. The load comes from `hey` (a
Debian package). Every request searches for one question; the single requests search for different ones, those of `hey`
for the same. Writes `serving.json` and the picture `serving.png`.
"""

import argparse
import csv
import http.client
import io
import json
import math
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
RATES = (10, 20, 40, 60, 80, 120, 160, 200, 240)
MOST_CONNECTIONS = 32
RATE_OF_A_CONNECTION = 10
SECONDS = 8
SINGLE = 400
QUESTION = "What is the best way to learn a new language at home?"


@contextmanager
def serving(folder: str, known: str, journal: str) -> Iterator[tuple[str, float]]:
    """The address of a service, and how many seconds it took to answer, with its vectors kept already."""
    command = [sys.executable, "-m", "pipeline", "serve", "--model", folder, "--in", known, "--port", "0"]
    began = time.perf_counter()
    with subprocess.Popen(
        [*command, "--journal", journal], cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        address = next(line.split()[1] for line in process.stdout if line.startswith("Serving"))
        try:
            yield address, time.perf_counter() - began
        finally:
            process.send_signal(signal.SIGTERM)
            process.stdout.read()


def single(address: str, questions: list[str]) -> dict[str, float]:
    """Milliseconds of one request after the other over one connection."""
    taken = []
    with closing(http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)) as connection:
        for question in questions:
            body = json.dumps({"questions": [question]})
            began = time.perf_counter()
            connection.request("POST", "/search", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            taken.append(1_000 * (time.perf_counter() - began))
            assert answer.status == 200, answer.status
    return percentiles(taken[20:])


def percentiles(milliseconds: list[float]) -> dict[str, float]:
    """Those that people look at."""
    cuts = statistics.quantiles(milliseconds, n=100)
    return {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "max": max(milliseconds)}


def load(address: str, rate: float) -> dict[str, Any]:
    """What `hey` measures at a rate.

    One process for each connection, begun one after the other: with a rate, the connections of one `hey` all ask at the
    same moments, and wait for each other.
    """
    connections = min(MOST_CONNECTIONS, math.ceil(rate / RATE_OF_A_CONNECTION))
    processes = []
    for number in range(connections):
        processes.append(started(address, 1, rate / connections))
        time.sleep(1 / rate if number + 1 < connections else 0)
    return figures([process.communicate()[0] for process in processes]) | {"asked": rate}


def started(address: str, connections: int, rate: float | None) -> "subprocess.Popen[str]":
    """A `hey` that has begun."""
    command = ["hey", "-z", f"{SECONDS}s", "-c", str(connections), "-m", "POST", "-T", "application/json", "-o", "csv"]
    command += ["-q", str(rate)] if rate else []
    command += ["-d", json.dumps({"questions": [QUESTION]}), f"{address}/search"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def figures(printed: list[str]) -> dict[str, Any]:
    """Of what several `hey` printed together."""
    rows = [row for text in printed for row in csv.DictReader(io.StringIO(text))]
    errors = sum(row["status-code"] != "200" for row in rows)
    times = [1_000 * float(row["response-time"]) for row in rows]
    return {"answered": len(rows) / SECONDS, "errors": errors, **percentiles(times)}


def measured(folder: str, known: str, questions: list[str]) -> dict[str, Any]:
    """All figures of one model."""
    with tempfile.TemporaryDirectory() as journal:
        with serving(folder, known, journal):
            # The vectors are kept now, and the files in memory.
            pass
        with serving(folder, known, journal) as (address, seconds):
            found: dict[str, Any] = {"start_seconds": seconds, "single": single(address, questions), "rates": []}
            for rate in RATES:
                found["rates"].append(load(address, rate))
                if found["rates"][-1]["answered"] < 0.9 * rate:
                    break
            found["at_once"] = figures([started(address, 200, None).communicate()[0]])
            with closing(http.client.HTTPConnection(address.removeprefix("http://"))) as connection:
                connection.request("GET", "/health")
                found["health"] = json.loads(connection.getresponse().read())["about"]
    return found


def draw(results: dict[str, Any], path: Path, said: str) -> None:
    """Latency over rate."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.5, 4.2), layout="constrained")
    for color, (name, found) in zip(("#0b57d0", "#c2410c", "#116329"), results.items(), strict=False):
        rates = [one["answered"] for one in found["rates"]]
        for kind, style in (("p50", "-"), ("p99", ":")):
            label = f"{name}, {kind}"
            axes.plot(rates, [one[kind] for one in found["rates"]], style, color=color, marker=".", label=label)
    axes.set(xlabel="requests answered a second", ylabel="milliseconds", yscale="log", title=said)
    axes.title.set_fontsize(9)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--known", required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    if not shutil.which("hey"):
        parser.error("needs the load generator `hey`: apt-get install hey")
    lines = Path(arguments.known).read_text(encoding="utf-8").splitlines()
    questions = [line + " today?" for line in lines[:: max(1, len(lines) // SINGLE)][:SINGLE]]
    results = {}
    for name, _, folder in (model.partition("=") for model in arguments.models):
        results[name] = found = measured(folder, arguments.known, questions)
        one, many = found["single"], found["at_once"]
        print(f"{name}: starts in {found['start_seconds']:.1f} s; {found['health']['questions']:,} known questions")
        print(f"  one after the other: p50 {one['p50']:.1f} ms, p95 {one['p95']:.1f}, p99 {one['p99']:.1f}")
        for rate in found["rates"]:
            print(
                f"  {rate['asked']:4} asked, {rate['answered']:6.1f} answered a second: p50 {rate['p50']:7.1f} ms, "
                f"p99 {rate['p99']:7.1f}, {rate['errors']} errors"
            )
        print(
            f"  200 connections at once: {many['answered']:.1f} answered a second, p50 {many['p50']:.0f} ms, longest "
            f"{many['max']:.0f}, {many['errors']} errors",
            flush=True,
        )
    flags = Path("/proc/cpuinfo").read_text() if platform.system() == "Linux" else ""
    said = f"{os.cpu_count()} cores, {'AVX-512' if 'avx512f' in flags else 'AVX2'}; {len(lines):,} known questions"
    print(said)
    arguments.output.with_suffix(".json").write_text(json.dumps({"machine": said, "models": results}, indent=1))
    draw(results, arguments.output.with_suffix(".png"), f"One search a request, {said}")


if __name__ == "__main__":
    main()
