"""Learning curve: would more rows help?
=====================================

A learning curve on a table with categories and missing values, which shows the benefit of more rows.

`learning_curve` fits increasing numbers of rows and scores held-out rows. Where the curve still rises, more rows
improve the model. The score on the training rows does not show this. The table is that of `partial_dependence.py`.

::

    python learning_curve.py [curve.png]
"""

import argparse
from importlib.util import find_spec

from partial_dependence import hires
from sklearn.model_selection import LearningCurveDisplay, ShuffleSplit, learning_curve

from skscratch import ScratchMLPRegressor


def plot(sizes, train, test, path):
    """Save both curves, with the standard deviation over the splits."""
    if find_spec("matplotlib") is None:
        print(f"matplotlib is not installed: no {path}")
        return
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.subplots()
    LearningCurveDisplay(train_sizes=sizes, train_scores=train, test_scores=test, score_name="R²").plot(ax=axes)
    axes.set(xscale="log", xlabel="training rows", ylabel="R²", title="ScratchMLPRegressor on hourly bicycle hires")
    axes.set_xticks(sizes, sizes)
    axes.minorticks_off()
    axes.legend(["training rows", "held-out rows"], loc="lower right")
    figure.savefig(path, format="png", dpi=110)
    print(f"\nsaved {path}")


def main():
    """Score the regressor for increasing numbers of training rows."""
    parser = argparse.ArgumentParser(description="A learning curve on a table with categories.")
    parser.add_argument("png", nargs="?", help="where to save the picture")
    path = parser.parse_args().png

    _, X, y = hires()
    model = ScratchMLPRegressor(loss="poisson", random_state=0)
    splits = ShuffleSplit(3, test_size=600, random_state=0)
    sizes, train, test = learning_curve(model, X, y, train_sizes=[100, 200, 400, 800], cv=splits)
    print("R², mean ± standard deviation over three splits\n  rows    training rows    600 held-out rows")
    for n, fitted, held_out in zip(sizes, train, test, strict=True):
        print(f"  {n:<5}{fitted.mean():9.3f} ± {fitted.std():.3f}{held_out.mean():11.3f} ± {held_out.std():.3f}")
    if path is not None:
        plot(sizes, train, test, path)


if __name__ == "__main__":
    main()
