"""Faults of spec.server: its release, its flags, its environment. Pure."""

import re
from collections.abc import Iterator

from trireme.admission.places import models
from trireme.api.agent import AgentSpec
from trireme.api.flags import RESERVED, RESERVED_VARIABLES, flag_name
from trireme.api.gateway import Gateway
from trireme.api.releases import Feature, release_of, supports, tag_release
from trireme.errors import Fault
from trireme.modelrepo.backends import backend_of

_COUNTERS_OFF = re.compile(r"metrics-config[= ]counter_latencies=(false|0)")
_NGC_IMAGE = re.compile(r"nvcr\.io/nvidia/tritonserver:[0-9.]+-(?P<flavour>[^@]+)")

_BACKENDS_OF_FLAVOUR = {
    "vllm-python-py3": {"python", "vllm"},
    "trtllm-python-py3": {"python", "tensorrtllm"},
    "pyt-python-py3": {"python", "pytorch"},
    "tf2-python-py3": {"python", "tensorflow"},
    "py3-min": set[str](),
    "py3-sdk": set[str](),
}
"""Backends in NVIDIA's smaller images, by the end of the tag (NGC catalogue, release notes)."""


def image_holds_whitespace(spec: AgentSpec) -> Iterator[Fault]:
    """Often a line break or a trailing blank from a template."""
    images = {"spec.server.image": spec.server.image, "spec.gateway.image": spec.gateway.image}
    for path, image in images.items():
        if re.search(r"\s", image):
            yield Fault(path, image, f"{image!r} holds whitespace", "Remove it")


def release_is_unknown(spec: AgentSpec) -> Iterator[Fault]:
    """Flags, metrics and defaults differ between releases, so Trireme does not guess."""
    if release_of(spec.server) is None:
        yield Fault(
            "spec.server.release",
            None,
            f"the tag of {spec.server.image} does not begin with a Triton release, and none is "
            "given",
            'Set it to the release the image holds, such as "26.08"',
        )


def release_contradicts_tag(spec: AgentSpec) -> Iterator[Fault]:
    """One of the two is a leftover."""
    tagged = tag_release(spec.server.image)
    release = release_of(spec.server)
    if tagged is not None and release is not None and release != tagged:
        yield Fault(
            "spec.server.release",
            spec.server.release,
            f"release {release} contradicts the image's tag, which says {tagged}",
            "Remove release, or correct the image",
        )


def argument_is_no_flag(spec: AgentSpec) -> Iterator[Fault]:
    """One item is one argument of the process: a flag and its value belong together."""
    for index, argument in enumerate(spec.server.args):
        if not re.fullmatch(r"--[A-Za-z][^\s=]*(=.*)?", argument, flags=re.DOTALL):
            yield Fault(
                f"spec.server.args[{index}]",
                argument,
                f"{argument!r} is not of the form --flag=value",
                "Write the flag and its value as one item, joined by =",
            )


def flag_belongs_to_trireme(spec: AgentSpec) -> Iterator[Fault]:
    """Triton takes any unambiguous beginning of a flag, so beginnings are refused too."""
    for index, argument in enumerate(spec.server.args):
        path, name = f"spec.server.args[{index}]", flag_name(argument)
        reserved = next((flag for flag in RESERVED if name and flag.startswith(name)), None)
        if _COUNTERS_OFF.search(argument):
            yield Fault(
                path,
                argument,
                "counter_latencies=false sets every counter of Triton to zero, those of requests "
                "and failures too, and scaling would see an idle server",
                "Remove it",
            )
        elif reserved is not None:
            yield Fault(path, argument, f"--{reserved} is Trireme's own", RESERVED[reserved])


def variable_belongs_to_trireme(spec: AgentSpec) -> Iterator[Fault]:
    """They decide who may load models into the server."""
    for index, variable in enumerate(spec.server.env):
        if variable.name in RESERVED_VARIABLES:
            yield Fault(
                f"spec.server.env[{index}]",
                variable.name,
                f"variable {variable.name} is Trireme's own",
                RESERVED_VARIABLES[variable.name],
            )


def variable_has_not_one_value(spec: AgentSpec) -> Iterator[Fault]:
    """Kubernetes refuses both; neither is an empty value nobody asked for."""
    for index, variable in enumerate(spec.server.env):
        if (variable.value is None) == (variable.value_from is None):
            both = "both value and valueFrom" if variable.value is not None else "no value"
            yield Fault(
                f"spec.server.env[{index}]",
                variable.name,
                f"variable {variable.name} has {both}",
                "Set exactly one of value and valueFrom",
            )


def backend_is_not_in_image(spec: AgentSpec) -> Iterator[Fault]:
    """A warning: NVIDIA's smaller images hold few backends, but an image may have been rebuilt."""
    image = _NGC_IMAGE.match(spec.server.image)
    backends = _BACKENDS_OF_FLAVOUR.get(image["flavour"]) if image else None
    if backends is None:
        return
    for path, model in models(spec):
        backend = backend_of(model)
        if backend and backend not in backends:
            yield Fault(
                f"{path}.backend",
                backend,
                f"image {spec.server.image} holds no backend {backend}",
                "Use the image whose tag ends in -py3",
            )


def control_stays_open(spec: AgentSpec) -> Iterator[Fault]:
    """A warning: earlier releases know no key, and whoever may load a model runs code."""
    release = release_of(spec.server)
    if release is not None and not supports(release, Feature.HTTP_RESTRICTION):
        yield Fault(
            "spec.server.release",
            str(release),
            f"Triton {release} lets whoever reaches a pod load models, which is to run code in it",
            f"Use Triton {Feature.HTTP_RESTRICTION.first} or later, or a NetworkPolicy",
        )


def percentile_is_not_measured(spec: AgentSpec) -> Iterator[Fault]:
    """A warning: without a gateway only newer servers have a latency histogram."""
    release = release_of(spec.server)
    if spec.gateway.enabled or supports(release, Feature.LATENCY_HISTOGRAM):
        return
    for index, objective in enumerate(spec.objectives):
        yield Fault(
            f"spec.objectives[{index}].latency.percentile",
            objective.latency.percentile,
            f"Triton {release or 'of unknown release'} has no latency histogram and there is no "
            "gateway, so the percentile is estimated from the pods' own summaries",
            f"Enable the gateway, or use Triton {Feature.LATENCY_HISTOGRAM.first} or later",
        )


def gateway_is_not_there(spec: AgentSpec) -> Iterator[Fault]:
    """What is set of a gateway that this agent does not have."""
    if spec.gateway.enabled:
        return
    unset = Gateway()
    for name, field in Gateway.model_fields.items():
        if name != "enabled" and getattr(spec.gateway, name) != getattr(unset, name):
            yield Fault(
                f"spec.gateway.{field.alias}",
                None,
                f"{field.alias} has no effect without a gateway",
                "Set gateway.enabled to true, or remove it",
            )
