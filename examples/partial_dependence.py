"""Partial dependence on categories and numbers
============================================

Partial dependence on categories and numbers: learned effects on bicycle hires, and the true effects.

The table is generated, so the true effects are known. The hires per hour depend on season, weather and temperature,
and on the hour of the day, differently on workdays and free days. scikit-learn's `partial_dependence` sets one
column to a value in all rows and averages the predictions, for one value after another. The same averages of the
true rate are the true effects.

`partial_dependence` cannot make a grid from a column with missing values. `present` drops the rows in which that
column is missing; missing values in the other columns stay.

::

    python partial_dependence.py [dependence.png]
"""

import argparse
from importlib.util import find_spec

import numpy as np
import pandas as pd
from sklearn.inspection import PartialDependenceDisplay, partial_dependence

from skscratch import ScratchMLPRegressor

SEASONS = {"winter": -0.5, "spring": 0.0, "summer": 0.2, "autumn": 0.1}
WEATHER = {"clear": 0.2, "mist": 0.0, "rain": -0.9}
CATEGORIES = ["season", "weather", "workday"]


def true_rate(X):
    """Return the expected number of hires per hour for each row."""
    rush = np.exp(-(((X["hour"] - 8) / 1.5) ** 2)) + np.exp(-(((X["hour"] - 17.5) / 2) ** 2))
    leisure = 1.2 * np.exp(-(((X["hour"] - 14) / 4) ** 2))
    day = np.where(X["workday"], rush, leisure)
    kind = X["season"].map(SEASONS).astype(float) + X["weather"].map(WEATHER).astype(float)
    return np.exp(3.2 + kind + 1.5 * day - ((X["temperature"] - 24) / 15) ** 2)


def hires(n=2000, seed=0):
    """Generate hourly bicycle hires: the complete table, the table with missing values, and the number of hires."""
    rng = np.random.default_rng(seed)
    season = rng.choice(list(SEASONS), n)
    mean = np.select([season == name for name in ("winter", "spring", "summer")], [4.0, 13.0, 22.0], 12.0)
    full = pd.DataFrame(
        {
            "season": pd.Categorical(season, categories=list(SEASONS)),
            "weather": rng.choice(list(WEATHER), n, p=[0.6, 0.25, 0.15]),
            "workday": rng.random(n) < 5 / 7,
            "hour": rng.integers(0, 24, n),
            "temperature": rng.normal(mean, 5.0),
            "wind": rng.gamma(3.0, 4.0, n),  # has no effect
        }
    )
    gaps = full.astype({"workday": "boolean", "hour": float}).mask(rng.random(full.shape) < 0.05)
    return full, gaps, rng.poisson(true_rate(full))


def present(X, columns):
    """Return the rows without missing values in these columns."""
    return X.dropna(subset=columns)


def truth(full, column, values):
    """Return the mean true rate with a column set to each of the values."""
    return np.array([true_rate(full.assign(**{column: value})).mean() for value in values])


def table(model, full, X):
    """Print the learned and the true effects."""
    for column in ("season", "weather"):
        found = partial_dependence(model, present(X, [column]), [column], categorical_features=CATEGORIES)
        values, average = found["grid_values"][0], found["average"][0]
        print(f"\n{column:<12} learned     true")
        for value, ours, theirs in zip(values, average, truth(full, column, values), strict=True):
            print(f"  {value:<10}{ours:8.1f}{theirs:9.1f}")
    found = partial_dependence(model, present(X, ["temperature"]), ["temperature"], grid_resolution=7)
    values, average = found["grid_values"][0], found["average"][0]
    print("\ntemperature  learned     true")
    for value, ours, theirs in zip(values, average, truth(full, "temperature", values), strict=True):
        print(f"  {value:<10.1f}{ours:8.1f}{theirs:9.1f}")


def plot(model, full, X, path):
    """Save plots of one-way and two-way partial dependence."""
    if find_spec("matplotlib") is None:
        print(f"matplotlib is not installed: no {path}")
        return
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 7.5), layout="constrained")
    grid = figure.subplots(2, 3)

    def show(ax, features, rows=X, **options):
        """Plot into an axes, or into the axes of an earlier display, and return them."""
        columns = [features] if isinstance(features, str) else list(features)
        options = {"categorical_features": CATEGORIES, "ax": ax, "random_state": 0, **options}
        return PartialDependenceDisplay.from_estimator(model, present(rows, columns), [features], **options).axes_

    season, weather = show(grid[0, 0], "season"), show(grid[0, 1], "weather")
    for axes, column in ((season, "season"), (weather, "weather")):
        values = [label.get_text() for label in axes[0, 0].get_xticklabels()]
        axes[0, 0].plot(range(len(values)), truth(full, column, values), "D", color="black", label="truth")
        axes[0, 0].tick_params(axis="x", rotation=0)

    lines = {"ice_lines_kw": {"color": "C0"}, "pd_line_kw": {"color": "C1", "linestyle": "-", "label": "average"}}
    warmth = show(grid[1, 0], "temperature", kind="both", subsample=40, grid_resolution=40, **lines)
    degrees = np.linspace(*X["temperature"].quantile([0.05, 0.95]), 40)
    warmth[0, 0].plot(degrees, truth(full, "temperature", degrees), "k:", label="truth")

    clock, hours = grid[1, 1], np.arange(24)
    for workday, colour, name in ((True, "C0", "workdays"), (False, "C1", "free days")):
        chosen = X["workday"].eq(workday).fillna(False).to_numpy(dtype=bool)
        line = {"color": colour, "label": name}
        clock = show(clock, "hour", X[chosen], line_kw=line, percentiles=(0, 1))
        clock[0, 0].plot(hours, truth(full[chosen], "hour", hours), "k:", label=None if workday else "truth")

    for axes in (season, weather, warmth, clock):
        axes[0, 0].autoscale(axis="y")  # the limits of the display exclude the truth and zero
        axes[0, 0].set_ylim(bottom=0)
        axes[0, 0].set_ylabel("hires per hour")
        axes[0, 0].legend()
    show(grid[0, 2], ("season", "weather"))
    show(grid[1, 2], ("hour", "temperature"), X[:200], grid_resolution=12)
    figure.savefig(path, format="png", dpi=110)
    print(f"\nsaved {path}")


def main():
    """Fit the table and compare the learned effects with the true ones."""
    parser = argparse.ArgumentParser(description="Partial dependence of bicycle hires on categories and numbers.")
    parser.add_argument("png", nargs="?", help="where to save the picture")
    path = parser.parse_args().png

    full, X, y = hires()
    model = ScratchMLPRegressor(loss="poisson", random_state=0).fit(X, y)
    print(f"{len(X)} hours, {y.mean():.1f} hires per hour on average; R² {model.oof_score_:.3f} out of fold")
    table(model, full, X)
    if path is not None:
        plot(model, full, X, path)


if __name__ == "__main__":
    main()
