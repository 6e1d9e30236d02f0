"""Plots of fitted estimators with matplotlib.

A fitted estimator comes in; a display goes out, as scikit-learn's displays are: an object with the plotted values, the
axes and the figure.  Read `loss_curve` (losses by epoch), `importances` (of the columns of X) and `network` (layers,
units and weights); `canvas` lays out columns of units and texts so that nothing overlaps.
"""

from .importances import FeatureImportanceDisplay
from .loss_curve import LossCurveDisplay
from .network import NetworkDisplay

__all__ = ["FeatureImportanceDisplay", "LossCurveDisplay", "NetworkDisplay"]
