"""A neural network for tables, written from scratch in NumPy, as two scikit-learn estimators."""

from .estimators import ScratchMLPClassifier, ScratchMLPRegressor
from .version import __version__

__all__ = ["ScratchMLPClassifier", "ScratchMLPRegressor", "__version__"]
