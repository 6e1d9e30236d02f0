"""What the results of the quality benchmark come to: the summary of all contenders, and the targets of ours."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from measure import Judged, Report, geometric_mean
from quality_models import OURS

__all__ = ["MEASURES", "SHIFT", "Comparison", "shifted_mean", "summary", "targets"]

SHIFT = 0.01
MEASURES = {"class error": ("error", False), "log loss": ("logloss", False), "nRMSE": ("error", True)}
STRONG = f"{OURS} strong"


def shifted_mean(values: Sequence[float]) -> float:
    """Geometric mean of values each `SHIFT` larger, less `SHIFT`; NaN of none."""
    return geometric_mean([value + SHIFT for value in values]) - SHIFT


class Comparison:
    """Contenders on the tables that all of them have, each table a mean over the seeds that all of them have.

    Parameters
    ----------
    runs : DataFrame
        The results of one limit of threads.
    models : list of str
        The contenders wanted; those without any result do not count.

    Attributes
    ----------
    models, tables : list of str
        Those compared.
    """

    def __init__(self, runs: pd.DataFrame, models: Sequence[str]):
        have = runs[runs["error"].notna()]
        self.models = [model for model in models if (have["model"] == model).any()]
        self._runs = have[have["model"].isin(self.models)]
        self._failed = runs[runs["error"].isna() & runs["model"].isin(models)]
        complete = self._runs.groupby(["table", "seed"])["model"].transform("nunique") == len(self.models)
        self._common = self._runs[complete]
        self.tables = list(dict.fromkeys(self._common["table"]))

    @cached_property
    def _means(self) -> pd.DataFrame:
        values = ["n_train", "error", "logloss", "fit_s"]
        return self._common.groupby(["model", "table"])[values].mean()

    def column(self, name: str) -> pd.DataFrame:
        """A column of the results, mean over seeds: one row for each table, one column for each contender."""
        return self._means[name].unstack("model").reindex(index=self.tables, columns=self.models)

    @cached_property
    def regression(self) -> pd.Series:
        """Whether each table is one of regression."""
        tasks = self._common.drop_duplicates("table").set_index("table")["task"]
        return tasks.reindex(self.tables) == "regression"

    def measure(self, name: str) -> dict[str, float]:
        """Shifted geometric mean over the tables of class error, log loss or nRMSE for each contender."""
        column, regression = MEASURES[name]
        values = self.column(column)[self.regression == regression]
        return {model: shifted_mean(list(values[model])) for model in self.models}

    @cached_property
    def ranks(self) -> pd.DataFrame:
        """Rank by error on each table, 1 the best; ties share their mean rank."""
        return self.column("error").round(12).rank(axis=1)

    @cached_property
    def wins(self) -> pd.Series:
        """Tables on which each has the least error; a tie is shared."""
        errors = self.column("error").round(12)
        best = errors.eq(errors.min(axis=1), axis=0)
        return best.div(best.sum(axis=1), axis=0).sum()

    def seconds(self, regression: bool | None = None) -> dict[str, float]:
        """Geometric mean of seconds of a fit for 1,000 rows, over all tables or those of one kind."""
        per_row = 1000 * self.column("fit_s") / self.column("n_train")
        chosen = per_row if regression is None else per_row[self.regression == regression]
        return {model: geometric_mean(list(chosen[model])) for model in self.models}

    def times(self, model: str, other: str) -> float:
        """Geometric mean of the fit time of one over that of another on the same table; NaN without both."""
        if not {model, other} <= set(self.models):
            return float("nan")
        seconds = self.column("fit_s")
        return geometric_mean(list(seconds[model] / seconds[other]))

    def notes(self) -> list[str]:
        """How many tables count, which do not and for whom, and what failed."""
        n = int(self.regression.sum()) if self.tables else 0
        runs = len(self._common) // max(len(self.models), 1)
        notes = [f"{len(self.tables) - n} tables of classes and {n} of numbers, {runs} splits, that all shown have"]
        for model in self.models:
            lacks = sorted(set(self._runs["table"]) - set(self._runs["table"][self._runs["model"] == model]))
            if lacks:
                notes.append(f"left out for want of {model}: {', '.join(lacks)}")
        for model, rows in self._failed.groupby("model", sort=False):
            where = dict.fromkeys(rows["table"])
            notes.append(f"{len(rows)} fits of {model} failed: {', '.join(where)}")
        return notes


def summary(report: Report, compared: Comparison) -> None:
    """One row for each contender."""
    if not compared.tables:
        none = "no table that all shown contenders have; choose fewer by --report and --models"
        print("\n".join(["", none, *compared.notes()[1:]]))
        return
    columns = {name: compared.measure(name) for name in MEASURES}
    seconds, ranks = compared.seconds(), compared.ranks.mean()
    rows: list[dict[str, Any]] = [
        {"model": model}
        | {name: values[model] for name, values in columns.items()}
        | {
            "mean rank": float(ranks[model]),
            "wins": float(compared.wins[model]),
            "s / 1000 rows": seconds[model],
            "time / mlp": compared.times(model, "mlp"),
        }
        for model in sorted(compared.models, key=ranks.__getitem__)
    ]
    title = f"Untuned on raw tables: shifted geometric means (shift {SHIFT}), ranks by error, geometric means of time"
    report.table("quality_summary", title, rows, compared.notes())


TARGETS: dict[str, tuple[dict[str, tuple[str, ...]], dict[str, float]]] = {  # accuracy and time against rivals
    OURS: (
        dict.fromkeys(("realmlp_td_s", "hgb", "lgbm", "xgb"), tuple(MEASURES)) | {"catboost": tuple(MEASURES)[:2]},
        {"mlp": 1.0, "realmlp_td_s": 1 / 8},
    ),
    STRONG: (
        dict.fromkeys(("realmlp_td", "tabm_d", "catboost"), tuple(MEASURES)),
        {"catboost": 1.2, "realmlp_td": 1.0},
    ),
}
MEMORY = 1000.0  # MB


def targets(report: Report, runs: pd.DataFrame, memory: Mapping[str, tuple[float, str, int]]) -> None:
    """Ours against what it is meant to reach; each line over the tables that both of it have.

    Parameters
    ----------
    report : Report
        Where it is printed and written.
    runs : DataFrame
        The results of one limit of threads.
    memory : mapping
        MB of the largest fit of each of ours, the table where, and of how many tables it is the largest.
    """
    have = set(runs["model"][runs["error"].notna()])
    rows: list[dict[str, Any]] = []
    for ours, (accuracy, time) in TARGETS.items():
        if ours not in have:
            continue
        pairs = {other: Comparison(runs, [ours, other]) for other in [*accuracy, *time]}
        for other, names in accuracy.items():
            for name in names:
                values = pairs[other].measure(name)
                ratio = _ratio(values.get(ours, np.nan), values.get(other, np.nan))
                rows.append(_judged(f"{ours}: {name} / {other}'s", ratio, 1.0, len(pairs[other].tables)))
        if ours == OURS:
            rows += [_ranked(runs, have), _never_worse(runs)]
        for other, bound in time.items():
            ratio = pairs[other].times(ours, other)
            rows.append(_judged(f"{ours}: fit time / {other}'s", ratio, bound, len(pairs[other].tables)))
        size, where, n = memory.get(ours, (float("nan"), "", 0))
        rows.append(_judged(f"{ours}: MB of a fit", size, MEMORY, n, where))
    judged = [row for row in rows if row["verdict"]]
    if judged:
        met = sum(row["verdict"] == "met" for row in judged)
        notes = [
            f"{met} of {len(judged)} met; ratios of shifted geometric means, and geometric means of ratios of time",
        ]
        absent = dict.fromkeys(name for ours, goals in TARGETS.items() for name in (ours, *goals[0], *goals[1]))
        lacks = [name for name in absent if name not in have] + ["memory"] * (not memory)
        notes += [f"not judged for want of results: {', '.join(lacks)}"] * bool(lacks)
        report.table("quality_targets", "Targets", judged, notes)


def _ratio(value: float, other: float) -> float:
    """`value` over `other`, which may be 0: then infinite, or 1 of both."""
    return value / other if other > 1e-12 or other != other else float("inf") if value > 1e-12 else 1.0


def _judged(what: str, value: float, bound: float, n_tables: int, where: str = "") -> dict[str, Any]:
    verdict = Judged(value, ("<=", bound)).verdict
    return {"target": what, "value": value, "at most": bound, "verdict": verdict, "tables": n_tables, "where": where}


def _ranked(runs: pd.DataFrame, have: set[str]) -> dict[str, Any]:
    """Mean rank among the rivals, less that of the best of them."""
    compared = Comparison(runs, [OURS, *sorted(model for model in have if not model.startswith(OURS))])
    what, others = f"{OURS}: mean rank - best other's", [model for model in compared.models if model != OURS]
    if not others or not compared.tables or OURS not in compared.models:
        return _judged(what, float("nan"), 0.0, 0)
    ranks = compared.ranks.mean()
    best = ranks[others].idxmin()
    where = f"{ranks[OURS]:.2f}, best other {best} {ranks[best]:.2f}"
    return _judged(what, float(ranks[OURS] - ranks[best]), 0.0, len(compared.tables), where)


def _never_worse(runs: pd.DataFrame) -> dict[str, Any]:
    """The worst ratio of our error to that of scikit-learn's MLP on any table, and where it is above the bound."""
    bound, pair = 1.1, Comparison(runs, [OURS, "mlp"])
    errors = pair.column("error")
    ratios = {name: _ratio(*errors.loc[name, [OURS, "mlp"]]) for name in pair.tables} if len(pair.models) == 2 else {}
    above = sorted((name for name in ratios if ratios[name] > bound), key=ratios.__getitem__, reverse=True)
    where = "; ".join(f"{name} {errors[OURS][name]:.4f} to {errors['mlp'][name]:.4f}" for name in above)
    worst = max(ratios.values(), default=float("nan"))
    return _judged(f"{OURS}: worst error / mlp's on a table", worst, bound, len(pair.tables), where)
