"""What makes training faster must not change what is learned."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from kill_me import tiny_folder, tiny_loaders, tiny_model
from torch import nn
from torch.utils.data import DataLoader, Sampler, WeightedRandomSampler

from helpers import models, training
from helpers.loaders import as_it_is
from helpers.training import acceleration

PICTURES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("pictures") / "tiny")


@pytest.fixture(params=["0", "1"], ids=["no bfloat16 units", "bfloat16 units"])
def bf16(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Both kinds of processor, whatever this one is: any CPU can multiply bfloat16, slowly."""
    monkeypatch.setenv("KIT_BF16", request.param)
    return request.param == "1"


def frozen_model(*, dropout: float = 0.0) -> nn.Module:
    model = tiny_model()
    model.classifier[0].p = dropout
    return models.freeze(models.replace_head(model, 3))


# --- the frozen part and the head -------------------------------------------------------------------------------------


def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    if name == "alexnet, the lecture's head":
        return models.replace_head(models.load("alexnet", pretrained=False), 4, hidden=(4096, 512))
    return models.load(name, num_classes=4, pretrained=False)


@pytest.mark.parametrize(
    ("name", "features_shape"),
    [
        ("alexnet, the lecture's head", (2, 9216)),
        ("resnet18", (2, 512)),
        ("squeezenet1_1", (2, 512, 3, 3)),
        ("mobilenet_v2", (2, 1280)),
        ("densenet121", (2, 1024)),
    ],
    ids=lambda value: str(value),
)
def test_head_of_features_is_the_network(name: str, features_shape: tuple[int, ...]) -> None:
    model = models.freeze(network(name)).train()
    features, head = acceleration.split_frozen(model, PICTURES)
    assert all(module.training for module in model.modules())
    assert features(PICTURES).shape == features_shape and not features(PICTURES).requires_grad
    model.eval()
    assert torch.equal(head(features(PICTURES)), model(PICTURES))
    trainable = {id(p) for p in model.parameters() if p.requires_grad}
    assert {id(p) for p in head.parameters()} == trainable  # the very same layers
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_layer_of_the_head_may_stay_frozen() -> None:
    """VGG and AlexNet with only their last layer new: the other linear layers count as backbone."""
    model = tiny_model()
    model.classifier = nn.Sequential(nn.Linear(24, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 3))
    models.freeze(models.replace_head(model.eval(), 3))
    features, head = acceleration.split_frozen(model, PICTURES)
    assert [type(layer).__name__ for layer in head] == ["ReLU", "Dropout", "Linear", "Flatten"]
    assert torch.equal(head(features(PICTURES)), model(PICTURES))


class Twice(nn.Module):
    """Uses its head in a way that no chain of layers can repeat."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.fc = nn.Linear(12, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(self.body(images)) + self.fc(self.body(images.flip(3)))


class Unused(Twice):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.body(images)[:, :3]


@pytest.mark.parametrize(
    "model",
    [tiny_model(), nn.Sequential(nn.Conv2d(3, 3, 3)), tiny_model().requires_grad_(False), Twice(), Unused()],
    ids=["trainable backbone", "no head", "nothing trainable", "head used twice", "head not used"],
)
def test_networks_that_do_not_split(model: nn.Module) -> None:
    assert acceleration.split_frozen(model, PICTURES) is None
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_quick_dropout_drops_as_many_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    for layout, p in itertools.product((torch.contiguous_format, torch.channels_last), (0.0, 0.2, 0.5, 0.9, 1.0)):
        ones = torch.ones(7, 33, 21, 21).contiguous(memory_format=layout)  # an odd number of values
        layer = acceleration.QuickDropout(p)
        after = layer(ones)
        assert after.shape == ones.shape and after.stride() == ones.stride()
        assert (after == 0).float().mean().item() == pytest.approx(p, abs=0.005)
        assert after.mean().item() == pytest.approx(1.0 if p < 1 else 0.0, abs=0.05)
        assert torch.equal(layer.eval()(ones), ones)


def test_quick_dropout_treats_every_place_alike_and_repeats_by_seed() -> None:
    layer, ones = acceleration.QuickDropout(0.5), torch.ones(4000, 20).t()  # neither of the two layouts: torch's own
    for example in (ones, ones.contiguous(), ones.t().contiguous()):
        torch.manual_seed(1)
        first = layer(example)
        assert ((first == 0).float().mean(dim=1) - 0.5).abs().max() < (0.05 if example.shape[1] > 20 else 0.5)
        torch.manual_seed(1)
        assert torch.equal(layer(example), first)
        assert not torch.equal(layer(example), first)


def cached_and_plain(folder: Path, *, sampler: Sampler | None = None, **options: bool) -> list[training.History]:
    """Histories of two trainings of the same last layer, with and without cached features."""
    histories, models_ = [], [frozen_model(), frozen_model()]
    for model, keep in zip(models_, (True, False), strict=True):
        data = tiny_loaders(folder)
        if sampler is not None:
            data = dataclasses.replace(data, train=DataLoader(
                data.train.dataset, batch_size=8, sampler=sampler, generator=data.train.generator, collate_fn=as_it_is
            ))  # fmt: skip
        assert acceleration.cached_features(model, data) is not None
        with pytest.MonkeyPatch.context() as patch:
            if not keep:
                patch.setattr(training, "cached_features", lambda *_: None)
            histories.append(training.fit(model, data, training.TrainConfig(epochs=4, lr=0.02, **options)))
    torch.testing.assert_close(models_[0].state_dict(), models_[1].state_dict())
    return histories


def assert_alike(cached: training.History, plain: training.History) -> None:
    for column in ("train_loss", "val_loss", "train_accuracy", "val_accuracy"):
        assert cached.column(column) == pytest.approx(plain.column(column), rel=1e-4)


def test_cached_training_goes_the_way_of_uncached_training(folder: Path) -> None:
    cached, plain = cached_and_plain(folder, mixed_precision=False)
    assert_alike(cached, plain)
    assert cached.column("train_loss")[-1] < cached.column("train_loss")[0]


def test_small_networks_are_trained_in_float32_everywhere(folder: Path, bf16: bool) -> None:
    """Whatever the processor can: what a student sees of a small network does not depend on it."""
    cached, plain = cached_and_plain(folder)
    assert_alike(cached, plain)
    assert cached.precision == plain.precision == "float32"


def test_cached_training_keeps_the_callers_sampler(folder: Path) -> None:
    """As for classes of unequal size: twelve draws an epoch, all of them of the first class."""
    sampler = WeightedRandomSampler([1.0] * 8 + [0.0] * 16, 12)
    cached, plain = cached_and_plain(folder, sampler=sampler, mixed_precision=False)
    assert_alike(cached, plain)
    assert cached.column("train_accuracy")[-1] == 100


def test_dropout_in_the_head_works_on_cached_features(folder: Path) -> None:
    losses = [
        training.fit(frozen_model(dropout=dropout), tiny_loaders(folder), training.TrainConfig(epochs=1)).column(
            "train_loss"
        )
        for dropout in (0.0, 0.5)
    ]
    assert losses[0] != losses[1]


def test_features_are_computed_once(folder: Path) -> None:
    model, passes = frozen_model(), []
    model.features.register_forward_hook(lambda *_: passes.append(1))
    training.fit(model, tiny_loaders(folder), training.TrainConfig(epochs=1))
    once = len(passes)
    training.fit(model, tiny_loaders(folder), training.TrainConfig(epochs=6))
    assert len(passes) == 2 * once


@pytest.mark.parametrize("options", [{"augment": "flip"}, {}], ids=["random changes", "trainable backbone"])
def test_features_are_not_kept_where_they_would_change(folder: Path, options: dict[str, str]) -> None:
    model = frozen_model() if options else tiny_model()
    assert acceleration.cached_features(model, tiny_loaders(folder, **options)) is None


def test_features_are_not_kept_where_memory_is_short(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(acceleration.decoding, "fits_memory", lambda needed, device: asked.append(needed))
    assert acceleration.cached_features(frozen_model(), tiny_loaders(folder)) is None
    assert asked == [30 * 24 * 4]


# --- precision and memory layout --------------------------------------------------------------------------------------


LARGE = nn.Linear(400, 400)


def test_precision_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KIT_BF16", raising=False)
    for model, wanted, flags, expected in (
        (LARGE, None, "avx2 avx512f avx512_vnni", "float32"),
        (LARGE, None, "avx512f avx512_bf16", "bfloat16"),
        (LARGE, None, "amx_bf16 amx_tile", "bfloat16"),
        (nn.Linear(4, 2), None, "amx_bf16", "float32"),
        (LARGE, True, "avx2", "bfloat16"),
        (nn.Linear(4, 2), True, "avx2", "bfloat16"),
        (LARGE, False, "amx_bf16", "float32"),
    ):
        monkeypatch.setattr(acceleration.Path, "read_text", lambda _, flags=flags: flags)
        precision = acceleration.precision(model, torch.device("cpu"), wanted)
        assert str(precision) == expected and not precision.scaler.is_enabled()
        with precision.autocast():
            assert str(nn.Linear(4, 2)(torch.rand(3, 4)).dtype) == f"torch.{expected}"


def test_the_detection_can_be_forced(bf16: bool) -> None:
    precision = acceleration.precision(LARGE, torch.device("cpu"), None)
    assert str(precision) == ("bfloat16" if bf16 else "float32")


def test_fit_trains_in_the_precision_that_it_names(folder: Path, bf16: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceleration, "SMALL", 0)
    model, seen = tiny_model(), set()
    model.features.register_forward_hook(lambda *_: seen.add(torch.is_autocast_enabled("cpu")))
    history = training.fit(model, tiny_loaders(folder), training.TrainConfig(epochs=3, lr=0.01))
    assert history.precision == ("bfloat16" if bf16 else "float32") and history.precision in str(history)
    assert seen == ({True, False} if bf16 else {False})  # validation is always in float32
    exact = training.fit(tiny_model(), tiny_loaders(folder), training.TrainConfig(3, 0.01, mixed_precision=False))
    assert history.column("train_loss") == pytest.approx(exact.column("train_loss"), rel=0.05)
    assert (history.column("train_loss") != exact.column("train_loss")) is bf16


def test_backward_and_step_is_an_ordinary_step() -> None:
    model = nn.Linear(3, 2)
    twin = copy.deepcopy(model)
    images, labels = torch.rand(5, 3), torch.tensor([0, 1, 1, 0, 1])
    loss, scores = training.train_step(model, images, labels, torch.optim.SGD(model.parameters(), lr=0.1))
    expected = F.cross_entropy(twin(images), labels)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1)
    expected.backward()
    optimizer.step()
    assert torch.equal(model.weight, twin.weight) and not torch.equal(model(images), scores)
    assert loss == expected and not loss.requires_grad and not scores.requires_grad


class View(nn.Module):
    """As in many tutorials: ``view`` wants the numbers of a picture in one row."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4 * 10 * 10, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(self.conv(images).view(images.size(0), -1))


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (tiny_model(), torch.channels_last),
        (View(), torch.contiguous_format),
        (nn.Sequential(nn.Flatten(), nn.Linear(432, 3)), torch.contiguous_format),
    ],
    ids=["convolutions", "reshaped with view", "no convolution"],
)
def test_layout(model: nn.Module, expected: torch.memory_format) -> None:
    modes = [module.training for module in model.modules()]
    assert acceleration.memory_format(model, torch.rand(2, 3, 12, 12)) is expected
    assert [module.training for module in model.modules()] == modes


def test_a_network_that_uses_view_can_be_trained(folder: Path) -> None:
    torch.manual_seed(0)
    model, data = View(), tiny_loaders(folder)
    history = training.fit(model, data, training.TrainConfig(epochs=3, lr=0.01))
    assert history.best.val_accuracy > 50
    assert training.evaluate(model, data.test).accuracy > 50
    assert all(parameter.is_contiguous() for parameter in model.parameters())
