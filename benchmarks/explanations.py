"""Compare `explain` with shap's KernelExplainer: time, and agreement of the values.

::

    python -m benchmarks.explanations [--rows 20]     # needs shap: pip install "skscratch[shap]"

Both compare the rows with the same 100 background rows. KernelExplainer gets a function of numbers, with categories as
codes, because it fails on strings. It explains ``--rows`` rows; its time is given for 1,000. Times are of the
processor, on one thread. ``explanations.csv`` has a row for each table.
"""

import argparse
import warnings
from time import process_time

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_diabetes

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor, explain

from .measure import RESULTS, run_in_child

__all__ = ["compare"]

N_EXPLAINED, N_BACKGROUND = 1000, 100


def mixed() -> tuple[pd.DataFrame, np.ndarray]:
    """Return 2,000 rows of 16 numbers, a tenth of them missing, and four columns of categories; and two classes."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(2000, 16)), columns=[f"x{j}" for j in range(16)])
    X[rng.uniform(size=X.shape) < 0.1] = np.nan
    for name, size in {"a": 3, "b": 5, "c": 20, "d": 80}.items():
        X[name] = np.char.add(name, rng.integers(0, size, 2000).astype(str))
    score = X["x0"].fillna(0) * np.where(X["a"] == "a0", 2, -1) + np.sin(2 * X["x1"].fillna(1)) + (X["b"] == "b1")
    return X, np.where(score + rng.logistic(size=2000) / 2 > 0, "yes", "no")


def numbers() -> tuple[pd.DataFrame, np.ndarray]:
    """Return 2,000 rows of 20 numbers, five of which matter, two by their product; and numbers."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(2000, 20)), columns=[f"x{j}" for j in range(20)])
    y = X["x0"] + np.sin(2 * X["x1"]) + X["x2"].abs() + X["x3"] * X["x4"]
    return X, (y + rng.normal(size=2000)).to_numpy()


def compare(name: str, X: pd.DataFrame, y: np.ndarray, n_rows: int) -> dict[str, object]:
    """Return the row of results of one table."""
    import shap

    classifies = y.dtype.kind in "UiO"
    model = (
        ScratchMLPClassifier(random_state=0) if classifies else ScratchMLPRegressor(random_state=0, clip_target=False)
    )
    model.fit(X, y)
    score = model.decision_function if classifies else model.predict
    rows = np.random.default_rng(1).permutation(len(X))
    background, many = X.iloc[rows[:N_BACKGROUND]], X.iloc[np.resize(rows, N_EXPLAINED)]
    began = process_time()
    ours = explain(model, many, background)
    our_time = process_time() - began
    gap = np.abs(ours.base_values + ours.values.sum(axis=1) - score(many)).max() / np.std(score(many))
    texts = {column: sorted(X[column].unique()) for column in X.select_dtypes(exclude="number")}

    def coded(frame: pd.DataFrame) -> np.ndarray:
        codes = {column: pd.Categorical(frame[column], values).codes for column, values in texts.items()}
        return frame.assign(**codes).to_numpy(float)

    def of_codes(codes: np.ndarray) -> np.ndarray:
        frame = pd.DataFrame(codes, columns=X.columns)
        names = {column: np.array(values, object)[frame[column].astype(int)] for column, values in texts.items()}
        return np.asarray(score(frame.assign(**names)), dtype=float)

    began = process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kernel = shap.KernelExplainer(of_codes, coded(background))
        theirs = kernel.shap_values(coded(many.iloc[:n_rows]), l1_reg=False, silent=True)  # all columns
    their_time = (process_time() - began) * N_EXPLAINED / n_rows
    values = ours.values[:n_rows]
    found = {
        "seconds": our_time,
        "seconds_kernel": their_time,
        "times_faster": their_time / our_time,
        "correlation": np.corrcoef(values.ravel(), theirs.ravel())[0, 1],
        "mean_difference": np.abs(values - theirs).mean() / np.abs(theirs).mean(),
        "same_largest_column": np.mean(np.abs(values).argmax(axis=1) == np.abs(theirs).argmax(axis=1)),
        "largest_gap": gap,
    }
    row = {"table": name, "columns": X.shape[1], "rows": N_EXPLAINED, "rows_kernel": n_rows}
    return row | {key: float(f"{value:.4g}") for key, value in found.items()}


def main() -> None:
    """Measure in a child process, because BLAS reads its thread limit when it is loaded; write the results."""
    parser = argparse.ArgumentParser("python -m benchmarks.explanations", description=__doc__)
    parser.add_argument("--rows", type=int, default=20, help="that KernelExplainer explains")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.child:
        run_in_child("benchmarks.explanations")
        return
    tables = {
        "numbers": numbers(),
        "mixed": mixed(),
        "diabetes": load_diabetes(return_X_y=True, as_frame=True, scaled=False),
        "breast_cancer": load_breast_cancer(return_X_y=True, as_frame=True),
    }
    found = [compare(name, X, np.asarray(y), arguments.rows) for name, (X, y) in tables.items()]
    report = pd.DataFrame(found)
    report.to_csv(RESULTS / "explanations.csv", index=False)
    print(report.to_string(index=False))


if __name__ == "__main__":
    main()
