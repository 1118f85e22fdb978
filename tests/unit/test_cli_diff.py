"""`trireme diff OLD NEW`: what an edit does, told without a cluster."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from trireme.cli import app

EXAMPLES = Path(__file__).parents[2] / "examples"
ECHO, CANARY = EXAMPLES / "echo.yaml", EXAMPLES / "canary.yaml"


def diff(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["diff", *arguments])


def edited(folder: Path, old: str, new: str, file: Path = ECHO) -> str:
    text = file.read_text(encoding="utf-8")
    assert old in text
    written = folder / "edited.yaml"
    written.write_text(text.replace(old, new), encoding="utf-8")
    return str(written)


@pytest.mark.parametrize(
    ("old", "new", "status", "told"),
    [
        pytest.param("max: 3", "max: 3", 0, "echo: nothing changes\n", id="nothing"),
        pytest.param(
            "maxBatchSize: 8",
            "maxBatchSize: 8\n      instances: [{kind: CPU, count: 3}]",
            1,
            "echo: in place: the server pods stay, and change what they run\n"
            "  models[double].instance_group\n",
            id="instances",
        ),
        pytest.param(
            "maxBatchSize: 8",
            "maxBatchSize: 16\n      instances: [{kind: CPU, count: 3}]",
            1,
            "echo: rollout: the server pods are replaced\n"
            "  models[double].max_batch_size\n"
            "  models[double].instance_group"
            " (by itself: in place: the server pods stay, and change what they run)\n",
            id="instances and the batch size",
        ),
        pytest.param(
            "max: 3", "max: 4", 1, "echo: no pod is touched\n  scaling.max\n", id="scaling"
        ),
        pytest.param(
            "name: echo",
            "name: other",
            1,
            "other: nothing of it runs yet: its pods are made\n",
            id="an agent that is new",
        ),
    ],
)
def test_the_exit_status_is_that_of_diff_and_the_parts_are_named(
    tmp_path: Path, old: str, new: str, status: int, told: str
) -> None:
    result = diff(str(ECHO), edited(tmp_path, old, new))
    assert (result.exit_code, result.stdout, result.stderr) == (status, told, "")


@pytest.mark.parametrize(
    ("old", "new", "words", "effect"),
    [
        pytest.param(
            "np.multiply(x, 2,",
            "np.multiply(x, 3,",
            "a canary is tried: the server pods are replaced once it is no worse than they are",
            "Canary",
            id="a rollout",
        ),
        pytest.param("max: 3", "max: 4", "no pod is touched", "NoPod", id="no rollout"),
    ],
)
def test_in_strategy_canary_a_rollout_is_told_as_one(
    tmp_path: Path, old: str, new: str, words: str, effect: str
) -> None:
    file = edited(tmp_path, old, new, CANARY)

    text, as_json = diff(str(CANARY), file), diff("-o", "json", str(CANARY), file)

    assert text.stdout.splitlines()[0] == f"tried: {words}"
    assert json.loads(as_json.stdout)[0]["effect"] == effect


def test_json_names_the_effect_of_all_and_of_each_part(tmp_path: Path) -> None:
    result = diff("-o", "json", str(ECHO), edited(tmp_path, "memory: 512Mi", "memory: 1Gi"))
    assert result.exit_code == 1
    assert json.loads(result.stdout) == [
        {
            "agent": "echo",
            "namespace": "default",
            "effect": "Rollout",
            "parts": [{"path": "server.resources", "effect": "Rollout"}],
        }
    ]


def test_a_file_with_a_fault_is_no_difference_but_a_failure(tmp_path: Path) -> None:
    result = diff(str(ECHO), edited(tmp_path, "model: double", "model: duble"))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "duble" in result.stderr


def test_a_config_map_that_is_not_in_the_file_is_a_failure(tmp_path: Path) -> None:
    result = diff(str(ECHO), edited(tmp_path, "configMap: double-model", "configMap: absent"))
    assert result.exit_code == 2
    assert "ConfigMap absent must be in the same file" in result.stderr


@pytest.mark.parametrize("arguments", [[], [str(ECHO)], ["-f", str(ECHO), str(ECHO), str(ECHO)]])
def test_it_is_asked_for_in_one_of_two_ways(arguments: list[str]) -> None:
    result = diff(*arguments)
    assert result.exit_code == 2
    assert "give either -f FILE, or two files" in result.stderr
