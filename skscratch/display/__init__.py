"""display."""

from .loss_curve import LossCurveDisplay
from .network import NetworkDisplay

__all__ = ["LossCurveDisplay", "NetworkDisplay"]
