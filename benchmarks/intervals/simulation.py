"""Measure the coverage of `predict_interval` and `predict_set` on many draws of made data.

::

    python -m benchmarks.intervals.simulation [--scale 1.0]   # factor of the number of draws

Each draw has new training rows and 1,000 new rows. ``simulation.csv``, in the folder given by ``--out``, has a row for
each distribution, size of the table, model and `refit`: the mean coverage over the draws, its standard error, the
lowest tenth of the draws' coverages, and the median over the draws of the mean width or size. Rows that are in the file
are not measured again: delete it to begin anew.
"""

import argparse
import warnings
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import make_friedman1

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor

from ..measure import RESULTS, run_in_child

__all__ = ["DISTRIBUTIONS", "simulate"]

Draw = Callable[[int, np.random.Generator], tuple[np.ndarray, np.ndarray]]
DRAWS = {50: 150, 200: 40, 1000: 10}  # number of draws by number of rows
N_NEW = 1000
COVERAGE = 0.9


def friedman(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Five columns that inform and five that do not, normal noise."""
    return make_friedman1(n, noise=1, random_state=int(rng.integers(2**31)))  # type: ignore[no-any-return]


def heteroscedastic(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Noise that grows with the distance of a column from 0."""
    X = rng.uniform(-2, 2, (n, 4))
    return X, np.sin(2 * X[:, 0]) + X[:, 1] + (0.1 + np.abs(X[:, 2])) * rng.normal(size=n)


def log_normal(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Skewed noise, proportional to the mean."""
    X = rng.normal(size=(n, 4))
    return X, np.exp(X[:, 0] + 0.5 * X[:, 1] + 0.3 * rng.normal(size=n))


def heavy_tailed(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Noise of infinite variance: Student's t with two degrees of freedom."""
    X = rng.normal(size=(n, 5))
    return X, X[:, 0] + np.abs(X[:, 1]) + rng.standard_t(2, size=n)


def pure_noise(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Nothing to learn, ten columns."""
    return rng.normal(size=(n, 10)), rng.normal(size=n)


def three_classes(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Three overlapping classes, of which one is rare."""
    y = rng.choice(3, n, p=[0.6, 0.3, 0.1])
    return rng.normal(size=(n, 5)) + np.eye(3, 5)[y] * 1.5, y


def ten_classes(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Ten classes on a circle, each of which overlaps with its neighbours."""
    y = rng.integers(10, size=n)
    angle = 2 * np.pi * y / 10
    return np.column_stack([np.cos(angle), np.sin(angle)]) * 2 + rng.normal(size=(n, 2)), y


DISTRIBUTIONS: dict[str, Draw] = {
    draw.__name__: draw
    for draw in (friedman, heteroscedastic, log_normal, heavy_tailed, pure_noise, three_classes, ten_classes)
}


def simulate(name: str, n: int, model: str, refit: float, n_draws: int) -> dict[str, object]:
    """Return the row of results of one distribution, size, model and refit."""
    found = [_one_draw(name, n, model, refit, seed) for seed in range(n_draws)]
    coverage, width = np.array(found).T
    return {
        "distribution": name,
        "n": n,
        "model": model,
        "refit": refit,
        "draws": n_draws,
        "coverage": round(coverage.mean(), 4),
        "standard_error": round(coverage.std(ddof=1) / n_draws**0.5, 4),
        "lowest_tenth": round(np.quantile(coverage, 0.1), 4),
        "width": round(np.median(width), 4),
    }


def _one_draw(name: str, n: int, model: str, refit: float, seed: int) -> tuple[float, float]:
    """Return coverage and mean width, or mean size, of one draw."""
    X, y = DISTRIBUTIONS[name](n + N_NEW, np.random.default_rng(seed))
    train, new = slice(n), slice(n, None)
    if model == "sets":
        chosen = ScratchMLPClassifier(refit=refit, random_state=seed).fit(X[train], y[train])
        present = np.isin(y[new], chosen.classes_)
        sets, code = chosen.predict_set(X[new], COVERAGE), np.searchsorted(chosen.classes_, y[new])
        covered = present & sets[np.arange(N_NEW), np.minimum(code, sets.shape[1] - 1)]
        return float(covered.mean()), float(sets.sum(axis=1).mean())
    options = {"loss": "quantile", "quantile": [0.05, 0.95]} if model == "quantiles" else {}
    regressor = ScratchMLPRegressor(refit=refit, random_state=seed, **options).fit(X[train], y[train])
    low, high = regressor.predict_interval(X[new], COVERAGE).T
    return float(np.mean((low <= y[new]) & (y[new] <= high))), float(np.mean(high - low))


def main() -> None:
    """Simulate in a child process, because BLAS reads its thread limit when it is loaded; write the results."""
    parser = argparse.ArgumentParser("python -m benchmarks.intervals.simulation", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="factor of the number of draws")
    parser.add_argument("--out", type=Path, default=RESULTS / "intervals", help="folder of the results")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.child:
        run_in_child("benchmarks.intervals.simulation")
        return
    warnings.simplefilter("ignore")
    path = arguments.out / "simulation.csv"
    rows = pd.read_csv(path).to_dict("records") if path.exists() else []
    known = {tuple(row[key] for key in ("distribution", "n", "model", "refit")) for row in rows}
    for name, n in product(DISTRIBUTIONS, DRAWS):
        for model, refit in product(_models(name), (0.0, 0.2)):
            if (name, n, model, refit) not in known:
                rows.append(simulate(name, n, model, refit, max(int(DRAWS[n] * arguments.scale), 2)))
                print(*rows[-1].values(), flush=True)
                pd.DataFrame(rows).to_csv(path, index=False)


def _models(name: str) -> tuple[str, ...]:
    """Return what is fitted to a distribution: a loss, or "sets" for classes."""
    if name.endswith("classes"):
        return ("sets",)
    return ("squared_error", "quantiles") if name in ("friedman", "log_normal") else ("squared_error",)


if __name__ == "__main__":
    main()
