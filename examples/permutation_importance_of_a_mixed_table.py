"""Permutation importance of a table's own columns: strings, categories, booleans and numbers, with missing values.

A column is shuffled among rows that the fit has not seen; what the score loses is what the column is worth. Nothing is
encoded beforehand, so that one figure speaks for a whole column, however many values it has. The table is that of
`partial_dependence.py`, whose truth is known: a perfect model is shuffled too, and stands beside the network. One of
20 clerks is added to each hour, who does not matter: having many values makes no column important.

    python permutation_importance_of_a_mixed_table.py [importance.png]
"""

import argparse
from importlib.util import find_spec

import numpy as np
from partial_dependence import hires, true_rate
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.inspection import permutation_importance
from sklearn.model_selection import train_test_split

from skscratch import ScratchMLPRegressor


class Truth(RegressorMixin, BaseEstimator):
    """A perfect model, which misses no value: the rate that the hires were drawn with."""

    def fit(self, X, y):
        """Nothing to learn."""
        return self

    def predict(self, X):
        """Hires an hour."""
        return true_rate(X)


def plot(found, truth, names, path):
    """Save the losses as bars, in the order of their size, beside those of a perfect model."""
    if find_spec("matplotlib") is None:
        print(f"matplotlib is not installed: no {path}")
        return
    from matplotlib.figure import Figure

    order = np.argsort(found.importances_mean)
    figure = Figure(figsize=(7.5, 4), layout="constrained")
    axes = figure.subplots()
    rows = np.arange(len(names))
    mean, deviation = found.importances_mean[order], found.importances_std[order]
    axes.barh(rows, mean, xerr=deviation, color="C0", label="ScratchMLPRegressor, 20 shuffles")
    axes.plot(truth.importances_mean[order], rows, "D", color="black", label="a perfect model")
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set(xlabel="R² lost when the column is shuffled", title="Permutation importance on hours held out")
    axes.set_yticks(rows, names[order])
    axes.legend(loc="lower right")
    figure.savefig(path, format="png", dpi=120)
    print(f"\nsaved {path}")


def main():
    """Fit, shuffle column after column of the rows held out, and print what is lost."""
    parser = argparse.ArgumentParser(description="Permutation importance on a table with categories.")
    parser.add_argument("png", nargs="?", help="where to save the picture")
    path = parser.parse_args().png

    full, X, y = hires()
    clerk = np.random.default_rng(1).integers(0, 20, len(X))
    full, X = (table.assign(clerk=[f"clerk {number}" for number in clerk]) for table in (full, X))
    X_train, X_test, y_train, y_test, _, full_test = train_test_split(X, y, full, random_state=0)
    model = ScratchMLPRegressor(loss="poisson", random_state=0).fit(X_train, y_train)
    found = permutation_importance(model, X_test, y_test, n_repeats=20, random_state=0)
    truth = permutation_importance(Truth(), full_test, y_test, n_repeats=20, random_state=0)

    print(f"R² {model.score(X_test, y_test):.3f} on {len(X_test)} hours held out; what is lost of it by shuffling\n")
    print(f"{'column':<13}{'dtype':<10}{'values':>7}{'missing':>9}{'R² lost':>17}   a perfect model")
    for j in np.argsort(-found.importances_mean):
        column = X.iloc[:, j]
        kind = "str" if column.dtype == object else str(column.dtype)  # objects before pandas 3
        lost = f"{found.importances_mean[j]:.3f} ± {found.importances_std[j]:.3f}"
        print(
            f"{column.name:<13}{kind:<10}{column.nunique():7}{column.isna().mean():9.0%}{lost:>17}"
            f"{truth.importances_mean[j]:18.3f}"
        )
    if path is not None:
        plot(found, truth, X.columns.to_numpy(), path)


if __name__ == "__main__":
    main()
