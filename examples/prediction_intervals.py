"""Prediction intervals from one fit
=================================

Prediction intervals from one fit, and how they differ from the spread of the ensemble.

One regressor predicts seven quantiles of disease progression, which bound intervals of three sizes. The out-of-fold
predictions show by how much to widen or narrow the intervals (conformalised quantile regression, Romano et al.
2019, equations 5 and 6); no rows have to be set aside for this. `predict(X, return_std=True)` measures something
else: the disagreement between the networks of one fit. It decreases with more rows, and it is not the distance of y
from the prediction.

::

    python prediction_intervals.py [intervals.png]
"""

import argparse
from importlib.util import find_spec

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import RepeatedKFold, train_test_split

from skscratch import ScratchMLPRegressor

LEVELS = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95]
INTERVALS = {0.5: (2, 4), 0.8: (1, 5), 0.9: (0, 6)}  # indices of the bounds of the central 50 %, 80 % and 90 %


def quantile_regressor():
    """Return a regressor of all quantiles; without refit, because the margin is valid for the out-of-fold networks."""
    return ScratchMLPRegressor(loss="quantile", quantile=LEVELS, refit=0, random_state=0)


def margin(model, y, size):
    """Return the margin that makes an interval of this size cover a fraction `size` of the out-of-fold rows."""
    low, high = (model.oof_predictions_[:, j] for j in INTERVALS[size])
    distance = np.maximum(low - y, y - high)  # from the interval; negative inside
    return np.quantile(distance, min(np.ceil((len(y) + 1) * size) / len(y), 1), method="higher")


def intervals(model, y, X_new, size):
    """Return lower and upper bounds for new rows: as predicted, and conformalised with the training targets."""
    low, high = (model.predict(X_new)[:, j] for j in INTERVALS[size])
    m = margin(model, y, size)
    return (low, high), (low - m, high + m)


def coverage(X, y):
    """Print coverage and width of the intervals, with each row held out three times."""
    folds = RepeatedKFold(n_splits=5, n_repeats=3, random_state=0)
    inside, width = {size: [] for size in INTERVALS}, {size: [] for size in INTERVALS}
    for train, test in folds.split(X):
        model = quantile_regressor().fit(X.iloc[train], y[train])
        for size in INTERVALS:
            for low, high in intervals(model, y[train], X.iloc[test], size):
                inside[size].append((low <= y[test]) & (y[test] <= high))
                width[size].append(high - low)
    print(f"Intervals for {len(y)} patients, each held out three times; one fit with seven quantiles per fold\n")
    print("               as predicted          conformalised")
    print("  nominal   coverage     width   coverage     width   standard error of the coverage")
    for size in INTERVALS:
        raw, conformal = (np.concatenate(inside[size][i::2]).mean() for i in (0, 1))
        wide, wider = (np.concatenate(width[size][i::2]).mean() for i in (0, 1))
        error = (size * (1 - size) / len(y)) ** 0.5  # binomial; three repetitions on the same rows count as one
        print(f"  {size:7.0%}{raw:11.1%}{wide:10.1f}{conformal:11.1%}{wider:10.1f}{error:11.1%}")


def disagreement(X, y, X_new, y_new):
    """Print the spread and the error for increasing numbers of rows; return the predictions of the last fit."""
    print("\nSpread of the networks, predict(X, return_std=True), on 100 held-out patients")
    print("  training rows   mean std   RMSE   y within ± 1.645 std")
    for n in (40, 80, 160, len(y)):
        model = ScratchMLPRegressor(random_state=0).fit(X.iloc[:n], y[:n])
        mean, std = model.predict(X_new, return_std=True)
        error = np.abs(y_new - mean)
        print(f"  {n:13}{std.mean():11.1f}{np.mean(error**2) ** 0.5:7.1f}{np.mean(error <= 1.645 * std):12.0%}")
    print("  With more rows the networks agree better, but the noise in y stays. Only the quantiles measure it.")
    return mean, std


def panel(axes, y, prediction, bands, title):
    """Plot bands (label, colour, lower, upper), widest first, and the targets, sorted by prediction."""
    order, x = np.argsort(prediction), np.arange(len(y))
    for label, colour, low, high in bands:
        axes.fill_between(x, low[order], high[order], step="mid", color=colour, linewidth=0, label=label)
    label, _, low, high = bands[0]
    inside = ((low <= y) & (y <= high))[order]
    axes.plot(x, prediction[order], color="black", linewidth=0.8, label="prediction")
    axes.plot(x[inside], y[order][inside], "o", color="black", markersize=3, label="y")
    axes.plot(x[~inside], y[order][~inside], "o", color="#d62728", markersize=3, label=f"y outside the {label}")
    axes.set(title=title, xlabel="held-out patients, sorted by prediction", ylim=(0, 420))
    axes.legend(loc="upper left", fontsize="small", ncols=2)


def plot(X, y, X_new, y_new, mean, std, path):
    """Save plots of the prediction intervals and of the spread of the networks."""
    if find_spec("matplotlib") is None:
        print(f"matplotlib is not installed: no {path}")
        return
    from matplotlib.figure import Figure

    model, bands = quantile_regressor().fit(X, y), []
    for size, colour in ((0.9, "#c6dbef"), (0.5, "#6baed6")):
        _, bounds = intervals(model, y, X_new, size)
        bands.append((f"{size:.0%} interval", colour, *bounds))
    spread = [("spread", "#fdae6b", mean - 1.645 * std, mean + 1.645 * std)]
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    panel(left, y_new, model.predict(X_new)[:, LEVELS.index(0.5)], bands, "Quantiles: intervals for y")
    panel(right, y_new, mean, spread, "mean ± 1.645 std: disagreement of the networks")
    left.set_ylabel("disease progression")
    figure.savefig(path, format="png", dpi=120)
    print(f"\nsaved {path}")


def main():
    """Measure the coverage of the intervals, and show how the spread of the networks differs."""
    parser = argparse.ArgumentParser(description="Prediction intervals on scikit-learn's diabetes table.")
    parser.add_argument("png", nargs="?", help="where to save the intervals")
    path = parser.parse_args().png

    X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    X, y = X.astype({"sex": "category"}), y.to_numpy()
    coverage(X, y)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=100, random_state=0)
    mean, std = disagreement(X_train, y_train, X_test, y_test)
    if path is not None:
        plot(X_train, y_train, X_test, y_test, mean, std, path)


if __name__ == "__main__":
    main()
