"""Mode Apply by a real API server: another number of instances is tried on a canary, whose pods
alone have it, and taken on in place by the others once it is promoted.

What the autoscaler recommends, what the analysis finds, and what servers take on is put where they
leave it.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from integration.operator_process import finish_rollout
from integration.passes import READY, make_pod
from integration.test_adopting import ADVICE, APPLIED, WRONG, Applying
from integration.test_canary import FILES
from kube import Kube, merged
from trireme.api import names
from trireme.api.rollout import RolloutPhase
from trireme.api.tuning import Knob
from trireme.control.agent_state import Failing
from trireme.errors import ServerRefused
from trireme.modelrepo.proto import ModelConfig, text_format

MORE = ADVICE.model_copy(update={"knob": Knob.INSTANCES, "from_": "1", "to": "2"})
SETTING = "instances 2 in place of 1 (model double)"
FIELD = "models[double].instance_group"
SERVER = "test://one"


class Counting(Applying):
    """The agent `tried`, of which Trireme sets another number of instances."""

    def counts(self, deployment: str = "tried") -> list[int] | None:
        """The instances that pods which a Deployment makes start with; none where none are said."""
        found = self.kube.find("deployment", deployment)
        if found is None:
            return None
        volumes = found["spec"]["template"]["spec"]["volumes"]
        (live,) = (each["configMap"]["name"] for each in volumes if each["name"] == "live")
        text = self.kube.get("configmap", live)["data"]["double.pbtxt"]
        return [group.count for group in text_format.Parse(text, ModelConfig()).instance_group]

    async def takes_on(self) -> None:
        """The stable pod's server runs what is wanted of it."""
        state = self.operator.view.in_place
        state.servers = {SERVER: {config.name: config for config in state.wanted}}
        await self.operator.passes()


@pytest.fixture
async def tried(team: Kube) -> AsyncIterator[Counting]:
    async with AsyncExitStack() as stack:
        fleet = Counting(team, stack)
        team.apply(FILES, APPLIED)
        await fleet.restart()
        finish_rollout(team, "tried", "tried-gateway")
        make_pod(team, "tried", "one")
        server = {
            "name": names.SERVER_CONTAINER,
            "containerID": SERVER,
            "image": "i",
            "imageID": "i",
            "ready": True,
            "restartCount": 0,
            "started": True,
        }
        of_pod = {"podIP": "192.0.2.1", "conditions": [READY], "containerStatuses": [server]}
        team.set_status("pod", "one", of_pod)
        await fleet.operator.passes()
        await fleet.takes_on()
        yield fleet


async def test_the_canary_alone_has_them_until_they_are_promoted(tried: Counting) -> None:
    spec, before = tried.kube.get("agd", "tried")["spec"], tried.generation("tried")
    first = tried.kube.get("agd", "tried")["status"]["liveDigest"]

    await tried.recommends(MORE)

    assert tried.adopted() == [("instances 2 in place of 1", "Tried")]
    assert (tried.counts(), tried.counts("tried-canary")) == ([], [2])
    assert tried.is_as_if_nothing_were_tried()
    assert tried.kube.get("agd", "tried")["status"]["liveDigest"] == first
    events = dict(tried.kube.events("tried"))
    assert events["SettingTried"].startswith(f"{SETTING} is tried on a canary: set instances")
    assert events["CanaryStarted"] == f"{SETTING} is tried on a canary; changed: {FIELD}"

    await tried.found(RolloutPhase.PROMOTED)

    assert (tried.phases(), tried.counts(), tried.counts("tried-canary")) == (["Kept"], [2], [2])
    assert tried.condition("Ready") == ("False", "UpdatingInPlace")
    assert tried.canary.phase is RolloutPhase.PROMOTED

    await tried.takes_on()

    assert (tried.phases(), tried.counts(), tried.counts("tried-canary")) == (["Kept"], [2], None)
    assert tried.is_as_if_nothing_were_tried()
    assert tried.generation("tried") == before
    assert tried.kube.get("agd", "tried")["spec"] == spec
    assert tried.kube.get("agd", "tried")["status"]["liveDigest"] != first
    told = dict(tried.kube.events("tried"))
    assert told["SettingKept"].startswith(f"{SETTING} is kept")
    assert told["InPlaceUpdate"] == f"{FIELD} changed: applied in place to 1 pod, no restart"
    assert "RolloutStarted" not in told
    settled = tried.versions()
    await tried.restart()
    assert tried.versions() == settled


async def test_taken_back_nothing_was_changed_in_the_others(tried: Counting) -> None:
    before, settled = tried.generation("tried"), tried.counts()
    await tried.recommends(MORE)

    await tried.found(RolloutPhase.ROLLED_BACK, "worse than the stable pods: 9% late")

    assert tried.phases() == ["Refused"]
    assert (tried.counts(), tried.counts("tried-canary")) == (settled, None)
    assert tried.generation("tried") == before
    assert tried.is_as_if_nothing_were_tried()
    assert dict(tried.kube.events("tried"))["SettingRefused"] == (
        f"{SETTING} is taken back, and not tried again: worse than the stable pods: 9% late"
    )
    await tried.is_calm()
    await tried.restart()
    await tried.recommends(MORE)
    assert tried.phases() == ["Refused"]
    assert tried.reasons().count("CanaryStarted") == 1
    maps = [each["metadata"]["name"] for each in tried.kube.all("cm")]
    assert [name for name in maps if name.startswith("tried-canary-live-")] == []


async def test_a_server_that_refuses_them_has_the_others_go_back(tried: Counting) -> None:
    await tried.recommends(MORE)
    await tried.found(RolloutPhase.PROMOTED)
    assert (tried.phases(), tried.counts()) == (["Kept"], [2])
    error = ServerRefused("pod one: models[double]: out of memory")
    tried.operator.view.in_place.failing = Failing(
        error, tried.clock.now, lasts=True, was_told=True
    )

    await tried.operator.passes()
    await tried.takes_on()

    assert (tried.phases(), tried.counts(), tried.counts("tried-canary")) == (["Refused"], [], None)
    assert tried.is_as_if_nothing_were_tried()
    told = dict(tried.kube.events("tried"))
    assert told["SettingRefused"] == (
        f"{SETTING} is taken back, and not tried again: a server does not take it on: pod one: "
        "models[double]: out of memory"
    )
    assert told["CanaryEnded"] == f"the canary of generation 1 is ended: {SETTING} is taken back"


@pytest.mark.parametrize(
    ("phase", "left", "counts"),
    [
        pytest.param(RolloutPhase.PROGRESSING, "Tried", ([], [2]), id="goes on"),
        pytest.param(RolloutPhase.ROLLED_BACK, "Refused", ([], None), id="taken back, it is so"),
    ],
)
@pytest.mark.parametrize("is_refused", [False, True], ids=["", "while an edit is refused"])
async def test_a_new_operator_has_no_other_pod_take_on_what_is_tried(
    tried: Counting,
    phase: RolloutPhase,
    left: str,
    counts: tuple[list[int], list[int] | None],
    is_refused: bool,
) -> None:
    await tried.recommends(MORE)
    finish_rollout(tried.kube, "tried-canary")
    await tried.told(phase, "as was seen")
    if is_refused:
        tried.kube.apply(merged(APPLIED, {"spec": WRONG}))

    await tried.restart()

    assert tried.phases() == [left]
    assert (tried.counts(), tried.counts("tried-canary")) == counts
    assert tried.condition("Accepted")[0] == ("False" if is_refused else "True")
    assert tried.reasons().count("CanaryStarted") == 1


async def test_an_edit_of_them_is_in_force_at_once_and_ends_the_trial(tried: Counting) -> None:
    await tried.recommends(MORE)
    (model,) = APPLIED["spec"]["models"]

    await tried.edit(
        merged(APPLIED, {"spec": {"models": [{**model, "instances": [{"count": 3}]}]}})
    )

    assert tried.adopted() == []
    assert (tried.counts(), tried.counts("tried-canary")) == ([3], None)


async def test_a_limit_below_them_has_the_spec_hold_again(tried: Counting) -> None:
    await tried.recommends(MORE)
    await tried.found(RolloutPhase.PROMOTED)
    await tried.takes_on()
    limits = {"mode": "Apply", "limits": {"instances": {"max": 1}}}

    await tried.edit(merged(APPLIED, {"spec": {"tuning": limits}}))

    assert (tried.adopted(), tried.counts(), tried.counts("tried-canary")) == ([], [], None)
    assert dict(tried.kube.events("tried"))["SettingDropped"] == (
        f"{SETTING} is dropped: the spec holds again"
    )


async def test_fewer_as_the_spec_has_them_need_no_canary(tried: Counting) -> None:
    before = tried.generation("tried")
    await tried.recommends(MORE)
    await tried.found(RolloutPhase.PROMOTED)
    await tried.takes_on()

    await tried.recommends(MORE.model_copy(update={"from_": "2", "to": "1"}))
    await tried.takes_on()

    assert (tried.adopted(), tried.counts()) == ([("instances 2 in place of 1", "Refused")], [])
    assert tried.is_as_if_nothing_were_tried()
    assert tried.generation("tried") == before
    assert tried.reasons().count("CanaryStarted") == 1
    assert dict(tried.kube.events("tried"))["SettingRefused"].startswith(
        f"{SETTING} is taken back, and not tried again: the spec's own is better: set instances of "
        "double from 2 to 1: a pod"
    )


METRICS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {
        "name": "pods.metrics.k8s.io",
        "annotations": {"api-approved.kubernetes.io": "unapproved, in the place of metrics-server"},
    },
    "spec": {
        "group": "metrics.k8s.io",
        "scope": "Namespaced",
        "names": {"plural": "pods", "kind": "PodMetrics", "listKind": "PodMetricsList"},
        "versions": [
            {
                "name": "v1beta1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "x-kubernetes-preserve-unknown-fields": True,
                    }
                },
            }
        ],
    },
}


@pytest.fixture
def metrics(team: Kube) -> Iterator[None]:
    """The cluster's metrics API, whose objects the test makes."""
    team.apply(METRICS)
    team.run("wait", "--for=condition=Established", "crd/pods.metrics.k8s.io", "--timeout=60s")
    yield
    team.run("delete", "crd", "pods.metrics.k8s.io")


@pytest.mark.parametrize(
    ("memory", "phase", "counts"),
    [
        pytest.param("256Mi", "Tried", [2], id="room for as much again"),
        pytest.param("300Mi", "Postponed", None, id="none in the pod's 512 MiB"),
    ],
)
@pytest.mark.usefixtures("metrics")
async def test_what_the_pods_take_of_their_memory_says_whether_more_have_room(
    tried: Counting, memory: str, phase: str, counts: list[int] | None
) -> None:
    pod = tried.kube.get("pod", "one")["metadata"]
    usage = {"cpu": "12n", "memory": memory}
    tried.kube.apply(
        {
            "apiVersion": "metrics.k8s.io/v1beta1",
            "kind": "PodMetrics",
            "metadata": {"name": "one", "labels": pod["labels"]},
            "containers": [{"name": names.SERVER_CONTAINER, "usage": usage}],
        }
    )

    await tried.recommends(MORE)

    assert (tried.phases(), tried.counts(), tried.counts("tried-canary")) == ([phase], [], counts)
    assert tried.is_as_if_nothing_were_tried()
    if phase == "Postponed":
        assert dict(tried.kube.events("tried"))["SettingPostponed"] == (
            f"{SETTING} is not begun, and looked at again after a day or an edit: 2 may take "
            "0.59 GiB of a pod's 0.50 GiB: with 1 it is measured to take 0.30 GiB, which may all "
            "be theirs. Say in spec.tuning.limits.instanceMemory what one takes, or raise "
            "spec.server.resources.memory"
        )
        assert "CanaryStarted" not in tried.reasons()
        limits = {"mode": "Apply", "limits": {"instanceMemory": "128Mi"}}
        await tried.edit(merged(APPLIED, {"spec": {"tuning": limits}}))
        await tried.recommends(MORE)
        assert (tried.phases(), tried.counts("tried-canary")) == (["Tried"], [2])
