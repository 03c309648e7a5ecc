"""What decides the numbers of a training run, in plain values that are the same in another session."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import re
from collections.abc import Iterable
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, Dataset

from helpers import models
from helpers.loaders import Loaders, Subset, augment
from helpers.training.config import TrainConfig

LIBRARIES = ("torch", "torchvision", "numpy", "PIL", "helpers")  # known by name: another version is no other run
INTERNAL = vars(nn.Module()).keys() - {"_parameters", "_buffers", "_modules"}  # attributes of every module
WITHOUT_PARTS = (Dataset, DataLoader, torch.Generator, ModuleType, type)  # only their names count


def identity(model: nn.Module, loaders: Loaders, config: TrainConfig) -> dict[str, Any]:
    """All that decides how a training run goes, under names that a sentence can use."""
    loader, train, val = loaders.train, loaders.train.dataset, loaders.val.dataset
    images = train.data if isinstance(train, Subset) else None
    transform = getattr(train, "transform", getattr(_base(train), "transform", None))
    change = getattr(transform, "augment", transform)
    known = isinstance(change, augment.PerImage) and change.name in augment.RECIPES
    sampler = loader.sampler if type(loader.batch_sampler) in (BatchSampler, type(None)) else loader.batch_sampler
    return {
        "data": loaders.name,
        "classes": list(loaders.classes),
        "training pictures": len(train),  # type: ignore[arg-type]  # it has a length
        "validation pictures": len(val),  # type: ignore[arg-type]  # it has one, too
        "the pictures (names, sizes or labels)": _hash(sorted(_contents(train) + _contents(val))),
        "the files trained on (seed, val_fraction)": _hash([plain(getattr(x, "indices", ())) for x in (train, val)]),
        "size": loaders.size,
        "stretch": getattr(images, "stretch", None),
        "range of the pixels": repr(getattr(images, "values", None)),
        "batch_size": loader.batch_size,
        "steps an epoch": len(loader),
        "sampler": type(sampler).__name__,
        "the settings of the sampler": _hash(plain(sampler)),
        "augment": augment.name_of(change),
        "the code or settings of augment": _hash(None if known else plain(change)),
        "mean and std": [list(getattr(transform, name, ())) for name in ("mean", "std")],
        "model": models.name_of(model),
        "the trained layers": {name: list(tensor.shape) for name, tensor in trained_state(model).items()},
        "the layers": _hash(re.sub(r" at 0x\w+", "", repr(model))),
        "the frozen weights": _digest(value for value in model.parameters() if not value.requires_grad),
        **dataclasses.asdict(config),
    }


def trained_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """A copy, on the CPU, of what training changes: trainable parameters and all buffers (batch norm's averages)."""
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    state = model.state_dict().items()
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in state if name not in frozen}


def _base(data: Any) -> Any:
    return _base(data.dataset) if isinstance(data, torch.utils.data.Subset) else data


def _contents(data: Any) -> list[str]:
    """Of every image its class and name, the size of its file, and its label; of another data set its attributes."""
    data = _base(data)
    if not isinstance(data, Subset):
        return [repr(plain(getattr(data, "__dict__", data)))]
    sizes = (path.stat().st_size if path.exists() else 0 for path in data.paths)
    return [f"{each[0].parts[-2:]} {each[1:]}" for each in zip(data.paths, sizes, data.labels.tolist(), strict=True)]


def _digest(tensors: Iterable[torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().cpu().float().contiguous().numpy().data)
    return digest.hexdigest()


def _hash(value: object) -> str:
    return hashlib.sha256(repr(value).encode(errors="surrogateescape")).hexdigest()


def plain(value: Any, inside: tuple[int, ...] = ()) -> object:
    """``value`` as numbers and texts: of a function its code and what it refers to, of an object its attributes and the
    code of its class. No addresses in memory, and nothing of data sets and random generators."""
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    if isinstance(value, torch.Tensor | np.ndarray):
        return [list(value.shape), _digest([torch.as_tensor(value)])]
    kind = getattr(value, "__qualname__", type(value).__qualname__)
    own = str(getattr(value, "__module__", "")).partition(".")[0] not in LIBRARIES
    if id(value) in inside or isinstance(value, WITHOUT_PARTS) or (isinstance(value, FunctionType) and not own):
        return kind
    parts: Iterable[object]
    if isinstance(value, set | frozenset):
        parts = sorted(value, key=repr)
    elif isinstance(value, list | tuple | range | dict):
        parts = value.items() if isinstance(value, dict) else value
    elif isinstance(value, CodeType):
        parts = [value.co_code, value.co_names, value.co_consts]
    elif isinstance(value, FunctionType):
        names = inspect.getclosurevars(value)
        parts = [value.__code__, value.__defaults__, value.__kwdefaults__, names.nonlocals, names.globals]
    elif isinstance(value, MethodType | functools.partial):
        parts = value.__reduce__()
    else:
        attributes = [each for each in getattr(value, "__dict__", {}).items() if each[0] not in INTERNAL]
        parts = attributes + [each for each in vars(type(value)).values() if isinstance(each, FunctionType) and own]
    return [kind, *(plain(each, (*inside, id(value))) for each in parts)]
