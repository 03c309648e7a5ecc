"""Looking inside: against a forward pass by hand, gradients by finite differences, and a network left as it was."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
import torchvision.transforms.functional as TF
from matplotlib.text import Text
from PIL import Image
from torch import Tensor, nn

from helpers import activations, loaders, models, photos
from helpers.models.cifar_nets import CifarNet
from helpers.plotting import activations as plotting_activations

DATA = Path(__file__).parents[2] / "shared" / "data"


def randomly(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


class Functional(nn.Module):
    """As students write it: functional calls, a ReLU used twice, and one that works in place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 6, 3, padding=1)
        self.relu, self.drop = nn.ReLU(inplace=True), nn.Dropout(0.5)
        self.unused = nn.Conv2d(1, 1, 1)
        self.fc = nn.Linear(6 * 4 * 4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.relu(self.conv1(x)), 2)
        x = F.relu_(self.conv2(x) - 0.1) + 1
        x = F.max_pool2d(self.relu(x), 2)
        return self.fc(self.drop(x).flatten(1))


class Untraceable(Functional):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if x.mean() > 100 else x + 0)


@pytest.fixture(params=[Functional, Untraceable])
def model(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    return request.param().train()


def by_hand(model: Functional, images: Tensor) -> dict[str, Tensor]:
    conv1 = F.conv2d(images, model.conv1.weight, model.conv1.bias, padding=1)
    pooled = F.max_pool2d(conv1.clamp(min=0), 2)
    conv2 = F.conv2d(pooled, model.conv2.weight, model.conv2.bias, padding=1)
    added = (conv2 - 0.1).clamp(min=0) + 1
    out = F.max_pool2d(added, 2)
    names = {
        "conv1": conv1, "relu": conv1.clamp(min=0), "max_pool2d": pooled, "conv2": conv2, "sub": conv2 - 0.1,
        "relu_": (conv2 - 0.1).clamp(min=0), "add": added, "relu_1": added, "max_pool2d_1": out, "drop": out,
        "flatten": out.flatten(1), "fc": out.flatten(1) @ model.fc.weight.T + model.fc.bias,
    }  # fmt: skip
    return {name: value.detach() for name, value in names.items()}


# --- feature maps -----------------------------------------------------------------------------------------------------


def test_every_node_against_a_forward_pass_by_hand() -> None:
    model, images = Functional().eval(), randomly(2, 3, 16, 16)
    expected = by_hand(model, images)
    assert activations.nodes(model) == list(expected)
    for node, values in expected.items():
        torch.testing.assert_close(activations.feature_maps(model, images, node), values)


@pytest.mark.parametrize("node", ["conv1", "relu", "conv2", "drop", "fc"])
def test_modules_of_a_network_that_does_not_trace(node: str) -> None:
    model, images = Untraceable(), randomly(2, 3, 16, 16)
    torch.testing.assert_close(activations.feature_maps(model, images, node), by_hand(model, images)[node])


def test_in_place_relu_behind_a_node_does_not_change_it() -> None:
    model = torchvision.models.AlexNet().eval()
    maps = activations.feature_maps(model, randomly(1, 3, 64, 64), "features.0")
    torch.testing.assert_close(maps, model.features[0](randomly(1, 3, 64, 64)).detach())
    assert (maps < 0).any() and not maps.requires_grad


def test_residual_additions_and_containers() -> None:
    torch.manual_seed(0)
    model, images = CifarNet(8, residual=True, width=4).eval(), randomly(2, 3, 16, 16)
    stem = model.relu(model.bn1(model.conv1(images))).detach()
    block = model.stage1[0]
    inner = block.bn2(block.conv2(block.relu1(block.bn1(block.conv1(stem))))).detach()
    torch.testing.assert_close(activations.feature_maps(model, images, "stage1.0.add"), inner + stem)
    torch.testing.assert_close(activations.feature_maps(model, images, "stage1"), (inner + stem).clamp(min=0))


def test_names_are_those_of_dissect() -> None:
    dissect = pytest.importorskip("helpers.dissect")
    model = CifarNet(8, residual=True, width=4)
    rows = dissect.layers(model, (3, 32, 32)).rows
    assert set(activations.nodes(model)) <= {row.name for row in rows}


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ("conv3", r"no node 'conv3' in this network. Close to it: conv[12], conv[12].*activations.nodes\(model\)"),
        ("zzz", r"no node 'zzz' in this network. Close to it: conv1"),
        ("", "no node ''"),
        ("unused", "'unused' is in the network, but its forward never calls it"),
    ],
)
def test_unknown_node(model: nn.Module, node: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        activations.feature_maps(model, randomly(1, 3, 16, 16), node)


def test_functional_calls_need_a_network_that_traces() -> None:
    with pytest.raises(ValueError, match="cannot trace this forward, so only modules can be looked at"):
        activations.feature_maps(Untraceable(), randomly(1, 3, 16, 16), "max_pool2d")


def test_a_node_that_puts_out_no_tensor() -> None:
    class Pair(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, x

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pair = Pair()

        def forward(self, x: Tensor) -> Tensor:
            return self.pair(x)[0]

    with pytest.raises(ValueError, match="'pair' puts out a tuple, not a tensor"):
        activations.feature_maps(Outer(), randomly(1, 3, 4, 4), "pair")


# --- nothing changes --------------------------------------------------------------------------------------------------


def snapshot(model: nn.Module) -> list[object]:
    hooks = [name for name in vars(nn.Module()) if "hooks" in name]
    return [
        torch.get_rng_state().tolist(),
        [value.tolist() for value in model.state_dict().values()],
        [(p.requires_grad, None if p.grad is None else p.grad.tolist()) for p in model.parameters()],
        [(m.training, [list(getattr(m, name) or ()) for name in hooks], sorted(vars(m))) for m in model.modules()],
        torch.is_grad_enabled(),
    ]


LOOKS = {
    "feature_maps": lambda model, image: activations.feature_maps(model, image, "stage2.0.add"),
    "feature_maps of a module": lambda model, image: activations.feature_maps(model, image, "stage1"),
    "nodes": lambda model, image: activations.nodes(model),
    "filters": lambda model, image: activations.filters(model).zero_(),
    "top_k": lambda model, image: activations.top_k(model, image, list("0123456789")),
    "grad_cam": lambda model, image: activations.grad_cam(model, image, 3),
    "grad_cam at a call": lambda model, image: activations.grad_cam(model, image, 3, "stage3.0.add"),
    "an unknown node": lambda model, image: activations.feature_maps(model, image, "nothing"),
    "a wrong size": lambda model, image: activations.grad_cam(model, image[:, :1], 3),
    "a wrong class": lambda model, image: activations.grad_cam(model, image, 10),
}


@pytest.mark.parametrize("look", LOOKS)
def test_the_network_is_left_as_it_was(look: str) -> None:
    torch.manual_seed(0)
    model, image = CifarNet(8, residual=True, width=4).train(), randomly(1, 3, 16, 16)
    model.stage1.eval().requires_grad_(False)
    model.conv1.register_forward_hook(lambda module, inputs, output: None)
    model(image.repeat(2, 1, 1, 1)).sum().backward()
    before, picture = snapshot(model), image.clone()
    try:
        LOOKS[look](model, image)
    except (ValueError, RuntimeError):
        assert look.startswith(("a wrong", "an unknown"))
    else:
        assert not look.startswith(("a wrong", "an unknown"))
    assert snapshot(model) == before
    assert torch.equal(image, picture) and not image.requires_grad


def test_dropout_is_off(model: nn.Module) -> None:
    images = randomly(1, 3, 16, 16)
    first, second = (activations.feature_maps(model, images, "drop") for _ in range(2))
    assert torch.equal(first, second) and model.training


# --- filters, dead maps, top k ----------------------------------------------------------------------------------------


def test_filters() -> None:
    model = Functional()
    first = activations.filters(model)
    assert torch.equal(first, model.conv1.weight) and first.shape == (4, 3, 3, 3) and not first.requires_grad
    assert activations.filters(model, "conv2").shape == (6, 4, 3, 3)
    with pytest.raises(ValueError, match="'fc' is no convolution of this network. These are: conv1, conv2"):
        activations.filters(model, "fc")
    with pytest.raises(ValueError, match="Linear has no convolution"):
        activations.filters(nn.Linear(3, 3))


def test_dead_share() -> None:
    maps = torch.zeros(3, 4, 2, 2)
    maps[0, 1] = -1
    maps[2, 2, 1, 0] = 0.1  # alive in one cell of one image
    assert activations.dead_share(maps) == 0.75
    assert activations.dead_share(maps[:2]) == 1
    assert activations.dead_share(torch.ones(2, 5)) == 0
    with pytest.raises(ValueError, match="must be"):
        activations.dead_share(torch.zeros(3))


def test_top_k(model: nn.Module) -> None:
    image, names = randomly(1, 3, 16, 16), ["bike", "cat", "dog", "flower", "horse"]
    scores = by_hand(model, image)["fc"][0].double().exp()
    expected = sorted(zip(names, (scores / scores.sum()).tolist(), strict=True), key=lambda pair: -pair[1])
    got = activations.top_k(model, image, names, k=3)
    assert [name for name, _ in got.rows] == [name for name, _ in expected[:3]]
    assert [p for _, p in got.rows] == pytest.approx([p for _, p in expected[:3]], abs=1e-6)
    assert len(activations.top_k(model, image, names, k=50).rows) == 5


def test_top_k_as_text() -> None:
    assert str(activations.TopK((("Samoyed", 0.884), ("Arctic fox", 0.0456)))) == (
        "Samoyed      88.4 %\nArctic fox    4.6 %"
    )


def test_top_k_wrong_arguments(model: nn.Module) -> None:
    with pytest.raises(ValueError, match="There are 3 categories, but the network has 5 outputs"):
        activations.top_k(model, randomly(1, 3, 16, 16), ["a", "b", "c"])
    for shape in ((3, 16, 16), (2, 3, 16, 16)):
        with pytest.raises(ValueError, match=r"must be one picture, \(1, 3, H, W\)"):
            activations.top_k(model, randomly(*shape), list("abcde"))


# --- Grad-CAM ---------------------------------------------------------------------------------------------------------


def tail(model: Functional, node: str, maps: Tensor) -> Tensor:
    """The scores from the maps of ``node`` on, by hand."""
    if node == "conv1":
        maps = maps.clamp(min=0)
    if node in ("conv1", "relu"):
        maps = F.conv2d(F.max_pool2d(maps, 2), model.conv2.weight, model.conv2.bias, padding=1)
    if node in ("conv1", "relu", "conv2"):
        maps = (maps - 0.1).clamp(min=0) + 1
    return F.max_pool2d(maps, 2).flatten(1) @ model.fc.weight.T + model.fc.bias


@pytest.mark.parametrize("node", ["conv1", "relu", "conv2", "add", "relu_1"])
@pytest.mark.parametrize("class_index", [0, 2])
def test_grad_cam_by_finite_differences(node: str, class_index: int) -> None:
    torch.manual_seed(0)
    model, image = Functional().double(), randomly(1, 3, 16, 16).double()
    maps = by_hand(model, image)[node]
    step, weights = 1e-6, []
    with torch.no_grad():
        for channel in range(maps.shape[1]):  # mean gradient = change of the score when all cells change, over cells
            moved = maps.clone()
            moved[:, channel] += step
            back = maps.clone()
            back[:, channel] -= step
            change = tail(model, node, moved) - tail(model, node, back)
            weights.append(change[0, class_index].item() / (2 * step) / maps[0, 0].numel())
    expected = sum(w * m for w, m in zip(weights, maps[0], strict=True)).clamp(min=0)
    got = activations.grad_cam(model, image, class_index, node)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-9)
    assert expected.any()


def test_grad_cam_where_the_answer_is_known() -> None:
    """One map a class and a linear layer on their means: Grad-CAM is the class's map times its weight (CAM)."""
    model = nn.Sequential(nn.Conv2d(3, 2, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 0, 0], [0, 1, 0]]).view(2, 3, 1, 1))  # red, green
        model[3].weight.copy_(torch.tensor([[8.0, -8], [-8, 8]]))
    image = torch.zeros(1, 3, 4, 4)
    image[0, 0, 0, 0] = image[0, 1, 3, 2] = 1  # a red and a green pixel
    red, green = (activations.grad_cam(model, image, index) for index in range(2))
    expected = torch.zeros(4, 4)
    expected[0, 0] = 8 / 16
    assert torch.equal(red, expected)
    assert (green > 0).nonzero().tolist() == [[3, 2]]


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode], ids=["no_grad", "inference_mode"])
def test_grad_cam_of_a_frozen_network_without_gradients(mode: type) -> None:
    torch.manual_seed(0)
    model, image = Functional(), randomly(1, 3, 16, 16)
    expected = activations.grad_cam(model, image, 1)
    model.requires_grad_(False)
    with mode():
        assert torch.equal(activations.grad_cam(model, image.clone(), 1), expected)


DEFAULTS = {  # the last maps of the last convolution's size, before the head
    "alexnet": "features.11",  # a ReLU; behind it comes the last pooling
    "alexnet_2012": "features.13",
    "vgg11": "features.19",
    "resnet18": "layer4",
    "resnet50": "layer4",
    "squeezenet1_1": "features",
    "mobilenet_v2": "features",
    "resnet20_cifar": "stage3",
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_default_node(name: str) -> None:
    with torch.device("meta"):  # sizes without numbers
        model = models.load(name, pretrained=False)
        assert activations.cam_node(model, torch.zeros(1, 3, 227, 227)) == DEFAULTS[name]


def test_default_node_is_none_that_is_called_twice() -> None:
    """``relu`` names its first call, which has other maps than the last convolution."""
    assert activations.cam_node(Functional(), randomly(1, 3, 16, 16)) == "conv2"


@pytest.mark.parametrize(
    ("class_index", "node", "message"),
    [
        (5, "conv2", "class_index=5 must be from 0 to 4"),
        (-1, "conv2", "class_index=-1 must be from 0 to 4"),
        (0, "fc", r"Grad-CAM needs maps \(1, C, h, w\); 'fc' puts out \(1, 5\)"),
    ],
)
def test_grad_cam_wrong_arguments(model: nn.Module, class_index: int, node: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        activations.grad_cam(model, randomly(1, 3, 16, 16), class_index, node)


def test_grad_cam_needs_a_convolution_and_a_way_to_the_score() -> None:
    with pytest.raises(ValueError, match="calls no convolution before its head"):
        activations.grad_cam(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), randomly(1, 3, 2, 2), 0)

    class Deaf(Functional):
        def forward(self, x: Tensor) -> Tensor:
            self.conv1(x)
            return self.fc(x.flatten(1)[:, :96])

    with pytest.raises(ValueError, match="The score does not depend on the node 'conv1'"):
        activations.grad_cam(Deaf(), randomly(1, 3, 16, 16), 0, "conv1")


@pytest.mark.parametrize(("name", "least"), [("resnet_mini", 0.67), ("alexnet_mini", 0.75)])
def test_the_coffee_is_named_and_grad_cam_lies_in_its_box(name: str, least: float) -> None:
    """What notebook 03 shows without a network: on the whole photo, of which the box is less than a third."""
    photo, (_, classes), model = photos.load("coffee"), models.about(name), models.load(name)
    small = photo.resize((96, 64), Image.Resampling.BILINEAR)
    image = TF.normalize(TF.to_tensor(small), loaders.IMAGENET_MEAN, loaders.IMAGENET_STD)[None]
    label, _ = activations.top_k(model, image, classes).rows[0]
    assert label in photos.CATALOGUE["coffee"].answers
    cam = activations.grad_cam(model, image, classes.index(label))
    left, top, right, bottom = photos.CATALOGUE["coffee"].box
    whole = F.interpolate(cam[None, None], size=photo.size[::-1], mode="bilinear")[0, 0]
    assert (right - left) * (bottom - top) < photo.width * photo.height / 3
    assert whole[top:bottom, left:right].sum() > least * whole.sum()
    mirrored = activations.grad_cam(model, image.flip(3), classes.index(label))
    whole = F.interpolate(mirrored[None, None], size=photo.size[::-1], mode="bilinear")[0, 0]
    assert whole[top:bottom, photo.width - right : photo.width - left].sum() > least * whole.sum()


# --- what a unit waits for --------------------------------------------------------------------------------------------


@pytest.fixture
def found() -> tuple[nn.Module, dict[tuple[int, float], Tensor], dict[int, list[activations.Patch]]]:
    """A network, its images at two scales, and the patches that excite two of its maps."""
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(4, 5, 3, padding=1)
    model = nn.Sequential(*layers, nn.Tanh(), nn.AdaptiveAvgPool2d(1))
    nn.init.constant_(model[3].bias, 0.5)  # so that no map is below zero everywhere
    images = [randomly(1, 3, 40, 56), randomly(1, 3, 44, 44)]
    half = {"scale_factor": 0.75, "mode": "bilinear", "antialias": True}
    scaled = {(n, 1.0): image for n, image in enumerate(images)}
    scaled |= {(n, 0.75): F.interpolate(image, **half) for n, image in enumerate(images)}
    return model, scaled, activations.top_patches(model, "4", [1, 3], images, count=4, scales=(1.0, 0.75))


def test_a_patch_is_what_the_gradient_reaches(found: tuple) -> None:
    model, scaled, patches = found
    assert list(patches) == [1, 3] and all(patches.values())
    for channel, patch in ((c, patch) for c, several in patches.items() for patch in several):
        image = scaled[patch.image, patch.scale].clone().requires_grad_()
        value = model[:5](image)[0, channel][patch.position]
        assert value.item() == pytest.approx(patch.value, abs=1e-6)
        (gradient,) = torch.autograd.grad(value, image)
        reached = gradient[0].abs().sum(dim=0).nonzero()
        top, left, bottom, right = patch.box
        assert (reached.min(dim=0).values >= torch.tensor([top, left])).all()
        assert (reached.max(dim=0).values < torch.tensor([bottom, right])).all()
        assert torch.equal(patch.pixels, image.detach()[0, :, top:bottom, left:right])
        elsewhere = randomly(*image.shape)  # the unit sees the patch, and nothing else
        elsewhere[0, :, top:bottom, left:right] = patch.pixels
        assert model[:5](elsewhere)[0, channel][patch.position].item() == pytest.approx(patch.value, abs=1e-5)


def test_no_place_without_padding_excites_more(found: tuple) -> None:
    model, scaled, patches = found
    highest = {channel: 0.0 for channel in patches}
    for image in scaled.values():
        maps = model[:5](image)[0]
        canvas = randomly(
            1, 3, image.shape[2] + 48, image.shape[3] + 48
        )  # in place of padding; 24 is six steps of 4 px
        canvas[:, :, 24:-24, 24:-24] = image
        larger = model[:5](canvas)[0][:, 6 : 6 + maps.shape[1], 6 : 6 + maps.shape[2]]
        same = (maps - larger).abs().amax(dim=0) < 1e-5
        assert same.any() and not same.all()
        highest = {channel: max(value, maps[channel][same].max().item()) for channel, value in highest.items()}
    for channel, several in patches.items():
        values = [patch.value for patch in several]
        assert values == sorted(values, reverse=True)
        assert values[0] == pytest.approx(highest[channel], abs=1e-6)


def test_patches_of_one_image_lie_apart(found: tuple) -> None:
    _, scaled, patches = found
    for several in patches.values():
        for first, second in itertools.combinations(several, 2):
            (top, left, bottom, right), (height, width) = first.box, scaled[first.image, first.scale].shape[2:]
            other, (other_height, other_width) = second.box, scaled[second.image, second.scale].shape[2:]
            y = (other.top + other.bottom) / 2 / other_height * height
            x = (other.left + other.right) / 2 / other_width * width
            assert first.image != second.image or not (top <= y < bottom and left <= x < right)


def test_patches_wrong_arguments() -> None:
    model, image = nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1)), randomly(1, 3, 8, 8)
    for node, channels, message in (("0", [2], "'0' has the maps 0 to 1"), ("1", [0], "'1' sees is whole image")):
        with pytest.raises(ValueError, match=message):
            activations.top_patches(model, node, channels, [image])
    with pytest.raises(ValueError, match="has no row 'nothing'"):
        activations.top_patches(model, "nothing", [0], [image])


# --- figures ----------------------------------------------------------------------------------------------------------


def texts(figure: object) -> str:
    figure.savefig(io.BytesIO(), format="png")
    return " | ".join(text.get_text() for text in figure.findobj(Text) if text.get_text())


def test_figure_of_maps_sorts_counts_the_dead_and_says_its_scale() -> None:
    maps = torch.zeros(5, 6, 6)
    maps[3], maps[1, 0, 0] = 2, 4
    figure = plotting_activations.feature_maps(maps, count=2, title="conv1")
    assert "conv1. 2 of 5 maps, 3 dead; each on its own scale" in texts(figure).replace("\n", " ")
    first, second = (axis.images[0] for axis in figure.axes)
    assert [axis.get_title() for axis in figure.axes] == ["map 3", "map 1"]
    assert (first.get_clim(), second.get_clim()) == ((0, 2), (0, 4)) and first.cmap.name == "inferno"
    shared = plotting_activations.feature_maps(maps, shared=True)
    assert {axis.images[0].get_clim() for axis in shared.axes if axis.images} == {(0, 4)}
    assert "one scale for all" in texts(shared).replace("\n", " ") and "one scale for all" in shared.alt


def test_figure_of_maps_begins_with_their_image() -> None:
    figure = plotting_activations.feature_maps(torch.rand(5, 6, 6), image=np.zeros((4, 4, 3)), count=3)
    shown = [(axis.get_title(), axis.images[0].get_array().shape) for axis in figure.axes]
    assert shown[0] == ("the image", (4, 4, 3)) and [shape for _, shape in shown[1:]] == 3 * [(6, 6)]


def test_figure_of_signed_maps_has_white_at_zero() -> None:
    figure = plotting_activations.feature_maps(torch.tensor([[[-3.0, 1.0]]]))
    image = figure.axes[0].images[0]
    assert "dead" not in texts(figure)
    assert image.get_clim() == (-3, 3) and image.cmap.name == "RdBu_r"
    with pytest.raises(ValueError, match=r"must be those of one picture"):
        plotting_activations.feature_maps(torch.zeros(1, 4, 3, 3))


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "own"])
def test_figure_of_grad_cam(shared: bool) -> None:
    cams = {"dog": torch.tensor([[4.0, 0], [0, 0]]), "cat": torch.tensor([[0, 0], [0, 1.0]])}
    figure = plotting_activations.cam_overlay(np.zeros((8, 8, 3)), cams, shared=shared, title="both")
    limits = [axis.images[1].get_clim() for axis in figure.axes if len(axis.images) == 2]
    assert limits == [(0, 4), (0, 4 if shared else 1)]
    assert "highest 4" in texts(figure) and ("one scale for all" in texts(figure)) is shared
    assert "dog: highest 4, at the top, left; cat: highest 1, at the " in figure.alt


# --- real weights, where they are -------------------------------------------------------------------------------------


@pytest.fixture
def weights_here(monkeypatch: pytest.MonkeyPatch) -> None:
    if not (DATA / "torch_home").is_dir():
        pytest.skip("needs ImageNet weights in shared/data/torch_home, which are not here")
    monkeypatch.setenv("TORCH_HOME", str(DATA / "torch_home"))


CATEGORIES = torchvision.models.SqueezeNet1_1_Weights.DEFAULT.meta["categories"]


@pytest.mark.usefixtures("weights_here")
@pytest.mark.parametrize("name", ["squeezenet1_1", "mobilenet_v2"])
def test_samoyed(name: str) -> None:
    image = loaders.one_picture(DATA / "photos" / "pytorch_dog.jpg")
    assert activations.top_k(models.load(name), image, CATEGORIES).rows[0][0] == "Samoyed"


@pytest.mark.usefixtures("weights_here")
def test_grad_cam_follows_the_class() -> None:
    """In this picture the dog sits above the cat."""
    model, image = models.load("mobilenet_v2"), loaders.one_picture(DATA / "photos" / "jacobgil_both.png")
    rows = {}
    for name in ("bull mastiff", "boxer", "tiger cat", "tabby"):
        cam = activations.grad_cam(model, image, CATEGORIES.index(name))
        rows[name] = ((cam.sum(dim=1) * torch.arange(7)).sum() / cam.sum()).item()
    assert max(rows["bull mastiff"], rows["boxer"]) + 1.5 < min(rows["tiger cat"], rows["tabby"])


# --- wrappers, other outputs, and what is no map --------------------------------------------------------------------


class Gated(nn.Module):
    """A convolutional head, and a gate whose convolution is the last one before it."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.Conv2d(4, 8, 3, 2))
        self.gate, self.classifier = nn.Conv2d(8, 8, 1), nn.Sequential(nn.Conv2d(8, 3, 1), nn.AdaptiveAvgPool2d(1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        return self.classifier(x * self.gate(x.mean((2, 3), keepdim=True)).sigmoid()).flatten(1)


class Inside(nn.Module):
    """Somebody's wrapper: it scales the image, and gives the scores in its own way."""

    def __init__(self, inner: nn.Module, give: object) -> None:
        super().__init__()
        self.scale, self.inner, self.give = nn.Identity(), inner, give

    def forward(self, x: Tensor) -> object:
        return self.give(self.inner(self.scale(x)))


def test_a_wrapped_network_is_looked_at_as_it_is() -> None:
    torch.manual_seed(0)
    model, image = Gated().eval(), randomly(1, 3, 32, 32)
    assert activations.cam_node(model, image) == "features"
    expected = activations.grad_cam(model, image, 1)
    kept = activations.feature_maps(model, image, "features.1")
    wrappers = [
        nn.DataParallel(model), torch.compile(nn.DataParallel(model), backend="eager"), nn.Sequential(model),
        torch.compile(model, backend="eager"), Inside(model, lambda scores: {"logits": scores}),
        Inside(nn.Sequential(model), lambda scores: (scores, None)),
    ]  # fmt: skip
    for wrapped in wrappers:
        torch.testing.assert_close(activations.grad_cam(wrapped, image, 1), expected)
        assert activations.top_k(wrapped, image, "abc").rows == activations.top_k(model, image, "abc").rows
        node = next(name for name in activations.nodes(wrapped) if name.endswith("features.1"))
        torch.testing.assert_close(activations.feature_maps(wrapped, image, node), kept)


class ChannelsLast(nn.Module):
    """As Swin: patches, then linear layers on (N, h, w, C)."""

    def __init__(self, width: int, *, tokens: bool = False) -> None:
        super().__init__()
        self.patches, self.mix, self.tokens = nn.Conv2d(3, width, 4, 4), nn.Linear(width, width), tokens
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).permute(0, 2, 3, 1)
        x = self.norm(self.mix(x.flatten(1, 2) if self.tokens else x))
        return self.head(x.flatten(1, -2).mean(1))


@pytest.mark.parametrize(("width", "size"), [(5, (32, 32)), (8, (32, 32)), (8, (32, 48)), (12, (48, 32))], ids=str)
def test_maps_with_the_channels_behind_are_turned_round(width: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    model, image = ChannelsLast(width).eval(), randomly(1, 3, *size)
    sides = (size[0] // 4, size[1] // 4)
    assert activations.cam_node(model, image) == "norm"
    maps = activations.feature_maps(model, image, "norm")
    assert maps.shape == (1, width, *sides)
    expected = model.norm(model.mix(model.patches(image).permute(0, 2, 3, 1)))
    torch.testing.assert_close(maps, expected.permute(0, 3, 1, 2).detach())
    by_hand = torch.einsum("c,nchw->hw", model.head.weight[1], maps).clamp(min=0) / (sides[0] * sides[1])
    torch.testing.assert_close(activations.grad_cam(model, image, 1), by_hand.detach())
    assert activations.feature_maps(model, image, "patches").shape == (1, width, *sides)  # these stand as they are


def test_tokens_are_no_maps() -> None:
    model, image = ChannelsLast(8, tokens=True).eval(), randomly(1, 3, 32, 32)
    with pytest.raises(ValueError, match="Behind patches, its last maps, ChannelsLast goes on with tokens"):
        activations.grad_cam(model, image, 1)
    with pytest.raises(ValueError, match=r"'norm' puts out \(1, 64, 8\)\. Tokens of a transformer"):
        activations.grad_cam(model, image, 1, "norm")
    assert activations.feature_maps(model, image, "norm").shape == (1, 64, 8)
