"""Where am I running, and with what: Colab or not, device, profile, folders, network, memory, files.

The environment variables that steer it are listed in ``runtime``, which gives these functions to the notebooks.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

KIT_NAME = "cnn-course-kit"
DRIVE_FOLDER = Path("/content/drive/MyDrive")
PROFILES = ("quick", "full")

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the Drive is full",
    errno.EROFS: "the folder can only be read",
    errno.EACCES: "you may not read or write there",
    errno.EPERM: "you may not read or write there",
    errno.ENOTCONN: "the Drive is no longer connected: run drive.mount() again",
}
_reached: set[str] = set()  # addresses whose server answered; failures are asked anew


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


def can_reach(url: str, *, timeout: float = 4.0) -> bool:
    """True when the server of ``url`` answers at all (any HTTP status) within ``timeout`` seconds.

    A server that answered once in this process is not asked again; one that did not is. Never asks under KIT_OFFLINE=1.
    """
    if offline():
        return False
    if url in _reached:
        return True
    import requests  # here, so that the ground floor stays light; it also knows addresses with umlauts

    try:
        requests.head(url, timeout=timeout)  # the server is there, whatever it thinks of the address
    except (OSError, ValueError):
        return False
    _reached.add(url)
    return True


def no_network(whose: str = "its") -> str:
    """Why something did not come over the network, as half a sentence."""
    return "KIT_OFFLINE=1 is set" if offline() else f"{whose} server cannot be reached"


def choose(online: str, offline: Sequence[str], *, is_ready: Callable[[str], bool], url: str | None) -> str:
    """``online`` where it is ready or its server answers; else the first of ``offline`` that is ready (or the last).

    Prints in one line which, and why. ``url`` is an address of ``online``'s server.
    """
    if is_ready(online):
        print(f"Using {online}: it is on this machine.")
        return online
    if url and can_reach(url):
        print(f"Using {online}: it will be downloaded.")
        return online
    chosen = next(filter(is_ready, offline), offline[-1])
    print(f"Using {chosen} in place of {online}: {online} is not on this machine and {no_network()}.")
    return chosen


def free_memory() -> int:
    """Bytes of memory free for this process: of the machine, or what its container (cgroup v1 or v2) may still take."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
        return max(0, min([free, *_left_in_container(Path("/sys/fs/cgroup"))]))
    import psutil  # comes with ipykernel; asked where there is no /proc

    return psutil.virtual_memory().available


def _left_in_container(root: Path) -> Iterator[int]:
    """Limit minus usage in bytes, where there is a limit. Files that the system only caches do not count as usage.

    A container sees its own group as ``root``; a service (JupyterHub starts one a user) is in a group below it.
    """
    groups = {""}
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            own = PurePosixPath(line.split(":", 2)[-1].lstrip("/"))
            groups |= {"" if str(group) == "." else str(group) for group in (own, *own.parents)}
    for folder, limit, usage, cached in (
        ("", "memory.max", "memory.current", "inactive_file"),
        ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        for group in (root / folder / name for name in groups):
            with contextlib.suppress(OSError, ValueError):  # no such version of cgroups, or the limit is "max"
                left = int((group / limit).read_text()) - int((group / usage).read_text())
                with contextlib.suppress(OSError, KeyError):
                    left += int(dict(line.split() for line in (group / "memory.stat").read_text().splitlines())[cached])
                yield left


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file in one step: the block fills the temporary path that it gets, which then takes ``path``'s place.

    When the block fails, ``path`` stays as it was. The bytes are on the disk before the name is. One writer at a time:
    the temporary file, ``NAME.partial`` beside ``path``, is always the same, so that no killed process leaves a pile.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)  # or a full disk would stay full


def reason(error: OSError) -> str:
    """What ``error`` means, in words that follow a colon: "the disk is full"."""
    return _REASONS.get(error.errno or 0) or error.strerror or str(error)


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
