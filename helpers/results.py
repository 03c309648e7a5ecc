"""What a training run leaves behind: the model, and its numbers, in a folder."""

from __future__ import annotations

import itertools
import json
import os
import re
from pathlib import Path

import torch
from torch import nn

from helpers import drive, machine
from helpers.loaders import Loaders
from helpers.training.config import Evaluation, History


def folder() -> Path:
    """KIT_RESULTS where ``colab_setup.py run`` set it, else ``results`` in the folder that outlives the session."""
    chosen = Path(os.environ.get("KIT_RESULTS") or drive.persist() / "results")
    chosen.mkdir(parents=True, exist_ok=True)
    return chosen


def save(
    model: nn.Module, loaders: Loaders, history: History, evaluation: Evaluation, *, to: Path | None = None
) -> Path:
    """Write ``model.pt`` (weights, class names, picture size) and ``summary.json``; returns the path of the model.

    They go to a new folder: ``to``, without it one in ``folder()`` with the names of the data, the network and the
    checkpoint. Nothing is replaced: where there are results, the name gets a number, "-2" or higher.
    ``torch.load(path, weights_only=True)`` gives a dict; ``model.load_state_dict(that["weights"])`` brings it back.
    Raises OSError, with what is in the way, when they cannot be written.
    """
    names = filter(None, (loaders.name, history.model, history.config.checkpoint))
    base = to or folder() / re.sub(r"[^\w.+-]+", "_", "-".join(names))
    places = (base.with_name(f"{base.name}-{number}" if number > 1 else base.name) for number in itertools.count(1))
    files = ("model.pt", "summary.json")
    target = next(place for place in places if not any((place / name).exists() for name in files)) / "model.pt"
    weights = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    content = {"weights": weights, "classes": list(loaders.classes), "size": loaders.size, "data": loaders.name}
    best = history.best if history.epochs else None
    summary = {
        "data": loaders.name,
        "model": history.model,
        "epochs": len(history.epochs),
        "best_epoch": best and best.epoch,
        "val_accuracy": best and round(best.val_accuracy, 2),
        "test_accuracy": round(evaluation.accuracy, 2),
        "seconds": round(history.seconds, 1),
    }
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with machine.replacing(target) as partial:
            torch.save(content, partial)
        with machine.replacing(target.with_name("summary.json")) as partial:
            partial.write_text(json.dumps(summary, indent=1) + "\n")
    except (OSError, RuntimeError) as error:  # torch.save makes a RuntimeError of a full disk
        reason = machine.reason(error) if isinstance(error, OSError) else error
        raise OSError(
            f"The model could not be written to {target.parent}: {reason}. Make room, or set KIT_PERSIST to another "
            "folder."
        ) from error
    return target
