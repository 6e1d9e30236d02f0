"""Network: K multi-layer perceptrons of one shape, as a row of layers over one array of parameters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import activations
from .batch import SparseRows, Table
from .embedding import Embedding
from .layers import Activation, Dense, Dropout
from .parameters import Layout
from .tape import Calls, run

__all__ = ["Network", "Pass", "build"]

# Which start keeps the scale of signals through a layer, by what follows it; all others take Glorot's.
_AUTO_INIT = {
    **dict.fromkeys(("relu", "leaky_relu", "elu", "gelu", "silu", "mish", "softplus"), "he_uniform"),
    "selu": "lecun_normal",
}


@dataclass(frozen=True)
class Pass:
    """A network bound to the buffers of one batch shape."""

    z: np.ndarray  # raw scores (K, B, out)
    dz: Any  # their gradient, to be filled in by a loss; None in a pass without one
    forward: Calls
    backward: Calls


@dataclass(frozen=True)
class Network:
    """Layers and where their parameters lie; `parameters` (K, P) themselves are the caller's."""

    layers: Sequence[Any]
    layout: Layout

    def initialise(
        self,
        parameters: np.ndarray,
        rng: np.random.RandomState,
        table: Table | None = None,
        weight: np.ndarray | None = None,
    ) -> None:
        """Draw all parameters, member after member, so that the first member is the lone network.

        With a `table` of some rows, and their weights (R,), hidden layers start as these rows suggest.
        """
        for member in parameters:
            views = self.layout.views(member[None])
            for layer, p in zip(self.layers, views, strict=True):
                layer.initialise(p, rng)
            if table is not None:
                self._settle(views, rng, table, np.ones(len(table)) if weight is None else weight)

    def _settle(self, views: list[Any], rng: np.random.RandomState, table: Table, weight: np.ndarray) -> None:
        """Run the rows of `table` through a lone member, layer by layer, and fit each hidden layer's start to them."""
        x: Any = _input(table.as_batch())
        for layer, p in zip(self.layers[:-1], views, strict=False):
            y, _, forward, _ = layer.bind(p, None, x, None)
            run(forward)
            if isinstance(layer, Dense):
                layer.settle(p, y, weight, rng)
                run(forward)
            x = y

    def bind(
        self,
        parameters: np.ndarray,
        gradient: np.ndarray | None,
        batch: Table,
        rng: Callable[[], np.random.Generator] | None = None,
    ) -> Pass:
        """Prepare the calls of a batch; `gradient` and `rng` are None for prediction."""
        p = self.layout.views(parameters)
        g = [None] * len(p) if gradient is None else self.layout.views(gradient)
        x, dx = _input(batch), None
        forwards: Calls = []
        backwards: Calls = []
        for layer, p_layer, g_layer in zip(self.layers, p, g, strict=True):
            x, dx, forward, backward = layer.bind(p_layer, g_layer, x, dx, rng)
            forwards = forwards + forward
            backwards = backward + backwards
        return Pass(x, dx, forwards, backwards)

    def scores(
        self, parameters: np.ndarray, table: Table, rows: np.ndarray | None = None, chunk: int = 1024
    ) -> np.ndarray:
        """Raw scores (K, n, out) of all rows or of those numbered `rows`.

        `chunk` rows at a time, so that the hidden layers stay in the cache.
        """
        n = len(table) if rows is None else len(rows)
        if rows is None and n <= chunk:
            bound = self.bind(parameters, None, table.as_batch())
            run(bound.forward)
            return bound.z
        z = np.empty((len(parameters), n, self.layers[-1].n_out), parameters.dtype)
        size = 0
        for start in range(0, n, chunk):
            stop = min(start + chunk, n)
            if stop - start != size:  # the first chunk, and the last if it is smaller
                size = stop - start
                batch = table.buffer(size)
                bound = self.bind(parameters, None, batch)
            if rows is None:
                table.load(start, stop, batch)
            else:
                table.gather(rows[start:stop], batch)
            run(bound.forward)
            z[:, start:stop] = bound.z
        return z

    def assign(self, parameters: np.ndarray, coefs: Sequence[Any], intercepts: Sequence[Any]) -> None:
        """Copy given weights (n_in, n_out) and biases (n_out,), or (K, ...) for each member, into `parameters`.

        Raises ValueError, naming the array, where one does not fit.
        """
        layers = self.dense(parameters)
        biased = bool(layers) and hasattr(layers[0], "b")
        for what, arrays in (("coefs", coefs), ("intercepts", intercepts)):
            if what == "intercepts" and not biased:
                continue
            if len(arrays) != len(layers):
                raise ValueError(f"init gives {len(arrays)} {what} for the {len(layers)} layers of the network.")
            for i, (layer, given) in enumerate(zip(layers, arrays, strict=True)):
                place = layer.W if what == "coefs" else layer.b[:, 0]
                try:
                    given = np.asarray(given, dtype=float)
                except (TypeError, ValueError) as error:
                    raise ValueError(f"init gives {what}[{i}], which must be an array of numbers: {error}") from error
                if not np.isfinite(given).all():
                    raise ValueError(f"init gives {what}[{i}], which holds NaN or infinity.")
                if given.shape not in (place.shape, place.shape[1:]):
                    raise ValueError(
                        f"init gives {what}[{i}] the shape {given.shape}; it must be {place.shape[1:]}, or "
                        f"{place.shape} to give each member its own."
                    )
                place[...] = given

    def dense(self, array: np.ndarray) -> list[Any]:
        """The views of the Dense layers alone, first to last: W (K, n_in, n_out) and b (K, 1, n_out)."""
        return [p for layer, p in zip(self.layers, self.layout.views(array), strict=True) if isinstance(layer, Dense)]


def _input(batch: Table) -> Any:
    """What the first layer takes of a batch: its block (1, B, d), its sparse rows, or all of it for an embedding."""
    if batch.codes is not None:
        return batch
    return batch.X if isinstance(batch.X, SparseRows) else batch.X[None]


def build(
    n_numeric: int,
    categories: tuple[int, ...],
    hidden: Sequence[int],
    n_out: int,
    functions: Sequence[str | tuple[Callable, Callable]],
    *,
    bias: bool = True,
    dropout: float = 0.0,
    init: str = "auto",
    ntk: bool = False,
    n_bins: int = 0,
) -> Network:
    """Embedding (if any category is large) → [Dense → Activation → Dropout] for each hidden size → Dense.

    The first `n_bins` of the `n_numeric` columns are bins, a kind of input of their own.
    """
    layers: list[Any] = []
    width = n_numeric
    if categories:
        layers.append(Embedding(n_numeric, categories))
        width = layers[0].n_out
    blocks = (n_bins, width - n_bins) if n_bins else ()
    for n_units, function in zip(hidden, functions, strict=True):
        layers.append(Dense(width, n_units, bias, *_start(init, function), ntk=ntk, blocks=blocks))
        named = activations.ACTIVATIONS[function] if isinstance(function, str) else activations.Pair(*function)
        layers.append(Activation(named))
        if dropout:
            layers.append(Dropout(dropout))
        width, blocks = n_units, ()
    # The output layer has no activation of its own to suit; scikit-learn gives it the hidden layers' bound
    start = ("zeros", 1.0) if init == "data" else _start(init, functions[-1] if functions and init != "auto" else "")
    layers.append(Dense(width, n_out, bias, *start, ntk=ntk, blocks=blocks))
    return Network(tuple(layers), Layout([tuple(layer.slots()) for layer in layers]))


def _start(init: str, function: str | tuple) -> tuple[str, float]:
    """Initialiser and gain of a layer that `function` follows."""
    if init == "data":
        return "lecun_normal", 1.0
    if init == "auto":
        init = _AUTO_INIT.get(function, "glorot_uniform") if isinstance(function, str) else "glorot_uniform"
    # Glorot's bound suits functions of slope 1 at zero; scikit-learn narrows it for the logistic function
    return init, 3**-0.5 if init.startswith("glorot") and function == "logistic" else 1.0
