"""Are the probabilities to be believed? Calibration curves on a table with categories and missing values.

Of all passengers who are given a chance of 0.8, eight in ten should survive. A lone network that trains to the end is
far too sure of itself; `CalibratedClassifierCV` helps, with five more fits. The untouched estimator needs no help: the
mean of five networks is less sure than each, and a temperature is fitted to rows that its networks have not seen.

    python calibration.py [calibration.png]
"""

import argparse
from importlib.util import find_spec

import numpy as np
from mixed_table_with_missing_values import passengers
from sklearn.calibration import CalibratedClassifierCV, CalibrationDisplay
from sklearn.metrics import brier_score_loss, log_loss

from skscratch import ScratchMLPClassifier

BINS = 10


def reliability(survived, p):
    """Mean prediction, share of survivors and number of passengers in each tenth of the scale that has any."""
    bins = np.minimum((p * BINS).astype(int), BINS - 1)
    return np.array([(p[bins == b].mean(), survived[bins == b].mean(), np.sum(bins == b)) for b in np.unique(bins)])


def plot(survived, predictions, path):
    """Save the curves, and below each how often which probability is given."""
    if find_spec("matplotlib") is None:
        print(f"matplotlib is not installed: no {path}")
        return
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 7), layout="constrained")
    curves, counts = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    for name, p in predictions.items():
        CalibrationDisplay.from_predictions(survived, p, n_bins=BINS, name=name, ax=curves)
        counts.hist(p, np.linspace(0, 1, 21), histtype="step", linewidth=1.5)
    curves.set(xlabel=None, ylabel="share that survived", title=f"{len(survived)} passengers held out")
    counts.set(xlabel="predicted probability of survival", ylabel="passengers")
    figure.savefig(path, format="png", dpi=110)
    print(f"\nsaved {path}")


def main():
    """Hold out many rows, and compare what was predicted with what came."""
    parser = argparse.ArgumentParser(description="Calibration on a table with categories.")
    parser.add_argument("png", nargs="?", help="where to save the picture")
    path = parser.parse_args().png

    X, y = passengers(6000)
    X_train, y_train, X_test, survived = X[:1500], y[:1500], X[1500:], (y[1500:] == "yes").to_numpy()
    lone = ScratchMLPClassifier(n_members=1, random_state=0)
    models = {
        "ScratchMLPClassifier()": ScratchMLPClassifier(random_state=0),
        "n_members=1": lone,
        "n_members=1 in CalibratedClassifierCV": CalibratedClassifierCV(lone, cv=5),
    }
    predictions = {name: model.fit(X_train, y_train).predict_proba(X_test)[:, 1] for name, model in models.items()}

    print(
        f"{len(X_train)} passengers fitted, {len(X_test)} held out; distance: mean gap between prediction and share\n"
    )
    print(f"{'':<39}{'distance':>8}{'log loss':>10}{'Brier':>8}")
    for name, p in predictions.items():
        mean, share, count = reliability(survived, p).T
        distance = np.average(np.abs(mean - share), weights=count)
        print(f"{name:<39}{distance:8.3f}{log_loss(survived, p):10.3f}{brier_score_loss(survived, p):8.3f}")
    print("\nScratchMLPClassifier()\n  predicted   survived   passengers")
    for mean, share, count in reliability(survived, predictions["ScratchMLPClassifier()"]):
        print(f"  {mean:9.2f}{share:11.2f}{count:13.0f}")
    if path is not None:
        plot(survived, predictions, path)


if __name__ == "__main__":
    main()
