"""Tutorial 3: a forward pass by hand
==================================

The forward pass of one sigmoid unit, by hand and with the estimator.

The numbers are those of "Neural Networking using Python" (Hashnode): a weighted sum, the sigmoid function, and a
threshold of one half. For the row (1.66, 1.56) and the weights (1.45, -0.66)::

    z = 1.66 · 1.45 - 1.56 · 0.66 = 1.3774
    p = 1 / (1 + exp(-1.3774))    = 0.7985731, above one half: class 1

For the row (2, 1.5) the sum is 1.91 and p = 0.87101915: class 1 again, but the target is 0. The methods
`decision_function`, `predict_proba` and `predict` of the estimator return z, p and the class. The chapter :doc:`One
neuron </under_the_hood/one_neuron>` of the course shows how the weights learn from the mistake.
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
