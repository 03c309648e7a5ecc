"""The explorers' pictures: the numbers drawn are parsed back and compared with PyTorch; text stays on the paper."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ImageFont

from helpers import svg
from helpers.conv_math import InvalidSetting
from helpers.svg import field
from helpers.svg.conv import conv_picture, formula
from helpers.svg.conv_setup import PRESETS, ConvSetup, diagnose
from helpers.svg.field import FieldSetup, field_picture
from helpers.svg.volume import VolumeSetup, volume_picture

SVG = "{http://www.w3.org/2000/svg}"


def tree(picture: str) -> ET.Element:
    return ET.fromstring(picture)


def texts(picture: str) -> list[str]:
    return ["".join(element.itertext()) for element in tree(picture).iter(f"{SVG}text")]


def grid(picture: str, name: str) -> torch.Tensor:
    """The numbers of a drawn grid, square, as (side, side) float64."""
    group = next(group for group in tree(picture).iter(f"{SVG}g") if group.get("data-grid") == name)
    words = [element.text.replace("−", "-").replace("∞", "inf") for element in group.iter(f"{SVG}text")]
    side = round(len(words) ** 0.5)
    return torch.tensor([float(word) for word in words], dtype=torch.float64).reshape(side, side)


def filled(picture: str, name: str, colour: str) -> set[tuple[int, int]]:
    """The cells of a drawn grid that have this filling."""
    group = next(group for group in tree(picture).iter(f"{SVG}g") if group.get("data-grid") == name)
    fills = [element.get("fill") for element in group.iter(f"{SVG}rect")]
    side = round(len(fills) ** 0.5)
    return {divmod(index, side) for index, fill in enumerate(fills) if fill == colour}


def drawn_convolution(setup: ConvSetup) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Everything that the pictures of one setup show: padded input, weights, biases, outputs."""
    state, p, n = setup.state(), setup.padding, setup.size
    inputs = torch.zeros(1, setup.in_channels, n, n, dtype=torch.float64)
    weights, biases, outputs = [], [], []
    for index in range(setup.out_channels):
        slices = []
        for channel in range(setup.depth):
            picture = conv_picture(state | {"filter": index, "channel": channel})
            padded = grid(picture, "input")
            ring = padded.clone()
            ring[p : p + n, p : p + n] = 0
            assert not ring.any()  # the padding is drawn as zeros
            read = index // (setup.out_channels // setup.groups) * setup.depth + channel
            inputs[0, read] = padded[p : p + n, p : p + n]
            slices.append(grid(picture, "kernel"))
        weights.append(torch.stack(slices))
        biases.append(float(next(text for text in texts(picture) if text.startswith("bias"))[5:].replace("−", "-")))
        outputs.append(grid(picture, "output"))
    return inputs, torch.stack(weights), torch.tensor(biases, dtype=torch.float64), torch.stack(outputs)[None]


# ---- the numbers -------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 12), st.integers(1, 5), st.integers(1, 3), st.integers(0, 3), st.integers(1, 2),
    st.integers(1, 2), st.integers(1, 2), st.integers(1, 2),
)  # fmt: skip
def test_the_convolution_drawn_is_that_of_torch(n, k, s, p, d, ins, outs, groups):
    setup = ConvSetup(
        size=n, kernel_size=k, stride=s, padding=p, dilation=d,
        in_channels=ins * groups, out_channels=outs * groups, groups=groups,
    )  # fmt: skip
    if setup.span > n + 2 * p:
        assert "This does not work:" in texts(conv_picture(setup.state()))
        return
    inputs, weights, biases, outputs = drawn_convolution(setup)
    expected = F.conv2d(inputs, weights, biases, stride=s, padding=p, dilation=d, groups=groups)
    torch.testing.assert_close(outputs, expected, rtol=0, atol=0)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.booleans())
def test_the_pooling_drawn_is_that_of_torch(n, k, s, p, largest):
    setup = ConvSetup(kind="max" if largest else "avg", size=n, kernel_size=k, stride=s, padding=min(p, k // 2))
    picture = conv_picture(setup.state())
    if k > n + 2 * setup.padding:
        assert "This does not work:" in texts(picture)
        return
    end = setup.padding + n
    inputs = grid(picture, "input")[None, None, setup.padding : end, setup.padding : end]
    pool = F.max_pool2d if largest else F.avg_pool2d
    expected = pool(inputs, k, stride=s, padding=setup.padding)[0, 0]
    torch.testing.assert_close(grid(picture, "output"), expected, rtol=0, atol=0.0051)  # two decimals are drawn


def test_the_lectures_pooling_example():
    picture = conv_picture("Lecture: max pooling 4×4")
    assert grid(picture, "input").int().tolist() == [[1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]]
    assert grid(picture, "output").int().tolist() == [[6, 8], [3, 4]]
    assert ["max( 1, 1,", "     5, 6 )", "= 6"] == texts(picture)[texts(picture).index("max( 1, 1,") :][:3]


def test_padding_of_max_pooling_is_minus_infinity():
    padded = grid(conv_picture({"kind": "max", "size": 4, "kernel_size": 2, "padding": 1}), "input")
    assert torch.isinf(padded[0]).all() and torch.isfinite(padded[1:-1, 1:-1]).all()


def test_the_sum_written_out_is_the_cell_drawn() -> None:
    for step, kernel_size, in_channels in itertools.product((0, 7, 24), (1, 3, 5, 7, 8), (1, 3, 8)):
        state = {"size": 12, "kernel_size": kernel_size, "in_channels": in_channels, "step": step}
        picture = conv_picture(state)
        output = grid(picture, "output")
        row, column = divmod(step, len(output))
        words = texts(picture)
        begin = words.index(f"Output row {row + 1}, column {column + 1}") + 1
        end = next(i for i in range(len(words) - 1, begin, -1) if words[i].startswith("= "))
        result = float(words[end][2:].replace("−", "-"))
        terms = [re.sub(r"  (kernel row|channel|\d+ other|bias).*", "", line) for line in words[begin:end]]
        terms = [line for line in terms if not line.startswith("=")]  # a subtotal
        total = eval("".join(terms).replace("−", "-").replace("×", "*"))
        assert total == result == output[row, column], state


# ---- window, pixel, floor ----------------------------------------------------------------------------------------

WINDOWS = [
    {"size": 7, "stride": 2, "padding": 1},
    {"size": 9, "dilation": 2, "padding": 2, "stride": 3},
    {"size": 6, "kernel_size": 2, "stride": 3},
]


@pytest.mark.parametrize("state", WINDOWS, ids=str)
def test_the_window_of_every_output_cell_is_what_its_gradient_reads(state):
    setup = ConvSetup.of(state)
    side = setup.size + 2 * setup.padding
    for step in range(setup.steps()):
        pixels = torch.zeros(1, 1, side, side, requires_grad=True)
        ones = torch.ones(1, 1, setup.kernel_size, setup.kernel_size)
        F.conv2d(pixels, ones, stride=setup.stride, dilation=setup.dilation).flatten()[step].backward()
        picture = conv_picture(state | {"step": step})
        expected = {tuple(cell) for cell in torch.nonzero(pixels.grad[0, 0]).tolist()}
        assert filled(picture, "input", svg.ORANGE_TINT) == expected
        assert filled(picture, "output", svg.BLUE_TINT) == {divmod(step, setup.output_size())}


@pytest.mark.parametrize("state", WINDOWS, ids=str)
def test_the_outputs_that_read_a_pixel_are_those_that_change_with_it(state):
    setup = ConvSetup.of(state | {"view": "input"})
    for step in range(setup.steps()):
        pixel = torch.zeros(1, 1, setup.size, setup.size)
        pixel.flatten()[step] = 1
        ones = torch.ones(1, 1, setup.kernel_size, setup.kernel_size)
        changed = F.conv2d(pixel, ones, stride=setup.stride, padding=setup.padding, dilation=setup.dilation)[0, 0]
        expected = {tuple(cell) for cell in torch.nonzero(changed).tolist()}
        picture = conv_picture(state | {"view": "input", "step": step})
        assert filled(picture, "output", svg.PURPLE_TINT) == expected
        assert f"is read by {len(expected)} outputs" in texts(picture)


def test_a_pixel_that_no_window_reads_says_why():
    words = texts(conv_picture({"stride": 3, "view": "input", "step": 48}))
    assert "(the floor drops it)" in words
    words = texts(conv_picture({"size": 8, "kernel_size": 1, "stride": 2, "view": "input", "step": 1}))
    assert "(it lies between windows)" in words


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"stride": 3}, ["never read: the floor drops the last row and column"]),
        ({"stride": 4}, []),
        ({"size": 9, "stride": 4}, ["never read: the floor drops the last 2 rows and columns"]),
    ],
    ids=["1 px", "0 px", "2 px"],
)
def test_what_the_floor_drops_is_hatched_and_said(state, words):
    picture = conv_picture(state)
    assert [text for text in texts(picture) if text.startswith("never read")] == words
    assert len(list(tree(picture).iter(f"{SVG}path"))) == 3 * len(words)  # the rows, the columns, the legend


def test_the_formula_has_the_numbers_in_it_below_their_letters():
    symbols, numbers, steps = formula(ConvSetup.of("AlexNet conv1 at 224"))
    assert numbers == "       = floor( (224 + 2·2 − 1·(11 − 1) − 1) / 4 ) + 1"
    assert steps == "       = floor(217 / 4) + 1 = floor(54.25) + 1 = 55"
    assert len(symbols) == len(numbers) and symbols.index("2p") == numbers.index("2·2") + 1
    assert formula(ConvSetup())[2].endswith("floor(4 / 1) + 1 = 4 + 1 = 5")


@pytest.mark.parametrize(
    ("preset", "words"),
    [
        ("LeNet C1", ["6 × 28 × 28", "156", "117,600", "the windows end on the last pixel"]),
        ("AlexNet conv1 at 227", ["96 × 55 × 55", "34,944", "105,415,200", "the windows end on the last pixel"]),
        ("AlexNet conv1 at 224", ["64 × 55 × 55", "23,296", "hatched: 1 px never read, padding only"]),
        ("ResNet stem", ["64 × 112 × 112", "9,472", "hatched: 1 px never read, padding only"]),
        ("VGG conv 3×3", ["64 × 224 × 224", "36,928"]),
        ("1×1 convolution", ["2 × 5 × 5", "8", "150"]),
        ("Depthwise: one filter a channel", ["4 × 5 × 5", "40", "900"]),
        ("Lecture: 3×3 on 7×7, stride 3", ["1 × 2 × 2", "10", "36"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_presets_show_the_known_numbers(preset, words):
    assert set(words) <= set(texts(conv_picture(preset)))


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ({"step": 0}, "Output 1 of 55 looks at input pixels 1 to 9 and 2 px of padding."),
        ({"step": 54}, "Output 55 of 55 looks at input pixels 215 to 224 and 1 px of padding."),
        ({"step": 20, "view": "input"}, "Input pixel 21 of 224 is read by outputs 4 to 6: 3 along this axis."),
    ],
    ids=["first", "last", "pixel"],
)
def test_the_strip_says_what_is_read(state, sentence):
    assert sentence in texts(conv_picture(PRESETS["AlexNet conv1 at 224"] | state))


# ---- states that are wrong, hidden or unknown --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "reason", "remedy"),
    [
        ({"kernel_size": 9}, "kernel 9 is larger than the padded input 7", "raise padding to at least 1 or shrink"),
        ({"in_channels": 6, "out_channels": 4, "groups": 4}, "in_channels 6 cannot be divided", "lower groups to 2"),
        ({"kind": "max", "padding": 2}, "padding 2 is more than half of the pooling kernel", "lower the padding to 1"),
        ({"kind": "avg", "dilation": 2}, "average pooling has no dilation", "set the dilation to 1"),
        ({"size": 100, "dilation": 60}, "spans 121 pixels, more than the padded input 100", "raise padding to at"),
    ],
    ids=["kernel", "groups", "pooling", "average", "dilation"],
)
def test_an_invalid_setup_draws_the_reason_and_the_way_out(state, reason, remedy):
    picture = conv_picture(state)
    assert reason in " ".join(texts(picture)) and remedy in " ".join(texts(picture))
    assert reason in picture.alt


@pytest.mark.parametrize("state", [{"padding": 2}, {"size": 40, "stride": 3}], ids=["grid", "strip"])
def test_a_hidden_output_gives_nothing_away_until_it_is_guessed(state):
    truth = ConvSetup.of(state).output_size()
    hidden = conv_picture(state | {"predict": True, "guess": truth + 1, "step": 5})
    assert 'data-grid="output"' not in hidden and f"gives 1 × {truth}" not in hidden.alt
    gives_away = re.compile(rf"(= |× |output ){truth}\b")
    assert not [text for text in texts(hidden) if gives_away.search(text) and "input" not in text]
    assert conv_picture(state | {"predict": True, "guess": truth}) == conv_picture(state)


@pytest.mark.parametrize(
    ("state", "guess", "sentence"),
    [
        ({"padding": 1, "stride": 2}, 4, "Right: the output is 4 × 4."),
        ({}, 4, "without the + 1"),
        ({"size": 8, "stride": 2}, 4, "rounded up"),
        ({"padding": 1}, 5, "no padding"),
        ({"padding": 1}, 6, "without the + 1"),
        ({"padding": 3, "stride": 2}, 5, "without the + 1"),
        ({"padding": 4, "size": 8}, 10, "one side only"),
        ({"dilation": 2}, 5, "dilation 1"),
        ({"stride": 2}, 5, "stride 1"),
        ({"size": 16, "stride": 3}, 3, "division by s + 1"),
        ({"size": 16, "stride": 3, "kernel_size": 2}, 16, "size of the input"),
        ({"out_channels": 64}, 64, "number of channels"),
        ({}, 99, "Put the numbers into the formula"),
    ],
    ids=str,
)
def test_a_wrong_guess_is_recognised(state, guess, sentence):
    assert sentence in diagnose(ConvSetup.of(state), guess)


def test_states_go_there_and_back_and_unknown_names_are_named():
    for preset in PRESETS:
        assert ConvSetup.of(ConvSetup.of(preset).state()) == ConvSetup.of(preset)
    for preset in field.PRESETS:
        assert FieldSetup.of(FieldSetup.of(preset).state()) == FieldSetup.of(preset)
    with pytest.raises(ValueError, match="there is no preset 'LeNet C7'; there are: First steps"):
        conv_picture("LeNet C7")
    with pytest.raises(ValueError, match="there is no setting 'kernel'; there are: kind, size, kernel_size"):
        conv_picture({"kernel": 3})
    with pytest.raises(ValueError, match="kind is 'median'; it can be 'conv', 'max', 'avg'"):
        conv_picture({"kind": "median"})
    with pytest.raises(ValueError, match="size is '7'; pass a whole number"):
        conv_picture({"size": "7"})
    with pytest.raises(ValueError, match="there is no setting 'depth'; there are: in_channels, size"):
        volume_picture({"depth": 3})
    with pytest.raises(ValueError, match="there is no preset 'ResNet'; there are: Three 3×3"):
        field_picture("ResNet")


# ---- receptive fields and volumes --------------------------------------------------------------------------------


@pytest.mark.parametrize(("preset", "field"), [("AlexNet", 195), ("VGG-16", 212), ("LeNet-5", 16)])
def test_the_field_picture_ends_in_the_known_field(preset, field):
    words = texts(field_picture(preset))
    assert f"{field} px" in words
    assert any(word.endswith(f"= {field}") for word in words)


def test_the_field_grows_row_by_row():
    words = texts(field_picture({"size": 20, "layers": [(3, 2), (3, 1), (2, 2)]}))
    assert [word for word in words if "·" in word and word[0].isdigit()] == [
        "1 + (3−1)·1·1 = 3",
        "3 + (3−1)·1·2 = 7",
        "7 + (2−1)·1·2 = 9",
    ]
    assert "7 px" in texts(field_picture({"size": 20, "layers": [(3, 2), (3, 1), (2, 2)], "shown": 2}))


@pytest.mark.parametrize(
    ("layers", "sentence"),
    [
        ([(3, 1)] * 3, "1 + L(K − 1) = 1 + 3·2 = 7 holds here: stride 1, dilation 1."),
        ([(3, 2)] * 3, "1 + L(K − 1) = 1 + 3·2 = 7 does not hold here:"),
    ],
    ids=["stride 1", "stride 2"],
)
def test_the_lectures_shortcut_is_judged(layers, sentence):
    assert sentence in texts(field_picture({"size": 32, "layers": layers}))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 2), st.just(0), st.integers(1, 2)), min_size=1, max_size=3),
    st.integers(0, 9),
)
def test_the_cells_seen_are_those_with_a_gradient(layers, cell):
    setup = FieldSetup(size=64, layers=tuple(layers), cell=cell)
    pixels = torch.zeros(1, 1, 64, requires_grad=True)
    signal = pixels
    for kernel_size, stride, _, dilation in layers:
        signal = F.conv1d(signal, torch.ones(1, 1, kernel_size), stride=stride, dilation=dilation)
    assert setup.sizes[-1] == signal.shape[-1]
    signal[0, 0, min(cell, signal.shape[-1] - 1)].backward()
    assert setup.seen[0] == set(torch.nonzero(pixels.grad[0, 0]).flatten().tolist())


def test_a_layer_that_does_not_fit_is_named():
    setup = FieldSetup(size=8, layers=((3, 2), (3, 2), (3, 2)))
    with pytest.raises(InvalidSetting, match=r"layer 3 \(3×3 /2\): kernel 3 is larger than the padded input 1"):
        _ = setup.sizes
    assert "layer 3 (3×3 /2)" in " ".join(texts(field_picture(setup.state())))


def test_the_volume_picture_of_the_lecture():
    words = texts(volume_picture())
    assert {"3 × 32 × 32", "6 filters", "each 3 × 5 × 5", "6 × 28 × 28"} <= set(words)
    assert "One filter at one position: 3·5·5 = 75 products + bias → 1 number" in words
    assert "A 28 × 28 grid, at each point a 6-dim vector" in words
    assert "Parameters: 6 × (75 + 1) = 456" in words
    assert "kernel 40 is larger than the padded input 32" in texts(volume_picture({"kernel_size": 40}))
    assert VolumeSetup.of(VolumeSetup(size=9).state()) == VolumeSetup(size=9)


# ---- every picture -----------------------------------------------------------------------------------------------

PICTURES = (
    [(f"conv {name}", conv_picture, state) for name, state in PRESETS.items()]
    + [(f"field {name}", field_picture, state) for name, state in field.PRESETS.items()]
    + [
        ("widest kernel", conv_picture, {"size": 12, "kernel_size": 7, "padding": 3}),
        ("widest grids", conv_picture, {"size": 12, "kernel_size": 1, "padding": 6}),
        ("many channels", conv_picture, {"size": 6, "in_channels": 16, "out_channels": 16, "groups": 2, "filter": 9}),
        ("floor and padding", conv_picture, {"kind": "max", "size": 6, "stride": 2, "padding": 1}),
        ("hidden", conv_picture, {"predict": True}),
        ("input view", conv_picture, {"view": "input", "padding": 1, "step": 20}),
        ("invalid", conv_picture, {"kernel_size": 9, "dilation": 4}),
        ("large dilation", conv_picture, {"size": 100, "dilation": 30}),
        ("no layer", field_picture, {"layers": []}),
        ("edge of the image", field_picture, {"size": 24, "layers": [(3, 1, 1), (3, 1, 1)], "cell": 0}),
        ("volume", volume_picture, {}),
        ("deep volume", volume_picture, {"in_channels": 512, "out_channels": 512, "size": 14, "kernel_size": 3}),
        ("wide volume", volume_picture, {"size": 8, "kernel_size": 3, "padding": 4, "out_channels": 16}),
        ("tiny volume", volume_picture, {"in_channels": 1, "size": 3, "kernel_size": 3, "out_channels": 1}),
    ]
)


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def pictures(*sizes: int) -> Iterator[tuple[str, svg.Picture]]:
    for font_px in sizes:
        for name, draw, state in PICTURES:
            yield f"{name}, {font_px} px", draw(state, font_px=font_px)


def test_no_text_leaves_the_paper_and_nothing_needs_a_stylesheet() -> None:
    wrong = []
    for name, picture in pictures(16, 22, 28):
        root = tree(picture)
        head = [child.tag for child in root[:2]] == [f"{SVG}title", f"{SVG}desc"]
        if root.get("role") != "img" or root.get("aria-label") != picture.alt or not head:
            wrong.append(f"{name}: it does not say what it shows")
        if re.search(r"<style|style=|class=|\bid=|url\(", picture):
            wrong.append(f"{name}: styles or ids")
        width, height = float(root.get("width")), float(root.get("height"))
        for element in root.iter(f"{SVG}text"):
            if element.get("x") is None or element.get("font-size") is None:
                continue  # numbers in a grid, which stand in cells of their own
            size, content = float(element.get("font-size")), "".join(element.itertext())
            mono = "Menlo" in element.get("font-family", "")
            length = 0.602 * size * len(content) if mono else font(100).getlength(content) * size / 100
            x = float(element.get("x")) - {"start": 0, "middle": 0.5, "end": 1}[element.get("text-anchor")] * length
            if not (x >= 0 and x + length <= width and size * 0.7 <= float(element.get("y")) <= height):
                wrong.append(f"{name}: {content}")
    assert not wrong


def test_no_shape_leaves_the_paper() -> None:
    wrong = []
    for name, picture in pictures(16, 22):
        root = tree(picture)
        width, height = float(root.get("width")), float(root.get("height"))
        for element in list(root.iter(f"{SVG}rect"))[1:]:
            x, y, w, h = (float(element.get(side)) for side in ("x", "y", "width", "height"))
            if not (-1 <= x and x + w <= width + 1 and -1 <= y and y + h <= height + 1):
                wrong.append(f"{name}: {x, y, w, h}")
    assert not wrong


def test_a_picture_displays_itself_with_words_beside_it():
    picture = conv_picture({"stride": 3})
    data, metadata = picture._repr_mimebundle_()
    assert data == {"image/svg+xml": str(picture)}
    assert metadata["image/svg+xml"]["alt"] == repr(picture) == picture.alt
    assert "gives 1 × 2 × 2. The floor drops the last 1 px" in picture.alt
    assert conv_picture({"stride": 3}) == picture  # the same every time: nbval compares it


def test_names_are_escaped():
    picture = field_picture({"size": 9, "layers": [(3, 1, 0, 1, "<b> & co")]})
    assert "<b> & co" in texts(picture)


@pytest.mark.parametrize(
    ("module", "without"),
    [("conv_math", ("numpy", "torch", "ipywidgets")), ("svg_conv", ("torch", "ipywidgets", "matplotlib"))],
    ids=["ground floor", "views"],
)
def test_lower_floors_import_nothing_heavy(module, without):
    code = f"import sys, helpers.{module}; print([name for name in {without!r} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
