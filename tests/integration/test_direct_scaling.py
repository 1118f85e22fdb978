"""Where Prometheus refuses connections, an operator scales by what its pods tell: a real Triton."""

import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from integration.fleet import Fleet, echo
from integration.operator_process import finish_rollout, operator
from integration.triton_server import TritonServer
from kube import Kube, merged

CLIENTS = 8
SLOW = '''
import time

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """y = x, after a fifth of a second."""

    def execute(self, requests):
        time.sleep(0.2)
        inputs = [pb_utils.get_input_tensor_by_name(each, "x").as_numpy() for each in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("y", x)]) for x in inputs]
'''


@contextmanager
def load(server: TritonServer) -> Iterator[None]:
    """Clients that each have one request in flight."""
    x = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
    body = json.dumps({"inputs": [x]}).encode()
    enough = threading.Event()

    def ask() -> None:
        url = f"http://{server.address}/v2/models/double/infer"
        while not enough.is_set():
            with urllib.request.urlopen(url, body, timeout=60) as answer:
                answer.read()

    clients = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield
    finally:
        enough.set()
        for client in clients:
            client.join()


def slow_down(models: Path) -> None:
    (program,) = models.glob("double/*/model.py")
    program.write_text(SLOW)


def test_without_prometheus_a_fleet_grows_by_what_its_pods_tell(team: Kube, tmp_path: Path) -> None:
    agent, files = echo(1)
    # Eight in flight at two a pod are four pods, of which three are allowed.
    agent = merged(agent, {"spec": {"scaling": {"min": 1, "max": 3, "target": {"inFlight": 2}}}})
    team.apply(agent, files)
    with ExitStack() as servers, operator(team, tmp_path / "log"):
        team.until("its Deployment", lambda: team.replicas("echo") == 1, 60, "echo")
        finish_rollout(team, "echo")
        fleet = Fleet(team, tmp_path, servers)
        server = fleet.serve_agent("one", (agent, files), spoil=slow_down)

        def available() -> tuple[str, str, str]:
            return team.conditions("echo").get("SignalsAvailable", ("", "", ""))

        with load(server):
            team.until("it grows", lambda: team.replicas("echo") == 3, 90, "echo")
            team.until("it is said", lambda: available()[1] == "ReadDirectly", 60, "echo")
        status, _, message = available()
        assert status == "True"
        assert message.startswith("by the pods' own metrics: 1 of 1 server pods, up to "), message
        assert "does not answer: [Errno 111] Connection refused" in message
        # Events are posted once the status is written.
        team.until("the Event", lambda: fleet.told("SignalsReadDirectly"), 60, "echo")
        (note,) = fleet.told("SignalsReadDirectly")
        assert note.endswith("the pods' own metrics are read instead")
        team.until("the other one", lambda: fleet.told("ScaledUp"), 60, "echo")
        assert any("(read from the pods): " in note for note in fleet.told("ScaledUp"))
