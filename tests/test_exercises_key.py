"""A second key: what the questions of the bank ask, computed anew by torch, torchvision and plain arithmetic.

Nothing here uses the package's own formulas. What cannot be computed is typed a second time, with its source.
"""

from __future__ import annotations

import datetime
import functools
import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch
import torchvision
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.flop_counter import FlopCounterMode
from torchvision.transforms import functional as TF

from helpers.exercises import bank
from helpers.exercises.questions import Question

BANK = {name: q for name, q in bank.every().items() if q.topic != "code"}  # code has its key in test_exercises_code
Answer = dict[str, object]
MIB = 2**20

TYPED: dict[str, tuple[Answer, str]] = {  # what no computation gives, and where it is from
    "nets-15": ({"learn": "zero"}, "x = F(x) + x; He et al. 2015, section 3.1"),
    "nets-16": ({"reason": "harder to train"}, "He et al. 2015, figure 1: the training error is higher, too"),
    "nets-28": ({"network": "LeNet"}, "a permutation of inputs can be undone by a linear layer, not by a convolution"),
    "batchnorm-10": ({"place": "between convolution and ReLU"}, "Ioffe and Szegedy 2015, section 3.2"),
    "training-10": ({"split": "validation"}, "the training part is learned by heart, the test part is for the end"),
    "training-17": ({"name": "overfitting"}, "the word for a growing gap between training and validation"),
    "training-18": ({"safe": False}, "a 6 upside down is a 9"),
    "transfer-12": ({"layers": "first"}, "Yosinski et al. 2014"),
    "training-32": ({"loader": "train"}, "the order of the images changes nothing in an evaluation"),
    "training-26": ({"cat": 0.7, "dog": 0.3}, "Zhang et al. 2018, mixup: inputs and targets by the same share"),
}


def empty(*shape: int) -> torch.Tensor:
    return torch.empty(shape, device="meta")


def volume(layer: nn.Module, width: int, height: int, depth: int) -> Answer:
    """What comes out of a layer, as width, height and depth."""
    _, d, h, w = layer(empty(1, depth, height, width)).shape
    return {"width": w, "height": h, "depth": d}


def conv(width: int, depth: int, filters: int, kernel_size: int, stride: int = 1, padding: int = 0) -> Answer:
    return volume(nn.Conv2d(depth, filters, kernel_size, stride, padding), width, width, depth)


def pool(width: int, depth: int, kernel_size: int, stride: int | None = None, padding: int = 0) -> Answer:
    return volume(nn.MaxPool2d(kernel_size, stride, padding), width, width, depth)


def side(layer: nn.Module, width: int) -> int:
    return layer(empty(1, 1, width, width)).shape[-1]


def count(*layers: nn.Module | None) -> int:
    """Parameters; those of no layer are none."""
    return sum(p.numel() for layer in layers if layer is not None for p in layer.parameters())


def weights(layers: Iterable[object]) -> int:
    """Weights of the convolutions among ``layers``, biases left out."""
    return sum(layer.weight.numel() for layer in layers if isinstance(layer, nn.Conv2d))


def linears(*widths: int) -> int:
    return count(*(nn.Linear(*pair) for pair in zip(widths, widths[1:], strict=False)))


def macs(network: nn.Module, *shape: int) -> int:
    with FlopCounterMode(display=False) as counter:
        network(empty(1, *shape))
    return counter.get_total_flops() // 2


def seen(*layers: tuple[int, ...]) -> int:
    """How many pixels lie between the first and the last that one number of the last map is made of.

    A layer is (kernel size, stride, dilation); the last two are 1 where they are left out.
    """
    pixels = {0}
    for kernel_size, stride, dilation in [(*layer, 1, 1)[:3] for layer in reversed(layers)]:
        pixels = {pixel * stride + tap * dilation for pixel in pixels for tap in range(kernel_size)}
    return max(pixels) - min(pixels) + 1


def outputs(network: nn.Module, *shape: int) -> dict[str, torch.Size]:
    """The shape that every layer without children puts out."""
    shapes = {}
    for name, layer in network.named_modules():
        if not list(layer.children()):
            layer.register_forward_hook(lambda _layer, _in, out, name=name: shapes.update({name: out.shape}))
    network(empty(1, *shape))
    return shapes


def sizes() -> dict[str, Answer]:
    recap = nn.Sequential(nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3), nn.MaxPool2d(2), nn.Flatten())
    lenet = nn.Sequential(nn.Conv2d(1, 6, 5), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.MaxPool2d(2), nn.Flatten())
    trunk = nn.Sequential(*list(torchvision.models.resnet50().children())[:-2])
    photo = volume(trunk, 480, 320, 3)
    return {
        "conv-2": conv(26, 32, 64, 3),
        "conv-8": conv(227, 3, 96, 11, stride=4),
        "conv-14": {"padding": next(p for p in range(9) if side(nn.Conv2d(1, 1, 5, 2, p), 32) == 16)},
        "conv-20": volume(nn.Conv2d(3, 16, 3, 2, 1), 640, 480, 3),
        "conv-23": {"length": nn.Flatten()(empty(1, 3, 32, 32)).shape[1]},
        "conv-24": {"features": recap(empty(1, 1, 28, 28)).shape[1]},
        "pool-5": pool(227, 64, 2, 2),
        "pool-7": {"width": side(nn.MaxPool2d(3), 27)},
        "field-5": {"pixels": seen((3, 2), (3,))},
        "field-8": {"pixels": seen((11, 4), (3, 2), (5,), (3, 2), (3,), (3,), (3,), (3, 2))},
        "field-9": {"pixels": seen(*vgg_layers())},
        "nets-32": {"pixels": seen((7, 2), (3, 2), (3,))},
        "nets-40": dense_positions(480, 320),
        "nets-1": {"features": lenet(empty(1, 1, 32, 32)).shape[1]},
        "nets-14": {"factor": empty(128, 28, 28).numel() / empty(64, 56, 56).numel()},
        "nets-20": {"height": photo["height"], "width": photo["width"]},
    }


def dense_positions(width: int, height: int) -> Answer:
    """Where a window of 224 px fits in when it moves by 32 px."""
    windows = F.max_pool2d(torch.empty(1, 1, height, width), 224, 32)
    return {"across": windows.shape[-1], "down": windows.shape[-2]}


def vgg_layers() -> Iterator[tuple[int, int]]:
    for layer in torchvision.models.vgg16().features:
        if isinstance(layer, nn.Conv2d):
            yield layer.kernel_size[0], layer.stride[0]
        elif isinstance(layer, nn.MaxPool2d):
            assert isinstance(layer.kernel_size, int) and isinstance(layer.stride, int)
            yield layer.kernel_size, layer.stride


def counts() -> dict[str, Answer]:
    models = torchvision.models
    alexnet, vgg16, resnet50 = models.alexnet(), models.vgg16(), models.resnet50()
    lenet = count(nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)) + linears(400, 120, 84, 10)
    depthwise, pointwise, full = nn.Conv2d(32, 32, 3, groups=32), nn.Conv2d(32, 64, 1), nn.Conv2d(32, 64, 3)
    layers = [layer for layer in vgg16.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    largest = max(layers, key=count)
    first_linear = next(layer for layer in layers if isinstance(layer, nn.Linear))
    maps = {name: shape.numel() for name, shape in outputs(vgg16, 3, 224, 224).items() if "." in name}
    first_maps = [name for name in maps if maps[name] == max(maps.values())]
    stem_maps = {f"features.{n}" for n in range(4)}  # two convolutions, each with its ReLU
    rows = [layer for layer in vgg16.features if isinstance(layer, (nn.Conv2d, nn.MaxPool2d))]
    row_values, x = 3 * 224 * 224 + 4096 + 4096 + 1000, empty(1, 3, 224, 224)
    for layer in rows:
        x = layer(x)
        row_values += x.numel()
    deep = [name for name, m in models.resnet101().named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    answers = {
        "params-1": count(nn.Conv2d(3, 10, 5)),
        "params-10": vgg16.classifier[0].weight.numel(),
        "params-11": count(nn.Conv2d(96, 256, 5, groups=2)),
        "params-12": count(depthwise),
        "cost-1": macs(nn.Conv2d(3, 10, 5, padding=2), 3, 32, 32),
        "cost-9": macs(full, 32, 66, 66) // macs(full, 32, 34, 34),  # 64 x 64 and 32 x 32 places
        "cost-12": macs(full, 32, 16, 16) / (macs(depthwise, 32, 16, 16) + macs(pointwise, 32, 14, 14)),
        "cost-13": round(row_values / 1e6, 2) * 4,
        "nets-7": "first linear layer" if largest is first_linear else "another",
        "nets-8": "first convolutions" if set(first_maps) == stem_maps else "elsewhere",
        "nets-10": weights(resnet50.layer1[1].modules()),
        "nets-12": sum("downsample" not in name for name in deep),
        "nets-13": len(["first", *["convolution"] * 2 * 9 * 3, "last"]),
        "nets-23": count(nn.Conv2d(240, 240, 1, groups=3, bias=False)),
        "nets-26": min(range(1, 400), key=lambda hidden: abs(linears(784, hidden, 10) - lenet)),
        "transfer-1": linears(4096, 4),
        "transfer-2": linears(9216, 4096, 512, 4),
        "transfer-10": linears(4096, 5) - linears(4096, 4),
    }
    convolutions, fully_connected = (
        sum(isinstance(layer, kind) for layer in alexnet.modules()) for kind in (nn.Conv2d, nn.Linear)
    )
    work = {"AlexNet": macs(alexnet, 3, 224, 224), "ResNet-50": macs(resnet50, 3, 224, 224)}
    size = {"AlexNet": count(alexnet), "ResNet-50": count(resnet50)}
    assert 4.0e9 < work["ResNet-50"] < 4.2e9 and 0.70e9 < work["AlexNet"] < 0.72e9
    stack = [nn.Conv2d(64, 64, 3, bias=False) for _ in range(3)]
    return {question_id: {field_of(question_id): value} for question_id, value in answers.items()} | {
        "nets-41": {
            "kernel": 7,
            "filters": (dense := nn.Conv2d(512, vgg16.classifier[0].out_features, 7, bias=False)).weight.shape[0],
            "weights": count(dense),
        },
        "nets-42": {"times": macs(nn.Conv2d(3, 8, 1), 3, 380, 380) / macs(nn.Conv2d(3, 8, 1), 3, 224, 224)},
        "nets-6": {"stack": count(*stack), "large": count(nn.Conv2d(64, 64, 7, bias=False))},
        "nets-22": {"larger_file": max(size, key=size.__getitem__), "more_work": max(work, key=work.__getitem__)},
    }


def field_of(question_id: str) -> str:
    (name,) = BANK[question_id].answer
    return name


def statements() -> dict[str, Answer]:
    """What has to be run with real numbers."""
    point, kernel = torch.zeros(1, 1, 3, 3), torch.arange(9.0).reshape(1, 1, 3, 3)
    point[..., 0, 0] = 1  # one bright pixel in the corner: what of the kernel does it meet?

    generator = torch.Generator().manual_seed(0)
    images = torch.rand(8, 3, 6, 6, generator=generator)
    norm, layer = nn.BatchNorm2d(3), nn.Conv2d(3, 3, 3)
    assert norm.running_mean is not None and norm.running_var is not None
    before = norm(layer(images))
    nn.init.constant_(layer.bias, 5.0)  # type: ignore[arg-type]  # it has a bias
    changed = not torch.allclose(before, norm(layer(images)), atol=1e-4)
    frozen = nn.BatchNorm2d(3).requires_grad_(False)
    frozen(images)
    assert frozen.running_mean is not None
    by_running = (images - norm.running_mean[:, None, None]) / (norm.running_var[:, None, None] + norm.eps).sqrt()
    uses_running = torch.allclose(norm.eval()(images), by_running, atol=1e-5)
    maps = empty(32, 64, 56, 56)

    slope = torch.zeros(1, requires_grad=True), torch.full((1,), -3.0, requires_grad=True)
    (torch.sigmoid(slope[0]) + torch.relu(slope[1])).backward()
    share = torch.tensor([0.9, *[0.1 / 3] * 3], dtype=torch.float64)  # of the four answers, the right one first
    gain = nn.init.calculate_gain("relu")
    photo = torch.from_numpy(np.zeros((400, 600, 3), dtype=np.uint8)).permute(2, 0, 1)  # rows, columns, channels
    pooled = F.avg_pool2d(F.avg_pool2d(torch.zeros(1, 1, 28, 28).index_fill_(3, torch.tensor(8), 1.0), 2), 2)
    once = F.avg_pool2d(torch.zeros(1, 1, 28, 28).index_fill_(3, torch.tensor(8), 1.0), 2)
    heat = (torch.tensor([[2.0, 0], [1, 4]]) * torch.tensor([[3.0], [-1]])).sum(dim=0).relu()
    velocity = torch.tensor(0.0, dtype=torch.float64)
    for _ in range(400):
        velocity = 0.9 * velocity + 1
    share_of_wrong = torch.distributions.Binomial(1000, torch.tensor(0.1, dtype=torch.float64)).stddev / 1000
    dead = nn.Parameter(torch.tensor(-1.0))
    torch.relu(dead * 1.0).backward()
    summed = nn.Parameter(torch.tensor(0.0))
    for slope_of_batch in (2.0, 3.0, -1.0):
        (slope_of_batch * summed).backward()
    row = torch.tensor([3, 12, 57, 3])
    spread_of = torch.diag(torch.tensor([6, 2, 1, 0.5, 0.5], dtype=torch.float64))
    two, images_of = torch.tensor([[3.0, 4], [4, 3]], dtype=torch.float64), TensorDataset(torch.zeros(5000, 1))
    boxes = torch.tensor([[0.0, 0, 10, 10]], dtype=torch.float64), torch.tensor([[5.0, 0, 15, 10]], dtype=torch.float64)
    return {
        "conv-26": {"shape": tuple(photo.shape), "numbers": photo.numel()},
        "nets-33": {"first": int(heat[0]), "second": int(heat[1])},
        "nets-34": {"percent": 100 * torch.tensor([2.0, 1, 0], dtype=torch.float64).softmax(0)[0].item()},
        "nets-37": {"first": int(once[0, 0, 0].argmax()), "second": int(pooled[0, 0, 0].argmax())},
        "nets-44": {"days": datetime.timedelta(minutes=50) * 8000 / 100 / datetime.timedelta(days=1)},
        "training-23": {"points": 100 * share_of_wrong.item()},
        "training-24": {"step": 0.1 * velocity.item()},
        "training-25": {"lr": explodes_above()},
        "training-28": {"change": int(0.1 * gradient(dead))},
        "training-31": {"label": sorted(["dog", "bike", "person", "cat"]).index("dog")},
        "training-33": {"gradient": int(gradient(summed))},
        "training-34": {"percent": 100 * (row[2] / row.double().sum()).item()},
        "training-35": {"images": [len(batch[0]) for batch in DataLoader(images_of, batch_size=64)][-1]},
        "transfer-18": {"percent": round(100 * (torch.linalg.eigvalsh(spread_of)[-2:].sum() / 10).item())},
        "transfer-19": {"cosine": F.cosine_similarity(two[0], two[1], dim=0).item()},
        "transfer-20": {"iou": torchvision.ops.box_iou(*boxes).item()},
        "conv-22": {"flips": F.conv2d(point, kernel).item() != kernel[0, 0, 0, 0].item()},
        "nets-17": {"points": 26.2 - 16.4, "percent": 100 - 100 * 16.4 / 26.2},
        "nets-29": {"percent": 100 * 995 / 1000},
        "batchnorm-2": {"means": len(list(nn.BatchNorm2d(64).buffers())[0]), "numbers": maps[:, 0].numel()},
        "batchnorm-4": {"statistics": "running" if uses_running else "others"},
        "batchnorm-7": {
            "layer": maps.mean(dim=(1, 2, 3)).numel(),
            "instance": maps.mean(dim=(2, 3)).numel(),
            "group": maps.reshape(32, 32, -1).mean(dim=2).numel(),
        },
        "batchnorm-9": {"changes": changed},
        "training-4": {"percent": 100 * torch.softmax(torch.zeros(4), 0)[0].item()},
        "training-5": {"loss": F.cross_entropy(torch.zeros(1, 4), torch.tensor([0])).item()},
        "training-9": {"p": 1 - 0.8},
        "training-11": {"value": TF.normalize(torch.ones(1, 1, 1), [0.485], [0.229]).item()},
        "training-14": {"sigmoid": gradient(slope[0]), "relu": gradient(slope[1])},
        "training-21": {"std": gain / math.sqrt(nn.Conv2d(128, 64, 3).weight[0].numel())},
        "transfer-7": {"stay": torch.equal(frozen.running_mean, torch.zeros(3))},
        "transfer-11": {"kept": 1350, "not_kept": sum(1350 for _ in range(20))},
        "transfer-14": {"barrier": (90 + 80) // 2 - 40},
        "transfer-16": {"percent": 100 * share.square().sum().item()},
    }


def chained(shortcut: nn.Module | None, blocks: int) -> float:
    """The gradient before a chain of blocks whose layers have the slope 0.1."""
    start = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    x = start
    for _ in range(blocks):
        x = 0.1 * x + (shortcut(x) if shortcut else 0)
    x.backward()
    return gradient(start)


def explodes_above() -> float:
    """By bisection: the learning rate from which on gradient descent on 25/2 x^2 + 1/2 y^2 grows."""
    low, high = 0.0, 1.0
    for _ in range(40):
        rate = (low + high) / 2
        x, y = 1.0, 1.0
        for _ in range(2000):
            x, y = x - rate * 25 * x, y - rate * y
            if abs(x) + abs(y) > 1e6:
                break
        low, high = (low, rate) if abs(x) + abs(y) > 2 else (rate, high)
    return round((low + high) / 2, 4)


def gradient(x: torch.Tensor) -> float:
    assert x.grad is not None
    return x.grad.item()


@functools.cache
def second_key() -> dict[str, Answer]:
    with torch.device("meta"):
        computed = sizes() | counts()
    torch.manual_seed(0)
    computed |= statements()
    assert not set(computed) & set(TYPED)
    return computed | {question_id: answer for question_id, (answer, _) in TYPED.items()}


def same(ours: object, theirs: object) -> bool:
    """True where ``theirs``, of the bank, is what was computed here; float32 leaves room for floats only."""
    if isinstance(ours, tuple) and isinstance(theirs, tuple):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(ours, float) and isinstance(theirs, (int, float)) and not isinstance(theirs, bool):
        return math.isclose(ours, theirs, rel_tol=1e-6 if isinstance(theirs, float) else 0, abs_tol=1e-9)
    return type(ours) is type(theirs) and ours == theirs


def test_the_keys_agree() -> None:
    key = second_key()
    assert set(key) == set(BANK), "every question needs a second answer, computed here or typed with its source"
    assert len(key) - len(TYPED) >= 70
    wrong = []
    for question_id, q in BANK.items():
        ours = key[question_id]
        if set(ours) != set(q.answer) or not all(same(ours[name], value) for name, value in q.answer.items()):
            wrong.append(f"{question_id}: the bank says {dict(q.answer)}, the second key {ours}")
    assert not wrong, "\n".join(wrong)


def changed(value: object, q: Question, field: str) -> Iterator[object]:
    """Wrong values near to the right one, and the mistakes' values."""
    yield from (mistake.answer[field] for mistake in q.mistakes if field in mistake.answer)
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, tuple):
        yield from ((*value, 1), value[:-1], (value[0] + 1, *value[1:]))
    elif isinstance(value, (int, float)):
        yield from (value + 1, value - 1, -value or 1, value * 1.001 or 0.001)
        yield value + q.tolerance


def test_every_change_of_an_answer_is_noticed() -> None:
    key = second_key()
    unnoticed = [
        f"{question_id}: {field} = {other}"
        for question_id, q in BANK.items()
        for field, value in q.answer.items()
        for other in changed(value, q, field)
        if same(key[question_id][field], other)
    ]
    assert not unnoticed, "\n".join(unnoticed)
