"""Tables: bundled with scikit-learn, generated, or read from a folder of the user."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_diabetes, load_digits
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

__all__ = ["large_table", "numbers", "preparation", "table"]


def numbers(n: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return standard normal numbers (n, d), and a noisy smooth function of the first columns, standardised (n,)."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    y = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, min(2, d - 1)] + 0.3 * rng.normal(size=n)
    return X, (y - y.mean()) / y.std()


def table(name: str, folder: Path | None) -> tuple[pd.DataFrame, np.ndarray, bool]:
    """Return the features and target of a table, and whether the target is a class.

    The tables "diabetes" and "digits" come from scikit-learn. Other tables come from `folder`, which contains
    ``manifest.csv``, with columns name and task, and ``<name>.csv.gz``, with a column target.
    """
    if name in ("diabetes", "digits"):
        bunch: Any = load_diabetes(as_frame=True, scaled=False) if name == "diabetes" else load_digits(as_frame=True)
        return bunch.data, bunch.target.to_numpy(), name == "digits"
    if folder is None:
        raise ValueError(f"The table {name!r} is not bundled with scikit-learn; pass its folder with --data.")
    task = pd.read_csv(folder / "manifest.csv", index_col="name").loc[name, "task"]
    frame = pd.read_csv(folder / f"{name}.csv.gz", keep_default_na=False, na_values=[""])  # "None" may be a category
    X, y = frame.drop(columns="target"), frame["target"]
    strings = [column for column in X if not pd.api.types.is_numeric_dtype(X[column])]
    X = X.astype(dict.fromkeys(strings, "category"))
    return X, y.to_numpy(float) if task == "regression" else pd.factorize(y, sort=True)[0], task != "regression"


def large_table(folder: Path | None, n: int) -> tuple[str, pd.DataFrame, np.ndarray]:
    """Return the name, features and target of a regression table of `n` rows; it is generated without a folder."""
    if folder is None:
        X, y = numbers(n, 9)
        return f"generated, {n} rows", pd.DataFrame(X).add_prefix("x"), y
    X, y, _ = table("california_housing", folder)
    rows = np.random.default_rng(0).permutation(len(X))[:n]
    return f"california_housing, {n} rows", X.iloc[rows].reset_index(drop=True), y[rows]


def preparation() -> Any:
    """Return the usual preprocessing: median and scaling for numbers, one-hot encoding for categories."""
    categories = make_column_selector(dtype_include=["category", "object"])
    numeric = make_column_selector(dtype_exclude=["category", "object"])
    return make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numeric),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), categories),
    )
