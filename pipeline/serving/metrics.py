"""What Prometheus is told of the service."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_QUESTIONS = (1, 2, 4, 8, 16, 32, 64, 128)


class ServiceMetrics:
    """Counters of one service, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "pipeline_requests", "Requests that were answered.", ["path", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "pipeline_request_seconds",
            "From the first byte of a request to the end of its answer.",
            ["path"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._batches = Histogram(
            "pipeline_batch_questions", "Questions embedded at once.", buckets=_QUESTIONS, registry=self._registry
        )
        self._swaps = Counter(
            "pipeline_swaps", "Other models or questions that were taken up.", ["outcome"], registry=self._registry
        )
        self._gauges = {
            name: Gauge(f"pipeline_{name}", said, registry=self._registry)
            for name, said in (
                ("waiting", "Parts of requests that wait."),
                ("known_questions", "Questions that can be found."),
                ("index_recall", "Share of the nearest questions that is found."),
                ("swap_trouble", "1 while another model can't be taken up."),
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

    def swap(self, outcome: str) -> None:
        """Count what became of another model."""
        self._swaps.labels(outcome).inc()

    def text(self, model: str, **gauges: float) -> bytes:
        """All of them, in Prometheus' text format.

        Args:
            model: version of the one that answers.
            gauges: figures of the moment.
        """
        for name, value in gauges.items():
            self._gauges[name].set(value)
        self._model.clear()
        self._model.labels(model).set(1)
        return generate_latest(self._registry)
