"""Tutorial 4: from hours of study to a test score
===============================================

From hours of study and sleep to a test score, with three hidden units and no biases.

After Enlight's "Neural Network from Scratch": one forward pass in detail, 1,000 and 100,000 epochs of backpropagation,
both weight matrices saved as text, and the score for four hours of study and eight hours of sleep. The last part shows
a common mistake: a new row must be scaled like the training rows.

::

    python tutorial_4_hours_of_study_and_sleep.py [folder for the weights]
"""

import argparse
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.special import expit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler

from skscratch import ScratchMLPRegressor

HOURS = np.array([[2, 9], [1, 5], [3, 6]])  # of study, of sleep
SCORES = np.array([92, 86, 89])
NEW = np.array([[4, 8]])

# Sigmoid outputs, no biases, plain gradient descent, without the features that the tutorial does not have.
PLAIN = {
    "n_members": 1,
    "parametrization": "standard",  # the same learning rate in every layer
    "activation": "logistic",
    "out_activation": "logistic",
    "fit_intercept": False,
    "solver": "sgd",
    "momentum": 0,
    "nesterovs_momentum": False,
    "learning_rate": "constant",
    "alpha": 0,
    "weight_decay": 0,
    "shuffle": False,
    "scale_features": False,
    "scale_target": False,
    "clip_target": False,
    "dtype": "float64",
    "n_iter_no_change": np.inf,
    "restore_best_weights": False,
}


def worked_forward_pass():
    """Print the values of the hidden layer for [2, 9], computed by a network with three outputs."""
    weights = np.array([[0.2, 0.6, 0.1], [0.8, 0.3, 0.7]])
    frozen = {
        **PLAIN,
        "learning_rate": lambda progress: 0.0,
        "init": ([weights], []),
    }  # a learning rate of 0 keeps the weights
    model = ScratchMLPRegressor((), max_iter=1, **frozen).fit(HOURS[:1], np.full((1, 3), 0.5))
    print("Forward pass of [2, 9]      ours                                 tutorial")
    print(f"  weighted sums             {HOURS[0] @ weights}                        [7.6 3.9 6.5]")
    print(f"  hidden units              {model.predict(HOURS[:1])[0]}   [0.9994998 0.9801597 0.9984988]")
    print(f"  output, σ(1.79832)        {expit(1.79832):.10f}                         0.8579443067")


def report(epoch, model):
    """Print inputs, targets, outputs and loss."""
    outputs = model.predict(HOURS)
    print(f"\nepoch {epoch}")
    for x, score, output in zip(model[0].transform(HOURS), SCORES / 100, outputs, strict=True):
        print(f"  input [{x[0]:.4f} {x[1]:.4f}]   target {score:.2f}   output {output:.8f}")
    print(f"  loss {np.mean((SCORES / 100 - outputs) ** 2):.3e}")


def main():
    """Run the tutorial."""
    parser = argparse.ArgumentParser(description="From hours of study and sleep to a test score.")
    parser.add_argument("folder", nargs="?", type=Path, help="where to save the weights (default: a temporary folder)")
    folder = parser.parse_args().folder or Path(tempfile.mkdtemp(prefix="tutorial_4_"))
    folder.mkdir(parents=True, exist_ok=True)

    worked_forward_pass()

    rng = np.random.RandomState(2)
    network = ScratchMLPRegressor(
        (3,),
        init=([rng.normal(size=(2, 3)), rng.normal(size=(3, 1))], []),
        # The tutorial's learning rate is 1 for the sum over the 3 rows of (o - t) o (1 - o); ours uses the mean.
        learning_rate_init=3 * 1,
        batch_size=3,  # all rows in one step
        warm_start=True,  # each call of fit continues for max_iter epochs
        **PLAIN,
    )
    model = make_pipeline(MaxAbsScaler(), network)  # divides each column by its maximum
    for done, epoch in pairwise((0, 1, 10, 100, 1000, 10_000, 100_000)):
        network.set_params(max_iter=epoch - done)
        model.fit(HOURS, SCORES / 100)
        report(epoch, model)
    print("  tutorial: loss 1.94e-18, outputs .92 .86 .89; its arithmetic with three seeds: loss 3e-14 ... 2e-20")

    for name, weights in zip(("w1.txt", "w2.txt"), network.coefs_, strict=True):
        np.savetxt(folder / name, weights, fmt="%s")
        print(f"saved {folder / name}, {weights.shape[0]} x {weights.shape[1]}")

    # The mistake: [4, 8] is divided by its own maximum 8, but the training rows were divided by 3 and 9.
    wrong, right = NEW / NEW.max(), model[0].transform(NEW)
    print("\nPredicted score for four hours of study and eight hours of sleep")
    print(f"  scaled by its own maximum, {wrong[0]}, as the tutorial does: wrong   {network.predict(wrong)[0]:.8f}")
    print("    (tutorial 0.91882413; its arithmetic with three seeds 0.9175 ... 0.9184)")
    print(f"  scaled like the training rows, {right[0].round(4)}, by the Pipeline: right   {model.predict(NEW)[0]:.8f}")


if __name__ == "__main__":
    main()
