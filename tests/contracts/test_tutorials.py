"""The networks of four tutorials: the weights after every step equal those of the arithmetic written out."""

from functools import cache

import numpy as np
import pytest
from scipy.special import logit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor

# Both sides compute the same sums, in another order; the rounding of a step is about 1e-16.
SAME = {"rtol": 0, "atol": 1e-12}

PLAIN = {
    "n_members": 1,
    "parametrization": "standard",
    "early_stopping": False,
    "numeric_embedding": None,
    "solver": "sgd",
    "momentum": 0,
    "nesterovs_momentum": False,
    "learning_rate": "constant",
    "alpha": 0,
    "weight_decay": 0,
    "shuffle": False,
    "scale_features": False,
    "dtype": "float64",
    "n_iter_no_change": np.inf,
    "restore_best_weights": False,
}

T1_X = np.array([[3, 1.5], [2, 1], [4, 1.5], [3, 4], [3.5, 0.5], [2, 0.5], [5.5, 1], [1, 1]])
T1_Y = np.array([0, 1, 0, 1, 0, 1, 1, 0])
T2_X = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0], [1, 1, 0], [1, 1, 1]], dtype=float)
T2_Y = np.array([1, 0, 0, 1, 1])
T4_HOURS = np.array([[2, 9], [1, 5], [3, 6]], dtype=float)
T4_X, T4_Y = T4_HOURS / [3, 9], np.array([0.92, 0.86, 0.89])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def classifier(**settings):
    return ScratchMLPClassifier(loss="squared_error", **{**PLAIN, **settings})


def regressor(**settings):
    own = {"out_activation": "logistic", "scale_target": False, "clip_target": False}
    return ScratchMLPRegressor(**{**own, **PLAIN, **settings})


def motionless(coefs, **settings):
    """Return a network without biases that training leaves as it is, because the schedule is zero."""
    still = {"learning_rate": lambda progress: 0.0, "max_iter": 1, "fit_intercept": False, "hidden_layer_sizes": ()}
    return regressor(init=(coefs, []), **{**still, **settings})


def partial_fit(model, X, y):
    """Call partial_fit, with the classes for a classifier."""
    return model.partial_fit(X, y, **({"classes": [0, 1]} if isinstance(model, ScratchMLPClassifier) else {}))


def probabilities(model, X):
    return model.predict_proba(X)[:, 1] if isinstance(model, ScratchMLPClassifier) else model.predict(X)


def assert_same_weights(model, coefs, intercepts=None):
    zeros = [np.zeros_like(b) for b in model.intercepts_]
    for ours, theirs in zip(model.coefs_ + model.intercepts_, coefs + (intercepts or zeros), strict=True):
        np.testing.assert_allclose(ours, theirs, **SAME)


both = pytest.mark.parametrize("make", [classifier, regressor])

# ------------------------------------------------------------------ T1 and T3: one sigmoid unit, row by row


@cache
def t1_by_hand(seed, n_steps):
    """Return start, rows, weights and bias after every step, and the error over all rows at step 1, 101, 201, ..."""
    draw = np.random.RandomState(seed)
    w, b = draw.normal(size=2), draw.normal()
    rows = draw.randint(len(T1_X), size=n_steps)
    start, weights, biases, errors = (w, b), [], [], []
    for step, row in enumerate(rows):
        x, t = T1_X[row], T1_Y[row]
        p = sigmoid(x[0] * w[0] + x[1] * w[1] + b)
        derivative = 2 * (p - t) * p * (1 - p)
        w, b = w - 0.1 * derivative * x, b - 0.1 * derivative
        weights.append(w)
        biases.append(b)
        if step % 100 == 0:
            errors.append(sum((sigmoid(x @ w + b) - t) ** 2 for x, t in zip(T1_X, T1_Y, strict=True)))
    return start, rows, weights, biases, errors


def t1_unit(make, start, **settings):
    # (p - t)² has twice the gradient of ½ (p - t)²: the learning rate 0.1 of the tutorial is 0.2 here
    init = [start[0][:, None]], [np.array([start[1]])]
    return make(hidden_layer_sizes=(), init=init, batch_size=1, learning_rate_init=0.2, **settings)


@both
@pytest.mark.slow
def test_t1_every_step_through_partial_fit(make):
    start, rows, weights, biases, _ = t1_by_hand(seed=0, n_steps=300)
    model = t1_unit(make, start)
    for row, w, b in zip(rows, weights, biases, strict=True):
        partial_fit(model, T1_X[[row]], T1_Y[[row]])
        assert_same_weights(model, [w[:, None]], [[b]])


@both
def test_t1_every_step_through_fit(make):
    start, rows, weights, biases, _ = t1_by_hand(seed=1, n_steps=60)
    first = next(k for k in range(60) if T1_Y[rows[k]] != T1_Y[rows[0]])  # fit requires both classes
    for k in range(first + 1, 61):
        model = t1_unit(make, start, max_iter=1).fit(T1_X[rows[:k]], T1_Y[rows[:k]])
        assert_same_weights(model, [weights[k - 1][:, None]], [[biases[k - 1]]])


@both
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.slow
def test_t1_error_curve_of_10000_steps(make, seed):
    start, rows, weights, biases, errors = t1_by_hand(seed, n_steps=10_000)
    model, curve = t1_unit(make, start), []
    for chosen in np.split(rows, range(1, 10_000, 100)):
        partial_fit(model, T1_X[chosen], T1_Y[chosen])
        curve.append(np.sum((probabilities(model, T1_X) - T1_Y) ** 2))
    assert_same_weights(model, [weights[-1][:, None]], [[biases[-1]]])
    np.testing.assert_allclose(curve[:-1], errors, rtol=1e-12)
    # recomputed figures: 3.3 to 3.9 at first, later between 1.9 and 2.2, and 4 or 5 of 8 right
    assert 3.3 < curve[0] < 3.95
    assert 1.9 < np.median(curve[50:]) < 2.2 and 1.85 < min(curve) < 1.9 and np.ptp(curve[50:]) > 0.2
    assert np.sum((probabilities(model, T1_X) > 0.5) == T1_Y) in (4, 5)


def t1_motionless(make, weights):
    """Return the unit with these weights and bias 0, fitted with a schedule of zero."""
    model = t1_unit(make, (np.asarray(weights), 0.0), learning_rate=lambda progress: 0.0, max_iter=1)
    return model.fit([[1.66, 1.56], [2, 1.5]], [1, 0])


@both
def test_t1_and_t3_forward_pass(make):
    model = t1_motionless(make, [1.45, -0.66])
    assert_same_weights(model, [[[1.45], [-0.66]]], [[0]])
    # the tutorial prints seven and eight places
    np.testing.assert_allclose(
        probabilities(model, [[1.66, 1.56], [2, 1.5]]), [0.7985731, 0.87101915], rtol=0, atol=5e-8
    )
    np.testing.assert_allclose(
        probabilities(model, [[1.66, 1.56], [2, 1.5]]),
        [sigmoid(1.66 * 1.45 - 1.56 * 0.66), sigmoid(2 * 1.45 - 1.5 * 0.66)],
        **SAME,
    )


def test_t1_and_t3_classes_and_weighted_sums():
    model = t1_motionless(classifier, [1.45, -0.66])
    np.testing.assert_array_equal(model.predict([[1.66, 1.56], [2, 1.5]]), [1, 1])
    np.testing.assert_allclose(model.decision_function([[1.66, 1.56], [2, 1.5]]), [1.3774, 1.91], **SAME)


@both
def test_t1_wrong_step(make):
    p = probabilities(t1_motionless(make, [1.45, -0.66]), [[2, 1.5]])[0]
    assert p**2 == pytest.approx(0.75867436, abs=5e-9)
    assert 2 * p == pytest.approx(1.7420383, abs=5e-8)
    first, second = probabilities(t1_motionless(make, np.array([1.45, -0.66]) - 2 * p), [[1.66, 1.56], [2, 1.5]])
    assert second == pytest.approx(0.01496248, abs=5e-9)
    assert second**2 == pytest.approx(0.00022388, abs=5e-9)
    assert first == pytest.approx(0.0143, abs=5e-5)


def test_t1_dot_products_are_a_linear_network():
    unit = motionless([[[1.72], [1.23]]], out_activation="identity").fit([[1.26, 0], [2.17, 0.32]], [0, 0])
    np.testing.assert_allclose(unit.predict([[1.26, 0], [2.17, 0.32]]), [2.1672, 4.1260], rtol=0, atol=5e-5)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.slow
def test_t1_a_hidden_layer_separates_the_table(seed):
    draw = np.random.RandomState(seed)
    W1, b1, W2, b2 = draw.normal(size=(2, 16)), draw.normal(size=16), draw.normal(size=(16, 1)), draw.normal(size=1)
    model = classifier(
        hidden_layer_sizes=(16,), activation="tanh", init=([W1, W2], [b1, b2]), batch_size=1, learning_rate_init=0.2
    )
    rows = draw.randint(len(T1_X), size=10_000)
    for row in rows[:200]:  # every step, with the chain rule for the hidden layer
        x, t = T1_X[[row]], T1_Y[row]
        h = np.tanh(x @ W1 + b1)
        p = sigmoid(h @ W2 + b2)
        delta = 2 * (p - t) * p * (1 - p)
        back = delta @ W2.T * (1 - h**2)
        W1, b1, W2, b2 = W1 - 0.1 * x.T @ back, b1 - 0.1 * back[0], W2 - 0.1 * h.T @ delta, b2 - 0.1 * delta[0]
        partial_fit(model, x, T1_Y[[row]])
        assert_same_weights(model, [W1, W2], [b1, b2])
    partial_fit(model, T1_X[rows[200:]], T1_Y[rows[200:]])
    assert model.score(T1_X, T1_Y) == 1
    assert np.sum((probabilities(model, T1_X) - T1_Y) ** 2) < 0.05


# ------------------------------------------------------------------ T2: a perceptron, all rows at once


@cache
def t2_by_hand(seed, n_epochs):
    """Return the start, and the weights and the bias after every epoch."""
    draw = np.random.RandomState(seed)
    w, b = draw.rand(3, 1), draw.rand(1)
    start, weights, biases = (w, b), [], []
    for _ in range(n_epochs):
        p = sigmoid(T2_X @ w + b)
        delta = (p - T2_Y[:, None]) * p * (1 - p)
        w = w - 0.05 * T2_X.T @ delta
        for row in delta:
            b = b - 0.05 * row
        weights.append(w)
        biases.append(b)
    return start, weights, biases


def t2_unit(make, start, **settings):
    # the tutorial sums over the 5 rows, the estimators take the mean: its learning rate 0.05 is 0.25 here
    return make(
        hidden_layer_sizes=(), init=([start[0]], [start[1]]), batch_size=5, learning_rate_init=5 * 0.05, **settings
    )


@both
@pytest.mark.slow
def test_t2_every_step_through_partial_fit(make):
    start, weights, biases = t2_by_hand(seed=42, n_epochs=20_000)
    model = t2_unit(make, start)
    for w, b in zip(weights[:300], biases[:300], strict=True):
        partial_fit(model, T2_X, T2_Y)
        assert_same_weights(model, [w], [b])


@both
@pytest.mark.slow
def test_t2_every_step_through_fit(make):
    start, weights, biases = t2_by_hand(seed=42, n_epochs=20_000)
    for k in range(1, 61):
        model = t2_unit(make, start, max_iter=k).fit(T2_X, T2_Y)
        assert_same_weights(model, [weights[k - 1]], [biases[k - 1]])
        assert model.n_iter_ == k


@both
@pytest.mark.slow
def test_t2_20000_epochs(make):
    start, weights, biases = t2_by_hand(seed=42, n_epochs=20_000)
    model = t2_unit(make, start, max_iter=20_000).fit(T2_X, T2_Y)
    assert_same_weights(model, [weights[-1]], [biases[-1]])
    # recomputed figures, to the given number of places
    np.testing.assert_allclose(model.coefs_[0][:, 0], [-0.29, 7.52, -0.47], rtol=0, atol=0.005)
    assert model.intercepts_[0][0] == pytest.approx(-3.14, abs=0.005)
    np.testing.assert_allclose(probabilities(model, [[1, 0, 0], [0, 1, 0]]), [0.0313, 0.9876], rtol=0, atol=0.0001)


def test_t2_verdicts():
    start, _, _ = t2_by_hand(seed=42, n_epochs=20_000)
    model = t2_unit(classifier, start, max_iter=2000).fit(T2_X, T2_Y)
    np.testing.assert_array_equal(model.predict([[1, 0, 0], [0, 1, 0]]), [0, 1])
    np.testing.assert_array_equal(model.predict(T2_X), T2_Y)


# ------------------------------------------------------------------ T4: 2-3-1, no biases, all rows at once


def t4_start(seed):
    draw = np.random.RandomState(seed)
    return draw.normal(size=(2, 3)), draw.normal(size=(3, 1))


def t4_epoch(W1, W2):
    """Return the outputs before an epoch of the tutorial, and the weights after it."""
    h = sigmoid(T4_X @ W1)
    o = sigmoid(h @ W2)
    delta = (T4_Y[:, None] - o) * o * (1 - o)
    hidden_delta = delta @ W2.T * h * (1 - h)
    return o[:, 0], W1 + T4_X.T @ hidden_delta, W2 + h.T @ delta


def t4_net(seed, **settings):
    # the tutorial sums over the 3 rows, the estimators take the mean: its learning rate 1 is 3 here
    return regressor(
        hidden_layer_sizes=(3,),
        activation="logistic",
        fit_intercept=False,
        init=(t4_start(seed), []),
        batch_size=3,
        learning_rate_init=3,
        **settings,
    )


@pytest.mark.slow
def test_t4_every_step_of_1000_through_partial_fit():
    W1, W2 = t4_start(seed=0)
    model = t4_net(seed=0)
    for _ in range(1000):
        outputs, W1, W2 = t4_epoch(W1, W2)
        model.partial_fit(T4_X, T4_Y)
        assert_same_weights(model, [W1, W2])
        # the loss of an epoch is that before its step: half the mean squared error
        assert model.loss_ == pytest.approx(np.mean((outputs - T4_Y) ** 2) / 2, rel=1e-10)


def test_t4_every_step_through_fit():
    W1, W2 = t4_start(seed=1)
    for k in range(1, 61):
        _, W1, W2 = t4_epoch(W1, W2)
        assert_same_weights(t4_net(seed=1, max_iter=k).fit(T4_X, T4_Y), [W1, W2])


def test_t4_every_step_through_warm_starts():
    W1, W2 = t4_start(seed=2)
    model = t4_net(seed=2, max_iter=1, warm_start=True)
    for _ in range(60):
        _, W1, W2 = t4_epoch(W1, W2)
        assert_same_weights(model.fit(T4_X, T4_Y), [W1, W2])


def test_t4_1000_epochs_and_more_in_one_fit():
    W1, W2 = t4_start(seed=0)
    for _ in range(5000):
        _, W1, W2 = t4_epoch(W1, W2)
    assert_same_weights(t4_net(seed=0, max_iter=5000).fit(T4_X, T4_Y), [W1, W2])


@pytest.mark.slow
def test_t4_100000_epochs_and_a_prediction():
    seeds = (0, 1, 2)  # three members: their weights have a leading axis
    start = [np.stack(layer) for layer in zip(*map(t4_start, seeds), strict=True)]
    network = t4_net(seed=0, n_members=3, max_iter=100_000).set_params(init=(start, []))
    model = make_pipeline(MaxAbsScaler(), network).fit(T4_HOURS, T4_Y)
    np.testing.assert_allclose(model[0].transform([[4, 8]]), [[4 / 3, 8 / 9]], rtol=1e-15)
    trap, right = np.array([[0.5, 1.0]]), np.array([[4 / 3, 8 / 9]])

    losses, of_trap, of_right = [], [], []
    for W1, W2 in zip(*network.coefs_, strict=True):
        outputs = sigmoid(sigmoid(T4_X @ W1) @ W2)[:, 0]
        np.testing.assert_allclose(outputs, [0.92, 0.86, 0.89], rtol=0, atol=5e-7)
        losses.append(np.mean((outputs - T4_Y) ** 2))
        of_trap.append(sigmoid(sigmoid(trap @ W1) @ W2)[0, 0])
        of_right.append(sigmoid(sigmoid(right @ W1) @ W2)[0, 0])
    # recomputed figures: 2.59e-14, 3.53e-14 and 2.1e-20; the last is near the limit of double precision
    assert 2e-14 < losses[0] < 3e-14 and 3e-14 < losses[1] < 4e-14 and losses[2] < 1e-19
    # first scaled by its own maximum, as in the tutorial: 0.9175 to 0.9184; then scaled as the training rows
    np.testing.assert_allclose(of_trap, [0.91840, 0.91754, 0.91827], rtol=0, atol=5e-6)
    np.testing.assert_allclose(of_right, [0.91287, 0.90939, 0.91435], rtol=0, atol=5e-6)
    # together the members predict the sigmoid of their mean weighted sum
    np.testing.assert_allclose(network.predict(trap), sigmoid(np.mean(logit(of_trap))), rtol=1e-12)
    np.testing.assert_allclose(model.predict([[4, 8]]), sigmoid(np.mean(logit(of_right))), rtol=1e-12)


def test_t4_worked_forward_pass():
    hidden = [[[0.2, 0.6, 0.1], [0.8, 0.3, 0.7]]]  # the hidden layer alone is a network with three outputs
    for out_activation, expected in (("identity", [7.6, 3.9, 6.5]), ("logistic", [0.9994998, 0.9801597, 0.9984988])):
        model = motionless(hidden, out_activation=out_activation).fit([[2, 9]], [[0.5, 0.5, 0.5]])
        np.testing.assert_allclose(
            model.predict([[2, 9]]), [expected], rtol=0, atol=5e-8
        )  # the tutorial prints seven places
    output = motionless([[[1.0]]]).fit([[1.79832]], [0.5]).predict([[1.79832]])[0]
    assert output == pytest.approx(0.8579443067, abs=5e-11)


def test_t4_weights_saved_as_text_come_back_the_same(tmp_path):
    model = t4_net(seed=0, max_iter=1000).fit(T4_X, T4_Y)
    for i, weights in enumerate(model.coefs_):
        np.savetxt(tmp_path / f"w{i}.txt", weights, fmt="%s")
    saved = [np.loadtxt(tmp_path / f"w{i}.txt", ndmin=2) for i in range(2)]
    again = motionless(saved, hidden_layer_sizes=(3,), activation="logistic").fit(T4_X, T4_Y)
    np.testing.assert_array_equal(again.predict(T4_X), model.predict(T4_X))
