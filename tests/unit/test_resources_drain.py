"""The arithmetic of leaving without losing a request."""

import pytest

from agents import agent_of, model_of
from trireme.resources.drain import DNS_REFRESH_SECONDS, gateway_drain, server_drain


def server(**fields: object) -> dict[str, object]:
    return {"image": "registry.example/triton:24.10-py3", "gpus": {"count": 0}, **fields}


def test_the_defaults_are_the_worked_example() -> None:
    drain = server_drain(agent_of().spec)

    assert drain.pre_stop_seconds == 10
    assert drain.exit_timeout_seconds == 59
    assert drain.termination_grace_seconds == 79
    assert drain.grpc_connection_age_milliseconds == 5_000


def test_a_fraction_of_a_second_is_rounded_up() -> None:
    drain = server_drain(agent_of(server=server(drainTime="1200ms")).spec)

    assert drain.pre_stop_seconds == 2


@pytest.mark.parametrize(
    ("times", "gateway", "wait_seconds"),
    [
        pytest.param({}, {}, 50, id="what drainTime leaves of the request timeout"),
        pytest.param({"drainTime": "90s"}, {}, 30, id="nothing is left: exitTimeout"),
        pytest.param({"exitTimeout": "2m"}, {}, 120, id="exitTimeout is longer"),
        pytest.param({}, {"requestTimeout": "10m"}, 590, id="long requests are waited for"),
        pytest.param({}, {"requestTimeout": "0s"}, 290, id="without a timeout, five minutes"),
        pytest.param({}, {"enabled": False}, 30, id="without a gateway: exitTimeout"),
    ],
)
def test_a_pod_outlives_the_longest_request_that_the_gateway_allows(
    times: dict[str, str], gateway: dict[str, object], wait_seconds: int
) -> None:
    spec = agent_of(server=server(**times), gateway=gateway).spec
    unload = 9  # up to eight Python instances

    drain = server_drain(spec)

    assert drain.exit_timeout_seconds == wait_seconds + unload
    if spec.gateway.enabled and spec.gateway.request_timeout:
        lifetime = drain.pre_stop_seconds + drain.exit_timeout_seconds
        assert lifetime >= spec.gateway.request_timeout.total_seconds()


def unload_seconds(count: int, gpus: int = 0) -> int:
    kind = "GPU" if gpus else "CPU"
    models = [
        model_of("double", instances=[{"kind": kind, "count": count}]),
        model_of("other", backend="onnxruntime", instances=[{"kind": "CPU", "count": 50}]),
    ]
    agent = agent_of(server=server(gpus={"count": gpus}), models=models)
    return server_drain(agent.spec).exit_timeout_seconds - 50


@pytest.mark.parametrize(
    ("instances", "seconds"),
    [
        pytest.param(1, 9, id="ceil(8 x 1.1)"),
        pytest.param(8, 9, id="the same for all up to eight"),
        pytest.param(9, 18, id="ceil(16 x 1.1)"),
        pytest.param(16, 18, id="the same for all up to sixteen"),
        pytest.param(17, 36, id="ceil(32 x 1.1)"),
    ],
)
def test_python_instances_are_given_time_to_be_unloaded_and_room_to_become_more(
    instances: int, seconds: int
) -> None:
    assert unload_seconds(instances) == seconds
    assert seconds >= 1.1 * instances


def test_an_instance_group_counts_once_for_each_gpu() -> None:
    assert unload_seconds(3, gpus=4) == unload_seconds(12) > unload_seconds(8)


def test_a_model_without_a_word_on_instances_has_one_on_each_gpu() -> None:
    drain = server_drain(agent_of(server=server(gpus={"count": 12})).spec)

    assert drain.exit_timeout_seconds == 50 + 18  # ceil(16 x 1.1)


def test_a_model_whose_backend_is_left_to_triton_may_be_in_python() -> None:
    drain = server_drain(agent_of(models=[model_of("double", backend="")]).spec)

    assert drain.exit_timeout_seconds == 50 + 9


@pytest.mark.parametrize(
    ("policy", "seconds"),
    [
        pytest.param(None, 9, id="the latest of three"),
        pytest.param({"latest": 2}, 9, id="two: eight instances"),
        pytest.param({"all": True}, 18, id="three: twelve instances"),
    ],
)
def test_each_version_that_is_loaded_has_instances_of_its_own(
    policy: dict[str, object] | None, seconds: int
) -> None:
    versions = [{"version": each, "source": {"configMap": "files"}} for each in (1, 2, 3)]
    model = model_of(
        "double",
        source=None,
        versions=versions,
        versionPolicy=policy,
        instances=[{"kind": "CPU", "count": 4}],
    )

    assert server_drain(agent_of(models=[model]).spec).exit_timeout_seconds == 50 + seconds


def test_without_python_models_there_is_nothing_to_unload_one_after_the_other() -> None:
    models = [model_of("double", backend="onnxruntime")]

    assert server_drain(agent_of(models=models).spec).exit_timeout_seconds == 50


@pytest.mark.parametrize("drain_time", ["0s", "1s", "3s", "10s", "5m"])
def test_every_grpc_channel_is_told_to_go_before_sigterm(drain_time: str) -> None:
    drain = server_drain(agent_of(server=server(drainTime=drain_time)).spec)

    told_ms = drain.grpc_connection_age_milliseconds * 1.1  # gRPC's jitter
    assert drain.grpc_connection_age_milliseconds >= 1_000
    if drain.pre_stop_seconds >= 2:
        assert told_ms < drain.pre_stop_seconds * 1_000


@pytest.mark.parametrize("drain_time", ["0s", "10s", "90s"])
def test_the_grace_period_covers_the_sleep_and_the_exit(drain_time: str) -> None:
    drain = server_drain(agent_of(server=server(drainTime=drain_time, exitTimeout="45s")).spec)

    assert drain.termination_grace_seconds > drain.pre_stop_seconds + drain.exit_timeout_seconds


def test_the_gateway_resolves_many_times_within_the_default_drain() -> None:
    drain = server_drain(agent_of().spec)

    assert drain.pre_stop_seconds / DNS_REFRESH_SECONDS >= 10


@pytest.mark.parametrize(
    ("drain_time", "request_timeout", "drain_seconds", "grace_seconds"),
    [
        pytest.param("10s", "60s", 20, 90, id="clients drop idle connections after 15 s"),
        pytest.param("40s", "60s", 40, 110, id="a longer drain of the servers is kept"),
        pytest.param("10s", "0s", 20, 330, id="a request without a timeout gets five minutes"),
    ],
)
def test_the_gateway_drains_then_waits_for_the_longest_request(
    drain_time: str, request_timeout: str, drain_seconds: int, grace_seconds: int
) -> None:
    agent = agent_of(
        server=server(drainTime=drain_time), gateway={"requestTimeout": request_timeout}
    )

    drain = gateway_drain(agent.spec)

    assert (drain.drain_seconds, drain.termination_grace_seconds) == (drain_seconds, grace_seconds)
