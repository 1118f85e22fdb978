"""What an agent last ran by can be run by again, from the cluster alone."""

from pathlib import Path

import pytest

from agents import agent_of, repository_of
from manifests import EXAMPLES, read_manifests
from trireme.admission.parse import parse_agent
from trireme.modelrepo.render import render
from trireme.resources.config_maps import config_maps
from trireme.resources.record import (
    accepted_record,
    candidate_record,
    recorded_copies,
    recorded_sources,
    recorded_spec,
    rollback_of,
)


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda file: file.stem)
def test_a_record_and_the_copies_of_the_files_give_the_same_repository(file: Path) -> None:
    manifests = read_manifests(file)
    for body in manifests.agents:
        agent = parse_agent({**body, "metadata": {**body["metadata"], "uid": "0f5e"}})
        repository = render(agent.spec, manifests.sources)
        (record,) = accepted_record(agent, repository)
        in_cluster = {m["metadata"]["name"]: m for m in config_maps(agent, repository)}

        again = parse_agent({**body, "spec": recorded_spec(record)})
        copies = {model: in_cluster[name] for model, name in recorded_copies(record).items()}
        sources = recorded_sources(again, copies)

        assert again.spec == agent.spec
        assert render(again.spec, sources) == repository


def test_what_a_canary_runs_by_is_recorded_in_the_same_way() -> None:
    agent, repository = agent_of(), repository_of()
    (record,), (of_canary,) = (
        accepted_record(agent, repository),
        candidate_record(agent, repository),
    )

    assert of_canary["metadata"]["name"] == "echo-candidate"
    assert of_canary["data"] == record["data"]


def test_a_record_tells_what_is_not_tried_again() -> None:
    agent, repository = agent_of(), repository_of()
    (told,) = accepted_record(agent, repository, "c" * 64)
    (untold,) = accepted_record(agent, repository)

    assert (rollback_of(told), rollback_of(untold)) == ("c" * 64, "")


def test_a_spec_that_no_config_map_holds_has_no_record() -> None:
    file = read_manifests(EXAMPLES / "echo.yaml")
    agent = parse_agent(file.agents[0])
    repository = render(agent.spec, file.sources)
    large = agent.spec.models[0].model_copy(update={"parameters": {"key": "x" * 1_100_000}})
    spec = agent.spec.model_copy(update={"models": [large]})
    assert accepted_record(agent.model_copy(update={"spec": spec}), repository) == ()
