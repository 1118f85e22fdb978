"""The key of an agent's control interface, and the Secret that brings it to the pods. Pure.

Whoever may load a model into a Triton server runs code in it, so the servers ask for a key
(`flags`). Every agent has its own, derived from one key of the operator's: nothing need be read to
know it again, so the operator may create Secrets and read none.
"""

import hashlib
import hmac
from dataclasses import dataclass, field

from trireme.api import kinds, names
from trireme.api.agent import AgentDeployment
from trireme.resources.metadata import Manifest, child, server_labels


@dataclass(frozen=True, slots=True)
class OperatorKey:
    """The operator's own key; its representation does not show it."""

    secret: bytes = field(repr=False)

    def of_agent(self, uid: str) -> str:
        """The key of the agent with this uid: HMAC-SHA256, in hexadecimal digits."""
        return hmac.new(self.secret, uid.encode(), hashlib.sha256).hexdigest()


def control_secret(agent: AgentDeployment, operator_key: OperatorKey) -> Manifest:
    """The Secret with the agent's key. Created, never applied: a patch would answer with what is
    in it, and the right to patch one Secret is the right to read all.
    """
    uid = agent.metadata.uid
    return child(
        agent,
        kinds.SECRET,
        names.control_secret(agent.metadata.name, uid),
        labels=server_labels(agent),
        type="Opaque",
        immutable=True,
        stringData={names.CONTROL_ENTRY: operator_key.of_agent(uid)},
    )


def control_key_source(agent: AgentDeployment) -> Manifest:
    """Where a container's variable takes the agent's key from."""
    secret = names.control_secret(agent.metadata.name, agent.metadata.uid)
    return {"valueFrom": {"secretKeyRef": {"name": secret, "key": names.CONTROL_ENTRY}}}
