"""Several processes, started by torchrun for real, do what one does; one that is killed ends in a sentence."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from kill_me import tiny_folder, tiny_loaders
from torch.utils.data import DataLoader
from train_together import CASES, outcome

from helpers import drive
from helpers.training import __main__ as command
from helpers.training import processes

KIT = Path(__file__).resolve().parents[1]
SCRIPT = str(KIT / "tests" / "train_together.py")
SMALL = ("--model", "alexnet_mini", "--batch-size", "7", "--no-mixed-precision")
FROZEN = (*SMALL, "--frozen", "--epochs", "3", "--optimizer", "sgd", "--lr", "0.01")


def torchrun(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Start two processes."""
    two = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return subprocess.run(
        [*two, *map(str, arguments)],
        cwd=KIT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 pictures for training, 6 for validation, 12 for the test."""
    return tiny_folder(tmp_path_factory.mktemp("pictures") / "tiny")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures large enough for alexnet_mini: 16 for training, 2 for validation, 6 for the test."""
    return tiny_folder(tmp_path_factory.mktemp("large") / "large", side=64, classes=2, train=9, test=3)


def saved(name: str) -> dict[str, torch.Tensor]:
    """The weights that the training ``name`` left."""
    return torch.load(drive.persist() / "results" / name / "model.pt", weights_only=True)["weights"]


def assert_close(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor], **tolerance: float) -> None:
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], msg=lambda text, name=name: f"{name}: {text}", **tolerance)


# --- the same as one process ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def killed(pictures: Path, large: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """Two processes that train all cases, and then the command line's training, in which one is killed.

    The folder of their results, and what they wrote to stdout and stderr.
    """
    results = tmp_path_factory.mktemp("results")
    done = torchrun(SCRIPT, pictures, results, 1, large, *FROZEN, "--checkpoint", "two", KIT_PERSIST=str(results))
    assert done.returncode == 1, done.stderr
    assert done.stdout.count("the first process says this") == 1
    return results, done.stdout, done.stderr


@pytest.fixture(scope="module")
def together(killed: tuple[Path, str, str]) -> list[dict[str, dict]]:
    """What each of two processes ends with, by case."""
    return [torch.load(killed[0] / f"{rank}.pt") for rank in range(2)]


def test_two_processes_do_what_one_does(pictures: Path, together: list[dict]) -> None:
    for case in CASES:
        ours = together[0][case]
        if not case.startswith("dropout"):
            theirs = outcome(pictures, case)
            assert_close(ours["weights"], theirs["weights"], rtol=1e-4, atol=1e-6)
            torch.testing.assert_close(ours["history"], theirs["history"], rtol=1e-5, atol=0, msg=case)
            torch.testing.assert_close(ours["probabilities"], theirs["probabilities"], rtol=1e-4, atol=1e-6, msg=case)
            assert torch.equal(ours["labels"], theirs["labels"]) and len(ours["history"]) == 2


def test_all_processes_end_alike(together: list[dict]) -> None:
    """Also where batch norm sees its own part of a batch; and resumed they go the way of those never interrupted."""
    for case in CASES:
        first, second = (rank[case] for rank in together)
        assert_close(second["weights"], first["weights"], rtol=0, atol=0)
        assert [name for name in second if name != "weights" and not torch.equal(second[name], first[name])] == [], case
    resumed, undisturbed = (together[1][f"dropout and batch norm{end}"] for end in (", resumed", ""))
    assert_close(resumed["weights"], undisturbed["weights"], rtol=0, atol=0)
    assert torch.equal(resumed["history"], undisturbed["history"])


def test_more_processes_than_pictures_in_a_batch(together: list[dict]) -> None:
    for rank in together:
        assert rank["batches of one"].startswith("A batch of 1 cannot be shared by 2 processes: choose a batch size of")


@pytest.fixture
def as_process(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """``as_process(rank, count)``: let this process take itself for one of several."""

    def change(rank: int, count: int) -> None:
        monkeypatch.setattr(processes, "count", lambda: count)
        monkeypatch.setattr(processes.dist, "get_rank", lambda: rank)

    return change


def test_every_batch_is_shared_by_three(pictures: Path, as_process) -> None:
    for batch_size in (7, 8, 11, 24, 100):
        data = tiny_loaders(pictures, batch_size=batch_size)
        batches = [labels.tolist() for _, labels in data.train]
        if batch_size == 11:
            assert len(batches.pop()) == 2  # fewer than there are processes: they wait for another epoch
        parts = []
        for rank in range(3):
            as_process(rank, 3)
            data.train.generator.manual_seed(0)
            shared = processes.shared(data.train)
            parts.append([labels.tolist() for _, labels in shared])
            assert len(shared) == len(batches)
        assert [sum(batch, []) for batch in zip(*parts, strict=True)] == batches
        sizes = [[len(part) for part in batch] for batch in zip(*parts, strict=True)]
        assert all(1 <= min(each) and max(each) - min(each) <= 1 for each in sizes)


def test_batches_that_cannot_be_shared(pictures: Path, as_process) -> None:
    loader = tiny_loaders(pictures, batch_size=100).train
    own_batches = DataLoader(range(6), batch_sampler=[[0, 1], [2]])
    assert processes.shared(loader) is loader and processes.shared(own_batches) is own_batches  # alone
    as_process(0, 25)
    with pytest.raises(ValueError, match="A batch of 24 cannot be shared by 25 processes"):
        processes.shared(loader)
    with pytest.raises(ValueError, match="share the batches of a DataLoader with a batch_size only"):
        processes.shared(own_batches)


# --- the command line -------------------------------------------------------------------------------------------------


def test_a_killed_process_ends_in_a_sentence_and_can_be_resumed(
    large: Path, killed: tuple[Path, str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two processes begin, one goes on: it ends as one that was alone. Only a last layer is trained: no dropout."""
    persist, out, err = killed
    monkeypatch.setenv("KIT_PERSIST", str(persist))
    assert out.count("2 processes share every batch of 7.") == 1
    assert err.count("epoch 1/3   0%") == 1  # one progress bar
    assert err.count("Another process of this training ended before its time: it was killed") == 1
    assert "with --resume (in Python: resume=True): it goes on after the last whole epoch" in err
    assert not (persist / "results" / "two").exists()

    options = [str(large), *FROZEN]
    assert command.main([*options, "--checkpoint", "one"]) == 0
    one = capsys.readouterr().out
    assert command.main([*options, "--checkpoint", "two", "--resume"]) == 0
    two = capsys.readouterr().out
    assert two.count("Continuing 'two' after epoch 1 of 3.") == 1
    for said in ("large: 18 = 16 for training + 2 for validation, 6 for the test", "Test accuracy: ", "\n    3 "):
        assert one.count(said) == two.count(said) == 1
    assert one.splitlines()[-2] == two.splitlines()[-2]  # the accuracy
    assert two.splitlines()[-1] == f"Model: {drive.persist() / 'results' / 'two' / 'model.pt'}"
    assert_close(saved("two"), saved("one"), rtol=1e-4, atol=1e-6)


WRONG = {
    "nowhere": "'nowhere' is no data set and no folder. Data sets: bcdp_v1, .* or give the path of a folder",
    "{large}/train": "large/train has no folder 'train'. It must hold train/<class>/ and test/<class>/",
    "bcdp_v1": "The data set bcdp_v1 cannot be had. Tried, in this order",
    "{large} --model alexnett": "There is no network 'alexnett'. Some that there are: alexnet,",
    "{large} --model alexnet_mini --epochs 0": "epochs=0 must be at least 1",
    "{large} --model alexnet_mini --lr 0": "lr=0.0 must be above 0",
    "{large} --model alexnet_mini --size 8": "Pictures of size=8 are too small for this network",
    "{large} --model alexnet_mini --checkpoint a/b": "'a/b' must be a plain name",
}


def test_errors_are_sentences(large: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options, sentence in WRONG.items():
        assert command.main(options.format(large=large).split()) == 1
        said = capsys.readouterr()
        assert re.search(sentence, said.err), (options, said.err)
        assert said.out == "" or "--size" in options or "a/b" in options  # which show when training begins


def test_a_training_is_not_overwritten(large: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [str(large), *SMALL, "--frozen", "--epochs", "1"]
    assert command.main(options) == 0
    summary = json.loads((drive.persist() / "results" / "alexnet_mini-large" / "summary.json").read_text())
    assert (summary["model"], summary["data"], summary["epochs"]) == ("alexnet_mini", "large", 1)
    before = saved("alexnet_mini-large")
    assert command.main([*options, "--seed", "1"]) == 1
    assert "There is a training 'alexnet_mini-large' already, of 1 epochs. Go on with" in capsys.readouterr().err
    assert_close(saved("alexnet_mini-large"), before, rtol=0, atol=0)
    assert command.main([*options[:-1], "2", "--resume"]) == 0
    assert "Continuing 'alexnet_mini-large' after epoch 1 of 2." in capsys.readouterr().out
    assert command.main([*options, "--overwrite"]) == 0
    folders = sorted(path.name for path in (drive.persist() / "results").iterdir())
    assert folders == [f"alexnet_mini-large{end}" for end in ("", "-2", "-3")]
    assert_close(saved("alexnet_mini-large"), before, rtol=0, atol=0)


def test_ctrl_c_outside_the_training(
    large: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command.loaders, "image_folder", interrupt)
    assert command.main([str(large)]) == 130
    assert "Stopped by you. The same command with --resume" in capsys.readouterr().err


def test_help_says_how_to_start_several(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        command.main(["--help"])
    said = capsys.readouterr().out
    assert "torchrun --nproc-per-node=2 -m helpers.training bcdp_v1" in said and "--resume" in said


# --- what cannot be tried here ----------------------------------------------------------------------------------------


def test_more_processes_than_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes.dist, "is_torchelastic_launched", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ValueError, match="needs an NVIDIA GPU of its own, .* there are 2"), processes.group():
        pass


def test_errors_that_tell_of_a_lost_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes.dist, "is_torchelastic_launched", lambda: True)
    monkeypatch.setattr(processes.dist, "init_process_group", lambda _: None)
    monkeypatch.setattr(processes.signal, "signal", lambda *_: None)
    monkeypatch.setenv("LOCAL_RANK", "0")
    for error, lost in (
        (RuntimeError("[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:545] Connection reset by peer"), True),
        (torch.distributed.DistBackendError("NCCL communicator was aborted"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("gloo/"), False),
    ):
        with pytest.raises(processes.PeerLost if lost else type(error)) as caught, processes.group():
            raise error
        assert (caught.value.__cause__ is error) is lost
