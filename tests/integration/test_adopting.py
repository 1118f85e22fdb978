"""Modes Apply by a real API server: what is recommended or was optimised is tried on a canary, and
laid over the spec for as long as nothing speaks against it.

What the autoscaler recommends, and what the analysis of a canary finds, is put where they leave it.
"""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from integration.operator_process import finish_rollout
from integration.passes import make_pod
from integration.test_canary import AGENT, FILES, NEW, NO_NODE, OLD, Team
from integration.test_optimizing import GAIN
from integration.test_preflight import REPORT, finish
from integration.trireme_process import ran
from kube import Kube, Object, merged
from trireme.api import kinds, names
from trireme.api.adoption import AdoptionPhase
from trireme.api.rollout import RolloutPhase
from trireme.api.tuning import Confidence, Knob, TuningStatus
from trireme.autoscaler.capacity import LearntCurve
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.autoscaler.types.capacity import Capacity
from trireme.control import learning

APPLIED = merged(AGENT, {"spec": {"tuning": {"mode": "Apply"}}})
ADVICE = TuningStatus(
    model="double",
    knob=Knob.MAX_BATCH_SIZE,
    from_="8",
    to="16",
    gain_percent=30,
    least_gain_percent=10,
    most_gain_percent=40,
    confidence=Confidence.HIGH,
    evidence="learnt from 4312 batches",
    since="2026-11-01T02:00:00Z",
)
SETTING = "maxBatchSize 16 in place of 8 (model double)"


class Applying(Team):
    """The agent `tried`, in mode Apply."""

    async def recommends(self, advice: TuningStatus = ADVICE) -> None:
        """All is calm, and a setting is recommended."""
        self.operator.view.tuning = advice
        await self.is_calm()

    async def is_calm(self) -> None:
        self.operator.view.calm_at = self.clock.now
        await self.operator.passes()

    async def edit(self, agent: Object) -> None:
        """An edit, with nothing new tried after it."""
        self.operator.view.tuning = None
        await self.apply(agent)

    def adopted(self) -> list[tuple[str, str]]:
        """What was set, and how far that is."""
        status = self.kube.get("agd", "tried").get("status", {})
        return [(each["summary"], each["phase"]) for each in status.get("adopted", [])]

    def phases(self) -> list[str]:
        return [phase for _, phase in self.adopted()]

    def batch(self, record: str = "tried-accepted") -> int | None:
        """The largest batch that the pods are made with."""
        found = self.kube.find("configmap", record)
        if found is None:
            return None
        batch: int = json.loads(found["data"]["spec.json"])["models"][0]["maxBatchSize"]
        return batch

    def source(self, record: str = "tried-accepted") -> Object:
        spec = json.loads(self.kube.get("configmap", record)["data"]["spec.json"])
        source: Object = spec["models"][0]["source"]
        return source

    def is_as_if_nothing_were_tried(self) -> bool:
        """Whether the conditions say of the spec what is true of it: it is in force."""
        found = [self.condition(kind) for kind in ("Accepted", "Ready", "Reconciling", "Stalled")]
        return found == [
            ("True", "Valid"),
            ("True", "PodsReady"),
            ("False", "RolledOut"),
            ("False", "Valid"),
        ]

    def loses(self) -> None:
        """It is learnt that a pod sustains less than before."""
        view = self.operator.view
        (kept,) = view.adoption.present
        view.adoption.present = (kept.model_copy(update={"sustained_before": 50.0}),)
        assert view.accepted is not None
        (pods,) = view.accepted.pod_sets
        learnt = learning.known(view, pods)
        curve = ServiceCurve(0.040, 0.010, 16)
        learnt.curves["double"] = LearntCurve(curve, 0.0, 4000)
        learnt.capacities["double"] = Capacity(40.0, curve)
        view.learning[pods.name] = learnt

    async def takes_back_in_the_status(self) -> None:
        """An operator notes that what was kept is taken back, and ends."""
        (kept,) = self.operator.view.adoption.present
        told = kept.model_copy(update={"phase": AdoptionPhase.REFUSED})
        await self.operator.cluster.apply_status(
            kinds.AGENT_DEPLOYMENT,
            self.kube.get("agd", "tried")["metadata"],
            {"adopted": [told.model_dump(mode="json", by_alias=True, exclude_none=True)]},
            names.ADOPTION_STATUS_MANAGER,
        )

    async def promote(self) -> None:
        await self.found(RolloutPhase.PROMOTED)
        finish_rollout(self.kube, "tried")
        await self.operator.passes()


async def begin(kube: Kube, stack: AsyncExitStack, agent: Object) -> Applying:
    """An agent that runs."""
    fleet = Applying(kube, stack)
    kube.apply(FILES, agent)
    await fleet.restart()
    finish_rollout(kube, "tried", "tried-gateway")
    make_pod(kube, "tried", "one")
    await fleet.operator.passes()
    return fleet


@pytest.fixture
async def tried(team: Kube) -> AsyncIterator[Applying]:
    async with AsyncExitStack() as stack:
        yield await begin(team, stack, APPLIED)


async def test_a_setting_that_is_promoted_is_kept_and_the_spec_stays(tried: Applying) -> None:
    spec = tried.kube.get("agd", "tried")["spec"]
    before = tried.generation("tried")

    await tried.recommends()

    assert tried.phases() == ["Tried"]
    assert (tried.batch(), tried.batch("tried-candidate")) == (8, 16)
    assert tried.generation("tried") == before
    assert tried.is_as_if_nothing_were_tried()
    events = dict(tried.kube.events("tried"))
    assert events["SettingTried"].startswith(f"{SETTING} is tried on a canary: set maxBatchSize")
    assert events["CanaryStarted"] == (
        f"{SETTING} is tried on a canary; changed: models[double].max_batch_size"
    )

    await tried.promote()

    assert tried.phases() == ["Kept"]
    assert (tried.batch(), tried.image("tried-canary")) == (16, None)
    assert tried.is_as_if_nothing_were_tried()
    assert tried.kube.get("agd", "tried")["spec"] == spec
    told = dict(tried.kube.events("tried"))
    assert told["SettingKept"].startswith(f"{SETTING} is kept")
    waiting = [(each.reason, each.message) for each in tried.operator.view.setting_news]
    assert waiting == [(reason, told[reason]) for reason in ("SettingTried", "SettingKept")]
    settled = tried.versions()
    await tried.restart()
    assert tried.versions() == settled


TOO_LATE = {
    "type": "Progressing",
    "status": "False",
    "reason": "ProgressDeadlineExceeded",
    "message": "ReplicaSet tried-5d8 has timed out progressing.",
}


async def test_a_setting_that_pods_do_not_come_up_with_is_taken_back(tried: Applying) -> None:
    await tried.recommends()
    await tried.found(RolloutPhase.PROMOTED)
    assert (tried.phases(), tried.batch()) == (["Kept"], 16)
    generation = tried.generation("tried")
    status = {"observedGeneration": generation, "replicas": 1, "conditions": [TOO_LATE]}
    tried.kube.set_status("deployment", "tried", status)

    await tried.operator.passes()

    assert (tried.phases(), tried.batch()) == (["Refused"], 8)
    assert tried.image("tried-canary") is None
    assert dict(tried.kube.events("tried"))["SettingRefused"] == (
        f"{SETTING} is taken back, and not tried again: the pods do not come up with it: "
        "ReplicaSet tried-5d8 has timed out progressing."
    )
    tried.kube.set_status("deployment", "tried", {"conditions": []})
    finish_rollout(tried.kube, "tried")
    await tried.operator.passes()
    assert tried.is_as_if_nothing_were_tried()


@pytest.mark.parametrize("restarts", [False, True])
async def test_what_is_taken_back_once_it_was_kept_needs_no_canary(
    tried: Applying, restarts: bool
) -> None:
    await tried.recommends()
    await tried.promote()
    tried.operator.view.tuning = None
    tried.loses()
    if restarts:  # between the status and the pods
        await tried.takes_back_in_the_status()
        await tried.restart()
    else:
        await tried.operator.passes()

    assert tried.phases() == ["Refused"]
    assert (tried.batch(), tried.image("tried-canary")) == (8, None)
    assert tried.reasons().count("CanaryStarted") == 1
    assert tried.condition("Stalled")[0] == "False"


async def test_an_edit_in_the_pass_that_takes_back_is_tried_on_a_canary(tried: Applying) -> None:
    await tried.recommends()
    await tried.promote()
    tried.operator.view.tuning = None
    await tried.takes_back_in_the_status()
    tried.kube.apply(merged(APPLIED, {"spec": {"server": {"image": NEW}}}))
    await tried.restart()
    assert tried.phases() == ["Refused"]
    assert (tried.batch(), tried.batch("tried-candidate")) == (16, 8)
    assert (tried.image("tried"), tried.image("tried-canary")) == (OLD, NEW)


@pytest.mark.parametrize(
    "obstacle",
    [
        pytest.param({"calm_at": None}, id="while it scales or an objective is broken"),
        pytest.param({"tuning": None}, id="where nothing is recommended"),
        pytest.param({"judged": 0}, id="before the spec was looked into"),
    ],
)
async def test_no_trial_begins(tried: Applying, obstacle: dict[str, Any]) -> None:
    view = tried.operator.view
    view.tuning, view.calm_at = ADVICE, tried.clock.now
    for field, value in obstacle.items():
        setattr(view, field, value)
    await tried.operator.once()
    assert tried.adopted() == []


async def test_what_was_calm_a_while_ago_may_not_be_now(tried: Applying) -> None:
    tried.operator.view.tuning, tried.operator.view.calm_at = ADVICE, tried.clock.now
    tried.clock.now += timedelta(minutes=1)
    await tried.operator.passes()
    assert tried.adopted() == []


async def test_nothing_is_tried_where_no_pod_is_ready(team: Kube) -> None:
    async with AsyncExitStack() as stack:
        fleet = Applying(team, stack)
        team.apply(FILES, APPLIED)
        await fleet.restart()
        await fleet.recommends()
        assert fleet.adopted() == []
        assert fleet.batch() == 8


async def test_a_setting_that_is_taken_back_is_not_tried_again(tried: Applying) -> None:
    before = tried.generation("tried")
    await tried.recommends()

    await tried.found(RolloutPhase.ROLLED_BACK, "worse than the stable pods: 9% failed")

    assert tried.phases() == ["Refused"]
    assert tried.operator.view.canary is None
    assert (tried.image("tried-canary"), tried.share()) == (None, "0")
    assert (tried.generation("tried"), tried.batch()) == (before, 8)
    assert tried.is_as_if_nothing_were_tried()
    assert names.ROLLED_BACK not in tried.record()["metadata"].get("annotations", {})
    assert dict(tried.kube.events("tried"))["SettingRefused"] == (
        f"{SETTING} is taken back, and not tried again: worse than the stable pods: 9% failed"
    )
    await tried.is_calm()
    await tried.restart()
    await tried.recommends()
    assert tried.phases() == ["Refused"]
    assert tried.reasons().count("CanaryStarted") == 1


async def test_what_was_seen_of_one_that_was_taken_back_stays_though_watches_are_late(
    tried: Applying,
) -> None:
    await tried.recommends()
    await tried.told(RolloutPhase.PROGRESSING)
    await tried.operator.passes()
    tried.canary.phase, tried.canary.message = RolloutPhase.ROLLED_BACK, "worse"
    await tried.told(RolloutPhase.ROLLED_BACK, "worse")

    await tried.operator.once(looks=False)

    assert tried.operator.view.canary is None
    assert tried.kube.get("agd", "tried")["status"]["rollout"]["phase"] == "RolledBack"


async def test_a_trial_of_which_too_little_was_seen_is_repeated_a_day_later(
    tried: Applying,
) -> None:
    await tried.recommends()
    tried.canary.is_undecided = True
    await tried.found(RolloutPhase.ROLLED_BACK, "undecided after 1800s: 0 of 200 requests")
    assert tried.phases() == ["Undecided"]
    await tried.is_calm()
    assert tried.phases() == ["Undecided"]

    tried.clock.now += timedelta(days=1)
    await tried.is_calm()

    assert tried.phases() == ["Tried"]


async def test_the_end_of_a_trial_is_not_that_of_the_next_of_the_same(tried: Applying) -> None:
    await tried.recommends()
    tried.canary.is_undecided = True
    await tried.told(RolloutPhase.ROLLED_BACK, "undecided after 1800s: 0 of 200 requests")
    await tried.found(RolloutPhase.ROLLED_BACK, "undecided after 1800s: 0 of 200 requests")
    tried.clock.now += timedelta(days=1)
    await tried.is_calm()
    assert tried.phases() == ["Tried"]

    await tried.restart()  # before the analysis has written of this one

    assert tried.phases() == ["Tried"]
    assert tried.canary.phase is RolloutPhase.PROGRESSING


async def test_a_trial_whose_pods_no_node_takes_is_repeated_later(tried: Applying) -> None:
    await tried.recommends()
    make_pod(tried.kube, "tried-canary", "canary-one", NO_NODE)
    await tried.operator.passes()
    await tried.found(RolloutPhase.ROLLED_BACK, "Unschedulable: Insufficient nvidia.com/gpu")
    assert tried.phases() == ["Undecided"]
    assert tried.is_as_if_nothing_were_tried()


@pytest.mark.parametrize(
    ("phase", "left", "batches"),
    [
        pytest.param(RolloutPhase.PROGRESSING, "Tried", (8, 16), id="goes on"),
        pytest.param(RolloutPhase.PROMOTED, "Kept", (16, 16), id="promoted, it is kept"),
        pytest.param(RolloutPhase.ROLLED_BACK, "Refused", (8, None), id="taken back, it is so"),
    ],
)
async def test_a_new_operator_goes_on_with_a_trial(
    tried: Applying, phase: RolloutPhase, left: str, batches: tuple[int, int | None]
) -> None:
    await tried.recommends()
    finish_rollout(tried.kube, "tried-canary")
    await tried.told(phase, "as was seen")

    await tried.restart()

    assert tried.phases() == [left]
    assert (tried.batch(), tried.batch("tried-candidate")) == batches
    assert tried.reasons().count("CanaryStarted") == 1


async def test_an_edit_of_the_pods_ends_a_trial_and_is_tried_alone(tried: Applying) -> None:
    await tried.recommends()

    await tried.edit(merged(APPLIED, {"spec": {"server": {"image": NEW}}}))

    assert tried.adopted() == []
    assert (tried.image("tried"), tried.image("tried-canary")) == (OLD, NEW)
    assert tried.batch("tried-candidate") == 8
    assert tried.condition("Ready") == ("False", "TryingCanary")
    note = f"generation 2 is tried on a canary in place of {SETTING}; changed: server.image"
    assert ("CanaryStarted", note) in tried.kube.events("tried")
    await tried.recommends()
    assert tried.adopted() == []

    await tried.found(RolloutPhase.ROLLED_BACK, "worse")
    await tried.recommends()
    assert tried.adopted() == []
    assert tried.condition("Stalled") == ("True", "RolledBack")


async def test_an_edit_of_something_else_ends_a_trial_too(tried: Applying) -> None:
    await tried.recommends()

    await tried.edit(merged(APPLIED, {"spec": {"scaling": {"max": 7}}}))

    assert (tried.adopted(), tried.image("tried-canary")) == ([], None)
    assert tried.is_as_if_nothing_were_tried()
    assert dict(tried.kube.events("tried"))["CanaryEnded"] == (
        f"the canary of {SETTING} is ended: generation 2 asks for pods as they are"
    )


async def test_a_trial_goes_on_while_an_autoscaler_writes_the_size(team: Kube) -> None:
    fixed = {"spec": {"replicas": 1, "scaling": {"mode": "External", "min": None, "max": None}}}
    async with AsyncExitStack() as stack:
        fleet = await begin(team, stack, merged(APPLIED, fixed))
        await fleet.recommends()
        assert fleet.phases() == ["Tried"]

        await fleet.apply(merged(APPLIED, merged(fixed, {"spec": {"replicas": 2}})))

        assert fleet.phases() == ["Tried"]
        assert fleet.batch("tried-candidate") == 16
        assert fleet.reasons().count("CanaryStarted") == 1


WRONG = {"objectives": [{"model": "duble", "latency": {"target": "100ms"}}]}


@pytest.mark.parametrize(
    ("phase", "left", "batch"),
    [
        pytest.param(RolloutPhase.PROGRESSING, "Tried", 8, id="goes on"),
        pytest.param(RolloutPhase.PROMOTED, "Kept", 16, id="promoted, it is kept"),
        pytest.param(RolloutPhase.ROLLED_BACK, "Refused", 8, id="taken back, it is so"),
    ],
)
async def test_a_trial_goes_on_while_an_edit_is_refused(
    tried: Applying, phase: RolloutPhase, left: str, batch: int
) -> None:
    await tried.recommends()
    await tried.apply(merged(APPLIED, {"spec": WRONG}))
    assert tried.condition("Accepted") == ("False", "InvalidSpec")

    await tried.found(phase, "as was seen")

    assert (tried.phases(), tried.batch()) == ([left], batch)
    assert tried.condition("Accepted") == ("False", "InvalidSpec")
    await tried.edit(APPLIED)
    assert (tried.phases(), tried.batch()) == ([left], batch)
    assert tried.condition("Stalled")[0] == "False"


@pytest.mark.parametrize(
    ("batch", "candidate"),
    [
        pytest.param(16, None, id="takes it over: no pod is touched"),
        pytest.param(12, 12, id="says something else: that is tried"),
    ],
)
async def test_what_a_user_writes_there_himself_comes_first(
    tried: Applying, batch: int, candidate: int | None
) -> None:
    await tried.recommends()
    await tried.promote()
    (model,) = APPLIED["spec"]["models"]

    await tried.edit(merged(APPLIED, {"spec": {"models": [{**model, "maxBatchSize": batch}]}}))

    assert tried.adopted() == []
    assert (tried.batch(), tried.batch("tried-candidate")) == (16, candidate)
    assert dict(tried.kube.events("tried"))["SettingDropped"] == (
        f"{SETTING} is dropped: the spec holds again"
    )


async def test_in_another_mode_the_spec_holds_again(tried: Applying) -> None:
    await tried.recommends()
    await tried.promote()

    await tried.edit(merged(APPLIED, {"spec": {"tuning": {"mode": "Recommend"}}}))

    assert tried.adopted() == []
    assert (tried.batch(), tried.batch("tried-candidate")) == (16, 8)


async def test_a_setting_that_the_spec_has_faults_with_is_taken_back_before_it_is_tried(
    tried: Applying,
) -> None:
    await tried.recommends(ADVICE.model_copy(update={"to": "4"}))  # and a warm-up is of 8

    assert tried.phases() == ["Refused"]
    assert tried.image("tried-canary") is None
    assert tried.is_as_if_nothing_were_tried()
    told = dict(tried.kube.events("tried"))["SettingRefused"]
    assert "with it the spec is refused: spec.models[0].warmup" in told


async def test_diff_knows_what_is_kept(tried: Applying, tmp_path: Path) -> None:
    await tried.recommends()
    await tried.promote()

    same, wider, other = (
        diff(tried.kube, merged(APPLIED, {"spec": spec}), tmp_path)
        for spec in ({}, {"scaling": {"max": 7}}, {"tuning": {"mode": "Recommend"}})
    )

    assert same == "tried: nothing changes"
    assert wider.startswith("tried: no pod is touched")
    assert other.startswith("tried: a canary is tried")


def diff(kube: Kube, agent: Object, folder: Path) -> str:
    manifest = folder / "edit.yaml"
    manifest.write_text(
        "\n---\n".join(map(json.dumps, (FILES, agent)))
    )  # in which a `y` is no boolean
    done = ran(
        *("diff", "-f", str(manifest), "-n", kube.namespace),
        environment={"KUBECONFIG": str(kube.kubeconfig)},
        folder=folder,
    )
    assert done.errors == ""
    return done.output.strip()


# -------------------------------------------------------------------------------- optimised models

SAMPLES = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "samples"},
    "binaryData": {"samples.npz": "AAAA"},
}
OPTIMIZED = merged(
    AGENT,
    {
        "spec": {
            "optimization": {
                "mode": "Apply",
                "destination": {"uri": "pvc://results/"},
                "models": [{"model": "double", "samples": {"configMap": "samples"}}],
            }
        }
    },
)
ON_A_CLAIM = {"uri": "pvc://results/double/1/"}
IN_A_BUCKET = {"uri": "s3://results/double/1/model.onnx", "sha256": "a" * 64}


async def optimized(kube: Kube, stack: AsyncExitStack, source: Object) -> Applying:
    """An agent whose model has been optimised; nothing was tried yet."""
    kube.apply(SAMPLES)
    fleet = await begin(kube, stack, OPTIMIZED)
    (running,) = kube.get("agd", "tried")["status"]["optimization"]["models"]
    done = {
        "model": "double",
        "digest": running["digest"],
        "phase": "Optimized",
        "gain": GAIN.model_dump(mode="json", by_alias=True),
        "madeFrom": running["madeFrom"],
        "uri": source["uri"],
        "sha256": "a" * 64,
        "entry": yaml.safe_dump({"name": "double", "source": source}),
    }
    await fleet.operator.cluster.apply_status(
        kinds.AGENT_DEPLOYMENT,
        kube.get("agd", "tried")["metadata"],
        {"optimization": {"models": [done]}},
        names.OPTIMIZATION_STATUS_MANAGER,
    )
    await fleet.restart()
    for job in kube.all("jobs"):
        kube.run("delete", "job", job["metadata"]["name"])
    return fleet


async def test_an_optimised_model_serves_in_the_place_of_the_source_and_is_not_optimised_again(
    team: Kube,
) -> None:
    async with AsyncExitStack() as stack:
        fleet = await optimized(team, stack, ON_A_CLAIM)
        before = team.get("agd", "tried")["status"]["optimization"]

        await fleet.is_calm()
        assert fleet.phases() == ["Tried"]
        assert fleet.source("tried-candidate")["uri"] == ON_A_CLAIM["uri"]
        assert "configMap" not in fleet.source("tried-candidate")
        await fleet.promote()

        assert fleet.phases() == ["Kept"]
        assert fleet.source()["uri"] == ON_A_CLAIM["uri"]
        assert fleet.is_as_if_nothing_were_tried()
        await fleet.restart()
        assert team.get("agd", "tried")["status"]["optimization"] == before
        assert team.all("jobs") == []


async def test_an_optimised_model_goes_with_the_files_that_it_was_made_from(team: Kube) -> None:
    async with AsyncExitStack() as stack:
        fleet = await optimized(team, stack, ON_A_CLAIM)
        await fleet.is_calm()
        await fleet.promote()
        assert fleet.phases() == ["Kept"]
        await fleet.restart()
        assert fleet.phases() == ["Kept"]

        changed = FILES["data"]["model.py"] + "# once more\n"
        team.apply(merged(FILES, {"data": {"model.py": changed}}))
        await fleet.operator.passes()

        assert fleet.adopted() == []
        assert fleet.source("tried-candidate") == AGENT["spec"]["models"][0]["source"]
        (summary,) = [n for reason, n in team.events("tried") if reason == "SettingDropped"]
        assert summary.endswith("is dropped: the spec holds again")


async def test_an_optimised_model_goes_with_what_it_was_judged_by(
    team: Kube, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        fleet = await optimized(team, stack, ON_A_CLAIM)
        await fleet.is_calm()
        await fleet.promote()
        tighter = merged(OPTIMIZED, {"spec": {"optimization": {"maxAccuracyDrop": "0.1%"}}})
        assert diff(team, OPTIMIZED, tmp_path) == "tried: nothing changes"
        assert diff(team, tighter, tmp_path).startswith("tried: a canary is tried")

        await fleet.edit(tighter)

        assert fleet.adopted() == []
        assert fleet.source("tried-candidate") == AGENT["spec"]["models"][0]["source"]


async def test_models_are_optimised_while_an_edit_is_refused_by_whatever_operator(
    team: Kube,
) -> None:
    async with AsyncExitStack() as stack:
        team.apply(SAMPLES)
        fleet = await begin(team, stack, OPTIMIZED)
        (before,) = team.all("jobs")
        await fleet.apply(merged(OPTIMIZED, {"spec": WRONG}))
        await fleet.restart()
        assert fleet.condition("Accepted") == ("False", "InvalidSpec")

        team.apply({**SAMPLES, "binaryData": {"samples.npz": "BBBB"}})
        await fleet.operator.passes()

        (after,) = team.all("jobs")
        assert after["metadata"]["name"] != before["metadata"]["name"]


async def test_while_its_file_is_inspected_nothing_is_tried_and_nothing_waits(team: Kube) -> None:
    async with AsyncExitStack() as stack:
        fleet = await optimized(team, stack, IN_A_BUCKET)

        await fleet.is_calm()

        assert fleet.phases() == ["Tried"]
        assert fleet.image("tried-canary") is None
        assert fleet.is_as_if_nothing_were_tried()
        (job,) = team.all("jobs")
        await fleet.operator.passes()
        await fleet.apply(OPTIMIZED)
        (same,) = team.all("jobs")
        assert same["metadata"]["uid"] == job["metadata"]["uid"]
        assert fleet.operator.view.preflight.waiting

        finish(team, job, 0, REPORT)
        await fleet.operator.passes()
        assert fleet.phases() == ["Refused"]  # an ONNX file is nothing for the Python backend
        assert fleet.is_as_if_nothing_were_tried()
        assert team.all("jobs") == []
