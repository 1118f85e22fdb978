"""Node classes: the cheapest mix that carries the load, and a canary of one of them."""

from e2e.agents import server_pods, slow_agent, start
from e2e.load import Load
from kube import Kube, merged

_ONE_NODE = ({"kubernetes.io/os": "linux"}, {"node-role.kubernetes.io/control-plane": ""})
_QUICK_DOWN = {
    "down": {
        "stabilizationWindow": "15s",
        "policies": [{"type": "Percent", "value": 100, "period": "15s"}],
    }
}
_CANARY = {"steps": [{"weight": "50%", "pause": "5s", "minRequests": 60}]}
_WEIGHT = "self.weight = 2 * torch.eye(16)"


def test_a_dear_class_joins_the_cheap_one_under_load_and_a_canary_of_one_is_rolled_out_in_both(
    kube: Kube,
) -> None:
    """Both classes fit the cluster's only node; the cheap one has one pod at most. With a target of
    their own pods of both count alike, whatever busy cores make of what one is believed to sustain.
    """
    agent, files = slow_agent("agent", min=1, max=3, behavior=_QUICK_DOWN, target={"inFlight": 4})
    cheap, dear = ({"nodeSelector": labels} for labels in _ONE_NODE)
    classes = [
        {"name": "cheap", "price": 1, "max": 1, "placement": cheap},
        {"name": "dear", "price": 3, "placement": dear},
    ]
    spec = {
        "server": {"nodeClasses": classes},
        "rollout": {"strategy": "Canary", "canary": _CANARY},
    }
    name = start(kube, merged(agent, {"spec": spec}), files)
    assert _ready(kube) == (1, 0), kube.describe(name)

    load = Load(kube, "load", name, "policy", "1800s@55")
    kube.until("a dear pod beside the cheap one", lambda: _ready(kube) >= (1, 1), 180, name)
    before = _templates(kube)
    source = files["data"]["model.py"]
    assert _WEIGHT in source
    equal = source.replace(_WEIGHT, "self.weight = torch.eye(16) + torch.eye(16)")
    kube.apply(merged(files, {"data": {"model.py": equal}}))
    kube.until("the canary is promoted", lambda: _phase(kube, name) == "Promoted", 900, name)
    kube.until("it is rolled out", lambda: kube.is_ready(name), 180, name)
    after = _templates(kube)
    assert all(old != new for old, new in zip(before, after, strict=True)), (before, after)

    known = kube.get("agd", name)["status"]["scaling"]["nodeClasses"]
    assert [each["name"] for each in known] == ["cheap", "dear"], known
    load.stop()
    load.all_answered()
    kube.until(
        "the cheap pod alone is left",
        lambda: len(server_pods(kube, name)) == 1 and _ready(kube) == (1, 0),
        180,
        name,
    )


def _ready(kube: Kube) -> tuple[int, int]:
    """The ready pods of the cheap and of the dear class."""
    cheap, dear = (
        int(kube.get("deployment", f"agent-{each}")["status"].get("readyReplicas", 0))
        for each in ("cheap", "dear")
    )
    return cheap, dear


def _templates(kube: Kube) -> list[object]:
    """What the pods of each class are made from."""
    return [
        kube.get("deployment", f"agent-{each}")["spec"]["template"] for each in ("cheap", "dear")
    ]


def _phase(kube: Kube, agent: str) -> object:
    return kube.get("agd", agent)["status"].get("rollout", {}).get("phase")
