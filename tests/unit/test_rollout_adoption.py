"""What Trireme sets in the user's place: laid over a spec, begun, kept, taken back and dropped."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agents import agent_of, model_of
from trireme.api.adoption import Adoption, AdoptionPhase, Origin
from trireme.api.agent import AgentSpec
from trireme.rollout import adoption
from trireme.rollout.adoption import Adoptions, Learnt, Proposal

TRIED, KEPT, REFUSED, UNDECIDED, POSTPONED = AdoptionPhase
BEGAN, LATER = "2026-11-01T03:00:00Z", "2026-11-01T04:00:00Z"
NEXT_DAY = "2026-11-02T04:00:00Z"
CANARY = {"strategy": "Canary"}
WRITTEN = model_of("m", maxBatchSize=4, batching={"dynamic": {"maxQueueDelay": "1ms"}})
OPTIMIZATION = {
    "mode": "Apply",
    "destination": {"uri": "pvc://results/"},
    "models": [{"model": "m", "samples": {"uri": "pvc://samples/"}}],
}
LARGER = Proposal(
    "m", Origin.TUNING, "maxBatchSize 8 in place of 4", {"maxBatchSize": 8}, "30 % more", 50.0
)
LARGEST = replace(LARGER, entry={"maxBatchSize": 16}, summary="maxBatchSize 16 in place of 8")
MORE = replace(LARGER, entry={"instances": [{"count": 2}]}, summary="instances 2 in place of 1")
CPU = {
    "server": {
        "image": "registry.example/triton:24.10-py3",
        "gpus": {"count": 0},
        "resources": {"cpu": "1", "memory": "2Gi"},
    }
}
FASTER = Proposal(
    "m",
    Origin.OPTIMIZATION,
    "the file made by fp16 in place of the spec's",
    {"source": {"uri": "pvc://results/m/1/model.onnx", "sha256": "a" * 64}},
    "fp16: twice the throughput",
)


def spec(model: dict[str, Any] | None = None, **fields: Any) -> AgentSpec:
    applied = {"tuning": {"mode": "Apply"}, "optimization": OPTIMIZATION, "rollout": CANARY}
    return agent_of(model="m", **{"models": [model or WRITTEN], **applied, **fields}).spec


def limited(**bounds: int) -> AgentSpec:
    return spec(tuning={"mode": "Apply", "limits": {"maxBatchSize": bounds}})


SPEC = spec()


def tried(proposal: Proposal = LARGER, before: Adoptions = (), of: AgentSpec = SPEC) -> Adoptions:
    return adoption.begun(of, before, proposal, 7, BEGAN)


def kept(proposal: Proposal = LARGER, before: Adoptions = ()) -> Adoptions:
    return adoption.kept(tried(proposal, before), LATER)


def learnt(per_second: float, *, is_least: bool = False) -> dict[str, Learnt]:
    return {"m": Learnt(per_second, is_least)}


def phases(adoptions: Adoptions) -> list[tuple[str, AdoptionPhase]]:
    return [(each.summary, each.phase) for each in adoptions]


def laid_over(adoptions: Adoptions, *models: dict[str, Any]) -> list[dict[str, Any]]:
    return adoption.overlaid(models or (WRITTEN,), adoptions)


# ------------------------------------------------------------------------------- laid over a spec


@pytest.mark.parametrize(
    ("adoptions", "set_to"),
    [
        pytest.param((), {}, id="nothing"),
        pytest.param(tried(), {"maxBatchSize": 8}, id="what is tried"),
        pytest.param(kept(), {"maxBatchSize": 8}, id="what is kept"),
        pytest.param(
            tried(LARGEST, kept()), {"maxBatchSize": 16}, id="what is tried in the kept one's place"
        ),
        pytest.param(
            tried(replace(LARGER, entry={"batching": {"dynamic": {}}}), kept()),
            {"batching": {"dynamic": {}}},
            id="what is tried has all that is to stay of the same origin",
        ),
        pytest.param(
            tried(FASTER, kept()),
            {"maxBatchSize": 8, **FASTER.entry},
            id="what is tried of another origin, beside what is kept",
        ),
        pytest.param(adoption.refused(tried(), LATER, "worse"), {}, id="what was taken back"),
        pytest.param(adoption.undecided(tried(), LATER, "slow"), {}, id="what is undecided"),
        pytest.param(
            adoption.refused(tried(LARGEST, kept()), LATER, "worse"),
            {"maxBatchSize": 8},
            id="what is kept, once what was tried in its place was taken back",
        ),
    ],
)
def test_what_is_in_force_is_laid_over_the_spec(
    adoptions: Adoptions, set_to: dict[str, Any]
) -> None:
    other = model_of("n", maxBatchSize=2)
    assert laid_over(adoptions, WRITTEN, other) == [{**WRITTEN, **set_to}, other]


def test_a_field_is_set_whole_so_that_no_digest_of_another_file_stays() -> None:
    old = {"uri": "s3://models/m.onnx", "sha256": "b" * 64, "secretRef": {"name": "s3"}}
    proposal = replace(FASTER, entry={"source": {"uri": "pvc://results/m/1/"}})
    (model,) = laid_over(tried(proposal), {**WRITTEN, "source": old})
    assert model["source"] == {"uri": "pvc://results/m/1/"}


values = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
entries = st.dictionaries(st.text(min_size=1, max_size=6).filter(lambda f: f != "name"), values)


@given(written=entries, entry=entries)
def test_every_field_is_what_the_setting_says_or_else_what_the_user_wrote(
    written: dict[str, Any], entry: dict[str, Any]
) -> None:
    (found,) = laid_over(tried(replace(LARGER, entry=entry)), {"name": "m", **written})
    assert found == {"name": "m", **written, **entry}


# -------------------------------------------------------------------------- what is about the spec


def is_left(
    adoptions: Adoptions,
    of: AgentSpec,
    generation: int = 7,
    made_from: Mapping[str, str | None] | None = None,
) -> bool:
    return bool(adoption.standing(of, adoptions, generation, made_from or {}))


@pytest.mark.parametrize("phase", [KEPT, REFUSED, UNDECIDED])
@pytest.mark.parametrize(
    ("of", "stays"),
    [
        pytest.param(SPEC, True, id="the same spec"),
        pytest.param(spec(scaling={"min": 1, "max": 50}), True, id="an edit of something else"),
        pytest.param(
            spec({**WRITTEN, "version": 3, "inputs": []}), True, id="an edit elsewhere in the model"
        ),
        pytest.param(spec({**WRITTEN, "maxBatchSize": 5}), False, id="an edit of what is set"),
        pytest.param(spec({**WRITTEN, "maxBatchSize": 8}), False, id="the user takes it over"),
        pytest.param(
            spec({**WRITTEN, "maxBatchSize": 0, "batching": None}), False, id="the user clears it"
        ),
        pytest.param(spec(tuning={"mode": "Recommend"}), False, id="another mode"),
        pytest.param(limited(max=8), True, id="limits that it is within"),
        pytest.param(limited(max=7), False, id="limits that it exceeds"),
        pytest.param(limited(min=9), False, id="limits that it stays below"),
        pytest.param(spec({**WRITTEN, "name": "n"}, optimization=None), False, id="the model goes"),
    ],
)
def test_what_came_of_a_trial_stands_while_the_spec_says_there_what_it_did(
    phase: AdoptionPhase, of: AgentSpec, stays: bool
) -> None:
    (before,) = tried()
    ended = (before.model_copy(update={"phase": phase}),)
    assert is_left(ended, of, generation=9) is stays


@pytest.mark.parametrize(
    ("limits", "server", "stays"),
    [
        pytest.param({}, {}, True, id="no limits"),
        pytest.param({"instances": {"max": 2}}, {}, True, id="within"),
        pytest.param({"instances": {"max": 1}}, {}, False, id="too many"),
        pytest.param({"instances": {"min": 3}}, {}, False, id="too few"),
        pytest.param({"instanceMemory": "1Gi"}, CPU, True, id="room in the pod's memory"),
        pytest.param({"instanceMemory": "1.5Gi"}, CPU, False, id="none in the pod's memory"),
        pytest.param({"instanceMemory": "1Gi", "memory": "1.9Gi"}, {}, False, id="none as said"),
    ],
)
def test_instances_are_set_within_the_users_limits(
    limits: dict[str, Any], server: dict[str, Any], stays: bool
) -> None:
    of = spec(tuning={"mode": "Apply", "limits": limits}, **server)
    assert is_left(kept(MORE), of, generation=9) is stays
    found = adoption.next_to_try(of, (), (MORE,), LATER)
    assert (found is not None) is stays


def test_a_trial_is_of_one_generation() -> None:
    assert is_left(tried(), SPEC, 7)
    assert not is_left(tried(), SPEC, 8)
    assert is_left(adoption.carried_on(tried(), 7, 8), SPEC, 8)
    assert not is_left(adoption.still_compared(tried(), 7, 8), SPEC, 8)


def test_what_is_kept_is_judged_though_something_else_is_edited() -> None:
    def after(adoptions: Adoptions) -> AdoptionPhase:
        (found,) = adoption.learnt(adoption.still_compared(adoptions, 8, 9), learnt(1.0), 9, LATER)
        return found.phase

    assert after(kept()) is KEPT, "an edit of something else came in between"
    assert after(adoption.still_compared(kept(), 7, 8)) is REFUSED


def test_what_an_optimised_model_replaces_is_its_source() -> None:
    settings = kept(FASTER)
    assert is_left(settings, spec({**WRITTEN, "maxBatchSize": 5}), 9)
    assert not is_left(settings, spec({**WRITTEN, "source": {"configMap": "others"}}), 9)
    assert not is_left(settings, spec(optimization=None), 9)
    assert not is_left(settings, spec(optimization={**OPTIMIZATION, "mode": "Recommend"}), 9)
    others = [{"model": "n", "samples": {"uri": "pvc://samples/"}}]
    assert not is_left(settings, spec(optimization={**OPTIMIZATION, "models": others}), 9)


def judged(drop: str = "0.5%", **fields: Any) -> AgentSpec:
    model = {"model": "m", "samples": {"uri": "pvc://samples/"}, **fields}
    return spec(optimization={**OPTIMIZATION, "maxAccuracyDrop": drop, "models": [model]})


@pytest.mark.parametrize(
    ("of", "stays"),
    [
        pytest.param(judged(metric="cosine"), True, id="defaults that are written out"),
        pytest.param(judged("2%", maxAccuracyDrop="0.5%"), True, id="the same drop, of the model"),
        pytest.param(judged(threads=4), True, id="another way to search"),
        pytest.param(judged("0.4%"), False, id="a smaller drop"),
        pytest.param(judged(maxAccuracyDrop="0.4%"), False, id="a smaller one of the model"),
        pytest.param(judged(metric="max-error"), False, id="another metric"),
        pytest.param(judged(labels="label"), False, id="labels"),
        pytest.param(judged(samples={"uri": "pvc://more/"}), False, id="other samples"),
    ],
)
def test_an_optimised_model_stands_by_what_it_was_judged_by(of: AgentSpec, stays: bool) -> None:
    assert is_left(kept(FASTER), of, 8) is stays
    assert is_left(kept(), of, 8), "a knob was not judged by it"


@pytest.mark.parametrize(
    ("made_from", "stays"),
    [
        pytest.param({"m": "a"}, True, id="the same"),
        pytest.param({"m": "b"}, False, id="others"),
        pytest.param({"m": None}, True, id="none by now: the spec says so then"),
        pytest.param({}, True, id="while it is not known what they hold"),
    ],
)
def test_an_optimised_model_stands_on_the_files_that_it_was_made_from(
    made_from: dict[str, str | None], stays: bool
) -> None:
    assert is_left(kept(replace(FASTER, made_from="a")), SPEC, 7, made_from) is stays
    assert is_left(kept(FASTER), SPEC, 7, made_from), "it was made from none"


def of_an_older_operator(proposal: Proposal) -> Adoptions:
    """One that is kept, without what it was judged by and made from."""
    (found,) = kept(proposal)
    return (found.model_copy(update={"judged_by": None, "made_from": None}),)


OLDER = of_an_older_operator(FASTER)


def test_what_an_older_operator_kept_stands_whatever_it_was_judged_by_and_made_from() -> None:
    assert is_left(OLDER, SPEC, 8, {"m": "b"})
    assert is_left(OLDER, judged("0.4%"), 8)
    assert not is_left(OLDER, spec({**WRITTEN, "source": {"configMap": "others"}}), 8)


@pytest.mark.parametrize(
    ("adoptions", "made", "after"),
    [
        pytest.param(OLDER, [replace(FASTER, made_from="a")], "a", id="that very model"),
        pytest.param(OLDER, [], None, id="nothing"),
        pytest.param(
            OLDER,
            [replace(FASTER, entry={"source": {"uri": "pvc://others/"}}, made_from="a")],
            None,
            id="another one",
        ),
        pytest.param(
            kept(replace(FASTER, made_from="a")),
            [replace(FASTER, made_from="b")],
            "a",
            id="one of which it is known already",
        ),
    ],
)
def test_what_an_older_operator_kept_was_judged_by_what_the_same_is_made_by_now(
    adoptions: Adoptions, made: Sequence[Proposal], after: str | None
) -> None:
    found = adoption.completed(SPEC, adoptions, made)
    assert [each.made_from for each in found] == [after]
    assert is_left(found, judged("0.4%"), 8) is (after is None), "judged by less since"


def test_a_default_that_is_written_out_is_no_edit() -> None:
    short = spec({**WRITTEN, "batching": {"dynamic": {}}})
    long = spec({**WRITTEN, "batching": {"dynamic": {"preserveOrdering": False, "queue": None}}})
    dropped = replace(LARGER, entry={"batching": {"dynamic": {"maxQueueDelay": "1ms"}}})
    assert is_left(tried(dropped, of=short), long)


# --------------------------------------------------------------------------------- what is tried


def following(
    before: Adoptions, *proposals: Proposal, of: AgentSpec = SPEC, now: str = LATER
) -> Proposal | None:
    return adoption.next_to_try(of, before, proposals or (LARGER,), now)


ENDED = adoption.refused(tried(), LATER, "worse")
OPEN = adoption.undecided(tried(), LATER, "0 of 200 requests")


@pytest.mark.parametrize(
    ("before", "proposals", "found"),
    [
        pytest.param((), (), None, id="nothing is proposed"),
        pytest.param((), (FASTER, LARGER), FASTER, id="the first of several"),
        pytest.param(tried(), (FASTER,), None, id="one at a time"),
        pytest.param(kept(), (LARGER,), None, id="what is kept is not tried"),
        pytest.param(kept(), (LARGEST,), LARGEST, id="more of what is kept is"),
        pytest.param(ENDED, (LARGER, FASTER), FASTER, id="what was taken back is passed over"),
        pytest.param(
            adoption.refused(tried(LARGEST, ENDED), LATER, "worse"),
            (LARGER, LARGEST),
            None,
            id="so is what was taken back before that",
        ),
        pytest.param(OPEN, (LARGER,), None, id="what was undecided just now is, too"),
        pytest.param(
            (),
            (replace(LARGER, entry={"maxBatchSize": 4}),),
            None,
            id="what the user wrote himself is nothing to try",
        ),
        pytest.param((), (replace(LARGER, model="gone"),), None, id="nor is a model that is gone"),
        pytest.param((), (MORE, FASTER), MORE, id="instances as any other knob"),
    ],
)
def test_the_next_one(
    before: Adoptions, proposals: Sequence[Proposal], found: Proposal | None
) -> None:
    assert adoption.next_to_try(SPEC, before, proposals, LATER) == found


BACK = replace(LARGER, entry={}, summary="maxBatchSize 4 in place of 8", why="4 sustain more")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(kept(), [(LARGER.summary, REFUSED)], id="what is kept is taken back"),
        pytest.param(
            kept(FASTER, kept()),
            [(LARGER.summary, REFUSED), (FASTER.summary, KEPT)],
            id="of the same origin",
        ),
        pytest.param((), None, id="nothing is kept"),
        pytest.param(ENDED, None, id="it was taken back already"),
        pytest.param(kept(FASTER), None, id="something else is kept"),
    ],
)
def test_what_the_spec_says_itself_undoes_what_is_kept_in_its_place(
    before: Adoptions, after: list[tuple[str, AdoptionPhase]] | None
) -> None:
    assert following(before, BACK) == (None if after is None else BACK)
    assert phases(adoption.undone(before, BACK, NEXT_DAY)) == (after or phases(before))
    if after is not None:
        taken = adoption.undone(before, BACK, NEXT_DAY)[0]
        assert (taken.since, taken.message) == (NEXT_DAY, f"the spec's own is better: {BACK.why}")
        assert following((taken,), LARGER) is None, "it is not tried again"
    assert adoption.undone(before, LARGEST, NEXT_DAY) == before


def test_nothing_is_tried_that_no_mode_asks_for() -> None:
    assert following((), LARGER, of=spec(tuning={})) is None
    assert following((), LARGER, of=limited(max=4)) is None
    assert following((), FASTER, of=spec(optimization=None)) is None


def test_what_was_undecided_is_tried_again_a_day_later_and_is_then_known_once() -> None:
    assert following(OPEN, now="2026-11-02T03:59:59Z") is None
    assert following(OPEN, now=NEXT_DAY) == LARGER
    again = adoption.begun(SPEC, OPEN, LARGER, 8, NEXT_DAY)
    assert phases(again) == [(LARGER.summary, TRIED)]


def test_what_was_not_begun_is_looked_at_again_after_an_edit_or_a_day() -> None:
    waits = adoption.postponed(tried(), LATER, "2 may take 2.01 GiB")
    assert phases(waits) == [(LARGER.summary, POSTPONED)]
    assert laid_over(waits) == [WRITTEN]
    assert following(waits) is None
    assert following(waits, now=NEXT_DAY) == LARGER
    assert is_left(waits, SPEC, 7)
    assert not is_left(waits, SPEC, 8)
    assert is_left(adoption.carried_on(waits, 7, 8), SPEC, 8), "another size is no remedy"


def test_what_was_taken_back_is_proposed_anew_once_it_is_another_or_the_spec_is() -> None:
    assert adoption.was_refused(ENDED, LARGER)
    assert not adoption.was_refused(ENDED, LARGEST)
    assert not adoption.was_refused(OPEN, LARGER)
    edited = spec({**WRITTEN, "maxBatchSize": 2})
    assert following(adoption.standing(edited, ENDED, 8, {}), of=edited) == LARGER


def test_a_trial_tells_what_it_is_of() -> None:
    (found,) = tried()
    assert found == Adoption(
        model="m",
        origin=Origin.TUNING,
        phase=TRIED,
        summary="maxBatchSize 8 in place of 4",
        entry="maxBatchSize: 8\n",
        replaced="maxBatchSize: 4\n",
        generation=7,
        since=BEGAN,
        message="30 % more",
        sustained_before=50.0,
    )


def test_a_kept_one_gives_way_to_the_next_and_stays_if_that_is_taken_back() -> None:
    more = tried(LARGEST, kept())
    assert phases(adoption.kept(more, LATER)) == [(LARGEST.summary, KEPT)]
    assert phases(adoption.refused(more, LATER, "worse")) == [
        (LARGER.summary, KEPT),
        (LARGEST.summary, REFUSED),
    ]
    assert phases(adoption.without_tried(more)) == [(LARGER.summary, KEPT)]


def test_an_end_says_when_and_why() -> None:
    (end,) = adoption.refused(tried(), LATER, "worse" * 2000)
    assert (end.since, len(end.message), end.message[:5]) == (LATER, 4096, "worse")
    (end,) = kept()
    assert (end.since, end.message) == (LATER, "30 % more")


def test_nothing_ends_where_nothing_is_tried() -> None:
    assert adoption.refused(kept(), NEXT_DAY, "worse") == kept()
    assert adoption.kept(ENDED, NEXT_DAY) == ENDED


def test_what_was_taken_back_last_is_known() -> None:
    early = adoption.refused(tried(LARGEST), LATER, "worse")
    late = adoption.refused(tried(LARGER, early), NEXT_DAY, "worse")
    assert phases(adoption.with_last_refused(late)) == [
        (LARGEST.summary, REFUSED),
        (LARGER.summary, TRIED),
    ]
    assert adoption.with_last_refused(kept()) == kept()


def test_what_the_spec_is_refused_with_is_taken_back() -> None:
    (end,) = adoption.without_kept(kept(), NEXT_DAY, "no such backend")
    assert (end.phase, end.since, end.message) == (REFUSED, NEXT_DAY, "no such backend")


def test_of_what_is_new_the_last_is_taken_back_where_pods_do_not_come_up() -> None:
    def after(adoptions: Adoptions, generation: int = 7, now: str = LATER) -> list[AdoptionPhase]:
        found = adoption.not_rolled_out(adoptions, generation, now, "no memory")
        return [each.phase for each in found]

    assert after(kept()) == [REFUSED]
    assert after(kept(), generation=8) == [KEPT], "an edit may be the cause"
    assert after(kept(), now=NEXT_DAY) == [KEPT], "they came up with it before"
    assert after(adoption.learnt(kept(), learnt(65.0), 7, LATER)) == [KEPT], "so they did"
    (before,) = kept(FASTER)
    before = before.model_copy(update={"since": BEGAN})
    assert after((before, *kept())) == [KEPT, REFUSED]
    assert after((*kept(), before)) == [REFUSED, KEPT]
    one_less = adoption.not_rolled_out((before, *kept()), 7, LATER, "no memory")
    assert after(one_less) == [KEPT, REFUSED], "pods may still end of what was just taken back"
    assert after(tried()) == [TRIED]
    assert after(()) == []


@given(st.lists(st.sampled_from(["kept", "refused", "undecided", "dropped"]), max_size=40))
def test_however_trials_end_one_is_in_force_of_an_origin_and_few_are_remembered(
    ends: list[str],
) -> None:
    adoptions: Adoptions = ()
    for number, end in enumerate(ends):
        proposal = replace(LARGER, entry={"maxBatchSize": 8 + number}, summary=str(number))
        adoptions = adoption.begun(SPEC, adoptions, proposal, 7, BEGAN)
        adoptions = {
            "kept": lambda a: adoption.kept(a, LATER),
            "refused": lambda a: adoption.refused(a, LATER, ""),
            "undecided": lambda a: adoption.undecided(a, LATER, ""),
            "dropped": adoption.without_tried,
        }[end](adoptions)
        assert sum(each.phase.is_in_force for each in adoptions) <= 1
        assert len(adoptions) <= 17
        if end in ("refused", "undecided"):
            assert adoptions[-1].summary == str(number)
    last_kept = max((i for i, end in enumerate(ends) if end == "kept"), default=None)
    in_force = [each.summary for each in adoptions if each.phase.is_in_force]
    assert in_force == ([] if last_kept is None else [str(last_kept)])


# ------------------------------------------------------------------------------- what is learnt


@pytest.mark.parametrize(
    ("adoptions", "sustained", "generation", "phase", "after"),
    [
        pytest.param(kept(), learnt(65.0), 7, KEPT, 65.0, id="a gain"),
        pytest.param(kept(), learnt(45.0), 7, KEPT, 45.0, id="hardly a loss"),
        pytest.param(kept(), learnt(44.9), 7, REFUSED, 44.9, id="a loss"),
        pytest.param(kept(), learnt(0.0), 7, REFUSED, 0.0, id="the objective is out of reach"),
        pytest.param(kept(), {}, 7, KEPT, None, id="nothing is learnt yet"),
        pytest.param(kept(), learnt(1.0), 8, KEPT, None, id="of another generation"),
        pytest.param(tried(), learnt(1.0), 7, TRIED, None, id="what is still tried"),
        pytest.param(
            kept(replace(LARGER, sustained=None)), learnt(1.0), 7, KEPT, 1.0, id="nothing before"
        ),
        pytest.param(
            kept(), learnt(44.9, is_least=True), 7, KEPT, None, id="a loss by small batches alone"
        ),
        pytest.param(
            kept(),
            learnt(65.0, is_least=True),
            7,
            KEPT,
            None,
            id="a gain by them, of a knob for large ones",
        ),
        pytest.param(
            kept(replace(FASTER, sustained=50.0)),
            learnt(44.9, is_least=True),
            7,
            KEPT,
            None,
            id="a loss of an optimised model by small batches alone",
        ),
        pytest.param(
            kept(replace(FASTER, sustained=50.0)),
            learnt(65.0, is_least=True),
            7,
            KEPT,
            65.0,
            id="a gain of one, which makes small batches quicker, too",
        ),
        pytest.param(
            kept(replace(FASTER, sustained=50.0)), learnt(44.9), 7, REFUSED, 44.9, id="a loss of it"
        ),
        pytest.param(
            adoption.learnt(kept(), learnt(65.0), 7, LATER),
            learnt(1.0),
            7,
            KEPT,
            65.0,
            id="once is enough",
        ),
    ],
)
def test_what_gained_nothing_is_taken_back(
    adoptions: Adoptions,
    sustained: dict[str, float],
    generation: int,
    phase: AdoptionPhase,
    after: float | None,
) -> None:
    (found,) = adoption.learnt(adoptions, sustained, generation, NEXT_DAY)
    assert (found.phase, found.sustained_after) == (phase, after)
    assert (found.since == NEXT_DAY) == (phase is REFUSED)


@pytest.mark.parametrize(
    ("adoptions", "generation", "now", "awaited"),
    [
        pytest.param(kept(), 7, LATER, True, id="one that is kept"),
        pytest.param(kept(), 7, NEXT_DAY, False, id="for a day"),
        pytest.param(kept(), 8, LATER, False, id="until an edit, which may be of the objective"),
        pytest.param(
            adoption.learnt(kept(), learnt(65.0), 7, LATER), 7, LATER, False, id="until it is"
        ),
        pytest.param(kept(replace(LARGER, sustained=None)), 7, LATER, False, id="not with nothing"),
        pytest.param(tried(), 7, LATER, False, id="not while it is tried"),
        pytest.param(adoption.refused(tried(), LATER, ""), 7, LATER, False, id="nor taken back"),
    ],
)
def test_what_is_kept_is_to_be_compared_with_what_was_before(
    adoptions: Adoptions, generation: int, now: str, awaited: bool
) -> None:
    assert adoption.is_awaited(adoptions, generation, now) is awaited


def test_a_loss_is_told_in_numbers() -> None:
    (found,) = adoption.learnt(kept(), learnt(30.0), 7, NEXT_DAY)
    assert found.message == "a pod sustains 30 requests a second with it, and 50 without"


def test_entries_are_yaml_that_reads_back() -> None:
    (found,) = tried(FASTER)
    assert yaml.safe_load(found.entry) == FASTER.entry
    assert yaml.safe_load(found.replaced) == {"source": {"configMap": "files"}}
