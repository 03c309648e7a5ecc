"""What every SVG picture is built from: the kit's one palette, and a sheet on which shapes and text are drawn.

Attributes only (no CSS, no ids): notebook viewers strip styles, and two pictures on one page never get in each
other's way. All lengths are px.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from math import isfinite

import numpy as np
from PIL import Image

from helpers.conv_math import InvalidSetting

# Okabe and Ito's colours (the purple darker, for text), distinguishable for all kinds of colour vision; the figures of
# plotting have them too. A colour is never the only sign.
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#A6467C", "#56B4E9"
BLUE_TINT, ORANGE_TINT, GREEN_TINT, VERMILION_TINT, PURPLE_TINT = "#DCECF6", "#FDF0D0", "#D8EFE7", "#FBE7DA", "#F6E3ED"
INK, MUTED, LINE, FAINT, PAPER = "#1D2429", "#5B6770", "#B9C2C9", "#F2F4F5", "#FFFFFF"

SANS = "Helvetica Neue, Helvetica, Arial, Liberation Sans, sans-serif"
MONO = "Menlo, Consolas, DejaVu Sans Mono, Liberation Mono, monospace"
MONO_ADVANCE = 0.61  # width of a monospaced letter in parts of the font size, rounded up over the fonts above
SANS_ADVANCE = 0.51  # mean width of a letter of ordinary text

WIDTH = 960.0  # px, of a picture: fits beside JupyterLab's file browser on a 1280 px screen


class Picture(str):
    """An SVG document that a notebook draws when it ends a cell; ``alt`` says the same in words."""

    alt: str

    def __new__(cls, svg: str, alt: str) -> Picture:
        picture = super().__new__(cls, svg)
        picture.alt = alt
        return picture

    def __repr__(self) -> str:
        return self.alt  # what a notebook stores as text beside the drawing

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> tuple[dict, dict]:
        return {"image/svg+xml": str(self)}, {"image/svg+xml": {"alt": self.alt}}


def document(parts: Iterable[str], *, width: float, height: float, title: str, alt: str) -> Picture:
    """The parts, drawn in their order on white paper (so that a dark notebook theme stays readable)."""
    body = "".join(parts)
    return Picture(
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(alt)}" width="{width:.0f}" '
        f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" font-family="{SANS}" fill="{INK}">'
        f"<title>{escape(title)}</title><desc>{escape(alt)}</desc>"
        f'<rect width="100%" height="100%" rx="6" fill="{PAPER}"/>{body}</svg>',
        alt,
    )


class Sheet:
    """A picture in the making: its parts in the order in which they are drawn, and ``y``, down to where it is filled.

    Text is ``font_px`` high unless it has a ``size``; ``small`` is for remarks. ``left`` and ``right`` are the margins.
    """

    def __init__(self, font_px: int) -> None:
        self.font_px, self.small, self.y = font_px, 0.85 * font_px, 0.0
        self.left, self.right = 1.2 * font_px, WIDTH - 1.2 * font_px
        self.parts: list[str] = []

    def picture(self, *, title: str, alt: str, height: float | None = None) -> Picture:
        """What was drawn; without ``height`` the paper ends a little below ``y``."""
        bottom = self.y + 1.2 * self.font_px if height is None else height
        return document(self.parts, width=WIDTH, height=bottom, title=title, alt=alt)

    def text(
        self, x: float, y: float, content: str, *, size: float | None = None, fill: str = INK, anchor: str = "start",
        bold: bool = False, mono: bool = False, halo: bool = False,
    ) -> None:  # fmt: skip
        """A line of text, its baseline at y; ``mono`` keeps runs of spaces, ``halo`` paints over what it crosses."""
        family = f' font-family="{MONO}" xml:space="preserve"' if mono else ""
        weight = ' font-weight="bold"' if bold else ""
        edge = ' stroke="white" stroke-width="5" stroke-linejoin="round" paint-order="stroke"' if halo else ""
        look = f'font-size="{size or self.font_px:.1f}" fill="{fill}" text-anchor="{anchor}"{weight}{family}{edge}'
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" {look}>{escape(content, quote=False)}</text>')

    def lines(
        self, content: str, *, x: float | None = None, width: float | None = None, size: float | None = None,
        step: float = 1.5, fill: str = INK,
    ) -> None:  # fmt: skip
        """Ordinary text below ``y`` in as many lines as it needs, ``step`` font sizes apart; ``y`` is then the last."""
        x = self.left if x is None else x
        for line in wrap(content, size=size or self.font_px, width=width or self.right - x):
            self.y += step * self.font_px
            self.text(x, self.y, line, size=size, fill=fill)

    def note(self, *paragraphs: tuple[str, str, str]) -> None:
        """A framed note below ``y``; a paragraph is a heading, its colour, and the words under it."""
        top, first, x = self.y, len(self.parts), self.left + self.font_px
        for heading, colour, words in paragraphs:
            self.y += 1.5 * self.font_px
            self.text(x, self.y, heading, fill=colour, bold=True)
            self.lines(words, x=x, width=self.right - self.left - 2 * self.font_px)
            self.y += 0.4 * self.font_px
        height = self.y - top + 0.3 * self.font_px
        self.rect(self.left, top, self.right - self.left, height, stroke=VERMILION, line=2, dash="7 5", radius=6)
        self.parts.insert(first, self.parts.pop())  # the frame lies under the words
        self.y += self.font_px

    def problem(self, error: InvalidSetting) -> None:
        """A framed note below ``y``: why something does not work, and what to try."""
        self.note(("This does not work:", VERMILION, error.reason), ("Try this:", BLUE, error.remedy))

    def rect(
        self, x: float, y: float, width: float, height: float, *, fill: str = "none", stroke: str = "none",
        line: float = 1.0, dash: str = "", radius: float = 0.0, tip: str = "",
    ) -> None:  # fmt: skip
        """A rectangle; ``tip`` is shown when the mouse rests on it."""
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{radius:g}" fill="{fill}" '
            f'{_edge(stroke, line, dash)}>{_tooltip(tip)}</rect>'
        )

    def polygon(
        self, points: Sequence[tuple[float, float]], *, fill: str, stroke: str = "none", line: float = 1.0,
        opacity: float = 1.0, tip: str = "",
    ) -> None:  # fmt: skip
        """A closed shape through the points."""
        self.parts.append(
            f'<polygon points="{_joined(points)}" fill="{fill}" fill-opacity="{opacity:g}" stroke="{stroke}" '
            f'stroke-width="{line:g}" stroke-linejoin="round">{_tooltip(tip)}</polygon>'
        )

    def polyline(self, points: Sequence[tuple[float, float]], *, stroke: str, line: float) -> None:
        """A line from point to point."""
        self.parts.append(f'<polyline points="{_joined(points)}" fill="none" {_edge(stroke, line)}/>')

    def segment(
        self, x1: float, y1: float, x2: float, y2: float, *, stroke: str = LINE, line: float = 1.0, dash: str = ""
    ) -> None:
        """A straight line."""
        ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
        self.parts.append(f"<line {ends} {_edge(stroke, line, dash)}/>")

    def circle(self, x: float, y: float, radius: float, *, fill: str, stroke: str = "", tip: str = "") -> None:
        """A disc, with a line around it where there is a ``stroke``."""
        edge = f" {_edge(stroke, 2)}" if stroke else ""
        end = f">{_tooltip(tip)}</circle>" if tip else "/>"
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{fill}"{edge}{end}')

    def hatch(self, x: float, y: float, width: float, height: float, *, pitch: float = 9.0) -> None:
        """Diagonal lines over a rectangle, drawn one by one: a <pattern> would need an id."""
        strokes, offset = "", pitch / 2
        while offset < width + height:
            x1, y1 = x + max(0.0, offset - height), y + min(offset, height)
            x2, y2 = x + min(offset, width), y + max(0.0, offset - width)
            strokes += f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"
            offset += pitch
        self.parts.append(f'<path d="{strokes}" {_edge(VERMILION, 1.2)} fill="none"/>')

    def image(
        self, pixels: np.ndarray, x: float, y: float, width: float, height: float, *, tip: str,
        matrix: Sequence[float] = (),
    ) -> None:  # fmt: skip
        """``pixels`` ``(h, w, 3)``, uint8, with hard edges between them; ``matrix`` as in SVG slants them."""
        slant = f'transform="matrix({" ".join(f"{value:.3f}" for value in matrix)})" ' if matrix else ""
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        source = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
        self.parts.append(
            f'<image x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" preserveAspectRatio="none" '
            f'{slant}style="image-rendering: pixelated" href="{source}">{_tooltip(tip)}</image>'
        )


def _edge(stroke: str, line: float, dash: str = "") -> str:
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'stroke="{stroke}" stroke-width="{line:g}"{dashes}'


def _joined(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _tooltip(tip: str) -> str:
    return f"<title>{escape(tip)}</title>" if tip else ""


def number(value: float) -> str:
    """A number as drawn: a true minus sign, at most two decimals, none for whole numbers, -inf as −∞."""
    if not isfinite(value):
        return "∞" if value > 0 else "−∞"
    value = int(value) if value == int(value) else round(value, 2)
    return f"{value}".replace("-", "−")


def wrap(content: str, *, size: float, width: float) -> list[str]:
    """Lines of ordinary text that fit into ``width``, judged by the mean width of a letter."""
    limit, lines = max(8, int(width / (size * SANS_ADVANCE))), [""]
    for word in content.split(" "):
        if len(lines[-1]) + len(word) + 1 > limit and lines[-1]:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
