"""Loss against time on long tables, beside LightGBM and HistGradientBoosting with early stopping.

::

    python -m benchmarks.long_tables [--rows 100000 500000] [--tables NAME ...] [--threads 2]

The tables are made, with 20 columns and known truth, so that 50,000 more rows measure the loss: the log loss, or the
root mean squared error over the standard deviation. All models run at their defaults, one after the other in this
process; boosted trees stop after 50 iterations without a gain on a tenth of the rows, and have at most 5,000. Ours is
scored after each epoch, by a callback whose own time does not count; LightGBM at powers of two of its trees.

``results/long_tables.csv`` has a row for each table and rival: both losses and seconds, and the seconds after which
ours is first as good as the rival in the end. ``long_tables.png`` has the curves.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import log_loss, root_mean_squared_error
from threadpoolctl import threadpool_limits

from benchmarks.measure import RESULTS, installed, machine
from skscratch import ScratchMLPClassifier, ScratchMLPRegressor

HELD_OUT = 50_000  # rows that measure the loss
TREES, PATIENCE = 5000, 50
Curve = list[tuple[float, float]]  # seconds since the begin of the fit, and the loss
Data = tuple[Any, np.ndarray]

# ------------------------------------------------------------------ tables


def clusters(n: int) -> Data:
    """Four clusters for each of two classes, in ten columns."""
    options = {"n_informative": 10, "n_redundant": 4, "n_clusters_per_class": 4, "flip_y": 0.05}
    return make_classification(n, 20, **options, random_state=0)


def friedman(n: int) -> Data:
    """A smooth function of five columns (Friedman 1991), with noise."""
    rng = np.random.default_rng(1)
    X = rng.uniform(size=(n, 20))
    y = 10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20 * (X[:, 2] - 0.5) ** 2 + 10 * X[:, 3] + 5 * X[:, 4]
    return X, y + 2 * rng.normal(size=n)


def trees(n: int) -> Data:
    """Two classes, whose log-odds are a sum of 60 random trees of depth 5."""
    rng, truth = np.random.default_rng(1), np.random.default_rng(5)
    X, odds = rng.normal(size=(n, 20)), np.zeros(n)
    for _ in range(60):
        leaf = np.zeros(n, int)
        for depth in range(5):
            column, cut = truth.integers(0, 20, 2**depth), 0.8 * truth.normal(size=2**depth)
            leaf = 2 * leaf + (X[np.arange(n), column[leaf]] > cut[leaf])
        odds += truth.normal(size=32)[leaf]
    return X, _drawn(odds, 2.0, rng)


def network(n: int) -> Data:
    """Two classes, whose log-odds are a random network of two hidden layers."""
    rng, truth = np.random.default_rng(1), np.random.default_rng(6)
    X = rng.normal(size=(n, 20))
    h = np.tanh(X @ truth.normal(size=(20, 32)) * 0.5)
    h = np.tanh(h @ truth.normal(size=(32, 32)) * 0.4)
    return X, _drawn(h @ truth.normal(size=32), 2.5, rng)


def business(n: int) -> Data:
    """Skewed numbers, gaps, a column of 8 kinds with slopes of their own, and one of 3,000 codes, most of them rare."""
    rng, truth = np.random.default_rng(1), np.random.default_rng(7)
    code, kind = np.minimum(rng.zipf(1.3, size=n), 3000) - 1, rng.integers(0, 8, n)
    effect, slope = truth.normal(size=3000), truth.normal(size=(8, 2))
    X = np.exp(rng.normal(size=(n, 18)))
    y = effect[code] + np.log(X[:, 0]) * slope[kind, 0] + np.minimum(X[:, 1], 1.5) * slope[kind, 1]
    y = y + 1.5 * (X[:, 2] > X[:, 3]) + np.sin(3 * np.log(X[:, 4])) + 0.6 * rng.normal(size=n)
    frame = pd.DataFrame(X).add_prefix("x")
    frame = frame.mask(rng.uniform(size=X.shape) < np.where(np.arange(18) > 14, 0.1, 0))
    frame["kind"], frame["code"] = (
        pd.Categorical(np.char.add(a, b.astype(str))) for a, b in (("k", kind), ("c", code))
    )
    return frame, y


def _drawn(odds: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """Classes drawn with these log-odds, which get the given standard deviation."""
    z = odds * (deviation / odds.std())
    return (rng.uniform(size=len(z)) < 1 / (1 + np.exp(-z))).astype(int)


TABLES: dict[str, Callable[[int], Data]] = {f.__name__: f for f in (clusters, friedman, trees, network, business)}


# ------------------------------------------------------------------ models


def loss(model: Any, X: Any, y: np.ndarray, **options: Any) -> float:
    """Return the log loss, or the root mean squared error over the standard deviation."""
    if hasattr(model, "predict_proba"):
        return float(log_loss(y, model.predict_proba(X, **options)))
    return float(root_mean_squared_error(y, model.predict(X, **options)) / np.std(y))


class Scores:
    """A callback that scores each epoch on held-out rows, and the seconds of the fit until then."""

    def __init__(self, X: Any, y: np.ndarray):
        self.X, self.y, self.curve = X, y, Curve()

    def setup(self, estimator: Any, context: Any) -> None:
        """Start the clock."""
        self.began = time.perf_counter()

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Do nothing."""

    def on_fit_task_end(self, estimator: Any, context: Any, *, fitted_estimator: Any = None) -> bool:
        """Score the best weights so far; turn the clock back by what that takes."""
        now = time.perf_counter()
        self.curve.append((now - self.began, loss(fitted_estimator, self.X, self.y)))
        self.began += time.perf_counter() - now
        return False

    def teardown(self, estimator: Any, context: Any) -> None:
        """Do nothing."""


def ours(X: Any, y: np.ndarray, X_held: Any, y_held: np.ndarray) -> Curve:
    """Return the curve of this package's fit."""
    model: Any = (ScratchMLPRegressor if y.dtype.kind == "f" else ScratchMLPClassifier)(random_state=0)
    scores = Scores(X_held, y_held)
    model.set_callbacks(scores).fit(X, y)
    end = time.perf_counter() - scores.began
    return [*scores.curve[:-1], (end, loss(model, X_held, y_held))]


def lightgbm(X: Any, y: np.ndarray, X_held: Any, y_held: np.ndarray, n_threads: int) -> Curve:
    """Return the curve of LightGBM, whose last tenth of the rows stops it."""
    import lightgbm as lgb

    kind = lgb.LGBMRegressor if y.dtype.kind == "f" else lgb.LGBMClassifier
    n, seconds, began = len(y) * 9 // 10, [0.0], time.perf_counter()
    model = kind(n_estimators=TREES, n_jobs=n_threads, verbose=-1, random_state=0)
    callbacks = [lgb.early_stopping(PATIENCE, verbose=False), lambda _: seconds.append(time.perf_counter())]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the newest versions have another name for eval_set
        model.fit(X[:n], y[:n], eval_set=[(X[n:], y[n:])], callbacks=callbacks)
    end, best = time.perf_counter() - began, model.best_iteration_
    some = [2**k for k in range(4, 13) if 2**k < best]
    return [
        *((seconds[k] - began, loss(model, X_held, y_held, num_iteration=k)) for k in some),
        (end, loss(model, X_held, y_held)),
    ]


def hist_gradient_boosting(X: Any, y: np.ndarray, X_held: Any, y_held: np.ndarray) -> Curve:
    """Return the end of HistGradientBoosting's fit; it takes no column of more than 255 categories."""
    kind = HistGradientBoostingRegressor if y.dtype.kind == "f" else HistGradientBoostingClassifier
    if isinstance(X, pd.DataFrame):
        X, X_held = X.drop(columns="code"), X_held.drop(columns="code")
    model = kind(max_iter=TREES, early_stopping=True, n_iter_no_change=PATIENCE, random_state=0)
    began = time.perf_counter()
    model.fit(X, y)
    return [(time.perf_counter() - began, loss(model, X_held, y_held))]


# ------------------------------------------------------------------ report


def compared(table: str, n: int, curves: dict[str, Curve]) -> list[dict[str, Any]]:
    """Return a row for each rival; the curves end with the whole fit."""
    own, rows = curves["skscratch"], []
    for rival, curve in curves.items():
        if rival != "skscratch":
            (seconds, final), (our_seconds, our_loss) = curve[-1], own[-1]
            reached = next((when for when, value in own if value <= final), float("nan"))
            row = {"table": table, "rows": n, "rival": rival, "our loss": our_loss, "their loss": final}
            row |= {"our s": our_seconds, "their s": seconds, "s to their loss": reached}
            rows.append(row | {"s to their loss / their s": reached / seconds})
    return rows


def plot(curves: dict[tuple[str, int], dict[str, Curve]], path: Path) -> None:
    """Draw loss against time, a panel for each table and number of rows."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import NullFormatter

    names, sizes = list(dict.fromkeys(t for t, _ in curves)), sorted({n for _, n in curves})
    figure, axes = plt.subplots(len(sizes), len(names), figsize=(3.2 * len(names), 2.8 * len(sizes)), squeeze=False)
    for (table, n), of_models in curves.items():
        axis = axes[sizes.index(n), names.index(table)]
        for model, curve in of_models.items():
            axis.plot(*zip(*curve, strict=True), "o-" if len(curve) > 1 else "s", label=model, markersize=3)
        axis.set(xscale="log", title=f"{table}, {n:,} rows", xlabel="seconds", ylabel="loss")
        axis.xaxis.set_minor_formatter(NullFormatter())  # they overlap where an axis spans less than a decade
    axes[0, 0].legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=100)


def main() -> None:
    """Measure all tables, then write the table and the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 500_000])
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    print("\n".join(machine()), flush=True)
    curves: dict[tuple[str, int], dict[str, Curve]] = {}
    rows: list[dict[str, Any]] = []
    with threadpool_limits(given.threads):
        for n in given.rows:
            for table in given.tables:
                X, y = TABLES[table](n + HELD_OUT)
                data = X[:n], y[:n], X[n:], y[n:]
                found = {"skscratch": ours(*data)}
                if installed("lightgbm"):
                    found["LightGBM"] = lightgbm(*data, given.threads)
                found["HistGradientBoosting"] = hist_gradient_boosting(*data)
                curves[table, n] = found
                rows += compared(table, n, found)
                pd.DataFrame(rows).round(4).to_csv(given.out / "long_tables.csv", index=False)
                print(pd.DataFrame(rows[-len(found) + 1 :]).round(3).to_string(index=False), flush=True)
    if installed("matplotlib"):
        plot(curves, given.out / "long_tables.png")


if __name__ == "__main__":
    main()
