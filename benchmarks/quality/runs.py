"""Runs of the quality benchmark, and the file of their results, from which an interrupted benchmark resumes."""

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
from sklearn.datasets import load_diabetes, load_iris
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score, root_mean_squared_error

from ..measure import installed
from .models import BASELINES, OURS, library, make, settings
from .tables import Split, seeds, split, tasks

__all__ = ["Runs", "measure", "score"]

KEY = ["table", "seed", "model", "threads"]
SCORES = ["error", "logloss", "auc", "fit_s", "predict_s"]
COLUMNS = ["table", "task", "n_train", "n_features", "seed", "model", *SCORES, "threads"]


class Runs:
    """Results in a CSV file, one row for each table, seed, model and thread limit.

    Parameters
    ----------
    path : Path
        The file. The first row creates it.
    """

    def __init__(self, path: Path):
        self.path = path

    def read(self, threads: str) -> pd.DataFrame:
        """Return the rows of one thread limit; the last of repeated rows counts."""
        if not self.path.exists():
            return pd.DataFrame(columns=COLUMNS)
        frame = pd.read_csv(self.path, dtype={"threads": str}).drop_duplicates(KEY, keep="last")
        return frame[frame["threads"] == threads].reset_index(drop=True)

    def done(self, threads: str) -> set[tuple[str, int, str]]:
        """Return table, seed and model of each row, including failed runs."""
        return set(self.read(threads)[KEY[:3]].itertuples(index=False, name=None))

    def write(self, row: dict[str, Any]) -> None:
        """Append one row and close the file; an interruption loses no finished run."""
        new = not self.path.exists()
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if new:
                writer.writeheader()
            writer.writerow(row)


def measure(
    runs: Runs, folder: Path | None, tables: list[str], models: list[str], chosen: list[str], n_seeds: int, **how: Any
) -> None:
    """Fit the models that are not yet in `runs`, for each table and seed.

    Parameters
    ----------
    runs : Runs
        The results.
    folder : Path or None
        Folder of the tables; None for the tables of scikit-learn.
    tables, models, chosen : list of str
        Names of the tables, of the models, and of the settings of our models.
    n_seeds : int
        Maximum number of seeds of each table.
    **how
        `threads`, the thread limit of this process, and `fresh`, whether to repeat runs that are in `runs`.
    """
    threads, limit = how["threads"], None if how["threads"] == "all" else int(how["threads"])
    wanted = _models(models, chosen)
    done = set() if how["fresh"] else runs.done(threads)
    warm: set[str] = set()
    for name, task in tasks(folder).items():
        for seed in seeds(folder, name, n_seeds) if name in tables else ():
            missing = {model: options for model, options in wanted.items() if (name, seed, model) not in done}
            rows = split(folder, name, seed) if missing else None
            for model, options in missing.items():
                if model not in warm:
                    warm.add(model)
                    _warm_up(model, options, limit)
                row = _row(model, options, name, task, rows, seed, limit)
                if row is not None:
                    runs.write(row | {"threads": threads})


def _models(names: list[str], chosen: list[str]) -> dict[str, dict[str, Any] | None]:
    """Return the parameters of each of our models, and None for each installed baseline."""
    models: dict[str, dict[str, Any] | None] = {}
    for model in names:
        module = library(model)
        if module:
            print(f"skipping {model}: {module} is not installed", flush=True)
        elif model == OURS:
            models |= settings(chosen)
        else:
            models[model] = None
    return models


def _warm_up(model: str, options: dict[str, Any] | None, limit: int | None) -> None:
    """Fit a few rows untimed; the first fit of a library includes imports and compilation."""
    if limit is not None and installed("torch") and BASELINES.get(model, ("",))[0] == "pytabkit":
        import torch

        torch.set_num_threads(limit)
    for task, bunch in (("multiclass", load_iris(as_frame=True)), ("regression", load_diabetes(as_frame=True))):
        part = slice(None, None, 3)
        X, y = bunch.data[part], bunch.target.to_numpy()[part]
        with _quiet(), contextlib.suppress(Exception):  # an error appears again on the first table
            estimator = make(model, options, task, X, 0, limit)
            if estimator is not None:
                estimator.fit(X, y).predict(X)


def _row(
    model: str, options: dict[str, Any] | None, name: str, task: str, rows: Split, seed: int, limit: int | None
) -> dict[str, Any] | None:
    """Fit one model; print and return its row of results. None if the estimator has none of the options."""
    row = {"table": name, "task": task, "n_train": len(rows.y), "n_features": rows.X.shape[1]}
    row |= {"seed": seed, "model": model}
    gc.collect()
    try:
        with _quiet():
            estimator = make(model, options, task, rows.X, seed, limit)
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
    """Fit an estimator and score it on the held-out rows.

    Returns
    -------
    scores : dict of str to float
        The error: 1 - accuracy, or the root mean squared error over the standard deviation of the held-out target;
        the log loss; the area under the ROC curve of two classes; seconds of fit and of predict.
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
    """Suppress warnings, logs and prints of the libraries."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
