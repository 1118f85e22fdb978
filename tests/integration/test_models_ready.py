"""What the status says of models that are not served, and why."""

import shutil
from contextlib import ExitStack
from pathlib import Path

from integration.fleet import Fleet, echo
from integration.operator_process import operator
from kube import Kube, merged
from trireme.api import names


def test_a_model_that_tritons_index_leaves_out_is_told_with_what_is_wrong(
    team: Kube, tmp_path: Path
) -> None:
    agent, files = echo(1)
    team.apply(files, agent)
    with operator(team, tmp_path / "log"), ExitStack() as servers:
        fleet = Fleet(team, tmp_path, servers)
        team.until("its Deployment", lambda: team.replicas("echo") == 2, 60, "echo")
        fleet.serve_agent(
            "one", echo(1), ready=False, spoil=lambda models: shutil.rmtree(models / "double" / "1")
        )
        stalled = lambda: team.conditions("echo").get("Stalled", ("",))[0] == "True"  # noqa: E731
        team.until("Stalled", stalled, 60, "echo")
        _, reason, message = team.conditions("echo")["ModelsReady"]
        assert reason == "ModelLoadFailed"
        assert message.startswith("double: Triton finds no version of it to serve")
        (model,) = team.get("agd", "echo")["status"]["models"]
        assert (model["readyPods"], f"double: {model['message']}") == (0, message)


def test_a_downloader_that_was_killed_for_its_memory_is_told_with_what_to_raise(
    team: Kube, tmp_path: Path
) -> None:
    """There is no kubelet here: the test makes the pod, and says what became of its container."""
    agent, _ = echo(1)
    (model,) = agent["spec"]["models"]
    fetched = merged(model, {"source": {"configMap": None, "uri": "s3://models/double/1/"}})
    spec = {"models": [fetched], "download": {"inspect": False, "memory": "64Mi"}}
    team.apply(merged(agent, {"spec": spec}))
    with operator(team, tmp_path / "log"):
        team.until("its Deployment", lambda: team.find("deployment", "echo"), 60, "echo")
        metadata = team.get("deployment", "echo")["spec"]["template"]["metadata"]
        container = {"name": names.FETCH_CONTAINER, "image": "example.com/operator"}
        server = {"name": names.SERVER_CONTAINER, "image": "example.com/triton"}
        pod = {"spec": {"initContainers": [container], "containers": [server]}}
        team.apply(
            {"apiVersion": "v1", "kind": "Pod", "metadata": {**metadata, "name": "one"}, **pod}
        )
        killed = {"exitCode": 137, "reason": "OOMKilled"}
        status = {
            **container,
            "imageID": "",
            "ready": False,
            "restartCount": 1,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": killed},
        }
        team.set_status("pod", "one", {"phase": "Pending", "initContainerStatuses": [status]})

        def told() -> bool:
            _, reason, _ = team.conditions("echo").get("ModelsReady", ("", "", ""))
            return reason == "FetcherOutOfMemory"

        team.until("told", told, 60, "echo")
        assert team.conditions("echo")["ModelsReady"][2] == (
            "pod one: fetch: it was killed at its memory limit. Raise spec.download.memory"
        )
        assert team.conditions("echo")["Stalled"][0] == "True"
