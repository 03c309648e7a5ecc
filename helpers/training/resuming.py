"""What a checkpoint of a training run holds, and what must agree before a run goes on from one."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from helpers import models
from helpers.loaders import Loaders, augment
from helpers.training import checkpoints, distributed
from helpers.training.history import TrainConfig


def trained_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """Trainable parameters and all buffers (batch norm's averages): what training changes."""
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    return {name: tensor for name, tensor in model.state_dict().items() if name not in frozen}


def on_cpu(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A copy of ``state`` that training does not change."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in state.items()}


def identity(model: nn.Module, loaders: Loaders, config: TrainConfig) -> dict[str, Any]:
    """All that decides how a training run goes, in plain values."""
    frozen = [parameter for parameter in model.parameters() if not parameter.requires_grad]
    prepare = getattr(loaders.train.dataset, "prepare", None)
    return {
        "data": loaders.name,
        "classes": list(loaders.classes),
        "training pictures": len(loaders.train.dataset),
        "size": loaders.size,
        "batch_size": loaders.train.batch_size,
        "steps an epoch": len(distributed.share_batches(loaders.train)),
        "augment": augment.name_of(getattr(prepare, "augment", None)),
        "model": models.name_of(model),
        "the trained layers": {name: list(tensor.shape) for name, tensor in trained_state(model).items()},
        "the frozen weights": _digest(frozen),
        **dataclasses.asdict(config),
    }


def check_same(then: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise CheckpointError, with everything that differs, unless ``now`` continues what ``then`` began."""
    # More epochs may be asked for, unless the shape of the schedule depends on their number.
    free = {"epochs"} if now["schedule"] in ("constant", "plateau") else set()
    different = [
        _difference(key, then.get(key), now[key]) for key in now if key not in free and then.get(key) != now[key]
    ]
    if different:
        raise checkpoints.CheckpointError(
            f"The checkpoint {now['checkpoint']!r} belongs to another training: {'; '.join(different)}. "
            "Give this training another checkpoint name, or start it anew with resume=False."
        )


def announce(state: dict[str, torch.Tensor], config: TrainConfig) -> None:
    """Say how large the checkpoints will be, and raise CheckpointError when the disk has no room for them."""
    path = file_of(config)
    copies = 2 + (1 if config.optimizer == "sgd" else 2)  # last and best weights, the optimiser's averages
    size = copies * sum(tensor.nbytes for tensor in state.values())
    checkpoints.check_space(path, 2 * size)  # the one before is kept until the new one is whole
    print(f"Checkpoints of about {checkpoints.mebibytes(size)} go to {path.parent}.")


def file_of(config: TrainConfig) -> Path:
    """Where the checkpoint of ``config`` lies."""
    return checkpoints.folder(config.checkpoint) / "last.ckpt"


def _difference(key: str, then: Any, now: Any) -> str:
    if key.startswith("the "):
        return f"{key} are others"
    return f"{key} was {then!r} and is now {now!r}"


def _digest(tensors: list[torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().cpu().float().contiguous().numpy())
    return digest.hexdigest()
