"""The metrics of the service, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_QUESTIONS = (1, 2, 4, 8, 16, 32, 64, 128)

_FORMER_GAUGES = {"waiting": "queue_size", "swap_trouble": "model_outdated"}
"""Names of earlier releases, which are exposed until the next one, as is `pipeline_swaps`."""


class ServiceMetrics:
    """Metrics of one service, in their own registry."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter("pipeline_requests", "Answered requests.", ["path", "status"], registry=self._registry)
        self._seconds = Histogram(
            "pipeline_request_seconds",
            "Time from the first byte of a request to the end of its answer.",
            ["path"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._batches = Histogram(
            "pipeline_batch_questions", "Questions embedded at once.", buckets=_QUESTIONS, registry=self._registry
        )
        self._reloads = [
            Counter(name, "Attempts to load a newer model or question set.", ["outcome"], registry=self._registry)
            for name in ("pipeline_reloads", "pipeline_swaps")
        ]
        self._gauges = {
            name: Gauge(f"pipeline_{name}", help_text, registry=self._registry)
            for name, help_text in (
                ("queue_size", "Items that wait for a batch."),
                ("known_questions", "Questions that searches can find."),
                ("index_recall", "Share of the nearest questions that a search finds."),
                ("model_outdated", "1 while a newer model or question set can't be loaded."),
                *((old, f"Use pipeline_{new}.") for old, new in _FORMER_GAUGES.items()),
            )
        }
        self._model = Gauge("pipeline_model", "1 for the model that answers.", ["version"], registry=self._registry)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def batch(self, questions: int) -> None:
        """Count what was embedded at once."""
        self._batches.observe(questions)

    def reload(self, outcome: str) -> None:
        """Count an attempt to load a newer model: `done` or `failed`."""
        for counter in self._reloads:
            counter.labels(outcome).inc()

    def text(self, model: str, **gauges: float) -> bytes:
        """All metrics, in Prometheus' text format.

        Args:
            model: version of the one that answers.
            gauges: current values.
        """
        for name, value in (*gauges.items(), *((old, gauges[new]) for old, new in _FORMER_GAUGES.items())):
            self._gauges[name].set(value)
        self._model.clear()
        self._model.labels(model).set(1)
        return generate_latest(self._registry)
