"""One pass over one agent: spec → repository → objects → applied, then observed and reported.

Level-triggered: a pass looks at what is, whatever the event was. It may end at any line and be
begun again by another process; what it needs to know is in the cluster. Here is the order of its
parts, and what has it come again.
"""

import logging
from collections.abc import Callable, Iterable
from datetime import datetime

from trireme.control import in_place
from trireme.control.accepting import Accepting
from trireme.control.adopting import Adopting, last_asked
from trireme.control.agent_state import Refused
from trireme.control.apply import Applier
from trireme.control.catching_up import catch_up
from trireme.control.children import Children, gateway_is_ready, leads_past_gateway
from trireme.control.optimizing import Optimizing
from trireme.control.pod_secrets import Keys
from trireme.control.posting import post
from trireme.control.queue import Key, Work, WorkQueue
from trireme.control.reporting import Reporter
from trireme.control.status import changes_unseen
from trireme.control.store import AgentView, Store
from trireme.control.trial import Trial, is_over
from trireme.edge.cluster import Cluster, Object
from trireme.edge.metrics import Metrics
from trireme.edge.recorder import Event, Recorder
from trireme.errors import ClusterError
from trireme.resources.options import ResourceOptions

logger = logging.getLogger(__name__)

_ASK_AGAIN_SECONDS = 5.0  # while pods start, Triton is asked this often what it is doing
_NAMESPACE_ENDS = "because it is being terminated"


class Reconciler:
    """Works keys off the queue."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        store: Store,
        queue: WorkQueue,
        in_place: WorkQueue,
        recorder: Recorder,
        metrics: Metrics,
        options: ResourceOptions,
        keys: Keys,
        clock: Callable[[], datetime],
        optimizer_jobs: int,
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._queue = queue
        self._in_place = in_place
        self._recorder = recorder
        self._metrics = metrics
        self._clock = clock
        applier = Applier(cluster, store)
        self._trial = Trial(cluster, applier, options, clock)
        self._adopting = Adopting(cluster, clock)
        self._accepting = Accepting(
            cluster=cluster,
            options=options,
            trial=self._trial,
            adopting=self._adopting,
            clock=clock,
        )
        self._children = Children(
            cluster=cluster,
            queue=queue,
            in_place=in_place,
            applier=applier,
            trial=self._trial,
            options=options,
            keys=keys,
            clock=clock,
        )
        self._reporter = Reporter(cluster=cluster, operator_key=keys.control, clock=clock)
        self._optimizing = Optimizing(cluster, store, options, clock, optimizer_jobs)

    async def handle(self, key: Key, work: Work) -> None:
        """One pass; never raises: what failed is tried again later."""
        with self._metrics.reconcile_seconds.time():
            try:
                await self._pass(key, work)
            except ClusterError as error:
                logger.warning("%s: %s", key, error)
                result = "retry"
                await self._queue.add_failed(key, work)
            except Exception:
                logger.exception("%s: the pass failed", key)
                result = "error"
                await self._queue.add_failed(key, work)
            else:
                result = "done"
                self._queue.forgive(key)
        self._metrics.reconciliations.labels(result).inc()

    async def _pass(self, key: Key, work: Work) -> None:
        view = self._store.view(key)
        if view.body is None or "deletionTimestamp" in view.body["metadata"]:
            self._store.forget(key)  # the owner references delete the children
            return
        if view.written is None or Work.APPLY in work:
            await catch_up(self._cluster, self._store, key, view)
        if view.body is None:
            return
        # An edit is in the view before its work is on the queue.
        is_judged = view.judged == view.body["metadata"]["generation"]
        is_new = not is_judged or view.accepted is None or view.preflight.waiting
        if Work.APPLY in work or is_new or is_over(view):
            await self._apply_generation(key, view, view.body)
        if self._store.view(key) is not view:
            return  # it went meanwhile, and another may have its name
        await self._report(key, view, view.body)
        if view.apply_failure is not None and Work.APPLY in work:
            raise view.apply_failure
        undeleted = await self._children.prune(key, view, view.body["metadata"]["uid"])
        is_due = Work.APPLY in work or view.optimization.under_way
        if is_due and (asked := last_asked(view)) is not None:
            told = await self._optimizing.advance(view, view.body, asked)
            await self._emit(key, told)
        if undeleted is not None:
            raise undeleted

    async def _apply_generation(self, key: Key, view: AgentView, body: Object) -> None:
        """Accept or refuse the spec as it is now; what was last accepted is applied, so that drift
        is repaired while an edit is refused, by whatever process.
        """
        course = await self._accepting.course(view, body)
        settings = await self._adopting.write(view, body)
        view.note(settings)
        await self._emit(key, settings)
        if isinstance(course, Refused):
            view.refused = view.refused or course
            await self._trial.withdraw(key, view, body["metadata"]["uid"])
        elif course is not None:
            await self._accepting.compare(view, body, course.accepted)
            view.accepted = course.accepted
            await self._emit(key, course.events)
        view.judged = body["metadata"]["generation"]
        if view.accepted is None:
            return
        failure = None  # what failed before is known until this is over
        try:
            await self._emit(key, await self._children.apply(key, view, view.accepted))
        except ClusterError as error:
            if _NAMESPACE_ENDS not in error.message:  # else the agent goes with it
                failure = error
        view.apply_failure = failure

    async def _report(self, key: Key, view: AgentView, body: Object) -> None:
        """Tell what is seen, and come again for what is yet to come."""
        spec = view.accepted.agent.spec if view.accepted else None
        report = await self._reporter.report(key, view)
        if report is None:
            await self._queue.add_after(_ASK_AGAIN_SECONDS, key, Work.OBSERVE)
            return
        await self._emit(key, report.events)
        await self._continue_in_place(key, view)
        await self._trial.forget(key, view, body)
        if view.preflight.waiting:
            await self._queue.add_after(_ASK_AGAIN_SECONDS, key, Work.APPLY)
        if changes_unseen(report.found, view.stable_pods):
            await self._queue.add_after(_ASK_AGAIN_SECONDS, key, Work.OBSERVE)
        if (
            spec
            and spec.gateway.enabled
            and view.apply_failure is None  # else it is tried again, later each time
            and leads_past_gateway(key, view)
            and gateway_is_ready(key, view)
        ):
            # Not at once: somebody else may be writing the Service, too.
            await self._queue.add_after(_ASK_AGAIN_SECONDS, key, Work.APPLY)

    async def _continue_in_place(self, key: Key, view: AgentView) -> None:
        """Have servers asked and changed; what failed is tried again by itself, later each time."""
        if view.applied is None or view.in_place.failing is not None:
            return
        repository = view.applied.repository
        pods = in_place.serving_pods(view, repository)
        to_change = in_place.differing(view.in_place, pods) and in_place.may_change(view)
        if to_change or in_place.unknown(view.in_place, pods):
            await self._in_place.add(key, Work.APPLY)

    async def _emit(self, key: Key, found: Iterable[Event]) -> None:
        await post(self._recorder, self._store.view(key), found, self._clock)
