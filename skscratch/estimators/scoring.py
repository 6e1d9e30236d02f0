"""Scores of rows whose raw scores are known: scikit-learn's scorers are handed an estimator that answers with them."""

import copy
import math
from numbers import Real
from typing import Any

import numpy as np

from ..encoding.check_input import Rows

__all__ = ["answering", "score_of"]


def answering(estimator: Any, rows: Rows, z: np.ndarray) -> Any:
    """Copy of an estimator that, asked for these rows, answers with the raw scores `z` (n, out)."""
    seen = copy.copy(estimator)
    seen._known = (rows.X, z)
    return seen


def score_of(estimator: Any, rows: Rows, z: np.ndarray) -> float:
    """The score of the estimator's parameter `scoring` for rows whose raw scores are z (n, out).

    Raises ValueError where the scorer fails, or its answer is no score.
    """
    seen, scoring = answering(estimator, rows, z), estimator.scoring
    weights = {} if rows.weight is None else {"sample_weight": rows.weight}
    try:
        if scoring is None:
            value = seen.score(rows.X, rows.y, rows.weight)
        else:
            from sklearn.metrics import get_scorer

            scorer = get_scorer(scoring) if isinstance(scoring, str) else scoring
            value = scorer(seen, rows.X, rows.y, **weights)
    except ValueError as error:
        raise ValueError(f"scoring={scoring!r} failed on the validation rows: {error}") from error
    if not isinstance(value, Real) or math.isnan(value):
        raise ValueError(
            f"scoring={scoring!r} gave {value!r}, which is no score, on the {len(rows)} validation rows: "
            "choose another score, or give X_val with every class in it."
        )
    return float(value)
