"""Emitters of the encoding: from the inputs of a graph to the encoded numbers and the codes of the network.

Each block of the encoder has an emitter, which computes what the block's `write` computes, in the same order and
precision: double until the numbers are scaled, and from there on the precision of the network.
"""

import numbers
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from ..encoding.bins import Bins
from ..encoding.categories import OneHot
from ..encoding.dates import DAYS_PER_YEAR, DAYS_TO_JANUARY, DAYS_TO_MARCH, DAYS_TO_MONDAY, SECONDS_PER_DAY, Dates
from ..encoding.features import FeatureEncoder
from ..encoding.numeric import CLIP_LIMIT, MAX_SCALED, MissingFlags, Numbers
from ..encoding.times import DATES, Kind, seconds
from ..nn.tape import Array
from .network import Graph

__all__ = ["BLOCK_EMITTERS", "Source", "emit_table"]


@dataclass(frozen=True)
class Source:
    """Where a feature is in the inputs of a graph: one column of an input (n, width).

    Attributes
    ----------
    feature : str
        Name of the feature, for error messages.
    value : str
        Name of the input.
    kind : {"string", "integer", "float", "double"}
        Type of the input; booleans count as integers.
    width : int
        Number of columns of the input.
    column : int
        Index of the feature's column.
    """

    feature: str
    value: str
    kind: str
    width: int
    column: int

    def check(self, texts: bool) -> None:
        """Raise TypeError if the feature has strings and the input has numbers, or the reverse.

        A matrix of strings may represent numbers too: skl2onnx makes one from columns of both kinds.
        """
        strings = self.kind == "string"
        if texts != strings and not (strings and self.width > 1):
            now, then = ("strings", "numbers") if strings else ("numbers", "strings")
            raise TypeError(
                f"Column {self.feature!r} held {then} when fitting, but its ONNX input {self.value!r} holds {now}: "
                "convert with an X whose columns have the same types as in fit."
            )

    def check_date(self, kind: Kind) -> None:
        """Raise TypeError if the feature has dates and the input is float: it would round them to minutes."""
        if kind.times == DATES and self.kind == "float":
            raise TypeError(
                f"Column {self.feature!r} held dates when fitting, but its ONNX input {self.value!r} is float32, which "
                "rounds seconds since 1970 to minutes: convert with an X that has the dates, or float64."
            )


@dataclass(frozen=True)
class RawValues:
    """The input of the block emitters: the counterpart of a RawTable in the graph.

    Attributes
    ----------
    numbers : str
        Name of the number columns (n, n_numbers), in double precision; "" if there are none.
    codes : list of str
        Names of the codes (n,) of each category column; "" for a column without categories.
    """

    numbers: str
    codes: list[str]


def emit_table(g: Graph, encoder: FeatureEncoder, sources: list[Source]) -> tuple[str, list[str]]:
    """Append the encoding of a table.

    Parameters
    ----------
    g : Graph
    encoder : FeatureEncoder
        A fitted encoder.
    sources : list of Source
        One for each feature, in the order of the features in `fit`.

    Returns
    -------
    X : str
        Name of the encoded numbers (n, d), in the precision of the network.
    codes : list of str
        Names of the codes (n,) of the columns that have a learned embedding.
    """
    vocabulary, columns = encoder.vocabulary, encoder.block(Numbers).columns
    for kind, source in zip(encoder.kinds or [], sources, strict=False):
        source.check_date(kind)
    raw = RawValues(
        _raw_numbers(g, [sources[j] for j in columns]) if len(columns) else "",
        [
            _code(g, sources[j], _as_in_input(values, encoder, j)) if len(values) else ""
            for j, values in zip(vocabulary.columns, vocabulary.values, strict=True)
        ],
    )
    parts = [BLOCK_EMITTERS[type(block)](g, block, raw) for block in encoder.blocks if block.width]
    if not parts:
        parts = [g.cast(g("Gather", sources[0].value, np.array([], np.int64), axis=1), g.dtype)]  # (n, 0)
    return g("Concat", *parts, axis=1), [raw.codes[i] for i in np.flatnonzero(vocabulary.is_embedded)]


def _raw_numbers(g: Graph, sources: list[Source]) -> str:
    """Return the number columns as one matrix (n, n_numbers), in double precision."""
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


# ------------------------------------------------------------------ blocks


def _bins(g: Graph, bins: Bins, raw: RawValues) -> str:
    """Components (n, width): (x - low) / size, clipped to [0, 1]."""
    number, exponent, low, size, missing = bins.components
    # ldexp scales by up to 2**1073, but a multiplication by that overflows: limit it to 2**1000, also for the edges
    shift = np.clip(exponent, -1000, 1000)
    low, size = np.ldexp(low, shift - exponent), np.ldexp(size, shift - exponent)
    x = g("Mul", g("Gather", raw.numbers, number.tolist(), axis=1), np.ldexp(1.0, shift)[None])
    absent = g("IsNaN", x)
    x = g("Where", absent, low[None], x)
    part = g("Div", g("Sub", x, low[None]), size[None])
    part = g("Max", g("Min", part, np.array(1.0)), np.array(0.0))
    if missing.any():
        part = g("Where", absent, missing[None], part)
    return g.cast(part, g.dtype)


def _numbers(g: Graph, block: Numbers, raw: RawValues) -> str:
    """Scaled numbers (n, width): u / sqrt(1 + (u / CLIP_LIMIT)²) with u = (x - center) · factor."""
    x, center = raw.numbers, block.center[None]
    if not block.scale:
        return g.cast(g("Where", g("IsNaN", x), center, x), g.dtype)
    u = g.cast(g("Mul", g("Sub", x, center), block.factor[None]), g.dtype)
    u = g("Where", g("IsNaN", u), 0.0, u)
    u = g("Max", g("Min", u, MAX_SCALED), -MAX_SCALED)  # the square of MAX_SCALED is finite
    square = g("Mul", u, u)
    if block.monotone:  # sign(u) / sqrt(1 / u² + (1 / CLIP_LIMIT)²)
        square = g("Max", square, 1e-30)  # onnxruntime 1.20 has no square root of infinity in single precision
        return g("Div", g("Sign", u), g("Sqrt", g("Add", g("Div", 1.0, square), CLIP_LIMIT**-2)))
    return g("Div", u, g("Sqrt", g("Add", g("Mul", square, CLIP_LIMIT**-2), 1.0)))


def _dates(g: Graph, block: Dates, raw: RawValues) -> str:
    """Sines and cosines (n, width) of the parts of dates."""
    columns = []
    for position, part, harmonic in zip(block.positions.tolist(), block.parts, block.harmonics, strict=True):
        if harmonic == 1:  # the others of a part follow
            x = g("Gather", raw.numbers, [position], axis=1)
            absent, turns = g("IsNaN", x), g("Mul", _phase(g, part, x), np.array(2 * np.pi))
        angle = g("Mul", turns, np.array(float(harmonic)))
        # cos a = sin(a + π/2): earlier versions of onnxruntime have no cosine in double precision
        for shifted in (angle, g("Add", angle, np.array(np.pi / 2))):
            columns.append(g("Where", absent, np.array(0.0), g("Sin", shifted)))
    return g.cast(g("Concat", *columns, axis=1), g.dtype)


def _phase(g: Graph, part: str, x: str) -> str:
    """Phase of a part of dates x (n, 1) in seconds, as `encoding.dates.phase` computes it."""

    def whole(value: str, divisor: float) -> str:
        return g("Floor", g("Div", value, np.array(divisor)))

    def times(value: str, factor: float) -> str:
        return g("Mul", value, np.array(factor))

    def fraction(value: str, period: float) -> str:
        return g("Sub", g("Div", value, np.array(period)), whole(value, period))

    if part == "time_of_day":
        return fraction(x, SECONDS_PER_DAY)
    days = whole(x, SECONDS_PER_DAY)
    if part == "day_of_week":
        return fraction(g("Add", days, np.array(DAYS_TO_MONDAY)), 7.0)
    days = g("Add", days, np.array(DAYS_TO_MARCH))
    day = g("Sub", days, times(whole(days, 146097.0), 146097.0))
    without_leaps = g("Sub", g("Add", g("Sub", day, whole(day, 1460.0)), whole(day, 36524.0)), whole(day, 146096.0))
    year = whole(without_leaps, 365.0)
    first = g("Sub", g("Add", times(year, 365.0), whole(year, 4.0)), whole(year, 100.0))
    return fraction(g("Sub", g("Sub", day, first), np.array(DAYS_TO_JANUARY)), DAYS_PER_YEAR)


def _missing_flags(g: Graph, flags: MissingFlags, raw: RawValues) -> str:
    """1 where a value is missing, else 0: (n, width)."""
    return g.cast(g("IsNaN", g("Gather", raw.numbers, flags.positions.tolist(), axis=1)), g.dtype)


def _one_hot(g: Graph, block: OneHot, raw: RawValues) -> str:
    """One-hot columns (n, width): each code picks a row of a constant table, whose first row is 0."""
    parts = []
    for i in block.positions:
        if count := block.vocabulary.counts[i]:
            rows = block.value * np.eye(1 + count, count, -1)
            parts.append(g("Gather", rows.astype(g.dtype), raw.codes[i]))
    return parts[0] if len(parts) == 1 else g("Concat", *parts, axis=1)


BLOCK_EMITTERS: dict[type, Callable[[Graph, Any, RawValues], str]] = {
    Bins: _bins,
    Numbers: _numbers,
    Dates: _dates,
    MissingFlags: _missing_flags,
    OneHot: _one_hot,
}

# -------------------------------------------------------------- categories


def _as_in_input(values: Array, encoder: FeatureEncoder, j: int) -> Array:
    """The categories of raw column `j` as its input has them: dates as seconds."""
    if not encoder.kinds or encoder.kinds[j].times != DATES:
        return values
    return seconds(values.astype("M8[us]"), Kind(), "", encoder.feature_names[j])


def _code(g: Graph, source: Source, values: Array) -> str:
    """Return the codes (n,) of a category column: k + 1 for the value with index k in `values`, 0 for any other."""
    texts = isinstance(values[0], str)
    other = next((v for v in values if not texts and not isinstance(v, numbers.Real | np.bool_)), None)
    if other is not None:
        raise TypeError(
            f"Column {source.feature!r} has the category {other!r} ({type(other).__name__}), but ONNX has only strings "
            "and numbers: convert the column to strings before fitting."
        )
    source.check(texts)
    x = g("Gather", source.value, [source.column], axis=1) if source.width > 1 else source.value
    x = g("Squeeze", x, [1])
    if texts:
        return _look_up(g, x, keys_strings=values.tolist())
    exact = values.astype(np.float64)
    if source.kind != "integer":
        x = g.cast(x, np.float64)
    if not np.all((exact == np.trunc(exact)) & (np.abs(exact) < 2**63)):  # fractions are rare
        equal = g("Equal", g("Unsqueeze", g.cast(x, np.float64), [1]), exact[None])
        return g.cast(g("MatMul", g.cast(equal, np.float64), np.arange(1.0, 1 + len(values))), np.int64)
    code = _look_up(g, g.cast(x, np.int64), keys_int64s=[int(v) for v in values])
    if source.kind == "integer":
        return code
    # the cast rounds a fraction, and NaN to any integer: a code is valid only if its category equals x
    same = g("Equal", g("Gather", np.append(np.nan, exact), code), x)
    return g("Where", same, code, np.array(0))


def _look_up(g: Graph, x: str, **keys: Any) -> str:
    """Return the index of each value of x among the keys, counted from 1, and 0 for other values."""
    (values,) = keys.values()
    codes = list(range(1, 1 + len(values)))
    # version 2 of the operator is the latest that skl2onnx supports
    return g("LabelEncoder", x, domain="ai.onnx.ml", op_version=2, values_int64s=codes, default_int64=0, **keys)
