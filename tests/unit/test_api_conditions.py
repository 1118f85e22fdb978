"""The words that alerts and scripts match, spelt out: a change of one is a change of the API."""

from trireme.api.conditions import ConditionType, EventReason, Reason


def test_condition_types() -> None:
    assert " ".join(ConditionType) == (
        "Accepted Available Ready Reconciling Stalled ModelsReady SignalsAvailable "
        "AutoscalingActive"
    )


def test_condition_reasons() -> None:
    assert " ".join(Reason) == (
        "Valid InvalidSpec SourceNotFound Inspecting StableUnknown "
        "PodsReady NoPodsReady ScaledToZero "
        "RolledOut RollingOut TryingCanary RolledBack "
        "UpdatingInPlace InPlaceUpdateFailed GatewayNotReady ProgressDeadlineExceeded ApplyFailed "
        "Unschedulable ImagePullFailed ContainerFailed Loaded Loading Fetching ModelLoadFailed "
        "Fresh ReadDirectly NoPods PrometheusUnreachable NoSeries Stale Partial NotANumber "
        "ScrapeIntervalTooLong TooManySeries WithinTarget ScaledUp ScaledDown Limited Held "
        "NoSignals Paused Fixed External Shadow ForeignWriter NotAccepted"
    )


def test_event_reasons() -> None:
    assert " ".join(EventReason) == (
        "Accepted InvalidSpec SourceNotFound ApplyFailed RolloutStarted RolloutFinished "
        "CanaryStarted CanaryEnded CanarySkipped StableUnknown "
        "InPlaceUpdate InPlaceUpdateFailed ModelLoadFailed "
        "OptimizationStarted "
        "OptimizationFinished NothingGained OptimizationFailed "
        "FetchFailed ModelsReady DriftRepaired SpecWarning ScaledUp ScaledDown ScalingHeld "
        "ScalingLimited SignalsLost SignalsRestored SignalsReadDirectly "
        "SignalsFromPrometheus ScalingResumed ForeignWriter "
        "CanaryStep CanaryHeld CanaryPromoted CanaryRolledBack "
        "CommandRefused NoCanary "
        "SettingTried SettingKept SettingRefused SettingUndecided SettingPostponed SettingDropped "
        "TuningRecommended"
    )
