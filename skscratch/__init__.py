"""A neural network for tables, written from scratch in NumPy, as two scikit-learn estimators."""

from .estimators import ScratchMLPClassifier, ScratchMLPRegressor

__all__ = ["ScratchMLPClassifier", "ScratchMLPRegressor", "__version__"]
__version__ = "0.1.0"
