"""One list of needs: pyproject.toml, environment.yml, colab_setup.py and the workflow agree."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import colab_setup
from helpers import environment

KIT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((KIT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REQUIREMENTS = PROJECT["dependencies"] + sum(PROJECT["optional-dependencies"].values(), [])
CONDA_NAMES = {"torch": "pytorch"}


def conda_lines() -> list[str]:
    lines = (KIT / "environment.yml").read_text(encoding="utf-8").splitlines()
    return [line.strip()[2:] for line in lines if re.match(r"  - [a-z]", line)]


def test_conda_has_the_same_needs() -> None:
    without_browser = [line for line in REQUIREMENTS if not line.startswith("playwright")]  # for maintainers only
    wanted = [re.sub(r"^[\w-]+", lambda name: CONDA_NAMES.get(name[0], name[0]), line) for line in without_browser]
    channels_and_own = {"conda-forge", "pip", "pip:", f"python{PROJECT['requires-python']}"}
    assert set(conda_lines()) - channels_and_own == set(wanted)
    assert f"python{PROJECT['requires-python']}" in conda_lines()


def test_conda_installs_the_kit_itself() -> None:
    assert (KIT / "environment.yml").read_text(encoding="utf-8").rstrip().endswith("- -e .")


@pytest.mark.parametrize("requirement", [*REQUIREMENTS, PROJECT["requires-python"]])
def test_bounds_are_lower_bounds(requirement: str) -> None:
    assert re.fullmatch(r"[\w-]*>=\d+(\.\d+)*", requirement)


def test_setup_refuses_the_pythons_that_the_package_refuses() -> None:
    assert PROJECT["requires-python"] == ">={}.{}".format(*colab_setup.OLDEST_PYTHON)


def test_setup_reads_every_requirement() -> None:
    extras = ["", *PROJECT["optional-dependencies"]]
    found = {f"{name}>={lowest}" for extra in extras for name, lowest in environment.needs(KIT, extra).items()}
    assert found == set(REQUIREMENTS)


def test_every_command_asks_for_an_extra_that_exists() -> None:
    assert {extra for extra in colab_setup.COMMANDS.values() if extra} <= set(PROJECT["optional-dependencies"])


def test_workflow_tests_the_oldest_python_and_calls_the_same_script() -> None:
    workflow = (KIT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    assert f'"{PROJECT["requires-python"].removeprefix(">=")}"' in workflow
    assert ".ci/run" in workflow
    assert "colab_setup.py test" in (KIT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
def test_workflow_keeps_the_screenshots_of_the_browser() -> None:
    workflow = (KIT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    folder = re.search(r"KIT_SCREENSHOTS: (.+)", workflow)[1]
    upload = workflow.partition("uses: actions/upload-artifact")[2]
    assert re.search(r"path: (.+)", upload)[1] == folder
    script = "for variable in KIT_HOME KIT_SCREENSHOTS; do export $variable=/x; done\n"
    unset = re.search(r"(?ms)^for variable .+?^done$", (KIT / ".ci" / "run").read_text(encoding="utf-8"))[0]
    done = subprocess.run(
        ["bash", "-c", f"{script}{unset}\necho $KIT_HOME,$KIT_SCREENSHOTS"], capture_output=True, text=True
    )
    assert done.stdout == ",/x\n"


def test_import_helpers_is_light() -> None:
    script = "import sys, helpers, helpers.runtime; print(sorted({'torch', 'numpy', 'matplotlib'} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", script], cwd=KIT, capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"


def test_bootstrap_uses_the_standard_library_only() -> None:
    source = (KIT / "colab_setup.py").read_text(encoding="utf-8")
    imported = set(re.findall(r"(?m)^(?:import|from) (\w+)", source))
    assert imported <= sys.stdlib_module_names
