"""``python -m helpers COMMAND``: what colab_setup.py hands over to. ``main`` says for each command who carries it out.

What only maintainers run (test, record, colab, address) lies with the tests, in ``tests/tools``.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

TOOLS = {  # in tests/tools
    "test": ("run_tests", "run every test; further arguments go to pytest"),
    "record": ("record", "execute notebooks and store their outputs"),
    "colab": ("replica", "take over the versions that Colab publishes"),
    "address": ("address", "write the repository's address into every badge and link"),
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m helpers", description="The commands of the CNN course kit.")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    one = commands.add_parser("run", help="execute a notebook and keep what it made in a folder of results")
    one.add_argument("notebook", nargs="?", default="07", help="a path, or a name such as 07 (the default)")
    one.add_argument("--results", default="results", metavar="FOLDER", help="where the new folder is made (results)")
    opened = commands.add_parser("lab", help="open JupyterLab; further arguments go to it", allow_abbrev=False)
    opened.add_argument(
        "--student", nargs="?", const="student", metavar="FOLDER", help="on copies without outputs, in FOLDER (student)"
    )
    shown = commands.add_parser("slides", help="export notebooks as slides")
    shown.add_argument("notebooks", nargs="*", help="paths or names such as 01 02; all without any")
    shown.add_argument("--results", default="results", metavar="FOLDER", help="they go to FOLDER/slides (results)")
    before = commands.add_parser("prefetch", help="bring all data and pretrained networks to this machine")
    before.add_argument("--list", action="store_true", help="only show what would be fetched")
    commands.add_parser("diagnose", help="look at this machine and say what is wrong")
    copies = commands.add_parser("student", help="write copies of the notebooks without outputs")
    copies.add_argument("folder", metavar="FOLDER")
    for name, (_, what) in TOOLS.items():
        commands.add_parser(name, help=f"{what} (in a clone of the repository)", add_help=False)
    return top


def main(arguments: Sequence[str]) -> int:
    """Carry out one command and return the exit status; what goes wrong is said in a sentence."""
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # a debugger's warning that helps nobody here
    options, others = parser().parse_known_args(arguments)
    if others and options.command not in (*TOOLS, "lab"):
        parser().error(f"not known: {' '.join(others)}")
    try:
        return _carry_out(options, others)
    except ModuleNotFoundError as error:
        why = f"{error}. Use python3 colab_setup.py with the same command: it installs what is missing."
    except (ValueError, OSError) as error:
        why = str(error)
    print(why, file=sys.stderr)
    return 1


def _carry_out(options: argparse.Namespace, others: Sequence[str]) -> int:
    # Imported where they are used: some commands come before anything is installed.
    match options.command:
        case "run":
            from helpers.commands import run

            return run.run(options.notebook, results=options.results)
        case "lab":
            return lab(others, student=options.student)
        case "slides":
            from helpers.commands import slides

            return slides.slides(options.notebooks, results=options.results)
        case "prefetch":
            from helpers.commands import prefetch

            return prefetch.prefetch(only_list=options.list)
        case "student":
            from helpers.commands import student

            return student.student(options.folder)
        case tool if tool in TOOLS:
            return run_tool(tool, others)
    return diagnose()


def diagnose() -> int:
    """Print the diagnosis; 1 when something is wrong."""
    from helpers import diagnosis

    found = diagnosis.checks()
    print(f"\nDiagnosis\n{diagnosis.text(found)}\n", flush=True)
    return 1 if any(check.ok is False for check in found) else 0


def lab(arguments: Sequence[str], *, student: str | None = None) -> int:
    """Open JupyterLab on the notebooks, or on copies without outputs in the folder ``student``.

    The kit can be imported in every kernel.
    """
    from helpers.commands import run
    from helpers.commands import student as copies

    folder = run.KIT / "notebooks"
    if student:
        folder = run.Path(student).expanduser().resolve()
        copies.student(folder)
    return run.call([sys.executable, "-m", "jupyterlab", str(folder), *arguments], cwd=run.KIT)


def run_tool(name: str, arguments: Sequence[str]) -> int:
    """Carry out one of TOOLS. Raises OSError where the kit came without its tests."""
    from helpers.commands import run

    folder = run.KIT / "tests" / "tools"
    if not folder.is_dir():
        raise OSError(f"{name!r} is for a clone of the whole repository; this copy of the kit has no folder {folder}.")
    sys.path.insert(0, str(folder))
    return importlib.import_module(TOOLS[name][0]).main(arguments)
