"""Compare `oof_score_`, the out-of-fold score of one fit at the defaults, with the score on held-out rows.

::

    python -m benchmarks.quality.out_of_fold FOLDER [FOLDER ...]   # folders of tables, as in benchmarks.quality

The standard error of the difference is estimated by 200 bootstrap samples of the training rows and of the held-out
rows. ``out_of_fold.csv``, in the folder given by ``--out``, has one row for each table: both scores, and their
difference in standard errors. ``out_of_fold_summary.csv`` has the shares of tables where the out-of-fold score is
within two standard errors of the held-out score, lower and higher.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, r2_score

from ..measure import RESULTS, run_in_child
from . import tables
from .models import ours

__all__ = ["compare"]

Score = Callable[[np.ndarray, np.ndarray], float]
SAMPLES = 200


def compare(folder: Path, name: str, task: str) -> dict[str, object]:
    """Return the row of results of one table."""
    rows = tables.split(folder, name, seed=0)
    model = ours({}, task, seed=0).fit(rows.X, rows.y)
    row = {"suite": folder.name, "table": name, "n_train": len(rows.y)}
    if model.oof_predictions_ is None:
        return row
    score: Score = r2_score if task == "regression" else accuracy_score
    out_of_fold = model.oof_predictions_ if task == "regression" else model.oof_predictions_.argmax(axis=1)
    predicted, rng = model.predict(rows.X_held), np.random.default_rng(0)
    both = score(rows.y, out_of_fold), score(rows.y_held, predicted)
    error = np.hypot(_error(score, rows.y, out_of_fold, rng), _error(score, rows.y_held, predicted, rng))
    difference = (both[0] - both[1]) / error if error else 0.0
    scores = {"oof_score": both[0], "held_out_score": both[1], "difference": difference}
    return row | {key: round(float(value), 4) for key, value in scores.items()}


def _error(score: Score, y: np.ndarray, predicted: np.ndarray, rng: np.random.Generator) -> float:
    """Return the standard error of a score."""
    samples = (rng.integers(0, len(y), len(y)) for _ in range(SAMPLES))
    return float(np.std([score(y[rows], predicted[rows]) for rows in samples]))


def main() -> None:
    """Fit in a child process, because BLAS reads its thread limit when it is loaded; print and write the results."""
    parser = argparse.ArgumentParser("python -m benchmarks.quality.out_of_fold", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="manifest.csv and <name>.csv.gz")
    parser.add_argument("--out", type=Path, default=RESULTS / "quality", help="folder of the results")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.child:
        run_in_child("benchmarks.quality.out_of_fold")
        return
    found = [compare(folder, name, task) for folder in arguments.folders for name, task in tables.tasks(folder).items()]
    report = pd.DataFrame(found)
    report.to_csv(arguments.out / "out_of_fold.csv", index=False)
    difference = report["difference"].dropna()
    shares = {"within two standard errors": difference.abs() <= 2, "lower": difference < -2, "higher": difference > 2}
    summary = pd.DataFrame([{"tables": len(difference), **{name: part.mean() for name, part in shares.items()}}])
    summary.round(3).to_csv(arguments.out / "out_of_fold_summary.csv", index=False)
    print(report.to_string(index=False), summary.round(3).to_string(index=False), sep="\n\n")


if __name__ == "__main__":
    main()
