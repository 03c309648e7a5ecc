"""Stands in for ``google.colab`` in the replica: the same names and signatures, and nobody who could click."""

from google.colab import drive, files, output, userdata

__all__ = ["drive", "files", "output", "userdata"]
