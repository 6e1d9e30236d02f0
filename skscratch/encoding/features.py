"""The encoder of a table: blocks side by side, from the columns of a user's table to the numbers a network reads.

The encoded table is X = [bins | scaled numbers | parts of dates | missing flags | one-hot | 1], with the codes of those
categories that have a learned embedding beside it.  All statistics are weighted: a row of weight 2 counts as two rows.
"""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol, Self, TypeVar

import numpy as np
import scipy.sparse as sp

from ..nn.batch import Table
from ..nn.tape import Array
from .bins import Bins
from .categories import ONE_HOT_VALUE, OneHot, Vocabulary
from .columns import Column, ColumnTable, RawTable
from .dates import Dates, phase_ranges
from .numeric import MissingFlags, Numbers
from .quantiles import QuantileSketch
from .sparse import learn_sparse, transform_sparse
from .times import Kind, date_text

__all__ = ["Block", "FeatureEncoder"]

CHUNK_VALUES = 2**15  # numbers encoded at a time: the blocks pass over them several times, and find them in the cache


class Block(Protocol):
    """Encoded columns of one kind, with what was learned of the table to encode them."""

    @property
    def width(self) -> int:
        """Number of encoded columns."""

    def write(self, table: RawTable, out: Array) -> None:
        """Encode the rows of `table` into `out`, a view (n, width) of X."""

    def names(self, feature_names: Sequence[str]) -> list[str]:
        """Name of each encoded column, made from the names of the raw table's columns."""

    def sources(self) -> Array:
        """Column of the raw table that each encoded column comes from, (width,)."""


B = TypeVar("B", Bins, Numbers, Dates, MissingFlags, OneHot)


class FeatureEncoder:
    """Encode a checked table: a float array with NaN, a CSR matrix, or a ColumnTable.

    Parameters
    ----------
    scale : bool
        Whether to scale the numbers.
    incremental : bool
        Whether more rows may follow, in which a column that is constant so far may vary.
    bins_per_column : int
        Maximum number of bins per number column; 0 for none. A sparse table has none.

    Attributes
    ----------
    blocks : list of Block
        In the order of their columns in X.
    places : list of slice
        The columns of X that each block fills.
    width : int
        Number of columns of X, without the column of ones.
    n_bins : int
        How many of these are bins: the first of them.
    vocabulary : Vocabulary
        The categories of the category columns.
    categories : tuple of int
        Number of categories of each column that has a learned embedding.
    kinds : list of Kind, or None
        What each column of the raw table holds; None if it was not read column by column.
    feature_names : list of str
        Names of the raw table's columns.
    """

    def __init__(self, scale: bool, incremental: bool = False, bins_per_column: int = 0):
        self.scale, self.incremental, self.bins_per_column = scale, incremental, bins_per_column

    # ------------------------------------------------------------- learning

    def fit(
        self,
        data: Array | sp.csr_matrix | ColumnTable | QuantileSketch,
        weight: Array | None,
        feature_names: Sequence[str],
        declared: Sequence[Sequence[Any]] = (),
        monotone: bool = False,
    ) -> Self:
        """Learn all blocks.

        Parameters
        ----------
        data : ndarray, csr_matrix, ColumnTable or QuantileSketch
            The checked table (n, d), or a sketch of it.
        weight : ndarray of shape (n,), or None
        feature_names : sequence of str
            Names of the d columns.
        declared : sequence of d sequences
            Categories of each column that count as if they occurred; empty if there are none.
        monotone : bool
            Whether no rounding may let a scaled number fall as its column rises.
        """
        self.feature_names = list(feature_names)
        self.kinds = data.kinds if isinstance(data, ColumnTable | QuantileSketch) else None
        self._check_scale()
        is_category = np.array(self.categorical or [False] * len(self.feature_names))
        columns, categories = np.flatnonzero(~is_category), np.flatnonzero(is_category)
        constant_factor, bins, dates = 1.0 if self.incremental else 0.0, Bins.none(), Dates.none()
        if sp.issparse(data):
            numbers, flags = learn_sparse(data, weight, self.scale, constant_factor)
        else:
            number_data = _columns(data, columns, weight)
            numbers = Numbers.learn(number_data, columns, self.scale, constant_factor)
            flags = MissingFlags.learn(number_data, columns)
            if self.bins_per_column:
                bins = Bins.learn(number_data, columns, self.bins_per_column, _imputed(numbers, flags))
            if self.kinds:
                dates = Dates.learn(self._phase_ranges(data, columns), columns, self.kinds)
        category_data = [values for values, _ in _columns(data, categories, None)]
        self.vocabulary = Vocabulary.learn(
            category_data, categories, [declared[j] for j in categories.tolist() if declared]
        )
        self._set_blocks(bins, replace(numbers, monotone=monotone), dates, flags)
        return self

    def _check_scale(self) -> None:
        """Raise ValueError for dates without scaling: their numbers, of seconds since 1970, are in billions."""
        dates = [name for kind, name in zip(self.kinds or [], self.feature_names, strict=False) if kind.is_date]
        if dates and not self.scale:
            raise ValueError(
                f"scale_features=False leaves numbers as they are, but {dates[0]!r} is a column of dates, which has no "
                "unit: leave scale_features on, or convert the column to numbers."
            )

    def _phase_ranges(self, data: Any, columns: Array) -> list[Array | None]:
        """The ranges of the phases of each number column; None for other columns than times, and if rows may follow."""
        assert self.kinds is not None
        if self.incremental:
            return [None] * len(columns)
        if isinstance(data, QuantileSketch):
            return [data.phases[j] for j in columns]
        return [phase_ranges(data.values[j]) if self.kinds[j].is_time else None for j in columns]

    def refitted(self, rows: Array, weight: Array) -> Self:
        """An encoder into the same columns of X, with scaling and bins learned from other rows.

        Parameters
        ----------
        rows : ndarray of shape (n, >= n_numbers)
            Number columns, and any others after them.
        weight : ndarray of shape (n,)
        """
        numbers, flags = self.block(Numbers), self.block(MissingFlags)
        data: list[Column] = [(x, weight) for x in rows.T[: numbers.width]]
        new, bins = copy.copy(self), self.block(Bins)
        numbers = numbers.refitted(data)
        if bins.width:
            bins = bins.refitted(data, self.bins_per_column, _imputed(numbers, flags))
        new._set_blocks(bins, numbers, self.block(Dates), flags)
        return new

    def _set_blocks(self, bins: Bins, numbers: Numbers, dates: Dates, flags: MissingFlags) -> None:
        one_hot = OneHot(self.vocabulary, ONE_HOT_VALUE if self.scale else 1.0)
        self.blocks: list[Block] = [bins, numbers, dates, flags, one_hot]  # the order of the columns of X
        widths = [block.width for block in self.blocks]
        ends = np.cumsum(widths).tolist()
        self.places = [slice(end - width, end) for end, width in zip(ends, widths, strict=True)]
        self.width: int = ends[-1]
        self.n_bins = bins.width
        self.categories = tuple(self.vocabulary.counts[self.vocabulary.is_embedded].tolist())
        self._chunk_rows = max(CHUNK_VALUES // max(numbers.width, bins.width, 1), 1)
        self._filled = [(b, place) for b, place, n in zip(self.blocks, self.places, widths, strict=True) if n]

    # --------------------------------------------------------- transforming

    def transform(
        self,
        data: Array | sp.csr_matrix | ColumnTable,
        dtype: np.dtype,
        ones: bool = False,
        pass_through: bool | None = None,
    ) -> Table:
        """Encode rows, which have the columns that were fitted, in numbers of type `dtype`.

        Parameters
        ----------
        data : ndarray, csr_matrix or ColumnTable
            The rows (n, d).
        dtype : dtype
        ones : bool
            Whether to append a column of ones, the input that the bias of the first layer weighs. A sparse table has
            none, nor has an array that needs no encoding: appending would copy it.
        pass_through : bool, or None
            Whether `data` needs no encoding. None: decide. A part of a larger table must follow the whole table, which
            may have missing values that the part has not.

        Raises
        ------
        ValueError
            If a number is too large for `dtype`.
        """
        if sp.issparse(data) and self.n_bins:  # the encoder was fitted to a dense table
            data = sp.csr_array(data).toarray()
        if pass_through is None:
            pass_through = self.passes_through(data, dtype) and not np.isnan(np.asarray(data)).any()
        if pass_through:
            table = Table(data)
        else:
            with np.errstate(over="ignore", invalid="ignore"):
                if sp.issparse(data):
                    table = transform_sparse(data, dtype, self.block(Numbers), self.block(MissingFlags))
                else:
                    table = self._transform(data, dtype, ones)
        if not self.scale:
            _check_finite(table, dtype)
        return table

    def passes_through(self, data: Any, dtype: np.dtype) -> bool:
        """Whether a table is an array that needs no encoding, unless a value is missing."""
        if self.scale or isinstance(data, ColumnTable) or sp.issparse(data):
            return False
        # without bins, flags and categories, X is the array itself
        return self.width == data.shape[1] and bool(data.dtype == dtype and data.flags.c_contiguous)

    def only_converts(self, data: Any) -> bool:
        """Whether a table is an array that needs no encoding but another precision; a missing value would need one."""
        if not isinstance(data, np.ndarray) or data.dtype.kind != "f" or not self.passes_through(data, data.dtype):
            return False
        return bool(data.size and not np.isnan(data.min()))  # in a tenth of the memory of np.isnan(data)

    def _transform(self, data: Array | ColumnTable, dtype: np.dtype, ones: bool) -> Table:
        n = data.shape[0]
        X = np.empty((n, self.width + ones), dtype)
        if ones:
            X[:, -1] = 1
        raw = self._raw(data)
        if n <= self._chunk_rows:
            for block, place in self._filled:
                block.write(raw, X[:, place])
        else:
            for start in range(0, n, self._chunk_rows):
                rows = slice(start, start + self._chunk_rows)
                chunk = raw.chunk(rows)
                for block, place in self._filled:
                    block.write(chunk, X[rows, place])
        embedded = None
        if self.categories and raw.codes is not None:
            embedded = raw.codes.take(np.flatnonzero(self.vocabulary.is_embedded), 1)
        return Table(X, embedded, ones=ones)

    def _raw(self, data: Array | ColumnTable) -> RawTable:
        """Number columns side by side, and the codes of category columns."""
        if not isinstance(data, ColumnTable):
            return RawTable(data)
        numbers = self.number_columns(data)
        raw = np.column_stack(numbers) if numbers else np.empty((data.shape[0], 0))
        if not len(self.vocabulary.columns):
            return RawTable(raw)
        categories = [data.values[j] for j in self.vocabulary.columns]
        return RawTable(raw, self.vocabulary.codes(categories, self.feature_names))

    def number_columns(self, data: Array | ColumnTable) -> list[Array]:
        """The number columns (n,) of a dense table."""
        if not isinstance(data, ColumnTable):
            return list(data.T)
        return [data.values[j] for j in self.block(Numbers).columns]

    # ------------------------------------------------------- what X contains

    def block(self, kind: type[B]) -> B:
        """The block of this class."""
        for block in self.blocks:
            if isinstance(block, kind):
                return block
        raise KeyError(kind)

    def place(self, kind: type[B]) -> slice:
        """The columns of X that the block of this class fills."""
        return self.places[self.blocks.index(self.block(kind))]

    @property
    def categorical(self) -> list[bool] | None:
        """Which columns of the raw table are categories; None if it was not read column by column."""
        return None if self.kinds is None else [kind.is_category for kind in self.kinds]

    @property
    def names(self) -> list[str]:
        """Name of each column of X, without the column of ones."""
        bins, *others = self.blocks
        assert isinstance(bins, Bins)
        dates = {j for j, kind in enumerate(self.kinds or []) if kind.is_date}
        names = bins.names(self.feature_names, {j: date_text for j in dates})
        return names + [name for block in others for name in block.names(self.feature_names)]

    @property
    def sources(self) -> Array:
        """Column of the raw table that each column of X comes from, and then each embedding."""
        embedded = self.vocabulary.columns[self.vocabulary.is_embedded]
        return np.concatenate([*[block.sources() for block in self.blocks], embedded])

    # ---------------------------------------------------------------- state

    def to_state(self) -> dict[str, Any]:
        """All that was learned, as nested dictionaries and lists of arrays, strings and numbers."""
        return {
            "scale": bool(self.scale),
            "incremental": bool(self.incremental),
            "bins_per_column": int(self.bins_per_column),
            "feature_names": self.feature_names,
            "categorical": self.categorical,
            "times": [[kind.times, kind.zone] for kind in self.kinds or []],
            "vocabulary": self.vocabulary.to_state(),
            "bins": self.block(Bins).to_state(),
            "numbers": self.block(Numbers).to_state(),
            "dates": self.block(Dates).to_state(),
            "missing_flags": self.block(MissingFlags).to_state(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The encoder that `to_state` described."""
        encoder = cls(state["scale"], state["incremental"], state["bins_per_column"])
        encoder.feature_names, encoder.kinds = state["feature_names"], _kinds(state["categorical"], state.get("times"))
        encoder.vocabulary = Vocabulary.from_state(state["vocabulary"])
        bins, numbers = Bins.from_state(state["bins"]), Numbers.from_state(state["numbers"])
        dates = Dates.from_state(state["dates"]) if "dates" in state else Dates.none()  # older files have none
        encoder._set_blocks(bins, numbers, dates, MissingFlags.from_state(state["missing_flags"]))
        return encoder


def _kinds(categorical: list[bool] | None, times: list[list[str]] | None) -> list[Kind] | None:
    """What the columns hold, of the plain values in a file; older files have no times."""
    if categorical is None:
        return None
    times = times or [["", ""]] * len(categorical)
    return [Kind(is_category, *time) for is_category, time in zip(categorical, times, strict=True)]


def _columns(data: Array | ColumnTable | QuantileSketch, which: Array, weight: Array | None) -> list[Column]:
    """Values and weights of some columns of a dense table, or of its sketch."""
    if isinstance(data, QuantileSketch):
        return [(data.points[j], data.weights[j]) for j in which]
    if isinstance(data, ColumnTable):
        return [(data.values[j], weight) for j in which]
    return [(data[:, j], weight) for j in which]


def _imputed(numbers: Numbers, flags: MissingFlags) -> Array:
    """What the bins of a missing number encode: its median, or nothing where a flag marks it as missing."""
    imputed = numbers.center.copy()
    imputed[flags.positions] = np.nan
    return imputed


def _check_finite(table: Table, dtype: np.dtype) -> None:
    """Raise ValueError if a number was too large for `dtype`."""
    values = table.X.data if sp.issparse(table.X) else table.X
    if not np.isfinite(values).all():
        raise ValueError(f"X contains a value too large for {dtype}: leave scale_features on, or set dtype='float64'.")
