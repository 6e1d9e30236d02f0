"""Compare importances on made tables of known truth: ours, others from the same network, and those of boosted trees.

::

    python -m benchmarks.importances [--seeds 4] [--quick]

Each table has columns that determine y and columns that do not: noise, correlated copies of informative columns, and
categories at random. Some columns act by pure interactions. A method ranks the columns; ``auc`` is the probability
that it ranks an informative column above another, and ``rank_correlation`` is Spearman's with the permutation
importance of the true function. ``importances.csv`` has a row for each table and method. ``importances_time.csv``
compares processor time, on one thread: of the importances beside the fit, and of `permutation_importance`.
"""

import argparse
from collections.abc import Callable
from time import process_time

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.inspection import permutation_importance
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.nn.split import SplitNetwork

from .measure import RESULTS, installed, run_in_child

__all__ = ["TABLES", "rank_columns"]

Table = tuple[pd.DataFrame, Callable[[pd.DataFrame], np.ndarray]]
N_HELD_OUT, N_REPEATS, SIGNAL = 1000, 5, 1.0  # standard deviation of the true function over that of the noise


def numbers(n: int, rng: np.random.Generator) -> Table:
    """Five informative columns of twenty: linear, periodic, even, and a product."""
    X = pd.DataFrame(rng.normal(size=(n, 20)), columns=[f"x{j}" for j in range(20)])
    return X, lambda X: X["x0"] + np.sin(2 * X["x1"]) + X["x2"].abs() + X["x3"] * X["x4"]


def copies(n: int, rng: np.random.Generator) -> Table:
    """Three informative columns, two noisy copies of each, and nine columns of noise."""
    X = pd.DataFrame(rng.normal(size=(n, 18)), columns=[f"x{j}" for j in range(18)])
    for j in range(6):
        X[f"x{3 + j}"] = 0.8 * X[f"x{j % 3}"] + 0.6 * X[f"x{3 + j}"]
    return X, lambda X: X["x0"] + np.sin(2 * X["x1"]) + np.tanh(2 * X["x2"])


def interactions(n: int, rng: np.random.Generator) -> Table:
    """Four columns that act in pairs only, and eight columns of noise."""
    X = pd.DataFrame(rng.normal(size=(n, 12)), columns=[f"x{j}" for j in range(12)])
    return X, lambda X: X["x0"] * X["x1"] + 1.5 * np.sign(X["x2"] * X["x3"])


def categories(n: int, rng: np.random.Generator) -> Table:
    """Categories of 4 and 60 values that matter, others that do not, random names, and six numbers."""
    effect_of_place = np.random.default_rng(0).normal(size=60)
    X = pd.DataFrame(rng.normal(size=(n, 6)), columns=[f"x{j}" for j in range(6)])
    X["kind"], X["other_kind"] = rng.choice(list("abcd"), n), rng.choice(list("abcd"), n)
    X["place"], X["other_place"] = (np.char.add("p", rng.integers(0, 60, n).astype(str)) for _ in range(2))
    X["name"] = np.char.add("n", rng.integers(0, max(n // 3, 100), n).astype(str))

    def truth(X: pd.DataFrame) -> np.ndarray:
        place = effect_of_place[X["place"].str[1:].astype(int)]
        return X["x0"] * np.where(X["kind"] == "a", 1.5, -0.5) + place + X["x1"]

    return X, truth


TABLES = {"numbers": numbers, "copies": copies, "interactions": interactions, "categories": categories}


def true_importances(X: pd.DataFrame, truth: Callable[[pd.DataFrame], np.ndarray]) -> np.ndarray:
    """Return the mean square of the change of the true function when a column is permuted."""
    rng, f = np.random.default_rng(1), np.asarray(truth(X))
    changed = [X.assign(**{name: rng.permutation(X[name].to_numpy())}) for name in X.columns]
    return np.array([np.mean((np.asarray(truth(other)) - f) ** 2) for other in changed])


def gradient_times_spread(model: ScratchMLPRegressor | ScratchMLPClassifier, X: pd.DataFrame) -> np.ndarray:
    """Return the root mean square of the change of the raw score, to first order, when a column is permuted."""
    fitted, total = model.fitted_, np.zeros(X.shape[1])
    rng = np.random.default_rng(0)
    # the model's own check of a table is not public: what it makes of a frame is in `encoder.categorical`
    from skscratch.encoding.check_input import check_table

    table = fitted.encode(check_table(model, X, "from_dtype", fitted.encoder.categorical, False))
    network = SplitNetwork(fitted.network, fitted.parameters, fitted.encoder.sources)
    x, h = network.first_layer(table)
    slope = np.zeros_like(h)
    bound = network.bind_rest(h, slope)
    bound.forward.run()
    bound.dz[...] = 1
    bound.backward.run()
    order = rng.permutation(len(X))
    for column, own in network.contributions(x):
        change = ((own[:, order] - own) * slope).sum(axis=-1).mean(axis=0)
        total[column] = np.sqrt((change**2).mean())
    return total


def weight_norms(model: ScratchMLPRegressor | ScratchMLPClassifier) -> np.ndarray:
    """Return the norm of the first layer's weights of each column, where every column has one kind of encoding."""
    network = SplitNetwork(model.fitted_.network, model.fitted_.parameters, model.fitted_.encoder.sources)
    squares = (network.weights**2).sum(axis=(0, 2))
    return np.sqrt(np.bincount(network.input_sources, squares, minlength=model.n_features_in_))


def boosted_gain(X: pd.DataFrame, y: np.ndarray, classifies: bool) -> np.ndarray:
    """Return the total gain of each column in LightGBM's trees."""
    import lightgbm

    kind = lightgbm.LGBMClassifier if classifies else lightgbm.LGBMRegressor
    model = kind(importance_type="gain", random_state=0, n_jobs=1, verbose=-1)
    texts = X.select_dtypes(exclude="number").columns
    return np.asarray(model.fit(X.astype(dict.fromkeys(texts, "category")), y).feature_importances_)


def rank_columns(name: str, n: int, classifies: bool, seed: int) -> list[dict[str, object]]:
    """Return a row for each method, with the quality of its ranking on one table."""
    rng = np.random.default_rng([seed, n, list(TABLES).index(name)])
    X, truth = TABLES[name](n + N_HELD_OUT, rng)
    f = np.asarray(truth(X))
    f = SIGNAL * (f - f.mean()) / f.std()
    y = (rng.logistic(size=len(f)) < 2 * f).astype(int) if classifies else f + rng.normal(size=len(f))
    X, X_held, y, y_held = train_test_split(X, y, test_size=N_HELD_OUT, random_state=seed)
    model = (ScratchMLPClassifier if classifies else ScratchMLPRegressor)(random_state=seed, n_jobs=1).fit(X, y)
    scoring = "neg_log_loss" if classifies else "neg_mean_squared_error"
    held = permutation_importance(model, X_held, y_held, scoring=scoring, n_repeats=N_REPEATS, random_state=0)
    found = {
        "feature_importances_": model.feature_importances_,
        "permutation_importance, held-out rows": held.importances_mean,
        "gradient times spread": gradient_times_spread(model, X),
        "weight norms": weight_norms(model),
    }
    if installed("lightgbm"):
        found["gain (LightGBM)"] = boosted_gain(X, y, classifies)
    true = true_importances(X_held, truth)
    row = {"table": name, "n": n, "task": "classification" if classifies else "regression", "seed": seed}
    return [
        row
        | {
            "method": method,
            "auc": round(float(roc_auc_score(true > 0, values)), 4),
            "rank_correlation": round(float(spearmanr(true, values).statistic), 4),
        }
        for method, values in found.items()
    ]


def measure_time(n: int, d: int, classifies: bool, repeats: int = 5) -> dict[str, object]:
    """Return seconds of the processor for the fit, for what it does for importances, and for the importances."""
    from skscratch.estimators import base

    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d))
    y = X[:, 0] + np.sin(2 * X[:, 1]) + X[:, 2] * X[:, 3] + rng.normal(size=n)
    y = (y > 0).astype(int) if classifies else y
    kind, draw, seconds = ScratchMLPClassifier if classifies else ScratchMLPRegressor, base.importance_sample, []

    def timed(*args: object) -> object:
        began = process_time()
        sample = draw(*args)  # type: ignore[arg-type]
        seconds[-1]["sample"] = process_time() - began
        return sample

    base.importance_sample = timed  # type: ignore[assignment]
    for seed in range(repeats):
        seconds.append({})
        began = process_time()
        model = kind(random_state=seed, n_jobs=1).fit(X, y)
        seconds[-1]["fit"] = process_time() - began
        began = process_time()
        _ = model.feature_importances_
        seconds[-1]["importances"] = process_time() - began
        began = process_time()
        permutation_importance(model, X[: min(n, 2048)], y[: min(n, 2048)], n_repeats=N_REPEATS, random_state=0)
        seconds[-1]["permutation_importance"] = process_time() - began
    base.importance_sample = draw
    median = pd.DataFrame(seconds).median()
    shares = {
        "sample_share": median["sample"] / median["fit"],
        "importances_share": median["importances"] / median["fit"],
        "permutation_over_ours": median["permutation_importance"] / median["importances"],
    }
    task = "classification" if classifies else "regression"
    row = {"n": n, "d": d, "task": task, "fit_seconds": round(median["fit"], 4)}
    return row | {name: round(value, 4) for name, value in shares.items()}


def main() -> None:
    """Measure in a child process, because BLAS reads its thread limit when it is loaded; write the results."""
    parser = argparse.ArgumentParser("python -m benchmarks.importances", description=__doc__)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--quick", action="store_true", help="one seed, small tables; nothing is written")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.child:
        run_in_child("benchmarks.importances")
        return
    sizes, n_seeds = ((400,), 1) if arguments.quick else ((400, 2000), arguments.seeds)
    found = [
        row
        for name in TABLES
        for n in sizes
        for classifies in (False, True)
        for seed in range(n_seeds)
        for row in rank_columns(name, n, classifies, seed)
    ]
    shapes = (
        [(442, 10), (1000, 100), (5000, 20)] if arguments.quick else [(442, 10), (1000, 100), (5000, 20), (20000, 8)]
    )
    times = pd.DataFrame([measure_time(n, d, classifies) for n, d in shapes for classifies in (False, True)])
    ranks = pd.DataFrame(found)
    if not arguments.quick:
        ranks.to_csv(RESULTS / "importances.csv", index=False)
        times.to_csv(RESULTS / "importances_time.csv", index=False)
    measures = ["auc", "rank_correlation"]
    by_table = ranks.pivot_table(index="method", columns="table", values=measures, sort=False)
    print(by_table.round(3).to_string(), ranks.groupby("method", sort=False)[measures].mean().round(3), sep="\n\n")
    print(times.to_string(index=False))


if __name__ == "__main__":
    main()
