"""Measure what `monotonic_cst` costs in accuracy and time, beside that of HistGradientBoosting.

::

    python -m benchmarks.quality.monotonic                # made tables, and the diabetes table
    python -m benchmarks.quality.monotonic --data FOLDER  # public tables too, as in benchmarks.quality

A made table has 300 or 2,000 rows, six uniform columns, and noise of 0.3 standard deviations; its error is that to the
function without noise.  The public tables have the constraints that one would give them without a look at the data.
The error is the root mean squared error divided by the standard deviation of the target, or the log loss.  A violation
is a held-out row for which the prediction moves in a forbidden direction somewhere between the 5 % and the 95 %
quantile of a constrained column.  ``monotonic.csv``, in the folder given by ``--out``, has a row for each table and
model; ``monotonic_summary.csv`` has the geometric means of error and time over those without constraints, and the mean
share of violations.  ``--report`` writes it from the other file.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor

from ..measure import RESULTS, run_in_child
from . import tables

__all__ = ["measure"]

SEEDS = 3
SWEEP_ROWS, SWEEP_VALUES = 200, 25
NOISE = 0.3

# name: the function of six columns on (-1, 1), and the direction of each of the first of them
MADE: dict[str, tuple[Callable[[np.ndarray], np.ndarray], list[int]]] = {
    "additive": (lambda x: np.tanh(3 * x[0]) - x[1] ** 3 + 0.5 * (x[2] > 0.3) + np.sin(3 * x[3]), [1, -1, 1]),
    "products": (lambda x: (1 + x[0]) * (1 + x[1]) - (1 + x[2]) * (1.2 + np.cos(3 * x[3])), [1, 1, -1]),
    "minimum": (lambda x: np.minimum(x[0], x[1]) + np.maximum(x[2], -x[3]), [1, 1, 1, -1]),
    "sigmoid": (lambda x: 4 * expit(4 * x[0] + 4 * x[1] - 3 * x[2] + 2 * np.sin(4 * x[3])) + x[4] * x[5], [1, 1, -1]),
    "linear": (lambda x: x[0] + 0.7 * x[1] + 0.5 * x[2] - 0.4 * x[3] - 0.2 * x[4], [1, 1, 1, -1, -1]),
    "exponential": (lambda x: np.exp(x[0] + x[1] / 2) * (1.1 + np.sin(4 * x[3] * x[4])) - x[2], [1, 1, -1]),
}
PUBLIC = {
    "abalone": {"Shell_weight": 1, "Shucked_weight": -1},
    "auto_mpg": {"weight": -1, "horsepower": -1, "model_year": 1},
    "california_housing": {"median_income": 1},
    "concrete": {"cement": 1, "age": 1, "water": -1},
    "diabetes": {"bmi": 1, "bp": 1, "s5": 1},
    "diamonds": {"carat": 1},
    "pima_diabetes": {"plas": 1, "mass": 1},
    "telco_churn": {"tenure": -1},
}


def made(name: str, n_rows: int, seed: int) -> tuple[tables.Split, dict[str, int]]:
    """Return a made table, its held-out rows without noise, and its constraints."""
    function, directions = MADE[name]
    rng = np.random.default_rng(seed)
    columns = list("abcdef")
    X, X_held = (pd.DataFrame(rng.uniform(-1, 1, (n, 6)), columns=columns) for n in (n_rows, 3000))
    y, y_held = (function(table.to_numpy().T) for table in (X, X_held))
    y = y + NOISE * y.std() * rng.normal(size=n_rows)
    return tables.Split(X, y, X_held, y_held), dict(zip(columns, directions, strict=False))


def boosting(classifies: bool, constraints: dict[str, int] | None) -> Any:
    """Return HistGradientBoosting behind codes of the categories."""
    kind = HistGradientBoostingClassifier if classifies else HistGradientBoostingRegressor
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan)
    texts = make_column_selector(dtype_exclude="number")
    transformer = make_column_transformer(
        (codes, texts), remainder="passthrough", verbose_feature_names_out=False
    ).set_output(transform="pandas")
    return make_pipeline(transformer, kind(monotonic_cst=constraints, random_state=0))


def measure(rows: tables.Split, classifies: bool, constraints: dict[str, int], seed: int) -> Iterator[dict[str, Any]]:
    """Yield error, violations and time of a fit of each model, with and without constraints."""
    ours = ScratchMLPClassifier if classifies else ScratchMLPRegressor
    models = {
        "skscratch": ours(random_state=seed),
        "skscratch, constrained": ours(random_state=seed, monotonic_cst=constraints),
        "HistGradientBoosting": boosting(classifies, None),
        "HistGradientBoosting, constrained": boosting(classifies, constraints),
    }
    for name, model in models.items():
        began = perf_counter()
        model.fit(rows.X, rows.y)
        seconds = perf_counter() - began
        predict = (lambda X, m=model: m.predict_proba(X)[:, 1]) if classifies else model.predict
        p = predict(rows.X_held)
        error = log_loss(rows.y_held, p) if classifies else np.sqrt(np.mean((p - rows.y_held) ** 2)) / rows.y_held.std()
        violations = np.mean([_violates(predict, rows, column, sign) for column, sign in constraints.items()])
        yield {"model": name, "error": error, "violations": violations, "seconds": seconds}


def _violates(predict: Callable[[pd.DataFrame], np.ndarray], rows: tables.Split, column: str, sign: int) -> float:
    """Return the share of held-out rows for which a prediction moves in the forbidden direction."""
    some = rows.X_held.head(SWEEP_ROWS)
    values = np.quantile(rows.X[column].dropna(), np.linspace(0.05, 0.95, SWEEP_VALUES))
    table = some.loc[some.index.repeat(SWEEP_VALUES)].reset_index(drop=True)
    p = predict(table.assign(**{column: np.tile(values, len(some))})).reshape(len(some), SWEEP_VALUES)
    return float(np.mean((sign * np.diff(p, axis=1)).min(axis=1) < 0))


def _all(folder: Path | None) -> Iterator[dict[str, Any]]:
    for n_rows in (300, 2000):
        for name in MADE:
            for seed in range(SEEDS):
                rows, constraints = made(name, n_rows, seed)
                for result in measure(rows, False, constraints, seed):
                    yield {"kind": "made", "table": name, "n_train": n_rows, **result}
    known = tables.tasks(folder)
    for name, constraints in PUBLIC.items():
        if name not in known:
            continue
        for seed in range(SEEDS):
            rows = tables.split(folder, name, seed)
            rows = tables.Split(rows.X.head(3000), rows.y[:3000], rows.X_held, rows.y_held)
            for result in measure(rows, known[name] != "regression", constraints, seed):
                yield {"kind": "public", "table": name, "n_train": len(rows.y), **result}


def main() -> None:
    """Fit in a child process, because BLAS reads its thread limit when it is loaded; print and write the results."""
    parser = argparse.ArgumentParser("python -m benchmarks.quality.monotonic", description=__doc__)
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="manifest.csv and <name>.csv.gz")
    parser.add_argument("--out", type=Path, default=RESULTS / "quality", help="folder of the results")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--report", action="store_true", help="measure nothing; write the summary")
    arguments = parser.parse_args()
    if arguments.report:
        _summarise(arguments.out)
        return
    if not arguments.child:
        run_in_child("benchmarks.quality.monotonic")
        return
    found = pd.DataFrame(_all(arguments.data))
    report = found.groupby(["kind", "table", "n_train", "model"], sort=False).mean()  # over the seeds
    report.round({"error": 4, "violations": 3, "seconds": 2}).to_csv(arguments.out / "monotonic.csv")
    _summarise(arguments.out)


def _summarise(folder: Path) -> None:
    """Write and print the summary of the results in a folder."""
    report = pd.read_csv(folder / "monotonic.csv").set_index(["kind", "table", "n_train", "model"])
    print(report.to_string())
    first = report.xs("skscratch", level="model")[["error", "seconds"]]
    ratios = report[["error", "seconds"]] / first.reindex(report.index.droplevel("model")).to_numpy()
    summary = np.exp(np.log(ratios).groupby(level=["kind", "model"], sort=False).mean())
    summary["violations"] = report["violations"].groupby(level=["kind", "model"], sort=False).mean()
    summary.round(4).to_csv(folder / "monotonic_summary.csv")
    print(f"\nGeometric means of the ratios to skscratch without constraints\n{summary.round(3).to_string()}")


if __name__ == "__main__":
    main()
