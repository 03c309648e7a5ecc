"""A question of the exercises as a form: boxes to fill in instead of a call to edit. ``exercises.widget`` makes it."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import TYPE_CHECKING

import ipywidgets as widgets

from helpers.svg import screen
from helpers.widgets import explorer

if TYPE_CHECKING:
    from helpers.exercises import Exercise


class Form(widgets.VBox):
    """A box for each field of the question (a menu where it takes words), three buttons, and their feedback."""

    def __init__(self, exercise: Exercise) -> None:
        question, font_px = exercise.question, screen.font_px()
        self.question, self.feedback = question, widgets.HTML()
        self.boxes: dict[str, widgets.Widget] = {}
        for field, right in question.answer.items():
            words = ("True", "False") if isinstance(right, bool) else question.options(field)
            look = {"description": field, "style": explorer.LABEL}
            self.boxes[field] = widgets.Dropdown(options=["", *words], **look) if words else widgets.Text(**look)
        self.buttons = {
            "Check": self._button("Check", lambda: exercise.checked(self.filled_in()), primary=True),
            "Hint": self._button("Hint", exercise.hinted),
            "Solution": self._button("Solution", exercise.solved),
        }
        asked = widgets.HTML(_as_html(f"{question.id}: {question.text}"))
        rows = [widgets.HTML(explorer.style(font_px)), asked, *self.boxes.values()]
        super().__init__([*rows, widgets.HBox(list(self.buttons.values())), self.feedback])
        self.add_class("cnn-form")
        self.add_class(f"cnn-explorer-{font_px}")

    def __repr__(self) -> str:
        return f"Form: question {self.question.id}, with boxes to fill in"  # what GitHub shows

    def filled_in(self) -> dict[str, str]:
        """What stands in the boxes, by field."""
        return {field: box.value for field, box in self.boxes.items()}

    def _button(self, label: str, text: Callable[[], str], *, primary: bool = False) -> widgets.Button:
        made = explorer.button(label, primary=primary)
        made.on_click(lambda _: setattr(self.feedback, "value", _as_html(text())))
        return made


def _as_html(text: str) -> str:
    look = "white-space: pre-wrap; line-height: 1.4; font-size: var(--jp-widgets-font-size)"
    return f'<div style="{look}">{html.escape(text)}</div>'
