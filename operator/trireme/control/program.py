"""`trireme run`: one process, a leader or waiting to be one, until it is told to stop."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Sequence

import kopf

from trireme.api import kinds, names
from trireme.autoscaler.queries import Labels
from trireme.control import health, history_server, shell
from trireme.control.agent_metrics import AgentMetrics
from trireme.control.autoscale import Autoscaler
from trireme.control.canary import CanaryAnalysis
from trireme.control.canary_learning import CanaryLearner
from trireme.control.catching_up import (
    find_losses,
    learn_monitors,
    readable,
    resync,
    until_readable,
)
from trireme.control.clock import utc_now
from trireme.control.direct import PodReader
from trireme.control.foresight import Recaller
from trireme.control.garbage import collect_seldom
from trireme.control.history import History
from trireme.control.in_place import AT_ONCE, InPlaceUpdates
from trireme.control.learning import Learner
from trireme.control.nesting import read_what_the_api_server_takes
from trireme.control.pod_secrets import Keys
from trireme.control.queue import WorkQueue
from trireme.control.reconcile import Reconciler
from trireme.control.scaling_news import decision_lines
from trireme.control.start_parts import StartParts
from trireme.control.store import Store
from trireme.edge import leader
from trireme.edge.cluster import Cluster, connect
from trireme.edge.demand import DemandQueries
from trireme.edge.metrics import Metrics
from trireme.edge.operator_key import read_node_cache_key, read_operator_key
from trireme.edge.pod_metrics import PodMetrics
from trireme.edge.prometheus import Access, Prometheus
from trireme.edge.recorder import Recorder
from trireme.errors import ClusterError, TriremeError
from trireme.resources.options import Discovery, ResourceOptions
from trireme.settings import Settings

logger = logging.getLogger(__name__)

_WORKERS_EACH = 8  # of the reconciliations at a time: those that take long are not counted
_ASK_AGAIN_SECONDS = 5.0  # for what must be there before anything can be watched


def run(settings: Settings) -> None:
    """Run the operator until SIGTERM or SIGINT, or until it is to be begun anew.

    Raises SystemExit with 1 where it ends by itself: it has lost its Lease, its watches or the
    cluster, or has failed. The log says why, and the kubelet starts it again.
    """
    _log(settings)
    collect_seldom()
    read_what_the_api_server_takes()
    try:
        asyncio.run(_main(settings, _keys(settings)))
    except TriremeError as error:
        logger.error("%s", error)
        raise SystemExit(1) from error
    except Exception as error:
        logger.exception("the operator failed")
        raise SystemExit(1) from error


def _log(settings: Settings) -> None:
    json_lines = settings.log_format == "json"
    kopf.configure(log_format=kopf.LogFormat.JSON if json_lines else kopf.LogFormat.FULL)
    level = logging.getLevelNamesMapping()[settings.log_level]
    logging.getLogger().setLevel(level)
    # These two tell of every request and every event.
    for chatty in ("kopf", "kubernetes"):
        logging.getLogger(chatty).setLevel(max(level, logging.WARNING))
    # A record is a line of JSON as it is, in either format: that is what `replay` reads.
    lines = logging.StreamHandler()
    lines.setFormatter(logging.Formatter("%(message)s"))
    decision_lines.handlers[:] = [lines]
    decision_lines.propagate = False


def _keys(settings: Settings) -> Keys:
    operator_key = read_operator_key(settings.control_key_file)
    if not settings.node_cache_url:
        return Keys(operator_key)
    return Keys(operator_key, read_node_cache_key(settings.node_cache_key_file))


async def _main(settings: Settings, keys: Keys) -> None:
    metrics, history = Metrics(), History()
    state = health.Health()
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        api = await stack.enter_async_context(await connect())
        runner = await health.serve(health.application(state, metrics), settings.listen_port)
        stack.push_async_callback(runner.cleanup)
        runner = await health.serve(
            history_server.application(history), settings.decisions_port, history_server.LOOPBACK
        )
        stack.push_async_callback(runner.cleanup)
        state.serving = True

        async def work() -> None:
            state.lead()
            metrics.leader.set(1)
            await _act(Cluster(api), settings, keys, metrics, history, state)

        acting = leader.lead(api, settings, work) if settings.leader_election else work()
        await _until(stop, asyncio.create_task(acting))


async def _until(stop: asyncio.Event, task: asyncio.Task[None]) -> None:
    """Let the task run until it ends by itself or `stop` is set; its failure is raised."""
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not task.done():
        logger.info("stopping")
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    else:
        task.result()


async def _act(
    cluster: Cluster,
    settings: Settings,
    keys: Keys,
    metrics: Metrics,
    history: History,
    state: health.Health,
) -> None:
    """What the leader does: watch, reconcile, scale. Returns when the watches end: kopf takes
    SIGTERM and SIGINT over once it runs, and ends them. And when a namespace may be read that could
    not be before, since kopf is told of all when it starts.

    Every part is a task of one group: the failure of one ends all, and so does a cancellation, at
    once, so that nothing is written any more by a leader that is none.
    """
    namespaces = await _until_served(cluster, settings.namespaces, state)
    store = Store()
    options = ResourceOptions.of(settings)
    if options.discovery is not Discovery.POD_MONITOR:
        await learn_monitors(cluster, store, namespaces)
    metrics.registry.register(AgentMetrics(store, history, utc_now))
    queue, in_place = WorkQueue(settings.workers), WorkQueue()
    recorder = Recorder(cluster, settings.identity, metrics)
    reconciler = Reconciler(
        cluster=cluster,
        store=store,
        queue=queue,
        in_place=in_place,
        recorder=recorder,
        metrics=metrics,
        options=options,
        keys=keys,
        clock=utc_now,
        optimizer_jobs=settings.optimizer_jobs,
    )
    updates = InPlaceUpdates(
        store=store,
        queue=in_place,
        reconciliations=queue,
        operator_key=keys.control,
        clock=utc_now,
    )
    registry = kopf.OperatorRegistry()
    shell.register(registry, store, queue)
    async with (
        Prometheus(Access.from_settings(settings)) as prometheus,
        Prometheus(Access.from_settings(settings)) as past,  # a week's answer holds up no round
        PodMetrics() as pod_metrics,
        PodMetrics() as canary_metrics,  # many pods that are read for scaling hold up no canary
        DemandQueries(Access.from_settings(settings)) as demand,
        asyncio.TaskGroup() as group,
    ):
        labels = Labels(
            settings.label_namespace,
            settings.label_pod,
            settings.label_agent,
            settings.label_gateway,
        )
        start_parts = StartParts(cluster=cluster, store=store, clock=utc_now)
        reader = PodReader(store=store, pod_metrics=pod_metrics, labels=labels, clock=utc_now)
        autoscaler = Autoscaler(
            cluster=cluster,
            store=store,
            prometheus=prometheus,
            reader=reader,
            start_parts=start_parts,
            demand=demand,
            budgets=settings.gpu_budgets,
            recorder=recorder,
            metrics=metrics,
            history=history,
            labels=labels,
            clock=utc_now,
        )
        recaller = Recaller(
            store=store,
            prometheus=past,
            labels=labels,
            scrape_interval=lambda: autoscaler.scrape_interval,
            clock=utc_now,
        )
        canaries = CanaryAnalysis(
            cluster=cluster,
            store=store,
            queue=queue,
            pod_metrics=canary_metrics,
            recorder=recorder,
            metrics=metrics,
            clock=utc_now,
        )
        parts = [
            *(queue.work(reconciler.handle) for _ in range(_WORKERS_EACH * settings.workers)),
            *(in_place.work(updates.handle) for _ in range(AT_ONCE)),
            resync(store, queue, settings.resync_seconds),
            find_losses(cluster, store, queue, namespaces, settings.resync_seconds),
            autoscaler.run(settings.autoscale_interval_seconds, state.beat),
            Learner(store=store, metrics=metrics, clock=utc_now).learn(),
            CanaryLearner(store=store, clock=utc_now).learn(),
            recaller.recall(),
            reader.read(),
            start_parts.run(),
            canaries.run(),
        ]
        ending = [shell.watch(registry, settings, namespaces)]
        if left_out := [each for each in settings.namespaces if each not in namespaces]:
            ending.append(until_readable(cluster, left_out, settings.resync_seconds))
        tasks = [group.create_task(part) for part in (*parts, *ending)]

        def end(_: asyncio.Task[None]) -> None:
            for task in tasks:
                task.cancel()

        for task in tasks[len(parts) :]:
            task.add_done_callback(end)


async def _until_served(
    cluster: Cluster, namespaces: Sequence[str], state: health.Health
) -> list[str]:
    """Wait for the CRD: kopf looks for it once, when it starts, and would stay deaf without it; and
    for one of the namespaces, if not all are watched. Those that may be read.
    """
    while True:
        try:
            if not await cluster.serves(kinds.AGENT_DEPLOYMENT):
                logger.warning("waiting for the CustomResourceDefinition of %s", names.KIND)
            elif (found := await readable(cluster, namespaces)) or not namespaces:
                return found
        except ClusterError as error:
            logger.warning("waiting for the Kubernetes API: %s", error)
        state.beat()
        await asyncio.sleep(_ASK_AGAIN_SECONDS)
