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

import functools
import importlib.util
import os
import urllib.error
import urllib.request
from pathlib import Path

KIT_NAME = "cnn-course-kit"
DRIVE_FOLDER = Path("/content/drive/MyDrive")
PROFILES = ("quick", "full")


def in_colab() -> bool:
    """True inside a Google Colab runtime (judged without importing ``google.colab``)."""
    try:
        return importlib.util.find_spec("google.colab") is not None
    except (ModuleNotFoundError, ValueError):
        return False


def home() -> Path:
    """The folder for data and weights (KIT_HOME), made if needed. May vanish when a Colab session ends."""
    default = Path("/content") / f"{KIT_NAME}-data" if in_colab() else user_cache() / KIT_NAME
    return made(Path(os.environ.get("KIT_HOME") or default), "KIT_HOME")


def profile() -> str:
    """ "quick" or "full": KIT_PROFILE, or "full" exactly where there is a CUDA device."""
    chosen = os.environ.get("KIT_PROFILE", "").strip().lower()
    if chosen and chosen not in PROFILES:
        raise ValueError(f"KIT_PROFILE is {chosen!r}; it can be 'quick' or 'full'. Unset it to let the kit choose.")
    return chosen or ("full" if device() == "cuda" else "quick")


def device() -> str:
    """The device to compute on: "cuda", "mps" (Apple), or "cpu"."""
    import torch  # here, so that the ground floor stays light

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def offline() -> bool:
    """True when the user asked for no network (KIT_OFFLINE=1)."""
    return os.environ.get("KIT_OFFLINE", "").strip().lower() in {"1", "true", "yes", "on"}


@functools.cache
def can_reach(url: str, *, timeout: float = 4.0) -> bool:
    """True when the server of ``url`` answers at all (any HTTP status) within ``timeout`` seconds.

    Asked once per address and process; never asks under KIT_OFFLINE=1.
    """
    if offline():
        return False
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=timeout).close()
    except urllib.error.HTTPError:
        return True  # the server is there, whatever it thinks of the address
    except (OSError, ValueError):
        return False
    return True


def user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def made(folder: Path, variable: str) -> Path:
    folder = folder.expanduser().resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"The folder {folder} cannot be made ({error.strerror}). Set {variable} to a folder that you may write to."
        ) from error
    return folder
