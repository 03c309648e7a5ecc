"""The environment in which notebooks are recorded and tested: nothing of this machine or of an earlier run."""

from __future__ import annotations

from pathlib import Path


def fresh(folder: Path, *, persist: str) -> dict[str, str]:
    """The quick profile, offline, with data and weights in ``folder`` and checkpoints and answers in a part of it.

    Data and weights are shared (drawn once); checkpoints and answers are each notebook's own, so that a notebook gives
    the same whether it runs alone or after the others.
    """
    return {
        "KIT_HOME": str(folder / "home"),
        "KIT_PERSIST": str(folder / "persist" / persist),
        "KIT_OFFLINE": "1",
        "KIT_PROFILE": "quick",
        "TORCH_HOME": str(folder / "torch"),  # weights that happen to lie on this machine would change the results
        "JUPYTER_PLATFORM_DIRS": "1",
    }
