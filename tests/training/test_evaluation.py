"""Validation: folds dealt evenly, scores by members that are blind to a row, and the temperature."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_expit, log_softmax
from sklearn.datasets import load_diabetes, load_iris

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.nn.batch import Targets
from skscratch.nn.losses import make_loss
from skscratch.training.early_stopping import GAIN
from skscratch.training.evaluation import WIDEST, Validation, deal, fold_weights
from skscratch.training.loop import Data, Recipe, State, train
from skscratch.training.optimizers import Adam
from tests.helpers.gradients import LOSS_CASES, make_case, make_network, make_table

RNG = np.random.RandomState
N = 40


# ------------------------------------------------------------------------ deal


@pytest.mark.parametrize(("n", "n_folds"), [(100, 5), (103, 5), (41, 2), (7, 7), (50, 3)])
def test_folds_are_of_about_one_size(n, n_folds):
    sizes = np.bincount(deal(RNG(0).normal(size=n), n_folds, RNG(1)), minlength=n_folds)
    assert len(sizes) == n_folds and sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize("seed", range(5))
def test_classes_are_in_every_fold_alike(seed):
    y = RNG(seed).permutation(np.repeat([0, 1, 2], [83, 31, 11]))
    folds = deal(y, 5, RNG(seed))
    for code in range(3):
        sizes = np.bincount(folds[y == code], minlength=5)
        assert sizes.max() - sizes.min() <= 2  # one for each end of a class in the order of all


@pytest.mark.parametrize("seed", range(5))
def test_numbers_of_one_size_are_in_every_fold(seed):
    y = RNG(seed).lognormal(size=60)
    in_order = deal(y, 5, RNG(seed))[np.argsort(y)]
    assert all(sorted(five) == [0, 1, 2, 3, 4] for five in in_order.reshape(-1, 5))


def test_of_several_columns_the_first_count_first():
    y = np.column_stack([np.repeat([1, 0], 20), RNG(0).normal(size=40)])
    in_order = deal(y, 4, RNG(1))[np.lexsort(y.T[::-1])]
    assert all(sorted(four) == [0, 1, 2, 3] for four in in_order.reshape(-1, 4))


def test_rows_are_dealt_at_random():
    y = np.zeros(20)
    assert deal(y, 4, RNG(0)).tolist() == deal(y, 4, RNG(0)).tolist() != deal(y, 4, RNG(1)).tolist()
    together, rng = np.zeros((20, 20)), RNG(0)
    for _ in range(400):
        folds = deal(y, 4, rng)
        together += folds == folds[:, None]
    # four of the 19 others share a fold with a row: 84 times of 400, with a standard deviation of 8
    assert (np.abs(together[~np.eye(20, dtype=bool)] - 400 * 4 / 19) < 40).all()


def test_dealing_leaves_the_targets_alone():
    y = RNG(0).normal(size=(9, 2))
    before = y.copy()
    deal(y, 3, RNG(1))
    np.testing.assert_array_equal(y, before)


# ------------------------------------------------------------------------ fold_weights

FOLDS = np.array([0, 2, 1, 1, 0, 2, 0])


def test_a_members_weight_is_zero_where_it_is_blind():
    weight = fold_weights(FOLDS, 6, None, np.dtype("f4"))
    assert weight.dtype == np.float32 and weight.shape == (6, 7)
    for k in range(6):
        assert weight[k].tolist() == [float(fold != k % 3) for fold in FOLDS]


def test_elsewhere_it_is_the_rows_weight():
    rows = np.arange(1.0, 8)
    for given in (rows, rows[None]):
        weight = fold_weights(FOLDS, 3, given, np.dtype("f8"))
        np.testing.assert_array_equal(weight, rows * (FOLDS != np.arange(3)[:, None]))


def test_a_member_learns_nothing_from_the_fold_that_it_is_blind_to():
    """Whatever its targets are, the same bits come out of training."""
    rng = RNG(0)
    table, folds = make_table(rng, N), np.arange(N) % 3
    network, start = make_network(rng, (5,), "silu", 1, 6)
    values, found = rng.normal(size=(N, 1)), []
    for spoiled in (values, np.where(folds[:, None] == 1, 1e3, values)):
        parameters = start.copy()
        data = Data(table, Targets(spoiled), fold_weights(folds, 6, None, np.dtype("f8")))
        state = State(parameters, Adam(parameters), RNG(1), end=3)
        recipe = Recipe(0.05, lambda u: 1.0, 8, alpha=0.1, clip_norm=1.0, weight_decay=0.1)
        train(network, make_loss("squared_error", None), data, state, recipe, 3, lambda record: False)
        found.append(parameters)
    for k in range(6):
        assert np.array_equal(found[0][k], found[1][k]) == (k % 3 == 1)


# ------------------------------------------------------------------------ scores


def make_validation(case="squared_error", n_members=6, folds=None, weight=None, calibrate=False, **table):
    """A judge, and parameters to be judged."""
    rng = RNG(0)
    loss, n_out, targets = make_case(case, rng, N)
    rows = make_table(rng, N, **table)
    network, parameters = make_network(rng, (5,), "silu", n_out, n_members)
    weight = None if weight is None else weight[None]
    return Validation(network, loss, Data(rows, targets, weight), folds, calibrate), parameters


KINDS = [{}, {"ones": True}, {"sparse": True, "offset": True}]


@pytest.mark.parametrize("table", KINDS, ids=str)
def test_rows_that_no_member_has_seen_are_judged_by_all(table):
    judge, parameters = make_validation(**table)
    expected = judge.network.scores(parameters, judge.data.table).mean(axis=0)
    np.testing.assert_array_equal(judge.scores(parameters), expected)


@pytest.mark.parametrize("n_members", [3, 6])
@pytest.mark.parametrize("table", KINDS, ids=str)
def test_a_row_is_scored_by_the_members_that_are_blind_to_it(table, n_members):
    folds = deal(RNG(1).normal(size=N), 3, RNG(2))
    judge, parameters = make_validation(folds=folds, n_members=n_members, **table)
    all_scores = judge.network.scores(parameters, judge.data.table)
    found = judge.scores(parameters)
    assert found.shape == all_scores.shape[1:]
    for i, fold in enumerate(folds):
        np.testing.assert_allclose(found[i], all_scores[fold::3, i].mean(axis=0), rtol=1e-12, atol=1e-13)


def test_members_that_have_seen_a_row_have_no_say_in_it():
    folds = np.arange(N) % 3
    judge, parameters = make_validation(folds=folds)
    expected = judge.scores(parameters)
    for fold in range(3):
        spoiled = parameters.copy()
        spoiled[fold::3] = np.nan
        found = judge.scores(spoiled)
        np.testing.assert_array_equal(found[folds != fold], expected[folds != fold])
        assert np.isnan(found[folds == fold]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_have_the_type_of_the_parameters(dtype):
    for folds in (None, np.arange(N) % 3):
        judge, parameters = make_validation(folds=folds)
        table = judge.data.table
        judge = Validation(judge.network, judge.loss, Data(type(table)(table.X.astype(dtype)), None), folds)
        assert judge.scores(parameters.astype(dtype)).dtype == dtype


# ------------------------------------------------------------------------ loss


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", LOSS_CASES)
def test_the_loss_is_the_weighted_mean_over_the_rows(case, weighted):
    weight = RNG(5).uniform(0, 2, N) if weighted else None
    judge, parameters = make_validation(case, weight=weight)
    z = judge.scores(parameters)
    before, buffer = z.copy(), z[None].copy()
    rows, calls = judge.loss.bind(buffer, judge.data.targets.values[None], np.empty_like(buffer))
    for do in calls:
        do()
    assert judge.judge(z)[0] == pytest.approx(np.average(rows[0, :, 0], weights=weight), rel=1e-12)
    assert judge.judge(z)[1] == 1.0
    np.testing.assert_array_equal(z, before)


def test_class_codes_are_looked_up():
    codes, lookup = np.array([0, 2, 1, 2], np.int32), np.eye(3) * 0.7 + 0.1
    loss, z = make_loss("log_loss", "softmax"), RNG(0).normal(size=(4, 3))
    by_code, by_value = (
        Validation(SimpleNamespace(), loss, Data(None, targets)).judge(z)[0]
        for targets in (Targets(codes, lookup), Targets(lookup[codes]))
    )
    assert by_code == by_value > 0


# ------------------------------------------------------------------------ temperature


def binary_loss(z, t):
    return -(t * log_expit(z) + (1 - t) * log_expit(-z)).sum(axis=1)


def softmax_loss(z, t):
    return -(t * log_softmax(z, axis=1)).sum(axis=1)


def drawn(kind, sharpness, n=300, seed=0):
    """Raw scores that are `sharpness` times those that the classes were drawn by, the classes, and their loss."""
    rng = RNG(seed)
    z = rng.normal(0, 1.5, (n, {"binary": 1, "multilabel": 3, "softmax": 4}[kind]))
    if kind == "softmax":
        t = np.array([rng.multinomial(1, p) for p in np.exp(log_softmax(z, axis=1))], float)
    else:
        t = (rng.uniform(size=z.shape) < 1 / (1 + np.exp(-z))).astype(float)
    loss = make_loss("log_loss", "softmax" if kind == "softmax" else "logistic")
    return z * sharpness, t, loss, softmax_loss if kind == "softmax" else binary_loss


def judge_of(loss, t, weight=None, calibrate=True):
    return Validation(
        SimpleNamespace(), loss, Data(None, Targets(t), None if weight is None else weight[None]), None, calibrate
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("sharpness", [0.4, 1.0, 3.0])
@pytest.mark.parametrize("kind", ["binary", "multilabel", "softmax"])
def test_the_temperature_is_where_the_loss_is_lowest(kind, sharpness, weighted):
    z, t, loss, plain = drawn(kind, sharpness)
    weight = RNG(1).uniform(0, 2, len(z)) if weighted else None
    best = minimize_scalar(lambda log_t: np.average(plain(z / np.exp(log_t), t), weights=weight), bracket=(-1, 1))
    judge = judge_of(loss, t, weight)
    assert abs(np.log(judge.judge(z)[1]) - best.x) < 0.02  # as near as it is looked for
    assert best.fun - 1e-12 <= judge.judge(z)[0] < best.fun + 1e-4
    assert abs(np.log(judge.judge(z)[1] / sharpness)) < 0.3  # and about what the scores were made too sharp by


@pytest.mark.parametrize("kind", ["binary", "multilabel", "softmax"])
def test_the_loss_is_that_at_the_temperature_told(kind):
    z, t, loss, plain = drawn(kind, 3.0)
    judge = judge_of(loss, t)
    assert judge.judge(z)[0] == pytest.approx(plain(z / judge.judge(z)[1], t).mean(), rel=1e-10)
    assert judge.judge(z)[0] < judge_of(loss, t, calibrate=False).judge(z)[0]


@pytest.mark.parametrize("kind", ["binary", "multilabel", "softmax"])
def test_the_temperature_stays_within_bounds(kind):
    z, t, loss, _ = drawn(kind, 1.0)
    judge = judge_of(loss, t)
    sure = np.where(t > 0, 1.0, -1.0)  # never wrong: the sharper, the better
    assert judge.judge(sure)[1] == pytest.approx(np.exp(-WIDEST))
    assert judge.judge(-5 * sure)[1] == pytest.approx(np.exp(WIDEST))  # always wrong: the flatter, the better


def test_weight_two_is_the_row_twice():
    z, t, loss, _ = drawn("softmax", 2.0)
    weight = np.arange(len(z)) % 3
    weighted = judge_of(loss, t, weight.astype(float))
    repeated = judge_of(loss, np.repeat(t, weight, axis=0))
    more = np.repeat(z, weight, axis=0)
    assert weighted.judge(z)[1] == pytest.approx(repeated.judge(more)[1], rel=1e-9)
    assert weighted.judge(z)[0] == pytest.approx(repeated.judge(more)[0], rel=1e-12)


@pytest.mark.parametrize("kind", ["binary", "softmax"])
def test_temperature_in_single_precision(kind):
    z, t, loss, _ = drawn(kind, 2.0)
    narrow = judge_of(loss, t.astype(np.float32))
    assert narrow.judge(z.astype(np.float32))[1] == pytest.approx(judge_of(loss, t).judge(z)[1], rel=0.02)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_not_finite_have_no_temperature(bad):
    z, t, loss, _ = drawn("softmax", 1.0)
    z[3, 1] = bad
    with np.errstate(all="ignore"):  # as in training
        assert judge_of(loss, t).judge(z)[1] == 1.0
        assert not np.isfinite(judge_of(loss, t).judge(z)[0])


def test_looking_for_the_temperature_leaves_the_scores_alone():
    z, t, loss, _ = drawn("softmax", 2.0)
    before = z.copy()
    judge_of(loss, t).judge(z)[1]
    np.testing.assert_array_equal(z, before)


# ------------------------------------------------------------------------ in the estimators

QUICK = {"hidden_layer_sizes": (8,), "n_members": 4, "n_folds": 2, "max_iter": 30, "random_state": 0}


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


def test_out_of_fold_scores_divided_by_the_temperature_are_calibrated(iris):
    """No other temperature would lower the loss of the probabilities that are told."""
    X, y = iris
    model = ScratchMLPClassifier(**QUICK).fit(X, y)
    log_p, t = np.log(model.oof_predictions_), np.eye(3)[y]
    best = minimize_scalar(lambda u: softmax_loss(log_p / np.exp(u), t).mean(), bracket=(-0.1, 0.1))
    assert abs(best.x) < 0.02 and model.temperature_ != 1
    assert softmax_loss(log_p, t).mean() == pytest.approx(-model.best_validation_score_, rel=1e-6)


def test_the_mean_raw_score_of_the_members_is_divided_by_the_temperature(iris):
    X, y = iris
    model = ScratchMLPClassifier(**QUICK).fit(X, y)
    table = model._encode(model._check_X(X, reset=False))
    z = model._network.scores(model._parameters, table).mean(axis=0) / model.temperature_
    np.testing.assert_allclose(model.decision_function(X), z, rtol=1e-12)
    np.testing.assert_allclose(model.predict_proba(X), np.exp(log_softmax(z, axis=1)), rtol=1e-12)


def test_without_calibration_and_for_numbers_the_temperature_is_one(iris):
    X, y = iris
    assert ScratchMLPClassifier(**QUICK, calibrate=False).fit(X, y).temperature_ == 1
    assert ScratchMLPClassifier(**QUICK, loss="squared_error").fit(X, y).temperature_ == 1
    assert ScratchMLPRegressor(**QUICK).fit(X, y).temperature_ == 1


def test_without_a_refit_the_out_of_fold_predictions_are_the_blind_members_own(iris):
    X, y = iris
    model = ScratchMLPRegressor(**QUICK, refit=0, clip_target=False).fit(X, y)
    table = model._encode(model._check_X(X, reset=False))
    z = model._network.scores(model._parameters, table)
    folds = model._state.folds
    blind = np.array([z[fold::2, i].mean(axis=0) for i, fold in enumerate(folds)])
    expected = model._numbers.decode(blind, False)[:, 0]
    np.testing.assert_allclose(model.oof_predictions_, expected, rtol=1e-10)
    assert model.oof_score_ == pytest.approx(1 - ((y - expected) ** 2).mean() / y.var(), rel=1e-10)


def test_a_refit_moves_the_members_and_nothing_that_was_judged(iris):
    X, y = iris
    without, refitted = (ScratchMLPRegressor(**QUICK, refit=refit).fit(X, y) for refit in (0, 0.5))
    np.testing.assert_array_equal(without.oof_predictions_, refitted.oof_predictions_)
    for name in ("oof_score_", "best_iteration_", "validation_scores_", "loss_curve_", "temperature_"):
        np.testing.assert_array_equal(getattr(without, name), getattr(refitted, name))
    assert (without.coefs_[0] != refitted.coefs_[0]).any(axis=(1, 2)).all()  # of every member


def test_after_a_refit_no_row_is_held_out_from_any_member(iris):
    """Each then fits the rows better that it was blind to."""
    X, y = load_diabetes(return_X_y=True)
    better = []
    for refit in (0, 1.0):
        model = ScratchMLPRegressor(**QUICK, refit=refit).fit(X, y)
        z = model._network.scores(model._parameters, model._encode(model._check_X(X, reset=False)))
        target = (y - y.mean()) / y.std()
        blind = model._state.folds == (np.arange(4) % 2)[:, None]
        better.append(np.mean([((z[k, :, 0] - target) ** 2)[blind[k]].mean() for k in range(4)]))
    assert better[1] < better[0]


def test_only_epochs_of_a_falling_rate_are_judged():
    X, y = load_diabetes(return_X_y=True)
    model = ScratchMLPRegressor(**QUICK).fit(X, y)
    scores, rates = np.array(model.validation_scores_), np.array(model.history_["learning_rate"])
    judged = np.isfinite(scores)
    assert judged.any() and not judged[0] and judged[-1] and np.isnan(model.validation_loss_curve_)[~judged].all()
    assert (rates[judged] < 0.8 * rates.max()).all()  # the last rate of an epoch that ends at 3/4 of the rate or less
    rises = np.diff(rates, prepend=0) > 0
    assert rises.any() and not judged[rises].any() and not rises[judged].any()
    assert model.best_iteration_ == np.nanargmax(scores) + 1
    assert model.best_validation_score_ == np.nanmax(scores)


@pytest.mark.parametrize("noise", [0.0, 0.5, 30.0])
def test_training_ends_after_a_cycle_that_gains_too_little(noise):
    """The four cycles of 45 epochs end after 3, 9, 21 and 45."""
    X = RNG(0).normal(size=(200, 5))
    y = np.sin(2 * X[:, 0]) + X[:, 1] + noise * RNG(1).normal(size=200)
    model = ScratchMLPRegressor(**{**QUICK, "hidden_layer_sizes": (32,), "max_iter": 45}).fit(X, y)
    best = [np.nanmax(model.validation_scores_[:end]) for end in (3, 9, 21) if end <= model.n_iter_]
    gains = [(now - before) / abs(before) for before, now in zip(best[:-1], best[1:], strict=True)]
    if model.n_iter_ < 45:
        assert model.n_iter_ in (9, 21) and gains[-1] < GAIN <= min(gains[:-1], default=GAIN)
    else:
        assert len(gains) == 2 and min(gains) >= GAIN
    assert (model.n_iter_ == 45) == (noise < 1)


def test_a_schedule_of_one_cycle_runs_to_its_end():
    X, y = RNG(0).normal(size=(200, 5)), RNG(1).normal(size=200)
    assert ScratchMLPRegressor(**QUICK, learning_rate="cosine").fit(X, y).n_iter_ == 30


@pytest.mark.parametrize("options", [{"n_members": 1}, {"early_stopping": False}, {"solver": "lbfgs"}], ids=str)
def test_without_folds_there_is_nothing_out_of_fold(iris, options):
    X, y = iris
    model = ScratchMLPRegressor(**{**QUICK, "n_iter_no_change": np.inf, **options}).fit(X, y)
    assert model.oof_predictions_ is None and model.oof_score_ is None


def test_rows_to_validate_on_stand_in_for_folds(iris):
    X, y = iris
    model = ScratchMLPClassifier(**QUICK).fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    assert model.oof_predictions_ is None and np.isfinite(model.validation_scores_).all()


@pytest.mark.parametrize(("n", "by_folds"), [(40, False), (41, True)])
def test_folds_need_more_than_forty_rows(n, by_folds):
    model = ScratchMLPRegressor(**QUICK).fit(RNG(0).normal(size=(n, 2)), RNG(1).normal(size=n))
    assert (model.oof_predictions_ is not None) == by_folds


@pytest.mark.parametrize(
    ("n_members", "n_folds", "expected"),
    [(5, 5, 5), (10, 5, 5), (4, 5, 4), (12, 5, 4), (6, 4, 3), (7, 2, 7), (2, 9, 2)],
)
def test_the_number_of_folds_divides_that_of_members(iris, n_members, n_folds, expected):
    X, y = iris
    options = {**QUICK, "n_members": n_members, "n_folds": n_folds, "max_iter": 1}
    assert ScratchMLPClassifier(**options).fit(X, y)._state.folds.max() + 1 == expected


@pytest.mark.parametrize("seed", range(4))
def test_more_folds_than_rows_do_no_harm(seed):
    """The divisors of a prime number of members are few: of these folds about half would have no row."""
    X = RNG(0).normal(size=(45, 2))
    options = {"hidden_layer_sizes": (), "n_members": 83, "max_iter": 1, "random_state": seed}
    assert np.isfinite(ScratchMLPRegressor(**options).fit(X, X[:, 0]).predict(X)).all()
