"""Scored rows: their loss at a temperature, in blocks of any size."""

import numpy as np
import pytest

from skscratch.nn.batch import Targets
from skscratch.nn.losses import make_loss
from skscratch.training import scored_rows
from skscratch.training.scored_rows import ScoredRows
from tests.helpers.gradients import LOSS_CASES, WEIGHTS, make_case

RNG = np.random.RandomState
N = 40


def make(case="squared_error", weights="no weights"):
    """Raw scores of random rows, their loss, targets and weights."""
    rng = RNG(0)
    loss, n_out, targets = make_case(case, rng, N)
    return rng.normal(size=(N, n_out)), loss, targets, WEIGHTS[weights](rng, N, 1)


@pytest.mark.parametrize("block", [2**15, 16, 1], ids=["one block", "some rows a block", "a row a block"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", LOSS_CASES)
def test_the_loss_of_scored_rows(monkeypatch, case, weighted, block):
    """Its sum over the rows, and its derivative, against the loss itself and a difference quotient."""
    monkeypatch.setattr(scored_rows, "BLOCK", block)
    z, loss, targets, weight = make(case, "weights" if weighted else "no weights")
    before, scored = z.copy(), ScoredRows(z, loss, targets, weight)
    buffer = z[None].copy()
    rows, tape = loss.bind(buffer, targets.values[None], np.empty_like(buffer))
    tape.run()
    weight = np.ones(N) if weight is None else weight[0]
    total_loss, slope, total = scored.loss_at(0.0)
    assert total_loss == pytest.approx(weight @ rows[0, :, 0], rel=1e-12) and total == pytest.approx(weight.sum())
    ahead, behind = scored.loss_at(1e-6)[0], scored.loss_at(-1e-6)[0]
    # the loss of a row may have a kink within the step
    assert slope == pytest.approx((ahead - behind) / 2e-6, rel=1e-4, abs=1e-4)
    np.testing.assert_array_equal(z, before)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_are_finite_unless_one_is_not(bad):
    scored = ScoredRows(*make())
    assert scored.is_finite() is True
    scored.z[3] = bad
    assert scored.is_finite() is False


def test_scores_are_divided_by_the_temperature():
    scored = ScoredRows(*make())
    np.testing.assert_allclose(scored.scaled_by(2.0), scored.z / 2, rtol=1e-15)


def test_class_codes_are_looked_up():
    codes, lookup = np.array([0, 2, 1, 2], np.int32), np.eye(3) * 0.7 + 0.1
    z, loss = RNG(0).normal(size=(4, 3)), make_loss("log_loss", "softmax")
    by_code, by_value = (
        ScoredRows(z, loss, targets).loss_at(0.0) for targets in (Targets(codes, lookup), Targets(lookup[codes]))
    )
    assert by_code == by_value and by_code[0] > 0


def test_no_rows_have_no_loss():
    z, loss, targets, _ = make()
    assert ScoredRows(z[:0], loss, Targets(targets.values[:0])).loss_at(0.0) == (0, 0, 0)
