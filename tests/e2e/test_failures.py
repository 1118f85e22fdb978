"""(k) What its user sees of an agent whose pods cannot start, and that a corrected spec ends it."""

import re
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from e2e.agents import server_pods, slow_agent
from kube import Kube, Object, merged

INITIALIZE = "def initialize(self, args):\n"
RAISES = '        raise ValueError("expected 7 layers, found 3")\n'


@dataclass(frozen=True)
class Cause:
    """A fault, by the agent's name; `says` is somebody else's words for it, `stalled` whether the
    user is told at once that only a change helps (a node or an image may come yet).
    """

    name: str
    reason: str
    says: str
    stalled: bool = False
    server: dict[str, Any] = field(default_factory=dict)
    raises: bool = False

    def objects(self) -> tuple[Object, Object]:
        """The agent and its files, with the fault in them."""
        agent, files = self.corrected()
        source = files["data"]["model.py"]
        if self.raises:
            source = source.replace(INITIALIZE, INITIALIZE + RAISES)
        agent = merged(agent, {"spec": {"server": self.server}})
        return agent, merged(files, {"data": {"model.py": source}})

    def corrected(self) -> tuple[Object, Object]:
        """The same without the fault."""
        agent, files = slow_agent(self.name, min=1, max=1)
        (model,) = agent["spec"]["models"]
        model = merged(model, {"source": {"configMap": self.name}})
        agent = merged(agent, {"spec": {"models": [model]}})
        return agent, merged(files, {"metadata": {"name": self.name}})


CAUSES = [
    Cause(
        "raising",
        "ModelLoadFailed",
        r"^policy: .*ValueError: expected 7 layers, found 3",
        stalled=True,
        raises=True,
    ),
    Cause(
        "unpullable",
        "ImagePullFailed",
        r"^pod unpullable-\S+: triton: (ErrImagePull|ImagePullBackOff): .*triton:24.10-absent",
        server={"image": "trireme/triton:24.10-absent"},
    ),
    Cause(
        "unschedulable",
        "Unschedulable",
        r"^pod unschedulable-\S+: 0/\d+ nodes are available: .*Insufficient nvidia.com/gpu",
        server={"gpus": {"count": 64}},
    ),
]


def test_what_keeps_a_pod_from_starting_is_told_in_its_own_words_until_the_spec_is_corrected(
    kube: Kube,
) -> None:
    """All at once: their pods wait for different things."""
    for cause in CAUSES:
        kube.apply(*reversed(cause.objects()))
    for cause in CAUSES:
        kube.until(cause.reason, partial(_told, kube, cause), 180, cause.name)
        conditions = kube.conditions(cause.name)
        assert conditions["Accepted"][0] == "True"
        assert conditions["Available"][0] == "False"
        assert conditions["Stalled"][0] == str(cause.stalled)
    assert kube.conditions("raising")["ModelsReady"][:2] == ("False", "ModelLoadFailed")
    told = lambda: "ModelLoadFailed" in dict(kube.events("raising"))  # noqa: E731
    kube.until("the Event, after the status", told, agent="raising")
    kube.until("start-up ended", lambda: _container(kube, "raising")["started"], 180, "raising")
    assert _container(kube, "raising")["restartCount"] == 0

    for cause in CAUSES:
        kube.apply(*reversed(cause.corrected()))
    for cause in CAUSES:
        kube.until("Ready", partial(kube.is_ready, cause.name), 180, cause.name)
        assert kube.conditions(cause.name)["Stalled"][0] == "False"
    assert kube.conditions("raising")["ModelsReady"][0] == "True"


def _told(kube: Kube, cause: Cause) -> bool:
    status, reason, message = kube.conditions(cause.name).get("Ready", ("", "", ""))
    told = (status, reason) == ("False", cause.reason)
    return told and re.search(cause.says, message) is not None


def _container(kube: Kube, agent: str) -> Object:
    """The server's container of an agent's only pod."""
    (pod,) = server_pods(kube, agent)
    (container,) = pod["status"]["containerStatuses"]
    return dict(container)
