"""What a training run is asked for and what it tells: settings, optimiser and schedule by name, epochs, results."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch.optim import lr_scheduler

OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "cosine", "one_cycle", "plateau")
EVERY_STEP = ("cosine", "one_cycle")  # schedules that move with every batch
Scheduler = lr_scheduler.LRScheduler | lr_scheduler.ReduceLROnPlateau


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training run besides the network and the data."""

    epochs: int = 5
    lr: float = 1e-3
    optimizer: str = "adam"  # adam, adamw, sgd
    momentum: float = 0.9  # sgd only
    weight_decay: float = 0.0
    schedule: str = "constant"  # constant, cosine (to 0), one_cycle (up, then down), plateau (divide by 10)
    backbone_factor: float = 1.0  # pretrained layers learn with lr * backbone_factor
    label_smoothing: float = 0.0
    seed: int = 0
    mixed_precision: bool | None = None  # None: where the processor or GPU gains by it
    checkpoint: str | None = None  # a name: saved after every epoch, and resume=True continues there

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"epochs={self.epochs} must be at least 1.")
        if not self.lr > 0:
            raise ValueError(f"lr={self.lr} must be above 0; 1e-3 suits a new head, 1e-4 pretrained layers.")
        for value, allowed in ((self.optimizer, OPTIMIZERS), (self.schedule, SCHEDULES)):
            if value not in allowed:
                raise ValueError(f"{value!r} is not known here: choose one of {', '.join(allowed)}.")


def build_optimizer(groups: list[dict[str, Any]], config: TrainConfig) -> torch.optim.Optimizer:
    """The optimiser of ``config`` for parameter groups (see ``models.parameter_groups``)."""
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=config.momentum, weight_decay=config.weight_decay)
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    # Fused: one pass over the weights in place of ten. On AlexNet's 57 million that is a quarter of a step.
    fused = groups[0]["params"][0].device.type in ("cpu", "cuda")
    return kind(groups, weight_decay=config.weight_decay, fused=fused)


def build_schedule(optimizer: torch.optim.Optimizer, config: TrainConfig, steps: int) -> Scheduler:
    """The learning-rate schedule of ``config``, where an epoch has ``steps`` batches.

    Those in ``EVERY_STEP`` are stepped after every batch; "plateau" is given the validation loss after every epoch.
    """
    total = steps * config.epochs
    if config.schedule == "cosine":
        return lr_scheduler.CosineAnnealingLR(optimizer, T_max=total)
    if config.schedule == "one_cycle":
        highest = [group["lr"] for group in optimizer.param_groups]
        # One step more than there are batches: it is looked at after the last one. The momentum stays as in the config.
        return lr_scheduler.OneCycleLR(optimizer, max_lr=highest, total_steps=total + 1, cycle_momentum=False)
    if config.schedule == "plateau":
        return lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=2)
    return lr_scheduler.ConstantLR(optimizer, factor=1.0)


@dataclass(frozen=True)
class Epoch:
    """One line of a history. Losses are means over images, accuracies are in percent.

    The training numbers are taken while the weights change, the validation numbers after that; ``lr`` is that of the
    new layers at the end.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    lr: float
    seconds: float


@dataclass
class History:
    """What happened in a training run, epoch by epoch."""

    data: str
    model: str
    config: TrainConfig
    epochs: list[Epoch] = field(default_factory=list)
    precision: str = "float32"  # of the multiplications while training: float32, bfloat16 or float16

    def column(self, name: str) -> list[float]:
        """One column over the epochs: ``history.column("val_accuracy")``."""
        return [getattr(epoch, name) for epoch in self.epochs]

    @property
    def best(self) -> Epoch:
        """The epoch whose weights ``fit`` leaves in the network: highest validation accuracy, then lowest loss."""
        if not self.epochs:
            raise ValueError("This training was stopped before its first epoch was done, so there is no best one.")
        return max(self.epochs, key=lambda epoch: (epoch.val_accuracy, -epoch.val_loss))

    @property
    def seconds(self) -> float:
        return sum(epoch.seconds for epoch in self.epochs)

    def __str__(self) -> str:
        lines = [f"{self.model} on {self.data}, {self.precision}"]
        lines.append("epoch  train loss  train acc  val loss  val acc  seconds")
        for e in self.epochs:
            best = "  best" if e is self.best else ""
            lines.append(
                f"{e.epoch:5d}  {e.train_loss:10.3f}  {e.train_accuracy:8.1f}%  {e.val_loss:8.3f}  "
                f"{e.val_accuracy:6.1f}%  {e.seconds:7.1f}{best}"
            )
        return "\n".join(lines)


@dataclass(frozen=True)
class Evaluation:
    """How a network does on the images of a loader, in the loader's order."""

    accuracy: float  # percent
    loss: float  # mean cross-entropy
    confusion: torch.Tensor  # (C, C) int64: row = true class, column = predicted class
    probabilities: torch.Tensor  # (N, C) float32
    labels: torch.Tensor  # (N,) int64
