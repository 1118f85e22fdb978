"""Which forecaster, with which margin, would have kept the objective at the least cost. Pure.

An expert is a forecaster with a margin: it asks for the replicas that the highest rate within one
lead time needs, times the margin. That is what a clairvoyant does, too: a replica that is needed
within a lead time is ordered, or held. All experts are played through the agent's own past, every
15 s, in a fleet of their own: what they ordered serves a lead time later, what is no longer wanted
for a while is stopped, and where less serves than is needed the requests queue and are late. Who
foresees nothing expects what is now: so all are held against the same past, and none is the better
for what it did not see. It is followed once most of its record is its own.

The cheapest counts, and late requests cost: little within their budget, much beyond it. It is a
price and no bound: where a jump was met only by who held several times the replicas, a bound would
have that held for an hour after it. What really was late is held against what the expert in charge
had foreseen, and the foresight of all is corrected by it.

Rates are in replicas here: what one sustains within the objective is 1. So are queues, in steps.
"""

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.uint16]

MARGINS = np.array([0.9, 1.0, 1.05, 1.1, 1.2, 1.3, 1.5, 1.8, 2.3, 3.0])
KEPT_STEPS = 40  # ten minutes: longer lead times are tested as these
FADE = 0.5 ** (1 / 1440)  # each step: what happened six hours ago counts half
BUDGET_SHARE = 0.75  # of the late requests that the objective allows; the rest is for surprises
LATE_COST = 1.0  # a late request is worth avoiding at this multiple of its share in the fleet
FULL = 1.1  # times what it sustains, and a replica answers no more; measured 1.02 to 1.3
EASY = 0.8  # times what it sustains, and hardly a request is late
DOUBT_STEPS = 120  # half an hour of a past that nobody saw, in which each expert was late:
DOUBT_LATE, DOUBT_MARGIN = 1.8, 0.2  # this multiple of the allowance, less by e for each margin
_DOUBTS = np.exp(-(np.maximum(MARGINS, 0.9) - 1) / DOUBT_MARGIN)
_MARGIN_OF: list[float] = MARGINS.tolist()
_DOUBT_OF: list[float] = _DOUBTS.tolist()
TRUST_STEPS = 480  # two hours in which all of the budget was late: so much speaks for the foresight
MOST_CORRECTION = 4.0
ALIKE = 0.1  # of the replicas, by which a fleet may differ from an expert's: starts vary
SEEN_AFTER_STEPS = 2  # half a minute, in which a late share is that of requests before
BEYOND_COST = 1.65  # fleets, for each time that the allowance is late beyond the budget
KNOWN_SHARE = 0.5  # of the past, that who is followed has foreseen: of the rest it is no judge
STAY = 0.01  # cheaper another expert must be: two that are alike do not take turns


@dataclass(frozen=True, slots=True, eq=False)
class BackTest:
    """The experts' fleets: arrays of forecasters x margins, the rings of steps x these.

    `asked` and `held` are what each asked for, and what it held, in the last steps, newest last;
    `queue` waits. Of `requests`, `late` were late, and `cost` was paid where `worth` was needed. In
    truth `seen_late` were late, and `foreseen_late` by the expert in charge, in `steps` of which
    `usual` is what is needed lately. In `known` steps each forecaster foresaw anything.
    """

    asked: Counts
    held: Counts
    queue: Floats
    late: Floats
    cost: Floats
    requests: float
    worth: float
    steps: float
    usual: float
    seen_late: float
    foreseen_late: float
    chosen: tuple[int, int]
    known: Floats

    @classmethod
    def begin(cls, forecasters: int, needed: float) -> Self:
        """No past."""
        shape = (forecasters, len(MARGINS))
        ring, none = np.zeros((KEPT_STEPS, *shape), np.uint16), np.zeros(shape)
        return cls(
            asked=ring,
            held=ring,
            queue=none,
            late=none,
            cost=none,
            requests=0.0,
            worth=0.0,
            steps=0.0,
            usual=needed,
            seen_late=0.0,
            foreseen_late=0.0,
            chosen=(0, 0),
            known=np.zeros(forecasters),
        )

    @property
    def forecaster(self) -> int:
        """The index of the forecaster in charge."""
        return self.chosen[0]

    @property
    def margin(self) -> float:
        """The margin in charge."""
        return _MARGIN_OF[self.chosen[1]]

    def late_share(self, allowed_late: float) -> float:
        """The share of late requests that the expert in charge is believed to have."""
        late, doubt = float(self.late[self.chosen]), _DOUBT_OF[self.chosen[1]]
        doubted = self._doubted
        late += doubted * (DOUBT_LATE * allowed_late * doubt)
        return self.correction(allowed_late) * late / (self.requests + doubted)

    def correction(self, allowed_late: float) -> float:
        """What was late in truth over what was foreseen, once that is much against some hours in
        which all of the budget was late: a single jump at the start is not.
        """
        usual = TRUST_STEPS * self._usual * BUDGET_SHARE * allowed_late
        corrected = (self.seen_late + usual) / (self.foreseen_late + usual)
        return min(max(corrected, 1 / MOST_CORRECTION), MOST_CORRECTION)

    def after(
        self,
        needed: float,
        foreseen: Floats,
        *,
        lead_steps: int,
        hold_steps: int,
        least: int,
        most: int,
        allowed_late: float,
        late_share: float | None,
        ready: int,
        is_next: bool,
    ) -> Self:
        """One step later: `needed` replicas are needed now, and each forecaster foresees so many.

        `late_share` of the requests were late in truth, with `ready` replicas, None where that is
        not known. It says something of the expert in charge only where its fleet has as many;
        another may decide, or something hold the real one. Where this is not the next step, since
        some were not seen, the fleets begin anew at what they ask for now.
        """
        asked_now = _replicas(foreseen, needed, least, most)
        asked = _ring(self.asked, asked_now, is_next=is_next)
        held_now = np.maximum.reduce(asked[-1 - min(hold_steps, KEPT_STEPS - 1) :])
        held = _ring(self.held, held_now, is_next=is_next)
        serving = np.minimum.reduce(held[-1 - min(lead_steps, KEPT_STEPS - 1) :])
        waiting = self.queue if is_next else np.zeros_like(self.queue)
        queue = np.maximum(waiting + needed - FULL * serving, 0.0)
        late = _late(needed / serving, allowed_late)
        np.putmask(late, queue + waiting > 0, 1.0)
        is_its_own = abs(ready - float(serving[self.chosen])) <= ALIKE * ready
        is_seen = late_share is not None and is_its_own and self.steps > SEEN_AFTER_STEPS
        late_of_chosen = float(late[self.chosen])
        late *= needed
        late += FADE * self.late
        cost = FADE * self.cost
        cost += held_now
        after = replace(
            self,
            asked=asked,
            held=held,
            queue=queue,
            late=late,
            cost=cost,
            requests=FADE * self.requests + needed,
            worth=FADE * self.worth + max(needed, 1.0),
            steps=FADE * self.steps + 1,
            usual=self.usual + max(0.01, 1 / (self.steps + 1)) * (needed - self.usual),
            seen_late=FADE * self.seen_late + is_seen * (late_share or 0.0) * needed,
            foreseen_late=FADE * self.foreseen_late + is_seen * late_of_chosen * needed,
            known=FADE * self.known + ~np.isnan(foreseen),
        )
        return replace(after, chosen=after._best(allowed_late))

    def _best(self, allowed_late: float) -> tuple[int, int]:
        """The expert to follow: the cheapest, late requests beyond the budget at their price."""
        doubted = self._doubted
        late = self.late + doubted * (DOUBT_LATE * allowed_late * _DOUBTS)
        late *= self.correction(allowed_late)
        late /= self.requests + doubted
        cost = self.cost + doubted * MARGINS
        cost /= self.worth + doubted
        late[self.chosen] *= 1 - STAY
        cost[self.chosen] *= 1 - STAY
        price = cost * (1 + LATE_COST * late)
        late /= allowed_late
        late -= BUDGET_SHARE
        price += BEYOND_COST * np.maximum(late, 0.0, out=late)
        price[self.known < KNOWN_SHARE * self.steps] = math.inf
        return divmod(int(price.argmin()), len(MARGINS))

    @property
    def _doubted(self) -> float:
        """The requests of the past that nobody saw."""
        return DOUBT_STEPS * self._usual

    @property
    def _usual(self) -> float:
        """What is needed lately; more than nothing."""
        return max(self.usual, 0.01)


def _replicas(foreseen: Floats, needed: float, least: int, most: int) -> Counts:
    """What each expert asks for: never less than what is needed now, and that where it foresees
    nothing.
    """
    known = np.where(np.isnan(foreseen), needed, foreseen)
    wanted = known[:, None] * MARGINS
    np.maximum(wanted, needed, out=wanted)
    wanted -= 1e-9
    np.ceil(wanted, out=wanted)
    np.maximum(wanted, max(least, 1), out=wanted)
    np.minimum(wanted, most, out=wanted)
    return np.asarray(wanted, np.uint16)


def _ring(ring: Counts, newest: Counts, *, is_next: bool) -> Counts:
    if is_next:
        return np.concatenate((ring[1:], newest[None]))
    return np.repeat(newest[None], len(ring), axis=0)


def _late(load: Floats, allowed_late: float) -> Floats:
    """The share of late requests at a load of each replica, 1 being what it sustains: the allowance
    there, by definition, and all of them where it is full. In between a sixth power and a line: at
    0.95 and 0.98 the chain has 0 to 2.2 and 0 to 4.2 of 5 % (nine pods and objectives), this 0.9
    and 2.7.
    """
    below = _part(load, EASY, 1) ** 6
    below *= allowed_late
    above = _part(load, 1, FULL)
    above *= 1 - allowed_late
    below += above
    return below


def _part(load: Floats, begin: float, end: float) -> Floats:
    """How far from the beginning to the end, from 0 to 1."""
    part = load - begin
    part /= end - begin
    np.maximum(part, 0.0, out=part)  # numpy.clip takes as long as all the rest
    np.minimum(part, 1.0, out=part)
    return part
