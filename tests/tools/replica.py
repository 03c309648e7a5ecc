"""``colab_setup.py test --colab``: every notebook from its first cell, as on Google Colab.

A replica is Python 3.13 with the versions of ``tests/colab/constraints.txt`` and a stand-in for ``google.colab``. Each
notebook lies alone in an empty folder; its set-up cell fetches everything else, from a local server in the place of
GitHub. nbval compares the outputs with the stored ones. At the end nothing may have been installed or upgraded.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import settings

from helpers.commands import run

PYTHON = "3.13"
FOLDER = run.KIT / ".venv-colab"
REPLICA = run.KIT / "tests" / "colab"
CONSTRAINTS = REPLICA / "constraints.txt"
PUBLISHED = "https://raw.githubusercontent.com/googlecolab/backend-info/main/pip-freeze.txt"
ONLY_FOR_TESTS = ("nbval",)  # what Colab does not ship and the comparison needs
NBVAL = ["--nbval", "--nbval-current-env", f"--nbval-sanitize-with={run.KIT / 'tests' / 'nbval_sanitize.cfg'}"]
MADE = re.compile(  # what lies in a copy of the kit and does not belong to it
    r"(results|build|dist|\.venv[^/]*)/|(.*/)?(__pycache__|[^/]+\.egg-info|\.(pytest|ruff|mypy)_cache|\.hypothesis|\.ipynb_checkpoints)/"
)


def run_notebooks(names: Sequence[str] = ()) -> int:
    """Run every notebook (or those named, "01 07") in the replica; returns the exit status, 0 when all passed."""
    notebooks = run.find_notebooks(names)
    python = replica()
    before = frozen(python)
    failed, lines = 0, []
    with tempfile.TemporaryDirectory(prefix="cnn-course-kit-", ignore_cleanup_errors=True) as scratch, server() as url:
        for notebook in notebooks:
            started = time.monotonic()
            status = run_notebook(python, notebook, Path(scratch), url)
            failed += status != 0
            lines.append(f"{time.monotonic() - started:6.1f} s  {notebook.name}  {'FAILED' if status else 'passed'}")
            print(lines[-1], flush=True)
    print("\nIn the replica of Colab:\n" + "\n".join(lines))
    if changed := sorted(set(frozen(python)) ^ set(before)):
        print(f"The notebooks changed what is installed: {', '.join(changed)}")
    return 1 if failed or changed else 0


def replica() -> Path:
    """The Python of the replica, which is made if it is not there or was made from other versions."""
    python, stamp = FOLDER / "bin" / "python", FOLDER / "constraints.txt"
    if stamp.is_file() and stamp.read_text() == CONSTRAINTS.read_text():
        return python
    print(f"Making a replica of Colab in {FOLDER}: some minutes, once.", flush=True)
    subprocess.run([find_python(), "-m", "venv", "--clear", str(FOLDER)], check=True)
    packages = [line.split("==")[0] for line in pins(CONSTRAINTS.read_text())]
    command = [str(python), "-m", "pip", "install", "--quiet", "--constraint", str(CONSTRAINTS)]
    subprocess.run([*command, *packages, *ONLY_FOR_TESTS], check=True)
    shutil.copyfile(CONSTRAINTS, stamp)  # last: a replica that was interrupted is made again
    return python


def find_python() -> str:
    """The Python of Colab's version on this machine. Raises OSError when there is none."""
    candidates = [f"python{PYTHON}", *sorted(map(str, Path.home().glob(f".pyenv/versions/{PYTHON}*/bin/python")))]
    for candidate in [*candidates, sys.executable]:
        with contextlib.suppress(OSError):
            asked = [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
            if subprocess.run(asked, capture_output=True, text=True).stdout.strip() == PYTHON:
                return candidate
    raise OSError(f"The replica of Colab needs Python {PYTHON}. Install it, then run the same command again.")


def frozen(python: Path) -> list[str]:
    """What is installed, as pip freeze lists it."""
    command = [str(python), "-m", "pip", "freeze", "--all"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def run_notebook(python: Path, notebook: Path, scratch: Path, url: str) -> int:
    """nbval's exit status for a copy of the notebook that lies alone in a new folder."""
    content = scratch / notebook.stem
    content.mkdir()
    shutil.copy(notebook, content)
    env = {
        **os.environ,
        **settings.fresh(scratch, persist=notebook.stem),
        "PYTHONPATH": str(REPLICA / "site"),
        "COLAB_REPLICA_SERVER": url,
        "COLAB_REPLICA_DRIVE": str(scratch / "drive" / notebook.stem),
        "KIT_SOURCE": f"{url}/kit.zip",
    }
    results = [f"--rootdir={content}", "-p", "no:cacheprovider", "--color=no", "-q", "--no-header"]
    results.append("--disable-warnings")  # of packages that are older than this Python
    command = [str(python), "-m", "pytest", *NBVAL, *results, notebook.name]
    return run.call(command, cwd=content, env=env)


@contextlib.contextmanager
def server() -> Iterator[str]:
    """A server in the place of GitHub: it has ``colab_setup.py`` and the kit as a zip file. Yields its address."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(run.KIT / "colab_setup.py", folder)
        pack(Path(folder) / "kit.zip")
        handler = functools.partial(_Quiet, directory=folder)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
            threading.Thread(target=running.serve_forever, daemon=True).start()
            try:
                yield f"http://127.0.0.1:{running.server_address[1]}"
            finally:
                running.shutdown()


def pack(target: Path) -> None:
    """Write the kit to a zip file, in a top folder, as GitHub does."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in kit_files(run.KIT):
            archive.write(run.KIT / name, f"cnn-course-kit-student/{name}")


def kit_files(kit: Path) -> list[str]:
    """The kit's own files, as paths below ``kit``: what git knows or would add; in a copy without git, all that is
    neither an environment, a result nor a cache."""
    if (kit / ".git").exists():
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        names = subprocess.run(command, cwd=kit, capture_output=True, text=True, check=True).stdout.split("\0")
        return [name for name in names if name and (kit / name).is_file()]
    names = (path.relative_to(kit).as_posix() for path in kit.rglob("*") if path.is_file())
    return sorted(name for name in names if not MADE.match(name))


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def main(arguments: Sequence[str] = ()) -> int:
    """Write the versions that Colab publishes now into ``tests/colab/constraints.txt``, and say what changed."""
    with urllib.request.urlopen(PUBLISHED, timeout=60) as response:
        published = response.read().decode()
    old = CONSTRAINTS.read_text()
    new, changes = refreshed(old, published, source=f"{PUBLISHED}, {time.strftime('%Y-%m-%d')}")
    CONSTRAINTS.write_text(new)
    print("\n".join(changes) or "Nothing changed.")
    return 0


def refreshed(old: str, published: str, *, source: str) -> tuple[str, list[str]]:
    """The constraints ``old`` with the versions of ``published`` (as pip freeze writes), and a line for each change."""
    versions = dict(line.split("==") for line in pins(published))
    versions = {_plain(name): version.partition("+")[0] for name, version in versions.items()}  # without +cu128
    lines, changes = [], []
    for line in old.splitlines():
        name, _, had = line.partition("==")
        now = versions.get(_plain(name), had)
        if line.startswith("# Source:"):
            line = f"# Source: {source}"
        elif had and now != had:
            line = f"{name}=={now}"
            changes.append(f"{name}: {had} -> {now}")
        lines.append(line)
    return "\n".join(lines) + "\n", changes


def pins(text: str) -> list[str]:
    """The lines ``name==version`` of a requirements file."""
    return [line.strip() for line in text.splitlines() if re.fullmatch(r"[\w.-]+==\S+", line.strip())]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
