"""Tutorial 3: a forward pass by hand
==================================

The forward pass of one sigmoid unit, by hand and with the estimator.

After Hashnode's "Neural Networking using Python": a weighted sum, the sigmoid function, a threshold of one half. The
estimator's methods for these are `decision_function`, `predict_proba` and `predict`.
"""

import numpy as np

from skscratch import ScratchMLPClassifier

WEIGHTS, BIAS = np.array([[1.45], [-0.66]]), np.array([0.0])
INPUTS, TARGETS = np.array([[1.66, 1.56], [2, 1.5]]), np.array([1, 0])
TUTORIAL = [0.7985731, 0.87101915]


def main():
    """Run the tutorial."""
    by_hand = 1 / (1 + np.exp(-(INPUTS @ WEIGHTS + BIAS)[:, 0]))

    # A learning rate of 0 keeps the given weights; fit only prepares the network for predictions.
    model = ScratchMLPClassifier(
        hidden_layer_sizes=(),
        init=([WEIGHTS], [BIAS]),
        solver="sgd",
        learning_rate=lambda progress: 0.0,
        weight_decay=0,
        max_iter=1,
        scale_features=False,
        dtype="float64",
    ).fit(INPUTS, TARGETS)

    columns = ["input", "weighted sum", "by hand", "estimator", "tutorial", "class", "target"]
    print("{:<14}{:>12}{:>12}{:>12}{:>12}{:>8}{:>8}".format(*columns))
    for x, z, hand, p, tutorial, label, target in zip(
        INPUTS,
        model.decision_function(INPUTS),
        by_hand,
        model.predict_proba(INPUTS)[:, 1],
        TUTORIAL,
        model.predict(INPUTS),
        TARGETS,
        strict=True,
    ):
        print(f"{x!s:<14}{z:>12.4f}{hand:>12.8f}{p:>12.8f}{tutorial:>12.8f}{label:>8}{target:>8}")


if __name__ == "__main__":
    main()
