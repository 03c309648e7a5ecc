"""Optimisers and learning-rate schedules by the names that ``TrainConfig`` knows."""

from __future__ import annotations

import torch
from torch.optim import lr_scheduler

from helpers.training.history import TrainConfig

PER_STEP = ("cosine", "one_cycle")  # schedules that move with every batch


def optimizer(groups: list[dict], config: TrainConfig) -> torch.optim.Optimizer:
    """The optimiser of ``config`` for parameter groups (see ``models.parameter_groups``)."""
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=config.momentum, weight_decay=config.weight_decay)
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    # Fused: one pass over the weights in place of ten. On AlexNet's 57 million that is a quarter of a step.
    fused = groups[0]["params"][0].device.type in ("cpu", "cuda")
    return kind(groups, weight_decay=config.weight_decay, fused=fused)


def schedule(optimizer: torch.optim.Optimizer, config: TrainConfig, steps: int) -> lr_scheduler.LRScheduler:
    """The schedule of ``config``, where an epoch has ``steps`` batches."""
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
