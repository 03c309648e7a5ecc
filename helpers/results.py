"""What a training run leaves behind: the model, and its numbers, in a folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from torch import nn

from helpers import runtime
from helpers.loaders import Loaders
from helpers.training import Evaluation, History


def folder() -> Path:
    """KIT_RESULTS where ``colab_setup.py run`` set it, else ``results`` in the folder that outlives the session."""
    chosen = Path(os.environ.get("KIT_RESULTS") or runtime.persist() / "results")
    chosen.mkdir(parents=True, exist_ok=True)
    return chosen


def save(model: nn.Module, loaders: Loaders, history: History, evaluation: Evaluation) -> Path:
    """Write ``model.pt`` (weights, class names, picture size) and ``summary.json``; returns the path of the model.

    ``torch.load(path, weights_only=True)`` gives a dict; ``model.load_state_dict(that["weights"])`` brings it back.
    """
    target = folder() / "model.pt"
    partial = target.with_suffix(".partial")
    weights = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    torch.save({"weights": weights, "classes": list(loaders.classes), "size": loaders.size, "data": loaders.name}, partial)
    partial.replace(target)
    summary = {
        "data": loaders.name,
        "model": history.model,
        "epochs": len(history.epochs),
        "best_epoch": history.best.epoch,
        "val_accuracy": round(history.best.val_accuracy, 2),
        "test_accuracy": round(evaluation.accuracy, 2),
        "seconds": round(history.seconds, 1),
    }
    (target.parent / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    return target
