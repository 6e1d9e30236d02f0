"""Network: K multi-layer perceptrons of one shape, as a sequence of layers over one array of parameters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .activations import ACTIVATIONS, ActivationFunction, CustomActivation
from .batch import SparseRows, Table
from .embedding import Embedding
from .initializers import initialise_from_data
from .layers import Activation, Dense, Dropout, Layer
from .monotone import never_falling, unit_directions
from .parameters import Layout
from .tape import Array, Tape

__all__ = ["BoundNetwork", "Network", "build", "first_input"]

UserFunction = tuple[Callable[[Array], Array], Callable[[Array], Array]]


@dataclass(frozen=True)
class BoundNetwork:
    """A network bound to the buffers of one batch shape.

    Attributes
    ----------
    z : ndarray of shape (K, B, out)
        Raw scores.
    dz : ndarray of shape (K, B, out), or None
        Buffer for the loss's gradient with respect to z; None for prediction.
    forward, backward : Tape
        `forward` computes z; `backward` computes the gradient of all parameters from dz.
    """

    z: Array
    dz: Any
    forward: Tape
    backward: Tape


@dataclass(frozen=True)
class Network:
    """Layers, and the layout of their parameters; the array of parameters (K, P) itself belongs to the caller.

    Examples
    --------
    >>> network = build(n_numeric=3, categories=(), hidden=[4], n_out=2, functions=["relu"])
    >>> parameters = np.zeros((5, network.layout.size))  # K = 5 members of P = 3·4 + 4 + 4·2 + 2 values
    >>> parameters.shape, network.scores(parameters, Table(np.ones((7, 3)))).shape
    ((5, 26), (5, 7, 2))
    """

    layers: tuple[Layer, ...]
    layout: Layout

    @property
    def n_out(self) -> int:
        """Number of raw scores of a row."""
        last = self.layers[-1]
        assert isinstance(last, Dense)
        return last.n_out

    @property
    def random(self) -> bool:
        """Whether a training step draws random numbers."""
        for layer in self.layers:
            if layer.random:
                return True
        return False

    @property
    def n_hidden(self) -> int:
        """Number of units of the last hidden layer; 0 without hidden layers."""
        last = self.layers[-1]
        assert isinstance(last, Dense)
        return last.n_in if any(isinstance(layer, Activation) for layer in self.layers) else 0

    def bind(
        self,
        parameters: Array,
        gradient: Array | None,
        batch: Table,
        rng: np.random.Generator | None = None,
        n_layers: int | None = None,
    ) -> BoundNetwork:
        """Record the passes for the buffers of `batch`.

        Parameters
        ----------
        parameters : ndarray of shape (K, P)
        gradient : ndarray of shape (K, P), or None
            None for prediction.
        batch : Table
        rng : Generator or None
            Source of dropout masks; None for prediction.
        n_layers : int or None
            Number of layers to pass through, by default all; z is the output of the last of them.
        """
        p = self.layout.views(parameters)
        g = [None] * len(p) if gradient is None else self.layout.views(gradient)
        y, dy = first_input(batch), None
        forward, backward = Tape(), Tape()
        for i, layer in enumerate(self.layers[:n_layers]):
            y, dy, layer_forward, layer_backward = layer.bind(p[i], g[i], y, dy, rng)
            forward += layer_forward  # first layer to last
            backward[:0] = layer_backward  # last layer to first
        return BoundNetwork(y, dy, forward, backward)

    def scores(self, parameters: Array, table: Table, rows: Array | None = None, chunk: int = 1024) -> Array:
        """Raw scores (K, n, out) of all rows of `table`, or of the rows with the indices `rows`.

        Rows are taken `chunk` at a time, so that the outputs of hidden layers stay in the cache.
        """
        return self._outputs(parameters, table, rows, chunk, len(self.layers), self.n_out)

    def hidden(self, parameters: Array, table: Table, chunk: int = 1024) -> Array:
        """Outputs (K, n, n_hidden) of the last hidden layer for all rows of `table`; there must be one."""
        return self._outputs(parameters, table, None, chunk, len(self.layers) - 1, self.n_hidden)

    def _outputs(
        self, parameters: Array, table: Table, rows: Array | None, chunk: int, n_layers: int, width: int
    ) -> Array:
        """Outputs (K, n, width) of the first `n_layers` layers."""
        n = len(table) if rows is None else len(rows)
        if rows is None and n <= chunk:
            bound: Any = self.bind(parameters, None, table.as_batch(), None, n_layers)
            bound.forward.run()
            return np.asarray(bound.z)
        z = np.empty((len(parameters), n, width), parameters.dtype)
        size, bound = 0, None
        for start in range(0, n, chunk):
            stop = min(start + chunk, n)
            if stop - start != size:  # the first chunk, and the last if it is smaller
                size, bound = stop - start, None  # the buffers of the first chunk make room for those of the last
                batch = table.buffer(size)
                bound = self.bind(parameters, None, batch, None, n_layers)
            if rows is None:
                table.load(start, stop, batch)
            else:
                table.gather(rows[start:stop], batch)
            bound.forward.run()
            z[:, start:stop] = bound.z
        return z

    def dense(self, array: Array) -> list[Any]:
        """The views of the Dense layers alone, first to last: W (K, n_in, n_out) and b (K, 1, n_out)."""
        views = self.layout.views(array)
        return [views[i] for i, layer in enumerate(self.layers) if isinstance(layer, Dense)]

    # ------------------------------------------------------------------ initial parameters

    def initialise(
        self, parameters: Array, rng: np.random.RandomState, table: Table | None = None, weight: Array | None = None
    ) -> None:
        """Draw all parameters, member after member; so the first member is what a single network would be.

        Parameters
        ----------
        parameters : ndarray of shape (K, P)
        rng : RandomState
        table : Table, optional
            R rows that the hidden layers are fitted to: the data-dependent initialisation.
        weight : ndarray of shape (R,), optional
            Weights of these rows.
        """
        member = np.empty_like(parameters[:1])  # (1, P), a buffer to which the layers are bound once
        views = self.layout.views(member)
        hidden = [] if table is None else self._bind_hidden(views, table)
        for row in parameters:
            for layer, p in zip(self.layers, views, strict=True):
                layer.initialise(p, rng)
            for p, y, forward in hidden:
                forward.run()
                initialise_from_data(p, y, weight, rng)
            row[...] = member[0]

    def _bind_hidden(self, views: list[Any], table: Table) -> list[tuple[Any, Array, Tape]]:
        """For each Dense layer but the last: its parameters, its output for the rows of `table`, and its tape.

        A tape begins with the Dense layer before, whose parameters have changed since they were last used.
        """
        y, tape, hidden = first_input(table.as_batch()), Tape(), []
        for layer, p in zip(self.layers[:-1], views[:-1], strict=True):
            y, _, forward, _ = layer.bind(p, None, y, None)
            tape += forward
            if isinstance(layer, Dense):
                hidden.append((p, y, tape))
                tape = Tape(forward)
        return hidden

    def assign(self, parameters: Array, coefs: Sequence[Any], intercepts: Sequence[Any]) -> None:
        """Copy given weights (n_in, n_out) and biases (n_out,), or (K, ...) for each member, into `parameters`.

        Raises ValueError with the name of the array that does not fit.
        """
        layers = self.dense(parameters)
        _assign("coefs", coefs, [p.W for p in layers])
        if hasattr(layers[0], "b"):
            _assign("intercepts", intercepts, [p.b[:, 0] for p in layers])


def _assign(what: str, arrays: Sequence[Any], views: Sequence[Array]) -> None:
    if len(arrays) != len(views):
        raise ValueError(f"init gives {len(arrays)} {what} for the {len(views)} layers of the network.")
    for i, (view, given) in enumerate(zip(views, arrays, strict=True)):
        try:
            given = np.asarray(given, dtype=float)
        except (TypeError, ValueError) as error:
            raise ValueError(f"init gives {what}[{i}], which must be an array of numbers: {error}") from error
        if not np.isfinite(given).all():
            raise ValueError(f"init gives {what}[{i}], which holds NaN or infinity.")
        if given.shape not in (view.shape, view.shape[1:]):
            raise ValueError(
                f"init gives {what}[{i}] the shape {given.shape}; it must be {view.shape[1:]}, or {view.shape} to give "
                "each member its own."
            )
        view[...] = given


def first_input(batch: Table) -> Any:
    """Return the first layer's input: the block (1, B, d), the sparse rows, or the whole batch for an Embedding."""
    if batch.codes is not None:
        return batch
    return batch.X if isinstance(batch.X, SparseRows) else batch.X[None]


def build(
    n_numeric: int,
    categories: tuple[int, ...],
    hidden: Sequence[int],
    n_out: int,
    functions: Sequence[str | UserFunction],
    *,
    bias: bool = True,
    dropout: float = 0.0,
    init: str = "auto",
    ntk: bool = False,
    n_bins: int = 0,
    directions: Sequence[int] = (),
) -> Network:
    """Build Embedding (if any category is large) → [Dense → Activation → Dropout] for each hidden size → Dense.

    Parameters
    ----------
    n_numeric : int
        Width of the numeric block.
    categories : tuple of int
        Number of categories of each column with a learned embedding.
    hidden : sequence of int
        Units of each hidden layer.
    n_out : int
        Number of raw scores.
    functions : sequence of str or (function, derivative)
        Activation of each hidden layer.
    bias, dropout, ntk
        See `Dense` and `Dropout`.
    init : str
        Name of an initialiser; "auto" for the one that suits each activation; "data" for the distribution that the
        data-dependent initialisation starts from.
    n_bins : int
        Number of columns, the first of the numeric block, that are bins: an input group of their own.
    directions : sequence of int
        1 for each column of the numeric block that all raw scores must rise with, -1 for each that they must fall with,
        0 for the others; empty if no column is constrained.

    Raises
    ------
    ValueError
        If a column is constrained, and an activation is a pair of functions.
    """
    layers: list[Layer] = []
    width = n_numeric
    if categories:
        embedding = Embedding(n_numeric, categories)
        layers.append(embedding)
        width = embedding.n_out
    groups = (n_bins, width - n_bins) if n_bins else ()
    inputs = (*directions, *[0] * (width - n_numeric)) if any(directions) else ()
    activation: ActivationFunction | CustomActivation = ACTIVATIONS["identity"]
    for n_units, function in zip(hidden, functions, strict=True):
        activation = ACTIVATIONS[function] if isinstance(function, str) else CustomActivation(*function)
        activation = never_falling(activation) if inputs else activation
        units = unit_directions(n_units, inputs)
        between = (inputs, units) if units else None
        layers.append(Dense(width, n_units, bias, *_initializer(init, activation), groups, ntk, between))
        layers.append(Activation(activation))
        if dropout:
            layers.append(Dropout(dropout))
        width, groups, inputs = n_units, (), units
    if init == "data":
        initializer = "zeros", 1.0
    else:  # no activation follows the output layer; under a named initialiser it gets the hidden layers' gain
        initializer = _initializer(init, ACTIVATIONS["identity"] if init == "auto" else activation)
    between = (inputs, (1,) * n_out) if inputs else None
    layers.append(Dense(width, n_out, bias, *initializer, groups, ntk, between))
    return Network(tuple(layers), Layout([layer.slots() for layer in layers]))


def _initializer(init: str, activation: ActivationFunction | CustomActivation) -> tuple[str, float]:
    """Name of the initialiser, and its gain, of a layer that `activation` follows."""
    if init == "data":
        return "lecun_normal", 1.0
    name = activation.initializer if init == "auto" else init
    return name, activation.glorot_gain if name.startswith("glorot") else 1.0
