"""Compare our defaults with other models on several suites of tables, and on the part of each that was put aside.

::

    python -m benchmarks.quality --data FOLDER --out RESULTS --models skscratch hgb lgbm catboost --seeds 1
    python -m benchmarks.quality.suites RESULTS [RESULTS ...]

Each argument is a folder with the ``runs.csv`` of one suite. A third of its tables is put aside by a fixed seed: no
choice in the package was made on them. "Loss" is the log loss or the nRMSE, shifted by .01; a figure is the geometric
mean over tables of its ratio to another model, with the standard error of its logarithm. Only fits that both models
completed count. The report is written to ``suites.csv`` in the parent folder of the first argument.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from .models import OURS
from .runs import Runs
from .summary import SHIFT

__all__ = ["compare", "put_aside"]

SEED = 2026


def put_aside(tables: list[str]) -> set[str]:
    """Return the third of these tables that no choice was made on."""
    names = sorted(tables)
    order = np.random.default_rng(SEED).permutation(len(names))
    return {names[i] for i in order[: len(names) // 3]}


def compare(runs: pd.DataFrame, suite: str) -> list[dict[str, object]]:
    """Return a row for each other model and each part of the suite.

    Parameters
    ----------
    runs : DataFrame
        The results of one suite, as `Runs.read` returns them.
    suite : str
        Its name.
    """
    runs = runs.assign(loss=runs["logloss"].fillna(runs["error"]) + SHIFT)
    column = {name: runs.pivot_table(index="table", columns="model", values=name) for name in ("loss", "fit_s")}
    aside = put_aside(list(dict.fromkeys(runs["table"])))
    rows: list[dict[str, object]] = []
    for model in column["loss"].columns.drop(OURS):
        for part, chosen in (("all", None), ("in view", False), ("put aside", True)):
            losses = column["loss"][[OURS, model]].dropna()
            if chosen is not None:
                losses = losses[[(table in aside) == chosen for table in losses.index]]
            logs = np.log(losses[OURS] / losses[model])
            times = column["fit_s"].loc[losses.index]
            rows.append(
                {
                    "suite": suite,
                    "tables": part,
                    "n": len(losses),
                    "other": model,
                    "loss ratio": round(float(np.exp(logs.mean())), 3),
                    "standard error": round(float(logs.std() / max(len(logs), 1) ** 0.5), 3),
                    "wins": int((logs < 0).sum()),
                    "time ratio": round(float(np.exp(np.log(times[OURS] / times[model]).mean())), 3),
                }
            )
    return rows


def main() -> None:
    """Print and write the comparison."""
    parser = argparse.ArgumentParser("python -m benchmarks.quality.suites", description=__doc__)
    parser.add_argument("results", nargs="+", type=Path, metavar="RESULTS", help="folder with the runs of one suite")
    parser.add_argument("--threads", default="1", help="thread limit of the runs (default: 1)")
    arguments = parser.parse_args()
    rows: list[dict[str, object]] = []
    for path in arguments.results:
        rows += compare(Runs(path / "runs.csv").read(arguments.threads), path.name)
    report = pd.DataFrame(rows)
    report.to_csv(arguments.results[0].parent / "suites.csv", index=False)
    print(report.to_string(index=False))


if __name__ == "__main__":
    main()
