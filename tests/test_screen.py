"""For the lecture room: figures and explorers become larger by one call, and go back by another."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from helpers import plotting
from helpers.widgets import ConvExplorer, ReceptiveFieldExplorer, VolumeView


@pytest.fixture(autouse=True)
def back_at_the_desk() -> Iterator[None]:
    yield
    plotting.projector(False)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict, dict]]:
    """What ``plotting.show`` displays: data and metadata."""
    seen: list[tuple[dict, dict]] = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw, metadata: seen.append((data, metadata)))
    return seen


def figure() -> Figure:
    return plotting.bars({"plain": 3.5, "residual": 9.25}, title="Training error", unit="%")


def pixels(shown: tuple[dict, dict]) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(shown[0]["image/png"]))).convert("L"))


def test_figures_grow_with_all_that_is_in_them_and_go_back_exactly(shown: list) -> None:
    plotting.show(figure())
    plotting.projector()
    plotting.show(figure())
    plotting.projector(False)
    plotting.show(figure())
    desk, lecture, again = shown
    assert desk == again
    assert desk[0]["text/plain"] == lecture[0]["text/plain"]
    at_desk, on_screen = (metadata["image/png"] for _, metadata in (desk, lecture))  # as large as browsers show it
    assert on_screen == at_desk | {side: 1.5 * at_desk[side] for side in ("width", "height")}
    small, large = pixels(desk), pixels(lecture)
    assert large.shape == pytest.approx(1.5 * np.array(small.shape), abs=1)
    same = Image.fromarray(large).resize(small.shape[::-1], Image.Resampling.LANCZOS)
    assert np.abs(np.asarray(same, dtype=float) - small).mean() < 6  # the same picture: nothing moved, nothing cut off


@pytest.mark.parametrize("kind", [ConvExplorer, ReceptiveFieldExplorer, VolumeView], ids=lambda kind: kind.__name__)
def test_new_explorers_have_larger_text(kind: type) -> None:
    before = kind()
    plotting.projector()
    assert (before.font_px, kind().font_px, kind(font_px=18).font_px) == (16, 24, 18)
    assert "cnn-explorer-24" in kind()._dom_classes and kind().svg() != before.svg()
    plotting.projector(False)
    assert kind().svg() == before.svg()
