"""Tutorial 2: a perceptron on five patients
=========================================

A perceptron that learns a table of five patients.

The numbers are those of `Creating a Neural Network from Scratch in Python
<https://stackabuse.com/creating-a-neural-network-from-scratch-in-python/>`_ (Stack Abuse). Three yes/no columns say
whether a patient smokes, is obese and exercises; the target says whether the patient has diabetes. Each of 20,000
epochs takes one step with the sum of the gradients of all five rows::

    p = σ(X w + b)        dz = (p - t) · p (1 - p)        w ← w - 0.05 Xᵀ dz        b ← b - 0.05 Σ dz

The shapes are (5, 3) for X, (3, 1) for w, and (5, 1) for p, t and dz. The script runs this arithmetic first, in five
lines of NumPy, then the estimator from the same weights, and prints both beside the tutorial's figures. The chapter
:doc:`Mini-batches, one vector, recorded calls </under_the_hood/batches>` of the course continues from here.
"""

import numpy as np
import pandas as pd

from skscratch import ScratchMLPClassifier

PATIENTS = pd.DataFrame(
    [[0, 1, 0], [0, 0, 1], [1, 0, 0], [1, 1, 0], [1, 1, 1]], columns=["smoking", "obesity", "exercise"]
)
DIABETIC = np.array([1, 0, 0, 1, 1])


def sigmoid(z):
    """Logistic function."""
    return 1 / (1 + np.exp(-z))


def train_by_hand(w, b, epochs=20_000):
    """Return weights and bias after the tutorial's arithmetic."""
    X, t = PATIENTS.to_numpy(), DIABETIC[:, None]
    for _ in range(epochs):
        p = sigmoid(X @ w + b)
        dz = (p - t) * p * (1 - p)  # half the derivative of the squared error, (5, 1)
        w, b = w - 0.05 * X.T @ dz, b - 0.05 * dz.sum(axis=0)
    return w, b


def perceptron(weights, bias):
    """Return one sigmoid unit with the given initial weights, trained by the tutorial's plain gradient descent."""
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
    rng = np.random.RandomState(42)
    weights, bias = rng.rand(3, 1), rng.rand(1)  # from U(0, 1)
    w, b = train_by_hand(weights, bias)
    model = perceptron(weights, bias).fit(PATIENTS, DIABETIC)
    for epoch in (1, 10, 100, 1000, 20_000):
        print(f"epoch {epoch:6}   loss {model.loss_curve_[epoch - 1]:.6f}")

    print("\nWeights after 20,000 epochs  by hand   estimator   tutorial's arithmetic, another seed")
    ours = [*model.coefs_[0][:, 0], *model.intercepts_[0]]
    tutorial = ["-0.29", " 7.52", "-0.47", "-3.14"]
    for name, by_hand, weight, theirs in zip([*PATIENTS, "bias"], [*w[:, 0], *b], ours, tutorial, strict=True):
        print(f"  {name:<25} {by_hand:8.4f}    {weight:8.4f}      {theirs}")

    new = pd.DataFrame([[1, 0, 0], [0, 1, 0]], columns=PATIENTS.columns)
    print("\nPrediction for one who       by hand   estimator   tutorial's arithmetic, another seed")
    for name, by_hand, p, verdict, theirs in zip(
        ["smokes", "is obese"],
        sigmoid(new.to_numpy() @ w + b)[:, 0],
        model.predict_proba(new)[:, 1],
        model.predict(new),
        ["0.0313", "0.9876"],
        strict=True,
    ):
        print(f"  {name:<25} {by_hand:8.4f}    {p:8.4f}      {theirs}   {'diabetic' if verdict else 'not diabetic'}")


if __name__ == "__main__":
    main()
