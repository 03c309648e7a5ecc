"""What makes training faster must not change what is learned."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from kill_me import tiny_folder, tiny_loaders, tiny_model
from torch import nn

from helpers import models, training
from helpers.training import acceleration

PICTURES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("pictures") / "tiny")


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


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["NCHW", "NHWC"])
@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_quick_dropout_drops_as_many_and_keeps_the_mean(p: float, layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    ones = torch.ones(7, 33, 21, 21).contiguous(memory_format=layout)  # an odd number of values
    layer = acceleration.QuickDropout(p)
    after = layer(ones)
    assert after.shape == ones.shape and after.stride() == ones.stride()
    assert (after == 0).float().mean().item() == pytest.approx(p, abs=0.005)
    assert after.mean().item() == pytest.approx(1.0 if p < 1 else 0.0, abs=0.05)
    assert layer.eval()(ones) is ones or torch.equal(layer(ones), ones)


def test_quick_dropout_treats_every_place_alike_and_repeats_by_seed() -> None:
    layer, ones = acceleration.QuickDropout(0.5), torch.ones(4000, 20).t()  # neither of the two layouts: torch's own
    for example in (ones, ones.contiguous(), ones.t().contiguous()):
        torch.manual_seed(1)
        first = layer(example)
        assert ((first == 0).float().mean(dim=1) - 0.5).abs().max() < (0.05 if example.shape[1] > 20 else 0.5)
        torch.manual_seed(1)
        assert torch.equal(layer(example), first)
        assert not torch.equal(layer(example), first)


def test_cached_training_goes_the_way_of_uncached_training(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = training.TrainConfig(epochs=4, lr=0.02)
    cached_model, plain_model = frozen_model(), frozen_model()
    cached = training.fit(cached_model, tiny_loaders(folder), config)
    assert acceleration.cached_features(plain_model, tiny_loaders(folder)) is not None
    monkeypatch.setattr(training, "cached_features", lambda *_, **__: None)
    plain = training.fit(plain_model, tiny_loaders(folder), config)
    for column in ("train_loss", "val_loss", "train_accuracy", "val_accuracy"):
        assert cached.column(column) == pytest.approx(plain.column(column), rel=1e-4)
    torch.testing.assert_close(cached_model.state_dict(), plain_model.state_dict())
    assert cached.column("train_loss")[-1] < cached.column("train_loss")[0]


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


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["NCHW", "channels last"])
def test_feature_batches(layout: torch.memory_format) -> None:
    maps = torch.rand(10, 4, 3, 3).contiguous(memory_format=layout)
    data = acceleration.Features(maps, torch.arange(10))
    features, labels = data.__getitems__([7, 0, 3])
    assert torch.equal(features, maps[[7, 0, 3]]) and labels.tolist() == [7, 0, 3] and len(data) == 10
    assert features.is_contiguous(memory_format=layout)
    feature, label = data[7]
    assert torch.equal(feature, maps[7]) and label == 7


# --- precision and memory layout --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "flags", "expected"),
    [
        (None, "avx2 avx512f avx512_vnni", None),
        (None, "avx512f avx512_bf16", torch.bfloat16),
        (None, "amx_bf16 amx_tile", torch.bfloat16),
        (True, "avx2", torch.bfloat16),
        (False, "amx_bf16", None),
    ],
    ids=["an ordinary processor", "bf16 units", "bf16 matrix units", "asked for", "refused"],
)
def test_precision_on_the_cpu(
    wanted: bool | None, flags: str, expected: torch.dtype | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceleration.Path, "read_text", lambda self: flags)
    precision = acceleration.Precision(torch.device("cpu"), wanted)
    assert precision.dtype is expected and not precision.scaler.is_enabled()
    with precision.autocast():
        assert (nn.Linear(4, 2)(torch.rand(3, 4)).dtype is torch.bfloat16) is (expected is torch.bfloat16)


def test_backward_and_step_is_an_ordinary_step() -> None:
    model = nn.Linear(3, 2)
    twin = copy.deepcopy(model)
    inputs = torch.rand(5, 3)
    for net in (model, twin):
        optimizer, loss = torch.optim.SGD(net.parameters(), lr=0.1), net(inputs).square().mean()
        if net is model:
            acceleration.Precision(torch.device("cpu"), False).backward_and_step(loss, optimizer)
        else:
            loss.backward()
            optimizer.step()
    assert torch.equal(model.weight, twin.weight)


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
