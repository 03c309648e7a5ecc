"""What every test of ``helpers`` may rely on: folders of its own, no network, the quick profile, no window."""

from __future__ import annotations

import matplotlib
import pytest

matplotlib.use("agg")  # in this process only: the notebooks' kernels keep their inline backend


@pytest.fixture(autouse=True)
def kit_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Fresh KIT_HOME and KIT_PERSIST, no network; a test that needs another setting changes it with monkeypatch."""
    folder = tmp_path_factory.mktemp("kit")
    monkeypatch.setenv("KIT_HOME", str(folder / "home"))
    monkeypatch.setenv("KIT_PERSIST", str(folder / "persist"))
    monkeypatch.setenv("KIT_OFFLINE", "1")
    monkeypatch.setenv("KIT_PROFILE", "quick")
