"""Tables of the quality benchmark, and their splits into training rows and held-out rows."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import sklearn.datasets
from sklearn.model_selection import train_test_split

from .. import datasets

__all__ = ["Split", "seeds", "split", "tasks"]

BUNDLED = {
    "diabetes": "regression",
    "breast_cancer": "binary",
    "iris": "multiclass",
    "wine": "multiclass",
    "digits": "multiclass",
}
FROM_SKLEARN = "sklearn.datasets."
MAX_ROWS = 8000  # upper limit of the training rows, and of the held-out rows
MANY_ROWS = 5000  # tables with more training rows than this are measured with one seed


@dataclass(frozen=True)
class Split:
    """One split of a table; `y` contains numbers for regression, else codes of the sorted class labels."""

    X: pd.DataFrame
    y: np.ndarray
    X_held: pd.DataFrame
    y_held: np.ndarray


def tasks(folder: Path | None) -> dict[str, str]:
    """Return the task of each table: "regression", "binary" or "multiclass"."""
    if folder is None:
        return BUNDLED
    kinds = {"reg": "regression", "class": "multiclass"}
    given = {name: kinds.get(task, task) for name, task in _manifest(folder)["task"].items()}
    for name, task in given.items():
        if "target" in _manifest(folder) and task == "multiclass" and _whole(folder, name)[1].max() == 1:
            given[name] = "binary"
    return given


def seeds(folder: Path | None, name: str, most: int) -> range:
    """Return the seeds of a table: `most` of them, or one if the table is large."""
    n_train = int(0.75 * len(_whole(folder, name)[1]))
    return range(most if n_train <= MANY_ROWS else min(most, 1))


def split(folder: Path | None, name: str, seed: int, max_rows: int = MAX_ROWS) -> Split:
    """Split into three quarters for training and one held out, stratified by class; cut each to `max_rows`."""
    X, y, classifies = _whole(folder, name)
    parts = train_test_split(np.arange(len(X)), test_size=0.25, random_state=seed, stratify=y if classifies else None)
    rng = np.random.default_rng(seed)
    train, held = (rng.choice(rows, max_rows, replace=False) if len(rows) > max_rows else rows for rows in parts)
    return Split(X.iloc[train].reset_index(drop=True), y[train], X.iloc[held].reset_index(drop=True), y[held])


@cache
def _manifest(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "manifest.csv", index_col="name", keep_default_na=False)


@cache
def _raw(folder: Path, name: str) -> tuple[pd.DataFrame, np.ndarray, bool]:
    """Read a table as it is, by `pd.read_csv` and nothing else; rows without a target are left out."""
    row = _manifest(folder).loc[name]
    options = {"header": None} if row["header"] == "none" else {}
    frame = pd.read_csv(folder / f"{name}.csv.gz", sep=row["sep"] or ",", **options).rename(columns=str)
    frame = frame[frame[row["target"]].notna()]
    classifies = row["task"] == "class"
    if classifies:  # a class with a single row cannot be split
        frame = frame[frame.groupby(row["target"])[row["target"]].transform("size") > 1]
    X, y = frame.drop(columns=row["target"]).reset_index(drop=True), frame[row["target"]]
    return X, pd.factorize(y, sort=True)[0] if classifies else y.to_numpy(float), classifies


def _whole(folder: Path | None, name: str) -> tuple[pd.DataFrame, np.ndarray, bool]:
    if folder is not None and "target" in _manifest(folder):
        return _raw(folder, name)
    source = f"{FROM_SKLEARN}load_{name}" if folder is None else _manifest(folder).loc[name, "source_repo"]
    if not source.startswith(FROM_SKLEARN):
        return datasets.table(name, folder)
    bunch = getattr(sklearn.datasets, source.removeprefix(FROM_SKLEARN))(as_frame=True)
    return bunch.data, bunch.target.to_numpy(), tasks(folder)[name] != "regression"
