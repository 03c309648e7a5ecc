"""What every test may rely on: folders of its own, no network, the quick profile, no window of matplotlib."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from pathlib import Path

import matplotlib
import pytest

from helpers import datasets
from helpers.datasets import catalogue

KIT = Path(__file__).resolve().parents[1]
matplotlib.use("agg")  # in this process only: the notebooks' kernels keep their inline backend


def pytest_configure(config: pytest.Config) -> None:
    """The same settings for fixtures that live longer than a test, and for the kernels of notebooks."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        return  # the process that started this one has done it
    scratch = tempfile.TemporaryDirectory(prefix="cnn-course-kit-", ignore_cleanup_errors=True)
    config.add_cleanup(scratch.cleanup)
    os.environ["KIT_HOME"] = str(Path(scratch.name) / "home")
    os.environ["KIT_PERSIST"] = str(Path(scratch.name) / "persist" / "tests")
    os.environ["KIT_OFFLINE"] = "1"
    os.environ["KIT_PROFILE"] = "quick"
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(KIT), os.environ.get("PYTHONPATH", "")]))
    if config.getoption("numprocesses", None):  # drawn once, so that no notebook waits for another one and says so
        for name in filter(lambda name: catalogue.look_up(name).drawn, catalogue.names()):
            with contextlib.redirect_stderr(io.StringIO()):
                datasets.fetch(name)


@pytest.fixture(autouse=True)
def kit_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Fresh KIT_HOME and KIT_PERSIST, no network; a test that needs another setting changes it with monkeypatch."""
    folder = tmp_path_factory.mktemp("kit")
    monkeypatch.setenv("KIT_HOME", str(folder / "home"))
    monkeypatch.setenv("KIT_PERSIST", str(folder / "persist"))
    monkeypatch.setenv("KIT_OFFLINE", "1")
    monkeypatch.setenv("KIT_PROFILE", "quick")
