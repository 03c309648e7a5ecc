"""``python -m helpers test``: one pytest over the helpers' tests and, through nbval, over every notebook.

This module is also the pytest plugin of that run: it gives each notebook its own KIT_PERSIST, and adds up its time.
"""

from __future__ import annotations

import collections
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from helpers.commands import record, run

# Strict: stored outputs are compared, cell by cell, unless a cell is tagged nbval-ignore-output.
NBVAL = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout=600", "--nbval-kernel-startup-timeout=120"]
NBVAL += [f"--nbval-sanitize-with={run.KIT / 'tests' / 'nbval_sanitize.cfg'}"]
BROWSER = ["-m", "browser", "tests/test_browser.py"]


def run_tests(arguments: Sequence[str] = ()) -> int:
    """Run pytest in the quick profile, offline, in folders that are gone afterwards; returns its exit status.

    ``arguments`` go to pytest: ``-k conv``, ``notebooks/01_conv_arithmetic.ipynb``, ``tests``. Ours are
    ``--browser``: only the tests that drive JupyterLab in a real browser (they need chromium or Chrome), and
    ``--colab``: every notebook, or those named, in a replica of Google Colab.
    """
    if "--colab" in arguments:
        from helpers.commands import colab

        return colab.run_tests([argument for argument in arguments if argument != "--colab"])
    if "--browser" in arguments:
        arguments = [*BROWSER, *(argument for argument in arguments if argument != "--browser")]
    plain = [] if sys.stdout.isatty() else ["--color=no"]  # nbval colours a log file too, unless told not to
    workers = 1 if arguments else min(4, os.cpu_count() or 1)  # what was asked for by name runs here, one by one
    parallel = ["-n", str(workers), "--dist=loadfile"] if workers > 1 else []
    command = [sys.executable, "-m", "pytest", "-p", __name__, *NBVAL, *parallel, *plain, "--durations=10", *arguments]
    with tempfile.TemporaryDirectory(prefix="cnn-course-kit-", ignore_cleanup_errors=True) as scratch:
        env = record.fresh_environment(Path(scratch), persist="tests")
        if parallel:  # two times two threads on two cores would mostly wait for each other
            env["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // workers))
        return run.call(command, cwd=run.KIT, env=run.kernel_environment(env))


# ------------------------------------------------------------------------------------------ as a pytest plugin


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
