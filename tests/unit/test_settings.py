"""Settings that cannot be read are told by the variable, without what it holds."""

import json

import pytest

from trireme.cli import main
from trireme.errors import InvalidSettings
from trireme.settings import read_settings

SECRET = "hunter2"  # noqa: S105  # the marker that must not be seen
TWICE = [{"name": "team-a", "gpus": 1}, {"name": "team-a", "gpus": 2}]


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        pytest.param(
            {"WORKERS": "0"},
            "TRIREME_WORKERS: Input should be greater than or equal to 1",
            id="a number out of its bounds",
        ),
        pytest.param(
            {"GPU_BUDGETS": json.dumps(TWICE)},
            "TRIREME_GPU_BUDGETS: team-a is there more than once: remove all but one",
            id="a budget that is there twice",
        ),
        pytest.param(
            {"GPU_BUDGETS": '[{"name": "team-a"}]'},
            "TRIREME_GPU_BUDGETS[0].gpus: Field required",
            id="a budget without its number",
        ),
        pytest.param(
            {"WORKERS": "0", "LOG_FORMAT": "yaml"},
            "TRIREME_WORKERS: Input should be greater than or equal to 1; "
            "TRIREME_LOG_FORMAT: String should match pattern '^(json|text)$'",
            id="two at once",
        ),
        pytest.param(
            {"PROMETHEUS_HEADERS": f'{{"Authorization": ["{SECRET}"]}}'},
            "TRIREME_PROMETHEUS_HEADERS.Authorization: Input should be a valid string",
            id="a header that is a list",
        ),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(
    variables: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"TRIREME_{name}", value)
    with pytest.raises(InvalidSettings) as refusal:
        read_settings()
    assert str(refusal.value) == told
    assert SECRET not in str(refusal.value)


def test_a_setting_that_is_no_json_is_named_without_what_it_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRIREME_PROMETHEUS_HEADERS", f"Authorization: {SECRET}")
    with pytest.raises(InvalidSettings, match=r"prometheus_headers.*: Expecting value") as refusal:
        read_settings()
    assert SECRET not in str(refusal.value)


def test_the_command_line_tells_it_in_one_line_and_ends_as_by_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRIREME_WORKERS", "0")
    monkeypatch.setattr("sys.argv", ["trireme", "run"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    told = "TRIREME_WORKERS: Input should be greater than or equal to 1\n"
    assert capsys.readouterr().err == told
