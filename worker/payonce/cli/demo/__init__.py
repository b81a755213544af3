"""payonce demo: the main job, watched and then checked."""

from payonce.cli.demo.program import execute

__all__ = ["execute"]
