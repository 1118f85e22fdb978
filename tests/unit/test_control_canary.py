"""Whole rounds of the canary loop over agents of a store, with pods that count."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from agents import agent_of, repository_of
from trireme.api import names
from trireme.api.kinds import Kind
from trireme.api.rollout import RolloutPhase
from trireme.autoscaler.direct import Sample
from trireme.autoscaler.types.observation import Grant
from trireme.control.agent_state import Accepted, CanaryState
from trireme.control.canary import CanaryAnalysis
from trireme.control.queue import Key, WorkQueue
from trireme.control.store import AgentView, Store
from trireme.edge.cluster import Cluster, Object
from trireme.edge.metrics import Metrics
from trireme.edge.pod_metrics import PodMetrics
from trireme.edge.recorder import Recorder
from trireme.errors import ClusterError, ServerError
from trireme.rollout.types import Answers
from unit.autoscaling import NOW
from virtual_time import VirtualTimeLoop

ROLLOUT = {"strategy": "Canary", "canary": {"deadline": "30m"}}
HALF = {"strategy": "Canary", "canary": {"steps": [{"weight": "50%"}]}}
STABLE, CANARY = "inference_http", "inference_http_canary"


class Api(Cluster):
    """The Kubernetes API as far as the rounds go: keeps what it is given."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}
        self.statuses: list[Any] = []
        self.events: list[tuple[str, str]] = []
        self.merged: list[Object] = []
        self.versions: dict[str, str] = {}
        self.failing = False

    async def apply_scale(self, deployment: Object, replicas: int, manager: str) -> None:
        assert manager == names.SCALE_MANAGER
        self.sizes[deployment["metadata"]["name"]] = replicas

    async def apply_status(
        self, kind: Kind, metadata: Object, status: Mapping[str, Any], manager: str
    ) -> Object:
        assert manager == names.ROLLOUT_STATUS_MANAGER
        if self.failing:
            raise ClusterError(0, "no answer")
        self.statuses.append(status.get("rollout"))
        return {}

    async def merge(self, kind: Kind, namespace: str, name: str, patch: Object) -> Object:
        version = patch["metadata"]["resourceVersion"]
        if version != self.versions.get(name, version):
            raise ClusterError(409, "the object has been modified")
        self.versions[name] = f"{version}+"
        self.merged.append(patch)
        return patch

    async def create(self, manifest: Object) -> Object:
        self.events.append((manifest["reason"], manifest["note"]))
        return manifest

    def told(self, reason: str) -> list[str]:
        return [note for each, note in self.events if each == reason]


@dataclass
class Pods:
    """What pods tell of themselves, by address: lines of counters that only grow, or a failure."""

    counters: dict[str, dict[Sample, float]] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    hanging: set[str] = field(default_factory=set)

    def count(self, address: str, value: float, metric: str, **labels: str) -> None:
        of_pod = self.counters.setdefault(address, {})
        series = Sample(metric, tuple(sorted(labels.items())), 0.0)
        of_pod[series] = of_pod.get(series, 0.0) + value

    def serve(
        self, address: str, cluster: str, requests: int, failed: int, late: int, refused: int = 0
    ) -> None:
        """So many requests more, half of which take up to 33 ms and the others up to 100."""
        own = {"envoy_cluster_name": cluster}
        self.count(address, requests, "envoy_cluster_upstream_rq_total", **own)
        self.count(address, requests, "envoy_cluster_upstream_rq_completed", **own)
        for code_class, count in (("5", failed), ("4", refused)):
            of = {"envoy_response_code_class": code_class}
            self.count(address, count, "envoy_cluster_upstream_rq_xx", **of, **own)
        within = {"33": requests // 2, "100": requests - late, "+Inf": requests}
        for edge, count in within.items():
            self.count(address, count, "envoy_cluster_upstream_rq_time_bucket", le=edge, **own)

    async def read(
        self, address: str, port: int, path: str, wanted: frozenset[str]
    ) -> tuple[Sample, ...]:
        if address in self.hanging:
            await asyncio.Event().wait()
        if address in self.silent:
            raise ServerError(f"http://{address}:{port}{path} does not answer")
        counters = self.counters.get(address, {})
        assert {series.metric for series in counters} <= wanted
        return tuple(Sample(s.metric, s.labels, value) for s, value in counters.items())


@dataclass
class Rounds:
    """An operator's rounds, over agents that a test adds."""

    now: datetime = NOW

    def __post_init__(self) -> None:
        self.api, self.store, self.pods, self.queue = Api(), Store(), Pods(), WorkQueue()
        self.metrics = Metrics()
        self.restart()

    def restart(self) -> None:
        """A new process, which knows what the cluster knows."""
        self.analysis = CanaryAnalysis(
            cluster=self.api,
            store=self.store,
            queue=self.queue,
            pod_metrics=cast(PodMetrics, self.pods),
            recorder=Recorder(self.api, "op-0", self.metrics),
            metrics=self.metrics,
            clock=lambda: self.now,
        )

    def add(self, name: str = "echo", stable: int = 4, **spec: Any) -> Key:
        """An agent that runs behind a gateway pod, with a canary of one ready pod."""
        key = Key("team", name)
        metadata = {
            "namespace": "team",
            "name": name,
            "uid": f"uid-{name}",
            "generation": 2,
            "resourceVersion": "1",
        }
        self.store.agent_event({"metadata": metadata, "spec": {}, "status": {}}, deleted=False)
        view = self.store.view(key)
        view.accepted = Accepted(agent_of(name, **spec), repository_of())
        view.judged = 2
        self.deploy(key, name, stable)
        self.deploy(key, names.canary(name), 1)
        self.start(key, f"{name}-gateway-1", {names.GATEWAY: name})
        self.begin(key, "d2", **spec)
        self.start_canary(key, 1)
        return key

    def begin(self, key: Key, digest: str, **spec: Any) -> CanaryState:
        candidate = agent_of(key.name, **{"rollout": ROLLOUT, **spec})
        canary = CanaryState(Accepted(candidate, repository_of()), 2, digest, self.now)
        canary.is_reachable = True
        self.store.view(key).canary = canary
        return canary

    def start_canary(self, key: Key, pods: int) -> None:
        """So many pods of the candidate are ready."""
        labels = {
            names.AGENT: key.name,
            names.TRACK: names.TRACK_CANARY,
            names.CANDIDATE: names.candidate_label(self.canary(key).digest),
        }
        for number in range(pods):
            name = f"{key.name}-canary-{number}"
            if name not in self.store.view(key).pods:
                self.start(key, name, labels)

    def deploy(self, key: Key, name: str, replicas: int, ready: int | None = None) -> None:
        """A Deployment; all of its pods are ready unless it is said."""
        labels = {names.OWNER: key.name, names.AGENT: key.name}
        self.store.view(key).children["Deployment", name] = {
            "kind": "Deployment",
            "metadata": {
                "namespace": key.namespace,
                "name": name,
                "labels": labels,
                "ownerReferences": [{"uid": f"uid-{key.name}"}],
            },
            "spec": {"replicas": replicas},
            "status": {"readyReplicas": replicas if ready is None else ready},
        }

    def start(self, key: Key, name: str, labels: dict[str, str]) -> None:
        """A pod that is ready, at an address that is its name."""
        at = self.now.isoformat()
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": at}
        self.store.view(key).pods[name] = {
            "metadata": {
                "name": name,
                "uid": f"uid-{name}",
                "creationTimestamp": at,
                "labels": labels,
            },
            "status": {"podIP": name, "conditions": [ready]},
        }

    def stop(self, key: Key, name: str, restarts: int = 0) -> Object:
        """A pod's server ended; what it was before, so that a test can bring it back."""
        before = self.store.view(key).pods[name]
        server = {
            "name": names.SERVER_CONTAINER,
            "restartCount": restarts,
            "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
        }
        unready = {"type": "Ready", "status": "False", "lastTransitionTime": self.now.isoformat()}
        status = {**before["status"], "conditions": [unready], "containerStatuses": [server]}
        self.store.view(key).pods[name] = {**before, "status": status}
        return before

    def tell(self, key: Key, command: str) -> None:
        """A person's annotation, in a new version of the resource."""
        body = self.store.view(key).body
        assert body is not None
        body["metadata"]["annotations"] = {names.COMMAND: command}

    def canary(self, key: Key) -> CanaryState:
        canary = self.store.view(key).canary
        assert canary is not None
        return canary

    def seen(self, key: Key) -> Answers:
        """What the canary answered, as far as it is remembered."""
        memory = self.canary(key).memory
        assert memory is not None
        return memory.evidence.canary

    async def round(self, later: float = 5) -> None:
        self.now += timedelta(seconds=later)
        await self.analysis.round()

    async def serve(
        self,
        key: Key,
        rounds: int,
        *,
        failed: int = 0,
        late: int = 0,
        refused: int = 0,
        canary: int = 40,
    ) -> None:
        """So many rounds in which the gateway passes on 40 requests of the canary's and 360 more,
        until the canary's phase is another one.
        """
        gateway = f"{key.name}-gateway-1"
        for _ in range(rounds):
            self.pods.serve(gateway, STABLE, 360, 0, 9)
            self.pods.serve(gateway, CANARY, canary, failed, late, refused)
            await self.round()
            if self.canary(key).phase is not RolloutPhase.PROGRESSING:
                return

    def grow(self, key: Key) -> None:
        """The canary's Deployment is as large as was written, and ready."""
        self.deploy(key, names.canary(key.name), self.canary(key).replicas)
        self.start_canary(key, self.canary(key).replicas)


async def test_a_canary_goes_through_its_steps_and_is_promoted() -> None:
    rounds = Rounds()
    key = rounds.add()
    await rounds.serve(key, 1)
    assert rounds.canary(key).weight == 0.05
    assert len(rounds.queue) == 1
    await rounds.serve(key, 24)  # its pod's first minute, and the pause
    assert [note.split(":")[0] for note in rounds.api.told("CanaryStep")] == ["step 2 of 3, 25%"]
    assert rounds.api.sizes == {"echo-canary": 2}
    assert rounds.canary(key).weight == 0.05  # until the second pod is there
    await rounds.serve(key, 5)
    assert rounds.canary(key).weight == 0.05
    rounds.grow(key)
    await rounds.serve(key, 1)
    assert rounds.canary(key).weight == 0.25
    await rounds.serve(key, 24)
    assert rounds.api.sizes == {"echo-canary": 4}
    rounds.grow(key)
    await rounds.serve(key, 25)
    canary = rounds.canary(key)
    assert (canary.phase, canary.weight) == (RolloutPhase.PROMOTED, 0.5)
    (note,) = rounds.api.told("CanaryPromoted")
    assert note.startswith("not worse than the stable pods: failed: 0 of ")
    last = rounds.api.statuses[-1]
    assert (last["phase"], last["step"], last["weight"]) == ("Promoted", 3, "50%")
    assert "analysis" not in last
    text = rounds.metrics.text().decode()
    assert 'trireme_canary_phase{agent="echo",namespace="team",phase="Promoted"} 1.0' in text
    assert 'trireme_canary_requests_total{agent="echo",namespace="team",track="canary"}' in text


async def test_a_canary_that_fails_is_taken_back_within_a_few_rounds() -> None:
    rounds = Rounds()
    key = rounds.add()
    await rounds.serve(key, 20, failed=10)
    canary = rounds.canary(key)
    assert (canary.phase, canary.weight) == (RolloutPhase.ROLLED_BACK, 0.0)
    (note,) = rounds.api.told("CanaryRolledBack")
    assert note.startswith("worse than the stable pods: failed: ")
    assert canary.memory is not None
    assert canary.memory.evidence.canary.requests <= 200
    assert rounds.api.statuses[-1]["phase"] == "RolledBack"
    assert len(rounds.queue) == 1


async def test_a_canary_that_refuses_what_clients_ask_is_taken_back_within_a_few_rounds() -> None:
    """An input was renamed: each request is answered 400, soon, and is no failure."""
    rounds = Rounds()
    key = rounds.add()
    await rounds.serve(key, 20, refused=40)
    canary = rounds.canary(key)
    assert (canary.phase, canary.weight) == (RolloutPhase.ROLLED_BACK, 0.0)
    (note,) = rounds.api.told("CanaryRolledBack")
    assert note.startswith("worse than the stable pods: refused as the client's fault: ")
    assert rounds.seen(key).requests <= 120
    last = rounds.api.statuses[-1]
    assert last["canary"]["refused"] == last["canary"]["requests"]
    text = rounds.metrics.text().decode()
    refused = 'trireme_canary_refused_total{agent="echo",namespace="team",track="canary"}'
    assert f"{refused} {rounds.seen(key).refused}.0" in text


async def stream(rounds: Rounds, key: Key, count: int, failed: int = 0) -> None:
    """Rounds in which streams alone end, each of which took long."""
    gateway = f"{key.name}-gateway-1"
    for _ in range(count):
        for cluster in (STABLE, CANARY):
            rounds.pods.serve(gateway, cluster, 0, 0, 0)
        rounds.pods.serve(gateway, "stream_http", 40, 0, 40)
        rounds.pods.serve(gateway, "stream_http_canary", 40, failed, 40)
        await rounds.round()
        if rounds.canary(key).phase is not RolloutPhase.PROGRESSING:
            return


@pytest.mark.parametrize(
    ("failed", "phase", "words"),
    [
        pytest.param(0, RolloutPhase.PROMOTED, "not worse than the stable pods", id="as good"),
        pytest.param(
            20, RolloutPhase.ROLLED_BACK, "worse than the stable pods: failed: ", id="that fails"
        ),
    ],
)
async def test_a_canary_of_streams_is_judged_by_how_they_end(
    failed: int, phase: RolloutPhase, words: str
) -> None:
    rounds = Rounds()
    key = rounds.add(stable=1, rollout=HALF)
    await stream(rounds, key, 60, failed)
    canary = rounds.canary(key)
    assert canary.phase is phase
    assert canary.message.startswith(words)
    assert "latencies are not judged: requests are streams" in canary.message
    assert rounds.seen(key).timed == 0


@pytest.mark.parametrize(
    ("requests", "failed", "is_undecided"),
    [
        pytest.param(0, 0, True, id="too little was seen until the deadline"),
        pytest.param(40, 20, False, id="it is worse"),
    ],
)
async def test_a_canary_that_is_taken_back_says_whether_anything_was_decided(
    requests: int, failed: int, is_undecided: bool
) -> None:
    rounds = Rounds()
    key = rounds.add()
    await rounds.serve(key, 400, failed=failed, canary=requests)
    canary = rounds.canary(key)
    assert (canary.phase, canary.is_undecided) == (RolloutPhase.ROLLED_BACK, is_undecided)
    assert rounds.api.statuses[-1]["undecided"] is is_undecided


async def test_what_was_seen_survives_a_restart() -> None:
    rounds = Rounds()
    key = rounds.add()
    await rounds.serve(key, 14)
    before = rounds.canary(key)
    status = rounds.api.statuses[-1]
    body = rounds.store.view(key).body
    assert body is not None
    assert before.memory is not None
    body["status"] = {"rollout": status}
    seen = status["canary"]["requests"]
    rounds.restart()
    after = rounds.begin(key, "d2")
    await rounds.round()
    assert after.memory is not None
    assert after.memory.watched >= before.memory.watched
    assert after.memory.evidence.canary.requests == seen > 0
    assert after.memory.usual_milliseconds == 33.0
    assert after.weight == before.weight


async def test_another_canary_begins_anew() -> None:
    rounds = Rounds()
    key = rounds.add()
    await rounds.serve(key, 10)
    rounds.begin(key, "d3")
    await rounds.round()
    memory = rounds.canary(key).memory
    assert memory is not None
    assert (memory.looked, memory.evidence.canary.requests) == (rounds.now, 0)
    assert rounds.api.statuses[-1]["candidate"] == "d3"


@pytest.mark.parametrize(
    ("command", "phase", "weight", "reason"),
    [
        ("promote", RolloutPhase.PROMOTED, 0.05, "CanaryPromoted"),
        ("abort", RolloutPhase.ROLLED_BACK, 0.0, "CanaryRolledBack"),
    ],
)
async def test_a_command_is_consumed_carried_out_and_answered(
    command: str, phase: RolloutPhase, weight: float, reason: str
) -> None:
    rounds = Rounds()
    key = rounds.add()
    await rounds.serve(key, 3)
    rounds.tell(key, command)
    await rounds.round()
    canary = rounds.canary(key)
    assert (canary.phase, canary.weight) == (phase, weight)
    assert rounds.api.told(reason) == [f"told to: {command}"]
    (patch,) = rounds.api.merged
    assert patch["metadata"]["annotations"] == {"trireme.dev/command": None}
    await rounds.round()  # the watch has not told yet that the annotation is gone
    assert rounds.api.told("NoCanary") == []


async def test_a_command_without_a_canary_is_answered_once() -> None:
    rounds = Rounds()
    key = rounds.add()
    rounds.store.view(key).canary = None
    rounds.tell(key, "abort")
    await rounds.round()
    await rounds.round()
    assert rounds.api.told("NoCanary") == ["there is no canary to abort: none is being tried"]
    assert rounds.api.statuses == []


async def test_the_autoscalers_command_is_left_to_it() -> None:
    rounds = Rounds()
    key = rounds.add()
    rounds.tell(key, names.RESUME)
    await rounds.round()
    assert rounds.api.merged == []


def fixed(view: AgentView) -> None:
    agent = agent_of(replicas=1, scaling={"mode": "Fixed"})
    view.accepted = Accepted(agent, repository_of())


def never_accepted(view: AgentView) -> None:
    view.accepted = view.canary = None


@pytest.mark.parametrize(
    ("word", "becomes", "answer"),
    [
        pytest.param(
            "resume",
            fixed,
            "told to: resume: in mode Fixed Trireme sets no size, so there is none to take back",
            id="resume in a mode in which Trireme does not scale",
        ),
        pytest.param(
            "resume",
            never_accepted,
            "told to: resume: no spec was accepted yet, so there is no size to take back",
            id="resume of an agent that was never accepted",
        ),
        pytest.param(
            "resum",
            fixed,
            "'resum' is no command: known are promote, abort, resume",
            id="a misspelt word",
        ),
        pytest.param(
            "", fixed, "'' is no command: known are promote, abort, resume", id="no word at all"
        ),
        pytest.param(
            "x" * 5000,
            fixed,
            f"'{'x' * 80}' is no command: known are promote, abort, resume",
            id="a word that is longer than an Event",
        ),
    ],
)
async def test_a_word_that_nobody_can_follow_is_consumed_and_answered_once(
    word: str, becomes: Callable[[AgentView], None], answer: str
) -> None:
    rounds = Rounds()
    key = rounds.add()
    becomes(rounds.store.view(key))
    rounds.tell(key, word)
    await rounds.round()
    await rounds.round()  # the watch has not told yet that the annotation is gone
    assert rounds.api.told("CommandRefused") == [answer]
    (patch,) = rounds.api.merged
    assert patch["metadata"]["annotations"] == {"trireme.dev/command": None}


async def test_a_verdict_that_cannot_be_written_is_written_later() -> None:
    rounds = Rounds()
    key = rounds.add()
    rounds.api.failing = True
    await rounds.serve(key, 20, failed=10)
    assert rounds.canary(key).phase is RolloutPhase.ROLLED_BACK
    assert rounds.api.statuses == rounds.api.events == []
    rounds.api.failing = False
    rounds.store.view(key).canary = None  # its pods are gone meanwhile
    await rounds.round()
    assert rounds.api.statuses[-1]["phase"] == "RolledBack"
    assert len(rounds.api.told("CanaryRolledBack")) == 1


async def test_of_a_canary_that_an_edit_ended_nothing_more_is_told() -> None:
    rounds = Rounds()
    key = rounds.add()
    rounds.api.failing = True
    await rounds.serve(key, 3)
    rounds.api.failing = False
    rounds.store.view(key).canary = None
    await rounds.round()
    assert rounds.api.statuses == rounds.api.events == []
    assert "trireme_canary_phase{" not in rounds.metrics.text().decode()


async def test_nothing_counts_while_the_canarys_pods_start() -> None:
    rounds = Rounds()
    key = rounds.add()
    del rounds.store.view(key).pods["echo-canary-0"]
    await rounds.serve(key, 30, late=40)
    canary = rounds.canary(key)
    assert canary.memory is not None
    assert (canary.weight, canary.memory.evidence.canary.requests) == (0.0, 0)
    (note,) = rounds.api.told("CanaryHeld")
    assert "cannot carry 5% of the requests yet" in note


async def test_a_gateway_pod_that_cannot_be_read_is_said_and_not_counted() -> None:
    rounds = Rounds()
    key = rounds.add()
    rounds.start(key, "echo-gateway-2", {names.GATEWAY: "echo"})
    rounds.pods.silent.add("echo-gateway-2")
    await rounds.serve(key, 9)
    canary = rounds.canary(key)
    assert canary.memory is not None
    assert canary.memory.evidence.canary.requests == 320
    words = "1 of 2 pods that count were not read: echo-gateway-2"
    assert canary.message.endswith(f"({words})")
    rounds.pods.silent.add("echo-gateway-1")
    await rounds.serve(key, 1)
    assert canary.memory.evidence.canary.requests == 320


async def test_without_a_gateway_failures_alone_are_judged_and_that_is_said() -> None:
    rounds = Rounds()
    key = rounds.add(gateway={"enabled": False})
    rounds.start(key, "stable-0", {names.AGENT: "echo", names.TRACK: names.TRACK_STABLE})
    for _ in range(10):
        for name, failed in (("stable-0", 0), ("echo-canary-0", 9)):
            rounds.pods.count(name, 100 - failed, "nv_inference_request_success", model="double")
            rounds.pods.count(
                name, failed, "nv_inference_request_failure", model="double", reason="BACKEND"
            )
        await rounds.round()
    assert rounds.canary(key).phase is RolloutPhase.ROLLED_BACK
    (note,) = rounds.api.told("CanaryRolledBack")
    assert "failed: " in note
    assert "late: " not in note
    assert "latencies are not judged: without a gateway" in note


def of_class(rounds: Rounds, histogram: bool) -> Key:
    """An agent with slow pods of the class `slow`, and a canary of the class `fast`."""
    key = rounds.add()
    rounds.canary(key).node_class = "fast"
    for name in ("fast", "slow"):
        labels = {names.AGENT: "echo", names.TRACK: names.TRACK_STABLE, names.NODE_CLASS: name}
        rounds.start(key, name, labels)
        rounds.pods.count(name, 0, SUCCESS, model="double")
    rounds.pods.count("echo-canary-0", 0, SUCCESS, model="double")
    if histogram:
        for name, late in (("fast", 0), ("slow", 30), ("echo-canary-0", 0)):
            count_times(rounds, name, 0, late)
    return key


SUCCESS = "nv_inference_request_success"


def count_times(rounds: Rounds, pod: str, requests: int, late: int) -> None:
    """So many requests more of a server, half of which take up to 33 ms and the others to 100."""
    within = {"33": requests // 2, "100": requests - late, "+Inf": requests}
    for edge, count in within.items():
        metric = "nv_inference_first_response_histogram_ms_bucket"
        rounds.pods.count(pod, count, metric, model="double", le=edge)


@pytest.mark.parametrize(
    ("late", "phase"),
    [
        pytest.param(0, RolloutPhase.PROGRESSING, id="as good as these"),
        pytest.param(9, RolloutPhase.ROLLED_BACK, id="late beside these, though not beside all"),
    ],
)
async def test_of_node_classes_a_canary_is_as_late_as_pods_of_its_own(
    late: int, phase: RolloutPhase
) -> None:
    rounds = Rounds()
    key = of_class(rounds, histogram=True)
    for _ in range(60):
        for name, requests, slow in (
            ("fast", 40, 0),
            ("slow", 60, 30),
            ("echo-canary-0", 40, late),
        ):
            rounds.pods.count(name, requests, SUCCESS, model="double")
            count_times(rounds, name, requests, slow)
        rounds.pods.serve("echo-gateway-1", STABLE, 100, 0, 30)
        rounds.pods.serve("echo-gateway-1", CANARY, 42, 0, late)
        await rounds.round()
        if rounds.canary(key).phase is not RolloutPhase.PROGRESSING:
            break
    assert rounds.canary(key).phase is phase
    seen = rounds.seen(key)
    assert 0 < seen.timed < seen.requests
    if late:
        (note,) = rounds.api.told("CanaryRolledBack")
        assert note.startswith("worse than the stable pods: late: ")


async def test_while_no_stable_pod_is_of_its_class_a_canary_waits_and_says_so() -> None:
    rounds = Rounds()
    key = of_class(rounds, histogram=True)
    del rounds.store.view(key).pods["fast"]
    for _ in range(30):
        rounds.pods.count("echo-canary-0", 40, SUCCESS, model="double")
        count_times(rounds, "echo-canary-0", 40, 9)
        await rounds.serve(key, 1)
    canary = rounds.canary(key)
    assert (canary.phase, rounds.seen(key).timed) == (RolloutPhase.PROGRESSING, 0)
    assert "no figures of both tracks" in canary.message
    assert "no stable pod of node class fast was read" in canary.message


async def test_of_node_classes_failures_are_judged_alone_where_servers_tell_no_latency() -> None:
    rounds = Rounds()
    key = of_class(rounds, histogram=False)
    await rounds.serve(key, 20, late=40)
    assert rounds.canary(key).phase is RolloutPhase.PROGRESSING
    assert rounds.seen(key).timed == 0
    assert "latencies are not judged: of pods of one node class" in rounds.canary(key).message
    await rounds.serve(key, 20, failed=20)
    assert rounds.canary(key).phase is RolloutPhase.ROLLED_BACK


async def test_mirrored_answers_that_differ_take_a_canary_back() -> None:
    rounds = Rounds()
    key = rounds.add()
    rounds.start(key, "compares", {names.COMPONENT: names.COMPONENT_COMPARER})
    for _ in range(20):
        rounds.pods.count("compares", 20, "trireme_compared_requests_total", model="double")
        rounds.pods.count("compares", 4, "trireme_different_answers_total", model="double")
        await rounds.serve(key, 1)
    assert rounds.canary(key).phase is RolloutPhase.ROLLED_BACK
    assert "answered differently: " in rounds.api.told("CanaryRolledBack")[0]


async def test_one_that_cannot_run_is_taken_back_at_once_in_the_words_of_why() -> None:
    rounds = Rounds()
    key = rounds.add()
    rounds.canary(key).fault = "ModelLoadFailed: no such file"
    await rounds.serve(key, 1)
    assert rounds.canary(key).phase is RolloutPhase.ROLLED_BACK
    assert rounds.api.told("CanaryRolledBack") == ["ModelLoadFailed: no such file"]
    assert rounds.canary(key).message == "ModelLoadFailed: no such file"


async def test_what_stable_pods_may_have_answered_is_none_of_a_step_s_requests() -> None:
    rounds = Rounds()
    key = rounds.add()
    canary = rounds.canary(key)
    canary.is_reachable = False
    await rounds.serve(key, 6, failed=40)
    assert canary.memory is not None
    assert (canary.weight, canary.memory.evidence.canary.requests) == (0.0, 0)
    canary.is_reachable = True
    await rounds.serve(key, 6)  # until Envoy has resolved its name anew
    assert (canary.weight, canary.memory.seen) == (0.05, 0)
    assert canary.message.endswith("(the canary's requests may still be answered by stable pods)")
    await rounds.serve(key, 1)
    assert canary.memory.seen == 40
    gone = rounds.store.view(key).pods.pop("echo-canary-0")
    await rounds.serve(key, 1)
    rounds.store.view(key).pods["echo-canary-0"] = gone
    await rounds.serve(key, 6)
    assert canary.memory.seen == 40


async def test_failures_count_from_the_canarys_first_request_on_and_latencies_do_not() -> None:
    rounds = Rounds()
    key = rounds.add()
    await rounds.serve(key, 1)
    await rounds.serve(key, 1, failed=1, late=40)
    seen = rounds.seen(key)
    assert (seen.requests, seen.failed, seen.timed) == (40, 1, 0)
    await rounds.serve(key, 9, failed=20, late=40)
    assert rounds.canary(key).phase is RolloutPhase.ROLLED_BACK
    assert rounds.seen(key).requests <= 200, "before its first 30 s were over"


async def test_failures_count_before_the_stable_pods_usual_latency_is_known() -> None:
    rounds = Rounds()
    key = rounds.add()
    for failed in (0, 0, 1, *[0] * 7):
        rounds.pods.serve("echo-gateway-1", STABLE, 9, 0, 0)
        rounds.pods.serve("echo-gateway-1", CANARY, 3, failed, 3)
        await rounds.round()
    canary = rounds.canary(key)
    assert canary.memory is not None
    assert canary.memory.usual_milliseconds is None
    assert (rounds.seen(key).failed, rounds.seen(key).timed, canary.memory.seen) == (1, 0, 0)
    assert "usual latency is not known yet: 81 of 100 requests" in canary.message


async def test_without_a_gateway_a_pod_s_requests_count_from_its_start_on() -> None:
    rounds = Rounds()
    key = rounds.add(gateway={"enabled": False})
    rounds.start(key, "stable-0", {names.AGENT: "echo", names.TRACK: names.TRACK_STABLE})
    ready = rounds.store.view(key).pods["echo-canary-0"]
    starting = {**ready, "status": {"podIP": "echo-canary-0"}}
    rounds.store.view(key).pods["echo-canary-0"] = starting
    await rounds.round()
    rounds.store.view(key).pods["echo-canary-0"] = ready
    for name, failed in (("stable-0", 0), ("echo-canary-0", 3)):
        own = {"model": "double"}
        rounds.pods.count(name, 100 - failed, "nv_inference_request_success", **own)
        rounds.pods.count(name, failed, "nv_inference_request_failure", reason="BACKEND", **own)
    await rounds.round()
    assert (rounds.seen(key).requests, rounds.seen(key).failed) == (100, 3)


async def test_what_fails_while_the_canarys_only_pod_dies_counts() -> None:
    rounds = Rounds()
    key = rounds.add()
    await rounds.serve(key, 8)
    before = rounds.seen(key)
    rounds.stop(key, "echo-canary-0")
    await rounds.serve(key, 1, failed=10, late=40)
    after = rounds.seen(key)
    assert (after.requests, after.failed) == (before.requests + 40, 10)
    assert after.timed == before.timed
    await rounds.serve(key, 1, failed=10)  # by now the stable pods answer them
    assert rounds.seen(key) == after


async def test_a_canary_whose_servers_end_again_and_again_is_taken_back() -> None:
    rounds = Rounds()
    key = rounds.add()
    await rounds.serve(key, 8)
    before = rounds.stop(key, "echo-canary-0", restarts=1)
    await rounds.serve(key, 1)
    assert rounds.canary(key).phase is RolloutPhase.PROGRESSING
    rounds.store.view(key).pods["echo-canary-0"] = before
    await rounds.serve(key, 8)
    rounds.stop(key, "echo-canary-0", restarts=2)
    await rounds.serve(key, 1)
    assert rounds.canary(key).phase is RolloutPhase.ROLLED_BACK
    words = "its servers ended 2 times though they were ready, one so: OOMKilled, exit code 137"
    assert rounds.api.told("CanaryRolledBack") == [words]


async def test_a_start_that_took_several_attempts_is_no_crash() -> None:
    rounds = Rounds()
    key = rounds.add()
    ready = rounds.stop(key, "echo-canary-0", restarts=3)
    await rounds.serve(key, 2)
    status = rounds.store.view(key).pods["echo-canary-0"]["status"]
    status = {**status, "conditions": ready["status"]["conditions"]}
    rounds.store.view(key).pods["echo-canary-0"] = {**ready, "status": status}
    await rounds.serve(key, 2)
    assert rounds.canary(key).phase is RolloutPhase.PROGRESSING
    rounds.stop(key, "echo-canary-0", restarts=4)
    await rounds.serve(key, 2)
    assert rounds.canary(key).phase is RolloutPhase.PROGRESSING
    rounds.stop(key, "echo-canary-0", restarts=5)
    await rounds.serve(key, 1)
    assert rounds.canary(key).phase is RolloutPhase.ROLLED_BACK


async def test_a_canary_that_loses_pods_keeps_what_the_others_carry() -> None:
    rounds = Rounds()
    key = rounds.add(rollout=HALF)
    rounds.start_canary(key, 4)
    await rounds.serve(key, 1)
    canary = rounds.canary(key)
    assert canary.weight == 0.5
    lost = [rounds.stop(key, f"echo-canary-{number}") for number in (1, 2, 3)]
    await rounds.serve(key, 1)
    assert canary.weight == pytest.approx(0.7 / 4.7)  # what one carries beside 4
    canary.is_reachable = False  # until no gateway pod goes by the larger share any more
    await rounds.serve(key, 1)
    assert canary.weight == pytest.approx(0.7 / 4.7)
    canary.is_reachable = True
    for pod in lost:
        rounds.store.view(key).pods[pod["metadata"]["name"]] = pod
    await rounds.serve(key, 1)
    assert canary.weight == 0.5


async def test_a_canary_without_a_ready_pod_keeps_its_share_for_when_it_is_back() -> None:
    rounds = Rounds()
    key = rounds.add()
    await rounds.serve(key, 8)
    rounds.stop(key, "echo-canary-0")
    await rounds.serve(key, 1)
    assert rounds.canary(key).weight == 0.05


async def test_stable_pods_come_and_go_and_the_canary_stays() -> None:
    rounds = Rounds()
    key = rounds.add(rollout=HALF)
    await rounds.serve(key, 1)
    rounds.grow(key)
    await rounds.serve(key, 2)
    canary = rounds.canary(key)
    assert (canary.weight, canary.replicas) == (0.5, 4)
    rounds.deploy(key, "echo", 8, ready=4)
    await rounds.serve(key, 1)
    assert (canary.weight, canary.replicas) == (0.5, 8)
    assert "cannot carry" not in canary.message  # 4 as beside the 4 that are ready
    rounds.deploy(key, "echo", 8)
    await rounds.serve(key, 1)
    assert "cannot carry" in canary.message
    assert canary.weight == 0.5  # none of its pods has more to carry than before
    rounds.deploy(key, "echo", 2)
    await rounds.serve(key, 1)
    assert canary.replicas == 8


@pytest.mark.parametrize("gone", [True, False], ids=["the Deployment is gone", "none is ready"])
async def test_without_stable_pods_the_canary_stays_as_it_is(gone: bool) -> None:
    rounds = Rounds()
    key = rounds.add(rollout=HALF)
    await rounds.serve(key, 1)
    rounds.grow(key)
    await rounds.serve(key, 2)
    if gone:
        del rounds.store.view(key).children["Deployment", "echo"]
    else:
        rounds.deploy(key, "echo", 4, ready=0)
    await rounds.serve(key, 2)
    canary = rounds.canary(key)
    assert (canary.phase, canary.weight, canary.replicas) == (RolloutPhase.PROGRESSING, 0.5, 4)
    assert rounds.api.sizes == {"echo-canary": 4}


def sharing(rounds: Rounds) -> Key:
    """An agent with a canary of no pod yet, whose GPUs are shared with other agents."""
    gpus = {"image": "x:24.10-py3", "gpus": {"count": 1}}
    budget = {"budget": {"name": "team-a"}}
    key = rounds.add(rollout=HALF, server=gpus, scaling=budget)
    del rounds.store.view(key).pods["echo-canary-0"]
    rounds.deploy(key, "echo-canary", 0)
    rounds.canary(key).replicas = 0
    return key


async def test_a_canary_waits_for_gpus_that_others_have_and_says_so() -> None:
    rounds = Rounds()
    key = sharing(rounds)
    canary = rounds.canary(key)
    await rounds.serve(key, 2)
    assert (canary.replicas, canary.needed) == (0, 4)
    assert "the canary's pods cannot carry 50% of the requests yet" in canary.message
    canary.grant = Grant(0, "GPUs of budget team-a: needs 4, 1 is free")
    await rounds.serve(key, 30)
    words = "step 1 of 1, 50%: waits for GPUs of budget team-a: needs 4, 1 is free"
    assert rounds.api.told("CanaryHeld") == [words]
    assert rounds.api.statuses[-1]["message"] == words
    assert rounds.api.sizes == {}
    canary.grant = Grant(4, "")
    await rounds.serve(key, 1)
    assert rounds.api.sizes == {"echo-canary": 4}
    rounds.grow(key)
    await rounds.serve(key, 1)
    assert canary.weight == 0.5


async def test_a_canary_that_has_to_give_up_its_gpus_has_no_share_until_it_is_back() -> None:
    rounds = Rounds()
    key = sharing(rounds)
    canary = rounds.canary(key)
    canary.grant = Grant(4, "")
    await rounds.serve(key, 1)
    rounds.grow(key)
    await rounds.serve(key, 9)
    before = rounds.seen(key)
    assert canary.weight == 0.5
    canary.grant = Grant(0, "GPUs of budget team-a: needs 4, 3 are free")
    await rounds.serve(key, 1)
    assert (canary.weight, canary.phase) == (0.0, RolloutPhase.PROGRESSING)
    assert rounds.api.sizes == {"echo-canary": 0}
    for number in range(4):
        del rounds.store.view(key).pods[f"echo-canary-{number}"]
    await rounds.serve(key, 5, canary=0)
    assert "waits for GPUs of budget team-a" in canary.message
    canary.grant = Grant(4, "")
    await rounds.serve(key, 1, canary=0)
    rounds.grow(key)
    await rounds.serve(key, 2)
    assert canary.weight == 0.5
    assert rounds.seen(key).requests > before.requests, "what was seen counts on"


async def test_until_it_is_known_what_others_leave_a_canary_stays_as_large_as_it_is() -> None:
    rounds = Rounds()
    key = sharing(rounds)
    rounds.deploy(key, "echo-canary", 3)
    await rounds.serve(key, 2)
    assert rounds.canary(key).replicas == 3
    assert rounds.api.sizes == {}


async def test_a_canary_that_never_gets_its_gpus_ends_undecided() -> None:
    rounds = Rounds()
    key = sharing(rounds)
    canary = rounds.canary(key)
    canary.grant = Grant(0, "GPUs of budget team-a: needs 4, 0 are free")
    await rounds.serve(key, 1681)  # an hour, and 80 min in which it might begin
    assert (canary.phase, canary.is_undecided) == (RolloutPhase.ROLLED_BACK, True)
    words = "undecided after 8400s: GPUs of budget team-a: needs 4, 0 are free"
    assert rounds.api.told("CanaryRolledBack") == [words]


async def test_that_mirrored_answers_cannot_be_read_is_said() -> None:
    rounds = Rounds()
    mirrored = {"strategy": "Canary", "canary": {"mirror": {"share": "10%"}}}
    key = rounds.add(rollout=mirrored)
    rounds.start(key, "compares", {names.COMPONENT: names.COMPONENT_COMPARER})
    rounds.pods.silent.add("compares")
    await rounds.serve(key, 60)
    assert rounds.canary(key).phase is RolloutPhase.PROGRESSING
    (note,) = rounds.api.told("CanaryHeld")
    assert "waits: 0 of 100 mirrored requests compared in it" in note
    assert "(1 of 1 pods that count were not read: compares)" in note


async def test_a_command_waits_until_it_is_known_which_canary_is_meant() -> None:
    rounds = Rounds()
    key = rounds.add()
    view = rounds.store.view(key)
    view.judged = None  # a new process, which has not looked into the resource yet
    canary, view.canary = view.canary, None
    rounds.tell(key, "promote")
    await rounds.round()
    assert rounds.api.merged == rounds.api.events == []
    view.judged, view.canary = 1, canary  # of the spec before the last edit
    await rounds.round()
    assert rounds.api.merged == []
    rounds.begin(key, "d3")
    view.judged = 2
    await rounds.round()
    assert rounds.canary(key).phase is RolloutPhase.PROMOTED
    assert rounds.api.statuses[-1]["candidate"] == "d3"


@pytest.mark.parametrize(
    ("command", "is_given_up", "reason", "words"),
    [
        ("abort", True, "CanaryEnded", "the stable pods, which are to be what it is, do without"),
        ("promote", False, "NoCanary", "there is no canary to promote"),
    ],
)
async def test_a_canary_that_was_promoted_can_be_given_up(
    command: str, is_given_up: bool, reason: str, words: str
) -> None:
    rounds = Rounds()
    key = rounds.add()
    rounds.canary(key).phase = RolloutPhase.PROMOTED
    rounds.tell(key, command)
    await rounds.round()
    assert rounds.canary(key).is_given_up == is_given_up
    assert rounds.canary(key).phase is RolloutPhase.PROMOTED
    assert len(rounds.queue) == is_given_up
    (note,) = rounds.api.told(reason)
    assert words in note


async def test_an_agent_that_fails_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    rounds = Rounds()
    odd, well = rounds.add("odd"), rounds.add("well")
    rounds.canary(odd).candidate = cast(Accepted, None)  # whatever fails in one agent's round
    await rounds.serve(well, 3)
    assert rounds.canary(well).weight == 0.05
    assert "team/odd: looking at its canary failed" in caplog.text


def test_pods_that_do_not_answer_hold_up_no_other_agent() -> None:
    async def scenario() -> None:
        rounds = Rounds()
        slow, well = rounds.add("slow"), rounds.add("well")
        rounds.pods.hanging.add("slow-gateway-1")
        running = asyncio.create_task(rounds.analysis.run())
        await asyncio.sleep(1)
        assert rounds.canary(well).memory is not None
        assert rounds.canary(slow).memory is None or rounds.canary(slow).weight == 0.0
        await asyncio.sleep(3.5)  # its reading is given up before the next round begins
        assert rounds.canary(slow).weight == 0.05
        assert "1 of 1 pods that count were not read" in str(rounds.api.statuses)
        running.cancel()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scenario())


async def test_a_canary_that_is_replaced_while_pods_are_read_is_not_judged() -> None:
    rounds = Rounds()
    key = rounds.add()
    await rounds.serve(key, 3)
    before = rounds.canary(key)
    seen = before.memory
    reading = asyncio.create_task(rounds.analysis.round())
    await asyncio.sleep(0)
    rounds.begin(key, "d3")
    await reading
    assert before.memory is seen


def test_nothing_is_told_of_a_canary_whose_agent_goes_while_pods_are_read() -> None:
    """An agent of the same name may be there by then, and its status is not that one's."""

    async def scenario() -> None:
        rounds = Rounds()
        key, looking = await being_read(rounds)
        body = rounds.store.view(key).body
        assert body is not None
        rounds.store.agent_event(body, deleted=True)
        await looking
        assert rounds.api.statuses == []
        assert 'agent="echo"' not in rounds.metrics.text().decode()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scenario())


def test_of_an_agent_that_is_looked_at_while_it_is_being_deleted_no_series_stays() -> None:
    async def scenario() -> None:
        rounds = Rounds()
        key, looking = await being_read(rounds)
        body = rounds.store.view(key).body
        assert body is not None
        body["metadata"]["deletionTimestamp"] = NOW.isoformat()
        await rounds.analysis.round()
        await looking
        assert 'agent="echo"' in rounds.metrics.text().decode()
        await rounds.analysis.round()
        assert 'agent="echo"' not in rounds.metrics.text().decode()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scenario())


async def being_read(rounds: Rounds) -> tuple[Key, asyncio.Task[None]]:
    """An agent whose pods are read, and do not answer."""
    key = rounds.add()
    rounds.pods.hanging.add("echo-gateway-1")
    looking = asyncio.create_task(rounds.analysis.round())
    await asyncio.sleep(1)
    return key, looking


async def test_a_steady_canary_is_written_of_once_a_minute() -> None:
    rounds = Rounds()
    steps = [{"weight": "5%", "pause": "1h"}]
    key = rounds.add(rollout={"strategy": "Canary", "canary": {"steps": steps, "deadline": "2h"}})
    await rounds.serve(key, 10)
    settled = len(rounds.api.statuses)
    await rounds.serve(key, 60)  # five minutes
    assert len(rounds.api.statuses) - settled <= 6
