"""The importances of a fitted estimator: the attributes that scikit-learn's selectors read."""

from typing import Any

import numpy as np

from ..nn.tape import Array
from ..training.evaluation import Evaluation
from ..training.fit import FitResult
from ..training.importances import ImportanceSample
from ..training.objective import Objective
from .fitted import FittedNetwork

__all__ = ["Importances", "importance_sample"]


def importance_sample(
    objective: Objective, evaluation: Evaluation | None, result: FitResult
) -> ImportanceSample | None:
    """Return a sample of the rows that validate a fit, or of its training rows; None if they have not validated it yet.

    The parameters are those before the refit, after which each member has seen all rows.
    """
    scored = result.validated
    if evaluation is None:
        return ImportanceSample.draw(objective, None, result.parameters, result.temperature)
    if scored is None:
        return None
    return ImportanceSample.draw(evaluation.objective, evaluation.folds, scored.parameters, scored.temperature)


class Importances:
    """Importances of the columns of X, computed when they are first read; a base class of the estimators."""

    fitted_: FittedNetwork
    n_features_in_: int

    _importance_sample: ImportanceSample | None = None  # the rows to compute them from, until they are computed
    _importances: Array | None = None

    @property
    def importances_(self) -> Array:
        """Rise of the loss when a column of X is permuted, for each fold, (n_folds, n_features)."""
        return self._computed_importances("importances_")

    @property
    def feature_importances_(self) -> Array:
        """Importance of each column of X, (n_features,): not negative, with the sum 1, or all 0."""
        return _normalised(self._computed_importances("feature_importances_"))[0]

    @property
    def feature_importances_se_(self) -> Array:
        """Standard error over the folds of each of `feature_importances_`, (n_features,)."""
        return _normalised(self._computed_importances("feature_importances_se_"))[1]

    def _computed_importances(self, name: str) -> Array:
        sample = self._importance_sample
        if self._importances is None and sample is not None:
            self._importances = sample.importances(self.fitted_.encoder.sources, self.n_features_in_)
            self._importances.flags.writeable = False
            self._importance_sample = None
        if self._importances is not None:
            return self._importances
        reason = "before it is fitted"
        if hasattr(self, "fitted_"):
            reason = "without a complete call of `fit`, whose rows it comes from"
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r} {reason}")


def _normalised(importances: Array) -> tuple[Array, Array]:
    """Return means and standard errors (n_columns,) of importances (n_parts, n_columns), over the sum of the means.

    Negative means count as 0.
    """
    n_parts = len(importances)
    largest = np.abs(importances).max(initial=0.0) or 1.0  # sums of importances in any unit are finite
    importances = importances / largest
    means = np.maximum(importances.mean(axis=0), 0)
    errors = importances.std(axis=0, ddof=1) / n_parts**0.5 if n_parts > 1 else np.zeros_like(means)
    total: Any = means.sum() or 1.0
    return means / total, errors / total
