"""Pictures of a fit: loss curves and a network
============================================

Two pictures of a fit: the loss curves of two networks, and a network with its names and weights.

Usage: python pictures_of_a_fit.py [FOLDER]. The default is a new temporary folder. Each picture is saved in a light
and a dark version.
"""

import sys
import tempfile
from pathlib import Path

import matplotlib
from matplotlib import pyplot
from sklearn.datasets import load_wine
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skscratch import LossCurveDisplay, NetworkDisplay, ScratchMLPClassifier

STYLES = {"": ["default"], "_dark": ["default", "dark_background", {"figure.facecolor": "#0d1117"}]}
FRAME = {"axes.facecolor": "none", "axes.spines.top": False, "axes.spines.right": False, "savefig.facecolor": "auto"}


def losses(models):
    """Plot the loss curves of several estimators into one axes."""
    figure, axes = pyplot.subplots(figsize=(8, 3.8), layout="constrained")
    for name, model in models.items():
        LossCurveDisplay.from_estimator(model, ax=axes, name=name)
    return figure


def main():
    """Fit the networks and save the pictures."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    matplotlib.use("Agg")  # opens no window

    wine = load_wine(as_frame=True)
    models = {
        "no hidden layer": ScratchMLPClassifier(hidden_layer_sizes=(), random_state=0),
        "two hidden layers": ScratchMLPClassifier(random_state=0),
    }
    for name, model in models.items():
        model.fit(wine.data, wine.target)
        print(f"{name:<18} {model.n_iter_} epochs, the best of which is number {model.best_iteration_}")

    # without bins, each feature is one input with one weight per unit
    small = ScratchMLPClassifier(hidden_layer_sizes=6, numeric_embedding=None, random_state=0)
    pipeline = make_pipeline(StandardScaler(), small).fit(wine.data, wine.target)
    weights = " and ".join(str(W[0].size) for W in small.coefs_)
    print(f"{'one hidden layer':<18} {weights} weights in each of {small.n_members} networks")

    for suffix, styles in STYLES.items():
        with pyplot.style.context([*styles, FRAME]):
            display = NetworkDisplay.from_estimator(pipeline, target_names=wine.target_names, max_units=13)
            for name, figure in (("loss_curve", losses(models)), ("network", display.figure_)):
                path = folder / f"{name}{suffix}.png"
                figure.savefig(path, dpi=150)
                pyplot.close(figure)
                print(f"saved {path}")


if __name__ == "__main__":
    main()
