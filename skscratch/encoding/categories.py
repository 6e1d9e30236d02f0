"""Category columns: their codes, and the block of one-hot columns.

The k-th category of a column, in sorted order, has the code k + 1; a missing or unknown category has the code 0.  A
column of few categories becomes one-hot columns; the codes of a column of many categories go to a learned embedding.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from ..nn.tape import Array
from .columns import RawTable
from .numeric import CLIP_LIMIT

__all__ = ["MAX_ONE_HOT", "ONE_HOT_VALUE", "OneHot", "Vocabulary"]

# A column of more categories has a learned embedding.  On 30 tables with categories, with two seeds, a limit of 10 in
# place of 50 lowers the loss by 2 % (geometric mean; standard error 2 %) and lengthens a fit by a tenth; 5 lowers it by
# 4 % and takes 1.7 times as long.
MAX_ONE_HOT = 10
MAX_ONE_HOT_IN_0_1_0 = 50  # whose files do not state it
# a rare 0/1 column has the median 0 and the half range 1/2: its ones are scaled to u = 2, and clipped smoothly
ONE_HOT_VALUE = 2 / (1 + (2 / CLIP_LIMIT) ** 2) ** 0.5


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The categories of each category column.

    Attributes
    ----------
    columns : ndarray of int, shape (c,)
        Which columns of the raw table are categories.
    values : list of ndarray of objects
        Categories of each of these columns, sorted.
    max_one_hot : int
        Largest number of categories of a column that becomes one-hot columns.
    """

    columns: Array
    values: list[Array]
    max_one_hot: int = MAX_ONE_HOT

    @classmethod
    def learn(cls, data: Sequence[Array], columns: Array, declared: Sequence[Sequence[Any]] = ()) -> Self:
        """Collect the categories that occur in `data`, a column (n,) each, or that are declared for the column."""
        values = []
        for i, column in enumerate(data):
            present = set(column.tolist()).union(declared[i] if declared else ())
            present.discard(None)
            values.append(_objects(_in_order(present)))
        return cls(columns, values)

    @cached_property
    def counts(self) -> Array:
        """Number of categories of each column, (c,)."""
        return np.array([len(values) for values in self.values], dtype=int)

    @cached_property
    def is_embedded(self) -> Array:
        """Which columns have a learned embedding, (c,)."""
        return self.counts > self.max_one_hot

    def codes(self, data: Sequence[Array], names: Sequence[str] = ()) -> Array:
        """Codes (n, c) of category columns (n,), as int32; `names` are those of the raw table's columns."""
        import pandas as pd

        codes = np.empty((len(data[0]), len(self.values)), np.int32)
        for i, (values, column) in enumerate(zip(self.values, data, strict=True)):
            _check_type(values, column, f"Column {names[self.columns[i]]!r}" if names else "A column of categories")
            codes[:, i] = pd.Index(values, dtype=object).get_indexer(pd.Index(column, dtype=object))  # -1: unknown
        codes += 1
        return codes

    def to_state(self) -> dict[str, Any]:
        """The categories as a dictionary of lists."""
        values = [_plain(values) for values in self.values]
        return {"columns": self.columns, "values": values, "max_one_hot": self.max_one_hot}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The vocabulary that `to_state` described."""
        values = [_objects(values) for values in state["values"]]
        return cls(state["columns"], values, state.get("max_one_hot", MAX_ONE_HOT_IN_0_1_0))

    def __getstate__(self) -> dict[str, Any]:
        return {"columns": self.columns, "values": self.values, "max_one_hot": self.max_one_hot}


@dataclass(frozen=True, eq=False)
class OneHot:
    """A column per category: `value` where a row is of that category, else 0.

    Attributes
    ----------
    vocabulary : Vocabulary
        Of all category columns; the block contains those that have no learned embedding.
    value : float
    """

    vocabulary: Vocabulary
    value: float

    @cached_property
    def positions(self) -> Array:
        """Positions of the block's columns among the category columns."""
        return np.flatnonzero(~self.vocabulary.is_embedded)

    @cached_property
    def starts(self) -> Array:
        """The encoded column at which each of the block's columns begins; after them, the width."""
        return np.append(0, np.cumsum(self.vocabulary.counts[self.positions]))

    @cached_property
    def width(self) -> int:
        """Number of encoded columns."""
        return int(self.starts[-1])

    def names(self, feature_names: Sequence[str]) -> list[str]:
        """Name of each encoded column."""
        columns, values = self.vocabulary.columns, self.vocabulary.values
        return [f"{feature_names[columns[i]]}={value}" for i in self.positions for value in values[i]]

    def sources(self) -> Array:
        """Column of the raw table that each encoded column comes from."""
        return np.repeat(self.vocabulary.columns[self.positions], self.vocabulary.counts[self.positions])

    def write(self, table: RawTable, out: Array) -> None:
        """Write the one-hot columns (n, width) into `out`."""
        out[...] = 0
        if table.codes is not None:
            codes = table.codes.take(self.positions, 1)
            row, column = np.nonzero(codes)
            out[row, self.starts[column] + codes[row, column] - 1] = self.value


def _objects(values: Sequence[Any]) -> Array:
    """A 1-D array of objects."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _plain(values: Array) -> list[Any]:
    """The categories as a list of Python's own strings and numbers."""
    return [value.item() if isinstance(value, np.generic) else value for value in values]


def _in_order(values: Collection[Any]) -> list[Any]:
    """The values in an order that does not depend on the order of the rows."""
    try:
        return sorted(values, key=lambda value: (type(value).__name__, value))
    except TypeError:  # values of this type have no order, or only some of them
        return sorted(values, key=lambda value: (type(value).__name__, repr(value)))


def _check_type(values: Array, column: Array, name: str) -> None:
    """Raise TypeError if strings were learned and other values come, or the reverse: all would count as unknown."""
    present = next((value for value in column if value is not None), None)
    if len(values) and present is not None and isinstance(values[0], str) != isinstance(present, str):
        raise TypeError(
            f"{name} held {values[0]!r} ({type(values[0]).__name__}) when fitting and now holds "
            f"{present!r} ({type(present).__name__}). Convert the column to the type that it had."
        )
