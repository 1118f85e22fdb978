"""What both tracks answered, from samples of the pods' counters as Envoy and Triton name them."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme.autoscaler.direct import Sample
from trireme.rollout.counters import (
    STREAMS,
    Counts,
    Reading,
    answered,
    answers,
    compared,
    comparer_reading,
    gateway_reading,
    server_reading,
    usual_milliseconds,
)
from trireme.rollout.evidence import Share
from trireme.rollout.types import Answers

STABLE, CANARY = "stable", "canary"


def sample(metric: str, value: float, **labels: str) -> Sample:
    return Sample(metric, tuple(sorted(labels.items())), value)


@dataclass(frozen=True)
class Cluster:
    """One of Envoy's clusters as its metrics page tells it: series without a case are not there."""

    name: str
    answered: float = 0
    by_class: Mapping[str, float] = field(default_factory=dict)
    by_grpc: Mapping[int, float] = field(default_factory=dict)
    within: Mapping[str, float] = field(default_factory=dict)

    def samples(self) -> Iterator[Sample]:
        own = {"envoy_cluster_name": self.name}
        yield sample("envoy_cluster_upstream_rq_total", self.answered, **own)
        if self.answered:
            yield sample("envoy_cluster_upstream_rq_completed", self.answered, **own)
        for code, count in self.by_class.items():
            label = {"envoy_response_code_class": code}
            yield sample("envoy_cluster_upstream_rq_xx", count, **label, **own)
        for status, count in self.by_grpc.items():
            yield sample(f"envoy_cluster_grpc_{status}", count, **own)
        for edge, count in self.within.items():
            yield sample("envoy_cluster_upstream_rq_time_bucket", count, le=edge, **own)


def told(*clusters: Cluster) -> Reading:
    return gateway_reading([each for cluster in clusters for each in cluster.samples()])


HTTP = Cluster("inference_http", 100, {"2": 90, "4": 6, "5": 4}, within={"100": 80, "+Inf": 96})
HTTP_CANARY = Cluster("inference_http_canary", 10, {"2": 9, "5": 1}, within={"100": 8, "+Inf": 9})
IDLE, IDLE_CANARY = Cluster("inference_http"), Cluster("inference_http_canary")


def test_each_track_is_what_its_clusters_count() -> None:
    reading = told(HTTP, HTTP_CANARY, Cluster("stream_http", 7), Cluster("management_http", 9))
    assert reading == {
        STABLE: Counts(100, 4, {100.0: 80, math.inf: 96}, 6),
        CANARY: Counts(10, 1, {100.0: 8, math.inf: 9}),
        STREAMS[STABLE]: Counts(7, within=None),
    }


@pytest.mark.parametrize(
    ("cluster", "refused"),
    [
        pytest.param(Cluster("inference_http", 9, {"2": 5, "4": 3, "5": 1}), 3, id="4xx"),
        pytest.param(
            Cluster("inference_grpc", 9, {"2": 9}, {0: 3, 3: 2, 5: 3, 13: 1}),
            5,
            id="INVALID_ARGUMENT and NOT_FOUND",
        ),
        pytest.param(
            Cluster("inference_grpc", 9, {"2": 5, "4": 4}, {0: 9}),
            0,
            id="gRPC is read by its own statuses",
        ),
        pytest.param(
            Cluster("inference_grpc", 9, {"2": 9}, {0: 6, 1: 3}),
            0,
            id="what clients cancel is none",
        ),
    ],
)
def test_what_is_refused_as_the_clients_fault_is_each_protocols_own(
    cluster: Cluster, refused: int
) -> None:
    assert told(cluster)[STABLE].refused == refused


def test_each_grpc_status_means_one_thing() -> None:
    """Of 0 to 16 all but OK and CANCELLED are somebody's fault, and of one alone."""
    for status in range(17):
        reading = told(Cluster("inference_grpc", 1, {}, {status: 1}))[STABLE]
        assert reading.failed + (reading.refused or 0) == (status not in (0, 1)), status


@pytest.mark.parametrize(
    ("cluster", "failed"),
    [
        pytest.param(Cluster("inference_grpc", 9, {"2": 9}, {0: 6, 14: 2, 8: 1}), 3, id="faults"),
        pytest.param(
            Cluster("inference_grpc", 9, {"2": 6, "5": 3}, {0: 6, 14: 3}),
            3,
            id="Envoy's own 503 is in both, and counted by its status alone",
        ),
        pytest.param(Cluster("inference_grpc", 9, {"2": 9}, {0: 6, 3: 3}), 0, id="clients' own"),
        pytest.param(
            Cluster("inference_http", 9, {"2": 6, "5": 3}), 3, id="no pod answered over HTTP"
        ),
    ],
)
def test_what_is_a_failure_is_each_protocols_own(cluster: Cluster, failed: int) -> None:
    assert told(cluster)[STABLE].failed == failed


def test_streams_are_counted_by_how_they_end_and_not_by_how_long_they_took() -> None:
    streams = (
        Cluster("stream_http_canary", 9, {"2": 5, "4": 1, "5": 3}, within={"100": 1, "+Inf": 9}),
        Cluster("stream_grpc_canary", 4, by_grpc={0: 2, 3: 1, 14: 1}),
    )
    assert told(HTTP_CANARY, *streams) == {
        CANARY: Counts(10, 1, {100.0: 8, math.inf: 9}),
        STREAMS[CANARY]: Counts(13, 4, None, 2),
    }


def test_both_protocols_are_one_track() -> None:
    grpc = Cluster("inference_grpc_canary", 5, by_grpc={0: 4, 13: 1}, within={"100": 5, "+Inf": 5})
    assert told(HTTP_CANARY, grpc)[CANARY] == Counts(15, 2, {100.0: 13, math.inf: 14})


def test_a_gateway_without_the_canarys_clusters_tells_nothing_of_it() -> None:
    assert CANARY not in told(HTTP)
    assert told(HTTP, IDLE_CANARY)[CANARY] == Counts()


def test_what_pods_counted_between_two_readings() -> None:
    before = {"one": told(HTTP, IDLE_CANARY), "two": told(HTTP, HTTP_CANARY)}
    more = replace(HTTP, answered=150, by_class={"4": 9, "5": 9}, within={"100": 110, "+Inf": 140})
    after = {"one": told(more, HTTP_CANARY), "two": told(HTTP, HTTP_CANARY)}
    assert answered(before, after, STABLE) == Counts(50, 5, {100.0: 30, math.inf: 44}, 3)
    assert answered(before, after, CANARY) == Counts(10, 1, {100.0: 8, math.inf: 9})


@pytest.mark.parametrize(
    ("before", "after", "stable"),
    [
        pytest.param({}, {"one": told(HTTP)}, None, id="nothing is told of the first reading"),
        pytest.param({"one": told(HTTP)}, {}, None, id="nor of one that cannot be read"),
        pytest.param(
            {"one": told(IDLE)},
            {"one": told(HTTP), "new": told(HTTP)},
            Counts(100, 4, {100.0: 80, math.inf: 96}, 6),
            id="a pod that comes is counted from its second reading on",
        ),
        pytest.param(
            {"one": told(IDLE), "gone": told(HTTP)},
            {"one": told(HTTP)},
            Counts(100, 4, {100.0: 80, math.inf: 96}, 6),
            id="one that goes no longer",
        ),
        pytest.param(
            {"one": told(replace(HTTP, answered=5000, within={"100": 4000, "+Inf": 5000}))},
            {"one": told(HTTP)},
            Counts(100, 4, {100.0: 80, math.inf: 96}, 6),
            id="a restart counts from nothing",
        ),
    ],
)
def test_pods_come_and_go(
    before: Mapping[str, Reading], after: Mapping[str, Reading], stable: Counts | None
) -> None:
    assert answered(before, after, STABLE) == stable


def test_a_new_edge_that_only_some_pods_have_is_left_out() -> None:
    finer = replace(HTTP, within={"100": 80, "120": 85, "+Inf": 96})
    before = {"old": told(IDLE), "new": told(IDLE)}
    after = {"old": told(HTTP), "new": told(finer)}
    counted = answered(before, after, STABLE)
    assert counted is not None
    assert counted.within == {100.0: 160, math.inf: 192}


@pytest.mark.parametrize(
    ("late", "usual", "expected"),
    [
        pytest.param(100.0, 33.0, Answers(100, 4, 14, 54), id="by edges of the histogram"),
        pytest.param(99.0, 30.0, Answers(100, 4, 14, 54), id="by the next one where it has none"),
        pytest.param(None, 5000.0, Answers(100, 4, 4, 4), id="of no objective, failures alone"),
    ],
)
def test_late_and_slow_answers(late: float | None, usual: float, expected: Answers) -> None:
    counts = Counts(100, 4, {33.0: 50, 100.0: 90, math.inf: 100})
    assert answers(counts, counts, late, usual) == expected


def test_what_is_refused_is_no_failure_and_not_late_for_it() -> None:
    counts = Counts(100, 4, {100.0: 100, math.inf: 100}, 30)
    assert answers(counts, counts, 100.0, 100.0) == Answers(100, 4, 4, 4, refused=30)
    assert answers(replace(counts, refused=99), None, None, None).refused == 96


def test_a_histogram_that_is_ahead_of_the_counters_makes_no_more_cases_than_requests() -> None:
    counts = Counts(3, 1, {100.0: 0, math.inf: 9})
    assert answers(counts, counts, 100.0, 100.0) == Answers(3, 1, 3, 3)


def test_where_no_latency_is_told_failures_alone_are_known() -> None:
    untimed = Counts(10, 2, None)
    assert answers(untimed, untimed, 100.0, None) == Answers(10, 2, untimed=10)
    told = Counts(10, 2, {100.0: 3, math.inf: 10})
    assert answers(told, None, 100.0, None) == Answers(10, 2, untimed=10)


def test_latencies_may_be_told_by_other_counters_of_fewer_requests() -> None:
    times = Counts(6, 1, {100.0: 4, math.inf: 6})
    found = answers(Counts(10, 2, None), times, 100.0, 100.0)
    assert (found, found.timed) == (Answers(10, 2, 3, 3, untimed=4), 6)
    more = answers(Counts(2, 2, None), times, 100.0, 100.0)
    assert (more, more.timed) == (Answers(2, 2, 2, 2), 2)


@pytest.mark.parametrize(
    ("within", "usual"),
    [
        pytest.param({10.0: 40, 12.0: 60, math.inf: 110}, 12.0, id="the edge above the median"),
        pytest.param({10.0: 55, 12.0: 60, math.inf: 110}, 10.0, id="or at it"),
        pytest.param({10.0: 1, math.inf: 110}, 10.0, id="beyond all edges, the last"),
        pytest.param({10.0: 40, 12.0: 60, math.inf: 99}, None, id="of too few, none"),
        pytest.param({}, None, id="of nothing, none"),
    ],
)
def test_the_usual_latency(within: Mapping[float, float], usual: float | None) -> None:
    assert usual_milliseconds(Counts(110, 0, within)) == usual


TRITON = [
    sample("nv_inference_request_success", 90, model="agent", version="1"),
    sample("nv_inference_request_success", 300, model="encoder", version="1"),
    sample("nv_inference_request_failure", 2, model="agent", version="1", reason="BACKEND"),
    sample("nv_inference_request_failure", 1, model="agent", version="1", reason="REJECTED"),
    sample("nv_inference_request_failure", 7, model="agent", version="1", reason="CANCELED"),
]
BUCKETS = [
    sample("nv_inference_first_response_histogram_ms_bucket", count, model="agent", le=edge)
    for edge, count in (("100", 80), ("+Inf", 90))
]


def test_a_servers_own_counters_are_of_the_models_that_clients_ask_for() -> None:
    reading = server_reading([*TRITON, *BUCKETS], CANARY, {"agent"})
    assert reading == {CANARY: Counts(93, 3, {100.0: 80, math.inf: 90}, None)}


def test_a_server_before_26_01_tells_no_latency() -> None:
    assert server_reading(TRITON, STABLE, {"agent"}) == {STABLE: Counts(93, 3, None, None)}


def test_what_servers_refuse_is_not_known_and_not_taken_for_nothing() -> None:
    before = {"one": server_reading([], CANARY, {"agent"})}
    after = {"one": server_reading(TRITON, CANARY, {"agent"})}
    counts = answered({**before, "two": before["one"]}, {**after, "two": after["one"]}, CANARY)
    assert counts == Counts(186, 6, None, None)
    assert answers(counts, None, None, None) == Answers(186, 6, untimed=186, refused=None)


@given(
    st.lists(
        st.builds(
            sample,
            st.sampled_from(
                [
                    "envoy_cluster_upstream_rq_total",
                    "envoy_cluster_upstream_rq_completed",
                    "envoy_cluster_upstream_rq_xx",
                    "envoy_cluster_grpc_3",
                    "envoy_cluster_grpc_14",
                    "envoy_cluster_upstream_rq_time_bucket",
                ]
            ),
            st.floats(),
            envoy_cluster_name=st.sampled_from(["inference_http_canary", "inference_grpc", "x"]),
            le=st.sampled_from(["1", "+Inf", "NaN", "none", ""]),
            envoy_response_code_class=st.sampled_from(["2", "4", "5"]),
        ),
        max_size=30,
    )
)
def test_whatever_a_pod_tells_there_are_never_more_cases_than_requests(
    samples: list[Sample],
) -> None:
    before = {"one": {STABLE: Counts(), CANARY: Counts()}}
    counts = answered(before, {"one": gateway_reading(samples)}, CANARY)
    if counts is not None:
        found = answers(counts, counts, 1.0, 1.0)
        assert 0 <= found.failed <= found.late <= found.requests
        assert found.refused is not None
        assert 0 <= found.refused <= found.requests - found.failed


def test_mirrored_answers_are_those_of_all_models_since_the_last_reading() -> None:
    def reading(requests: float, different: float) -> Share:
        return comparer_reading(
            [
                sample("trireme_compared_requests_total", requests, model="a"),
                sample("trireme_compared_requests_total", 10, model="b"),
                sample("trireme_different_answers_total", different, model="a"),
            ]
        )

    assert compared({}, {"c": reading(5, 1)}) == Share()
    assert compared({"c": reading(5, 1)}, {"c": reading(9, 2)}) == Share(1, 4)
    assert compared({"c": reading(50, 9)}, {"c": reading(5, 1)}) == Share(1, 15)
    assert comparer_reading([]) == Share()
