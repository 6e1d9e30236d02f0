"""encoding."""

from .features import FeatureEncoder

__all__ = ["FeatureEncoder"]
