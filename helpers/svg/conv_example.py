"""Small whole numbers for the explorer's grids, the same on every machine, and what the layer makes of them."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from helpers.svg.conv_setup import ConvSetup

LECTURE_POOLING = ((1, 1, 2, 4), (5, 6, 7, 8), (3, 2, 1, 0), (1, 2, 3, 4))  # CS231n, lecture 5

IMAGE_SEED, WEIGHT_SEED = 33, 50  # chosen so that the first pictures have varied numbers and few zeros


class Example(NamedTuple):
    """The numbers of one setup, all float64; whole except after average pooling."""

    padded: np.ndarray  # (C_in, n + 2p, n + 2p), the padding included
    weights: np.ndarray  # (C_out, C_in / groups, k, k); empty for pooling
    bias: np.ndarray  # (C_out,); empty for pooling
    output: np.ndarray  # (C_out, m, m)


def example(setup: ConvSetup) -> Example:
    """The numbers of a setup; what is looked at (step, channel, filter) makes no difference to them."""
    return _example(
        setup.kind, setup.size, setup.kernel_size, setup.stride, setup.padding, setup.dilation,
        setup.in_channels, setup.out_channels, setup.groups,
    )  # fmt: skip


@functools.lru_cache(maxsize=8)  # stepping through one setup computes it once
def _example(
    kind: str, size: int, kernel_size: int, stride: int, padding: int, dilation: int,
    in_channels: int, out_channels: int, groups: int,
) -> Example:  # fmt: skip
    image = _image(size, in_channels, lecture=kind != "conv" and size == 4)
    edge = -np.inf if kind == "max" else 0.0  # padding never wins a maximum
    padded = np.pad(image, ((0, 0), (padding, padding), (padding, padding)), constant_values=edge)
    windows = _windows(padded, kernel_size, stride, dilation)  # (C_in, m, m, k, k)
    if kind != "conv":
        output = windows.max(axis=(3, 4)) if kind == "max" else windows.mean(axis=(3, 4))
        return Example(padded, np.empty(0), np.empty(0), output)
    weights, bias = _weights(out_channels, in_channels // groups, kernel_size)
    grouped = windows.reshape(groups, -1, *windows.shape[1:])  # (G, C_in / G, m, m, k, k)
    kernels = weights.reshape(groups, -1, *weights.shape[1:])  # (G, C_out / G, C_in / G, k, k)
    output = np.stack([np.tensordot(w, x, axes=((1, 2, 3), (0, 3, 4))) for w, x in zip(kernels, grouped, strict=True)])
    return Example(padded, weights, bias, output.reshape(out_channels, *output.shape[2:]) + bias[:, None, None])


def _windows(padded: np.ndarray, kernel_size: int, stride: int, dilation: int) -> np.ndarray:
    span = dilation * (kernel_size - 1) + 1
    views = np.lib.stride_tricks.sliding_window_view(padded, (span, span), axis=(1, 2))
    return views[:, ::stride, ::stride, ::dilation, ::dilation]


def _image(size: int, channels: int, *, lecture: bool) -> np.ndarray:
    """(channels, size, size) with values 0 to 4, or the lecture's 0 to 8 in the first channel."""
    image = _digits(channels, size, size, seed=IMAGE_SEED) % 5.0
    if lecture:
        image[0] = LECTURE_POOLING
    return image


def _weights(filters: int, depth: int, kernel_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights and biases from -1 to 2."""
    values = np.array([-1.0, 0.0, 1.0, -1.0, 0.0, 1.0, 2.0])
    biases = np.array([1.0, 0.0, -1.0, 2.0])
    digits = _digits(filters, depth, kernel_size, kernel_size, seed=WEIGHT_SEED)
    return values[digits % 7], biases[np.arange(filters) % 4]


def _digits(*shape: int, seed: int) -> np.ndarray:
    """Integers from 0 to 65535 that look random and depend on the position only (a 32-bit hash)."""
    index = np.arange(np.prod(shape), dtype=np.uint32) + np.uint32(seed * 1000)
    for multiplier in (2654435769, 2246822519):
        index = (index ^ (index >> np.uint32(15))) * np.uint32(multiplier)
    return (index >> np.uint32(16)).astype(np.int64).reshape(shape)
