"""Networks to look through: choose one, see its drawing and its table of layers; choose a second one to compare."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import ipywidgets as widgets
import torch

from helpers import dissect, models
from helpers.dissect import Dissection
from helpers.svg import Picture
from helpers.svg.network import network_picture
from helpers.widgets.explorer import Explorer, choice, columns

NAMES = ("alexnet", "vgg16", "googlenet", "resnet18", "resnet50", "mobilenet_v2", "efficientnet_b0", "densenet121")
SIZES = (96, 128, 224, 320)  # px
NOTHING = ""


class NetworkExplorer(Explorer):
    """The drawing of a network of ``names`` (as ``models.load`` knows them) and, under it, the table of its layers.

    With a second network, its drawing and the two side by side. ``state`` is a dict as ``explorer.state`` gives it (any
    part of it will do), or None. ``explorer.svg()`` is the drawing of the first network alone.

    Raises:
        ValueError: no network of such a name, or a state with a setting or a value that does not exist.
    """

    def __init__(
        self, names: Sequence[str] = NAMES, state: Mapping[str, object] | None = None, *, font_px: int | None = None
    ) -> None:
        named = {name: name for name in names}
        controls: dict[str, widgets.Widget] = {
            "network": choice("network", named),
            "size": choice("pictures", {f"{size} x {size} px": size for size in SIZES}),
            "other": choice("compare with", {"nothing": NOTHING} | named),
        }
        self.second = widgets.HTML()
        self.table = widgets.HTML(layout=widgets.Layout(max_height="28em", max_width="1060px", overflow="auto"))
        rows = [columns([controls["network"], controls["size"]], [controls["other"]])]
        super().__init__(controls, rows, draw=_drawing, font_px=font_px)
        self.children = (*self.children, self.second, self.table)
        self.state = state

    def _load(self, state: Mapping[str, object] | None) -> None:
        start = {"network": self.controls["network"].options[0][1], "size": 224, "other": NOTHING}
        for name, value in (start | dict(state or {})).items():
            if name not in self.controls:
                raise ValueError(f"There is no setting {name!r}, only {', '.join(self.controls)}.")
            allowed = [option for _, option in self.controls[name].options]
            if value not in allowed:
                raise ValueError(f"{name}={value!r} is not known here: choose one of {', '.join(map(repr, allowed))}.")
            self.controls[name].value = value

    def _arrange(self) -> None:
        first, size, other = (self.controls[name].value for name in ("network", "size", "other"))
        shown = dissected(first, size)
        if other == NOTHING:
            self.second.value, self.table.value = "", shown._repr_html_()
        else:
            second = dissected(other, size)
            self.second.value = network_picture(second, font_px=self.font_px)
            self.table.value = dissect.compare(shown, second)._repr_html_()


@functools.lru_cache(maxsize=64)
def dissected(name: str, size: int) -> Dissection:
    """The network ``name`` on pictures of ``size`` px, by shapes alone: no weight is allocated."""
    with torch.device("meta"):
        return dissect.layers(models.load(name, pretrained=False), size)


def _drawing(state: Mapping[str, object], *, font_px: int) -> Picture:
    return network_picture(dissected(state["network"], state["size"]), font_px=font_px)
