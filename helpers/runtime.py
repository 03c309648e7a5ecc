"""Where am I running, and with what: Colab or not, device, profile, folders, network.

Four environment variables steer the kit:

=============  =====================================================================================
KIT_HOME       data and weights; may vanish. Default: a folder in the user's cache, on Colab /content
KIT_PERSIST    checkpoints, answers, progress. Default: on the mounted Drive, elsewhere beside KIT_HOME
KIT_OFFLINE    1 = never touch the network
KIT_PROFILE    quick (CPU, lecture, CI) or full (a T4-class GPU). Default: full where there is a GPU
=============  =====================================================================================
"""

from __future__ import annotations

import os
from pathlib import Path

from helpers import datasets, diagnosis, machine
from helpers.drive import persist
from helpers.machine import DRIVE_FOLDER, KIT_NAME, PROFILES, can_reach, device, home, in_colab, profile
from helpers.machine import offline as offline

__all__ = [
    "DRIVE_FOLDER", "KIT_NAME", "PROFILES", "can_reach", "choose", "describe", "device", "home", "in_colab", "offline",
    "persist", "profile", "weights_cached",
]  # fmt: skip


def describe() -> str:
    """Where this runs, with what, and what to do about anything wrong: what a notebook's set-up cell prints."""
    return diagnosis.summary(diagnosis.checks())


def weights_cached(name: str) -> bool:
    """True when torchvision's pretrained weights of model ``name`` already lie in torch's cache (TORCH_HOME)."""
    torch_home = Path(os.environ.get("TORCH_HOME") or machine.user_cache() / "torch")
    return any((torch_home / "hub" / "checkpoints").glob(f"{name}-*.pth"))


def choose(*, online: str, offline: str | tuple[str, ...]) -> str:
    """Choose between a data set (or network) from the internet and its stand-in, and say which in one line.

    ``online`` is taken when it already lies on this machine or its server answers; otherwise the first of ``offline``
    that is on this machine (the last one always is). The choice is visible: the name it returns stands in titles,
    histories and checkpoints.

    >>> runtime.choose(online="bcdp_v1", offline="bcdp_standin")   # doctest: +SKIP
    """
    ready, url = _availability(online)
    if ready:
        print(f"Using {online}: it is on this machine.")
        return online
    if url and machine.can_reach(url):
        print(f"Using {online}: it will be downloaded.")
        return online
    names = (offline,) if isinstance(offline, str) else offline
    chosen = next((name for name in names if _availability(name)[0]), names[-1])
    why = "KIT_OFFLINE=1 is set" if machine.offline() else "its server cannot be reached"
    print(f"Using {chosen} in place of {online}: {online} is not on this machine and {why}.")
    return chosen


def _availability(name: str) -> tuple[bool, str | None]:
    """Does the data set or the network lie on this machine, and where does it come from?"""
    if datasets.known(name):
        return datasets.is_ready(name), datasets.first_url(name)
    return weights_cached(name), "https://download.pytorch.org"
