"""Gradient descent, drawn: what stands on the paper is parsed back and compared with the losses and steps handed in."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from helpers import plotting, svg, widgets

MINIMUM = torch.tensor([3.0, -1.0])


def steps_in(picture: str, reach: float) -> np.ndarray:
    """The path drawn, as weights, in a frame that reaches so far from the minimum in its middle."""
    (side,) = map(float, re.findall(r'<svg x=.* height="([\d.]+)" viewBox', picture))
    (line,) = re.findall(rf'<polyline points="([^"]+)" fill="none" stroke="{svg.VERMILION}"', picture)
    points = np.array([point.split(",") for point in line.split()], dtype=float)
    return points * 2 / side * [reach, -reach] + MINIMUM.numpy()


@pytest.mark.parametrize("hessian", [torch.tensor([[1.0, 0], [0, 25]]), torch.tensor([[2.0, 1], [1, 3]])])
def test_the_path_and_the_level_lines_are_those_of_the_loss(hessian: torch.Tensor) -> None:
    path = MINIMUM + torch.tensor([[1.6, 1.0], [2.0, -1.0], [1.0, 0.5]])
    picture = plotting.descents({"a bowl": (hessian, MINIMUM, path)}, title="Descent")
    np.testing.assert_allclose(steps_in(picture, 2.5), path, atol=0.01)
    (side,) = map(float, re.findall(r'<svg x=.* height="([\d.]+)" viewBox', picture))
    highest = max(float(0.5 * corner @ hessian @ corner) for corner in 2.5 * torch.tensor([[1.0, 1], [1, -1]]))
    levels = []
    for rx, ry, angle in re.findall(r'<ellipse rx="([\d.]+)" ry="([\d.]+)" .*?rotate\(([-\d.]+)\)', picture):
        turn = np.linspace(0, 2 * np.pi, 50)
        x, y = float(rx) * np.cos(turn), float(ry) * np.sin(turn)
        tilt = np.radians(float(angle))
        away = np.stack([x * np.cos(tilt) - y * np.sin(tilt), -(x * np.sin(tilt) + y * np.cos(tilt))]) * 5 / side
        loss = 0.5 * np.einsum("in,ij,jn->n", away, hessian.numpy(), away)
        np.testing.assert_allclose(loss, loss.mean(), rtol=0.05)
        levels.append(round(float(np.log(loss.mean() / highest))))
    assert levels == list(range(-8, 0))  # about e times as high from line to line
    ratio = np.divide(*np.linalg.eigvalsh(hessian.numpy())[::-1])
    assert picture.alt.startswith("Descent: level lines") and f"curves {ratio:.0f} times as much" in picture.alt


def test_a_path_that_explodes_does_not_shrink_the_bowl() -> None:
    path = torch.stack([MINIMUM + torch.tensor([0.0, (-2.0) ** step]) for step in range(6)])
    picture = plotting.descents({"too fast": (torch.eye(2), MINIMUM, path)})
    np.testing.assert_allclose(steps_in(picture, 2.0), path, atol=0.01)


def test_a_chooser_shows_a_picture_as_it_is() -> None:
    def draw(steps: float) -> svg.Picture:
        path = MINIMUM + torch.tensor([[1.0, 1], [0.5, 0.5]])[: int(steps)]
        return plotting.descents({"here": (torch.eye(2), MINIMUM, path)}, title=f"{steps:g} steps")

    chooser = widgets.Chooser(draw, steps=[1, 2])
    chooser.controls["steps"].value = 2
    assert chooser.picture.value == chooser.svg() == draw(2) != draw(1)
