"""What the status says of models that a real Triton does not serve."""

import shutil
from contextlib import ExitStack
from pathlib import Path

from integration.fleet import Fleet, echo
from integration.operator_process import operator
from kube import Kube


def test_a_model_that_tritons_index_leaves_out_is_told_with_what_is_wrong(
    team: Kube, tmp_path: Path
) -> None:
    agent, files = echo(1)
    team.apply(files, agent)
    with operator(team, tmp_path / "log"), ExitStack() as servers:
        fleet = Fleet(team, tmp_path, servers)
        team.until("its Deployment", lambda: team.replicas("echo") == 2, 30, "echo")
        fleet.serve_agent(
            "one", echo(1), ready=False, spoil=lambda models: shutil.rmtree(models / "double" / "1")
        )
        stalled = lambda: team.conditions("echo")["Stalled"][0] == "True"  # noqa: E731
        team.until("Stalled", stalled, 30, "echo")
        _, reason, message = team.conditions("echo")["ModelsReady"]
        assert reason == "ModelLoadFailed"
        assert message.startswith("double: Triton finds no version of it to serve")
        (model,) = team.get("agd", "echo")["status"]["models"]
        assert (model["readyPods"], f"double: {model['message']}") == (0, message)
