"""Notebook 05's stored experiment: plain and residual networks of 20 and 56 layers, trained until they are done.

    python tests/tools/experiments/depth.py [--seeds 0 1] [--nets plain-20 plain-56]

Fashion-MNIST, the first 4,000 images for training, averaged to 14 x 14 px, so that one core will do. The optimiser is
that of He et al. 2015, section 4.2; the learning rate falls, and the run ends, when the training error has stopped
improving, so no network is stopped while it still learns. Beside the errors after every epoch each run notes how large
the gradient is behind every block at a few early steps, and how many errors the trained network makes when one of its
blocks is deleted. A run that is over is written at once and never computed again, so the script may be stopped and
started; other settings than those in the file are refused.
"""

from __future__ import annotations

import argparse
import copy
import datetime
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from helpers import digits, machine
from helpers.models.cifar_nets import CifarNet, PlainBlock

KIT = Path(__file__).resolve().parents[3]
FILE = KIT / "notebooks" / "results" / "05_depth.json"
TRAIN, SIDE = 4_000, 14  # images, px
CURVE = 1_000  # test images after every epoch and without a block; at the end all 10,000
RECIPE: dict[str, Any] = {
    "width": 8, "batch": 64, "learning rate": 0.05, "momentum": 0.9, "weight decay": 1e-4, "patience": 6, "falls": 2,
    "most epochs": 100,
}  # fmt: skip
SCHEDULE = (
    "Shifted by up to 1 px, half of them mirrored. When the training error has not improved for 6 epochs, the learning "
    "rate is divided by 10; after two such falls, the third time ends the run."
)
NETS = {"plain-20": (20, False), "ResNet-20": (20, True), "plain-56": (56, False), "ResNet-56": (56, True)}
GRADIENT_STEPS = (0, 1, 5, 20, 100)
Pair = tuple[Tensor, Tensor]


def load() -> tuple[Pair, Pair]:
    """Images ``(N, 1, 14, 14)`` with mean 0 and standard deviation 1, and labels, for training and for the test."""
    data = digits.load("FashionMNIST", train=TRAIN)
    small = [F.avg_pool2d(images / 255, 28 // SIDE) for images in (data.train_images, data.test_images)]
    mean, std = small[0].mean(), small[0].std()
    return ((small[0] - mean) / std, data.train_labels), ((small[1] - mean) / std, data.test_labels)


def augmented(images: Tensor) -> Tensor:
    """The whole batch shifted by up to 1 px, each image mirrored or not."""
    down, right = torch.randint(0, 3, (2,)).tolist()
    shifted = F.pad(images, (1, 1, 1, 1), mode="replicate")[..., down : down + SIDE, right : right + SIDE]
    return torch.where(torch.rand(len(images), 1, 1, 1) < 0.5, shifted.flip(-1), shifted)


def train(depth: int, residual: bool, seed: int, train_data: Pair, test_data: Pair) -> dict[str, Any]:
    """One run: errors in percent after every epoch, gradients at ``GRADIENT_STEPS``, errors without each block."""
    torch.manual_seed(seed)
    (x, y), few = train_data, (test_data[0][:CURVE], test_data[1][:CURVE])
    model = CifarNet(depth, residual=residual, width=RECIPE["width"], in_channels=1)
    rate = RECIPE["learning rate"]
    optimizer = torch.optim.SGD(
        model.parameters(), lr=rate, momentum=RECIPE["momentum"], weight_decay=RECIPE["weight decay"]
    )
    report: dict[str, Any] = {"training_error": [], "test_error": [], "falls": [], "gradients": {}, "first_weights": {}}
    step, best, since, epoch = 0, 100.0, 0, 0
    while epoch < RECIPE["most epochs"]:
        epoch += 1
        wrong, model = 0, model.train()
        for chosen in torch.randperm(len(x)).split(RECIPE["batch"]):
            if step in GRADIENT_STEPS:
                report["gradients"][str(step)] = gradient_norms(model, x[:64], y[:64])
                report["first_weights"][str(step)] = significant(blocks(model)[0].conv1.weight.norm().item())
            scores = model(augmented(x[chosen]))
            loss = F.cross_entropy(scores, y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            wrong, step = wrong + int((scores.argmax(dim=1) != y[chosen]).sum()), step + 1
        report["training_error"].append(round(100 * wrong / len(x), 2))
        report["test_error"].append(error(model, *few))
        since = 0 if report["training_error"][-1] < best else since + 1
        best = min(best, report["training_error"][-1])
        if since == RECIPE["patience"]:
            if len(report["falls"]) == RECIPE["falls"]:
                break
            report["falls"].append(epoch)
            rate, since = rate / 10, 0
            optimizer.param_groups[0]["lr"] = rate
    report["stopped_improving"] = since == RECIPE["patience"]
    report["steps"] = step
    report["final_training_error"] = error(model, x, y)
    report["final_test_error"] = error(model, *test_data)
    report["lesions"] = lesions(model, *few)
    return report


def blocks(model: CifarNet) -> list[PlainBlock]:
    """All blocks in their order; a residual block is a PlainBlock too."""
    return [block for block in model.modules() if isinstance(block, PlainBlock)]


@torch.no_grad()
def error(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """In percent, with the averages of batch norm."""
    model.eval()
    parts = zip(images.split(500), labels.split(500), strict=True)
    wrong = sum(int((model(some).argmax(dim=1) != right).sum()) for some, right in parts)
    return round(100 * wrong / len(labels), 2)


def gradient_norms(model: CifarNet, images: Tensor, labels: Tensor) -> list[float]:
    """The norm of the loss's gradient behind every block, as training sees it; the model itself is left alone."""
    twin = copy.deepcopy(model).train()
    outputs: list[Tensor] = []
    for block in blocks(twin):
        block.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    loss = F.cross_entropy(twin(images), labels)
    return [significant(gradient.norm().item()) for gradient in torch.autograd.grad(loss, outputs)]


def significant(value: float) -> float:
    return float(f"{value:.4g}")


def lesions(model: CifarNet, images: Tensor, labels: Tensor) -> dict[str, float]:
    """Test error in percent without block 1, 2, ...: it hands on what it gets. Those that change the shape stay."""
    errors: dict[str, float] = {}
    number = 0
    for stage in (model.stage1, model.stage2, model.stage3):
        for place, block in enumerate(stage):
            number += 1
            if block.conv1.stride == (1, 1):
                stage[place] = nn.Identity()
                errors[str(number)] = error(model, images, labels)
                stage[place] = block
    return errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    options = parser.parse_args()
    torch.set_num_threads(1)  # these networks are so small that several threads mostly wait for each other
    about = {
        "what": "plain and residual networks of 20 and 56 layers: errors, gradients, one block deleted",
        "script": "tests/tools/experiments/depth.py",
        "shown_by": "notebook 05, sections 4 to 7; the cell that reads this file is nb05-stored",
        "data": f"FashionMNIST, {TRAIN:,} images for training, 10,000 for the test, averaged to {SIDE} x {SIDE} px",
        "recipe": {**RECIPE, "schedule": SCHEDULE},
    }
    content = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {**about, "runs": []}
    if {**about, "runs": content["runs"]} != content:
        raise SystemExit(f"{FILE.name} holds runs of other settings; move it away, or give the same.")
    done = {(run["net"], run["seed"]) for run in content["runs"]}
    data = load()
    for seed in options.seeds:
        for name, (depth, residual) in NETS.items():
            if name not in options.nets or (name, seed) in done:
                continue
            began = time.perf_counter()
            report = train(depth, residual, seed, *data)
            content["runs"].append({
                "net": name, "seed": seed, "seconds": round(time.perf_counter() - began), "when": today(),
                "where": f"torch {torch.__version__}, torchvision {torchvision.__version__}, one core of a CPU",
                "commit": commit(), **report,
            })  # fmt: skip
            content["runs"].sort(key=lambda run: (run["seed"], list(NETS).index(run["net"])))
            with machine.replacing(FILE) as partial:
                partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            print(name, seed, report["final_training_error"], report["final_test_error"], report["steps"], flush=True)


def today() -> str:
    return datetime.date.today().isoformat()


def commit() -> str:
    asked = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(asked, cwd=KIT, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    main()
