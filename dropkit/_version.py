"""The version, read by the package, its metadata and the book."""

__version__ = "0.1.0"
