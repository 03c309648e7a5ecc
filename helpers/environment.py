"""The Python environment that the kit runs in: the active one, or the kit's own; pip adds, and never replaces.

Standard library only: this runs before anything is installed. Packages that are there stay as they are, in Google
Colab and in an environment of yours: pip gets them as constraints, so it can only add what is missing. (Outside Colab
pip's own tools, such as setuptools, are not held: recent torch asks for recent ones.)
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from helpers import machine


class EnvironmentProblem(OSError):
    """The environment cannot be made or completed; the message says what to do."""


def prepare(kit: Path, extra: str = "") -> str:
    """Make sure that everything ``pyproject.toml`` (and its ``extra``) asks for is there; return the Python to use."""
    if is_active():
        python, have = sys.executable, installed()
    else:
        python = make(kit)
        have = installed(own_folder(kit))
    lacking = missing(needs(kit, extra), have)
    if lacking:
        install(python, f"{kit}[{extra}]" if extra else str(kit), lacking, have)
    return python


def find(kit: Path) -> str:
    """The Python that ``prepare`` would use, as far as it is there already."""
    own = own_python(kit)
    return sys.executable if is_active() or not own.exists() else str(own)


def is_active() -> bool:
    """True in a virtual environment, in an activated conda environment (JupyterHub too) and in Google Colab."""
    in_conda = os.path.realpath(os.environ.get("CONDA_PREFIX", "/none")) == os.path.realpath(sys.prefix)
    return sys.prefix != sys.base_prefix or in_conda or machine.in_colab()


def own_folder(kit: Path) -> Path:
    return kit / ".venv"


def own_python(kit: Path) -> Path:
    return own_folder(kit) / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def make(kit: Path) -> str:
    """Make the kit's own environment unless it is there and whole; return its Python."""
    folder, python = own_folder(kit), own_python(kit)
    if python.exists() and "pip" in installed(folder):
        return str(python)
    if importlib.util.find_spec("ensurepip") is None:
        raise EnvironmentProblem(
            "This Python cannot make an environment: its module ensurepip is missing.\n"
            f"On Debian or Ubuntu:  sudo apt install python3.{sys.version_info.minor}-venv\n"
            "Then run the same command again."
        )
    print(f"Making an environment for the kit in {folder}", flush=True)
    made = subprocess.run([sys.executable, "-m", "venv", str(folder)], capture_output=True, text=True)
    if made.returncode:
        raise EnvironmentProblem(f"{made.stdout}{made.stderr}\nThe environment {folder} could not be made: see above.")
    return str(python)


def installed(folder: Path | None = None) -> dict[str, str]:
    """Name and version of every installed package: of this Python, or of the virtual environment in ``folder``."""
    path = sys.path
    if folder is not None:
        path = [str(place) for place in (*folder.glob("lib/python*/site-packages"), folder / "Lib" / "site-packages")]
    versions: dict[str, str] = {}
    for package in importlib.metadata.distributions(path=path):
        name = package.metadata["Name"]
        if name and package.version:
            versions.setdefault(_plain(name), package.version)  # the first on the path is the one that is imported
    return versions


def needs(kit: Path, extra: str = "") -> dict[str, str]:
    """Name and lowest version of each requirement in the kit's ``pyproject.toml``."""
    project = tomllib.loads((kit / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = project["dependencies"] + (project["optional-dependencies"][extra] if extra else [])
    return dict(line.replace(" ", "").split(">=") for line in lines)


def missing(wanted: dict[str, str], have: dict[str, str]) -> list[str]:
    """The requirements that have to be added; one that is there but too old is reported, not replaced."""
    old = []
    for name, lowest in wanted.items():
        version = have.get(_plain(name))
        if version and numbers(version) < numbers(lowest):
            old.append(f"{name} {version} (the kit needs {lowest} or newer)")
    if old:
        raise EnvironmentProblem(
            f"This environment holds {', '.join(old)}. The kit never changes what is installed.\n"
            "Upgrade it yourself with pip, or leave the environment: without an active one the kit makes its own.\n"
            "If it is the kit's own already, delete the folder .venv and run the same command again."
        )
    return [name for name in wanted if _plain(name) not in have]


def constraints(have: dict[str, str]) -> str:
    """The text of a pip constraints file that pins every installed package to the version it has."""
    free = {machine.KIT_NAME}
    if not machine.in_colab():
        # A fresh environment holds an old setuptools; pinned, it makes pip try one older torch after the other.
        free |= {"pip", "setuptools", "wheel"}
    pinned = [name for name in sorted(have) if name not in free and re.fullmatch(r"\d[\w.+!-]*", have[name])]
    return "".join(f"{name}=={have[name]}\n" for name in pinned)


def install(python: str, target: str, lacking: list[str], have: dict[str, str]) -> None:
    """Install ``target`` (the kit's folder, perhaps with an extra) editable; whatever ``have`` lists stays as it is."""
    print(f"Installing what is missing: {', '.join(lacking)}", flush=True)
    if "torch" in lacking:
        print("PyTorch and what belongs to it are 1 to 5 GB: a few minutes, once.", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        pins = Path(scratch) / "constraints.txt"
        pins.write_text(constraints(have), encoding="utf-8")
        options = ["--no-input", "--constraint", str(pins), "--editable", target]
        done = run_pip([python, "-m", "pip", "install", *options])
    if not done:
        free = shutil.disk_usage(Path(python).parent).free / 2**30
        raise EnvironmentProblem(
            f"pip could not install {', '.join(lacking)}; its last words stand above. The usual causes:\n"
            f"- no network;\n- a full disk ({free:.1f} GiB are free, up to 8 are needed);\n"
            "- a Python so new that PyTorch is not made for it yet;\n"
            "- an environment of yours whose packages do not go together with what the kit adds (it changes none)."
        )


def run_pip(command: list[str]) -> bool:
    """Run pip, which shows what it does; True when it ended well."""
    return subprocess.run(command).returncode == 0


def numbers(version: str) -> tuple[int, ...]:
    """ "2.11.0+cu128" -> (2, 11): enough to compare with a lower bound."""
    release = re.match(r"\d+(\.\d+)*", version)
    parts = [int(part) for part in release[0].split(".")] if release else []
    while parts and parts[-1] == 0:
        parts.pop()  # 2.0 is as new as 2.0.0
    return tuple(parts)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
