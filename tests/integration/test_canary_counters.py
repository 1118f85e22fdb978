"""What a real Envoy counts of a canary and of the stable pods, read as the operator reads it."""

import asyncio
import time
from pathlib import Path

from integration.envoy_gateway import SECONDS, SERVICE, Gateway
from integration.test_gateway_canary import tracks
from ports import LOOPBACK
from trireme.edge.pod_metrics import PodMetrics
from trireme.resources.monitoring import GATEWAY_METRICS_PATH
from trireme.rollout.counters import (
    GATEWAY_METRICS,
    STREAMS,
    Counts,
    Reading,
    answered,
    gateway_reading,
)


async def test_both_tracks_are_told_apart_with_their_failures_and_latencies(tmp_path: Path) -> None:
    async with tracks(tmp_path, 0.5) as both, PodMetrics() as pod_metrics:
        before = await read(pod_metrics, both.gateway)
        assert set(before) == {"stable", "canary", *STREAMS.values()}
        for _ in range(20):
            await both.gateway.infer("double")
            await both.gateway.infer("fails")
            await both.gateway.infer("unknown")
            await both.gateway.call(f"{SERVICE}/ModelInfer", b"fails")
            await both.gateway.call(f"{SERVICE}/ModelInfer", b"unknown")
        deadline = time.monotonic() + SECONDS
        while True:  # histograms are brought up to date once a second
            after = await read(pod_metrics, both.gateway)
            found = {t: answered({"g": before}, {"g": after}, t) for t in ("stable", "canary")}
            if all(counts and timed(counts) == counts.requests for counts in found.values()):
                break
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.1)
        for track, pod in (("stable", both.stable), ("canary", both.canary)):
            counts = found[track]
            assert counts is not None
            asked = [path for path in pod.paths if path == "gRPC" or "infer" in path]
            failed = [path for path in asked if "double" not in path]
            assert (counts.requests, counts.refused) == (len(asked), pod.refused)
            assert counts.failed == len(failed) - pod.refused
            assert pod.refused > 0


async def read(pod_metrics: PodMetrics, gateway: Gateway) -> Reading:
    samples = await pod_metrics.read(
        LOOPBACK, gateway.metrics_port, GATEWAY_METRICS_PATH, GATEWAY_METRICS
    )
    return gateway_reading(samples)


def timed(counts: Counts) -> float:
    return (counts.within or {}).get(float("inf"), 0.0)
