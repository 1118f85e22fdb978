"""A canary's plan, from the resource."""

from datetime import timedelta

import pytest

from trireme.api.rollout import Canary
from trireme.rollout.plan import plan_of


@pytest.mark.parametrize(
    ("mirror", "requests", "compared"),
    [
        pytest.param(None, 200, 0, id="nothing is mirrored"),
        pytest.param("10%", 200, 100, id="some are"),
        pytest.param("10%", 20, 20, id="a step that is to see few requests compares as few"),
    ],
)
def test_mirrored_requests_are_compared_in_each_step(
    mirror: str | None, requests: int, compared: int
) -> None:
    steps = [{"weight": "5%", "minRequests": requests}, {"weight": "25%", "minRequests": requests}]
    canary = Canary.model_validate(
        {"steps": steps, "mirror": {"share": mirror} if mirror else None}
    )
    assert [step.least_compared for step in plan_of(canary, timedelta(0)).steps] == [compared] * 2
