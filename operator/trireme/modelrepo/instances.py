"""The instances of a model in one pod: which groups its configuration has, and how many that is.

Pure. One rule for all who need it: what config.pbtxt says, where the autoscaler starts, how long a
pod is given to end.
"""

from collections.abc import Sequence

from trireme.api.models import Model
from trireme.api.server import Server
from trireme.modelrepo.backends import PLATFORMS, backend_of
from trireme.modelrepo.fields import INSTANCES
from trireme.modelrepo.proto import ModelConfig, json_format
from trireme.modelrepo.proto import model_config_pb2 as pb

_FIELD = "instance_group"  # what `config` may hold in place of `instances`
_GPU, _CPU = pb.ModelInstanceGroup.KIND_GPU, pb.ModelInstanceGroup.KIND_CPU
_TWO_ON_CPU = ("onnxruntime", "tensorflow")  # of a group without a count


def instances_per_pod(model: Model, server: Server) -> int:
    """How many instances of each version of a model one pod runs, as Triton counts them.

    A group on GPUs counts once for each GPU it lists, or for each of the pod. AUTO is GPU where the
    pod has any, and so is a model without groups. 2 on each of 4 GPUs and 1 on CPU are 9; nothing
    said, on 4 GPUs, are 4. Source: NormalizeInstanceGroup in Triton's model_config_utils.cc.

    Raises json_format.ParseError where `config` holds no instance groups in their place.
    """
    groups = _groups(model) or [pb.ModelInstanceGroup()]
    backend = backend_of(model)
    return sum(_instances(group, backend, server.gpus.count) for group in groups)


def _groups(model: Model) -> Sequence[pb.ModelInstanceGroup]:
    config = ModelConfig()
    json_format.ParseDict({_FIELD: model.config.get(_FIELD, [])}, config)
    for group in model.instances:
        INSTANCES.write(group, config.instance_group.add())
    groups: Sequence[pb.ModelInstanceGroup] = config.instance_group
    return groups


def runs(wanted: ModelConfig, answered: ModelConfig) -> bool:
    """Whether a server that answers with a configuration runs the instances that were asked for.

    Triton fills in what was left to it: groups where there are none, names, counts, the kind that
    Auto stands for, the GPUs that it sees. What was said must be what is answered.
    """
    groups: Sequence[pb.ModelInstanceGroup] = wanted.instance_group or [pb.ModelInstanceGroup()]
    backend = answered.backend or PLATFORMS.get(answered.platform, "")
    return len(groups) == len(answered.instance_group) and all(
        _agrees(group, found, backend)
        for group, found in zip(groups, answered.instance_group, strict=True)
    )


def _agrees(wanted: pb.ModelInstanceGroup, answered: pb.ModelInstanceGroup, backend: str) -> bool:
    said = {field.name: value for field, value in wanted.ListFields()}
    said.setdefault("count", _unsaid_count(answered.kind, backend))
    if wanted.kind == pb.ModelInstanceGroup.KIND_AUTO:
        said.pop("kind", None)
    return all(getattr(answered, name) == value for name, value in said.items())


def _instances(group: pb.ModelInstanceGroup, backend: str, gpus: int) -> int:
    automatic = _GPU if gpus else _CPU
    kind = automatic if group.kind == pb.ModelInstanceGroup.KIND_AUTO else group.kind
    places = (len(group.gpus) or max(1, gpus)) if kind == _GPU else 1
    return (group.count or _unsaid_count(kind, backend)) * places


def _unsaid_count(kind: int, backend: str) -> int:
    return 2 if kind == _CPU and backend in _TWO_ON_CPU else 1
