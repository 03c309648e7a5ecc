"""The few pieces that every SVG picture is built from: a palette, shapes, text, and the document around them.

Attributes only (no CSS, no ids): notebook viewers strip styles, and two pictures on one page never get in each
other's way. All lengths are px.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from math import isfinite

# Okabe and Ito's colours, distinguishable for all kinds of colour vision. A colour is never the only sign.
BLUE, ORANGE, GREEN, VERMILION, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#A6467C"
BLUE_TINT, ORANGE_TINT, PURPLE_TINT, VERMILION_TINT = "#DCECF6", "#FDF0D0", "#F6E3ED", "#FBE7DA"
INK, MUTED, LINE, FAINT, PAPER = "#1D2429", "#5B6770", "#B9C2C9", "#F2F4F5", "#FFFFFF"

SANS = "Helvetica Neue, Helvetica, Arial, Liberation Sans, sans-serif"
MONO = "Menlo, Consolas, DejaVu Sans Mono, Liberation Mono, monospace"
MONO_ADVANCE = 0.61  # width of a monospaced letter in parts of the font size, rounded up over the fonts above
SANS_ADVANCE = 0.51  # mean width of a letter of ordinary text


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


def text(
    x: float,
    y: float,
    content: str,
    *,
    size: float,
    fill: str = INK,
    anchor: str = "start",
    bold: bool = False,
    mono: bool = False,
    halo: bool = False,
) -> str:
    """One line of text with its baseline at y; ``mono`` keeps runs of spaces, ``halo`` paints over lines it crosses."""
    family = f' font-family="{MONO}" xml:space="preserve"' if mono else ""
    weight = ' font-weight="bold"' if bold else ""
    edge = ' stroke="white" stroke-width="5" stroke-linejoin="round" paint-order="stroke"' if halo else ""
    look = f'fill="{fill}" text-anchor="{anchor}"{weight}{family}{edge}'
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:.1f}" {look}>{escape(content, quote=False)}</text>'


def rect(
    x: float,
    y: float,
    width: float,
    height: float,
    *,
    fill: str = "none",
    stroke: str = "none",
    line: float = 1.0,
    dash: str = "",
    radius: float = 0.0,
    tip: str = "",
) -> str:
    """A rectangle; ``tip`` is shown when the mouse rests on it."""
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    tooltip = f"<title>{escape(tip)}</title>" if tip else ""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{radius:g}" fill="{fill}" '
        f'stroke="{stroke}" stroke-width="{line:g}"{dashes}>{tooltip}</rect>'
    )


def polygon(
    points: Sequence[tuple[float, float]],
    *,
    fill: str = "none",
    stroke: str = "none",
    line: float = 1.0,
    opacity: float = 1.0,
    dash: str = "",
    tip: str = "",
) -> str:
    """A closed shape through the points."""
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    tooltip = f"<title>{escape(tip)}</title>" if tip else ""
    return (
        f'<polygon points="{joined}" fill="{fill}" fill-opacity="{opacity:g}" stroke="{stroke}" '
        f'stroke-width="{line:g}" stroke-linejoin="round"{dashes}>{tooltip}</polygon>'
    )


def segment(
    x1: float, y1: float, x2: float, y2: float, *, stroke: str = LINE, line: float = 1.0, dash: str = ""
) -> str:
    """A straight line."""
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}" '
        f'stroke-width="{line:g}"{dashes}/>'
    )


def hatch(x: float, y: float, width: float, height: float, *, pitch: float = 9.0, stroke: str = VERMILION) -> str:
    """Diagonal lines over a rectangle, drawn one by one: a <pattern> would need an id."""
    strokes = []
    offset = pitch / 2
    while offset < width + height:
        x1, y1 = x + max(0.0, offset - height), y + min(offset, height)
        x2, y2 = x + min(offset, width), y + max(0.0, offset - width)
        strokes.append(f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}")
        offset += pitch
    return f'<path d="{"".join(strokes)}" stroke="{stroke}" stroke-width="1.2" fill="none"/>'


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


def problem(x: float, y: float, reason: str, remedy: str, *, width: float, font_px: int) -> tuple[list[str], float]:
    """A framed note from y downwards, why something does not work and what to try; the parts and where they end."""
    parts, top = [], y
    for label, content, fill in (("This does not work:", reason, VERMILION), ("Try this:", remedy, BLUE)):
        y += 1.5 * font_px
        parts.append(text(x + font_px, y, label, size=font_px, fill=fill, bold=True))
        for line in wrap(content, size=font_px, width=width - 2 * font_px):
            y += 1.5 * font_px
            parts.append(text(x + font_px, y, line, size=font_px))
        y += 0.4 * font_px
    frame = rect(x, top, width, y - top + 0.3 * font_px, stroke=VERMILION, line=2, dash="7 5", radius=6)
    return [frame, *parts], y + font_px
