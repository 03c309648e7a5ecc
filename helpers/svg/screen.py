"""How large figures and explorers are drawn: for a desk, or for the back row of a lecture room."""

from __future__ import annotations

FONT_PX = 16  # text of an explorer at a desk
LARGER = 1.5
_scale = 1.0


def projector(on: bool = True) -> None:
    """From now on figures are shown 1.5 times as large, with their text and lines, and new explorers too.

    In the running kernel only; ``projector(False)`` goes back.
    """
    global _scale
    _scale = LARGER if on else 1.0


def scale() -> float:
    """How many times as large as at a desk: 1.0 or 1.5."""
    return _scale


def font_px() -> int:
    """The size of the text that an explorer begins with."""
    return round(FONT_PX * _scale)
