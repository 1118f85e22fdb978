"""Faults are read in Events, logs and CI: no value of an environment variable is ever in one."""

from collections.abc import Callable
from typing import Any

import pytest

from specs import valid_body
from trireme.admission.check import check, warnings
from trireme.admission.parse import parse_agent
from trireme.errors import Fault, InvalidSpec

SECRET = "hunter2"  # noqa: S105  # the marker that must not be seen
ENV = "spec.server.env"
SIGNED = f"https://models.example/a.onnx?X-Amz-Signature={SECRET}"
TEMPLATE = "spec.server.podTemplate"

PLACES: dict[str, Callable[[str], Any]] = {
    "in a uri": lambda uri: {"uri": uri},
    "in a uri of a scheme that is none": lambda uri: {"uri": f"x{uri}"},
    "in a uri with a space": lambda uri: {"uri": f"{uri} "},
    "in a source that is text": lambda uri: uri,
    "in a source that is a list": lambda uri: [{"uri": uri}],
    "in a misspelt uri": lambda uri: {"url": uri},
    "in an endpoint": lambda uri: {"uri": "s3://models/a/", "endpoint": uri},
}

MISTAKES: dict[str, dict[str, Any]] = {
    "a variable as one text": {ENV: [f"TOKEN={SECRET}"]},
    "all variables as one text": {ENV: f"TOKEN={SECRET}"},
    "variables as a mapping": {ENV: {"TOKEN": SECRET}},
    "a value too many": {ENV: [{"name": "TOKEN", "value": [SECRET]}]},
    "a value that is too long": {ENV: [{"name": "TOKEN", "value": SECRET * 10_000}]},
    "a misspelt value": {ENV: [{"name": "TOKEN", "valeu": SECRET}]},
    "a misspelt env": {"spec.server.environment": [{"name": "TOKEN", "value": SECRET}]},
    "a source of a value that is none": {ENV: [{"name": "TOKEN", "valueFrom": SECRET}]},
    "a name that is none": {ENV: [{"name": "TO KEN", "value": SECRET}]},
    "a value and its source": {ENV: [{"name": "TOKEN", "value": SECRET, "valueFrom": {}}]},
    "a variable given twice": {ENV: [{"name": "TOKEN", "value": SECRET}] * 2},
    "a template in a value": {ENV: [{"name": "TOKEN", "value": f"{SECRET}${{{SECRET}}}"}]},
    "a template in a value of the fetcher's": {
        "spec.download": {"env": [{"name": "HF_TOKEN", "value": f"{SECRET}${{{SECRET}}}"}]}
    },
    "variables of the fetcher as a mapping": {"spec.download": {"env": {"HF_TOKEN": SECRET}}},
    "a variable of the fetcher as one text": {"spec.download": {"env": [f"TOKEN={SECRET}"]}},
    "a value of the fetcher's that is a list": {
        "spec.download": {"env": [{"name": "HF_TOKEN", "value": [SECRET]}]}
    },
    "a download that is text": {"spec.download": f"env: TOKEN={SECRET}"},
    "a size that is a mapping": {"spec.download": {"storage": {"env": {"HF_TOKEN": SECRET}}}},
    "a duration that is a list": {"spec.download": {"timeout": [{"HF_TOKEN": SECRET}]}},
    "a ratio that is a URI": {"spec.optimization": {"maxAccuracyDrop": SIGNED}},
    "a destination that is a list": {"spec.optimization": {"destination": [{"uri": SIGNED}]}},
    "a destination that is text": {"spec.optimization": {"destination": f"uri: {SIGNED}"}},
    "a destination within another": {
        "spec.optimization": {"destination": {"uri": {"uri": SIGNED}}}
    },
    "an optimisation that is a list": {"spec.optimization": [{"destination": {"uri": SIGNED}}]},
    "a choice that is a mapping": {"spec.scaling": {"mode": {"env": {"HF_TOKEN": SECRET}}}},
    "a server that is text": {"spec.server": f"env: TOKEN={SECRET}"},
    "a spec that is a list": {"spec": [{"server": {"env": [{"value": SECRET}]}}]},
    "a source of a value with a field that is none": {
        ENV: [{"name": "TOKEN", "valueFrom": {"value": SECRET}}]
    },
    **{
        f"{name}, {what}": {"spec.models.0.source": source(uri)}
        for name, uri in {
            "a password": f"https://user:{SECRET}@models.example/a.onnx",
            "a user": f"https://{SECRET}@models.example/a/../a.onnx",
            "a signature": f"https://models.example/a.onnx?X-Amz-Signature={SECRET}",
            "a token in capitals": f"https://models.example/../a.onnx?TOKEN={SECRET}",
            "a password and a template": f"https://user:{SECRET}@models.example/${{a}}",
        }.items()
        for what, source in PLACES.items()
    },
    "a pod template that is text": {TEMPLATE: f"env: TOKEN={SECRET}"},
    "a pod that is text": {TEMPLATE: {"spec": f"env: TOKEN={SECRET}"}},
    "a container that is text": {TEMPLATE: {"spec": {"containers": [f"env: TOKEN={SECRET}"]}}},
    "containers that are a mapping": {
        TEMPLATE: {"spec": {"containers": {"env": [{"name": "TOKEN", "value": SECRET}]}}}
    },
    "a container without a name": {
        TEMPLATE: {"spec": {"containers": [{"env": [{"name": "TOKEN", "value": SECRET}]}]}}
    },
    **{
        f"in a template, {name}": {
            TEMPLATE: {"spec": {"containers": [{"name": "triton", **fields}]}}
        }
        for name, fields in {
            "a variable that is computed": {"env": [{"name": "HOME", "value": SECRET}]},
            "a variable without a name": {"env": [{"value": SECRET}]},
            "a variable as one text": {"env": [f"TOKEN={SECRET}"]},
            "all variables as one text": {"env": f"TOKEN={SECRET}"},
            "variables as a mapping": {"env": {"TOKEN": SECRET}},
            "a value that is a list": {"env": [{"name": "TOKEN", "value": [SECRET]}]},
            "a misspelt value": {"env": [{"name": "TOKEN", "valeu": SECRET}]},
            "a misspelt env": {"environment": [{"name": "TOKEN", "value": SECRET}]},
            "a source of a value that is none": {"env": [{"name": "TOKEN", "valueFrom": SECRET}]},
            "a command": {"command": ["sh", "-c", f"TOKEN={SECRET} tritonserver"]},
            "arguments": {"args": [f"--token={SECRET}"]},
            "a directive": {"env": [{"name": "TOKEN", "value": SECRET, "$patch": "replace"}]},
            "a header": {
                "livenessProbe": {
                    "httpGet": {"httpHeaders": [{"name": "Authorization", "value": [SECRET]}]}
                }
            },
        }.items()
    },
    "a volume that is computed": {
        TEMPLATE: {
            "spec": {
                "volumes": [
                    {"name": "temporary", "csi": {"volumeAttributes": {"password": SECRET}}}
                ]
            }
        }
    },
    "an option of a volume's driver": {
        TEMPLATE: {
            "spec": {"volumes": [{"name": "a", "flexVolume": {"options": {"password": [SECRET]}}}]}
        }
    },
}


def faults(edits: dict[str, Any]) -> tuple[Fault, ...]:
    try:
        spec = parse_agent(valid_body(edits)).spec
    except InvalidSpec as error:
        return error.faults
    return (*check(spec), *warnings(spec))


@pytest.mark.parametrize("edits", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_without_the_secret_beside_it(edits: dict[str, Any]) -> None:
    found = faults(edits)
    assert found
    for fault in found:
        assert SECRET not in f"{fault} {fault.value!r}"


def test_a_number_that_may_be_a_secret_is_not_shown() -> None:
    (fault,) = faults({ENV: [{"name": "PIN", "value": 271828}]})
    assert (fault.path, fault.value) == ("spec.server.env[0].value", None)
    assert "271828" not in str(fault)


def test_the_name_of_a_variable_is_no_secret() -> None:
    (fault,) = faults({ENV: [{"name": "TO KEN", "value": "1"}]})
    assert "(received 'TO KEN')" in str(fault)
