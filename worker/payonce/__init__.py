"""payonce: an order is paid exactly once, and a paid order never looks unpaid."""

__version__ = "0.1.0"
