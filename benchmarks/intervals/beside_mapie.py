"""Coverage, width and time of `predict_interval` and `predict_set` beside MAPIE's around the same estimator.

::

    pip install mapie
    python -m benchmarks.intervals.beside_mapie --data FOLDER [--rows 1000] [--seeds 2]

MAPIE fits the estimator six times, five of them for cross-validation: `CrossConformalRegressor` by CV+ and
`CrossConformalClassifier` by LAC and APS.  The estimator is either that of the defaults, each a mean of five networks,
or a single network (``n_members=1``).  Both sides have the same training rows and new rows, one thread, one process.
The most probable class is added to MAPIE's sets, as `predict_set` does, so that none is empty.

``regression.csv`` and ``classification.csv``, in the folder given by ``--out``, have a row for each table and method,
means over the seeds: the coverage at 0.9, the mean width over the standard deviation of y, or the mean size, and the
seconds of processor time of fit and prediction.  ``summary.csv`` has a row for each task and method: the mean coverage
over the tables, and the geometric means of size and time over ours.  ``--report`` writes it from the other two files.
"""

import argparse
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import make_friedman1, make_friedman2, make_friedman3

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor

from ..measure import RESULTS, geometric_mean, run_in_child
from ..quality import tables
from ..quality.tables import Split
from .simulation import DISTRIBUTIONS

__all__ = ["compare", "splits", "summarise"]

COVERAGE = 0.9
N_NEW = 1000
MADE: dict[str, Callable[[int, int], tuple[np.ndarray, np.ndarray]]] = {
    "friedman1": lambda n, seed: make_friedman1(n, noise=1, random_state=seed),
    "friedman2": lambda n, seed: make_friedman2(n, noise=125, random_state=seed),
    "friedman3": lambda n, seed: make_friedman3(n, noise=0.1, random_state=seed),
    "heteroscedastic": lambda n, seed: DISTRIBUTIONS["heteroscedastic"](n, np.random.default_rng(seed)),
    "heavy_tailed": lambda n, seed: DISTRIBUTIONS["heavy_tailed"](n, np.random.default_rng(seed)),
    "three_classes": lambda n, seed: DISTRIBUTIONS["three_classes"](n, np.random.default_rng(seed)),
    "ten_classes": lambda n, seed: DISTRIBUTIONS["ten_classes"](n, np.random.default_rng(seed)),
}


def splits(folder: Path | None, task: str, n_rows: int, n_seeds: int) -> Iterator[tuple[str, int, Split]]:
    """Yield the splits of all tables of a task, of at most `n_rows` training rows and 1,000 new rows."""
    names = [name for name, kind in tables.tasks(folder).items() if (kind == "regression") == (task == "regression")]
    for name in names:
        for seed in range(n_seeds):
            rows = tables.split(folder, name, seed)
            X, X_new = rows.X[:n_rows], rows.X_held[:N_NEW]
            yield name, seed, Split(X, rows.y[:n_rows], X_new, rows.y_held[:N_NEW])
    for name, make in MADE.items():
        if name.endswith("classes") != (task == "regression"):
            for seed in range(n_seeds):
                X, y = make(n_rows + N_NEW, seed)
                frame = pd.DataFrame(X).rename(columns=str)
                new = frame[n_rows:].reset_index(drop=True)
                yield name, seed, Split(frame[:n_rows], y[:n_rows], new, y[n_rows:])


def compare(task: str, rows: Split, seed: int) -> Iterator[dict[str, Any]]:
    """Yield the results of each method on one split."""
    methods = _intervals(seed) if task == "regression" else _sets(seed)
    for name, run in methods.items():
        began = process_time()
        try:
            found = run(rows)
        except Exception as error:  # of MAPIE, on some tables
            print(f"{name} failed: {type(error).__name__}: {str(error)[:120]}")
            continue
        seconds = process_time() - began
        if task == "regression":
            low, high = found.T
            covered, size = (low <= rows.y_held) & (rows.y_held <= high), (high - low) / rows.y.std()
        else:
            covered, size = found[np.arange(len(found)), rows.y_held], found.sum(axis=1)
        yield {"method": name, "coverage": covered.mean(), "size": size.mean(), "seconds": seconds}


def _intervals(seed: int) -> dict[str, Callable[[Split], np.ndarray]]:
    from mapie.regression import CrossConformalRegressor

    def ours(rows: Split, **options: Any) -> np.ndarray:
        model = ScratchMLPRegressor(random_state=seed, **options).fit(rows.X, rows.y)
        return model.predict_interval(rows.X_held, COVERAGE)

    def theirs(rows: Split, **options: Any) -> np.ndarray:
        model = ScratchMLPRegressor(random_state=seed, **options)
        mapie = CrossConformalRegressor(model, COVERAGE, cv=5, random_state=seed).fit_conformalize(rows.X, rows.y)
        return np.asarray(mapie.predict_interval(rows.X_held)[1][:, :, 0])

    return {
        "ours": ours,
        "ours, refit=0": lambda rows: ours(rows, refit=0),
        "MAPIE": theirs,
        "MAPIE, n_members=1": lambda rows: theirs(rows, n_members=1),
    }


def _sets(seed: int) -> dict[str, Callable[[Split], np.ndarray]]:
    from mapie.classification import CrossConformalClassifier

    def ours(rows: Split, **options: Any) -> np.ndarray:
        model = ScratchMLPClassifier(random_state=seed, **options).fit(rows.X, rows.y)
        return model.predict_set(rows.X_held, COVERAGE)

    def theirs(rows: Split, score: str = "lac", **options: Any) -> np.ndarray:
        model = ScratchMLPClassifier(random_state=seed, **options)
        mapie = CrossConformalClassifier(model, COVERAGE, conformity_score=score, cv=5, random_state=seed)
        label, sets = mapie.fit_conformalize(rows.X, rows.y).predict_set(rows.X_held)
        chosen = sets[:, :, 0].copy()
        chosen[np.arange(len(chosen)), np.asarray(label, dtype=int)] = True
        return np.asarray(chosen)

    return {
        "ours": ours,
        "ours, refit=0": lambda rows: ours(rows, refit=0),
        "MAPIE": theirs,
        "MAPIE, n_members=1": lambda rows: theirs(rows, n_members=1),
        "MAPIE, APS": lambda rows: theirs(rows, score="aps"),
    }


def main() -> None:
    """Compare in a child process, because BLAS reads its thread limit when it is loaded."""
    parser = argparse.ArgumentParser("python -m benchmarks.intervals.beside_mapie", description=__doc__)
    parser.add_argument("--data", type=Path, default=None, help="folder of tables, as in benchmarks.quality")
    parser.add_argument("--rows", type=int, default=1000, help="training rows at most")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--task", nargs="*", default=["regression", "classification"])
    parser.add_argument("--out", type=Path, default=RESULTS / "intervals", help="folder of the results")
    parser.add_argument("--report", action="store_true", help="measure nothing; write the summary")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.report:
        summarise(arguments.out)
        return
    if not arguments.child:
        run_in_child("benchmarks.intervals.beside_mapie")
        return
    warnings.simplefilter("ignore")
    for task in arguments.task:
        found = []
        for name, seed, rows in splits(arguments.data, task, arguments.rows, arguments.seeds):
            for result in compare(task, rows, seed):
                found.append({"table": name, "n": len(rows.y), "seed": seed, **result})
                print(*found[-1].values(), flush=True)
        report = pd.DataFrame(found).groupby(["table", "n", "method"], sort=False).mean().drop(columns="seed")
        report.round(4).reset_index().to_csv(arguments.out / f"{task}.csv", index=False)
    summarise(arguments.out)


def summarise(folder: Path) -> None:
    """Write and print the summary of the results in a folder."""
    rows = []
    for task in ("regression", "classification"):
        report = pd.read_csv(folder / f"{task}.csv")
        wide = report.pivot(index="table", columns="method", values=["coverage", "size", "seconds"])
        for method in report["method"].unique():
            ratios = {of: (wide[of][method] / wide[of]["ours"]).dropna() for of in ("size", "seconds")}
            rows.append(
                {
                    "task": task,
                    "method": method,
                    "tables": len(ratios["size"]),
                    "coverage": wide["coverage"][method].mean(),
                    "size / ours": geometric_mean(list(ratios["size"])),
                    "time / ours": geometric_mean(list(ratios["seconds"])),
                }
            )
    summary = pd.DataFrame(rows).round(4)
    summary.to_csv(folder / "summary.csv", index=False)
    print(summary.to_string(index=False))


if __name__ == "__main__":
    main()
