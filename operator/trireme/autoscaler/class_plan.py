"""How many pods of each node class there should be next. Pure.

In one round pods are only added or only removed, and what is removed is carried by others already:

* More is needed: the cheapest pods that do it are added to those that run.
* Less is needed: the dearest pods go that the rest can do without.
* Another mix would be cheaper, but needs pods started: it is begun once what staying has cost more
  than the cheapest mix equals what the new pods cost until they are ready (as in ski rental, who
  does so pays at most twice what who knows the future pays). First come the new pods, then go the
  others.

Of a class that does not get its pods for longer than a start takes, no more than those it has are
counted on for a while, and others take their place. A class of which nothing is known counts as
much as the least of the others, and has its first pod when pods are added anyway: so it is learnt
at the price of one pod, and less than one pod's work is at stake. That pod stays for a while to be
learnt, beside pods that are known.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from trireme.autoscaler.demand import USUAL_LEAD_SECONDS
from trireme.autoscaler.mix import Limits, Mix, Offer, carried, cost, nearest, possible
from trireme.autoscaler.types.memory import ClassMemory, Learning, Shortage
from trireme.autoscaler.types.observation import ClassPods
from trireme.autoscaler.types.policy import NodeClass

WITHOUT = timedelta(minutes=5)
"""For how long a class is not counted on that did not get its pods: cluster-autoscaler waits as
long after a node group that failed (--initial-node-group-backoff-duration)."""
LEARNING = timedelta(minutes=10)
"""For how long a pod of an unknown class is kept to be learnt once it should be ready: a curve asks
for a hundred batches, which traffic worth several pods has in a minute."""
_SHORTEST_WAIT_SECONDS = 60.0
_WORTH_A_SWAP = 0.05  # more that is carried: less is within what capacities are known to


@dataclass(frozen=True, slots=True)
class Carrier:
    """A class and its pods; `rule` is None of one that is not wanted any more, `carries` how much
    of each need a pod carries, `is_known` whether that is known.
    """

    pods: ClassPods
    rule: NodeClass | None
    carries: tuple[float, ...]
    is_known: bool = True

    @property
    def lead_seconds(self) -> float:
        """How long a pod takes to start, a minute at least."""
        lead = self.pods.lead_time
        return max(lead.p95_seconds if lead else USUAL_LEAD_SECONDS, _SHORTEST_WAIT_SECONDS)

    @property
    def is_hopeless(self) -> bool:
        """Whether its pods cannot keep an objective, whatever their number."""
        return self.is_known and any(each == 0 for each in self.carries)

    @property
    def is_learnt(self) -> bool:
        """Whether it has pods of which nothing is known yet."""
        return not self.is_known and self.rule is not None and self.pods.replicas > 0


@dataclass(frozen=True, slots=True)
class Plan:
    """The pods of each class next, and the mix that they are on the way to. `share` is how much of
    the needs that carries; `waits` says that a cheaper mix is not worth its starts yet.
    """

    pods: tuple[int, ...]
    target: tuple[int, ...]
    share: float
    forgone: float = 0.0
    waits: bool = False


def shortages(
    carriers: Sequence[Carrier], memory: ClassMemory, now: datetime
) -> tuple[Shortage, ...]:
    """The classes that do not get their pods, by what was known of them and what is seen now."""
    before = {shortage.name: shortage for shortage in memory.shortages}
    found = []
    for carrier in carriers:
        pods = carrier.pods
        known = before.get(pods.name)
        if known is not None and known.until is not None:
            if now < known.until:
                found.append(known)
                continue
            known = None
        if pods.short and carrier.rule is not None:
            shortage = known or Shortage(pods.name, now, ready=pods.ready)
            if pods.ready > shortage.ready:  # pods do come
                shortage = Shortage(pods.name, now, ready=pods.ready)
            if (now - shortage.since).total_seconds() >= carrier.lead_seconds:
                most = max(0, pods.replicas - pods.short)
                shortage = replace(shortage, most=most, until=now + WITHOUT)
            found.append(shortage)
    return tuple(found)


def learning(
    carriers: Sequence[Carrier], memory: ClassMemory, now: datetime
) -> tuple[Learning, ...]:
    """The classes that are being learnt, and since when."""
    before = {each.name: each for each in memory.learning}
    names = (carrier.pods.name for carrier in carriers if carrier.is_learnt)
    return tuple(before.get(name, Learning(name, now)) for name in names)


def plan(
    carriers: Sequence[Carrier],
    needs: Sequence[float],
    limits: Limits,
    memory: ClassMemory,
    now: datetime,
    seen: Sequence[float] | None = None,
) -> Plan:
    """The next step, with the shortages, what is being learnt and what staying has cost so far of
    the memory. `seen` is what of the needs the demand asks for, where a broken objective asks for
    more: that has pods added, and not replaced by other ones.
    """
    current = tuple(carrier.pods.replicas for carrier in carriers)
    offers = _offers(carriers, memory, limits)
    kept = [replace(o, least=min(o.least, o.current), most=min(o.most, o.current)) for o in offers]
    to_learn = _to_learn(carriers, memory, now)
    least = _with_those_to_learn(carriers, kept, needs, limits, to_learn)
    lacks = sum(least.pods) < sum(possible(offers, limits))
    if least.share < 1 or lacks or any(o.current < o.least for o in offers):
        more = _more(carriers, offers, needs, limits, current, needs if seen is None else seen)
        if more.pods != current:
            return more
    best = _with_those_to_learn(carriers, offers, needs, limits, to_learn)
    saved = cost(offers, least.pods) - cost(offers, best.pods) if best.share >= least.share else 0
    forgone = 0.0
    if saved > 0:
        staying = (now - memory.at).total_seconds() if memory.at is not None else 0.0
        forgone = memory.forgone + float(saved) * staying
        new = [max(0, n - c) for n, c in zip(best.pods, current, strict=True)]
        price = sum(
            n * o.price * c.lead_seconds for n, o, c in zip(new, offers, carriers, strict=True)
        )
        step = tuple(map(max, current, best.pods))
        if forgone >= price:
            if not _fits(offers, step, limits):
                step = _one_beyond(carriers, offers, limits, current, best.pods)
            if step != current:
                return Plan(step, best.pods, best.share)
    target = _fewer(carriers, offers, least, needs)
    return Plan(target, least.pods, least.share, forgone, waits=saved > 0)


def _offers(carriers: Sequence[Carrier], memory: ClassMemory, limits: Limits) -> list[Offer]:
    """What each class offers. Where the others may not have as many pods as there must be, those
    that are there stay, whatever they are good for: the slow ones, then those that are waited for.
    """
    offers = [_offer(carrier, memory) for carrier in carriers]
    for k in sorted(range(len(carriers)), key=lambda k: carriers[k].pods.short):
        rule, offer = carriers[k].rule, offers[k]
        if rule is not None:
            there = min(offer.current, rule.max_replicas)
            lacking = limits.least - sum(each.most for each in offers)
            more = max(0, min(lacking, there - offer.most))
            offers[k] = replace(offer, most=offer.most + more)
    return offers


def _offer(carrier: Carrier, memory: ClassMemory) -> Offer:
    pods, rule = carrier.pods, carrier.rule
    if rule is None:
        return Offer(0.0, carrier.carries, pods.replicas, 0, 0, 0)
    most = rule.max_replicas
    for shortage in memory.shortages:
        if shortage.name == pods.name and shortage.until is not None:
            most = min(most, shortage.most)
    if carrier.is_hopeless:
        most = min(most, rule.min_replicas)
    least = min(rule.min_replicas, most)
    return Offer(rule.price, carrier.carries, pods.replicas, least, most, rule.gpus)


def _to_learn(carriers: Sequence[Carrier], memory: ClassMemory, now: datetime) -> list[int]:
    """The places of the classes that a pod is kept of to be learnt."""
    since = {each.name: each.since for each in memory.learning}
    return [
        k
        for k, carrier in enumerate(carriers)
        if carrier.is_learnt
        and now - since.get(carrier.pods.name, now)
        < LEARNING + timedelta(seconds=carrier.lead_seconds)
    ]


def _with_those_to_learn(
    carriers: Sequence[Carrier],
    offers: Sequence[Offer],
    needs: Sequence[float],
    limits: Limits,
    to_learn: Sequence[int],
) -> Mix:
    """The nearest mix that has a pod of each class to learn; without these, where no known pod
    would be beside them, or less were carried.
    """
    found = nearest(offers, needs, limits)
    if all(found.pods[k] for k in to_learn):
        return found
    least = [max(o.least, min(o.most, int(k in to_learn))) for k, o in enumerate(offers)]
    tried = [replace(o, least=n) for o, n in zip(offers, least, strict=True)]
    other = nearest(tried, needs, limits)
    has_known = any(n and c.is_known for n, c in zip(other.pods, carriers, strict=True))
    return other if has_known and other.share >= found.share else found


def _more(
    carriers: Sequence[Carrier],
    offers: Sequence[Offer],
    needs: Sequence[float],
    limits: Limits,
    current: tuple[int, ...],
    seen: Sequence[float],
) -> Plan:
    """What runs and may stay, and the cheapest beside it. Where the limits leave no room for more,
    but other pods in the place of those that run carry more of what is seen, or a class must have
    some, one comes beyond them, as in a rollout, and another goes when it is ready.
    """
    growing = [replace(o, least=max(o.least, min(o.current, o.most))) for o in offers]
    found = _with_an_unknown(carriers, growing, needs, limits) or nearest(growing, needs, limits)
    step = tuple(map(max, current, found.pods))
    all_stay = all(n >= o.least for n, o in zip(found.pods, growing, strict=True))
    if all_stay and (step != current or found.share == 1):
        return Plan(step, found.pods, found.share)
    other = nearest(offers, needs, limits)
    step = tuple(map(max, current, other.pods))
    if _fits(offers, step, limits):
        return Plan(step, other.pods, other.share)
    here, there = (_share(offers, pods, seen) for pods in (found.pods, other.pods))
    if not all_stay or there > here * (1 + _WORTH_A_SWAP):
        current = _one_beyond(carriers, offers, limits, current, other.pods)
    return Plan(current, other.pods, other.share)


def _one_beyond(
    carriers: Sequence[Carrier],
    offers: Sequence[Offer],
    limits: Limits,
    current: tuple[int, ...],
    target: tuple[int, ...],
) -> tuple[int, ...]:
    """One pod more on the way to another mix of a full fleet, once all that there are are ready."""
    settled = all(carrier.pods.ready >= carrier.pods.replicas for carrier in carriers)
    k = max(range(len(current)), key=lambda k: target[k] - current[k])
    if not settled or target[k] <= current[k] or not _fits(offers, current, limits):
        return current
    return tuple(n + (i == k) for i, n in enumerate(current))


def _share(offers: Sequence[Offer], pods: Sequence[int], needs: Sequence[float]) -> float:
    """How much of every need a mix carries, 1 at most."""
    shares = [carried(offers, pods, j) / need for j, need in enumerate(needs) if need > 0]
    return min([*shares, 1.0])


def _with_an_unknown(
    carriers: Sequence[Carrier], growing: Sequence[Offer], needs: Sequence[float], limits: Limits
) -> Mix | None:
    """The same with a first pod of a class that nothing is known of, if there is one."""
    for k, carrier in enumerate(carriers):
        offer = growing[k]
        if carrier.is_known or carrier.rule is None or carrier.pods.replicas or offer.least:
            continue
        tried = [replace(o, least=1) if i == k else o for i, o in enumerate(growing)]
        found = nearest(tried, needs, limits)
        if found.share == 1 and found.pods[k]:
            return found
    return None


def _fewer(
    carriers: Sequence[Carrier], offers: Sequence[Offer], least: Mix, needs: Sequence[float]
) -> tuple[int, ...]:
    """As near to the least mix as may be without taking what is needed from what serves now. Pods
    that are not ready go first, as Kubernetes has it.
    """
    pods = [carrier.pods.replicas for carrier in carriers]
    ready = [carrier.pods.ready for carrier in carriers]
    serving = [carried(offers, ready, j) for j in range(len(needs))]
    floor = [min(least.share * need, now) for need, now in zip(needs, serving, strict=True)]
    all_serve = all(n <= now for n, now in zip(least.pods, ready, strict=True))
    for k in sorted(range(len(pods)), key=lambda k: -offers[k].price):
        if carriers[k].is_hopeless and not all_serve:
            continue  # slow pods are better than none
        while pods[k] > least.pods[k]:
            after = [min(n - (i == k), ready[i]) for i, n in enumerate(pods)]
            left = [carried(offers, after, j) for j in range(len(needs))]
            if any(have < want * (1 - 1e-9) for have, want in zip(left, floor, strict=True)):
                break
            pods[k] -= 1
    return tuple(pods)


def _fits(offers: Sequence[Offer], pods: Sequence[int], limits: Limits) -> bool:
    """Whether so many are within the limits; those of a class that is not wanted go soon."""
    wanted = [0 if o.most == 0 else n for o, n in zip(offers, pods, strict=True)]
    gpus = sum(o.gpus * n for o, n in zip(offers, wanted, strict=True))
    return sum(wanted) <= limits.most and (limits.gpus is None or gpus <= limits.gpus)
