"""Two hundred random cases of hostile input: a clear error, or finite, consistent and reproducible predictions.

``python -m benchmarks.robustness`` tries thousands.
"""

from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.helpers.hostile import KINDS, OTHER_VALUES, Case, Refused, cases, declarations, values_of, verify

OUTCOMES: Counter[str] = Counter()


@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
@given(cases())
def check(case: Case) -> None:
    try:
        verify(case)
    except Refused:
        OUTCOMES["refused"] += 1
    else:
        OUTCOMES["fitted"] += 1


@pytest.mark.slow
def test_random_cases_are_refused_clearly_or_fitted_soundly():
    OUTCOMES.clear()
    check()
    assert OUTCOMES["fitted"] >= 100  # hostile input is legal input, for the most part
    assert OUTCOMES["refused"] >= 10


def drawn(strategy):
    seen = []

    @settings(max_examples=20, deadline=None, derandomize=True, database=None)
    @given(strategy)
    def collect(value):
        seen.append(value)

    collect()
    return seen


@pytest.mark.parametrize("cls", KINDS.values(), ids=KINDS)
def test_the_declarations_give_values_for_every_hyper_parameter(cls):
    """A new parameter, or new words of a constraint, must not fall out of the random cases."""
    for name, declared in declarations(cls).items():
        seen = drawn(values_of(name, declared))
        assert len({repr(value) for value in seen}) >= 2, name
        assert all(declared.constraint.holds(value) for value in seen), name
    assert OTHER_VALUES.keys() <= {name for each in KINDS.values() for name in declarations(each)}


CASES = {
    "a row far beyond all others": Case(
        "regressor", 50, (("outlier", 290.0),), "float64", "normal", 0.0, "none", "fit", "huge", {}, 0
    ),
    "targets at the smallest float": Case(
        "regressor", 50, (("normal", 0.0),), "float64", "normal", -300.0, "none", "fit", "same", {}, 0
    ),
    "weights of all sizes": Case(
        "classifier", 50, (("normal", 0.0),), "csr", "two", 0.0, "sizes", "partial_fit", "same", {}, 0
    ),
    "more bins than memory": Case(
        "regressor", 50, (("normal", 0.0),), "float64", "normal", 0.0, "none", "fit", "same", {"n_bins": 2**62}, 0
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_cases_that_were_found(case):
    verify(case)


def test_a_prediction_that_is_not_finite_is_found(monkeypatch):
    def predict(self, X, return_std=False):
        return (np.full(len(X), np.nan),) * 2 if return_std else np.full(len(X), np.nan)

    monkeypatch.setattr(KINDS["regressor"], "predict", predict)
    monkeypatch.setattr(KINDS["regressor"], "score", lambda *args: 0.0)
    with pytest.raises(AssertionError, match="not finite"):
        verify(CASES["a row far beyond all others"])
