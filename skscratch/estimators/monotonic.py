"""Monotonic constraints: from the hyper-parameter `monotonic_cst` to a direction for each input of the network."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..encoding.bins import Bins
from ..encoding.features import FeatureEncoder
from ..encoding.numeric import Numbers
from ..encoding.times import DURATIONS, Kind

__all__ = ["column_directions", "input_directions"]


def input_directions(estimator: Any, encoder: FeatureEncoder) -> tuple[int, ...]:
    """Return 1, -1 or 0 for each column of the encoded table; empty if no column is constrained.

    Components of bins and scaled numbers rise with their column.  The flag of a missing value has no constraint:
    nothing says whether a missing number is larger or smaller than another.
    """
    of_columns = np.array(column_directions(estimator, encoder.feature_names, encoder.kinds))
    if not of_columns.any():
        return ()
    directions = np.zeros(encoder.width, dtype=int)
    directions[encoder.place(Bins)] = of_columns[encoder.block(Bins).sources()]
    directions[encoder.place(Numbers)] = of_columns[encoder.block(Numbers).sources()]
    return tuple(directions.tolist())


def column_directions(estimator: Any, names: Sequence[str], kinds: Sequence[Kind] | None) -> list[int]:
    """Return 1, -1 or 0 for each column of the raw table, as `monotonic_cst` says.

    Parameters
    ----------
    estimator : ScratchMLP
    names : sequence of str
        Names of the columns.
    kinds : sequence of Kind, or None
        What each column holds; None if all are numbers.

    Raises
    ------
    ValueError
        If `monotonic_cst` has another length, unknown names or other values, or constrains a category or a date.
    """
    given = estimator.monotonic_cst
    if given is None:
        return [0] * len(names)
    if isinstance(given, dict):
        if not hasattr(estimator, "feature_names_in_"):
            raise ValueError(
                f"{type(estimator).__name__} was not fitted on data with feature names. Pass monotonic_cst as an "
                "integer array instead."
            )
        unknown = sorted(set(given) - set(names), key=str)
        if unknown:
            shown = unknown if len(unknown) <= 5 else [*unknown[:5], "..."]
            raise ValueError(f"monotonic_cst contains {len(unknown)} unexpected feature names: {shown}.")
        for name, value in given.items():
            if not _is_direction(value):
                raise ValueError(f"monotonic_cst[{name!r}] must be either -1, 0 or 1. Got {value!r}.")
        values = [given.get(name, 0) for name in names]
    else:
        array = np.asarray(given)
        if array.shape != (len(names),):
            raise ValueError(f"monotonic_cst has shape {array.shape} but the input data X has {len(names)} features.")
        values = array.tolist()
        others = [value for value in values if not _is_direction(value)]
        if others:
            raise ValueError(f"monotonic_cst must be an array-like of -1, 0 or 1. Observed values: {others}.")
    constrained = [
        (name, kind) for name, value, kind in zip(names, values, kinds or [Kind()] * len(names), strict=True) if value
    ]
    if categories := [name for name, kind in constrained if kind.is_category]:
        raise ValueError(f"Categorical features cannot have monotonic constraints: {categories}.")
    if dates := [name for name, kind in constrained if kind.is_time and kind.times != DURATIONS]:
        raise ValueError(
            f"Dates and times of day cannot have monotonic constraints, because parts of them recur: {dates}. Convert "
            "them to numbers, such as days since a date."
        )
    return [int(value) for value in values]


def _is_direction(value: Any) -> bool:
    try:
        return bool(value in (-1, 0, 1))
    except (TypeError, ValueError):
        return False
