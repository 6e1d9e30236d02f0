"""Measure the defaults where they are tested hardest: columns of random names, and tables of few rows.

::

    python -m benchmarks.quality.extremes FOLDER [FOLDER ...]   # folders of tables, as in benchmarks.quality

**Names**: the first `N_TABLES` tables of the first folder, as they are, and with a column of random names: one for each
row, or one of 2,000 or 300. ``names.csv`` has the ratio of the losses (log loss or nRMSE, shifted by .01).

**Few rows**: the tables of classes in all folders, cut to 10, 20, 40 and 100 rows of classes that occur twice at least.
``few_rows.csv`` has the log loss of ours, of boosted trees and of the shares of the classes ("prior") on other rows.
"""

import argparse
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.dummy import DummyClassifier

from ..measure import RESULTS, run_in_child
from . import tables
from .models import hgb, ours
from .runs import score
from .summary import SHIFT
from .tables import Split

__all__ = ["few_rows", "names"]

N_TABLES = 10
KINDS = {"a name for each row": None, "2,000 names": 2000, "300 names": 300}
SIZES = (10, 20, 40, 100)
MAX_HELD = 2000  # rows on which small tables are scored


def names(folder: Path) -> pd.DataFrame:
    """Return the ratio of the loss with a column of names to that without it, for each table and kind of names."""
    found = []
    for name, task in list(tables.tasks(folder).items())[:N_TABLES]:
        rows = tables.split(folder, name, seed=0)
        plain = _loss(rows, task)
        for kind, n_names in KINDS.items():
            ratio = (_loss(_with_names(rows, n_names), task) + SHIFT) / (plain + SHIFT)
            found.append({"table": name, "column": kind, "loss": plain, "ratio": round(ratio, 4)})
            print(found[-1], flush=True)
    return pd.DataFrame(found)


def _loss(rows: Split, task: str) -> float:
    scores = score(ours({}, task, seed=0), task, rows)
    return scores["error"] if task == "regression" else scores["logloss"]


def _with_names(rows: Split, n_names: int | None) -> Split:
    rng = np.random.default_rng(0)
    n, n_held = len(rows.X), len(rows.X_held)
    codes = np.arange(n + n_held) if n_names is None else rng.integers(0, n_names, n + n_held)
    texts = np.array([f"name {code}" for code in codes], dtype=object)
    return replace(rows, X=rows.X.assign(random_=texts[:n]), X_held=rows.X_held.assign(random_=texts[n:]))


def few_rows(folders: list[Path]) -> pd.DataFrame:
    """Return the log losses of each table and size."""
    found = []
    for folder in folders:
        for name, task in tables.tasks(folder).items():
            if task == "regression":
                continue
            whole = tables.split(folder, name, seed=0)
            for size in SIZES:
                rows = _cut(whole, size)
                if rows is None:
                    continue
                models = {"ours": ours({}, task, 0), "prior": DummyClassifier(), "hgb": hgb(task, rows.X, 0, 1)}
                losses = {who: _log_loss(model, rows) for who, model in models.items()}
                found.append({"table": name, "rows": size, "n_classes": int(rows.y.max()) + 1, **losses})
    return pd.DataFrame(found)


def _log_loss(model: object, rows: Split) -> float:
    try:
        return round(score(model, "multiclass", rows)["logloss"], 4)
    except (ValueError, TypeError) as error:  # of boosted trees, at columns without a value
        print(f"{type(model).__name__}: {error}", flush=True)
        return float("nan")


def _cut(whole: Split, size: int) -> Split | None:
    """Return a random part of the training rows, and held-out rows of its classes; None if it has a single class."""
    chosen = np.random.default_rng(0).permutation(len(whole.y))[:size]
    classes, counts = np.unique(whole.y[chosen], return_counts=True)
    classes = classes[counts > 1]
    chosen = chosen[np.isin(whole.y[chosen], classes)]
    held = np.flatnonzero(np.isin(whole.y_held, classes))[:MAX_HELD]
    if len(classes) < 2 or len(chosen) < size / 2:
        return None
    y, y_held = (np.searchsorted(classes, part) for part in (whole.y[chosen], whole.y_held[held]))
    return Split(whole.X.iloc[chosen], y, whole.X_held.iloc[held], y_held)


def main() -> None:
    """Fit in a child process, because BLAS reads its thread limit when it is loaded; print and write the results."""
    parser = argparse.ArgumentParser("python -m benchmarks.quality.extremes", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="manifest.csv and <name>.csv.gz")
    parser.add_argument("--out", type=Path, default=RESULTS / "quality", help="folder of the results")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.child:
        run_in_child("benchmarks.quality.extremes")
        return
    warnings.simplefilter("ignore")
    ratios = names(arguments.folders[0])
    ratios.to_csv(arguments.out / "names.csv", index=False)
    logs = np.log(ratios["ratio"]).groupby(ratios["column"], sort=False)
    summary = {"mean ratio": np.exp(logs.mean()), "standard error": logs.sem(), "highest": np.exp(logs.max())}
    _report(pd.DataFrame(summary).round(3).reset_index(), arguments.out / "names_summary.csv")
    losses = few_rows(arguments.folders)
    losses.to_csv(arguments.out / "few_rows.csv", index=False)
    excess = (losses["ours"] - losses["prior"]).groupby(losses["rows"]).max()
    of_size = losses.dropna().groupby("rows")
    means = of_size[["ours", "prior", "hgb"]].mean()
    summary = pd.DataFrame({"tables": of_size.size(), **means, "highest above the prior": excess})
    _report(summary.round(3).reset_index(), arguments.out / "few_rows_summary.csv")


def _report(summary: pd.DataFrame, path: Path) -> None:
    summary.to_csv(path, index=False)
    print(summary.to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
