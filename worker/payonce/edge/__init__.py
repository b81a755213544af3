"""The edge: HTTP for health, metrics and, later, everybody outside."""

from payonce.edge.server import Edge

__all__ = ["Edge"]
