"""The operator's Jobs and their pods, which are neither servers nor a gateway. Pure."""

from collections.abc import Iterable

from trireme.api import names
from trireme.control.observed import owned_by
from trireme.control.store import Object

_LABELS = (names.INSPECTION, names.OPTIMIZATION)


def pods_of_jobs(pods: Iterable[Object], *labels: str) -> list[Object]:
    """The pods of Jobs among an agent's; with labels, of those that have one of them."""
    return [pod for pod in pods if not set(labels or _LABELS).isdisjoint(_labels(pod))]


def pods_of(job: Object, pods: Iterable[Object]) -> list[Object]:
    """A Job's pods among an agent's."""
    uid = job["metadata"]["uid"]
    return [pod for pod in pods_of_jobs(pods) if owned_by(pod, uid)]


def jobs_with_pods(pods: Iterable[Object], label: str, begin: str) -> set[str]:
    """The names of the Jobs whose pods have this label and are not being deleted; of those alone
    that `begin` as Trireme names them, since whoever makes a pod says whose it is.
    """
    return {
        owner["name"]
        for pod in pods_of_jobs(pods, label)
        if "deletionTimestamp" not in pod["metadata"]
        for owner in pod["metadata"].get("ownerReferences", [])
        if owner["kind"] == "Job" and owner["name"].startswith(begin)
    }


def is_over(job: Object) -> bool:
    """Whether a Job's own controller says that it has come to its end."""
    return not _true_conditions(job).keys().isdisjoint({"Complete", "Failed"})


def is_too_late(job: Object) -> bool:
    """Whether a Job's own controller has ended it at its deadline; its pods are deleted then, which
    `Failed` waits for (Kubernetes 1.31) and `FailureTarget` does not.
    """
    reasons = {_true_conditions(job).get(each) for each in ("Failed", "FailureTarget")}
    return "DeadlineExceeded" in reasons


def _true_conditions(job: Object) -> dict[str, str]:
    """The reason of each condition that holds, by its type."""
    conditions = job.get("status", {}).get("conditions", [])
    return {c["type"]: c.get("reason", "") for c in conditions if c["status"] == "True"}


def _labels(pod: Object) -> set[str]:
    return set(pod["metadata"].get("labels", {}))
