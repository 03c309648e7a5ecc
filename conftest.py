"""What every run of pytest here relies on, also ``pytest --nbval notebooks/01*``: the settings under which the stored
outputs were recorded, folders that are gone afterwards, and a random order of the tests."""

from __future__ import annotations

import collections
import os
import random
import tempfile
from pathlib import Path

import pytest
import settings  # in tests/tools

KIT = Path(__file__).resolve().parent


def pytest_configure(config: pytest.Config) -> None:
    """Set the environment that tests and the kernels of notebooks inherit."""
    if getattr(config.option, "nbval", False):
        config.option.nbval_current_env = True
        config.option.nbval_kernel_startup_timeout = 120  # s; the machine may be busy
        config.option.nbval_sanitize_with = config.option.nbval_sanitize_with or str(KIT / "tests/nbval_sanitize.cfg")
    if "PYTEST_XDIST_WORKER" in os.environ:
        return  # the process that started this one has done the rest
    scratch = tempfile.TemporaryDirectory(prefix="cnn-course-kit-", ignore_cleanup_errors=True)
    config.add_cleanup(scratch.cleanup)
    os.environ.update(settings.fresh(Path(scratch.name), persist="tests"))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(KIT), os.environ.get("PYTHONPATH", "")]))
    os.environ.pop("MPLBACKEND", None)  # it would keep figures out of the notebooks
    os.environ.setdefault("KIT_TEST_ORDER", str(random.randrange(10_000)))


def pytest_report_header() -> str:
    return f"random order: KIT_TEST_ORDER={os.environ['KIT_TEST_ORDER']} repeats it"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Shuffle the files, and the tests in each; a notebook's cells stay in order."""
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    order = random.Random(os.environ["KIT_TEST_ORDER"])
    for path, tests in files.items():
        if path.suffix != ".ipynb":
            order.shuffle(tests)
    paths = list(files)
    order.shuffle(paths)
    items[:] = [item for path in paths for item in files[path]]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Give a notebook answers and checkpoints of its own, before its kernel starts and inherits the environment."""
    if item.path.suffix == ".ipynb":
        os.environ["KIT_PERSIST"] = str(Path(os.environ["KIT_PERSIST"]).with_name(item.path.stem))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how long each notebook took."""
    seconds: collections.Counter[str] = collections.Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            notebook = getattr(report, "nodeid", "").partition("::")[0]
            if notebook.endswith(".ipynb") and hasattr(report, "duration"):  # what was deselected has none
                seconds[notebook] += report.duration
    if seconds:
        terminalreporter.section("seconds a notebook")
        for notebook, total in sorted(seconds.items()):
            terminalreporter.line(f"{total:6.1f}  {notebook}")
