"""The model zoo to look around in: choose the axis, the weights, and the family to mark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import ipywidgets as widgets

from helpers.svg import Picture
from helpers.svg.zoo import NO_FAMILY, Entry, families, zoo_picture
from helpers.widgets.explorer import LABEL, Explorer, choice, columns

START = {"axis": "macs", "weights": "first", "family": "resnet", "frontier": True}


class ZooExplorer(Explorer):
    """Accuracy against work or parameters for the ``entries``, of which a family is marked.

    ``state`` is a dict as ``explorer.state`` gives it (any part of it will do), or None. ``state["weights"]`` is
    "first" (each network's first weights among the entries) or "all".

    Raises:
        ValueError: no entries, or a state with a setting or a value that does not exist.
    """

    def __init__(
        self, entries: Sequence[Entry], state: Mapping[str, object] | None = None, *, font_px: int | None = None
    ) -> None:
        self.entries = {"all": list(entries), "first": _first(entries)}
        marked = {"no family": NO_FAMILY} | {name: name for name in families(entries)}
        controls: dict[str, widgets.Widget] = {
            "axis": choice("across", {"work (MACs)": "macs", "parameters": "params"}),
            "weights": choice("weights", {"the first published": "first", "all published": "all"}),
            "family": choice("mark", marked),
            "frontier": widgets.Checkbox(description="join the best", style=LABEL),
        }
        left, right = [controls["axis"], controls["weights"]], [controls["family"], controls["frontier"]]
        super().__init__(controls, [columns(left, right)], draw=self._picture, font_px=font_px)
        self.state = state

    def _picture(self, state: Mapping[str, object], *, font_px: int) -> Picture:
        return zoo_picture(self.entries[state["weights"]], state, font_px=font_px)

    def _load(self, state: Mapping[str, object] | None) -> None:
        wanted = START | dict(state or {})
        for name, value in wanted.items():
            allowed = self._allowed(name)
            if value not in allowed:
                raise ValueError(f"{name}={value!r} is not known here: choose one of {', '.join(map(repr, allowed))}.")
            self.controls[name].value = value

    def _allowed(self, name: str) -> list[object]:
        if name not in self.controls:
            raise ValueError(f"There is no setting {name!r}, only {', '.join(self.controls)}.")
        control = self.controls[name]
        return [value for _, value in control.options] if isinstance(control, widgets.Dropdown) else [True, False]


def _first(entries: Sequence[Entry]) -> list[Entry]:
    """Of each network the entry that comes first."""
    firsts: dict[str, Entry] = {}
    for entry in entries:
        firsts.setdefault(entry.name, entry)
    return list(firsts.values())
