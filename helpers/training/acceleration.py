"""What makes training faster without changing what is learned: precision, memory layout, features computed once."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from helpers import models
from helpers.loaders import Loaders, Subset, decoding
from helpers.training import processes, progress

# Networks with fewer parameters stay in float32: the casts cost LeNet-5 (61,706) more than it gains (0.91x with
# bfloat16), SqueezeNet (724,000) gains 1.3x or more.
SMALL = 100_000


class Precision:
    """The number format of the multiplications in a step; the weights themselves are always float32."""

    def __init__(self, dtype: torch.dtype = torch.float32, device: str = "cpu") -> None:
        self.dtype, self.device = dtype, device
        # float16 has so few exponents that small gradients vanish; the scaler multiplies the loss to save them.
        self.scaler = torch.amp.GradScaler(device, enabled=dtype is torch.float16)

    def autocast(self) -> AbstractContextManager[object]:
        return nullcontext() if self.dtype is torch.float32 else torch.autocast(self.device, dtype=self.dtype)

    def __str__(self) -> str:
        return str(self.dtype).removeprefix("torch.")


FLOAT32 = Precision()


def precision(model: nn.Module, device: torch.device, wanted: bool | None) -> Precision:
    """What to train ``model`` in: mixed precision where it is ``wanted``, with None where it gains.

    That is float16 on most GPUs, bfloat16 on newer ones and on CPUs that multiply it. What a CPU can is read from
    ``/proc/cpuinfo``; the environment variable KIT_BF16=1 or 0 says yes or no in its place (any CPU can, slowly).
    """
    small = sum(parameter.numel() for parameter in model.parameters()) < SMALL
    if wanted is False or (wanted is None and small):
        return FLOAT32
    if device.type == "cuda":
        newer = torch.cuda.get_device_capability(device) >= (8, 0)
        return Precision(torch.bfloat16 if newer else torch.float16, "cuda")
    if device.type == "cpu" and (wanted or _cpu_multiplies_bfloat16()):
        return Precision(torch.bfloat16)
    return FLOAT32


def _cpu_multiplies_bfloat16() -> bool:
    if forced := os.environ.get("KIT_BF16"):
        return forced == "1"
    with suppress(OSError):
        flags = Path("/proc/cpuinfo").read_text()
        return "amx_bf16" in flags or "avx512_bf16" in flags
    return False


def memory_format(model: nn.Module, example: torch.Tensor) -> torch.memory_format:
    """How to lay out the images that go into ``model``, tried on ``example`` (N, C, H, W) on the model's device.

    With the channels of a pixel side by side, convolutions are up to three times faster. A network that reshapes with
    ``.view`` cannot take that.
    """
    if example.dim() == 4 and any(isinstance(module, nn.Conv2d) for module in model.modules()):
        # what is really wrong with the network will show where it is used
        with suppress(RuntimeError), models.evaluating(model, grad=False):
            model(example.contiguous(memory_format=torch.channels_last))
            return torch.channels_last
    return torch.contiguous_format


def cached_features(model: nn.Module, loaders: Loaders) -> tuple[nn.Module, DataLoader, DataLoader] | None:
    """``(head, train, val)``: the trainable head of ``model``, and loaders of the features that go into it, which draw
    the images as the samplers of ``loaders`` do.

    None where that would not do: something before the head is trainable, the training images change at random, or the
    features do not fit into memory. Dropout in the frozen part is off, as in ``eval`` mode.
    """
    train, val = loaders.train.dataset, loaders.val.dataset
    if not (isinstance(train, Subset) and isinstance(val, Subset)) or train.transform.augment or val.transform.augment:
        return None
    device = next(model.parameters()).device
    example = train.__getitems__([0, len(train) - 1])[0].to(device)
    layout = memory_format(model, example)
    split = split_frozen(model, example.contiguous(memory_format=layout))
    if split is None:
        return None
    features, head = split
    needed = (len(train) + len(val)) * features(example)[:1].nbytes
    needed *= processes.count() if device.type == "cpu" else 1  # each process holds the features of all
    if not processes.from_first(decoding.fits_memory, needed, device):
        return None
    batches = [
        DataLoader(
            TensorDataset(*_compute(features, subset, device, layout)),
            sampler=loader.batch_sampler,  # with batch_size=None the data set is asked for a whole batch at once
            batch_size=None,
            generator=loader.generator,
        )
        for loader, subset in ((loaders.train, train), (loaders.val, val))
    ]
    quick = (QuickDropout(layer.p) if type(layer) is nn.Dropout else layer for layer in head)
    return nn.Sequential(*quick), batches[0], batches[1]


def _compute(
    features: Callable, subset: Subset, device: torch.device, layout: torch.memory_format
) -> list[torch.Tensor]:
    """Features ``(N, ...)`` and labels ``(N,)`` of all images of ``subset``."""
    # Eight images and their activations stay in a processor's cache: measured twice as fast as 64 at a time.
    batch_size = 8 if device.type == "cpu" else 128
    own = range(len(subset))[processes.part(len(subset))]
    batches, labels = [], []
    for start in progress.steps(own[::batch_size], f"features of {len(subset)} pictures, computed once"):
        images, targets = subset.__getitems__(list(own[start - own.start :][:batch_size]))
        batches.append(features(images.to(device, memory_format=layout)))
        labels.append(targets.to(device))
    return [torch.cat(processes.gathered(rows)).to(device) for rows in (batches, labels)]


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


def split_frozen(model: nn.Module, example: torch.Tensor) -> tuple[Callable, nn.Sequential] | None:
    """``(features, head)`` such that ``head(features(x)) == model(x)`` and only ``head`` has something to train.

    ``features`` is the frozen front part in ``eval`` mode, a function without gradients; ``head`` shares its layers
    with ``model``. None when the network does not split so (something before the head is trainable, say). Tried on
    ``example`` ``(N, 3, H, W)``.

    How: a network is any Python code, so its front part cannot be cut out as a module. But PyTorch calls a hook of the
    head's first layer right before that layer, with what goes into it: these are the features. Whether the layers of
    the head, one after the other, make of them what the whole network gives is tried, not assumed.
    """
    tail = _trainable_tail(model)
    if tail is None:
        return None
    head = nn.Sequential(*tail, nn.Flatten(1))

    def features(images: torch.Tensor) -> torch.Tensor:
        seen: list[torch.Tensor] = []
        hook = tail[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
        try:
            with models.evaluating(model, grad=False):
                model(images)
        finally:
            hook.remove()
        return seen[0]

    with models.evaluating(model, grad=False):
        expected = models.scores_of(model(example))
        try:
            scores = head(features(example))
        except (RuntimeError, IndexError, AttributeError):  # the layers of the head are used otherwise, or never
            return None
    same = expected.shape == scores.shape and torch.allclose(expected, scores, atol=1e-4)
    return (features, head) if same else None


def _trainable_tail(model: nn.Module) -> list[nn.Module] | None:
    """The layers of the head from the first trainable one on, with the dropout or ReLU right before it."""
    try:
        name = models.head_name(model)
    except ValueError:
        return None
    if any(p.requires_grad for n, p in model.named_parameters() if not models.within(n, name)):
        return None
    head = model.get_submodule(name)
    layers = list(head) if isinstance(head, nn.Sequential) else [head]
    trainable = [any(parameter.requires_grad for parameter in layer.parameters()) for layer in layers]
    if True not in trainable:
        return None
    first = trainable.index(True)
    while first and not list(layers[first - 1].parameters()):
        first -= 1
    return layers[first:]
