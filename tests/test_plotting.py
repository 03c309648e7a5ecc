"""Figures say what their data say, carry a text, and leave matplotlib's settings alone."""

from __future__ import annotations

import base64
import importlib
import io
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from kill_me import tiny_folder, tiny_loaders
from matplotlib.figure import Figure
from PIL import Image

from helpers import loaders, plotting
from helpers.training import Epoch, Evaluation, History, TrainConfig

CLASSES = ["bike", "cat", "dog"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> loaders.Loaders:
    return tiny_loaders(tiny_folder(tmp_path_factory.mktemp("pictures") / "tiny"))


def history(name: str = "net", *, epochs: int = 3) -> History:
    rows = [Epoch(n, 1 / n, 50 + 5 * n, 1.1 / n, 40 + 10 * n, 0.1, 1.0) for n in range(1, epochs + 1)]
    return History("bcdp_v1", name, TrainConfig(), rows)


def evaluation(labels: list[int], predicted: list[int], *, sure: list[float] | None = None) -> Evaluation:
    """Three classes; picture i is given class ``predicted[i]`` with probability ``sure[i]``, the rest shared."""
    confusion = torch.zeros(3, 3, dtype=torch.int64)
    probabilities = torch.zeros(len(labels), 3)
    for index, (label, guess) in enumerate(zip(labels, predicted, strict=True)):
        confusion[label, guess] += 1
        probability = sure[index] if sure else 0.8
        probabilities[index] = (1 - probability) / 2
        probabilities[index, guess] = probability
    right = sum(label == guess for label, guess in zip(labels, predicted, strict=True))
    return Evaluation(100 * right / len(labels), 0.5, confusion, probabilities, torch.tensor(labels))


MISTAKEN = evaluation([0] * 4 + [1] * 4 + [2] * 4, [0, 0, 0, 2, 1, 1, 2, 2, 2, 2, 2, 0])


def texts(figure: Figure) -> list[str]:
    """Everything that is written in a figure."""
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]


def every_figure(data: loaders.Loaders) -> dict[str, Callable[[], Figure]]:
    weights = np.random.default_rng(0).normal(size=(20, 3, 5, 5))
    image = np.zeros((8, 8, 3))
    return {
        "sample_grid": lambda: plotting.sample_grid(data.train.dataset, data.classes, per_class=3, title="tiny"),
        "curves": lambda: plotting.curves(history()),
        "confusion": lambda: plotting.confusion(MISTAKEN, CLASSES),
        "worst_mistakes": lambda: plotting.worst_mistakes(MISTAKEN, data.test.dataset, CLASSES),
        "prediction": lambda: plotting.prediction(image, [0.1, 0.7, 0.2], CLASSES, title="mine.jpg"),
        "channels": lambda: plotting.channels(torch.zeros(3, 8, 8, dtype=torch.uint8), title="a picture"),
        "maps": lambda: plotting.maps({"conv1": torch.rand(4, 4)}, title="maps"),
        "filters": lambda: plotting.filters(weights, title="filters"),
        "bars": lambda: plotting.bars({"a": 1.0, "b": 2.0}, title="bars", unit="%"),
        "bars to both sides": lambda: plotting.bars({"a": -1.0, "b": 2.0}, title="bars", unit="%"),
        "bars downwards": lambda: plotting.bars({"a": -1.0, "b": -20.0}, title="bars", unit="%"),
    }


def test_every_figure_has_a_text_and_leaves_settings_alone(data: loaders.Loaders) -> None:
    settings, open_figures = dict(matplotlib.rcParams), plt.get_fignums()
    for name, draw in every_figure(data).items():
        figure = draw()
        figure.savefig(io.BytesIO(), format="png")
        assert isinstance(figure, plotting.Figure) and len(figure.alt) > 20 and "\n" not in figure.alt, name
    assert dict(matplotlib.rcParams) == settings
    assert plt.get_fignums() == open_figures  # nothing that a notebook would show by itself


def test_nothing_is_cut_off_or_too_small(data: loaders.Loaders) -> None:
    wrong = []
    for name, draw in every_figure(data).items():
        figure = draw()
        figure.savefig(io.BytesIO(), format="png")  # lays everything out
        width, height = figure.get_size_inches()
        box = figure.get_tightbbox()  # around everything that is drawn
        if min(box.x0, box.y0) < -0.04 or box.x1 > width + 0.04 or box.y1 > height + 0.04:
            wrong.append(f"{name} is cut off: {box}")
        written = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
        for axis in figure.axes:
            written += [axis.title, axis._left_title, *axis.texts]
            if axis.axison:
                written += [axis.xaxis.label, axis.yaxis.label, *axis.get_xticklabels(), *axis.get_yticklabels()]
        wrong += [f"{name}: small {t.get_text()!r}" for t in written if t.get_text() and t.get_fontsize() < 11]
    assert not wrong


def test_show_gives_the_picture_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *args, **options: shown.append((args, options)))
    figure = plotting.curves(history())
    plotting.show(figure)
    plotting.show(figure, alt="another text")
    ((bundle,), options), (_, other) = shown
    about = options["metadata"]["image/png"]
    assert about["alt"] == figure.alt and options["raw"] is True
    assert bundle["text/plain"] == figure.alt
    assert other["metadata"]["image/png"]["alt"] == "another text"
    picture = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"])))
    assert (about["width"], about["height"]) == pytest.approx([0.6 * side for side in picture.size], abs=1)  # sharper
    assert picture.size == pytest.approx(figure.get_size_inches() * plotting.DPI, abs=1)


def test_show_closes_a_pyplot_figure_so_that_it_is_not_shown_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("IPython.display.display", lambda *args, **options: None)
    figure = plt.figure()
    plotting.show(figure, alt="an empty figure")
    assert figure.number not in plt.get_fignums()


def test_show_wants_a_text() -> None:
    with pytest.raises(ValueError, match=r"no alternative text yet: show\(figure, alt='what one sees in it'\)"):
        plotting.show(Figure())


def test_importing_sets_nothing_and_loads_neither_torch_nor_a_window() -> None:
    code = (
        "import sys, matplotlib; before = dict(matplotlib.rcParams); import helpers.plotting; "
        "assert dict(matplotlib.rcParams) == before; "
        "print([name for name in ('torch', 'torchvision', 'matplotlib.pyplot', 'IPython') if name in sys.modules])"
    )
    environment = {**os.environ, "MPLBACKEND": "agg"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert run.stdout == "[]\n"


def test_figures_of_one_subject_are_names_of_plotting_too() -> None:
    for file, names in plotting._ELSEWHERE.items():
        for name in names:
            assert getattr(plotting, name) is getattr(importlib.import_module(f"helpers.plotting.{file}"), name)
    with pytest.raises(AttributeError, match="no attribute 'bandz'"):
        _ = plotting.bandz


def test_curves_draw_what_happened() -> None:
    figure = plotting.curves([history("a"), history("b", epochs=2)], names=["frozen", "all"])
    left, right = figure.axes
    assert [line.get_label() for line in left.lines] == [
        "frozen, training", "frozen, validation", "all, training", "all, validation",
    ]  # fmt: skip
    assert left.lines[1].get_xydata().tolist() == [[1, 1.1], [2, 0.55], [3, 1.1 / 3]]
    assert right.lines[2].get_xydata().tolist() == [[1, 55], [2, 60]]
    assert len({(line.get_color(), line.get_marker()) for line in right.lines}) == 2
    assert len({line.get_linestyle() for line in right.lines}) == 2  # training and validation: not by colour alone
    assert "bcdp_v1" in texts(figure)
    assert "frozen: validation accuracy 50 % after the first epoch, at best 70 % (epoch 3)" in figure.alt


@pytest.mark.parametrize("epochs", [0, 1])
def test_curves_of_a_short_training(epochs: int) -> None:
    figure = plotting.curves(history(epochs=epochs))
    figure.savefig(io.BytesIO(), format="png")
    assert ("no epoch was done" in figure.alt) is (epochs == 0)


def test_confusion_has_a_row_for_every_true_class() -> None:
    figure = plotting.confusion(MISTAKEN, CLASSES, title="on tiny")
    (axis,) = figure.axes
    written = {(int(text.get_position()[1]), int(text.get_position()[0])): text.get_text() for text in axis.texts}
    assert written == {
        (row, column): str(MISTAKEN.confusion[row, column].item()) for row in range(3) for column in range(3)
    }
    assert written[1, 2] == "2"  # two cats were taken for dogs
    assert [label.get_text() for label in axis.get_yticklabels()] == CLASSES
    assert (axis.get_ylabel(), axis.get_xlabel()) == ("true", "predicted")
    assert "Most often mistaken: cat for dog (2 times)" in figure.alt
    assert "66.7 % correct" in figure.alt


def test_confusion_without_mistakes() -> None:
    assert "No mistakes" in plotting.confusion(evaluation([0, 1, 2], [0, 1, 2]), CLASSES).alt


def test_worst_mistakes_come_worst_first(data: loaders.Loaders) -> None:
    sure = [0.9, 0.9, 0.9, 0.6, 0.9, 0.9, 0.98, 0.7, 0.9, 0.9, 0.9, 0.8]
    result = evaluation([0] * 4 + [1] * 4 + [2] * 4, [0, 0, 0, 2, 1, 1, 2, 2, 2, 2, 2, 0], sure=sure)
    figure = plotting.worst_mistakes(result, data.test.dataset, CLASSES, count=3)
    assert [axis.get_title() for axis in figure.axes] == [
        "says dog, 98 %\nis cat, 1 %\n002.png",
        "says bike, 80 %\nis dog, 10 %\n003.png",
        "says dog, 70 %\nis cat, 15 %\n003.png",
    ]  # fmt: skip
    drawn = figure.axes[0].images[0].get_array()
    expected = np.asarray(Image.open(data.test.dataset.paths[6]))
    np.testing.assert_allclose(drawn, expected / 255)
    assert figure.alt == "The 3 worst mistakes: cat taken for dog, dog taken for bike, cat taken for dog."


def test_no_mistakes_to_show(data: loaders.Loaders) -> None:
    figure = plotting.worst_mistakes(evaluation([0, 1, 2], [0, 1, 2]), data.test.dataset, CLASSES)
    assert "No mistakes to show: every picture is classified correctly." in texts(figure)


class Samples:
    """As many samples as it takes for ``count`` classes, two of each, in place of a loaded folder."""

    def __init__(self, count: int) -> None:
        self.labels, self.indices = torch.arange(2 * count) % count, torch.arange(2 * count)
        self.data = [(torch.full((3, 4, 4), int(label), dtype=torch.uint8), label) for label in self.labels]


def test_many_classes_stay_on_a_page() -> None:
    """120 classes, as dog breeds are: the most confused ones, with their true counts, and figures of a bounded size."""
    breeds = [f"n{number:08}-breed {number}" for number in range(120)]
    counts = torch.eye(120, dtype=torch.int64) * 9
    counts[77, 118], counts[3, 50], counts[50, 3] = 8, 5, 4
    counts[4, 5 : 5 + plotting.MOST_CONFUSED] = 1
    result = Evaluation(88.0, 0.5, counts, torch.zeros(0, 120), torch.zeros(0, dtype=torch.int64))
    figures = {
        "confusion": plotting.confusion(result, breeds),
        "samples": plotting.sample_grid(Samples(120), breeds, per_class=2, title="breeds"),
        "bars": plotting.bars(dict.fromkeys(breeds, 3.0), title="correct of each class", unit="%"),
    }
    for name, figure in figures.items():
        assert max(figure.get_size_inches()) * 100 <= 3000, name
    (axis,) = figures["confusion"].axes
    shown = [breeds.index(label.get_text()) for label in axis.get_yticklabels()]
    assert len(shown) == plotting.MOST_CONFUSED and {3, 50, 77, 118, 4} <= set(shown) and shown == sorted(shown)
    written = {text.get_position(): int(text.get_text()) for text in axis.texts}
    assert written == {(x, y): counts[a, b] for y, a in enumerate(shown) for x, b in enumerate(shown)}
    at = shown.index(77), shown.index(118)
    assert axis.images[0].get_array()[at] == pytest.approx(8 / 17), "the share of all of its pictures"
    assert any("20 of 120 classes" in text for text in texts(figures["confusion"]))
    assert "breed 77 for n00000118-breed 118 (8 times)" in figures["confusion"].alt
    rows = [axis.get_title(loc="left") for axis in figures["samples"].axes if axis.get_title(loc="left")]
    assert len(rows) == plotting.MOST_ROWS and (rows[0], rows[-1]) == (breeds[0], breeds[-1])
    assert [axis.images[0].get_array()[0, 0, 0] for axis in figures["samples"].axes[-2:]] == [119 / 255] * 2
    assert any("16 of 120 classes" in text for text in texts(figures["samples"]))
    no_mistakes = Evaluation(100.0, 0.5, torch.eye(120, dtype=torch.int64), torch.zeros(0, 120), result.labels)
    assert "No mistakes" in plotting.confusion(no_mistakes, breeds).alt


def named_figures(names: list[str]) -> dict[str, Figure]:
    """Figures with class names as labels of an axis, titles, entries of a legend, and over the whole."""
    images, numbers = torch.zeros(3, 3, 4, 4), np.ones((4, 4, 3))
    return {
        "confusion": plotting.confusion(MISTAKEN, names, title=names[0]),
        "samples": plotting.sample_grid(Samples(3), names, per_class=2, title=names[1]),
        "bars": plotting.bars(dict(zip(names, (3.0, -1.0, 2.0), strict=True)), title=names[2], unit="%"),
        "prediction": plotting.prediction(numbers, [0.5, 0.3, 0.2], names, title=names[0]),
        "gallery": plotting.gallery(dict(zip(names, images, strict=True)), title=names[0]),
        "cam_overlay": plotting.cam_overlay(numbers, dict.fromkeys(names, torch.eye(3))),
        "curves": plotting.curves([history(name) for name in names]),
    }


def drawn(figure: Figure) -> Figure:
    figure.draw_without_rendering()
    return figure


def test_long_names_lose_their_middle_and_nothing_else() -> None:
    """Warnings are errors here: matplotlib says when names leave no room for the rest."""
    names = [f"they begin and end with the same words {n}{', to be told by a number' * 4}" for n in "abc"]
    for kind, figure in named_figures(names).items():
        width, height = drawn(figure).get_size_inches()
        box = figure.get_tightbbox()
        assert min(box.x0, box.y0) > -0.1 and box.x1 < width + 0.1 and box.y1 < height + 0.1, f"{kind}: cut off"
        for axis in figure.axes:
            if axis.get_label() != "<colorbar>":
                assert axis.get_window_extent().width / figure.dpi > 0.08 * width, f"{kind}: room for what is drawn"
            labels = [label.get_text() for label in axis.get_yticklabels()]
            assert len(labels) == len(set(labels)), kind
            if axis.get_title():
                room = width / axis.get_subplotspec().get_gridspec().ncols
                assert axis.title.get_window_extent().width / figure.dpi <= room, kind
        assert "…" not in figure.alt and any("…" in text for text in texts(figure)), kind


def test_names_as_figures_write_them() -> None:
    assert plotting.label("0123456789", 10) == "0123456789"
    assert plotting.label("0123456789ABCDEF", 10) == "01234…BCDEF"
    assert plotting.label("\u732b" * 10, 10) == "\u732b\u732b…\u732b\u732b", "these are twice as wide"
    assert plotting.label("V\udcf6gel", 10) == "V\N{REPLACEMENT CHARACTER}gel"
    assert plotting.label_all(["dog", "a" * 20, "a" * 21], 8) == ["dog", "2 aa…aa", "3 aa…aa"]
    assert plotting.label_all(["\udcf6", "\udce4"], 8) == [f"{n} \N{REPLACEMENT CHARACTER}" for n in (1, 2)]


def test_names_of_any_alphabet_are_drawn() -> None:
    """Bytes that are no UTF-8, dollars, another font of this machine: STIX comes with matplotlib."""
    names = ["V\udcf6gel", r"10$ \frac$ 20$", "\N{LATIN SMALL LETTER D WITH PALATAL HOOK}og"]
    for kind, figure in named_figures(names).items():
        assert figure.alt.encode(), kind
        written = drawn(figure).findobj(matplotlib.text.Text)
        plain = " ".join(text._preprocess_math(text.get_text())[0] for text in written if not text.get_usetex())
        assert "V\N{REPLACEMENT CHARACTER}gel" in plain and names[1] in plain, kind
        assert not any(text._preprocess_math(text.get_text())[1] for text in written), f"{kind}: a formula"
        assert "STIXGeneral" in written[0].get_fontfamily(), kind


def test_letters_of_no_font_are_told_in_one_sentence() -> None:
    names = ["\U0001b000\U0001b001", "\U0001b000", "dog"]
    with pytest.warns(UserWarning) as told:
        drawn(plotting.confusion(MISTAKEN, names))
    (message,) = {str(warning.message) for warning in told}
    assert "has the letters \U0001b000 \U0001b001: boxes stand for them. Install one" in message


def test_sample_grid_shows_pictures_of_each_class(data: loaders.Loaders) -> None:
    part = data.train.dataset
    figure = plotting.sample_grid(part, data.classes, per_class=2)
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["class0", "", "class1", "", "class2", ""]
    second = [path for path in part.paths if path.parent.name == "class1"][1]
    np.testing.assert_allclose(figure.axes[3].images[0].get_array(), np.asarray(Image.open(second)) / 255)


def test_sample_grid_of_a_class_with_few_pictures(data: loaders.Loaders) -> None:
    figure = plotting.sample_grid(data.test.dataset, data.classes, per_class=6)
    assert [len(axis.images) for axis in figure.axes] == [1, 1, 1, 1, 0, 0] * 3


def test_prediction_lists_the_likeliest_first() -> None:
    classes = [f"c{number}" for number in range(20)]
    figure = plotting.prediction(np.zeros((4, 4, 3)), np.arange(20) / 190, classes)
    bars = figure.axes[1]
    assert [label.get_text() for label in bars.get_yticklabels()] == [f"c{number}" for number in range(19, 9, -1)]
    assert bars.patches[0].get_width() == pytest.approx(10.0) and bars.texts[0].get_text() == "10.0 %"
    assert "most likely c19 with 10 %" in figure.alt


def test_filters_are_stretched_one_by_one() -> None:
    weights = np.stack(
        [np.linspace(0, 1, 27).reshape(3, 3, 3), np.linspace(-9, 9, 27).reshape(3, 3, 3), np.zeros((3, 3, 3))]
    )
    figure = plotting.filters(weights, columns=2)
    first, second, third = (axis.images[0].get_array() for axis in figure.axes[:3])
    np.testing.assert_allclose(first, second)
    assert (first.min(), first.max(), third.max()) == (0, 1, 0)
    assert first[0, 1, 2] == pytest.approx(19 / 26)  # (row 0, column 1) of the third channel


def test_bars_with_spread() -> None:
    ends = {"a": (59.0, 61.5), "b": (88.0, 92.0)}
    figure = plotting.bars({"a": 60.0, "b": 90.0}, title="accuracy", unit="%", spread=ends)
    (axis,) = figure.axes
    assert [text.get_text() for text in axis.texts] == ["60.0 %", "90.0 %"]
    assert axis.texts[0].get_position()[0] > 61.5  # beside the error bar
    assert axis.collections[0].get_segments()[0][:, 0].tolist() == [59.0, 61.5]  # not the mean of the two
    assert figure.alt == "accuracy: a 60.0 % (59.0 to 61.5), b 90.0 % (88.0 to 92.0)"


def test_bars_whose_seeds_all_agree() -> None:
    mean = math.fsum([99.6] * 3) / 3  # not 99.6
    plotting.bars({"a": mean}, title="accuracy", unit="%", spread={"a": (99.6, 99.6)})


def test_bars_of_another_kind_look_different_without_colour() -> None:
    (axis,) = plotting.bars({"2011": 25.8, "2012": 16.4}, title="errors", unit="%", apart=["2011"]).axes
    assert [bool(bar.get_hatch()) for bar in axis.patches] == [True, False]
    with pytest.raises(ValueError, match=r"apart names \['2010'\]"):
        plotting.bars({"2011": 25.8}, title="errors", unit="%", apart=["2010"])


def test_the_palette_leaves_room_for_a_colour_bar_beside_a_photo() -> None:
    noise = np.random.default_rng(0).normal(0, 12, size=(300, 500, 3))
    photo = np.linspace((90, 60, 30), (150, 130, 90), 500)[None] + noise  # brown, and nearly no two pixels alike
    bar = 255 * matplotlib.colormaps["viridis"](np.linspace(0, 1, 300))[:, None, :3].repeat(12, axis=1)
    white = np.full((300, 40, 3), 255.0)
    full = np.concatenate([photo, white, bar], axis=1).clip(0, 255).round().astype(np.uint8)
    small = plotting._in_few_colours(Image.fromarray(full))
    error = np.abs(np.asarray(small.convert("RGB")).astype(int) - full)
    assert error[:, 540:].mean() < 4 < np.abs(_median_cut(full) - full)[:, 540:].mean()
    assert error[:, :500].mean() < 6 and error[:, 500:540].max() <= 2


def _median_cut(full: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(full).quantize(256).convert("RGB")).astype(int)


@pytest.mark.parametrize(
    "values",
    [{"loss": -2.0, "gain": 6.0}, {"a": -2.0, "b": -8.0}, {"a": 1.0, "b": 4.0}, {"a": 0.0}, {"a": -3.0, "b": 0.0}],
    ids=["both signs", "all negative", "all positive", "zero", "negative and zero"],
)
def test_bars_of_any_sign_are_seen_with_their_numbers_and_zero(values: dict[str, float]) -> None:
    ends = {name: (value - 0.5, value + 0.5) for name, value in values.items()}
    for spread in (None, ends):
        figure = plotting.bars(values, title="gain", unit="points", spread=spread)
        figure.savefig(io.BytesIO(), format="png")
        (axis,) = figure.axes
        left, right = axis.get_xlim()
        assert left < right and left <= 0 <= right, "from lower to higher values, with zero"
        for bar, value, text in zip(axis.patches, values.values(), axis.texts, strict=True):
            assert bar.get_width() == value and left <= value <= right
            box = text.get_window_extent().transformed(axis.transData.inverted())
            low, high = (value - 0.5, value + 0.5) if spread else (value, value)
            assert box.x1 < low if value < 0 else box.x0 > high, "beside the bar"
            assert left <= box.x0 and box.x1 <= right, "inside the axes"


def test_channels_say_their_means() -> None:
    pixels = torch.stack([torch.full((4, 4), value, dtype=torch.uint8) for value in (10, 20, 30)])
    figure = plotting.channels(pixels, title="grey")
    assert [axis.get_title() for axis in figure.axes] == [
        "the image",
        "red: mean 10",
        "green: mean 20",
        "blue: mean 30",
    ]
    assert figure.axes[2].images[0].get_clim() == (0, 255)


def test_figures_of_other_peoples_photos(tmp_path: Path) -> None:
    """A photo whose probabilities come as a tensor, as in the notebook."""
    path = tmp_path / "photo.png"
    Image.new("RGB", (40, 30), "red").save(path)
    batch = loaders.one_picture(path, size=16)
    figure = plotting.prediction(loaders.as_image(batch), torch.tensor([0.2, 0.5, 0.3]), CLASSES)
    assert figure.axes[0].images[0].get_array()[0, 0].tolist() == pytest.approx([1, 0, 0], abs=1e-5)


def test_signed_maps_have_white_at_zero_and_kernels_their_numbers() -> None:
    kernel, answers, photo = torch.tensor([[-2.0, 0], [0, 1]]), torch.linspace(-3, 1, 64).view(8, 8), torch.rand(8, 8)
    axes = plotting.maps({"kernel": kernel, "answers": answers, "photo": photo}, signed=True).axes
    (first,), (second,), (third,) = (axis.images for axis in axes)
    assert [image.get_clim() for image in (first, second)] == [(-2, 2), (-3, 3)]
    assert all(image.to_rgba(np.zeros(1))[0, :3].min() > 0.95 for image in (first, second))  # zero is white
    assert third.cmap.name == "gray" and third.get_clim() == (photo.min(), photo.max())
    assert [text.get_text() for text in axes[0].texts] == ["-2", "0", "0", "1"] and not axes[1].texts
    assert plotting.maps({"answers": answers}).axes[0].images[0].cmap.name == "gray"
