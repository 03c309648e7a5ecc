"""Notebook 05's stored experiment: plain and residual networks of 8 and 32 layers, trained until they are done.

    python tests/tools/experiments/depth.py [--seeds 0 1 2] [--nets plain-8 plain-32]

Fashion-MNIST, the first 3,000 images for training, averaged to 14 x 14 px. The blocks are those of ResNet with linear
layers of 64 units in place of convolutions: thirty times cheaper, so that one core will do. The learning rate falls,
and the run ends, when the training error has stopped improving: no network is stopped while it still learns. Beside the
errors after every epoch each run notes how large the gradient is behind every block at a few early steps, and how many
errors the trained network makes when one of its blocks is deleted.

A run that is over is written at once and never computed again, so the script may be stopped and started; other settings
than those in the file are refused.
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

KIT = Path(__file__).resolve().parents[3]
FILE = KIT / "notebooks" / "results" / "05_depth.json"
TRAIN, SIDE, UNITS = 3_000, 14, 64  # images, px, numbers between layers
RECIPE: dict[str, Any] = {
    "optimiser": "SGD", "batch": 128, "learning rate": 0.05, "momentum": 0.9, "weight decay": 1e-4, "patience": 8,
    "falls": 2, "most epochs": 150, "warm-up": 120,
    "schedule": "The learning rate rises over the first 120 steps, which deep plain networks need most. When the "
    "training error has not improved for 8 epochs, it is divided by 10; after two such falls, the third time ends the "
    "run. No augmentation.",
}  # fmt: skip
NETS = {"plain-8": (8, False), "plain-32": (32, False), "ResNet-8": (8, True), "ResNet-32": (32, True)}
GRADIENT_STEPS = (0, 1, 5, 20, 100)
Pair = tuple[Tensor, Tensor]


class Block(nn.Module):
    """Two linear layers with batch norm: ``relu(F(x))``, or ``relu(F(x) + x)``."""

    def __init__(self, residual: bool) -> None:
        super().__init__()
        self.residual = residual
        self.linear1, self.bn1 = nn.Linear(UNITS, UNITS, bias=False), nn.BatchNorm1d(UNITS)
        self.linear2, self.bn2 = nn.Linear(UNITS, UNITS, bias=False), nn.BatchNorm1d(UNITS)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.linear1(x)))
        out = self.bn2(self.linear2(out))
        return F.relu(out + x if self.residual else out)


def network(depth: int, residual: bool) -> nn.Sequential:
    """``depth`` layers with weights: the first, two in each block, the last. He's initialisation."""
    first = [nn.Flatten(), nn.Linear(SIDE * SIDE, UNITS, bias=False), nn.BatchNorm1d(UNITS), nn.ReLU()]
    blocks = [Block(residual) for _ in range((depth - 2) // 2)]
    model = nn.Sequential(*first, *blocks, nn.Linear(UNITS, 10))
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return model


def load() -> tuple[Pair, Pair]:
    """Images ``(N, 1, 14, 14)`` with mean 0 and standard deviation 1, and labels, for training and for the test."""
    data = digits.load("FashionMNIST", train=TRAIN)
    small = [F.avg_pool2d(images / 255, 28 // SIDE) for images in (data.train_images, data.test_images)]
    mean, std = small[0].mean(), small[0].std()
    return ((small[0] - mean) / std, data.train_labels), ((small[1] - mean) / std, data.test_labels)


def train(depth: int, residual: bool, seed: int, train_data: Pair, test_data: Pair) -> dict[str, Any]:
    """One run: errors in percent after every epoch and at the end, and the test error without each block."""
    torch.manual_seed(seed)
    (x, y), model, rate = train_data, network(depth, residual), RECIPE["learning rate"]
    few = (test_data[0][:2000], test_data[1][:2000])  # after every epoch, and without a block
    gradients: dict[str, list[float]] = {}
    weights: dict[str, float] = {}
    optimizer = torch.optim.SGD(
        model.parameters(), lr=rate, momentum=RECIPE["momentum"], weight_decay=RECIPE["weight decay"], foreach=True
    )
    training: list[float] = []
    test: list[float] = []
    falls: list[int] = []
    best, since, steps = 100.0, 0, 0
    for epoch in range(1, RECIPE["most epochs"] + 1):
        wrong, model = 0, model.train()
        for chosen in torch.randperm(len(x)).split(RECIPE["batch"]):
            if steps in GRADIENT_STEPS:
                gradients[str(steps)] = gradient_norms(model, x[:128], y[:128])
                weights[str(steps)] = rounded(blocks(model)[0].linear1.weight.norm().item())
            scores = model(x[chosen])
            loss = F.cross_entropy(scores, y[chosen])
            optimizer.param_groups[0]["lr"] = rate * min(1, (steps + 1) / RECIPE["warm-up"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            wrong, steps = wrong + int((scores.detach().argmax(dim=1) != y[chosen]).sum()), steps + 1
        training.append(round(100 * wrong / len(x), 2))
        test.append(error(model, *few))
        since = 0 if training[-1] < best else since + 1
        best = min(best, training[-1])
        if since == RECIPE["patience"]:
            if len(falls) == RECIPE["falls"]:
                break
            falls.append(epoch)
            rate, since = rate / 10, 0
    return {
        "steps": steps, "stopped_improving": since == RECIPE["patience"], "falls": falls,
        "final_training_error": error(model, x, y), "final_test_error": error(model, *test_data),
        "lesions": lesions(model, *few), "training_error": training, "test_error": test, "gradients": gradients,
        "first_weights": weights,
    }  # fmt: skip


@torch.no_grad()
def error(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """In percent, with the averages of batch norm."""
    return round(100 * (model.eval()(images).argmax(dim=1) != labels).float().mean().item(), 2)


def blocks(model: nn.Module) -> list[Block]:
    return [block for block in model.modules() if isinstance(block, Block)]


def gradient_norms(model: nn.Module, images: Tensor, labels: Tensor) -> list[float]:
    """The norm of the loss's gradient behind every block, as training sees it; the model itself is left alone."""
    twin, outputs = copy.deepcopy(model).train(), []
    for block in blocks(twin):
        block.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    loss = F.cross_entropy(twin(images), labels)
    return [rounded(gradient.norm().item()) for gradient in torch.autograd.grad(loss, outputs)]


def rounded(value: float) -> float:
    return float(f"{value:.4g}")


def lesions(model: nn.Sequential, images: Tensor, labels: Tensor) -> list[float]:
    """Test error in percent without block 1, 2, ...: it hands on what it gets."""
    errors = []
    for place, block in enumerate(model):
        if isinstance(block, Block):
            model[place] = nn.Identity()
            errors.append(error(model, images, labels))
            model[place] = block
    return errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    options = parser.parse_args()
    torch.set_num_threads(1)  # these networks are so small that several threads mostly wait for each other
    about = {
        "what": "plain and residual networks of 8 and 32 layers: errors, gradients, errors without one block",
        "script": "tests/tools/experiments/depth.py",
        "shown_by": "notebook 05, sections 4 and 6 to 8; the cell that reads this file is nb05-stored",
        "data": f"FashionMNIST: {TRAIN:,} images for training, 10,000 for the test, averaged to {SIDE} x {SIDE} px",
        "network": f"blocks of two linear layers of {UNITS} units, each with batch norm",
        "recipe": RECIPE,
    }
    content = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {**about, "runs": []}
    if {**about, "runs": content["runs"]} != content:
        raise SystemExit(f"{FILE.name} holds runs of other settings; move it away, or give the same.")
    done = {(run["net"], run["seed"]) for run in content["runs"]}
    data = load()
    for seed in options.seeds:
        for name in options.nets:
            if (name, seed) in done:
                continue
            began = time.process_time()
            report = train(*NETS[name], seed, *data)
            content["runs"].append({
                "net": name, "seed": seed, "seconds": round(time.process_time() - began),
                "when": datetime.date.today().isoformat(), "commit": commit(), **report,
                "where": f"torch {torch.__version__}, torchvision {torchvision.__version__}, one core of a CPU",
            })  # fmt: skip
            content["runs"].sort(key=lambda run: (run["seed"], list(NETS).index(run["net"])))
            with machine.replacing(FILE) as partial:
                partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            print(name, seed, report["final_training_error"], report["final_test_error"], report["steps"], flush=True)


def commit() -> str:
    asked = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(asked, cwd=KIT, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    main()
