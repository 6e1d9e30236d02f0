"""onnx."""

from .convert import input_feed, register, to_onnx

__all__ = ["input_feed", "register", "to_onnx"]
