"""What this machine offers, what is wrong with it, and what to do about it, in plain words.

``checks()`` looks (never at the network), ``text()`` prints all of it, ``summary()`` is the short form for a
notebook's first cell (``runtime.describe()``). Works without torch too: that is then the first thing it says.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import os
import platform
import re
import shutil
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from helpers import drive, environment, machine

GIB = 2**30
MARKS = {True: "ok", None: "--", False: "!!"}
INSTALL = "Run: python3 colab_setup.py lab (it installs what is missing)."


@dataclasses.dataclass(frozen=True)
class Check:
    """One line of the diagnosis. ``ok`` is None where nothing is wrong, but something is worth knowing."""

    name: str
    value: str
    ok: bool | None
    fix: str = ""


def checks() -> list[Check]:
    """Look at Python, packages, hardware, folders and data. Takes well under a second once torch is imported."""
    return [
        _python(),
        _torch(),
        _gpu(),
        _cores(),
        _memory(),
        _profile(),
        _network(),
        *([_drive()] if machine.in_colab() else []),
        _folder("data", "KIT_HOME", room=2.0),
        _folder("results", "KIT_PERSIST", room=0.5),
        _data(),
    ]


def text(found: Sequence[Check]) -> str:
    """One aligned line a check, marked ok, -- or !!, with what to do below it where there is something to do."""
    width = max(len(check.name) for check in found)
    lines = []
    for check in found:
        lines.append(f"{MARKS[check.ok]} {check.name:<{width}}  {check.value}")
        lines += [" " * (width + 5) + line for line in check.fix.splitlines()]
    return "\n".join(lines)


def summary(found: Sequence[Check]) -> str:
    """Three to six lines for a notebook; whatever needs attention follows with its fix."""
    values = {check.name: check.value for check in found}
    where = "Google Colab" if machine.in_colab() else platform.system() or "this machine"
    lines = [
        f"Course kit on {where}, Python {values['Python']}, torch {values['torch']}",
        f"Hardware:    {values['GPU']}; {values['cores']}; {values['memory']}",
        f"Profile:     {values['profile']}",
        f"Data in:     {values['data']}; ready: {values['data sets']}",
        f"Results in:  {values['results']}",
    ]
    for check in found:
        if check.fix:
            first, *rest = check.fix.splitlines()
            lines += [f"{MARKS[check.ok]} {check.name}: {first}", *(f"   {line}" for line in rest)]
    return "\n".join(lines)


def _python() -> Check:
    good = sys.version_info >= (3, 11)
    return Check("Python", platform.python_version(), good, "" if good else "The kit needs Python 3.11 or newer.")


def _torch() -> Check:
    try:
        torch = importlib.import_module("torch")
        vision = importlib.metadata.version("torchvision")
    except (ImportError, OSError) as error:  # OSError: one of its libraries cannot be loaded
        said = (str(error).strip().splitlines() or [type(error).__name__])[-1][:100]
        return Check("torch", f"cannot be imported ({said})", False, INSTALL)
    value = f"{torch.__version__}, torchvision {vision}"
    wanted = _wanted_torch()
    if wanted:
        fix = "pip install --upgrade torch torchvision   brings two that belong together."
        if machine.in_colab():
            fix = "Runtime > Disconnect and delete runtime, then run the notebook without what replaced one of them."
        fix = f"They fail together ('operator torchvision::nms does not exist').\n{fix}"
        return Check("torch", f"{value}, which was made for torch {wanted}", False, fix)
    return Check("torch", value, True)


def _wanted_torch() -> str:
    """The torch that the installed torchvision asks for, where the installed one is not it; else "".

    From the packages' metadata: to import torchvision takes seconds.
    """
    requirements = "\n".join(importlib.metadata.requires("torchvision") or [])
    wanted = re.search(r"(?m)^torch\s*\(?(==|>=)\s*([\d.]+)", requirements)
    if not wanted:
        return ""
    have, need = environment.numbers(importlib.metadata.version("torch")), environment.numbers(wanted[2])
    fits = have == need if wanted[1] == "==" else have >= need
    return "" if fits else wanted[2]


def _gpu() -> Check:
    try:
        torch = importlib.import_module("torch")
    except (ImportError, OSError):
        return Check("GPU", "unknown without torch", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an old driver is reported below, in words
        device = machine.device()
    if device == "cuda":
        card = torch.cuda.get_device_properties(0)
        return Check("GPU", f"{card.name}, {card.total_memory / GIB:.0f} GiB", True)
    if device == "mps":
        return Check("GPU", "Apple GPU (mps)", True)
    if not machine.in_colab() and (Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi")):
        fix = "torch cannot use the NVIDIA GPU: update its driver, or install a torch made for it (pytorch.org)."
        return Check("GPU", "GPU not usable, the CPU computes", False, fix)
    fix = "For a free GPU: Runtime > Change runtime type > T4 GPU. The notebooks also run without one."
    return Check("GPU", "no GPU, the CPU computes", None, fix if machine.in_colab() else "")


def _cores() -> Check:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Check("cores", "1 core" if count == 1 else f"{count} cores", True)


def _memory() -> Check:
    try:
        free = machine.free_memory()
    except ImportError:
        return Check("memory", "memory unknown", None)
    fix = "" if free >= 2 * GIB else "Shut down other notebooks and programs; the notebooks need about 2 GiB."
    return Check("memory", f"{free / GIB:.1f} GiB of memory free", not fix, fix)


def _profile() -> Check:
    meaning = {"quick": "small sizes, for a CPU or a lecture", "full": "the sizes for a GPU"}
    try:
        profile = machine.profile()
    except ValueError as error:
        return Check("profile", "not known", False, str(error))
    except (ImportError, OSError):
        return Check("profile", "unknown without torch", None)
    return Check("profile", f"{profile} ({meaning[profile]}; KIT_PROFILE changes it)", True)


def _network() -> Check:
    if machine.offline():
        return Check("network", "not used (KIT_OFFLINE=1)", None)
    return Check("network", "used when something has to be fetched (KIT_OFFLINE=1 forbids it)", True)


def _drive() -> Check:
    if drive.is_mounted():
        return Check("Drive", "mounted", True)
    fix = "To keep results when the session ends, run: from helpers import drive; drive.mount()"
    return Check("Drive", "not mounted", None, fix)


def _folder(name: str, variable: str, *, room: float) -> Check:
    """Can the folder be written to, and is there ``room`` (GiB) on its disk?"""
    try:
        folder = machine.home() if variable == "KIT_HOME" else drive.persist()
        drive.check_writable(folder)
        free = drive.free_bytes(folder) / GIB
    except OSError as error:
        fix = drive.explain(error) if error.errno else str(error)  # without a number it is a sentence of ours already
        return Check(name, "no folder that can be written to", False, fix)
    value = f"{shown(folder, variable)}, {free:.1f} GiB free"
    lasts = not machine.in_colab() or (drive.is_mounted() and folder.is_relative_to(drive.MOUNTPOINT))
    if variable == "KIT_PERSIST" and not lasts:
        value += ", LOST when the session ends"
    fix = "" if free >= room else f"Make room ({room} GiB), or set {variable} to a folder on a larger disk."
    return Check(name, value, not fix, fix)


def shown(folder: Path, variable: str) -> str:
    """A folder as a notebook may store it: never with the name of somebody's account or machine."""
    if os.environ.get(variable):
        return f"${variable}"
    home = Path.home().resolve()
    return f"~/{folder.relative_to(home).as_posix()}" if folder.is_relative_to(home) else str(folder)


def _data() -> Check:
    try:
        from helpers import datasets
    except ImportError:  # numpy or PIL is missing
        return Check("data sets", "unknown until the packages are installed", None)
    drawn = [name for name in datasets.names() if name.endswith("_standin")]
    ready = [name for name in datasets.names() if name not in drawn and datasets.is_ready(name)]
    value = ", ".join(ready) + " and " if ready else ""
    return Check("data sets", f"{value}{len(drawn)} that the kit draws itself", True)
