"""Decision boundaries on a DataFrame
==================================

Decision boundaries on a DataFrame: of two numeric columns, and of a categorical and a numeric column.

`DecisionBoundaryDisplay` evaluates the model on a grid over two columns. Two numeric columns work directly. A
column of strings does not, because scikit-learn computes the grid from its minimum and maximum, and most tables
have more than two columns. A Pipeline solves both problems: its first step turns grid points into complete rows. It
replaces the number of a category by its name and fills the other columns with fixed values.

::

    python decision_boundary.py [boundaries.png]
"""

import argparse
from importlib.util import find_spec

import numpy as np
from mixed_table_with_missing_values import passengers
from sklearn.datasets import load_wine
from sklearn.inspection import DecisionBoundaryDisplay
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skscratch import ScratchMLPClassifier

CABINS = np.array(["first", "second", "third"])
SEXES = ["female", "male"]


def passengers_at(points, sex):
    """Turn grid points (number of the cabin class, age) into passengers of one sex; round to the nearest class."""
    nearest = points["cabin"].round().clip(0, len(CABINS) - 1).astype(int)
    return points.assign(cabin=CABINS[nearest], sex=sex)[["sex", "cabin", "age"]]


def on_grid(model, sex):
    """Return a model of grid points (number of the cabin class, age) for passengers of one sex."""
    return make_pipeline(FunctionTransformer(passengers_at, kw_args={"sex": sex}), model)


def plot(wine, wines, y_wines, survival, people, y_people, path):
    """Save three plots: two numeric columns, and a categorical and a numeric column for each sex."""
    if find_spec("matplotlib") is None:
        print(f"matplotlib is not installed: no {path}")
        return
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.2), layout="constrained")
    left, *others = figure.subplots(1, 3, width_ratios=(1.1, 1, 1))
    DecisionBoundaryDisplay.from_estimator(wine, wines, response_method="predict", alpha=0.4, ax=left)
    for label, marker in enumerate("os^"):
        points = wines[y_wines == label].to_numpy().T
        left.scatter(*points, s=16, marker=marker, color="white", edgecolors="black", label=f"cultivar {label}")
    left.set(title="Wine, two numeric columns")
    left.legend(loc="upper right", fontsize="small")

    rng = np.random.default_rng(0)
    for axes, sex in zip(others, SEXES, strict=True):
        known = people["sex"].eq(sex) & people["cabin"].isin(CABINS) & people["age"].notna()
        known = known.fillna(False).to_numpy(dtype=bool)
        points = people[known].assign(cabin=[list(CABINS).index(name) for name in people["cabin"][known]])
        points = points[["cabin", "age"]].astype(float)
        display = DecisionBoundaryDisplay.from_estimator(
            on_grid(survival, sex),
            points,
            response_method="predict_proba",
            class_of_interest="yes",
            grid_resolution=120,
            eps=0.5,
            plot_method="pcolormesh",
            cmap="RdBu",
            vmin=0,
            vmax=1,
            ax=axes,
        )
        for outcome, marker, colour in (("yes", "o", "black"), ("no", "x", "#444444")):
            chosen = points[y_people[known] == outcome]
            jitter = rng.uniform(-0.3, 0.3, len(chosen))
            axes.scatter(chosen["cabin"] + jitter, chosen["age"], s=14, color=colour, marker=marker)
        axes.set_xticks(range(len(CABINS)), CABINS)
        axes.set(title=f"{sex.capitalize()}: ● survived, × did not", xlabel="cabin")
    figure.colorbar(display.surface_, ax=others, label="predicted probability of survival")
    figure.savefig(path, format="png", dpi=110)
    print(f"\nsaved {path}")


def main():
    """Fit both tables and print some of the probabilities in the plots."""
    parser = argparse.ArgumentParser(description="Decision boundaries of numeric and categorical columns.")
    parser.add_argument("png", nargs="?", help="where to save the picture")
    path = parser.parse_args().png

    X, y = load_wine(return_X_y=True, as_frame=True)
    X = X[["color_intensity", "proline"]]
    wine = ScratchMLPClassifier(random_state=0).fit(X, y)
    print(f"Wine by {' and '.join(X.columns)}: accuracy {wine.oof_score_:.3f} out of fold, {len(X)} wines")

    people, survived = passengers()
    people = people[["sex", "cabin", "age"]]
    survival = ScratchMLPClassifier(random_state=0).fit(people, survived)
    print(f"Survival by sex, cabin and age: accuracy {survival.oof_score_:.3f} out of fold, {len(people)} passengers\n")
    print("Probability of survival at the age of 30, by cabin class")
    print(f"{'':<9}{'first':>8}{'second':>8}{'third':>8}")
    for sex in SEXES:
        points = people.iloc[: len(CABINS)].assign(cabin=np.arange(3.0), age=30.0)[["cabin", "age"]]
        p = on_grid(survival, sex).predict_proba(points)[:, 1]
        print(f"{sex:<9}{p[0]:8.2f}{p[1]:8.2f}{p[2]:8.2f}")
    if path is not None:
        plot(wine, X, y, survival, people, survived, path)


if __name__ == "__main__":
    main()
