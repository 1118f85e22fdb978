"""The reconciler's part of the status: from what was seen to conditions. Pure.

Conditions follow kstatus: `Stalled` when only the user can help, `Reconciling` while a rollout is
under way, `Ready` when this generation is accepted, fully rolled out and available. A fleet on its
way to another size stays Ready: scaling is not a rollout.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trireme.api import names
from trireme.api.agent import AgentSpec
from trireme.api.conditions import SCALING_CONDITIONS, ConditionType, Reason
from trireme.api.fetch import FetchProgress, FetchReason
from trireme.api.scaling import ScalingMode
from trireme.api.status import AgentStatus, Condition, ModelStatus
from trireme.control.fetching import progress_by_model, progress_words
from trireme.control.observed import DeploymentView, PodView
from trireme.edge.triton import ModelState


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether this generation of the spec can be used, None where that is not known yet; and why.

    `heals` says that it may become usable without a change of the spec.
    """

    accepted: bool | None
    reason: Reason | FetchReason
    message: str
    heals: bool = False


@dataclass(frozen=True, slots=True)
class InPlaceProgress:
    """How many of the ready pods run what is wanted of `what`, which changes in place.

    `failure` is why the last attempt failed, if it did, and `refused` whether a server refused it,
    and not for a moment only.
    """

    pods: int
    changed: int
    what: str
    failure: str | None = None
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Observed:
    """What the cluster shows of an agent.

    `gateway` is None where none exists, `gateway_wanted` whether the spec wants one, `may_be_empty`
    whether it is content without a server pod. `pods` are the
    servers'. `models` holds, by pod, what Triton says of its models; pods that could not be asked
    are absent.
    `apply_failure` is the API's refusal of a child, `apply_final` whether trying again is no use.
    `in_place` is None where nothing was applied yet. `fetches` holds what fetchers answered.
    `trial` is what is told of a canary that is tried, `rolled_back` of one that was taken back;
    both are empty where there is none. Its pods are not among `pods`.
    """

    server: DeploymentView | None
    gateway: DeploymentView | None
    gateway_wanted: bool
    pods: tuple[PodView, ...]
    gateway_pods: tuple[PodView, ...]
    models: Mapping[str, tuple[ModelState, ...]]
    apply_failure: str | None = None
    apply_final: bool = False
    in_place: InPlaceProgress | None = None
    may_be_empty: bool = False
    fetches: tuple[FetchProgress, ...] = ()
    trial: str = ""
    rolled_back: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One condition before it is dated: True, False, or None for unknown."""

    status: bool | None
    reason: Reason | FetchReason
    message: str


def findings(
    generation: int, previous: AgentStatus, verdict: Verdict, observed: Observed
) -> dict[ConditionType, Finding]:
    """The reconciler's six conditions."""
    accepted = Finding(verdict.accepted, verdict.reason, verdict.message)
    available = _available(observed)
    models = _models_ready(observed)
    blocked = _blocked(verdict, observed)
    rolled_out = _rolled_out(previous, observed)
    rolling = rolled_out.status is not True
    if blocked is not None:
        ready = Finding(False, blocked.reason, blocked.message)
        reconciling = Finding(False, blocked.reason, "waiting for a change of the spec or cluster")
    elif not verdict.accepted:
        ready = Finding(False, verdict.reason, verdict.message)
        reconciling = Finding(True, verdict.reason, verdict.message)
    else:
        ready = rolled_out if rolling else _served(available, observed)
        reconciling = Finding(rolling, rolled_out.reason, rolled_out.message)
    return {
        ConditionType.ACCEPTED: accepted,
        ConditionType.AVAILABLE: available,
        ConditionType.READY: ready,
        ConditionType.RECONCILING: reconciling,
        ConditionType.STALLED: blocked or Finding(False, Reason.VALID, ""),
        ConditionType.MODELS_READY: models,
    }


def _served(available: Finding, observed: Observed) -> Finding:
    """Whether all is as it should be of a fleet that is rolled out: one that is to have no pod now
    is ready to have some.
    """
    if available.reason is not Reason.SCALED_TO_ZERO:
        return available
    return _gateway_trouble(observed) or Finding(True, available.reason, available.message)


def _gateway_trouble(observed: Observed) -> Finding | None:
    if not observed.gateway_wanted or (observed.gateway and observed.gateway.ready):
        return None
    ready = sum(pod.ready_since is not None for pod in observed.pods)
    return _first_trouble(observed.gateway_pods) or Finding(
        False, Reason.GATEWAY_NOT_READY, f"{_count(ready)} ready, no gateway pod is"
    )


def may_be_empty(spec: AgentSpec) -> bool:
    """Whether a fleet without a pod can be what its spec wants, at some time."""
    scaling = spec.scaling
    if scaling.mode is not ScalingMode.AUTOMATIC:
        return spec.replicas == 0
    return 0 in (scaling.min, *(schedule.min for schedule in scaling.schedules))


def _is_empty(observed: Observed) -> bool:
    """Whether there is no server pod, and is to be none."""
    is_to_be = observed.server is not None and observed.server.replicas == 0
    return observed.may_be_empty and is_to_be and all(p.terminating for p in observed.pods)


def _available(observed: Observed) -> Finding:
    ready = sum(pod.ready_since is not None for pod in observed.pods)
    if _is_empty(observed):
        return Finding(False, Reason.SCALED_TO_ZERO, "no server pod is wanted now")
    if ready == 0:
        return _first_trouble(observed.pods) or Finding(
            False, Reason.NO_PODS_READY, "no server pod is ready"
        )
    if (trouble := _gateway_trouble(observed)) is not None:
        return trouble
    return Finding(True, Reason.PODS_READY, f"{_count(ready)} ready")


def _models_ready(observed: Observed) -> Finding:
    failures = sorted(
        {
            f"{model.name}: {model.reason}"
            for states in observed.models.values()
            for model in states
            if not model.ready and model.reason and not model.is_let_go
        }
    )
    if failures:
        return Finding(False, Reason.MODEL_LOAD_FAILED, "; ".join(failures))
    staying = [p for p in observed.pods if not p.terminating]
    starting = [p for p in staying if p.ready_since is None]
    if (failed := _fetch_failure(starting)) is not None:
        return failed
    if words := progress_words(observed.fetches):
        return Finding(False, Reason.FETCHING, words)
    if _is_empty(observed):
        return Finding(None, Reason.SCALED_TO_ZERO, "no pod runs that could load one")
    if starting or not staying:
        return Finding(False, Reason.LOADING, f"{_count(len(starting))} starting")
    return Finding(True, Reason.LOADED, f"every model is loaded in {_count(len(staying))}")


def _fetch_failure(pods: Iterable[PodView]) -> Finding | None:
    return _first_trouble(
        pod
        for pod in pods
        if pod.trouble is not None and isinstance(pod.trouble.reason, FetchReason)
    )


def _blocked(verdict: Verdict, observed: Observed) -> Finding | None:
    """What only a change by the user can end."""
    if not verdict.accepted and not verdict.heals:
        return Finding(True, verdict.reason, verdict.message)
    if observed.apply_failure is not None and observed.apply_final:
        return Finding(True, Reason.APPLY_FAILED, observed.apply_failure)
    if (in_place := observed.in_place) is not None and in_place.failure and in_place.refused:
        return Finding(True, Reason.IN_PLACE_UPDATE_FAILED, _refusal(in_place))
    failures = _models_ready(observed)
    if failures.reason is Reason.MODEL_LOAD_FAILED:
        return Finding(True, failures.reason, failures.message)
    if isinstance(failures.reason, FetchReason) and not failures.reason.transient:
        return Finding(True, failures.reason, failures.message)
    for deployment, pods in (
        (observed.server, observed.pods),
        (observed.gateway, observed.gateway_pods),
    ):
        if deployment is not None and deployment.failure is not None:
            trouble = _first_trouble(pods)
            return Finding(
                True,
                trouble.reason if trouble else Reason.PROGRESS_DEADLINE_EXCEEDED,
                trouble.message if trouble else deployment.failure,
            )
    if observed.rolled_back:
        return Finding(True, Reason.ROLLED_BACK, observed.rolled_back)
    return None


def fault(observed: Observed) -> str:
    """Why pods will not start unless somebody changes something; empty where they may."""
    found = _blocked(Verdict(True, Reason.VALID, ""), observed)
    return f"{found.reason}: {found.message}" if found else ""


def _rolled_out(previous: AgentStatus, observed: Observed) -> Finding:
    """Whether every pod runs this generation: where a canary tries it, the others do not."""
    stable = _stable_rolled_out(previous, observed)
    if stable.status and observed.trial:
        return Finding(False, Reason.TRYING_CANARY, observed.trial)
    return stable


_HAD_ROLLED_OUT = frozenset({Reason.TRYING_CANARY, Reason.ROLLED_BACK})
_CHANGES_IN_PLACE = frozenset({Reason.UPDATING_IN_PLACE, Reason.IN_PLACE_UPDATE_FAILED})


def _stable_rolled_out(previous: AgentStatus, observed: Observed) -> Finding:
    """Whether the pods run what they are to. Once they did, scaling does not undo it: not even
    where an autoscaler scales by writing the spec, which makes a new generation of the same
    template. Nor does a pod that goes down while others wait for it to be changed in place.
    """
    if observed.apply_failure is not None:
        return Finding(False, Reason.APPLY_FAILED, observed.apply_failure)
    in_place = observed.in_place
    is_changing = in_place is not None and in_place.changed < in_place.pods
    had_rolled_out = _HAD_ROLLED_OUT | (_CHANGES_IN_PLACE if is_changing else frozenset())
    wanted = [observed.server] + ([observed.gateway] if observed.gateway_wanted else [])
    was_ready = any(
        c.type == ConditionType.READY and (c.status == "True" or c.reason in had_rolled_out)
        for c in previous.conditions
    )
    if all(d is not None and (d.rolled_out or (was_ready and d.only_latest)) for d in wanted):
        if in_place is not None and is_changing:
            return Finding(False, Reason.UPDATING_IN_PLACE, _in_place_progress(in_place))
        return Finding(True, Reason.ROLLED_OUT, "every pod runs this generation")
    trouble = _first_trouble((*observed.pods, *observed.gateway_pods))
    if trouble is not None:
        return Finding(False, trouble.reason, trouble.message)
    told = _progress("pods", observed.server)
    if observed.gateway_wanted:
        told += f", {_progress('gateway pods', observed.gateway)}"
    return Finding(False, Reason.ROLLING_OUT, told)


def changes_unseen(found: Mapping[ConditionType, Finding], pods: Iterable[PodView]) -> bool:
    """Whether something may change that no watch tells of: what a rollout waits for, or what pods
    say of the models that they load. Where there is no pod, nobody says anything.
    """
    if found[ConditionType.RECONCILING].status:
        return True
    is_loading = not found[ConditionType.MODELS_READY].status
    return is_loading and not all(pod.terminating for pod in pods)


def is_done(previous: AgentStatus, observed: Observed) -> bool:
    """Whether every stable pod runs what it is to, what changes in place included."""
    return _stable_rolled_out(previous, observed).status is True


def _in_place_progress(in_place: InPlaceProgress) -> str:
    words = f"{in_place.changed} of {_count(in_place.pods)} have the new {in_place.what}"
    return f"{words}; tried again: {in_place.failure}" if in_place.failure else words


def _refusal(in_place: InPlaceProgress) -> str:
    return (
        f"{in_place.failure}. {in_place.changed} of {_count(in_place.pods)} have the new "
        f"{in_place.what}, the others serve on by the old one, and it is tried again. Correct the "
        "spec, or take the edit back"
    )


def _progress(what: str, deployment: DeploymentView | None) -> str:
    if deployment is None:
        return f"no {what} yet"
    words = f"{deployment.ready} of {deployment.replicas} {what} ready"
    mixed = deployment.existing > 0 and not deployment.only_latest
    return f"{words}, some of an earlier template" if mixed else words


def _first_trouble(pods: Iterable[PodView]) -> Finding | None:
    for pod in pods:
        if pod.trouble is not None:
            return Finding(False, pod.trouble.reason, f"pod {pod.name}: {pod.trouble.message}")
    return None


def _count(pods: int) -> str:
    return "1 pod" if pods == 1 else f"{pods} pods"


_LONGEST_MESSAGE = 32_768  # the API's limit


def dated(
    found: Mapping[ConditionType, Finding],
    previous: Iterable[Condition],
    generation: int,
    now: datetime,
) -> list[Condition]:
    """Conditions with the time of their last change of status, taken over where it is the same."""
    before = {condition.type: condition for condition in previous}
    conditions = []
    for kind, finding in found.items():
        status = {True: "True", False: "False", None: "Unknown"}[finding.status]
        old = before.get(kind)
        unchanged = old is not None and old.status == status
        conditions.append(
            Condition(
                type=kind,
                status=status,
                reason=finding.reason,
                message=finding.message[:_LONGEST_MESSAGE],
                observed_generation=generation,
                last_transition_time=old.last_transition_time
                if old is not None and unchanged
                else format_time(now),
            )
        )
    return conditions


_CONDITIONS = frozenset(ConditionType) - SCALING_CONDITIONS  # nor those of any other writer


def written(status: AgentStatus) -> dict[str, Any]:
    """The reconciler's part of a status, as it is written and compared: the autoscaler's and the
    canary's parts left out, and the conditions in one order, since the API server mingles those of
    several writers.
    """
    own = sorted((c for c in status.conditions if c.type in _CONDITIONS), key=lambda c: c.type)
    return status.model_copy(update={"conditions": own}).model_dump(
        mode="json",
        by_alias=True,
        exclude={"scaling", "tuning", "rollout", "optimization", "adopted"},
        exclude_none=True,
    )


_UNLISTED = (
    "Triton finds no version of it to serve: no folder in its directory is named by a number that "
    "its version policy takes. Correct versionPolicy, or the source's folders"
)


def with_unlisted(
    listed: tuple[ModelState, ...], model_names: Iterable[str]
) -> tuple[ModelState, ...]:
    """A server's index, and each model that it leaves out with the reason.

    Triton lists a model that it cannot load, but not one without a version (seen with 24.10).
    """
    known = {state.name for state in listed}
    absent = (name for name in model_names if name not in known)
    return (*listed, *(ModelState(name, False, _UNLISTED) for name in absent))


def model_statuses(
    model_names: Iterable[str],
    pods: Iterable[PodView],
    models: Mapping[str, tuple[ModelState, ...]],
    fetches: Sequence[FetchProgress] = (),
) -> list[ModelStatus]:
    """For each model, in how many pods it is loaded, and why it is not in the others.

    A ready pod has loaded every model: that is what its readiness means.
    """
    fetched = progress_by_model(fetches)
    ready_pods = sum(pod.ready_since is not None for pod in pods)
    ready_names = {pod.name for pod in pods if pod.ready_since is not None}
    statuses = []
    for name in model_names:
        by_pod = [
            [state for state in listed if state.name == name and not state.is_let_go]
            for pod, listed in models.items()
            if pod not in ready_names
        ]
        states = [state for versions in by_pod for state in versions]
        statuses.append(
            ModelStatus(
                name=name,
                ready_pods=ready_pods
                + sum(all(each.ready for each in versions) for versions in by_pod if versions),
                message=next((s.reason for s in states if not s.ready and s.reason), "")
                or (f"fetching: {fetched[name]}" if name in fetched else ""),
            )
        )
    return statuses


def selector(agent: str) -> str:
    """What /scale shows as selector: all server pods of the agent, of every track."""
    return f"{names.AGENT}={agent}"


def format_time(moment: datetime) -> str:
    """A time stamp as Kubernetes writes it, to the second."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
