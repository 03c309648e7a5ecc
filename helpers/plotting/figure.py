"""A figure with an alternative text, whose words can be read in whatever alphabet and length they come."""

from __future__ import annotations

import contextlib
import re
import unicodedata
import warnings

import matplotlib.figure
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.ft2font import FT2Font
from matplotlib.legend import Legend
from matplotlib.text import Text

NAMES = 0.45  # of a figure's width or height, for the names along an axis
LINE = 1.2  # inches of a legend beside its names

_fonts: dict[str, str] = {}  # letter: a family that has it


class Figure(matplotlib.figure.Figure):
    """A figure that is not displayed by itself, and carries its alternative text.

    The names of classes are names of folders: of any length, in any alphabet, or bytes that are no text at all. So
    before anything is drawn, all words are made ready in one place: "$" begins no formula, a name that is too long for
    its place loses its middle, and letters that the usual font lacks come from another font of this machine.
    """

    alt: str = ""

    def draw(self, renderer: RendererBase) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph")  # one for each letter and size; below is one for all
            missing = self._make_words_ready(renderer)
            super().draw(renderer)
        if missing:
            warnings.warn(
                f"No font of this machine has the letters {' '.join(missing[:20])}: boxes stand for them. Install a "
                "font with them (on Colab: !apt-get -qq install fonts-noto-cjk) and run the cell again.", stacklevel=2,
            )  # fmt: skip

    def _make_words_ready(self, renderer: RendererBase) -> list[str]:
        """Returns the letters that no font has."""
        children = [child for part in (self, *self.axes) for child in part.get_children()]
        in_legends = [text for child in children if isinstance(child, Legend) for text in child.get_texts()]
        shown = [axis for axes in self.axes if axes.axison for axis in (axes.xaxis, axes.yaxis)]
        ticks = {axis: axis.get_ticklabels() for axis in shown}  # asking for them brings them up to date
        width, height = map(float, self.get_size_inches())
        room = {child: width for child in children if isinstance(child, Text)}  # inches
        room |= {axis.label: max(width, height) for axis in shown}
        room |= dict.fromkeys(in_legends, width - LINE)
        room |= {axes.title: 0.95 * width / _columns(axes) for axes in self.axes}
        texts = [text for text in (*room, *(label for labels in ticks.values() for label in labels)) if _is_words(text)]
        families, missing = _fonts_for({letter for text in texts for letter in text.get_text()})
        for text in texts:
            text.set_parse_math(False)
            if families:
                text.set_fontfamily([*matplotlib.rcParams["font.family"], *families])
        for text, inches in room.items():
            text.set_text("\n".join(_fitting(text.get_text().split("\n"), text, inches, renderer)))
        for axis, labels in ticks.items():
            inches = NAMES * (height if axis.axis_name == "x" else width / _columns(axis.axes))
            names = [label.get_text() for label in labels]
            short = _fitting(names, labels[0], inches, renderer) if all(map(_is_words, labels)) and names else names
            if short != names:
                twice = {name for name in short if short.count(name) > 1}
                numbered = [f"{i} {name}" if name in twice else name for i, name in enumerate(short, 1)]
                axis.set_ticks(axis.get_ticklocs(), labels=numbered)
        return missing


def readable(text: str) -> str:
    """``text`` with a sign in place of what cannot be written: bytes of a file name that are no UTF-8."""
    return re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text)


def _is_words(text: Text) -> bool:
    return bool(text.get_text()) and r"\mathdefault" not in text.get_text()  # as powers of ten on an axis are


def _columns(axes: Axes) -> int:
    """How many axes stand side by side."""
    spec = axes.get_subplotspec()
    return spec.get_gridspec().ncols if spec else 1


def _fitting(lines: list[str], look: Text, inches: float, renderer: RendererBase) -> list[str]:
    """The lines, readable and at most ``inches`` wide in the font of ``look``: longer ones lose their middle."""
    fitting = []
    for line in map(readable, lines):
        pixels = renderer.get_text_width_height_descent(line, look.get_fontproperties(), False)[0] if line else 0.0
        share = inches * float(renderer.points_to_pixels(72)) / max(pixels, 1.0)  # type: ignore[arg-type]  # 72: an inch
        if share < 1:
            letters = max(3, int(share * len(line)) - 1)
            line = f"{line[: letters - letters // 2]}…{line[-(letters // 2) :]}"
        fitting.append(line)
    return fitting


def _fonts_for(letters: set[str]) -> tuple[list[str], list[str]]:
    """Families that have the letters which the usual font lacks, and the letters that no font of this machine has."""
    usual = FT2Font(font_manager.findfont(font_manager.FontProperties()))
    wanted = {a for a in letters if unicodedata.category(a)[0] in "LNPS" and not usual.get_char_index(ord(a))}
    missing = wanted - set(_fonts)  # those that were not found are looked for again: a font may be installed
    known = {entry.fname: entry.name for entry in font_manager.fontManager.ttflist}
    for path in sorted({*known, *font_manager.findSystemFonts()}) if missing else ():
        with contextlib.suppress(OSError, RuntimeError):  # a file that cannot be read as a font
            font = FT2Font(path)
            found = {letter for letter in missing if font.get_char_index(ord(letter))}
            if found and font.scalable and "Last Resort" not in font.family_name:
                if path not in known:
                    font_manager.fontManager.addfont(path)
                _fonts.update(dict.fromkeys(found, known.get(path, font.family_name)))
                missing -= found
    return sorted({_fonts[letter] for letter in wanted - missing}), sorted(missing)
