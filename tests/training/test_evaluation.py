"""Evaluation: folds, held-out validation rows, and the loss, score and temperature on rows that no member has seen."""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import minimize_scalar
from scipy.special import log_expit, log_softmax

from skscratch.nn.batch import Table, Targets
from skscratch.nn.losses import make_loss
from skscratch.training.evaluation import (
    DOUBTED_ROWS,
    MAX_LOG_TEMPERATURE,
    Evaluation,
    assign_folds,
    equal_rows,
    hold_out,
)
from skscratch.training.objective import Objective
from skscratch.training.scored_rows import ScoredRows
from tests.helpers.gradients import LOSS_CASES, make_case, make_network, make_table

RNG = np.random.RandomState
N = 40

# ------------------------------------------------------------------------ assign_folds


@pytest.mark.parametrize(("n", "n_folds"), [(100, 5), (103, 5), (41, 2), (7, 7), (50, 3)])
def test_folds_have_about_the_same_size(n, n_folds):
    sizes = np.bincount(assign_folds(RNG(0).normal(size=n), n_folds, RNG(1)), minlength=n_folds)
    assert len(sizes) == n_folds and sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize("seed", range(5))
def test_every_fold_has_about_as_many_rows_of_each_class(seed):
    y = RNG(seed).permutation(np.repeat([0, 1, 2], [83, 31, 11]))
    folds = assign_folds(y, 5, RNG(seed))
    for code in range(3):
        sizes = np.bincount(folds[y == code], minlength=5)
        assert sizes.max() - sizes.min() <= 2  # one for each end of the class among the sorted rows


@pytest.mark.parametrize("seed", range(5))
def test_every_fold_has_one_of_every_few_sorted_numbers(seed):
    y = RNG(seed).lognormal(size=60)
    in_order = assign_folds(y, 5, RNG(seed))[np.argsort(y)]
    assert all(sorted(five) == [0, 1, 2, 3, 4] for five in in_order.reshape(-1, 5))


def test_rows_are_sorted_by_the_first_column_first():
    y = np.column_stack([np.repeat([1, 0], 20), RNG(0).normal(size=40)])
    in_order = assign_folds(y, 4, RNG(1))[np.lexsort(y.T[::-1])]
    assert all(sorted(four) == [0, 1, 2, 3] for four in in_order.reshape(-1, 4))


def test_folds_are_random():
    y = np.zeros(20)
    assert (
        assign_folds(y, 4, RNG(0)).tolist()
        == assign_folds(y, 4, RNG(0)).tolist()
        != assign_folds(y, 4, RNG(1)).tolist()
    )
    together, rng = np.zeros((20, 20)), RNG(0)
    for _ in range(400):
        folds = assign_folds(y, 4, rng)
        together += folds == folds[:, None]
    # four of the 19 others share a fold with a row: 84 times of 400, with a standard deviation of 8
    assert (np.abs(together[~np.eye(20, dtype=bool)] - 400 * 4 / 19) < 40).all()


def test_assigning_folds_leaves_the_targets_unchanged():
    y = RNG(0).normal(size=(9, 2))
    before = y.copy()
    assign_folds(y, 3, RNG(1))
    np.testing.assert_array_equal(y, before)


# ------------------------------------------------------------------------ hold_out


def draw(n, fraction, weight=None, strata=None, seed=0):
    return hold_out(n, fraction, weight, strata, np.random.RandomState(seed))


@pytest.mark.parametrize(("n", "fraction"), [(100, 0.1), (37, 0.25), (1000, 0.333), (10, 0.1)])
def test_a_fraction_of_the_rows_is_held_out(n, fraction):
    rows = draw(n, fraction)
    assert len(rows) == round(n * fraction)
    assert (np.diff(rows) > 0).all() and rows[0] >= 0 and rows[-1] < n  # rising, without repetition


def test_validation_rows_are_drawn_from_the_given_generator():
    assert draw(100, 0.2, seed=0).tolist() == draw(100, 0.2, seed=0).tolist()
    assert draw(100, 0.2, seed=0).tolist() != draw(100, 0.2, seed=1).tolist()
    times = np.zeros(20)
    for seed in range(400):
        times[draw(20, 0.25, seed=seed)] += 1
    assert (np.abs(times - 100) < 40).all()  # binomial: standard deviation 8.7


@pytest.mark.parametrize("seed", range(5))
def test_the_fraction_is_that_of_the_weight(seed):
    weight = np.random.RandomState(7).lognormal(0, 1, 200)
    rows = draw(200, 0.2, weight, seed=seed)
    assert weight[rows].sum() == pytest.approx(0.2 * weight.sum(), abs=weight.max() / 2)  # rows are whole


@pytest.mark.parametrize("seed", range(5))
def test_each_class_gives_its_share(seed):
    strata = np.repeat([0, 1, 2], [100, 40, 10])
    rows = draw(150, 0.2, strata=strata, seed=seed)
    np.testing.assert_array_equal(np.bincount(strata[rows]), [20, 8, 2])


@pytest.mark.parametrize("seed", range(5))
def test_each_class_gives_its_share_of_the_weight(seed):
    strata = np.repeat([0, 1], [100, 50])
    weight = np.random.RandomState(7).uniform(0.5, 2, 150)
    rows = draw(150, 0.2, weight, strata, seed)
    for code in (0, 1):
        held, whole = weight[rows][strata[rows] == code].sum(), weight[strata == code].sum()
        # within the heaviest row: half of it, and what the previous class gave too little or too much
        assert held == pytest.approx(0.2 * whole, abs=2.0)


@pytest.mark.parametrize("seed", range(20))
def test_a_class_of_a_single_row_stays_in_training(seed):
    strata = np.array([0] * 10 + [1] + [2] * 10 + [3])
    rows = draw(22, 0.5, strata=strata, seed=seed)
    assert not {10, 21} & set(rows.tolist())
    assert len(rows) == 10


@pytest.mark.parametrize("seed", range(20))
def test_every_class_keeps_a_row_in_training(seed):
    strata = np.repeat([0, 1, 2], 3)
    rows = draw(9, 0.9, strata=strata, seed=seed)
    assert set(np.delete(strata, rows)) == {0, 1, 2}


def test_rare_classes_add_up_to_their_share():
    """Twenty classes have two rows each: a tenth of one class is no row, a tenth of all is four rows."""
    rows = draw(40, 0.1, strata=np.repeat(np.arange(20), 2))
    assert len(rows) == 4


def test_one_row_always_stays_in_training():
    assert len(draw(3, 0.99)) == 2


@pytest.mark.parametrize(
    ("n", "fraction", "strata"),
    [(1, 0.5, None), (3, 0.1, None), (5, 0.0, None), (3, 0.5, np.arange(3)), (0, 0.5, None)],
)
def test_too_few_rows_raise(n, fraction, strata):
    with pytest.raises(
        ValueError, match=f"validation set would be empty: {fraction} of n_samples={n}.*validation_fraction"
    ):
        draw(n, fraction, strata=strata)


# ------------------------------------------------------------------------ loss and score


def make_evaluation(case="squared_error", folds=None, weight=None, **options):
    """An evaluation on random rows, and parameters of six members."""
    rng = RNG(0)
    loss, n_out, targets = make_case(case, rng, N)
    table = make_table(rng, N)
    network, parameters = make_network(rng, (5,), "silu", n_out, 6)
    objective = Objective(network, loss, table, targets, None if weight is None else weight[None])
    return Evaluation(objective, folds, **options), parameters


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", LOSS_CASES)
def test_the_loss_is_the_weighted_mean_over_the_rows(case, weighted):
    weight = RNG(5).uniform(0, 2, N) if weighted else None
    evaluation, parameters = make_evaluation(case, weight=weight)
    objective, scored = evaluation.objective, evaluation.score(parameters)
    buffer = scored.z[None].copy()
    rows, tape = objective.loss.bind(buffer, objective.targets.values[None], np.empty_like(buffer))
    tape.run()
    loss, temperature = evaluation.loss_and_temperature(scored)
    assert loss == pytest.approx(np.average(rows[0, :, 0], weights=weight), rel=1e-12)
    assert temperature == 1.0


def test_rows_are_scored_by_the_members_that_hold_them_out():
    folds = RNG(2).permutation(np.arange(N) % 3)
    evaluation, parameters = make_evaluation(folds=folds)
    all_scores = evaluation.objective.network.scores(parameters, evaluation.objective.table)
    expected = [all_scores[fold::3, i].mean(axis=0) for i, fold in enumerate(folds)]
    np.testing.assert_allclose(evaluation.score(parameters).z, expected, rtol=1e-12, atol=1e-13)


def test_without_a_scorer_the_score_is_minus_the_loss():
    evaluation, parameters = make_evaluation()
    loss, score = evaluation(parameters)
    assert score == -loss < 0 and loss == evaluation.loss_and_temperature(evaluation.score(parameters))[0]


def test_the_scorer_sees_scaled_scores():
    seen = []
    evaluation, parameters = make_evaluation("log_loss softmax", calibrate=True)
    loss, score = replace(evaluation, scorer=lambda z: seen.append(z) or 0.75)(parameters)
    scored = evaluation.score(parameters)
    expected_loss, temperature = evaluation.loss_and_temperature(scored)
    assert (loss, score) == (expected_loss, 0.75) and temperature != 1
    np.testing.assert_array_equal(seen, [scored.z / temperature])


def test_scores_that_are_not_finite_do_not_reach_the_scorer():
    def scorer(z):
        raise AssertionError

    evaluation, parameters = make_evaluation(scorer=scorer)
    parameters[:, 0] = np.nan
    loss, score = evaluation(parameters)
    assert np.isnan(loss) and np.isnan(score)


# ------------------------------------------------------------------------ temperature


def binary_loss(z, t):
    return -(t * log_expit(z) + (1 - t) * log_expit(-z)).sum(axis=1)


def softmax_loss(z, t):
    return -(t * log_softmax(z, axis=1)).sum(axis=1)


def sharpened(kind, sharpness, n=300, seed=0):
    """Raw scores that are `sharpness` times those that the classes are drawn from, the classes, and their loss."""
    rng = RNG(seed)
    z = rng.normal(0, 1.5, (n, {"binary": 1, "multilabel": 3, "softmax": 4}[kind]))
    if kind == "softmax":
        t = np.array([rng.multinomial(1, p) for p in np.exp(log_softmax(z, axis=1))], float)
    else:
        t = (rng.uniform(size=z.shape) < 1 / (1 + np.exp(-z))).astype(float)
    loss = make_loss("log_loss", "softmax" if kind == "softmax" else "logistic")
    return z * sharpness, t, loss, softmax_loss if kind == "softmax" else binary_loss


def doubted(t, kind):
    """Targets of which a share is uniform."""
    return t + min((DOUBTED_ROWS / len(t)) ** 2, 0.5) * ((1 / t.shape[1] if kind == "softmax" else 0.5) - t)


class Calibration:
    """Loss and temperature of raw scores z (n, out), without a network."""

    def __init__(self, loss, t, weight=None, calibrate=True, n_different=None):
        self.objective = Objective(None, loss, None, Targets(t), None if weight is None else weight[None])
        self.evaluation = Evaluation(self.objective, None, calibrate, n_different=n_different)

    def __call__(self, z):
        return self.evaluation.loss_and_temperature(
            ScoredRows(z, self.objective.loss, self.objective.targets, self.objective.weight)
        )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("sharpness", [0.12, 0.4, 0.9, 1.0, 3.0, 8.0])
@pytest.mark.parametrize("kind", ["binary", "multilabel", "softmax"])
def test_the_temperature_is_where_the_loss_is_lowest(kind, sharpness, weighted):
    z, t, loss, plain = sharpened(kind, sharpness)
    weight = RNG(1).uniform(0, 2, len(z)) if weighted else None
    targets = doubted(t, kind)
    best = minimize_scalar(lambda log_t: np.average(plain(z / np.exp(log_t), targets), weights=weight), bracket=(-1, 1))
    calibration = Calibration(loss, t, weight)
    assert abs(np.log(calibration(z)[1]) - best.x) < 0.02  # the tolerance of the search
    assert abs(np.log(calibration(z)[1] / sharpness)) < 0.3  # and about the factor that sharpened the scores


@pytest.mark.parametrize("sharpness", [0.12, 0.4, 1.0, 3.0, 8.0])
def test_the_search_takes_few_passes_over_the_rows_and_none_twice(monkeypatch, sharpness):
    z, t, loss, _ = sharpened("softmax", sharpness)
    seen, loss_at = [], ScoredRows.loss_at
    monkeypatch.setattr(ScoredRows, "loss_at", lambda self, log_beta: seen.append(log_beta) or loss_at(self, log_beta))
    _, temperature = Calibration(loss, t)(z)
    assert len(set(seen)) == len(seen) <= 9
    assert any(np.exp(-log_beta) == pytest.approx(temperature) for log_beta in seen)


@pytest.mark.parametrize("kind", ["binary", "multilabel", "softmax"])
def test_the_loss_is_that_at_the_returned_temperature(kind):
    z, t, loss, plain = sharpened(kind, 3.0)
    calibration = Calibration(loss, t)
    assert calibration(z)[0] == pytest.approx(plain(z / calibration(z)[1], t).mean(), rel=1e-10)
    assert calibration(z)[0] < Calibration(loss, t, calibrate=False)(z)[0]


@pytest.mark.parametrize("kind", ["binary", "multilabel", "softmax"])
def test_the_temperature_stays_within_bounds(kind):
    z, t, loss, _ = sharpened(kind, 1.0)
    calibration = Calibration(loss, t)
    sure = np.where(t > 0, 0.1, -0.1)  # never wrong: the sharper, the better, up to a certainty of one row in 300
    assert calibration(sure)[1] == pytest.approx(np.exp(-MAX_LOG_TEMPERATURE))
    always_wrong = -50 * sure  # the flatter, the better
    assert calibration(always_wrong)[1] == pytest.approx(np.exp(MAX_LOG_TEMPERATURE))


@pytest.mark.parametrize("kind", ["binary", "multilabel", "softmax"])
@pytest.mark.parametrize("n", [5, 10, 40, 100])
def test_scores_that_are_right_on_few_rows_do_not_become_certain(kind, n):
    z, t, loss, plain = sharpened(kind, 1.0, n=n)
    sure = np.where(t > 0, 9.0, -9.0)  # right on every row
    targets = doubted(t, kind)
    best = minimize_scalar(lambda log_t: plain(sure / np.exp(log_t), targets).mean(), bracket=(-1, 1))
    temperature = Calibration(loss, t)(sure)[1]
    assert abs(np.log(temperature) - best.x) < 0.02
    doubt = 3 / (3 + np.exp(18 / temperature)) if kind == "softmax" else 1 / (1 + np.exp(9 / temperature))
    # 2 % of log T are up to 15 % of a small probability
    assert doubt == pytest.approx(min((DOUBTED_ROWS / n) ** 2, 0.5) * (0.75 if kind == "softmax" else 0.5), rel=0.15)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix], ids=["dense", "sparse"])
def test_equal_rows_are_found(form):
    X, codes = np.array([[0.0, 1], [0, 1], [0, 1], [2, 1], [0, 1]]), np.array([[1], [1], [2], [1], [1]], np.int32)
    index = equal_rows(Table(form(X), codes), np.array([1.0, 1, 1, 1, 3]))
    assert index[0] == index[1] and len(set(index)) == 4
    assert len(set(equal_rows(Table(form(X)), np.array([[1.0], [1], [1], [1], [1]])))) == 2


def test_a_row_of_weight_two_counts_as_two_rows():
    z, t, loss, _ = sharpened("softmax", 2.0)
    weight = np.arange(len(z)) % 3
    weighted = Calibration(loss, t, weight.astype(float), n_different=200)
    repeated = Calibration(loss, np.repeat(t, weight, axis=0), n_different=200)
    more = np.repeat(z, weight, axis=0)
    assert weighted(z)[1] == pytest.approx(repeated(more)[1], rel=1e-9)
    assert weighted(z)[0] == pytest.approx(repeated(more)[0], rel=1e-12)


@pytest.mark.parametrize("kind", ["binary", "softmax"])
def test_the_temperature_in_single_precision(kind):
    z, t, loss, _ = sharpened(kind, 2.0)
    narrow = Calibration(loss, t.astype(np.float32))
    assert narrow(z.astype(np.float32))[1] == pytest.approx(Calibration(loss, t)(z)[1], rel=0.02)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_not_finite_have_no_temperature(bad):
    z, t, loss, _ = sharpened("softmax", 1.0)
    z[3, 1] = bad
    with np.errstate(all="ignore"):  # as in training
        assert Calibration(loss, t)(z)[1] == 1.0
        assert not np.isfinite(Calibration(loss, t)(z)[0])


def test_calibration_leaves_the_scores_unchanged():
    z, t, loss, _ = sharpened("softmax", 2.0)
    before = z.copy()
    Calibration(loss, t)(z)
    np.testing.assert_array_equal(z, before)


def test_raw_scores_are_freed_as_soon_as_the_temperature_is_chosen():
    """SciPy's brentq leaves a reference cycle around the function that it solves."""
    z = np.array([[2.0], [-1.0], [0.5], [1.0]])
    targets = Targets(np.array([[1.0], [0.0], [1.0], [0.0]]))
    objective = Objective(None, make_loss("log_loss", "logistic"), Table(np.zeros((4, 1))), targets)
    scored = ScoredRows(z, objective.loss, targets)
    alive = weakref.ref(scored)
    gc.disable()
    try:
        _, temperature = Evaluation(objective, calibrate=True).loss_and_temperature(scored)
        del scored
        assert alive() is None
    finally:
        gc.enable()
    assert 0.1 < temperature < 10  # inside of the bounds, so that brentq has run
