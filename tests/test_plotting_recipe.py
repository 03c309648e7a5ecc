"""The figures of the training recipe: what is drawn is what was handed in, and the description says so."""

from __future__ import annotations

import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import same_color
from torch import nn

from helpers import plotting
from helpers.activations import statistics
from helpers.plotting import recipe


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_activation_functions_and_their_slopes():
    figure = recipe.activation_functions({"ReLU": torch.relu, "tanh": torch.tanh})
    values, slopes = ([line.get_ydata() for line in axis.lines] for axis in figure.axes[:2])
    x = np.asarray(figure.axes[0].lines[0].get_xdata())
    np.testing.assert_allclose(values[0], np.maximum(x, 0))
    np.testing.assert_allclose(slopes[0], x > 0)
    np.testing.assert_allclose(slopes[1], 1 - np.tanh(x) ** 2, atol=1e-12)
    assert "ReLU from 0.00 to 5.00, slope 1.00 at 5" in figure.alt


def test_by_depth_leaves_out_zeros_and_says_how_first_and_last_compare():
    torch.manual_seed(0)
    deep = nn.Sequential(*[nn.Sequential(nn.Linear(64, 64, bias=False), nn.Tanh()) for _ in range(4)], nn.Linear(64, 2))
    for module in deep.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.1 / 8)  # every layer makes it ten times smaller
    layers = statistics.watch(deep, torch.randn(200, 64), torch.zeros(200, dtype=torch.int64))
    figure = recipe.by_depth({"small": layers})
    left, right = figure.axes[:2]
    assert left.get_yscale() == right.get_yscale() == "log"
    ends = np.log10([left.get_ylim(), right.get_ylim()])
    np.testing.assert_allclose(ends, ends.round(), atol=1e-9)
    assert list(left.lines[0].get_ydata()) == [layer.std for layer in layers]
    assert list(right.lines[0].get_ydata()) == [layer.gradient for layer in layers]
    powers = round(np.log10(layers[-1].std / layers[0].std))
    assert powers <= -3 and f"activations change by 10^{powers}" in figure.alt
    silent = [dataclasses.replace(layer, std=0.0) for layer in layers]
    figure = recipe.by_depth({"zeros": silent})
    assert np.isnan(figure.axes[0].lines[0].get_ydata()).all() and "zero in some layers" in figure.alt
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["zeros: all activations 0, not drawn"]
    silent = [dataclasses.replace(layer, gradient=0.0) for layer in silent]
    figure = recipe.by_depth({"zeros": silent, "small": layers})
    words = ["zeros: all activations and gradients 0, not drawn", "small"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == words


def test_norm_axes_mark_the_numbers_that_share_a_mean():
    figure = recipe.norm_axes()
    figure.draw_without_rendering()
    tops = [axis.title.get_window_extent().y1 for axis in figure.axes]
    assert max(tops) < figure.bbox.y1, "the titles are cut off"
    marked = {
        axis.get_title(): sum(same_color(box.get_facecolor(), plotting.ORANGE) for box in axis.patches)
        for axis in figure.axes
    }
    # maps of 4 images x 6 channels
    assert marked == {"batch norm": 4, "layer norm": 6, "instance norm": 1, "group norm": 3}


def test_histograms_count_all_values_but_zeros_on_one_scale():
    torch.manual_seed(0)
    wide, narrow = torch.randn(100, 8), 0.01 * torch.randn(100, 8)
    relu = torch.cat([torch.zeros(50, 8), torch.ones(50, 8)])
    figure = recipe.histograms({"tanh": {"layer 1": wide, "layer 8": narrow}, "ReLU": {"layer 1": relu}}, title="T")
    first, last, halves, _ = figure.axes
    counts = [sum(bar.get_height() for bar in axis.patches) for axis in (first, last, halves)]
    assert counts == [800, 800, 400] and first.get_xlim() == last.get_xlim()
    assert sum(bar.get_height() > 0 for bar in last.patches) <= 2 < sum(bar.get_height() > 0 for bar in first.patches)
    assert [axis.texts[0].get_text() for axis in (first, halves)] == ["std 1", "std 0.5\n50% are 0"]
    assert (first.get_title(), first.get_ylabel(), halves.get_ylabel()) == ("layer 1", "tanh", "ReLU")


def test_gallery_shows_grey_and_colour_under_their_names():
    grey, colour = torch.rand(1, 8, 8), torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8)
    figure = recipe.gallery({"grey": grey, "in\ncolour": colour}, title="Two")
    shown = [axis.images[0].get_array() for axis in figure.axes if axis.images]
    assert shown[0].shape == (8, 8, 3) and (shown[1] == colour.permute(1, 2, 0).numpy()).all()
    assert figure.alt == "Two: grey, in colour."


def drawn_bands(axis):
    """Lowest and highest point at every place, band by band."""
    corners = [collection.get_paths()[0].vertices for collection in axis.collections]
    return [[(ys.min(), ys.max()) for x in np.unique(c[:, 0]) for ys in [c[c[:, 0] == x, 1]]] for c in corners]


def test_bands_go_from_the_lowest_to_the_highest_seed_in_every_panel():
    panels = {"near": {"plain": [[10, 50], [30, 50]], "norm": [[5, 7], [5, 9]]}, "far": {"norm": [[80, 2]]}}
    figure = plotting.bands(panels, (1, 8), x_label="batch", y_label="error, %", title="T", guessing=25)
    near, far = figure.axes
    assert drawn_bands(near) == [[(10, 30), (50, 50)], [(5, 5), (7, 9)]] and drawn_bands(far) == [[(80, 80), (2, 2)]]
    lines = [[list(line.get_ydata()) for line in axis.lines] for axis in (near, far)]
    assert lines == [[[20, 50], [5, 8], [25, 25]], [[80, 2], [25, 25]]]
    assert near.lines[1].get_color() == far.lines[0].get_color(), "a name keeps its look"
    assert near.get_ylim() == far.get_ylim() and far.get_ylim()[1] > 80
    assert [label.get_text() for label in near.get_xticklabels()] == ["1", "8"]
    words = "near, plain: 20, 50; near, norm: 5, 8; far, norm: 80, 2."
    assert figure.alt == f"T. error, % at batch 1, 8. {words}"


def test_the_names_of_last_term_draw_the_same():
    panel = {"plain": [[10, 50], [30, 50]], "norm": [[5, 7], [5, 9]]}
    by_place = {"plain": [[10, 30], [50, 50]], "norm": [[5, 5], [7, 9]]}
    new = plotting.bands({"": panel}, (1, 8), x_label="batch", y_label="error, %", title="T")
    old = recipe.over_settings(by_place, (1, 8), x_label="batch", y_label="error, %", title="T")
    assert drawn_bands(old.axes[0]) == drawn_bands(new.axes[0]) and old.alt == new.alt
    assert recipe.curves is plotting.bands


def test_learning_rates_mark_the_chosen_one():
    figure = recipe.learning_rates([0.001, 0.01, 0.1], [2.0, 1.0, float("nan")], chosen=0.005)
    curve, chosen = figure.axes[0].lines
    assert figure.axes[0].get_xscale() == "log" and list(chosen.get_xdata()) == [0.005, 0.005]
    assert list(curve.get_ydata())[:2] == [2.0, 1.0] and "lowest near 0.01, chosen 0.005" in figure.alt
