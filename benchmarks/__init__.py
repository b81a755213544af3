"""Measures payonce, and its peers beside it, on private servers of this machine."""
