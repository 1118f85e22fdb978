"""From `tuning.mode: Apply` in a resource to fewer pods for the same load, by larger batches and by
instances; and a setting that disappoints, and is taken back.

An agent serves a model that sleeps 100 ms + 5 ms a request, in batches of up to 4: of 8 a pod could
answer 70 % more. It is scaled by its objective until its size stands; then `tuning.mode: Apply` is
written into its spec, and nothing else is done to it.

Another one's batches of up to 2 are on that line, too, and larger ones are on none: each request
more takes 250 ms, as where it does not fit into a memory that is quick. By what is seen of batches
of 2 those of 4 are recommended; with them the objective is not kept.

A third may have two instances and no larger batches. What instances cost each other nobody knows
then, and here they share nothing: the canary is to find out.

What takes the time is sleep, so that others' work on the machine adds little to latencies.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import yaml

from bench.applied import (
    Diary,
    Subject,
    applied,
    course_words,
    diary_of,
    fleet,
    fleets_table,
    setting_words,
    settled,
    share_words,
)
from e2e.agents import start
from kube import Kube, Object, merged
from trireme.api import names
from trireme.api.conditions import EventReason
from trireme.api.rollout import TrackAnswers
from trireme.rollout.evidence import Share

RATE, BENT_RATE, DOUBLED_RATE = 85.0, 11.0, 60.0
LIMIT_SECONDS = 0.4
SETTLES_SECONDS, KEPT_SECONDS = 480, 600
REFUSED_SECONDS, GONE_SECONDS = 900, 300

_MANIFESTS = Path(__file__).with_suffix(".yaml")
_BENT = {"straight": "2", "bent_ms": "250"}
_ARGUMENTS = ("--input=x:FP32:1x16", "--output=y", "--expect=double")
_NEVER = (EventReason.SETTING_REFUSED, EventReason.SETTING_UNDECIDED)


def run(kube: Kube, system: Kube) -> str:
    """All side by side, since none takes much of the processors: 20 minutes. One that fails does
    not take the results of the others with it.
    """
    files, agent = yaml.safe_load_all(_MANIFESTS.read_text())
    kube.apply(files)
    with ThreadPoolExecutor() as pool:
        parts = [pool.submit(part, kube, agent) for part in (gained, disappointed, doubled)]
    if any(part.exception() for part in parts):
        for part in parts:
            print(part.exception() or part.result(), flush=True)
    return "\n".join(part.result() for part in parts)


def gained(kube: Kube, agent: Object) -> str:
    """A setting that is kept, and what the fleet is before and after it."""
    return _kept("Larger batches", kube, agent, RATE)


def doubled(kube: Kube, agent: Object) -> str:
    """The same of a number of instances."""
    limits = {"maxBatchSize": {"max": 4}, "instances": {"max": 2}}
    return _kept("Two instances", kube, _named(agent, "doubled", limits), DOUBLED_RATE)


def disappointed(kube: Kube, agent: Object) -> str:
    """A setting that is taken back."""
    bent = _bent(agent)
    subject = Subject(kube, start(kube, bent), BENT_RATE, LIMIT_SECONDS, _ARGUMENTS)
    with diary_of(subject, "meanwhile", REFUSED_SECONDS + GONE_SECONDS) as diary:
        is_refused = partial(diary.is_told, EventReason.SETTING_REFUSED)
        diary.until("it is refused", is_refused, REFUSED_SECONDS)
        canary = names.canary(subject.name)
        diary.until("no canary", lambda: kube.find("deployment", canary) is None, GONE_SECONDS)
    return _words("A setting that disappoints", subject, diary)


def _kept(title: str, kube: Kube, agent: Object, rate: float) -> str:
    """The fleet before and after the mode is written, and what happens meanwhile."""
    subject = Subject(kube, start(kube, agent), rate, LIMIT_SECONDS, _ARGUMENTS)
    before = settled(subject, SETTLES_SECONDS)
    diary = applied(subject, _applying(agent), before.curve, _NEVER, KEPT_SECONDS, SETTLES_SECONDS)
    after = fleet(subject, "after")
    title = f"{title}: {before.pods} pods to {after.pods} in {diary.settled_seconds:.0f} s"
    return "\n".join([_words(title, subject, diary), fleets_table(subject, before, after)])


def _applying(agent: Object) -> Object:
    return merged(agent, {"spec": {"tuning": {"mode": "Apply"}}})


def _bent(agent: Object) -> Object:
    """The agent whose larger batches are slow; the mode is in its spec from the start."""
    changes = {"maxBatchSize": 2, "parameters": _BENT}
    return _named(_applying(agent), "bent", {"maxBatchSize": {"max": 4}}, changes)


def _named(agent: Object, name: str, limits: Object, changes: Object | None = None) -> Object:
    """Another agent with a model of its name."""
    (model,), (objective,) = agent["spec"]["models"], agent["spec"]["objectives"]
    return merged(
        agent,
        {
            "metadata": {"name": name},
            "spec": {
                "models": [merged(model, {"name": name, **(changes or {})})],
                "objectives": [merged(objective, {"model": name})],
                "tuning": {"limits": limits},
            },
        },
    )


# ---------------------------------------------------------------------------------------- in words


def _words(title: str, subject: Subject, diary: Diary) -> str:
    """What happened, and what of it the operator says itself."""
    status, tried = subject.status(), diary.tried()
    settings = [setting_words(each) for each in status.adopted]
    late = (
        f"Late while a canary answered, by the gateway: {share_words(tried[names.TRACK_CANARY])} "
        f"of the canary's, {share_words(tried[names.TRACK_STABLE])} of the stable pods'."
    )
    if status.rollout is not None:
        canary, stable = _late(status.rollout.canary), _late(status.rollout.stable)
        late = f"{late} By the analysis, without first minutes: {canary} and {stable}."
    return "\n".join([course_words(title, diary), *settings, "", late, ""])


def _late(told: TrackAnswers) -> str:
    return share_words(Share(told.late, told.requests - told.untimed))
