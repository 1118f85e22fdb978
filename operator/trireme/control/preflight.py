"""Before pods are made of models that are fetched, a Job each reads what their files say.

Level-triggered: a pass looks at what is known, at the Jobs and at their pods, starts what is not
under way, and comes back. Reports are kept in the cluster (`<agent>-inspected`), so that what did
not change is never inspected twice, by whatever process. What failed is tried again, later each
time, by a new Job; so are files that the spec was refused for, since they may be replaced.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from trireme.admission.examine import Inspections
from trireme.admission.inspection.model_file import Inspection
from trireme.admission.inspection.summary import summary
from trireme.api import kinds, names
from trireme.api.agent import AgentDeployment
from trireme.api.backoff import doubled
from trireme.api.conditions import Reason
from trireme.api.fetch import FetchReason
from trireme.api.inspect import InspectPlan
from trireme.api.status import ModelStatus
from trireme.control import fetching
from trireme.control.agent_state import Accepted, Attempt, Refused
from trireme.control.apply import is_final, not_ours
from trireme.control.jobs import is_over, jobs_with_pods, pods_of
from trireme.control.observed import Trouble, owned_by, parse_time, trouble
from trireme.control.recorded import (
    inspections_of,
    is_report,
    recorded_inspections,
)
from trireme.control.store import AgentView, Object
from trireme.edge.cluster import Cluster
from trireme.errors import ClusterError
from trireme.resources.options import ResourceOptions
from trireme.resources.preflight import (
    inspect_plans,
    inspected_record,
    inspection_objects,
)

_MOST_JOBS = 8  # of one agent at a time
_FIRST_RETRY = timedelta(seconds=10)
_LONGEST_RETRY = timedelta(minutes=10)
_PATIENCE = timedelta(minutes=5)  # then it is said what the Job waits for


@dataclass(frozen=True, slots=True)
class Ended:
    """What a Job came to: a report, or why there is none."""

    report: str = ""
    failure: Trouble | None = None


class Preflight:
    """Inspects what is fetched; what it knows of an agent is in the agent's view."""

    def __init__(
        self, cluster: Cluster, options: ResourceOptions, clock: Callable[[], datetime]
    ) -> None:
        self._cluster = cluster
        self._options = options
        self._clock = clock

    async def inspected(
        self, view: AgentView, body: Object, agent: AgentDeployment
    ) -> dict[tuple[str, int], Inspection] | Refused:
        """What the files say, or why the spec has to wait for that. Raises ClusterError."""
        state, plans = view.preflight, inspect_plans(agent)
        state.waiting = False
        wanted = {plan.digest: plan for plan in reversed(plans)}  # of equal ones the first is named
        await self._delete_unwanted(view, agent, wanted)
        if not wanted:
            return {}
        state.reports = await self._reports(view, body)
        jobs: dict[str, Object] = {}
        refusal = ""
        for digest, plan in reversed(wanted.items()):
            if digest not in state.reports or self._is_due(state.attempts.get(digest)):
                try:
                    job = await self._advance(view, agent, plan, may_start=len(jobs) < _MOST_JOBS)
                except ClusterError as error:
                    if not is_final(error):
                        raise
                    refusal = error.message  # such as of a quota: the others may yet be told
                    continue
                if job is not None:
                    jobs[digest] = job
        missing = [plan for plan in plans if plan.digest not in state.reports]
        if missing:
            state.waiting = True
            return self._told(view, missing, jobs, refusal)
        return inspections_of(plans, state.reports)

    async def known(
        self, view: AgentView, body: Object, agent: AgentDeployment
    ) -> dict[tuple[str, int], Inspection] | Refused:
        """The same as far as it is known already. Raises ClusterError."""
        plans = inspect_plans(agent)
        reports = view.preflight.reports = await self._reports(view, body)
        missing = [plan for plan in plans if plan.digest not in reports]
        return self._told(view, missing, {}, "") if missing else inspections_of(plans, reports)

    async def _reports(self, view: AgentView, body: Object) -> dict[str, str]:
        """The reports that there are, by digest."""
        known = view.preflight.reports
        return await recorded_inspections(self._cluster, body) if known is None else known

    def doubt(self, view: AgentView, agent: AgentDeployment) -> None:
        """The spec is refused, perhaps for what files say: look at them again, later each time."""
        for plan in inspect_plans(agent):
            if plan.digest not in view.preflight.attempts:
                doubts = view.preflight.doubts.get(plan.digest, 0) + 1
                view.preflight.doubts[plan.digest] = doubts
                due = self._clock() + 6 * _delay(doubts)  # after a minute first
                view.preflight.attempts[plan.digest] = Attempt("", 0, due)

    def trust(self, view: AgentView) -> None:
        """The spec is accepted: what was doubted is no more."""
        view.preflight.doubts.clear()
        view.preflight.attempts.clear()

    # ----------------------------------------------------------------------------- one Job

    def _is_due(self, attempt: Attempt | None) -> bool:
        return attempt is not None and self._clock() >= attempt.due

    async def _advance(
        self, view: AgentView, agent: AgentDeployment, plan: InspectPlan, *, may_start: bool
    ) -> Object | None:
        """Start a Job, or take its result; the Job that is under way."""
        state, digest = view.preflight, plan.digest
        namespace, uid = agent.metadata.namespace, agent.metadata.uid
        name = names.inspection_job(agent.metadata.name, digest)
        attempt = state.attempts.get(digest)
        job = await self._cluster.get(kinds.JOB, namespace, name)
        if job is None:
            if may_start and (attempt is None or self._is_due(attempt)):
                for manifest in inspection_objects(agent, plan, self._options):
                    await self._cluster.ensure(manifest)
                state.started.add(name)
                return await self._cluster.get(kinds.JOB, namespace, name)
            return None
        if not owned_by(job, uid):
            raise not_ours(kinds.JOB.name, name)
        if "deletionTimestamp" in job["metadata"]:
            return None
        ended = await self._ended(view, job, plan)
        if ended is None:
            return job
        if ended.failure is None:
            await self._keep(view, agent, digest, ended.report)
            state.attempts.pop(digest, None)
            await self._cluster.delete(kinds.JOB, namespace, name)
        elif attempt is None or attempt.job != job["metadata"]["uid"]:
            failures = attempt.failures + 1 if attempt else 1
            due = self._clock() + _delay(failures)
            state.attempts[digest] = Attempt(job["metadata"]["uid"], failures, due, ended.failure)
        elif self._is_due(attempt):
            await self._cluster.delete(kinds.JOB, namespace, name)  # the next pass makes another
        return None

    async def _ended(self, view: AgentView, job: Object, plan: InspectPlan) -> Ended | None:
        """None while it runs. The pod is asked for where the watch has not told of it yet."""
        pods = pods_of(job, view.pods.values())
        if not pods and is_over(job):
            label = f"{names.INSPECTION}={names.job_label(plan.digest)}"
            namespace = job["metadata"]["namespace"]
            pods = pods_of(job, await self._cluster.list(kinds.POD, namespace, label))
        return ended(job, pods)

    # --------------------------------------------------------------------------- the record

    async def _keep(
        self, view: AgentView, agent: AgentDeployment, digest: str, report: str
    ) -> None:
        """Write the reports of what the agent has, and had when it was last accepted."""
        reports = view.preflight.reports or {}
        running = view.accepted.agent if view.accepted else agent
        needed = {p.digest for a in (agent, running) for p in inspect_plans(a)}
        kept = {key: text for key, text in reports.items() if key in needed} | {digest: report}
        record = inspected_record(agent, kept)
        name = record["metadata"]["name"]
        found = await self._cluster.get(kinds.CONFIG_MAP, agent.metadata.namespace, name)
        if found is not None and not owned_by(found, agent.metadata.uid):
            raise not_ours(kinds.CONFIG_MAP.name, name)
        await self._cluster.apply(record, names.TEMPLATE_MANAGER)
        view.preflight.reports = kept

    async def _delete_unwanted(
        self, view: AgentView, agent: AgentDeployment, wanted: Mapping[str, InspectPlan]
    ) -> None:
        """Jobs of a spec of before, which nobody waits for: those that this process started, and
        those of another one, known by their pods.
        """
        needed = {names.inspection_job(agent.metadata.name, digest) for digest in wanted}
        begin = names.inspection_job(agent.metadata.name, "")
        of_pods = jobs_with_pods(view.pods.values(), names.INSPECTION, begin)
        for name in (view.preflight.started | of_pods) - needed:
            await self._cluster.delete(kinds.JOB, agent.metadata.namespace, name)
            view.preflight.started.discard(name)

    # ---------------------------------------------------------------------------- in words

    def _told(
        self,
        view: AgentView,
        missing: Sequence[InspectPlan],
        jobs: Mapping[str, Object],
        refusal: str,
    ) -> Refused:
        """Failures first, since they want to be read; else what is waited for."""
        failures = [
            failure
            for digest in dict.fromkeys(plan.digest for plan in missing)
            if (attempt := view.preflight.attempts.get(digest)) and (failure := attempt.failure)
        ]
        if failures:
            return Refused(failures[0].reason, "; ".join(each.message for each in failures))
        words = ", ".join(f"{plan.fetch.model} version {plan.fetch.version}" for plan in missing)
        message = f"the files of {words} are being inspected"
        now, pods = self._clock(), tuple(view.pods.values())
        waits = [refusal, *(overdue(job, pods_of(job, pods), now) for job in jobs.values())]
        return Refused(Reason.INSPECTING, "; ".join([message, *filter(None, waits)]))


def ended(job: Object, pods: Iterable[Object]) -> Ended | None:
    """What a Job came to; None while it may still come to something."""
    for pod in pods:
        status = pod.get("status", {})
        container = _inspector(status)
        over = container.get("state", {}).get("terminated")
        if over is not None and over.get("exitCode") == 0:
            text = over.get("message", "")
            if is_report(text):
                return Ended(text)
            return _failed("the inspection left no result that can be read")
        if over is not None and (found := fetching.failure(container)) is not None:
            return Ended(failure=Trouble(*found))
        if over is not None:
            why = over.get("reason") or "Error"
            return _failed(f"the inspection ended with exit code {over.get('exitCode')}: {why}")
        if status.get("phase") == "Failed":
            why = f"{status.get('reason', 'Failed')} {status.get('message', '')}".strip()
            return _failed(f"the inspection's pod has failed: {why}")
    if is_over(job):
        return _failed("the inspection's pod is gone")
    return None


def overdue(job: Object, pods: Sequence[Object], now: datetime) -> str:
    """What a Job has been waiting for, if it has for long; else nothing."""
    if now - parse_time(job["metadata"]["creationTimestamp"]) < _PATIENCE:
        return ""
    name, minutes = job["metadata"]["name"], int(_PATIENCE.total_seconds() // 60)
    found = next((t for pod in pods if (t := trouble(pod)) is not None), None)
    if found is not None:
        return f"Job {name} waits for more than {minutes} minutes: {found.message}"
    what = "it runs" if pods else f"it has no pod; kubectl describe job {name} tells why"
    return f"Job {name} takes more than {minutes} minutes: {what}"


def described(
    models: Iterable[ModelStatus],
    accepted: Accepted | None,
    before: Iterable[ModelStatus],
) -> list[ModelStatus]:
    """Model statuses with what the models' files say; while an edit is refused by a process that
    did not inspect what runs, as they were.
    """
    found = _newest(accepted.inspections) if accepted else {}
    known = {model.name: model.inspected for model in before}
    return [
        model.model_copy(
            update={
                "inspected": summary(found[model.name])
                if model.name in found
                else known.get(model.name, "")
            }
        )
        for model in models
    ]


def _newest(inspections: Inspections) -> dict[str, Inspection]:
    """By model, of its highest version."""
    return {name: inspections[name, version] for name, version in sorted(inspections)}


def _inspector(status: Mapping[str, Any]) -> Mapping[str, Any]:
    containers: Sequence[Mapping[str, Any]] = status.get("containerStatuses", [])
    return next((c for c in containers if c["name"] == names.INSPECTION_CONTAINER), {})


def _failed(message: str) -> Ended:
    return Ended(failure=Trouble(FetchReason.INTERNAL, message))


def _delay(failures: int) -> timedelta:
    """10, 20, 40 ... 600 s."""
    return doubled(_FIRST_RETRY, _LONGEST_RETRY, failures)
