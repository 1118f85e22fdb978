"""When an agent's models are optimised, pass by pass, and what the status says of it meanwhile."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agents import agent_of, model_of
from trireme.api import kinds
from trireme.api.kinds import Kind
from trireme.api.optimization import TriedForm
from trireme.api.optimize import (
    DeliveryResult,
    OptimizeResult,
    delivery_message,
    optimize_message,
)
from trireme.control.optimizing import Optimizing
from trireme.control.queue import Key
from trireme.control.store import Store
from trireme.edge.cluster import Cluster, Object
from trireme.edge.recorder import Event
from trireme.errors import ClusterError
from trireme.resources.options import Discovery, ResourceOptions

NOW = datetime(2026, 11, 1, 3, 0, tzinfo=UTC)
OPTIONS = ResourceOptions(gateway_image="envoy", discovery=Discovery.NONE)
SAMPLES = {"metadata": {"name": "samples"}, "binaryData": {"samples.npz": "AAAA"}}
NOTHING = OptimizeResult(summary="nothing is cheaper")
FAILED = OptimizeResult(failure="labels: are float32")


class Api(Cluster):
    """The Kubernetes API as far as the passes go: keeps what it is given."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Any] = {(kinds.CONFIG_MAP.name, "samples"): SAMPLES}
        self.pods: list[Object] = []
        self.status: dict[str, Any] = {}
        self.failing = False

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        return self.objects.get((kind.name, name))

    async def list(self, kind: Kind, namespace: str | None, selector: str = "") -> Sequence[Object]:
        return self.pods

    async def ensure(self, manifest: Object) -> None:
        metadata = {**manifest["metadata"], "uid": f"uid-of-{manifest['metadata']['name']}"}
        key = manifest["kind"], metadata["name"]
        self.objects.setdefault(key, {**manifest, "metadata": metadata})

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str | None = None) -> None:
        self.objects.pop((kind.name, name), None)
        if kind is kinds.JOB:
            self.pods = []

    async def apply_status(
        self, kind: Kind, metadata: Object, status: Mapping[str, Any], manager: str
    ) -> Object:
        if self.failing:
            raise ClusterError(0, "no answer")
        self.status = dict(status)
        return {}

    @property
    def jobs(self) -> Sequence[Any]:
        return [each for (kind, _), each in self.objects.items() if kind == kinds.JOB.name]


class Passes:
    """Passes over one agent by an operator's process."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.now = NOW
        self.restart()

    def restart(self) -> None:
        """Another process: what it knows is the status."""
        store = Store()
        metadata = {"namespace": "default", "name": "echo", "uid": "0f5e", "generation": 1}
        self._body = {"metadata": metadata, "spec": {}, "status": self.api.status}
        store.agent_event(self._body, deleted=False)
        self.view = store.view(Key("default", "echo"))
        self._optimizing = Optimizing(self.api, store, OPTIONS, lambda: self.now, most_jobs=2)

    async def once(self, mode: str = "Recommend") -> list[Event]:
        source = {"uri": "pvc://m/e/"}
        model = model_of("encoder", backend="onnxruntime", source=source, maxBatchSize=8)
        optimization = {
            "mode": mode,
            "destination": {"uri": "pvc://results/"},
            "models": [{"model": "encoder", "samples": {"configMap": "samples"}}],
        }
        agent = agent_of(models=[model], objectives=[], optimization=optimization)
        return await self._optimizing.advance(self.view, self._body, agent)

    @property
    def told(self) -> dict[str, Any]:
        found = self.api.status.get("optimization", {}).get("models", [])
        return found[0] if found else {}

    def finish(self, found: OptimizeResult = NOTHING) -> None:
        """The pod of the one Job ends."""
        (job,) = self.api.jobs
        owners = [{"kind": "Job", "uid": job["metadata"]["uid"], "name": job["metadata"]["name"]}]
        labels = job["spec"]["template"]["metadata"]["labels"]
        ends = {
            "optimize": optimize_message(found),
            "deliver": delivery_message(DeliveryResult()),
        }
        code = 0 if found.failure is None else 1
        statuses = [
            {"name": name, "state": {"terminated": {"exitCode": code, "message": message}}}
            for name, message in ends.items()
        ]
        metadata = {"name": "p", "uid": "p", "labels": labels, "ownerReferences": owners}
        self.api.pods = [{"metadata": metadata, "status": {"containerStatuses": statuses}}]


@pytest.fixture
def passes() -> Passes:
    return Passes(Api())


async def test_a_job_is_deleted_only_when_the_status_says_what_it_came_to(passes: Passes) -> None:
    await passes.once()
    passes.finish()
    await passes.once()
    assert passes.told["phase"] == "NothingGained"
    assert len(passes.api.jobs) == 1
    assert passes.view.optimization.under_way  # so that another pass comes
    assert await passes.once() == []
    assert passes.api.jobs == []
    assert passes.view.optimization.under_way == set()


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_result_that_could_not_be_written_is_read_again(
    passes: Passes, restarts: bool
) -> None:
    await passes.once()
    passes.finish()
    passes.api.failing = True
    with pytest.raises(ClusterError):
        await passes.once()
    assert passes.view.optimization.under_way
    if restarts:
        passes.restart()
    passes.api.failing = False
    (event,) = await passes.once()
    assert passes.told["phase"] == "NothingGained"
    assert "nothing is cheaper" in event.note


async def test_a_failed_job_is_kept_for_its_log_and_takes_no_place(passes: Passes) -> None:
    await passes.once()
    passes.finish(FAILED)
    await passes.once()
    await passes.once()
    assert passes.told["phase"] == "Failed"
    assert len(passes.api.jobs) == 1
    assert passes.view.optimization.under_way == set()


async def test_a_config_map_that_is_away_for_a_moment_changes_nothing_of_what_is_over(
    passes: Passes,
) -> None:
    await passes.once()
    passes.finish()
    await passes.once()
    before = passes.told
    samples = passes.api.objects.pop((kinds.CONFIG_MAP.name, "samples"))
    await passes.once()
    assert passes.told == before
    passes.api.objects[kinds.CONFIG_MAP.name, "samples"] = samples
    assert await passes.once() == []
    assert passes.told == before


async def test_a_job_goes_on_without_the_config_map_that_it_has_mounted(passes: Passes) -> None:
    await passes.once()
    samples = passes.api.objects.pop((kinds.CONFIG_MAP.name, "samples"))
    await passes.once()
    assert passes.told["phase"] == "Running"
    assert "waits for the ConfigMap samples" in passes.told["message"]
    assert len(passes.api.jobs) == 1
    passes.api.objects[kinds.CONFIG_MAP.name, "samples"] = samples
    passes.finish()
    await passes.once()
    assert passes.told["phase"] == "NothingGained"


async def test_what_is_over_is_known_when_it_is_switched_off_and_on(passes: Passes) -> None:
    await passes.once()
    passes.finish()
    await passes.once()
    before = passes.told
    await passes.once("Disabled")
    assert passes.told == before
    assert passes.api.jobs == []
    assert await passes.once() == []
    assert (passes.told, passes.api.jobs) == (before, [])


async def test_what_runs_is_stopped_when_it_is_switched_off(passes: Passes) -> None:
    await passes.once()
    await passes.once("Disabled")
    assert passes.told == {}
    assert passes.api.jobs == []


async def test_what_was_tried_is_in_the_status(passes: Passes) -> None:
    tried = TriedForm(techniques=["fp16"], throughput_ratio=0.8, refused="is slower")
    await passes.once()
    passes.finish(NOTHING.model_copy(update={"tried": [tried]}))
    await passes.once()
    assert passes.told["tried"] == [
        {"techniques": ["fp16"], "throughputRatio": 0.8, "refused": "is slower"}
    ]


async def fails(passes: Passes) -> Event:
    """The time of the next try has come, and its Job fails."""
    passes.now += timedelta(hours=2)
    await passes.once()  # what is left of the last one is deleted
    await passes.once()
    assert passes.told["phase"] == "Running"
    passes.finish(FAILED)
    (event,) = await passes.once()
    return event


async def test_what_fails_again_and_again_is_given_up(passes: Passes) -> None:
    notes = [(await fails(passes)).note for _ in range(6)]
    assert notes[0] == (
        "encoder: the model's container says: labels: are float32. Failure 1 of 6: it is tried "
        "again after 5m"
    )
    assert notes[4].endswith("Failure 5 of 6: it is tried again after 1h20m")
    assert notes[5].endswith(
        "It failed 6 times in a row and is not tried again until its source, its samples or the "
        "settings are others, or spec.optimization.mode was Disabled meanwhile"
    )
    passes.now += timedelta(days=30)
    for _ in range(3):
        assert await passes.once() == []
    assert (passes.told["phase"], passes.told["failures"]) == ("Failed", 6)


async def test_what_was_given_up_is_tried_anew_when_it_was_switched_off(passes: Passes) -> None:
    for _ in range(6):
        await fails(passes)
    await passes.once("Disabled")
    assert (passes.told, passes.api.jobs) == ({}, [])
    await passes.once()
    assert (passes.told["phase"], passes.told["failures"]) == ("Running", 0)


async def test_what_was_given_up_is_tried_anew_by_other_samples(passes: Passes) -> None:
    for _ in range(6):
        await fails(passes)
    others = {**SAMPLES, "binaryData": {"samples.npz": "BBBB"}}
    passes.api.objects[kinds.CONFIG_MAP.name, "samples"] = others
    await passes.once()
    assert (passes.told["phase"], passes.told["failures"]) == ("Running", 0)
