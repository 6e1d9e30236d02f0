"""Checksums of about sixty fits, which a refactoring must not change.

::

    python benchmarks/golden.py record FILE     before the change
    python benchmarks/golden.py compare FILE    after it; exits with status 1 and lists the fits that differ

The bits depend on the processor and on the versions of NumPy and BLAS; a file is valid on the machine that made it.
The script uses public names only.
"""

import json
import sys
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from skscratch import ScratchMLPClassifier as Classifier
from skscratch import ScratchMLPRegressor as Regressor

N = 300
RNG = np.random.RandomState(0)
FRAME = pd.DataFrame(
    {
        "a": RNG.normal(size=N),
        "b": np.where(RNG.uniform(size=N) < 0.1, np.nan, RNG.exponential(size=N)),
        "c": pd.Categorical(RNG.choice(list("xyz"), N)),
        "d": [f"t{i}" for i in RNG.randint(70, size=N)],
    }
)
Y = (FRAME.a + (FRAME.c == "x") + 0.1 * RNG.normal(size=N)).to_numpy()
CODES = np.digitize(Y, [0, 1])
NUMBERS = np.column_stack([FRAME.a, FRAME.b.fillna(0) * 100, RNG.normal(size=(N, 3))])
SPARSE = sp.random(N, 12, 0.2, "csr", random_state=1)
SPARSE.data[::9] = np.nan
WEIGHT = RNG.randint(0, 4, N).astype(float)
LABELS = np.column_stack([Y > 0, FRAME.a > 0.3]).astype(int)
COUNTS = RNG.poisson(np.exp(np.clip(Y, -2, 2))).astype(float)
PLAIN = {
    "n_members": 1,
    "numeric_embedding": None,
    "init": "auto",
    "parametrization": "standard",
    "learning_rate": "constant",
    "learning_rate_init": 0.01,
    "early_stopping": False,
}
TANH = (np.tanh, lambda x: 1 - np.tanh(x) ** 2)


def squared(t: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the squared error and its gradient, as a user-defined loss."""
    return 0.5 * ((z - t) ** 2).sum(axis=1), z - t


def checksum(*arrays: Any) -> int:
    """Return the CRC-32 of the bytes of all arrays."""
    code = 0
    for array in arrays:
        if array is not None:
            code = zlib.crc32(np.ascontiguousarray(array).tobytes(), code)
    return code


def result(model: Any, X: Any) -> int:
    """Return the checksum of a fitted model: weights, curves and predictions."""
    predictions = [model.predict(X[:50] if sp.issparse(X) else X)]
    if predictions[0].dtype.kind == "O":
        predictions[0] = predictions[0].astype("U")
    if isinstance(model, Classifier):
        predictions += [model.decision_function(X), model.predict_proba(X)]
    curves = [np.array(model.loss_curve_, float)]
    if model.validation_scores_ is not None:
        curves.append(np.array(model.validation_scores_, float))
    return checksum(
        *model.coefs_,
        *model.intercepts_,
        *predictions,
        *curves,
        model.oof_predictions_,
        np.array([model.temperature_, model.best_iteration_, model.n_iter_, model.t_], float),
    )


def regressors() -> Iterator[tuple[str, Callable[[], int]]]:
    """Yield the fits of regressors on the mixed table, by name."""
    options: dict[str, dict[str, Any]] = {
        "defaults": {},
        "three layers": {"hidden_layer_sizes": (32, 16, 8)},
        "no hidden layer": {"hidden_layer_sizes": ()},
        "huber": {"loss": "huber"},
        "absolute": {"loss": "absolute_error", "activation": "relu"},
        "quantiles": {"loss": "quantile", "quantile": [0.1, 0.5, 0.9]},
        "quantile": {"loss": "quantile", "quantile": 0.3, "scoring": None},
        "own loss": {"loss": squared},
        "own activation": {"activation": TANH},
        "activations": {"activation": ["gelu", "mish"]},
        "selu": {"activation": "selu", "init": "auto"},
        "lbfgs": {"solver": "lbfgs", "max_iter": 15, "n_members": 1},
        "lbfgs single": {"solver": "lbfgs", "max_iter": 10, "n_members": 2, "dtype": "float32", "alpha": 0.1},
        "lbfgs stopping": {"solver": "lbfgs", "max_iter": 15, "early_stopping": True},
        "sgd": {"solver": "sgd", "dropout": 0.1, "alpha": 0.01},
        "sgd momentum": {"solver": "sgd", "nesterovs_momentum": False, "clip_norm": 1.0},
        "two members": {"n_members": 2, "dtype": "float64", "activation": "gelu"},
        "ten members": {"n_members": 10, "n_folds": 5},
        "dropout": {"dropout": 0.2, "weight_decay": 0.01},
        "unscaled": {"scale_features": False, "clip_norm": 1.0},
        "unscaled target": {"scale_target": False, "clip_target": False},
        "no bins": {"numeric_embedding": None},
        "four bins": {"n_bins": 4},
        "no biases": {"fit_intercept": False},
        "standard": {"parametrization": "standard", "init": "he_normal"},
        "early stopping": {"early_stopping": True, "learning_rate": "constant"},
        "not best": {"restore_best_weights": False},
        "no refit": {"refit": 0},
        "one cycle": {"learning_rate": "one_cycle", "warmup": 0.2},
        "own rate": {"learning_rate": lambda u: 1 - u / 2},
        "threads": {"n_jobs": 2},
        "no shuffle": {"shuffle": False, "batch_size": 50},
        "plain": PLAIN,
        "adaptive": PLAIN | {"learning_rate": "adaptive", "n_iter_no_change": 1, "tol": 0.1},
        "invscaling": PLAIN | {"learning_rate": "invscaling", "solver": "sgd"},
        "diverging": PLAIN | {"learning_rate_init": 1e6, "solver": "sgd"},
    }
    for name, given in options.items():
        yield name, lambda given=given: result(fitted(Regressor, FRAME, Y, **given), FRAME)
    yield "two targets", lambda: result(fitted(Regressor, NUMBERS, np.column_stack([Y, -Y])), NUMBERS)
    yield "poisson", lambda: result(fitted(Regressor, FRAME, COUNTS, loss="poisson"), FRAME)
    yield "gamma", lambda: result(fitted(Regressor, NUMBERS, COUNTS + 0.5, loss="gamma"), NUMBERS)
    yield "softplus", lambda: result(fitted(Regressor, NUMBERS, COUNTS, out_activation="softplus"), NUMBERS)
    yield "sparse", lambda: result(fitted(Regressor, SPARSE, Y), SPARSE)
    yield "sparse unscaled", lambda: result(fitted(Regressor, SPARSE, Y, scale_features=False), SPARSE)
    yield "weighted", lambda: result(fitted(Regressor, FRAME, Y, WEIGHT), FRAME)
    yield "few rows", lambda: result(fitted(Regressor, NUMBERS[:30], Y[:30]), NUMBERS)
    yield "single precision", lambda: result(fitted(Regressor, NUMBERS.astype("f4"), Y), NUMBERS.astype("f4"))


def classifiers() -> Iterator[tuple[str, Callable[[], int]]]:
    """Yield the fits of classifiers on the mixed table, by name."""
    options: dict[str, dict[str, Any]] = {
        "multiclass": {},
        "multiclass dropout": {"dropout": 0.2},
        "multiclass stopping": {"early_stopping": True, "scoring": "accuracy"},
        "multiclass plain": PLAIN,
        "multiclass balanced": {"class_weight": "balanced", "label_smoothing": 0.1},
        "multiclass squared": {"loss": "squared_error", "calibrate": False},
        "multiclass lbfgs": {"solver": "lbfgs", "max_iter": 10},
    }
    for name, given in options.items():
        yield name, lambda given=given: result(fitted(Classifier, FRAME, CODES, **given), FRAME)
    yield "binary", lambda: result(fitted(Classifier, FRAME, Y > 0), FRAME)
    yield "binary text", lambda: result(fitted(Classifier, FRAME, np.where(Y > 0, "yes", "no"), WEIGHT), FRAME)
    yield "multilabel", lambda: result(fitted(Classifier, FRAME, LABELS), FRAME)
    yield "binary sparse", lambda: result(fitted(Classifier, SPARSE, Y > 0), SPARSE)


def continued() -> Iterator[tuple[str, Callable[[], int]]]:
    """Yield the trainings with several calls, and those from files, by name."""
    yield "stream", stream
    yield "stream of classes", stream_of_classes
    yield "stream judged", lambda: stream(validated=True)
    yield "warm start", warm_start
    yield "validation rows", validation_rows
    yield "memory map", memory_map


def fitted(kind: type, X: Any, y: Any, weight: Any = None, **options: Any) -> Any:
    """Fit a model for a few epochs."""
    return kind(**{"random_state": 0, "n_jobs": 1, "max_iter": 8, **options}).fit(X, y, weight)


def stream(validated: bool = False) -> int:
    """Call partial_fit five times, with or without validation rows."""
    model = Regressor(random_state=0, n_jobs=1, max_iter=8)
    for start in range(0, N, 60):
        part, held = slice(start, start + 60), {"X_val": FRAME[:40], "y_val": Y[:40]} if validated else {}
        model.partial_fit(FRAME[part], Y[part], **held)
    return result(model, FRAME)


def stream_of_classes() -> int:
    """Call partial_fit of a classifier six times, with sample weights."""
    model = Classifier(random_state=0, n_jobs=1, max_iter=8)
    for start in range(0, N, 50):
        part = slice(start, start + 50)
        model.partial_fit(NUMBERS[part], CODES[part], WEIGHT[part], classes=[0, 1, 2])
    return result(model, NUMBERS)


def warm_start() -> int:
    """Fit twice with a warm start."""
    model = Regressor(random_state=0, n_jobs=1, max_iter=5, warm_start=True, early_stopping=True)
    return result(model.fit(FRAME, Y).set_params(max_iter=3).fit(FRAME, Y), FRAME)


def validation_rows() -> int:
    """Fit with separate validation rows."""
    model = Classifier(random_state=0, n_jobs=1, max_iter=8)
    model.fit(FRAME[:200], CODES[:200], X_val=FRAME[200:], y_val=CODES[200:], sample_weight_val=WEIGHT[200:] + 1)
    return result(model, FRAME)


def memory_map() -> int:
    """Fit a memory-mapped array that is large enough for encoding batch by batch."""
    n, d = 70_000, 120
    with tempfile.TemporaryDirectory() as folder:
        X = np.lib.format.open_memmap(Path(folder) / "X.npy", "w+", "f8", (n, d))
        for j in range(d):
            X[:, j] = np.random.RandomState(j).normal(size=n)
        y = np.asarray(X[:, 0] - X[:, 1])
        model = fitted(Regressor, X, y, max_iter=1, n_members=2, hidden_layer_sizes=8)
        return result(model, np.asarray(X[:500]))


def main(action: str, file: str) -> None:
    """Record the checksums in a file, or compare them with a file."""
    warnings.simplefilter("ignore")
    found = {}
    for group in (regressors, classifiers, continued):
        for name, run in group():
            found[name] = run()
    if action == "record":
        Path(file).write_text(json.dumps(found, indent=1) + "\n")
        print(f"{len(found)} fits recorded in {file}")
        return
    before = json.loads(Path(file).read_text())
    changed = sorted(name for name in before if found.get(name) != before[name])
    print(f"{len(before) - len(changed)} of {len(before)} fits are the same", *changed, sep="\n  ")
    sys.exit(bool(changed))


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("record", "compare"):
        sys.exit(__doc__)
    main(*sys.argv[1:])
