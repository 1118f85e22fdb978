"""From a spec to a policy: where the in-flight target per pod starts."""

from typing import Any

import pytest

from trireme.api.agent import AgentSpec
from trireme.api.scaling import Behavior, Paused, ScalingMode
from trireme.autoscaler.policy import policy_of
from trireme.autoscaler.types.policy import ObjectivePolicy, Policy
from trireme.autoscaler.types.serving import ServedPipeline, ServedStep, Serving


def model(name: str, **fields: Any) -> dict[str, Any]:
    tensors = [{"name": "x", "dataType": "FP32", "dims": [1]}]
    return {
        "name": name,
        "source": {"configMap": "files"},
        "backend": "python",
        "inputs": tensors,
        "outputs": tensors,
        **fields,
    }


def spec(*models: dict[str, Any], of: str = "m", **fields: Any) -> AgentSpec:
    return AgentSpec.model_validate(
        {
            "server": {"image": "tritonserver:26.08-py3", "gpus": {"count": 2}},
            "models": models,
            "objectives": [{"model": of, "latency": {"target": "100ms"}}],
            **fields,
        }
    )


@pytest.mark.parametrize(
    ("fields", "start"),
    [
        pytest.param({}, 2.0, id="one instance on each GPU without batches"),
        pytest.param({"maxBatchSize": 8}, 16.0, id="one instance on each GPU with batches"),
        pytest.param(
            {"maxBatchSize": 8, "instances": [{"kind": "CPU", "count": 2}, {"kind": "Model"}]},
            24.0,
            id="instances times batch, over all groups",
        ),
        pytest.param(
            {"instances": [{"kind": "GPU", "count": 3}]},
            6.0,
            id="kind GPU counts per GPU of the pod",
        ),
        pytest.param(
            {"instances": [{"kind": "GPU", "count": 3, "gpus": [1]}]}, 3.0, id="or per GPU named"
        ),
    ],
)
def test_a_model_starts_at_what_one_pod_executes_at_once(
    fields: dict[str, Any], start: float
) -> None:
    (objective,) = policy_of(spec(model("m", **fields))).objectives
    assert (objective.start_in_flight_per_pod, objective.fixed_target) == (start, False)


def test_a_pipeline_starts_at_its_widest_step_and_then_at_the_slowest() -> None:
    tensors = [{"name": "x", "dataType": "FP32", "dims": [1]}]
    step = {"inputs": {"x": "x"}, "outputs": {"x": "x"}}
    agent = spec(
        model("encoder", maxBatchSize=16),
        model("policy", maxBatchSize=2, instances=[{"kind": "CPU", "count": 2}]),
        model("unused"),
        pipelines=[
            {
                "name": "agent",
                "inputs": tensors,
                "outputs": tensors,
                "steps": [{"model": "encoder", **step}, {"model": "policy", **step}],
            }
        ],
        of="agent",
    )
    (objective,) = policy_of(agent).objectives
    starts = {
        slowest: objective.fitted_to(slowest).start_in_flight_per_pod
        for slowest in (None, "encoder", "policy")
    }
    assert starts == {None: 32.0, "encoder": 32.0, "policy": 4.0}


def line(name: str, *models: str) -> dict[str, Any]:
    """A pipeline of steps one after another."""
    tensors = [{"name": "t0", "dataType": "FP32", "dims": [1]}]
    steps = [
        {"model": model, "inputs": {"x": f"t{at}"}, "outputs": {"x": f"t{at + 1}"}}
        for at, model in enumerate(models)
    ]
    return {"name": name, "inputs": tensors, "outputs": tensors, "steps": steps}


def test_a_pipeline_is_served_by_its_steps() -> None:
    agent = spec(
        model("encoder", maxBatchSize=16, batching={"dynamic": {}}),
        model("policy", instances=[{"kind": "CPU", "count": 3}]),
        pipelines=[line("inner", "policy", "policy"), line("agent", "encoder", "inner")],
        of="agent",
    )
    (objective,) = policy_of(agent).objectives
    assert objective.serving == ServedPipeline(
        (
            ServedStep("encoder", Serving(2, 16)),
            ServedStep("policy", Serving(3, 1), (0,)),
            ServedStep("policy", Serving(3, 1), (1,)),
        )
    )
    assert objective.served_models == {"encoder": Serving(2, 16), "policy": Serving(3, 1)}
    assert objective.start_in_flight_per_pod == 32.0


def test_a_pipeline_with_a_step_that_no_queue_is_known_of_is_not_asked() -> None:
    models = (model("encoder"), model("policy", decoupled=True))
    agent = spec(*models, pipelines=[line("agent", "encoder", "policy")], of="agent")
    (objective,) = policy_of(agent).objectives
    assert (objective.serving, objective.served_models) == (None, {})


def test_the_slowest_step_does_not_move_a_target_that_the_user_set() -> None:
    fixed = ObjectivePolicy("m", 95, 0.1, 0.001, 3.0, fixed_target=True, start_of_step={"s": 8.0})
    assert fixed.fitted_to("s") == fixed


def test_the_users_own_target_is_taken_as_it_is() -> None:
    agent = spec(model("m", maxBatchSize=8), scaling={"target": {"inFlight": 2.5}})
    (objective,) = policy_of(agent).objectives
    assert (objective.start_in_flight_per_pod, objective.fixed_target) == (2.5, True)


def test_everything_else_is_read_from_the_spec() -> None:
    agent = spec(
        model("m", instances=[{"kind": "CPU"}]),
        objectives=[
            {
                "model": "m",
                "latency": {"percentile": 99, "target": "250ms"},
                "errors": {"maxRatio": "2%"},
            }
        ],
        scaling={"mode": "Shadow", "min": 2, "max": 7, "tolerance": "5%", "paused": "ScaleIn"},
        replicas=3,
    )
    assert policy_of(agent) == Policy(
        mode=ScalingMode.SHADOW,
        replicas=3,
        min_replicas=2,
        max_replicas=7,
        tolerance=0.05,
        behavior=Behavior(),
        paused=Paused.SCALE_IN,
        objectives=(
            ObjectivePolicy(
                "m", 99, 0.25, 0.02, 1.0, fixed_target=False, serving=Serving(1, 1), gateways=2
            ),
        ),
    )


SINGLE = model("m", instances=[{"kind": "CPU"}])


@pytest.mark.parametrize(
    ("agent", "gateways"),
    [
        pytest.param(spec(SINGLE), 2, id="as many as there are, two unless said"),
        pytest.param(spec(SINGLE, gateway={"replicas": 3}), 3, id="as many as the spec says"),
        pytest.param(spec(SINGLE, gateway={"enabled": False}), 0, id="none without a gateway"),
        pytest.param(spec(model("m")), 0, id="none that it is known of, with two instances a pod"),
        pytest.param(spec(SINGLE, model("n")), 0, id="none by this model's requests, of several"),
        pytest.param(spec(SINGLE, pipelines=[line("p", "m")]), 0, id="nor with a pipeline"),
        pytest.param(
            spec(
                SINGLE,
                server={
                    "image": "tritonserver:26.08-py3",
                    "nodeClasses": [{"name": "a", "price": 1.0}, {"name": "b", "price": 2.0}],
                },
            ),
            0,
            id="none of two, with node classes",
        ),
        pytest.param(
            spec(SINGLE, scaling={"target": {"inFlight": 2.5}}),
            0,
            id="nobody asks where the user said the target",
        ),
    ],
)
def test_which_gateways_choose_between_pods(agent: AgentSpec, gateways: int) -> None:
    assert policy_of(agent).objectives[0].gateways == gateways


def batching(**dynamic: Any) -> dict[str, Any]:
    return {"maxBatchSize": 8, "batching": {"dynamic": dynamic}}


@pytest.mark.parametrize(
    ("fields", "serving"),
    [
        pytest.param({"maxBatchSize": 8}, Serving(2, 1), id="without a batcher, one by one"),
        pytest.param(
            batching(queue={"timeout": "50ms"}), Serving(2, 8, 0.05), id="with a time-out"
        ),
        pytest.param(
            {
                "maxBatchSize": 8,
                "config": {
                    "dynamic_batching": {
                        "default_queue_policy": {"default_timeout_microseconds": "50000"}
                    }
                },
            },
            Serving(2, 8, 0.05),
            id="that Triton's own field says",
        ),
        pytest.param(
            batching(queue={"timeout": "50ms", "timeoutAction": "Delay"}),
            None,
            id="those that waited for long are put behind the others",
        ),
        pytest.param(batching(priorityLevels=1), Serving(2, 8), id="one priority is none"),
        pytest.param(
            batching(priorityLevels=2),
            Serving(2, 8, has_priorities=True),
            id="some overtake others",
        ),
        pytest.param(
            {"maxBatchSize": 8, "config": {"dynamic_batching": {"priority_levels": 2}}},
            Serving(2, 8, has_priorities=True),
            id="or so by Triton's own field",
        ),
        pytest.param(
            {"maxBatchSize": 8, "batching": {"dynamic": {}}}, Serving(2, 8), id="in batches"
        ),
        pytest.param(
            {
                "maxBatchSize": 2**31 - 1,
                "batching": {"dynamic": {}},
                "instances": [{"kind": "CPU", "count": 2**12}],
            },
            Serving(2**10, 2**14),
            id="as many as are reckoned with",
        ),
        pytest.param(
            {"maxBatchSize": 8, "config": {"dynamic_batching": {}}},
            Serving(2, 8),
            id="in batches, as Triton's own field says",
        ),
        pytest.param(
            {"batching": {"dynamic": {}}}, Serving(2, 1), id="there is no batch of what has none"
        ),
        pytest.param({"batching": {"sequence": {}}}, None, id="sequences keep to an instance"),
        pytest.param({"config": {"sequence_batching": {}}}, None, id="in Triton's own field too"),
        pytest.param({"decoupled": True}, None, id="several answers to a request"),
    ],
)
def test_how_a_pod_serves_a_model(fields: dict[str, Any], serving: Serving | None) -> None:
    (objective,) = policy_of(spec(model("m", **fields))).objectives
    assert objective.serving == serving
    told = spec(model("m", **fields), scaling={"target": {"inFlight": 2.5}})
    assert policy_of(told).objectives[0].serving is None, "nobody asks where the user said it"
