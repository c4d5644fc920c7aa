"""The numbers of the service, as Prometheus reads them."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
)

from twinear.serve.snapshot import Snapshot

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Counters of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = Counter(
            "twinear_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "twinear_request_seconds",
            "Time from the first byte of a request to the last of its answer.",
            ("route",),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.in_progress = Gauge(
            "twinear_requests_in_progress",
            "Requests that are being answered.",
            registry=self.registry,
        )
        self.errors = Counter(
            "twinear_errors",
            "Requests that failed by a fault of the service.",
            registry=self.registry,
        )
        self.swaps = Counter(
            "twinear_catalogues_opened", "Catalogues that were taken.", registry=self.registry
        )
        self.artists = Gauge(
            "twinear_artists", "Artists that can be asked about.", registry=self.registry
        )
        self.model = Info("twinear_model", "What computes the answers.", registry=self.registry)

    def take(self, snapshot: Snapshot) -> None:
        """Tell what a new snapshot is."""
        self.swaps.inc()
        self.artists.set(len(snapshot))
        self.model.info({name: str(value) for name, value in snapshot.model})
