"""The version, written once: the package, its metadata and its files take it from here."""

__all__ = ["VERSION"]

VERSION = "0.1.0"
