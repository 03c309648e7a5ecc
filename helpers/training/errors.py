"""Sentences in place of what torch says where a pass goes wrong, and what would make an accuracy mean nothing."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

F = TypeVar("F", bound=Callable[..., Any])

# What torch says where something is too large or too small: known by its words, since torch has no class for it.
NO_MEMORY = ("DefaultCPUAllocator", "MPS backend out of memory")
TOO_SMALL = ("Output size is too small", "Kernel size can't be greater than actual input size")
ONE_IMAGE = "Expected more than 1 value per channel"
USUAL_SIDES = (64, 224, 299)  # px, of small networks, most, and Inception
FEW = 10  # images to validate on


class TrainingError(RuntimeError):
    """Training cannot go on; the message says what to change."""


def with_sentences(function: F) -> F:
    """``function(model, loaders, ...)``, but with TrainingError in place of what torch raises in a pass of it."""

    @functools.wraps(function)
    def call(model: nn.Module, *args: Any, **options: Any) -> Any:
        try:
            return function(model, *args, **options)
        except TrainingError as error:  # out of evaluate, called by fit
            _forget_tensors(error)
            raise
        except (RuntimeError, ValueError, IndexError, MemoryError) as error:
            sentence = _explained(error, model, args[0] if args else options.get("loaders", options.get("loader")))
            if sentence is None:
                raise
            raise TrainingError(sentence) from error

    return cast(F, call)


def _explained(error: Exception, model: nn.Module, data: Any) -> str | None:
    """A sentence in place of torch's words; None where the error did not come out of ``model``."""
    words, batch = str(error), getattr(getattr(data, "train", data), "batch_size", None)
    batch_size = f"batch_size (now {batch})" if batch else "batch_size"
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError) or any(text in words for text in NO_MEMORY):
        size = f" (now size={data.size})" if hasattr(data, "size") else ""
        _forget_tensors(error)
        return (
            f"The memory is full. Try a smaller {batch_size}, smaller pictures{size}, a smaller network, or freeze the "
            "backbone. In Colab, Runtime > Restart frees what earlier cells hold."
        )
    names = {module: name for name, module in model.named_modules()}
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    # torch calls the forward of every module by this function: the last one is that of the innermost module
    calls = [frame.f_locals for frame in frames if frame.f_code.co_name == "_call_impl"]
    calls = [call for call in calls if call.get("self") in names]
    if not calls or isinstance(error, getattr(torch.distributed, "DistError", ())):  # of another process
        return None
    module, images, arriving = calls[-1]["self"], _shape(calls[0]), _shape(calls[-1])
    where = f"{names[module]} ({type(module).__name__})".strip()
    side = getattr(data, "size", None) or (images or [0])[-1]
    if any(text in words for text in TOO_SMALL):
        larger = next((usual for usual in USUAL_SIDES if usual > side), 2 * side)
        return (
            f"Pictures of size={side} are too small for this network. Try size={larger} or more: of them only "
            f"{arriving[1:]} is left at {where}."
        )
    if ONE_IMAGE in words:
        return (
            "Batch norm cannot learn from a batch of one picture. Choose a batch_size that leaves no single picture "
            f"over from the training pictures (now {batch})."
        )
    if isinstance(module, nn.Linear) and arriving and arriving[-1] != module.in_features:
        return (
            f"{where} takes {module.in_features} numbers a picture, but {arriving[1:]} arrives. Either size={side} is "
            "not the size this network was made for, or the flatten before this layer is missing or wrong."
        )
    channels = getattr(module, "num_features" if isinstance(module, _NormBase) else "in_channels", None)
    if len(arriving) == 4 and channels not in (None, arriving[1]):
        remedy = "That is a picture" if arriving == images else "The layers before it give that"
        return (
            f"{where} takes {channels} channels, but {arriving[1:]} arrives. {remedy}: make this layer for "
            f"{arriving[1]} channels."
        )
    reason = words.partition("\n")[0] or repr(error)
    return f"{where} does not take what arrives, {arriving}: {reason}"


def _shape(call: dict[str, Any]) -> tuple[int, ...]:
    """The shape of the first tensor that goes into a module."""
    return next((tuple(each.shape) for each in call.get("args", ()) if isinstance(each, torch.Tensor)), ())


def _forget_tensors(error: BaseException | None) -> None:
    """A notebook keeps its last error, the error its frames, and these all that was in the memory when it was full."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def doubts(classes: list[str], data: Any, scores: torch.Tensor) -> list[str]:
    """Why the accuracy on ``data`` of a network that gives ``scores`` (N, classes) could mean nothing."""
    labels, more = getattr(data, "labels", range(len(classes))), "image_folder more pictures or a larger val_fraction."
    missing = [name for label, name in enumerate(classes) if label not in labels]
    found = {
        f"There is a single class, {classes[0]}: every network is right in 100 % of the pictures.": len(classes) == 1,
        f"There is no picture of {', '.join(missing)} to validate on, and the accuracy says nothing about "
        f"{'it' if len(missing) == 1 else 'them'}: give {more}": len(classes) > 1 and missing,
        f"There are only {len(data)} pictures to validate on, so that chance decides which epoch is best: one "
        f"picture is {100 / len(data):.0f} %. Give {more}": len(data) < FEW,
        "The network gives probabilities (it ends in softmax or sigmoid), and the loss applies softmax to them "
        "again: it learns slowly or not at all. Leave this last step out; evaluate gives the probabilities.": (
            _are_probabilities(scores)
        ),
    }
    return [sentence for sentence, true in found.items() if true]


def _are_probabilities(scores: torch.Tensor) -> bool:
    """True for ``scores`` (N, classes) in 0..1 that sum to 1, or that a softmax or sigmoid has made."""
    if scores.min() < 0 or scores.max() > 1 or scores.shape[1] == 1:
        return False
    made_by: Any = scores.grad_fn
    while made_by is not None and not any(word in made_by.name().lower() for word in ("softmax", "sigmoid")):
        before = made_by.next_functions
        made_by = before[0][0] if len(before) == 1 else None  # reshaped or cast; not where it is multiplied or added
    return made_by is not None or bool(((scores.sum(dim=1) - 1).abs() < 1e-3).all())
