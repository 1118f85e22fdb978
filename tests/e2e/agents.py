"""The agents that the scenarios run: the examples, made smaller or faster where time matters."""

from pathlib import Path
from typing import Any

from kube import Kube, Object, merged, objects

EXAMPLES = Path(__file__).parents[2] / "examples"


def slow_agent(name: str, **scaling: Any) -> tuple[Object, Object]:
    """The demo's agent (one pod keeps p95 under 200 ms up to about 36 requests a second), with
    scaling fast enough for a test: (agent, ConfigMap).

    It reserves less, so that two cores hold its pods beside those of the test before, which drain.
    """
    agent, files = objects(EXAMPLES / "demo-agent.yaml")
    less = {"resources": {"cpu": "50m"}}
    spec = {"server": less, "gateway": less, "scaling": scaling}
    return merged(agent, {"metadata": {"name": name}, "spec": spec}), files


def start(kube: Kube, agent: Object, *files: Object, seconds: float = 180) -> str:
    """Apply an agent, after what it needs, and wait until it is Ready; its name."""
    name: str = agent["metadata"]["name"]
    kube.apply(*files, agent)
    kube.until("a status", lambda: (kube.find("agd", name) or {}).get("status"), 180, name)
    kube.until("Ready", lambda: kube.is_ready(name), seconds, name)
    return name


def server_pods(kube: Kube, agent: str) -> list[Object]:
    """An agent's server pods, those that still drain included."""
    return kube.all("pods", f"trireme.dev/agent={agent}")
