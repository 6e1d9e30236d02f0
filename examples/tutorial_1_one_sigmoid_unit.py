"""Tutorial 1: one sigmoid unit, one row at a time
===============================================

One sigmoid unit that learns one row at a time, and why the table needs a hidden layer.

After Real Python's "Build a Neural Network & Make Predictions": dot products, the forward pass, a wrong step and a
right step, and 10,000 steps of online gradient descent with an error curve.

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
    first, second = forward(weights)
    print("\nForward pass, weights [1.45, -0.66]      ours       tutorial")
    print(f"  x = [1.66, 1.56], class 1           {first:.7f}  0.7985731   right")
    print(f"  x = [2, 1.5], class 0               {second:.7f}  0.8710192   wrong")

    derivative = 2 * (second - 0)  # of the squared error with respect to the prediction, not to the weights
    print("\nA wrong step: weights - derivative       ours       tutorial")
    print(f"  squared error of the second         {(second - 0) ** 2:.7f}  0.7586744")
    print(f"  its derivative 2 (p - t)            {derivative:.7f}  1.7420383")
    first, second = forward(weights - derivative)
    print(f"  prediction for the second           {second:.7f}  0.0149625   now right")
    print(f"  its squared error                   {second**2:.7f}  0.0002239")
    print(f"  prediction for the first            {first:.7f}  0.0143      now wrong")

    # chain rule: dE/dw = 2 (p - t) · p (1 - p) · x; partial_fit subtracts it times the learning rate
    model = unit(weights, 0.0).partial_fit(POINTS[1:], CLASSES[1:], classes=[0, 1])
    first, second = model.predict_proba(POINTS)[:, 1]
    print("\nA right step: chain rule and a learning rate of 0.1")
    print(f"  weights [{model.coefs_[0][0, 0]:.4f}, {model.coefs_[0][1, 0]:.4f}], bias {model.intercepts_[0][0]:.4f}")
    print(f"  predictions {first:.4f} and {second:.4f}: slightly better for the second, still right for the first")


def squared_error(model):
    """Return the sum of squared errors over all rows of the table."""
    return float(np.sum((model.predict_proba(TABLE)[:, 1] - TARGETS) ** 2))


def train(model, rng, n_steps=10_000):
    """Train on `n_steps` rows drawn with replacement; return the errors after steps 1, 101, 201, ... and the last."""
    errors = []
    rows = rng.randint(len(TABLE), size=n_steps)
    for chosen in np.split(rows, range(1, n_steps, 100)):
        model.partial_fit(TABLE[chosen], TARGETS[chosen], classes=[0, 1])  # one step per row
        errors.append(squared_error(model))
    return errors


def report(name, model, errors):
    """Print some points of the error curve."""
    right = int(np.sum(model.predict(TABLE) == TARGETS))
    curve = "  ".join(f"{100 * i + 1}: {errors[i]:.4f}" for i in (0, 1, 10, 25, 50, 75))
    print(f"  {name}\n    error after step {curve}  10000: {errors[-1]:.4f}\n    {right} of {len(TABLE)} right")


def plot(errors, path):
    """Save a plot of the error curve, if matplotlib is installed."""
    if find_spec("matplotlib") is None:
        print(f"matplotlib is not installed: no {path}")
        return
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.subplots()
    axes.plot(100 * np.arange(len(errors)), errors)
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
        model = unit(rng.normal(size=2), rng.normal())
        errors = train(model, rng)
        report(f"one unit, seed {seed}", model, errors)
        if seed == 0 and path is not None:
            plot(errors, path)

    # No straight line separates the classes. A hidden layer of 16 tanh units does, with the same learning rate.
    rng = np.random.RandomState(0)
    start = [rng.normal(size=(2, 16)), rng.normal(size=(16, 1))], [rng.normal(size=16), rng.normal(size=1)]
    model = ScratchMLPClassifier((16,), activation="tanh", init=start, learning_rate_init=LEARNING_RATE, **PLAIN)
    report("a hidden layer of 16 units, seed 0", model, train(model, rng))


if __name__ == "__main__":
    main()
