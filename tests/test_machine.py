"""helpers.machine: the ground that everything stands on, and the choice between the real thing and its stand-in."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest
import requests
import torch
import torchvision

from helpers import machine, models, runtime

sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode leaves it out
from http_server import serve, status, well


@pytest.fixture
def online(monkeypatch):
    monkeypatch.delenv("KIT_OFFLINE")
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(machine, "_reached", set())


# ---- the network ---------------------------------------------------------------------------------------------------


def test_a_server_that_answers_is_reached_and_not_asked_again(online):
    for answer in (well(), status(404), status(500)):
        with serve(b"here", answer) as server:
            assert machine.can_reach(server.url) and machine.can_reach(server.url)
            assert len(server.requests) == 1


def test_a_server_that_was_down_is_asked_anew(online, monkeypatch):
    def is_down(*args, **kwargs):
        raise requests.ConnectionError("Connection refused")

    with serve(b"", well()) as server:
        with monkeypatch.context() as patch:
            patch.setattr(requests, "head", is_down)
            assert not machine.can_reach(server.url)
        assert machine.can_reach(server.url)


def test_what_was_asked_offline_is_asked_anew_online_and_back(online, monkeypatch):
    with serve(b"", well()) as server:
        monkeypatch.setenv("KIT_OFFLINE", "1")
        assert not machine.can_reach(server.url) and not server.requests
        monkeypatch.delenv("KIT_OFFLINE")
        assert machine.can_reach(server.url)
        monkeypatch.setenv("KIT_OFFLINE", "1")
        assert not machine.can_reach(server.url)


def test_no_address_is_no_server(online):
    for address in ("no address", "http://127.0.0.1:9", "http://[::1/x", "http://host:port", "ftp://127.0.0.1"):
        assert not machine.can_reach(address, timeout=1)


# ---- memory --------------------------------------------------------------------------------------------------------


def test_free_memory_is_what_the_system_says():
    free = machine.free_memory()
    assert 2**20 < free < 2**44
    psutil = pytest.importorskip("psutil")
    assert free <= psutil.virtual_memory().total


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({"memory.max": "10000", "memory.current": "6000\n", "memory.stat": "anon 1\ninactive_file 500"}, 4_500),
        ({"memory.max": "max", "memory.current": "600000\n", "memory.stat": "inactive_file 5\n"}, None),
        ({"memory/memory.limit_in_bytes": "800000", "memory/memory.usage_in_bytes": "500000",
          "memory/memory.stat": "cache 9\ninactive_file 1\ntotal_inactive_file 100000"}, 400_000),
        ({}, None),
    ],
    ids=["version 2", "no limit", "version 1", "no cgroups"],
)  # fmt: skip
def test_a_container_may_allow_less_than_the_machine_has(files, left, tmp_path):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert list(machine._left_in_container(tmp_path)) == ([] if left is None else [left])


@pytest.mark.parametrize("version", [1, 2])
def test_a_group_within_groups_has_the_limits_of_all(version, tmp_path, monkeypatch):
    """As of a service that JupyterHub starts for a user; without memory.stat nothing is known of the cache."""
    read = Path.read_text
    line = {1: "4:memory:/system.slice/jupyter-ada.service", 2: "0::/system.slice/jupyter-ada.service"}[version]
    monkeypatch.setattr(
        Path, "read_text", lambda self: f"1:name=systemd:/\n{line}\n" if "/proc/" in str(self) else read(self)
    )
    limit, usage = {1: ("limit_in_bytes", "usage_in_bytes"), 2: ("max", "current")}[version]
    root = tmp_path / "memory" if version == 1 else tmp_path
    for group, most, used in (("system.slice", 9000, 1000), ("system.slice/jupyter-ada.service", 700, 200)):
        (root / group).mkdir(parents=True)
        (root / group / f"memory.{limit}").write_text(f"{most}\n")
        (root / group / f"memory.{usage}").write_text(f"{used}\n")
    assert sorted(machine._left_in_container(tmp_path)) == [500, 8000]


def test_the_smaller_one_counts(monkeypatch):
    whole = machine.free_memory()
    monkeypatch.setattr(machine, "_left_in_container", lambda root: iter([12_345]))
    assert machine.free_memory() == 12_345
    monkeypatch.setattr(machine, "_left_in_container", lambda root: iter([-5]))
    assert machine.free_memory() == 0
    monkeypatch.setattr(machine, "_left_in_container", lambda root: iter([2**60]))
    assert abs(machine.free_memory() - whole) < 2**34


# ---- files ---------------------------------------------------------------------------------------------------------


def test_a_file_is_replaced_in_one_step(tmp_path):
    path = tmp_path / "record.json"
    for content in ("first", "second"):
        before = path.read_text() if path.exists() else None
        with machine.replacing(path) as partial:
            partial.write_text(content)
            assert partial.parent == tmp_path and (path.read_text() if path.exists() else None) == before
        assert path.read_text() == content and os.listdir(tmp_path) == ["record.json"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()], ids=["disk", "ctrl-c"])
def test_a_block_that_fails_leaves_the_file_as_it_was(error, tmp_path):
    (tmp_path / "record.json").write_text("mine")
    with pytest.raises(type(error)), machine.replacing(tmp_path / "record.json") as partial:
        partial.write_text("half")
        raise error
    assert os.listdir(tmp_path) == ["record.json"] and (tmp_path / "record.json").read_text() == "mine"


def test_the_bytes_are_on_the_disk_before_the_name(tmp_path, monkeypatch):
    """Drive tells only when the bytes are to leave."""

    def refuse(number):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError) as caught, machine.replacing(tmp_path / "record.json") as partial:
        partial.write_text("half")
    assert machine.reason(caught.value) == "the Drive is full" and os.listdir(tmp_path) == []


def test_reasons():
    assert machine.reason(OSError(errno.ENOSPC, "No space left on device")) == "the disk is full"
    assert machine.reason(PermissionError(errno.EACCES, "denied")) == "you may not read or write there"
    assert machine.reason(OSError(errno.EISDIR, "Is a directory", "x")) == "Is a directory"
    assert machine.reason(OSError("a sentence of ours")) == "a sentence of ours"


# ---- the real thing or its stand-in --------------------------------------------------------------------------------


@pytest.fixture
def torch_home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path / "hub" / "checkpoints"


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b0", "inception_v3", "mnasnet1_0", "shufflenet_v2_x1_0"])
def test_weights_are_found_under_the_name_that_their_address_has(name, torch_home, capsys):
    assert not runtime.weights_cached(name)
    file = models.weights_file(torchvision.models.get_model_weights(name).DEFAULT)
    assert file.parent == torch_home == Path(torch.hub.get_dir()) / "checkpoints"
    torch_home.mkdir(parents=True)
    file.touch()
    assert runtime.weights_cached(name)
    assert runtime.choose(online=name, offline="alexnet_mini") == name
    assert capsys.readouterr().out == f"Using {name}: it is on this machine.\n"


def test_without_a_network_the_first_stand_in_that_is_here_is_taken(torch_home, capsys):
    assert runtime.choose(online="resnet18", offline=("squeezenet1_1", "alexnet_mini")) == "alexnet_mini"
    said = "Using alexnet_mini in place of resnet18: resnet18 is not on this machine and KIT_OFFLINE=1 is set.\n"
    assert capsys.readouterr().out == said
    torch_home.mkdir(parents=True)
    models.weights_file(torchvision.models.SqueezeNet1_1_Weights.DEFAULT).touch()
    assert runtime.choose(online="resnet18", offline=("squeezenet1_1", "alexnet_mini")) == "squeezenet1_1"
    assert runtime.choose(online="bcdp_v1", offline="bcdp_standin") == "bcdp_standin"


def test_with_a_network_the_real_one_is_taken_when_its_server_answers(online, torch_home, monkeypatch, capsys):
    for answers, chosen, said in (
        (True, "resnet18", "Using resnet18: it will be downloaded.\n"),
        (False, "alexnet_mini", "resnet18 is not on this machine and its server cannot be reached.\n"),
    ):
        monkeypatch.setattr(machine, "can_reach", lambda url, answers=answers: answers)
        assert runtime.choose(online="resnet18", offline="alexnet_mini") == chosen
        assert capsys.readouterr().out.endswith(said)


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ({"online": "alexnett", "offline": "alexnet_mini"}, "called 'alexnett'; near it are alexnet"),
        ({"online": "alexnet", "offline": "alexnet-mini"}, "called 'alexnet-mini'; near it are alexnet_mini"),
        ({"online": "bcdp", "offline": "bcdp_standin"}, "called 'bcdp'; near it are bcdp_v1"),
        ({"online": "§", "offline": "bcdp_standin"}, "called '§'.$"),
    ],
    ids=lambda value: value["online"] if isinstance(value, dict) else "",
)
def test_a_name_that_is_nothing_is_refused_with_the_near_ones(names, sentence, online):
    with pytest.raises(ValueError, match=sentence):
        runtime.choose(**names)
