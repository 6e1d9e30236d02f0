"""Blend a network with boosted trees
==================================

A weighted average of this network and of HistGradientBoosting, with the weight from out-of-fold predictions.

A network is smooth, boosted trees have steps, and so their errors differ. The weighted average ::

    prediction = w · network + (1 - w) · trees

can have a lower loss than both. The weight has to be found on predictions of rows that the models were not fitted to:
on their own rows both look too good, the trees most of all. The network has such predictions after its fit, in
`oof_predictions_`. For the trees `cross_val_predict` makes them, by five more fits; the folds of the two need not be
the same. The loss is a convex function of w, so that one search along a line finds its minimum.

A blend is worth its cost where each model sees what the other one misses, as on the table "tariff", which has jumps
and curves. On the other four tables most of the weight goes to the network, and the blend gains nothing or loses a
little. Out of fold a row is predicted by a single member of the network, and later by the average of all, which is
better; the weight of the network is therefore rather too low.

::

    python blend_with_boosted_trees.py [blend.png]
"""

import argparse
import time
from importlib.util import find_spec

import numpy as np
import pandas as pd
from mixed_table_with_missing_values import passengers
from scipy.optimize import minimize_scalar
from sklearn.base import is_classifier
from sklearn.datasets import load_breast_cancer, load_diabetes, make_friedman1
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.model_selection import ShuffleSplit, cross_val_predict
from threadpoolctl import threadpool_limits

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor

SPLITS = ShuffleSplit(3, test_size=0.3, random_state=0)
WEIGHTS = np.linspace(0, 1, 41)  # of the curves in the picture


def tariff(n=1000, seed=0):
    """Generate a table whose target jumps at limits of single columns, as tariffs do, and follows curves of others."""
    rng = np.random.RandomState(seed)
    X = rng.uniform(size=(n, 6))
    jumps = 2.0 * (X[:, 0] > 0.35) * (X[:, 1] > 0.5) - 1.5 * (X[:, 2] > 0.8) + (X[:, 3] > 0.15)
    curves = 1.5 * np.sin(6 * X[:, 4]) * X[:, 5]
    return X, jumps + curves + rng.normal(0, 0.3, n)


def tables():
    """Return five tables: name → (X, y, whether y is a class)."""
    return {
        "diabetes": (*load_diabetes(return_X_y=True, as_frame=True, scaled=False), False),
        "breast cancer": (*load_breast_cancer(return_X_y=True, as_frame=True), True),
        "passengers": (*passengers(1500), True),
        "friedman1": (*make_friedman1(800, noise=1.0, random_state=0), False),
        "tariff": (*tariff(), False),
    }


def for_trees(X):
    """Return the table in the types that HistGradientBoosting reads: text becomes categories, booleans 0 and 1."""
    if not isinstance(X, pd.DataFrame):
        return X
    words = [name for name, dtype in X.dtypes.items() if not pd.api.types.is_numeric_dtype(dtype)]
    booleans = [name for name, dtype in X.dtypes.items() if pd.api.types.is_bool_dtype(dtype)]
    return X.astype({**dict.fromkeys(words, "category"), **dict.fromkeys(booleans, "Float64")})


def models(classes):
    """Return the network and the trees, both with their default settings."""
    network = ScratchMLPClassifier if classes else ScratchMLPRegressor
    trees = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    return network(random_state=0), trees(categorical_features="from_dtype", random_state=0)


def predict(model, X):
    """Return probabilities of a classifier, numbers of a regressor."""
    return model.predict_proba(X) if is_classifier(model) else model.predict(X)


def fit(X, y, classes):
    """Fit both models; return them, their out-of-fold predictions and the seconds that each took."""
    network, trees = models(classes)
    start = time.perf_counter()
    network.fit(X, y)
    fitted = time.perf_counter()
    method = "predict_proba" if classes else "predict"
    held_out = cross_val_predict(trees, for_trees(X), y, cv=5, method=method)
    trees.fit(for_trees(X), y)
    seconds = fitted - start, time.perf_counter() - fitted
    return network, trees, (network.oof_predictions_, held_out), seconds


def blended(w, predictions):
    """Return the weighted average of the two predictions."""
    return w * predictions[0] + (1 - w) * predictions[1]


def loss_of(y, classes):
    """Return the loss as a function of predictions: log loss of classes, mean squared error of numbers."""
    return lambda p: log_loss(y, p) if classes else mean_squared_error(y, p)


def best_weight(predictions, loss):
    """Return the weight of the network with the lowest loss."""
    return minimize_scalar(lambda w: loss(blended(w, predictions)), bounds=(0, 1), method="bounded").x


def compare(X, y, classes):
    """Return means over the splits: the losses of four predictors, the weight, seconds, and the curves over w."""
    losses, weights, seconds, curves = [], [], [], []
    for train, test in SPLITS.split(X):
        X_train, X_test = (X.iloc[rows] if isinstance(X, pd.DataFrame) else X[rows] for rows in (train, test))
        y_train, y_test = np.asarray(y)[train], np.asarray(y)[test]
        network, trees, held_out, taken = fit(X_train, y_train, classes)
        out_of_fold, loss = loss_of(y_train, classes), loss_of(y_test, classes)
        w = best_weight(held_out, out_of_fold)
        new = predict(network, X_test), predict(trees, for_trees(X_test))
        losses.append([loss(blended(share, new)) for share in (1, 0, 0.5, w)])
        weights.append(w)
        seconds.append(taken)
        curves.append([[f(blended(w, p)) for w in WEIGHTS] for f, p in ((out_of_fold, held_out), (loss, new))])
    return np.mean(losses, axis=0), np.mean(weights), np.mean(seconds, axis=0), np.mean(curves, axis=0)


def plot(curves, weights, path):
    """Save the loss over the weight, out of fold and on held-out rows, for each table."""
    if find_spec("matplotlib") is None:
        print(f"matplotlib is not installed: no {path}")
        return
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 2.8), layout="constrained")
    panels = figure.subplots(1, len(curves))
    for axes, (name, (out_of_fold, new)) in zip(panels, curves.items(), strict=True):
        axes.plot(WEIGHTS, out_of_fold, color="#0072b2", label="out of fold")
        axes.plot(WEIGHTS, new, color="#d55e00", linestyle="--", label="held-out rows")
        axes.axvline(weights[name], color="#777777", linewidth=0.8)
        axes.set(title=name, xlabel="weight of the network")
    panels[0].set_ylabel("loss")
    panels[0].legend(fontsize="small", frameon=False)
    figure.savefig(path, format="png", dpi=110)
    print(f"\nsaved {path}")


def main():
    """Blend on five tables, and print what it gains and costs."""
    parser = argparse.ArgumentParser(description="Blend a network with boosted trees on five tables.")
    parser.add_argument("png", nargs="?", help="where to save the picture")
    path = parser.parse_args().png

    print("Loss on held-out rows, mean of three splits: log loss of classes, mean squared error of numbers\n")
    heads = ["rows", "network", "trees", "half each", "blend", "weight", "gain", "cost"]
    print("{:<15}{:>5}{:>10}{:>10}{:>11}{:>10}{:>8}{:>7}{:>9}".format("", *heads))
    gains, curves, weights = [], {}, {}
    for name, (X, y, classes) in tables().items():
        with threadpool_limits(1):  # one thread for each, so that their times compare
            (network, trees, half, blend), weights[name], (s, t), curves[name] = compare(X, y, classes)
        gains.append(blend / min(network, trees))
        line = f"{name:<15}{len(X):5}{network:10.4g}{trees:10.4g}{half:11.4g}{blend:10.4g}{weights[name]:8.2f}"
        print(f"{line}{1 - gains[-1]:7.1%}{(s + t) / s:7.1f} ×")
    print("\nweight: of the network, with the lowest out-of-fold loss")
    print("gain: how much lower the loss of the blend is than that of the better one of the two")
    print("cost: time of all fits, in fits of the network; a prediction needs both models")
    mean = np.prod(gains) ** (1 / len(gains))
    print(f"Over the five tables, the mean gain is {1 - mean:.1%} (geometric mean of the losses).")
    if path is not None:
        plot(curves, weights, path)


if __name__ == "__main__":
    main()
