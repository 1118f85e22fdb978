"""The accuracy gate: what a drop on n samples shows, and what it leaves open."""

import math

import numpy as np
import pytest

from trireme.optimizer.gate import judge, paired_bound, samples_needed, students_t
from trireme.optimizer.metrics import Truth, metric_of


@pytest.mark.parametrize(
    ("lost", "gained", "count", "bound"),
    [
        pytest.param(0, 0, 598, 0.005, id="598 without a difference leave half a percent open"),
        pytest.param(0, 0, 100, 0.0295, id="100 without a difference leave much open"),
        pytest.param(500, 0, 500, 1.0, id="all lost is a drop of everything"),
    ],
)
def test_the_bound_where_it_is_known_in_closed_form(
    lost: int, gained: int, count: int, bound: float
) -> None:
    assert paired_bound(lost, gained, count, 0.95) == pytest.approx(bound, abs=1e-4)


def test_tangos_own_example() -> None:
    """Tango 1998, table of crossover trials: b=43, c=0, n=86 has the 95 % two-sided interval
    (0.396, 0.603) or so; its upper end is this bound at 97.5 %.
    """
    assert paired_bound(43, 0, 86, 0.975) == pytest.approx(0.603, abs=0.005)
    assert -paired_bound(0, 43, 86, 0.975) == pytest.approx(0.396, abs=0.005)


def test_the_bound_grows_with_what_is_lost_and_shrinks_with_samples() -> None:
    assert paired_bound(3, 0, 500, 0.95) > paired_bound(1, 0, 500, 0.95)
    assert paired_bound(1, 0, 5000, 0.95) < paired_bound(1, 0, 500, 0.95)
    assert paired_bound(1, 0, 500, 0.99) > paired_bound(1, 0, 500, 0.95)


def test_samples_needed_are_the_fewest_that_let_an_equal_candidate_pass() -> None:
    count = samples_needed(0.005, 0.95)
    assert paired_bound(0, 0, count, 0.95) <= 0.005
    assert paired_bound(0, 0, count - 1, 0.95) > 0.005


@pytest.mark.parametrize("count", [200, 1000])
def test_a_candidate_at_the_limit_passes_no_more_often_than_the_confidence_says(count: int) -> None:
    """True drop = what is allowed, 5 %: of 2,000 drawn at 95 %, some 100 pass by luck."""
    allowed = 0.05
    draw = np.random.default_rng(7)
    lost = draw.multinomial(count, [allowed + 0.02, 0.02, 1 - allowed - 0.04], size=2000)
    passed = sum(paired_bound(b, c, count, 0.95) <= allowed for b, c, _ in lost.tolist())
    assert 20 <= passed <= 125  # 100 and 2.5 standard deviations of a binomial


def logits(classes: np.ndarray) -> dict[str, np.ndarray]:
    return {"output_0": np.eye(4, dtype=np.float32)[classes]}


def test_swapped_labels_are_refused_whatever_is_drawn() -> None:
    """A candidate that answers class 1 for 0 and 0 for 1 is right on all else."""
    swap = np.array([1, 0, 2, 3])
    for seed in range(50):
        labels = np.random.default_rng(seed).integers(0, 4, 600)
        truth = Truth(labels, logits(labels))
        verdict = judge(
            metric_of("accuracy", True), logits(swap[labels]), logits(labels), truth, 0.005, 0.95, 1
        )
        assert not verdict.passes
        assert verdict.is_hopeless


@pytest.mark.parametrize("metric", ["accuracy", "top-1", "f1"])
def test_an_equal_candidate_passes_where_there_are_samples_enough(metric: str) -> None:
    labels = np.random.default_rng(1).integers(0, 4, 800)
    truth = Truth(labels, logits(labels))
    verdict = judge(metric_of(metric, True), logits(labels), logits(labels), truth, 0.005, 0.95, 1)
    assert verdict.passes, str(verdict)
    assert verdict.drop == 0


def test_an_equal_candidate_is_not_passed_on_few_samples() -> None:
    labels = np.random.default_rng(1).integers(0, 4, 100)
    truth = Truth(labels, logits(labels))
    verdict = judge(
        metric_of("accuracy", True), logits(labels), logits(labels), truth, 0.005, 0.95, 1
    )
    assert not verdict.passes
    assert not verdict.is_hopeless
    assert str(verdict) == (
        "a drop of 0.00 %, at most 2.95 % with 95.0% confidence on 100 samples, where 0.50 % is "
        "allowed; it takes 598 samples"
    )


@pytest.mark.parametrize("metric", ["accuracy", "top-2", "f1", "cosine", "mean-error", "max-error"])
def test_too_few_samples_let_nothing_pass_whatever_the_metric(metric: str) -> None:
    """Also what is the same to the last bit: there is no variance then that could tell of a few."""
    labels = np.random.default_rng(1).integers(0, 4, 597)
    few, enough = (Truth(some, logits(some)) for some in (labels, np.append(labels, 1)))
    for truth, passes in ((few, False), (enough, True)):
        same = truth.reference
        truth = Truth(truth.labels if metric[0] in "atf" else None, same)
        verdict = judge(metric_of(metric, True), same, same, truth, 0.005, 0.95, 1)
        assert verdict.passes is passes, str(verdict)


def test_what_allows_no_drop_lets_nothing_pass() -> None:
    labels = np.zeros(1000, np.int64)
    truth = Truth(labels, logits(labels))
    verdict = judge(metric_of("cosine", True), logits(labels), logits(labels), truth, 0, 0.95, 1)
    assert not verdict.passes


def test_the_largest_error_is_told_without_a_confidence() -> None:
    before = {"output_0": np.ones((700, 2))}
    verdict = judge(
        metric_of("max-error", False), before, before, Truth(None, before), 0.005, 0.95, 1
    )
    assert str(verdict) == "a drop of 0.00 % seen on 700 samples, where 0.50 % is allowed"


@pytest.mark.parametrize(
    ("confidence", "freedom", "quantile"),
    [
        pytest.param(0.95, 9, 1.8331, id="of ten samples"),
        pytest.param(0.99, 19, 2.5395, id="of twenty"),
        pytest.param(0.975, 100, 1.9840, id="of a hundred and one"),
    ],
)
def test_the_quantiles_of_t_are_those_of_its_tables(
    confidence: float, freedom: int, quantile: float
) -> None:
    assert students_t(confidence, freedom) == pytest.approx(quantile, rel=1e-3)


@pytest.mark.parametrize(
    ("metric", "noise", "passes"),
    [
        pytest.param("cosine", 0.01, True, id="little noise hardly turns a vector"),
        pytest.param("cosine", 1.0, False, id="much noise turns it"),
        pytest.param("mean-error", 0.001, True, id="a tenth of a percent is within half"),
        pytest.param("mean-error", 0.02, False, id="two percent are not"),
        pytest.param("max-error", 0.0005, True, id="the largest error is within half a percent"),
        pytest.param("max-error", 0.005, False, id="one large error is enough to be refused"),
    ],
)
def test_answers_near_the_originals_pass_without_labels(
    metric: str, noise: float, passes: bool
) -> None:
    draw = np.random.default_rng(3)
    before = {"output_0": draw.normal(size=(600, 32))}
    after = {"output_0": before["output_0"] + noise * draw.normal(size=(600, 32))}
    truth = Truth(None, before)
    verdict = judge(metric_of(metric, False), after, before, truth, 0.005, 0.95, 1)
    assert verdict.passes is passes, str(verdict)
    assert not math.isnan(verdict.most_drop)
