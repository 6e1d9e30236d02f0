"""Calibration curves on a mixed table
===================================

Calibration curves on a table with categories and missing values.

If a classifier is calibrated, eight of ten passengers with a predicted probability of 0.8 survive. A single network
that is trained for all its epochs is overconfident. `CalibratedClassifierCV` corrects this at the cost of five more
fits. The default estimator needs no correction: the mean of five networks is less confident than each of them, and
a temperature is fitted to out-of-fold predictions.

::

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
    """Return mean prediction, fraction of survivors and number of passengers in each non-empty bin of probability."""
    bins = np.minimum((p * BINS).astype(int), BINS - 1)
    return np.array([(p[bins == b].mean(), survived[bins == b].mean(), np.sum(bins == b)) for b in np.unique(bins)])


def plot(survived, predictions, path):
    """Save the calibration curves, with histograms of the predicted probabilities below them."""
    if find_spec("matplotlib") is None:
        print(f"matplotlib is not installed: no {path}")
        return
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 7), layout="constrained")
    curves, counts = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    for name, p in predictions.items():
        CalibrationDisplay.from_predictions(survived, p, n_bins=BINS, name=name, ax=curves)
        counts.hist(p, np.linspace(0, 1, 21), histtype="step", linewidth=1.5)
    curves.set(xlabel=None, ylabel="fraction that survived", title=f"{len(survived)} held-out passengers")
    counts.set(xlabel="predicted probability of survival", ylabel="passengers")
    figure.savefig(path, format="png", dpi=110)
    print(f"\nsaved {path}")


def main():
    """Compare predicted probabilities with observed frequencies on held-out rows."""
    parser = argparse.ArgumentParser(description="Calibration on a table with categories.")
    parser.add_argument("png", nargs="?", help="where to save the picture")
    path = parser.parse_args().png

    X, y = passengers(6000)
    X_train, y_train, X_test, survived = X[:1500], y[:1500], X[1500:], (y[1500:] == "yes").to_numpy()
    single = ScratchMLPClassifier(n_members=1, random_state=0)
    models = {
        "ScratchMLPClassifier()": ScratchMLPClassifier(random_state=0),
        "n_members=1": single,
        "n_members=1 in CalibratedClassifierCV": CalibratedClassifierCV(single, cv=5),
    }
    predictions = {name: model.fit(X_train, y_train).predict_proba(X_test)[:, 1] for name, model in models.items()}

    print(f"{len(X_train)} training passengers, {len(X_test)} held out")
    print("distance: mean absolute difference between predicted probability and observed fraction\n")
    print(f"{'':<39}{'distance':>8}{'log loss':>10}{'Brier':>8}")
    for name, p in predictions.items():
        mean, fraction, count = reliability(survived, p).T
        distance = np.average(np.abs(mean - fraction), weights=count)
        print(f"{name:<39}{distance:8.3f}{log_loss(survived, p):10.3f}{brier_score_loss(survived, p):8.3f}")
    print("\nScratchMLPClassifier()\n  predicted   survived   passengers")
    for mean, fraction, count in reliability(survived, predictions["ScratchMLPClassifier()"]):
        print(f"  {mean:9.2f}{fraction:11.2f}{count:13.0f}")
    if path is not None:
        plot(survived, predictions, path)


if __name__ == "__main__":
    main()
