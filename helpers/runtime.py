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


def describe() -> str:
    """Where this runs, with what, and what to do about anything wrong: what a notebook's set-up cell prints."""
    from helpers import diagnosis

    return diagnosis.summary(diagnosis.checks())


def in_colab() -> bool:
    """True inside a Google Colab runtime (judged without importing ``google.colab``)."""
    try:
        return importlib.util.find_spec("google.colab") is not None
    except (ModuleNotFoundError, ValueError):
        return False


def home() -> Path:
    """The folder for data and weights (KIT_HOME), made if needed. May vanish when a Colab session ends."""
    default = Path("/content") / f"{KIT_NAME}-data" if in_colab() else _user_cache() / KIT_NAME
    return _made(Path(os.environ.get("KIT_HOME") or default), "KIT_HOME")


def persist() -> Path:
    """The folder that outlives the session (KIT_PERSIST), made if needed.

    On Colab it lies on the mounted Drive; without a mounted Drive it falls back to ``home()/persist``,
    which a disconnect deletes: ``describe()`` says so. Elsewhere it lies beside ``home()``. Raises DriveError when
    the connection to a mounted Drive was lost: to save elsewhere without a word would lose what is saved.
    """
    chosen = os.environ.get("KIT_PERSIST")
    if chosen:
        return _made(Path(chosen), "KIT_PERSIST")
    if in_colab():
        from helpers import drive  # here, since drive is built on this module

        return drive.folder() if drive.is_mounted(or_raise=True) else _made(home() / "persist", "KIT_PERSIST")
    return _made(home().with_name(home().name + "-persist"), "KIT_PERSIST")


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


def weights_cached(name: str) -> bool:
    """True when torchvision's pretrained weights of model ``name`` already lie in torch's cache (TORCH_HOME)."""
    torch_home = Path(os.environ.get("TORCH_HOME") or _user_cache() / "torch")
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
    if url and can_reach(url):
        print(f"Using {online}: it will be downloaded.")
        return online
    names = (offline,) if isinstance(offline, str) else offline
    chosen = next((name for name in names if _availability(name)[0]), names[-1])
    why = "KIT_OFFLINE=1 is set" if _asked_offline() else "its server cannot be reached"
    print(f"Using {chosen} in place of {online}: {online} is not on this machine and {why}.")
    return chosen


def _availability(name: str) -> tuple[bool, str | None]:
    """Does the data set or the network lie on this machine, and where does it come from?"""
    from helpers import datasets

    if datasets.known(name):
        return datasets.is_ready(name), datasets.first_url(name)
    return weights_cached(name), "https://download.pytorch.org"


_asked_offline = offline  # the parameter of ``choose`` hides the function's name


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _made(folder: Path, variable: str) -> Path:
    folder = folder.expanduser().resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"The folder {folder} cannot be made ({error.strerror}). Set {variable} to a folder that you may write to."
        ) from error
    return folder
