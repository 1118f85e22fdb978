"""A decision with all that it was made from, so that it can be made again. Pure.

What an agent is scaled by is `conclude`: a function of its `Inputs` and of nothing else. A `Record`
holds both sides of it; written as one line of JSON it comes back exactly, so that anybody can
compute the decision anew and must find the same (`replay`). The digest of the inputs stands in the
status beside the decision, and tells which record belongs to it.
"""

import json
from dataclasses import dataclass, fields, replace
from hashlib import sha256
from typing import Any

from trireme.api import names
from trireme.api.conditions import Reason
from trireme.autoscaler.arbitration import arbitrated
from trireme.autoscaler.classes import unchanged
from trireme.autoscaler.codec import codec
from trireme.autoscaler.decision import decide, is_free_of
from trireme.autoscaler.types.decision import Decision
from trireme.autoscaler.types.memory import Memory
from trireme.autoscaler.types.observation import Grant, Observation
from trireme.autoscaler.types.policy import Policy
from trireme.autoscaler.values import frozen
from trireme.autoscaler.wording import Words
from trireme.errors import UnreadableRecord

KIND = "trireme.dev/decision"  # tells a record from the other lines of a log
_DIGITS = 16  # of 64: 2^64 inputs are more than any agent sees


@frozen
class Inputs:
    """All that a decision is made from.

    `foreign_writer` is who else has set the Deployment's size, while Trireme scales the agent.
    """

    observation: Observation
    policy: Policy
    memory: Memory
    foreign_writer: str | None = None


@frozen
class Record:
    """A decision of one agent, by one version of Trireme, with its inputs."""

    version: str
    namespace: str
    agent: str
    inputs: Inputs
    decision: Decision

    @property
    def input_digest(self) -> str:
        """The first digits of the SHA-256 of the version and the inputs, in canonical JSON."""
        return _digest(self.version, _json(_INPUTS.write(self.inputs)))


def conclude(inputs: Inputs) -> tuple[Decision, Memory]:
    """The decision that is carried out and told, and what to remember."""
    observation = inputs.observation
    decision, memory = decide(observation, inputs.policy, inputs.memory)
    if inputs.foreign_writer is not None:
        decision = _yielded(decision, inputs.foreign_writer)
    elif observation.knobs:
        decision = arbitrated(decision, observation, inputs.policy, inputs.memory)
    if observation.settings:
        decision = replace(decision, settings=observation.settings)
    return decision, memory


@frozen
class Concluded:
    """Inputs, the decision that they give, and what to remember."""

    inputs: Inputs
    decision: Decision
    memory: Memory

    @classmethod
    def by(cls, inputs: Inputs) -> "Concluded":
        """Decide."""
        return cls(inputs, *conclude(inputs))

    def granted(self, grant: Grant | None) -> "Concluded":
        """With what the agent was granted: decided anew only where that may bind."""
        if grant is None:
            return self
        before = self.inputs
        observation = replace(before.observation, grant=grant)
        inputs = Inputs(observation, before.policy, before.memory, before.foreign_writer)
        if before.foreign_writer is None and is_free_of(grant, self.decision, before.policy):
            return Concluded(inputs, self.decision, self.memory)
        return self.by(inputs)


def _yielded(decision: Decision, writer: str) -> Decision:
    """The decision where somebody else has set the size: nothing is changed, and it is said."""
    return replace(
        decision,
        replicas=decision.current,
        classes=unchanged(decision.classes),
        reason=Reason.FOREIGN_WRITER,
        message=Words(
            f"{writer} set the Deployment to {decision.current} replicas: Trireme steps back. "
            f"To give it back: kubectl trireme resume, or annotate {names.COMMAND}={names.RESUME}"
        ),
    )


# ----------------------------------------------------------------------------------------- lines

_INPUTS = codec(Inputs)
_DECISION = codec(Decision)
_RECORD = codec(Record)


@dataclass(frozen=True, slots=True)
class Written:
    """A record as one line of JSON, in ASCII: nothing in it ends a line. And its digest."""

    line: str
    input_digest: str


@dataclass(frozen=True, slots=True)
class Read:
    """A record as it was read, with the digest that it was written with."""

    record: Record
    input_digest: str


def written(record: Record) -> Written:
    """A record and its digest; the inputs, which are nearly all of it, are written once."""
    inputs = _json(_INPUTS.write(record.inputs))
    digest = _digest(record.version, inputs)
    head = _json(
        {
            "kind": KIND,
            "version": record.version,
            "namespace": record.namespace,
            "agent": record.agent,
            "inputDigest": digest,
            "decision": _DECISION.write(record.decision),
        }
    )
    return Written(f'{head[:-1]},"inputs":{inputs}}}', digest)


def from_line(line: str) -> Read | None:
    """The record of a line; None where the line is something else.

    Raises UnreadableRecord where it is a record, and not one that this version can read.
    """
    told = _object(line)
    if told is None or told.pop("kind", None) != KIND:
        return None
    digest = told.pop("inputDigest", None)
    if not isinstance(digest, str):
        raise UnreadableRecord("it has no inputDigest")
    try:
        return Read(_RECORD.read(told), digest)
    except (ValueError, OverflowError, TypeError) as error:
        writer = told.get("version")
        raise UnreadableRecord(f"{error} (written by version {writer})") from None


def _digest(version: str, inputs: str) -> str:
    """Of the canonical JSON: keys in order, no spaces, the shortest decimals."""
    told = f'{{"inputs":{inputs},"version":{json.dumps(version)}}}'
    return sha256(told.encode()).hexdigest()[:_DIGITS]


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, allow_nan=False)


def _object(line: str) -> dict[str, Any] | None:
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


# ---------------------------------------------------------------------------------------- replay


@dataclass(frozen=True, slots=True)
class Replayed:
    """A record held against the decision that its inputs give now; `input_digest` is the one that
    it was written with.

    `difference` names the first field that differs, None where none does. `is_own` says that this
    version of Trireme wrote it: another one may have decided otherwise, and been right.
    """

    record: Record
    input_digest: str
    difference: str | None
    is_own: bool


def replay(read: Read, version: str) -> Replayed:
    """Compute a past decision anew by this version."""
    record = read.record
    is_own = record.version == version
    if is_own and record.input_digest != read.input_digest:
        changed = _differs("inputDigest", read.input_digest, record.input_digest)
        return Replayed(record, read.input_digest, changed, is_own)
    decision, _ = conclude(record.inputs)
    difference = _first_difference(record.decision, decision)
    return Replayed(record, read.input_digest, difference, is_own)


def _first_difference(recorded: Decision, recomputed: Decision) -> str | None:
    for field in fields(Decision):
        before, now = getattr(recorded, field.name), getattr(recomputed, field.name)
        if before != now:
            return _differs(field.name, before, now)
    return None


def _differs(field: str, recorded: object, recomputed: object) -> str:
    return f"{field}: recorded {_shown(recorded)}, recomputed {_shown(recomputed)}"


def _shown(value: object) -> str:
    return repr(str(value)) if isinstance(value, str | Words) else str(value)
