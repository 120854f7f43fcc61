"""What `GET /metrics` shows, in Prometheus' text form.

Labels have few values each: a client must not be able to add series.
"""

from __future__ import annotations

from collections.abc import Callable

from gan_hd.serving.extras import prometheus_client

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST
# From a thumbnail on a GPU to the largest picture on a CPU.
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250)
_PICTURES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counters of one server, apart from those of any other in the process.

    Args:
        depth: gives the pictures accepted and not answered.
    """

    def __init__(self, *, depth: Callable[[], int]) -> None:
        self._registry = registry = prometheus_client.CollectorRegistry()
        self._requests = prometheus_client.Counter(
            "gan_hd_requests", "Requests answered.", ["endpoint", "status"], registry=registry
        )
        self._latency = prometheus_client.Histogram(
            "gan_hd_request_seconds",
            "From a request's headers to the end of its reply.",
            ["endpoint"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._pixels = prometheus_client.Counter("gan_hd_pixels", "Pixels translated.", registry=registry)
        self._batches = prometheus_client.Histogram(
            "gan_hd_batch_pictures", "Pictures per call of the model.", buckets=_PICTURES, registry=registry
        )
        self._model_seconds = prometheus_client.Counter(
            "gan_hd_model_seconds", "Seconds inside the model.", registry=registry
        )
        prometheus_client.Gauge(
            "gan_hd_queue_depth", "Pictures accepted and not answered.", registry=registry
        ).set_function(depth)
        prometheus_client.ProcessCollector(registry=registry)  # resident memory among others

    def answered(self, endpoint: str, status: int, seconds: float) -> None:
        """Counts a request."""
        self._requests.labels(endpoint, str(status)).inc()
        self._latency.labels(endpoint).observe(seconds)

    def computed(self, pictures: int, pixels: int, seconds: float) -> None:
        """Counts a call of the model."""
        self._batches.observe(pictures)
        self._pixels.inc(pixels)
        self._model_seconds.inc(seconds)

    def text(self) -> bytes:
        """All of them."""
        return prometheus_client.generate_latest(self._registry)
