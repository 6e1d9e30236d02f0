"""Tutorial 1: one sigmoid unit, one row at a time
===============================================

One sigmoid unit that learns one row at a time, and why the table needs a hidden layer.

The numbers are those of `Python AI: How to Build a Neural Network & Make Predictions
<https://realpython.com/python-ai-neural-network/>`_ (Real Python). The unit predicts p for a row x, and a step moves
weights and bias against the derivative of the squared error, by the chain rule::

    z = x · w + b        p = σ(z) = 1 / (1 + exp(-z))        E = (p - t)²

    dE/dz = 2 (p - t) · p (1 - p)        dE/dw = dE/dz · x        dE/db = dE/dz

    w ← w - 0.1 dE/dw        b ← b - 0.1 dE/db

The script computes each number first by this arithmetic, in a few lines of NumPy, then with the estimator, and prints
both beside the figure of the tutorial. At the end, 10,000 steps on one row each give the tutorial's picture, the error
of all rows over the steps, and a hidden layer learns the table that one unit cannot. The chapter :doc:`One neuron
</under_the_hood/one_neuron>` of the course derives the formulas.

::

    python tutorial_1_one_sigmoid_unit.py [curve.png]
"""

import argparse
from importlib.util import find_spec

import numpy as np

from skscratch import ScratchMLPClassifier

# Plain gradient descent on the squared error, without the features that the tutorial does not have.
PLAIN = {
    "n_members": 1,
    "parametrization": "standard",  # the same learning rate in every layer
    "loss": "squared_error",
    "solver": "sgd",
    "momentum": 0,
    "nesterovs_momentum": False,
    "learning_rate": "constant",
    "batch_size": 1,  # one step per row, in the given order
    "shuffle": False,
    "alpha": 0,
    "weight_decay": 0,
    "scale_features": False,
    "dtype": "float64",
    "n_iter_no_change": np.inf,
    "restore_best_weights": False,
}
# The tutorial's error is (p - t)², ours is ½ (p - t)². Twice its learning rate of 0.1 therefore gives the same step.
LEARNING_RATE = 2 * 0.1

POINTS, CLASSES = np.array([[1.66, 1.56], [2, 1.5]]), np.array([1, 0])

TABLE = np.array([[3, 1.5], [2, 1], [4, 1.5], [3, 4], [3.5, 0.5], [2, 0.5], [5.5, 1], [1, 1]])
TARGETS = np.array([0, 1, 0, 1, 0, 1, 1, 0])


def sigmoid(z):
    """Logistic function."""
    return 1 / (1 + np.exp(-z))


def gradient(x, t, weights, bias):
    """Return dE/dw and dE/db of one row, by the chain rule."""
    p = sigmoid(x @ weights + bias)
    dz = 2 * (p - t) * p * (1 - p)
    return dz * x, dz


def train_by_hand(weights, bias, rows):
    """Return the errors after steps 1, 101, 201, ... and the last, by the arithmetic."""
    errors = []
    for step, row in enumerate(rows, 1):
        dw, db = gradient(TABLE[row], TARGETS[row], weights, bias)
        weights, bias = weights - 0.1 * dw, bias - 0.1 * db
        if step % 100 == 1 or step == len(rows):
            errors.append(np.sum((sigmoid(TABLE @ weights + bias) - TARGETS) ** 2))
    return errors


def unit(weights, bias, **settings):
    """Return one sigmoid unit (two inputs, no hidden layer) with the given initial weights and bias."""
    start = ([np.reshape(weights, (2, 1))], [np.reshape(bias, 1)])
    return ScratchMLPClassifier((), init=start, learning_rate_init=LEARNING_RATE, **{**PLAIN, **settings})


def forward(weights, bias=0.0):
    """Return the probability of class 1 at both points; a learning rate of 0 keeps the weights."""
    model = unit(weights, bias, learning_rate=lambda progress: 0.0, max_iter=1)
    return model.fit(POINTS, CLASSES).predict_proba(POINTS)[:, 1]


def dot_products():
    """Show which of two weight vectors is more similar to the input."""
    x = np.array([1.72, 1.23])
    print("Dot products                            ours       tutorial")
    print(f"  [1.72, 1.23] · [1.26, 0]            {x @ [1.26, 0]:.4f}     2.1672")
    print(f"  [1.72, 1.23] · [2.17, 0.32]         {x @ [2.17, 0.32]:.4f}     4.1259")


def one_step():
    """Print a forward pass, a step without the chain rule, and a step with it."""
    weights = np.array([1.45, -0.66])
    by_hand = sigmoid(POINTS @ weights)
    first, second = forward(weights)
    print("\nForward pass, weights [1.45, -0.66]     by hand    estimator   tutorial")
    print(f"  x = [1.66, 1.56], class 1           {by_hand[0]:.7f}  {first:.7f}  0.7985731   right")
    print(f"  x = [2, 1.5], class 0               {by_hand[1]:.7f}  {second:.7f}  0.8710192   wrong")

    derivative = 2 * (by_hand[1] - 0)  # of the squared error with respect to the prediction, not to the weights
    print("\nA wrong step: weights - derivative      by hand    estimator   tutorial")
    print(f"  squared error of the second         {by_hand[1] ** 2:.7f}  {second**2:.7f}  0.7586744")
    print(f"  its derivative 2 (p - t)            {derivative:.7f}  {2 * second:.7f}  1.7420383")
    by_hand = sigmoid(POINTS @ (weights - derivative))
    first, second = forward(weights - derivative)
    print(f"  prediction for the second           {by_hand[1]:.7f}  {second:.7f}  0.0149625   now right")
    print(f"  its squared error                   {by_hand[1] ** 2:.7f}  {second**2:.7f}  0.0002239")
    print(f"  prediction for the first            {by_hand[0]:.7f}  {first:.7f}  0.0143      now wrong")

    dw, db = gradient(POINTS[1], CLASSES[1], weights, 0.0)
    by_hand = [*(weights - 0.1 * dw), -0.1 * db, *sigmoid(POINTS @ (weights - 0.1 * dw) - 0.1 * db)]
    model = unit(weights, 0.0).partial_fit(POINTS[1:], CLASSES[1:], classes=[0, 1])  # one step
    estimator = [*model.coefs_[0][:, 0], model.intercepts_[0][0], *model.predict_proba(POINTS)[:, 1]]
    print("\nA right step: w - 0.1 dE/dw             by hand    estimator")
    names = ["first weight", "second weight", "bias", "prediction for the first", "prediction for the second"]
    notes = ["", "", "", "   still right", "   slightly better"]
    for name, ours, theirs, note in zip(names, by_hand, estimator, notes, strict=True):
        print(f"  {name:<35}{ours:10.7f} {theirs:10.7f}{note}")


def squared_error(model):
    """Return the sum of squared errors over all rows of the table."""
    return float(np.sum((model.predict_proba(TABLE)[:, 1] - TARGETS) ** 2))


def train(model, rows):
    """Train on one row at a time; return the errors after steps 1, 101, 201, ... and the last."""
    errors = []
    for chosen in np.split(rows, range(1, len(rows), 100)):
        model.partial_fit(TABLE[chosen], TARGETS[chosen], classes=[0, 1])  # one step per row
        errors.append(squared_error(model))
    return errors


def report(name, model, errors):
    """Print some points of the error curve."""
    right = int(np.sum(model.predict(TABLE) == TARGETS))
    curve = "  ".join(f"{100 * i + 1}: {errors[i]:.4f}" for i in (0, 1, 10, 25, 50, 75))
    print(f"  {name}\n    error after step {curve}  10000: {errors[-1]:.4f}\n    {right} of {len(TABLE)} right")


def plot(by_hand, errors, path):
    """Save a plot of both error curves, if matplotlib is installed."""
    if find_spec("matplotlib") is None:
        print(f"matplotlib is not installed: no {path}")
        return
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.subplots()
    axes.plot(100 * np.arange(len(errors)), by_hand, color="#a6cbe3", linewidth=5, label="by hand")
    axes.plot(100 * np.arange(len(errors)), errors, color="#0072b2", linewidth=1, label="estimator")
    axes.legend(frameon=False)
    axes.set(xlabel="Iterations", ylabel="Error for all training instances")
    figure.savefig(path, format="png")
    print(f"saved {path}")


def main():
    """Run the tutorial."""
    parser = argparse.ArgumentParser(description="One sigmoid unit, trained one row at a time.")
    parser.add_argument("png", nargs="?", help="where to save the error curve")
    path = parser.parse_args().png

    dot_products()
    one_step()

    print("\n10,000 steps on rows drawn with replacement: sum of squared errors over the 8 rows")
    print("  (tutorial's arithmetic with three seeds: from 3.3 ... 3.9 to 1.9 ... 2.2, noisy; 4 or 5 of 8 right)")
    for seed in (0, 1, 2):
        rng = np.random.RandomState(seed)
        weights, bias = rng.normal(size=2), rng.normal()
        rows = rng.randint(len(TABLE), size=10_000)
        by_hand = train_by_hand(weights, bias, rows)
        model = unit(weights, bias)
        errors = train(model, rows)
        report(f"one unit, seed {seed}", model, errors)
        print(f"    equal to those by hand within {np.abs(np.subtract(errors, by_hand)).max():.0e}")
        if seed == 0 and path is not None:
            plot(by_hand, errors, path)

    # No straight line separates the classes. A hidden layer of 16 tanh units does, with the same learning rate.
    rng = np.random.RandomState(0)
    start = [rng.normal(size=(2, 16)), rng.normal(size=(16, 1))], [rng.normal(size=16), rng.normal(size=1)]
    model = ScratchMLPClassifier((16,), activation="tanh", init=start, learning_rate_init=LEARNING_RATE, **PLAIN)
    rows = rng.randint(len(TABLE), size=10_000)
    report("a hidden layer of 16 units, seed 0", model, train(model, rows))


if __name__ == "__main__":
    main()
