"""The notebooks as a person meets them: JupyterLab in a real browser, sliders moved by keys, buttons clicked.

Run by ``python3 colab_setup.py test --browser``. Screenshots are kept in KIT_SCREENSHOTS, if that is set.
"""

from __future__ import annotations

import os
import re
import shutil
from functools import partial
from pathlib import Path

import nbformat
import pytest

pytest.importorskip("playwright", reason="playwright is not installed: python3 colab_setup.py test --browser")
import lab  # noqa: E402

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(lab.browser() is None, reason="no chromium or Chrome on this machine"),
    pytest.mark.filterwarnings("default"),  # playwright's own threads
]
KIT = Path(__file__).resolve().parents[1]
OTHERS = sorted(path.stem for path in (KIT / "notebooks").glob("*.ipynb") if not path.stem.startswith("01"))
FORM = """\
from helpers import exercises
exercises.widget("conv-20")
"""
PROJECTOR = """\
from helpers import widgets
widgets.ConvExplorer("Three channels, two filters", font_px=24)
widgets.ReceptiveFieldExplorer(font_px=24)
widgets.VolumeView(font_px=24)
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """A JupyterLab on a copy of the notebooks."""
    scratch = tmp_path_factory.mktemp("lab")
    shutil.copytree(KIT / "notebooks", scratch / "notebooks", ignore=shutil.ignore_patterns(".*"))
    for name, sources in (("projector", PROJECTOR), ("form", FORM), ("broken", "1 / 0")):
        cells = [nbformat.v4.new_code_cell(source) for source in sources.splitlines()]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        small = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
        nbformat.write(small, scratch / "notebooks" / f"{name}.ipynb")
    with lab.server(scratch / "notebooks", scratch) as address:
        yield address


@pytest.fixture(scope="module")
def window():
    with lab.window(height=1300) as opened:
        yield opened


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory) -> Path:
    folder = Path(os.environ.get("KIT_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def arithmetic(url, window):
    """Notebook 01, all cells run."""
    notebook = lab.Notebook(window.new_page(), url.format(path="01_conv_arithmetic.ipynb"))
    notebook.run()
    return notebook


def test_notebook_01_runs_without_an_error(arithmetic):
    assert arithmetic.errors() == []
    assert len(arithmetic.explorers()) == arithmetic.displayed() == 7
    pictures = [explorer.locator("svg").count() for explorer in arithmetic.explorers()]
    assert pictures == [1] * 7  # the picture that is stored beside a widget is not shown beside it


def test_conv_explorer_answers_to_sliders_menus_and_buttons(arithmetic, screenshots):
    explorer = next(e for e in arithmetic.explorers() if "with 3 channels" in lab.alt(e))
    lab.wait_for(explorer, "stride 2, padding 1", "gives 2 × 3 × 3")
    lab.press(explorer, "stride s", "ArrowRight")
    lab.wait_for(explorer, "stride 3", "gives 2 × 2 × 2")
    lab.press(explorer, "position", "ArrowRight", times=2)
    lab.press(explorer, "padding p", "ArrowRight")
    lab.wait_for(explorer, "padding 2", "gives 2 × 3 × 3")
    explorer.screenshot(path=screenshots / "conv_explorer.png")
    explorer.locator("select").first.select_option("LeNet C1")
    lab.wait_for(explorer, "gives 6 × 28 × 28")
    explorer.screenshot(path=screenshots / "conv_explorer_lenet.png")


def test_kernel_explorer_answers_to_menus_and_boxes(arithmetic, screenshots):
    explorer = arithmetic.explorers()[0]
    lab.wait_for(explorer, "cat: Sobel x", "output 62 × 62")
    explorer.screenshot(path=screenshots / "kernel.png")
    explorer.locator("select").nth(1).select_option("blur")
    lab.wait_for(explorer, "cat: blur")
    box = explorer.locator("input[type=number]").first
    box.fill("-8")
    box.press("Tab")
    lab.wait_for(explorer, "cat: your own")
    explorer.locator("input[type=checkbox]").check()
    explorer.locator("select").nth(0).select_option("digit")
    lab.wait_for(explorer, "digit: your own", "input 28 × 28")
    explorer.screenshot(path=screenshots / "kernel_own.png")


def test_predicting_first_names_the_mistake(arithmetic, screenshots):
    explorer = next(e for e in arithmetic.explorers() if "hidden until it is predicted" in lab.alt(e))
    explorer.locator("input[type=number]").fill("4")  # forgot the + 1: (9 + 2 - 3) / 2 = 4
    explorer.locator("input[type=number]").press("Tab")
    explorer.get_by_role("button", name="Check").click()
    explorer.get_by_text("without the + 1").wait_for(timeout=15_000)
    explorer.screenshot(path=screenshots / "predict.png")
    explorer.locator("input[type=number]").fill("5")
    explorer.locator("input[type=number]").press("Tab")
    explorer.get_by_role("button", name="Check").click()
    explorer.get_by_text(re.compile("✓")).wait_for(timeout=15_000)
    lab.wait_for(explorer, "5 × 5")


def test_receptive_field_grows_with_a_layer(arithmetic, screenshots):
    explorer = next(e for e in arithmetic.explorers() if e.get_by_role("button", name="Add layer on top").count())
    before = lab.alt(explorer)
    explorer.get_by_role("button", name="Add layer on top").click()
    lab.until(lambda: lab.alt(explorer) != before, "the new layer does not show")
    explorer.screenshot(path=screenshots / "receptive_field.png")


def test_volume_view_follows_its_sliders(arithmetic, screenshots):
    explorer = next(e for e in arithmetic.explorers() if lab.alt(e).startswith("A 3 × 32 × 32 input"))
    lab.press(explorer, "kernel k", "ArrowRight")
    lab.wait_for(explorer, "each 3 × 6 × 6", "6 × 27 × 27")
    explorer.screenshot(path=screenshots / "volume.png")


def test_explorers_fit_a_window_of_1280_px(arithmetic):
    for explorer in arithmetic.explorers():
        assert right_edge(explorer) <= 1280


def test_explorers_fit_a_projector_with_large_text(url, window, screenshots):
    notebook = lab.Notebook(window.new_page(), url.format(path="projector.ipynb"))
    notebook.run()
    assert notebook.errors() == [] and len(notebook.explorers()) == 3
    for number, explorer in enumerate(notebook.explorers()):
        assert right_edge(explorer) <= 1280
        explorer.screenshot(path=screenshots / f"projector_{number}.png")


def use_form(notebook, screenshots):
    """Notebook 00: a question as a form. A wrong answer, a hint, the right answer."""
    (form,) = notebook.forms()
    box = form.locator("input[type=text]")
    box.fill("1024")
    box.press("Tab")
    form.get_by_role("button", name="Check").click()
    form.get_by_text("Not yet (try 1)").wait_for()
    form.get_by_role("button", name="Hint").click()
    form.get_by_text("hint 1 of").wait_for()
    form.screenshot(path=screenshots / "form_hint.png")
    box.fill("3072")
    box.press("Tab")
    form.get_by_role("button", name="Check").click()
    form.get_by_text("Right.").wait_for()
    form.screenshot(path=screenshots / "form_right.png")


def use_board(notebook, screenshots):
    """Notebook 02: the live training board. It answers while it trains."""
    board = notebook.explorers()[0]
    steps = steps_of(board)
    board.get_by_role("button", name="Start").click()
    lab.until(lambda: steps_of(board) > steps, "the board does not train")
    lab.press(board, "learning rate", "ArrowRight", times=3)
    board.get_by_role("button", name="Stop").click()
    board.get_by_role("button", name="Start").wait_for()
    board.screenshot(path=screenshots / "board.png")
    lab.wait_for(board, "stopped")
    board.get_by_role("button", name="Begin anew").click()
    lab.until(lambda: steps_of(board) == 0, "the board does not begin anew")


def steps_of(board):
    return int(re.search(r"(\d[\d,]*) steps", lab.alt(board)).group(1).replace(",", ""))


def use_maps(notebook, screenshots):
    """Notebook 03: the browser of feature maps. Another layer, another position, one scale for all."""
    browser = notebook.explorers()[0]
    before = lab.alt(browser)
    browser.locator("select").nth(0).select_option(index=0)
    lab.until(lambda: lab.alt(browser) != before, "another layer shows the same")
    assert "features.0" in lab.alt(browser)
    lab.press(browser, "unit: row", "ArrowLeft", times=3)
    browser.locator("select").nth(2).select_option("one scale for all")
    lab.wait_for(browser, "all from")
    browser.screenshot(path=screenshots / "maps.png")


def use_zoo(notebook, screenshots):
    """Notebook 09: the zoo's axis and family, and two networks side by side."""
    zoo, networks = notebook.explorers()
    zoo.locator("select").nth(0).select_option("parameters")
    lab.wait_for(zoo, "against parameters")
    zoo.locator("select").nth(2).select_option("mobilenet")
    lab.wait_for(zoo, "mobilenet_v2")
    zoo.screenshot(path=screenshots / "zoo.png")
    networks.locator("select").nth(2).select_option("vgg16")
    networks.get_by_text("vgg16").last.wait_for()
    lab.until(lambda: networks.locator("svg").count() == 2, "no second network is drawn")
    networks.screenshot(path=screenshots / "networks.png")


def use_chooser(notebook, screenshots):
    """Notebooks 05 to 08: what is chosen changes what is shown; sliders by keys, menus by their last entry."""
    for number, chooser in enumerate(notebook.explorers()):
        said = [lab.alt(chooser)]
        moves = []
        for handle in chooser.locator(".noUi-handle").all():
            ends = handle.get_attribute("aria-valuenow") == handle.get_attribute("aria-valuemax")
            moves.append(partial(handle.press, "ArrowLeft" if ends else "ArrowRight"))
        for menu in chooser.locator("select").all():
            moves.append(partial(menu.select_option, index=menu.locator("option").count() - 1))
        for move in moves:
            move()
            lab.until(lambda it=chooser, was=said: lab.alt(it) not in was, "something was chosen, and nothing changed")
            said.append(lab.alt(chooser))
        chooser.screenshot(path=screenshots / f"moved_{lab.alt(chooser)[:12]}_{number}.png".replace(" ", "_"))


USES = {
    "00_start_here": use_form,
    "02_lenet": use_board,
    "03_alexnet_dissection": use_maps,
    "05_resnet_dissection": use_chooser,
    "06_training_recipe": use_chooser,
    "07_finetuning_bcdp": use_chooser,
    "08_transfer_learning_lab": use_chooser,
    "09_model_zoo": use_zoo,
}


@pytest.mark.parametrize("name", OTHERS)
def test_notebook_runs_without_an_error_and_its_widgets_answer(name, url, window, screenshots):
    notebook = lab.Notebook(window.new_page(), url.format(path=f"{name}.ipynb"))
    notebook.run(seconds=600)
    assert notebook.errors() == []
    explorers, forms = notebook.explorers(), notebook.forms()
    assert notebook.displayed() == len(explorers) + len(forms) >= (name in USES)
    for number, explorer in enumerate(explorers):
        assert right_edge(explorer) <= 1280
        explorer.screenshot(path=screenshots / f"{name}_{number}.png")
    if name in USES:
        USES[name](notebook, screenshots)
    notebook.close()


def test_an_error_in_a_notebook_is_seen(url, window):
    notebook = lab.Notebook(window.new_page(), url.format(path="broken.ipynb"))
    notebook.run()
    assert "ZeroDivisionError" in "".join(notebook.errors())


def test_a_question_as_a_form_says_what_went_wrong(url, window, screenshots):
    notebook = lab.Notebook(window.new_page(), url.format(path="form.ipynb"))
    notebook.run()
    (form,) = notebook.forms()
    for box, answer in zip(form.locator("input[type=text]").all(), ("640", "480", "16"), strict=True):
        box.fill(answer)
        box.press("Tab")
    form.get_by_role("button", name="Check").click()
    form.get_by_text("That is the size for stride 1").wait_for()
    form.get_by_role("button", name="Hint").click()
    form.get_by_text("hint 1 of").wait_for()
    form.screenshot(path=screenshots / "form.png")


def right_edge(explorer: lab.Locator) -> float:
    box = explorer.locator(lab.PICTURE).last.bounding_box()
    return box["x"] + box["width"]
