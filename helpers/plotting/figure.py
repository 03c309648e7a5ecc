"""A figure with an alternative text, and names as it can write them: of any length, in any alphabet."""

import functools
import re
import unicodedata
import warnings

import matplotlib.figure
from matplotlib.backend_bases import RendererBase
from matplotlib.font_manager import FontProperties, findfont, findSystemFonts, fontManager, get_font
from matplotlib.text import Text

_FONTS = re.compile(r"Noto ?Sans|CJK|STIXGeneral$|WenQuanYi|Hiragino|YaHei|Malgun|MS Gothic|Nirmala|Arial Unicode")


class Figure(matplotlib.figure.Figure):
    """A figure that carries its alternative text. Letters that the usual font lacks come from another font."""

    alt: str = ""

    def draw(self, renderer: RendererBase) -> None:
        texts = [text for text in self.findobj(Text) if isinstance(text, Text)]
        letters = sorted({a for text in texts for a in text.get_text() if a > "~" and a.isprintable()})
        for text in texts if (others := sorted({*filter(None, map(_family_with, letters))})) else ():
            text.set_fontfamily([*matplotlib.rcParams["font.family"], *others])
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph")  # one for each letter and size; below is one for all
            super().draw(renderer)
        if missing := " ".join(letter for letter in letters if _family_with(letter) is None):
            boxes = f"No font of this machine has the letters {missing[:40]}: boxes stand for them. Install one (on"
            warnings.warn(f"{boxes} Colab: !apt-get -qq install fonts-noto-cjk) and restart the kernel.", stacklevel=2)


def readable(text: str) -> str:
    """``text`` with a sign in place of what cannot be written: bytes of a file name that are no UTF-8."""
    return re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text)


def label(name: str, most: int) -> str:
    """``name`` as matplotlib writes it: without its middle if it is wider than ``most`` letters; "$" is no formula."""
    name = readable(name)
    width = len(name) + sum(unicodedata.east_asian_width(letter) in "FW" for letter in name)
    half = most * len(name) // max(1, width) // 2
    return (name if width <= most else f"{name[:half]}…{name[-half:]}").replace("$", r"\$")


def label_all(names: list[str], most: int) -> list[str]:
    """The ``label`` of each of the names, which differ; those that are cut alike are told by a number in front."""
    short = [label(name, most) for name in names]
    return [text if short.count(text) == 1 else f"{n + 1} {label(names[n], most - 3)}" for n, text in enumerate(short)]


@functools.cache
def _family_with(letter: str) -> str | None:
    """A font family of this machine that has ``letter``: "" is the usual one, None says that there is none."""
    return next((name for name, path in _fonts().items() if get_font(path).get_char_index(ord(letter))), None)


@functools.cache
def _fonts() -> dict[str, str]:
    """Font family: its file. The usual one, then those of other alphabets; newly installed ones are among them."""
    for path in filter(_FONTS.search, {*findSystemFonts()} - {font.fname for font in fontManager.ttflist}):
        fontManager.addfont(path)
    others = {font.name for font in fontManager.ttflist if _FONTS.search(font.name)}
    return {name: str(findfont(FontProperties(family=name or None))) for name in ("", *sorted(others))}
