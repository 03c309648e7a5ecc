"""The replica of Google Colab: what it is made from, and what a notebook finds there."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
import zipfile

import replica

from helpers import environment
from helpers.commands import run

PUBLISHED = """\
torch==2.12.0+cu128
Ipywidgets==7.7.2
matplotlib @ file:///somewhere
unknown-to-the-kit==1.0
"""


def test_constraints_hold_what_the_kit_needs_except_what_it_brings():
    named = {replica._plain(line.split("==")[0]) for line in replica.pins(replica.CONSTRAINTS.read_text())}
    assert set(environment.needs(run.KIT)) <= named  # so that a notebook on Colab installs nothing


def test_refreshing_takes_over_new_versions_and_the_source():
    old = "# Source: before\ntorch==2.11.0\nipywidgets==7.7.1\nmatplotlib==3.10.0\n"
    new, changes = replica.refreshed(old, PUBLISHED, source="there, today")
    assert new == "# Source: there, today\ntorch==2.12.0\nipywidgets==7.7.2\nmatplotlib==3.10.0\n"
    assert changes == ["torch: 2.11.0 -> 2.12.0", "ipywidgets: 7.7.1 -> 7.7.2"]


def test_the_server_hands_out_the_set_up_file_and_a_kit_that_colab_setup_takes(tmp_path):
    with replica.server() as url:
        setup = urllib.request.urlopen(f"{url}/colab_setup.py").read()
        (tmp_path / "kit.zip").write_bytes(urllib.request.urlopen(f"{url}/kit.zip").read())
    assert setup == (run.KIT / "colab_setup.py").read_bytes()
    with zipfile.ZipFile(tmp_path / "kit.zip") as archive:
        names = archive.namelist()
    assert "cnn-course-kit-student/helpers/runtime.py" in names and "cnn-course-kit-student/pyproject.toml" in names
    assert not [name for name in names if "/.git/" in name or "/.venv" in name]


def test_a_copy_without_git_packs_the_kit_and_nothing_that_was_made_in_it(tmp_path):
    kit, made = (
        ("helpers/a.py", "notebooks/results/b.json", ".ci/run", "README.md"),
        (
            ".venv/lib/c.py",
            "results/2026/d.html",
            "helpers/__pycache__/a.pyc",
            "cnn.egg-info/e",
            "notebooks/.ipynb_checkpoints/f.ipynb",
        ),
    )
    for name in kit + made:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert replica.kit_files(tmp_path) == sorted(kit)


def test_in_the_replica_colab_is_seen_and_github_is_the_servers(monkeypatch, tmp_path):
    code = (
        "import urllib.request; from helpers import runtime, drive; assert runtime.in_colab();"
        "print(urllib.request.urlopen('https://raw.githubusercontent.com/a/b/student/colab_setup.py').read()[:9]);"
        "from google.colab import files; assert files.upload() == {};"
        "drive.mount()"
    )
    with replica.server() as url:
        monkeypatch.setenv("COLAB_REPLICA_SERVER", url)
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(replica.REPLICA / "site"), str(run.KIT)]))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout == 'b\'"""Bring \'\n'
    assert "Google Drive was not connected: permission was not given" in done.stderr
