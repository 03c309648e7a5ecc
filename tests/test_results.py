"""What a training run leaves behind."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
import torch
from kill_me import tiny_folder, tiny_loaders, tiny_model

from helpers import results, training


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    """A network after training, with everything that ``save`` is given."""
    data = tiny_loaders(tiny_folder(tmp_path_factory.mktemp("pictures") / "tiny"))
    model = tiny_model()
    history = training.fit(model, data, training.TrainConfig(epochs=2, lr=0.01))
    return model, data, history, training.evaluate(model, data.test)


def test_the_network_comes_back(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_RESULTS", str(tmp_path / "new" / "results"))
    model, data, history, evaluation = run
    path = results.save(*run)
    assert path == tmp_path / "new" / "results" / "model.pt"
    saved = torch.load(path, weights_only=True)
    assert (saved["classes"], saved["size"], saved["data"]) == (["class0", "class1", "class2"], 12, "tiny")
    again = tiny_model(seed=9)
    again.load_state_dict(saved["weights"])
    assert torch.equal(training.evaluate(again, data.test).probabilities, evaluation.probabilities)


def test_the_numbers(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_RESULTS", str(tmp_path))
    model, data, history, evaluation = run
    results.save(*run)
    assert json.loads((tmp_path / "summary.json").read_text()) == {
        "data": "tiny",
        "model": "Sequential",
        "epochs": 2,
        "best_epoch": history.best.epoch,
        "val_accuracy": round(history.best.val_accuracy, 2),
        "test_accuracy": round(evaluation.accuracy, 2),
        "seconds": round(history.seconds, 1),
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.pt", "summary.json"]


def test_without_a_chosen_folder_it_is_what_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KIT_RESULTS", raising=False)
    monkeypatch.setenv("KIT_PERSIST", str(tmp_path / "drive"))
    assert results.folder() == tmp_path / "drive" / "results" and results.folder().is_dir()


def test_a_full_disk_leaves_the_model_before_it(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_RESULTS", str(tmp_path))
    before = results.save(*run).read_bytes()

    def full(_: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(
        OSError, match=r"The model could not be written to .*: the disk is full\. Make room, or set"
    ):
        results.save(*run)
    assert (tmp_path / "model.pt").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.pt", "summary.json"]


def test_a_training_that_was_stopped_at_once(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_RESULTS", str(tmp_path))
    model, data, history, evaluation = run
    results.save(model, data, training.History("tiny", "net", history.config), evaluation)
    assert json.loads((tmp_path / "summary.json").read_text())["best_epoch"] is None
