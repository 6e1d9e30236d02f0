"""Building a model: learn the encoding of a table, build the network, draw its parameters.

`LocalBackend` is how a fit reads its rows; `dask.backend.ClusterBackend` takes its place on a cluster.
"""

import copy
from dataclasses import replace
from typing import Any

import numpy as np

from ..encoding.categories import OneHot
from ..encoding.check_input import Rows, check_table, declared_categories
from ..encoding.columns import ColumnTable
from ..encoding.features import FeatureEncoder
from ..encoding.numeric import MissingFlags
from ..encoding.out_of_core import MemmapTable, StreamSample, sketch_memmap, transfer_weights
from ..encoding.targets import TargetEncoder
from ..encoding.times import Kind, looks_like_dates
from ..encoding.weights import Weights
from ..nn.losses import Loss
from ..nn.network import Network, build
from ..nn.tape import Array
from ..training.epoch import Epoch
from ..training.listeners import warn
from ..training.objective import Objective
from ..training.state import TrainingState
from ..training.threads import training_context
from .constraints import frozen, is_activation_pair
from .fitted import FittedNetwork
from .monotonic import column_directions, input_directions
from .plan import automatic_bins, automatic_dtype, hidden_sizes, pays_to_encode_lazily

__all__ = [
    "LocalBackend",
    "build_model",
    "build_network",
    "build_parameters",
    "follow_stream",
    "forget_unseen",
    "initial_parameters",
]

SAMPLE_ROWS = 256  # rows that the data-dependent initialisation uses


class LocalBackend:
    """How a fit reads its rows, which are in this process."""

    max_batch: int | None = None  # rows of a step that batch_size="auto" chooses at most; None: the usual rule
    epoch_type: type[Epoch] = Epoch

    def check_table(self, estimator: Any, X: Any, kinds: list[Kind] | None, reset: bool) -> Any:
        """Return X checked; set or compare the feature names of the estimator."""
        table = check_table(estimator, X, estimator.categorical_features, kinds, reset)
        if reset and isinstance(table, ColumnTable) and isinstance(estimator.categorical_features, str):
            _warn_of_dates_as_text(table)
        return table

    def statistics(self, rows: Rows) -> Any:
        """Return what the encoder learns from: the table, or a sketch of its columns."""
        return sketch_memmap(rows.data, rows.weight) if isinstance(rows.data, MemmapTable) else rows.data

    def objective(self, model: FittedNetwork, rows: Rows, dtype: Any) -> Objective:
        """Return the objective over these rows, encoded."""
        weight = None if rows.weight is None else rows.weight[None].astype(dtype)
        lazily = pays_to_encode_lazily(model.encoder, rows.data, dtype, *model.parameters.shape)
        table, targets = model.encode(rows.data, dtype, lazily), model.targets.encode(rows.values, dtype)
        return Objective(model.network, model.loss, table, targets, weight)

    def sample(self, model: FittedNetwork, objective: Objective, rows: Rows, chosen: Array, dtype: Any) -> Any:
        """Return the chosen rows, encoded in the precision of the network; the objective has the precision `dtype`."""
        return objective.sample(chosen) if dtype == model.dtype else model.encode(rows[chosen].data)

    def attributes(self) -> dict[str, Any]:
        """Return the fitted attributes that this backend adds to those of every fit."""
        return {}


def _warn_of_dates_as_text(table: ColumnTable) -> None:
    """Name the columns of categories that look like dates, if there are any."""
    columns = zip(table.names, table.values, table.kinds, strict=True)
    named = [name for name, values, kind in columns if kind == Kind(True) and looks_like_dates(values)]
    if named:
        warn(
            f"Dates as text count as categories: {', '.join(map(repr, named))}. To use them as dates, parse them "
            f"(pandas.read_csv(..., parse_dates={named}), or pandas.to_datetime). If they are categories, say so in "
            "categorical_features.",
            UserWarning,
        )


def build_model(
    estimator: Any, backend: LocalBackend, rows: Rows, targets: TargetEncoder, loss: Loss, incremental: bool
) -> FittedNetwork:
    """Learn the encoding of table and targets, and build the network; its parameters are still zero."""
    names = getattr(estimator, "feature_names_in_", None)
    n_features = estimator.n_features_in_
    names = [f"x{j}" for j in range(n_features)] if names is None else [str(name) for name in names]
    bins = 0
    if estimator.numeric_embedding is not None:
        n_numbers = n_features - sum([kind.is_category for kind in getattr(rows.data, "kinds", None) or []])
        bins = automatic_bins(len(rows), n_numbers) if isinstance(estimator.n_bins, str) else estimator.n_bins
    declared = declared_categories(rows.X) if incremental and isinstance(rows.data, ColumnTable) else []
    encoder = FeatureEncoder(estimator.scale_features, incremental, bins)
    monotone = any(column_directions(estimator, names, getattr(rows.data, "kinds", None)))
    encoder.fit(backend.statistics(rows), rows.weight, names, declared, monotone)
    targets = targets.fitted(rows.values, rows.weight, loss, incremental)
    network = build_network(estimator, encoder, targets.n_scores(loss))
    size = network.layout.size
    parameters = np.zeros((estimator.n_members, size), automatic_dtype(estimator, len(rows), size))
    return FittedNetwork(encoder, targets, network, loss, parameters, 1.0, build_parameters(estimator))


def build_network(estimator: Any, encoder: FeatureEncoder, n_outputs: int) -> Network:
    """Return the network that the hyper-parameters of `estimator` describe."""
    hidden = hidden_sizes(estimator)
    shared = isinstance(estimator.activation, str) or is_activation_pair(estimator.activation)
    return build(
        encoder.width,
        encoder.categories,
        hidden,
        n_outputs,
        [estimator.activation] * len(hidden) if shared else list(estimator.activation),
        bias=estimator.fit_intercept,
        dropout=float(estimator.dropout),
        init=estimator.init if isinstance(estimator.init, str) else "auto",
        ntk=estimator.parametrization == "ntk",
        n_bins=encoder.n_bins,
        directions=input_directions(estimator, encoder),
    )


def build_parameters(estimator: Any) -> dict[str, Any]:
    """Return the hyper-parameters that network and loss are built with."""
    return {name: copy.copy(getattr(estimator, name)) for name in frozen(type(estimator), "network", "loss")}


def initial_parameters(
    estimator: Any,
    backend: LocalBackend,
    model: FittedNetwork,
    objective: Objective,
    rows: Rows,
    dtype: Any,
    rng: np.random.RandomState,
) -> Array:
    """Draw the initial parameters (K, P), or take over those that the user gave as `init`."""
    parameters, sample, weight = model.parameters, None, None  # zeros: the training takes over the array
    with training_context():  # the bits must not depend on the number of threads
        if isinstance(estimator.init, str) and estimator.init == "data":
            n = len(rows)
            chosen = rng.choice(n, SAMPLE_ROWS, replace=False) if n > SAMPLE_ROWS else np.arange(n)
            sample = backend.sample(model, objective, rows, chosen, dtype)
            weight = None if rows.weight is None else rows.weight[chosen]
        model.network.initialise(parameters, rng, sample, weight)
    if not isinstance(estimator.init, str):
        model.network.assign(parameters, *estimator.init)
    model.network.layout.project(parameters)
    return parameters


def forget_unseen(model: FittedNetwork, objective: Objective, parameters: Array, folds: Array | None) -> None:
    """Zero the initial weights of categories and missing flags that do not occur in the rows a member trains on.

    Without this, a category that occurs only in the rows that a member holds out would have random weights in that
    member, and its out-of-fold scores would be noise.  With it, such a category counts as unknown, as at prediction.
    Embeddings start at zero and need no reset.
    """
    places = [model.encoder.place(MissingFlags), model.encoder.place(OneHot)]
    columns = np.concatenate([np.arange(place.start, place.stop) for place in places])
    if not len(columns):
        return
    n_folds = 1 if folds is None else int(folds.max()) + 1
    counts = objective.counts_by_fold(np.zeros(len(objective), int) if folds is None else folds, n_folds, columns)
    own = counts if folds is None else counts.sum(axis=0) - counts  # rows outside of each fold, (n_folds, columns)
    first_dense = model.network.dense(parameters)[0]
    weights = first_dense.W[:, columns]  # (K, columns, units)
    weights[own[np.arange(len(parameters)) % n_folds] == 0] = 0
    first_dense.W[:, columns] = weights


def follow_stream(model: FittedNetwork, state: TrainingState, rows: Rows) -> FittedNetwork:
    """Add rows to the sample of a stream; when it has grown enough, refit the scaling and adapt the weights to it."""
    encoder, targets = model.encoder, model.targets
    data, follows = rows.data, encoder.scale or encoder.n_bins
    numbers = encoder.number_columns(data) if follows and isinstance(data, np.ndarray | ColumnTable) else []
    target_columns = targets.stream_columns(rows.values)
    n_columns = len(numbers) + len(target_columns)
    stream = state.stream or StreamSample.empty(n_columns)
    if n_columns == 0 or stream.rows.shape[1] != n_columns:  # a sparse chunk among dense ones is left out
        return model
    weights = None if rows.weight is None else Weights(rows.weight, rows.weight_exponent)
    stream = stream.after([*numbers, *target_columns], weights)
    if stream.is_stale and state.stream:
        sample, weight, layers = stream.rows, stream.weight, model.network.dense(state.parameters)
        with training_context():
            if numbers:
                encoder = model.encoder.refitted(sample, weight)
                transfer_weights(model.encoder, encoder, sample, weight, layers[0])
                model.network.layout.project(state.parameters)  # the transfer keeps all signs, up to rounding
            if target_columns:
                targets = model.targets.refitted(sample[:, len(numbers) :], weight, model.loss)
                model.targets.transfer_weights(targets, model.loss, layers[-1])
    state.stream = stream.mark_used() if stream.is_stale else stream
    return replace(model, encoder=encoder, targets=targets)
