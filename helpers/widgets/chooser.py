"""Menus and sliders over images that a function of the notebook makes, where others take ``interact``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import ipywidgets as widgets
import numpy as np

from helpers import svg
from helpers.svg.board import Tile, tiles
from helpers.widgets.explorer import Explorer, State, choice, columns, labelled

MOST_BARS = 3


class Chooser(Explorer):
    """``Chooser(draw, photo=["cat", "cup"], strength=[0, 0.5, 1])``: the images that ``draw`` makes of what is chosen.

    Words become a menu, numbers a slider. ``draw(photo="cat", strength=0)`` returns images ``(H, W, 3)`` in 0..1 by
    their captions, or in place of an image a pair: the image, and probabilities by class, drawn as bars. Or it returns
    the whole picture, made by a function of ``svg``.
    """

    def __init__(
        self, draw: Callable[..., Mapping[str, Any] | svg.Picture], *, title: str = "", per_row: int = 4,
        state: State = None, font_px: int | None = None, **choices: Sequence[Any],
    ) -> None:  # fmt: skip
        self._title, self._per_row = title, per_row
        self._made = lru_cache(maxsize=64)(draw)
        controls = {name: _control(name.replace("_", " "), options) for name, options in choices.items()}
        rows = [columns(*([control] for control in controls.values()))]
        super().__init__(controls, rows, draw=self._drawn, font_px=font_px)
        self.state = state

    def _drawn(self, state: Mapping[str, Any], *, font_px: int) -> svg.Picture:
        made, sheet = self._made(**state), svg.Sheet(font_px)
        if isinstance(made, svg.Picture):
            return made
        content = [_tile(*item) for item in made.items()]
        chosen = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in state.items())
        sheet.text(sheet.left, 1.8 * font_px, self._title, bold=True)
        sheet.y = 2.8 * font_px
        tiles(sheet, content, columns=self._per_row)
        alt = f"{self._title}, {chosen}: {'; '.join(tile.alt for tile in content)}."
        return sheet.picture(title=self._title, alt=alt, height=sheet.y)


def _control(label: str, options: Sequence[Any]) -> widgets.Widget:
    if all(isinstance(option, str) for option in options):
        return choice(label, {option: option for option in options})
    return widgets.SelectionSlider(options=[(f"{option:g}", option) for option in options], **labelled(label))


def _tile(words: str, made: Any) -> Tile:
    image, shares = made if isinstance(made, tuple) else (made, {})
    bars = sorted(((name, float(share)) for name, share in shares.items()), key=lambda bar: -bar[1])[:MOST_BARS]
    return Tile((255 * np.asarray(image).clip(0, 1) + 0.5).astype(np.uint8), words, tuple(bars))
