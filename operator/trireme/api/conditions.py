"""Every condition type, reason and Event reason, each with the case that yields it.

The words are an interface: alerts and scripts match them. A test spells them out literally.
"""

from enum import StrEnum


class ConditionType(StrEnum):
    """The conditions of an AgentDeployment."""

    ACCEPTED = "Accepted"  # the spec has no fault, its sources exist
    AVAILABLE = "Available"  # some pod answers, of whatever generation
    READY = "Ready"  # this generation is accepted, fully rolled out and available
    RECONCILING = "Reconciling"  # kstatus: work is under way
    STALLED = "Stalled"  # kstatus: only a change by the user can help
    MODELS_READY = "ModelsReady"  # every pod has loaded every model
    SIGNALS_AVAILABLE = "SignalsAvailable"  # the scaling signals are there, fresh and whole
    AUTOSCALING_ACTIVE = "AutoscalingActive"  # Trireme decides the number of replicas


SCALING_CONDITIONS = frozenset({ConditionType.SIGNALS_AVAILABLE, ConditionType.AUTOSCALING_ACTIVE})
"""Those that the autoscaler writes; the reconciler writes the others."""


class Reason(StrEnum):
    """Why a condition has its status."""

    # Accepted
    VALID = "Valid"  # no fault found
    INVALID_SPEC = "InvalidSpec"  # the spec has faults; the message lists them all
    SOURCE_NOT_FOUND = "SourceNotFound"  # a ConfigMap that a model names does not exist (yet)
    INSPECTING = "Inspecting"  # models' files are inspected before pods are made of them
    STABLE_UNKNOWN = "StableUnknown"  # it was tried, and what it would replace is not known

    # Available, Ready, Reconciling, Stalled
    PODS_READY = "PodsReady"  # at least one pod is ready
    NO_PODS_READY = "NoPodsReady"  # no pod is ready
    SCALED_TO_ZERO = "ScaledToZero"  # there is to be no pod now, and there is none
    ROLLED_OUT = "RolledOut"  # every pod runs this generation and is ready
    ROLLING_OUT = "RollingOut"  # pods of an earlier template still run, or new ones start
    TRYING_CANARY = "TryingCanary"  # this generation is tried on a canary; the others stay
    ROLLED_BACK = "RolledBack"  # it was tried and taken back; the message says why
    UPDATING_IN_PLACE = "UpdatingInPlace"  # pods are being changed that stay
    IN_PLACE_UPDATE_FAILED = "InPlaceUpdateFailed"  # Triton refused; the message is its own
    GATEWAY_NOT_READY = "GatewayNotReady"  # the pods are ready, their gateway is not
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"  # the rollout does not advance
    APPLY_FAILED = "ApplyFailed"  # the Kubernetes API refused an object
    UNSCHEDULABLE = "Unschedulable"  # the scheduler finds no node; the message is its own
    IMAGE_PULL_FAILED = "ImagePullFailed"  # the kubelet cannot get an image; the message is its own
    CONTAINER_FAILED = "ContainerFailed"  # a container ends again and again

    # ModelsReady
    LOADED = "Loaded"  # every model is loaded in every ready pod
    LOADING = "Loading"  # pods are starting
    FETCHING = "Fetching"  # pods bring their models' files; the message tells how far they are
    MODEL_LOAD_FAILED = "ModelLoadFailed"  # Triton refused a model; the message is its own

    # Accepted, ModelsReady, Ready and Stalled have the reasons of api.fetch.FetchReason too

    # SignalsAvailable
    FRESH = "Fresh"  # all signals present, recent, and covering the ready pods
    READ_DIRECTLY = "ReadDirectly"  # the same, read from the pods: Prometheus does not cover them
    NO_PODS = "NoPods"  # nothing to observe: no pod is ready
    PROMETHEUS_UNREACHABLE = "PrometheusUnreachable"  # no answer, or an error, from Prometheus
    NO_SERIES = "NoSeries"  # Prometheus answered, but has nothing of this agent
    STALE = "Stale"  # the newest sample is older than the limit
    PARTIAL = "Partial"  # fewer pods are covered than are ready
    NOT_A_NUMBER = "NotANumber"  # a query gave NaN or an infinity
    SCRAPE_INTERVAL_TOO_LONG = "ScrapeIntervalTooLong"  # scraped less often than every 30 s
    TOO_MANY_SERIES = "TooManySeries"  # a pod that is read directly tells more than is kept

    # AutoscalingActive
    WITHIN_TARGET = "WithinTarget"  # no change is wanted
    SCALED_UP = "ScaledUp"  # the last decision added pods
    SCALED_DOWN = "ScaledDown"  # the last decision removed pods
    LIMITED = "Limited"  # more or fewer pods are wanted than bounds or policies allow
    HELD = "Held"  # a change is wanted and waits, for the reason in the message
    NO_SIGNALS = "NoSignals"  # the fleet is held: signals are missing
    PAUSED = "Paused"  # spec.scaling.paused
    FIXED = "Fixed"  # spec.scaling.mode Fixed
    EXTERNAL = "External"  # spec.scaling.mode External
    SHADOW = "Shadow"  # spec.scaling.mode Shadow: decided and reported, not acted upon
    FOREIGN_WRITER = "ForeignWriter"  # someone else wrote the number of replicas
    NOT_ACCEPTED = "NotAccepted"  # never accepted yet, so there is nothing to scale


class EventReason(StrEnum):
    """The reasons of Events on an AgentDeployment."""

    ACCEPTED = "Accepted"  # a generation was accepted after creation or after a refusal
    INVALID_SPEC = "InvalidSpec"  # a generation was refused; the note lists every fault
    SOURCE_NOT_FOUND = "SourceNotFound"  # a named ConfigMap does not exist
    APPLY_FAILED = "ApplyFailed"  # the API refused a child object
    ROLLOUT_STARTED = "RolloutStarted"  # a new template digest is rolled out
    ROLLOUT_FINISHED = "RolloutFinished"  # every pod runs the new template and is ready
    CANARY_STARTED = "CanaryStarted"  # a generation is tried on a canary
    CANARY_ENDED = "CanaryEnded"  # by an edit; when promoted, by a person or for want of room
    CANARY_SKIPPED = "CanarySkipped"  # a change of the pods is rolled out without one
    STABLE_UNKNOWN = "StableUnknown"  # what was tried is not rolled out: see the reason
    IN_PLACE_UPDATE = "InPlaceUpdate"  # every pod was changed without a restart
    IN_PLACE_UPDATE_FAILED = "InPlaceUpdateFailed"  # Triton refused to change a pod
    MODEL_LOAD_FAILED = "ModelLoadFailed"  # Triton refused a model
    OPTIMIZATION_STARTED = "OptimizationStarted"  # a Job searches a cheaper form of a model
    OPTIMIZATION_FINISHED = "OptimizationFinished"  # one was found; the note has what to write
    NOTHING_GAINED = "NothingGained"  # none is cheaper and shown to answer as well
    OPTIMIZATION_FAILED = "OptimizationFailed"  # the Job failed; the note tells why
    FETCH_FAILED = "FetchFailed"  # a model's files cannot be brought; the note has the remedy
    MODELS_READY = "ModelsReady"  # every model is loaded again
    DRIFT_REPAIRED = "DriftRepaired"  # a child was missing and was made again
    SPEC_WARNING = "SpecWarning"  # accepted, but the user hardly meant it so
    SCALED_UP = "ScaledUp"  # replicas were added
    SCALED_DOWN = "ScaledDown"  # replicas were removed
    SCALING_HELD = "ScalingHeld"  # a wanted change began to wait
    SCALING_LIMITED = "ScalingLimited"  # bounds or policies began to bind
    SIGNALS_LOST = "SignalsLost"  # signals went missing: the fleet is held
    SIGNALS_RESTORED = "SignalsRestored"  # signals are back
    SIGNALS_READ_DIRECTLY = "SignalsReadDirectly"  # the pods' own metrics took Prometheus' place
    SIGNALS_FROM_PROMETHEUS = "SignalsFromPrometheus"  # and Prometheus took it back
    SCALING_RESUMED = "ScalingResumed"  # a foreign writer's claim ended
    FOREIGN_WRITER = "ForeignWriter"  # someone else wrote the number of replicas
    CANARY_STEP = "CanaryStep"  # the canary gets a larger share; the note has what was seen
    CANARY_HELD = "CanaryHeld"  # a step waits for something that lasts
    CANARY_PROMOTED = "CanaryPromoted"  # it was no worse, or a person said so
    CANARY_ROLLED_BACK = "CanaryRolledBack"  # it was worse, undecided, or a person said so
    COMMAND_REFUSED = "CommandRefused"  # a person's word that nobody knows, or can follow here
    NO_CANARY = "NoCanary"  # a person told a canary to end, and there is none
    SETTING_TRIED = "SettingTried"  # of Trireme's own, on a canary, in a mode Apply
    SETTING_KEPT = "SettingKept"  # all pods have it; the spec stays as it is
    SETTING_REFUSED = "SettingRefused"  # it was taken back; the note tells why
    SETTING_UNDECIDED = "SettingUndecided"  # it was taken back, and is tried again after a day
    SETTING_POSTPONED = "SettingPostponed"  # it was not begun: the note tells what it lacks
    SETTING_DROPPED = "SettingDropped"  # the spec says something else there, or the mode
    TUNING_RECOMMENDED = "TuningRecommended"  # a knob by which a pod would sustain more
