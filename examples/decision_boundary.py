"""Decision boundaries on a DataFrame: of two numbers as they are, and of a category and a number.

`DecisionBoundaryDisplay` lays a grid of numbers over two columns and asks the model about every point of it. Two number
columns need nothing else. A column of strings has no grid (scikit-learn does arithmetic with its smallest value: a
TypeError), and most tables have more columns than two. A Pipeline settles both, whose first step makes whole rows of
the points: it puts a name where the grid has the category's number, and a fixed value in the other columns.

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


def rows_of_a_plane(points, sex):
    """Make passengers of points (number of the cabin, age): the nearest cabin's name, and the same sex for all."""
    nearest = points["cabin"].round().clip(0, len(CABINS) - 1).astype(int)
    return points.assign(cabin=CABINS[nearest], sex=sex)[["sex", "cabin", "age"]]


def on_plane(model, sex):
    """The fitted model, as one of points (number of the cabin, age) for passengers of this sex."""
    return make_pipeline(FunctionTransformer(rows_of_a_plane, kw_args={"sex": sex}), model)


def plot(wine, wines, y_wines, survival, people, y_people, path):
    """Save three boundaries: of two numbers, and of a category and a number for either sex."""
    if find_spec("matplotlib") is None:
        print(f"matplotlib is not installed: no {path}")
        return
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.2), layout="constrained")
    left, *others = figure.subplots(1, 3, width_ratios=(1.1, 1, 1))
    DecisionBoundaryDisplay.from_estimator(wine, wines, response_method="predict", alpha=0.4, ax=left)
    for label, marker in enumerate("os^"):
        place = wines[y_wines == label].to_numpy().T
        left.scatter(*place, s=16, marker=marker, color="white", edgecolors="black", label=f"cultivar {label}")
    left.set(title="Wine, by two numbers")
    left.legend(loc="upper right", fontsize="small")

    draw = np.random.default_rng(0)
    for axes, sex in zip(others, SEXES, strict=True):
        known = people["sex"].eq(sex) & people["cabin"].isin(CABINS) & people["age"].notna()
        known = known.fillna(False).to_numpy(dtype=bool)
        place = people[known].assign(cabin=[list(CABINS).index(name) for name in people["cabin"][known]])
        place = place[["cabin", "age"]].astype(float)
        display = DecisionBoundaryDisplay.from_estimator(
            on_plane(survival, sex),
            place,
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
        for answer, marker, colour in (("yes", "o", "black"), ("no", "x", "#444444")):
            chosen = place[y_people[known] == answer]
            aside = draw.uniform(-0.3, 0.3, len(chosen))
            axes.scatter(chosen["cabin"] + aside, chosen["age"], s=14, color=colour, marker=marker)
        axes.set_xticks(range(len(CABINS)), CABINS)
        axes.set(title=f"{sex.capitalize()}: ● survived, × did not", xlabel="cabin")
    figure.colorbar(display.surface_, ax=others, label="predicted probability of survival")
    figure.savefig(path, format="png", dpi=110)
    print(f"\nsaved {path}")


def main():
    """Fit both tables, and print what the pictures show."""
    parser = argparse.ArgumentParser(description="Decision boundaries of numbers and of categories.")
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
    print("Probability of survival in the middle of each band, at the age of 30")
    print(f"{'':<9}{'first':>8}{'second':>8}{'third':>8}")
    for sex in SEXES:
        points = people.iloc[: len(CABINS)].assign(cabin=np.arange(3.0), age=30.0)[["cabin", "age"]]
        told = on_plane(survival, sex).predict_proba(points)[:, 1]
        print(f"{sex:<9}{told[0]:8.2f}{told[1]:8.2f}{told[2]:8.2f}")
    if path is not None:
        plot(wine, X, y, survival, people, survived, path)


if __name__ == "__main__":
    main()
