"""Weights that come with the kit: a file of float16 tensors and a card that tells their story."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn


class WeightsError(OSError):
    """The file with the pretrained weights is missing, damaged, or not the one that belongs to this kit."""


def read(file: Path, sha256: str) -> dict[str, dict[str, Any]]:
    """``{"state_dict": ..., "card": ...}`` of a file of the kit, which is checked before anything in it is used.

    Raises:
        WeightsError: the file cannot be read, or is not the one with this checksum.
    """
    repair = "Get the kit again: run the notebook's set-up cell, or reinstall cnn-course-kit."
    try:
        content = file.read_bytes()
    except OSError as error:
        raise WeightsError(f"The weights file {file} cannot be read ({error.strerror}). {repair}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise WeightsError(f"The weights file {file} is damaged or not the kit's own ({len(content)} bytes). {repair}")
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def restore(build: Callable[[int], nn.Module], weights: dict[str, dict[str, Any]]) -> nn.Module:
    """The network of a weights file's content, in float32 and eval mode; ``build(classes)`` makes it, untrained."""
    with torch.device("meta"):
        model = build(len(weights["card"]["classes"]))
    state = weights["state_dict"]
    state = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    model.load_state_dict(state, assign=True)
    return model.eval()
