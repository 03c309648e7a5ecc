"""The explorers: convolution arithmetic, receptive fields, volumes. Each redraws one SVG as a slider moves.

Others are loaded when they are asked for: ``KernelExplorer`` (a kernel on an image), ``MapBrowser`` (every map),
``TrainingBoard`` (a network that learns, live), ``NetworkExplorer`` (drawings and tables of layers), ``ZooExplorer``
(published networks) and ``Chooser`` (images that a function of the notebook makes).
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import partial
from typing import Any

import ipywidgets as widgets
import numpy as np

from helpers.conv_math import InvalidSetting
from helpers.svg import conv_setup, field
from helpers.svg.conv import conv_picture
from helpers.svg.conv_setup import ConvSetup, diagnose
from helpers.svg.field import FieldSetup, field_picture
from helpers.svg.volume import VolumeSetup, volume_picture
from helpers.widgets.explorer import (
    Explorer,
    State,
    button,
    choice,
    columns,
    fit,
    labelled,
    player,
    presets,
    show,
    slider,
)

_ELSEWHERE = {
    "KernelExplorer": "kernel", "MapBrowser": "maps", "TrainingBoard": "board",
    "NetworkExplorer": "networks", "ZooExplorer": "networks", "Chooser": "chooser",
}  # fmt: skip

SLIDERS = {  # setting: (label, least, usual most); a preset or a state may go beyond
    "size": ("input size n", 1, 32),
    "kernel_size": ("kernel k", 1, 11),
    "stride": ("stride s", 1, 6),
    "padding": ("padding p", 0, 6),
    "dilation": ("dilation d", 1, 4),
    "in_channels": ("channels in", 1, 16),
    "out_channels": ("filters", 1, 16),
    "groups": ("groups", 1, 16),
}
LAYER = (("kernel k", 1, 11), ("stride s", 1, 4), ("padding p", 0, 6), ("dilation d", 1, 4))  # one more layer


def __getattr__(name: str) -> Any:
    if name in _ELSEWHERE:
        return getattr(importlib.import_module(f"{__name__}.{_ELSEWHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class ConvExplorer(Explorer):
    """One convolution or pooling layer with real numbers, moved by sliders.

    ``state`` is a dict as ``explorer.state`` gives it (any part of it will do), the name of a preset, or None. With
    ``{"brief": True}`` it has only what decides the size: input, kernel, stride and padding.

    >>> ConvExplorer({"stride": 3}).state["stride"]
    3
    """

    def __init__(self, state: State = None, *, font_px: int | None = None) -> None:
        self.preset = presets(conv_setup.PRESETS)
        self.guess = widgets.IntText(description="rows out:", style={"description_width": "5em"})
        self.guess.layout.width = "11em"
        self.check = button("Check", primary=True)
        self.verdict = widgets.HTML()
        self._guessed: int | None = None
        self._brief = False
        controls = _conv_controls()
        self.play = player(controls["step"])
        self._question = widgets.HBox([self.guess, self.check, self.verdict])
        super().__init__(controls, self._rows(controls), draw=conv_picture, font_px=font_px)
        self.preset.observe(self._on_preset, names="value")
        self.check.on_click(self._on_check)
        self.state = state

    def _read(self) -> dict[str, Any]:
        return super()._read() | {"guess": self._guessed, "brief": self._brief}

    def _rows(self, controls: Mapping[str, Any]) -> list[widgets.Widget]:
        menus = [self.preset, *(controls[name] for name in ("kind", "view", "predict"))]
        window = [controls[name] for name in ("size", "kernel_size", "stride", "padding")]
        volume = [controls[name] for name in ("dilation", "in_channels", "out_channels", "groups")]
        self._stepping = widgets.HBox([self.play, controls["step"]], layout=widgets.Layout(max_width="706px"))
        looking = columns([controls["channel"]], [controls["filter"]])
        return [columns(menus, window, volume), self._stepping, looking, self._question]

    def _load(self, state: State) -> None:
        setup = ConvSetup.of(state)
        self.preset.value = state if isinstance(state, str) else self.preset.value
        self._guessed, self._brief = setup.guess, setup.brief
        self.verdict.value = ""
        for name, control in self.controls.items():
            value = getattr(setup, name)
            if isinstance(control, widgets.IntSlider):
                fit(control, value, usual=SLIDERS[name][2] if name in SLIDERS else control.min)
            else:
                control.value = value

    def _on_preset(self, change: Mapping[str, Any]) -> None:
        if change["new"] and not self._held:
            keep = {name: self.state[name] for name in ("predict", "view", "brief")}
            self.state = conv_setup.PRESETS[change["new"]] | keep

    def _changed(self, name: str) -> None:
        if name in SLIDERS or name in ("kind", "predict"):
            self._guessed, self.verdict.value = None, ""  # another question
            self.preset.value = ""
        if name == "view":
            self.controls["step"].value = 0

    def _on_check(self, _: object) -> None:
        with self.held():
            setup = ConvSetup.of(self.state)
            try:
                right = setup.output_size() == self.guess.value
                words = diagnose(setup, self.guess.value)
            except InvalidSetting as error:
                right, words = False, f"There is no output: {error}."
            self._guessed = self.guess.value
            self.verdict.value = f"<b>{'✓' if right else '✗'}</b> {words}"

    def _arrange(self) -> None:
        setup, controls = ConvSetup.of(self.state), self.controls
        try:
            steps, hidden = setup.steps(), setup.hidden
        except InvalidSetting:
            steps, hidden = 1, False
        conv = not setup.pooling
        for name, count in (("step", steps), ("channel", setup.depth), ("filter", setup.filters)):
            controls[name].max = max(0, count - 1)
        self.play.max = steps - 1
        controls["step"].description = "position" if setup.view == "output" else "input pixel"
        controls["filter"].description = "show filter" if conv else "show channel"
        for control in (self.preset, *(controls[name] for name in ("kind", "dilation", "in_channels"))):
            show(control, when=not setup.brief)
        for name in ("out_channels", "groups"):
            show(controls[name], when=conv and not setup.brief)
        show(controls["channel"], when=setup.depth > 1 and not setup.strip)
        show(controls["filter"], when=setup.filters > 1 and not setup.strip)
        show(self._question, when=setup.predict)
        show(self._stepping, when=not hidden)  # the number of steps would give the answer away


def _setting(name: str) -> widgets.IntSlider:
    label, low, high = SLIDERS[name]
    return slider(label, low=low, high=high)


def _conv_controls() -> dict[str, Any]:
    kinds = {words: kind for kind, words in conv_setup.KINDS.items()}
    views = {words: view for view, words in conv_setup.VIEWS.items()}
    controls: dict[str, Any] = {"kind": choice("layer", kinds), "view": choice("look at", views)}
    controls |= {name: _setting(name) for name in SLIDERS}
    for name in ("step", "channel", "filter"):
        controls[name] = slider(f"show {name}", readout=False)  # the picture says it, counting from 1
    controls["predict"] = widgets.Checkbox(**labelled("predict first"))
    return controls


class ReceptiveFieldExplorer(Explorer):
    """A stack of layers to build, and what one unit on top of it sees in the input.

    ``state`` is a dict as ``explorer.state`` gives it, the name of a preset, or None for three 3 × 3 layers.
    """

    def __init__(self, state: State = None, *, font_px: int | None = None) -> None:
        self.preset = presets(field.PRESETS)
        self.add = button("Add layer on top", primary=True)
        self.remove = button("Remove top layer")
        self.layer = [slider(label, low=low, high=high) for label, low, high in LAYER]
        self.layer[0].value = 3
        self._layers: list[tuple[int | str, ...]] = []
        controls = {
            "size": _setting("size"),
            "shown": slider("layers shown"),
            "cell": slider("unit on top", readout=False),
        }
        self.play = player(controls["shown"])
        buttons = widgets.HBox([self.add, self.remove])
        growing = widgets.HBox([self.play, controls["shown"]])
        rows = [columns([self.preset, controls["size"], growing, controls["cell"]], self.layer), buttons]
        super().__init__(controls, rows, draw=field_picture, font_px=font_px)
        self.preset.observe(self._on_preset, names="value")
        self.add.on_click(self._on_add)
        self.remove.on_click(self._on_remove)
        self.state = state

    def _read(self) -> dict[str, Any]:
        return super()._read() | {"layers": [list(layer) for layer in self._layers]}

    def _load(self, state: State) -> None:
        setup = FieldSetup.of(state)
        self.preset.value = state if isinstance(state, str) else self.preset.value
        self._layers = list(setup.layers)
        fit(self.controls["size"], setup.size, usual=SLIDERS["size"][2])
        fit(self.controls["shown"], setup.depth, usual=len(setup.layers))
        self._look_at(setup.cell)

    def _look_at(self, cell: int | None) -> None:
        """Point the cell slider at a cell of the topmost layer shown; None for the one in the middle."""
        try:
            fit(self.controls["cell"], FieldSetup.of(self.state | {"cell": cell}).chosen, usual=0)
        except InvalidSetting:
            fit(self.controls["cell"], 0, usual=0)

    def _on_preset(self, change: Mapping[str, Any]) -> None:
        if change["new"] and not self._held:
            self.state = field.PRESETS[change["new"]]

    def _on_add(self, _: object) -> None:
        kernel_size, stride, padding, dilation = (control.value for control in self.layer)
        self._build([*self._layers, (kernel_size, stride, padding, dilation)])

    def _on_remove(self, _: object) -> None:
        self._build(self._layers[:-1])

    def _build(self, layers: list[tuple[int | str, ...]]) -> None:
        self.preset.value = ""
        self.state = {"size": self.controls["size"].value, "layers": layers}

    def _changed(self, name: str) -> None:
        if name != "cell":
            self._look_at(None)

    def _arrange(self) -> None:
        try:
            cells = FieldSetup.of(self.state).sizes[-1]
        except InvalidSetting:
            cells = 1
        self.controls["cell"].max = cells - 1
        self.controls["shown"].max = self.play.max = len(self._layers)
        self.remove.disabled = not self._layers


class VolumeView(Explorer):
    """Input block, filter block through the full depth and stacked activation maps, with their sizes.

    ``state`` is a dict as ``explorer.state`` gives it, or None for the lecture's 3 × 32 × 32 and six 5 × 5 filters.
    ``photo`` ``(H, W, 3)`` in 0..1 is drawn on the input.
    """

    def __init__(self, state: State = None, *, photo: np.ndarray | None = None, font_px: int | None = None) -> None:
        draw = partial(volume_picture, photo=photo)
        names = ("in_channels", "size", "out_channels", "kernel_size", "stride", "padding")
        controls = {name: _setting(name) for name in names}
        ordered = list(controls.values())
        super().__init__(controls, [columns(ordered[:3], ordered[3:])], draw=draw, font_px=font_px)
        self.state = state

    def _load(self, state: State) -> None:
        setup = VolumeSetup.of(state)
        for name, control in self.controls.items():
            fit(control, getattr(setup, name), usual=SLIDERS[name][2])
