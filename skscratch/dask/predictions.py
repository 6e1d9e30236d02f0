"""Lazy predictions: the Dask Array of what an ordinary estimator predicts for each partition of a Dask collection."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..encoding.check_input import check_names
from ..estimators.base import ScratchMLP
from ..estimators.check import table_to_predict
from ..estimators.scoring import with_known_scores
from ..nn.tape import Array
from .partitions import partitions

__all__ = [
    "hidden_outputs_of",
    "map_partitions",
    "no_hidden_outputs",
    "no_predictions",
    "no_scores",
    "raw_scores_of",
]

TEXT_OR_OBJECTS = "OUS"  # kinds of dtypes whose values decide whether a column is accepted, not the dtype


def raw_scores_of(local: ScratchMLP, X: Any) -> Array:
    """Return the raw scores (n, out) of a partition."""
    return local.fitted_.raw_scores(table_to_predict(local, X))


def hidden_outputs_of(local: ScratchMLP, X: Any) -> Array:
    """Return the outputs of the last hidden layer (n, K * width) for a partition."""
    return local.fitted_.hidden_outputs(table_to_predict(local, X))


def no_hidden_outputs(local: ScratchMLP) -> Array:
    """Return the outputs of the last hidden layer (0, K * width) for no rows."""
    return np.empty((0, len(local.get_feature_names_out())))


def no_scores(local: ScratchMLP) -> Array:
    """Return the raw scores (0, out) of no rows."""
    return _zero_scores(local)[:0]


def no_predictions(local: ScratchMLP, method: str) -> Array:
    """Return what a method of a fitted estimator returns for no rows."""
    row = np.zeros((1, 1))
    predict = getattr(with_known_scores(local, row, _zero_scores(local)), method)
    predicted: Array = predict(row)
    return predicted[:0]


def _zero_scores(local: ScratchMLP) -> Array:
    model = local.fitted_
    return np.zeros((1, model.targets.n_scores(model.loss)))


def map_partitions(local: ScratchMLP, function: Callable[[Any], Array], empty: Array, X: Any) -> Any:
    """Return the Dask Array that `function` makes of the partitions of a Dask collection.

    Parameters
    ----------
    local : ScratchMLP
        Fitted estimator, which checks the columns of X.
    function : callable
    empty : ndarray
        What `function` returns for no rows.
    X : Dask Array or Dask DataFrame
    """
    partitions(X)  # raises TypeError for other collections
    if hasattr(X, "chunks"):
        if X.ndim == 2 and X.numblocks[1] > 1:
            X = X.rechunk({1: -1})
        if X.ndim == 2 and X.dtype.kind in TEXT_OR_OBJECTS:
            check_names(local, np.empty(X.shape[1:], X.dtype)[None], reset=False)
        else:
            raw_scores_of(local, np.zeros((1, *X.shape[1:]), X.dtype))
        mapped = partial(_array_of_partition, function, empty)
        if empty.ndim == 1:
            return X.map_blocks(mapped, dtype=empty.dtype, drop_axis=1, meta=empty)
        return X.map_blocks(mapped, dtype=empty.dtype, chunks=(X.chunks[0], empty.shape[1:]), meta=empty)
    _check_frame(local, X._meta)
    mapped = partial(_frame_of_partition, function, empty)
    return X.map_partitions(mapped, meta=mapped(X._meta)).to_dask_array()


def _check_frame(local: ScratchMLP, meta: Any) -> None:
    """Raise the error of rows with these columns, as far as the dtypes in `meta` decide it."""
    from dask.dataframe.utils import meta_nonempty

    if meta.ndim == 1 or all(getattr(dtype, "kind", "O") not in TEXT_OR_OBJECTS for dtype in meta.dtypes):
        raw_scores_of(local, meta_nonempty(meta))
    else:
        check_names(local, meta, reset=False)


def _array_of_partition(function: Callable[[Any], Array], empty: Array, part: Any) -> Array:
    return function(part) if part.shape[0] else empty


def _frame_of_partition(function: Callable[[Any], Array], empty: Array, part: Any) -> Any:
    import pandas as pd

    array = _array_of_partition(function, empty, part)
    return pd.Series(array, index=part.index) if array.ndim == 1 else pd.DataFrame(array, index=part.index)
