"""What of a config.pbtxt cannot become a spec is said, with its field."""

import pytest

from trireme.modelrepo.read import UnreadableConfig, parse_config, read_pipeline

STEP_WITHOUT_INPUTS = """
name: "line"
platform: "ensemble"
input [{ name: "a" data_type: TYPE_FP32 dims: [1] }]
output [{ name: "b" data_type: TYPE_FP32 dims: [1] }]
ensemble_scheduling {
  step [{ model_name: "double" model_version: -1 output_map { key: "y" value: "b" } }]
}
"""


def test_a_step_that_takes_nothing_makes_an_ensemble_unreadable() -> None:
    with pytest.raises(UnreadableConfig, match="steps: Field required"):
        read_pipeline(parse_config(STEP_WITHOUT_INPUTS), "line")
