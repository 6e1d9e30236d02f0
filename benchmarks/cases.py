"""The tables of the benchmark: bundled with scikit-learn, generated, or read from a folder given by the user."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from rivals import Problem
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_diabetes, load_digits
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

__all__ = ["large_table", "numbers", "preparation", "step_problems", "table"]


def numbers(n: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A table of normal numbers (n, d), and a smooth function of its first columns with noise, standardised."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    y = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, min(2, d - 1)] + 0.3 * rng.normal(size=n)
    return X, (y - y.mean()) / y.std()


def step_problems(quick: bool) -> list[Problem]:
    """Networks and tables of the training-step comparison, with epochs enough that the set-up does not count.

    With `quick` large tables have a quarter of their rows, and small ones fewer epochs.
    """
    part = 4 if quick else 1
    diabetes = load_diabetes(scaled=False)
    digits = load_digits()
    X = StandardScaler().fit_transform(diabetes.data)
    y = StandardScaler().fit_transform(diabetes.target[:, None])[:, 0]
    thousands, many = 20 // part, 100 // part
    sparse = sp.random(1000 * many, 100, density=0.01, format="csr", random_state=0)
    sparse_y = StandardScaler().fit_transform((sparse @ np.arange(100.0))[:, None])[:, 0]
    return [
        Problem("442x10 (100,) b200", X, y, (100,), 200, 240 // part),
        Problem(f"{thousands}kx8 (100,) b200", *numbers(1000 * thousands, 8), (100,), 200, 8),
        Problem("1797x64 (100,) b200 10 classes", digits.data / 16, digits.target, (100,), 200, 60 // part),
        Problem("5kx20 (64,64) b32", *numbers(5000, 20), (64, 64), 32, 6 // min(part, 3)),
        Problem(
            f"{thousands}kx50 (256,256,256) b256",
            *numbers(1000 * thousands, 50),
            (256, 256, 256),
            256,
            4 // min(part, 2),
        ),
        Problem("200x2 (3,) b1", *numbers(200, 2), (3,), 1, 10 // min(part, 2)),
        Problem(f"{many}kx100 sparse 1% (100,) b200", sparse, sparse_y, (100,), 200, 2),
    ]


def table(name: str, folder: Path | None) -> tuple[pd.DataFrame, np.ndarray, bool]:
    """Features, target, and whether the target is a class, of a bundled table or of one in `folder`.

    The folder holds ``manifest.csv``, with columns name and task, and ``<name>.csv.gz``, with a column target.
    """
    if name in ("diabetes", "digits"):
        bunch: Any = load_diabetes(as_frame=True, scaled=False) if name == "diabetes" else load_digits(as_frame=True)
        return bunch.data, bunch.target.to_numpy(), name == "digits"
    if folder is None:
        raise ValueError(f"The table {name!r} is not bundled with scikit-learn: give its folder by --data.")
    task = pd.read_csv(folder / "manifest.csv", index_col="name").loc[name, "task"]
    frame = pd.read_csv(folder / f"{name}.csv.gz", keep_default_na=False, na_values=[""])  # "None" can be a category
    X, y = frame.drop(columns="target"), frame["target"]
    strings = [column for column in X if not pd.api.types.is_numeric_dtype(X[column])]
    X = X.astype(dict.fromkeys(strings, "category"))
    return X, y.to_numpy(float) if task == "regression" else pd.factorize(y, sort=True)[0], task != "regression"


def large_table(folder: Path | None, n: int) -> tuple[str, pd.DataFrame, np.ndarray]:
    """Name, features and target of a regression table of `n` rows, generated where there is no folder."""
    if folder is None:
        X, y = numbers(n, 9)
        return f"generated, {n} rows", pd.DataFrame(X).add_prefix("x"), y
    X, y, _ = table("california_housing", folder)
    rows = np.random.default_rng(0).permutation(len(X))[:n]
    return f"california_housing, {n} rows", X.iloc[rows].reset_index(drop=True), y[rows]


def preparation() -> Any:
    """What users of other libraries put in front: median and scaling for numbers, one-hot codes for the rest."""
    categories = make_column_selector(dtype_include=["category", "object"])
    numeric = make_column_selector(dtype_exclude=["category", "object"])
    return make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numeric),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), categories),
    )
