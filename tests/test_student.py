"""Student copies: the notebooks without outputs, in a folder of one's own and on the branch that the badges open."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import colab_setup
from helpers import commands
from helpers.commands import run, student

KIT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((KIT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copies")
    student.student(folder)
    return folder


def test_every_notebook_is_copied_and_nothing_else(copies: Path) -> None:
    assert [path.name for path in sorted(copies.iterdir())] == [path.name for path in NOTEBOOKS]


def test_a_copy_lacks_outputs_and_counts_and_nothing_else(copies: Path) -> None:
    for path in NOTEBOOKS:
        expected = nbformat.read(path, as_version=4)
        for cell in expected.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.validate(nbformat.read(copies / path.name, as_version=4))
        same = (copies / path.name).read_text(encoding="utf-8") == nbformat.writes(expected) + "\n"
        assert same, path.name


def test_what_a_student_changed_is_kept_and_said(tmp_path: Path, capsys) -> None:
    folder = tmp_path / "my course"
    assert commands.main(["student", str(folder)]) == 0
    assert f"{len(NOTEBOOKS)} new in {folder}" in capsys.readouterr().out
    first, second, third = (folder / path.name for path in NOTEBOOKS[:3])
    answered = nbformat.read(first, as_version=4)
    answered.cells[1].source += "\nmy note"
    nbformat.write(answered, first)
    second.unlink()
    before = {path: path.read_bytes() for path in (first, third)}
    assert commands.main(["student", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "1 new in" in shown and f"since they were changed: {first.name}\n" in shown
    assert {path: path.read_bytes() for path in before} == before
    assert second.exists()
    assert sorted(path.name for path in folder.iterdir()) == [path.name for path in NOTEBOOKS]


def test_lab_opens_student_copies(tmp_path: Path, monkeypatch) -> None:
    seen = {}
    monkeypatch.setattr(run, "call", lambda command, cwd: seen.update(command=command) or 0)
    monkeypatch.chdir(tmp_path)
    for arguments, folder in ((["--student"], "student"), (["--student", "mine"], "mine")):
        assert commands.main(["lab", *arguments, "--no-browser"]) == 0
        assert seen["command"][1:] == ["-m", "jupyterlab", str(tmp_path / folder), "--no-browser"]
        assert len(list((tmp_path / folder).iterdir())) == len(NOTEBOOKS)


# -------------------------------------------------------------------------------------------- the branch "student"


def git(*arguments: str | Path, cwd: Path) -> str:
    name = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *name, *map(str, arguments)], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone of a repository that holds one notebook and what is needed to copy it."""
    if not shutil.which("git") or os.name == "nt":
        pytest.skip("needs git and bash")
    kit = tmp_path / "kit"
    needed = ("helpers/__init__.py", "helpers/__main__.py", "helpers/machine.py", "helpers/commands/__init__.py")
    for name in (".ci/student", *needed, "helpers/commands/run.py", "helpers/commands/student.py"):
        (kit / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(KIT / name, kit / name)
    (kit / "notebooks").mkdir()
    shutil.copy(NOTEBOOKS[0], kit / "notebooks")
    git("init", cwd=kit)
    git("add", "--all", cwd=kit)
    git("commit", "-m", "all", cwd=kit)
    git("clone", "--bare", kit, tmp_path / "origin.git", cwd=tmp_path)
    git("remote", "add", "origin", tmp_path / "origin.git", cwd=kit)
    return kit


def publish(kit: Path) -> str:
    env = {**os.environ, "PYTHON": sys.executable}
    env.pop("PYTHONPATH", None)
    done = subprocess.run([kit / ".ci" / "student"], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_branch_is_main_with_copies(checkout: Path, copies: Path) -> None:
    for _ in range(2):  # the second time it replaces the first
        publish(checkout)
        git("fetch", "origin", cwd=checkout)
        branch = f"origin/{colab_setup.BRANCH}"  # what the set-up cell fetches from
        assert git("diff", "--name-only", "main", branch, cwd=checkout) == f"notebooks/{NOTEBOOKS[0].name}"
        published = git("show", f"{branch}:notebooks/{NOTEBOOKS[0].name}", cwd=checkout)
        assert published + "\n" == (copies / NOTEBOOKS[0].name).read_text(encoding="utf-8")
        assert git("rev-parse", f"{branch}^", cwd=checkout) == git("rev-parse", "main", cwd=checkout)
    assert git("status", "--porcelain", cwd=checkout) == "" and git("worktree", "list", cwd=checkout).count("\n") == 0


def test_an_older_commit_does_not_replace_a_newer_one(checkout: Path) -> None:
    git("commit", "--allow-empty", "-m", "newer", cwd=checkout)
    git("push", "origin", "main", cwd=checkout)
    git("reset", "--hard", "HEAD~1", cwd=checkout)
    assert "main has moved on" in publish(checkout)
    assert "student" not in git("ls-remote", "origin", cwd=checkout)


def test_the_workflow_publishes_only_what_was_tested_on_main() -> None:
    workflow = (KIT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    _, job = workflow.split("\n  student:")
    assert "needs: tests" in job and "contents: write" in job and ".ci/student" in job
    assert "if: github.event_name == 'push' && github.ref == 'refs/heads/main'" in job
    assert "contents: write" not in workflow.replace(job, "")
