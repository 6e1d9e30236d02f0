"""One batch through the code, file by file
========================================

One batch, file by file: from the diabetes table to an update of all weights, with the real shapes and numbers.

The script makes the calls that `ScratchMLPRegressor(random_state=0).fit(X, y)` makes, in the same order. The output
layer starts at zero, so that the first batch changes only that layer: it runs in one call, as in training, and the
second batch is followed layer by layer. At the end the result is compared with one call, with a finite difference, and
with the estimator itself.
"""

import numpy as np
from sklearn.datasets import load_diabetes

from skscratch import ScratchMLPRegressor
from skscratch.encoding.columns import read
from skscratch.encoding.features import FeatureEncoder
from skscratch.encoding.numeric_targets import NumericTargets
from skscratch.estimators.plan import automatic_batch_size, automatic_bins
from skscratch.nn.batch import Table, Targets
from skscratch.nn.layers import Activation, Dense
from skscratch.nn.losses import make_loss
from skscratch.nn.network import build
from skscratch.training.evaluation import assign_folds
from skscratch.training.objective import Objective
from skscratch.training.optimizers import Adam
from skscratch.training.threads import one_blas_thread

MEMBERS, HIDDEN, DTYPE = 5, [64, 64], np.dtype("float32")
FORMULAS = {  # of a layer: file, name, forward pass, backward pass
    Dense: ("nn/layers", "Dense", "y = x W + b", "dW = xᵀ dy,  db = Σ dy over the rows,  dx = dy Wᵀ"),
    Activation: ("nn/activations", "silu", "y = x σ(x), in place", "dx = dy (σ(x) + y (1 - σ(x))), in place"),
}


def stop(file, call, what, **arrays):
    """Print a stop of the way: the file, the call, what it does; then the shape and the first numbers of arrays."""
    print(f"\n  {file:<22}{call}\n{'':<24}{what}")
    for name, array in arrays.items():
        first = " ".join(f"{value:.4g}" for value in array.ravel()[:5])
        print(f"{'':<24}{name:<5}{array.shape!s:<14}{first}{' ...' if array.size > 5 else ''}")


def encode(X, y):
    """Turn the table and the target into numbers of order one."""
    data = read(X, "from_dtype")
    n_numbers = data.categorical.count(False)
    what = f"one array per column: {n_numbers} of numbers, {data.categorical.count(True)} of categories"
    stop("encoding/columns", 'read(X, "from_dtype")', what, age=data.values[0], sex=data.values[1].astype(float))

    encoder = FeatureEncoder(scale=True, bins_per_column=automatic_bins(len(y), n_numbers)).fit(data, None, list(X))
    table = encoder.transform(data, DTYPE, ones=True)
    what = f"{encoder.n_bins} bins; (x - median) / quartile range, clipped smoothly to (-3, 3); one-hot; a 1 for bias"
    stop("encoding/features", "FeatureEncoder.fit, .transform", what, X=table.X)
    *bins, scaled = (value for name, value in zip(encoder.names, table.X[0], strict=False) if name.startswith("bmi"))
    levels = " ".join(f"{level:.2g}" for level in bins)
    what = f"components that fill up one after the other: a bmi of {X.bmi[0]} is [{levels}], and scaled {scaled:.3f}"
    stop("encoding/bins", "Bins.write", what)

    loss = make_loss("squared_error", None)
    scaling = NumericTargets(n_targets=1).fitted(y[:, None], None, loss, incremental=False)
    targets = scaling.encode(y[:, None], DTYPE)
    what = f"t = (y - {scaling.center[0]:.1f}) / {scaling.spread[0]:.1f}"
    stop("encoding/numeric_targets", "NumericTargets.encode", what, y=y, t=targets.values)
    return encoder, table, targets, loss


def start(encoder, table, targets, loss, y, rng):
    """Build five networks of one shape, and assign to each the rows that it holds out."""
    functions = ["silu", "silu"]
    network = build(encoder.width, (), HIDDEN, 1, functions, init="data", ntk=True, n_bins=encoder.n_bins)
    stop("nn/network", "build", " → ".join(type(layer).__name__ for layer in network.layers))
    parameters = np.zeros((MEMBERS, network.layout.size), DTYPE)
    network.initialise(parameters, rng, table.take(rng.choice(len(table), 256, replace=False)))
    what = "one row per member: the weights, last layer first, then the biases; the W and b of a layer are views"
    stop("nn/parameters", "Layout.views", what, p=parameters)
    folds = assign_folds(y[:, None], MEMBERS, rng)
    objective = Objective(network, loss, table, targets).holding_out(folds, MEMBERS, DTYPE)
    what = "weights of the rows: 0 where a member holds out the row, which it will validate on"
    stop("training/evaluation", "assign_folds; Objective.holding_out", what, w=objective.weight)
    return objective, parameters


def walk(objective, parameters, gradient, rows):
    """Take these rows through the layers and back; write the gradient into `gradient`."""
    network = objective.network
    batch, t, w = objective.table.buffer(len(rows)), objective.targets.buffer(len(rows)), objective.weight[:, rows]
    objective.table.gather(rows, batch)
    objective.targets.gather(rows, t)
    stop("nn/batch", "Table.gather, Targets.gather", f"patients {rows[:5]} ...", x=batch.X[None], t=t, w=w)

    print("\nFORWARD, first layer to last (leading axis: five members; the numbers are the first member's, first row)")
    y, dy, back = batch.X[None], None, []
    views = zip(network.layers, network.layout.views(parameters), network.layout.views(gradient), strict=True)
    for layer, p, g in views:
        y, dy, forward, backward = layer.bind(p, g, y, dy)  # takes its input x and the buffer for dx
        forward.run()
        file, name, formula, _ = FORMULAS[type(layer)]
        stop(file, name, formula, **({"W": p.W, "b": p.b} if hasattr(p, "W") else {}), y=y)
        back.insert(0, (layer, dy, g, backward))

    print("\nLOSS")
    z, dz = y, dy
    loss_of_rows, tape = objective.loss.bind(z, t[None], dz)
    tape.run()
    stop("nn/losses", "SquaredError", "½ (z - t)², and its derivative dz = z - t", loss=loss_of_rows, dz=dz)
    share = (w / w.sum(axis=1, keepdims=True, dtype=float)).astype(DTYPE)
    np.multiply(dz, share[..., None], out=dz)
    what = "dz times w / Σw: the gradient of the weighted mean, 0 for a row that is held out"
    stop("training/step", "LocalStep.loss_and_gradient", what, dz=dz)

    print("\nBACKWARD, last layer to first (d: derivative of the loss with respect to)")
    for layer, dy, g, backward in back:
        backward.run()
        file, name, _, formula = FORMULAS[type(layer)]
        stop(file, name, formula, **({"dy": dy, "dW": g.W, "db": g.b} if hasattr(g, "W") else {"dx": dy}))


def check(objective, parameters, gradient, rows):
    """Compare the gradient with that of a single call, and one of its numbers with a finite difference."""
    again = np.full_like(gradient, np.nan)
    step = objective.step(parameters, again, len(rows))
    step.load(rows)
    step.loss_and_gradient()
    print(f"  the gradient equals that of Step.loss_and_gradient, one call: {np.array_equal(again, gradient)}")

    # in double precision, because the difference of nearly equal losses has few digits
    table, targets = Table(objective.table.X.astype(float), ones=True), Targets(objective.targets.values.astype(float))
    double = Objective(objective.network, objective.loss, table, targets, objective.weight.astype(float))
    moved, h, losses = parameters.astype(float), 1e-5, []
    step = double.step(moved, again.astype(float), len(rows))
    step.load(rows)
    begin, end = objective.network.layout.spans[0, "W"]  # of the first layer, the last that the gradient reaches
    entry = begin + int(np.abs(gradient[0, begin:end]).argmax())
    for move in (h, -2 * h):
        moved[0, entry] += move
        losses.append(step.loss_only()[0] / step.total_weight()[0])
    difference = (losses[0] - losses[1]) / (2 * h)
    print(
        f"  (loss(W + h) - loss(W - h)) / 2h = {difference:.6g}, and the backward pass gives {gradient[0, entry]:.6g}"
    )


def follow_one_batch():
    """Follow one batch, and check the result."""
    X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    X, y, rng = X.astype({"sex": "category"}), y.to_numpy(), np.random.RandomState(0)
    print(f"INPUT: {len(X)} patients, {X.shape[1]} columns (called by estimators/build: build_model)")
    encoder, table, targets, loss = encode(X, y)
    print("\nNETWORK (called by estimators/build: build_network, initial_parameters)")
    objective, parameters = start(encoder, table, targets, loss, y, rng)

    order, size = np.arange(len(y)), automatic_batch_size(len(y))
    rng.shuffle(order)
    first, second = order[:size], order[size : 2 * size]
    gradient, rate = np.empty_like(parameters), 0.04 * (size / 64) ** 0.5
    layout = objective.network.layout
    update = Adam(parameters, beta_1=0.9, beta_2=0.95).bind(parameters, gradient, layout.rates())
    step = objective.step(parameters, gradient, size)
    step.load(first)
    step.loss_and_gradient()
    update(rate, 1)
    print(f"\nA BATCH of {size} rows, the second of the epoch (called by training/epoch: Epoch.advance)")
    walk(objective, parameters, gradient, second)
    before = parameters.copy()
    update(rate, 2)
    print("\nUPDATE")
    what = "m ← β₁ m + (1 - β₁) g,  v ← β₂ v + (1 - β₂) g²,  p ← p - η m̂ / (√v̂ + ε)"
    what += f";  η = {rate:.4f}, divided by √inputs for W"
    stop("training/optimizers", "Adam", what, g=gradient, p=before, new=parameters)

    print("\nCHECK")
    check(objective, before, gradient, second)
    # an estimator that stops after two steps: the learning rate of the rest of its only epoch is 0
    two = {"max_iter": 1, "refit": 0, "learning_rate": lambda progress: float(progress * len(y) < 1.5 * size)}
    model = ScratchMLPRegressor(random_state=0, **two).fit(X, y)
    same = np.array_equal(model.fitted_.parameters, parameters)
    print(f"  the weights are those of ScratchMLPRegressor.fit after two steps, bit for bit: {same}")


def main():
    """Follow one batch as fit computes it: the last bits of a product depend on the number of threads."""
    with one_blas_thread():
        follow_one_batch()


if __name__ == "__main__":
    main()
