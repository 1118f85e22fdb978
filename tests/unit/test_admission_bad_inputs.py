"""Mistakes that users of Triton and of its operators made in public, and what they read here.

Each row is a class of mistake with the issue it was seen in; the words are what names the mistake
and its remedy. `CLASSES` lists all 56 classes with what tests each: rows of the tables here, and
tests elsewhere of what only a server, a cluster or a decision can show. What a real Triton says
where nobody refuses them first is in `integration.test_triton_bad_inputs`.
"""

from pathlib import Path
from typing import Any

import pytest

from specs import REMOVED, valid_body
from trireme.admission.check import check, warnings
from trireme.admission.examine import examine
from trireme.admission.parse import parse_agent
from trireme.errors import InvalidSpec
from trireme.modelrepo.render import render

PYTHON = {"model.py": b"class TritonPythonModel:\n    def execute(self, requests): ...\n"}
SOURCES = {"encoder-files": PYTHON, "scorer-files": PYTHON}
MODEL = "spec.models.0"
PIPELINE = "spec.pipelines.0"

REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "malformed configuration (server#2688)": (
        {f"{MODEL}.config": {"instance_group": [{"count": "1 3"}]}},
        "spec.models[0].config.instance_group[0].count",
        'integer: "1 3"',
    ),
    "unfilled template inside a string (tensorrtllm_backend#526)": (
        {f"{MODEL}.config": {"parameters": {"backend": {"string_value": "${triton_backend}"}}}},
        "spec.models[0].config.parameters.backend.string_value",
        "${triton_backend} was not filled in",
    ),
    "no backend, and a file that says none to Triton (server#7336)": (
        {f"{MODEL}.backend": REMOVED, f"{MODEL}.source": {"uri": "s3://models/diabetes.onnx"}},
        "spec.models[0].backend",
        "Add it: onnxruntime",
    ),
    "runtime outside the backend directory (qa/L0_model_config)": (
        {f"{MODEL}.config": {"runtime": "../dummy_runtime/libtriton_identity.so"}},
        "spec.models[0].config.runtime",
        "leaves its directory",
    ),
    "GPU 1 where the container sees GPU 0 (server#2584)": (
        {"spec.server.gpus.count": 1, f"{MODEL}.instances": [{"kind": "GPU", "gpus": [1]}]},
        "spec.models[0].instances[0].gpus",
        "the container's own",
    ),
    "instances, optimization and warm-up of an ensemble, in config (qa/L0_model_config)": (
        {
            f"{PIPELINE}.config": {
                "instance_group": [{"count": 2}],
                "optimization": {"cuda": {"graphs": True}},
                "model_warmup": [{"name": "a"}],
            }
        },
        "spec.pipelines[0].config.optimization",
        "Triton refuses optimization for an ensemble",
    ),
    "instances on an ensemble (qa/L0_model_config)": (
        {f"{PIPELINE}.instances": [{"count": 2}]},
        "spec.pipelines[0].instances",
        "there is no such field",
    ),
    "warm-up of an ensemble (qa/L0_model_config)": (
        {f"{PIPELINE}.warmup": [{}]},
        "spec.pipelines[0].warmup",
        "there is no such field",
    ),
    "data types that differ between steps (qa/L0_model_config)": (
        {"spec.models.1.inputs.0.dataType": "INT32"},
        "spec.pipelines[0].steps[1].inputs.embedding",
        "is INT32 here, and FP32 at spec.pipelines[0].steps[0].outputs.embedding",
    ),
    "shapes that differ between steps (qa/L0_model_config)": (
        {"spec.models.1.inputs.0.dims": [3, 16]},
        "spec.pipelines[0].steps[1].inputs.embedding",
        "has dims [3, 16] here, and [16] at",
    ),
    "wrong tensor name (tutorials#137)": (
        {f"{PIPELINE}.steps.0.inputs": {"ids": "text_ids", "masks": "text_ids"}},
        "spec.pipelines[0].steps[0].inputs.masks",
        "Did you mean mask?",
    ),
    "batch dimension repeated in dims (server#2192)": (
        {"spec.models.1.inputs.0.dims": [-1, 16]},
        "spec.pipelines[0].steps[1].inputs.embedding",
        "the batch dimension is not among them where maxBatchSize is set",
    ),
    "a step of version 0 (server#5474)": (
        {f"{PIPELINE}.steps.0.version": 0},
        "spec.pipelines[0].steps[0].version",
        "or write -1, for the latest",
    ),
    "a model that the objective is for is not there (kserve#3176)": (
        {"spec.objectives.0.model": "triton"},
        "spec.objectives[0].model",
        "encoder, scorer, agent",
    ),
    "a platform that is none (kserve#2143)": (
        {f"{MODEL}.backend": REMOVED, f"{MODEL}.platform": "onnx"},
        "spec.models[0].platform",
        "the platforms are libtorch, onnxruntime_onnx",
    ),
    "preferred batches of a model without batches (core :775)": (
        {f"{MODEL}.maxBatchSize": 0, f"{MODEL}.batching.dynamic": {"preferredBatchSizes": [4]}},
        "spec.models[0].batching.dynamic.preferredBatchSizes",
        "exceed maxBatchSize 0",
    ),
    "version policy for a version that is not there (server#3687)": (
        {f"{MODEL}.versionPolicy": {"specific": [2, 3]}},
        "spec.models[0].versionPolicy.specific",
        "versions 2, 3 requested; 1 is there",
    ),
    "version directory that is no number (tensorrtllm_backend#562)": (
        {f"{MODEL}.version": "v1"},
        "spec.models[0].version",
        "Write a whole number",
    ),
    "storage address without a scheme (kserve#3873)": (
        {f"{MODEL}.source": {"uri": "models/encoder/"}},
        "spec.models[0].source.uri",
        "s3|gs|az|https|hf|oci|pvc",
    ),
    "storage address where none is understood (kserve#3873)": (
        {f"{MODEL}.source": {"storageUri": "a/b"}},
        "spec.models[0].source.storageUri",
        "there is no such field",
    ),
    "read-only /dev/shm (kserve#1937)": (
        {
            "spec.server.podTemplate": {
                "spec": {
                    "containers": [
                        {
                            "name": "triton",
                            "volumeMounts": [{"mountPath": "/dev/shm", "name": "own"}],  # noqa: S108
                        }
                    ]
                }
            }
        },
        "spec.server.podTemplate.spec.containers[0].volumeMounts[0].name",
        "computed by Trireme",
    ),
    "liveness probe that kills a slow load (server#6469)": (
        {
            "spec.server.podTemplate": {
                "spec": {
                    "containers": [{"name": "triton", "livenessProbe": {"failureThreshold": 1}}]
                }
            }
        },
        "spec.server.podTemplate.spec.containers[0].livenessProbe.failureThreshold",
        "computed by Trireme",
    ),
    "illegal characters in a name (odh-dashboard#3062)": (
        {"metadata.name": "My_Agent"},
        "metadata.name",
        "(received 'My_Agent')",
    ),
    "illegal characters in a model's name (odh-dashboard#3062)": (
        {f"{MODEL}.name": "../encoder"},
        "spec.models[0].name",
        "(received '../encoder')",
    ),
    "no pods at most (kserve#140)": (
        {"spec.scaling.max": 0},
        "spec.scaling.max",
        "Write 1 or more",
    ),
    "fewer than no pods (keda#6356)": (
        {"spec.scaling.min": -1},
        "spec.scaling.min",
        "Write 0 or more",
    ),
    "no pods, and nothing that would start one": (
        {"spec.scaling.min": 0},
        "spec.scaling.min",
        "Write 1, or set scaling.demand.query to PromQL that gives the requests a second",
    ),
    "no pods at night, and nothing that would start one": (
        {"spec.scaling.schedules": [{"schedule": "0 22 * * *", "duration": "8h", "min": 0}]},
        "spec.scaling.schedules[0].min",
        "min 0 needs scaling.demand: without a pod nothing else tells of requests",
    ),
    "a demand without a query": (
        {"spec.scaling.demand": {"activationThreshold": 1}},
        "spec.scaling.demand.query",
        "it is required. Add it",
    ),
    "a demand that asks for nothing": (
        {"spec.scaling": {"min": 0, "demand": {"query": "  "}}},
        "spec.scaling.demand.query",
        "Write PromQL that gives the requests a second",
    ),
    "a demand with a threshold per pod, as in KEDA": (
        {"spec.scaling.demand": {"query": "vector(1)", "threshold": 100}},
        "spec.scaling.demand.threshold",
        "there is no such field",
    ),
    "an activation below nothing": (
        {"spec.scaling.demand": {"query": "vector(1)", "activationThreshold": -1}},
        "spec.scaling.demand.activationThreshold",
        "Write 0.0 or more",
    ),
    "a cooldown in seconds without a unit, as in KEDA": (
        {"spec.scaling.demand": {"query": "vector(1)", "cooldownPeriod": 300}},
        "spec.scaling.demand.cooldownPeriod",
        "300 is not a duration. Write it with a unit",
    ),
    "a cooldown of days": (
        {"spec.scaling.demand": {"query": "vector(1)", "cooldownPeriod": "48h"}},
        "spec.scaling.demand.cooldownPeriod",
        "Write a duration from 0s to 24h",
    ),
    "a time of day that is none": (
        {"spec.scaling.schedules": [{"schedule": "0 25 * * *", "duration": "1h", "min": 2}]},
        "spec.scaling.schedules[0].schedule",
        "its hour is not valid (received '0 25 * * *'). Write minute (0-59), hour (0-23)",
    ),
    "a time zone by its abbreviation": (
        {
            "spec.scaling.schedules": [
                {"schedule": "0 8 * * *", "timeZone": "CEST", "duration": "1h", "min": 2}
            ]
        },
        "spec.scaling.schedules[0].timeZone",
        "there is no such time zone (received 'CEST'). Write UTC, or a place",
    ),
    "two autoscalers at once (keda#3083)": (
        {"spec.replicas": 4},
        "spec.replicas",
        "replicas must not be set in mode Automatic",
    ),
    "counters switched off with their latencies": (
        {"spec.server.args": ["--metrics-config=counter_latencies=false"]},
        "spec.server.args[0]",
        "sets every counter of Triton to zero",
    ),
}

WARNED: dict[str, tuple[dict[str, Any], str, str]] = {
    "empty backend parameter (tensorrtllm_backend#207)": (
        {f"{MODEL}.parameters": {"gpt_model_path": ""}},
        "spec.models[0].parameters.gpt_model_path",
        "parameter gpt_model_path is empty",
    ),
    "dynamic batching without batches": (
        {f"{MODEL}.maxBatchSize": 0, f"{MODEL}.batching": {"dynamic": {}}},
        "spec.models[0].batching",
        "batching has no effect with maxBatchSize 0",
    ),
    "PyTorch names without an index (server#4671)": (
        {"spec.models.1.backend": "pytorch"},
        "spec.models[1].inputs[0].name",
        "Write embedding__0",
    ),
    "backend absent from the image (server#8342)": (
        {
            "spec.server.image": "nvcr.io/nvidia/tritonserver:25.06-trtllm-python-py3",
            f"{MODEL}.backend": "onnxruntime",
        },
        "spec.models[0].backend",
        "Use the image whose tag ends in -py3",
    ),
    "a percentile no histogram is there for (server#8561)": (
        {"spec.gateway": {"enabled": False}},
        "spec.objectives[0].latency.percentile",
        "Triton 24.10 has no latency histogram",
    ),
}

NO_BACKEND = {f"{MODEL}.backend": REMOVED}

FILES: dict[str, tuple[dict[str, Any], dict[str, bytes], str, str]] = {
    "no backend, and files that say none to Triton (server#7336)": (
        NO_BACKEND,
        {"diabetes.onnx": b""},
        "spec.models[0].backend",
        "Triton knows no backend by diabetes.onnx. Add it: onnxruntime",
    ),
    "misnamed model file (server#4957)": (
        {},
        {"yolox.py": b""},
        "spec.models[0].source.configMap",
        "loads model.py, but the version directory holds yolox.py",
    ),
    "no model file at all (clearml-serving#6)": (
        {},
        {},
        "spec.models[0].source.configMap",
        "holds no files",
    ),
    "more than a ConfigMap holds (kopf#1087)": (
        {},
        {**PYTHON, "weights.bin": bytes(2 * 1024 * 1024)},
        "spec.models[0].source.configMap",
        "PersistentVolumeClaim",
    ),
}

_TRITONS_WORDS = (
    "tests/integration/test_triton_server.py::"
    "test_a_model_that_fails_to_load_is_in_the_index_with_its_reason"
)
_TRITON_AGREES = (
    "tests/integration/test_admission_triton.py::test_a_model_that_is_refused_would_not_have_loaded"
)
_KUBELETS_WORDS = (
    "tests/e2e/test_failures.py::"
    "test_what_keeps_a_pod_from_starting_is_told_in_its_own_words_until_the_spec_is_corrected"
)
_ENSEMBLE = (
    "tests/unit/test_admission_bad_inputs.py::"
    "test_an_ensemble_cannot_lack_its_version_directory_or_ask_for_version_0"
)

CLASSES: dict[str, tuple[str, ...]] = {
    # ------------------------------------------------------------------------------- config
    "input type differs from the model file": (_TRITONS_WORDS,),
    "malformed configuration": ("malformed configuration (server#2688)",),
    "unfilled template": ("unfilled template inside a string (tensorrtllm_backend#526)",),
    "empty or non-numeric parameter": ("empty backend parameter (tensorrtllm_backend#207)",),
    "dynamic batching without batches": (
        "dynamic batching without batches",
        "preferred batches of a model without batches (core :775)",
        _TRITON_AGREES,
    ),
    "batches of a model exported with batch 1": (_TRITONS_WORDS,),
    "batch dimension repeated in dims": ("batch dimension repeated in dims (server#2192)",),
    "wrong tensor name": ("wrong tensor name (tutorials#137)", _TRITONS_WORDS),
    "PyTorch names without an index": ("PyTorch names without an index (server#4671)",),
    "no backend": (
        "no backend, and a file that says none to Triton (server#7336)",
        "no backend, and files that say none to Triton (server#7336)",
    ),
    "backend absent from the image": ("backend absent from the image (server#8342)",),
    "runtime outside the backend directory": (
        "runtime outside the backend directory (qa/L0_model_config)",
    ),
    "GPU index that is not there": ("GPU 1 where the container sees GPU 0 (server#2584)",),
    "too many instances for the GPU": (
        "tests/integration/test_edge_triton.py::"
        "test_a_refused_change_has_tritons_words_and_the_old_model_serves_on",
        _TRITONS_WORDS,
    ),
    "instances, optimization or warm-up of an ensemble": (
        "instances, optimization and warm-up of an ensemble, in config (qa/L0_model_config)",
        "instances on an ensemble (qa/L0_model_config)",
        "warm-up of an ensemble (qa/L0_model_config)",
    ),
    "ensemble step without a version": ("a step of version 0 (server#5474)", _ENSEMBLE),
    "ensemble without a version directory": (_ENSEMBLE,),
    "ensemble tensors that differ between steps": (
        "data types that differ between steps (qa/L0_model_config)",
        "shapes that differ between steps (qa/L0_model_config)",
    ),
    "members of an ensemble stay in memory": (
        "tests/unit/test_resources_server.py::test_a_new_repository_is_a_new_template",
    ),
    "version policy for a version that is not there": (
        "version policy for a version that is not there (server#3687)",
    ),
    # ----------------------------------------------------------------------------- artefact
    "model file missing or misnamed": (
        "misnamed model file (server#4957)",
        "no model file at all (clearml-serving#6)",
        "tests/unit/test_admission_sources.py::"
        "test_a_misnamed_file_is_listed_beside_what_the_backend_loads",
    ),
    "version directory that is no number": (
        "version directory that is no number (tensorrtllm_backend#562)",
    ),
    "ONNX newer than the image's runtime": (_TRITONS_WORDS,),
    "TensorRT plan of another version or GPU": (_TRITONS_WORDS,),
    "driver older than the image's CUDA": (_KUBELETS_WORDS,),
    # ------------------------------------------------------------------------------ storage
    "rejected credentials": (
        "tests/integration/test_fetch_object_storage.py::test_the_storages_own_code_is_told",
        "tests/integration/test_fetch_web.py::"
        "test_an_authority_of_ones_own_is_trusted_where_the_secret_holds_it",
        "tests/integration/test_preflight.py::"
        "test_a_source_that_cannot_be_read_is_told_and_tried_again",
    ),
    "storage address without a scheme": (
        "storage address without a scheme (kserve#3873)",
        "storage address where none is understood (kserve#3873)",
    ),
    "downloader out of memory": (
        "tests/integration/test_models_ready.py::"
        "test_a_downloader_that_was_killed_for_its_memory_is_told_with_what_to_raise",
        "tests/unit/test_control_fetching.py::"
        "test_why_a_fetcher_failed_is_read_from_what_its_container_left",
    ),
    "claim that the backend must write to": (
        "tests/unit/test_resources_server.py::"
        "test_a_claim_is_mounted_read_only_at_the_version_directory",
    ),
    # ---------------------------------------------------------------------------------- pod
    "read-only /dev/shm": ("read-only /dev/shm (kserve#1937)",),
    "liveness probe kills a slow load": (
        "liveness probe that kills a slow load (server#6469)",
        "tests/unit/test_resources_server.py::"
        "test_the_start_up_probe_has_the_whole_load_budget_and_liveness_waits_for_it",
    ),
    "ready although a model is being unloaded": (
        "tests/e2e/test_rollout.py::test_a_new_spec_is_rolled_out_under_load_and_no_request_fails",
    ),
    "GPU request that is never scheduled": (_KUBELETS_WORDS,),
    "rollout that waits for the GPU of the old pod": (
        "tests/unit/test_control_status.py::test_which_pods_are_stuck",
    ),
    "image that cannot be pulled": (_KUBELETS_WORDS,),
    "ready while pods crash": (
        "tests/unit/test_control_status.py::test_conditions",
        _KUBELETS_WORDS,
    ),
    "all traffic on one replica": (
        "tests/unit/test_resources_drain.py::test_every_grpc_channel_is_told_to_go_before_sigterm",
    ),
    # --------------------------------------------------------------------------------- name
    "illegal characters in a name": (
        "illegal characters in a name (odh-dashboard#3062)",
        "illegal characters in a model's name (odh-dashboard#3062)",
        "tests/unit/test_control_queue.py::"
        "test_a_key_that_is_worked_on_does_not_keep_another_from_its_turn",
    ),
    "what was looked for is not there": (
        "a platform that is none (kserve#2143)",
        "a model that the objective is for is not there (kserve#3176)",
    ),
    # -------------------------------------------------------------------------------- scale
    "no pods at most": ("no pods at most (kserve#140)", "fewer than no pods (keda#6356)"),
    "query without an answer": (
        "tests/unit/test_autoscaler_signals.py::test_what_is_missing_or_no_number_is_said",
    ),
    "query answered by infinity": (
        "tests/integration/test_prometheus_failures.py::"
        "test_not_a_number_and_infinities_are_handed_on",
        "tests/unit/test_autoscaler_signals.py::test_what_is_missing_or_no_number_is_said",
    ),
    "query with a typo": (
        "tests/integration/test_prometheus_signals.py::"
        "test_every_query_is_answered_by_a_prometheus",
    ),
    "percentile without a histogram": (
        "a percentile no histogram is there for (server#8561)",
        "counters switched off with their latencies",
    ),
    "average that hides the hot model": (
        "tests/integration/test_prometheus_signals.py::test_several_objectives_have_signals_each",
    ),
    "gauge that the release lacks": (
        "tests/unit/test_autoscaler_signals.py::"
        "test_an_old_triton_without_the_gauge_has_its_queue_only",
    ),
    "GPU metrics that are missing": (
        "tests/integration/test_prometheus_signals.py::"
        "test_triton_alone_gives_means_and_sums_over_pods_and_gpus",
    ),
    "fallback that never engages": (
        "tests/e2e/test_scaling.py::test_prometheus_lost_at_peak_is_replaced_by_what_the_pods_tell",
    ),
    "units misread": (
        "tests/unit/test_autoscaler_decision.py::"
        "test_a_decision_says_what_was_seen_what_was_wanted_and_what_bound_it",
    ),
    "two autoscalers on one Deployment": (
        "two autoscalers at once (keda#3083)",
        "tests/integration/test_operator.py::"
        "test_the_size_has_one_owner_from_the_first_moment_and_a_foreign_one_is_respected",
    ),
    "flapping around the target": (
        "tests/unit/test_autoscaler_scenarios.py::"
        "test_a_load_step_is_followed_up_and_down_without_flapping",
    ),
    "more replicas than can be hosted": (
        "tests/unit/test_autoscaler_decision.py::"
        "test_nothing_grows_within_its_bounds_while_pods_start_or_find_no_node",
    ),
    # ----------------------------------------------------------------------------- operator
    "spec too large for an annotation": (
        "more than a ConfigMap holds (kopf#1087)",
        "tests/unit/test_admission_sources.py::test_configurations_over_1_mib_together_are_a_fault",
    ),
    "watch that goes silent": (
        "tests/integration/test_watches.py::"
        "test_watches_that_go_silent_are_opened_anew_and_nothing_is_missed",
    ),
    "two operators at once": (
        "tests/integration/test_operator.py::test_of_two_operators_one_acts_and_the_other_takes_over",
    ),
    "failure that is never tried again": (
        "tests/unit/test_control_queue.py::"
        "test_failures_come_back_later_each_time_until_one_pass_succeeds",
    ),
}
"""Every class, in the order they were collected in, and the rows and tests that show it."""


def refusals(edits: dict[str, Any]) -> dict[str, str]:
    """What a user reads, by path: from parsing, or else from the checks."""
    try:
        faults = check(parse_agent(valid_body(edits)).spec)
    except InvalidSpec as refused:
        faults = refused.faults
    return {fault.path: str(fault) for fault in faults}


@pytest.mark.parametrize(
    ("edits", "path", "words"), [pytest.param(*row, id=name) for name, row in REFUSED.items()]
)
def test_it_is_refused_with_a_clear_word(edits: dict[str, Any], path: str, words: str) -> None:
    assert words in refusals(edits).get(path, "")


@pytest.mark.parametrize(
    ("edits", "path", "words"), [pytest.param(*row, id=name) for name, row in WARNED.items()]
)
def test_it_is_accepted_with_a_warning(edits: dict[str, Any], path: str, words: str) -> None:
    assert refusals(edits) == {}
    found = {each.path: str(each) for each in warnings(parse_agent(valid_body(edits)).spec)}
    assert words in found.get(path, "")


@pytest.mark.parametrize(
    ("edits", "files", "path", "words"),
    [pytest.param(*row, id=name) for name, row in FILES.items()],
)
def test_the_files_are_refused_with_a_clear_word(
    edits: dict[str, Any], files: dict[str, bytes], path: str, words: str
) -> None:
    found = examine(parse_agent(valid_body(edits)).spec, {**SOURCES, "encoder-files": files})
    assert words in {each.path: str(each) for each in found.faults}.get(path, "")


def test_an_ensemble_cannot_lack_its_version_directory_or_ask_for_version_0() -> None:
    """server#3623 and server#5474: neither can be written here."""
    ensemble = render(parse_agent(valid_body()).spec, SOURCES).models[-1]
    assert list(ensemble.files) == ["1/.keep"]
    assert {step.model_version for step in ensemble.config.ensemble_scheduling.step} == {-1}


def test_every_class_is_shown_by_rows_and_tests_that_exist() -> None:
    rows = {*REFUSED, *WARNED, *FILES}
    root = Path(__file__).parents[2]
    named = {each for shown in CLASSES.values() for each in shown}
    tests = {each for each in named if "::" in each}
    assert named - tests <= rows
    for test in tests:
        path, _, function = test.partition("::")
        assert f"def {function}(" in (root / path).read_text(encoding="utf-8"), test
    assert len(CLASSES) == 56
    assert all(CLASSES.values())
