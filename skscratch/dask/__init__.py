"""dask."""

from .estimators import DaskScratchMLPClassifier, DaskScratchMLPRegressor

__all__ = ["DaskScratchMLPClassifier", "DaskScratchMLPRegressor"]
