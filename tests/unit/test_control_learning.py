"""What the operator learns of its agents' pods, and when it asks them."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from agents import agent_of, directory_of, model_of, pods_of, repository_of
from trireme.api import names
from trireme.api.models import Model
from trireme.api.scaling_status import CurveSource, ScalingStatus, UnansweredStatus
from trireme.autoscaler import gap
from trireme.autoscaler.capacity import LearntCurve
from trireme.autoscaler.memory import curves_status
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.autoscaler.types.capacity import Capacity, OutOfReach
from trireme.autoscaler.types.memory import Memory
from trireme.control import agent_state
from trireme.control import learning as learning_of
from trireme.control.agent_state import Accepted, Failing, Learning
from trireme.control.in_place import wanted_configs
from trireme.control.learning import Learner
from trireme.control.queue import Key
from trireme.control.store import AgentView, Store
from trireme.edge.metrics import Metrics
from trireme.errors import ServerError
from trireme.modelrepo.plan import model_config
from trireme.modelrepo.render import model_digest
from trireme.modelrepo.repository import Repository
from unit.autoscaling import NOW

KEY = Key("default", "echo")
HOST = f"127.73.{os.getpid() // 256 % 256}.{os.getpid() % 256}"  # a run beside has its own
CURVE = ServiceCurve(0.040, 0.010, 4)
BATCHING = {"maxBatchSize": 4, "batching": {"dynamic": {}}}
DIGESTS = {"double": model_digest(directory_of())}
OBJECTIVES = [{"model": "double", "latency": {"target": "200ms"}}]


class Server:
    """Answers /v2/models/stats as Triton does (seen with 24.10): of the model `double`, and of
    pipelines by how many of its requests they have.
    """

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.pipelines: dict[str, float] = {}
        self.tells_batches = True
        self.slower = 1.0  # a batch takes so many times as long as by the curve
        self.lost: dict[int, float] = {}  # seconds, by batch size, more than by the curve
        self.refusal = ""
        self.asked = 0

    def execute(self, each: int) -> None:
        """So many batches more of each size."""
        for batch in (1, 2, 4):
            self.counts[batch] = self.counts.get(batch, 0) + each
            more = each * (self.slower - 1) * CURVE.seconds(batch)
            self.lost[batch] = self.lost.get(batch, 0.0) + more

    async def answer(self, _: web.Request) -> web.Response:
        self.asked += 1
        if self.refusal:
            return web.json_response({"error": self.refusal}, status=400)
        requests = sum(batch * count for batch, count in self.counts.items())
        seconds = sum(batch * count * CURVE.seconds(batch) for batch, count in self.counts.items())
        batches = [
            {
                "batch_size": batch,
                "compute_input": {"count": count, "ns": 0},
                "compute_infer": {
                    "count": count,
                    "ns": round((count * CURVE.seconds(batch) + self.lost.get(batch, 0.0)) * 1e9),
                },
                "compute_output": {"count": count, "ns": 0},
            }
            for batch, count in self.counts.items()
        ]
        stats: dict[str, Any] = {
            "name": "double",
            "version": "1",
            "inference_stats": {
                "success": {"count": requests, "ns": 0},
                "compute_infer": {"count": requests, "ns": seconds * 10**9},
            },
            "inference_count": requests,
            "execution_count": sum(self.counts.values()),
        }
        if self.tells_batches:
            stats["batch_stats"] = batches
        lines = [
            {
                "name": name,
                "version": "1",
                "inference_stats": {"success": {"count": round(requests * share), "ns": 0}},
            }
            for name, share in self.pipelines.items()
        ]
        return web.json_response({"model_stats": [stats, *lines]})


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server, application = Server(), web.Application()
    application.router.add_get("/v2/models/stats", server.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, HOST, names.HTTP_PORT).start()
    yield server
    await runner.cleanup()


def pod(digest: str, container: str = "one") -> dict[str, Any]:
    """A ready pod of a repository."""
    return {
        "metadata": {
            "name": "echo-1",
            "namespace": "default",
            "uid": "echo-1",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {names.AGENT: "echo", names.TRACK: names.TRACK_STABLE},
            "annotations": {names.REPOSITORY_DIGEST: digest},
        },
        "status": {
            "podIP": HOST,
            "conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
            ],
            "containerStatuses": [
                {"name": names.SERVER_CONTAINER, "containerID": container, "state": {"running": {}}}
            ],
        },
    }


def accepted(digest: str = "a" * 64, **spec: Any) -> Accepted:
    fields = {"models": [model_of("double", **BATCHING)], "objectives": OBJECTIVES, **spec}
    return Accepted(agent_of(**fields), replace(repository_of(), digest=digest))


def known(view: AgentView) -> Learning:
    """What is known of the agent's one set of pods."""
    assert view.accepted is not None
    return learning_of.known(view, pods_of(view.accepted.agent))


def capacities(view: AgentView) -> dict[str, Capacity | OutOfReach]:
    assert view.accepted is not None
    return learning_of.capacities(view, pods_of(view.accepted.agent))


@dataclass
class Operator:
    """A learner, an agent of one pod, and the time.

    The server `runs` what is accepted unless said; that is not known where it is `unasked`.
    """

    view: AgentView
    learner: Learner
    store: Store
    metrics: Metrics
    seconds: int = 0
    runs: Repository | None = None
    unasked: bool = False

    async def look(self, later: int) -> None:
        self.seconds += later
        for view in map(self.store.view, self.store.agents()):
            assert view.accepted is not None
            configs = wanted_configs(self.runs or view.accepted.repository)
            served = {config.name: config for config in configs}
            pods = () if self.unasked else view.stable_pods
            view.in_place.servers = {pod.server_id: served for pod in pods}
        await self.learner.round()

    @property
    def curve(self) -> ServiceCurve | None:
        learnt = known(self.view).curves.get("double")
        return learnt and learnt.curve


def operator(status: ScalingStatus | None = None, **spec: Any) -> Operator:
    """As it is once the autoscaler has read the status."""
    store = Store()
    view = added(store, KEY, status, **spec)
    metrics = Metrics()
    learner = Learner(
        store=store, metrics=metrics, clock=lambda: NOW + timedelta(seconds=made.seconds)
    )
    made = Operator(view, learner, store, metrics)
    return made


def added(store: Store, key: Key, status: ScalingStatus | None = None, **spec: Any) -> AgentView:
    """An agent of one ready pod."""
    metadata = {"name": key.name, "namespace": key.namespace, "uid": f"uid-{key.name}"}
    store.agent_event({"metadata": metadata, "spec": {}}, deleted=False)
    view = store.view(key)
    view.accepted = accepted(**spec)
    view.pods["echo-1"] = pod("a" * 64)
    pods = pods_of(view.accepted.agent)
    view.learning = {pods.name: learning_of.restored(view, pods, status)}
    return view


async def learnt(server: Server) -> Operator:
    """An operator that has learnt the curve."""
    made = operator()
    await made.look(0)
    server.execute(100)
    await made.look(15)
    assert made.curve is not None
    return made


async def test_a_curve_is_learnt_from_two_looks_and_says_what_a_pod_sustains(
    server: Server,
) -> None:
    made = operator()
    server.execute(1000)  # before the first look: loading, warming up
    await made.look(0)
    assert (made.curve, known(made.view).capacities) == (None, {})
    server.execute(100)
    await made.look(15)
    assert made.curve is not None
    assert made.curve.seconds(1) == pytest.approx(0.050)
    assert made.curve.seconds(4) == pytest.approx(0.080)
    assert known(made.view).curves["double"].executions == 300
    capacity = known(made.view).capacities["double"]
    assert isinstance(capacity, Capacity)
    assert capacity.per_second == pytest.approx(37.5, rel=0.02)


async def test_how_long_models_took_to_load_is_asked_of_each_server_once(server: Server) -> None:
    """As a Triton of 25.12 tells it; one before 24.11 does not."""
    answers = 0

    async def metrics(_: web.Request) -> web.Response:
        nonlocal answers
        answers += 1
        return web.Response(
            text="# HELP nv_model_load_duration_secs Model load time in seconds\n"
            "# TYPE nv_model_load_duration_secs gauge\n"
            'nv_model_load_duration_secs{model="double",version="1"} 1.611378656\n'
            "# TYPE nv_pinned_memory_pool_total_bytes gauge\n"
            "nv_pinned_memory_pool_total_bytes 268435456\n"
        )

    application = web.Application()
    application.router.add_get("/metrics", metrics)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, HOST, names.METRICS_PORT).start()
    made = operator()
    for later in (0, 15, 15):
        await made.look(later)
    assert known(made.view).loads == {"double": 1.611378656}
    assert answers == 1
    made.view.pods["echo-1"] = pod("a" * 64, container="two")
    await made.look(60)
    assert answers == 2
    await runner.cleanup()


async def test_a_server_whose_metrics_cannot_be_read_is_learnt_of_all_the_same(
    server: Server,
) -> None:
    made = await learnt(server)
    assert known(made.view).loads == {}
    assert known(made.view).unanswered is None


async def test_a_curve_is_learnt_of_a_server_that_does_not_tell_batch_sizes_apart(
    server: Server,
) -> None:
    server.tells_batches, made = False, operator()
    await made.look(0)
    for counts in ({1: 300}, {1: 300, 4: 300}):
        server.counts = counts
        await made.look(15)
    assert made.curve is not None
    assert known(made.view).curves["double"].source is CurveSource.COUNTERS


def executed_in_a_minute(server: Server) -> None:
    """Of 30 a second in 60 s, simulated with 5 ms between batches."""
    for batch, count in {1: 337, 2: 216, 3: 144, 4: 151}.items():
        server.counts[batch] = server.counts.get(batch, 0) + count


async def test_the_gap_between_batches_is_learnt_from_what_is_executed_in_a_minute(
    server: Server,
) -> None:
    made = operator()
    await made.look(0)
    gaps = []
    for _ in range(8):
        executed_in_a_minute(server)
        await made.look(60)
        assert made.curve is not None
        gaps.append(made.curve.gap_seconds)
    assert gaps[0] == 0, "not sure yet"
    assert gaps[-1] == pytest.approx(0.005, abs=0.001)
    sustained = known(made.view).capacities["double"]
    assert isinstance(sustained, Capacity)
    assert sustained.learnt == made.curve
    assert sustained.per_second < 37


async def test_a_gap_that_is_not_found_is_sought_again_after_minutes_only(server: Server) -> None:
    made = await learnt(server)
    due = known(made.view).gaps_due["double"]
    assert due == NOW + timedelta(seconds=15, minutes=5)
    for _ in range(4):
        executed_in_a_minute(server)
        await made.look(60)
        assert known(made.view).gaps_due["double"] == due
    assert made.curve is not None
    assert made.curve.gap_seconds == 0


async def test_a_gap_that_cannot_be_sought_leaves_what_a_pod_sustains(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(gap, "estimate", fails)
    made = await learnt(server)
    assert "double" in known(made.view).capacities
    assert "between batches of double" in caplog.text


async def test_a_step_of_a_pipeline_without_an_objective_has_no_gap(server: Server) -> None:
    made = operator(pipelines=[line("line", 1)])
    await made.look(0)
    for _ in range(7):
        executed_in_a_minute(server)
        await made.look(60)
    assert made.curve is not None
    assert (made.curve.gap_seconds, known(made.view).gaps_due) == (0, {})


async def test_no_look_waits_for_what_is_searched_for(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, begun, over = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
    searched = list[LearntCurve]()

    def search(curve: LearntCurve, *_: object) -> None:
        searched.append(curve)
        loop.call_soon_threadsafe(begun.set)
        over.wait()

    monkeypatch.setattr(learning_of, "capacity", search)
    made = operator()
    await made.look(0)
    server.execute(100)
    searching = asyncio.create_task(made.look(15))
    await begun.wait()
    added(made.store, Key("default", "other"))
    server.execute(100)
    try:
        await made.look(60)
        assert (server.asked, searching.done()) == (4, False), "of either"
        assert known(made.view).curves["double"].executions == 600
        assert len(searched) == 1
    finally:
        over.set()
    await searching


async def test_what_a_pod_sustains_does_not_wait_for_advice_on_knobs(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, begun, over = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def seek(*_: object) -> None:
        loop.call_soon_threadsafe(begun.set)
        over.wait()

    monkeypatch.setattr(agent_state, "advise", seek)
    made = operator()
    await made.look(0)
    server.execute(100)
    advising = asyncio.create_task(made.look(15))
    await begun.wait()
    before = capacities(made.view)
    made.view.accepted = accepted(objectives=[{"model": "double", "latency": {"target": "300ms"}}])
    try:
        await made.look(5)
        assert capacities(made.view) != before
        assert (advising.done(), known(made.view).advised) == (False, {})
    finally:
        over.set()
    await advising
    assert known(made.view).advised.keys() == {"double"}


async def test_a_knob_is_recommended_by_the_curve_and_sought_anew_only_where_it_is_another(
    server: Server,
) -> None:
    made = operator(objectives=[{"model": "double", "latency": {"target": "2s"}}])
    await made.look(0)
    server.execute(100)
    await made.look(15)
    advice = known(made.view).advice["double"]
    assert advice is not None
    assert (advice.knob, advice.now, advice.to) == ("maxBatchSize", "4", "8")
    sought = known(made.view).advised["double"]
    server.execute(100)
    await made.look(60)
    assert known(made.view).advised["double"] is sought


@pytest.mark.parametrize(
    ("written", "tries"),
    [
        pytest.param({}, True, id="that the spec says"),
        pytest.param({"instances": [{"count": 3}]}, False, id="but not upon one of Trireme's own"),
    ],
)
async def test_one_more_instance_is_sought_upon_the_number(
    server: Server, written: dict[str, Any], tries: bool
) -> None:
    apply = {
        "rollout": {"strategy": "Canary"},
        "tuning": {"mode": "Apply", "limits": {"instances": {"max": 4}}},
    }
    made = operator(**apply)
    made.view.asked = accepted(models=[model_of("double", **BATCHING, **written)], **apply).agent
    await made.look(0)
    server.execute(100)
    await made.look(15)
    sought = known(made.view).advised["double"]
    assert sought.space.tries_instances is tries


async def test_what_a_decision_stood_on_does_not_change_with_what_is_learnt_later(
    server: Server,
) -> None:
    made = operator()
    await made.look(0)
    before = capacities(made.view)
    server.execute(100)
    await made.look(15)
    assert before == {}
    assert capacities(made.view).keys() == {"double"}


async def test_a_server_is_asked_every_15_seconds_while_there_is_something_to_learn(
    server: Server,
) -> None:
    made = operator()
    for later, asked in ((0, 1), (5, 1), (10, 2), (15, 2), (45, 3)):
        await made.look(later)
        assert server.asked == asked, "idle, every minute"
    server.execute(100)
    await made.look(60)
    assert (server.asked, made.curve is None) == (4, False)
    server.execute(100)
    await made.look(59)
    assert server.asked == 4, "and so once it is learnt"
    await made.look(1)
    assert server.asked == 5


async def test_a_container_that_began_anew_is_looked_at_anew(server: Server) -> None:
    made = operator()
    await made.look(0)
    made.view.pods["echo-1"] = pod("a" * 64, container="two")
    server.execute(100)
    await made.look(15)
    assert made.curve is None


def changed(**files: bytes) -> Accepted:
    """As accepted, of another repository, in which the model has these files as well."""
    files = {"1/model.py": b"# answers y = 2x\n", **files}
    repository = repository_of(directory_of(files=files))
    return Accepted(accepted().agent, replace(repository, digest="c" * 64))


async def test_a_repository_in_which_the_model_is_the_same_changes_nothing(server: Server) -> None:
    made = await learnt(server)
    capacity = known(made.view).capacities
    made.view.accepted = changed()
    assert (made.curve is None, known(made.view).capacities) == (False, capacity), "at once"
    server.execute(100)
    await made.look(60)
    assert known(made.view).capacities == capacity
    assert server.asked == 2, "a pod of the old one is not asked"


async def test_of_a_model_that_changed_a_part_is_counted_on_for_half_an_hour(
    server: Server,
) -> None:
    made = await learnt(server)
    before = known(made.view).capacities["double"]
    made.view.accepted = changed(labels=b"yes")
    assert known(made.view).curves["double"].source is CurveSource.EARLIER, "at once"
    await made.look(60)
    after = known(made.view).capacities["double"]
    assert isinstance(before, Capacity)
    assert isinstance(after, Capacity)
    assert after.per_second == pytest.approx(0.8 * before.per_second, rel=0.01)
    assert str(after.learnt) == f"{before.learnt}, before the model changed"
    await made.look(29 * 60)
    assert known(made.view).capacities["double"] == after
    await made.look(60)
    assert (made.curve, known(made.view).capacities) == (None, {})


async def test_what_is_learnt_takes_the_place_of_what_was_before(server: Server) -> None:
    made = await learnt(server)
    before = known(made.view).capacities["double"]
    made.view.accepted = changed(labels=b"yes")
    made.view.pods["echo-1"] = pod("c" * 64, container="two")
    await made.look(60)
    server.execute(100)
    await made.look(15)
    assert known(made.view).curves["double"].source is CurveSource.BATCHES
    assert known(made.view).capacities["double"] == before


def changed_in_place(count: int, live: str = "e" * 64, **group: Any) -> Accepted:
    """As accepted, with so many instances: the same pods take it on."""
    fields = {"instances": [{"count": count, **group}]}
    config = model_config(Model.model_validate(model_of("double", **fields)))
    repository = replace(repository_of(directory_of(config=config)), live_digest=live)
    return Accepted(accepted(models=[model_of("double", **BATCHING, **fields)]).agent, repository)


async def test_a_model_that_changes_in_place_is_learnt_anew_of_what_runs_the_change(
    server: Server,
) -> None:
    made = await learnt(server)
    assert made.view.accepted is not None
    before = known(made.view).capacities["double"]
    made.view.accepted, made.runs = changed_in_place(2), made.view.accepted.repository
    assert known(made.view).curves["double"].source is CurveSource.EARLIER, "at once"
    await made.look(60)
    meanwhile = known(made.view).capacities["double"]
    assert server.asked == 2, "a server that runs the old one is not asked"
    assert isinstance(before, Capacity)
    assert isinstance(meanwhile, Capacity)
    assert meanwhile.per_second == pytest.approx(0.8 * before.per_second), "of one instance"

    server.execute(100)
    made.runs = None
    await made.look(60)
    assert known(made.view).curves["double"].source is CurveSource.EARLIER
    server.execute(50)
    await made.look(15)

    curve, after = known(made.view).curves["double"], known(made.view).capacities["double"]
    assert (curve.source, curve.executions, curve.instances) == (CurveSource.BATCHES, 150, 2)
    assert isinstance(after, Capacity)
    assert after.per_second > 1.8 * before.per_second


async def learns_two(server: Server, *, share: float, slower: float = 1.4) -> Operator:
    """Two instances in the place of one, which are busy for this share of some minutes, and whose
    batches take so many times as long.
    """
    made = await learnt(server)
    server.execute(300)
    await made.look(60)
    server.slower = slower
    made.view.accepted = changed_in_place(2)
    await made.look(60)
    each = round(share * 2 * 60 / sum(server.slower * CURVE.seconds(b) for b in (1, 2, 4)))
    for _ in range(10):
        server.execute(each)
        await made.look(60)
    return made


async def test_what_instances_cost_each_other_is_learnt_when_there_is_another_number_of_them(
    server: Server,
) -> None:
    made = await learns_two(server, share=0.9)
    found = known(made.view).curves["double"].contention
    assert found is not None
    assert (found.fewest, found.most) == (1, 2)
    assert found.executions == 1200, "of the one that was seen before"
    # With 0.95 of the other busy a batch takes 1.4 times as long.
    assert found.sigma == pytest.approx(0.4 / 0.95, rel=0.02)
    assert known(made.view).references == {}
    server.execute(100)
    await made.look(60)
    assert known(made.view).curves["double"].contention == found, "once"


async def test_where_instances_hardly_meet_it_waits_for_more_to_do(server: Server) -> None:
    made = await learns_two(server, share=0.1)
    assert known(made.view).curves["double"].contention is None
    assert known(made.view).references["double"].instances == 1


async def test_of_a_number_that_was_not_tried_it_is_predicted(server: Server) -> None:
    made = await learns_two(server, share=0.9)
    before = known(made.view).curves["double"]
    assert before.contention is not None
    made.view.accepted = changed_in_place(4, live="f" * 64)
    await made.look(5)
    predicted = known(made.view).curves["double"]
    assert (predicted.source, predicted.instances) == (CurveSource.EARLIER, 4)
    times = before.contention.times(4) / before.contention.times(2)
    assert predicted.curve.seconds(4) == pytest.approx(times * before.curve.seconds(4))
    made.view.accepted = changed_in_place(5, live="9" * 64)
    assert known(made.view).curves["double"].instances == 4, "beyond twice what was seen"


async def test_what_instances_cost_each_other_outlives_the_operator_and_not_the_model(
    server: Server,
) -> None:
    made = await learns_two(server, share=0.9)
    curves = known(made.view).curves
    found = curves["double"].contention
    digests = known(made.view).model_digests
    status = ScalingStatus(
        desired_replicas=1, curves=curves_status(digests, curves, {}, Memory(NOW))
    )
    again = operator(status)
    told = known(again.view).curves["double"]
    assert (told.source, told.instances) == (CurveSource.EARLIER, 1), "which it is now"
    assert told.contention is not None
    assert told.contention.sigma == pytest.approx(found and found.sigma, rel=0.001)
    made.view.accepted = changed(labels=b"yes")
    assert known(made.view).curves["double"].contention is None


def on_other_pods(made: Accepted) -> Accepted:
    """The same model, and another image."""
    spec, image = made.agent.spec, {"image": "registry.example/triton:25.01-py3"}
    server = spec.server.model_copy(update=image)
    spec = spec.model_copy(update={"server": server})
    return replace(made, agent=made.agent.model_copy(update={"spec": spec}))


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(on_other_pods(changed_in_place(2)), id="pods of another image"),
        pytest.param(
            changed_in_place(2, live="f" * 64, rateLimiter={"priority": 2}),
            id="instances that are otherwise limited",
        ),
    ],
)
async def test_what_instances_cost_each_other_is_of_nothing_else_that_changes(
    server: Server, after: Accepted
) -> None:
    made = await learns_two(server, share=0.9)
    assert known(made.view).curves["double"].contention is not None
    made.view.accepted = after
    assert known(made.view).curves["double"].contention is None


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(on_other_pods(changed_in_place(2)), id="pods of another image"),
        pytest.param(changed_in_place(2, kind="CPU"), id="instances of another kind"),
    ],
)
async def test_nothing_is_compared_with_what_differs_by_more_than_instances(
    server: Server, after: Accepted
) -> None:
    made = await learnt(server)
    server.execute(300)
    await made.look(60)
    made.view.accepted = changed_in_place(2)
    assert known(made.view).references.keys() == {"double"}
    made.view.accepted = after
    assert known(made.view).references == {}


async def test_nothing_is_compared_with_what_few_batches_tell(server: Server) -> None:
    made = await learnt(server)
    made.view.accepted = changed_in_place(2)
    assert known(made.view).references == {}


async def test_what_instances_cost_each_other_outlives_the_curve(server: Server) -> None:
    made = await learns_two(server, share=0.9)
    found = known(made.view).curves["double"].contention
    made.view.accepted = changed_in_place(4, live="f" * 64)
    for later in (60, 31 * 60):
        await made.look(later)
    assert known(made.view).curves == {}, "nothing was learnt for half an hour"
    server.execute(100)
    await made.look(60)
    assert known(made.view).curves["double"].contention == found


async def test_a_server_that_was_asked_before_is_asked_again_of_other_instances(
    server: Server,
) -> None:
    made = await learnt(server)
    asked = known(made.view).server_id
    made.view.accepted = changed_in_place(2)
    assert known(made.view).server_id == asked
    made.view.accepted = on_other_pods(changed_in_place(2))
    assert known(made.view).server_id == ""


async def test_a_server_that_was_not_asked_what_it_runs_is_not_learnt_from(server: Server) -> None:
    made = operator()
    await made.learner.round()
    assert server.asked == 0


async def test_what_a_pod_executes_in_its_first_minute_is_left_out(server: Server) -> None:
    made = operator()
    ready = (NOW - timedelta(seconds=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    young = pod("a" * 64)
    young["status"]["conditions"][0]["lastTransitionTime"] = ready
    made.view.pods["echo-1"] = young
    for later in (0, 15, 15):
        server.execute(100)
        await made.look(later)
        assert made.curve is None
    server.execute(50)
    await made.look(15)
    assert known(made.view).curves["double"].executions == 150, "of the last 15 seconds only"


async def test_another_objective_is_another_capacity_of_the_same_curve(server: Server) -> None:
    made = await learnt(server)
    looser = [{"model": "double", "latency": {"target": "400ms"}}]
    made.view.accepted = accepted(objectives=looser)
    await made.look(5)
    capacity = known(made.view).capacities["double"]
    assert isinstance(capacity, Capacity)
    assert 45 < capacity.per_second < 50, "near what a pod answers at most"
    assert server.asked == 2


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"scaling": {"target": {"inFlight": 4}}}, id="the user knows better"),
        pytest.param({"scaling": {"mode": "Fixed"}, "replicas": 1}, id="nobody scales"),
        pytest.param({"objectives": []}, id="no objective"),
    ],
)
async def test_what_nobody_asks_for_is_not_learnt(server: Server, spec: dict[str, Any]) -> None:
    made = await learnt(server)
    made.view.accepted = accepted(**spec)
    await made.look(60)
    assert (made.curve, known(made.view).capacities, server.asked) == (None, {}, 2)


async def test_a_server_that_does_not_answer_for_some_looks_is_told() -> None:
    made = operator()
    for _ in range(2):
        await made.look(60)
        assert learning_of.unanswered_status(made.view) is None
    await made.look(60)
    told = learning_of.unanswered_status(made.view)
    assert told is not None
    assert (told.since, told.looks) == ("2026-01-01T12:01:00Z", 3)
    assert told.message.startswith(f"{HOST}:8000: ")
    assert told.message.endswith(
        "; the operator must reach port 8000 of the pods: let its namespace in where a "
        "NetworkPolicy closes that"
    )
    assert made.metrics.registry.get_sample_value("trireme_failed_looks_total") == 3
    made.view.accepted = changed()
    assert known(made.view).unanswered is not None, "of another repository, too"


async def test_a_server_that_does_not_answer_is_asked_less_often() -> None:
    made = operator()
    asked = []
    for minute in range(40):
        before = made.metrics.registry.get_sample_value("trireme_failed_looks_total")
        await made.look(60 if minute else 0)
        if made.metrics.registry.get_sample_value("trireme_failed_looks_total") != before:
            asked.append(minute)
    assert asked == [0, 1, 2, 3, 5, 9, 17, 27, 37]


async def test_that_no_server_can_be_asked_what_it_runs_is_told_as_if_it_were_asked() -> None:
    """As behind a NetworkPolicy that has always been there."""
    made = operator()
    made.unasked = True
    failure = ServerError("pod echo-1: models[double]: no answer")
    made.view.in_place.failing = Failing(failure, NOW)
    for _ in range(4):
        await made.look(60)
    told = learning_of.unanswered_status(made.view)
    assert told is not None
    assert told.looks == 4, "each minute, since nobody is waited for"
    assert told.message.startswith(f"{failure}; the operator must reach port 8000")


async def test_while_servers_are_asked_what_they_run_it_stands_what_was_told() -> None:
    told = UnansweredStatus(since="2026-01-01T11:00:00Z", looks=60, message="no answer")
    made = operator(ScalingStatus(desired_replicas=1, unanswered=told))
    made.unasked = True
    await made.look(0)
    assert learning_of.unanswered_status(made.view) == told


async def test_a_server_that_answers_again_is_told_of_no_more(server: Server) -> None:
    told = UnansweredStatus(since="2026-01-01T11:00:00Z", looks=60, message="no answer")
    made = operator(ScalingStatus(desired_replicas=1, unanswered=told))
    assert learning_of.unanswered_status(made.view) == told, "by the process before"
    await made.look(0)
    assert (server.asked, learning_of.unanswered_status(made.view)) == (1, None)


async def test_a_server_that_refuses_to_tell_says_why(server: Server) -> None:
    made = operator()
    server.refusal = "no statistics here " * 100
    for _ in range(3):
        await made.look(60)
    told = learning_of.unanswered_status(made.view)
    assert told is not None
    assert "no statistics here" in told.message
    assert told.message.endswith("...")


async def test_where_nobody_is_to_answer_nobody_has_failed_to() -> None:
    made = operator()
    for _ in range(3):
        await made.look(60)
    made.view.pods.clear()
    await made.look(60)
    assert learning_of.unanswered_status(made.view) is None


async def test_a_server_that_does_not_answer_takes_nothing_away() -> None:
    known_before = {"double": LearntCurve(CURVE, 0.0, 300)}
    curves = curves_status(DIGESTS, known_before, {}, Memory(NOW))
    made = operator(ScalingStatus(desired_replicas=1, curves=curves))
    await made.look(0)
    assert made.curve == CURVE


async def test_a_restarted_operator_knows_the_curve_before_it_has_asked(server: Server) -> None:
    before = await learnt(server)
    learning = known(before.view)
    status = ScalingStatus(
        desired_replicas=1,
        curves=curves_status(DIGESTS, learning.curves, learning.capacities, Memory(NOW)),
    )
    made = operator(status)
    assert made.curve is not None
    capacity = known(made.view).capacities["double"]
    await made.look(0)
    assert made.curve is not None, "and it stands while nothing new was seen"
    searched = known(made.view).capacities["double"]
    assert isinstance(capacity, Capacity)
    assert isinstance(searched, Capacity)
    assert searched.per_second == pytest.approx(capacity.per_second, rel=0.01)


async def test_nothing_is_learnt_before_the_autoscaler_has_read_the_status(server: Server) -> None:
    made = operator()
    made.view.learning = {}
    await made.look(0)
    assert (made.view.learning, server.asked) == ({}, 0)


def line(name: str, calls: int) -> dict[str, Any]:
    """A pipeline that calls the model so often, one call after another."""
    tensor = {"dataType": "FP32", "dims": [-1]}
    steps = [
        {"model": "double", "inputs": {"x": f"t{at}"}, "outputs": {"y": f"t{at + 1}"}}
        for at in range(calls)
    ]
    return {
        "name": name,
        "inputs": [{"name": "t0", **tensor}],
        "outputs": [{"name": f"t{calls}", **tensor}],
        "steps": steps,
    }


OF_A_LINE = {
    "pipelines": [line("line", 1)],
    "objectives": [{"model": "line", "latency": {"target": "200ms"}}],
}


async def learnt_line(server: Server, share: float) -> Operator:
    """Of a pipeline of the one model, which has such a share of its requests."""
    server.pipelines = {"line": share}
    made = operator(**OF_A_LINE)
    await made.look(0)
    server.execute(1000)
    await made.look(15)
    return made


async def test_of_a_pipeline_its_steps_are_learnt_and_what_others_ask_of_them(
    server: Server,
) -> None:
    alone, shared = [await learnt_line(server, share) for share in (1.0, 0.5)]
    assert known(alone.view).calls == {"line": {"double": 1.0}}
    assert known(shared.view).calls == {"line": {"double": 2.0}}
    assert alone.curve is not None
    own, half = (known(made.view).capacities["line"] for made in (alone, shared))
    assert isinstance(own, Capacity)
    assert isinstance(half, Capacity)
    assert own.per_second == pytest.approx(37.5, rel=0.03), "as an objective of the model itself"
    assert half.per_second == pytest.approx(own.per_second / 2, rel=0.05)


async def test_a_pipeline_waits_for_the_curves_of_all_its_steps(server: Server) -> None:
    made = await learnt_line(server, 1.0)
    both = [model_of("double", **BATCHING), model_of("other", **BATCHING)]
    wider = line("line", 1)
    wider["steps"].append({"model": "other", "inputs": {"x": "t1"}, "outputs": {"y": "u"}})
    made.view.accepted = accepted(**{**OF_A_LINE, "models": both, "pipelines": [wider]})
    await made.look(60)
    assert (list(known(made.view).curves), known(made.view).capacities) == (["double"], {})


async def test_a_pipeline_that_nobody_asks_for_any_more_is_forgotten(server: Server) -> None:
    made = await learnt_line(server, 1.0)
    made.view.accepted = accepted(objectives=[])
    await made.look(60)
    learning = known(made.view)
    assert (learning.curves, learning.calls, learning.capacities) == ({}, {}, {})
