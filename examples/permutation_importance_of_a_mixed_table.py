"""Permutation importance of a mixed table
=======================================

Permutation importance of the columns of a table: strings, categories, booleans and numbers, with missing values.

The importance of a column is the decrease of the score when the column is shuffled among held-out rows. Because
nothing is encoded beforehand, each column has one importance, however many categories it has. The table is that of
`partial_dependence.py`, so a perfect model is available for comparison. An additional column with 20 clerks has no
effect: a large number of categories does not make a column important.

::

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
    """A perfect model: the rate from which the hires were drawn."""

    def fit(self, X, y):
        """Do nothing."""
        return self

    def predict(self, X):
        """Return the expected number of hires per hour."""
        return true_rate(X)


def plot(found, truth, names, path):
    """Save a bar plot of the sorted importances, with those of the perfect model."""
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
    axes.set(xlabel="decrease of R² when the column is shuffled", title="Permutation importance on held-out hours")
    axes.set_yticks(rows, names[order])
    axes.legend(loc="lower right")
    figure.savefig(path, format="png", dpi=120)
    print(f"\nsaved {path}")


def main():
    """Fit, and print the permutation importance of each column on the held-out rows."""
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

    print(
        f"R² {model.score(X_test, y_test):.3f} on {len(X_test)} hours held out; decrease when a column is shuffled:\n"
    )
    print(f"{'column':<13}{'dtype':<10}{'values':>7}{'missing':>9}{'decrease of R²':>17}   a perfect model")
    for j in np.argsort(-found.importances_mean):
        column = X.iloc[:, j]
        kind = "str" if column.dtype == object else str(column.dtype)  # objects before pandas 3
        decrease = f"{found.importances_mean[j]:.3f} ± {found.importances_std[j]:.3f}"
        print(
            f"{column.name:<13}{kind:<10}{column.nunique():7}{column.isna().mean():9.0%}{decrease:>17}"
            f"{truth.importances_mean[j]:18.3f}"
        )
    if path is not None:
        plot(found, truth, X.columns.to_numpy(), path)


if __name__ == "__main__":
    main()
