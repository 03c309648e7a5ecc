"""Training: the same as a plain loop, the same again after a kill, and a sentence where it goes wrong."""

from __future__ import annotations

import copy
import dataclasses
import errno
import functools
import gc
import json
import os
import re
import subprocess
import sys
import types
import weakref
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from kill_me import outcome, tiny_folder, tiny_loaders, tiny_model
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from helpers import loaders, models, training
from helpers.training import TrainConfig, TrainingError, acceleration, checkpoints
from helpers.training.config import build_optimizer, build_schedule


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("pictures") / "tiny")


@pytest.fixture(scope="module")
def data(folder: Path) -> loaders.Loaders:
    """24 + 6 pictures of three classes in batches of 8: three steps an epoch."""
    return tiny_loaders(folder)


def linear_model() -> nn.Module:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Flatten())
    model.fc = nn.Linear(3 * 12 * 12, 3)
    return model


class Tripwire(nn.Module):
    """Passes its input on; at forward pass number ``step`` in train mode it does ``what``."""

    def __init__(self, step: int, what) -> None:
        super().__init__()
        self.step, self.what = step, what

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.step -= 1
            if self.step == 0:
                return self.what(inputs)
        return inputs


def tripping_model(step: int, what) -> nn.Module:
    model = tiny_model()
    model.features = nn.Sequential(Tripwire(step, what), *model.features)
    return model


def stop(_: torch.Tensor) -> torch.Tensor:
    raise KeyboardInterrupt


def weights_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return copy.deepcopy(model.state_dict())


def same_weights(model: nn.Module, weights: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())


# --- the same as a plain loop -----------------------------------------------------------------------------------------


def plain_loop(model: nn.Module, data: loaders.Loaders, config: TrainConfig) -> tuple[list[float], list[float]]:
    """Losses of each epoch as anybody would write it, with the random numbers that ``fit`` promises."""
    optimizer = torch.optim.Adam(model.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    train_losses, val_losses = [], []
    for epoch in range(config.epochs):
        torch.manual_seed(1_000_003 * config.seed + epoch)
        data.train.generator.manual_seed(1_000_003 * config.seed + epoch)
        model.train()
        total = 0.0
        for images, labels in data.train:
            loss = F.cross_entropy(model(images), labels, label_smoothing=config.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(labels)
        train_losses.append(total / len(data.train.dataset))
        model.eval()
        with torch.no_grad():
            images, labels = (torch.cat(parts) for parts in zip(*data.val, strict=True))
            val_losses.append(F.cross_entropy(model(images), labels).item())
    return train_losses, val_losses


@pytest.mark.parametrize(
    "options", [{}, {"seed": 5, "weight_decay": 0.1, "label_smoothing": 0.1}], ids=["defaults", "others"]
)
def test_losses_are_those_of_a_plain_loop(folder: Path, options: dict[str, float]) -> None:
    data = tiny_loaders(folder, augment="flip")
    config = TrainConfig(epochs=3, lr=0.002, mixed_precision=False, **options)
    history = training.fit(tiny_model(), data, config)
    train_losses, val_losses = plain_loop(tiny_model(), data, config)
    assert history.column("train_loss") == pytest.approx(train_losses, rel=1e-3)
    assert history.column("val_loss") == pytest.approx(val_losses, rel=1e-3)


def test_an_epoch_alone_with_batches_of_unequal_size() -> None:
    """A plain network, DataLoader and optimiser: the mean over the images, not over the batches."""
    torch.manual_seed(0)
    images, labels = torch.rand(10, 3, 12, 12), torch.randint(3, (10,))
    model = linear_model()
    twin = copy.deepcopy(model)
    loader = DataLoader(TensorDataset(images, labels), batch_size=4)  # 4, 4 and 2 images
    loss, accuracy = training.train_one_epoch(model, loader, torch.optim.SGD(model.parameters(), lr=0.1))
    optimizer, losses, right = torch.optim.SGD(twin.parameters(), lr=0.1), [], 0
    for some, truth in zip(images.split(4), labels.split(4), strict=True):
        scores = twin(some)
        losses += F.cross_entropy(scores, truth, reduction="none").tolist()
        right += int((scores.argmax(dim=1) == truth).sum())
        optimizer.zero_grad()
        F.cross_entropy(scores, truth).backward()
        optimizer.step()
    assert loss == pytest.approx(sum(losses) / 10, rel=1e-6) and accuracy == 10 * right
    torch.testing.assert_close(model.state_dict(), twin.state_dict())


def test_the_learning_rate_told_is_that_of_the_new_layers(data: loaders.Loaders) -> None:
    model = models.replace_head(tiny_model(), 3)
    history = training.fit(model, data, TrainConfig(epochs=1, lr=0.02, backbone_factor=0.1))
    assert history.column("lr") == [0.02]


def test_fit_returns_what_happened(data: loaders.Loaders) -> None:
    model = tiny_model()
    history = training.fit(model, data, TrainConfig(epochs=3, lr=0.01))
    assert (history.data, history.model, history.column("epoch")) == ("tiny", "Sequential", [1, 2, 3])
    assert all(0 <= value <= 100 for name in ("train_accuracy", "val_accuracy") for value in history.column(name))
    assert history.column("lr") == [0.01] * 3
    assert history.seconds == pytest.approx(sum(history.column("seconds"))) and min(history.column("seconds")) > 0
    assert not any(module.training for module in model.modules())


def test_the_best_epochs_weights_are_kept(data: loaders.Loaders) -> None:
    model = tiny_model()
    history = training.fit(model, data, TrainConfig(epochs=8, lr=0.3, optimizer="sgd", momentum=0.95))
    best = max(history.epochs, key=lambda epoch: (epoch.val_accuracy, -epoch.val_loss))
    assert history.best is best and best is not history.epochs[-1]  # or this test shows nothing
    evaluation = training.evaluate(model, data.val)
    assert evaluation.accuracy == pytest.approx(best.val_accuracy)
    assert evaluation.loss == pytest.approx(best.val_loss, rel=1e-5)


def test_between_equal_accuracies_the_lower_loss_is_best() -> None:
    epochs = [training.Epoch(n, 1.0, 50.0, loss, 80.0, 0.1, 1.0) for n, loss in enumerate((0.5, 0.4, 0.6), start=1)]
    history = training.History("data", "net", TrainConfig(), epochs)
    assert history.best is epochs[1]
    assert str(history).splitlines() == [
        "net on data, float32",
        "epoch  train loss  train acc  val loss  val acc  seconds",
        "    1       1.000      50.0%     0.500    80.0%      1.0",
        "    2       1.000      50.0%     0.400    80.0%      1.0  best",
        "    3       1.000      50.0%     0.600    80.0%      1.0",
    ]


def test_frozen_parts_do_not_move(folder: Path) -> None:
    """With random changes of the pictures the backbone is run in every epoch; its batch norm must stay as it is too."""
    model = models.freeze(models.replace_head(tiny_model(), 3))
    before = weights_of(model)
    training.fit(model, tiny_loaders(folder, augment="flip"), TrainConfig(epochs=2, lr=0.01))
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved == {"classifier.1.weight", "classifier.1.bias"}


def test_random_numbers_of_the_caller_are_left_alone(data: loaders.Loaders) -> None:
    model = tiny_model()
    generators = [torch.default_generator, data.train.generator]
    before = [generator.get_state() for generator in generators]
    training.fit(model, data, TrainConfig(epochs=2))
    training.evaluate(model, data.val)
    assert all(torch.equal(g.get_state(), state) for g, state in zip(generators, before, strict=True))


def test_the_seed_decides(data: loaders.Loaders) -> None:
    runs = []
    for seed in (1, 1, 2):
        model = tiny_model()
        torch.manual_seed(len(runs))  # whatever came before
        runs.append(outcome(model, training.fit(model, data, TrainConfig(epochs=2, seed=seed))))
    assert runs[0] == runs[1] != runs[2]


# --- learning rates ---------------------------------------------------------------------------------------------------


def learning_rates(monkeypatch: pytest.MonkeyPatch, data: loaders.Loaders, config: TrainConfig) -> list[float]:
    """The learning rate of every step of a training."""
    rates, step = [], torch.optim.SGD.step
    monkeypatch.setattr(torch.optim.SGD, "step", lambda self: rates.append(self.param_groups[-1]["lr"]) or step(self))
    training.fit(linear_model(), data, config)
    return rates


@pytest.mark.parametrize(
    ("schedule", "theirs"),
    [
        ("constant", lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda step: 1.0)),
        ("cosine", lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=12)),
        ("one_cycle", lambda o: torch.optim.lr_scheduler.OneCycleLR(o, max_lr=0.01, total_steps=13)),
    ],
    ids=["constant", "cosine", "one_cycle"],
)
def test_schedule(monkeypatch: pytest.MonkeyPatch, data: loaders.Loaders, schedule: str, theirs) -> None:
    config = TrainConfig(epochs=4, lr=0.01, optimizer="sgd", schedule=schedule)
    optimizer = torch.optim.SGD(linear_model().parameters(), lr=0.01, momentum=0.9)
    scheduler, expected = theirs(optimizer), []
    for _ in range(12):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert learning_rates(monkeypatch, data, config) == pytest.approx(expected)


def test_plateau_divides_by_ten_after_three_epochs_without_progress(
    monkeypatch: pytest.MonkeyPatch, data: loaders.Loaders
) -> None:
    evaluate, losses = training.evaluate, iter([1.0, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6])
    monkeypatch.setattr(
        training, "evaluate", lambda *arguments: dataclasses.replace(evaluate(*arguments), loss=next(losses))
    )
    config = TrainConfig(epochs=7, lr=0.01, optimizer="sgd", schedule="plateau")
    rates = learning_rates(monkeypatch, data, config)[::3]
    assert rates == pytest.approx([0.01] * 5 + [0.001] * 2)


def test_pretrained_layers_may_learn_more_slowly() -> None:
    model = models.replace_head(tiny_model(), 3)
    config = TrainConfig(lr=0.1, backbone_factor=0.1, schedule="one_cycle", epochs=1)
    optimizer = build_optimizer(models.parameter_groups(model, 0.1, backbone_factor=0.1), config)
    build_schedule(optimizer, config, 10)
    assert [group["max_lr"] for group in optimizer.param_groups] == pytest.approx([0.01, 0.1])


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_optimizers_learn(data: loaders.Loaders, name: str) -> None:
    history = training.fit(tiny_model(), data, TrainConfig(epochs=6, lr=0.02, optimizer=name, weight_decay=0.01))
    assert history.column("train_loss")[-1] < 0.8 * history.column("train_loss")[0]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"epochs": 0}, "epochs=0 must be at least 1"),
        ({"lr": 0.0}, "lr=0.0 must be above 0; 1e-3 suits a new head, 1e-4 pretrained layers"),
        ({"lr": float("nan")}, "lr=nan must be above 0"),
        ({"optimizer": "Adam"}, "'Adam' is not known here: choose one of adam, adamw, sgd"),
        ({"schedule": "linear"}, "'linear' is not known here: choose one of constant, cosine, one_cycle, plateau"),
    ],
    ids=["epochs", "lr", "lr nan", "optimizer", "schedule"],
)
def test_impossible_settings(wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        TrainConfig(**wrong)


# --- batches of odd sizes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [24, 1000, 23], ids=["all in one", "larger than the data", "one picture over"])
def test_few_batches(folder: Path, batch_size: int) -> None:
    data = tiny_loaders(folder, batch_size=batch_size)
    history = training.fit(tiny_model(), data, TrainConfig(epochs=2, schedule="one_cycle"))
    assert len(data.train) == 1 and len(history.epochs) == 2


def normed_model() -> nn.Module:
    """Batch norm after the pictures have become rows of numbers: it cannot learn from a single row."""
    model = tiny_model()
    model.classifier = nn.Sequential(nn.BatchNorm1d(24), nn.Linear(24, 3))
    return model


@pytest.mark.parametrize("frozen", [False, True], ids=["trained", "cached features"])
def test_a_picture_left_over_does_not_stop_batch_norm(folder: Path, frozen: bool) -> None:
    model = normed_model()
    if frozen:
        models.freeze(model, except_for="classifier")
    assert len(training.fit(model, tiny_loaders(folder, batch_size=23), TrainConfig(epochs=1)).epochs) == 1


def test_batches_of_one_picture(folder: Path) -> None:
    data = tiny_loaders(folder, batch_size=1)
    assert len(training.fit(linear_model(), data, TrainConfig(epochs=1)).epochs) == 1
    sentence = r"Batch norm cannot learn from a batch of one picture. Choose a batch_size that leaves no .* \(now 1\)"
    with pytest.raises(TrainingError, match=sentence):
        training.fit(normed_model(), data, TrainConfig(epochs=1))


# --- what cannot be trained -------------------------------------------------------------------------------------------


def test_everything_frozen(data: loaders.Loaders) -> None:
    with pytest.raises(ValueError, match="Nothing to train: every parameter is frozen. See models.freeze"):
        training.fit(tiny_model().requires_grad_(False), data, TrainConfig())


def test_no_validation_pictures(folder: Path) -> None:
    with pytest.raises(ValueError, match="there are none: give image_folder a val_fraction above 0 and at least two"):
        training.fit(tiny_model(), tiny_loaders(folder, val_fraction=0), TrainConfig())


@pytest.mark.parametrize("outputs", [2, 1000])
def test_wrong_number_of_outputs(data: loaders.Loaders, outputs: int) -> None:
    model = tiny_model(classes=outputs)
    sentence = rf"The network has {outputs} outputs and tiny has 3 classes: .* models\.replace_head\(model, 3\)"
    with pytest.raises(ValueError, match=sentence):
        training.fit(model, data, TrainConfig())


class Reshaping(nn.Module):
    """As in many tutorials: all that makes the first network of a student fail."""

    def __init__(self, numbers: int) -> None:
        super().__init__()
        self.fc = nn.Linear(numbers, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(images.view(-1, self.fc.in_features))


FIRST_ERRORS = {  # of pictures (3, 12, 12)
    r"0 \(Conv2d\) takes 1 channels, but \(3, 12, 12\) arrives. That is a picture: make this layer for 3": (
        lambda: nn.Sequential(nn.Conv2d(1, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    ),
    r"1 \(BatchNorm2d\) takes 5 channels, but \(4, 10, 10\) arrives. The layers before it give that": (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(5), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    ),
    r"1 \(Linear\) takes 5 numbers a picture, but \(432,\) arrives. Either size=12 is not the size": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(5, 3))
    ),
    r"1 \(Linear\) takes 400 numbers a picture, but \(4, 10, 10\) arrives. .* flatten before this layer is missing": (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(400, 3))
    ),
    r"1 \(Conv2d\) does not take what arrives, \(2, 432\): Expected 3D": (
        lambda: nn.Sequential(nn.Flatten(), nn.Conv2d(3, 4, 3))
    ),
    r"\(Reshaping\) does not take what arrives, \(2, 3, 12, 12\): shape .* is invalid": lambda: Reshaping(5000),
    r"For 2 pictures the network gives \(8, 3\), and not \(2, classes\). Put the maps of each picture in a row": (
        lambda: Reshaping(108)
    ),
    r"For 2 pictures the network gives \(2,\), and not": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(432, 1), Wrapped(torch.squeeze))
    ),
    r"For 2 pictures the network gives \(2, 3, 10, 10\), and not .* x.flatten\(1\), and end in nn.Linear": (
        lambda: nn.Sequential(nn.Conv2d(3, 3, 3))
    ),
    "puts out a NoneType without scores": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(432, 3), Wrapped(lambda _: None))
    ),
}


class Wrapped(nn.Module):
    def __init__(self, wrap) -> None:
        super().__init__()
        self.wrap = wrap

    def forward(self, inputs: torch.Tensor) -> object:
        return self.wrap(inputs)


def test_first_errors_are_sentences(data: loaders.Loaders) -> None:
    wrong = []
    for sentence, make in FIRST_ERRORS.items():
        for action in (
            lambda make=make: training.fit(model=make(), loaders=data),
            lambda make=make: training.evaluate(make(), [(images[:2], labels[:2]) for images, labels in data.test]),
        ):
            try:
                action()
            except (ValueError, TrainingError) as error:
                if not re.search(sentence, str(error)):
                    wrong.append(f"{sentence}: {error}")
            else:
                wrong.append(f"{sentence}: nothing")
    assert not wrong, "\n".join(wrong)


def test_what_does_not_come_out_of_the_network_stays_as_it_is(data: loaders.Loaders) -> None:
    class Broken(torch.utils.data.Dataset):
        def __getitem__(self, index: int) -> None:
            raise RuntimeError("my own words")

        def __len__(self) -> int:
            return 24

    broken = dataclasses.replace(data, train=DataLoader(Broken(), batch_size=8))
    with pytest.raises(RuntimeError, match="^my own words$") as caught:
        training.fit(tiny_model(), broken)
    assert not isinstance(caught.value, TrainingError)


def test_arguments_in_the_wrong_place(data: loaders.Loaders) -> None:
    for sentence, action in (
        ("evaluate takes one of the loaders: training.evaluate", lambda: training.evaluate(tiny_model(), data)),
        ("fit takes the Loaders .* not one DataLoader", lambda: training.fit(tiny_model(), data.train)),
        ("fit takes the Loaders .* not one list", lambda: training.fit(tiny_model(), [], TrainConfig())),
        ("choose one of them", lambda: training.fit(tiny_model(), data, CONFIG, resume=True, overwrite=True)),
    ):
        with pytest.raises(ValueError, match=sentence):
            action()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda scores: {"logits": scores, "loss": None},
        lambda scores: (scores, -scores),
        lambda scores: types.SimpleNamespace(logits=scores),
        lambda scores: [scores],
    ],
    ids=["dict", "tuple", "logits", "list"],
)
def test_scores_may_come_wrapped(data: loaders.Loaders, wrap) -> None:
    plain_model, model = tiny_model(), tiny_model()
    model.append(Wrapped(wrap))
    for each in (plain_model, model):
        models.freeze(each, except_for="classifier")  # also where features are kept
    config = TrainConfig(epochs=2, lr=0.01)
    histories = [training.fit(each, data, config).column("train_loss") for each in (plain_model, model)]
    assert histories[0] == pytest.approx(histories[1], rel=1e-5)
    assert training.evaluate(model, data.test).loss == pytest.approx(training.evaluate(plain_model, data.test).loss)


# --- an accuracy that means nothing -----------------------------------------------------------------------------------


def doubts(capsys: pytest.CaptureFixture[str], model: nn.Module, data: loaders.Loaders) -> str:
    training.fit(model, data, TrainConfig(epochs=1))
    return capsys.readouterr().out


def test_probabilities_in_place_of_scores_are_noticed(
    folder: Path, data: loaders.Loaders, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = []
    for name, layers, noticed in (
        ("softmax", [nn.Softmax(dim=1)], True),
        ("sigmoid", [nn.Sigmoid()], True),
        ("sigmoid, then reshaped", [nn.Hardsigmoid(), nn.Unflatten(1, (3, 1)), nn.Flatten()], True),
        ("by hand", [Wrapped(lambda x: x.exp() / x.exp().sum(dim=1, keepdim=True))], True),
        ("in a dict", [Wrapped(lambda x: {"logits": x.softmax(1)})], True),
        ("scores", [], False),
        ("log-softmax, which changes nothing", [nn.LogSoftmax(dim=1)], False),
        ("small positive scores", [nn.ReLU(), nn.Hardtanh(0.2, 0.3)], False),
        ("a gate", [Wrapped(lambda x: 0.2 + 0.1 * (x.sigmoid() * torch.tanh(x)))], False),
    ):
        model = tiny_model()
        model.extend(layers)
        said = doubts(capsys, model, data)
        if ("The network gives probabilities (it ends in softmax or sigmoid)" in said) != noticed:
            wrong.append(name)
    assert not wrong


def test_few_pictures_to_validate_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tiny_folder(tmp_path / "pets", classes=2, train=20)
    assert doubts(capsys, tiny_model(classes=2), tiny_loaders(folder, val_fraction=0.25)) == ""  # 10 pictures
    said = doubts(capsys, tiny_model(classes=2), tiny_loaders(folder, val_fraction=0.025))
    assert "There are only 1 pictures to validate on, so that chance decides which epoch is best: one" in said
    assert "There is no picture of class1 to validate on, and the accuracy says nothing about it: give" in said


def test_a_single_class(data: loaders.Loaders, capsys: pytest.CaptureFixture[str]) -> None:
    batches = DataLoader(TensorDataset(torch.rand(12, 3, 12, 12), torch.zeros(12, dtype=torch.long)), batch_size=4)
    single = loaders.Loaders(train=batches, val=batches, test=batches, classes=["images"], name="one", size=12)
    assert "There is a single class, images: every network is right" in doubts(capsys, tiny_model(classes=1), single)


# --- stopped by hand --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 4, 8], ids=["first batch", "second epoch", "third epoch"])
def test_ctrl_c_leaves_the_best_epoch_so_far(
    data: loaders.Loaders, step: int, capsys: pytest.CaptureFixture[str]
) -> None:
    undisturbed = tiny_model()
    done = (step - 1) // 3
    if done:
        training.fit(undisturbed, data, TrainConfig(epochs=done, lr=0.01))
    model = tripping_model(step, stop)
    history = training.fit(model, data, TrainConfig(epochs=5, lr=0.01))
    assert len(history.epochs) == done
    assert f"Stopped by you in epoch {done + 1} of 5." in capsys.readouterr().out
    assert not model.training and training.evaluate(model, data.val).probabilities.isfinite().all()
    ours = [tensor for tensor in model.state_dict().values()]
    assert all(torch.equal(a, b) for a, b in zip(ours, undisturbed.state_dict().values(), strict=True))


def test_a_history_without_epochs(data: loaders.Loaders) -> None:
    history = training.fit(tripping_model(1, stop), data, TrainConfig())
    assert str(history) == "Sequential on tiny, float32\nepoch  train loss  train acc  val loss  val acc  seconds"
    with pytest.raises(ValueError, match="stopped before its first epoch was done, so there is no best one"):
        _ = history.best


def test_ctrl_c_while_features_are_computed(data: loaders.Loaders, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "cached_features", interrupt)
    model = tiny_model()
    before = weights_of(model)
    assert training.fit(model, data, TrainConfig()).epochs == []
    assert same_weights(model, before)


def test_ctrl_c_while_a_checkpoint_is_written(
    data: loaders.Loaders, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    config = TrainConfig(epochs=3, checkpoint="run")
    training.fit(tiny_model(), data, dataclasses.replace(config, epochs=1))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupt)
        assert len(training.fit(tiny_model(), data, config, resume=True).epochs) == 2
    capsys.readouterr()
    assert len(training.fit(tiny_model(), data, config, resume=True).epochs) == 3
    assert "Continuing 'run' after epoch 1 of 3." in capsys.readouterr().out


# --- training goes wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "back"), [(2, "where it began"), (8, "at epoch [12]")], ids=["first epoch", "third epoch"]
)
def test_a_loss_that_is_no_number(data: loaders.Loaders, step: int, back: str) -> None:
    model = tripping_model(step, lambda inputs: inputs * float("nan"))
    before = weights_of(model)
    sentence = (
        rf"The loss became nan in epoch {1 + step // 3}: .* smaller learning rate \(lr=0\.001 in place of 0\.01\)\. "
    )
    with pytest.raises(TrainingError, match=sentence + f"The network is back {back}"):
        training.fit(model, data, TrainConfig(epochs=5, lr=0.01))
    assert same_weights(model, before) is (step == 2)
    assert training.evaluate(model, data.val).probabilities.isfinite().all() and not model.training


def test_weights_that_explode_at_the_last_step(data: loaders.Loaders) -> None:
    """The training loss was still a number; the validation pictures show that the weights are none."""
    config = TrainConfig(epochs=1, lr=1e38, optimizer="sgd")
    loaders_of_one_batch = dataclasses.replace(data, train=tiny_loaders_of_one_batch(data))
    model = linear_model()
    before = weights_of(model)
    with pytest.raises(TrainingError, match="The loss became (nan|inf) in epoch 1"):
        training.fit(model, loaders_of_one_batch, config)
    assert same_weights(model, before)


def tiny_loaders_of_one_batch(data: loaders.Loaders) -> torch.utils.data.DataLoader:
    return torch.utils.data.DataLoader(data.train.dataset, batch_size=24, collate_fn=loaders.as_it_is)


def too_much_memory(_: torch.Tensor) -> torch.Tensor:
    return torch.empty(1 << 60, dtype=torch.uint8)  # torch's own error, not one made up here


ERRORS = {
    "CUDA": torch.cuda.OutOfMemoryError("CUDA"),
    "MPS": RuntimeError("MPS backend out of memory"),
    "Python": MemoryError(),
}


def test_full_memory(data: loaders.Loaders) -> None:
    def fail_with(error: Exception):
        def fail(_: torch.Tensor) -> torch.Tensor:
            raise error

        return fail

    sentence = r"The memory is full\. Try a smaller batch_size \(now 8\), smaller pictures \(now size=12\), a smaller"
    for what in (too_much_memory, *map(fail_with, ERRORS.values())):
        model = tripping_model(5, what)
        with pytest.raises(TrainingError, match=sentence):
            training.fit(model, data, TrainConfig(epochs=3))
        assert not model.training and training.evaluate(model, data.val).probabilities.isfinite().all()


def test_a_full_memory_is_not_kept_full_by_its_error(data: loaders.Loaders) -> None:
    """As a notebook keeps the last error: what the passes held at that moment must go, whatever torch raised."""
    kept: list[weakref.ref] = []

    def fill(inputs: torch.Tensor) -> torch.Tensor:
        large = torch.ones(1000)
        kept.append(weakref.ref(large))
        kept.append(weakref.ref(inputs))
        try:
            return too_much_memory(large)
        except RuntimeError as error:
            raise torch.cuda.OutOfMemoryError("once more") from error

    def keep_optimizer(groups, config):
        optimizer = build_optimizer(groups, config)
        kept.append(weakref.ref(optimizer))
        return optimizer

    class Full:  # after a batch of the validation
        passes, dataset = 0, data.val.dataset

        def __iter__(self):
            self.passes += 1
            for images, labels in data.val:
                yield images, labels
                if self.passes > 1:
                    fill(images)

        def __len__(self) -> int:
            return 2

    for model, loader in ((tripping_model(2, fill), data.val), (tiny_model(), Full())):
        kept.clear()
        with pytest.MonkeyPatch.context() as patch, pytest.raises(TrainingError, match="The memory is full") as caught:
            patch.setattr(training, "build_optimizer", keep_optimizer)
            training.fit(model, dataclasses.replace(data, val=loader), TrainConfig(epochs=1))
        gc.collect()
        assert len(kept) == 3 and [ref() for ref in kept] == [None] * 3 and caught.value.__cause__ is not None


def test_images_too_small_for_the_network(data: loaders.Loaders) -> None:
    """The words are torch's: a version that puts it otherwise turns this red."""
    for name, layer in (("pool", nn.MaxPool2d(8)), ("conv", nn.Conv2d(6, 6, 20))):
        model = tiny_model()
        model.features = nn.Sequential(*model.features[:3], layer, model.features[3])
        if name == "pool":
            model.features.insert(4, nn.MaxPool2d(2))
        with pytest.raises(
            TrainingError, match="Pictures of size=12 are too small for this network. Try size=64 or more"
        ):
            training.fit(model, data, TrainConfig(epochs=1))


# --- checkpoints ------------------------------------------------------------------------------------------------------


def test_killed_at_any_moment_it_ends_in_the_same_weights(tmp_path: Path) -> None:
    """SIGKILL at random moments of at least 20 sessions, and at chosen ones while a checkpoint is written."""
    script = Path(__file__).with_name("kill_me.py")
    command = [sys.executable, str(script), str(tmp_path), "20"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, capture_output=True, text=True, env=env, timeout=300)
    assert result.returncode == 0, result.stderr[-2000:]
    report = json.loads(result.stdout.splitlines()[-1])
    assert report["same"] and report["kills"] >= 20 and report["ends"] >= 1


CONFIG = TrainConfig(epochs=2, lr=0.01, checkpoint="run")


def frozen_model(*, seed: int = 0) -> nn.Module:
    return models.freeze(models.replace_head(tiny_model(seed=seed), 3))


@pytest.mark.parametrize("make", [tiny_model, frozen_model], ids=["everything trained", "cached features"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_more_epochs_continue_a_finished_training(data: loaders.Loaders, make, optimizer: str) -> None:
    config = dataclasses.replace(CONFIG, optimizer=optimizer, schedule="plateau")
    whole_model, model = make(), make()
    whole = training.fit(whole_model, data, dataclasses.replace(config, epochs=5, checkpoint=None))
    training.fit(model, data, config)
    fresh = make(seed=7) if make is tiny_model else make()
    history = training.fit(fresh, data, dataclasses.replace(config, epochs=5), resume=True)
    assert outcome(fresh, history) == outcome(whole_model, whole)


def test_resuming_a_finished_training_gives_its_result_at_once(
    data: loaders.Loaders, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, again = frozen_model(), frozen_model(seed=0)
    history = training.fit(model, data, CONFIG)
    monkeypatch.setattr(training, "cached_features", None)  # not called: there is nothing to train
    assert training.fit(again, data, CONFIG, resume=True).epochs == history.epochs
    assert same_weights(again, model.state_dict())


def test_the_size_is_announced_before_the_first_save(
    data: loaders.Loaders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KIT_PERSIST", str(tmp_path))
    model = linear_model()
    training.fit(model, data, CONFIG)
    said = capsys.readouterr().out
    assert said.startswith(f"Checkpoints of about 21 KiB go to {tmp_path / 'checkpoints' / 'run'}.\n")
    size = (tmp_path / "checkpoints" / "run" / "last.ckpt").stat().st_size
    assert 4 * 4 * 1299 * 0.7 < size < 4 * 4 * 1299 * 1.5  # four copies of 1299 numbers of four bytes
    models.freeze(models.replace_head(big := models.load("squeezenet1_1", num_classes=3, pretrained=False), 3))
    training.fit(big, tiny_loaders_64(data), dataclasses.replace(CONFIG, epochs=1, checkpoint="frozen"))
    assert "Checkpoints of about 25 KiB" in capsys.readouterr().out  # 1539 trainable weights, not 724,035


def tiny_loaders_64(data: loaders.Loaders) -> loaders.Loaders:
    return loaders.image_folder(data.train.dataset.paths[0].parents[2], size=32, batch_size=8)


def test_a_full_drive_is_said_before_training(data: loaders.Loaders, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = checkpoints.shutil.disk_usage("/")
    monkeypatch.setattr(checkpoints.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(checkpoints.CheckpointError, match="Checkpoints need 41 KiB and .* has 1 KiB free. Make room"):
        training.fit(linear_model(), data, CONFIG)


def test_a_drive_that_fills_up_leaves_the_network_usable(
    data: loaders.Loaders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    model = tiny_model()
    training.fit(model, data, CONFIG)
    expected = weights_of(model)
    again = tiny_model()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(checkpoints.CheckpointError, match="the disk is full. The one before it is still whole"):
            training.fit(again, data, dataclasses.replace(CONFIG, epochs=3), resume=True)
    assert not again.training and training.evaluate(again, data.val).probabilities.isfinite().all()
    back = tiny_model()
    assert len(training.fit(back, data, CONFIG, resume=True).epochs) == 2
    assert same_weights(back, expected)


def test_without_a_checkpoint_resume_starts_at_the_beginning(
    data: loaders.Loaders, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(training.fit(tiny_model(), data, CONFIG, resume=True).epochs) == 2
    assert "There is no whole checkpoint 'run' yet: starting with the first epoch." in capsys.readouterr().out
    training.fit(tiny_model(), data, CONFIG, resume=True)
    assert "'run' has been trained for 2 epochs; epochs=2 asks for no more." in capsys.readouterr().out


def test_fewer_epochs_than_are_done(data: loaders.Loaders, capsys: pytest.CaptureFixture[str]) -> None:
    model, again = tiny_model(), tiny_model(seed=5)
    history = training.fit(model, data, dataclasses.replace(CONFIG, epochs=3))
    capsys.readouterr()
    assert training.fit(again, data, CONFIG, resume=True).epochs == history.epochs
    assert capsys.readouterr().out == "'run' has been trained for 3 epochs; epochs=2 asks for no more.\n"
    assert same_weights(again, model.state_dict())


def test_resume_needs_a_name(data: loaders.Loaders) -> None:
    with pytest.raises(ValueError, match=r"resume=True needs a name to resume from: TrainConfig\(\.\.\., checkpoint="):
        training.fit(tiny_model(), data, TrainConfig(), resume=True)


OTHER_SETTINGS = {
    "lr": ({"lr": 0.02}, "lr was 0.01 and is now 0.02"),
    "optimizer": ({"optimizer": "sgd"}, "optimizer was 'adam' and is now 'sgd'"),
    "seed": ({"seed": 1}, "seed was 0 and is now 1"),
    "schedule": ({"schedule": "cosine"}, "schedule was 'constant' and is now 'cosine'"),
}


@pytest.mark.parametrize(("change", "sentence"), OTHER_SETTINGS.values(), ids=OTHER_SETTINGS)
def test_other_settings_are_refused(data: loaders.Loaders, change: dict[str, object], sentence: str) -> None:
    training.fit(tiny_model(), data, CONFIG)
    saved = checkpoints.file_of("run").read_bytes()
    expected = f"The checkpoint 'run' belongs to another training: .*{sentence}.* Give this training another checkpoint"
    with pytest.raises(checkpoints.CheckpointError, match=expected):
        training.fit(tiny_model(), data, dataclasses.replace(CONFIG, **change), resume=True)
    assert checkpoints.file_of("run").read_bytes() == saved


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle"])
def test_more_epochs_are_refused_where_the_schedule_depends_on_them(data: loaders.Loaders, schedule: str) -> None:
    config = dataclasses.replace(CONFIG, schedule=schedule)
    training.fit(tiny_model(), data, config)
    with pytest.raises(checkpoints.CheckpointError, match="another training: epochs was 2 and is now 3. Give"):
        training.fit(tiny_model(), data, dataclasses.replace(config, epochs=3), resume=True)


OTHER_DATA = {
    "name": (lambda data: dataclasses.replace(data, name="other"), "data was 'tiny' and is now 'other'"),
    "classes": (
        lambda data: dataclasses.replace(data, classes=["x", "y", "z"]),
        r"classes was .* now \['x', 'y', 'z'\]",
    ),
    "size": (lambda data: tiny_loaders_64(data), "size was 12 and is now 32"),
}


@pytest.mark.parametrize(("change", "sentence"), OTHER_DATA.values(), ids=OTHER_DATA)
def test_other_data_are_refused(data: loaders.Loaders, change, sentence: str) -> None:
    training.fit(tiny_model(), data, CONFIG)
    with pytest.raises(checkpoints.CheckpointError, match=f"another training: .*{sentence}"):
        training.fit(tiny_model(), change(data), CONFIG, resume=True)


OTHER_LOADING = {
    "split": ({"seed": 1}, r"the files trained on \(seed, val_fraction\) are others"),
    "normalisation": ({"mean": (0.5, 0.5, 0.5)}, "mean and std was .* and is now"),
    "pictures": ({"val_fraction": 0.3}, "training pictures was 24 and is now 21"),
    "batch size": ({"batch_size": 4}, "batch_size was 8 and is now 4"),
    "augmentation": ({"augment": "flip"}, "augment was 'none' and is now 'flip'"),
}


STRENGTH = 0.5


def dimmed(images: torch.Tensor) -> torch.Tensor:
    return (images * STRENGTH).to(torch.uint8)


def brighter_by(step: int):
    return lambda images: images.clamp(max=200) + step


class Noise:
    def __init__(self, strength: int) -> None:
        self.strength = strength

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return images ^ self.strength


def replaced(data: loaders.Loaders, **options: object) -> loaders.Loaders:
    train = DataLoader(data.train.dataset, collate_fn=loaders.as_it_is, **{"batch_size": 8} | options)
    return dataclasses.replace(data, train=train)


def tensors(add: float = 0.0, last: int = 2) -> loaders.Loaders:
    images = torch.linspace(0, 1, 30 * 432).view(30, 3, 12, 12) + add
    batches = DataLoader(TensorDataset(images, torch.tensor([0, 1, 2] * 9 + [0, 1, last])), batch_size=8)
    return loaders.Loaders(train=batches, val=batches, test=batches, classes=["a", "b", "c"], name="own", size=12)


def listed(data: loaders.Loaders) -> loaders.Loaders:
    """The same, from plain lists of images and labels."""
    batches = DataLoader(list(data.train.dataset), batch_size=8)
    return dataclasses.replace(data, train=batches, val=batches)


def of_torchvision(folder: Path, *steps: object, first: int = 20) -> loaders.Loaders:
    steps = (v2.ToImage(), v2.ToDtype(torch.float32, scale=True), *steps)
    images = ImageFolder(str(folder / "train"), v2.Compose(steps))
    parts = (torch.utils.data.Subset(images, range(*ends)) for ends in ((first,), (first, 30), (30,)))
    train, val, test = (DataLoader(part, batch_size=8) for part in parts)
    return loaders.Loaders(train=train, val=val, test=test, classes=["a", "b", "c"], name="theirs", size=12)


CODE, SAMPLER = "the code or settings of augment are others", "the settings of the sampler are others"
PICTURES = r"the pictures \(names, sizes or labels\) are others"
# Of a folder: how a training begins, how it is taken up again, and what fit says to that.
OTHER_NUMBERS = {
    "stretch": (tiny_loaders, lambda f: tiny_loaders(f, stretch=True), "stretch was False and is now True"),
    "lambda": (
        lambda f: tiny_loaders(f, augment=lambda x: x.clamp(max=200)),
        lambda f: tiny_loaders(f, augment=lambda x: x.clamp(max=210)),
        CODE,
    ),
    "enclosed": (
        lambda f: tiny_loaders(f, augment=brighter_by(3)),
        lambda f: tiny_loaders(f, augment=brighter_by(4)),
        CODE,
    ),
    "attribute": (lambda f: tiny_loaders(f, augment=Noise(3)), lambda f: tiny_loaders(f, augment=Noise(4)), CODE),
    "partial": (
        lambda f: tiny_loaders(f, augment=functools.partial(torch.clamp, max=90)),
        lambda f: tiny_loaders(f, augment=functools.partial(torch.clamp, max=91)),
        CODE,
    ),
    "transform": (
        lambda f: tiny_loaders(f, augment=v2.RandomApply([v2.ColorJitter(0.1)])),
        lambda f: tiny_loaders(f, augment=v2.RandomApply([v2.ColorJitter(0.2)])),
        CODE,
    ),
    "sampler": (
        tiny_loaders,
        lambda f: replaced(tiny_loaders(f), sampler=WeightedRandomSampler([1.0] * 24, 24)),
        "sampler was 'RandomSampler' and is now 'WeightedRandomSampler'",
    ),
    "weights of the sampler": (
        lambda f: replaced(tiny_loaders(f), sampler=WeightedRandomSampler([1.0] * 24, 24)),
        lambda f: replaced(tiny_loaders(f), sampler=WeightedRandomSampler([1.0] * 23 + [2.0], 24)),
        SAMPLER,
    ),
    "order": (
        lambda f: replaced(tiny_loaders(f), batch_size=1, batch_sampler=[[0, 1, 2], [3, 4, 5]]),
        lambda f: replaced(tiny_loaders(f), batch_size=1, batch_sampler=[[0, 1, 2], [3, 4, 6]]),
        SAMPLER,
    ),
    "numbers": (lambda f: tensors(), lambda f: tensors(add=0.1), PICTURES),
    "labels": (lambda f: tensors(), lambda f: tensors(last=1), PICTURES),
    "a list": (lambda f: listed(tensors()), lambda f: listed(tensors(add=0.1)), PICTURES),
    "torchvision's normalisation": (
        lambda f: of_torchvision(f, v2.Normalize([0.5], [0.5])),
        lambda f: of_torchvision(f, v2.Normalize([0.5], [0.4])),
        f"{PICTURES}.*{CODE}",
    ),
    "torchvision's subset": (
        of_torchvision,
        lambda f: of_torchvision(f, first=19),
        r"training pictures was 20 and is now 19.*the files trained on \(seed, val_fraction\) are others",
    ),
}


def test_other_numbers_are_refused_and_the_same_are_not(folder: Path) -> None:
    wrong = []
    for name, (begin, resume, sentence) in OTHER_NUMBERS.items():
        config = dataclasses.replace(CONFIG, checkpoint=name.replace("'", ""))
        training.fit(tiny_model(), begin(folder), dataclasses.replace(config, epochs=1))
        try:
            training.fit(tiny_model(), resume(folder), config, resume=True)
            wrong.append(f"{name}: accepted")
        except checkpoints.CheckpointError as error:
            if not re.search(f"another training: .*{sentence}", str(error)):
                wrong.append(f"{name}: {error}")
        assert len(training.fit(tiny_model(), begin(folder), config, resume=True).epochs) == 2, name
    assert not wrong, "\n".join(wrong)


def test_other_files_are_refused(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "tiny")
    training.fit(tiny_model(), tiny_loaders(folder), CONFIG)
    cat, dog = (folder / "train" / f"class{label}" / "003.png" for label in (0, 1))
    swapped = cat.read_bytes(), dog.read_bytes()
    cat.write_bytes(swapped[1] + b"x")
    dog.write_bytes(swapped[0])
    with pytest.raises(checkpoints.CheckpointError, match=f"another training: {PICTURES}. Give"):
        training.fit(tiny_model(), tiny_loaders(folder), CONFIG, resume=True)


def test_a_global_that_the_augmentation_uses(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tiny_loaders(folder, augment=dimmed)
    training.fit(tiny_model(), data, CONFIG)
    monkeypatch.setitem(globals(), "STRENGTH", 0.6)
    with pytest.raises(checkpoints.CheckpointError, match=CODE):
        training.fit(tiny_model(), data, CONFIG, resume=True)


def test_another_dropout_is_another_network(data: loaders.Loaders) -> None:
    training.fit(tiny_model(), data, CONFIG)
    model = tiny_model()
    model.classifier[0].p = 0.5
    with pytest.raises(checkpoints.CheckpointError, match="another training: the layers are others. Give"):
        training.fit(model, data, CONFIG, resume=True)


def test_a_checkpoint_of_an_older_kit_is_taken_with_a_word(
    data: loaders.Loaders, capsys: pytest.CaptureFixture[str]
) -> None:
    training.fit(tiny_model(), data, CONFIG)
    path = checkpoints.file_of("run")
    state = checkpoints.load(path)
    for key in ("stretch", "sampler"):
        del state["identity"][key]
    del state["precision"]
    checkpoints.save(state, path)
    capsys.readouterr()
    assert len(training.fit(tiny_model(), data, dataclasses.replace(CONFIG, epochs=3), resume=True).epochs) == 3
    assert "which did not note these: stretch, sampler. See that they are the same." in capsys.readouterr().out


def test_another_precision_is_said(
    data: loaders.Loaders, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Colab gives a GPU today and none tomorrow: the training goes on, and its history tells."""
    monkeypatch.setattr(acceleration, "SMALL", 0)
    for epochs, bf16, precision in ((1, "1", "bfloat16"), (2, "1", "bfloat16"), (3, "0", "bfloat16, then float32")):
        monkeypatch.setenv("KIT_BF16", bf16)
        config = dataclasses.replace(CONFIG, epochs=epochs)
        history = training.fit(tiny_model(), data, config, resume=True)
        assert history.precision == precision
    assert capsys.readouterr().out.count("The session before multiplied in bfloat16, this one does in float32.") == 1
    assert training.fit(tiny_model(), data, config, resume=True).precision == "bfloat16, then float32"
    history = training.fit(tiny_model(), data, dataclasses.replace(config, epochs=4), resume=True)
    assert history.precision == "bfloat16, then float32"


# --- nothing is written over ------------------------------------------------------------------------------------------


def test_a_second_start_under_the_same_name_is_refused(data: loaders.Loaders) -> None:
    path = checkpoints.file_of("run")
    sentence = (
        "There is a training 'run' already, of 2 epochs. Go on with it by resume=True, or begin anew in its place by "
        "overwrite=True"
    )
    for epochs, tear in ((2, False), (1, False), (9, True)):
        if not path.exists():
            training.fit(tiny_model(), data, CONFIG)
        if tear:  # the last one is no whole file: what counts is the one before it
            path.with_name("last.ckpt.previous").write_bytes(path.read_bytes())
            path.write_bytes(path.read_bytes()[:-1])
        model = tiny_model(seed=4)
        before = weights_of(model)
        with pytest.raises(checkpoints.CheckpointError, match=sentence):
            training.fit(model, data, dataclasses.replace(CONFIG, epochs=epochs))
        assert same_weights(model, before) and len(checkpoints.load(path)["history"]) == 2
    config = dataclasses.replace(CONFIG, epochs=1, lr=0.5)
    history = training.fit(tiny_model(), data, config, overwrite=True)
    assert training.fit(tiny_model(), data, config, resume=True).epochs == history.epochs
    assert len(history.epochs) == 1


def test_a_checkpoint_from_before_the_drive_was_mounted(
    data: loaders.Loaders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    unmounted, drive = Path(os.environ["KIT_HOME"]) / "persist", tmp_path / "drive"
    monkeypatch.setenv("KIT_PERSIST", str(unmounted))
    training.fit(tiny_model(), data, CONFIG)
    monkeypatch.setenv("KIT_PERSIST", str(drive))
    with pytest.raises(checkpoints.CheckpointError, match="There is a training 'run' already, of 2 epochs"):
        training.fit(tiny_model(), data, CONFIG)
    three = dataclasses.replace(CONFIG, epochs=3)
    capsys.readouterr()
    assert len(training.fit(tiny_model(), data, three, resume=True).epochs) == 3
    said = capsys.readouterr().out
    there, here = (folder / "checkpoints" / "run" for folder in (unmounted, drive))
    assert "after epoch 2 of 3" in said
    assert f"It lies in {there}, from before the Drive was mounted; from here on it goes to {here}." in said
    assert [len(checkpoints.load(folder / "last.ckpt")["history"]) for folder in (there, here)] == [2, 3]
    os.utime(there / "last.ckpt", (1, 1))  # the newest counts
    training.fit(tiny_model(), data, three, resume=True)
    assert "for 3 epochs; epochs=3 asks for no more" in capsys.readouterr().out


@pytest.mark.parametrize(("change", "sentence"), OTHER_LOADING.values(), ids=OTHER_LOADING)
def test_other_loading_is_refused(folder: Path, change: dict[str, object], sentence: str) -> None:
    training.fit(tiny_model(), tiny_loaders(folder), CONFIG)
    with pytest.raises(checkpoints.CheckpointError, match=f"another training: .*{sentence}"):
        training.fit(tiny_model(), tiny_loaders(folder, **change), CONFIG, resume=True)


def test_other_frozen_weights_are_refused(data: loaders.Loaders) -> None:
    training.fit(frozen_model(), data, CONFIG)
    with pytest.raises(checkpoints.CheckpointError, match="another training: the frozen weights are others. Give"):
        training.fit(frozen_model(seed=1), data, CONFIG, resume=True)


def wider_model() -> nn.Module:
    model = tiny_model()
    model.features[0], model.features[1] = nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5)
    model.classifier[1] = nn.Linear(20, 3)
    return model


@pytest.mark.parametrize("make", [wider_model, linear_model, frozen_model], ids=["wider", "other", "frozen"])
def test_another_network_is_refused(data: loaders.Loaders, make) -> None:
    training.fit(tiny_model(), data, CONFIG)
    model = make()
    before = weights_of(model)
    with pytest.raises(checkpoints.CheckpointError, match="another training: the trained layers are others"):
        training.fit(model, data, CONFIG, resume=True)
    assert same_weights(model, before)


def test_a_session_on_another_device_may_continue(data: loaders.Loaders) -> None:
    """A GPU of one kind needs a loss scaler, one of another kind does not."""
    training.fit(tiny_model(), data, CONFIG)
    path = checkpoints.file_of("run")
    state = checkpoints.load(path)
    assert state["scaler"] == {}
    checkpoints.save({**state, "scaler": {"scale": 65536.0}}, path)
    assert len(training.fit(tiny_model(), data, dataclasses.replace(CONFIG, epochs=3), resume=True).epochs) == 3


# --- evaluation -------------------------------------------------------------------------------------------------------


def test_evaluation_is_that_of_a_plain_loop(data: loaders.Loaders) -> None:
    model = tiny_model()
    training.fit(model, data, TrainConfig(epochs=1))
    models.train_mode(model)
    model.features[1].eval()
    modes = [module.training for module in model.modules()]
    evaluation = training.evaluate(model, data.test)
    assert [module.training for module in model.modules()] == modes
    model.eval()
    confusion, losses, right = torch.zeros(3, 3, dtype=torch.int64), [], 0
    with torch.no_grad():
        for images, labels in data.test:
            for scores, label in zip(model(images), labels, strict=True):
                confusion[label, scores.argmax()] += 1
                losses.append(F.cross_entropy(scores, label).item())
                right += int(scores.argmax() == label)
    assert torch.equal(evaluation.confusion, confusion)
    assert evaluation.loss == pytest.approx(sum(losses) / 12, rel=1e-5)
    assert evaluation.accuracy == pytest.approx(100 * right / 12)
    assert evaluation.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    torch.testing.assert_close(evaluation.probabilities.sum(dim=1), torch.ones(12))


def test_rows_of_the_confusion_matrix_are_the_true_classes() -> None:
    """Class 0 is taken for class 2 twice; nothing is ever taken for class 0."""
    scores = torch.tensor([[0.0, 0, 1], [0, 0, 1], [0, 1, 0], [0, 0, 1]])
    batches = [(scores, torch.tensor([0, 0, 1, 2]))]
    model = nn.Linear(3, 3, bias=False)
    model.weight.data = torch.eye(3)
    assert training.evaluate(model, batches).confusion.tolist() == [[0, 0, 2], [0, 1, 0], [0, 0, 1]]


def test_evaluation_with_too_few_outputs(data: loaders.Loaders) -> None:
    sentence = r"The network has 2 outputs and the labels go up to 2: .* models\.replace_head\(model, 3\)"
    with pytest.raises(ValueError, match=sentence):
        training.evaluate(tiny_model(classes=2), data.test)


def test_evaluation_of_nothing(folder: Path) -> None:
    with pytest.raises(ValueError, match="There is nothing to evaluate on: this loader holds no pictures"):
        training.evaluate(tiny_model(), tiny_loaders(folder, val_fraction=0).val)
