"""The kernel explorer: choose a kernel or write one, and see what it makes of an image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ipywidgets as widgets
import numpy as np

from helpers.svg import Picture
from helpers.svg.kernel import KERNELS, kernel_picture
from helpers.widgets.explorer import Explorer, State, choice, columns, slider

OWN = "your own"
WEIGHTS = tuple(f"w{row}{column}" for row in (1, 2, 3) for column in (1, 2, 3))  # w11 is top left


class KernelExplorer(Explorer):
    """A 3 × 3 kernel on one of the ``images``: by name, grey, ``(H, W)`` in 0..1.

    ``state`` is a dict as ``explorer.state`` gives it (any part of it will do): "image", "kernel" (a name out of
    ``KERNELS``, or "your own" with the weights "w11" to "w33" and "divisor"), "row", "column", "relu".
    """

    def __init__(self, images: Mapping[str, np.ndarray], state: State = None, *, font_px: int | None = None) -> None:
        self._images = {name: (255 * np.asarray(image)).round().astype(np.uint8) for name, image in images.items()}
        small = widgets.Layout(width="4.6em")
        boxes = {name: widgets.IntText(layout=small) for name in WEIGHTS}
        controls = {
            "image": choice("image", {name: name for name in images}),
            "kernel": choice("kernel", {name: name for name in (*KERNELS, OWN)}),
            "row": slider("row"),
            "column": slider("column"),
            "relu": widgets.Checkbox(description="then ReLU", indent=False),
            "divisor": widgets.BoundedIntText(value=1, min=1, max=100, layout=small),
        }
        grid = [widgets.HBox([boxes[name] for name in WEIGHTS[row : row + 3]]) for row in (0, 3, 6)]
        last = widgets.HBox([widgets.Label("divided by"), controls["divisor"], controls["relu"]])
        menus = [controls[name] for name in ("image", "kernel", "row", "column")]
        super().__init__(controls | boxes, [columns(menus, [*grid, last])], draw=self._drawn, font_px=font_px)
        self.state = state

    def _load(self, state: State) -> None:
        wanted = self._checked(state, {"image": next(iter(self._images)), "kernel": "Sobel x"})
        wanted = _weights(wanted["kernel"]) | wanted
        height, width = self._images[wanted["image"]].shape
        self.controls["image"].value = wanted["image"]
        self._arrange()  # the range of the sliders
        for name, value in ({"row": (height - 3) // 2, "column": (width - 3) // 2} | wanted).items():
            self.controls[name].value = value

    def _changed(self, name: str) -> None:
        if name == "kernel":
            for weight, value in _weights(self.controls["kernel"].value).items():
                self.controls[weight].value = value
        elif name in (*WEIGHTS, "divisor"):
            self.controls["kernel"].value = OWN

    def _arrange(self) -> None:
        for name, length in zip(("row", "column"), self._images[self.controls["image"].value].shape, strict=True):
            self.controls[name].max = length - 3

    def _drawn(self, state: Mapping[str, Any], *, font_px: int) -> Picture:
        weights = np.array([state[name] for name in WEIGHTS]).reshape(3, 3)
        return kernel_picture(
            self._images[state["image"]], weights, divisor=state["divisor"], at=(state["row"], state["column"]),
            relu=state["relu"], title=f"{state['image']}: {state['kernel']}", font_px=font_px,
        )  # fmt: skip


def _weights(kernel: str) -> dict[str, int]:
    """The settings that a kernel of the menu stands for; none for one's own."""
    weights, divisor = KERNELS.get(kernel, ((), None))
    return dict(zip(WEIGHTS, weights, strict=False)) | ({"divisor": divisor} if divisor else {})
