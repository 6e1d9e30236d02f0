"""The network of examples/network_in_100_lines.py and the estimators take the same steps, to 1e-12."""

import warnings
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor

SCRIPT = Path(__file__).parents[2] / "examples" / "network_in_100_lines.py"
SPEC = spec_from_file_location(SCRIPT.stem, SCRIPT)
example = module_from_spec(SPEC)
SPEC.loader.exec_module(example)

LEARNING_RATE, BATCH = 0.01, 16
# one plain network in double precision that visits the rows in their order, without validation or scaling
OPTIONS = {
    "activation": "silu",
    "solver": "adam",
    "learning_rate": "constant",
    "learning_rate_init": LEARNING_RATE,
    "beta_1": 0.9,
    "beta_2": 0.95,
    "epsilon": 1e-8,
    "alpha": 0.0,
    "n_members": 1,
    "numeric_embedding": None,
    "parametrization": "standard",
    "scale_features": False,
    "dtype": "float64",
    "shuffle": False,
    "early_stopping": False,
    "n_iter_no_change": np.inf,
    "refit": 0,
    "calibrate": False,
}


def classification():
    X, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    X, y = scale(X)[order], y[order]
    return ScratchMLPClassifier, example.softmax_log_loss, X, y, np.eye(3)[y]


def regression():
    X, y = load_diabetes(return_X_y=True, scaled=False)
    X, y = scale(X)[:150], scale(y)[:150]
    return ScratchMLPRegressor, example.squared_error, X, y, y[:, None]


def pair(task, hidden, **options):
    """The estimator and the network with its optimizer, from the same initial weights, and their loss and data."""
    estimator, loss, X, y, Y = task()
    network = example.Network([X.shape[1], *hidden, Y.shape[1]], np.random.default_rng(1))
    optimizer = example.Adam(network.W + network.b, LEARNING_RATE)
    init = [W.copy() for W in network.W], [b.copy() for b in network.b]
    if estimator is ScratchMLPRegressor:
        options |= {"scale_target": False, "clip_target": False}
    model = estimator(hidden, init=init, **OPTIONS, **options)
    return model, network, optimizer, loss, X, y, Y


def assert_same_weights(model, network):
    for ours, plain in zip(
        [*model.coefs_, *model.intercepts_], [*network.W, *map(np.atleast_1d, network.b)], strict=True
    ):
        assert ours.dtype == plain.dtype == np.float64
        np.testing.assert_allclose(ours, plain, rtol=0, atol=1e-12)


@pytest.mark.parametrize("hidden", [(), (8,), (7, 5, 6)])
@pytest.mark.parametrize("task", [classification, regression])
def test_the_weights_are_the_same_after_each_step(task, hidden):
    model, network, optimizer, loss, X, y, Y = pair(task, hidden, batch_size=BATCH)
    for start in range(0, 9 * BATCH, BATCH):
        rows = slice(start, start + BATCH)
        before = [W.copy() for W in network.W]
        model.partial_fit(X[rows], y[rows], **({"classes": [0, 1, 2]} if task is classification else {}))  # one step
        _, dz = loss(network.forward(X[rows]), Y[rows])
        optimizer.step(network.backward(dz))
        assert all(abs(W - old).max() > 1e-5 for W, old in zip(network.W, before, strict=True))
        assert_same_weights(model, network)


@pytest.mark.parametrize("task", [classification, regression])
def test_weights_losses_and_outputs_are_the_same_after_epochs_of_several_steps(task):
    epochs = 5  # of nine whole batches and one of six rows
    model, network, optimizer, loss, X, y, Y = pair(task, (8, 6), batch_size=BATCH, max_iter=epochs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
    curve = example.train(network, loss, optimizer, X, Y, epochs, BATCH)
    assert optimizer.t == 10 * epochs
    assert_same_weights(model, network)
    np.testing.assert_allclose(model.loss_curve_, curve, rtol=1e-12)
    z = network.forward(X)
    if task is classification:
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(model.predict_proba(X), p, rtol=0, atol=1e-12)
    else:
        np.testing.assert_allclose(model.predict(X), z[:, 0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("loss", [example.softmax_log_loss, example.squared_error])
def test_the_gradients_are_those_of_finite_differences(loss):
    rng = np.random.default_rng(0)
    network, X, Y = example.Network([4, 5, 3], rng), rng.normal(size=(6, 4)), np.eye(3)[rng.integers(3, size=6)]
    gradients = network.backward(loss(network.forward(X), Y)[1])
    for p, g in zip(network.W + network.b, gradients, strict=True):
        direction = rng.normal(size=p.shape)
        values = []
        for h in (1e-6, -1e-6):
            p += h * direction
            values.append(loss(network.forward(X), Y)[0])
            p -= h * direction
        # central differences: truncation about h², rounding about 1e-16 / h
        assert (values[0] - values[1]) / 2e-6 == pytest.approx(np.sum(g * direction), rel=1e-7, abs=1e-8)


def test_the_script_is_short():
    assert len(SCRIPT.read_text(encoding="utf-8").splitlines()) <= 120
