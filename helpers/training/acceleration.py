"""What makes training faster without changing what is learned: precision, memory layout, features computed once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from helpers import models
from helpers.loaders import Loaders, Part, as_it_is, decoding
from helpers.training import distributed, progress


@torch.no_grad()
def memory_format(model: nn.Module, example: torch.Tensor) -> torch.memory_format:
    """How to lay out the pictures that go into ``model``, tried on ``example`` (N, 3, H, W) on the model's device.

    With the channels of a pixel side by side, convolutions are up to three times faster. A network that reshapes with
    ``.view`` cannot take that.
    """
    if example.dim() == 4 and any(isinstance(module, nn.Conv2d) for module in model.modules()):
        try:
            with models.evaluating(model):
                model(example.contiguous(memory_format=torch.channels_last))
            return torch.channels_last
        except RuntimeError:  # what is really wrong with the network will show where it is used
            pass
    return torch.contiguous_format


class Precision:
    """Mixed precision where it helps: float16 on most GPUs, bfloat16 on newer ones and on CPUs with matrix units."""

    def __init__(self, device: torch.device, wanted: bool | None) -> None:
        self.device = device
        self.dtype = _half_type(device, wanted)
        # float16 has so few exponents that small gradients vanish; the scaler multiplies the loss to save them.
        needs_scaler = self.dtype is torch.float16
        self.scaler = torch.amp.GradScaler("cuda" if needs_scaler else "cpu", enabled=needs_scaler)

    def autocast(self) -> AbstractContextManager:
        return nullcontext() if self.dtype is None else torch.autocast(self.device.type, dtype=self.dtype)

    def backward_and_step(self, loss: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
        self.scaler.scale(loss).backward()
        self.scaler.step(optimizer)
        self.scaler.update()


def _half_type(device: torch.device, wanted: bool | None) -> torch.dtype | None:
    if wanted is False:
        return None
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16
    if device.type == "cpu" and (wanted or _cpu_multiplies_bfloat16()):
        return torch.bfloat16
    return None


def _cpu_multiplies_bfloat16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "amx_bf16" in flags or "avx512_bf16" in flags


# --- a frozen backbone computes the same features in every epoch -----------------------------------------------------


class Features(Dataset):
    """Features ``(N, ...)`` and labels ``(N,)``, served by ``DataLoader`` a whole batch at a time."""

    def __init__(self, features: torch.Tensor, labels: torch.Tensor) -> None:
        self.labels = labels
        # Channels-last features lie in memory as (N, H, W, C). Seen that way, index_select copies whole pictures.
        self.channels_last = features.dim() == 4 and not features.is_contiguous()
        self.rows = features.permute(0, 2, 3, 1) if self.channels_last else features

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        features, labels = self.__getitems__([index])
        return features[0], int(labels[0])

    def __getitems__(self, indices: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = torch.tensor(indices, device=self.rows.device)
        rows = self.rows.index_select(0, chosen)
        return rows.permute(0, 3, 1, 2) if self.channels_last else rows, self.labels[chosen]


def cached_features(
    model: nn.Module, loaders: Loaders, *, layout: torch.memory_format = torch.contiguous_format
) -> tuple[nn.Module, DataLoader, DataLoader] | None:
    """``(head, train, val)``: the trainable head of ``model``, and loaders of the features that go into it.

    None where that would not do: something before the head is trainable, the training pictures change at random, or
    the features do not fit into memory. Dropout in the frozen part is off, as in ``eval`` mode.
    """
    parts = loaders.train.dataset, loaders.val.dataset
    if not all(isinstance(part, Part) and part.prepare.augment is None for part in parts):
        return None
    device = next(model.parameters()).device
    example = parts[0].__getitems__([0, len(parts[0]) - 1])[0].to(device, memory_format=layout)
    split = split_frozen(model, example)
    if split is None:
        return None
    features, head = split
    needed = sum(map(len, parts)) * features(example)[:1].nbytes
    needed *= distributed.on_this_machine() if device.type == "cpu" else 1  # each process holds the features of all
    if not distributed.from_first(lambda: decoding.fits_memory(needed, device)):
        return None
    train, val = (
        DataLoader(
            _compute(features, loader.dataset, device, layout),
            batch_size=loader.batch_size,
            shuffle=loader is loaders.train,
            generator=loader.generator,
            drop_last=loader.drop_last,
            collate_fn=as_it_is,
        )
        for loader in (loaders.train, loaders.val)
    )
    quick = (QuickDropout(layer.p) if type(layer) is nn.Dropout else layer for layer in head)
    return nn.Sequential(*quick), train, val


def _compute(features: Callable, part: Part, device: torch.device, layout: torch.memory_format) -> Features:
    # Eight pictures and their activations stay in a processor's cache: measured twice as fast as 64 at a time.
    batch_size = 8 if device.type == "cpu" else 128
    batches, labels = [], []
    starts = distributed.share(range(0, len(part), batch_size))
    for start in progress.steps(starts, f"features of {len(part)} pictures, computed once"):
        images, targets = part.__getitems__(list(range(start, min(start + batch_size, len(part)))))
        batches.append(features(images.to(device, memory_format=layout)))
        labels.append(targets.to(device))
    return Features(*(torch.cat(distributed.gathered(rows)).to(device) for rows in (batches, labels)))


class QuickDropout(nn.Dropout):
    """``nn.Dropout`` with cheaper random numbers on the CPU: a byte a value, so that ``p`` is rounded to 1/256.

    torch draws a number of double precision for every value. On features of 512 x 13 x 13 that takes five times as
    long as all the rest of a training step.
    """

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        dropped, size = round(256 * self.p), features.numel()
        dense = features.is_contiguous() or features.is_contiguous(memory_format=torch.channels_last)
        if not self.training or features.device.type != "cpu" or not dense or dropped in (0, 256):
            return super().forward(features)
        numbers = torch.empty(-(-size // 8), dtype=torch.int64).random_(-(2**63), None).view(torch.uint8)[:size]
        kept = (numbers >= dropped).as_strided(features.shape, features.stride())  # the same order in memory
        return features * kept * (256 / (256 - dropped))


class _Reached(Exception):
    """Carries the features out of the forward pass, which need not go on."""


def split_frozen(model: nn.Module, example: torch.Tensor) -> tuple[Callable, nn.Module] | None:
    """``(features, head)`` such that ``head(features(x)) == model(x)`` and only ``head`` has something to train.

    ``features`` is the frozen front part in ``eval`` mode, a function without gradients; ``head`` shares its layers
    with ``model``. None when the network does not split so (something before the head is trainable, say). Tried on
    ``example`` ``(N, 3, H, W)``.
    """
    tail = _trainable_tail(model)
    if tail is None:
        return None
    head = nn.Sequential(*tail, nn.Flatten(1))

    def stop(module: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        raise _Reached(inputs[0])

    @torch.no_grad()
    def features(images: torch.Tensor) -> torch.Tensor:
        hook = tail[0].register_forward_pre_hook(stop)
        try:
            with models.evaluating(model):
                model(images)
        except _Reached as reached:
            return reached.args[0]
        finally:
            hook.remove()
        raise RuntimeError("the forward pass never came to the head")

    with torch.no_grad(), models.evaluating(model):
        whole = model(example)
        try:
            parts = head(features(example))
        except RuntimeError:  # the layers of the head are used in another way than one after the other
            return None
    return (features, head) if whole.shape == parts.shape and torch.allclose(whole, parts, atol=1e-4) else None


def _trainable_tail(model: nn.Module) -> list[nn.Module] | None:
    """The layers of the head from the first trainable one on, with the dropout or ReLU right before it."""
    try:
        name = models.head_name(model)
    except ValueError:
        return None
    if any(p.requires_grad for n, p in model.named_parameters() if not models.within(n, name)):
        return None
    head = getattr(model, name)
    layers = list(head) if isinstance(head, nn.Sequential) else [head]
    trainable = [any(parameter.requires_grad for parameter in layer.parameters()) for layer in layers]
    if True not in trainable:
        return None
    first = trainable.index(True)
    while first and not list(layers[first - 1].parameters()):
        first -= 1
    return layers[first:]
