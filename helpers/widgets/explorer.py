"""What all explorers have in common: sliders on top, one SVG picture below, redrawn when a slider moves.

The picture is a string in an ``HTML`` widget: no Output widget (it flickers and leaks into stored outputs), and only
what ipywidgets 7.7 (Colab) and 8 share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import ipywidgets as widgets
from IPython.display import display

from helpers.svg import Picture, screen

LABEL = {"description_width": "7.2em"}
VIEW = "application/vnd.jupyter.widget-view+json"
State = Mapping[str, Any] | str | None  # settings by name, the name of a preset, or nothing


class Drawing(widgets.VBox):
    """Rows of controls, and below them one picture.

    ``font_px`` is the size of the text; None: 16, and 24 after ``plotting.projector()``.
    """

    def __init__(self, rows: Sequence[widgets.Widget], *, font_px: int | None) -> None:
        self.font_px = font_px or screen.font_px()
        self.picture = widgets.HTML()
        super().__init__([widgets.HTML(style(self.font_px)), *rows, self.picture])
        self.add_class("cnn-explorer")
        self.add_class(f"cnn-explorer-{self.font_px}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}: {self.svg().alt}"

    def _ipython_display_(self, **_: object) -> None:
        """The widget, and in the same output its picture as it is now: GitHub, web pages and paper show that one."""
        data, metadata = self.svg()._repr_mimebundle_()
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        display({VIEW: view, "text/plain": repr(self), **data}, metadata=metadata, raw=True)

    def svg(self) -> Picture:
        """The picture by itself."""
        raise NotImplementedError

    def redraw(self) -> None:
        self.picture.value = self.svg()


class Explorer(Drawing):
    """A drawing of a state that its controls set: each control by the name of its setting, and ``draw``."""

    _start: Mapping[str, Any] = {}  # the state before anything is chosen

    def __init__(
        self,
        controls: Mapping[str, Any],
        rows: Sequence[widgets.Widget],
        *,
        draw: Callable[..., Picture],
        font_px: int | None,
    ) -> None:
        self.controls, self._draw, self._held = dict(controls), draw, False
        super().__init__(rows, font_px=font_px)
        for name, control in self.controls.items():
            control.observe(partial(self._on_change, name), names="value")

    @property
    def state(self) -> dict[str, Any]:
        """Every setting; pass it to the constructor, or set it, to see the same again."""
        return self._read()

    @state.setter
    def state(self, state: State) -> None:
        with self.held():
            self._load(state)

    def svg(self) -> Picture:
        return self._draw(self.state, font_px=self.font_px)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Several changes, one redraw at the end."""
        self._held = True
        try:
            yield
            self._arrange()
            self.redraw()
        finally:
            self._held = False

    def _on_change(self, name: str, _: object) -> None:
        if not self._held:  # moved by the user, not by one of the methods below
            with self.held():
                self._changed(name)

    def _read(self) -> dict[str, Any]:
        return {name: control.value for name, control in self.controls.items()}

    def _load(self, state: State) -> None:
        """Set the controls; ValueError, before any is moved, for a state that does not exist."""
        for name, value in self._checked(state, self._start).items():
            self.controls[name].value = value

    def _changed(self, name: str) -> None:
        """Control ``name`` was moved by the user: what follows for the others."""

    def _arrange(self) -> None:
        """Set limits and show or hide controls before drawing."""

    def _checked(self, state: State, start: Mapping[str, Any]) -> dict[str, Any]:
        """``start`` with ``state`` over it; ValueError for a setting, or a value of a menu, that is not there."""
        if isinstance(state, str):
            raise ValueError(f"there is no preset {state!r}: pass a dict of settings")
        wanted = {**start, **{name: value for name, value in (state or {}).items() if value is not None}}
        for name, value in wanted.items():
            if name not in self.controls:
                raise ValueError(f"there is no setting {name!r}; there are: {', '.join(self.controls)}")
            allowed = [option for _, option in getattr(self.controls[name], "options", ())]
            if allowed and value not in allowed:
                raise ValueError(f"there is no {name} {value!r}; there are: {', '.join(map(str, allowed))}")
        return wanted


def labelled(label: str) -> dict[str, Any]:
    """The look of a control with its label on the left."""
    layout = widgets.Layout(width="98%", min_width="260px")
    return {"description": label, "style": LABEL, "layout": layout}


def slider(label: str, *, low: int = 0, high: int = 0, readout: bool = True) -> widgets.IntSlider:
    """A labelled slider that reports while it moves."""
    return widgets.IntSlider(value=low, min=low, max=high, readout=readout, **labelled(label))


def choice(label: str, options: Mapping[str, object]) -> widgets.Dropdown:
    """A labelled menu; options by the words that are shown."""
    return widgets.Dropdown(options=list(options.items()), **labelled(label))


def presets(names: Mapping[str, object]) -> widgets.Dropdown:
    """A menu of presets that says that one can choose."""
    return choice("preset", {"choose one …": ""} | {name: name for name in names})


def button(label: str, *, primary: bool = False) -> widgets.Button:
    """A button as wide as its words."""
    layout = widgets.Layout(width="auto")
    return widgets.Button(description=label, button_style="primary" if primary else "", layout=layout)


def columns(*groups: Sequence[widgets.Widget]) -> widgets.HBox:
    """Groups of controls side by side, below each other where the window is narrow."""
    em = "var(--jp-widgets-font-size)"  # so that larger text gets wider columns, and fewer side by side
    layout = widgets.Layout(flex=f"1 1 calc(20.5 * {em})", min_width=f"calc(19 * {em})")
    boxes = [widgets.VBox(list(group), layout=layout) for group in groups]
    return widgets.HBox(boxes, layout=widgets.Layout(flex_flow="row wrap", max_width="1060px"))


def player(control: widgets.IntSlider) -> widgets.Play:
    """Play and stop buttons that move a slider; linked in the browser, so that it runs smoothly."""
    play = widgets.Play(min=control.min, max=control.max, interval=600, show_repeat=False)
    widgets.jslink((play, "value"), (control, "value"))
    return play


def fit(control: widgets.IntSlider, value: int, *, usual: int) -> None:
    """Set a slider to ``value``; its range ends at ``usual`` unless the value needs more."""
    control.max = max(usual, value, control.value)
    control.value = value
    control.max = max(usual, value)


def show(control: widgets.Widget, *, when: bool) -> None:
    """Show or hide a control, without a gap where it was."""
    control.layout.display = None if when else "none"


def style(font_px: int) -> str:
    """Sizes of the controls follow the picture's text; a wide picture shrinks into a narrow window."""
    return (
        f"<style>.cnn-explorer-{font_px} {{--jp-widgets-font-size: {0.88 * font_px:.0f}px; "
        f"--jp-widgets-inline-height: {1.85 * font_px:.0f}px;}} "
        ".cnn-explorer svg {max-width: 100%; height: auto;} "
        ".cnn-explorer td, .cnn-explorer th {padding: 0.1em 0.6em;}</style>"
    )
