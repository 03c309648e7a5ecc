"""``python -m helpers COMMAND``: what colab_setup.py hands over to.

run, test, lab, slides, prefetch, diagnose, address; and for maintainers record, student, colab.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """The command line; the functions below say what each command does."""
    top = argparse.ArgumentParser(prog="python -m helpers", description="The commands of the CNN course kit.")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    one = commands.add_parser("run", help="execute a notebook and keep what it made in a folder of results")
    one.add_argument("notebook", nargs="?", default="", help="a path, or a name such as 07 (the default)")
    one.add_argument("--results", default="results", metavar="FOLDER", help="where the new folder is made (results)")
    commands.add_parser("test", help="run every test; further arguments go to pytest", allow_abbrev=False)
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
    many = commands.add_parser("record", help="execute notebooks and store their outputs, for maintainers")
    many.add_argument("notebooks", nargs="*", help="paths or names such as 01 02; all without any")
    copies = commands.add_parser("student", help="write copies of the notebooks without outputs")
    copies.add_argument("folder", metavar="FOLDER")
    commands.add_parser("colab", help="take over the versions that Colab publishes, for maintainers")
    fork = commands.add_parser("address", help="write the repository's address into every badge and link")
    fork.add_argument("address", metavar="OWNER/NAME")
    return top


def main(arguments: Sequence[str]) -> int:
    """Carry out one command; returns the exit status."""
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # a debugger's warning that helps nobody here
    options, others = parser().parse_known_args(arguments)
    if others and options.command not in ("test", "lab"):
        parser().error(f"not known: {' '.join(others)}")
    match options.command:
        case "run":
            from helpers.commands import run

            return run.run(options.notebook, results=options.results)
        case "test":
            from helpers.commands import test

            return test.run_tests(others)
        case "lab":
            return lab(others, student=options.student)
        case "slides":
            from helpers.commands import slides

            return slides.slides(options.notebooks, results=options.results)
        case "prefetch":
            from helpers.commands import prefetch

            return prefetch.prefetch(only_list=options.list)
        case "record":
            from helpers.commands import record

            return record.record(options.notebooks)
        case "student":
            from helpers.commands import student as cmd_student

            return cmd_student.student(options.folder)
        case "colab":
            from helpers.commands import colab

            return colab.refresh()
        case "address":
            return write_address(options.address)
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
    from helpers.commands import student as cmd_student

    folder = run.KIT / "notebooks"
    if student:
        folder = Path(student).expanduser().resolve()
        cmd_student.student(folder)
    command = [sys.executable, "-m", "jupyterlab", str(folder), *arguments]
    return run.call(command, cwd=run.KIT, env=run.kernel_environment(dict(os.environ)))


def write_address(new: str) -> int:
    """Write the address and say where."""
    from helpers.commands import address

    changed = address.address(new)
    for path in changed:
        print(f"  {path.relative_to(address.KIT)}")
    print(f"{len(changed)} files changed; the address is {address.current()}.")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ModuleNotFoundError as error:
        sys.exit(f"{error}. Use python3 colab_setup.py with the same command: it installs what is missing.")
    except (ValueError, OSError) as error:
        sys.exit(str(error))
