"""Every rule that only a whole spec can break, as one list to read aloud.

Pure. Shapes and bounds of single fields are the schema's (`api.agent`); what a model's files say
is in `sources`. Each rule is a generator named for the violation it finds, and judges the typed
fields of models, into which `spellings` reads their `config`.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice

from trireme.admission.rules import (
    acceleration,
    batching,
    config,
    download,
    durations,
    files,
    instances,
    models,
    node_classes,
    optimization,
    pipelines,
    pod_security,
    pod_shape,
    pod_template,
    quantities,
    releases,
    rollout,
    scaling,
    schedules,
    server,
    sources,
    templates,
    tensors,
    tuning,
    versions,
    warmup,
)
from trireme.admission.spellings import Reading
from trireme.api.agent import AgentSpec
from trireme.api.node_classes import by_class
from trireme.errors import Fault

Rule = Callable[[AgentSpec], Iterator[Fault]]

MOST_OF_A_RULE = 100
"""Faults of one rule that are told: a spec may have a hundred thousand, and nobody reads them."""

_OF_CONFIG: tuple[Rule, ...] = (
    config.config_holds_what_is_always_typed,
    config.config_repeats_a_typed_field,
    config.config_makes_an_ensemble,
    config.config_gives_an_ensemble_what_it_cannot_have,
    config.config_is_no_model_config,
    config.runtime_leaves_its_directory,
)
_AS_WRITTEN = frozenset(
    (
        *_OF_CONFIG,
        releases.field_is_newer_than_the_image,
        templates.template_is_unfilled,
    )
)
"""Rules that tell the spellings apart, or read both themselves."""

_FAULTS: tuple[Rule, ...] = (
    server.image_holds_whitespace,
    server.release_is_unknown,
    server.release_contradicts_tag,
    server.argument_is_no_flag,
    server.flag_belongs_to_trireme,
    server.variable_belongs_to_trireme,
    server.variable_has_not_one_value,
    pod_shape.source_of_variable_has_unknown_field,
    pod_shape.toleration_has_unknown_field,
    pod_shape.template_has_unknown_field,
    pod_template.template_overrides_what_is_computed,
    pod_template.template_replaces_the_program,
    pod_template.template_takes_reserved_labels,
    pod_security.template_shares_the_host,
    pod_security.template_mounts_another_volume,
    pod_security.template_gives_privileges,
    pod_security.template_confines_by_annotation,
    pod_security.added_container_keeps_privileges,
    pod_security.template_has_ephemeral_containers,
    models.there_is_no_model,
    models.name_repeats,
    models.pipeline_is_named_like_a_model,
    sources.source_is_not_one,
    sources.uri_leaves_its_folder,
    sources.image_path_leaves_its_image,
    sources.uri_holds_credentials,
    sources.uri_holds_a_signature,
    sources.uri_names_nothing_in_a_bucket,
    sources.field_belongs_to_another_source,
    sources.digest_of_a_folder,
    sources.too_many_are_fetched,
    versions.version_is_said_twice,
    versions.version_policy_is_not_one,
    versions.version_is_not_there,
    versions.version_policy_serves_none,
    files.file_leaves_its_folder,
    files.file_takes_the_place_of_another,
    files.file_is_not_there,
    models.platform_is_unknown,
    models.platform_contradicts_backend,
    models.backend_is_missing,
    models.tensorflow_format_is_not_said,
    instances.backend_needs_a_gpu,
    tensors.tensor_repeats,
    tensors.dimension_is_zero,
    tensors.reshape_makes_a_scalar_without_batches,
    tensors.reshape_changes_the_size,
    tensors.image_has_not_three_dims,
    tensors.tensor_wants_tensorrt,
    tensors.batch_tensor_has_not_one_source,
    tensors.batch_input_has_another_type,
    tensors.batch_tensor_names_unknown_tensor,
    batching.batching_is_not_one,
    batching.preferred_batch_is_out_of_range,
    batching.default_priority_is_no_level,
    batching.priority_queue_is_of_no_level,
    batching.order_cannot_be_kept,
    batching.sequence_strategy_is_not_one,
    batching.control_repeats,
    batching.control_has_not_two_values,
    batching.correlation_id_has_no_type,
    batching.state_is_named_twice,
    batching.initial_state_is_not_one,
    batching.initial_state_does_not_fit,
    batching.answers_cannot_be_kept,
    instances.instances_need_a_gpu,
    instances.gpu_index_does_not_exist,
    instances.gpus_are_listed_for_another_kind,
    instances.profile_is_not_of_tensorrt,
    instances.profile_is_no_index,
    instances.resource_is_both_global_and_not,
    warmup.warmup_batch_exceeds_largest,
    warmup.warmup_names_unknown_input,
    warmup.warmup_shape_does_not_fit,
    warmup.warmup_type_differs,
    warmup.warmup_input_is_not_known,
    warmup.warmup_has_two_contents,
    acceleration.accelerator_is_of_another_device,
    acceleration.graph_names_unknown_input,
    acceleration.graph_batch_exceeds_largest,
    acceleration.buckets_do_not_ascend,
    *_OF_CONFIG,
    releases.field_is_newer_than_the_image,
    releases.flag_is_newer_than_the_image,
    pipelines.pipeline_does_not_say_its_tensors,
    pipelines.step_calls_unknown_model,
    pipelines.step_calls_unknown_version,
    pipelines.pipelines_call_each_other,
    pipelines.pipeline_makes_too_many_calls,
    pipelines.step_names_unknown_tensor,
    pipelines.step_maps_nothing,
    pipelines.required_input_is_not_fed,
    pipelines.tensor_is_made_twice,
    pipelines.tensor_is_never_made,
    pipelines.tensor_is_never_used,
    pipelines.steps_wait_for_each_other,
    pipelines.tensor_types_differ,
    pipelines.tensor_shapes_differ,
    pipelines.step_joins_different_decoupled_models,
    pipelines.batch_exceeds_a_step,
    scaling.objective_names_unknown_model,
    scaling.automatic_without_objective,
    scaling.automatic_with_replicas,
    scaling.replicas_missing,
    scaling.fewest_exceeds_most,
    scaling.none_without_demand,
    scaling.demand_query_is_blank,
    rollout.rollout_cannot_move,
    rollout.step_gives_no_requests,
    rollout.steps_do_not_rise,
    rollout.step_outlasts_its_deadline,
    rollout.canary_is_never_taken_back,
    rollout.mirror_copies_nothing,
    rollout.mirror_takes_no_size,
    schedules.schedule_is_no_cron_expression,
    schedules.time_zone_is_unknown,
    schedules.schedule_sets_no_bound,
    schedules.schedule_leaves_no_size,
    tuning.tuning_is_applied_untried,
    tuning.least_exceeds_most,
    durations.duration_is_out_of_bounds,
    download.cache_is_not_one,
    optimization.result_is_applied_untried,
    optimization.result_takes_the_place_of_no_version,
    optimization.model_is_not_there,
    optimization.backend_is_not_optimised,
    optimization.model_has_no_batches,
    optimization.files_are_in_an_image,
    optimization.metric_has_no_labels,
    optimization.threads_exceed_the_job,
    optimization.technique_fits_no_model,
    optimization.model_has_no_technique,
    optimization.optimization_is_half_told,
    quantities.quantity_is_out_of_bounds,
    templates.template_is_unfilled,
)
_OF_CLASSES: tuple[Rule, ...] = (
    node_classes.class_name_repeats,
    node_classes.class_name_is_taken,
    node_classes.class_bounds_exclude_each_other,
    node_classes.class_is_none_of_its_own,
    node_classes.classes_of_another_mode,
    node_classes.setting_is_applied_to_classes,
    rollout.mirror_without_gateway,
)
_WARNINGS_OF_CLASSES: tuple[Rule, ...] = (rollout.canary_is_judged_by_little,)
_WARNINGS: tuple[Rule, ...] = (
    server.backend_is_not_in_image,
    server.gateway_is_not_there,
    server.control_stays_open,
    server.percentile_is_not_measured,
    sources.revision_is_not_pinned,
    sources.folder_is_taken_for_a_file,
    download.size_is_the_nodes,
    files.files_without_a_use,
    models.backend_is_left_to_triton,
    models.pytorch_name_breaks_convention,
    models.parameter_is_empty,
    tensors.tensors_are_left_to_triton,
    tensors.ragged_without_batches,
    batching.requests_are_not_batched,
    batching.batching_has_no_batch_dimension,
    batching.priorities_do_not_exist,
    batching.tensor_is_given_by_triton,
    instances.no_instance_takes_requests,
    instances.host_policy_is_unknown,
    instances.rate_limits_are_switched_off,
    acceleration.gpu_acceleration_without_a_gpu,
    acceleration.graphs_are_not_captured,
    acceleration.buckets_of_no_histogram,
    schedules.schedules_of_another_mode,
    scaling.setting_of_another_mode,
    scaling.budget_without_gpus,
    scaling.objective_is_of_streams,
    rollout.canary_of_another_strategy,
    rollout.canary_is_asked_by_streams,
    rollout.mirror_compares_nothing,
    rollout.mirrored_output_is_unknown,
    rollout.limit_allows_everything,
    rollout.canary_without_pods,
    optimization.pods_have_gpus,
    optimization.optimised_answers_are_compared_by_number,
    tuning.tuning_is_never_applied,
    tuning.memory_bound_is_half_told,
)


def check(spec: AgentSpec) -> tuple[Fault, ...]:
    """The faults of a spec; with any of them it is not rolled out."""
    return (
        *(fault for rule in _OF_CLASSES for fault in rule(spec)),
        *in_each_class(spec, lambda of_class: _found(_FAULTS, of_class)),
    )


def warnings(spec: AgentSpec) -> tuple[Fault, ...]:
    """What Triton accepts, but the user hardly meant; it is reported and rolled out."""
    return (
        *(fault for rule in _WARNINGS_OF_CLASSES for fault in rule(spec)),
        *in_each_class(spec, lambda of_class: _found(_WARNINGS, of_class)),
    )


def in_each_class(
    spec: AgentSpec, find: Callable[[AgentSpec], Iterable[Fault]]
) -> tuple[Fault, ...]:
    """What is found of the pods of any node class, each fault once; of one that not all classes
    have the first is named that has it.
    """
    servers = by_class(spec.server)
    found = {
        name: {repr(fault): fault for fault in find(spec.model_copy(update={"server": server}))}
        for name, server in servers.items()
    }
    told: dict[str, Fault] = {}
    for name, faults in found.items():
        for alike, fault in faults.items():
            having = [other for other in found if alike in found[other]]
            if having == [*found]:
                told.setdefault(alike, fault)
            elif name == having[0]:
                told[alike] = replace(fault, message=f"with node class {name}, {fault.message}")
    return tuple(told.values())


def _found(rules: tuple[Rule, ...], spec: AgentSpec) -> tuple[Fault, ...]:
    reading = Reading.of(spec, [fault for rule in _OF_CONFIG for fault in rule(spec)])
    return tuple(
        fault
        for rule in rules
        for fault in islice(
            rule(spec) if rule in _AS_WRITTEN else map(reading.back, rule(reading.typed)),
            MOST_OF_A_RULE,
        )
    )
