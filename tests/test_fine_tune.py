"""``training.fine_tune``: the head first, then everything, and batch norm as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from kill_me import tiny_folder
from torch import nn

from helpers import loaders, models, training
from helpers.training import TrainConfig


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("images") / "tiny")


class Small(nn.Module):
    """Convolution, batch norm, a head: as small as a network with all three parts can be."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, kernel_size=3)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.relu(self.norm(self.conv(images))).mean(dim=(2, 3)))


def small(head: int | None = 3) -> nn.Module:
    torch.manual_seed(0)
    model = Small()
    model(torch.randn(32, 3, 12, 12))  # gives batch norm averages of its own
    return models.replace_head(model, head) if head else model


def images(folder: Path, augment: object = None) -> loaders.Loaders:
    return loaders.image_folder(folder, size=12, batch_size=8, val_fraction=0.2, augment=augment)


def test_the_head_first_then_everything_and_batch_norm_keeps_what_it_brought(folder: Path) -> None:
    model = small()
    brought = {name: value.clone() for name, value in model.state_dict().items()}
    seen: list[torch.Tensor] = []

    def once_an_epoch(pixels: torch.Tensor) -> torch.Tensor:
        seen.append(model.conv.weight.detach().clone())
        return pixels

    parts = training.fine_tune(model, images(folder, once_an_epoch), epochs=2, head_epochs=3)
    assert [len(part.epochs) for part in parts] == [3, 2]
    # The second part alone augments, and it begins with the convolution as it was brought.
    assert len(seen) == 2 * len(images(folder).train)
    assert torch.equal(seen[0], brought["conv.weight"]) and not torch.equal(seen[-1], brought["conv.weight"])
    after = model.state_dict()
    assert all(torch.equal(after[name], brought[name]) for name in after if name.startswith("norm."))
    assert not torch.equal(after["fc.weight"], brought["fc.weight"])


def test_it_is_what_two_calls_of_fit_do(folder: Path) -> None:
    model, twin, data = small(), small(), images(folder)
    parts = training.fine_tune(model, data, epochs=2, lr=1e-2, head_epochs=3, seed=5)
    models.freeze(twin)
    first = training.fit(twin, data, TrainConfig(epochs=3, lr=1e-2, seed=5))
    twin.requires_grad_(True)
    twin.norm.requires_grad_(False)
    config = TrainConfig(epochs=2, lr=1e-3, optimizer="adamw", schedule="one_cycle", backbone_factor=0.3, seed=5)
    second = training.fit(twin, data, config)
    assert [part.column("val_loss") for part in parts] == [first.column("val_loss"), second.column("val_loss")]
    assert all(map(torch.equal, model.state_dict().values(), twin.state_dict().values()))


def test_stopped_in_the_first_part_the_second_is_not_begun(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate, calls = training.evaluate, []

    def stop_in_the_second_epoch(*arguments: object) -> training.Evaluation:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return evaluate(*arguments)

    monkeypatch.setattr(training, "evaluate", stop_in_the_second_epoch)
    model = small()
    brought = model.conv.weight.detach().clone()
    [part] = training.fine_tune(model, images(folder), epochs=2, head_epochs=3)
    assert len(part.epochs) == 1 and torch.equal(model.conv.weight, brought)
    assert "Stopped by you in epoch 2 of 3" in capsys.readouterr().out


@pytest.mark.parametrize("killed_in", [2, 4])  # in the first part, in the second
def test_killed_and_resumed_it_ends_where_it_would_have(
    folder: Path, monkeypatch: pytest.MonkeyPatch, killed_in: int
) -> None:
    data, whole, halves = images(folder, "flip"), small(), small()
    uninterrupted = training.fine_tune(whole, data, epochs=2, head_epochs=3, checkpoint="whole")
    evaluate, calls = training.evaluate, []

    def die(*arguments: object) -> training.Evaluation:
        calls.append(1)
        if len(calls) == killed_in:
            raise MemoryError("killed here")
        return evaluate(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(training, "evaluate", die)
        with pytest.raises(Exception, match="killed here|memory"):
            training.fine_tune(halves, data, epochs=2, head_epochs=3, checkpoint="halves")
    again = small()
    parts = training.fine_tune(again, data, epochs=2, head_epochs=3, checkpoint="halves", resume=True)
    assert [part.column("val_loss") for part in parts] == [part.column("val_loss") for part in uninterrupted]
    assert all(map(torch.equal, again.state_dict().values(), whole.state_dict().values()))


def test_without_a_new_head_it_says_what_to_call(folder: Path) -> None:
    with pytest.raises(ValueError, match="call replace_head first"):
        training.fine_tune(small(head=None), images(folder))
