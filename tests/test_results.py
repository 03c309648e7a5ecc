"""What a training run leaves behind."""

from __future__ import annotations

import dataclasses
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
    assert path == tmp_path / "new" / "results" / "tiny-Sequential" / "model.pt"
    saved = torch.load(path, weights_only=True)
    assert (saved["classes"], saved["size"], saved["data"]) == (["class0", "class1", "class2"], 12, "tiny")
    again = tiny_model(seed=9)
    again.load_state_dict(saved["weights"])
    assert torch.equal(training.evaluate(again, data.test).probabilities, evaluation.probabilities)


def test_the_numbers(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_RESULTS", str(tmp_path))
    model, data, history, evaluation = run
    folder = results.save(*run).parent
    assert json.loads((folder / "summary.json").read_text()) == {
        "data": "tiny",
        "model": "Sequential",
        "epochs": 2,
        "best_epoch": history.best.epoch,
        "val_accuracy": round(history.best.val_accuracy, 2),
        "test_accuracy": round(evaluation.accuracy, 2),
        "seconds": round(history.seconds, 1),
    }
    assert sorted(path.name for path in folder.iterdir()) == ["model.pt", "summary.json"]


def test_no_result_replaces_another(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_RESULTS", str(tmp_path))
    model, data, history, evaluation = run
    named = dataclasses.replace(history, config=dataclasses.replace(history.config, checkpoint="long"))
    odd = dataclasses.replace(history, model="hub/résnet 18: b")
    saves = [(data, history), (data, history), (dataclasses.replace(data, name="other"), history), (data, named)]
    paths = [results.save(model, *each, evaluation) for each in [*saves, (data, odd), (data, history)]]
    paths += [results.save(*run, to=tmp_path / "mine") for _ in range(2)]
    assert [str(path.parent.relative_to(tmp_path)) for path in paths] == [
        "tiny-Sequential",
        "tiny-Sequential-2",
        "other-Sequential",
        "tiny-Sequential-long",
        "tiny-hub_résnet_18_b",
        "tiny-Sequential-3",
        "mine",
        "mine-2",
    ]
    assert all(path.is_file() and path.with_name("summary.json").is_file() for path in paths)


def test_without_a_chosen_folder_it_is_what_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KIT_RESULTS", raising=False)
    monkeypatch.setenv("KIT_PERSIST", str(tmp_path / "drive"))
    assert results.folder() == tmp_path / "drive" / "results" and results.folder().is_dir()


def test_a_full_disk_leaves_the_model_before_it(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_RESULTS", str(tmp_path))
    first = results.save(*run)
    before = first.read_bytes()

    def full(_: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(
        OSError, match=r"The model could not be written to .*: the disk is full\. Make room, or set"
    ):
        results.save(*run)
    assert first.read_bytes() == before and first.with_name("summary.json").exists()
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 2  # no half file keeps a full disk full


def test_a_training_that_was_stopped_at_once(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_RESULTS", str(tmp_path))
    model, data, history, evaluation = run
    path = results.save(model, data, training.History("tiny", "net", history.config), evaluation)
    assert json.loads(path.with_name("summary.json").read_text())["best_epoch"] is None
