"""Dissections against torchvision's own figures, PyTorch's flop counter, and gradients."""

from __future__ import annotations

import copy
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import regnet
from torchvision.ops import deform_conv2d

from helpers import activations, dissect, models
from helpers.dissect import trace
from helpers.models import copies

TRANSFORMERS = ("vit_", "swin_", "maxvit")  # attention: neither its work nor its receptive field is that of a CNN
CNNS = [n for n in torchvision.models.list_models(module=torchvision.models) if not n.startswith(TRANSFORMERS)]
OTHER_PARAMS = {"googlenet": "the published weights come without the two auxiliary heads, which a new network has"}


def empty(name: str) -> nn.Module:
    """A torchvision network without numbers: it costs no memory and no time to fill."""
    plain = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}  # silences a warning
    with torch.device("meta"):
        return torchvision.models.get_model(name, **plain)


@pytest.fixture(autouse=True)
def regnet_on_meta(monkeypatch: pytest.MonkeyPatch) -> None:
    """RegNet's constructor works out its widths with tensors, which need their numbers."""
    original = regnet.BlockParams.from_init_params.__func__

    def on_cpu(cls: type, *args: object, **kwargs: object) -> object:
        with torch.device("cpu"):
            return original(cls, *args, **kwargs)

    monkeypatch.setattr(regnet.BlockParams, "from_init_params", classmethod(on_cpu))


class FunctionalLeNet(nn.Module):
    """LeNet as students write it, with functional calls."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), (2, 2))
        x = x.view(x.size(0), -1)
        x = F.dropout(F.relu(self.fc1(x)), 0.5)
        return self.fc3(torch.relu(self.fc2(x)))


# ---- work and weights --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CNNS)
def test_macs_and_params_are_torchvisions(name: str) -> None:
    model, published = empty(name), torchvision.models.get_model_weights(name)
    for size, weights in {weights.transforms().crop_size[0]: weights for weights in published}.items():
        dissection = dissect.layers(model, size)
        assert dissection.traced
        assert round(dissection.macs / 1e9, 3) == weights.meta["_ops"]  # torchvision says GFLOPS and counts MACs
        assert dissection.params == sum(parameter.numel() for parameter in model.parameters())
        if name in OTHER_PARAMS:
            assert sum(row.params for row in dissection.rows) == weights.meta["num_params"]
        else:
            assert dissection.params == weights.meta["num_params"]
        assert all(row.receptive_field != "n/a" for row in dissection.rows)
        assert not any("branches meet" in note for note in dissection.notes)


@pytest.mark.parametrize("name", ["alexnet", "squeezenet1_1", "mobilenet_v2", "densenet121", "resnext50_32x4d"])
@pytest.mark.parametrize("size", [(224, 224), (193, 257)], ids=["square", "oblong"])
def test_macs_are_half_the_flops_that_pytorch_counts(name: str, size: tuple[int, int]) -> None:
    model = empty(name).eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(torch.empty(1, 3, *size, device="meta"))
    assert dissect.layers(model, size).macs * 2 == counter.get_total_flops()


class Decoder(nn.Module):
    """Transposed convolutions of every dimension, with groups, as layers and as functions."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(8, 6, 3, stride=2, padding=1, output_padding=1, groups=2)
        self.filters = nn.Parameter(torch.empty(6, 4, 2, 2))
        self.line, self.volume = nn.ConvTranspose1d(4, 2, 3, stride=3), nn.ConvTranspose3d(2, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv_transpose2d(self.up(self.down(x)), self.filters, stride=2)
        x = self.line(x.flatten(2))
        return self.volume(x.view(x.size(0), 2, 3, 8, -1))


def test_macs_of_transposed_convolutions_are_half_the_flops_that_pytorch_counts() -> None:
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        Decoder()(torch.empty(1, 3, 16, 12))
    dissection = dissect.layers(Decoder(), (16, 12))
    assert dissection.traced and dissection.macs * 2 == counter.get_total_flops()
    kinds = {row.name: row.kind for row in dissection.rows}
    assert {kinds[name] for name in ("down", "up", "conv_transpose2d", "line", "volume")} == {"conv"}


class Products(nn.Module):
    """Matrix products in every spelling; ``real`` makes forward untraceable."""

    def __init__(self, *, real: bool) -> None:
        super().__init__()
        self.conv, self.vector = nn.Conv2d(3, 8, 1), nn.Parameter(torch.rand(8))
        self.attention, self.gru = nn.MultiheadAttention(8, 2, batch_first=True), nn.GRU(8, 5, batch_first=True)
        self.encoder, self.real = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), real

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).flatten(2)
        if self.real and x.sum() > 1e9:
            return x
        y = x.transpose(1, 2)  # (N, T, 8)
        y = self.encoder(self.attention(y, y, y, need_weights=False)[0])
        squares = torch.einsum("ntc,nsc->nts", y, y) + torch.baddbmm(y @ x, y, x) + torch.bmm(y, x)
        sums = F.scaled_dot_product_attention(y, y, y) + torch.matmul(squares, y)
        lines = self.gru(sums)[0] @ torch.ones(5, 3) + torch.tensordot(sums, torch.ones(8, 3), dims=([2], [0]))
        return F.linear(lines, torch.ones(2, 3)).sum((1, 2)) + (y.mean(1) @ self.vector)


@pytest.mark.parametrize("real", [False, True], ids=["traced", "untraceable"])
def test_every_product_is_counted(real: bool) -> None:
    model = Products(real=real).eval()
    for grad in (torch.no_grad(), torch.inference_mode()):
        with grad:
            dissection = dissect.layers(model, 6)
    with FlopCounterMode(display=False) as counter, torch.no_grad(), torch.device("meta"):
        Products(real=False).eval()(torch.empty(1, 3, 6, 6))
    assert dissection.macs == counter.get_total_flops() // 2 + 8  # the counter leaves out the product with a vector
    assert dissection.traced is not real and any("in no row" in note for note in dissection.notes) is real
    assert ("at least" in str(dissection)) is ("at least" in str(dissect.compare(dissection, dissection))) is real
    assert dissection.find("encoder").macs and dissection.find("attention").macs


class Applied(nn.Module):
    """A function between two convolutions."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.function = nn.Conv2d(1, 4, 3, padding=1, bias=False), function
        self.last = nn.Conv2d(4, 1, 3, padding=1, bias=False)
        for weight in self.parameters():
            nn.init.uniform_(weight, 0.5, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.function(self.first(x)))


class Twice(nn.Bilinear):
    def __init__(self) -> None:
        super().__init__(4, 4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x, x)


def test_what_has_no_formula_is_named() -> None:
    uncounted = {
        "cdist": lambda x: torch.cdist(x, x), "fft": lambda x: torch.fft.fft2(x).real,
        "grid_sampler": lambda x: F.grid_sample(x, x.movedim(1, 3)[..., :2], align_corners=True),
        "linalg": torch.linalg.inv,
        "deform_conv2d": lambda x: deform_conv2d(x, x.repeat(1, 5, 1, 1)[:, :18], torch.ones(4, 4, 3, 3), padding=1),
        "mul": lambda x: (x.unsqueeze(1) * x.unsqueeze(2)).sum(2), "trilinear": lambda x: x[..., :4],
    }  # fmt: skip
    for name, function in uncounted.items():
        model = Applied(function)
        if name == "trilinear":
            model.last = Twice()
        notes = dissect.layers(model, (1, 8, 8)).notes
        assert any(name in note and "is not counted among the MACs" in note for note in notes), (name, notes)
    for module in (nn.PReLU(), nn.Hardswish(), nn.GroupNorm(2, 4), nn.Softmax2d(), nn.ChannelShuffle(2)):
        assert not dissect.layers(Applied(module), (1, 8, 8)).notes, module


@pytest.mark.parametrize("name", ["swin_t", "swin_v2_t", "vit_b_32", "maxvit_t"])
def test_attention_is_counted_as_torchvision_publishes_it(name: str) -> None:
    weights = torchvision.models.get_model_weights(name).DEFAULT
    dissection = dissect.layers(torchvision.models.get_model(name), weights.transforms().crop_size[0])
    assert dissection.macs / 1e9 == pytest.approx(weights.meta["_ops"], rel=0.01)


def test_layers_are_known_by_their_class_not_by_its_name() -> None:
    class Filters(nn.Conv2d):
        pass

    class Convincing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else x  # cannot be traced: layers are seen as they are

    convolution, other = dissect.layers(nn.Sequential(Filters(3, 4, 3), Convincing()), 8).rows
    assert (convolution.type, convolution.kind, convolution.macs) == ("Filters", "conv", 4 * 27 * 36)
    assert (other.type, other.kind) == ("Convincing", "other")


@pytest.mark.parametrize(
    ("name", "params", "macs"),
    [
        ("alexnet", 61_100_840, 714.2), ("vgg16", 138_357_544, 15470.3), ("vgg19", 143_667_240, 19632.1),
        ("resnet18", 11_689_512, 1814.1), ("resnet34", 21_797_672, 3663.8), ("resnet50", 25_557_032, 4089.2),
        ("resnet101", 44_549_160, 7801.4), ("resnet152", 60_192_808, 11513.6),
    ],
    ids=("alexnet", "vgg16", "vgg19", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
)  # fmt: skip
def test_the_figures_of_the_lectures_networks(name: str, params: int, macs: float) -> None:
    dissection = dissect.layers(empty(name), 224)
    assert (dissection.params, round(dissection.macs / 1e6, 1)) == (params, macs)


def test_shares_of_alexnet() -> None:
    rows = dissect.layers(empty("alexnet"), 224).rows
    linear = sum(row.params for row in rows if row.kind == "linear") / sum(row.params for row in rows)
    conv = sum(row.macs for row in rows if row.kind == "conv") / sum(row.macs for row in rows)
    assert (round(100 * linear), round(100 * conv)) == (96, 92)


def test_memory_of_vgg16_as_in_the_lectures_table() -> None:
    dissection = dissect.layers(empty("vgg16"), 224)
    table = [row for row in dissection.rows if row.type in ("Conv2d", "MaxPool2d", "Linear")]
    assert 3 * 224 * 224 + sum(row.activation_bytes for row in table) // 4 == 15_237_608
    biases = sum(row.output_shape[0] for row in table if row.params)
    assert dissection.params - biases == 138_344_128
    assert all(row.shares_memory for row in dissection.rows if row.type in ("ReLU", "Dropout", "flatten"))


def test_a_weight_used_twice_is_counted_once() -> None:
    shared = nn.Conv2d(4, 4, 3, padding=1)
    dissection = dissect.layers(nn.Sequential(nn.Conv2d(3, 4, 1), shared, nn.ReLU(), shared), 8)
    assert [row.params for row in dissection.rows] == [16, 148, 0, 0]
    assert [row.name for row in dissection.rows] == ["0", "1", "2", "1_1"]
    assert dissection.rows[1].macs == dissection.rows[3].macs == 4 * 4 * 9 * 64
    assert dissection.params == 164


def test_frozen_weights_are_told_apart() -> None:
    model = models.freeze(empty("resnet18"), except_for="fc")
    dissection = dissect.layers(model, 224)
    assert dissection.trainable == 513_000 == dissection.find("fc").trainable
    assert dissection.find("conv1").trainable == 0
    assert "513,000 of 11,689,512 parameters are trained, the others are frozen." in str(dissection)


# ---- receptive fields --------------------------------------------------------------------------------------------


def thin(model: nn.Module, size: int) -> nn.Module:
    """The same geometry with one channel, positive weights, and average pools: no gradient is lost on the way."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d):
                new = nn.LazyConv2d(1, child.kernel_size, child.stride, child.padding, child.dilation, bias=False)
            elif isinstance(child, nn.MaxPool2d):
                new = nn.AvgPool2d(child.kernel_size, child.stride, child.padding, ceil_mode=child.ceil_mode)
            elif isinstance(child, (nn.BatchNorm2d, nn.Dropout)):
                new = nn.Identity()
            elif isinstance(child, nn.Linear):
                new = nn.LazyLinear(1, bias=False)
            else:
                continue
            setattr(parent, name, new)
    model.double().eval()
    with torch.no_grad():
        model(torch.ones(1, 3, size, size, dtype=torch.float64))
        for weight in model.parameters():
            weight.fill_(1 / weight[0].numel())
    return model


def support(model: nn.Module, part: str, size: int, cells: list[tuple[int, int]]) -> list[tuple[int, int, int, int]]:
    """For every cell of the output of ``part`` the box of input pixels from which it has a gradient."""
    image = torch.ones(1, 3, size, size, dtype=torch.float64, requires_grad=True)
    kept: list[Tensor] = []
    with model.get_submodule(part).register_forward_hook(lambda module, args, output: kept.append(output.clone())):
        model(image)
    boxes = []
    for row, column in cells:
        (gradient,) = torch.autograd.grad(kept[-1][0, :, row, column].sum(), image, retain_graph=True)
        rows, columns = (gradient[0, 0].abs().sum(dim=dim).nonzero().flatten() for dim in (1, 0))
        boxes.append((int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1))
    return boxes


@pytest.mark.parametrize(
    ("name", "part", "row_name", "field", "size"),
    [
        ("alexnet", "features", "features.12", 195, 330),
        ("vgg16", "features", "features.30", 212, 330),
        ("resnet18", "layer4", "layer4.1.relu_1", 435, 620),
        ("resnet50", "layer4", "layer4.2.relu_2", 427, 620),
        ("squeezenet1_0", "features", "features.12.cat", 155, 330),
        ("squeezenet1_1", "features", "features.12.cat", 207, 330),
    ],
    ids=("alexnet", "vgg16", "resnet18", "resnet50", "squeezenet1_0", "squeezenet1_1"),
)
def test_receptive_field_is_the_support_of_the_gradient(
    name: str, part: str, row_name: str, field: int, size: int
) -> None:
    row = dissect.layers(empty(name), size).find(row_name)
    count = row.output_shape[1]
    cells = [(count // 2, count // 2), (0, 0), (count - 1, 1), (count // 2, count - 1)]
    boxes = support(thin(empty(name), size), part, size, cells)
    assert [tuple(row.at(cell)) for cell in cells] == boxes
    assert row.receptive_field == row.clipped_field == field == boxes[0][2] - boxes[0][0]
    assert row.start + cells[0][0] * row.jump == boxes[0][0]


def test_a_field_larger_than_the_picture_is_clipped() -> None:
    dissection = dissect.layers(empty("resnet18"), 224)
    last, pool = dissection.find("layer4.1.relu_1"), dissection.find("avgpool")
    assert (last.receptive_field, last.clipped_field, last.jump) == (435, 224, 32)
    assert last.at((3, 3)) == (0, 0, 224, 224)
    assert (pool.receptive_field, pool.theoretical_field) == ("whole image", 435 + 6 * 32)
    assert dissection.find("fc").receptive_field == "whole image"


class Branches(nn.Module):
    """Strips, dilation, a sliced and padded shortcut (He et al. 2016, option A), a gate, a chunk, a permute."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.high = nn.Conv2d(3, 4, (1, 7), padding="same"), nn.Conv2d(4, 4, (5, 1), dilation=2)
        self.pad, self.down, self.gate = nn.ZeroPad2d((1, 0, 2, 0)), nn.Conv2d(4, 8, 3, 2, 1), nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pad(self.high(self.wide(x)))
        short = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))
        joined = self.down(x) + short
        halves = joined.permute(0, 2, 3, 1).chunk(2, dim=3)
        cat = torch.cat(halves, dim=3).permute(0, 3, 1, 2)
        return cat * torch.sigmoid(self.gate(cat.mean((2, 3), keepdim=True)))


def test_fields_through_branches_slices_pads_and_gates() -> None:
    dissection = dissect.layers(Branches(), 32)
    fields = {row.name: row.receptive_field for row in dissection.rows}
    assert fields["wide"] == (1, 7)
    assert fields["high"] == (9, 7)
    assert fields["down"] == fields["add"] == (11, 9)
    assert fields["getitem"] == (9, 7)
    assert fields["cat"] == (11, 9)
    assert fields["mul"] == "whole image"
    assert dissection.find("add").jump == 2
    assert dissection.find("add").start == (-3, -5)  # up: 2 rows of pad, 1 of down; left: 3 of wide, 1 and 1


def test_branches_that_step_differently_have_no_field() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.slow, self.fast = nn.Conv2d(3, 3, 2, 2), nn.Conv2d(3, 3, 5, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.slow(x) + self.fast(x)  # 8 -> 4 either way

    dissection = dissect.layers(Odd(), 8)
    assert dissection.find("add").receptive_field == "n/a"
    assert "At add branches meet whose cells lie 1 px and 2 px apart" in dissection.notes[0]


def test_a_field_is_not_claimed_where_padding_takes_pixels_from_elsewhere() -> None:
    modes = ("zeros", "reflect", "replicate", "circular")
    layers = {mode: nn.Conv2d(3, 3, 3, padding=1, padding_mode=mode) for mode in modes}
    layers |= {"none": nn.Conv2d(3, 3, 3, padding_mode="circular"), "same": nn.Conv2d(3, 3, 3, padding="same")}
    layers |= {layer.__name__: layer(1) for layer in (nn.ReflectionPad2d, nn.ReplicationPad2d, nn.ZeroPad2d)}
    fields = {name: dissect.layers(nn.Sequential(layer), (3, 8, 8)).rows[0].receptive_field
              for name, layer in layers.items()}  # fmt: skip
    known = {"zeros": 3, "none": 3, "same": 3, "ZeroPad2d": 1}
    assert fields == dict.fromkeys(fields, "n/a") | known

    class Wrapped(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.pad(x, (1, 1, 1, 1), mode="circular")

    assert dissect.layers(Wrapped(), (3, 8, 8)).rows[0].receptive_field == "n/a"


KNOWN = {
    "channels flipped": lambda x: x.flip(1), "channels rolled": lambda x: x.roll(1, 1),
    "softmax over channels": lambda x: x.softmax(1), "cumsum over channels": lambda x: x.cumsum(1),
    "normalised pixels": lambda x: F.normalize(x, dim=1), "GLU": lambda x: F.glu(x, 1).repeat_interleave(2, dim=1),
    "there and back": lambda x: x.transpose(2, 3).transpose(2, 3), "PReLU": nn.PReLU(), "hardswish": F.hardswish,
    "mask": lambda x: torch.where(x > 0, x, x.masked_fill(x < 0, 1)), "ELU": F.elu,
    "groups": lambda x: x.view(x.size(0), 2, 2, 8, 8).transpose(1, 2).reshape(x.size(0), 4, 8, 8),
    "CBAM": lambda x: x * torch.cat([x.mean(1, keepdim=True), x.max(1, keepdim=True)[0]], 1).sum(1, keepdim=True),
}  # fmt: skip
UNKNOWN = {
    "flip": lambda x: x.flip(2), "transpose": lambda x: x.transpose(2, 3), "mT": lambda x: x.mT,
    "swapaxes": lambda x: x.swapaxes(2, 3), "movedim": lambda x: x.movedim(2, 3), "rot90": lambda x: x.rot90(1, (2, 3)),
    "with its transpose": lambda x: x + x.transpose(2, 3), "roll": lambda x: x.roll(3, 2),
    "sort": lambda x: x.sort(2)[0], "fft": lambda x: torch.fft.fft2(x).real, "triu": torch.triu,
    "softmax": lambda x: x.softmax(3), "log_softmax": lambda x: F.log_softmax(x, -1), "cumsum": lambda x: x.cumsum(2),
    "cumprod": lambda x: x.cumprod(3), "normalize": lambda x: F.normalize(x, dim=2),
    "matmul": lambda x: torch.ones(8, 8) @ x, "einsum": lambda x: torch.einsum("nchw->ncwh", x),
    "reflect": lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect")[:, :, 1:-1, 2:],
    "wrapped": lambda x: F.pad(x, (1, 1, 1, 1), mode="circular"), "index": lambda x: x[:, :, torch.arange(8).flip(0)],
    "one side's mean": lambda x: x.mean(2).unsqueeze(1).expand(-1, 4, -1, -1), "up": lambda x: F.interpolate(x, (8, 8)),
}  # fmt: skip


def test_fields_behind_unusual_operations_agree_with_the_gradient_or_are_not_known() -> None:
    for name, function in (KNOWN | UNKNOWN).items():
        model, image = Applied(function).eval(), torch.rand(1, 1, 8, 8, requires_grad=True)
        row, output, cell = dissect.layers(model, (1, 8, 8)).rows[-1], model(image), (2, 6)
        (gradient,) = torch.autograd.grad(output[0, 0, *cell], image)
        rows, columns = (gradient[0, 0].abs().sum(dim).nonzero().flatten() for dim in (1, 0))
        if name in UNKNOWN:
            assert row.receptive_field == "n/a", name
        else:
            assert tuple(row.at(cell)) == (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1), name


@pytest.mark.parametrize(("size", "expected"), [(224, 195), (256, 227), (63, 195)], ids=["6 to 6", "7 to 6", "1 to 6"])
def test_adaptive_pooling_widens_the_field_only_where_it_pools(size: int, expected: int) -> None:
    row = dissect.layers(empty("alexnet"), size).find("avgpool")
    assert row.output_shape == (256, 6, 6)
    assert row.receptive_field == expected


# ---- the caller's model ------------------------------------------------------------------------------------------


def test_the_callers_model_is_only_read() -> None:
    model = models.load("alexnet_mini", pretrained=False)
    model.train()
    model.features[1].eval()
    model.classifier[1].weight.requires_grad_(False)
    seen: list[object] = []
    model.features[0].register_forward_hook(lambda *args: seen.append(args))
    model.features[0].register_forward_pre_hook(lambda *args: seen.append(args))
    modes = [module.training for module in model.modules()]
    state, before, random = model.state_dict(), copy.deepcopy(model.state_dict()), torch.get_rng_state()
    dissect.layers(model, 64)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(state[key], before[key]) and state[key].device.type == "cpu" for key in before)
    assert torch.equal(random, torch.get_rng_state())
    assert not seen
    assert len(model.features[0]._forward_hooks) == 1


def test_a_copy_for_tracing_has_no_numbers_and_no_hooks_and_shares_what_was_shared() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    model[1].note = torch.zeros(3)  # an attribute that is no buffer
    model[0].register_forward_hook(lambda *args: pytest.fail("a hook of the caller was called"))
    copied = copies.meta_copy(model)
    tensors = [*copied.parameters(), *copied.buffers(), copied[1].note]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert copied[2].weight is copied[0].weight is not model[0].weight
    assert not copied[0]._forward_hooks and len(model[0]._forward_hooks) == 1
    assert not copied.training and model.training


def test_random_numbers_are_kept_where_forward_draws_them() -> None:
    networks = FunctionalLeNet(), Stubborn()
    random = torch.get_rng_state()
    for network in networks:
        dissect.layers(network, 32)
    assert torch.equal(random, torch.get_rng_state())


# ---- functional calls, names, tables -----------------------------------------------------------------------------


def test_functional_calls_have_rows() -> None:
    dissection = dissect.layers(FunctionalLeNet(), 32)  # one channel, taken from the first convolution
    assert [(row.name, row.type, row.output_shape) for row in dissection.rows] == [
        ("conv1", "Conv2d", (6, 28, 28)), ("relu", "relu", (6, 28, 28)), ("max_pool2d", "max_pool2d", (6, 14, 14)),
        ("conv2", "Conv2d", (16, 10, 10)), ("relu_1", "relu", (16, 10, 10)), ("max_pool2d_1", "max_pool2d", (16, 5, 5)),
        ("view", "view", (400,)), ("fc1", "Linear", (120,)), ("relu_2", "relu", (120,)), ("dropout", "dropout", (120,)),
        ("fc2", "Linear", (84,)), ("relu_3", "relu", (84,)), ("fc3", "Linear", (10,)),
    ]  # fmt: skip
    assert (dissection.params, dissection.macs) == (61_706, 416_520)
    assert [row.receptive_field for row in dissection.rows[:7]] == [5, 5, 6, 14, 14, 16, "whole image"]
    assert dissection.find("max_pool2d_1").kernel_size == dissection.find("max_pool2d_1").stride == 2


def test_text_of_a_dissection() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, (3, 5), stride=2, padding=1), nn.ReLU(inplace=True), nn.Flatten())
    text = str(dissect.layers(model, (9, 12)))
    assert [line.rstrip("-") and line for line in text.splitlines()] == [
        "Sequential, input 3 x 9 x 12",
        "",
        "layer   type     output  window     parameters     KiB  MACs, M        field  jump",
        "",
        "0       Conv2d   8x5x5   3x5 /2 +1         368     0.8     0.01          3x5     2",
        "1       ReLU     8x5x5                       -  shared        -          3x5     2",
        "2       Flatten  200                         -  shared        -  whole image     -",
        "",
        "in all                                     368     0.8     0.01",
        "",
        "window: size /stride +padding. MACs: one multiplication and one addition; FLOPs = 2 x MACs.",
        "KiB: the output in float32; shared: it lies in the memory of the input.",
    ]


def test_html_holds_every_row_and_no_style() -> None:
    dissection = dissect.layers(FunctionalLeNet(), 32)
    html = dissection._repr_html_()
    assert html.count("<tr>") == len(dissection.rows) + 2  # heads and sums
    assert "style" not in html


def test_find_names_what_is_near() -> None:
    with pytest.raises(ValueError, match=r"no row 'conv3'\. Rows with a name like it: conv2, conv1"):
        dissect.layers(FunctionalLeNet(), 32).find("conv3")


def test_pandas_or_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    dissection = dissect.layers(FunctionalLeNet(), 32)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pandas", None)
        with pytest.raises(ImportError, match=r"needs pandas, which is not installed here: %pip install pandas"):
            dissection.to_pandas()
    pytest.importorskip("pandas")
    frame = dissection.to_pandas()
    assert list(frame.name) == [row.name for row in dissection.rows]
    assert frame.params.sum() == dissection.params and frame.macs.sum() == dissection.macs


def test_comparison_lines_up_and_marks() -> None:
    ours, theirs = models.load("alexnet_2012", pretrained=False), models.load("alexnet", pretrained=False)
    comparison = dissect.compare(dissect.layers(ours, 227), dissect.layers(theirs, 227))
    text = str(comparison)
    assert "60,965,224" in text and "61,100,840" in text
    lines = comparison.lines()
    conv4 = next(line for line in lines if line[1] == "Conv2d 3x3 +1 groups 2" and line[0])
    assert conv4[4:] == ("Conv2d 3x3 +1", "256x13x13", "884,992")
    assert ("", "Linear", "4096", "16,781,312", "Linear", "4096", "16,781,312") in lines
    assert comparison._repr_html_().count("<tr>") == len([line for line in lines if any(line)]) + 1
    with pytest.raises(ValueError, match=r"compare takes two dissections, got AlexNet"):
        dissect.compare(comparison.first, theirs)


# ---- stages ------------------------------------------------------------------------------------------------------

RESNETS = {  # table 1 of He et al. 2015: repeats, and the layers of a block by their place in its 64-128-256-512
    "resnet18": ((2, 2, 2, 2), False), "resnet34": ((3, 4, 6, 3), False), "resnet50": ((3, 4, 6, 3), True),
    "resnet101": ((3, 4, 23, 3), True), "resnet152": ((3, 8, 36, 3), True),
}  # fmt: skip


@pytest.mark.parametrize("name", RESNETS)
def test_stages_are_the_table_of_the_resnet_paper(name: str) -> None:
    repeats, bottleneck = RESNETS[name]
    stages = {stage.name: stage for stage in dissect.layers(empty(name), 224).stages()}
    assert list(stages) == ["conv1", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool", "fc"]
    assert (stages["conv1"].layers, stages["conv1"].output_shape) == ("7x7, 64", (64, 112, 112))
    for index, count in enumerate(repeats):
        stage, width = stages[f"layer{index + 1}"], 64 * 2**index
        side, out = 56 // 2**index, 4 * width if bottleneck else width
        block = f"1x1, {width}; 3x3, {width}; 1x1, {out}" if bottleneck else f"3x3, {width}; 3x3, {width}"
        assert (stage.repeats, stage.layers, stage.output_shape) == (count, block, (out, side, side))
        assert stage.has_shortcut


def test_stages_keep_every_row() -> None:
    for name in ("googlenet", "densenet121", "shufflenet_v2_x0_5", "mobilenet_v2", "squeezenet1_0"):
        dissection = dissect.layers(empty(name), 224)
        for collapse in (True, False):
            kept = [row for stage in dissection.stages(collapse=collapse) for row in stage.rows]
            assert kept == list(dissection.rows)


# ---- what cannot be traced, and what does not fit ----------------------------------------------------------------


class Stubborn(nn.Module):
    """Asks for the numbers in the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu, self.fc = nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.conv(x))
        if x.sum() < 0:
            x = -x
        return self.fc(self.relu(F.dropout(x)).mean((2, 3)))


class Casting(Stubborn):
    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x.view(int(x.size(0)), -1)


class Counting(Stubborn):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) * len(x)


class Looping(Stubborn):
    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.conv(picture) for picture in x])


@pytest.mark.parametrize(
    ("broken", "line", "advice"),
    [
        (Stubborn, "if x.sum() < 0:", "Decide by something that is fixed in __init__"),
        (Casting, "return x.view(int(x.size(0)), -1)", "leave out int()"),
        (Counting, "return self.conv(x) * len(x)", "write x.shape[0] in the place of len(x)"),
        (Looping, "for picture in x", "take its parts by index"),
    ],
)
def test_an_untraceable_network_falls_back_and_says_where(broken: type, line: str, advice: str) -> None:
    dissection = dissect.layers(broken(), 32)
    assert not dissection.traced
    sentence = dissection.notes[0]
    place, source = sentence.splitlines()[:2]
    number = int(place.partition("test_dissect.py:")[2].partition(",")[0])
    assert place == f"{broken.__name__} cannot be traced: it stops at test_dissect.py:{number}, in forward:"
    assert Path(__file__).read_text().splitlines()[number - 1].strip() == source.strip()
    assert line in source
    assert advice in sentence
    assert sentence in str(dissection)
    conv = dissection.find("conv")
    assert (conv.output_shape[-3:], conv.params, conv.kernel_size) == ((8, 30, 30), 224, 3)
    assert {row.receptive_field for row in dissection.rows} == {"n/a"}


@pytest.mark.parametrize("function", ["_owner", "_function_name", "_numbered"])
def test_our_own_mistakes_are_not_taken_for_an_untraceable_network(
    function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object) -> str:
        raise KeyError("a mistake of the kit")

    monkeypatch.setattr(trace, function, broken)
    for look in (lambda: dissect.layers(FunctionalLeNet(), 32), lambda: activations.nodes(FunctionalLeNet())):
        with pytest.raises(KeyError, match="a mistake of the kit"):
            look()


def test_the_fallback_counts_as_the_tracer_does() -> None:
    dissection = dissect.layers(Stubborn(), 32)
    assert [row.name for row in dissection.rows] == ["conv", "relu", "relu_1", "fc"]
    assert dissection.macs == 8 * 30 * 30 * 27 + 32
    with pytest.raises(ValueError, match=r"What a cell of conv \(Conv2d\) sees is not known"):
        dissection.rows[0].at((0, 0))


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ("224", "input_size is '224'; pass the side in px"),
        (True, "input_size is True"), (0, "input_size is 0"), (3.0, "input_size is 3.0"), ((), r"input_size is \(\)"),
        ((1, 3, 224, 224), r"Leave out the batch: \(3, 224, 224\)"),
        (torch.zeros(1, 3, 8, 8), r"input_size is a tensor of \(1, 3, 8, 8\)"),
    ],
    ids=str,
)  # fmt: skip
def test_wrong_sizes_are_sentences(size: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        dissect.layers(FunctionalLeNet(), size)


@pytest.mark.parametrize(
    ("model", "size", "words"),
    [
        (FunctionalLeNet(), 28, r"fc1 \(Linear\) takes 400 numbers a picture, but \(256,\) arrives"),
        (FunctionalLeNet(), (3, 32, 32), r"conv1 \(Conv2d\) takes 1 channels, but \(3, 32, 32\) arrives.*\(1, H, W\)"),
        (
            models.load("alexnet_mini", pretrained=False),
            8,
            r"features.\d+ \(MaxPool2d\) does not take what arrives.*larger",
        ),
        (nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(0), nn.Linear(4, 2)), 8, r"2 \(Linear\).*2 pictures at once"),
        (nn.Sequential(nn.LazyConv2d(4, 1)), 8, "lazy layers that do not know their size yet"),
        ("alexnet", 224, r"model is 'alexnet'; pass the network itself"),
    ],
    ids=["28 px", "colour", "too small", "flatten", "lazy", "no network"],
)
def test_what_does_not_fit_is_named(model: nn.Module, size: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        dissect.layers(model, size)


class Keeping(Stubborn):
    """Keeps its maps, as students do for later."""

    def forward(self, x: Tensor) -> Tensor:
        self.seen = {"maps": [x * self.conv.weight.sum()], "all": (self.conv(x), {"deep": [self.conv(x)]})}
        return super().forward(x) if x.sum() > -1e9 else x


def test_kept_maps_old_weight_norm_and_wrappers_are_no_obstacle() -> None:
    keeping, weights = Keeping(), Stubborn()
    with pytest.warns(FutureWarning):
        torch.nn.utils.weight_norm(weights.conv)
    for model in (keeping, weights):
        model(torch.rand(1, 3, 16, 16))
        assert dissect.layers(model, 32).find("conv").macs
    plain = FunctionalLeNet()
    wrapped = nn.Sequential(nn.DataParallel(nn.Conv2d(1, 1, 1)), torch.compile(plain, backend="eager"))
    rows = dissect.layers(wrapped, 32).rows
    assert rows[0].name == "0" and rows[1].name == "1.conv1"
    for outer in (nn.DataParallel(plain), torch.compile(nn.DataParallel(plain), backend="eager")):
        found = dissect.layers(outer, 32)
        assert (found.model, found.rows) == ("FunctionalLeNet", dissect.layers(plain, 32).rows)
    assert dissect.layers(models.load("alexnet_mini", pretrained=False).half(), 96).macs


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_networks_that_cannot_be_taken_apart_get_a_sentence() -> None:
    class Locked(FunctionalLeNet):
        def __init__(self) -> None:
            super().__init__()
            self.lock = threading.Lock()

    volumes = nn.Sequential(nn.Conv3d(3, 4, 3))
    asked = {
        "is scripted, and such": (torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 1))), 8),
        "is scripted": (nn.Sequential(torch.jit.trace(nn.Conv2d(3, 4, 1), torch.rand(1, 3, 8, 8))), 8),
        "Sequential is quantised": (torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(3, 4))), 8),
        r"0 \(Conv1d\) works on sequences": (nn.Sequential(nn.Conv1d(3, 4, 3)), 8),
        r"0 \(Conv3d\) works on volumes": (volumes, (3, 8, 8)),
        r"A network for volumes \(nn.Conv3d\)": (volumes, (3, 8, 8, 8)),
        "Locked keeps something that cannot be copied .*lock": (Locked(), 32),
        "Expected 224 but got 256": (torchvision.models.vit_b_32(), 256),
    }
    for words, (model, size) in asked.items():
        with pytest.raises(ValueError, match=words) as error:
            dissect.layers(model, size)
        assert "Proxy" not in str(error.value)


def test_two_inputs() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 3)

        def forward(self, left: Tensor, right: Tensor, scale: float = 2.0) -> Tensor:
            return torch.cat([self.conv(left), self.conv(right) * scale], 1)

    dissection = dissect.layers(Two(), [(3, 8, 8), (3, 8, 8)])
    assert dissection.rows[-1].output_shape == (4, 6, 6)
    assert dissection.find("conv_1").inputs == ("right",)
    assert dissection.rows[-1].receptive_field == 3


def test_cells_that_do_not_exist() -> None:
    row = dissect.layers(FunctionalLeNet(), 32).find("conv2")
    assert row.at((0, 9)) == (0, 18, 14, 32)
    with pytest.raises(ValueError, match=r"conv2 has no cell \(10, 0\): rows go from 0 to 9, columns from 0 to 9"):
        row.at((10, 0))
