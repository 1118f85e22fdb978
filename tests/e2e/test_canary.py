"""Canaries under load: a good one is promoted, a slow, a failing and a wrong one are taken back."""

from dataclasses import dataclass
from functools import partial

from e2e.agents import server_pods, slow_agent, start
from e2e.load import Load
from kube import Kube, Object, merged

# That a worse canary answers until it is taken back: 600, and 681 were seen of the slow one while a
# quarter of the stable pods' requests were late, for want of processors.
MOST_REQUESTS = 1200
_CANARY = {
    "steps": [
        {"weight": "20%", "pause": "5s", "minRequests": 40},
        {"weight": "50%", "pause": "5s", "minRequests": 60},
    ],
    "mirror": {"share": "50%"},
}
_WEIGHT = "self.weight = 2 * torch.eye(16)"


@dataclass(frozen=True)
class Candidate:
    """An agent, what is changed in its model, what becomes of that, and the word of the reason."""

    name: str
    old: str
    new: str
    phase: str
    reason: str


_CANDIDATES = (
    Candidate("good", _WEIGHT, "self.weight = torch.eye(16) + torch.eye(16)", "Promoted", ""),
    Candidate(
        "slow",
        "SECONDS_PER_EXECUTION = 0.040",
        "SECONDS_PER_EXECUTION = 0.240",
        "RolledBack",
        "late",
    ),
    Candidate(
        "failing",
        "        rows = [len(tensor) for tensor in inputs]",
        """\
        rows = [len(tensor) for tensor in inputs]
        self.batches = getattr(self, "batches", 0) + 1
        if self.batches > 20:  # not while it is warmed up
            raise RuntimeError("no")""",
        "RolledBack",
        "failed",
    ),
    Candidate("wrong", _WEIGHT, "self.weight = 3 * torch.eye(16)", "RolledBack", "differently"),
)


def test_a_good_canary_is_promoted_and_a_slow_a_failing_and_a_wrong_one_are_taken_back(
    kube: Kube,
) -> None:
    loads = {each.name: _begin(kube, each) for each in _CANDIDATES}
    for each in _CANDIDATES:
        kube.until(f"{each.name} is {each.phase}", partial(_is_over, kube, each), 900, each.name)
    for each in _CANDIDATES:
        kube.until(f"no canary of {each.name}", partial(_is_alone, kube, each), 300, each.name)
        loads[each.name].stop()
        summary = loads[each.name].summary()
        told = dict(kube.events(each.name))
        rollout = kube.get("agd", each.name)["status"]["rollout"]
        assert summary["not_sent"] == 0, summary
        if each.phase == "Promoted":
            assert kube.is_ready(each.name)
        else:
            assert each.reason in rollout["message"], rollout
            assert kube.conditions(each.name)["Stalled"][:2] == ("True", "RolledBack")
            assert kube.conditions(each.name)["Available"][0] == "True"
            assert rollout["canary"]["requests"] < MOST_REQUESTS, rollout
        if each.name in ("good", "slow"):
            assert summary["failed"] == 0, (summary, told)
        else:  # what failed, failed in the canary
            assert 0 < summary["failed"] < MOST_REQUESTS, (summary, rollout)
            assert rollout["stable"]["failed"] == 0, rollout


def _begin(kube: Kube, candidate: Candidate) -> Load:
    """An agent of two pods under load, whose spec then changes."""
    agent, files = _agent(candidate.name)
    name = start(kube, agent, files)
    load = Load(kube, f"load-{name}", name, "policy", "1800s@15")
    kube.until("load is on", load.started)
    source = files["data"]["model.py"]
    assert candidate.old in source
    changed = source.replace(candidate.old, candidate.new)
    kube.apply(merged(files, {"data": {"model.py": changed}}))
    return load


def _is_over(kube: Kube, candidate: Candidate) -> bool:
    status = kube.get("agd", candidate.name)["status"]
    phase = status.get("rollout", {}).get("phase")
    if phase not in (None, "Progressing", candidate.phase):
        raise AssertionError(f"{phase}\n{kube.describe(candidate.name)}")
    return bool(phase == candidate.phase)


def _is_alone(kube: Kube, candidate: Candidate) -> bool:
    return len(server_pods(kube, candidate.name)) == 1


def _agent(name: str) -> tuple[Object, Object]:
    agent, files = slow_agent(name, min=1, max=1)
    files = merged(files, {"metadata": {"name": f"{name}-policy"}})
    model = merged(agent["spec"]["models"][0], {"source": {"configMap": f"{name}-policy"}})
    less = {"resources": {"cpu": "20m"}}  # four agents, each with a canary and a comparer
    rollout = {"strategy": "Canary", "canary": _CANARY}
    spec = {"models": [model], "server": less, "gateway": less, "rollout": rollout}
    return merged(agent, {"spec": spec}), files
