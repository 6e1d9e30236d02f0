"""Continued training: warm starts, calls of partial_fit, and fits that were interrupted."""

import numpy as np
import pytest

from skscratch.training.step import LocalStep
from tests.helpers.estimators import X, Y, assert_refused, folds_of, make, make_with_folds, noisy

CHANGES = [
    ("hidden_layer_sizes", (5,)),
    ("activation", "tanh"),
    ("n_members", 2),
    ("fit_intercept", False),
    ("dtype", "float32"),
    ("dropout", 0.5),
    ("scale_features", False),
    ("solver", "sgd"),
    ("beta_1", 0.1),
    ("beta_2", 0.1),
    ("epsilon", 1.0),
    ("loss", None),
    ("alpha", 5.0),
    ("weight_decay", 5.0),
    ("learning_rate_init", 0.1),
    ("learning_rate", "one_cycle"),
    ("batch_size", 7),
    ("shuffle", False),
    ("clip_norm", 1e-3),
    ("parametrization", "ntk"),
    ("numeric_embedding", "bins"),
    ("n_folds", 2),
    ("n_bins", 7),
]


FIT_ONLY = [("solver", "lbfgs"), ("early_stopping", True), ("max_iter", 9)]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # L-BFGS cut short
@pytest.mark.parametrize(
    ("method", "name", "value"),
    [("fit", *change) for change in CHANGES + FIT_ONLY] + [("partial_fit", *change) for change in CHANGES],
)
def test_a_parameter_changed_between_calls_has_an_effect_or_is_refused(kind, method, name, value):
    if name == "loss":
        value = {"classifier": "squared_error", "regressor": "absolute_error"}[kind]

    def fitted():
        return make(kind, warm_start=True, batch_size=16).fit(X, Y[kind])

    def scores(model):
        return model.decision_function(X) if kind == "classifier" else model.predict(X)

    unchanged, again = (scores(getattr(fitted(), method)(X, Y[kind])) for _ in range(2))
    np.testing.assert_array_equal(unchanged, again)
    model = fitted().set_params(**{name: value})
    try:
        getattr(model, method)(X, Y[kind])
    except ValueError as error:
        assert name in str(error)
    else:
        assert not np.array_equal(scores(model), unchanged), f"{name}={value!r} was silently ignored"


def test_warm_start_with_momentum_changed(kind):
    y = Y[kind]
    options = {"warm_start": True, "solver": "sgd", "batch_size": 16}
    kept = make(kind, **options, momentum=0.1).fit(X, y).fit(X, y).coefs_[0]
    changed = make(kind, **options, momentum=0.1).fit(X, y).set_params(momentum=0.9).fit(X, y).coefs_[0]
    assert not np.array_equal(kept, changed)


def test_warm_start_refuses_another_network_and_other_columns(kind):
    model = make(kind, warm_start=True).fit(X, Y[kind])
    assert_refused(model, X[:, :2], Y[kind], match="X has 2 features, but .* expecting 3")
    model.set_params(hidden_layer_sizes=(5,))
    assert_refused(model, X, Y[kind], match=r"another network: hidden_layer_sizes was \(4,\) and is now \(5,\)")
    assert_refused(model, X, Y[kind], method="partial_fit", match="another network: hidden_layer_sizes")
    model.set_params(hidden_layer_sizes=(4,), activation="tanh")
    assert_refused(model, X, Y[kind], match="another network: activation was 'relu' and is now 'tanh'")
    model.set_params(activation="relu", warm_start=False, hidden_layer_sizes=(5,))
    assert model.fit(X, Y[kind]).coefs_[0].shape == (3, 5)


def test_curves_continue_with_warm_start_and_start_again_without(kind):
    model = make(kind, warm_start=True).fit(X, Y[kind]).fit(X, Y[kind])
    assert (model.n_iter_, len(model.loss_curve_), model.t_) == (3, 6, 240)
    model.set_params(warm_start=False).fit(X, Y[kind])
    assert (model.n_iter_, len(model.loss_curve_), model.t_) == (3, 3, 120)
    model.partial_fit(X, Y[kind])
    assert (model.n_iter_, len(model.loss_curve_), model.t_) == (1, 4, 160)


def test_a_continued_fit_does_not_change_the_earlier_loss_curve(kind):
    model = make(kind, warm_start=True).fit(X, Y[kind])
    first = model.loss_curve_
    model.fit(X, Y[kind])
    assert len(first) == 3 and len(model.loss_curve_) == 6


def test_the_history_has_one_value_per_epoch_even_if_only_some_calls_validate(kind):
    model = make(kind, warm_start=True).fit(X, Y[kind])
    model.set_params(early_stopping=True).fit(X, Y[kind])
    model.set_params(early_stopping=False).fit(X, Y[kind])
    assert {len(values) for values in model.history_.values()} == {9}
    validated = ~np.isnan(model.validation_loss_curve_)
    np.testing.assert_array_equal(validated, [False] * 3 + [True] * 3 + [False] * 3)


def test_warm_start_keeps_the_folds_of_the_same_rows(kind):
    table, y = noisy(kind)
    model = make_with_folds(kind, warm_start=True).fit(table, y)
    folds = folds_of(model)
    assert np.array_equal(folds_of(model.fit(table, y)), folds)
    model.fit(table[:60], y[:60])  # other rows get new folds
    assert len(folds_of(model)) == 60 and len(model.oof_predictions_) == 60
    fresh = folds_of(model.set_params(warm_start=False, random_state=1).fit(table, y))
    assert not np.array_equal(fresh, folds)


def test_partial_fit_after_folds_trains_on_all_rows(kind):
    table, y = noisy(kind)
    for n in (80, 30):
        model = make_with_folds(kind, solver="sgd").fit(table, y)
        before = model.coefs_[0]
        model.partial_fit(table[:n], y[:n])
        assert folds_of(model) is None and model.t_ == 3 * 80 + n
        assert (model.coefs_[0] != before).any(axis=(1, 2)).all()  # of every member


def test_calls_of_partial_fit_equal_the_epochs_of_fit(kind):
    y = Y[kind]
    options = {"learning_rate": "constant", "batch_size": 16, "restore_best_weights": False}
    whole = make(kind, **options, n_iter_no_change=np.inf).fit(X, y)
    steps = make(kind, **options)
    for i in range(3):
        steps.partial_fit(X, y, **({"classes": [0, 1]} if kind == "classifier" and i == 0 else {}))
    np.testing.assert_array_equal(whole.coefs_[0], steps.coefs_[0])
    assert whole.loss_curve_ == steps.loss_curve_


def test_partial_fit_shuffles_in_each_call(kind, monkeypatch):
    orders = []
    load = LocalStep.load

    def watch(self, rows):
        orders.append(rows.tolist())
        return load(self, rows)

    monkeypatch.setattr(LocalStep, "load", watch)
    model = make(kind)
    for _ in range(4):
        model.partial_fit(X, Y[kind], **({"classes": [0, 1]} if kind == "classifier" else {}))
    assert len(orders) == 4 and all(sorted(order) == list(range(40)) for order in orders)
    assert len(set(map(tuple, orders))) == 4


def test_partial_fit_with_x_val_keeps_the_best_call(kind):
    table, y = noisy(kind)
    options = {"classes": [0, 1]} if kind == "classifier" else {}
    model = make(kind, hidden_layer_sizes=(20,), learning_rate_init=0.1, learning_rate="constant")
    predictions = []
    for i in range(12):
        model.partial_fit(table[25:], y[25:], **(options if i == 0 else {}), X_val=table[:25], y_val=y[:25])
        predictions.append(model.predict(table))
    assert len(model.validation_scores_) == len(model.loss_curve_) == 12
    assert model.best_iteration_ < 12  # otherwise the test shows nothing
    np.testing.assert_array_equal(predictions[-1], predictions[model.best_iteration_ - 1])
    unwatched = make(kind, hidden_layer_sizes=(20,), learning_rate_init=0.1, learning_rate="constant")
    for i in range(12):
        unwatched.partial_fit(table[25:], y[25:], **(options if i == 0 else {}))
    assert unwatched.loss_curve_ == model.loss_curve_  # training continued from the last weights


def test_lbfgs_has_no_partial_fit(kind):
    model = make(kind, solver="lbfgs")
    assert not hasattr(model, "partial_fit")
    with pytest.raises(AttributeError, match="partial_fit"):
        model.partial_fit(X, Y[kind])
    assert hasattr(model.set_params(solver="adam"), "partial_fit")


@pytest.mark.parametrize("epoch", [1, 3])
def test_keyboard_interrupt_leaves_a_usable_model(kind, epoch):
    calls = []

    def schedule(u):
        calls.append(u)
        if len(calls) == 3 * epoch - 1:  # in the second of the epoch's three steps
            raise KeyboardInterrupt
        return 1.0

    options = {"max_iter": 6, "batch_size": 16, "warm_start": True, "restore_best_weights": False}
    model = make(kind, **options, learning_rate=schedule)
    with pytest.warns(UserWarning, match="Training interrupted by user") as caught:
        model.fit(X, Y[kind])
    assert len(caught) == 1
    assert model.n_iter_ == len(model.loss_curve_) == epoch - 1
    assert np.isfinite(model.predict(X).astype(float)).all()
    # the weights are those of the last whole epoch, and the next call runs the epochs that are left
    whole = make(kind, **options, learning_rate=lambda u: 1.0).fit(X, Y[kind])
    model.fit(X, Y[kind])
    assert model.n_iter_ == 6 - (epoch - 1)
    assert model.loss_curve_ == whole.loss_curve_
    np.testing.assert_array_equal(model.coefs_[0], whole.coefs_[0])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_keyboard_interrupt_of_lbfgs(kind):
    calls = []

    def loss(t, z):
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return 0.5 * ((z - t) ** 2).sum(axis=1), z - t

    model = make(kind, max_iter=50, solver="lbfgs", loss=loss)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model.fit(X, Y[kind])
    assert 1 <= model.n_iter_ < 8 and np.isfinite(model.predict(X).astype(float)).all()
