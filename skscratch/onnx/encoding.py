"""The encoding of a table as an ONNX graph: from columns as they come to the numbers and codes that a network reads.

What `encoding` and `bins` do, in the same order and the same precision: double until the numbers are scaled, from there
on the network's.
"""

import numbers
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from ..encoding.bins import Bins
from ..encoding.features import LIMIT, MAX_ONE_HOT, FeatureEncoder
from .network import Graph

__all__ = ["Source", "emit_table"]


@dataclass(frozen=True)
class Source:
    """Where a feature is found: in a column of an input (n, width) of the graph.

    Attributes
    ----------
    feature : str
        What to call it in a message.
    value : str
        Name of the input.
    kind : {"string", "integer", "float", "double"}
        What the input holds; booleans count as integers.
    width : int
        Columns of the input.
    column : int
        Which of them.
    """

    feature: str
    value: str
    kind: str
    width: int
    column: int

    def check(self, texts: bool) -> None:
        """Raise TypeError where strings are wanted and are not there, or the reverse.

        A matrix of strings may stand for numbers too: skl2onnx makes one of columns of both kinds.
        """
        strings = self.kind == "string"
        if texts != strings and not (strings and self.width > 1):
            now, then = ("strings", "numbers") if strings else ("numbers", "strings")
            raise TypeError(
                f"Column {self.feature!r} held {then} when fitting, but its ONNX input {self.value!r} is of {now}: "
                "convert with an X whose columns have the types that they had."
            )


def emit_table(g: Graph, encoder: FeatureEncoder, sources: list[Source]) -> tuple[str, list[str]]:
    """Append the encoding of a table.

    Parameters
    ----------
    g : Graph
    encoder : FeatureEncoder
        Fitted.
    sources : list of Source
        One for each feature, in the order of fitting.

    Returns
    -------
    numbers : str
        Name of the numeric block (n, d), in the network's type.
    codes : list of str
        Names of the codes (n,) of the columns that have a learned embedding.
    """
    kinds = encoder.categorical or [False] * len(sources)
    parts = _numbers(g, encoder, [source for source, kind in zip(sources, kinds, strict=True) if not kind])
    codes = []
    columns = [source for source, kind in zip(sources, kinds, strict=True) if kind]
    for source, values in zip(columns, encoder._values, strict=True):
        if not len(values):
            continue  # nothing was there when fitting
        code = _code(g, source, values)
        if len(values) > MAX_ONE_HOT:
            codes.append(code)
        else:  # the code picks a row of a fixed table: of zeros, where the category is unknown or missing
            table = encoder._on * np.eye(1 + len(values), len(values), -1)
            parts.append(g("Gather", table.astype(g.dtype), code))
    if not parts:
        parts = [g.cast(g("Gather", sources[0].value, np.array([], np.int64), axis=1), g.dtype)]  # (n, 0)
    return g("Concat", *parts, axis=1), codes


def _numbers(g: Graph, encoder: FeatureEncoder, sources: list[Source]) -> list[str]:
    """Bins, scaled numbers and "missing" columns, in this order; each (n, its width)."""
    if not sources:
        return []
    raw = _raw(g, sources)
    center, parts = encoder._center[None], []
    if encoder._bins is not None and encoder.n_bins:
        parts.append(_bins(g, encoder, encoder._bins, raw))
    if encoder.scale:
        x = g.cast(g("Mul", g("Sub", raw, center), encoder._factor[None]), g.dtype)
        x = g("Where", g("IsNaN", x), 0.0, x)
        x = g("Max", g("Min", x, 1e6), -1e6)  # whose square is finite
        slope = g("Sqrt", g("Add", g("Mul", g("Mul", x, x), LIMIT**-2), 1.0))
        parts.append(g("Div", x, slope))
    else:
        parts.append(g.cast(g("Where", g("IsNaN", raw), center, raw), g.dtype))
    if len(encoder._flagged):
        parts.append(g.cast(g("IsNaN", g("Gather", raw, encoder._flagged.tolist(), axis=1)), g.dtype))
    return parts


def _raw(g: Graph, sources: list[Source]) -> str:
    """Columns of numbers side by side, (n, columns), in double precision."""
    parts = []
    for value, group in groupby(sources, key=lambda source: source.value):
        columns = list(group)
        for source in columns:
            source.check(texts=False)
        chosen = [source.column for source in columns]
        if chosen != list(range(columns[0].width)):
            value = g("Gather", value, chosen, axis=1)
        parts.append(value if columns[0].kind == "double" else g.cast(value, np.float64))
    return parts[0] if len(parts) == 1 else g("Concat", *parts, axis=1)


def _bins(g: Graph, encoder: FeatureEncoder, bins: Bins, raw: str) -> str:
    """Components of all columns, (n, n_bins): (x - low) / (high - low), held to [0, 1]."""
    # a missing value counts as the median or, where a flag says that it is missing, as what leaves every component 0
    told = encoder._center.copy()
    for i in encoder._flagged:
        told[i] = bins.edges[i][0] if len(bins.edges[i]) else 0.0
    x = g("Where", g("IsNaN", raw), told[None], raw)
    # all in units of a power of two, which are exact: then no difference overflows
    exponents = np.array([np.frexp(np.max(np.abs(e)))[1] if len(e) else 0 for e in bins.edges])
    unit = np.ldexp(1.0, np.clip(-exponents, -1000, 1000))
    edges = [column * factor for column, factor in zip(bins.edges, unit, strict=True)]
    column = np.repeat(np.arange(len(edges)), [max(len(e) - 1, 0) for e in edges])
    low, size = np.concatenate([e[:-1] for e in edges]), np.concatenate([np.diff(e) for e in edges])
    x = g("Gather", g("Mul", x, unit[None]), column.tolist(), axis=1)
    part = g("Div", g("Sub", x, low[None]), size[None])
    return g.cast(g("Max", g("Min", part, np.array(1.0)), np.array(0.0)), g.dtype)


def _code(g: Graph, source: Source, values: np.ndarray) -> str:
    """Code of a column of categories, (n,): 1 for the first of `values`, ..., 0 for what is not among them."""
    texts = isinstance(values[0], str)
    other = next((v for v in values if not texts and not isinstance(v, numbers.Real | np.bool_)), None)
    if other is not None:
        raise TypeError(
            f"Column {source.feature!r} has the category {other!r} ({type(other).__name__}), and ONNX knows strings "
            "and numbers alone: turn the column into strings before fitting."
        )
    source.check(texts)
    x = g("Gather", source.value, [source.column], axis=1) if source.width > 1 else source.value
    x = g("Squeeze", x, [1])
    if texts:
        return _look_up(g, x, keys_strings=values.tolist())
    exact = values.astype(np.float64)
    if source.kind != "integer":
        x = g.cast(x, np.float64)
    if not np.all((exact == np.trunc(exact)) & (np.abs(exact) < 2**63)):  # few, for who has fractions as categories?
        equal = g("Equal", g("Unsqueeze", g.cast(x, np.float64), [1]), exact[None])
        return g.cast(g("MatMul", g.cast(equal, np.float64), np.arange(1.0, 1 + len(values))), np.int64)
    code = _look_up(g, g.cast(x, np.int64), keys_int64s=[int(v) for v in values])
    if source.kind == "integer":
        return code
    # a fraction, or NaN, became some integer on the way, which it is not equal to
    same = g("Equal", g("Gather", np.append(np.nan, exact), code), x)
    return g("Where", same, code, np.array(0))


def _look_up(g: Graph, x: str, **keys: Any) -> str:
    """Which of the keys each value of x is equal to, counted from 1; 0 for none."""
    (values,) = keys.values()
    codes = list(range(1, 1 + len(values)))
    # version 2, for skl2onnx allows no later one
    return g("LabelEncoder", x, domain="ai.onnx.ml", op_version=2, values_int64s=codes, default_int64=0, **keys)
