"""The commands: run, lab, diagnose, and the maintainers' test, record and address."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import address
import nbformat
import pytest
import record
import run_tests

from helpers import commands
from helpers.commands import run

KIT = Path(__file__).resolve().parents[1]


def notebook(path: Path, *sources: str) -> Path:
    cells = [nbformat.v4.new_markdown_cell("# Tiny\n\n## 1. Work"), *map(nbformat.v4.new_code_cell, sources)]
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


# --------------------------------------------------------------------------------------------------------- run

SAVES = (
    "import json, os, pathlib\nfrom helpers import runtime\n"
    "folder = pathlib.Path(os.environ['KIT_RESULTS'])\n"
    "(folder / 'model.pt').write_bytes(b'weights')\n"
    "(folder / 'summary.json').write_text(json.dumps({'data': 'toys', 'model': 'tiny', 'test_accuracy': 93.24}))"
)


def test_run_leaves_notebook_page_and_model(tmp_path: Path, capfd) -> None:
    source = notebook(tmp_path / "tiny.ipynb", SAVES, "from IPython.display import Markdown\nMarkdown('*done*')")
    before = source.read_bytes()
    assert commands.main(["run", str(source), "--results", str(tmp_path / "results")]) == 0
    shown = capfd.readouterr()
    [folder] = (tmp_path / "results").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["model.pt", "summary.json", "tiny.html", "tiny.ipynb"]
    executed = nbformat.read(folder / "tiny.ipynb", as_version=4)
    assert [cell.execution_count for cell in executed.cells[1:]] == [1, 2]
    assert "<em>done</em>" in (folder / "tiny.html").read_text(encoding="utf-8")
    assert "Test accuracy: 93.2 % (tiny on toys)" in shown.out
    assert shown.out.rstrip().endswith(f"Results: {folder}")
    assert "2/2 cells 1. Work" in shown.err
    assert source.read_bytes() == before


def test_run_says_which_cell_failed_and_keeps_the_rest(tmp_path: Path, capfd) -> None:
    source = notebook(tmp_path / "bad.ipynb", "print('before')", "a = 1\nb = a / 0\nc = 3", "print('after')")
    assert run.run(str(source), results=tmp_path / "results") == 1
    shown = capfd.readouterr().out
    assert "Code cell 2 failed:\n    a = 1\n    b = a / 0\n    c = 3\nZeroDivisionError: division by zero" in shown
    assert "What was executed so far is kept." in shown
    [folder] = (tmp_path / "results").iterdir()
    kept = nbformat.read(folder / "bad.ipynb", as_version=4).cells
    assert kept[1].outputs[0].text == "before\n" and kept[3].execution_count is None
    assert (folder / "bad.html").exists()


def test_run_survives_a_kernel_that_dies(tmp_path: Path) -> None:
    source = notebook(tmp_path / "dies.ipynb", "import os\nos._exit(9)")
    failure = run.execute(nbformat.read(source, as_version=4), cwd=tmp_path, env=os.environ)
    assert "Code cell 1 failed" in failure and "The kernel died" in failure


def test_stopped_with_ctrl_c_what_was_executed_is_kept(tmp_path: Path, capsys, monkeypatch) -> None:
    def stop(notebook: nbformat.NotebookNode, **options: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "execute", stop)
    source = notebook(tmp_path / "long.ipynb", "1 + 1")
    assert run.run(str(source), results=tmp_path / "results") == 130
    assert "Stopped with Ctrl-C.\nWhat was executed so far is kept." in capsys.readouterr().out
    [folder] = (tmp_path / "results").iterdir()
    assert (folder / "long.ipynb").exists() and (folder / "long.html").exists()


def test_notebooks_are_found_by_path_name_and_number(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(run, "KIT", tmp_path)
    (tmp_path / "notebooks").mkdir()
    paths = [notebook(tmp_path / "notebooks" / f"{name}.ipynb") for name in ("01_one", "01_two", "07_finetuning")]
    assert run.find_notebooks() == paths
    for name in ("07", "07_finetuning", "07_finetuning.ipynb", str(paths[2])):
        assert run.find_notebooks([name]) == paths[2:], name
    assert run.find_notebooks(["07", "01_o"]) == [paths[2], paths[0]]
    with pytest.raises(ValueError, match="'01' is not one notebook. There are: 01_one, 01_two, 07_fine"):
        run.find_notebooks(["07", "01"])
    with pytest.raises(ValueError, match="'42' is no notebook"):
        run.find_notebooks(["42"])


def test_two_runs_in_one_second_get_two_folders(tmp_path: Path) -> None:
    assert len({run.new_folder(tmp_path) for _ in range(5)}) == 5


def test_a_long_cell_is_shown_by_its_first_lines() -> None:
    shown = run.failure(3, "\n".join(f"line{n}" for n in range(30)), "Error: no").splitlines()
    assert shown[0] == "Code cell 3 failed:" and shown[6] == "    line5" and shown[7:] == ["    ...", "Error: no"]


def test_a_summary_that_is_not_there_or_broken(tmp_path: Path) -> None:
    assert "accuracy" not in run.report(tmp_path)
    (tmp_path / "summary.json").write_text('{"test_accuracy": 9')
    assert "accuracy" not in run.report(tmp_path)
    for name in ("cats", "dogs"):  # as results.save leaves them, a folder for each model
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.json").write_text(f'{{"test_accuracy": 90, "data": "{name}", "model": "net"}}')
    for said in ("90.0 % (net on cats)", "90.0 % (net on dogs)", "dogs/summary.json"):
        assert said in run.report(tmp_path)


# ------------------------------------------------------------------------------------------------- lab, diagnose


def test_lab_opens_the_notebooks(monkeypatch) -> None:
    seen = {}
    monkeypatch.setattr(run, "call", lambda command, cwd: seen.update(command=command) or 0)
    assert commands.main(["lab", "--no-browser"]) == 0
    assert seen["command"][1:] == ["-m", "jupyterlab", str(KIT / "notebooks"), "--no-browser"]


def test_what_is_started_finds_the_kit_and_keeps_figures_in_the_notebooks(tmp_path: Path, monkeypatch, capfd) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    script = "import os, sys, helpers; print(helpers.__file__, os.environ.get('MPLBACKEND')); sys.exit(7)"
    assert run.call([sys.executable, "-c", script], cwd=tmp_path) == 7
    assert capfd.readouterr().out == f"{KIT / 'helpers' / '__init__.py'} None\n"


def test_diagnose_exits_with_1_when_something_is_wrong(monkeypatch, capsys) -> None:
    assert commands.main(["diagnose"]) == 0
    monkeypatch.setenv("KIT_PROFILE", "fast")
    assert commands.main([]) == 1
    assert "!! profile" in capsys.readouterr().out


def test_what_goes_wrong_is_a_sentence(tmp_path: Path, capsys, monkeypatch) -> None:
    assert commands.main(["run", "42"]) == 1
    assert "'42' is no notebook" in capsys.readouterr().err
    monkeypatch.setattr(run, "KIT", tmp_path)  # on Colab, or installed: a kit without its tests
    for command in commands.TOOLS:
        assert commands.main([command]) == 1
        assert f"{command!r} is for a clone of the whole repository" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        commands.main(["slides", "--fast"])
    assert "not known: --fast" in capsys.readouterr().err


# -------------------------------------------------------------------------------------------------------- record


def test_record_stores_outputs_and_nothing_of_the_machine(tmp_path: Path) -> None:
    source = notebook(
        tmp_path / "tiny.ipynb",
        "import os\nprint(os.environ['KIT_HOME'], os.environ['KIT_OFFLINE'], os.environ['KIT_PROFILE'])",
        "import ipywidgets\nipywidgets.IntSlider()",
        "1 + 1",
    )
    assert commands.main(["record", str(source)]) == 0
    stored = nbformat.read(source, as_version=4)
    cells = stored.cells[1:]
    assert [cell.execution_count for cell in cells] == [1, 2, 3]
    assert cells[0].outputs[0].text == "$KIT_HOME 1 quick\n"
    assert list(cells[1].outputs[0].data) == ["text/plain"]
    assert cells[2].outputs[0].execution_count == 3 and cells[2].outputs[0].data["text/plain"] == "2"
    assert all("execution" not in cell.metadata for cell in stored.cells)
    assert dict(stored.metadata) == {"kernelspec": record.KERNEL, "language_info": {"name": "python"}}
    assert source.read_text(encoding="utf-8") == nbformat.writes(stored) + "\n"


def test_record_leaves_a_failing_notebook_as_it_was(tmp_path: Path, capsys, monkeypatch) -> None:
    source = notebook(tmp_path / "bad.ipynb", "print(1)", "1 / 0")
    before = source.read_bytes()
    monkeypatch.setattr(run, "execute", lambda notebook, cwd, env: "Code cell 2 failed")
    assert record.main([str(source)]) == 1
    assert source.read_bytes() == before
    assert "Code cell 2 failed" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["bad.ipynb"]


# ---------------------------------------------------------------------------------------------------------- test


def checkout(folder: Path) -> None:
    """What the top folder's conftest.py needs, in ``folder``."""
    (folder / "tests").mkdir()
    for source, name in (
        ("conftest.py", "conftest.py"),
        ("tests/tools/settings.py", "settings.py"),
        ("tests/nbval_sanitize.cfg", "tests/nbval_sanitize.cfg"),
    ):
        shutil.copy(KIT / source, folder / name)


def test_plain_pytest_compares_notebooks_in_folders_of_their_own(tmp_path: Path) -> None:
    persist = "import os, pathlib\nprint(pathlib.Path(os.environ['KIT_PERSIST']).name, os.environ['KIT_PROFILE'])"
    path = notebook(tmp_path / "tiny.ipynb", persist, "print(2)")
    content = nbformat.read(path, as_version=4)
    for count, (cell, text) in enumerate(zip(content.cells[1:], ["tiny quick\n", "3\n"], strict=True), start=1):
        cell.execution_count = count
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)]
    nbformat.write(content, path)
    checkout(tmp_path)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("KIT_", "PYTEST_"))}
    command = [sys.executable, "-m", "pytest", "--nbval", "-p", "no:cacheprovider", f"--rootdir={tmp_path}"]
    done = subprocess.run([*command, str(path)], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert "1 failed, 1 passed" in done.stdout.splitlines()[-1], done.stdout
    assert "tiny.ipynb::Cell 1" in done.stdout and "seconds a notebook" in done.stdout


def test_tests_run_in_a_random_order_that_can_be_repeated(tmp_path: Path) -> None:
    checkout(tmp_path)
    for name in "ab":
        functions = "".join(f"def test_{number:02}(): pass\n" for number in range(20))
        (tmp_path / f"test_{name}.py").write_text(functions)

    def order(seed: str) -> list[str]:
        env = {**os.environ, "KIT_TEST_ORDER": seed}
        env.pop("PYTEST_XDIST_WORKER", None)
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "--rootdir=."]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        return [line for line in done.stdout.splitlines() if "::" in line]

    first = order("1")
    assert len(first) == 40 and first != sorted(first)
    assert order("1") == first != order("2")
    assert len({line.partition("::")[0] for line in first[:20]}) == 1  # a file's tests stay together


def test_test_gives_its_options_to_pytest(monkeypatch) -> None:
    seen = {}
    monkeypatch.setattr(run, "call", lambda command, cwd, env: seen.update(command=command, cwd=cwd, env=env) or 5)
    monkeypatch.setenv("MPLBACKEND", "agg")
    assert commands.main(["test", "-k", "conv", "--co"]) == 5
    assert seen["command"][-3:] == ["-k", "conv", "--co"] and "--nbval" in seen["command"]
    assert "-n" not in seen["command"]
    assert seen["cwd"] == KIT and seen["env"]["PYTHONPATH"].split(os.pathsep)[0] == str(KIT)
    assert "MPLBACKEND" not in seen["env"]  # figures stay in the notebooks
    assert run_tests.main(["--browser", "-x"]) == 5
    assert seen["command"][-4:] == ["-m", "browser", "tests/test_browser.py", "-x"]


# ------------------------------------------------------------------------------------------------------- address


@pytest.fixture
def fork(tmp_path: Path) -> Path:
    """A copy of everything that holds the address."""
    for pattern in address.PLACES:
        for path in KIT.glob(pattern):
            target = tmp_path / path.relative_to(KIT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_address_is_written_everywhere_and_nothing_else_moves(fork: Path) -> None:
    old, before = address.current(fork), contents(fork)
    changed = address.address("Some-One/cnn.2", kit=fork)
    after = contents(fork)
    assert {str(path.relative_to(fork)) for path in changed} == {name for name in before if before[name] != after[name]}
    assert {"colab_setup.py", "README.md"} <= {path.name for path in changed}
    for name, text in after.items():
        assert f"github.com/{old}".encode() not in text and f"github/{old}".encode() not in text, name
        assert text.count(b"Some-One/cnn.2") == before[name].count(old.encode()), name
    for path in fork.glob("notebooks/*.ipynb"):
        nbformat.validate(nbformat.read(path, as_version=4))
    assert address.address("Some-One/cnn.2", kit=fork) == []  # a second time: nothing to do
    address.address(f"https://github.com/{old}.git", kit=fork)
    assert contents(fork) == before


def test_address_leaves_longer_names_and_other_text_alone(tmp_path: Path) -> None:
    (tmp_path / "colab_setup.py").write_text('ADDRESS = "jo/kit"\r\n', newline="")
    kept = "see jo/kit, github.com/jo/kit-2 and github.com/banjo/kit"
    (tmp_path / "README.md").write_text(f"{kept}, https://github.com/jo/kit/issues, https://github.com/jo/kit.")
    address.address("al/kit", kit=tmp_path)
    assert (tmp_path / "README.md").read_text() == (
        f"{kept}, https://github.com/al/kit/issues, https://github.com/al/kit."
    )
    assert (tmp_path / "colab_setup.py").read_bytes() == b'ADDRESS = "al/kit"\r\n'


def test_address_is_checked(fork: Path) -> None:
    before = contents(fork)
    for wrong in ("", "kit", "a/b/c", "a b/kit", "https://gitlab.com/a/b", "-a/b", 'a/b"'):
        with pytest.raises(ValueError, match="form OWNER/NAME"):
            address.address(wrong, kit=fork)
    assert contents(fork) == before
