"""A container's environment variables. Pure."""

from trireme.api.server import EnvVar
from trireme.resources.metadata import Manifest


def variable_value(variable: EnvVar) -> Manifest:
    """What a variable of the spec is, without its name: a value, or where it comes from."""
    given = {"value": variable.value, "valueFrom": variable.value_from}
    return {key: value for key, value in given.items() if value is not None}
