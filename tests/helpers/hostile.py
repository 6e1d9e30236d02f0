"""Random cases of legal but extreme input, and what must hold of each: a clear error, or predictions that are numbers.

A case is a description in few words, from which tables, targets, weights and the estimator are built.  The strategies
of the hyper-parameters follow from their declarations.
"""

import pickle
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import scipy.sparse as sp
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import get_scorer_names

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.estimators.constraints import declarations

__all__ = ["Case", "Refused", "build", "cases", "options_of", "verify"]

KINDS = {"classifier": ScratchMLPClassifier, "regressor": ScratchMLPRegressor}
LARGEST = np.finfo(float).max

# ---------------------------------------------------------------- hyper-parameters

RANGE = re.compile(r"(a float|an int) in the range ([\[(])([-\w.]+), ([-\w.]+)([\])])")


def log_cosh(t, z):
    """Return the loss log cosh(z - t) of each row, and its gradient."""
    r = z - t
    return (np.logaddexp(r, -r) - np.log(2)).sum(axis=1), np.tanh(r)


def falling(progress):
    """Return a factor on the learning rate that falls from 1 to 0."""
    return 1 - progress


SINE = (np.sin, np.cos)

# values that the words of a constraint do not describe, and limits that keep a fit short
OTHER_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "hidden_layer_sizes": st.one_of(st.integers(1, 8), st.lists(st.integers(1, 6), max_size=3)),
    "activation": st.one_of(st.just(SINE), st.lists(st.sampled_from(["relu", "tanh", SINE]), min_size=1, max_size=2)),
    "learning_rate": st.just(falling),
    "loss": st.just(log_cosh),
    "scoring": st.sampled_from([None, "accuracy", "r2", "neg_log_loss", "neg_mean_squared_error", *get_scorer_names()]),
    "class_weight": st.one_of(
        st.just("balanced"),
        st.dictionaries(st.sampled_from([0, 1, 2, "a", "b"]), st.sampled_from([0, 1, 1e-300, 1e300])),
    ),
    "categorical_features": st.sampled_from([None, "from_dtype", [0], [-1], []]),
    "monotonic_cst": st.sampled_from([[1], [-1, 0], [1, -1, 0], (0, 0), [2]]),
    "quantile": st.sampled_from([0.5, 1e-9, [0.1, 0.9], [0.2, 0.5, 0.99], (0.3,)]),
    "init": st.just(([np.ones((1, 1))], [np.zeros(1)])),
    "dtype": st.sampled_from(["float32", "float64", np.float32, float]),
    "n_jobs": st.sampled_from([1, 2, -1, -100]),
}
LIMITS = {"max_iter": 3, "n_members": 6, "refit": 100, "n_jobs": 3}
# set by the case itself; a limit of the time gives other bits in each fit
NEVER = ("max_iter", "random_state", "verbose", "warm_start", "max_time")
WRONG = [None, -1, 0, 1.5, "x", float("nan"), float("inf"), 10**400, [], (), True, {}, np.array([1.0, 2.0])]


def values_of(name: str, declared: Any) -> st.SearchStrategy[Any]:
    """Return a strategy of the values that a hyper-parameter's declaration allows, extreme ones among them."""
    constraint, found = declared.constraint, []
    if constraint.choices:
        found.append(st.sampled_from(constraint.choices))
    if "an instance of 'bool'" in constraint.words:
        found.append(st.booleans())
    if re.search(r"\bNone\b", constraint.words):
        found.append(st.none())
    for kind, left, low, high, right in RANGE.findall(constraint.words):
        low, high = max(float(low), -1e300), min(float(high), LIMITS.get(name, np.inf))
        if kind == "an int":
            top = int(min(high, 2**62))
            found.append(st.one_of(st.integers(int(low), min(int(low) + 20, top)), st.integers(int(low), top)))
            continue
        ends = [low] * (left == "[") + [high] * bool(right == "]" and np.isfinite(high))
        sizes = st.floats(-300, 300).map(lambda power, low=low: low + 10.0**power)
        inside = st.floats(low, min(high, low + 10), exclude_min=left == "(", exclude_max=True, allow_subnormal=False)
        found += [st.sampled_from(ends)] * bool(ends) + [inside, sizes]
    found += [OTHER_VALUES[name]] if name in OTHER_VALUES else []
    if name in ("hidden_layer_sizes",):
        found = found[-1:]
    return st.one_of(found).filter(constraint.holds)


@st.composite
def options_of(draw: Any, cls: type) -> dict[str, Any]:
    """Draw values of some hyper-parameters of an estimator; a wrong one now and then."""
    declared = declarations(cls)
    names = draw(st.lists(st.sampled_from([name for name in declared if name not in NEVER]), unique=True, max_size=5))
    options = {name: draw(values_of(name, declared[name])) for name in names}
    if draw(st.integers(0, 29)) == 0:
        options[draw(st.sampled_from(sorted(declared)))] = draw(st.sampled_from(WRONG))
    return options


# ---------------------------------------------------------------- tables

NUMBER_KINDS = [
    "normal",
    "skewed",
    "constant",
    "integers",
    "flags",
    "missing",
    "all missing",
    "sizes",
    "outlier",
    "sorted",
]
TEXT_KINDS = ["few", "many", "unique", "text missing", "levels", "booleans", "mixed case"]
FORMS = ["float64", "float32", "float16", "int", "bool", "object", "list", "fortran", "longdouble"]
FORMS += ["csr", "csc", "coo", "csr array", "pandas", "pandas nullable", "polars", "arrow"]
UNSEEN = ["same", "shifted", "huge", "missing", "other texts", "zeros"]


@dataclass(frozen=True)
class Case:
    """A description of a fit and of the rows that it predicts."""

    kind: str
    n: int
    columns: tuple[tuple[str, float], ...]  # kind, and power of ten that numbers are multiplied by
    form: str
    target: str
    power: float  # of ten, that numeric targets are multiplied by
    weight: str
    call: str
    unseen: str
    options: dict[str, Any]
    seed: int


def number_column(kind: str, power: float, n: int, rng: np.random.RandomState) -> Any:
    """Return numbers (n,) of some distribution, times a power of ten."""
    x = rng.normal(size=n)
    if kind == "skewed":
        x = np.exp(3 * x)
    elif kind == "constant":
        x = np.ones(n)
    elif kind == "integers":
        x = rng.randint(-3, 4, n).astype(float)
    elif kind == "flags":
        x = (rng.uniform(size=n) < 0.1).astype(float)
    elif kind == "missing":
        x[rng.uniform(size=n) < 0.3] = np.nan
    elif kind == "all missing":
        x[:] = np.nan
    elif kind == "sizes":
        x = np.sign(x) * 10.0 ** rng.uniform(-150, 150, n)
    elif kind == "outlier":
        x[0] = 1e12
    elif kind == "sorted":
        x = np.sort(x)
    with np.errstate(over="ignore", under="ignore"):
        return np.clip(x * 10.0**power, -LARGEST, LARGEST)


def text_column(kind: str, n: int, rng: np.random.RandomState) -> Any:
    """Return a pandas column of categories (n,)."""
    if kind == "booleans":
        return pd.Series(rng.uniform(size=n) < 0.5)
    if kind == "levels":
        return pd.Series(pd.Categorical(rng.choice(list("ab"), n), categories=list("abcdefgh")))
    texts = {
        "few": rng.choice(["a", "b", "", " "], n),
        "many": np.array([f"t{i}" for i in rng.randint(0, 60, n)]),
        "unique": np.array([f"name {i}" for i in range(n)]),
        "text missing": rng.choice(["a", "é"], n),
        "mixed case": rng.choice(["NaN", "nan", "None", "1"], n),
    }[kind].astype(object)
    if kind == "text missing":
        texts[rng.uniform(size=n) < 0.4] = None
    return pd.Series(texts, dtype=object)


def table(case: Case, n: int, rng: np.random.RandomState, unseen: str = "same") -> Any:
    """Return `n` rows with the columns of a case, in its form; `unseen` says how they differ from the fitted ones."""
    columns: list[Any] = []
    for kind, power in case.columns:
        column = text_column(kind, n, rng) if kind in TEXT_KINDS else number_column(kind, power, n, rng)
        if kind in TEXT_KINDS:
            column = (
                column if unseen != "other texts" or kind in ("levels", "booleans") else "new " + column.astype(str)
            )
        elif unseen in ("shifted", "huge"):
            with np.errstate(over="ignore"):
                column = np.clip(column * (1e3 if unseen == "shifted" else 1e150), -LARGEST, LARGEST)
        elif unseen in ("missing", "zeros"):
            column = np.full(n, np.nan if unseen == "missing" else 0.0)
        columns.append(column)
    return in_form(columns, case.form)


def in_form(columns: list[Any], form: str) -> Any:
    """Return columns as an array, a list, a sparse matrix or a frame."""
    has_text = any(isinstance(column, pd.Series) for column in columns)
    frame = pd.DataFrame({f"x{j}": column for j, column in enumerate(columns)})
    if form == "pandas nullable":
        with np.errstate(invalid="ignore"):  # pandas 2.2 casts numbers beyond integers on trial
            return frame.convert_dtypes()
    if form == "polars":
        return pl.from_pandas(frame.astype({name: object for name in frame if str(frame[name].dtype) == "category"}))
    if form == "arrow":
        with np.errstate(invalid="ignore"):
            return frame.convert_dtypes(dtype_backend="pyarrow")
    if form == "pandas" or has_text:
        return frame.to_numpy(dtype=object) if form in ("object", "list") else frame
    with np.errstate(all="ignore"):
        x = np.column_stack(columns)
        if form in ("csr", "csc", "coo", "csr array"):
            matrix = {"csr": sp.csr_matrix, "csc": sp.csc_matrix, "coo": sp.coo_matrix, "csr array": sp.csr_array}[form]
            return matrix(np.where(np.abs(x) < 0.5 * np.nanmax(np.abs(x), initial=0.0), 0.0, x))
        if form in ("int", "bool"):
            return np.nan_to_num(np.clip(x, -1e6, 1e6)).astype(np.int64 if form == "int" else bool)
        if form == "list":
            return x.tolist()
        if form == "fortran":
            return np.asfortranarray(x)
        if form == "longdouble":
            return x.astype(np.longdouble)
        largest = np.finfo(form).max if form in ("float16", "float32") else LARGEST
        return np.clip(x, -largest, largest).astype(form)


TARGETS = {
    "classifier": ["two", "texts", "three", "one", "rare", "booleans", "floats", "labels", "constant label"],
    "regressor": ["normal", "constant", "counts", "skewed", "offset", "columns", "integers", "outlier", "sizes"],
}
WEIGHTS = ["none", "none", "ones", "counts", "sizes", "one row", "huge", "tiny", "scalar"]
CALLS = ["fit", "fit", "X_val", "partial_fit", "warm_start"]


def target(case: Case, n: int, rng: np.random.RandomState) -> Any:
    """Return targets (n,) or (n, 2) of the case's kind."""
    x = rng.normal(size=n)
    codes = np.arange(n) % 2
    if case.kind == "classifier":
        return {
            "two": codes,
            "texts": np.array(["a", "b"])[codes],
            "three": np.arange(n) % 3,
            "one": np.zeros(n, dtype=int),
            "rare": (np.arange(n) == 1).astype(int),
            "booleans": codes.astype(bool),
            "floats": codes * 2.0 - 1,
            "labels": np.column_stack([codes, x > 0]).astype(int),
            "constant label": np.column_stack([codes, np.ones(n)]).astype(int),
        }[case.target]
    with np.errstate(over="ignore", under="ignore"):
        y = {
            "normal": x,
            "constant": np.full(n, 3.7),
            "counts": rng.poisson(2, n).astype(float),
            "skewed": np.exp(3 * x),
            "offset": 1e8 + x,
            "columns": np.column_stack([x, np.exp(x)]),
            "integers": np.round(3 * x),
            "outlier": np.where(np.arange(n) == 0, 1e12, x),
            "sizes": 10.0 ** rng.uniform(-150, 150, n),
        }[case.target]
        y = np.clip(y * 10.0**case.power, -LARGEST, LARGEST)
    return y.astype(int) if case.target == "integers" and case.power == 0 else y


def weights(case: Case, n: int, rng: np.random.RandomState) -> Any:
    """Return weights (n,) of the case's kind, or None."""
    return {
        "none": None,
        "ones": np.ones(n),
        "counts": np.append(1, rng.randint(0, 3, n - 1)),
        "sizes": 10.0 ** rng.uniform(-300, 300, n),
        "one row": (np.arange(n) == 0).astype(float),
        "huge": np.full(n, 1e308),
        "tiny": np.full(n, 5e-324),
        "scalar": 2.0,
    }[case.weight]


@st.composite
def cases(draw: Any) -> Case:
    """Draw a case."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    powers = st.one_of(st.just(0.0), st.just(0.0), st.floats(-300, 300).map(lambda p: round(p, 1)))
    texts = draw(st.integers(0, 2)) == 0
    column = st.tuples(st.sampled_from(NUMBER_KINDS + TEXT_KINDS * texts), powers)
    return Case(
        kind,
        n=draw(st.one_of(st.integers(41, 90), st.integers(1, 45))),
        columns=tuple(draw(st.lists(column, min_size=1, max_size=4))),
        form=draw(st.sampled_from(FORMS)),
        target=draw(st.sampled_from(TARGETS[kind])),
        power=draw(powers) if kind == "regressor" else 0.0,
        weight=draw(st.sampled_from(WEIGHTS)),
        call=draw(st.sampled_from(CALLS)),
        unseen=draw(st.sampled_from(UNSEEN)),
        options=draw(options_of(KINDS[kind])),
        seed=draw(st.integers(0, 99)),
    )


# ---------------------------------------------------------------- what must hold


class Refused(Exception):
    """A case that a clear error refuses."""


def build(case: Case) -> Any:
    """Return the estimator of a case."""
    options = {
        "max_iter": 2,
        "hidden_layer_sizes": (4,),
        "n_members": 2,
        "n_jobs": 1,
        "random_state": 0,
        **case.options,
    }
    return KINDS[case.kind](**{"warm_start": case.call == "warm_start", **options})


def fitted(case: Case) -> Any:
    """Return the estimator of a case, fitted; raise Refused if an error says what is wrong."""
    model, rng = build(case), np.random.RandomState(case.seed)
    X, y, weight = table(case, case.n, rng), target(case, case.n, rng), weights(case, case.n, rng)
    y = {0: y, 1: y.tolist(), 2: pd.Series(y) if y.ndim == 1 else pd.DataFrame(y)}[case.seed % 3]
    later = table(case, case.n, rng, case.unseen)
    before = dict(vars(model))
    try:
        if case.call == "partial_fit":
            classes = np.unique(y) if case.kind == "classifier" and np.ndim(y) == 1 else None
            named = {"classes": classes} if case.kind == "classifier" else {}
            model.partial_fit(X, y, weight, **named)
        elif case.call == "X_val":
            model.fit(X, y, weight, X_val=later, y_val=y)
        else:
            model.fit(X, y, weight)
    except (ValueError, TypeError, AttributeError) as error:
        assert vars(model) == before, "a refused fit changed the estimator"
        raise refused(error, case) from error
    try:
        if case.call in ("partial_fit", "warm_start"):
            (model.partial_fit if case.call == "partial_fit" else model.fit)(later, y, weight)
    except (ValueError, TypeError) as error:
        raise refused(error, case) from error
    return model


def refused(error: Exception, case: Case) -> Refused:
    """Return the error as a clear refusal; raise it again if it names nothing that the caller gave."""
    message = str(error)
    named = re.search(r"\b(X|y|x\d|sample_weight|weights|class|classes|scoring|column|rows|validation)\b", message)
    named = named or any(re.search(rf"\b{name}\b", message) for name in declarations(KINDS[case.kind]))
    if isinstance(error, AttributeError) and case.call == "partial_fit" and case.options.get("solver") == "lbfgs":
        return Refused(str(error.__cause__))
    if isinstance(error, AttributeError) or not named or len(message) < 20:
        raise error
    return Refused(message)


@contextmanager
def strict_warnings() -> Iterator[None]:
    """Raise every warning but those that report how a training went, or that a score is undefined."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "The loss became non-finite or huge", UserWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module="sklearn.metrics")
        yield


def outputs(model: Any, X: Any) -> list[Any]:
    """Return all that an estimator predicts for some rows, labels last."""
    if isinstance(model, ScratchMLPRegressor):
        y, std = model.predict(X, return_std=True)
        return [std, y, model.predict(X)]
    return [model.predict_proba(X), model.predict_log_proba(X), model.decision_function(X), model.predict(X)]


def verify(case: Case) -> None:
    """Fit a case, and assert that its predictions are finite, consistent and reproducible; a clear error is Refused."""
    with strict_warnings():
        model = fitted(case)
        rng = np.random.RandomState(case.seed + 1)
        for X in (
            table(case, case.n, np.random.RandomState(case.seed)),
            table(case, 7, rng, case.unseen),
        ):
            try:
                found = outputs(model, X)
            except (ValueError, TypeError) as error:
                raise refused(error, case) from error
            for values in found:
                assert values.dtype.kind not in "fc" or np.isfinite(values).all(), "a prediction is not finite"
            check_consistent(model, found)
            check_rows(model, X, found)
        again = fitted(case)
        if model.random_state is not None:
            own, other = model.fitted_.parameters, again.fitted_.parameters
            np.testing.assert_array_equal(own, other, "the same seed, other bits")
        if case.seed % 5 == 0:
            for one, other in zip(outputs(pickle.loads(pickle.dumps(model)), X), found, strict=True):
                np.testing.assert_array_equal(one, other, "a pickle predicts something else")
            clone(model)


def check_consistent(model: Any, found: list[Any]) -> None:
    """Assert that labels follow from probabilities, and that numbers lie within the range that they are clipped to."""
    if isinstance(model, ScratchMLPRegressor):
        std, _, y = found
        assert (std >= 0).all(), "a standard deviation is negative"
        if model.clip_target and not model._state.incremental:
            targets = model.fitted_.targets
            assert (y >= targets.low).all() and (y <= targets.high).all(), "a prediction is not clipped"
        return
    p, log_p, _, labels = found
    assert ((p >= 0) & (p <= 1)).all() and np.allclose(np.exp(log_p), p), "p is no probability"
    if labels.ndim == 2:
        assert (labels == (p > 0.5))[np.abs(p - 0.5) > 1e-6].all(), "labels do not follow from their probabilities"
        return
    assert np.allclose(p.sum(axis=1), 1, atol=1e-5), "probabilities do not add up to one"
    chosen = p[np.arange(len(p)), np.searchsorted(model.classes_, labels)]
    assert (chosen >= p.max(axis=1) - 1e-6).all(), "the label is not the most probable one"


def check_rows(model: Any, X: Any, found: list[Any]) -> None:
    """Assert that the prediction of a row does not depend on the rows around it."""
    n = len(found[0])
    if isinstance(X, list) or n < 2 or sp.issparse(X):
        return
    order = np.random.RandomState(0).permutation(n)
    rows = X.iloc[order] if isinstance(X, pd.DataFrame) else X[order]
    alone = outputs(model, rows)
    for one, other in zip(alone, found, strict=True):
        if one.dtype.kind == "f":
            size = np.max(np.abs(other.astype(np.float64)), initial=1e-300)
            np.testing.assert_allclose(one / size, other[order] / size, atol=1e-4, err_msg="rows depend on their order")
