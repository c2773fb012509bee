"""Headway makes a web service keep its performance promises."""

__version__ = "0.1.0"
