"""The embedded sample set: a seeded generator that draws both domains; nothing is downloaded."""

from data.samples.painter import paint
from data.samples.scenes import draw_scene

__all__ = ["draw_scene", "paint"]
