"""Gradient descent on bowls over two weights, as SVG: level lines of the loss, and every step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from helpers import svg
from helpers.svg import screen

Bowl = tuple[Any, Any, Any]  # Hessian (2, 2), minimum (2,), path (T, 2): arrays or tensors
LEVELS = np.geomspace(1 / 3000, 1, 9)[:-1]  # of the highest loss in the frame
MOST_SIDE = 400.0  # px, of a frame


def descents(named: Mapping[str, Bowl], *, title: str = "", font_px: int | None = None) -> svg.Picture:
    """Quadratic losses side by side, each on its own scale; a path may leave its frame."""
    font_px = font_px or screen.font_px()
    sheet, said = svg.Sheet(font_px), []
    pitch = (sheet.right - sheet.left + 2 * font_px) / max(2, len(named))
    side, top = min(pitch - 2 * font_px, MOST_SIDE), 5.2 * font_px
    sheet.text(sheet.left, 1.9 * font_px, title, bold=True)
    for number, (name, arrays) in enumerate(named.items()):
        hessian, minimum, path = (np.asarray(array, dtype=float) for array in arrays)
        away, left = np.abs(path - minimum).max(axis=1), sheet.left + number * pitch
        reach = float(min(1.25 * away.max(), 2 * away[0]))  # half a side of the frame
        px = side / (2 * reach)
        sheet.text(left, top - 0.7 * font_px, name)
        place = f'x="{left:.1f}" y="{top:.1f}" width="{side:.1f}" height="{side:.1f}"'
        sheet.parts.append(f'<svg {place} viewBox="{-side / 2:.1f} {-side / 2:.1f} {side:.1f} {side:.1f}">')  # it clips
        curvatures, axes = np.linalg.eigh(hessian)
        angle = -np.degrees(np.arctan2(axes[1, 0], axes[0, 0]))  # the second weight grows upwards
        highest = 0.5 * reach**2 * (np.trace(hessian) + 2 * abs(hessian[0, 1]))  # in a corner
        for level in LEVELS * highest:
            wide, high = px * np.sqrt(2 * level / curvatures)
            look = f'fill="none" stroke="{svg.MUTED}" transform="rotate({angle:.2f})"'
            sheet.parts.append(f'<ellipse rx="{wide:.1f}" ry="{high:.1f}" {look}/>')
        places = ((path - minimum) * [px, -px]).tolist()
        sheet.polyline(places, stroke=svg.VERMILION, line=1.6)
        for x, y in places:
            sheet.circle(x, y, 3, fill=svg.VERMILION)
        sheet.circle(0, 0, 6, fill=svg.BLUE, tip="the minimum")
        sheet.parts.append("</svg>")
        sheet.rect(left, top, side, side, stroke=svg.LINE)
        sheet.text(left + side, top + side + 1.2 * font_px, "first weight →", size=sheet.small, anchor="end")
        sheet.text(left, top + side + 1.2 * font_px, "↑ second weight", size=sheet.small)
        ratio = curvatures[1] / curvatures[0]
        said.append(f"{name}: the steepest direction curves {ratio:.0f} times as much as the flattest")
    alt = f"{title}: level lines of the loss, a blue dot at the minimum, descent in red. {'; '.join(said)}."
    return sheet.picture(title=title, alt=alt, height=top + side + 2 * font_px)
