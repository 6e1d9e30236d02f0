"""Scores from known raw scores: scikit-learn's scorers get an estimator that replays them."""

import copy
import math
from numbers import Real
from typing import Any

import numpy as np

from ..encoding.check_input import Rows

__all__ = ["score_of", "with_known_scores"]


def with_known_scores(estimator: Any, X: Any, z: np.ndarray) -> Any:
    """Return a copy of an estimator that predicts for `X` from its known raw scores `z` (n, out)."""
    replaying = copy.copy(estimator)
    replaying._known = (X, z.astype(np.float64, copy=False))
    return replaying


def score_of(estimator: Any, rows: Rows, z: np.ndarray) -> float:
    """Return the score that the parameter `scoring` defines, for rows with known raw scores z (n, out).

    Raises ValueError if the scorer fails, or if its result is not a number.
    """
    replaying, scoring = with_known_scores(estimator, rows.X, z), estimator.scoring
    weight = rows.given_weight() if callable(scoring) else rows.weight  # the scores of scikit-learn have no unit
    weights = {} if weight is None else {"sample_weight": weight}
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # squares of targets in any unit
            if scoring is None:
                value = replaying.score(rows.X, rows.y, rows.weight)
            else:
                from sklearn.metrics import get_scorer

                scorer = get_scorer(scoring) if isinstance(scoring, str) else scoring
                value = scorer(replaying, rows.X, rows.y, **weights)
    except (ValueError, AttributeError, TypeError) as error:
        if callable(scoring) and not isinstance(error, ValueError):
            raise  # a fault of the user's function
        raise ValueError(f"scoring={scoring!r} failed on the validation rows: {error}") from error
    if not isinstance(value, Real) or math.isnan(value):
        advice = (
            "pass an X_val that has every class" if hasattr(estimator, "predict_proba") else "divide y by a constant"
        )
        raise ValueError(
            f"scoring={scoring!r} gave {value!r}, which is not a score, on the {len(rows)} validation rows: "
            f"choose another score, or {advice}."
        )
    return float(value)
