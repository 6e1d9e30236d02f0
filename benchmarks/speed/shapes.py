"""Section on tables of unusual shape: many categories, columns, classes, rows at once."""

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skscratch import ScratchMLPClassifier, search_space
from skscratch.estimators.plan import automatic_batch_size

from ..measure import Report, Result, installed, interleaved
from .baselines import PLAIN

__all__ = ["shapes", "wide"]

Data = tuple[Any, Any, Any, Any]  # X, y, and rows that are held out


def shapes(report: Report, quick: bool, folder: Path | None) -> None:
    """Time whole fits, and one prediction, each beside what a user would compare it with; defaults of both."""
    small = 4 if quick else 1
    rows = [
        _row("names", _names(8000 // small, 3000 // small), "without the column", _without_names, ("<=", 1.5), 5),
        _row("more names", _names(50_000 // small, 30_000 // small), "without the column", _without_names, ("<=", 1.5)),
        _row("wide", _wide(150, 8000 // small), "scikit-learn", _scikit_learn, runs=5),
        _row("1,000 classes", _clusters(3000, 1000 // small, 20), "scikit-learn", _scikit_learn),
        _predictions(100_000 // small),
        _batches(32_768 // small),
        _search(5000 // small),
    ]
    notes = ["names: 8,000 x 8 numbers and a column of 3,000 names; more names: 50,000 x 8 and 30,000 names"]
    notes += ["wide: 150 x 8,000; 1,000 classes: 3,000 x 20"]
    notes += ["search: 24 draws, 5,000 x 20, by halving epochs, beside RandomizedSearchCV"]
    notes += ["floor: the matrix products of the steps and Adam's passes over its arrays alone, without refit and race"]
    notes += ["scores are accuracies on held-out rows", "batches: one epoch of a plain network; theirs are of 512 rows"]
    if installed("catboost"):
        rows.insert(
            4, _row("100 classes", _clusters(1600, 100 // small, 64), "CatBoost, 100 trees", _catboost, ("<=", 0.2))
        )
        notes.append("100 classes: 1,600 x 64")
    report.table("shapes", "Tables of unusual shape (ratio: our time / theirs)", rows, notes)


def wide(report: Report, quick: bool, folder: Path | None) -> None:
    """Measure what a wide table loses in fewer steps, or by principal components; means of five tables."""
    n, n_columns, model = 150, 2000 if quick else 8000, ScratchMLPClassifier(random_state=0)
    in_one_unit = FunctionTransformer(_divided, kw_args={"n_columns": n_columns})
    unscaled = clone(model).set_params(scale_features=False)
    models: dict[str, Any] = {
        "default": model,
        "batches of half of the rows": clone(model).set_params(batch_size=n // 2),
        "batches of all rows": clone(model).set_params(batch_size=n),
        "principal components": make_pipeline(StandardScaler(), PCA(), in_one_unit, unscaled),
    }
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in models}
    for seed in range(1 if quick else 5):
        X, y, X_held, y_held = _wide(n, n_columns, seed)
        for name, model in models.items():
            began = perf_counter()
            fitted = clone(model).fit(X, y)
            loss = log_loss(y_held, fitted.predict_proba(X_held))
            found[name].append((perf_counter() - began, loss, fitted.score(X_held, y_held)))
    columns = ("s", "log loss", "accuracy")
    rows = [{"fit": name} | dict(zip(columns, np.mean(values, axis=0), strict=True)) for name, values in found.items()]
    report.table("wide", "Ways to fit 150 x 8,000 in less time (means of five tables)", rows)


def _divided(X: Any, n_columns: int) -> Any:
    """Return the principal components of scaled columns in one unit, in which their mean variance is 1."""
    return X / (n_columns / X.shape[1]) ** 0.5


def _row(
    name: str,
    data: Data,
    other: str,
    make_other: Callable[[Data], tuple[Any, Data]],
    target: tuple[str, float] | None = ("<=", 1.0),
    runs: int = 1,
) -> dict[str, Any]:
    """Time both fits in turns; return their times, ratio and scores."""
    models = {"ours": (ScratchMLPClassifier(random_state=0), data), "theirs": make_other(data)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fits = {who: partial(model.fit, *part[:2]) for who, (model, part) in models.items()}
        seconds = interleaved(fits, runs, warm=False)
    score = {who: model.score(*part[2:]) for who, (model, part) in models.items()}
    row = _times(name, seconds, other, target) | {"our score": score["ours"], "their score": score["theirs"]}
    return row | {"floor s": _floor(models["ours"][0], len(data[1]))}


def _floor(model: ScratchMLPClassifier, n: int) -> float:
    """Time what the steps of a fit cannot avoid: the products of their matrices, and Adam's passes over its arrays."""
    fitted, batch = model.fitted_, automatic_batch_size(n)
    p = np.ones((4, *fitted.parameters.shape), fitted.parameters.dtype)  # parameters, gradient and two moments
    products: list[tuple[Any, Any, Any]] = []
    for layer in fitted.network.dense(fitted.parameters):
        k, n_in, n_out = layer.W.shape
        x, W, dz = (np.ones((k, *shape), p.dtype) for shape in ((batch, n_in), (n_in, n_out), (batch, n_out)))
        products += [(x, W, np.empty_like(dz)), (x.swapaxes(1, 2), dz, np.empty_like(W))]
        if len(products) > 2:  # the table needs no gradient
            products.append((dz, W.swapaxes(1, 2), np.empty_like(x)))

    def step() -> None:
        for a, b, out in products:
            np.matmul(a, b, out=out)
        np.add(p[0], p[2], out=p[0])  # four arrays are read, three written
        np.add(p[2], p[1], out=p[2])
        np.negative(p[3], out=p[3])

    return interleaved({"step": step}, 21)["step"] * model.n_iter_ * -(-n // batch)


def _times(name: str, seconds: dict[str, float], other: str, target: tuple[str, float] | None) -> dict[str, Any]:
    ours, theirs = seconds["ours"], seconds["theirs"]
    return {"case": name, "beside": other, "our s": ours, "their s": theirs, "ratio": Result(ours / theirs, target)}


def _names(n: int, n_names: int) -> Data:
    X, y = make_classification(n + 4000, 8, n_informative=5, random_state=0)
    names = np.random.default_rng(0).integers(0, n_names, len(X))
    frame = pd.DataFrame(X).add_prefix("x").assign(name=[f"n{code}" for code in names])
    return frame[:n], y[:n], frame[n:], y[n:]


def _without_names(data: Data) -> tuple[Any, Data]:
    X, y, X_held, y_held = data
    return ScratchMLPClassifier(random_state=0), (X.drop(columns="name"), y, X_held.drop(columns="name"), y_held)


def _wide(n: int, n_columns: int, seed: int = 0) -> Data:
    shape = {"n_informative": 40, "n_redundant": 100, "class_sep": 2.0}
    X, y = make_classification(n + 300, n_columns, **shape, random_state=seed)
    return X[:n], y[:n], X[n:], y[n:]


def _clusters(n: int, n_classes: int, n_columns: int) -> Data:
    """Each class is a normal cluster, and occurs among the rows that are held out too."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(n_classes, n_columns)) * (30 / n_columns) ** 0.5
    y = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, 2 * n - n_classes)])
    X = centres[y] + rng.normal(size=(len(y), n_columns))
    return X[:n], y[:n], X[n:], y[n:]


def _scikit_learn(data: Data) -> tuple[Any, Data]:
    return make_pipeline(StandardScaler(), MLPClassifier(random_state=0)), data


def _catboost(data: Data) -> tuple[Any, Data]:
    from catboost import CatBoostClassifier

    options = {"random_seed": 0, "thread_count": 1, "verbose": False, "allow_writing_files": False}
    return CatBoostClassifier(iterations=100, **options), data


def _predictions(n: int) -> dict[str, Any]:
    """Time the probabilities of n rows of five columns, beside boosted trees."""
    X, y = make_classification(n, 5, n_informative=5, n_redundant=0, random_state=0)
    models = {"ours": ScratchMLPClassifier(random_state=0), "theirs": HistGradientBoostingClassifier(random_state=0)}
    functions = {who: partial(model.fit(X[:5000], y[:5000]).predict_proba, X) for who, model in models.items()}
    return _times(f"prediction, {n:,} x 5", interleaved(functions, 7), "HistGradientBoosting", ("<=", 1.0))


def _batches(n: int) -> dict[str, Any]:
    """Time an epoch in batches of 8,192 rows beside one in batches of 512."""
    X, y = make_classification(n, 50, random_state=0)
    sizes = {"ours": 8192, "theirs": 512}
    functions = {
        who: partial(ScratchMLPClassifier((256,) * 3, **(PLAIN | {"batch_size": size, "max_iter": 2})).fit, X, y)
        for who, size in sizes.items()
    }
    return _times("batches of 8,192", interleaved(functions, 3), "batches of 512", ("<=", 1.0))


def _search(n: int) -> dict[str, Any]:
    """Time a search of 24 draws by halving epochs beside one that trains them all to the end; fit the best of each."""
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.model_selection import HalvingRandomSearchCV, RandomizedSearchCV

    X, y = make_classification(n + 4000, 20, n_informative=8, flip_y=0.1, random_state=0)
    model = ScratchMLPClassifier(random_state=0)
    options: dict[str, Any] = {"cv": 3, "scoring": "neg_log_loss", "refit": False, "random_state": 0}
    rounds = {"factor": 4, "resource": "max_iter", "min_resources": 4, "max_resources": 16}
    searches = {
        "ours": HalvingRandomSearchCV(model, search_space(model), n_candidates=24, **rounds, **options),
        "theirs": RandomizedSearchCV(model, search_space(model), n_iter=24, **options),
    }
    seconds = interleaved({who: partial(search.fit, X[:n], y[:n]) for who, search in searches.items()}, 1, False)
    row = _times("search of 24 draws", seconds, "all epochs", ("<=", 0.4))
    for who, search in (("our", searches["ours"]), ("their", searches["theirs"])):
        best = clone(model).set_params(**search.best_params_ | {"max_iter": model.max_iter}).fit(X[:n], y[:n])
        row[f"{who} score"] = best.score(X[n:], y[n:])
    return row
