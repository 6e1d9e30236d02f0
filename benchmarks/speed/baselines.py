"""Trainings to compare: each function prepares a problem and returns a function that runs the training.

All of them train the same network with Adam, with the same batch size and number of epochs, shuffle the rows before
each epoch, minimise the squared error or the log loss plus an L2 penalty, and sum the loss of each epoch.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor

from .problems import Problem

__all__ = ["PLAIN", "jax_scan", "ours", "products", "pytorch", "scikit_learn"]

LEARNING_RATE, BETA_1, BETA_2, EPSILON, ALPHA = 1e-3, 0.9, 0.999, 1e-8, 1e-4

# Settings that reduce our estimators to one plain network, like those of the other libraries.
PLAIN: dict[str, Any] = {
    "n_members": 1,
    "early_stopping": False,
    "numeric_embedding": None,
    "activation": "relu",
    "init": "auto",
    "parametrization": "standard",
    "learning_rate": "constant",
    "learning_rate_init": LEARNING_RATE,
    "batch_size": 200,
    "beta_2": BETA_2,
    "weight_decay": 0.0,
    "n_iter_no_change": np.inf,
    "random_state": 0,
}

Training = Callable[[], object]


def _fitting(model: Any, X: Any, y: np.ndarray) -> Training:
    def train() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(X, y)

    return train


def ours(problem: Problem) -> Training:
    """Our estimator, on a float64 table, the usual type of a user's table."""
    common = PLAIN | dict(
        hidden_layer_sizes=problem.hidden,
        batch_size=problem.batch,
        max_iter=problem.epochs,
        alpha=ALPHA,
        scale_features=False,
        dtype="float32",
    )
    unscaled = {"scale_target": False, "clip_target": False}
    model = ScratchMLPClassifier(**common) if problem.classifies else ScratchMLPRegressor(**unscaled, **common)
    return _fitting(model, problem.X, problem.y)


def scikit_learn(problem: Problem, dtype: str) -> Training:
    """scikit-learn's MLP on a table of `dtype`, which is also the type of its computation."""
    kind = MLPClassifier if problem.classifies else MLPRegressor
    model = kind(
        hidden_layer_sizes=problem.hidden,
        batch_size=problem.batch,
        max_iter=problem.epochs,
        alpha=ALPHA,
        learning_rate_init=LEARNING_RATE,
        n_iter_no_change=10**9,
        random_state=0,
    )
    return _fitting(model, problem.X.astype(dtype), problem.y if problem.classifies else problem.y.astype(dtype))


def products(problem: Problem) -> Training:
    """The matrix products of each step alone, in float32, written to preallocated arrays."""
    rng = np.random.default_rng(0)
    sizes, n = problem.sizes, problem.X.shape[0]
    X = problem.X.astype(np.float32)
    W = [rng.normal(size=shape).astype(np.float32) for shape in zip(sizes, sizes[1:], strict=False)]
    dW = [np.empty_like(w) for w in W]
    layers = {
        rows: (
            [rng.random((rows, size), np.float32) for size in sizes],
            [np.ones((rows, s), np.float32) for s in sizes],
        )
        for rows in {min(problem.batch, n), n % problem.batch}
    }
    batches = [X[start : start + problem.batch] for start in range(0, n, problem.batch)]

    def train() -> None:
        for _ in range(problem.epochs):
            for batch in batches:
                a, da = layers[batch.shape[0]]
                if problem.sparse:
                    a[1][...] = batch @ W[0]
                    dW[0][...] = batch.T @ da[1]
                else:
                    np.matmul(batch, W[0], out=a[1])
                    np.matmul(batch.T, da[1], out=dW[0])
                for i in range(1, len(W)):
                    np.matmul(a[i], W[i], out=a[i + 1])
                    np.matmul(a[i].T, da[i + 1], out=dW[i])
                    np.matmul(da[i + 1], W[i].T, out=da[i])

    return train


def pytorch(problem: Problem) -> Training:
    """PyTorch in eager mode with fused Adam; the conversion of the table to a tensor is not part of the training."""
    import torch

    torch.manual_seed(0)
    X = torch.from_numpy(np.ascontiguousarray(problem.X, np.float32))
    y = torch.from_numpy(problem.y if problem.classifies else problem.y.astype(np.float32)[:, None])
    sizes = problem.sizes
    layers: list[Any] = []
    for n_in, n_out in zip(sizes, sizes[1:], strict=False):
        layers += [torch.nn.Linear(n_in, n_out), torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers[:-1])
    error = torch.nn.CrossEntropyLoss() if problem.classifies else torch.nn.MSELoss()
    weights = [p for p in network.parameters() if p.ndim == 2]
    biases = [p for p in network.parameters() if p.ndim == 1]
    groups = [{"params": weights, "weight_decay": ALPHA / problem.batch}, {"params": biases}]
    adam = torch.optim.Adam(groups, lr=LEARNING_RATE, betas=(BETA_1, BETA_2), eps=EPSILON, fused=True)

    def train() -> None:
        for _ in range(problem.epochs):
            total = torch.zeros(())
            for rows in torch.randperm(len(X)).split(problem.batch):
                loss = error(network(X[rows]), y[rows])
                adam.zero_grad(set_to_none=True)
                loss.backward()
                adam.step()
                total += loss.detach() * len(rows)
            total.item()

    return train


def jax_scan(problem: Problem) -> Training:
    """JAX with one compiled function for an epoch, a scan over its batches; the preparation compiles it."""
    import jax
    import jax.numpy as jnp

    n, batch, sizes = problem.X.shape[0], min(problem.batch, problem.X.shape[0]), problem.sizes
    X = jnp.asarray(problem.X, jnp.float32)
    y = jnp.asarray(problem.y) if problem.classifies else jnp.asarray(problem.y, jnp.float32)
    n_whole = n // batch
    rng = np.random.default_rng(0)

    def error(parameters, x, t):
        for i, (W, b) in enumerate(parameters):
            x = x @ W + b
            if i < len(parameters) - 1:
                x = jax.nn.relu(x)
        if problem.classifies:
            loss = -jnp.take_along_axis(jax.nn.log_softmax(x), t[:, None], axis=1).mean()
        else:
            loss = 0.5 * jnp.mean((x[:, 0] - t) ** 2)
        return loss + 0.5 * ALPHA / len(t) * sum(jnp.vdot(W, W) for W, _ in parameters)

    def step(state, rows, X, y):
        parameters, m, v, count = state
        loss, g = jax.value_and_grad(error)(parameters, X[rows], y[rows])
        count += 1
        rate = LEARNING_RATE * jnp.sqrt(1 - BETA_2**count) / (1 - BETA_1**count)
        m = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, m, g)
        v = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, v, g)
        parameters = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + EPSILON), parameters, m, v)
        return (parameters, m, v, count), loss * len(rows)

    def epoch(state, X, y, order):
        batches = order[: n_whole * batch].reshape(n_whole, batch)
        state, losses = jax.lax.scan(lambda state, rows: step(state, rows, X, y), state, batches)
        total = losses.sum()
        if n % batch:
            state, last = step(state, order[n_whole * batch :], X, y)
            total += last
        return state, total

    parameters = [
        (jnp.asarray(rng.normal(0, (2 / n_in) ** 0.5, (n_in, n_out)), jnp.float32), jnp.zeros(n_out, jnp.float32))
        for n_in, n_out in zip(sizes, sizes[1:], strict=False)
    ]
    state = [(parameters, jax.tree.map(jnp.zeros_like, parameters), jax.tree.map(jnp.zeros_like, parameters), 0.0)]
    order = np.arange(n, dtype=np.int32)
    compiled = jax.jit(epoch, donate_argnums=0).lower(state[0], X, y, order).compile()

    def train() -> None:
        for _ in range(problem.epochs):
            rng.shuffle(order)
            state[0], total = compiled(state[0], X, y, order)
            float(total)

    return train
