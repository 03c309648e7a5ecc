"""Networks by name, their weights, new heads, and what is trained. Random weights, small pictures, no network."""

from __future__ import annotations

import copy
import types
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from helpers import models

PICTURES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def torch_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of weights; returns the folder that torch looks into."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    checkpoints = tmp_path / "torch" / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    return checkpoints


def trainable(model: nn.Module) -> list[str]:
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad]


# --- load -------------------------------------------------------------------------------------------------------------


def test_load_is_torchvisions_network() -> None:
    torch.manual_seed(0)
    ours = models.load("squeezenet1_1", pretrained=False)
    torch.manual_seed(0)
    theirs = torchvision.models.squeezenet1_1(weights=None).eval()
    assert not ours.training and models.name_of(ours) == "squeezenet1_1"
    assert torch.equal(ours(PICTURES), theirs(PICTURES))


def test_load_with_a_number_of_classes() -> None:
    model = models.load("squeezenet1_1", num_classes=7, pretrained=False)
    assert model(PICTURES).shape == (2, 7)
    assert not any(module.training for module in model.modules())


def test_name_of_a_network_of_ones_own() -> None:
    assert models.name_of(nn.Sequential()) == "Sequential"


@pytest.mark.parametrize("name", ["alexnett", "AlexNet", "", "fasterrcnn_resnet50_fpn"])
def test_unknown_name(name: str) -> None:
    with pytest.raises(
        ValueError, match=f"There is no network {name!r}. Some that there are: alexnet, vgg16, resnet18"
    ):
        models.load(name)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_side_heads_are_gone(name: str) -> None:
    """With them these two return a tuple in train mode, which no training loop expects."""
    with torch.device("meta"):
        model = models.load(name, num_classes=4, pretrained=False).train()
        scores = model(torch.empty(2, 3, 96, 96))
    assert scores.shape == (2, 4)


# --- weights ----------------------------------------------------------------------------------------------------------


def publish(name: str, file: Path) -> nn.Module:
    """Put random weights where torchvision looks for published ones; returns the network that has them."""
    torch.manual_seed(1)
    model = torchvision.models.get_model(name, weights=None)
    torch.save(model.state_dict(), file)
    return model.eval()


def test_weights_on_this_machine_are_loaded(torch_home: Path) -> None:
    published = publish("squeezenet1_1", torch_home / "squeezenet1_1-b8a52dc0.pth")
    assert torch.equal(models.load("squeezenet1_1")(PICTURES), published(PICTURES))


def test_offline_is_said_plainly(torch_home: Path) -> None:
    with pytest.raises(models.WeightsUnavailable) as caught:
        models.load("alexnet", num_classes=4)
    assert str(caught.value) == (
        "The pretrained weights of alexnet are not on this machine and KIT_OFFLINE=1 is set. With a network, run the "
        f"cell again; without one, put the file alexnet-owt-7be5be79.pth into {torch_home}."
    )
    assert isinstance(caught.value, OSError)


def test_unreachable_server_is_said_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KIT_OFFLINE")
    monkeypatch.setattr(models.machine, "can_reach", lambda url: False)
    with pytest.raises(models.WeightsUnavailable, match="not on this machine and their server cannot be reached"):
        models.load("alexnet")


def test_broken_download_is_said_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object, **__: object) -> None:
        raise RuntimeError("invalid hash value")

    monkeypatch.setattr(models.machine, "can_reach", lambda url: True)
    monkeypatch.setattr(torch.hub, "download_url_to_file", lost)
    with pytest.raises(models.WeightsUnavailable, match="of squeezenet1_1 could not be fetched: invalid hash value"):
        models.load("squeezenet1_1")


@pytest.mark.parametrize("damage", ["truncated", "empty", "a web page", "another network's"])
def test_damaged_weights_are_said_plainly(torch_home: Path, damage: str) -> None:
    file = torch_home / "squeezenet1_1-b8a52dc0.pth"
    if damage == "another network's":
        publish("mobilenet_v3_small", file)
    else:
        publish("squeezenet1_1", file)
        content = {"truncated": file.read_bytes()[:100_000], "empty": b"", "a web page": b"<!doctype html><p>Sorry"}
        file.write_bytes(content[damage])
    with pytest.raises(models.WeightsUnavailable, match=r"squeezenet1_1-b8a52dc0\.pth is damaged: delete it and run"):
        models.load("squeezenet1_1")
    assert file.exists()


def test_older_weights_serve_and_it_is_said(torch_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    published = publish("mobilenet_v2", torch_home / "mobilenet_v2-b0353104.pth")
    model = models.load("mobilenet_v2")
    assert torch.equal(model(PICTURES), published(PICTURES))
    assert capsys.readouterr().out == (
        "mobilenet_v2: the weights IMAGENET1K_V2 cannot be had now; using IMAGENET1K_V1, which are on this machine.\n"
    )


def test_weights_without_a_classifier_do_not_serve(torch_home: Path) -> None:
    """VGG16 has a published set whose classifier is missing."""
    (torch_home / "vgg16_features-amdegroot-88682ab5.pth").write_bytes(b"")
    with pytest.raises(models.WeightsUnavailable, match="put the file vgg16-397923af.pth into"):
        models.load("vgg16")


# --- new heads --------------------------------------------------------------------------------------------------------

NEW_LAYER = {
    "alexnet": "classifier.6",
    "vgg11": "classifier.6",
    "resnet18": "fc",
    "squeezenet1_1": "classifier.1",
    "mobilenet_v2": "classifier.1",
    "densenet121": "classifier",
    "efficientnet_b0": "classifier.1",
    "convnext_tiny": "classifier.2",
    "vit_b_16": "heads.head",
    "swin_t": "head",
    "maxvit_t": "classifier.5",
}


@pytest.mark.parametrize("name", NEW_LAYER)
def test_only_the_last_layer_is_new(name: str) -> None:
    with torch.device("meta"):  # shapes without numbers: VGG would take seconds
        model = models.load(name, pretrained=False)
        before = dict(model.named_parameters())
        assert models.replace_head(model, 4) is model
        side = 224 if name in ("vit_b_16", "swin_t", "maxvit_t") else 64
        assert model(torch.empty(2, 3, side, side)).shape == (2, 4)
    new = {f"{NEW_LAYER[name]}.weight", f"{NEW_LAYER[name]}.bias"}
    assert {key for key, value in model.named_parameters() if value is not before.get(key)} == new
    models.freeze(model)
    assert set(trainable(model)) == new


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("alexnet", 9216),
        ("vgg11", 25088),
        ("resnet18", 512),
        ("mobilenet_v2", 1280),
        ("densenet121", 1024),
        ("convnext_tiny", 768),
    ],
    ids=lambda value: str(value),
)
def test_a_whole_head_of_ones_own(name: str, width: int) -> None:
    with torch.device("meta"):
        model = models.replace_head(models.load(name, pretrained=False), 4, hidden=(4096, 512))
        assert model(torch.empty(2, 3, 64, 64)).shape == (2, 4)
    head = getattr(model, models.head_name(model))
    sizes = [(layer.in_features, layer.out_features) for layer in head if isinstance(layer, nn.Linear)]
    assert sizes == [(width, 4096), (4096, 512), (512, 4)]
    models.freeze(model)
    assert all(models.within(parameter, models.head_name(model)) for parameter in trainable(model))


def test_the_lectures_head_on_alexnet() -> None:
    with torch.device("meta"):
        model = models.replace_head(models.load("alexnet", pretrained=False), 4, hidden=(4096, 512))
    kinds = [type(layer).__name__ for layer in model.classifier]
    assert kinds == ["Linear", "ReLU", "Dropout", "Linear", "ReLU", "Dropout", "Linear"]
    by_hand = 9216 * 4096 + 4096 + 4096 * 512 + 512 + 512 * 4 + 4
    assert sum(p.numel() for p in model.classifier.parameters()) == by_hand


def test_a_head_can_be_replaced_again() -> None:
    model = models.load("squeezenet1_1", num_classes=4, pretrained=False)
    models.replace_head(model, 9)
    assert model(PICTURES).shape == (2, 9) and model.num_classes == 9
    models.freeze(model)
    assert trainable(model) == ["classifier.1.weight", "classifier.1.bias"]


@pytest.mark.parametrize("is_training", [True, False], ids=["train mode", "eval mode"])
def test_a_new_head_is_in_the_mode_of_its_network(is_training: bool) -> None:
    model = models.load("resnet18", pretrained=False).train(is_training)
    models.replace_head(model, 3, hidden=(8,))
    assert {module.training for module in model.modules()} == {is_training}


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (
            nn.Sequential(nn.Linear(3, 2)),
            "Sequential has no part named classifier or fc or head or heads. Give its last",
        ),
        (nn.ModuleDict({"fc": nn.ReLU()}), r"no linear layer or convolution to replace in this head: ReLU\(\)"),
    ],
    ids=["no head", "nothing to replace"],
)
def test_networks_without_a_head(model: nn.Module, sentence: str) -> None:
    if isinstance(model, nn.ModuleDict):
        model.fc = model["fc"]
    with pytest.raises(ValueError, match=sentence):
        models.replace_head(model, 4)


def test_heads_that_cannot_be() -> None:
    model = models.load("squeezenet1_1", pretrained=False)
    with pytest.raises(ValueError, match="no linear layer, so hidden layers do not fit on it: leave hidden out"):
        models.replace_head(model, 4, hidden=(16,))
    for wrong in (0, ["cat", "dog"], 2.0, "2"):
        for attempt in (
            lambda wrong=wrong: models.replace_head(model, wrong),
            lambda wrong=wrong: models.load("resnet18", num_classes=wrong, pretrained=False),
            lambda wrong=wrong: models.load("lenet5", num_classes=wrong, pretrained=False),
        ):
            with pytest.raises(ValueError, match="num_classes=.* must be a number of at least 1: of a list, len"):
                attempt()


# --- what is trained --------------------------------------------------------------------------------------------------


def normed(*, frozen: bool) -> nn.Module:
    """conv, batch norm, fc; with ``frozen`` only fc is trained."""
    model = nn.Sequential()
    model.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model.fc = nn.Linear(4, 10)
    models.replace_head(model, 3)
    return models.freeze(model) if frozen else model


def test_freeze_by_name() -> None:
    model = models.load("squeezenet1_1", num_classes=4, pretrained=False)
    models.freeze(model, except_for=("features.12.expand3x3", "classifier"))
    assert trainable(model) == [
        "features.12.expand3x3.weight", "features.12.expand3x3.bias", "classifier.1.weight", "classifier.1.bias",
    ]  # fmt: skip
    chain = nn.Sequential(*(nn.Linear(1, 1) for _ in range(12)))
    assert trainable(models.freeze(chain, except_for="1")) == ["1.weight", "1.bias"]  # not those of 10 and 11


def test_freeze_says_what_it_does_not_find() -> None:
    model = models.load("squeezenet1_1", pretrained=False)
    with pytest.raises(ValueError, match="Nothing in this network is new: call replace_head first, or name what to"):
        models.freeze(model)
    with pytest.raises(ValueError, match="No parameter's name begins with 'head'. The parts are: features, classifier"):
        models.freeze(model, except_for="head")


def test_new_layers_stay_new_in_a_copy() -> None:
    model = copy.deepcopy(normed(frozen=False))
    assert trainable(models.freeze(model)) == ["fc.weight", "fc.bias"]


@pytest.mark.parametrize("frozen", [True, False], ids=["frozen", "trained"])
def test_batch_norm_keeps_its_averages_only_when_frozen(frozen: bool) -> None:
    model = normed(frozen=frozen)
    before = model.body[1].running_mean.clone()
    assert models.train_mode(model) is model
    model(PICTURES)
    assert torch.equal(model.body[1].running_mean, before) is frozen
    assert model.fc.training and model.body[0].training and model.body[1].training is not frozen


@pytest.mark.parametrize(
    "norm",
    [nn.BatchNorm2d(4, affine=False), nn.InstanceNorm2d(4, track_running_stats=True), nn.SyncBatchNorm(4)],
    ids=lambda norm: type(norm).__name__,
)
def test_frozen_norms_of_every_kind_keep_their_averages(norm: nn.Module) -> None:
    """Without parameters of its own a norm is frozen with the layer before it, in front of all with the first one."""
    flat = nn.Sequential(copy.deepcopy(norm), nn.Conv2d(3, 4, 1), norm, nn.Flatten(), nn.Linear(4, 2))
    models.train_mode(models.freeze(flat, except_for="4"))
    assert [layer.training for layer in flat] == [False, True, False, True, True]
    models.train_mode(flat.requires_grad_(True))
    assert all(layer.training for layer in flat)
    models.train_mode(models.freeze(flat, except_for="1"))
    assert flat[0].training is flat[2].training is not any(True for _ in norm.parameters())


def test_evaluating_gives_every_layer_its_mode_back() -> None:
    model = models.train_mode(normed(frozen=True))
    modes = [module.training for module in model.modules()]
    assert len(set(modes)) == 2
    with pytest.raises(KeyError), models.evaluating(model):
        assert not any(module.training for module in model.modules())
        model.train()
        raise KeyError
    assert [module.training for module in model.modules()] == modes


def test_evaluating_draws_no_random_numbers_and_switches_gradients() -> None:
    layer = nn.Linear(2, 2)
    before = torch.get_rng_state()
    for grad, expected in ((None, True), (True, True), (False, False)):
        with models.evaluating(layer, grad=grad):
            assert layer(torch.rand(1, 2)).requires_grad is expected
        assert torch.is_grad_enabled()
    with torch.no_grad(), models.evaluating(layer):
        assert not layer(torch.rand(1, 2)).requires_grad
    assert torch.equal(torch.get_rng_state(), before)


def test_parameter_groups() -> None:
    model = normed(frozen=False)
    old, new = models.parameter_groups(model, 0.1, backbone_factor=0.5)
    assert (old["lr"], new["lr"]) == (0.05, 0.1)
    assert new["params"] == list(model.fc.parameters())
    assert old["params"] == list(model.body.parameters())
    (only_new,) = models.parameter_groups(normed(frozen=True), 0.1, backbone_factor=0.5)
    assert only_new["lr"] == 0.1
    (only_old,) = models.parameter_groups(nn.Linear(2, 2), 0.1, backbone_factor=0.5)
    assert only_old["lr"] == 0.1  # nothing is new: the factor has nothing to compare with


# --- heads that are named by the network itself, doubled, or behind a wrapper ---------------------------------------


class Body(nn.Module):
    """Features of eight numbers, and heads as timm's networks have them."""

    def __init__(self, **heads: nn.Module) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        for name, head in heads.items():
            setattr(self, name, head)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.features(x)
        return sum(head(x) for name, head in self.named_children() if name != "features") / 2


class Asked(Body):
    def get_classifier(self) -> nn.Module:
        return self.last_linear


def test_two_heads_are_refused_and_the_network_stays_as_it_was() -> None:
    model = Body(head=nn.Linear(8, 10), head_dist=nn.Linear(8, 10))
    for hidden in ((), (4,)):
        with pytest.raises(ValueError, match="Body does not work with a new head alone.*several heads"):
            models.replace_head(model, 3, hidden=hidden)
    assert model(PICTURES).shape == (2, 10) and not any(hasattr(module, "is_new") for module in model.modules())


def test_heads_behind_wrappers_and_of_other_names() -> None:
    plain = Asked(last_linear=nn.Linear(8, 10))
    wrapped = {
        "last_linear": plain, "0.last_linear": nn.Sequential(plain), "module.last_linear": nn.DataParallel(plain),
        "0.0.last_linear": nn.Sequential(nn.Sequential(plain), nn.Softmax(1)),
    }  # fmt: skip
    for count, (name, model) in enumerate(wrapped.items(), 3):
        assert models.head_name(model) == name
        assert models.replace_head(model, count) is model and model(PICTURES).shape == (2, count)
        assert trainable(models.freeze(model)) == [f"{name}.weight", f"{name}.bias"]
    half = models.replace_head(Asked(last_linear=nn.Linear(8, 10)).to(torch.bfloat16), 3)
    assert {weight.dtype for weight in half.parameters()} == {torch.bfloat16}


def test_own_norms_and_spectral_norm_stay_when_frozen() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("running_mean", torch.zeros(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.training:
                self.running_mean += 0.1 * x.mean((0, 2, 3))
            return x - self.running_mean.view(1, -1, 1, 1)

    body = nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 4, 3)), Own(), nn.BatchNorm2d(4))
    model = nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    before = {name: value.clone() for name, value in model.named_buffers()}
    models.train_mode(models.freeze(model, except_for="3"))(PICTURES)
    assert all(torch.equal(value, before[name]) for name, value in model.named_buffers())


def test_scores_in_whatever_comes_out() -> None:
    scores, other = torch.zeros(2, 3), torch.zeros(1)
    output = types.SimpleNamespace(hidden=other, logits=scores)
    for value in (scores, output, {"hidden": other, "logits": scores}, {"out": scores, "aux": other}, (scores, other)):
        assert models.scores_of(value) is scores
    for nothing in (None, {"loss": 1.0}, ()):
        with pytest.raises(ValueError, match="without scores: let forward return a tensor"):
            models.scores_of(nothing)
