"""How many pods a canary needs for its share of the requests. Pure."""

import math

SPARE = 0.3
"""Of a pod, what a canary of fewer pods than the stable ones has beyond an equal load. A request
waits longer at few pods than at many that are each as busy, since it is less likely that one of
them is idle; measured in docs/benchmarks.md."""


def canary_pods(stable_pods: int, weight: float) -> int:
    """The pods of a canary that is to get `weight` of the requests, where `stable_pods` are sized
    for all of them.

    Each carries no more than a stable one: of 20 pods that get 95 % each carries 4.75 %, so the 5 %
    of a canary are the load of 1.05 pods, and with what is spare 2 pods. 25 % beside 3 pods are
    that of 1, and 2 pods, too; half of the requests take as many pods as there are stable ones.
    """
    if weight <= 0 or stable_pods <= 0:
        return 1
    if weight >= 1:
        return stable_pods
    # A rounding error of shares is no pod: 0.05 / 0.95 * 19 is 1.0000000000000002.
    as_busy = weight / (1 - weight) * stable_pods - 1e-9
    return max(1, min(math.ceil(as_busy + SPARE), max(stable_pods, math.ceil(as_busy))))


def share_of_pods(pods: int, stable_pods: int) -> float:
    """The share that so many canary pods carry beside `stable_pods`, at least one: the largest that
    `canary_pods` gives them for. 1 pod beside 20 carries what is left of it without the spare part,
    0.7 of 20.7, which is 3.4 %; 7 carry 25 %, and 20 half of the requests.
    """
    carrying = pods if pods >= stable_pods else max(0.0, pods - SPARE)
    return carrying / (carrying + stable_pods)
