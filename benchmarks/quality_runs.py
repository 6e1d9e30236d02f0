"""Fitting the contenders of the quality benchmark, and the file of results that is never measured twice."""

import contextlib
import csv
import gc
import io
import logging
import traceback
import warnings
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import quality_models
import quality_tables
from quality_tables import Split
from rivals import installed
from sklearn.datasets import load_diabetes, load_iris
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score, root_mean_squared_error

__all__ = ["Runs", "measure", "score"]

KEY = ["table", "seed", "model", "threads"]
SCORES = ["error", "logloss", "auc", "fit_s", "predict_s"]
COLUMNS = ["table", "task", "n_train", "n_features", "seed", "model", *SCORES, "threads"]


class Runs:
    """The results in a CSV file: one row for each table, seed, contender and limit of threads.

    Parameters
    ----------
    path : Path
        The file; it is made with the first row.
    """

    def __init__(self, path: Path):
        self.path = path

    def read(self, threads: str) -> pd.DataFrame:
        """All rows under one limit of threads; of a repeated one the last."""
        if not self.path.exists():
            return pd.DataFrame(columns=COLUMNS)
        frame = pd.read_csv(self.path, dtype={"threads": str}).drop_duplicates(KEY, keep="last")
        return frame[frame["threads"] == threads].reset_index(drop=True)

    def done(self, threads: str) -> set[tuple[str, int, str]]:
        """Table, seed and contender of each row; of those that failed too."""
        return set(self.read(threads)[KEY[:3]].itertuples(index=False, name=None))

    def write(self, row: dict[str, Any]) -> None:
        """Append one row and close the file, so that an interruption loses nothing."""
        new = not self.path.exists()
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if new:
                writer.writeheader()
            writer.writerow(row)


def measure(
    runs: Runs, folder: Path | None, tables: list[str], models: list[str], chosen: list[str], n_seeds: int, **how: Any
) -> None:
    """Fit what is not in `runs` yet, contender after contender on each table and seed.

    Parameters
    ----------
    runs : Runs
        Where the results go.
    folder : Path or None
        Where the tables are; None for those of scikit-learn.
    tables, models, chosen : list of str
        Names of tables, of contenders, and of the settings of ours.
    n_seeds : int
        Seeds of each table, at most.
    **how
        `threads`, the limit under which this process runs, and `fresh`, to measure again what is in `runs`.
    """
    threads, limit = how["threads"], None if how["threads"] == "all" else int(how["threads"])
    contenders = _contenders(models, chosen)
    done = set() if how["fresh"] else runs.done(threads)
    warm: set[str] = set()
    for name, task in quality_tables.tasks(folder).items():
        for seed in quality_tables.seeds(folder, name, n_seeds) if name in tables else ():
            missing = {model: options for model, options in contenders.items() if (name, seed, model) not in done}
            rows = quality_tables.split(folder, name, seed) if missing else None
            for model, options in missing.items():
                if model not in warm:
                    warm.add(model)
                    _warm_up(model, options, limit)
                row = _row(model, options, name, task, rows, seed, limit)
                if row is not None:
                    runs.write(row | {"threads": threads})


def _contenders(models: list[str], chosen: list[str]) -> dict[str, dict[str, Any] | None]:
    """What to set for each of ours, None for each rival; those not installed are told and left out."""
    contenders: dict[str, dict[str, Any] | None] = {}
    for model in models:
        module = quality_models.library(model)
        if module:
            print(f"{model} is left out: {module} is not installed", flush=True)
        elif model == quality_models.OURS:
            contenders |= quality_models.settings(chosen)
        else:
            contenders[model] = None
    return contenders


def _warm_up(model: str, options: dict[str, Any] | None, limit: int | None) -> None:
    """Fit a few rows, untimed: what a library loads and compiles at its first fit is not the first table's time."""
    if limit is not None and installed("torch") and quality_models.RIVALS.get(model, ("",))[0] == "pytabkit":
        import torch

        torch.set_num_threads(limit)
    for task, bunch in (("multiclass", load_iris(as_frame=True)), ("regression", load_diabetes(as_frame=True))):
        part = slice(None, None, 3)
        X, y = bunch.data[part], bunch.target.to_numpy()[part]
        with _quiet(), contextlib.suppress(Exception):  # its first table will tell
            estimator = quality_models.make(model, options, task, X, 0, limit)
            if estimator is not None:
                estimator.fit(X, y).predict(X)


def _row(
    model: str, options: dict[str, Any] | None, name: str, task: str, rows: Split, seed: int, limit: int | None
) -> dict[str, Any] | None:
    """One row of results, printed too; None where the options do not concern the task."""
    row = {"table": name, "task": task, "n_train": len(rows.y), "n_features": rows.X.shape[1]}
    row |= {"seed": seed, "model": model}
    gc.collect()
    try:
        with _quiet():
            estimator = quality_models.make(model, options, task, rows.X, seed, limit)
            if estimator is None:
                return None
            scores = score(estimator, task, rows)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        print(f"{name} seed {seed} {model}: FAILED, {type(error).__name__}: {error} ({where})", flush=True)
        return row | dict.fromkeys(SCORES, float("nan"))
    shown = {"logloss": "log loss", "fit_s": "fit s", "predict_s": "predict s"}
    text = ", ".join(f"{shown.get(key, key)} {value:.4g}" for key, value in scores.items() if value == value)
    print(f"{name} seed {seed} {model}: {text}", flush=True)
    return row | scores


def score(estimator: Any, task: str, rows: Split) -> dict[str, float]:
    """Fit an estimator and score it on the rows held out.

    Returns
    -------
    scores : dict of str to float
        The error, 1 - accuracy or the root mean squared error over the standard deviation of the target held out;
        log loss and, of two classes, the area under the ROC curve; seconds to fit and to predict.
    """
    began = perf_counter()
    estimator.fit(rows.X, rows.y)
    fitted = perf_counter()
    if task == "regression":
        z = np.asarray(estimator.predict(rows.X_held)).reshape(len(rows.y_held))
        predicted = perf_counter()
        error = root_mean_squared_error(rows.y_held, z) / np.std(rows.y_held)
        loss = auc = float("nan")
    else:
        p = np.asarray(estimator.predict_proba(rows.X_held))
        predicted = perf_counter()
        error = 1 - accuracy_score(rows.y_held, p.argmax(axis=1))
        loss = log_loss(rows.y_held, p, labels=np.arange(p.shape[1]))
        auc = roc_auc_score(rows.y_held, p[:, 1]) if task == "binary" else float("nan")
    return dict(zip(SCORES, map(float, (error, loss, auc, fitted - began, predicted - fitted)), strict=True))


@contextlib.contextmanager
def _quiet() -> Any:
    """No warnings, logs or prints of the libraries."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
