"""The drawn stand-in data sets, for a lecture room without a network; the kit brings their images along.

A stand-in has the layout, classes and counts of the real set and a name of its own, so that nobody takes it for the
real one. ``tests/tools/draw_standin`` drew the two files. The sets of four and of five classes share their bikes, cats
and dogs.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from PIL import Image

from helpers.datasets.catalogue import DataSet

if TYPE_CHECKING:
    import numpy as np

IMAGES = Path(__file__).with_name("standin.zip")  # train/<class>/0001.jpg ..., test/..., examples/<class>/0.png ...
DIGITS = Path(__file__).with_name("digits_standin.npz")


def unpack(entry: DataSet, folder: Path) -> Path:
    """Fill ``folder`` with ``train/<class>/0001.jpg ...`` and ``test/...``; digits are PNG. Returns ``folder``.

    Images are RGB, 100 x 100 px; digits grey, 28 x 28 px.
    """
    if entry.name == "digits_standin":
        for split, drawings in digits().items():
            for digit, images in enumerate(drawings):
                place = folder / split / str(digit)
                place.mkdir(parents=True)
                for index, image in enumerate(images, start=1):
                    Image.fromarray(image).save(place / f"{index:04d}.png", compress_level=1)
        return folder
    with zipfile.ZipFile(IMAGES) as archive:
        for name in archive.namelist():
            split, class_name, _ = PurePosixPath(name).parts
            if split != "examples" and class_name in entry.classes:
                archive.extract(name, folder)
    return folder


def digits() -> dict[str, np.ndarray]:
    """The drawn digits by split: uint8 ``(10, N, 28, 28)``, N of each digit, 600 in "train" and 100 in "test"."""
    import numpy as np  # here, so that a notebook's set-up cell does not wait for it

    with np.load(DIGITS) as arrays:
        return dict(arrays)


def draw_picture(class_name: str, rng: np.random.Generator) -> Image.Image:
    """A drawing of bike, cat, dog, flower, horse or person that ``rng`` chooses: RGB, 100 x 100 px.

    Raises:
        ValueError: there is no drawing of ``class_name``.
    """
    with zipfile.ZipFile(IMAGES) as archive:
        examples = [name for name in archive.namelist() if name.startswith("examples/")]
        choice = [name for name in examples if name.split("/")[1] == class_name]
        if not choice:
            classes = sorted({name.split("/")[1] for name in examples})
            raise ValueError(f"The kit has no drawing of {class_name!r}; it has {', '.join(classes)}.")
        return Image.open(io.BytesIO(archive.read(choice[rng.integers(len(choice))]))).convert("RGB")
