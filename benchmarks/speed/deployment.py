"""Sections on the use of a model: predictions, memory, pickles and imports."""

import gc
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
import tracemalloc
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.estimators import plan

from ..datasets import numbers
from ..measure import Report, Result, fresh, interleaved
from .baselines import PLAIN

__all__ = ["imports", "large_tables", "lazy_tables", "memory", "pickles", "predict"]

WORK = {"once": np.inf, "at each use": 0}  # values of `plan.LAZY_WORK`
NETWORKS = [(100,), (256, 256, 256)]
PREDICTIONS = [*((hidden, 100_000, 20) for hidden in NETWORKS), ((100,), 90_000, 64)]  # network, rows, columns


def predict(report: Report, quick: bool, folder: Path | None) -> None:
    """Measure the time and memory of predictions for one row and for many rows, including input validation."""
    rows = []
    for hidden, n_rows, n_columns in PREDICTIONS[:1] if quick else PREDICTIONS:
        X, y = numbers(2000, n_columns)
        many = numbers(n_rows, n_columns, seed=1)[0]
        ours = ScratchMLPRegressor(hidden_layer_sizes=hidden, max_iter=2, **PLAIN)
        theirs = MLPRegressor(hidden_layer_sizes=hidden, max_iter=2, random_state=0)
        models: dict[str, Any] = {
            "ours": ours.fit(X, y),
            "ours, bare": clone(ours).set_params(scale_features=False).fit(X, y),
            "theirs": _quiet_fit(theirs, X, y),
            "theirs, scaled": _quiet_fit(make_pipeline(StandardScaler(), clone(theirs)), X, y),
        }
        for n in (1, n_rows):
            table = many[:n]
            repeats = (20 if quick else 200) if n == 1 else 1

            def repeated(model: Any, table: np.ndarray, repeats: int) -> None:
                for _ in range(repeats):
                    model.predict(table)

            calls = {name: partial(repeated, model, table, repeats) for name, model in models.items()}
            seconds = interleaved(calls, 3 if quick else 9)
            peaks = {name: _peak(partial(models[name].predict, table)) for name in ("ours", "theirs")}
            rows.append(
                {
                    "what": f"{n} rows x{n_columns}, {hidden}",
                    "our ms": 1e3 * seconds["ours"] / repeats,
                    "their ms": 1e3 * seconds["theirs"] / repeats,
                    "our / their time": Result(seconds["ours"] / seconds["theirs"], ("<=", 0.5)),
                    "both scaled": seconds["ours"] / seconds["theirs, scaled"],
                    "neither scaled": seconds["ours, bare"] / seconds["theirs"],
                    "our peak MB": peaks["ours"] / 1e6,
                    "their peak MB": peaks["theirs"] / 1e6,
                }
            )
    report.table("predict", "Prediction, including input validation (ours also scales, theirs does not)", rows)


def _quiet_fit(model: Any, X: Any, y: np.ndarray) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X, y)


def _peak(call: Callable[[], object]) -> int:
    """Return the peak of the bytes allocated during a call."""
    gc.collect()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def fit_peak(who: str, prepared: bool, shape: tuple[int, int], density: float, hidden: tuple[int, ...]) -> int:
    """Return the peak bytes of a fit of two epochs in this process, excluding imports and input.

    With `prepared`, neither model scales the table; otherwise ours does so itself and a StandardScaler does for theirs.
    """
    X, y = numbers(*shape)
    if density < 1:
        X = sp.random(*shape, density=density, format="csr", random_state=0)
    if who == "ours":
        scales = {"scale_features": not prepared, "scale_target": not prepared}
        model: Any = ScratchMLPRegressor(hidden, max_iter=2, **scales, **PLAIN)
    else:
        model = MLPRegressor(hidden_layer_sizes=hidden, max_iter=2, random_state=0)
        if not prepared:
            scaler = StandardScaler(with_mean=density == 1)
            model = TransformedTargetRegressor(make_pipeline(scaler, model), transformer=StandardScaler())
    _quiet_fit(model, X[:300], y[:300])  # loads modules and fills caches
    return _peak(partial(_quiet_fit, model, X, y))


def memory(report: Report, quick: bool, folder: Path | None) -> None:
    """Measure the peak memory of a fit, excluding its input."""
    shapes: list[tuple[tuple[int, int], float, tuple[int, ...]]] = [
        ((442, 10), 1, (100,)),
        ((20_000, 8), 1, (100,)),
        ((20_000, 50), 1, (256, 256, 256)),
        ((100_000, 100), 0.01, (100,)),
    ]
    rows = []
    for shape, density, hidden in shapes[2:3] if quick else shapes:
        for prepared in (False,) if quick else (False, True):
            ours, theirs = (
                fresh("speed.deployment", "fit_peak", who, prepared, shape, density, hidden)
                for who in ("ours", "theirs")
            )
            kind = "" if density == 1 else f" {100 * density:g}% sparse"
            rows.append(
                {
                    "case": f"{shape[0]}x{shape[1]}{kind} {hidden}, {'bare networks' if prepared else 'raw table'}",
                    "our MB": ours / 1e6,
                    "their MB": theirs / 1e6,
                    "ours / theirs": Result(ours / theirs, ("<=", 0.8 if prepared else 0.6)),
                }
            )
    note = "raw table: ours scales it itself, theirs with a StandardScaler; bare networks: no scaling; float64 input"
    report.table("memory", "Peak memory of a fit, excluding its input", rows, [note])


def long_peak(n: int, n_columns: int, kind: str, form: str, what: str, hidden: tuple[int, ...]) -> tuple[int, int]:
    """Return the bytes of a table, and the peak bytes beside it of a fit of one epoch, or of a prediction."""
    rng = np.random.default_rng(0)
    X: Any = rng.standard_normal((n, n_columns), dtype=np.float32)
    y = X[:, 0] + X[:, 1] * X[:, 2] + rng.standard_normal(n, dtype=np.float32)
    y = (y > 0).astype(int) if kind == "classes" else y.astype(np.float64)
    X = X.astype(np.float64) if "float64" in form else X
    X = np.asfortranarray(X) if "Fortran" in form else X
    if "file" in form:
        with tempfile.TemporaryFile() as file:
            X.tofile(file)
            X = np.memmap(file, X.dtype, "r", shape=X.shape)
    size = X.nbytes
    X = pd.DataFrame(X).add_prefix("x") if "DataFrame" in form else X
    estimator = ScratchMLPClassifier if kind == "classes" else ScratchMLPRegressor
    model = _quiet_fit(estimator(hidden, max_iter=1, random_state=0), X[:3000], y[:3000])
    model.predict(X[:3000])  # loads modules and fills caches, as the fit did
    return size, _peak(partial(_quiet_fit, model, X, y) if what == "fit" else partial(getattr(model, what), X))


def large_tables(report: Report, quick: bool, folder: Path | None) -> None:
    """Measure the peak memory at the defaults for a long table, excluding the table; each in a fresh interpreter."""
    n, rows = 100_000 if quick else 1_000_000, []
    wide = (256, 256, 256)
    cases: list[tuple[str, str, str, tuple[int, ...]]] = [
        ("fit", "numbers", "float32", (64, 64)),
        ("fit", "classes", "float32", (64, 64)),
        ("fit", "numbers", "float32, Fortran order", (64, 64)),
        ("fit", "numbers", "float32, DataFrame", (64, 64)),
        ("fit", "numbers", "float64", (64, 64)),
        ("fit", "numbers", "float32, memory-mapped file", (64, 64)),
        ("fit", "numbers", "float32", wide),
        ("predict", "numbers", "float32", (64, 64)),
        ("predict_proba", "classes", "float32, DataFrame", (64, 64)),
    ]
    for what, kind, form, hidden in cases[:2] if quick else cases:
        size, peak = fresh("speed.deployment", "long_peak", n, 100, kind, form, what, hidden)
        case = f"{what}, {kind}, {form}{', layers of 256' * (hidden == wide)}"
        rows.append({"case": case, "X MB": size / 1e6, "peak MB": peak / 1e6, "/ X": Result(peak / size, ("<=", 0.5))})
    report.table("large_tables", f"Peak memory beside a table of {n:,} x 100", rows)


def lazy_tables(report: Report, quick: bool, folder: Path | None) -> None:
    """Time fits that encode each row when a batch needs it beside fits that hold the encoded table: the same bits.

    The times are of the processor: the fits have one thread.
    """
    n = 5_000 if quick else 20_000
    X = np.random.default_rng(0).standard_normal((n, 100), dtype=np.float32)
    given, rows = plan.LAZY_WORK, []
    for hidden, order in [((64, 64), "C"), ((64, 64), "Fortran"), ((256, 256, 256), "C")]:
        wide = hidden != (64, 64)
        table = (np.asfortranarray(X) if order == "Fortran" else X)[: n // 4 if wide else n]
        options: dict[str, Any] = {"max_iter": 1 if wide else 3, "numeric_embedding": None, "n_jobs": 1}
        seconds: dict[str, list[float]] = {name: [] for name in WORK}
        for _ in range(3 if quick else 9):
            for name, work in WORK.items():
                plan.LAZY_WORK = work
                began = process_time()
                ScratchMLPRegressor(hidden, **options, random_state=0).fit(table, table[:, 0])
                seconds[name].append(process_time() - began)
        once, each = (statistics.median(seconds[name]) for name in WORK)
        ratio = Result(each / once, ("<=", 1.03) if wide else None)
        rows.append({"layers and order": f"{hidden}, {order}", "once s": once, "at each use s": each, "ratio": ratio})
    plan.LAZY_WORK = given
    report.table("lazy_tables", f"A fit of {n:,} x 100 numbers, rows encoded once or at each use", rows)


def pickles(report: Report, quick: bool, folder: Path | None) -> None:
    """Measure the size of a pickled estimator relative to its weights."""
    X, y = numbers(1000, 20)
    rows = []
    for hidden in NETWORKS:
        for stopping in (False, True):
            for warm in (False, True):
                options = {"max_iter": 3, "early_stopping": stopping, "warm_start": warm, "random_state": 0}
                row: dict[str, Any] = {"case": f"{hidden}{', early stopping' * stopping}{', warm start' * warm}"}
                for who, kind in (("our", ScratchMLPRegressor), ("their", MLPRegressor)):
                    plain = PLAIN if who == "our" else {}
                    model = _quiet_fit(kind(hidden_layer_sizes=hidden, **(plain | options)), X, y)
                    weights = sum(array.nbytes for array in [*model.coefs_, *model.intercepts_])
                    size = len(pickle.dumps(model))
                    row |= {f"{who} weights kB": weights / 1e3, f"{who} pickle kB": size / 1e3}
                    goal = ("<=", 1.1) if who == "our" and not warm else None
                    row[f"{who} (pickle - 10 kB) / weights"] = Result(max(size - 10_000, 0) / weights, goal)
                rows.append(row)
    note = "with warm_start, a pickle includes the training state and has no target"
    report.table("pickles", "Size of a pickle", rows, [note])


def imports(report: Report, quick: bool, folder: Path | None) -> None:
    """Time imports in fresh interpreters."""
    modules = ["skscratch", "sklearn.neural_network", "sklearn.base"]
    code = "from time import perf_counter as t; a = t(); import {}; print(t() - a)"
    seconds: dict[str, list[float]] = {module: [] for module in modules}
    compiled = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for round_ in range(2 if quick else 12):
        for module in modules:
            command = [sys.executable, "-W", "ignore", "-c", code.format(module)]
            done = subprocess.run(command, env=compiled, capture_output=True, text=True, check=True)
            if round_:  # the first round compiles, and reads files from disk
                seconds[module].append(float(done.stdout))
    times = {module: statistics.median(values) for module, values in seconds.items()}
    rows = [
        {
            "import": module,
            "ms": 1e3 * time,
            "/ sklearn.neural_network": time / times["sklearn.neural_network"],
            "/ sklearn.base": Result(time / times["sklearn.base"], ("<=", 1.15) if module == "skscratch" else None),
        }
        for module, time in times.items()
    ]
    report.table("imports", "Import in fresh interpreters, alternating", rows)
