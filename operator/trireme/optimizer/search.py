"""The search for the cheapest recipe that passes the gate, within a budget of time.

Successive halving: every recipe is built with little training and measured briefly; the cheaper
half goes on with twice the training, until a few are left. Only these are built in full, measured
at every batch size in one measurement with the original, and judged on the held-out samples, which
nothing has seen before. The winner is the cheapest that passes, of those that miss the fewest of
the user's wishes. So the choice among many recipes, made on the selection samples, cannot flatter
what the gate sees.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from trireme.api.optimization import MissedTarget, TargetName
from trireme.optimizer.candidates import Builder, Built, Refused, sound_answers
from trireme.optimizer.forms import Artefact
from trireme.optimizer.gate import Verdict, judge
from trireme.optimizer.loading import Original
from trireme.optimizer.measurement import Speed, measure
from trireme.optimizer.memory import Memory, memory_of
from trireme.optimizer.metrics import Metric, Truth
from trireme.optimizer.recipes import Recipe
from trireme.optimizer.runners import answers
from trireme.optimizer.samples import Arrays, Folds, Samples
from trireme.optimizer.technique import Stage
from trireme.optimizer.wishes import Wishes

FINALISTS = 4
_FIRST_EFFORT = 0.25
_FIRST_ROUNDS, _LAST_ROUNDS = 5, 15
_FIRST_SHARE, _HALVED_SHARE, _BUILT_SHARE = (
    0.45,
    0.6,
    0.85,
)  # of the budget, when each part of the search must end
_MUCH_SLOWER = 1.25  # than the original, at a first look: no later one turns that round

Told = Callable[[str, float], None]
"""Called with what is done now, and the share of the budget or the work that is behind."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A recipe at its last look. `ratio` is its cost in that of the original, None where it was not
    measured; `drop` is on the selection samples, and `may_pass` whether these leave it open that it
    is no larger than allowed. `missed` are the wishes that it misses. `refused` is why it went no
    further.
    """

    recipe: Recipe
    ratio: float | None = None
    size_bytes: int | None = None
    drop: float | None = None
    refused: Refused | None = None
    may_pass: bool = True
    missed: tuple[MissedTarget, ...] = ()


@dataclass(frozen=True, slots=True)
class Finalist:
    """A recipe built in full, `is_hurried` where the clock ended its training. `missed` are the
    wishes that it misses, `refused` is why it cannot win.
    """

    recipe: Recipe
    artefact: Artefact
    speed: Speed
    cost_seconds: float
    ratio: float
    verdict: Verdict
    memory: Memory | None
    is_hurried: bool
    missed: tuple[MissedTarget, ...]
    refused: Refused | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that was tried. `front` holds the recipes that no other beats in cost, size and drop."""

    original_bytes: int | None
    original_speed: Speed
    original_cost_seconds: float
    original_score: float
    trials: tuple[Trial, ...]
    finalists: tuple[Finalist, ...]
    winner: Finalist | None
    front: tuple[Recipe, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class _Fold:
    samples: Samples
    truth: Truth
    original: Arrays


@dataclass(frozen=True, slots=True)
class Search:
    """A search over recipes for one model."""

    original: Original
    folds: Folds
    metric: Metric
    wishes: Wishes
    builder: Builder
    clock: Callable[[], float]
    told: Told = lambda *_: None
    judged: int = 1
    """How many the held-out samples have judged at least, with those that a report told of."""

    def run(self, tried: Sequence[Recipe]) -> Outcome:
        """Search among these recipes."""
        start = self.clock()
        selection = self._fold(self.folds.selection)
        trials = self._first_looks(tried, selection, start)
        trials = self._halved(trials, selection, start)
        outcome = self._final(trials, start)
        return replace(outcome, seconds=self.clock() - start)

    # ------------------------------------------------------------------------------- first looks

    def _first_looks(self, tried: Sequence[Recipe], fold: _Fold, start: float) -> list[Trial]:
        trials = []
        end = start + _FIRST_SHARE * self.wishes.budget_seconds
        for number, recipe in enumerate(tried):
            if self.clock() >= end:
                trials.append(Trial(recipe, refused=Refused("", "the budget of time was spent")))
                continue
            self.told(f"trying {recipe}", number / len(tried))
            trials.append(self._look(recipe, fold, _FIRST_EFFORT))
            self.builder.keep(
                tried[number + 1 :], [each.recipe for each in trials if each.refused is None]
            )
        return trials

    def _look(self, recipe: Recipe, fold: _Fold, effort: float) -> Trial:
        built = self.builder.build(recipe, effort, self.wishes.budget_seconds)
        if isinstance(built, Refused):
            return Trial(recipe, refused=built)
        size = len(built.artefact.content)
        verdict = self._judged(built, fold, self.wishes.confidence, self.wishes.max_batch)
        if isinstance(verdict, Refused):
            return Trial(recipe, size_bytes=size, refused=verdict)
        speed, original = self._speeds(built)
        ratio = self._ratio(speed, original)
        return Trial(
            recipe,
            ratio,
            size,
            verdict.drop,
            _doubt(recipe, ratio, verdict),
            not verdict.is_hopeless,
            self.wishes.missed(speed.fastest_seconds, size),
        )

    def _speeds(self, built: Built) -> tuple[Speed, Speed]:
        """A candidate's, and the original's beside it."""
        batches = sorted({1, self.wishes.max_batch})
        speeds = measure(
            {"original": self.original.run, "candidate": built.run},
            self.folds.training,
            batches,
            _FIRST_ROUNDS,
            self.wishes.threads,
        )
        return speeds["candidate"], speeds["original"]

    def _ratio(self, speed: Speed, original: Speed) -> float:
        """What a request costs in that of the original: at the batch sizes that keep the latency
        wished for, at all of both where the original keeps it at none.
        """
        wanted = self.wishes.latency_seconds
        limit = wanted if wanted is not None and original.fastest_seconds <= wanted else None
        return speed.cost(limit) / original.cost(limit)

    # ----------------------------------------------------------------------------------- halving

    def _halved(self, trials: list[Trial], fold: _Fold, start: float) -> list[Trial]:
        """Each trial at its last look; those that may be finalists are not refused."""
        end = start + _HALVED_SHARE * self.wishes.budget_seconds
        effort = _FIRST_EFFORT
        while sum(trial.refused is None for trial in trials) > FINALISTS:
            alive = [trial for trial in trials if trial.refused is None]
            kept = _best(alive, max(FINALISTS, math.ceil(len(alive) / 2)))
            effort = min(1.0, 2 * effort)
            for number, trial in enumerate(trials):
                if trial.refused is not None:
                    continue
                if trial.recipe not in kept:
                    trials[number] = replace(
                        trial, refused=Refused("", "others were cheaper, or answered better")
                    )
                elif self.clock() < end:
                    self.told(f"once more: {trial.recipe}", number / len(trials))
                    trials[number] = self._look(trial.recipe, fold, effort)
            self.builder.keep(
                # with all effort, nothing is made again
                kept if effort == 1.0 else [],
                kept,
            )
        return trials

    # ------------------------------------------------------------------------------------- final

    def _final(self, trials: list[Trial], start: float) -> Outcome:
        alive = sorted(
            (trial for trial in trials if trial.refused is None), key=lambda each: each.ratio or 0
        )
        built: dict[Recipe, Built] = {}
        for number, trial in enumerate(alive):
            self.told(f"in full: {trial.recipe}", number / len(alive))
            full = self.builder.build(trial.recipe, 1.0, self.wishes.budget_seconds)
            self.builder.keep([each.recipe for each in alive[number + 1 :]], [])
            if isinstance(full, Refused):
                trials[trials.index(trial)] = replace(trial, refused=full)
            else:
                built[trial.recipe] = full
        runners = {"": self.original.run, **{str(each): one.run for each, one in built.items()}}
        speeds = measure(
            runners,
            self.folds.training,
            self.wishes.batches,
            _LAST_ROUNDS,
            self.wishes.threads,
            lambda share: self.told("measuring the finalists", share),
            start + _BUILT_SHARE * self.wishes.budget_seconds - self.clock(),
        )
        held_out = self._fold(self.folds.held_out)
        finalists = []
        for number, (recipe, one) in enumerate(built.items()):
            self.told(f"judging {recipe}", number / len(built))
            finalists.append(
                self._judge_finalist(
                    recipe,
                    one,
                    speeds[str(recipe)],
                    speeds[""],
                    held_out,
                    max(len(built), self.judged),
                )
            )
        return Outcome(
            original_bytes=self.original.size_bytes,
            original_speed=speeds[""],
            original_cost_seconds=speeds[""].cost(self.wishes.latency_seconds),
            original_score=self.metric.value(held_out.original, held_out.truth),
            trials=tuple(trials),
            finalists=tuple(finalists),
            winner=winner_of(finalists),
            front=_front(trials),
            seconds=0.0,
        )

    def _judge_finalist(
        self,
        recipe: Recipe,
        built: Built,
        speed: Speed,
        original: Speed,
        fold: _Fold,
        count: int,
    ) -> Finalist:
        ratio = self._ratio(speed, original)
        missed = self.wishes.missed(speed.fastest_seconds, len(built.artefact.content))
        shared = 1 - (1 - self.wishes.confidence) / count
        memory = memory_of(
            built.artefact, self.folds.training, self.wishes.max_batch, self.wishes.threads
        )
        # what rounds by the batch answers otherwise alone: it must do both ways
        verdicts = [
            self._judged(built, fold, shared, batch) for batch in sorted({1, self.wishes.max_batch})
        ]
        refused = next((each for each in verdicts if isinstance(each, Refused)), None)
        if refused is not None:
            verdict = Verdict(
                math.nan, math.nan, math.nan, math.nan, 0, self.wishes.max_drop, shared
            )
        else:
            judged = (each for each in verdicts if isinstance(each, Verdict))
            verdict = max(judged, key=lambda each: each.most_drop)
            refused = self._refusal(missed, original, ratio, verdict)
        if isinstance(memory, Refused):
            refused = refused or memory
        return Finalist(
            recipe=recipe,
            artefact=built.artefact,
            speed=speed,
            cost_seconds=speed.cost(self.wishes.latency_seconds),
            ratio=ratio,
            verdict=verdict,
            memory=None if isinstance(memory, Refused) else memory,
            is_hurried=built.is_hurried,
            missed=missed,
            refused=refused,
        )

    def _refusal(
        self, missed: Sequence[MissedTarget], original: Speed, ratio: float, verdict: Verdict
    ) -> Refused | None:
        """Why a candidate cannot win. The original is what is served where none does: so no wish
        that it keeps is lost, and one that it misses may cost a little.
        """
        open_wishes = self._missed_by(original)
        for each in missed:
            if each.target not in open_wishes:
                return Refused("", f"breaks a wish that the original keeps: {each}")
        is_gained = bool(open_wishes - {each.target for each in missed})
        if ratio >= (_MUCH_SLOWER if is_gained else 1):
            return Refused("", f"is slower than the original: {ratio:.2f} times its cost")
        if not verdict.passes:
            return Refused("", f"is not shown to answer as well: {verdict}")
        return None

    def _missed_by(self, original: Speed) -> set[TargetName]:
        """The wishes that the original misses."""
        size = self.original.size_bytes
        missed = {each.target for each in self.wishes.missed(original.fastest_seconds, size)}
        if size is None and self.wishes.size_bytes is not None:
            missed.add(TargetName.SIZE)  # a module, which no server loads, keeps no size
        return missed

    # ------------------------------------------------------------------------------------ judging

    def _fold(self, samples: Samples) -> _Fold:
        original = answers(self.original.run, samples.inputs, self.wishes.max_batch)
        return _Fold(samples, Truth(samples.labels, original), original)

    def _judged(
        self, built: Built, fold: _Fold, confidence: float, batch: int
    ) -> Verdict | Refused:
        found = sound_answers(built.run, fold.samples, self.original.signature, batch)
        if isinstance(found, Refused):
            return found
        return judge(
            self.metric,
            found,
            fold.original,
            fold.truth,
            self.wishes.max_drop,
            confidence,
            self.wishes.seed,
        )


def winner_of(finalists: Iterable[Finalist]) -> Finalist | None:
    """Of those that nothing speaks against the one that misses the fewest wishes, of such the
    cheapest.
    """
    return min(
        (each for each in finalists if each.refused is None),
        key=lambda each: (len(each.missed), each.cost_seconds),
        default=None,
    )


def _doubt(recipe: Recipe, ratio: float, verdict: Verdict) -> Refused | None:
    """Why a recipe need not be looked at again."""
    if ratio > _MUCH_SLOWER:
        return Refused("", f"is slower than the original: {ratio:.2f} times its cost")
    if verdict.is_hopeless and not _is_trained(recipe):
        return Refused("", f"answers worse: {verdict}")
    return None


def _best(alive: Sequence[Trial], count: int) -> set[Recipe]:
    """The cheapest of those that may pass, which miss the fewest wishes; and among them for certain
    the cheapest that loses nothing, and the cheapest of these that nothing trained: the gate may
    refuse all others.
    """

    def rank(trial: Trial) -> tuple[bool, int, float]:
        return not trial.may_pass, len(trial.missed), trial.ratio or 0.0

    ordered = sorted(alive, key=rank)
    lossless = [trial for trial in ordered if (trial.drop or 0.0) <= 0]
    untouched = [trial for trial in lossless if not _is_trained(trial.recipe)]
    wanted = [*ordered[: count - 2], *lossless[:1], *untouched[:1], *ordered]
    return set(list(dict.fromkeys(trial.recipe for trial in wanted))[:count])


def _is_trained(recipe: Recipe) -> bool:
    return any(each.stage is Stage.TRAINING for each in recipe.techniques)


def _front(trials: Sequence[Trial]) -> tuple[Recipe, ...]:
    """The recipes of which no other is better in one of cost, size and drop, and no worse in the
    other two.
    """
    points = {
        trial.recipe: (trial.ratio, trial.size_bytes, max(trial.drop, 0.0))
        for trial in trials
        if trial.ratio is not None and trial.size_bytes is not None and trial.drop is not None
    }
    return tuple(
        recipe
        for recipe, point in points.items()
        if not any(
            other != point and all(a <= b for a, b in zip(other, point, strict=True))
            for other in points.values()
        )
    )
