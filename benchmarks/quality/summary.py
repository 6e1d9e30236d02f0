"""Summary of the quality benchmark: averages of all models, and the targets of our models."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from ..measure import Report, Result, geometric_mean
from .models import OURS

__all__ = ["MEASURES", "SHIFT", "Comparison", "shifted_mean", "summary", "targets"]

SHIFT = 0.01
MEASURES = {"class error": ("error", False), "log loss": ("logloss", False), "nRMSE": ("error", True)}
STRONG = f"{OURS} strong"


def shifted_mean(values: Sequence[float]) -> float:
    """Return the geometric mean of x + `SHIFT`, minus `SHIFT`; NaN for an empty sequence."""
    return geometric_mean([value + SHIFT for value in values]) - SHIFT


class Comparison:
    """Averages over the tables and seeds for which all models have a result.

    Parameters
    ----------
    runs : DataFrame
        Results of one thread limit.
    models : list of str
        Models to compare. Models without any result are ignored.

    Attributes
    ----------
    models, tables : list of str
        The models and tables of the comparison.
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
        """Return a column of the results, averaged over seeds: a row per table, a column per model."""
        return self._means[name].unstack("model").reindex(index=self.tables, columns=self.models)

    @cached_property
    def regression(self) -> pd.Series:
        """Whether each table is a regression task."""
        tasks = self._common.drop_duplicates("table").set_index("table")["task"]
        return tasks.reindex(self.tables) == "regression"

    def measure(self, name: str) -> dict[str, float]:
        """Return the shifted geometric mean of a measure over the tables, for each model."""
        column, regression = MEASURES[name]
        values = self.column(column)[self.regression == regression]
        return {model: shifted_mean(list(values[model])) for model in self.models}

    @cached_property
    def ranks(self) -> pd.DataFrame:
        """Rank by error on each table; 1 is best, ties get their mean rank."""
        return self.column("error").round(12).rank(axis=1)

    @cached_property
    def wins(self) -> pd.Series:
        """Number of tables on which each model has the smallest error; a tie is divided."""
        errors = self.column("error").round(12)
        best = errors.eq(errors.min(axis=1), axis=0)
        return best.div(best.sum(axis=1), axis=0).sum()

    def seconds(self, regression: bool | None = None) -> dict[str, float]:
        """Return the geometric mean of fit seconds per 1,000 rows, over all tables or those of one task."""
        per_row = 1000 * self.column("fit_s") / self.column("n_train")
        chosen = per_row if regression is None else per_row[self.regression == regression]
        return {model: geometric_mean(list(chosen[model])) for model in self.models}

    def times(self, model: str, other: str) -> float:
        """Return the geometric mean of the ratio of fit times of two models; NaN unless both have results."""
        if not {model, other} <= set(self.models):
            return float("nan")
        seconds = self.column("fit_s")
        return geometric_mean(list(seconds[model] / seconds[other]))

    def notes(self) -> list[str]:
        """Describe the tables compared, the tables missing from some model, and the failed fits."""
        n = int(self.regression.sum()) if self.tables else 0
        runs = len(self._common) // max(len(self.models), 1)
        kinds = f"{len(self.tables) - n} classification and {n} regression tables"
        notes = [f"{kinds}, {runs} splits, common to all models shown"]
        for model in self.models:
            lacks = sorted(set(self._runs["table"]) - set(self._runs["table"][self._runs["model"] == model]))
            if lacks:
                notes.append(f"excluded, no result of {model}: {', '.join(lacks)}")
        for model, rows in self._failed.groupby("model", sort=False):
            where = dict.fromkeys(rows["table"])
            notes.append(f"{len(rows)} fits of {model} failed: {', '.join(where)}")
        return notes


def summary(report: Report, compared: Comparison) -> None:
    """Report one row for each model."""
    if not compared.tables:
        none = "the models shown have no table in common; choose fewer with --report and --models"
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
    title = f"Default settings, raw tables: shifted geometric means (shift {SHIFT}), ranks by error, mean times"
    report.table("summary", title, rows, compared.notes())


TARGETS: dict[str, tuple[dict[str, tuple[str, ...]], dict[str, float]]] = {  # bounds on the ratios of accuracy and time
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
    """Report the targets of our models; each row compares the tables that both models have.

    Parameters
    ----------
    report : Report
        The report.
    runs : DataFrame
        Results of one thread limit.
    memory : mapping
        Peak MB of each of our models, the table of that fit, and the number of tables measured.
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
                rows.append(_target(f"{ours}: {name} / {other}'s", ratio, 1.0, len(pairs[other].tables)))
        if ours == OURS:
            rows += [_rank_target(runs, have), _worst_table_target(runs)]
        for other, bound in time.items():
            ratio = pairs[other].times(ours, other)
            rows.append(_target(f"{ours}: fit time / {other}'s", ratio, bound, len(pairs[other].tables)))
        size, where, n = memory.get(ours, (float("nan"), "", 0))
        rows.append(_target(f"{ours}: MB of a fit", size, MEMORY, n, where))
    decided = [row for row in rows if row["verdict"]]
    if decided:
        met = sum(row["verdict"] == "met" for row in decided)
        notes = [
            f"{met} of {len(decided)} met; ratios of shifted geometric means, and geometric means of time ratios",
        ]
        absent = dict.fromkeys(name for ours, goals in TARGETS.items() for name in (ours, *goals[0], *goals[1]))
        lacks = [name for name in absent if name not in have] + ["memory"] * (not memory)
        notes += [f"no results: {', '.join(lacks)}"] * bool(lacks)
        report.table("targets", "Targets", decided, notes)


def _ratio(value: float, other: float) -> float:
    """Return `value` / `other`; infinity for x / 0, and 1 for 0 / 0."""
    return value / other if other > 1e-12 or other != other else float("inf") if value > 1e-12 else 1.0


def _target(what: str, value: float, bound: float, n_tables: int, where: str = "") -> dict[str, Any]:
    verdict = Result(value, ("<=", bound)).verdict
    return {"target": what, "value": value, "at most": bound, "verdict": verdict, "tables": n_tables, "where": where}


def _rank_target(runs: pd.DataFrame, have: set[str]) -> dict[str, Any]:
    """Target: our mean rank among the baselines, minus the rank of the best baseline."""
    compared = Comparison(runs, [OURS, *sorted(model for model in have if not model.startswith(OURS))])
    what, others = f"{OURS}: mean rank - best other's", [model for model in compared.models if model != OURS]
    if not others or not compared.tables or OURS not in compared.models:
        return _target(what, float("nan"), 0.0, 0)
    ranks = compared.ranks.mean()
    best = ranks[others].idxmin()
    where = f"{ranks[OURS]:.2f}, best other {best} {ranks[best]:.2f}"
    return _target(what, float(ranks[OURS] - ranks[best]), 0.0, len(compared.tables), where)


def _worst_table_target(runs: pd.DataFrame) -> dict[str, Any]:
    """Target: the largest ratio of our error to that of scikit-learn's MLP; `where` lists the tables above it."""
    bound, pair = 1.1, Comparison(runs, [OURS, "mlp"])
    errors = pair.column("error")
    ratios = {name: _ratio(*errors.loc[name, [OURS, "mlp"]]) for name in pair.tables} if len(pair.models) == 2 else {}
    above = sorted((name for name in ratios if ratios[name] > bound), key=ratios.__getitem__, reverse=True)
    where = "; ".join(f"{name} {errors[OURS][name]:.4f} to {errors['mlp'][name]:.4f}" for name in above)
    worst = max(ratios.values(), default=float("nan"))
    return _target(f"{OURS}: worst error / mlp's on a table", worst, bound, len(pair.tables), where)
