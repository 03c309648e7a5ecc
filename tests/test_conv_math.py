"""conv_math against PyTorch itself (thousands of settings, valid and invalid) and against the lectures' numbers."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from helpers import conv_math
from helpers.conv_math import InvalidSetting, Layer

SIZES, KERNELS, PADDINGS, DILATIONS = st.integers(0, 24), st.integers(0, 9), st.integers(-1, 6), st.integers(0, 4)
STRIDES = range(-1, 7)  # every example tries all of them: 300 examples are 2,400 settings
MANY = settings(max_examples=300, deadline=None)


def torch_size(function, *args, **settings_) -> int | None:
    """The height that torch gives; None where it refuses."""
    try:
        return function(*args, **settings_).shape[-2]
    except (RuntimeError, ValueError):
        return None


def our_size(function, *args, **settings_) -> int | None:
    try:
        return function(*args, **settings_)
    except InvalidSetting as error:
        assert error.reason and error.remedy
        return None


def blank(*shape: int) -> torch.Tensor:
    return torch.zeros(shape)  # on the CPU: the meta device lets a kernel of size 0 and a stride of 0 pass


# ---- sizes, against torch ----------------------------------------------------------------------------------------


@MANY
@given(SIZES, KERNELS, PADDINGS, DILATIONS)
def test_output_size_is_that_of_conv2d(n, k, p, d):
    for s in STRIDES:
        expected = torch_size(F.conv2d, blank(1, 1, n, n), blank(1, 1, k, k), stride=s, padding=p, dilation=d)
        assert our_size(conv_math.output_size, n, k, stride=s, padding=p, dilation=d) == expected


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@settings(max_examples=150, deadline=None)
@given(st.integers(1, 24), KERNELS, st.integers(-1, 3), st.sampled_from(["same", "valid", "full"]), DILATIONS)
def test_output_size_with_padding_by_name(n, k, s, p, d):
    expected = torch_size(F.conv2d, blank(1, 1, n, n), blank(1, 1, k, k), stride=s, padding=p, dilation=d)
    assert our_size(conv_math.output_size, n, k, stride=s, padding=p, dilation=d) == expected


@MANY
@given(SIZES, KERNELS, PADDINGS, DILATIONS, st.booleans())
def test_pool_output_size_is_that_of_max_pool2d(n, k, p, d, ceil_mode):
    for s in (None, *STRIDES):
        options = {"stride": s, "padding": p, "dilation": d, "ceil_mode": ceil_mode}
        expected = torch_size(F.max_pool2d, blank(1, 1, n, n), k, **options)
        assert our_size(conv_math.pool_output_size, n, k, **options) == expected


@MANY
@given(SIZES, KERNELS, PADDINGS, st.booleans())
def test_pool_output_size_is_that_of_avg_pool2d(n, k, p, ceil_mode):
    for s in (None, *STRIDES):
        options = {"stride": s, "padding": p, "ceil_mode": ceil_mode}
        expected = torch_size(F.avg_pool2d, blank(1, 1, n, n), k, **options)
        assert our_size(conv_math.pool_output_size, n, k, **options) == expected


def pairs(least: int, most: int):
    return st.tuples(st.integers(least, most), st.integers(least, most))


@pytest.mark.parametrize(
    ("size", "kernel", "options", "expected"),
    [
        (32, 5, {}, 28),
        (28, 5, {}, 24),
        (28, 3, {}, 26),
        (26, 3, {}, 24),
        (7, 3, {}, 5),
        (7, 3, {"stride": 2}, 3),
        (7, 3, {"stride": 3}, 2),
        (7, 3, {"padding": 1}, 7),
        (32, 5, {"padding": 2}, 32),
        (227, 11, {"stride": 4}, 55),
        (224, 11, {"stride": 4}, 54),
        (224, 11, {"stride": 4, "padding": 2}, 55),
        (227, 11, {"stride": 4, "padding": 2}, 56),
        (224, 7, {"stride": 2, "padding": 3}, 112),
        (224, 3, {"padding": "same"}, 224),
    ],
    ids=lambda value: str(value).replace(" ", ""),
)
def test_sizes_of_the_lectures(size, kernel, options, expected):
    assert conv_math.output_size(size, kernel, **options) == expected


def test_numpy_integers_are_integers():
    assert conv_math.output_size(np.int64(7), np.int32(3), stride=np.int8(2)) == 3


# ---- the floor, coverage, paddings that fit ----------------------------------------------------------------------


def read_counts(n: int, k: int, s: int, p: int, d: int) -> np.ndarray:
    """How often each pixel of the padded axis is read: the gradient of the sum of a convolution with ones."""
    pixels = torch.zeros(1, 1, n + 2 * p, requires_grad=True)
    F.conv1d(pixels, torch.ones(1, 1, k), stride=s, dilation=d).sum().backward()
    return pixels.grad.numpy()[0, 0].round().astype(int)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 16), st.integers(1, 5), st.integers(1, 4), st.integers(0, 3), st.integers(1, 3))
def test_dropped_and_coverage_are_what_the_gradient_shows(n, k, s, p, d):
    if d * (k - 1) + 1 > n + 2 * p:
        return
    counts = read_counts(n, k, s, p, d)
    unread_at_the_end = len(counts) - 1 - np.flatnonzero(counts)[-1]
    options = {"stride": s, "padding": p, "dilation": d}
    assert conv_math.dropped(n, k, **options) == (unread_at_the_end, max(0, unread_at_the_end - p))
    assert [len(conv_math.outputs_using(i, n, k, **options)) for i in range(-p, n + p)] == counts.tolist()


@pytest.mark.parametrize(
    ("size", "kernel", "options", "expected"),
    [
        (7, 3, {"stride": 3}, (1, 1)),
        (227, 11, {"stride": 4}, (0, 0)),
        (224, 11, {"stride": 4}, (1, 1)),
        (224, 11, {"stride": 4, "padding": 2}, (1, 0)),
        (224, 7, {"stride": 2, "padding": 3}, (1, 0)),
        (7, 4, {"padding": "same"}, (0, 0)),
    ],
    ids=["lecture 7/3/3", "AlexNet 227", "AlexNet 224 p0", "AlexNet 224 p2", "ResNet stem", "same, even kernel"],
)
def test_dropped_pixels_of_known_layers(size, kernel, options, expected):
    assert conv_math.dropped(size, kernel, **options) == expected


def test_a_pixel_in_the_middle_is_read_nine_times_by_3x3_and_its_window_moves_back():
    assert conv_math.outputs_using(3, 7, 3) == (1, 2, 3)
    assert conv_math.outputs_using(6, 7, 3, stride=3) == ()


# ---- parameters, MACs, activations -------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), pairs(1, 5), st.integers(1, 6), st.booleans())
def test_parameters_are_those_of_conv2d(c_in, c_out, kernel, groups, bias):
    try:
        layer = nn.Conv2d(c_in, c_out, kernel, groups=groups, bias=bias, device="meta")
    except ValueError:
        with pytest.raises(InvalidSetting, match="groups"):
            conv_math.parameter_count(c_in, c_out, kernel, groups=groups, bias=bias)
    else:
        expected = sum(parameter.numel() for parameter in layer.parameters())
        assert conv_math.parameter_count(c_in, c_out, kernel, groups=groups, bias=bias) == expected


def test_parameters_of_the_lectures():
    assert conv_math.parameter_count(3, 10, 5) == 760 == 10 * 76
    assert conv_math.parameter_count(3, 96, 11) == 34_944 == (11 * 11 * 3 + 1) * 96
    assert conv_math.parameter_count(3, 64, 3, bias=False) == 1_728
    assert conv_math.parameter_count(32, 32, 3, groups=32) == 32 * 10  # depthwise


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), pairs(1, 3), pairs(3, 8))
def test_multiply_adds_are_the_products_that_conv2d_sums(groups, ins, outs, kernel, shape):
    ones = torch.ones(groups * outs, ins, *kernel)
    products = F.conv2d(torch.ones(1, groups * ins, *shape), ones, stride=2, groups=groups)  # each is 1 x 1
    counted = conv_math.multiply_adds(
        groups * ins, groups * outs, kernel, output_shape=tuple(products.shape[-2:]), groups=groups
    )
    assert counted == products.sum().item()


def test_multiply_adds_of_alexnets_first_layer():
    assert conv_math.multiply_adds(3, 96, 11, output_shape=55) == 105_415_200


def test_activation_size_is_the_count_of_values():
    sizes = [conv_math.activation_size(c, shape) for c, shape in ((3, 32), (6, 28), (16, (24, 24)))]
    assert sizes == [3072, 4704, 9216]
    assert conv_math.activation_size(6, 28, batch_size=2) == torch.empty(2, 6, 28, 28, device="meta").numel()


# ---- receptive fields --------------------------------------------------------------------------------------------

ALEXNET = [(11, 4, 2), (3, 2), (5, 1, 2), (3, 2), (3, 1, 1), (3, 1, 1), (3, 1, 1), (3, 2)]
VGG16 = [layer for convs in (2, 2, 3, 3, 3) for layer in [(3, 1, 1)] * convs + [(2, 2)]]


@pytest.mark.parametrize(
    ("layers", "expected"),
    [(ALEXNET, 195), (VGG16, 212), ([(3, 1)] * 5, 11), ([], 1), ([(3, 1), (3, 1), (3, 1)], 7), ([(7, 1)], 7)],
    ids=["AlexNet", "VGG-16", "1 + L(K - 1)", "no layer", "three 3x3", "one 7x7"],
)
def test_receptive_fields_of_known_stacks(layers, expected):
    assert conv_math.receptive_field(layers) == expected


LAYERS = st.lists(
    st.builds(Layer, st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2)), min_size=1, max_size=4
)


@settings(max_examples=150, deadline=None)
@given(LAYERS, st.integers(0, 3))
def test_field_jump_and_start_are_what_the_gradient_shows(layers, cell):
    rows = conv_math.receptive_field_chain(layers)
    margin, size = 40, 1200  # the cell lies far from both ends, so that padding is never cut off
    cell += -(-(margin - rows[-1].start) // rows[-1].jump)
    pixels = torch.zeros(1, 1, size, dtype=torch.float64, requires_grad=True)
    signal = pixels
    for layer in layers:
        ones = torch.ones(1, 1, layer.kernel_size, dtype=torch.float64)
        signal = F.conv1d(signal, ones, None, layer.stride, layer.padding, layer.dilation)
    signal[0, 0, cell].backward()
    touched = torch.nonzero(pixels.grad[0, 0]).flatten()
    first = rows[-1].start + cell * rows[-1].jump
    assert (int(touched[0]), int(touched[-1])) == (first, first + rows[-1].size - 1)
    assert conv_math.receptive_field(layers) == rows[-1].size


def test_chain_rows_are_named_and_tuples_mean_layers():
    rows = conv_math.receptive_field_chain([Layer(11, 4, 2, name="conv1"), Layer(3, 2, name="pool1")])
    assert rows == [("conv1", 11, 4, -2), ("pool1", 19, 8, -2)]
    assert conv_math.receptive_field_chain([(3, 2, 1, 2)]) == [("", 5, 2, -1)]


# ---- sentences ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: conv_math.output_size(7, 11),
            "kernel 11 is larger than the padded input 7: raise padding to at least 2 or shrink the kernel to 7",
        ),
        (
            lambda: conv_math.output_size(7, 5, dilation=3),
            "kernel 5 with dilation 3 spans 13 pixels, more than the padded input 7: raise padding to at least 3 "
            "or shrink the kernel to 3 or lower the dilation to 1",
        ),
        (lambda: conv_math.output_size(7, 3, stride=0), "stride is 0: raise it to at least 1"),
        (lambda: conv_math.output_size(7.0, 3), "size is 7.0: pass a whole number, at least 1"),
        (lambda: conv_math.output_size(7, 3, padding="full"), "padding is 'full': pass a number of pixels, 'valid' or"),
        (lambda: conv_math.output_size(7, 3, stride=2, padding="same"), "padding 'same' needs stride 1, got stride 2"),
        (lambda: conv_math.parameter_count(3, 8, (3, 3, 3)), "got (3, 3, 3): pass one number for both axes, or two"),
        (
            lambda: conv_math.pool_output_size(8, 2, padding=2),
            "padding 2 is more than half of the pooling kernel 2: lower the padding to 1 or enlarge the kernel to 4",
        ),
        (
            lambda: conv_math.parameter_count(6, 8, 3, groups=4),
            "in_channels 6 cannot be divided into 4 groups: lower groups to 2 or make in_channels and out_channels",
        ),
        (lambda: conv_math.parameter_count(8, 6, 3, groups=4), "out_channels 6 cannot be divided into 4 groups"),
        (lambda: Layer(3, padding=-1), "padding is -1: raise it to at least 0"),
        (lambda: conv_math.receptive_field([(0, 1)]), "kernel_size is 0: raise it to at least 1"),
    ],
    ids=["kernel", "dilation", "stride", "float", "name", "same", "shape", "pool", "in", "out", "layer", "chain"],
)
def test_errors_say_what_was_passed_and_what_to_change(call, sentence):
    with pytest.raises(InvalidSetting, match=re.escape(sentence)):
        call()


@settings(max_examples=400, deadline=None)
@given(st.integers(1, 12), st.integers(1, 9), st.integers(0, 3), st.integers(1, 3), st.booleans())
def test_every_advice_about_a_window_that_does_not_fit_works(n, k, p, d, pooling):
    function = conv_math.pool_output_size if pooling else conv_math.output_size
    try:
        function(n, k, stride=1, padding=p, dilation=d)
    except InvalidSetting as error:
        advice = re.findall(r"(padding|kernel|dilation) to (?:at least )?(\d+)", error.remedy)
        assert advice or error.remedy == "shrink the kernel and lower the dilation"
        for setting, number in advice:
            changed = {"kernel": k, "padding": p, "dilation": d} | {setting: int(number)}
            if error.reason.startswith("padding") and d > 1:
                continue  # two things may be wrong here; the next message names the other
            function(n, changed["kernel"], stride=1, padding=changed["padding"], dilation=changed["dilation"])
