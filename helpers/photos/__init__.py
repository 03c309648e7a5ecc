"""Photographs by name, free to use, for every place in the course where one image is looked at.

scikit-image and matplotlib ship most of them, so that they are there without a network; the others come by address and
SHA-256. The catalogue with everybody's rights lies beside this file, in ``catalogue.toml``.
"""

from __future__ import annotations

import base64
import difflib
import importlib.util
import io
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from helpers import machine, pictures


class Photo(NamedTuple):
    """One entry of the catalogue, ``catalogue.toml``."""

    shows: str
    credit: str  # who took it and what allows its use
    size: tuple[int, int]  # (width, height) in px
    box: tuple[int, int, int, int]  # of what it shows: (left, top, right, bottom) in px
    answers: frozenset[str] = frozenset()  # names of ImageNet classes that are right; empty where there is none for it
    file: str = ""  # "package/path in it" of an installed package
    url: str = ""
    sha256: str = ""


def _entry(size: list[int], box: list[int], answers: Iterable[str] = (), **others: str) -> Photo:
    left, top, right, bottom = box
    return Photo(size=(size[0], size[1]), box=(left, top, right, bottom), answers=frozenset(answers), **others)


CATALOGUE = {
    name: _entry(**entry)
    for name, entry in tomllib.loads(Path(__file__).with_name("catalogue.toml").read_text(encoding="utf-8")).items()
}


def names(*, here: bool = False) -> list[str]:
    """The names that ``load`` knows; with ``here`` only those of photos that are on this machine already."""
    return [name for name in CATALOGUE if not here or _on_this_machine(name)]


def load(photo: str | Path) -> Image.Image:
    """A photo of the catalogue by its name, or an own file by its path, as an upright PIL image of mode "RGB".

    An own file may be grey, CMYK, transparent or turned by EXIF (see ``pictures.open_rgb``); on Colab
    ``photos.load(drive.upload())`` asks for one. Raises ValueError with the names there are for an unknown name,
    OSError where the network is needed and not there, PictureError for a file that is no picture.
    """
    if photo in CATALOGUE:
        return pictures.open_rgb(_fetched(str(photo)))
    if isinstance(photo, Path) or Path(photo).suffix or Path(photo).exists():
        return pictures.open_rgb(Path(photo).expanduser())
    close = difflib.get_close_matches(photo, CATALOGUE, n=1)
    raise ValueError(
        f"There is no photo {photo!r}{f'; did you mean {close[0]!r}?' if close else '.'} There are "
        f'{", ".join(CATALOGUE)}. For a photo of your own write its path, such as "my_cat.jpg".'
    )


def credit(name: str) -> str:
    """Who took the photo and what allows its use: the line to print below it."""
    return f"{name}: {CATALOGUE[name].credit}"


def show(*photos: str | Path) -> None:
    """Display photos side by side, each with its name, size and credit line; without arguments all on this machine."""
    from IPython.display import display  # these here, so that a list of names does not wait for them
    from matplotlib.figure import Figure

    chosen = [str(photo) for photo in photos or names(here=True)]
    columns, rows = min(len(chosen), 4), -(-len(chosen) // 4)
    width, height = 3.4 * columns, 3.1 * rows  # inches
    figure = Figure(figsize=(width, height), layout="constrained")
    for place, photo in enumerate(chosen, 1):
        image, axis = load(photo), figure.add_subplot(rows, columns, place)
        axis.imshow(image)
        axis.set_title(f"{Path(photo).stem}, {image.width} x {image.height} px", fontsize=11)
        axis.set_xlabel(CATALOGUE[photo].credit if photo in CATALOGUE else "", fontsize=8)
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    full, content = io.BytesIO(), io.BytesIO()
    figure.savefig(full, format="png", dpi=150)
    drawn = Image.open(full).convert("RGB")
    drawn.quantize(palette=drawn.quantize(256)).save(content, "png", optimize=True)  # a quarter of the bytes
    alt = "; ".join(f"{each}: {CATALOGUE[each].shows}" if each in CATALOGUE else Path(each).stem for each in chosen)
    about = {"alt": f"Photos. {alt}.", "width": round(100 * width), "height": round(100 * height)}
    data = {"image/png": base64.b64encode(content.getvalue()).decode(), "text/plain": about["alt"]}
    display(data, raw=True, metadata={"image/png": about})


def _on_this_machine(name: str) -> Path | None:
    """The file of a photo, where an installed package ships it or it was downloaded before."""
    package, _, inside = CATALOGUE[name].file.partition("/")
    spec = importlib.util.find_spec(package) if package else None
    places = [Path(folder, inside) for folder in (spec and spec.submodule_search_locations) or ()]
    return next((path for path in (*places, machine.home() / "photos" / f"{name}.jpg") if path.is_file()), None)


def _fetched(name: str) -> Path:
    if path := _on_this_machine(name):
        return path
    photo, reason = CATALOGUE[name], machine.no_network()
    if not photo.url:
        reason = f"the package that ships it, {photo.file.partition('/')[0]}, is not installed"
    elif not machine.offline():
        import pooch  # here: it takes long to import, and most photos need no network

        try:  # pooch compares the SHA-256 before the file gets its name
            folder = machine.home() / "photos"
            return Path(pooch.retrieve(photo.url, f"sha256:{photo.sha256}", fname=f"{name}.jpg", path=folder))
        except OSError as error:  # requests' errors are
            reason = f"it did not come ({type(error).__name__})"
        except ValueError:  # another SHA-256
            reason = "its address gave another file"
    there = ", ".join(names(here=True))
    raise OSError(f"The photo {name!r} is not on this machine, and {reason}. Without a network there are: {there}.")
