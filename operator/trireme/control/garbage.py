"""How often Python looks for garbage that holds itself, in an operator that knows many agents.

A round reads a hundred objects an agent, lets all of them go at its end, and leaves hardly any that
hold each other. By the usual thresholds (700 new objects, 10 and 10) they are counted as ones that
stay, and everything that is known of all agents is gone through in nearly every round: that took a
third of its time (docs/benchmarks.md), and nobody else has a turn meanwhile.
"""

import gc

_YOUNG = 50_000  # objects more than before: those of 500 agents in a round, some 10 MB
_MIDDLE, _OLD = 20, 100  # times each, until the ones that stayed are looked at, too


def collect_seldom() -> None:
    """From now on, in this process."""
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
