"""The keys of agents' control interfaces, and the Secrets they are in."""

import hashlib
import hmac

from agents import agent_of
from kubernetes_schemas import validate
from trireme.api import names
from trireme.api.agent import AgentDeployment
from trireme.resources.control import OperatorKey, control_secret

OPERATOR_KEY = OperatorKey(b"thirty-two bytes that are random")


def made_again(agent: AgentDeployment) -> AgentDeployment:
    metadata = agent.metadata.model_copy(update={"uid": "77aa"})
    return agent.model_copy(update={"metadata": metadata})


def test_an_agents_key_is_derived_from_its_uid() -> None:
    expected = hmac.digest(b"thirty-two bytes that are random", b"0f5e", hashlib.sha256).hex()

    assert OPERATOR_KEY.of_agent("0f5e") == expected
    assert OPERATOR_KEY.of_agent("0f5f") != expected
    assert OperatorKey(bytes(32)).of_agent("0f5e") != expected


def test_the_operators_key_does_not_show_itself() -> None:
    assert repr(OPERATOR_KEY) == str(OPERATOR_KEY) == "OperatorKey()"


def test_the_secret_is_one_that_kubernetes_knows_goes_with_its_agent_and_never_changes() -> None:
    secret = control_secret(agent_of(), OPERATOR_KEY)

    validate(secret)
    assert secret["immutable"] is True
    assert secret["stringData"] == {"key": OPERATOR_KEY.of_agent("0f5e")}
    assert [owner["uid"] for owner in secret["metadata"]["ownerReferences"]] == ["0f5e"]
    assert secret["metadata"]["labels"]["trireme.dev/owner"] == "echo"


def test_an_agent_made_again_by_the_same_name_has_another_secret_and_another_key() -> None:
    first = control_secret(agent_of(), OPERATOR_KEY)
    second = control_secret(made_again(agent_of()), OPERATOR_KEY)

    assert first["metadata"]["name"] != second["metadata"]["name"]
    assert first["stringData"] != second["stringData"]


def test_the_longest_name_still_fits() -> None:
    longest = names.control_secret("a" * names.AGENT_NAME_MAX_LENGTH, "0f5e")

    assert len(longest) == 62
