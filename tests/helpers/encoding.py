"""Encoders and tables that several tests of the encoding need."""

import numpy as np
import pandas as pd
import scipy.sparse as sp

from skscratch.encoding.columns import read
from skscratch.encoding.features import FeatureEncoder
from skscratch.encoding.numeric import CLIP_LIMIT

F8, F4 = np.dtype("f8"), np.dtype("f4")

ONE = np.linspace(1, 1.7, 40)
EXTREME = {
    "huge": ONE * 1e308,
    "huge, of both signs": np.where(np.arange(40) % 2, 1, -1) * ONE * 1e308,
    "as far apart as can be": np.where(np.arange(40) % 2, 1, -1) * np.finfo(float).max,
    "tiny": ONE * 1e-308,
    "the tiniest": np.where(np.arange(40) % 2, 5e-324, 0),
    "subnormal": np.arange(40) * 5e-324,
    "both": np.where(np.arange(40) % 2, 1e308, 1e-308) * ONE,
    "one outlier": np.r_[np.arange(39.0), 1e308],
}


def encoder(data, weight=None, scale=True, bins=0):
    """An encoder fitted to a table without names."""
    return FeatureEncoder(scale, bins_per_column=bins).fit(data, weight, [f"c{j}" for j in range(data.shape[1])])


def dense(table):
    """X of an encoded table, with the offset of a sparse one."""
    return table.X.toarray() + (0 if table.offset is None else table.offset) if sp.issparse(table.X) else table.X


def squeeze(u):
    """The smooth clipping, as a formula."""
    return u / np.sqrt(1 + (np.asarray(u) / CLIP_LIMIT) ** 2)


def frame(**columns):
    """A table of named columns, checked."""
    return read(pd.DataFrame(columns), "from_dtype")


def encode_frame(table, rows=None, scale=True):
    """An encoder fitted to a ColumnTable, and some rows encoded by it."""
    fitted = FeatureEncoder(scale).fit(table, None, table.names)
    return fitted, fitted.transform(table if rows is None else rows, F8)


def arrays_equal(one, other):
    """Whether two nested states are equal, to the bit."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(arrays_equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(arrays_equal(a, b) for a, b in zip(one, other, strict=True))
    return np.array_equal(one, other, equal_nan=isinstance(one, np.ndarray) and one.dtype.kind == "f")


def is_plain(state):
    """Whether a state is made of dictionaries, lists, strings, numbers and arrays of numbers alone."""
    if isinstance(state, dict):
        return all(type(key) is str and is_plain(value) for key, value in state.items())
    if isinstance(state, list):
        return all(map(is_plain, state))
    if isinstance(state, np.ndarray):
        return state.dtype != object
    return state is None or type(state) in (bool, int, float, str)
