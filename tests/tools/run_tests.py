"""``colab_setup.py test``: one pytest over the helpers' tests and, through nbval, over every notebook.

Stored outputs are compared, cell by cell, unless a cell is tagged nbval-ignore-output. ``conftest.py`` in the top
folder sees to the profile, to folders that are gone afterwards, and to the order.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from helpers.commands import run

BROWSER = ["-m", "browser", "tests/test_browser.py"]


def main(arguments: Sequence[str]) -> int:
    """Run pytest; returns its exit status.

    ``arguments`` go to pytest: ``-k conv``, ``notebooks/01_conv_arithmetic.ipynb``, ``tests``. Ours are
    ``--browser``: only the tests that drive JupyterLab in a real browser (they need chromium or Chrome), and
    ``--colab``: every notebook, or those named, in a replica of Google Colab.
    """
    if "--colab" in arguments:
        import replica

        return replica.run_notebooks([argument for argument in arguments if argument != "--colab"])
    if "--browser" in arguments:
        arguments = [*BROWSER, *(argument for argument in arguments if argument != "--browser")]
    plain = [] if sys.stdout.isatty() else ["--color=no"]  # nbval colours a log file too, unless told not to
    env = run.kernel_environment()
    cores = os.cpu_count() or 1
    workers = 1 if arguments else min(4, cores)  # what was asked for by name runs here, one by one
    if workers > 1:
        plain += ["-n", str(workers), "--dist=loadfile"]
        env["OMP_NUM_THREADS"] = str(max(1, cores // workers))  # more threads than cores would mostly wait
    command = [sys.executable, "-m", "pytest", "--nbval", *plain, "--durations=10", *arguments]
    return run.call(command, cwd=run.KIT, env=env)
