"""The plan of a training: automatic sizes, learning rates, splits and folds, and which epochs are validated."""

import numpy as np
import pytest
from joblib import cpu_count

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.encoding.check_input import Rows
from skscratch.encoding.class_targets import class_targets
from skscratch.estimators.constraints import InvalidParameterError
from skscratch.estimators.plan import (
    FLOAT64_PARAMETERS,
    FLOAT64_UP_TO,
    FULL_BATCH_UP_TO,
    automatic_batch_size,
    automatic_bins,
    automatic_cycles,
    automatic_dtype,
    check_together,
    fold_split,
    hidden_sizes,
    max_epochs,
    split_rows,
    training_plan,
)
from skscratch.nn.batch import Table, Targets
from skscratch.training.objective import Objective
from skscratch.training.optimizers import SGD, Adam
from skscratch.training.state import Split, TrainingState

SMALL, LARGE = FULL_BATCH_UP_TO, FULL_BATCH_UP_TO + 1


@pytest.mark.parametrize("n", [1, SMALL, LARGE, 63, 999, 1000, 2499, 2500, 4999, 5000, 5001, 100_003])
def test_the_automatic_batch_size_divides_a_table_evenly(n):
    size = automatic_batch_size(n)
    if n <= FULL_BATCH_UP_TO:
        assert size == n
        return
    goal = 32 if n < 1000 else 64 if n < 2500 else 128 if n < 5000 else 256
    steps = -(-n // goal)
    assert size <= goal and -(-n // size) == steps  # as many steps as with the goal itself
    assert size * steps - n < steps  # the last step lacks less than one row for each step


def test_the_automatic_batch_size_of_some_tables():
    assert [automatic_batch_size(n) for n in (500, 2000, 4000, 50_000)] == [32, 63, 125, 256]
    assert [automatic_batch_size(n) for n in (125_000, 500_000, 2_000_000, 10**8)] == [256, 512, 1024, 1024]


def test_the_automatic_batch_size_grows_with_the_square_root_of_the_rows_where_it_may():
    assert automatic_batch_size(500_000, max_batch=10**4) == pytest.approx(2560, rel=0.01)
    assert automatic_batch_size(500_000, max_batch=1000) == 1000


@pytest.mark.parametrize(
    ("n", "epochs", "cycles"),
    [
        (0, 60, 4),
        (125_000, 60, 4),  # the first cycle is a fifteenth of 60 epochs: 500,000 rows
        (125_001, 60, 5),
        (258_334, 60, 6),
        (10**9, 60, 6),  # the first cycle is 60/63 epochs
        (10**9, 59, 5),
        (10**9, 1000, 9),
        (10**9, 3, 4),  # as few epochs as they are, the schedule is the usual one
    ],
)
def test_the_cycles_of_the_learning_rate(n, epochs, cycles):
    assert automatic_cycles(n, epochs) == cycles
    model, n = ScratchMLPRegressor(max_iter=epochs), max(n, 1)
    ends = training_plan(model, n).schedule.cycle_ends
    assert len(ends) == cycles - 1 and ends[0] == 1 / (2**cycles - 1)
    assert len(training_plan(model, n, incremental=True).schedule.cycle_ends) == 3  # each call is an epoch


@pytest.mark.parametrize(
    ("n", "d", "expected"),
    [
        (SMALL, 1, 0),  # too few rows
        (331, 10, 5),  # six rows per bin of all columns: 331 / 6 / 10
        (3000, 8, 48),  # the maximum for one column
        (8000, 20, 19),  # the maximum for all columns: 384 / 20
        (8000, 200, 0),  # fewer than three are none
        (10**7, 1, 26),  # the encoded table is limited to a gigabyte
        (10**8, 1, 0),
        (1000, 0, 48),
    ],
)
def test_automatic_bins(n, d, expected):
    assert automatic_bins(n, d) == expected


@pytest.mark.parametrize(
    ("n", "n_parameters", "expected"),
    [
        (FLOAT64_UP_TO, FLOAT64_PARAMETERS, "float64"),
        (FLOAT64_UP_TO + 1, 1, "float32"),
        (5, FLOAT64_PARAMETERS + 1, "float32"),
    ],
)
def test_automatic_dtype(n, n_parameters, expected):
    assert automatic_dtype(ScratchMLPRegressor(), n, n_parameters) == expected
    for given in ("float32", np.float64):
        assert automatic_dtype(ScratchMLPRegressor(dtype=given), n, n_parameters) == np.dtype(given)


@pytest.mark.parametrize("sizes", [7, np.int64(7), (7,), [7], np.array([7])])
def test_hidden_sizes_of_every_form(sizes):
    assert hidden_sizes(ScratchMLPRegressor(sizes)) == [7]
    assert hidden_sizes(ScratchMLPRegressor(())) == []


def test_max_epochs_include_the_refit():
    assert max_epochs(ScratchMLPRegressor(max_iter=10, refit=0.5)) == 15
    assert max_epochs(ScratchMLPRegressor(max_iter=10, refit=0.001)) == 11  # a refit has at least one epoch
    assert max_epochs(ScratchMLPRegressor(max_iter=10, refit=0.5, early_stopping=False)) == 10
    assert max_epochs(ScratchMLPRegressor(max_iter=10, refit=0.5, solver="lbfgs")) == 10


# ------------------------------------------------------------------------------- training_plan


@pytest.mark.parametrize(
    ("batch_size", "expected"), [(32, 0.04 / 2**0.5), (64, 0.04), (128, 0.04 * 2**0.5), (256, 0.08)]
)
def test_the_automatic_learning_rate_grows_with_the_square_root_of_the_batch(batch_size, expected):
    plan = training_plan(ScratchMLPRegressor(batch_size=batch_size), 10_000)
    assert plan.settings.learning_rate == pytest.approx(expected)
    assert plan.settings.batch_size == batch_size


def test_the_automatic_learning_rate_has_a_limit_and_two_exceptions():
    assert training_plan(ScratchMLPRegressor(batch_size=10_000), 10_000).settings.learning_rate == 0.08
    assert training_plan(ScratchMLPRegressor(), SMALL).settings.learning_rate == 0.04  # whatever the batch
    assert training_plan(ScratchMLPRegressor(solver="sgd"), 10_000).settings.learning_rate == 0.1
    assert training_plan(ScratchMLPRegressor(learning_rate_init=0.3), 10_000).settings.learning_rate == 0.3


def test_the_solver_chooses_the_optimizer():
    parameters = np.zeros((1, 3))
    assert training_plan(ScratchMLPRegressor(solver="lbfgs"), 100).make_optimizer is None
    assert isinstance(training_plan(ScratchMLPRegressor(solver="sgd"), 100).make_optimizer(parameters), SGD)
    assert isinstance(training_plan(ScratchMLPRegressor(), 100).make_optimizer(parameters), Adam)


def test_weight_decay_belongs_to_adam_and_power_t_to_invscaling():
    adam, sgd = (training_plan(ScratchMLPRegressor(solver=s, weight_decay=0.3), 100).settings for s in ("adam", "sgd"))
    assert (adam.weight_decay, sgd.weight_decay) == (0.3, 0.0)
    assert adam.power_t is None
    assert training_plan(ScratchMLPRegressor(learning_rate="invscaling", power_t=0.7), 100).settings.power_t == 0.7


@pytest.mark.parametrize(("early_stopping", "stops"), [(False, False), (True, True), ("folds", False)])
def test_only_validation_rows_stop_a_training_early(early_stopping, stops):
    assert training_plan(ScratchMLPRegressor(early_stopping=early_stopping), 100).stops_early is stops


def test_numbers_become_python_floats_and_functions_of_the_user_run_in_one_thread():
    settings = training_plan(ScratchMLPRegressor(alpha=np.float64(1), clip_norm=np.float32(2)), 100).settings
    assert type(settings.alpha) is type(settings.clip_norm) is float
    assert training_plan(ScratchMLPRegressor(n_jobs=3), 100).n_threads == 3
    assert training_plan(ScratchMLPRegressor(n_jobs=-1), 100).n_threads == cpu_count()
    assert training_plan(ScratchMLPRegressor(n_jobs=-(10**6)), 100).n_threads == 1
    for own in (
        {"activation": (np.sin, np.cos)},
        {"learning_rate": lambda u: 1 - u},
        {"loss": lambda t, z: (((z - t) ** 2).sum(axis=1), 2 * (z - t))},
    ):
        assert training_plan(ScratchMLPRegressor(n_jobs=3, **own), 100).n_threads == 1


# --------------------------------------------------------------------------- checks and splits


def test_activations_must_be_as_many_as_hidden_layers():
    with pytest.raises(InvalidParameterError, match="one for each of the 3 hidden layers"):
        check_together(ScratchMLPRegressor((3, 3, 3), activation=["relu", "tanh"]), None)


def test_a_continued_training_keeps_the_network():
    model = ScratchMLPRegressor((5,))
    check_together(model, model.get_params())
    with pytest.raises(ValueError, match=r"another network: hidden_layer_sizes was \(5,\) and is now \(6,\)"):
        check_together(ScratchMLPRegressor((6,)), model.get_params())


def rows_of_two_classes(n):
    y = np.arange(n) % 2
    X = np.arange(float(n))[:, None]
    targets = class_targets(y, None, class_weight=None, label_smoothing=0.0)
    return Rows(X, y, X, targets.values(y, None), None), targets


def test_validation_rows_are_stratified_and_apart_from_the_training_rows():
    rows, targets = rows_of_two_classes(40)
    model = ScratchMLPClassifier(validation_fraction=0.2)
    training, validation, split = split_rows(model, rows, targets, None, np.random.RandomState(0))
    assert (len(training), len(validation)) == (32, 8)
    assert sorted([*training.data[:, 0], *validation.data[:, 0]]) == list(range(40))
    np.testing.assert_array_equal(validation.data[:, 0], split.validation_rows)
    assert validation.values.sum() == 4


def test_a_continued_training_keeps_its_validation_rows_while_they_exist():
    rows, targets = rows_of_two_classes(40)
    rng = np.random.RandomState(0)
    state = TrainingState(np.zeros((1, 1)), None, rng, split=Split(validation_rows=np.array([3, 8, 30])))
    _, validation, split = split_rows(ScratchMLPClassifier(), rows, targets, state, rng)
    assert validation.data[:, 0].tolist() == split.validation_rows.tolist() == [3, 8, 30]
    rows, targets = rows_of_two_classes(30)
    _, _, split = split_rows(ScratchMLPClassifier(), rows, targets, state, rng)
    assert split.validation_rows.max() < 30


@pytest.mark.parametrize(
    ("options", "n", "n_folds"),
    [
        ({"n_members": 8, "n_folds": 3}, LARGE, 2),
        ({"n_members": 6, "n_folds": 3}, LARGE, 3),
        ({"n_members": 6, "n_folds": 3}, SMALL, 3),
        ({}, 5, 5),
        ({}, 4, 0),  # fewer rows than folds
        ({"n_members": 1}, 100, 0),
        ({"solver": "lbfgs"}, 100, 0),
        ({"early_stopping": False}, 100, 0),
    ],
)
def test_the_number_of_folds(options, n, n_folds):
    values = np.arange(float(n))
    split = fold_split(ScratchMLPRegressor(**options), rows_of(values), values, Split(), np.random.RandomState(0))
    assert (0 if split.folds is None else split.folds.max() + 1) == n_folds
    assert split.validation_rows is None


def rows_of(values):
    """An objective whose rows have the same number as the only column of the table and as the target."""
    return Objective(None, None, Table(values[:, None]), Targets(values[:, None]))


def test_equal_rows_of_a_small_table_share_a_fold():
    """Then a row of weight 2 is exactly two rows, in any order."""
    values, order = np.arange(12.0), np.random.RandomState(1).permutation(36)
    repeated = np.repeat(values, 3)[order]
    once, thrice = (
        fold_split(ScratchMLPRegressor(), rows_of(v), v, Split(), np.random.RandomState(0)).folds
        for v in (values, repeated)
    )
    np.testing.assert_array_equal(thrice, np.repeat(once, 3)[order])
    few = np.repeat([1.0, 2.0, 3.0, 4.0], 5)  # four different rows are too few for five folds
    assert fold_split(ScratchMLPRegressor(), rows_of(few), few, Split(), np.random.RandomState(0)).folds is None


def test_a_continued_training_keeps_the_folds_of_as_many_rows():
    before = Split(np.array([1]), np.arange(100) % 5)
    keep, anew = (
        fold_split(ScratchMLPRegressor(), rows_of(values), values, before, np.random.RandomState(0))
        for values in (np.arange(100.0), np.arange(99.0))
    )
    assert keep.folds is before.folds and keep.validation_rows is None
    assert len(anew.folds) == 99


# ------------------------------------------------------------------------- what the plan does


def fitted(**options):
    rng = np.random.RandomState(0)
    X = rng.normal(size=(120, 3))
    y = np.sin(2 * X[:, 0]) + X[:, 1]
    common = {"hidden_layer_sizes": (8,), "max_iter": 15, "random_state": 0, "n_members": 2, "n_folds": 2}
    return ScratchMLPRegressor(**{**common, **options}).fit(X, y)


def test_the_history_has_the_automatic_learning_rate():
    constant = {"learning_rate": lambda u: 1.0, "max_iter": 1, "early_stopping": False}
    for batch_size in (32, 64, 120):
        (rate,) = fitted(batch_size=batch_size, **constant).history_["learning_rate"]
        assert rate == pytest.approx(0.04 * (batch_size / 64) ** 0.5)
    assert fitted(solver="sgd", **constant).history_["learning_rate"] == [pytest.approx(0.1)]


def test_epochs_are_validated_while_the_learning_rate_falls_and_is_low():
    model = fitted()
    validated = ~np.isnan(model.validation_loss_curve_)
    rates = np.array(model.history_["learning_rate"])
    assert validated[model.n_iter_ - 1] and not validated.all()
    assert model.best_iteration_ in np.flatnonzero(validated) + 1
    rising = np.flatnonzero(np.diff(rates) > 0) + 1
    assert not validated[rising].any()


def test_a_refit_moves_the_weights_but_not_the_curves():
    with_, without = fitted(refit=0.5), fitted(refit=0.0)
    assert with_.loss_curve_ == without.loss_curve_
    assert with_.best_iteration_ == without.best_iteration_
    np.testing.assert_array_equal(with_.oof_predictions_, without.oof_predictions_)
    assert any((a != b).any() for a, b in zip(with_.coefs_, without.coefs_, strict=True))
