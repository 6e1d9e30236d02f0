"""from_sklearn: the training and the model of scikit-learn's MLPs, without their faults, each of which is shown."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris, make_multilabel_classification
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import has_fit_parameter

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from tests.helpers.plain import plain

pytestmark = [
    # the tests compare a few epochs, after which neither side has converged
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    # scikit-learn warns about a batch size above the number of rows; here batch_size is a maximum
    pytest.mark.filterwarnings("ignore:Got `batch_size` less than 1 or larger:UserWarning"),
]

RNG = np.random.RandomState(0)
X_DIABETES, _y = load_diabetes(return_X_y=True)
X_DIABETES, _y = 20 * X_DIABETES[:150], (_y[:150] - _y.mean()) / _y.std()
X_IRIS, Y_IRIS = load_iris(return_X_y=True)
X_LABELS, Y_LABELS = make_multilabel_classification(90, 8, random_state=0)
TASKS = {
    "regression": (MLPRegressor, ScratchMLPRegressor, X_DIABETES, _y, {}),
    "binary": (MLPClassifier, ScratchMLPClassifier, X_IRIS[40:120], Y_IRIS[40:120].clip(0, 1), {}),
    "multiclass": (MLPClassifier, ScratchMLPClassifier, X_IRIS, Y_IRIS, {}),
    "multilabel": (MLPClassifier, ScratchMLPClassifier, X_LABELS, Y_LABELS, {}),
}
if "loss" in MLPRegressor().get_params():  # from scikit-learn 1.7 on
    TASKS["poisson"] = (MLPRegressor, ScratchMLPRegressor, X_DIABETES, np.exp(_y), {"loss": "poisson"})
THEIRS_TAKES_WEIGHTS = has_fit_parameter(MLPRegressor(), "sample_weight")  # from scikit-learn 1.7 on
ALL = 10**6  # a batch size that makes the whole table one batch


def make(task, **parameters):
    """Return scikit-learn's estimator, unfitted, our class, X and y."""
    theirs, ours, X, y, options = TASKS[task]
    return theirs(**{"random_state": 3, "n_iter_no_change": 1000, **options, **parameters}), ours, X, y


def fit_both(task, *weight, **parameters):
    mlp, cls, X, y = make(task, **parameters)
    ours = cls.from_sklearn(clone(mlp)).fit(X, y, *weight)
    return mlp.fit(X, y, *weight), ours


def assert_same_weights(ours, theirs, atol):
    for a, b in zip([*ours.coefs_, *ours.intercepts_], [*theirs.coefs_, *theirs.intercepts_], strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)


# ---------------------------------------------------------------- unfitted: the same training


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize(
    "solver",
    [
        {"solver": "sgd", "momentum": 0.0},
        {"solver": "sgd", "momentum": 0.9, "nesterovs_momentum": False, "shuffle": False},
        {"solver": "sgd", "momentum": 0.9},
        {"solver": "adam"},
        {"solver": "adam", "shuffle": False},
    ],
    ids=["sgd", "momentum", "nesterov", "adam", "adam-in-order"],
)
@pytest.mark.parametrize("penalty", [{"alpha": 0, "batch_size": 32}, {"alpha": 0.05, "batch_size": ALL}])
def test_same_loss_curve_and_weights(task, activation, solver, penalty):
    # alpha only with full batches: scikit-learn's penalty depends on the batch size, see below
    theirs, ours = fit_both(task, activation=activation, hidden_layer_sizes=(7, 4), max_iter=8, **solver, **penalty)
    assert len(ours.loss_curve_) == 8
    # the operations are the same up to rounding; differences are about 1e-15
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=0, atol=1e-9)
    assert_same_weights(ours, theirs, 1e-9)
    assert (ours.n_iter_, ours.t_) == (theirs.n_iter_, theirs.t_)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("alpha", [0, 0.05])
def test_same_lbfgs(task, activation, alpha):
    # few iterations: each line search amplifies rounding, and with ReLU, whose loss has kinks, two runs diverge after
    # some dozens of them; scikit-learn keeps no loss curve for lbfgs, so that only the end is compared
    theirs, ours = fit_both(
        task, solver="lbfgs", activation=activation, alpha=alpha, hidden_layer_sizes=(7, 4), max_iter=6
    )
    assert ours.loss_ == pytest.approx(theirs.loss_, abs=1e-9)
    assert_same_weights(ours, theirs, 1e-7)
    assert ours.n_iter_ == theirs.n_iter_ == len(ours.loss_curve_)


@pytest.mark.parametrize("task", ["regression", "multiclass"])
@pytest.mark.parametrize("power_t", [0.5, 0.2])
def test_same_invscaling(task, power_t):
    theirs, ours = fit_both(
        task, solver="sgd", learning_rate="invscaling", learning_rate_init=0.05, power_t=power_t, alpha=0,
        batch_size=32, max_iter=12,
    )  # fmt: skip
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=0, atol=1e-9)
    constant = fit_both(task, solver="sgd", learning_rate_init=0.05, alpha=0, batch_size=32, max_iter=12)[1]
    assert abs(ours.loss_ - constant.loss_) > 1e-3  # the schedule matters


@pytest.mark.parametrize("task", ["regression", "multiclass"])
def test_same_adaptive_once_the_patience_is_counted_alike(task):
    parameters = {
        "solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.1, "alpha": 0, "batch_size": 32,
        "max_iter": 60, "tol": 1e-2,
    }  # fmt: skip
    mlp, cls, X, y = make(task, **parameters, n_iter_no_change=2)
    ours = cls.from_sklearn(clone(mlp)).set_params(n_iter_no_change=3).fit(X, y)  # scikit-learn waits one epoch more
    mlp.fit(X, y)
    np.testing.assert_allclose(ours.loss_curve_, mlp.loss_curve_, rtol=0, atol=1e-9)
    assert ours.history_["learning_rate"][-1] <= 0.1 / 25  # it was divided by 5, more than once


if THEIRS_TAKES_WEIGHTS:

    @pytest.mark.parametrize("task", TASKS)
    @pytest.mark.parametrize("batch", [{"batch_size": 32, "alpha": 0}, {"batch_size": ALL, "alpha": 0.05}])
    def test_same_weights_from_weighted_rows(task, batch):
        weight = RNG.randint(1, 4, len(TASKS[task][2])).astype(float)
        theirs, ours = fit_both(task, weight, max_iter=6, **batch)
        assert_same_weights(ours, theirs, 1e-9)
        if batch["batch_size"] == ALL:  # for mini-batches scikit-learn averages by row count, see below
            np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=0, atol=1e-9)


@pytest.mark.parametrize("task", ["regression", "binary", "multiclass"])
def test_same_early_stopping_on_the_same_rows(task):
    mlp, cls, X, y = make(task, early_stopping=True, shuffle=False, alpha=0, max_iter=40, n_iter_no_change=2)
    mlp.set_params(learning_rate_init=0.05, batch_size=16, tol=0.02)
    ours = cls.from_sklearn(clone(mlp)).set_params(n_iter_no_change=3)  # scikit-learn waits one epoch more
    mlp.fit(X, y)
    drawn = np.random.RandomState(3)  # scikit-learn splits the rows after drawing the weights
    drawn.uniform(size=sum(w.size for w in [*mlp.coefs_, *mlp.intercepts_]))
    strata = y if task in ("binary",) else None  # it stratifies if there is one output
    X_train, X_val, y_train, y_val = train_test_split(X, y, test_size=0.1, random_state=drawn, stratify=strata)
    ours.fit(X_train, y_train, X_val=X_val, y_val=y_val)
    np.testing.assert_allclose(ours.loss_curve_, mlp.loss_curve_, rtol=0, atol=1e-9)
    np.testing.assert_allclose(ours.validation_scores_, mlp.validation_scores_, rtol=0, atol=1e-9)
    assert ours.n_iter_ < 40 and ours.best_validation_score_ == pytest.approx(mlp.best_validation_score_)
    assert_same_weights(ours, mlp, 1e-9)  # both restore the weights of the best epoch


def test_parameters_are_taken_over():
    mlp = MLPClassifier((5, 3), activation="tanh", solver="sgd", learning_rate="adaptive", tol=0.3, power_t=0.7)
    ours = ScratchMLPClassifier.from_sklearn(mlp)
    for name, value in mlp.get_params().items():
        assert getattr(ours, name) == (200 if name == "batch_size" else value), name  # the meaning of "auto" there
    assert ScratchMLPClassifier.from_sklearn(MLPClassifier(batch_size=7)).batch_size == 7
    # everything that scikit-learn's network does not do is off
    assert not ours.scale_features and ours.categorical_features is None and ours.numeric_embedding is None
    assert ours.n_members == 1 and not ours.calibrate and ours.early_stopping is False
    assert (ours.init, ours.parametrization, ours.weight_decay) == ("glorot_uniform", "standard", 0.0)
    regressor = ScratchMLPRegressor.from_sklearn(MLPRegressor())
    assert not regressor.scale_target and not regressor.clip_target
    # scikit-learn uses the schedule with SGD only
    assert ScratchMLPClassifier.from_sklearn(MLPClassifier(learning_rate="adaptive")).learning_rate == "constant"


def test_the_given_estimator_is_left_as_it_is():
    mlp, cls, X, y = make("multiclass", max_iter=3)
    mlp.fit(X, y)
    before = pickle.dumps(mlp)
    cls.from_sklearn(mlp).set_params(warm_start=True).fit(X, y)
    assert pickle.dumps(mlp) == before


@pytest.mark.parametrize(
    ("cls", "wrong"),
    [
        (ScratchMLPClassifier, MLPRegressor()),
        (ScratchMLPRegressor, MLPClassifier()),
        (ScratchMLPRegressor, ScratchMLPRegressor()),
        (ScratchMLPRegressor, MLPRegressor),
        (ScratchMLPRegressor, None),
    ],
)
def test_another_kind_is_refused(cls, wrong):
    with pytest.raises(TypeError, match=rf"{cls.__name__}\.from_sklearn takes .* MLP(Classifier|Regressor)"):
        cls.from_sklearn(wrong)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("fitted", [False, True])
def test_converted_has_no_folds_and_no_temperature(task, fitted):
    mlp, cls, X, y = make(task, max_iter=3, early_stopping=True)
    ours = cls.from_sklearn(mlp.fit(X, y)) if fitted else cls.from_sklearn(mlp).fit(X, y)
    assert ours.oof_predictions_ is None and ours.oof_score_ is None and ours.temperature_ == 1


# ---------------------------------------------------------------- fitted: the same model

FITTED = {
    **{name: (name, {}) for name in TASKS},
    "early stopping": ("multiclass", {"early_stopping": True}),
    "early stopping of a regression": ("regression", {"early_stopping": True}),
    "lbfgs": ("multiclass", {"solver": "lbfgs"}),
    "sgd, two layers": ("binary", {"solver": "sgd", "hidden_layer_sizes": (5, 4), "activation": "logistic"}),
    "an int for one layer": ("binary", {"hidden_layer_sizes": 6}),
}


def assert_same_model(ours, theirs, X, atol):
    for name in ("n_layers_", "n_outputs_", "n_features_in_", "out_activation_", "n_iter_", "t_", "loss_"):
        assert getattr(ours, name) == getattr(theirs, name), name
    for name in ("best_loss_", "loss_curve_", "validation_scores_", "best_validation_score_"):
        if hasattr(theirs, name):  # scikit-learn has none of them with lbfgs
            assert getattr(ours, name) == getattr(theirs, name), name
    for a, b in zip([*ours.coefs_, *ours.intercepts_], [*theirs.coefs_, *theirs.intercepts_], strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype
    assert hasattr(ours, "feature_names_in_") == hasattr(theirs, "feature_names_in_")
    predicted = ours.predict(X)
    if hasattr(theirs, "classes_"):
        np.testing.assert_array_equal(ours.classes_, theirs.classes_)
        np.testing.assert_array_equal(predicted, theirs.predict(X))
        np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=0, atol=atol)
    else:
        np.testing.assert_allclose(predicted, theirs.predict(X), rtol=atol, atol=atol)
    assert predicted.dtype == (theirs.classes_ if hasattr(theirs, "classes_") else np.zeros(0)).dtype


@pytest.mark.parametrize("task, parameters", FITTED.values(), ids=FITTED)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_fitted_is_the_same_model(task, parameters, dtype):
    mlp, cls, X, y = make(task, max_iter=5, **parameters)
    X = X.astype(dtype)
    mlp.fit(X, y)
    # both compute the same products, in chunks of different sizes
    assert_same_model(cls.from_sklearn(mlp), mlp, X, 1e-12 if mlp.coefs_[0].dtype == np.float64 else 1e-5)


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_fitted_regression_of_several_outputs(n_outputs):
    y = RNG.randn(len(X_DIABETES), n_outputs)
    mlp = MLPRegressor(max_iter=4, random_state=0).fit(X_DIABETES, y if n_outputs > 1 else y[:, 0])
    ours = ScratchMLPRegressor.from_sklearn(mlp)
    assert_same_model(ours, mlp, X_DIABETES, 1e-12)
    assert ours.predict(X_DIABETES).shape == mlp.predict(X_DIABETES).shape


def test_fitted_with_names_of_features_and_string_classes():
    X, y = load_iris(return_X_y=True, as_frame=True)
    names = np.array(["setosa", "versicolor", "virginica"], dtype=object)[y]
    mlp = MLPClassifier(max_iter=4, random_state=0).fit(X, names)
    ours = ScratchMLPClassifier.from_sklearn(mlp)
    assert_same_model(ours, mlp, X, 1e-12)
    assert ours.feature_names_in_.tolist() == X.columns.tolist()
    with pytest.raises(ValueError, match="feature names"):
        ours.predict(X.iloc[:, ::-1])


@pytest.mark.parametrize("task", TASKS)
def test_a_converted_model_continues_with_warm_start_as_scikit_learn_does(task):
    mlp, cls, X, y = make(task, max_iter=4, warm_start=True, alpha=0, batch_size=32)
    ours = cls.from_sklearn(mlp.fit(X, y))
    theirs = mlp.fit(X, y)  # it restarts Adam and the random numbers, as a converted model has to
    np.testing.assert_allclose(ours.fit(X, y).loss_curve_, theirs.loss_curve_, rtol=0, atol=1e-9)
    assert len(ours.loss_curve_) == 8 and ours.n_iter_ == theirs.n_iter_ == 4
    assert_same_weights(ours, theirs, 1e-9)


@pytest.mark.parametrize("task", TASKS)
def test_a_converted_model_continues_with_partial_fit(task):
    # without momentum, the weights are the whole state
    mlp, cls, X, y = make(task, max_iter=4, solver="sgd", momentum=0, alpha=0, batch_size=32)
    ours = cls.from_sklearn(mlp.fit(X, y)).partial_fit(X, y)
    theirs = mlp.partial_fit(X, y)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=0, atol=1e-9)
    assert_same_weights(ours, theirs, 1e-9)
    assert ours.t_ == theirs.t_ == 5 * len(X)


def test_converted_can_be_pickled_and_cloned():
    mlp, cls, X, y = make("multiclass", max_iter=4)
    ours = cls.from_sklearn(mlp.fit(X, y))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(ours)).predict_proba(X), ours.predict_proba(X))
    assert not hasattr(clone(ours), "coefs_") and clone(ours).init == "glorot_uniform"


# ---------------------------------------------------------------- faults of scikit-learn, absent here


def motionless(task, **parameters):
    """Return both estimators with a learning rate so small that their losses are those of the initial weights."""
    mlp, cls, X, y = make(task, solver="sgd", learning_rate_init=1e-14, momentum=0, max_iter=1, **parameters)
    return mlp, cls.from_sklearn(clone(mlp)), X, y


@pytest.mark.parametrize("task", ["regression", "multiclass"])
def test_penalty_does_not_depend_on_batch_size(task):
    penalties = {"theirs": [], "ours": []}
    for batch_size in (ALL, 10):
        for kind in (0, 1):
            loss = []
            for alpha in (0, 10.0):
                both = motionless(task, alpha=alpha, batch_size=batch_size)
                X, y = both[2][:100], both[3][:100]  # 10 batches of 10
                loss.append(both[kind].fit(X, y).loss_)
            penalties["ours" if kind else "theirs"].append(loss[1] - loss[0])
    squares = sum(float(np.sum(w**2)) for w in both[1].coefs_)
    # ½ alpha |W|² / n for any batch size; scikit-learn divides by the rows of the batch
    np.testing.assert_allclose(penalties["ours"], 0.5 * 10 * squares / 100, rtol=1e-9)
    np.testing.assert_allclose(penalties["theirs"], [0.5 * 10 * squares / 100, 0.5 * 10 * squares / 10], rtol=1e-9)


@pytest.mark.parametrize("task", ["regression", "multiclass"])
@pytest.mark.parametrize("batch_size", [10, 50, 100])
def test_shrinkage_by_the_penalty_does_not_depend_on_batch_size(task, batch_size):
    rate, alpha = 1e-7, 10.0
    mlp, cls, X, y = make(task, solver="sgd", momentum=0, learning_rate_init=rate, max_iter=1, batch_size=batch_size)
    X, y = X[:100], y[:100]

    def shrinkage(model):
        """Return the decrease of the weights by the penalty in one epoch, over weights and learning rate."""
        without, with_it = (clone(model).set_params(alpha=a).fit(X, y).coefs_[0] for a in (0, alpha))
        return np.sum((without - with_it) * without) / rate / np.sum(without**2)

    steps = 100 // batch_size
    # each step subtracts the gradient of ½ alpha |W|² / n; the weights change by the order of the learning rate
    assert shrinkage(cls.from_sklearn(clone(mlp))) == pytest.approx(steps * alpha / 100, rel=1e-5)
    assert shrinkage(mlp) == pytest.approx(steps * alpha / batch_size, rel=1e-5)


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_gradient_of_several_outputs_is_that_of_the_loss(n_outputs):
    X, y = X_DIABETES, RNG.randn(len(X_DIABETES), n_outputs)
    y = y if n_outputs > 1 else y[:, 0]
    rate = 1e-6
    mlp = MLPRegressor(
        hidden_layer_sizes=6, activation="tanh", solver="sgd", momentum=0, learning_rate_init=rate, batch_size=150,
        alpha=0, random_state=0, max_iter=1,
    )  # fmt: skip
    mlp.partial_fit(X, y)
    start = [w.copy() for w in [*mlp.coefs_, *mlp.intercepts_]]

    def their_step(weights):
        new = copy.deepcopy(mlp)
        for place, value in zip([*new.coefs_, *new.intercepts_], weights, strict=True):
            place[...] = value
        new.partial_fit(X, y)
        return new.loss_curve_[-1], [*new.coefs_, *new.intercepts_]

    def our_step(weights):
        new = ScratchMLPRegressor.from_sklearn(clone(mlp)).set_params(init=(weights[:2], weights[2:])).fit(X, y)
        return new.loss_, [*new.coefs_, *new.intercepts_]

    for step, factor in ((their_step, n_outputs), (our_step, 1)):
        loss, after = step(start)
        gradient = [(a - b) / rate for a, b in zip(start, after, strict=True)]
        square = sum(float(np.sum(g**2)) for g in gradient)
        h = 1e-4
        up, down = (step([w + s * h * g for w, g in zip(start, gradient, strict=True)])[0] for s in (1, -1))
        # along its own gradient g a loss rises with slope |g|²; the errors are h² and rounding / learning rate
        assert (up - down) / (2 * h) * factor == pytest.approx(square, rel=1e-5)
        if step is their_step:
            their_loss, their_after = loss, after
    assert loss == pytest.approx(
        n_outputs * their_loss, rel=1e-12
    )  # ours is the sum over outputs, which matches the gradient
    for a, b in zip(after, their_after, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("patience", [1, 4])
def test_patience_is_the_number_of_epochs_without_improvement(patience, early_stopping):
    parameters = {"tol": 1e9, "n_iter_no_change": patience, "max_iter": 50, "early_stopping": early_stopping}
    theirs, ours = fit_both(
        "regression", **parameters
    )  # only the first epoch, compared with infinity, improves by so much
    assert ours.n_iter_ == 1 + patience
    assert theirs.n_iter_ == 1 + patience + 1


def test_epoch_loss_is_averaged_by_weight():
    mlp, ours, X, y = motionless("regression", alpha=0, batch_size=50)
    weight = np.repeat([1.0, 10, 100], 50)
    unit = [clone(ours).fit(X, y, weight * (weight == w)).loss_ for w in (1, 10, 100)]
    order = np.random.RandomState(3)
    order.uniform(size=X.shape[1] * 100 + 100 + 100 + 1)
    batches = weight[order.permutation(150)].reshape(3, 50).sum(axis=1)
    assert np.ptp(batches) > 100  # otherwise the two averages would be nearly equal
    assert ours.fit(X, y, weight).loss_ == pytest.approx(np.average(unit, weights=[1, 10, 100]), rel=1e-9)
    if THEIRS_TAKES_WEIGHTS:
        assert abs(mlp.fit(X, y, weight).loss_ - ours.loss_) > 1e-3


def test_a_batch_of_weight_zero_is_accepted():
    mlp, cls, X, y = make("regression", batch_size=10, max_iter=2, shuffle=False, alpha=0)
    weight = np.r_[np.ones(100), np.zeros(50)]
    if THEIRS_TAKES_WEIGHTS:
        with pytest.raises(ZeroDivisionError):
            mlp.fit(X, y, weight)
    ours = cls.from_sklearn(clone(mlp)).fit(X, y, weight)
    absent = cls.from_sklearn(clone(mlp)).fit(X[:100], y[:100])
    np.testing.assert_array_equal(ours.predict(X), absent.predict(X))


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
def test_log_probabilities_are_finite(task):
    mlp, cls, X, y = make(task, max_iter=3)
    mlp.fit(X, y)
    mlp.coefs_[-1] *= 1e5
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        assert np.isneginf(mlp.predict_log_proba(X)).any()
    log_p = cls.from_sklearn(mlp).predict_log_proba(X)
    assert np.isfinite(log_p).all() and log_p.min() < -1000


def test_early_stopping_where_a_class_has_one_row():
    X, y = X_IRIS[:51], Y_IRIS[:51]
    mlp = MLPClassifier(early_stopping=True, max_iter=3, random_state=0)
    with pytest.raises(ValueError, match="least populated class"):
        mlp.fit(X, y)
    ours = ScratchMLPClassifier.from_sklearn(clone(mlp)).fit(X, y)
    assert ours.classes_.tolist() == [0, 1] and len(ours.validation_scores_) == ours.n_iter_


def test_partial_fit_can_be_validated():
    mlp, cls, X, y = make("multiclass", early_stopping=True)
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping"):
        mlp.partial_fit(X, y, classes=[0, 1, 2])
    ours = cls.from_sklearn(clone(mlp))
    for _ in range(3):
        ours.partial_fit(X, y, classes=[0, 1, 2], X_val=X[::5], y_val=y[::5])
    assert len(ours.validation_scores_) == 3


def test_lbfgs_keeps_float32():
    mlp, cls, X, y = make("regression", solver="lbfgs", max_iter=3)
    X = X.astype(np.float32)
    ours = cls.from_sklearn(clone(mlp)).set_params(dtype="float32").fit(X, y)
    assert ours.coefs_[0].dtype == np.float32
    assert mlp.fit(X, y).coefs_[0].dtype == np.float64


def test_lbfgs_has_no_partial_fit():
    assert hasattr(MLPRegressor(solver="lbfgs"), "partial_fit")  # it fails only when it is called
    assert not hasattr(ScratchMLPRegressor(solver="lbfgs"), "partial_fit")
    assert not hasattr(ScratchMLPClassifier(solver="lbfgs"), "partial_fit")


def test_warm_start_keeps_adam():
    mlp, cls, X, y = make("regression", max_iter=3, warm_start=True, alpha=0, shuffle=False, batch_size=32)
    whole = clone(mlp).set_params(max_iter=6).fit(X, y)
    theirs, ours = clone(mlp).fit(X, y).fit(X, y), cls.from_sklearn(mlp).fit(X, y).fit(X, y)
    assert abs(theirs.loss_ - whole.loss_) > 1e-4
    np.testing.assert_allclose(ours.loss_curve_, whole.loss_curve_, rtol=0, atol=1e-9)


def test_partial_fit_shuffles_anew_each_time():
    mlp, cls, X, y = make("regression", solver="sgd", momentum=0, learning_rate_init=0.05, batch_size=1, alpha=0)
    mlp.partial_fit(X, y)
    start = [w.copy() for w in [*mlp.coefs_, *mlp.intercepts_]]
    results = []
    for _ in range(2):  # the second and third calls start from the same weights
        for place, value in zip([*mlp.coefs_, *mlp.intercepts_], start, strict=True):
            place[...] = value
        results.append([w.copy() for w in mlp.partial_fit(X, y).coefs_])
    np.testing.assert_array_equal(results[0][0], results[1][0])

    seen = []

    def record(t, z):
        seen.append(float(t[0, 0]))
        return np.zeros(len(t)), np.zeros_like(z)

    ours = plain(ScratchMLPRegressor, loss=record, batch_size=1, scale_target=False, random_state=3)
    for _ in range(4):
        ours.partial_fit(X[:20], np.arange(20.0))
    orders = np.reshape(seen, (4, 20))
    assert len(np.unique(orders, axis=0)) == 4
    assert (np.sort(orders, axis=1) == np.arange(20)).all()


def test_the_best_weights_are_restored_without_early_stopping():
    mlp, cls, X, y = make("regression", max_iter=15, learning_rate_init=0.05, batch_size=10, alpha=0)
    ours = cls.from_sklearn(clone(mlp)).set_params(restore_best_weights=True).fit(X, y)
    theirs = mlp.fit(X, y)
    assert theirs.loss_ > 1.2 * theirs.best_loss_  # the learning rate is too high, and the last epoch is not the best
    assert ours.best_iteration_ == 1 + int(np.argmin(theirs.loss_curve_))
    upto = clone(mlp).set_params(max_iter=ours.best_iteration_).fit(X, y)
    assert_same_weights(ours, upto, 1e-9)
    assert np.abs(ours.predict(X) - theirs.predict(X)).max() > 1e-2


def test_relu_has_its_own_bound_of_initial_weights():
    X, y = RNG.randn(50, 30), RNG.randn(50)
    parameters = {"hidden_layer_sizes": (40,), "solver": "sgd", "learning_rate_init": 1e-12, "max_iter": 1}
    theirs = MLPRegressor(**parameters, random_state=0).fit(X, y)
    ours = plain(ScratchMLPRegressor, **parameters, random_state=0).fit(X, y)
    # the largest of 1200 uniform draws lies within 1 % of the bound
    assert np.abs(theirs.coefs_[0]).max() == pytest.approx((6 / 70) ** 0.5, rel=0.01)
    assert np.abs(ours.coefs_[0]).max() == pytest.approx((6 / 30) ** 0.5, rel=0.01)


def test_unscaled_target_is_learned():
    X, y = load_diabetes(return_X_y=True)
    X, y = StandardScaler().fit_transform(X), 1e6 + 1e4 * y
    assert MLPRegressor(max_iter=20, random_state=0).fit(X, y).score(X, y) < -10
    assert ScratchMLPRegressor(max_iter=20, random_state=0).fit(X, y).score(X, y) > 0.4


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_a_pickle_is_hardly_larger_than_the_weights(solver):
    X, y = X_DIABETES, TASKS["regression"][3]
    parameters = {"hidden_layer_sizes": (200, 200), "max_iter": 2, "random_state": 0, "solver": solver}
    theirs = MLPRegressor(**parameters).fit(X, y)
    ours = plain(ScratchMLPRegressor, **parameters, dtype="float64").fit(X, y)
    size = sum(w.nbytes for w in [*theirs.coefs_, *theirs.intercepts_])
    assert len(pickle.dumps(theirs)) > 1.9 * size
    assert len(pickle.dumps(ours)) < 1.05 * size
