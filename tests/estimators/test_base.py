"""What both estimators share: early stopping, validation, members, random states, divergence and warnings."""

import re
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning

from skscratch import ScratchMLPRegressor
from tests.helpers.estimators import FRAME, X, Y, make, make_with_folds, noisy


def test_init_arrays_are_where_training_starts(kind):
    init = ([np.ones((3, 4)), np.ones((4, 1))], [np.zeros(4), np.zeros(1)])
    model = make(kind, max_iter=1, init=init, learning_rate_init=1e-12, weight_decay=0.0)
    model.fit(X, Y[kind])
    for array, given in zip([*model.coefs_, *model.intercepts_], [*init[0], *init[1]], strict=True):
        np.testing.assert_allclose(array, given, atol=1e-11)  # one Adam step moves each weight by the learning rate


def test_strings_in_an_array_are_read_as_those_of_a_frame(kind):
    text = np.tile(["u", "v"], 20)
    y = (text == "u").astype(int)
    options = {"max_iter": 60, "learning_rate_init": 0.1}
    expected = make(kind, **options).fit(text.astype(object)[:, None], y).predict(text.astype(object)[:, None])
    got = make(kind, **options).fit(text[:, None], y).predict(text[:, None])  # dtype <U1
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("scoring", ["loss", None])
def test_early_stopping_keeps_the_weights_of_the_best_epoch(kind, given, scoring):
    table, y = noisy(kind)
    options = {
        "hidden_layer_sizes": (20,),
        "learning_rate": "constant",  # this learning rate does not depend on max_iter
        "learning_rate_init": 0.05,
        "validation_fraction": 0.3,
        "early_stopping": True,
        "scoring": scoring,
    }
    validation = {"X_val": table[:25], "y_val": y[:25]} if given else {}
    rows = slice(25, None) if given else slice(None)
    model = make(kind, **options, n_iter_no_change=8, max_iter=300).fit(table[rows], y[rows], **validation)
    best = model.best_iteration_
    assert 1 <= best < model.n_iter_ < 300  # training stopped, some epochs after the best one
    assert model.n_iter_ - best >= 8
    assert model.best_validation_score_ == model.validation_scores_[best - 1] == max(model.validation_scores_)
    stopped = make(kind, **options, n_iter_no_change=np.inf, max_iter=best, restore_best_weights=False)
    stopped.fit(table[rows], y[rows], **validation)
    np.testing.assert_array_equal(model.predict(table), stopped.predict(table))
    np.testing.assert_array_equal(model.coefs_[0], stopped.coefs_[0])
    last = make(kind, **options, n_iter_no_change=8, max_iter=300, restore_best_weights=False)
    last.fit(table[rows], y[rows], **validation)
    assert last.loss_curve_ == model.loss_curve_
    assert not np.array_equal(model.coefs_[0], last.coefs_[0])


def test_patience_counts_epochs_without_improvement(kind):
    # with tol = 1e9 only the first epoch can be an improvement
    for patience in (1, 4):
        model = make(
            kind, max_iter=50, early_stopping=True, tol=1e9, n_iter_no_change=patience, validation_fraction=0.3
        ).fit(X, Y[kind])
        assert model.n_iter_ == 1 + patience
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # stopping early is not a failure to converge
            model = make(kind, max_iter=50, learning_rate="constant", tol=1e9, n_iter_no_change=patience).fit(
                X, Y[kind]
            )
        assert model.n_iter_ == 1 + patience


def test_x_val_without_early_stopping_runs_to_the_end_and_keeps_the_best(kind):
    table, y = noisy(kind)
    model = make(kind, hidden_layer_sizes=(20,), max_iter=60, learning_rate_init=0.1)
    model.fit(table[25:], y[25:], X_val=table[:25], y_val=y[:25])
    assert model.n_iter_ == 60 and model.best_iteration_ < 60
    again = make(kind, hidden_layer_sizes=(20,), max_iter=60, learning_rate_init=0.1).fit(table[25:], y[25:])
    assert again.loss_curve_ == model.loss_curve_  # validation does not change training
    assert not np.array_equal(again.coefs_[0], model.coefs_[0])


def test_x_val_replaces_the_validation_split(kind):
    table, y = noisy(kind)
    model = make(kind, early_stopping=True).fit(table[25:], y[25:], X_val=table[:25], y_val=y[:25])
    assert model.t_ == 3 * 55  # all rows train
    model = make(kind, early_stopping=True, validation_fraction=0.2).fit(table, y)
    assert model.t_ == 3 * 64


def test_a_validation_row_of_weight_two_counts_twice(kind):
    table, y = noisy(kind)
    counts = np.random.RandomState(0).randint(0, 3, 25)
    weighted = make(kind).fit(table[25:], y[25:], X_val=table[:25], y_val=y[:25], sample_weight_val=counts)
    rows = np.repeat(np.arange(25), counts)
    repeated = make(kind).fit(table[25:], y[25:], X_val=table[rows], y_val=y[rows])
    # float64, sums in another order
    np.testing.assert_allclose(weighted.validation_loss_curve_, repeated.validation_loss_curve_, rtol=1e-12)


def test_epochs_with_a_high_learning_rate_are_not_validated(kind):
    table, y = noisy(kind)
    model = make_with_folds(kind, learning_rate="multi_cosine", max_iter=60, batch_size=8).fit(table, y)
    rates, validated = np.array(model.history_["learning_rate"]), ~np.isnan(model.validation_scores_)
    assert validated.any() and not validated.all()
    # the history has the learning rate of an epoch's last step; the rule, below 3/4 of the peak, holds at its end
    assert rates[validated].max() < 0.8 * 0.007 and rates[~validated].max() > 0.99 * 0.007
    assert np.array_equal(validated, ~np.isnan(model.validation_loss_curve_)) and validated[model.best_iteration_ - 1]
    constant = make_with_folds(kind, learning_rate="constant", max_iter=5, n_iter_no_change=np.inf).fit(table, y)
    assert not np.isnan(constant.validation_scores_).any()  # with a schedule without an end, every epoch is validated


def test_training_ends_after_a_cycle_without_gain(kind):
    rng = np.random.RandomState(0)
    table, noise = rng.normal(size=(80, 3)), rng.permutation(np.arange(80) % 2)
    options = {"learning_rate": "multi_cosine", "max_iter": 60, "init": "data", "learning_rate_init": 0.03}
    # cycles end at 1/15, 3/15 and 7/15 of 60; the first one has no cycle before it
    assert make_with_folds(kind, **options).fit(table, noise).n_iter_ == 12
    line = (table[:, 0] > 0).astype(int) if kind == "classifier" else table[:, 0]
    assert make_with_folds(kind, **options).fit(table, line).n_iter_ > 12
    assert make_with_folds(kind, **{**options, "learning_rate": "cosine"}).fit(table, noise).n_iter_ == 60


def test_verbose_writes_one_line_per_epoch(kind, caplog, capsys):
    caplog.set_level("INFO", "skscratch")
    make(kind).fit(X, Y[kind])
    assert (caplog.messages, capsys.readouterr().out) == ([], "")
    model = make(kind, verbose=True, early_stopping=True).fit(X, Y[kind])
    assert len(caplog.messages) == 4 and "all 3 epochs are done" in caplog.messages[-1]
    for i, line in enumerate(caplog.messages[:3]):
        loss, validation = model.loss_curve_[i], model.validation_loss_curve_[i]
        assert line.startswith(f"epoch {i + 1}/3  loss {loss:11.5g}  validation {validation:11.5g}  rate ")
        assert "score" not in line
    caplog.clear()
    model = make(kind, verbose=True, early_stopping=True, scoring=None).fit(X, Y[kind])
    assert f"score {model.validation_scores_[-1]:11.5g}  rate" in caplog.messages[-2]


def test_random_state(kind):
    def weights(random_state):
        return make(kind, random_state=random_state, batch_size=16).fit(X, Y[kind]).coefs_[0]

    np.testing.assert_array_equal(weights(3), weights(3))
    np.testing.assert_array_equal(weights(3), weights(np.random.RandomState(3)))
    assert not np.array_equal(weights(3), weights(4))
    assert not np.array_equal(weights(None), weights(None))
    instance = np.random.RandomState(3)
    assert not np.array_equal(weights(instance), weights(instance))  # an instance is advanced by each fit
    np.random.seed(5)
    one, two = weights(None), weights(None)
    np.random.seed(5)
    np.testing.assert_array_equal(weights(None), one)
    np.testing.assert_array_equal(weights(None), two)


def test_an_int_seed_leaves_numpys_own_generator_alone(kind):
    np.random.seed(1)
    expected = np.random.uniform()
    np.random.seed(1)
    make(kind, dropout=0.2, early_stopping=True).fit(X, Y[kind])
    assert np.random.uniform() == expected


@pytest.mark.parametrize("rate", [1e2, 1e6, 1e15])
def test_divergence_warns_once_and_returns_good_weights(kind, rate):
    options = {"hidden_layer_sizes": (10,), "max_iter": 12, "batch_size": 20}
    model = make(kind, **options, solver="sgd", learning_rate_init=rate, loss="squared_error")
    X_big, y = noisy(kind)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X_big, y)
    assert [w.category for w in caught] in ([ConvergenceWarning], [])
    if rate > 1e5 and kind == "regressor":  # the squared errors of a classifier lie between 0 and 1
        assert len(caught) == 1
        words = "became non-finite or huge in epoch .*Lower learning_rate_init, or set clip_norm"
        assert re.search(words, str(caught[0].message))
    assert all(np.isfinite(array).all() for array in [*model.coefs_, *model.intercepts_])
    predicted = model.predict(X_big)
    assert np.isfinite(predicted).all()
    if kind == "regressor" and caught:
        # the weights are good ones: their error is at most ten times that of predicting the mean
        assert np.mean((predicted - y) ** 2) < 10 * np.var(y)


def test_divergence_in_epochs_of_one_step_returns_good_weights():
    # the only step of the first epoch diverges, which shows in the loss of the second epoch
    table, y = noisy("regressor")
    model = make("regressor", hidden_layer_sizes=(10,), solver="sgd", learning_rate_init=1e5, max_iter=12)
    with pytest.warns(ConvergenceWarning, match="non-finite"):
        model.fit(table, y)
    assert np.mean((model.predict(table) - y) ** 2) < 10 * np.var(y)
    assert model.n_iter_ == 12  # training continued with a smaller learning rate


def test_input_is_left_alone(kind):
    table, y, weight = X.copy(), Y[kind].copy(), np.ones(40)
    frame = FRAME.copy()
    make(kind, early_stopping=True).fit(table, y, weight).predict(table)
    make(kind).fit(frame, y).predict(frame)
    np.testing.assert_array_equal(table, X)
    np.testing.assert_array_equal(y, Y[kind])
    np.testing.assert_array_equal(weight, np.ones(40))
    pd.testing.assert_frame_equal(frame, FRAME)


def test_set_callbacks_names_the_scikit_learn_that_it_needs(kind, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.callback", None)
    model = make(kind)
    with pytest.raises(ImportError, match=r"set_callbacks needs scikit-learn 1\.9 or newer.* is installed"):
        model.set_callbacks()
    assert model.fit(X, Y[kind]).n_iter_ == 3  # everything else works


@pytest.mark.parametrize(
    "name", ["dropout", "alpha", "weight_decay", "learning_rate_init", "clip_norm", "beta_1", "beta_2"]
)
def test_numpy_numbers_as_parameters_equal_python_numbers(kind, name):
    options = {"dtype": "float32", "n_members": 2}
    plain_number = make(kind, **options, **{name: 0.1}).fit(X, Y[kind])
    number = make(kind, **options, **{name: np.float64(0.1)}).fit(X, Y[kind])
    np.testing.assert_array_equal(number.coefs_[0], plain_number.coefs_[0])


def test_a_column_vector_as_y_warns(kind):
    model = make(kind)
    with pytest.warns(DataConversionWarning, match="column-vector y was passed when a 1d array was expected"):
        model.fit(X, Y[kind][:, None])
    assert model.predict(X).shape == (40,)


def interrupting(u):
    """Interrupt the training in its second half."""
    if u > 0.5:
        raise KeyboardInterrupt
    return 1.0


@pytest.mark.parametrize(
    "options",
    [
        {"learning_rate": "constant", "max_iter": 2},
        {"solver": "lbfgs", "max_iter": 2},
        {"solver": "sgd", "learning_rate_init": 1e12},
        {"learning_rate": interrupting},
    ],
    ids=["not converged", "not converged by lbfgs", "diverged", "interrupted"],
)
def test_a_warning_has_the_location_of_the_call_of_fit(options):
    X = np.random.RandomState(0).normal(size=(60, 3))
    with pytest.warns(UserWarning) as caught:
        ScratchMLPRegressor((8,), random_state=0, **options).fit(X, X[:, 0])
    assert [warning.filename for warning in caught] == [__file__]
