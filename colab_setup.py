"""Bring the CNN course kit to this machine, give it an environment, and hand over to ``python -m helpers``.

This file works alone: a Colab cell fetches it and calls ``bring()``, on your own machine it is the one command.
It uses the standard library only, and its syntax is old enough to tell an old Python what is wrong.
"""

from __future__ import annotations

import http.client
import importlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from pathlib import Path

ADDRESS = "your-name/cnn-course-kit"  # on GitHub; changed everywhere by: python3 colab_setup.py address OWNER/NAME
BRANCH = "student"  # what passed the tests on main, without outputs; .ci/student makes it, and the badges open it
FOLDER = "cnn-course-kit"
OLDEST_PYTHON = (3, 11)

USAGE = """\
python3 colab_setup.py run [NOTEBOOK]       execute a notebook (the fine-tuning one) and keep what it made
python3 colab_setup.py test [PYTEST ARGS]   run every test: pytest for the helpers, nbval for the notebooks
python3 colab_setup.py test --colab         run the notebooks in a replica of Google Colab (Python 3.13)
python3 colab_setup.py test --browser       drive JupyterLab in chromium or Chrome, as a person would
python3 colab_setup.py lab                  open JupyterLab on the notebooks
python3 colab_setup.py lab --student [DIR]  the same on copies of your own, without the stored outputs
python3 colab_setup.py slides [NOTEBOOKS]   export notebooks as slides for a browser
python3 colab_setup.py prefetch             before class: bring all data and pretrained networks to this machine
python3 colab_setup.py diagnose             look at this machine and say what is wrong; installs nothing
python3 colab_setup.py address OWNER/NAME   write the repository's address into every badge and link
python3 colab_setup.py record [NOTEBOOKS]   for contributors: execute notebooks and store their outputs
python3 colab_setup.py colab                for contributors: take over the versions that Colab publishes
"""
# What a command needs beside the kit's requirements: an extra of pyproject.toml, "" for none; None: install nothing.
COMMANDS = {
    "run": "",
    "record": "",
    "slides": "",
    "prefetch": "",
    "test": "test",
    "lab": "lab",
    "diagnose": None,
    "address": None,
    "colab": None,
}


class SetupError(RuntimeError):
    """A sentence for the person at the keyboard: what went wrong and what to do."""


def bring(folder: str = FOLDER, branch: str = BRANCH) -> Path:
    """Make ``import helpers`` work in this process and return the kit's folder; installs nothing.

    Takes the kit that lies beside this file, here, one folder up or in ``./cnn-course-kit``. Only when there is
    none, downloads it: ``branch`` from GitHub, or from KIT_SOURCE (the address or path of a zip file, or a folder).
    """
    check_python()
    here = Path.cwd()
    places = [Path(__file__).resolve().parent, here, here.parent, here / folder]
    kit = next(filter(is_kit, places), None) or fetch(here / folder, branch)
    put_first(kit)
    return kit


def put_first(kit: Path) -> None:
    """Let ``import helpers`` find the kit, also where another module of that name lies before it or is in use."""
    if sys.path[0] != str(kit):
        sys.path.insert(0, str(kit))
    importlib.invalidate_caches()
    other = getattr(sys.modules.get("helpers"), "__file__", None)
    if "helpers" in sys.modules and not (other and Path(other).with_name("runtime.py").is_file()):
        for name in [name for name in sys.modules if name.partition(".")[0] == "helpers"]:
            del sys.modules[name]
        print(f"Another module is called helpers, too ({other}). The course kit's is used; to use both, rename yours.")


def check_python() -> None:
    if sys.version_info[:2] >= OLDEST_PYTHON:
        return
    newer = [f"python3.{minor}" for minor in range(OLDEST_PYTHON[1], 21) if shutil.which(f"python3.{minor}")]
    raise SetupError(
        "The kit needs Python {}.{} or newer; this is Python {}.{}. ".format(*OLDEST_PYTHON, *sys.version_info[:2])
        + (f"Use {newer[0]} instead." if newer else "Get a newer one from https://www.python.org/downloads/.")
    )


def is_kit(folder: Path) -> bool:
    return (folder / "helpers" / "runtime.py").is_file() and (folder / "pyproject.toml").is_file()


def fetch(target: Path, branch: str = BRANCH) -> Path:
    """Download and unpack the kit into ``target``, which appears only when it is complete."""
    source = os.path.expanduser(os.environ.get("KIT_SOURCE") or default_source(branch))
    if os.path.isdir(source):
        if not is_kit(Path(source)):
            raise SetupError(f"KIT_SOURCE is the folder {source}, which does not hold the kit (no helpers/ in it).")
        return Path(source).resolve()
    if target.exists():
        raise SetupError(f"{target} exists, but it is not the kit. Rename it and try again; nothing in it was touched.")
    print(f"Fetching the course kit from {source}", flush=True)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
            archive = Path(scratch) / "kit.zip"
            download(source, archive)
            unpacked = unpack(archive, Path(scratch) / "kit")
            if not is_kit(target):  # a notebook that started at the same time may have been quicker
                unpacked.rename(target)
    except OSError as error:
        raise SetupError(f"The kit cannot be written to {target.parent}: {error.strerror or error}.") from None
    return target


def default_source(branch: str) -> str:
    if ADDRESS.startswith("your-name/"):
        raise SetupError(
            "The kit's address has not been set, so it cannot be fetched. Whoever publishes it runs once:\n"
            "    python3 colab_setup.py address OWNER/NAME\n"
            "Until then, set KIT_SOURCE to a zip file or a folder of the kit."
        )
    if os.environ.get("KIT_OFFLINE", "").strip().lower() in {"1", "true", "yes", "on"}:
        raise SetupError("The kit is not on this machine, and KIT_OFFLINE=1 forbids fetching it. Unset KIT_OFFLINE.")
    return f"https://github.com/{ADDRESS}/archive/refs/heads/{branch}.zip"


def download(source: str, archive: Path) -> None:
    """Copy the zip file at ``source`` (an address or a path) to ``archive``, and check that all of it came."""
    try:
        if "://" not in source:
            shutil.copyfile(source, archive)
            return
        with urllib.request.urlopen(source, timeout=60) as response, archive.open("wb") as file:
            shutil.copyfileobj(response, file)
            expected = response.headers.get("Content-Length")
    except urllib.error.HTTPError as error:
        hint = "is the address right, and the repository public?" if error.code == 404 else "try again later."
        raise SetupError(f"The server answered {error.code} ({error.reason}) for {source}: {hint}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise SetupError(
            f"The kit could not be fetched from {source} ({error}).\n"
            "Check the network and the address. Without a network, set KIT_SOURCE to a zip file of the kit."
        ) from None
    if expected and archive.stat().st_size != int(expected):
        raise SetupError(f"The download of {source} broke off. Try again.")


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a zip file, refusing entries that would leave ``folder``; return the folder that holds the kit."""
    try:
        with zipfile.ZipFile(archive) as file:
            for name in file.namelist():
                if name.startswith(("/", "\\")) or ":" in name or ".." in re.split(r"[/\\]", name):
                    raise SetupError(f"The zip file is not to be trusted: its entry {name!r} would leave the folder.")
            file.extractall(folder)
    except (zipfile.BadZipFile, zlib.error, EOFError):
        raise SetupError("What came is not a whole zip file. Try again, and check the address.") from None
    kit = next(filter(is_kit, [folder, *sorted(folder.iterdir())]), None)
    if kit is None:
        raise SetupError("The zip file does not hold the course kit (no helpers/ and pyproject.toml in it).")
    return kit


def hand_over(command: list[str], kit: Path) -> int:
    """Run a command with the kit importable; Ctrl-C is the command's to handle. Returns its exit status."""
    path = os.pathsep.join(filter(None, [str(kit), os.environ.get("PYTHONPATH", "")]))
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue  # the command got it too, and is tidying up


def main(arguments: list[str]) -> int:
    command, rest = (arguments[0], arguments[1:]) if arguments else ("diagnose", [])
    if not arguments or command not in COMMANDS:
        print(USAGE)
    if command not in COMMANDS:
        return 0 if command in ("-h", "--help", "help") else 2
    kit = bring(branch="main")  # with outputs: the tests compare them, the slides show them
    extra = "browser" if command == "test" and "--browser" in rest else COMMANDS[command]
    from helpers import environment  # it came with the kit

    try:
        if extra is None:
            python = environment.find(kit)
        else:
            python = environment.prepare(kit, extra)
            hand_over([python, "-P", "-m", "helpers", "diagnose"], kit)
    except environment.EnvironmentProblem as error:
        raise SetupError(str(error)) from None
    return hand_over([python, "-P", "-m", "helpers", command, *rest], kit)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except SetupError as error:
        sys.exit(f"\n{error}")
    except KeyboardInterrupt:
        sys.exit("\nStopped. Run the same command again to go on.")
