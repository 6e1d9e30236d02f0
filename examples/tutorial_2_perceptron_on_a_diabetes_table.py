"""Tutorial 2: a perceptron on five patients
=========================================

A perceptron that learns a table of five patients.

After Stack Abuse's "Creating a Neural Network from Scratch": three yes/no columns, one sigmoid unit, 20,000 epochs of
full-batch gradient descent, and predictions for two new people.
"""

import numpy as np
import pandas as pd

from skscratch import ScratchMLPClassifier

PATIENTS = pd.DataFrame(
    [[0, 1, 0], [0, 0, 1], [1, 0, 0], [1, 1, 0], [1, 1, 1]], columns=["smoking", "obesity", "exercise"]
)
DIABETIC = np.array([1, 0, 0, 1, 1])


def perceptron(seed):
    """Return one sigmoid unit with initial weights from U(0, 1), trained by the tutorial's plain gradient descent."""
    rng = np.random.RandomState(seed)
    weights, bias = rng.rand(3, 1), rng.rand(1)
    return ScratchMLPClassifier(
        hidden_layer_sizes=(),
        init=([weights], [bias]),
        n_members=1,
        parametrization="standard",  # the same learning rate in every layer
        loss="squared_error",
        solver="sgd",
        momentum=0,
        nesterovs_momentum=False,
        learning_rate="constant",
        # The tutorial's step is 0.05 times the sum over the 5 rows of (p - t) p (1 - p); ours uses the mean.
        learning_rate_init=5 * 0.05,
        batch_size=5,  # all rows in one step
        shuffle=False,
        max_iter=20_000,
        n_iter_no_change=np.inf,  # no early stopping
        restore_best_weights=False,
        alpha=0,
        weight_decay=0,
        scale_features=False,
        dtype="float64",
    )


def main():
    """Run the tutorial."""
    model = perceptron(seed=42).fit(PATIENTS, DIABETIC)
    for epoch in (1, 10, 100, 1000, 20_000):
        print(f"epoch {epoch:6}   loss {model.loss_curve_[epoch - 1]:.6f}")

    print("\nWeights after 20,000 epochs     ours     tutorial's arithmetic, another seed")
    for name, weight, tutorial in zip(PATIENTS, model.coefs_[0][:, 0], ["-0.29", " 7.52", "-0.47"], strict=True):
        print(f"  {name:<27} {weight:7.4f}    {tutorial}")
    print(f"  {'bias':<27} {model.intercepts_[0][0]:7.4f}    -3.14")

    new = pd.DataFrame([[1, 0, 0], [0, 1, 0]], columns=PATIENTS.columns)
    print("\nPrediction for one who          ours     tutorial's arithmetic, another seed")
    for name, p, verdict, tutorial in zip(
        ["smokes", "is obese"],
        model.predict_proba(new)[:, 1],
        model.predict(new),
        ["0.0313", "0.9876"],
        strict=True,
    ):
        print(f"  {name:<27} {p:7.4f}    {tutorial}   {'diabetic' if verdict else 'not diabetic'}")


if __name__ == "__main__":
    main()
