"""Tutorial 4: from hours of study to a test score
===============================================

From hours of study and sleep to a test score, with three hidden units and no biases.

The numbers are those of `Neural Network from Scratch <https://enlight.nyc/projects/neural-network>`_ (Enlight). The
inputs are divided by the maximum of their column, the scores by 100. Each epoch takes one step with all three rows::

    h = σ(x W₁)        (3, 2) (2, 3) -> (3, 3)
    p = σ(h W₂)        (3, 3) (3, 1) -> (3, 1)

    dz = (p - t) · p (1 - p)            W₂ ← W₂ - hᵀ dz
    dy = dz W₂ᵀ · h (1 - h)             W₁ ← W₁ - xᵀ dy

The script works out one forward pass, then runs 1,000 epochs of this arithmetic in NumPy. The estimator takes the same
steps, up to 100,000 epochs, saves both weight matrices as text, and predicts the score for four hours of study and
eight hours of sleep. The last part shows a common mistake: a new row must be scaled like the training rows. The chapter
:doc:`A layer and its backward pass </under_the_hood/layer>` of the course derives the formulas.

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
    """Print the values of the hidden layer for [2, 9], by hand and by a network with three outputs."""
    weights = np.array([[0.2, 0.6, 0.1], [0.8, 0.3, 0.7]])
    frozen = {
        **PLAIN,
        "learning_rate": lambda progress: 0.0,
        "init": ([weights], []),
    }  # a learning rate of 0 keeps the weights
    model = ScratchMLPRegressor((), max_iter=1, **frozen).fit(HOURS[:1], np.full((1, 3), 0.5))
    hidden = expit(HOURS[0] @ weights)
    print("Forward pass of [2, 9]      ours                                 tutorial")
    print(f"  weighted sums             {HOURS[0] @ weights}                        [7.6 3.9 6.5]")
    print(f"  hidden units              {hidden}   [0.9994998 0.9801597 0.9984988]")
    print(f"    equal to those of the estimator within {np.abs(model.predict(HOURS[:1])[0] - hidden).max():.0e}")
    print(f"  output, σ(1.79832)        {expit(1.79832):.10f}                         0.8579443067")


def train_by_hand(W1, W2, epochs=1000):
    """Return the outputs after the tutorial's arithmetic."""
    x, t = HOURS / HOURS.max(axis=0), SCORES[:, None] / 100
    for _ in range(epochs):
        h = expit(x @ W1)
        p = expit(h @ W2)
        dz = (p - t) * p * (1 - p)  # (3, 1)
        dy = dz @ W2.T * h * (1 - h)  # (3, 3)
        W1, W2 = W1 - x.T @ dy, W2 - h.T @ dz
    return expit(expit(x @ W1) @ W2)[:, 0]


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
    start = [rng.normal(size=(2, 3)), rng.normal(size=(3, 1))]
    by_hand = train_by_hand(*start)
    print(f"\nBy hand, 1000 epochs: outputs {by_hand}, loss {np.mean((SCORES / 100 - by_hand) ** 2):.3e}")
    network = ScratchMLPRegressor(
        (3,),
        init=(start, []),
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
        if epoch == 1000:
            print(f"  equal to those by hand within {np.abs(model.predict(HOURS) - by_hand).max():.0e}")
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
