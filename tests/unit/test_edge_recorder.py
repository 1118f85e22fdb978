"""Events: series instead of copies, a token bucket per object, notes within the API's limit."""

from datetime import UTC, datetime, timedelta
from typing import Any

from trireme.api import kinds
from trireme.api.conditions import EventReason
from trireme.api.kinds import Kind
from trireme.edge.cluster import Cluster, Object
from trireme.edge.metrics import Metrics
from trireme.edge.recorder import Event, Recorder, Regarding, clipped
from trireme.errors import ClusterError

NOW = datetime(2026, 11, 1, 3, 0, tzinfo=UTC)
CHAT = Regarding("team", "chat", "uid-1")


class EventsApi(Cluster):
    """The Kubernetes API as far as Events go: keeps what it is given."""

    def __init__(self) -> None:
        self.created: list[Object] = []
        self.patched: list[tuple[str, Any]] = []
        self.broken = False
        self.deleted = False

    async def create(self, manifest: Object) -> Object:
        if self.broken:
            raise ClusterError(0, "no answer")
        self.created.append(manifest)
        return manifest

    async def merge(self, kind: Kind, namespace: str, name: str, patch: Object) -> Object:
        assert kind is kinds.EVENT
        if self.deleted:
            raise ClusterError(404, "not found")
        self.patched.append((name, patch["series"]["count"]))
        return patch


def scaled(note: str) -> Event:
    return Event(EventReason.SCALED_UP, note, "Scale")


def limited(note: str) -> Event:
    return Event(EventReason.SCALING_LIMITED, note, "Scale", warning=True)


def lost(metrics: Metrics) -> dict[tuple[str, str], float]:
    """The Events that were not posted, by type and cause, where there are some."""
    (family,) = [f for f in metrics.registry.collect() if f.name == "trireme_events_lost"]
    return {
        (sample.labels["type"], sample.labels["cause"]): sample.value
        for sample in family.samples
        if sample.name.endswith("_total") and sample.value
    }


async def test_the_same_event_within_ten_minutes_becomes_a_series() -> None:
    api = EventsApi()
    recorder = Recorder(api, "op-0", Metrics())
    for minutes in (0, 1, 2):
        await recorder.emit(CHAT, scaled("1 → 2"), NOW + timedelta(minutes=minutes))
    await recorder.emit(CHAT, scaled("2 → 3"), NOW + timedelta(minutes=3))
    await recorder.emit(CHAT, scaled("1 → 2"), NOW + timedelta(minutes=30))
    assert [e["note"] for e in api.created] == ["1 → 2", "2 → 3", "1 → 2"]
    assert api.patched == [(api.created[0]["metadata"]["name"], n) for n in (2, 3)]


async def test_an_event_that_somebody_deleted_is_posted_anew() -> None:
    api = EventsApi()
    recorder = Recorder(api, "op-0", Metrics())
    await recorder.emit(CHAT, scaled("1 → 2"), NOW)
    api.deleted = True
    await recorder.emit(CHAT, scaled("1 → 2"), NOW + timedelta(minutes=1))
    assert [e["note"] for e in api.created] == ["1 → 2", "1 → 2"]


async def test_an_object_gone_wild_runs_out_of_tokens_and_others_do_not() -> None:
    api = EventsApi()
    recorder = Recorder(api, "op-0", Metrics())
    for number in range(40):
        await recorder.emit(CHAT, scaled(str(number)), NOW)
    await recorder.emit(Regarding("team", "other", "uid-2"), scaled("0"), NOW)
    assert len(api.created) == 25 + 1
    await recorder.emit(CHAT, scaled("later"), NOW + timedelta(minutes=5))
    assert api.created[-1]["note"] == "later"


async def test_a_clock_that_is_set_back_takes_no_tokens() -> None:
    api = EventsApi()
    recorder = Recorder(api, "op-0", Metrics())
    await recorder.emit(CHAT, scaled("0"), NOW)
    await recorder.emit(CHAT, scaled("1"), NOW - timedelta(days=1))
    assert [event["note"] for event in api.created] == ["0", "1"]


async def test_many_decisions_hide_no_warning_and_what_is_not_posted_is_counted() -> None:
    api, metrics = EventsApi(), Metrics()
    recorder = Recorder(api, "op-0", metrics)
    for number in range(40):
        await recorder.emit(CHAT, scaled(str(number)), NOW)
    for number in range(27):
        await recorder.emit(CHAT, limited(str(number)), NOW)
    assert [event["type"] for event in api.created] == ["Normal"] * 25 + ["Warning"] * 25
    assert lost(metrics) == {("Normal", "limit"): 15, ("Warning", "limit"): 2}


async def test_an_event_that_cannot_be_posted_stops_nothing_and_is_no_series() -> None:
    api, metrics = EventsApi(), Metrics()
    recorder = Recorder(api, "op-0", metrics)
    api.broken = True
    await recorder.emit(CHAT, scaled("1 → 2"), NOW)
    api.broken = False
    await recorder.emit(CHAT, scaled("1 → 2"), NOW)
    assert [e["note"] for e in api.created] == ["1 → 2"]
    assert lost(metrics) == {("Normal", "api"): 1}


def test_a_note_is_cut_at_1024_bytes_without_breaking_a_character() -> None:
    assert clipped("→" * 341) == "→" * 341
    cut = clipped("→" * 400)
    assert cut.endswith("...")
    assert len(cut.encode()) <= 1024
