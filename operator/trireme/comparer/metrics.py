"""What the comparer counts, in Prometheus' text format."""

from prometheus_client import CollectorRegistry, Counter, generate_latest

from trireme.api import names
from trireme.comparer.requests import Dropped


class Metrics:
    """Every metric of the comparer; one registry each, so that tests have their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._compared = Counter(
            "trireme_compared_requests",
            "Mirrored requests that both tracks answered, and whose answers were compared",
            ("model",),
            registry=self.registry,
        )
        self._different = Counter(
            "trireme_different_answers",
            "Of these, those that the canary answered otherwise than the stable pods",
            ("model",),
            registry=self.registry,
        )
        self._dropped = Counter(
            "trireme_comparer_dropped",
            "Mirrored requests that were not compared, by reason",
            ("reason",),
            registry=self.registry,
        )
        self._failed = Counter(
            "trireme_comparer_failed",
            "Mirrored requests that a track failed to answer",
            ("track",),
            registry=self.registry,
        )
        for reason in Dropped:
            self._dropped.labels(reason)
        for track in (names.TRACK_STABLE, names.TRACK_CANARY):
            self._failed.labels(track)

    def compared(self, model: str, *, different: bool) -> None:
        """Both tracks answered a request. Only models that exist come here, so labels are few."""
        self._different.labels(model).inc(int(different))
        self._compared.labels(model).inc()

    def dropped(self, reason: Dropped) -> None:
        """A request was not compared."""
        self._dropped.labels(reason).inc()

    def failed(self, track: str) -> None:
        """A track failed a request."""
        self._failed.labels(track).inc()

    def text(self) -> bytes:
        """The exposition in Prometheus' text format."""
        return generate_latest(self.registry)
