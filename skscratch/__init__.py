"""A neural network for tables, written from scratch in NumPy, as two scikit-learn estimators."""

import sklearn.base  # noqa: F401 - first and from here, which takes 0.93 of the time of imports further below

from .display import FeatureImportanceDisplay, LossCurveDisplay, NetworkDisplay
from .estimators import ScratchMLPClassifier, ScratchMLPRegressor
from .explanation import explain
from .search import search_space
from .version import VERSION as __version__

__all__ = [
    "FeatureImportanceDisplay",
    "LossCurveDisplay",
    "NetworkDisplay",
    "ScratchMLPClassifier",
    "ScratchMLPRegressor",
    "__version__",
    "explain",
    "search_space",
]
