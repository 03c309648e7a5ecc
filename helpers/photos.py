"""Photographs by name, free to use, for every place in the course where one image is looked at.

scikit-image and matplotlib ship most of them, so that they are there without a network; the others come by address and
SHA-256. Rights as the packages state them: skimage.data's docstrings, scikit-learn's datasets/images/README.txt,
matplotlib's pull request 1599, darknet's LICENSE ("Darknet is public domain").
"""

from __future__ import annotations

import base64
import difflib
import importlib.util
import io
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from helpers import machine, pictures

_SKLEARN = "https://raw.githubusercontent.com/scikit-learn/scikit-learn/1.5.0/sklearn/datasets/images"
_DARKNET = "https://raw.githubusercontent.com/pjreddie/darknet/master/data"


class Photo(NamedTuple):
    """One entry of the catalogue."""

    shows: str
    credit: str  # who took it and what allows its use
    size: tuple[int, int]  # (width, height) in px
    box: tuple[int, int, int, int]  # of what it shows: (left, top, right, bottom) in px
    answers: frozenset[str]  # names of ImageNet classes that are right; empty where ImageNet has none for it
    file: str  # "package/path in it" of an installed package
    url: str = ""
    sha256: str = ""


CATALOGUE = {
    "cat": Photo(
        "a tabby cat's face", "Stefan van der Walt, CC0 (scikit-image)", (451, 300), (0, 0, 365, 300),
        frozenset({"tabby", "tiger cat", "Egyptian cat"}), "skimage/data/chelsea.png",
    ),
    "coffee": Photo(
        "a cup of espresso on a table", "Rachel Michetti, CC0 (scikit-image)", (600, 400), (168, 14, 420, 300),
        frozenset({"espresso", "cup", "coffee mug"}), "skimage/data/coffee.png",
    ),
    "rocket": Photo(
        "a Falcon 9 before its start", "SpaceX, public domain (scikit-image)", (640, 427), (298, 125, 348, 414),
        frozenset({"missile", "projectile"}), "skimage/data/rocket.jpg",
    ),
    "astronaut": Photo(
        "Eileen Collins in her space suit", "NASA, public domain (scikit-image)", (512, 512), (20, 14, 368, 512),
        frozenset(), "skimage/data/astronaut.png",
    ),
    "grace_hopper": Photo(
        "Grace Hopper in uniform", "US Navy, public domain (matplotlib)", (512, 600), (0, 20, 512, 600),
        frozenset({"military uniform"}), "matplotlib/mpl-data/sample_data/grace_hopper.jpg",
    ),
    "photographer": Photo(
        "a man behind a camera, in grey", "Lav Varshney, CC0 (scikit-image)", (512, 512), (0, 60, 400, 512),
        frozenset({"tripod"}), "skimage/data/camera.png",
    ),
    "galaxies": Photo(
        "the deep field of the Hubble telescope", "NASA, public domain (scikit-image)", (1000, 872), (0, 0, 1000, 872),
        frozenset(), "skimage/data/hubble_deep_field.jpg",
    ),
    "dog": Photo(
        "a dog on a porch, with a bicycle and a car", "photographer not named, public domain (darknet)", (768, 576),
        (125, 215, 320, 545), frozenset({"malamute", "Eskimo dog", "Siberian husky"}), "",
        f"{_DARKNET}/dog.jpg", "5a9522051c3cec2bbd2f6323fccba32e8fbf3ddcc2b3e2fd46b04c720bc6f866",
    ),
    "flower": Photo(
        "a dahlia", "vultilion on Flickr, CC BY 2.0 (scikit-learn)", (640, 427), (165, 85, 445, 360),
        frozenset(), "sklearn/datasets/images/flower.jpg",
        f"{_SKLEARN}/flower.jpg", "a77f6ec41e353afdf8bdff2ea981b2955535d8d83294f8cfa49cf4e423dd5638",
    ),
    "temple": Photo(
        "a pavilion above a lake", "danielbuechele on Flickr, CC BY 2.0 (scikit-learn)", (640, 427), (70, 25, 375, 390),
        frozenset({"palace", "stupa", "monastery"}), "sklearn/datasets/images/china.jpg",
        f"{_SKLEARN}/china.jpg", "8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29",
    ),
}  # fmt: skip


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
