"""Whatever spec is valid renders into configurations that Triton's own protobuf parses."""

import copy
from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from strategies import few, sources, spec_bodies, specs
from trireme.admission.check import check
from trireme.api.agent import AgentSpec
from trireme.modelrepo.proto import ModelConfig, text_format
from trireme.modelrepo.render import config_text, render


@few
@given(specs)
def test_a_generated_spec_is_accepted(spec: AgentSpec) -> None:
    assert check(spec) == ()


@few
@given(specs, sources)
def test_every_configuration_parses_and_has_its_directory(
    spec: AgentSpec, content: Mapping[str, Mapping[str, bytes]]
) -> None:
    repository = render(spec, content)
    assert [each.name for each in repository.models] == [
        *(model.name for model in spec.models),
        *(pipeline.name for pipeline in spec.pipelines),
    ]
    for directory in repository.models:
        text = config_text(directory.config)
        assert text_format.Parse(text, ModelConfig()) == directory.config
        assert directory.config.name == directory.name
        assert text.count("\nmax_batch_size: ") == 1 or text.startswith("max_batch_size: 0\n")
        folders = {path.partition("/")[0] for path in directory.files}
        assert not folders & {str(version) for version in directory.mounts}


def shuffled(value: Any, random: Any) -> Any:
    """The same value, its mappings filled in another order."""
    if isinstance(value, dict):
        items = [(key, shuffled(each, random)) for key, each in value.items()]
        random.shuffle(items)
        return dict(items)
    return [shuffled(each, random) for each in value] if isinstance(value, list) else value


@few
@given(spec_bodies(), sources, st.randoms(use_true_random=False))
def test_rendering_does_not_depend_on_the_order_of_mappings(
    body: dict[str, Any], content: Mapping[str, Mapping[str, bytes]], random: Any
) -> None:
    spec = AgentSpec.model_validate(body)
    other = AgentSpec.model_validate(shuffled(copy.deepcopy(body), random))
    one, two = render(spec, content), render(other, shuffled(content, random))
    assert one == two
    assert [config_text(m.config) for m in one.models] == [
        config_text(m.config) for m in two.models
    ]
