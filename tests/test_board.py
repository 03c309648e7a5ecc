"""The training board without a browser: the thread, the controls, and the picture (ipywidgets 7.7 and 8)."""

from __future__ import annotations

import base64
import functools
import io
import re
import threading
import time
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from helpers.svg import Picture
from helpers.svg import board as svg_board
from helpers.svg.board import BoardState, board_picture
from helpers.widgets.board import TrainingBoard


def stripes(count: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures (N, 1, 8, 8) with noise and a bright column (class 0) or row (class 1): learned in a few steps."""
    generator = torch.Generator().manual_seed(0)
    images = 0.2 * torch.rand(count, 1, 8, 8, generator=generator)
    labels = torch.arange(count) % 2
    images[labels == 0, :, :, 3] += 1
    images[labels == 1, :, 3, :] += 1
    return images, labels


def small_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))


def board(model: nn.Module | None = None, **settings) -> TrainingBoard:
    images, labels = stripes()
    model = small_net() if model is None else model
    return TrainingBoard(model, (images[:150], labels[:150]), (images[150:], labels[150:]), **settings)


def until(condition, seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.002)
    return condition()


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert until(lambda: all(thread.name != "training board" for thread in threading.enumerate())), "still training"


# ---- training ------------------------------------------------------------------------------------------------------


def test_it_learns_and_says_so():
    shown = board(lr=0.05)
    assert shown.state.status == "not started" and shown.steps == 0 and "not started" in repr(shown)
    shown.run(60)
    assert shown.steps == 60 and not shown.running and shown.problem == ""
    assert shown.state.losses[0] > 0.4 and np.mean(shown.state.losses[-10:]) < 0.1
    assert shown.state.checks[-1] == (60, 100.0)
    assert shown.picture.value == shown.svg() == board_picture(shown.state)


@pytest.mark.parametrize(
    ("kind", "theirs"),
    [
        ("SGD, momentum 0.9", functools.partial(torch.optim.SGD, lr=0.05, momentum=0.9)),
        ("SGD", functools.partial(torch.optim.SGD, lr=0.05)),
        ("Adam", functools.partial(torch.optim.Adam, lr=0.05)),
    ],
)
def test_the_steps_are_those_of_torch(kind: str, theirs) -> None:
    net, images, labels = small_net(), *stripes()
    shown = board(net, lr=0.05, batch_size=150)  # one batch an epoch, so its order does not matter
    shown.kind.value = kind
    shown.run(4)
    twin = small_net()
    optimizer = theirs(twin.parameters())
    for _ in range(4):
        optimizer.zero_grad()
        nn.functional.cross_entropy(twin(images[:150]), labels[:150]).backward()
        optimizer.step()
    for a, b in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_it_shows_validation_images_with_what_the_network_says_now():
    shown, (images, labels) = board(lr=0.05, classes=["column", "row"]), stripes()
    assert shown.state.images == ()
    shown.run(3)
    tiles, places = shown.state.images, [150, 157, 164, 171, 178, 185, 192, 199]  # evenly over the fifty
    assert [tile.right for tile in tiles] == [["column", "row"][labels[place]] for place in places]
    said = shown._trainer.model(images[places]).softmax(dim=1)
    for tile, place, shares in zip(tiles, places, said, strict=True):
        assert dict(tile.bars) == pytest.approx(dict(zip(["column", "row"], shares.tolist(), strict=True)), abs=1e-4)
        assert tile.bars[0][1] >= tile.bars[1][1]
        assert tile.pixels.reshape(64, 3)[images[place].flatten().argmax()].tolist() == [255, 255, 255]
    assert shown.picture.value.count("<image") == 4 + 8 and shown.picture.value.count(" ✓<") == 8


def test_a_new_learning_rate_acts_while_it_trains():
    shown = board(lr=0.01, most_steps=10**6)
    shown.start()
    assert until(lambda: shown.steps > 5)
    assert shown.running and shown.start_button.description == "Stop"
    shown.rate.value = 0.1
    assert until(lambda: len(shown.state.rates) == 2)
    shown.stop()
    (first, before), (at, after) = shown.state.rates
    assert (first, before, after) == (0, 0.01, 0.1) and 5 < at < shown.steps
    assert shown._trainer.optimizer.param_groups[0]["lr"] == 0.1


def test_start_returns_at_once_and_stop_ends_soon():
    shown = board(most_steps=10**6)
    shown.start()
    assert shown.running  # back while it trains: it would go on for hours
    shown.start()  # once more changes nothing
    assert sum(thread.name == "training board" for thread in threading.enumerate()) == 1
    assert until(lambda: shown.steps > 0)
    shown.stop()
    steps = shown.steps
    assert not shown.running and shown.state.status == "stopped" and shown.start_button.description == "Start"
    time.sleep(0.05)
    assert shown.steps == steps
    shown.stop()  # it stands already


def test_the_buttons_start_stop_and_begin_anew():
    shown = board(most_steps=10**6)
    weights = [p.detach().clone() for p in shown._trainer.model.parameters()]
    shown.start_button.click()
    assert until(lambda: shown.steps > 3)
    shown.start_button.click()
    assert not shown.running and shown.steps > 3
    shown.anew_button.click()
    assert shown.steps == 0 and shown.state.status == "not started"
    assert all(torch.equal(a, b) for a, b in zip(weights, shown._trainer.model.parameters(), strict=True))


def test_it_goes_on_where_it_stopped_and_begins_anew_the_same():
    shown, whole = board(), board()
    shown.run(10)
    shown.run(10)
    whole.run(20)
    assert shown.state.losses == whole.state.losses
    shown.reset()
    shown.run(20)
    assert shown.state.losses == whole.state.losses


def test_it_stops_by_itself():
    shown = board(most_steps=7)
    shown.start()
    shown.wait()
    assert shown.steps == 7


def test_the_picture_is_redrawn_while_it_trains():
    shown, drawn = board(most_steps=10**6, redraw_seconds=0.0), []
    shown.picture.observe(lambda change: drawn.append(threading.current_thread().name), names="value")
    shown.start()
    assert until(lambda: len(drawn) >= 3)
    shown.stop()
    assert set(drawn) == {"training board"}


def test_caller_keeps_random_numbers_and_gets_eval_mode():
    model, before = nn.Sequential(nn.Dropout(0.5), *small_net()), torch.get_rng_state()
    shown = board(model)
    shown.run(5)
    assert torch.equal(before, torch.get_rng_state())
    assert not any(module.training for module in model.modules())
    once = shown.state.losses
    assert len(set(once)) == 5
    torch.rand(7)
    shown.reset()
    shown.run(5)
    assert shown.state.losses == once, "what is dropped depends on the seed alone"


def test_an_interrupt_stops_it(monkeypatch, capsys):
    shown = board(most_steps=10**6)
    shown.start()
    joins = []

    def join(timeout=None):
        joins.append(timeout)
        if len(joins) == 1:
            raise KeyboardInterrupt
        threading.Thread.join(shown._thread, timeout)

    monkeypatch.setattr(shown._thread, "join", join)
    shown.wait()
    assert not shown.running and "Stopped by you after" in capsys.readouterr().out


def test_a_new_board_stops_the_one_whose_cell_is_run_again():
    old = board(most_steps=10**6)
    old.start()
    assert until(lambda: old.steps > 0)
    new = board()
    assert not old.running and new.state.status == "not started"


# ---- what goes wrong -------------------------------------------------------------------------------------------------


class Breaks(nn.Module):
    """Works until its third call in training."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.calls = small_net(), 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.calls += self.training
        if self.calls == 3:
            raise RuntimeError("the cable was pulled")
        return self.net(images)


def test_an_exception_in_the_thread_becomes_a_sentence():
    shown = board(Breaks())
    shown.run(10)
    assert shown.problem == "The training stopped by itself: RuntimeError: the cable was pulled"
    assert shown.steps == 2 and not shown.running and shown.start_button.description == "Start"
    assert "the cable was pulled" in shown.picture.value and "the cable was pulled" in repr(shown)
    assert not shown._trainer.model.training


def test_a_loss_that_is_no_number_says_what_to_do_and_start_begins_anew():
    class Exploding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = small_net()

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.net(images) ** 3

    shown = board(Exploding(), lr=10.0)
    shown.run(200)
    assert shown.problem.startswith("The loss became nan with the learning rate 10: the steps were too large. Move")
    shown.svg()
    shown.rate.value = 0.01
    shown.run(3)
    assert shown.problem == "" and shown.steps == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": 20}, r"lr=20 must be from 0.0001 to 10"),
        ({"train": (torch.rand(3, 1, 8, 8), torch.zeros(2, dtype=torch.long))}, "train has 3 images and 2 labels"),
        ({"val": (torch.rand(0, 1, 8, 8), torch.zeros(0, dtype=torch.long))}, "val has 0 images and 0 labels"),
        (
            {"train": (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.zeros(2, dtype=torch.long))},
            r"train holds torch.uint8 images; pass what the network takes",
        ),
    ],
    ids=["learning rate", "lengths", "empty", "integers"],
)
def test_wrong_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        TrainingBoard(**({"model": small_net(), "train": stripes(), "val": stripes()} | change))


# ---- the widget ------------------------------------------------------------------------------------------------------


def test_core_widgets_only_and_no_output_widget():
    todo, names = [board()], set()
    while todo:
        widget = todo.pop()
        names.add(widget._model_name)
        assert widget._model_module in ("@jupyter-widgets/base", "@jupyter-widgets/controls")
        todo += getattr(widget, "children", ())
    assert "FloatLogSliderModel" in names and "OutputModel" not in names


# ---- the picture -----------------------------------------------------------------------------------------------------


def test_the_picture_of_a_state():
    rng = np.random.default_rng(0)
    losses = tuple(2.3 * 0.99**step for step in range(1000))
    state = BoardState(losses, ((500, 80.0), (1000, 93.5)), ((0, 0.02), (400, 0.1)), rng.normal(size=(6, 1, 5, 5)), "x")
    picture = board_picture(state)
    assert isinstance(picture, Picture)
    ElementTree.fromstring(picture)
    assert "x: 1,000 steps, learning rate 0.1" in picture.alt and "93.5 % of the validation" in picture.alt
    assert "6 filters of 5 × 5" in picture.alt and "training loss 2.30 at the first step" in picture.alt
    assert picture.count("<polyline") == 2 and ">learning rate 0.1<" in picture
    files = [io.BytesIO(base64.b64decode(data)) for data in re.findall(r'base64,([^"]+)"', picture)]
    drawn = [np.asarray(Image.open(file)) for file in files]
    assert [(image.shape, image.min(), image.max()) for image in drawn] == [((5, 5, 3), 0, 255)] * 6
    brightest = [int(image[..., 0].argmax()) for image in drawn]
    assert brightest == state.filters.reshape(6, -1).argmax(axis=1).tolist()
    curve = picture.split('<polyline points="')[1].split('"')[0].split()
    assert len(curve) == svg_board.CURVE_POINTS


def test_the_mean_curve_keeps_the_mean():
    values = np.random.default_rng(1).random(1501)
    points = svg_board._thinned(tuple(values))
    weights = np.diff([0, *(at for at, _ in points)])
    assert points[-1][0] == 1501 and len(points) == svg_board.CURVE_POINTS
    assert np.average([value for _, value in points], weights=weights) == pytest.approx(values.mean())


@pytest.mark.parametrize("changes", [1, 2, 3, 5])
def test_the_last_three_rates_are_named_from_the_top_row_down(changes):
    rates = tuple((100 * number, 0.01 * (number + 1)) for number in range(changes + 1))
    picture = board_picture(BoardState(losses=(1.0,) * 1000, rates=rates))
    texts = [part for part in ElementTree.fromstring(picture).iter() if part.tag.endswith("text")]
    named = [part for part in texts if part.text.startswith("learning rate")]
    assert [part.text for part in named] == [f"learning rate {rate:.3g}" for _, rate in rates[1:][-3:]]
    rows = [float(part.get("y")) for part in named]
    first = float(next(part for part in texts if part.text == "training loss").get("y"))
    assert rows == sorted(rows) and first < rows[0] < first + 2 * 16


@pytest.mark.parametrize(
    "state",
    [
        BoardState(),
        BoardState(losses=(float("nan"),) * 3, problem="It broke < & >"),
        BoardState(losses=(0.0,), checks=((1, 0.0),), rates=((0, 1e-4),)),
        BoardState(filters=np.zeros((64, 3, 11, 11))),
        BoardState(filters=np.full((6, 1, 5, 5), np.nan)),
    ],
    ids=["nothing yet", "no numbers", "zeros", "many colour filters", "filters that broke"],
)
def test_any_state_can_be_drawn(state):
    picture = board_picture(state, font_px=22)
    for part in ElementTree.fromstring(picture).iter():
        assert not any("nan" in value for name, value in part.attrib.items() if name != "aria-label")
