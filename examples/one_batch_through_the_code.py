"""One batch, file by file: from the diabetes table to a step of all weights, with the real shapes and some numbers.

These are the calls that `ScratchMLPRegressor(random_state=0).fit(X, y)` makes, in its order. The output layer starts
at zero, so that the first batch moves that layer alone: it is run in one go, as training does, and the second is
walked. At the end the walk is checked: against the same pass in one go, a finite difference, and the estimator itself.
"""

import numpy as np
from sklearn.datasets import load_diabetes

from skscratch import ScratchMLPRegressor
from skscratch.encoding.columns import read
from skscratch.encoding.features import FeatureEncoder
from skscratch.encoding.targets import NumberTargets
from skscratch.estimators.plan import automatic_batch, automatic_bins
from skscratch.nn.batch import Table, Targets
from skscratch.nn.layers import Activation, Dense
from skscratch.nn.losses import make_loss
from skscratch.nn.network import build
from skscratch.training.evaluation import deal, fold_weights
from skscratch.training.loop import Data, Step
from skscratch.training.optimizers import Adam
from skscratch.training.threads import one_blas_thread

MEMBERS, HIDDEN, DTYPE = 5, [64, 64], np.dtype("float32")
FORMULAS = {  # of a layer: file, name, what it does forward, and backward
    Dense: ("layers.py", "Dense", "y = x W + b", "dW = xᵀ dy,  db = Σ dy over the rows,  dx = dy Wᵀ"),
    Activation: ("activations.py", "silu", "y = x σ(x), written over x", "dx = dy (σ(x) + y (1 - σ(x))), over dy"),
}


def station(file, call, what, **arrays):
    """Print a stop of the walk: the file, the call, what it does; then the shape and the first numbers of arrays."""
    print(f"\n  {file:<16}{call}\n{'':<18}{what}")
    for name, array in arrays.items():
        first = " ".join(f"{value:.4g}" for value in array.ravel()[:5])
        print(f"{'':<18}{name:<5}{array.shape!s:<14}{first}{' ...' if array.size > 5 else ''}")


def encode(X, y):
    """Turn the table and the target into numbers of order one."""
    data = read(X, "from_dtype")
    n_numbers = data.categorical.count(False)
    what = f"each column as an array of its own: {n_numbers} of numbers, {data.categorical.count(True)} of categories"
    station("columns.py", 'read(X, "from_dtype")', what, age=data.values[0], sex=data.values[1].astype(float))

    encoder = FeatureEncoder(scale=True, bins_per_column=automatic_bins(len(y), n_numbers)).fit(data, None, list(X))
    table = encoder.transform(data, DTYPE, ones=True)
    what = f"{encoder.n_bins} bins; (x - median) / quartile range, squeezed into (-3, 3); one-hot; a 1 for the bias"
    station("encoding.py", "FeatureEncoder.fit, .transform", what, X=table.X)
    *bins, scaled = (value for name, value in zip(encoder.names, table.X[0], strict=False) if name.startswith("bmi"))
    levels = " ".join(f"{level:.2g}" for level in bins)
    what = f"levels that fill up one after the other: a bmi of {X.bmi[0]} is [{levels}], and scaled {scaled:.3f}"
    station("bins.py", "Bins.write", what)

    loss = make_loss("squared_error", None)
    scaling = NumberTargets(y[:, None], None, loss, scale=True)
    targets = scaling.encode(y[:, None], DTYPE)
    what = f"t = (y - {scaling.center[0]:.1f}) / {scaling.spread[0]:.1f}"
    station("targets.py", "NumberTargets.encode", what, y=y, t=targets.values)
    return encoder, table, targets, loss


def start(encoder, table, y, rng):
    """Build five networks of one shape, and say which rows each is blind to."""
    functions = ["silu", "silu"]
    network = build(encoder.width, (), HIDDEN, 1, functions, init="data", ntk=True, n_bins=encoder.n_bins)
    what = " → ".join(type(layer).__name__ for layer in network.layers)
    station("network.py", "build", what)
    parameters = np.zeros((MEMBERS, network.layout.size), DTYPE)
    network.initialise(parameters, rng, Table(table.X[rng.choice(len(table), 256, replace=False)], ones=True))
    what = "one row a member: the weights, last layer first, then the biases; a layer's W and b are views"
    station("parameters.py", "Layout.views", what, p=parameters)
    weight = fold_weights(deal(y[:, None], MEMBERS, rng), MEMBERS, None, DTYPE)
    station("validation.py", "deal, fold_weights", "0 where a member is blind to a row, which it will judge", w=weight)
    return network, parameters, weight


def walk(network, loss, parameters, gradient, data, rows):
    """Take these rows through the layers and back; the gradient is written into `gradient`."""
    batch, t, w = data.table.buffer(len(rows)), data.targets.buffer(len(rows)), data.weight[:, rows]
    data.table.gather(rows, batch)
    data.targets.gather(rows, t)
    station("table.py", "Table.gather, Targets.gather", f"patients {rows[:5]} ...", x=batch.X[None], t=t, w=w)

    print("\nFORWARD, first layer to last (the leading axis: five members; the numbers: the first's, of the first row)")
    y, dy, back = batch.X[None], None, []
    views = zip(network.layers, network.layout.views(parameters), network.layout.views(gradient), strict=True)
    for layer, p, g in views:
        y, dy, forward, backward = layer.bind(p, g, y, dy)  # its input, and where the loss's gradient by it goes
        forward.run()
        file, name, formula, _ = FORMULAS[type(layer)]
        station(file, name, formula, **({"W": p.W, "b": p.b} if hasattr(p, "W") else {}), y=y)
        back.insert(0, (layer, dy, g, backward))

    print("\nLOSS")
    z, dz = y, dy
    each, tape = loss.bind(z, t[None], dz)
    tape.run()
    station("losses.py", "SquaredError", "½ (z - t)², and its derivative dz = z - t", loss=each, dz=dz)
    share = (w / w.sum(axis=1, keepdims=True, dtype=float)).astype(DTYPE)
    np.multiply(dz, share[..., None], out=dz)
    station("training.py", "Step.run", "dz times w / Σw: the gradient of the weighted mean, 0 for a blind row", dz=dz)

    print("\nBACKWARD, last layer to first (d: the derivative of the loss by what follows)")
    for layer, dy, g, backward in back:
        backward.run()
        file, name, _, formula = FORMULAS[type(layer)]
        station(file, name, formula, **({"dy": dy, "dW": g.W, "db": g.b} if hasattr(g, "W") else {"dx": dy}))


def check(network, loss, parameters, gradient, data, rows):
    """Compare the walked gradient with that of one call, and one number of it with a finite difference."""
    again = np.full_like(gradient, np.nan)
    step = Step(network, loss, parameters, again, data, len(rows))
    step.load(rows)
    step.run()
    print(f"  the gradient is that of Step.run, all of the pass in one call: {np.array_equal(again, gradient)}")

    # in double precision, for the difference of nearly equal losses has few digits
    table, targets = Table(data.table.X.astype(float), ones=True), Targets(data.targets.values.astype(float))
    nudged, h, losses = parameters.astype(float), 1e-5, []
    step = Step(network, loss, nudged, again.astype(float), Data(table, targets, data.weight.astype(float)), len(rows))
    step.load(rows)
    begin, end = network.layout.spans[0, "W"]  # of the first layer, to which the way back is longest
    entry = begin + int(np.abs(gradient[0, begin:end]).argmax())
    for move in (h, -2 * h):
        nudged[0, entry] += move
        losses.append(step.forward()[0] / step.total()[0])
    difference = (losses[0] - losses[1]) / (2 * h)
    print(f"  (loss(W + h) - loss(W - h)) / 2h = {difference:.6g}, and backward says dW = {gradient[0, entry]:.6g}")


@one_blas_thread()  # as fit does: the last bits of a product depend on the number of threads
def main():
    """Walk one batch, and check the walk."""
    X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    X, y, rng = X.astype({"sex": "category"}), y.to_numpy(), np.random.RandomState(0)
    print(f"INPUT: {len(X)} patients, {X.shape[1]} columns as they come (base.py: _start, _as_data)")
    encoder, table, targets, loss = encode(X, y)
    print("\nNETWORK (base.py: _start, _new_state, _deal)")
    network, parameters, weight = start(encoder, table, y, rng)

    data, order, size = Data(table, targets, weight), np.arange(len(y)), automatic_batch(len(y))
    rng.shuffle(order)
    first, second = order[:size], order[size : 2 * size]
    gradient, rate = np.empty_like(parameters), 0.04 * (size / 64) ** 0.5
    update = Adam(parameters, beta_1=0.9, beta_2=0.95).bind(parameters, gradient, network.layout.rates())
    step = Step(network, loss, parameters, gradient, data, size)
    step.load(first)
    step.run()
    update(rate, 1)
    print(
        f"\nA BATCH of {size} rows: the epoch's first has been stepped on, this is the second (training.py: Epoch.run)"
    )
    walk(network, loss, parameters, gradient, data, second)
    before = parameters.copy()
    update(rate, 2)
    print("\nUPDATE")
    what = (
        f"m ← β₁ m + (1 - β₁) g,  v ← β₂ v + (1 - β₂) g²,  p ← p - r m̂ / (√v̂ + ε);  r = {rate:.4f}, for W over √inputs"
    )
    station("optimizers.py", "Adam", what, g=gradient, p=before, new=parameters)

    print("\nCHECK")
    check(network, loss, before, gradient, data, second)
    # an estimator that stops after two steps: for the rest of its only epoch the rate is 0
    two = {"max_iter": 1, "refit": 0, "learning_rate": lambda progress: float(progress * len(y) < 1.5 * size)}
    model = ScratchMLPRegressor(random_state=0, **two).fit(X, y)
    layers = zip(network.dense(parameters), model.coefs_, model.intercepts_, strict=True)
    same = all(np.array_equal(p.W, W) and np.array_equal(p.b[:, 0], b) for p, W, b in layers)
    print(f"  the weights are those of ScratchMLPRegressor.fit after two steps, bit for bit: {same}")


if __name__ == "__main__":
    main()
