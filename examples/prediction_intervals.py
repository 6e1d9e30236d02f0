"""Prediction intervals from one fit, held to their word on rows not seen; and what the spread of the networks is.

One regressor predicts seven quantiles of disease progression, which bound intervals of three sizes. Its out-of-fold
predictions then say by how much to widen or narrow them (conformalised quantile regression, Romano et al. 2019, eq. 5
and 6), without a row set aside for it. `predict(X, return_std=True)` answers another question: how far the networks
of one fit disagree, which more rows would settle, and which is not how far y lies from the prediction.

    python prediction_intervals.py [intervals.png]
"""

import argparse
from importlib.util import find_spec

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import RepeatedKFold, train_test_split

from skscratch import ScratchMLPRegressor

LEVELS = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95]
INTERVALS = {0.5: (2, 4), 0.8: (1, 5), 0.9: (0, 6)}  # which of them bound the middle half, 80 % and 90 %


def quantile_regressor():
    """Make a regressor of all levels at once; without a refit, so that new rows meet what the out-of-fold rows met."""
    return ScratchMLPRegressor(loss="quantile", quantile=LEVELS, refit=0, random_state=0)


def margin(model, y, size):
    """By how much an interval of this size misses the out-of-fold rows at most, but for a share of 1 - size of them."""
    low, high = (model.oof_predictions_[:, j] for j in INTERVALS[size])
    misses = np.maximum(low - y, y - high)  # negative inside the interval
    return np.quantile(misses, min(np.ceil((len(y) + 1) * size) / len(y), 1), method="higher")


def intervals(model, y, X_new, size):
    """Lower and upper bounds for new rows: as predicted, and conformalised by the y of the fit."""
    low, high = (model.predict(X_new)[:, j] for j in INTERVALS[size])
    m = margin(model, y, size)
    return (low, high), (low - m, high + m)


def coverage(X, y):
    """Hold every row out three times: how many truths lie in the intervals, and how wide these are."""
    folds = RepeatedKFold(n_splits=5, n_repeats=3, random_state=0)
    inside, width = {size: [] for size in INTERVALS}, {size: [] for size in INTERVALS}
    for train, test in folds.split(X):
        model = quantile_regressor().fit(X.iloc[train], y[train])
        for size in INTERVALS:
            for low, high in intervals(model, y[train], X.iloc[test], size):
                inside[size].append((low <= y[test]) & (y[test] <= high))
                width[size].append(high - low)
    print(f"Intervals for {len(y)} patients, each held out three times: seven quantiles from one fit a fold\n")
    print("               as predicted          conformalised")
    print("  nominal   coverage     width   coverage     width   standard error of a coverage")
    for size in INTERVALS:
        raw, conformal = (np.concatenate(inside[size][i::2]).mean() for i in (0, 1))
        wide, wider = (np.concatenate(width[size][i::2]).mean() for i in (0, 1))
        error = (size * (1 - size) / len(y)) ** 0.5  # binomial: three turns on the same rows count as one
        print(f"  {size:7.0%}{raw:11.1%}{wide:10.1f}{conformal:11.1%}{wider:10.1f}{error:11.1%}")


def disagreement(X, y, X_new, y_new):
    """Show what becomes of the networks' spread as rows are added, beside the error; predictions of the last fit."""
    print("\nSpread of the networks, predict(X, return_std=True), for 100 patients held out")
    print("  rows fitted   mean std   RMSE   truths within ± 1.645 std")
    for n in (40, 80, 160, len(y)):
        model = ScratchMLPRegressor(random_state=0).fit(X.iloc[:n], y[:n])
        mean, std = model.predict(X_new, return_std=True)
        error = np.abs(y_new - mean)
        print(f"  {n:11}{std.mean():11.1f}{np.mean(error**2) ** 0.5:7.1f}{np.mean(error <= 1.645 * std):12.0%}")
    print("  More rows bring the networks together; the noise in y stays, and only the quantiles tell of it.")
    return mean, std


def panel(axes, y, prediction, bands, title):
    """Draw bands (label, colour, lower, upper), the widest first, and the truth, in the order of the prediction."""
    order, x = np.argsort(prediction), np.arange(len(y))
    for label, colour, low, high in bands:
        axes.fill_between(x, low[order], high[order], step="mid", color=colour, linewidth=0, label=label)
    label, _, low, high = bands[0]
    inside = ((low <= y) & (y <= high))[order]
    axes.plot(x, prediction[order], color="black", linewidth=0.8, label="prediction")
    axes.plot(x[inside], y[order][inside], "o", color="black", markersize=3, label="truth")
    axes.plot(x[~inside], y[order][~inside], "o", color="#d62728", markersize=3, label=f"truth outside the {label}")
    axes.set(title=title, xlabel="patients held out, in the order of their prediction", ylim=(0, 420))
    axes.legend(loc="upper left", fontsize="small", ncols=2)


def plot(X, y, X_new, y_new, mean, std, path):
    """Save the intervals of new rows beside the spread of the networks."""
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
    panel(left, y_new, model.predict(X_new)[:, LEVELS.index(0.5)], bands, "Quantiles: where y will lie")
    panel(right, y_new, mean, spread, "mean ± 1.645 std: how far the networks agree")
    left.set_ylabel("disease progression")
    figure.savefig(path, format="png", dpi=120)
    print(f"\nsaved {path}")


def main():
    """Measure the coverage, and tell the two kinds of uncertainty apart."""
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
