"""gan-hd: translate HD pictures between two unpaired domains, without a visible tile.

The package imports nothing heavy by itself; see docs/overview.md for the map of its modules.
"""

__version__ = "0.1.0"
__all__ = ["__version__"]
