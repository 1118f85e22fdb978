"""The latencies that a gateway has seen, in the bins that Envoy itself counts in: of 1 ms up to
100 ms, of 10 ms up to a second. What it shows Prometheus are the few edges that are worth a scrape.
"""

import json
from collections import Counter
from collections.abc import Mapping

from kube import Kube
from trireme.api import names
from trireme.api.gateway_clusters import TRACKS, Protocol, inference_cluster
from trireme.resources.envoy_clusters import ADMIN_PORT
from trireme.rollout.evidence import Share

Bins = Mapping[tuple[float, float], int]
"""How many requests took so many milliseconds, by the lower edge and the width."""

_PATH = "/stats?format=json&histogram_buckets=detailed&filter=inference_.*upstream_rq_time$"
_ASK = f"""exec 3<>/dev/tcp/127.0.0.1/{ADMIN_PORT}
printf 'GET {_PATH} HTTP/1.1\\r\\nHost: gateway\\r\\nConnection: close\\r\\n\\r\\n' >&3
cat <&3"""


def seen(kube: Kube, agent: str) -> Bins:
    """What the gateways of an agent have counted so far."""
    by_track = seen_by_track(kube, agent).values()
    return sum((Counter(bins) for bins in by_track), Counter[tuple[float, float]]())


def seen_by_track(kube: Kube, agent: str) -> dict[str, Bins]:
    """The same by who answered: stable pods or a canary. The gateways are asked from within, since
    their administration listens to nobody else.
    """
    found = {track: Counter[tuple[float, float]]() for track in TRACKS}
    for pod in kube.all("pods", f"{names.GATEWAY}={agent}"):
        shell = ("exec", pod["metadata"]["name"], "-c", names.GATEWAY_CONTAINER, "--", "bash", "-c")
        answer = json.loads(_body(kube.run(*shell, _ASK)))
        for stat in answer["stats"]:
            for histogram in stat.get("histograms", {}).get("details", []):
                if (track := _TRACKS.get(histogram["name"])) is not None:
                    for each in histogram["totals"]:
                        found[track][each["lower_bound"], each["width"]] += each["count"]
    return dict(found)


_TRACKS = {
    f"cluster.{inference_cluster(protocol, track)}.upstream_rq_time": track
    for protocol in Protocol
    for track in TRACKS
}
"""By the histograms' names. Envoy counts each request again as internal or external, by others."""


def since(before: Bins, after: Bins) -> Bins:
    """What came between two looks."""
    return {at: count - before.get(at, 0) for at, count in after.items()}


def percentile_seconds(bins: Bins, percent: float) -> float:
    """The latency that so many in a hundred did not exceed, straight within a bin. Envoy counts
    whole milliseconds, cut off: a bin from 58 on holds what took 58 to 59 ms.
    """
    rank = percent / 100 * sum(bins.values())
    for (low, width), count in sorted(bins.items()):
        if count and rank <= count:
            return (low + width * rank / count) / 1e3
        rank -= count
    raise ValueError("no request was counted")


def late(bins: Bins, limit_seconds: float) -> Share:
    """How many took the limit and longer: a bin from 400 on holds what took 400 ms or more."""
    over = sum(count for (low, _), count in bins.items() if low >= 1e3 * limit_seconds)
    return Share(over, sum(bins.values()))


def _body(answer: str) -> str:
    """The body of an HTTP answer that comes in chunks (RFC 9112, 7.1): lines with a size before
    each. kubectl's words were read with the line ends of this system, and the body has none.
    """
    chunks = answer.partition("\n\n")[2].splitlines()
    return "".join(chunks[1::2])
