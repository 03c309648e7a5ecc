"""The explorers without a browser: move a slider, look at the state and at the picture (ipywidgets 7.7 and 8)."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from IPython.core.formatters import DisplayFormatter
from PIL import Image

from helpers import svg, widgets
from helpers.svg import Picture, conv_setup, field, kernel
from helpers.svg.conv import conv_picture
from helpers.svg.field import field_picture
from helpers.svg.volume import volume_picture
from helpers.widgets import ConvExplorer, Explorer, ReceptiveFieldExplorer, VolumeView
from helpers.widgets.explorer import VIEW

# ---- what all have in common -------------------------------------------------------------------------------------

EXPLORERS = pytest.mark.parametrize(
    ("make", "draw", "setting", "value"),
    [
        (ConvExplorer, conv_picture, "stride", 3),
        (ReceptiveFieldExplorer, field_picture, "size", 20),
        (VolumeView, volume_picture, "out_channels", 4),
    ],
    ids=["convolution", "receptive field", "volume"],
)


@EXPLORERS
def test_a_slider_changes_state_and_picture(make, draw, setting, value):
    explorer = make()
    before = explorer.picture.value
    explorer.controls[setting].value = value
    assert explorer.state[setting] == value
    assert explorer.picture.value == explorer.svg() == draw(explorer.state) != before


@EXPLORERS
def test_the_constructor_takes_the_state_back(make, draw, setting, value):
    explorer = make({setting: value})
    again = make(explorer.state)
    assert again.state == explorer.state and again.svg() == explorer.svg()


@EXPLORERS
def test_a_larger_font_makes_everything_larger(make, draw, setting, value):
    explorer = make(font_px=22)
    assert explorer.svg() == draw(explorer.state, font_px=22)
    assert 'font-size="22.0"' in explorer.picture.value
    assert "--jp-widgets-font-size: 19px" in explorer.children[0].value


@EXPLORERS
def test_an_explorer_displays_itself_with_its_picture_and_its_words(make, draw, setting, value, monkeypatch):
    shown = []
    monkeypatch.setattr("helpers.widgets.explorer.display", lambda *args, **options: shown.append((args, options)))
    explorer = make()
    assert isinstance(explorer, Explorer) and isinstance(explorer.svg(), Picture)
    explorer.controls[setting].value = value
    assert DisplayFormatter().format(explorer) == ({}, {})  # what a cell's last line goes through: the widget did it
    [((bundle,), options)] = shown
    words = f"{make.__name__}: {explorer.svg().alt}"
    view = {"version_major": 2, "version_minor": 0, "model_id": explorer.model_id}
    assert bundle == {VIEW: view, "image/svg+xml": str(draw(explorer.state)), "text/plain": words}
    assert options == {"raw": True, "metadata": {"image/svg+xml": {"alt": explorer.svg().alt}}}


@EXPLORERS
def test_no_output_widget_and_no_custom_model(make, draw, setting, value):
    todo, names = [make()], set()
    while todo:
        widget = todo.pop()
        names.add(widget._model_name)
        assert widget._model_module in ("@jupyter-widgets/base", "@jupyter-widgets/controls")
        todo += getattr(widget, "children", ())
    assert "OutputModel" not in names


@EXPLORERS
def test_one_change_is_one_redraw(make, draw, setting, value):
    explorer, drawn = make(), []
    explorer.picture.observe(lambda change: drawn.append(change["new"]), names="value")
    explorer.controls[setting].value = value
    assert len(drawn) == 1
    explorer.state = make({setting: value + 1}).state
    assert len(drawn) == 2


@EXPLORERS
def test_a_state_that_is_refused_changes_nothing(make, draw, setting, value):
    explorer = make({setting: value})
    before = explorer.state, explorer.picture.value
    with pytest.raises(ValueError, match="there is no setting 'colour'"):
        explorer.state = {setting: value + 1, "colour": 1}
    assert (explorer.state, explorer.picture.value) == before
    explorer.controls[setting].value = value + 1  # and it still answers
    assert explorer.picture.value == draw(explorer.state)


def test_every_widget_is_a_name_of_widgets():
    for name in ("KernelExplorer", "MapBrowser", "TrainingBoard", "NetworkExplorer", "ZooExplorer", "Chooser"):
        assert getattr(widgets, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'ZooBrowser'"):
        _ = widgets.ZooBrowser


def test_unknown_states_are_refused():
    with pytest.raises(ValueError, match="there is no setting 'kernel'; there are: kind"):
        ConvExplorer({"kernel": 5})
    with pytest.raises(ValueError, match="there is no preset 'GoogLeNet'"):
        ReceptiveFieldExplorer("GoogLeNet")


# ---- convolution -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", conv_setup.PRESETS)
def test_presets_can_be_chosen_in_the_menu_and_in_the_constructor(name):
    explorer = ConvExplorer({"stride": 5})
    explorer.preset.value = name
    assert explorer.svg() == conv_picture(name) == ConvExplorer(name).svg()
    assert explorer.state == ConvExplorer(name).state


def test_the_menu_names_the_preset_that_is_shown():
    assert ConvExplorer("LeNet C1").preset.value == "LeNet C1"
    assert ReceptiveFieldExplorer(name := next(iter(field.PRESETS))).preset.value == name
    assert ConvExplorer({"stride": 3}).preset.label == "choose one …"


def test_a_preset_can_be_chosen_again_after_a_slider_moved():
    explorer = ConvExplorer()
    explorer.preset.value = "LeNet C1"
    explorer.controls["padding"].value = 2
    assert explorer.preset.value == "" and explorer.preset.index == 0
    explorer.preset.value = "LeNet C1"
    assert explorer.state["padding"] == 0


def test_the_range_of_a_slider_grows_for_a_preset_and_shrinks_again():
    explorer = ConvExplorer("AlexNet conv1 at 227")
    assert explorer.controls["size"].max == 227 and explorer.controls["out_channels"].max == 96
    explorer.preset.value = "Lecture: 3×3 on 7×7, stride 3"
    assert explorer.controls["size"].max == 32 and explorer.controls["out_channels"].max == 16


def test_steps_follow_the_output_or_the_input():
    explorer = ConvExplorer({"step": 24})
    assert explorer.controls["step"].max == explorer.play.max == 24
    explorer.controls["stride"].value = 3  # 2 x 2 outputs are left
    assert explorer.controls["step"].max == 3 and explorer.state["step"] == 3
    explorer.controls["view"].value = "input"
    assert explorer.controls["step"].max == 48 and explorer.state["step"] == 0
    assert explorer.controls["step"].description == "input pixel"


def test_an_invalid_setup_is_shown_and_left_again():
    explorer = ConvExplorer()
    explorer.controls["kernel_size"].value = 9
    assert "kernel 9 is larger than the padded input 7" in explorer.picture.value
    explorer.controls["padding"].value = 1
    assert explorer.svg() == conv_picture({"kernel_size": 9, "padding": 1})


def test_controls_without_a_meaning_are_hidden():
    explorer = ConvExplorer()
    shown = {name: control.layout.display != "none" for name, control in explorer.controls.items()}
    assert not shown["channel"] and not shown["filter"] and shown["groups"]
    explorer.controls["in_channels"].value = 3
    assert explorer.controls["channel"].layout.display != "none" and explorer.controls["channel"].max == 2
    explorer.controls["kind"].value = "max"
    assert explorer.controls["groups"].layout.display == explorer.controls["out_channels"].layout.display == "none"
    assert explorer.controls["filter"].description == "show channel" and explorer.controls["filter"].max == 2


def test_channel_and_filter_choose_what_is_drawn():
    explorer = ConvExplorer({"size": 5, "in_channels": 3, "out_channels": 2})
    explorer.controls["channel"].value, explorer.controls["filter"].value = 2, 1
    assert "channel 3 of 3" in explorer.picture.value and "Filter 2 of 2" in explorer.picture.value


# ---- predict first -----------------------------------------------------------------------------------------------


def predicting(**state: int) -> ConvExplorer:
    return ConvExplorer({"predict": True, **state})


def test_predict_first_hides_the_output_and_the_number_of_steps():
    explorer = predicting(padding=2)
    assert 'data-grid="output"' not in explorer.picture.value
    assert explorer._stepping.layout.display == "none" and explorer._question.layout.display != "none"


def test_a_right_guess_opens_the_picture():
    explorer = predicting(padding=1)
    explorer.guess.value = 7
    explorer.check.click()
    assert "✓" in explorer.verdict.value and "Right: the output is 7 × 7." in explorer.verdict.value
    assert 'data-grid="output"' in explorer.picture.value
    assert explorer._stepping.layout.display != "none"


def test_a_wrong_guess_is_named_and_the_picture_stays_closed():
    explorer = predicting(padding=1)
    explorer.guess.value = 5
    explorer.check.click()
    assert "no padding" in explorer.verdict.value and 'data-grid="output"' not in explorer.picture.value


def test_another_setup_is_another_question():
    explorer = predicting(padding=1)
    explorer.guess.value = 7
    explorer.check.click()
    explorer.controls["stride"].value = 2
    assert explorer.verdict.value == "" and explorer.state["guess"] is None
    assert 'data-grid="output"' not in explorer.picture.value
    explorer.preset.value = "LeNet C1"
    assert explorer.state["predict"] is True


def test_giving_up_shows_the_output():
    explorer = predicting()
    explorer.controls["predict"].value = False
    assert 'data-grid="output"' in explorer.picture.value and explorer._question.layout.display == "none"


def test_guessing_on_an_invalid_setup():
    explorer = predicting(kernel_size=9)
    explorer.check.click()
    assert "There is no output: kernel 9 is larger" in explorer.verdict.value


# ---- receptive fields --------------------------------------------------------------------------------------------


def test_layers_are_added_on_top_and_taken_off():
    explorer = ReceptiveFieldExplorer()
    explorer.layer[1].value = 2
    explorer.add.click()
    assert explorer.state["layers"][-1] == [3, 2, 0, 1] and explorer.state["shown"] == 4
    assert "5 + (3−1)·1·1 = 7" in explorer.picture.value and "7 + (3−1)·1·1 = 9" in explorer.picture.value
    for _ in range(5):
        explorer.remove.click()
    assert explorer.state["layers"] == [] and explorer.remove.disabled
    explorer.add.click()
    assert not explorer.remove.disabled


def test_the_field_grows_with_the_layers_shown():
    explorer, fields = ReceptiveFieldExplorer("AlexNet"), []
    for shown in range(9):
        explorer.controls["shown"].value = shown
        fields.append(int(explorer.svg().alt.split(": ")[1].split(" px")[0]))
    assert fields == [1, 11, 19, 51, 67, 99, 131, 163, 195]


def test_the_cell_can_be_moved_and_returns_to_the_middle():
    explorer = ReceptiveFieldExplorer({"size": 16, "layers": [(3, 1, 1)], "cell": 0})
    assert explorer.state["cell"] == 0 and explorer.controls["cell"].max == 15
    explorer.controls["cell"].value = 15
    assert "padding" in explorer.picture.value
    explorer.controls["size"].value = 9
    assert explorer.state["cell"] == 4


@pytest.mark.parametrize("name", field.PRESETS)
def test_field_presets(name):
    explorer = ReceptiveFieldExplorer()
    explorer.preset.value = name
    assert explorer.svg() == field_picture(name)


def test_a_layer_too_many_is_explained_and_can_be_taken_off():
    explorer = ReceptiveFieldExplorer({"size": 3, "layers": [(3, 1)]})
    explorer.add.click()
    assert "layer 2 (3×3)" in explorer.picture.value
    explorer.remove.click()
    assert "3 px" in explorer.picture.value


@pytest.mark.parametrize("make", [ConvExplorer, ReceptiveFieldExplorer], ids=["convolution", "receptive field"])
def test_the_menu_of_presets_says_that_one_can_choose(make):
    assert make().preset.label == "choose one …"


# ---- only what decides the size ----------------------------------------------------------------------------------


def test_a_brief_explorer_shows_only_what_decides_the_size():
    explorer = ConvExplorer({"brief": True, "stride": 3})
    shown = {name for name, control in explorer.controls.items() if control.layout.display != "none"}
    assert shown == {"view", "size", "kernel_size", "stride", "padding", "step", "predict"}
    assert explorer.preset.layout.display == "none"
    assert "MACs" not in explorer.svg() and "d·(k − 1)" not in explorer.svg() and "(7 + 2·0 − 3) / 3" in explorer.svg()
    explorer.controls["padding"].value = 1
    assert explorer.state["brief"] is True and ConvExplorer(explorer.state).svg() == explorer.svg()


# ---- kernels -----------------------------------------------------------------------------------------------------

IMAGE = np.random.default_rng(0).random((9, 12))


def drawn(picture: str, name: str) -> list[float]:
    """The numbers of a grid."""
    group = re.search(rf'<g data-grid="{name}".*?</g>', picture)[0]
    return [float(number.replace("−", "-")) for number in re.findall(r">([^<]+)</text>", group)]


@pytest.mark.parametrize("name", kernel.KERNELS)
def test_the_answer_of_a_kernel_is_that_of_torch(name):
    explorer = widgets.KernelExplorer({"noise": IMAGE}, {"kernel": name, "row": 4, "column": 7})
    pixels = torch.tensor(IMAGE * 255).round()[None, None]
    weights = torch.tensor(drawn(explorer.svg(), "kernel"), dtype=torch.float64).reshape(1, 1, 3, 3)
    expected = F.conv2d(pixels, weights)[0, 0, 4, 7].item() / explorer.state["divisor"]
    answer = float(re.search(r"it answers (\S+)\. The", explorer.svg().alt)[1].replace("−", "-"))
    assert answer == pytest.approx(expected, abs=0.006)
    assert drawn(explorer.svg(), "window") == pixels[0, 0, 4:7, 7:10].flatten().tolist()
    explorer.controls["relu"].value = True
    assert f"it answers {svg.number(max(answer, 0))}. The" in explorer.svg().alt


def test_the_output_of_a_kernel_is_drawn_with_its_sign():
    edge = np.repeat([[0.0, 0.0, 1.0, 1.0, 0.0, 0.0]], 5, axis=0)  # up, then down
    explorer = widgets.KernelExplorer({"edge": edge}, {"kernel": "Sobel x"})
    assert pixels_of(explorer.svg())[0].tolist() == [[213, 94, 0], [213, 94, 0], [0, 114, 178], [0, 114, 178]]
    explorer.controls["relu"].value = True
    assert pixels_of(explorer.svg())[0].tolist() == [[255] * 3, [255] * 3, [0] * 3, [0] * 3]
    explorer.controls["kernel"].value = "shift left"
    assert pixels_of(explorer.svg())[0, :, 0].tolist() == [255, 255, 0, 0]
    assert "output 3 × 4" in explorer.svg()


def pixels_of(picture: str) -> np.ndarray:
    """The second image of a drawing."""
    source = re.findall(r'base64,([^"]+)"', picture)[1]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source))))


def test_a_kernel_of_ones_own():
    explorer = widgets.KernelExplorer({"noise": IMAGE, "other": IMAGE[:5]}, {"kernel": "blur"})
    assert explorer.state["divisor"] == 9
    explorer.controls["w11"].value = 4
    assert explorer.state["kernel"] == "your own" and drawn(explorer.svg(), "kernel")[0] == 4
    again = widgets.KernelExplorer({"noise": IMAGE, "other": IMAGE[:5]}, explorer.state)
    assert again.svg() == explorer.svg()
    explorer.controls["kernel"].value = "Sobel y"
    assert drawn(explorer.svg(), "kernel") == [-1, -2, -1, 0, 0, 0, 1, 2, 1] and explorer.state["divisor"] == 1
    explorer.controls["row"].value = 6
    explorer.controls["image"].value = "other"
    assert explorer.state["row"] == explorer.controls["row"].max == 2
    with pytest.raises(ValueError, match="there is no kernel 'Prewitt'; there are: identity"):
        explorer.state = {"kernel": "Prewitt"}


# ---- images of the notebook's own --------------------------------------------------------------------------------


def test_a_chooser_shows_what_its_function_makes_of_menu_and_slider():
    asked = []

    def draw(photo, strength):
        asked.append((photo, strength))
        image = np.full((4, 6, 3), strength)
        return {f"{photo}, as it is": image, "what it is": (image, {"dog": 0.1, "cat": 0.7, "cup": 0.15, "car": 0.05})}

    chooser = widgets.Chooser(draw, photo=["cat", "dog"], strength=[0, 0.5, 1], title="Two images")
    assert [type(control).__name__ for control in chooser.controls.values()] == ["Dropdown", "SelectionSlider"]
    assert chooser.state == {"photo": "cat", "strength": 0}
    assert chooser.svg().alt == "Two images, photo cat, strength 0: cat, as it is; what it is cat 70 %."
    chooser.controls["strength"].value = 0.5
    assert chooser.picture.value == chooser.svg() and "photo cat, strength 0.5" in chooser.svg().alt
    assert asked == [("cat", 0), ("cat", 0.5)]  # each once, however often it is drawn
    image = Image.open(io.BytesIO(base64.b64decode(re.findall('base64,([^"]+)"', chooser.svg())[0])))
    assert np.unique(np.asarray(image)).tolist() == [128] and image.size == (6, 4)
    shown = re.findall(r">(\w+)</text><text[^>]*>(\d+) %<", chooser.svg())
    assert shown == [("cat", "70"), ("cup", "15"), ("dog", "10")]  # the three highest
    assert widgets.Chooser(draw, state={"strength": 1}, photo=["cat"], strength=[0, 1]).state["strength"] == 1


def test_a_photo_lies_on_the_face_of_the_volume():
    photo = np.random.default_rng(0).random((32, 32, 3))
    picture = VolumeView(photo=photo).svg()
    (file,) = re.findall('base64,([^"]+)"', picture)
    assert (np.asarray(Image.open(io.BytesIO(base64.b64decode(file)))) == (255 * photo + 0.5).astype(np.uint8)).all()
    a, b, c, d, e, f = map(float, re.search(r'matrix\(([^)]+)\)" style', picture)[1].split())
    corners = {(round(a * col + c * row + e), round(b * col + d * row + f)) for col in (0, 32) for row in (0, 32)}
    faces = [points.split() for points in re.findall('polygon points="([^"]+)"', picture)]
    face = {tuple(round(float(v)) for v in point.split(",")) for point in faces[0]}  # the first that is drawn
    assert corners == face
