"""One vector and recorded calls: what each of them saves in a step, for the course "Under the hood".

::

    python -m benchmarks.recorded_calls [--runs 2000]

Both sides of a line do the same arithmetic on the same arrays, in one thread and in turns; the times are medians.  "one
vector" compares Adam on one array with Adam on one array for each W and b.  "recorded calls" compares a tape of a layer
and its backward pass with the same NumPy expressions, which make new arrays.  The file ``results/recorded_calls.csv``
has microseconds and their ratio.
"""

import argparse
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from benchmarks.measure import RESULTS, interleaved
from skscratch.nn.activations import ACTIVATIONS
from skscratch.nn.layers import Activation, Dense
from skscratch.nn.network import build
from skscratch.nn.tape import Tape
from skscratch.training.optimizers import Adam

K, B = 5, 32  # members, rows of a batch
FLOAT = np.dtype("float32")


def optimizer(hidden: list[int]) -> dict[str, Callable[[], object]]:
    """Return the update of a network with 73 inputs: one call, and one for each of its arrays."""
    layout = build(n_numeric=73, categories=(), hidden=hidden, n_out=1, functions=["silu"] * len(hidden)).layout
    rng = np.random.RandomState(0)
    p, g = (rng.normal(size=(K, layout.size)).astype(FLOAT) for _ in range(2))
    whole = Adam(p).bind(p, g)
    parts = []
    for start, stop in layout.spans.values():
        own, gradient = p[:, start:stop].copy(), g[:, start:stop].copy()
        parts.append(Adam(own).bind(own, gradient))
    return {"with": lambda: whole(0.001, 1), "without": lambda: [part(0.001, 1) for part in parts]}


def layer(n: int, m: int) -> dict[str, Callable[[], object]]:
    """Return a layer with SiLU, forward and backward: by a tape, and as expressions."""
    rng = np.random.RandomState(0)
    x, W, b, dh = (rng.normal(size=s).astype(FLOAT) for s in ((K, B, n), (K, n, m), (K, 1, m), (K, B, m)))
    parameters = SimpleNamespace(W=W, b=b)
    gradient = SimpleNamespace(W=np.empty_like(W), b=np.empty_like(b))
    y, dy, forward, backward = Dense(n_in=n, n_out=m).bind(parameters, gradient, x, np.empty_like(x))
    _, into, activate, back = Activation(ACTIVATIONS["silu"]).bind(None, None, y, dy)
    load = Tape()
    load.append(partial(np.copyto, into, dh))  # from the layer behind; the backward pass overwrites it
    tape = forward + activate + load + back + backward

    def expressions() -> tuple[np.ndarray, ...]:
        y = x @ W + b
        sigma = 0.5 * (1 + np.tanh(0.5 * y))
        h = y * sigma
        dy = dh * (sigma + h * (1 - sigma))
        return h, x.swapaxes(1, 2) @ dy, dy.sum(axis=1, keepdims=True), dy @ W.swapaxes(1, 2)

    tape.run()
    for ours, expected in zip((y, gradient.W, gradient.b), expressions()[:3], strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-3)  # single precision
    return {"with": tape.run, "without": expressions}


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description="What one vector and recorded calls save.")
    parser.add_argument("--runs", type=int, default=2000, help="rounds of each comparison")
    runs = parser.parse_args().runs
    cases = {
        ("one vector", "Adam, hidden layers (64, 64)"): optimizer([64, 64]),
        ("one vector", "Adam, hidden layers (16, 16, 16, 16)"): optimizer([16] * 4),
        ("recorded calls", "10 inputs, 16 units"): layer(10, 16),
        ("recorded calls", "73 inputs, 64 units"): layer(73, 64),
    }
    lines = []
    with threadpool_limits(1):
        for (what, case), sides in cases.items():
            taken = interleaved(sides, runs)
            line = {"what": what, "case": case, **{f"{side} us": 1e6 * taken[side] for side in ("with", "without")}}
            lines.append(line | {"ratio": taken["without"] / taken["with"]})
    frame = pd.DataFrame(lines)
    print(frame.round(2).to_string(index=False))
    frame.to_csv(RESULTS / "recorded_calls.csv", index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
