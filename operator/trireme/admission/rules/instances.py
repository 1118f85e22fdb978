"""Faults of a model's instances: where they run, and what they need to execute. Pure.

The rules are those of ValidateInstanceGroup in Triton's model_config_utils.cc, and of its rate
limiter.
"""

import re
from collections.abc import Iterator

from trireme.admission.places import models
from trireme.api.agent import AgentSpec
from trireme.api.flags import flag_name
from trireme.api.instances import InstanceGroup, InstanceKind
from trireme.api.models import Model
from trireme.errors import Fault
from trireme.modelrepo.backends import backend_of

_GPU_BACKENDS = frozenset({"tensorrt", "tensorrtllm"})


def _groups(spec: AgentSpec) -> Iterator[tuple[str, Model, InstanceGroup]]:
    for path, model in models(spec):
        for index, group in enumerate(model.instances):
            yield f"{path}.instances[{index}]", model, group


def backend_needs_a_gpu(spec: AgentSpec) -> Iterator[Fault]:
    """TensorRT engines run on nothing else."""
    if spec.server.gpus.count:
        return
    for path, model in models(spec):
        backend = backend_of(model)
        if backend in _GPU_BACKENDS:
            yield Fault(
                f"{path}.backend",
                backend,
                f"backend {backend} runs on GPUs only, and spec.server.gpus.count is 0",
                "Give the server GPUs, or use another backend",
            )


def instances_need_a_gpu(spec: AgentSpec) -> Iterator[Fault]:
    """Kind GPU in a pod that asks for none."""
    for path, _, group in _groups(spec):
        if group.kind is InstanceKind.GPU and spec.server.gpus.count == 0:
            yield Fault(
                f"{path}.kind",
                group.kind,
                "instances of kind GPU in pods without one: spec.server.gpus.count is 0",
                "Use kind CPU, or give the server GPUs",
            )


def gpu_index_does_not_exist(spec: AgentSpec) -> Iterator[Fault]:
    """Indices are the container's own, whatever the node's are."""
    count = spec.server.gpus.count
    for path, _, group in _groups(spec):
        if any(gpu >= count for gpu in group.gpus):
            they = f"below {count}" if count else "none"
            yield Fault(
                f"{path}.gpus",
                group.gpus,
                f"GPU indices are the container's own: with spec.server.gpus.count {count} "
                f"they are {they}",
                "Leave gpus out to use them all, or correct the indices",
            )


def gpus_are_listed_for_another_kind(spec: AgentSpec) -> Iterator[Fault]:
    """Triton refuses them for CPU and MODEL."""
    for path, _, group in _groups(spec):
        if group.gpus and group.kind in (InstanceKind.CPU, InstanceKind.MODEL):
            yield Fault(
                f"{path}.gpus",
                group.gpus,
                f"instances of kind {group.kind} take no GPU indices",
                "Remove gpus, or use kind GPU",
            )


def profile_is_not_of_tensorrt(spec: AgentSpec) -> Iterator[Fault]:
    """Other backends have none."""
    for path, model, group in _groups(spec):
        backend = backend_of(model)
        if group.profiles and backend not in ("tensorrt", ""):
            yield Fault(
                f"{path}.profiles",
                group.profiles,
                f"backend {backend} has no optimisation profiles: they are TensorRT's",
                "Remove profiles",
            )


def profile_is_no_index(spec: AgentSpec) -> Iterator[Fault]:
    """Triton names profiles by their index in the engine."""
    for path, _, group in _groups(spec):
        for at, profile in enumerate(group.profiles):
            if not re.fullmatch(r"[0-9]{1,9}", profile):
                yield Fault(
                    f"{path}.profiles[{at}]",
                    profile,
                    f"profile {profile} is no index",
                    "Write the profile's index in the engine, such as 0, in quotes",
                )


def resource_is_both_global_and_not(spec: AgentSpec) -> Iterator[Fault]:
    """One name is shared by all devices, or each has its own."""
    first: dict[str, tuple[bool, str]] = {}
    for path, _, group in _groups(spec):
        resources = group.rate_limiter.resources if group.rate_limiter else []
        for at, resource in enumerate(resources):
            place = f"{path}.rateLimiter.resources[{at}].global"
            is_global, where = first.setdefault(resource.name, (resource.global_, place))
            if is_global is not resource.global_:
                yield Fault(
                    place,
                    resource.global_,
                    f"resource {resource.name} is {_shared(resource.global_)} here, and "
                    f"{_shared(is_global)} at {where}",
                    "Say the same of both, or give them two names",
                )


def _shared(is_global: bool) -> str:
    return "shared by all devices" if is_global else "each device's own"


# ------------------------------------------------------------------------------------- warnings


def no_instance_takes_requests(spec: AgentSpec) -> Iterator[Fault]:
    """Passive instances are loaded and given none: requests would wait for ever."""
    for path, model in models(spec):
        if model.instances and all(group.passive for group in model.instances):
            yield Fault(
                f"{path}.instances",
                None,
                f"all instances of model {model.name} are passive, so that none answers",
                "Remove passive from one group",
            )


def host_policy_is_unknown(spec: AgentSpec) -> Iterator[Fault]:
    """Triton passes over it without a word."""
    flags = [argument for argument in spec.server.args if flag_name(argument) == "host-policy"]
    known = {argument.partition("=")[2].partition(",")[0] for argument in flags}
    for path, _, group in _groups(spec):
        if group.host_policy is not None and group.host_policy not in known:
            yield Fault(
                f"{path}.hostPolicy",
                group.host_policy,
                f"no --host-policy of spec.server.args is named {group.host_policy}",
                f"Add --host-policy={group.host_policy},SETTING=VALUE to spec.server.args",
            )


def rate_limits_are_switched_off(spec: AgentSpec) -> Iterator[Fault]:
    """A flag of the user's stands."""
    if not any(
        flag_name(argument) == "rate-limit" and argument.endswith("=off")
        for argument in spec.server.args
    ):
        return
    for path, _, group in _groups(spec):
        if group.rate_limiter is not None:
            yield Fault(
                f"{path}.rateLimiter",
                None,
                "rateLimiter has no effect with --rate-limit=off in spec.server.args",
                "Remove one of the two",
            )
