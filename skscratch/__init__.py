"""A neural network for tables, written from scratch in NumPy, as two scikit-learn estimators."""

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
