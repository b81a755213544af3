"""payonce demo: the main job, watched and then checked."""

from payonce.cli.demo.director import execute

__all__ = ["execute"]
