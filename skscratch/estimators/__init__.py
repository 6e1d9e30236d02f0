"""estimators."""

from .estimators import ScratchMLPClassifier, ScratchMLPRegressor

__all__ = ["ScratchMLPClassifier", "ScratchMLPRegressor"]
