"""Decisions and their messages, in full."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme.api.conditions import Reason
from trireme.api.scaling import Behavior, Paused, PolicyType, ScalingMode, SelectPolicy
from trireme.autoscaler.decision import decide
from trireme.autoscaler.memory import memory_from_status, record
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.autoscaler.types.capacity import BusiestStep, Capacity, OutOfReach
from trireme.autoscaler.types.memory import (
    Doubt,
    FactorMemory,
    Memory,
    Recommendation,
    ScaleChange,
    TargetMemory,
)
from trireme.autoscaler.types.observation import Observation
from trireme.autoscaler.types.policy import DemandPolicy, Policy
from trireme.autoscaler.types.signals import Latency, LatencyKind, ModelSignals, NoSignals, Signals
from unit.autoscaling import (
    NOW,
    SETTLED,
    WINDOW,
    objective,
    observed,
    p95,
    policy,
    rules,
    seconds,
    seen,
)

PODS, PERCENT = PolicyType.PODS, PolicyType.PERCENT
LOST = NoSignals(Reason.STALE, "the newest sample is 95s old")
FULL_WINDOW = replace(SETTLED, targets=(TargetMemory("m", 8.0, NOW - WINDOW, None),))
"""A full window with every pod ready has been seen."""
CURVE = ServiceCurve(0.040, 0.010, 8)
SUSTAINS_57 = Capacity(57.0, CURVE)
EASED_57 = replace(SUSTAINS_57, eased_seconds=0.08)
OF_A_PIPELINE = Capacity(57.0, BusiestStep("encoder", CURVE))
TOO_SLOW = OutOfReach(0.142, CURVE)
LOWERED = replace(SETTLED, factors=(FactorMemory("m", 0.8),))


def test_pods_that_answer_while_there_are_to_be_none_are_told_as_one() -> None:
    """Somebody set the size to 0, and the last pod has not ended."""
    observation = observed(0, seen(4.0, rate=40.0), ready=1, capacity=SUSTAINS_57)
    rule = replace(policy(bounds=(0, 10)), demand=DemandPolicy(0.0, seconds(300)))
    decision, _ = decide(observation, rule, SETTLED)
    assert str(decision.message) == (
        "40 req/s per pod of 57 that one sustains (learnt: 40 ms + 10 ms a request, up to 8), p95 "
        "50 ms within 100 ms at 40 req/s on 0 pods: 0 → 1"
    )


@pytest.mark.parametrize(
    ("observation", "rule", "memory", "replicas", "reason", "message"),
    [
        # Wanted and carried out.
        pytest.param(
            observed(2, seen(40.0, 0.182)),
            policy(),
            SETTLED,
            5,
            Reason.SCALED_UP,
            "p95 182 ms over 100 ms at 240 req/s on 2 pods: 2 → 5",
            id="a broken objective",
        ),
        pytest.param(
            observed(2, seen(56.0, 0.182)),
            policy(behavior=Behavior(up=rules((3, PODS, 60)), down=rules())),
            SETTLED,
            5,
            Reason.SCALED_UP,
            "p95 182 ms over 100 ms at 240 req/s on 2 pods: 2 → 5 (limited by +3 per 60 s; "
            "7 wanted)",
            id="a rate policy binds",
        ),
        pytest.param(
            observed(2, seen(56.0, 0.182)),
            policy(bounds=(1, 4)),
            SETTLED,
            4,
            Reason.SCALED_UP,
            "p95 182 ms over 100 ms at 240 req/s on 2 pods: 2 → 4 (limited by scaling.max 4; "
            "7 wanted)",
            id="the upper bound binds",
        ),
        pytest.param(
            observed(2, seen(24.0)),
            policy(),
            SETTLED,
            3,
            Reason.SCALED_UP,
            "12 in flight per pod of 8 aimed at, p95 50 ms within 100 ms at 240 req/s on 2 pods: "
            "2 → 3",
            id="demand rises before latency does",
        ),
        pytest.param(
            observed(2, seen(24.0, Latency(0.0403, LatencyKind.MEAN, None))),
            policy(),
            SETTLED,
            3,
            Reason.SCALED_UP,
            "12 in flight per pod of 8 aimed at, mean 40.3 ms within 100 ms at 240 req/s on "
            "2 pods: 2 → 3",
            id="a mean is called so",
        ),
        pytest.param(
            observed(2, seen(24.0, Latency(0.182, LatencyKind.ESTIMATED_PERCENTILE, 99.9))),
            policy(),
            SETTLED,
            3,
            Reason.SCALED_UP,
            "estimated p99.9 182 ms over 100 ms at 240 req/s on 2 pods: 2 → 3",
            id="an estimated percentile is called so, by its own rank",
        ),
        pytest.param(
            observed(2, seen(24.0, failure_ratio=0.025)),
            policy(),
            SETTLED,
            3,
            Reason.SCALED_UP,
            "failures 2.5% over 0.1% at 240 req/s on 2 pods: 2 → 3",
            id="failures break an objective whose latency is kept",
        ),
        pytest.param(
            observed(2, seen(24.0, 0.182, failure_ratio=0.025)),
            policy(),
            SETTLED,
            3,
            Reason.SCALED_UP,
            "p95 182 ms over 100 ms and failures 2.5% over 0.1% at 240 req/s on 2 pods: 2 → 3",
            id="both parts of an objective are broken",
        ),
        pytest.param(
            observed(2, seen(24.0, None, rate=0.0)),
            policy(),
            SETTLED,
            3,
            Reason.SCALED_UP,
            "12 in flight per pod of 8 aimed at, no request answered at 0 req/s on 2 pods: 2 → 3",
            id="servers that answer nothing",
        ),
        pytest.param(
            observed(4, seen(4.0, 0.02, rate=12.5)),
            policy(),
            SETTLED,
            1,
            Reason.SCALED_DOWN,
            "1 in flight per pod of 8 aimed at, p95 20 ms within 100 ms at 12.5 req/s on 4 pods: "
            "4 → 1",
            id="demand falls",
        ),
        pytest.param(
            observed(4, seen(0.0, None, rate=0.0)),
            policy(),
            SETTLED,
            1,
            Reason.SCALED_DOWN,
            "no requests on 4 pods: 4 → 1",
            id="no demand leaves one pod",
        ),
        pytest.param(
            observed(6, seen(8.0)),
            policy(bounds=(3, 10)),
            SETTLED,
            3,
            Reason.SCALED_DOWN,
            "1.33 in flight per pod of 8 aimed at, p95 50 ms within 100 ms at 240 req/s on "
            "6 pods: 6 → 3 (scaling.min is 3; 1 wanted)",
            id="the lower bound binds",
        ),
        pytest.param(
            observed(8, seen(8.0)),
            policy(behavior=Behavior(up=rules(), down=rules((25, PERCENT, 60)))),
            SETTLED,
            6,
            Reason.SCALED_DOWN,
            "1 in flight per pod of 8 aimed at, p95 50 ms within 100 ms at 240 req/s on 8 pods: "
            "8 → 6 (limited by -25% per 60 s; 1 wanted)",
            id="a rate policy in percent binds",
        ),
        pytest.param(
            observed(8, seen(8.0)),
            policy(behavior=Behavior(up=rules(), down=rules(window=300))),
            replace(SETTLED, recommendations=(Recommendation(NOW - seconds(200), 5),)),
            5,
            Reason.SCALED_DOWN,
            "1 in flight per pod of 8 aimed at, p95 50 ms within 100 ms at 240 req/s on 8 pods: "
            "8 → 5 (shrinking waits until it was wanted for 5m; 1 wanted)",
            id="shrinking only as far as the window has it",
        ),
        # Nothing wanted.
        pytest.param(
            observed(2, seen(17.0)),
            policy(),
            SETTLED,
            2,
            Reason.WITHIN_TARGET,
            "8.5 in flight per pod of 8 aimed at, p95 50 ms within 100 ms at 240 req/s on 2 pods: "
            "2 kept",
            id="within the tolerance",
        ),
        pytest.param(
            observed(3, seen(0.0, None, rate=0.0)),
            policy(bounds=(3, 10)),
            SETTLED,
            3,
            Reason.WITHIN_TARGET,
            "no requests on 3 pods: 3 kept, 1 wanted (scaling.min is 3)",
            id="at rest at the lower bound",
        ),
        # Wanted and limited.
        pytest.param(
            observed(4, seen(56.0, 0.182)),
            policy(bounds=(1, 4)),
            SETTLED,
            4,
            Reason.LIMITED,
            "p95 182 ms over 100 ms at 240 req/s on 4 pods: 4 held, 7 wanted (limited by "
            "scaling.max 4)",
            id="at the upper bound",
        ),
        pytest.param(
            observed(5, seen(56.0)),
            policy(behavior=Behavior(up=rules((3, PODS, 60)), down=rules())),
            replace(SETTLED, changes=(ScaleChange(NOW - seconds(10), 3),)),
            5,
            Reason.LIMITED,
            "11.2 in flight per pod of 8 aimed at, p95 50 ms within 100 ms at 240 req/s on 5 pods: "
            "5 held, 7 wanted (limited by +3 per 60 s)",
            id="the rate is used up",
        ),
        pytest.param(
            observed(5, seen(8.0)),
            policy(behavior=Behavior(up=rules(), down=rules(select=SelectPolicy.DISABLED))),
            SETTLED,
            5,
            Reason.LIMITED,
            "1.6 in flight per pod of 8 aimed at, p95 50 ms within 100 ms at 240 req/s on 5 pods: "
            "5 held, 1 wanted (limited by scaling.behavior.down.selectPolicy Disabled)",
            id="shrinking is disabled",
        ),
        # Wanted and held.
        pytest.param(
            observed(2, seen(40.0, 0.182), ready=1),
            policy(),
            SETTLED,
            2,
            Reason.HELD,
            "p95 182 ms over 100 ms at 240 req/s on 2 pods: 2 held, 5 wanted (1 of 2 pods not "
            "ready yet)",
            id="no second step up while a pod starts",
        ),
        pytest.param(
            observed(4, seen(8.0), ready=3),
            policy(),
            SETTLED,
            4,
            Reason.HELD,
            "2 in flight per pod of 8 aimed at, p95 50 ms within 100 ms at 240 req/s on 4 pods: "
            "4 held, 1 wanted (1 of 4 pods not ready yet)",
            id="no step down while a pod starts",
        ),
        pytest.param(
            observed(3, seen(40.0, 0.182), ready=2, stuck=1),
            policy(),
            SETTLED,
            5,
            Reason.SCALED_UP,
            "p95 182 ms over 100 ms at 240 req/s on 3 pods: 3 → 5",
            id="a pod that fails for ever is not waited for",
        ),
        pytest.param(
            observed(3, seen(40.0, 0.182), ready=2, unschedulable=1),
            policy(),
            SETTLED,
            3,
            Reason.HELD,
            "p95 182 ms over 100 ms at 240 req/s on 3 pods: 3 held, 5 wanted (no node takes 1 pod)",
            id="no step up while no node takes a pod",
        ),
        pytest.param(
            observed(3, seen(8.0), ready=2, unschedulable=1),
            policy(),
            SETTLED,
            1,
            Reason.SCALED_DOWN,
            "2.67 in flight per pod of 8 aimed at, p95 50 ms within 100 ms at 240 req/s on 3 pods: "
            "3 → 1",
            id="a pod that no node takes does not keep the fleet from shrinking",
        ),
        pytest.param(
            observed(4, seen(8.0)),
            policy(),
            Memory(started=NOW - seconds(29)),
            4,
            Reason.HELD,
            "2 in flight per pod of 8 aimed at, p95 50 ms within 100 ms at 240 req/s on 4 pods: "
            "4 held, 1 wanted (shrinking needs signals of 30s, and there are 29s)",
            id="no step down before a full window after a restart",
        ),
        pytest.param(
            observed(4, seen(8.0)),
            policy(behavior=Behavior(up=rules(), down=rules(window=300))),
            memory_from_status(None, NOW - seconds(299), 4),
            4,
            Reason.HELD,
            "2 in flight per pod of 8 aimed at, p95 50 ms within 100 ms at 240 req/s on 4 pods: "
            "4 held, 1 wanted (shrinking waits until it was wanted for 5m)",
            id="a restart counts the present size as the first recommendation",
        ),
        pytest.param(
            observed(2, seen(40.0)),
            policy(behavior=Behavior(up=rules(window=60), down=rules())),
            replace(SETTLED, recommendations=(Recommendation(NOW - seconds(30), 2),)),
            2,
            Reason.HELD,
            "20 in flight per pod of 8 aimed at, p95 50 ms within 100 ms at 240 req/s on 2 pods: "
            "2 held, 5 wanted (growing waits until it was wanted for 1m)",
            id="growing waits for its window",
        ),
        pytest.param(
            observed(7, LOST),
            policy(),
            SETTLED,
            7,
            Reason.NO_SIGNALS,
            "7 pods held: the newest sample is 95s old",
            id="without signals the fleet is held",
        ),
        # Bounds bind at once, whatever is seen.
        pytest.param(
            observed(1, LOST),
            policy(bounds=(3, 10), behavior=Behavior()),
            SETTLED,
            3,
            Reason.SCALED_UP,
            "1 pod, fewer than scaling.min 3: 1 → 3",
            id="below the lower bound",
        ),
        pytest.param(
            observed(0, NoSignals(Reason.NO_PODS, "no server pod is ready"), ready=0),
            policy(),
            SETTLED,
            1,
            Reason.SCALED_UP,
            "0 pods, fewer than scaling.min 1: 0 → 1",
            id="from nothing",
        ),
        pytest.param(
            observed(12, seen(1000.0), ready=3),
            policy(bounds=(1, 10), behavior=Behavior()),
            SETTLED,
            10,
            Reason.SCALED_DOWN,
            "12 pods, more than scaling.max 10: 12 → 10",
            id="above the upper bound",
        ),
        # Paused.
        pytest.param(
            observed(2, seen(40.0, 0.182)),
            policy(paused=Paused.ALL),
            SETTLED,
            2,
            Reason.PAUSED,
            "p95 182 ms over 100 ms at 240 req/s on 2 pods: 2 kept, 5 wanted (scaling.paused is "
            "All)",
            id="paused",
        ),
        pytest.param(
            observed(2, seen(16.0)),
            policy(paused=Paused.ALL),
            SETTLED,
            2,
            Reason.PAUSED,
            "8 in flight per pod of 8 aimed at, p95 50 ms within 100 ms at 240 req/s on 2 pods: "
            "2 kept (scaling.paused is All)",
            id="paused with nothing to do",
        ),
        pytest.param(
            observed(2, seen(40.0, 0.182)),
            policy(paused=Paused.SCALE_OUT),
            SETTLED,
            2,
            Reason.PAUSED,
            "p95 182 ms over 100 ms at 240 req/s on 2 pods: 2 kept, 5 wanted (scaling.paused is "
            "ScaleOut)",
            id="growing is paused",
        ),
        pytest.param(
            observed(2, seen(40.0, 0.182)),
            policy(paused=Paused.SCALE_IN),
            SETTLED,
            5,
            Reason.SCALED_UP,
            "p95 182 ms over 100 ms at 240 req/s on 2 pods: 2 → 5",
            id="pausing scale-in does not pause growing",
        ),
        pytest.param(
            observed(4, seen(8.0)),
            policy(paused=Paused.SCALE_IN),
            SETTLED,
            4,
            Reason.PAUSED,
            "2 in flight per pod of 8 aimed at, p95 50 ms within 100 ms at 240 req/s on 4 pods: "
            "4 kept, 1 wanted (scaling.paused is ScaleIn)",
            id="shrinking is paused",
        ),
        pytest.param(
            observed(12, LOST),
            policy(bounds=(1, 10), paused=Paused.SCALE_IN),
            SETTLED,
            12,
            Reason.PAUSED,
            "12 pods, more than scaling.max 10: 12 kept, 10 wanted (scaling.paused is ScaleIn)",
            id="a pause holds against the bounds too",
        ),
        # Other modes.
        pytest.param(
            observed(3, LOST),
            policy(mode=ScalingMode.FIXED, replicas=3),
            SETTLED,
            3,
            Reason.FIXED,
            "3 pods, as spec.replicas says in mode Fixed",
            id="fixed",
        ),
        pytest.param(
            observed(3, LOST),
            policy(mode=ScalingMode.FIXED, replicas=5),
            SETTLED,
            5,
            Reason.FIXED,
            "3 → 5, as spec.replicas says in mode Fixed",
            id="fixed to another size",
        ),
        pytest.param(
            observed(3, seen(80.0)),
            policy(mode=ScalingMode.EXTERNAL, replicas=2),
            SETTLED,
            2,
            Reason.EXTERNAL,
            "3 → 2, as an autoscaler wrote to spec.replicas in mode External",
            id="external",
        ),
        pytest.param(
            observed(2, seen(40.0, 0.182)),
            policy(mode=ScalingMode.SHADOW),
            SETTLED,
            2,
            Reason.SHADOW,
            "not carried out in mode Shadow: p95 182 ms over 100 ms at 240 req/s on 2 pods: 2 → 5",
            id="shadow",
        ),
        pytest.param(
            observed(2, seen(40.0, 0.182)),
            policy(mode=ScalingMode.SHADOW, replicas=4),
            SETTLED,
            4,
            Reason.SHADOW,
            "2 → 4, as spec.replicas says",
            id="shadow, when its user changes the size",
        ),
        pytest.param(
            observed(2, ()),
            replace(policy(mode=ScalingMode.SHADOW), objectives=()),
            SETTLED,
            2,
            Reason.SHADOW,
            "not carried out in mode Shadow: 2 pods kept: there is no objective to scale by",
            id="nothing to scale by",
        ),
        # The correction of the target acts in the same decision.
        pytest.param(
            observed(2, seen(10.0, 0.182)),
            policy(),
            FULL_WINDOW,
            3,
            Reason.SCALED_UP,
            "p95 182 ms over 100 ms at 240 req/s on 2 pods: 2 → 3",
            id="a full broken window asks for one more pod, although the target is not reached",
        ),
        pytest.param(
            observed(2, seen(10.0, 0.182)),
            policy(),
            SETTLED,
            2,
            Reason.WITHIN_TARGET,
            "p95 182 ms over 100 ms at 240 req/s on 2 pods: 2 kept (one more follows if "
            "it lasts 30s)",
            id="a broken objective never asks for fewer",
        ),
        pytest.param(
            observed(3, seen(1.5, 0.182)),
            policy(),
            FULL_WINDOW,
            2,
            Reason.SCALED_DOWN,
            "p95 182 ms over 100 ms at 240 req/s on 3 pods: 3 → 2 (no more pods than "
            "requests in flight can help)",
            id="but never for more than one pod per request in flight",
        ),
        pytest.param(
            observed(2, seen(4.0, 0.182)),
            policy(objective(fixed=True)),
            FULL_WINDOW,
            1,
            Reason.SCALED_DOWN,
            "p95 182 ms over 100 ms at 240 req/s on 2 pods: 2 → 1 (scaling.target.inFlight is 8)",
            id="a target that the user set is followed to the letter",
        ),
        # Several objectives.
        pytest.param(
            observed(2, (seen(8.0, model="a"), seen(24.0, model="b"))),
            policy(objective("a"), objective("b")),
            SETTLED,
            3,
            Reason.SCALED_UP,
            "b: 12 in flight per pod of 8 aimed at, p95 50 ms within 100 ms at 240 req/s on "
            "2 pods: 2 → 3",
            id="the largest proposal wins and is named",
        ),
        pytest.param(
            observed(2, (seen(16.0, model="a"), seen(16.0, 0.182, model="b"))),
            policy(objective("a"), objective("b")),
            SETTLED,
            2,
            Reason.WITHIN_TARGET,
            "b: p95 182 ms over 100 ms at 240 req/s on 2 pods: 2 kept (one more follows if "
            "it lasts 30s)",
            id="of equal proposals the one that is broken is named",
        ),
        # By what a pod sustains, where that is known.
        pytest.param(
            observed(3, seen(16.0, rate=143.0), capacity=SUSTAINS_57),
            policy(),
            SETTLED,
            3,
            Reason.WITHIN_TARGET,
            "47.7 req/s per pod of 57 that one sustains (learnt: 40 ms + 10 ms a request, up to "
            "8), p95 50 ms within 100 ms at 143 req/s on 3 pods: 3 kept",
            id="the pods sustain the load",
        ),
        pytest.param(
            observed(2, seen(16.0, rate=143.0), capacity=OF_A_PIPELINE),
            policy(),
            SETTLED,
            3,
            Reason.SCALED_UP,
            "71.6 req/s per pod of 57 that one sustains (learnt: encoder is the busiest step, 40 "
            "ms + 10 ms a request, up to 8), p95 50 ms within 100 ms at 143 req/s on 2 pods: 2 → 3",
            id="of a pipeline the step that binds it is named",
        ),
        pytest.param(
            observed(2, seen(16.0, rate=143.0), capacity=SUSTAINS_57),
            policy(),
            SETTLED,
            3,
            Reason.SCALED_UP,
            "71.6 req/s per pod of 57 that one sustains (learnt: 40 ms + 10 ms a request, up to "
            "8), p95 50 ms within 100 ms at 143 req/s on 2 pods: 2 → 3",
            id="they do not, though the objective is still kept",
        ),
        pytest.param(
            observed(4, seen(16.0, rate=143.0), capacity=SUSTAINS_57),
            policy(),
            SETTLED,
            3,
            Reason.SCALED_DOWN,
            "35.8 req/s per pod of 57 that one sustains (learnt: 40 ms + 10 ms a request, up to "
            "8), p95 50 ms within 100 ms at 143 req/s on 4 pods: 4 → 3",
            id="fewer pods sustain it with a margin",
        ),
        pytest.param(
            observed(4, seen(16.0, rate=160.0), capacity=SUSTAINS_57),
            policy(),
            SETTLED,
            4,
            Reason.WITHIN_TARGET,
            "40 req/s per pod of 57 that one sustains (learnt: 40 ms + 10 ms a request, up to "
            "8), p95 50 ms within 100 ms at 160 req/s on 4 pods: 4 kept",
            id="fewer would sustain it without a margin only",
        ),
        pytest.param(
            observed(1, seen(605.7, 4.0, rate=50.0), capacity=SUSTAINS_57),
            policy(),
            SETTLED,
            2,
            Reason.SCALED_UP,
            "70 req/s per pod, a backlog of 600 included, of 57 that one sustains (learnt: 40 ms "
            "+ 10 ms a request, up to 8), p95 4000 ms over 100 ms at 50 req/s on 1 pod: 1 → 2",
            id="the answers of an overloaded pod are fewer than what is asked: its queue tells",
        ),
        pytest.param(
            observed(2, seen(10.0, 0.182, rate=60.0), capacity=SUSTAINS_57),
            policy(),
            FULL_WINDOW,
            3,
            Reason.SCALED_UP,
            "30 req/s per pod of 57 that one sustains (learnt: 40 ms + 10 ms a request, up to 8), "
            "p95 182 ms over 100 ms at 60 req/s on 2 pods: 2 → 3",
            id="a broken objective asks for one more, whatever is said of the pods",
        ),
        pytest.param(
            observed(2, seen(10.0, 0.182, rate=50.0), capacity=SUSTAINS_57),
            policy(),
            SETTLED,
            2,
            Reason.WITHIN_TARGET,
            "25 req/s per pod of 57 that one sustains (learnt: 40 ms + 10 ms a request, up to 8), "
            "p95 182 ms over 100 ms at 50 req/s on 2 pods: 2 kept (one more follows if it lasts "
            "30s)",
            id="nor does it ask for fewer",
        ),
        pytest.param(
            observed(3, seen(16.0, rate=143.0), capacity=SUSTAINS_57),
            policy(),
            LOWERED,
            4,
            Reason.SCALED_UP,
            "47.7 req/s per pod of 45.6 that one sustains (learnt: 40 ms + 10 ms a request, up to "
            "8, corrected by 0.8), p95 50 ms within 100 ms at 143 req/s on 3 pods: 3 → 4",
            id="what a pod sustains was corrected",
        ),
        pytest.param(
            observed(2, seen(3.0, 0.095, rate=143.0), capacity=Capacity(5.0, CURVE)),
            policy(),
            SETTLED,
            3,
            Reason.SCALED_UP,
            "71.5 req/s per pod of 5 that one sustains (learnt: 40 ms + 10 ms a request, up to "
            "8), p95 95 ms within 100 ms at 143 req/s on 2 pods: 2 → 3",
            id="never for more than one pod per request in flight either",
        ),
        pytest.param(
            observed(2, seen(16.0, rate=143.0), capacity=SUSTAINS_57),
            policy(objective(fixed=True)),
            LOWERED,
            2,
            Reason.WITHIN_TARGET,
            "8 in flight per pod of 8 aimed at, p95 50 ms within 100 ms at 143 req/s on 2 pods: "
            "2 kept",
            id="a target that the user set wins over what was learnt",
        ),
        pytest.param(
            observed(2, seen(10.0, 0.182), capacity=TOO_SLOW),
            policy(),
            FULL_WINDOW,
            2,
            Reason.WITHIN_TARGET,
            "p95 182 ms over 100 ms, which no size keeps (an idle pod takes 142 ms, learnt: 40 ms "
            "+ 10 ms a request, up to 8), at 240 req/s on 2 pods: 2 kept",
            id="what no size keeps is said, and not chased",
        ),
        pytest.param(
            observed(2, seen(40.0, 0.182), capacity=TOO_SLOW),
            policy(),
            replace(SETTLED, targets=(TargetMemory("m", 1.0, None, None),)),
            5,
            Reason.SCALED_UP,
            "p95 182 ms over 100 ms, which no size keeps (an idle pod takes 142 ms, learnt: 40 ms "
            "+ 10 ms a request, up to 8), at 240 req/s on 2 pods: 2 → 5",
            id="then the fleet follows the requests in flight, by the target it started from",
        ),
    ],
)
def test_a_decision_says_what_was_seen_what_was_wanted_and_what_bound_it(
    observation: Observation,
    rule: Policy,
    memory: Memory,
    replicas: int,
    reason: Reason,
    message: str,
) -> None:
    decision, _ = decide(observation, rule, memory)
    assert (decision.replicas, decision.reason, decision.message) == (replicas, reason, message)
    assert (decision.at, decision.current) == (NOW, observation.replicas)


def test_a_decision_names_its_model_and_what_was_proposed() -> None:
    observation = observed(2, (seen(8.0, model="a"), seen(56.0, model="b")))
    decision, _ = decide(
        observation, policy(objective("a"), objective("b"), bounds=(1, 4)), SETTLED
    )
    assert (decision.model, decision.proposed, decision.replicas) == ("b", 7, 4)


def test_without_signals_the_windows_stand_still() -> None:
    past = (Recommendation(NOW - seconds(299), 2), Recommendation(NOW - seconds(9), 3))
    _, after = decide(observed(3, LOST), policy(), replace(FULL_WINDOW, recommendations=past))
    assert after.recommendations == (Recommendation(NOW - seconds(290), 2), Recommendation(NOW, 3))
    assert after.targets == (TargetMemory("m", 8.0, None, None),)
    later = NOW + WINDOW - seconds(1)
    decision, _ = decide(observed(3, seen(1.0), now=later), policy(), after)
    assert decision.reason is Reason.HELD, "a gap is followed by a full window, as a restart is"


def test_a_factor_waits_for_a_full_window_and_goes_with_its_capacity() -> None:
    rule, doubted = policy(), FactorMemory("m", 0.8, Doubt(NOW - seconds(5), 100.0))
    memory = replace(SETTLED, factors=(doubted,))
    _, blind = decide(observed(3, LOST), rule, memory)
    assert blind.factors == (FactorMemory("m", 0.8),)
    _, forgotten = decide(observed(3, seen(16.0)), rule, memory)
    assert forgotten.factors == ()


@pytest.mark.parametrize(
    ("eased_of", "factor"),
    [
        pytest.param((), 1.05, id="quicker than is due, they sustain more"),
        pytest.param(((2, 0.07),), 1.0, id="as quick as the gateway's choice makes them"),
    ],
)
def test_pods_are_quick_beyond_what_is_due_of_all_of_them(
    eased_of: tuple[tuple[int, float], ...], factor: float
) -> None:
    calm = FactorMemory("m", calm_since=NOW - seconds(600))
    known = Capacity(57.0, CURVE, 0.1, eased_of)
    busy = observed(2, seen(8.0, 0.07, rate=108.0), capacity=known)
    _, after = decide(busy, policy(), replace(SETTLED, factors=(calm,)))
    assert after.factors[0].factor == pytest.approx(factor)


def test_only_a_change_that_was_carried_out_counts_against_the_rate() -> None:
    rule = policy(behavior=Behavior(up=rules((3, PODS, 60)), down=rules()))
    decision, memory = decide(observed(2, seen(80.0)), rule, SETTLED)
    assert record(memory, decision, carried_out=False).changes == ()
    assert record(memory, decision, carried_out=True).changes == (ScaleChange(NOW, 3),)
    held, memory = decide(observed(5, LOST), rule, memory)
    assert record(memory, held, carried_out=True).changes == ()


def test_the_demand_of_a_fleet_too_small_does_not_lower_its_target() -> None:
    # At the upper bound for an hour, far over the objective: the target is lowered only until it
    # asks for more than may be had, so that a later, smaller load finds it usable.
    rule, memory, observation = policy(bounds=(1, 4)), SETTLED, observed(4, seen(100.0, 0.5))
    for step in range(0, 3600, 5):
        now = NOW + seconds(step)
        observation = observed(4, seen(100.0, 0.5), now=now)
        decision, memory = decide(observation, rule, memory)
        assert decision.reason is Reason.LIMITED
    assert memory.targets[0].in_flight_per_pod == 8.0


@pytest.mark.parametrize("beside_canary", [False, True], ids=["alone", "beside a canary"])
def test_a_persistent_break_leads_to_more_pods_window_by_window(beside_canary: bool) -> None:
    rule, memory, replicas, sizes = policy(), SETTLED, 2, [2]
    for step in range(0, 181, 5):
        now, late = NOW + seconds(step), seen(10.0, 0.2)
        observation = observed(replicas, late, now=now, beside_canary=beside_canary)
        decision, memory = decide(observation, rule, memory)
        memory = record(memory, decision, carried_out=True)
        replicas = decision.replicas
        if replicas != sizes[-1]:
            sizes.append(replicas)
    assert sizes == [2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("beside_canary", [False, True], ids=["alone", "beside a canary"])
@pytest.mark.parametrize(
    ("load", "capacity"),
    [
        pytest.param(seen(12.0, 0.03), None, id="quick"),
        pytest.param(seen(12.0, 0.2), None, id="late"),
        pytest.param(seen(12.0, 0.03, rate=110.0), EASED_57, id="quicker than by their curve"),
        pytest.param(seen(12.0, 0.2, rate=90.0), EASED_57, id="later than by their curve"),
    ],
)
def test_pods_are_only_known_by_what_they_answer_alone(
    load: ModelSignals, capacity: Capacity | None, beside_canary: bool
) -> None:
    memory = SETTLED
    for step in range(0, 900, 5):
        observation = observed(
            2, load, capacity=capacity, now=NOW + seconds(step), beside_canary=beside_canary
        )
        _, memory = decide(observation, policy(bounds=(2, 2)), memory)
    learnt = memory.factors[0].factor if capacity else memory.targets[0].in_flight_per_pod / 8.0
    assert (learnt == 1.0) is beside_canary


def test_what_broke_beside_a_canary_is_no_doubt_until_it_has_ended() -> None:
    late, memory = seen(12.0, 0.2, rate=90.0), SETTLED
    for step in range(0, 300, 5):
        observation = observed(
            2, late, capacity=EASED_57, now=NOW + seconds(step), beside_canary=step < 60
        )
        _, memory = decide(observation, policy(bounds=(2, 2)), memory)
    assert memory.factors == (FactorMemory("m", explained=True),)


# ---------------------------------------------------------------------------------- properties

latencies = st.none() | st.floats(0.001, 1.0).map(p95)
loads = st.builds(seen, st.floats(0, 500), latencies, failure_ratio=st.floats(0, 1))
capacities = (
    st.none() | st.just(TOO_SLOW) | st.floats(0.1, 500).map(lambda rate: Capacity(rate, CURVE))
)
observations = st.builds(
    lambda replicas, load, unready, unschedulable, stuck, capacity, beside_canary: observed(
        replicas,
        load,
        capacity=capacity,
        beside_canary=beside_canary,
        ready=max(replicas - unready, 0),
        unschedulable=min(unschedulable, unready, replicas),
        stuck=min(stuck, max(min(unready, replicas) - unschedulable, 0)),
    ),
    st.integers(0, 40),
    loads | st.just(LOST),
    st.integers(0, 3),
    st.integers(0, 2),
    st.integers(0, 2),
    capacities,
    st.booleans(),
)
rulesets = st.builds(
    lambda value, kind, period, window, select: rules(
        (value, kind, period), window=window, select=select
    ),
    st.integers(1, 150),
    st.sampled_from(PolicyType),
    st.sampled_from([1.0, 15.0, 60.0]),
    st.sampled_from([0, 60, 300]),
    st.sampled_from(SelectPolicy),
)
policies = st.builds(
    lambda bounds, up, down, paused, start: policy(
        objective(start=start),
        bounds=(min(bounds), max(bounds)),
        behavior=Behavior(up=up, down=down),
        paused=paused,
    ),
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
    rulesets,
    rulesets,
    st.sampled_from(Paused),
    st.floats(1, 64),
)
memories = st.builds(
    lambda past, changes, since, started: Memory(
        started=NOW - seconds(started),
        recommendations=tuple(Recommendation(NOW - seconds(a), r) for a, r in past),
        changes=tuple(ScaleChange(NOW - seconds(a), c) for a, c in changes),
        targets=(TargetMemory("m", 8.0, None if since is None else NOW - seconds(since), None),),
    ),
    st.lists(st.tuples(st.integers(1, 400), st.integers(1, 40)), max_size=8),
    st.lists(st.tuples(st.integers(1, 400), st.integers(-5, 5)), max_size=4),
    st.none() | st.integers(0, 90),
    st.integers(0, 600),
)


@given(observations, policies, memories)
def test_no_decision_leaves_the_bounds(
    observation: Observation, rule: Policy, memory: Memory
) -> None:
    decision, _ = decide(observation, rule, memory)
    within = rule.min_replicas <= decision.replicas <= rule.max_replicas
    assert within or decision.reason is Reason.PAUSED
    assert str(decision.message)


@given(observations, policies, memories)
def test_without_signals_a_fleet_within_its_bounds_is_held(
    observation: Observation, rule: Policy, memory: Memory
) -> None:
    blind = replace(observation, signals=LOST)
    decision, after = decide(blind, rule, memory)
    if rule.min_replicas <= observation.replicas <= rule.max_replicas:
        assert decision.replicas == observation.replicas
        sizes = [recommendation.replicas for recommendation in memory.recommendations]
        assert [recommendation.replicas for recommendation in after.recommendations] == sizes


@given(observations, policies, memories, st.integers(0, 29))
def test_nothing_shrinks_before_a_window_after_a_restart(
    observation: Observation, rule: Policy, memory: Memory, ago: int
) -> None:
    decision, _ = decide(observation, rule, replace(memory, started=NOW - seconds(ago)))
    assert decision.replicas >= min(observation.replicas, rule.max_replicas)


@given(observations, policies, memories)
def test_nothing_grows_within_its_bounds_while_pods_start_or_find_no_node(
    observation: Observation, rule: Policy, memory: Memory
) -> None:
    decision, _ = decide(observation, rule, memory)
    starting = observation.replicas - observation.ready - observation.stuck
    if starting > 0 or observation.unschedulable:
        assert decision.replicas <= max(observation.replicas, rule.min_replicas)


@given(observations, policies, memories)
def test_disabled_directions_never_move_within_the_bounds(
    observation: Observation, rule: Policy, memory: Memory
) -> None:
    still = Behavior(
        up=rules(select=SelectPolicy.DISABLED), down=rules(select=SelectPolicy.DISABLED)
    )
    decision, _ = decide(observation, replace(rule, behavior=still), memory)
    if rule.min_replicas <= observation.replicas <= rule.max_replicas:
        assert decision.replicas == observation.replicas


@given(observations, loads, st.floats(1, 10), policies, memories)
def test_more_load_never_means_fewer_pods(
    observation: Observation, load: ModelSignals, factor: float, rule: Policy, memory: Memory
) -> None:
    heavier = replace(load, in_flight=load.in_flight * factor)
    less = replace(observation, signals=Signals(NOW, WINDOW, (load,)))
    more = replace(observation, signals=Signals(NOW, WINDOW, (heavier,)))
    assert decide(less, rule, memory)[0].replicas <= decide(more, rule, memory)[0].replicas


@given(observations, policies, memories)
def test_the_same_inputs_give_the_same_decision(
    observation: Observation, rule: Policy, memory: Memory
) -> None:
    assert decide(observation, rule, memory) == decide(observation, rule, memory)
