"""Ablation: the change of the shifted geometric means when one component of the default is removed."""

import math

import numpy as np
import pandas as pd

from ..measure import Report
from .models import OURS, WITHOUT
from .summary import MEASURES, SHIFT

__all__ = ["ablation"]


def ablation(report: Report, runs: pd.DataFrame) -> None:
    """Report the increase of each measure in per cent with its standard error, paired by table and seed."""
    have = runs[runs["error"].notna()].set_index(["table", "seed"])
    default = have[have["model"] == OURS]
    rows = []
    for model in dict.fromkeys(have["model"][have["model"].str.startswith(WITHOUT)]):
        pairs = default.join(have[have["model"] == model], rsuffix=" without", how="inner")
        row: dict[str, object] = {"without": model.removeprefix(WITHOUT)}
        for name, (column, regression) in MEASURES.items():
            kind = pairs[(pairs["task"] == "regression") == regression]
            change, error = _change(kind[column], kind[f"{column} without"])
            row |= {f"{name} %": change, f"{name} se": error}
        change, _ = _change(pairs["fit_s"], pairs["fit_s without"], shift=0.0)
        tables = pairs.index.get_level_values("table").nunique()
        rows.append(row | {"time %": change, "tables": tables, "fits": len(pairs)})
    if rows:
        notes = [
            "change of the shifted geometric mean in per cent; positive: the component helps",
            "se: standard error of the paired differences over tables and seeds; all tables have the same weight",
        ]
        report.table("ablation", "Ablation: the default without one of its components", rows, notes)


def _change(with_: pd.Series, without: pd.Series, shift: float = SHIFT) -> tuple[float, float]:
    """Return the relative change of the geometric mean over tables and seeds, and its standard error, in per cent."""
    if with_.empty:
        return float("nan"), float("nan")
    weight = 1 / with_.groupby(level="table").transform("size").to_numpy()
    weight /= weight.sum()
    before, after = np.log(with_.to_numpy() + shift), np.log(without.to_numpy() + shift)
    difference = after - before
    mean = float(weight @ difference)
    spread = math.sqrt(float(weight**2 @ (difference - mean) ** 2) * _unbiased(weight))
    old, new = (math.exp(float(weight @ values)) for values in (before, after))
    if old - shift < 1e-12:  # the error is zero on every table
        return float("nan"), float("nan")
    return 100 * ((new - shift) / (old - shift) - 1), 100 * spread * new / (old - shift)


def _unbiased(weight: np.ndarray) -> float:
    """Return n / (n - 1), where n is the effective number of weighted differences; NaN if n = 1."""
    n = 1 / float(weight @ weight)
    return n / (n - 1) if n > 1 + 1e-9 else float("nan")
