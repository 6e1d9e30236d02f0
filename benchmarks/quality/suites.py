"""Compare our settings with other models on several suites of tables, and on the part of each that was put aside.

::

    python -m benchmarks.quality --data FOLDER --out RESULTS --models skscratch hgb lgbm catboost --seeds 1
    python -m benchmarks.quality.suites RESULTS [RESULTS ...]

Each argument is a folder with the ``runs.csv`` of one suite. A third of its tables is put aside by a fixed seed: no
choice in the package was made on them. "Loss" is the log loss or the nRMSE, shifted by .01; a figure is the geometric
mean over tables of its ratio to another model, with the standard error of its logarithm, and so is the ratio of class
errors. Only fits that both models completed count. The report is written to ``suites.csv`` in the parent folder of the
first argument, and to ``suites_ranks.csv`` the mean rank of each model by loss, on the tables that all of `RANKED`
completed.
"""

import argparse
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from .models import OURS
from .runs import Runs
from .summary import SHIFT

__all__ = ["compare", "put_aside", "ranks"]

SEED = 2026
RANKED = (OURS, "catboost", "lgbm", "hgb")


def put_aside(tables: list[str]) -> set[str]:
    """Return the third of these tables that no choice was made on."""
    names = sorted(tables)
    order = np.random.default_rng(SEED).permutation(len(names))
    return {names[i] for i in order[: len(names) // 3]}


def compare(runs: pd.DataFrame, suite: str) -> list[dict[str, object]]:
    """Return a row for each setting of ours, each other model and each part of the suite.

    Parameters
    ----------
    runs : DataFrame
        The results of one suite, as `Runs.read` returns them.
    suite : str
        Its name.
    """
    loss, error, time = (_by_model(runs, name) for name in ("loss", "class error", "fit_s"))
    aside = put_aside(list(dict.fromkeys(runs["table"])))
    settings = [name for name in (OURS, f"{OURS} of ten members") if name in loss]
    rows: list[dict[str, object]] = []
    for ours, other in product(settings, loss.columns):
        if other.startswith(OURS):
            continue
        both = loss[[ours, other]].dropna().index
        parts = {"all": both, "in view": both.difference(list(aside)), "put aside": both.intersection(list(aside))}
        for part, tables in parts.items():
            if not len(tables):
                continue
            ratio, standard_error = _mean_ratio(loss, ours, other, tables)
            rows.append(
                {
                    "suite": suite,
                    "tables": part,
                    "n": len(tables),
                    "ours": ours,
                    "other": other,
                    "loss ratio": ratio,
                    "standard error": standard_error,
                    "wins": int((loss[ours] < loss[other])[tables].sum()),
                    "class error ratio": _mean_ratio(error, ours, other, error.index.intersection(tables))[0],
                    "time ratio": _mean_ratio(time, ours, other, tables)[0],
                }
            )
    return rows


def ranks(runs: pd.DataFrame, suite: str) -> list[dict[str, object]]:
    """Return a row for each of `RANKED`: its mean rank by loss on the tables that all of them completed."""
    loss = _by_model(runs, "loss")
    if not set(RANKED) <= set(loss):
        return []
    loss = loss[list(RANKED)].dropna()
    mean = loss.rank(axis=1).mean()
    return [{"suite": suite, "n": len(loss), "model": name, "mean rank": round(mean[name], 2)} for name in RANKED]


def _by_model(runs: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the mean over seeds, a row for each table and a column for each model."""
    is_class = runs["task"] != "regression"
    runs = runs.assign(
        **{"loss": runs["logloss"].where(is_class, runs["error"]) + SHIFT, "class error": runs["error"] + SHIFT}
    )
    runs = runs[is_class] if name == "class error" else runs
    return runs.pivot_table(index="table", columns="model", values=name)


def _mean_ratio(values: pd.DataFrame, ours: str, other: str, tables: pd.Index) -> tuple[float, float]:
    """Return the geometric mean over these tables of our value over the other's, and the standard error of its log."""
    logs = np.log(values.loc[tables, ours] / values.loc[tables, other])
    return round(float(np.exp(logs.mean())), 3), round(float(logs.std() / max(len(logs), 1) ** 0.5), 3)


def main() -> None:
    """Print and write the comparison."""
    parser = argparse.ArgumentParser("python -m benchmarks.quality.suites", description=__doc__)
    parser.add_argument("results", nargs="+", type=Path, metavar="RESULTS", help="folder with the runs of one suite")
    parser.add_argument("--threads", default="1", help="thread limit of the runs (default: 1)")
    arguments = parser.parse_args()
    suites = {path.resolve().name: Runs(path / "runs.csv").read(arguments.threads) for path in arguments.results}
    for name, rows_of in {"suites.csv": compare, "suites_ranks.csv": ranks}.items():
        report = pd.DataFrame([row for suite, runs in suites.items() for row in rows_of(runs, suite)])
        report.to_csv(arguments.results[0].parent / name, index=False)
        print(report.to_string(index=False))


if __name__ == "__main__":
    main()
