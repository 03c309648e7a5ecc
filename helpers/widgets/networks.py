"""Networks to look through: one by one or two side by side, and a whole zoo of them by accuracy, compute and size."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets as widgets
import torch

from helpers import dissect, models
from helpers.dissect import Dissection
from helpers.svg import Picture
from helpers.svg.network import network_picture
from helpers.svg.zoo import NO_FAMILY, Entry, families, zoo_picture
from helpers.widgets.explorer import Explorer, State, choice, columns, labelled

NAMES = ("alexnet", "vgg16", "googlenet", "resnet18", "resnet50", "mobilenet_v2", "efficientnet_b0", "densenet121")
SIZES = (96, 128, 224, 320)  # px
NOTHING = ""
START = {"axis": "macs", "weights": "first", "family": "resnet", "frontier": True}  # of the zoo


class NetworkExplorer(Explorer):
    """The drawing of a network of ``names`` (as ``models.load`` knows them) and, under it, the table of its layers.

    With a second network, its drawing and the two side by side. ``state`` is a dict as ``explorer.state`` gives it (any
    part of it will do), or None. ``explorer.svg()`` is the drawing of the first network alone.

    Raises:
        ValueError: no network of such a name, or a state with a setting or a value that does not exist.
    """

    def __init__(self, names: Sequence[str] = NAMES, state: State = None, *, font_px: int | None = None) -> None:
        named = {name: name for name in names}
        controls = {
            "network": choice("network", named),
            "size": choice("images", {f"{size} x {size} px": size for size in SIZES}),
            "other": choice("compare with", {"nothing": NOTHING} | named),
        }
        self.second = widgets.HTML()
        self.table = widgets.HTML(layout=widgets.Layout(max_height="28em", max_width="1060px", overflow="auto"))
        rows = [columns([controls["network"], controls["size"]], [controls["other"]])]
        super().__init__(controls, rows, draw=_drawing, font_px=font_px)
        self._start = {"network": names[0], "size": 224, "other": NOTHING}
        self.children: tuple[widgets.Widget, ...] = (*self.children, self.second, self.table)
        self.state = state

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


def _drawing(state: Mapping[str, Any], *, font_px: int) -> Picture:
    return network_picture(dissected(state["network"], state["size"]), font_px=font_px)


class ZooExplorer(Explorer):
    """Accuracy against MACs or parameters for the ``entries``, of which a family is marked.

    ``state`` is a dict as ``explorer.state`` gives it (any part of it will do), or None. ``state["weights"]`` is
    "first" (each network's first weights among the entries) or "all".

    Raises:
        ValueError: no entries, or a state with a setting or a value that does not exist.
    """

    _start = START

    def __init__(self, entries: Sequence[Entry], state: State = None, *, font_px: int | None = None) -> None:
        firsts = {entry.name: entry for entry in reversed(entries)}  # of each network the one that comes first
        self.entries = {"all": list(entries), "first": [e for e in entries if firsts[e.name] is e]}
        controls = {
            "axis": choice("across", {"compute (MACs)": "macs", "parameters": "params"}),
            "weights": choice("weights", {"the first published": "first", "all published": "all"}),
            "family": choice("mark", {"no family": NO_FAMILY} | {name: name for name in families(entries)}),
            "frontier": widgets.Checkbox(**labelled("join the best")),
        }
        left, right = [controls["axis"], controls["weights"]], [controls["family"], controls["frontier"]]
        super().__init__(controls, [columns(left, right)], draw=self._picture, font_px=font_px)
        self.state = state

    def _picture(self, state: Mapping[str, Any], *, font_px: int) -> Picture:
        return zoo_picture(self.entries[state["weights"]], state, font_px=font_px)
