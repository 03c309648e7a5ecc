"""The papers' networks: published parameter counts and sizes, and the arithmetic that makes them what they are."""

from __future__ import annotations

import pytest
import torch
import torch.fx
import torch.nn.functional as F
from torch import nn

from helpers import models
from helpers.models.alexnet2012 import AlexNet2012, response_normalisation
from helpers.models.cifar_nets import CifarNet, PlainBlock, ResidualBlock, Shortcut
from helpers.models.lenet import LeNet5


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def shapes(model: nn.Module, images: torch.Tensor) -> list[tuple[int, ...]]:
    """The size of what every convolution and pooling layer puts out, in order."""
    seen: list[tuple[int, ...]] = []
    wanted = nn.Conv2d | nn.AvgPool2d | nn.MaxPool2d
    for layer in model.modules():
        if isinstance(layer, wanted):
            layer.register_forward_hook(lambda _, __, output: seen.append(tuple(output.shape[1:])))
    model(images)
    return seen


# --- LeNet-5 ----------------------------------------------------------------------------------------------------------


def test_lenet_has_the_counts_worked_out_by_hand() -> None:
    by_layer = [156, 2_416, 48_120, 10_164, 850]  # (5*5*1 + 1) * 6, (5*5*6 + 1) * 16, (400 + 1) * 120, ...
    layers = [layer for layer in LeNet5().modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert [parameters(layer) for layer in layers] == by_layer
    assert parameters(LeNet5()) == sum(by_layer) == 61_706


@pytest.mark.parametrize(("size", "padding"), [(32, 0), (28, 2)], ids=["paper", "MNIST"])
def test_lenet_sizes(size: int, padding: int) -> None:
    model = LeNet5(padding=padding)
    assert shapes(model, torch.zeros(2, 1, size, size)) == [(6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5)]
    assert model(torch.zeros(2, 1, size, size)).shape == (2, 10)


def test_lenet_with_other_activation_channels_and_classes() -> None:
    model = LeNet5(4, in_channels=3, activation=nn.ReLU)
    assert [type(layer) for layer in model.modules()].count(nn.ReLU) == 4
    assert not any(isinstance(layer, nn.Tanh) for layer in model.modules())
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 4)


# --- AlexNet of 2012 --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def alexnet() -> AlexNet2012:
    torch.manual_seed(0)
    return AlexNet2012().eval()


def test_alexnet_has_the_papers_parameters(alexnet: AlexNet2012) -> None:
    assert parameters(alexnet) == 60_965_224
    ungrouped = sum(
        layer.weight[0].numel() * layer.out_channels
        for layer in alexnet.features
        if isinstance(layer, nn.Conv2d) and layer.groups == 2
    )
    assert parameters(alexnet) + ungrouped == 62_378_344  # the one-column listing in lecture slides


def test_alexnet_sizes(alexnet: AlexNet2012) -> None:
    sizes = shapes(alexnet, torch.zeros(1, 3, 227, 227))
    assert sizes == [(96, 55, 55), (96, 27, 27), (256, 27, 27), (256, 13, 13), (384, 13, 13), (384, 13, 13),
                     (256, 13, 13), (256, 6, 6)]  # fmt: skip
    assert 55 * 55 * 96 == 290_400  # neurons of the first layer; the paper's caption says 253,440


def test_alexnet_starts_as_in_the_paper(alexnet: AlexNet2012) -> None:
    layers = [layer for layer in alexnet.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert [set(layer.bias.tolist()) for layer in layers] == [{0}, {1}, {0}, {1}, {1}, {1}, {1}, {0}]
    for layer in layers:
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.03)
        assert layer.weight.mean().item() == pytest.approx(0, abs=3e-4)


def test_towers_meet_in_the_third_convolution_only(alexnet: AlexNet2012) -> None:
    """What one GPU computes from the first layers' maps on the other one."""
    maps = torch.rand(1, 96, 27, 27, generator=torch.Generator().manual_seed(0))
    changed = maps.clone()
    changed[:, 48:] += 1  # the maps on the second GPU
    conv2, conv3 = alexnet.features[4], alexnet.features[8]
    assert torch.equal(conv2(maps)[:, :128], conv2(changed)[:, :128])
    assert not torch.equal(conv2(maps)[:, 128:], conv2(changed)[:, 128:])
    assert not torch.equal(conv3(conv2(maps))[:, :192], conv3(conv2(changed))[:, :192])


def test_response_normalisation_is_the_papers_formula() -> None:
    maps = 40 * torch.rand(1, 9, 2, 2, generator=torch.Generator().manual_seed(0))
    expected = torch.empty_like(maps)
    for i in range(9):  # b_i = a_i / (k + alpha * sum over j of a_j squared) ** beta, at every position
        neighbours = maps[:, max(0, i - 2) : min(9, i + 3)]
        expected[:, i] = maps[:, i] / (2 + 1e-4 * neighbours.pow(2).sum(dim=1)) ** 0.75
    torch.testing.assert_close(response_normalisation()(maps), expected)
    assert not torch.allclose(expected, maps / 2**0.75, rtol=0.05)  # the sum matters for values like these


# --- plain and residual networks for CIFAR ----------------------------------------------------------------------------

# "0.27 M, 0.46 M, 0.66 M, 0.85 M, 1.7 M" in table 6 of He et al. 2015
COUNTS = {20: 269_722, 32: 464_154, 44: 658_586, 56: 853_018, 110: 1_727_962}


@pytest.mark.parametrize("residual", [True, False], ids=["residual", "plain"])
@pytest.mark.parametrize("depth", COUNTS)
def test_cifar_parameters(depth: int, residual: bool) -> None:
    model = CifarNet(depth, residual=residual)
    assert parameters(model) == COUNTS[depth]
    weighted = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert len(weighted) == depth


@pytest.mark.parametrize("residual", [True, False], ids=["residual", "plain"])
def test_cifar_sizes(residual: bool) -> None:
    model = CifarNet(14, residual=residual, width=8, num_classes=4).eval()
    sizes = shapes(model, torch.zeros(1, 3, 32, 32))
    assert sizes == [(8, 32, 32)] * 5 + [(16, 16, 16)] * 4 + [(32, 8, 8)] * 4
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 4)
    assert model(torch.zeros(2, 3, 15, 9)).shape == (2, 4)


@pytest.mark.parametrize("depth", [2, 0, -4, 18, 21, 50.5])
def test_cifar_depth_must_fit(depth: int) -> None:
    with pytest.raises(ValueError, match=rf"depth={depth} must be 6n\+2 .*: 8, 14, 20"):
        CifarNet(depth, residual=True)


def test_twins_start_from_the_same_weights() -> None:
    """So that a comparison under one seed differs in the shortcuts alone."""
    twins = []
    for residual in (True, False):
        torch.manual_seed(3)
        twins.append(CifarNet(14, residual=residual, width=4).state_dict())
    assert all(torch.equal(twins[0][name], twins[1][name]) for name in twins[1]) and twins[0].keys() == twins[1].keys()


def test_he_initialisation() -> None:
    torch.manual_seed(0)
    for layer in CifarNet(20, residual=True, width=64).modules():
        if isinstance(layer, nn.Conv2d):
            fan_in = 9 * layer.in_channels
            assert layer.weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.05)


def test_shortcut_takes_every_second_pixel_and_adds_zero_maps() -> None:
    x = torch.arange(2 * 2 * 5 * 4.0).reshape(2, 2, 5, 4)
    out = Shortcut(2, stride=2)(x)
    assert out.shape == (2, 4, 3, 2)
    assert torch.equal(out[:, :2], x[:, :, [0, 2, 4]][..., [0, 2]])
    assert not out[:, 2:].any()
    assert Shortcut(0, stride=1)(x) is x


@pytest.mark.parametrize("stride", [1, 2])
def test_blocks_by_hand(stride: int) -> None:
    torch.manual_seed(0)
    channels = 4 * stride
    residual = ResidualBlock(4, channels, stride=stride).eval()
    plain = PlainBlock(4, channels, stride=stride).eval()
    plain.load_state_dict(residual.state_dict())
    x = torch.randn(2, 4, 8, 8)
    inner = F.conv2d(x, residual.conv1.weight, stride=stride, padding=1) / (1 + 1e-5) ** 0.5  # batch norm, untrained
    inner = F.conv2d(inner.clamp(min=0), residual.conv2.weight, padding=1) / (1 + 1e-5) ** 0.5
    added = torch.cat([x[:, :, ::stride, ::stride], torch.zeros(2, channels - 4, 8 // stride, 8 // stride)], dim=1)
    torch.testing.assert_close(plain(x), inner.clamp(min=0))
    torch.testing.assert_close(residual(x), (inner + added).clamp(min=0))


def test_a_residual_block_of_zeros_hands_on_what_it_gets() -> None:
    block = ResidualBlock(3, 3)
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    x = torch.rand(1, 3, 6, 6)  # not negative, as behind every ReLU
    assert torch.equal(block(x), x)


# --- by name ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", models.FROM_PAPERS)
def test_by_name_and_traceable(name: str) -> None:
    with torch.device("meta"):
        model = models.load(name, num_classes=7, pretrained=False)
        traced = torch.fx.symbolic_trace(model)
        channels, size = {"lenet5": (1, 32), "alexnet_2012": (3, 227)}.get(name, (3, 32))
        assert traced(torch.zeros(1, channels, size, size)).shape == (1, 7)
    assert models.name_of(model) == name and not any(module.training for module in model.modules())


@pytest.mark.parametrize(
    ("name", "count"), [("resnet110_cifar", COUNTS[110]), ("plainnet56_cifar", COUNTS[56]), ("lenet5", 61_706)]
)
def test_by_name_in_the_papers_size(name: str, count: int) -> None:
    assert parameters(models.load(name, pretrained=False)) == count


def test_names_tell_plain_from_residual() -> None:
    names = ("resnet8_cifar", "plainnet8_cifar")
    kinds = {name: type(models.load(name, pretrained=False).stage1[0]) for name in names}
    assert kinds == {"resnet8_cifar": ResidualBlock, "plainnet8_cifar": PlainBlock}


@pytest.mark.parametrize("name", ["lenet5", "alexnet_2012", "resnet20_cifar"])
def test_there_are_no_weights_of_them(name: str) -> None:
    with pytest.raises(models.WeightsUnavailable, match=rf"{name} has no pretrained .*\('{name}', pretrained=False\)"):
        models.load(name)


def test_unknown_names() -> None:
    with pytest.raises(ValueError, match="depth=19 must be 6n"):
        models.load("resnet19_cifar", pretrained=False)
    with pytest.raises(ValueError, match="Untrained there are also lenet5, alexnet_2012, resnet20_cifar"):
        models.load("lenet", pretrained=False)
