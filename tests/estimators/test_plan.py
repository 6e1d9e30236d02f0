"""From hyper-parameters to a plan: sizes by the table, rates, validation due, and the refit."""

import numpy as np
import pytest

from skscratch import ScratchMLPRegressor
from skscratch.estimators.plan import TINY, automatic_batch, automatic_bins


@pytest.mark.parametrize("n", [1, TINY, TINY + 1, 63, 999, 1000, 2499, 2500, 4999, 5000, 5001, 100_003])
def test_the_automatic_batch_divides_a_table_evenly(n):
    size = automatic_batch(n)
    if n <= TINY:
        assert size == n
        return
    goal = 32 if n < 1000 else 64 if n < 2500 else 128 if n < 5000 else 256
    steps = -(-n // goal)
    assert size <= goal and -(-n // size) == steps  # no step more than with the goal itself
    assert size * steps - n < steps  # and the last is short by less than one row a step


def test_the_automatic_batch_never_shrinks_much_as_tables_grow():
    assert [automatic_batch(n) for n in (500, 2000, 4000, 50_000)] == [32, 63, 125, 256]


@pytest.mark.parametrize(
    ("n", "d", "expected"),
    [
        (TINY, 1, 0),  # too few rows
        (331, 10, 5),  # six rows a bin of all columns: 331 / 6 / 10
        (3000, 8, 48),  # the most of one column
        (8000, 20, 19),  # the most of all: 384 / 20
        (8000, 200, 0),  # fewer than three are none
        (10**7, 1, 6),  # a table of a quarter of a gigabyte
        (10**8, 1, 0),
        (1000, 0, 48),
    ],
)
def test_automatic_bins(n, d, expected):
    assert automatic_bins(n, d) == expected


def fitted(**options):
    rng = np.random.RandomState(0)
    X = rng.normal(size=(120, 3))
    y = np.sin(2 * X[:, 0]) + X[:, 1]
    common = {"hidden_layer_sizes": (8,), "max_iter": 15, "random_state": 0, "n_members": 2, "n_folds": 2}
    return ScratchMLPRegressor(**{**common, **options}).fit(X, y)


def test_the_automatic_rate_grows_as_the_root_of_the_batch():
    constant = {"learning_rate": lambda u: 1.0, "max_iter": 1, "early_stopping": False}
    for batch_size in (32, 64, 120):
        (rate,) = fitted(batch_size=batch_size, **constant).history_["learning_rate"]
        assert rate == pytest.approx(0.04 * (batch_size / 64) ** 0.5)
    assert fitted(solver="sgd", **constant).history_["learning_rate"] == [pytest.approx(0.1)]


def test_epochs_are_judged_while_the_rate_falls_and_is_low():
    model = fitted()
    judged = ~np.isnan(model.validation_loss_curve_)
    rates = np.array(model.history_["learning_rate"])
    assert judged[model.n_iter_ - 1] and not judged.all()
    assert model.best_iteration_ in np.flatnonzero(judged) + 1
    rising = np.flatnonzero(np.diff(rates) > 0) + 1
    assert not judged[rising].any()


def test_a_refit_moves_the_weights_but_not_the_curves():
    with_, without = fitted(refit=0.5), fitted(refit=0.0)
    assert with_.loss_curve_ == without.loss_curve_
    assert with_.best_iteration_ == without.best_iteration_
    np.testing.assert_array_equal(with_.oof_predictions_, without.oof_predictions_)
    assert any((a != b).any() for a, b in zip(with_.coefs_, without.coefs_, strict=True))
