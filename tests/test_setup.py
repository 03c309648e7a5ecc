"""From one file to a working kit: colab_setup.py, the environment, the diagnosis."""

from __future__ import annotations

import ast
import errno
import importlib.util
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from types import ModuleType

import fake_colab
import pytest
from http_server import drop, lie, serve, status, well
from packaging.version import Version

from helpers import diagnosis, drive, environment, machine, runtime

KIT = Path(__file__).resolve().parents[1]
FILES = {"helpers/__init__.py": "", "helpers/runtime.py": "found = True", "pyproject.toml": "[project]"}


def zipped(files: dict[str, str], *, top: str = "kit-main/") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, text in files.items():
            archive.writestr(top + name, text)
    return stream.getvalue()


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """colab_setup as a Colab cell imports it: the only file in the current folder."""
    folder = tmp_path / "content"
    folder.mkdir()
    shutil.copy(KIT / "colab_setup.py", folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv("KIT_OFFLINE")
    monkeypatch.delenv("KIT_SOURCE", raising=False)
    spec = importlib.util.spec_from_file_location("colab_setup_alone", folder / "colab_setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def leftovers() -> list[str]:
    return sorted(path.name for path in Path.cwd().iterdir() if path.name not in ("colab_setup.py", "__pycache__"))


# ------------------------------------------------------------------------------------------------------- bring


@pytest.mark.parametrize("top", ["kit-main/", ""], ids=["as GitHub makes it", "without a top folder"])
def test_bring_unpacks_a_zip_file(alone: ModuleType, tmp_path: Path, monkeypatch, top: str) -> None:
    (tmp_path / "kit.zip").write_bytes(zipped(FILES, top=top))
    monkeypatch.setenv("KIT_SOURCE", str(tmp_path / "kit.zip"))
    kit = alone.bring()
    assert kit == Path.cwd() / "cnn-course-kit"
    assert sys.path[0] == str(kit)
    assert (kit / "helpers" / "runtime.py").read_text() == "found = True"
    assert leftovers() == ["cnn-course-kit"]


@pytest.mark.parametrize("length", [True, False], ids=["with its length", "without, as GitHub does"])
def test_bring_downloads_once(alone: ModuleType, monkeypatch, length: bool) -> None:
    with serve(zipped(FILES), well(length=length)) as server:
        monkeypatch.setenv("KIT_SOURCE", f"{server.url}/main.zip")
        first = alone.bring()
        assert alone.bring() == first
        assert len(server.requests) == 1
    assert alone.bring() == first  # and needs no network now


def test_bring_takes_a_folder_in_place(alone: ModuleType, monkeypatch) -> None:
    monkeypatch.setenv("KIT_SOURCE", str(KIT))
    assert alone.bring() == KIT
    assert leftovers() == []


@pytest.mark.parametrize(
    ("call", "branch"),
    [(lambda alone: alone.bring(), "student"), (lambda alone: alone.main(["test"]), "main")],
    ids=["a class gets what was tested", "the tests need the stored outputs"],
)
def test_which_branch_is_fetched(alone: ModuleType, monkeypatch, call, branch: str) -> None:
    asked = []

    def refuse(source: str, archive: Path) -> None:
        asked.append(source)
        raise alone.SetupError("no network")

    monkeypatch.setattr(alone, "ADDRESS", "ada/course")
    monkeypatch.setattr(alone, "download", refuse)
    for name in ("KIT_SOURCE", "KIT_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(alone.SetupError, match="no network"):
        call(alone)
    assert asked == [f"https://github.com/ada/course/archive/refs/heads/{branch}.zip"]


@pytest.mark.parametrize("start", ["", "notebooks"], ids=["in the checkout", "in its notebooks"])
def test_bring_uses_the_checkout_it_is_in(alone: ModuleType, tmp_path: Path, monkeypatch, start: str) -> None:
    for name, text in FILES.items():
        (tmp_path / "checkout" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "checkout" / name).write_text(text)
    (tmp_path / "checkout" / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "checkout" / start)
    monkeypatch.setenv("KIT_SOURCE", "http://127.0.0.1:9/never-asked.zip")
    assert alone.bring() == tmp_path / "checkout"


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (drop(200), "broke off"),
        (drop(0), "broke off"),
        (lie(by=9), "broke off"),
        (status(404), r"answered 404.*is the address right, and the repository public\?"),
        (status(503), "answered 503.*try again later"),
        (status(200, b"<html>Log in to the hotel's Wi-Fi</html>"), "not a whole zip file"),
    ],
    ids=["half", "nothing", "wrong length", "404", "503", "a web page"],
)
def test_a_failed_download_leaves_nothing_and_can_be_repeated(alone, monkeypatch, answer, sentence: str) -> None:
    with serve(zipped(FILES), answer, well()) as server:
        monkeypatch.setenv("KIT_SOURCE", f"{server.url}/main.zip")
        with pytest.raises(alone.SetupError, match=f"(?s){sentence}"):
            alone.bring()
        assert leftovers() == []
        assert alone.is_kit(alone.bring())


def test_half_a_zip_and_a_zip_of_something_else_are_refused(alone: ModuleType, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("KIT_SOURCE", str(tmp_path / "kit.zip"))
    whole, photos = zipped(FILES), zipped({"cat.jpg": "meow"})
    for body, why in ((whole[: len(whole) // 2], "not a whole zip file"), (photos, "does not hold the course kit")):
        (tmp_path / "kit.zip").write_bytes(body)
        with pytest.raises(alone.SetupError, match=why):
            alone.bring()
        assert leftovers() == []


def test_entries_that_leave_the_folder_are_refused(alone: ModuleType, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("KIT_SOURCE", str(tmp_path / "kit.zip"))
    for name in ("../evil.py", "a/../../evil.py", "/evil.py", "C:/evil.py", "..\\evil.py"):
        (tmp_path / "kit.zip").write_bytes(zipped({**FILES, name: "bad"}, top=""))
        with pytest.raises(alone.SetupError, match="would leave the folder"):
            alone.bring()
        assert not list(tmp_path.rglob("evil.py"))
        assert leftovers() == []


def test_why_nothing_can_be_fetched_is_said(alone: ModuleType, monkeypatch) -> None:
    monkeypatch.setattr(alone, "ADDRESS", "your-name/cnn-course-kit")
    with pytest.raises(alone.SetupError, match="colab_setup.py address OWNER/NAME"):
        alone.bring()
    monkeypatch.setattr(alone, "ADDRESS", "somebody/something")
    monkeypatch.setenv("KIT_OFFLINE", "1")
    with pytest.raises(alone.SetupError, match="KIT_OFFLINE=1 forbids fetching it"):
        alone.bring()
    monkeypatch.setenv("KIT_SOURCE", "http://127.0.0.1:9/main.zip")
    with pytest.raises(alone.SetupError, match="Check the network and the address"):
        alone.bring()


def test_a_folder_of_the_users_is_not_touched(alone: ModuleType, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "kit.zip").write_bytes(zipped(FILES))
    monkeypatch.setenv("KIT_SOURCE", str(tmp_path / "kit.zip"))
    Path("cnn-course-kit").mkdir()
    Path("cnn-course-kit/homework.txt").write_text("mine")
    with pytest.raises(alone.SetupError, match="it is not the kit. Rename it"):
        alone.bring()
    assert Path("cnn-course-kit/homework.txt").read_text() == "mine"


def test_a_full_disk_is_said(alone: ModuleType, tmp_path: Path, monkeypatch) -> None:
    def full(*args: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setenv("KIT_SOURCE", str(tmp_path / "kit.zip"))
    monkeypatch.setattr(alone.tempfile, "TemporaryDirectory", full)
    with pytest.raises(alone.SetupError, match="cannot be written to .*No space left"):
        alone.bring()


def test_an_old_python_gets_a_sentence(alone: ModuleType, monkeypatch) -> None:
    ast.parse((KIT / "colab_setup.py").read_text(encoding="utf-8"), feature_version=(3, 7))  # it can be read at all
    monkeypatch.setattr(alone, "OLDEST_PYTHON", (9, 0))
    with pytest.raises(alone.SetupError, match=r"needs Python 9.0 or newer; this is Python 3\.\d+\."):
        alone.bring()


def test_the_one_file_brings_the_real_kit_and_hands_over(alone: ModuleType, tmp_path: Path) -> None:
    code = [*(KIT / "helpers").rglob("*.py"), *(KIT / "tests" / "tools").glob("*.py")]
    kit = [KIT / "pyproject.toml", KIT / "colab_setup.py", *code]
    files = {path.relative_to(KIT).as_posix(): path.read_text(encoding="utf-8") for path in kit}
    (tmp_path / "kit.zip").write_bytes(zipped(files))
    env = {**os.environ, "KIT_SOURCE": str(tmp_path / "kit.zip"), "PYTHONPATH": ""}

    def shell(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "colab_setup.py", *arguments]
        return subprocess.run(command, env=env, capture_output=True, text=True)

    done = shell("address", "ada/lovelace")
    assert done.returncode == 0, done.stderr
    assert "the address is ada/lovelace" in done.stdout
    assert 'ADDRESS = "ada/lovelace"' in Path("cnn-course-kit/colab_setup.py").read_text()
    again = shell("address", "not an address")
    assert again.returncode == 1
    assert "Fetching" not in again.stdout
    assert "It has the form OWNER/NAME" in again.stderr
    assert "Traceback" not in again.stderr


def test_usage_for_an_unknown_command(alone: ModuleType, capsys) -> None:
    assert alone.main(["instal"]) == 2
    assert alone.main(["--help"]) == 0
    assert capsys.readouterr().out.count("colab_setup.py run [NOTEBOOK]") == 2


@pytest.mark.skipif(os.name == "nt", reason="signals are sent differently on Windows")
def test_ctrl_c_is_left_to_the_command(tmp_path: Path) -> None:
    child = (
        "import sys, time\ntry:\n    print('started', flush=True); time.sleep(30)\n"
        "except KeyboardInterrupt:\n    time.sleep(0.5); print('tidied up'); sys.exit(7)"
    )
    # A pytest worker ignores Ctrl-C, and what it starts inherits that.
    heeding = "import signal, sys, colab_setup\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    script = heeding + f"sys.exit(colab_setup.hand_over([sys.executable, '-c', {child!r}], '.'))"
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=KIT, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout.readline() == "started\n"
        time.sleep(1)  # hand_over is waiting by now, however busy the machine is
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.read() == "tidied up\n"
    assert process.returncode == 7


# ------------------------------------------------------------------------------ the set-up cell of every notebook

FOREIGN = "def runtime(function): return function  # students write such things\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of a small kit; its folder ``notebooks`` is empty."""
    files = {**FILES, "helpers/runtime.py": 'def describe(): return "the kit is here"', "notebooks/.keep": ""}
    for name, text in {**files, "colab_setup.py": (KIT / "colab_setup.py").read_text()}.items():
        (tmp_path / "kit" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "kit" / name).write_text(text)
    return tmp_path / "kit"


def run_the_cell(folder: Path, *, before: str = "", after: str = "", path: str = "", **settings: str) -> str:
    """What the set-up cell prints in a notebook in ``folder``, with code that ran before it, and is run after it."""
    notebook = json.loads((KIT / "notebooks" / "07_finetuning_bcdp.ipynb").read_text(encoding="utf-8"))
    cell = next("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
    plain = 'import sys; sys.meta_path[:] = [each for each in sys.meta_path if "editable" not in repr(each).lower()]'
    code = "\n".join([plain, before, cell, after])
    env = {**os.environ, "PYTHONPATH": path, **settings}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True)
    return done.stdout + done.stderr


def test_the_cell_finds_the_kit_where_another_helpers_is_in_the_way(checkout: Path, tmp_path: Path) -> None:
    notebooks, package = checkout / "notebooks", tmp_path / "site" / "helpers"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(FOREIGN)
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "helpers.py").write_text(FOREIGN)
    note = "Another module is called helpers, too"
    cases = {
        "nothing": ({}, False),
        "a package that is installed": ({"path": str(package.parent)}, True),
        "a package that was imported": ({"path": str(package.parent), "before": "import helpers"}, True),
        "a module made by hand": ({"before": "import types; sys.modules['helpers'] = types.ModuleType('mine')"}, True),
    }
    missed = []
    for name, (options, noted) in cases.items():
        shown = run_the_cell(notebooks, **options)
        if not shown.endswith("the kit is here\n") or (note in shown) != noted:
            missed.append((name, shown))
    (notebooks / "helpers.py").write_text(FOREIGN)
    shown = run_the_cell(notebooks, after="import helpers; print(helpers.__file__)")
    assert missed == [] and note in shown and "helpers.py). The course kit's is used; to use both" in shown
    assert shown.splitlines()[-2:] == ["the kit is here", str(checkout / "helpers" / "__init__.py")]


def test_alone_the_cell_fetches_what_is_missing_or_broken(checkout: Path, tmp_path: Path) -> None:
    content = tmp_path / "content"
    content.mkdir()
    (content / "helpers.py").write_text(FOREIGN)
    fetch = f"""import shutil, urllib.request
def urlretrieve(url, to): print("fetched", shutil.copy({str(checkout / "colab_setup.py")!r}, to))
urllib.request.urlretrieve = urlretrieve"""
    for _ in range(2):  # nothing there; then half a file, which a broken connection left
        shown = run_the_cell(content, before=fetch, KIT_SOURCE=str(checkout))
        assert "fetched colab_setup.py" in shown and shown.endswith("the kit is here\n"), shown
        (content / "colab_setup.py").write_text("def bring(:")
    assert "fetched colab_setup.py" in run_the_cell(content, before=fetch, KIT_SOURCE=str(checkout))
    assert "fetched" not in run_the_cell(content, before=fetch, KIT_SOURCE=str(checkout))


def test_a_command_is_the_kits_beside_another_helpers(tmp_path: Path) -> None:
    (tmp_path / "helpers.py").write_text(FOREIGN)
    command = [sys.executable, str(KIT / "colab_setup.py"), "address", "no address"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "It has the form OWNER/NAME" in done.stderr and "Traceback" not in done.stderr


# ------------------------------------------------------------------------------------------------- environment


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an environment of the kit's own in it, real but for pip (.ci/run makes a whole one)."""
    kit = tmp_path / "kit with a space"
    kit.mkdir()
    real_run = subprocess.run

    def without_pip(command: list[str], **options: object) -> subprocess.CompletedProcess:
        done = real_run([*command, "--without-pip"], **options)
        metadata = site_packages(kit) / "pip-99.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text("Metadata-Version: 2.1\nName: pip\nVersion: 99\n")
        return done

    monkeypatch.setattr(environment.subprocess, "run", without_pip)
    environment.make(kit)
    return kit


def site_packages(kit: Path) -> Path:
    folder = environment.own_folder(kit)
    return next(folder.glob("lib/python*/site-packages"), folder / "Lib" / "site-packages")


def wheel(folder: Path, name: str, version: str, needs: str = "") -> None:
    """The smallest wheel file that pip takes."""
    info = f"{name}-{version}.dist-info/"
    files = {
        f"{name}.py": "",
        info + "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        info + "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        info + "RECORD": "",
    }
    (folder / f"{name}-{version}-py3-none-any.whl").write_bytes(zipped(files, top=""))


def test_the_own_environment_is_made_once(own: Path, capsys) -> None:
    assert environment.installed(environment.own_folder(own)) == {"pip": "99"}
    assert environment.make(own) == str(environment.own_python(own))
    assert capsys.readouterr().out == ""  # nothing was made again
    shutil.rmtree(site_packages(own) / "pip-99.dist-info")  # as after Ctrl-C at the wrong moment
    environment.make(own)
    assert "Making an environment for the kit" in capsys.readouterr().out


@pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="this environment has no pip")
def test_pip_adds_and_never_replaces(own: Path, tmp_path: Path, capfd, monkeypatch) -> None:
    """The real pip, without a network: a package that wants a newer one of what is there cannot have it."""
    for version in ("1.0", "2.0"):
        wheel(tmp_path, "there", version)
    wheel(tmp_path, "harmless", "1.0", "Requires-Dist: there>=1.0")
    wheel(tmp_path, "greedy", "1.0", "Requires-Dist: there>=2.0")
    with zipfile.ZipFile(tmp_path / "there-1.0-py3-none-any.whl") as archive:
        archive.extractall(site_packages(own))
    folder = environment.own_folder(own)
    pins = tmp_path / "constraints.txt"
    pins.write_text(environment.constraints(environment.installed(folder)))
    pip = [sys.executable, "-m", "pip", "--isolated", "--python", str(environment.own_python(own)), "install"]
    pip += ["--no-index", "--find-links", str(tmp_path), "--constraint", str(pins)]
    monkeypatch.undo()
    assert environment.run_pip([*pip, "harmless"])
    assert not environment.run_pip([*pip, "greedy"])
    assert "conflict" in capfd.readouterr().err.lower()
    have = environment.installed(folder)
    assert (have["there"], have["harmless"], "greedy" in have) == ("1.0", "1.0", False)


def test_constraints_pin_everything_but_the_kit_and_pips_own_tools(tmp_path: Path, monkeypatch) -> None:
    have = {"torch": "2.11.0+cu128", "cnn-course-kit": "0.1.0", "odd-one": "not a version", "setuptools": "65.5.0"}
    assert environment.constraints(have) == "torch==2.11.0+cu128\n"
    fake_colab.install(monkeypatch, tmp_path)  # there, nothing at all may change
    assert environment.constraints(have) == "setuptools==65.5.0\ntorch==2.11.0+cu128\n"


def test_missing_names_what_is_not_there() -> None:
    wanted = {"torch": "2.4", "jupyter_client": "7", "nbval": "0.11"}
    assert environment.missing(wanted, {"torch": "2.10.1+cpu", "jupyter-client": "7.0"}) == ["nbval"]


def test_what_is_too_old_is_reported_and_not_replaced() -> None:
    with pytest.raises(environment.EnvironmentProblem, match=r"torch 2\.3\.1\+cu121 \(the kit needs 2\.4 or newer\)"):
        environment.missing({"torch": "2.4"}, {"torch": "2.3.1+cu121"})


@pytest.mark.parametrize("low", ["2", "2.0.0", "2.9", "2.10", "10"])
@pytest.mark.parametrize("high", ["2.0", "2.9.1", "2.10.0+cu128", "2.11.0", "10.0", "20"])
def test_versions_compare_as_packaging_says(low: str, high: str) -> None:
    mine = environment.numbers(high) >= environment.numbers(low)
    assert mine == (Version(high.partition("+")[0]) >= Version(low))


@pytest.fixture
def pip_calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], str]]:
    """Commands that would have gone to pip, each with the text of its constraints file."""
    calls = []

    def run_pip(command: list[str]) -> bool:
        calls.append((command, Path(command[command.index("--constraint") + 1]).read_text()))
        return True

    monkeypatch.setattr(environment, "run_pip", run_pip)
    return calls


def test_prepare_installs_into_the_active_environment(pip_calls, monkeypatch) -> None:
    monkeypatch.setattr(environment, "is_active", lambda: True)
    have = {**environment.installed(), "torch": "9.9.9"}
    del have["nbval"]
    monkeypatch.setattr(environment, "installed", lambda folder=None: have)
    assert environment.prepare(KIT, "test") == sys.executable
    [(command, pins)] = pip_calls
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert command[-2:] == ["--editable", f"{KIT}[test]"]
    assert not {"--upgrade", "-U", "--force-reinstall"} & set(command)
    assert "torch==9.9.9\n" in pins and "nbval" not in pins


def test_prepare_leaves_pip_alone_when_nothing_is_missing(pip_calls, monkeypatch) -> None:
    monkeypatch.setattr(environment, "is_active", lambda: True)
    assert environment.prepare(KIT, "test") == sys.executable
    assert pip_calls == []


def test_prepare_uses_the_kits_own_environment_when_none_is_active(own: Path, pip_calls, monkeypatch) -> None:
    monkeypatch.setattr(environment, "is_active", lambda: False)
    shutil.copy(KIT / "pyproject.toml", own)
    assert environment.prepare(own) == environment.find(own) == str(environment.own_python(own))
    [(command, _)] = pip_calls
    assert command[0] == str(environment.own_python(own))
    assert command[-1] == str(own)


def test_colab_counts_as_active(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    monkeypatch.delenv("CONDA_PREFIX", raising=False)
    assert not environment.is_active()
    fake_colab.install(monkeypatch, tmp_path)
    assert environment.is_active()


def test_an_activated_conda_environment_counts_and_another_one_does_not(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    monkeypatch.setenv("CONDA_PREFIX", str(tmp_path))
    assert not environment.is_active()  # conda is activated, but this Python is not its
    monkeypatch.setenv("CONDA_PREFIX", sys.prefix)
    assert environment.is_active()


def test_debian_without_venv_gets_a_sentence(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(environment.EnvironmentProblem, match=r"sudo apt install python3\.\d+-venv"):
        environment.make(tmp_path)


def test_when_pip_fails_its_words_are_shown_and_the_usual_causes_named(monkeypatch, capfd) -> None:
    run, says = environment.run_pip, "print('ERROR: no matching distribution'); raise SystemExit(1)"
    monkeypatch.setattr(environment, "run_pip", lambda command: run([sys.executable, "-c", says]))
    with pytest.raises(environment.EnvironmentProblem, match=r"(?s)could not install torch.*no network"):
        environment.install(sys.executable, str(KIT), ["torch"], {})
    assert "ERROR: no matching distribution" in capfd.readouterr().out


# --------------------------------------------------------------------------------------------------- diagnosis


def find(name: str) -> diagnosis.Check:
    return next(check for check in diagnosis.checks() if check.name == name)


def test_diagnosis_of_a_machine_that_is_in_order() -> None:
    found = {check.name: check for check in diagnosis.checks()}
    ground = ["Python", "torch", "GPU", "cores", "memory"]
    assert list(found) == [*ground, "profile", "network", "data", "results", "data sets"]
    assert found["Python"].ok and found["torch"].ok and found["data"].ok and found["results"].ok
    assert found["torch"].value.startswith(sys.modules["torch"].__version__)


def test_text_is_aligned_and_a_fix_stands_below_its_line() -> None:
    disk = diagnosis.Check("disk", "0.1 GiB", False, "Make room.\nOr buy one.")
    assert diagnosis.text([disk, diagnosis.Check("Python", "3", True)]).splitlines() == [
        "!! disk    0.1 GiB",
        "           Make room.",
        "           Or buy one.",
        "ok Python  3",
    ]


def test_describe_is_short_and_holds_no_path_of_this_machine() -> None:
    text = runtime.describe()
    assert 3 <= len(text.splitlines()) <= 6
    assert "Python 3." in text and "quick" in text and "$KIT_HOME" in text and "$KIT_PERSIST" in text
    assert os.environ["KIT_HOME"] not in text


def test_folders_without_settings_are_shown_from_the_home_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KIT_HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert find("data").value.startswith("~/.cache/cnn-course-kit, ")


def test_without_torch_the_diagnosis_says_so_first(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delenv("KIT_PROFILE")
    check = find("torch")
    assert check.ok is False and "cannot be imported" in check.value and "colab_setup.py" in check.fix
    assert find("GPU").ok is None and find("profile").value == "unknown without torch"


@pytest.mark.parametrize("wants", ["torch==2.0.1", "torch (==2.0.1)", "torch>=99"])
def test_torchvision_made_for_another_torch(monkeypatch, wants: str) -> None:
    monkeypatch.setattr(diagnosis.importlib.metadata, "requires", lambda name: ["numpy", wants])
    check = find("torch")
    assert check.ok is False and "which was made for torch" in check.value
    assert "operator torchvision::nms does not exist" in check.fix


@pytest.mark.parametrize("wants", ["torch>=2.0", "numpy", "torchaudio==1.0"])
def test_torchvision_that_fits(monkeypatch, wants: str) -> None:
    monkeypatch.setattr(diagnosis.importlib.metadata, "requires", lambda name: [wants])
    assert find("torch").ok


def test_a_wrong_profile_is_named(monkeypatch) -> None:
    monkeypatch.setenv("KIT_PROFILE", "fast")
    assert find("profile").ok is False
    assert "'fast'; it can be 'quick' or 'full'" in runtime.describe()


@pytest.mark.parametrize(("name", "variable"), [("data", "KIT_HOME"), ("results", "KIT_PERSIST")])
def test_a_folder_that_cannot_be_made(tmp_path: Path, monkeypatch, name: str, variable: str) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(variable, str(tmp_path / "file" / "folder"))
    assert find(name).ok is False
    assert f"Set {variable} to a folder that you may write to" in find(name).fix


def test_little_disk_and_little_memory(monkeypatch) -> None:
    monkeypatch.setattr(drive, "free_bytes", lambda path: 2**28)
    monkeypatch.setattr(machine, "free_memory", lambda: 2**30)
    assert find("data").ok is False and "0.2 GiB free" in find("data").value and "KIT_HOME" in find("data").fix
    assert find("memory").ok is False and "Shut down other notebooks" in find("memory").fix


def test_colab_without_gpu_and_drive(tmp_path: Path, monkeypatch) -> None:
    fake = fake_colab.install(monkeypatch, tmp_path)
    monkeypatch.setattr(machine, "device", lambda: "cpu")
    text = runtime.describe()
    assert "Runtime > Change runtime type > T4" in text
    assert "drive.mount()" in text and "LOST when the session ends" in text
    fake.connect()
    monkeypatch.setenv("KIT_PERSIST", str(fake.my_drive / "kit"))
    text = runtime.describe()
    assert "drive.mount()" not in text and "LOST" not in text
