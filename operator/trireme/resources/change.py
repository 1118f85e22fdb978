"""What an edit of an agent will do to its pods, known before it is applied. Pure.

It is not told by a list of fields: each part that differs is tried by itself, and what `resources`
then makes of the agent says what the part does.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from trireme.api.agent import AgentDeployment, AgentSpec
from trireme.api.node_classes import with_terms
from trireme.api.schema import ApiModel
from trireme.modelrepo.change import differences
from trireme.modelrepo.repository import Repository
from trireme.resources import gateway
from trireme.resources.envoy import configuration_text
from trireme.resources.metadata import Manifest
from trireme.resources.options import ResourceOptions
from trireme.resources.pod_sets import pod_sets
from trireme.resources.server import pod_template

_OF_THE_REPOSITORY = frozenset({"models", "pipelines"})
_NAMED = 5  # parts in a sentence; the others are counted


class Effect(IntEnum):
    """What becomes of the pods, the least first."""

    NONE = 0  # nothing differs
    NO_POD = 1  # it is taken over without touching a pod: scaling, objectives
    IN_PLACE = 2  # the server pods stay, and change what they run
    GATEWAY = 3  # the gateway's pods are replaced, the servers stay
    ROLLOUT = 4  # the server pods are replaced


class Running(NamedTuple):
    """An accepted agent with its repository."""

    agent: AgentDeployment
    repository: Repository


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a spec that differs, and what it does by itself."""

    path: str
    effect: Effect


@dataclass(frozen=True, slots=True)
class Change:
    """All that differs between two states of one agent."""

    parts: tuple[Part, ...]

    @property
    def effect(self) -> Effect:
        """What all parts together do: as much as the one that does most. What would change in place
        by itself is part of the rollout where there is one.
        """
        return max((part.effect for part in self.parts), default=Effect.NONE)

    def named(self, effect: Effect) -> str:
        """The parts of one effect in words: `server.image, server.args`; empty where none has."""
        paths = [part.path for part in self.parts if part.effect is effect]
        more = len(paths) - _NAMED
        return ", ".join(paths[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def change(before: Running, after: Running, options: ResourceOptions) -> Change:
    """What differs, of the same agent (its name and uid do not count), models first."""
    return Change(
        (*_repository_parts(before, after, options), *_spec_parts(before, after, options))
    )


def keeping_pods(
    before: Running,
    after: Running,
    options: ResourceOptions,
    effects: Collection[Effect] = (Effect.ROLLOUT,),
) -> AgentSpec:
    """The spec of `after`, with all that would replace pods, or has another of these effects, as it
    was before: each of its top-level fields as a whole, since the parts of one fit each other, and
    models and pipelines together. Only what node classes cost and how many they may have is of no
    other part.
    """
    replacing = {
        re.split(r"[.\[]", part.path)[0]
        for part in change(before, after, options).parts
        if part.effect in effects
    }
    if replacing & _OF_THE_REPOSITORY:
        replacing |= _OF_THE_REPOSITORY
    kept = {
        name: getattr(before.agent.spec, name)
        for name, field in AgentSpec.model_fields.items()
        if (field.alias or name) in replacing
    }
    if "server" in kept:
        kept["server"] = with_terms(before.agent.spec.server, after.agent.spec.server)
    return after.agent.spec.model_copy(update=kept)


def _repository_parts(before: Running, after: Running, options: ResourceOptions) -> Iterator[Part]:
    found = differences(before.repository, after.repository)
    models, pipelines = after.agent.spec.models, after.agent.spec.pipelines
    spec = before.agent.spec.model_copy(update={"models": models, "pipelines": pipelines})
    if spec == before.agent.spec and not found:
        return
    by_itself = _effect(before, spec, options)  # without what differs in the repository
    if not found:
        yield Part("models", by_itself)  # such as another name of a ConfigMap
    for difference in found:
        # More instances may need more time to end than the pods are given.
        in_place = difference.live and by_itself is not Effect.ROLLOUT
        yield Part(difference.path, Effect.IN_PLACE if in_place else Effect.ROLLOUT)


def _spec_parts(before: Running, after: Running, options: ResourceOptions) -> Iterator[Part]:
    old, new = before.agent.spec, after.agent.spec
    for name, field in AgentSpec.model_fields.items():
        if name in ("models", "pipelines") or getattr(old, name) == getattr(new, name):
            continue
        path = field.alias or name
        one, other = getattr(old, name), getattr(new, name)
        if not isinstance(one, ApiModel) or not isinstance(other, ApiModel):  # new, or gone
            yield Part(path, _effect(before, old.model_copy(update={name: other}), options))
            continue
        for part, its_field in type(one).model_fields.items():
            if getattr(one, part) != getattr(other, part):
                value = one.model_copy(update={part: getattr(other, part)})
                spec = old.model_copy(update={name: value})
                yield Part(f"{path}.{its_field.alias or part}", _effect(before, spec, options))


def _effect(before: Running, spec: AgentSpec, options: ResourceOptions) -> Effect:
    """What a spec does in place of the one before, with the repository as it is."""
    after = Running(before.agent.model_copy(update={"spec": spec}), before.repository)
    old, new = _server_templates(before, options), _server_templates(after, options)
    stays = old.keys() & new.keys()  # pods of a class that comes or goes are no rollout of others
    if not stays or any(old[name] != new[name] for name in stays):
        return Effect.ROLLOUT
    if _gateway_template(before.agent, options) != _gateway_template(after.agent, options):
        return Effect.GATEWAY
    return Effect.NO_POD


def _server_templates(running: Running, options: ResourceOptions) -> dict[str, Manifest]:
    return {
        pods.name: pod_template(pods, running.repository, options)
        for pods in pod_sets(running.agent)
    }


def _gateway_template(agent: AgentDeployment, options: ResourceOptions) -> Manifest | None:
    if not agent.spec.gateway.enabled:
        return None
    return gateway.pod_template(agent, options, configuration_text(agent, options))
