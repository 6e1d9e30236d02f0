"""Measure what twenty draws from `skscratch.search_space` gain on the defaults, and what the search costs.

::

    python benchmarks/search.py --data FOLDER     # the tables of a folder, as in quality.py
    python benchmarks/search.py                   # scikit-learn's bundled tables
    python benchmarks/search.py --report          # what is there, nothing is run

Which tables: with ``--data``, all of 1,000 to 10,000 rows, a rule stated before anything was searched on them: a
quarter held out is rows enough to tell a better model from a luckier one. The values of the space were chosen on the
tables of the same folder that are smaller or larger than that. Three earlier spaces were run on seeds 0 to 2 of the
ten, and were too large for the noisy ones; what is reported is a seed that none of this has seen. Without ``--data``,
all that are bundled.

The rows are split as in quality.py, and those of training cut to 1,500, so that all takes minutes. RandomizedSearchCV
and HalvingRandomSearchCV draw 20 settings each and judge them by threefold cross-validation on the training rows alone,
by log loss or squared error; halving judges all 20 on a quarter of the rows, and the best five of them on all. What was
found and the defaults are then fitted to all rows of training with the same five seeds, and scored on the rows held
out. A search counts as better on a table if its mean log loss, or root mean squared error, is strictly lower than that
of the defaults, and as a tie if it is the same.

Results go to ``search.csv`` in the folder given by ``--out``, each as soon as it is known, and what is there is not
run again, unless ``--fresh``. ``search_summary.csv`` has one row for each of the two searches.
"""

import argparse
import csv
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import quality_tables
from measure import geometric_mean
from speed import environment

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor

HERE = Path(__file__).resolve().parent
ROWS = (1000, 10_000)  # of the tables
MOST_ROWS = 1500  # of training
DRAWS, CV = 20, 3
FACTOR = 4  # of halving: all draws on a quarter of the rows, then the best quarter of them on all
SEARCHES = ("random", "halving")
FITS = 5  # seeds of the estimator that the comparison is the mean of
KEY = ["table", "seed", "search"]
COLUMNS = [
    *(*KEY, "fit", "task", "n_train", "default_error", "found_error", "default_loss", "found_loss"),
    *("cv_score", "default_s", "found_s", "search_s", "found"),
]
SHIFT = 0.01  # of the losses in a ratio, as in quality.py: a loss near 0 has no ratio of meaning


def main() -> None:
    """Run in a process of its own, for BLAS takes its limit of threads from the environment when loaded."""
    arguments = parse()
    path = arguments.out / "search.csv"
    if arguments.child:
        measure(path, arguments)
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.fresh:
        path.unlink(missing_ok=True)
    if not arguments.report:
        subprocess.run([sys.executable, __file__, "--child", *sys.argv[1:]], env=environment("1"), check=True)
    report(path, arguments.out / "search_summary.csv", arguments.tables)


def parse() -> argparse.Namespace:
    """Arguments of the command line, names of tables checked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, metavar="FOLDER", help="tables: manifest.csv and <name>.csv.gz")
    add("--tables", nargs="+", metavar="NAME", help="tables (default: all that the rule takes)")
    add("--searches", nargs="+", choices=SEARCHES, default=list(SEARCHES))
    add("--seeds", type=int, nargs="+", metavar="N", default=[3], help="of split, folds, draws, estimator (default: 3)")
    add("--out", type=Path, metavar="FOLDER", default=HERE / "results")
    add("--fresh", action="store_true", help="measure again what was measured already")
    add("--report", action="store_true", help="run nothing")
    add("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    known = list(quality_tables.tasks(arguments.data))
    if unknown := set(arguments.tables or ()) - set(known):
        parser.error(f"no table {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return arguments


def chosen(folder: Path | None) -> list[str]:
    """The tables that the rule takes, the quicker first."""
    if folder is None:
        return list(quality_tables.tasks(None))
    rows = pd.read_csv(folder / "manifest.csv", index_col="name")["rows"]
    return list(rows[rows.between(*ROWS)].sort_values(kind="stable").index)


def measure(path: Path, arguments: argparse.Namespace) -> None:
    """Search on what is not in the file yet."""
    done = set(read(path)[KEY].itertuples(index=False, name=None))
    tasks = quality_tables.tasks(arguments.data)
    for seed in arguments.seeds:
        for table in arguments.tables or chosen(arguments.data):
            missing = [search for search in arguments.searches if (table, seed, search) not in done]
            rows = cut(quality_tables.split(arguments.data, table, seed)) if missing else None
            for search in missing:
                model, search_s = timed_search(search, tasks[table], rows, seed)
                about = {
                    "table": table,
                    "seed": seed,
                    "search": search,
                    "cv_score": model.best_score_,
                    "search_s": search_s,
                }
                done_now = [about | row for row in compared(model.best_params_, tasks[table], rows, seed)]
                append(path, done_now)
                show(averaged(pd.DataFrame(done_now)))


def cut(rows: quality_tables.Split) -> quality_tables.Split:
    """With no more than `MOST_ROWS` of training, the first: their order is random."""
    return replace(rows, X=rows.X.iloc[:MOST_ROWS], y=rows.y[:MOST_ROWS])


def estimator_for(task: str, seed: int) -> Any:
    """At its defaults."""
    return (ScratchMLPRegressor if task == "regression" else ScratchMLPClassifier)(random_state=seed)


def timed_search(search: str, task: str, rows: quality_tables.Split, seed: int) -> tuple[Any, float]:
    """A fitted search, without the last fit on all rows, and its seconds."""
    began = perf_counter()
    model = searched(search, estimator_for(task, seed), task, rows.y, seed).fit(rows.X, rows.y)
    return model, perf_counter() - began


def compared(parameters: dict[str, Any], task: str, rows: quality_tables.Split, seed: int) -> Iterator[dict[str, Any]]:
    """What the defaults and what was found are worth on the rows held out, and the seconds of each, fit by fit."""
    for fit in range(FITS):
        row: dict[str, Any] = {"fit": fit, "task": task, "n_train": len(rows.y), "found": repr(parameters)}
        for name, options in (("default", {}), ("found", parameters)):
            model = estimator_for(task, seed + fit).set_params(**options)
            began = perf_counter()
            model.fit(rows.X, rows.y)
            row[f"{name}_s"] = perf_counter() - began
            row[f"{name}_error"], row[f"{name}_loss"] = losses(model, rows, task)
        yield row


def searched(search: str, estimator: Any, task: str, y: np.ndarray, seed: int) -> Any:
    """An unfitted search of `DRAWS` settings."""
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.metrics import log_loss, make_scorer
    from sklearn.model_selection import HalvingRandomSearchCV, KFold, RandomizedSearchCV, StratifiedKFold

    from skscratch.search import search_space

    folds = KFold if task == "regression" else StratifiedKFold
    by_loss = make_scorer(log_loss, greater_is_better=False, response_method="predict_proba", labels=np.unique(y))
    options: dict[str, Any] = {
        "scoring": "neg_root_mean_squared_error" if task == "regression" else by_loss,
        "cv": folds(CV, shuffle=True, random_state=seed),
        "refit": False,
        "random_state": seed,
    }
    if search == "random":
        return RandomizedSearchCV(estimator, search_space(estimator), n_iter=DRAWS, **options)
    some = {"n_candidates": DRAWS, "factor": FACTOR, "min_resources": len(y) // FACTOR}
    return HalvingRandomSearchCV(estimator, search_space(estimator), **some, **options)


def losses(model: Any, rows: quality_tables.Split, task: str) -> tuple[float, float]:
    """Class error and log loss; root mean squared error over the deviation of the target, twice."""
    from sklearn.metrics import accuracy_score, log_loss, root_mean_squared_error

    if task == "regression":
        error = root_mean_squared_error(rows.y_held, model.predict(rows.X_held)) / np.std(rows.y_held)
        return error, error
    p = model.predict_proba(rows.X_held)
    error = 1 - accuracy_score(rows.y_held, model.classes_[p.argmax(axis=1)])
    return error, log_loss(rows.y_held, p, labels=model.classes_)


def append(path: Path, rows: list[dict[str, Any]]) -> None:
    """Append the rows of a search and close the file, so that an interruption loses nothing."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if new:
            writer.writeheader()
        writer.writerows(rows)


def read(path: Path) -> pd.DataFrame:
    """All rows, of a repeated one the last; none where there is no file."""
    if not path.exists():
        return pd.DataFrame(columns=COLUMNS)
    return pd.read_csv(path).drop_duplicates([*KEY, "fit"], keep="last", ignore_index=True)


def averaged(runs: pd.DataFrame) -> pd.DataFrame:
    """One row for each search: the mean over its fits."""
    return runs.groupby([*KEY, "task", "found"], sort=False).mean(numeric_only=True).reset_index()


def show(each: pd.DataFrame) -> None:
    """Print a line for each search."""
    for row in each.to_dict("records"):
        print(told(row), flush=True)


def report(path: Path, summary: Path, tables: list[str] | None) -> None:
    """Print each search, and the summary, which is written too."""
    runs = read(path)
    runs = runs[runs["table"].isin(tables or runs["table"])]
    if runs.empty:
        print(f"no results in {path}")
        return
    each = averaged(runs)
    show(each)
    frame = pd.DataFrame([summed(str(search), part) for search, part in each.groupby("search", sort=False)])
    frame.to_csv(summary, index=False)
    print("\n" + frame.to_string(index=False))


def told(row: dict[str, Any]) -> str:
    """One line on one search."""
    verdict = ("better", "tie", "worse")[int(np.sign(row["found_loss"] - row["default_loss"])) + 1]
    return (
        f"{row['table']:<14}{row['seed']:>3}  {row['search']:<8}"
        f" loss {row['default_loss']:.4f} -> {row['found_loss']:.4f} {verdict:<7}"
        f" error {row['default_error']:.4f} -> {row['found_error']:.4f} "
        f" search {row['search_s']:6.1f} s, fit {row['default_s']:5.2f} s  {row['found']}"
    )


def summed(search: str, each: pd.DataFrame) -> dict[str, Any]:
    """How many tables one kind of search is better on, and by how much; a table's loss is its mean over the seeds."""
    mean = each.groupby("table").mean(numeric_only=True)
    classes = each[each["task"] != "regression"].groupby("table").mean(numeric_only=True)
    change = mean["found_loss"] - mean["default_loss"]
    return {
        "search": search,
        "draws": DRAWS,
        "cv": CV,
        "seeds": each["seed"].nunique(),
        "tables": len(mean),
        "better": int((change < 0).sum()),
        "ties": int((change == 0).sum()),
        "loss_ratio": _ratio(mean, "loss"),
        "class_error_ratio": _ratio(classes, "error"),
        "search_over_fit": round(geometric_mean(list(mean["search_s"] / mean["default_s"])), 1),
        "found_over_default_s": round(geometric_mean(list(mean["found_s"] / mean["default_s"])), 2),
    }


def _ratio(mean: pd.DataFrame, what: str) -> float:
    """Geometric mean over the tables of what was found over the defaults."""
    return round(geometric_mean(list((mean[f"found_{what}"] + SHIFT) / (mean[f"default_{what}"] + SHIFT))), 4)


if __name__ == "__main__":
    main()
