"""estimators."""

from .classifier import ScratchMLPClassifier
from .regressor import ScratchMLPRegressor

__all__ = ["ScratchMLPClassifier", "ScratchMLPRegressor"]
