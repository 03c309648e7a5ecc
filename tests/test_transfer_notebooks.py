"""Notebooks 07 and 08: the pipeline in plain PyTorch gives the kit's batches; what the text tells to write exists."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest
import torch
from PIL import Image

from helpers import datasets, loaders, models

KIT = Path(__file__).resolve().parents[1]
NOTEBOOKS = {path.name[:2]: path for path in sorted((KIT / "notebooks").glob("0[78]*.ipynb"))}
MOST_CELLS = 81


def cells(number: str) -> dict[str, nbformat.NotebookNode]:
    return {cell.id: cell for cell in nbformat.read(NOTEBOOKS[number], as_version=4).cells}


def printed(cell: nbformat.NotebookNode) -> str:
    return "".join(output.get("text", "") for output in cell.outputs)


@pytest.fixture(scope="module")
def small_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every 30th image of the kit's drawings, in folders of the same form; one of them wide, one of them high."""
    whole, small = datasets.fetch("bcdp_standin"), tmp_path_factory.mktemp("bcdp") / "small"
    for path in sorted(whole.rglob("*.jpg"))[::30]:
        target = small / path.relative_to(whole)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    for path, shape in zip(sorted((small / "test").rglob("*.jpg")), ((150, 100), (100, 150)), strict=False):
        Image.open(path).resize(shape).save(path)
    return small


@pytest.fixture(scope="module")
def pipeline(small_folder: Path) -> dict[str, Any]:
    """The names that sections 2 and 3 of notebook 07 leave, run on the small folder and without the kit."""
    names: dict[str, Any] = {"folder": small_folder, "backbone": "alexnet_mini"}
    imports = cells("07")["nb07-003"].source.splitlines()
    exec("\n".join(line for line in imports if not re.search("helpers|runtime", line)), names)
    names["image_folder"] = names["ImageFolder"](small_folder / "train")
    names["image"], names["label"] = names["image_folder"][0]
    exec(cells("07")["nb07-compose"].source, names)
    exec(cells("07")["nb07-018"].source.replace("150", str(len(names["image_folder"]) // 10)), names)
    return names


def test_the_pipeline_in_plain_pytorch_gives_the_batches_of_the_kit(
    small_folder: Path, pipeline: dict[str, Any]
) -> None:
    kit = loaders.image_folder(small_folder, size=64)
    theirs, ours = list(kit.test), list(pipeline["test_loader"])
    assert torch.equal(torch.cat([labels for _, labels in ours]), torch.cat([labels for _, labels in theirs]))
    assert (torch.cat([i for i, _ in ours]) - torch.cat([i for i, _ in theirs])).abs().max() < 1e-5
    train, val = ({*pipeline[part].indices} for part in ("train_set", "val_set"))
    assert train.isdisjoint(val) and train | val == {*range(len(pipeline["image_folder"]))}
    images, _ = next(iter(pipeline["train_loader"]))
    assert images.dtype == torch.float32 and images.shape[1:] == (3, 64, 64)


def test_the_recorded_batches_were_equal_too() -> None:
    assert "largest difference of a value: 0.0000; labels equal: True" in printed(cells("07")["nb07-same-1"])


def test_the_loop_trains_the_new_layer_alone_and_saves_it(pipeline: dict[str, Any], tmp_path: Path) -> None:
    names = {**pipeline, "models": models}
    names["runtime"] = SimpleNamespace(device=lambda: "cpu", persist=lambda: tmp_path)
    exec(cells("07")["nb07-head"].source, names)
    exec(cells("07")["nb07-032"].source, names)
    saved, pretrained = torch.load(tmp_path / "first.pt", weights_only=True), models.load("alexnet_mini").state_dict()
    same = {name for name in saved if torch.equal(saved[name], pretrained[name])}
    assert set(saved) - same == {"classifier.6.weight", "classifier.6.bias"}
    assert saved["classifier.6.weight"].shape == (4, 384) and not names["model"].training


@pytest.mark.parametrize("number", sorted(NOTEBOOKS))
def test_what_the_text_tells_to_write_exists_in_the_notebook(number: str) -> None:
    """``drive.upload()`` in prose or in a comment: ``drive`` must be imported there, and have ``upload``."""
    book = list(cells(number).values())
    code = "\n".join(cell.source for cell in book if cell.cell_type == "code")
    imported = {}
    for module, found in re.findall(r"(?m)^from (helpers|torch|torchvision\.transforms) import (.+)$", code):
        for name in re.split(r",\s*", found):
            imported[name] = importlib.import_module(f"{module}.{name}")
    imported |= {"torch": torch, "torchvision": importlib.import_module("torchvision")}
    prose = [cell.source for cell in book if cell.cell_type == "markdown"]
    told = [(text, code) for source in prose for text in re.findall(r"`([^`\n]+)`", source)]
    told += [(block, code + block) for source in prose for block in re.findall(r"(?s)```python\n(.*?)```", source)]
    told += [(comment, code) for comment in re.findall(r"(?m)#.*$", code)]
    missing = []
    for text, known in told:
        for root, name in re.findall(r"(?<![\w.\"'/])([a-z]\w*)\.([A-Za-z]\w*)\(", text):
            if root in imported and not hasattr(imported[root], name):
                missing.append(f"{root}.{name}")
            elif root not in imported and not re.search(rf"\b{root}\b *(=|,|:| in )|as {root}\b", known):
                missing.append(root)
    assert missing == []


@pytest.mark.parametrize("number", sorted(NOTEBOOKS))
def test_the_notebook_can_be_worked_through(number: str) -> None:
    book = list(cells(number).values())
    prose = "\n".join(cell.source for cell in book if cell.cell_type == "markdown")
    assert len(book) <= MOST_CELLS
    assert len(set(re.findall(r"check_code\(\"(code-\S+?)\"", "\n".join(cell.source for cell in book)))) >= 2
    outside = prose.partition("## Appendix")[0]
    assert not re.search(r"(?i)the lecture|slide (says|prints)|fact check|@@", outside)
    answers = [line for cell in book if cell.cell_type == "code" for line in printed(cell).splitlines()]
    assert sum(line.endswith((": True", ": False")) for line in answers) <= 5  # numbers in place of verdicts


# --- results computed beforehand ------------------------------------------------------------------------------------


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(KIT / "tests" / "tools" / "experiments"))
    yield importlib.import_module("stored")
    sys.modules.pop("stored")


@pytest.fixture
def quadrants(stored: Any) -> Any:
    yield importlib.import_module("quadrants")
    sys.modules.pop("quadrants")


def test_a_script_that_was_interrupted_goes_on_where_it_was(stored: Any, tmp_path: Path) -> None:
    file, jobs, seen = tmp_path / "some.json", [{"way": way, "seed": seed} for seed in (0, 1) for way in "ab"], []

    def run(way: str, seed: int) -> dict[str, float]:
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append((way, seed))
        return {"drawn": torch.rand(()).item()}

    with pytest.raises(KeyboardInterrupt):
        stored.compute(file, jobs, run, shown="notebook 08", data="none", about="percent")
    first = json.loads(file.read_text())
    seen[:] = []
    stored.compute(file, jobs, run, shown="notebook 08", data="none", about="percent")
    whole = json.loads(file.read_text())
    assert seen == [("b", 1)] and whole["runs"][:3] == first["runs"]
    assert [{"way": run["way"], "seed": run["seed"]} for run in whole["runs"]] == jobs
    assert whole["runs"][0]["drawn"] == whole["runs"][1]["drawn"] != whole["runs"][2]["drawn"]  # its seed decides
    assert all(whole[fact] for fact in ("script", "shown", "data", "about", "versions", "when"))
    assert all(run["seconds"] >= 0 and run["commit"] for run in whole["runs"])


def test_a_way_is_trained_until_nothing_gets_better_and_the_best_look_is_kept(
    quadrants: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"LOOK": 5, "PATIENCE": 30, "EPOCHS": 1, "MOST": 2000}.items():
        monkeypatch.setattr(quadrants, name, value)
    torch.manual_seed(0)
    rule, images = torch.randn(12, 4), torch.randn(140, 3, 2, 2)
    labels = (images.flatten(1) @ rule).argmax(dim=1)
    model, val = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 4)), (images[40:], labels[40:])
    found = quadrants.train(model, images[:40], labels[:40], torch.arange(40), val, seed=0, factor=1.0)
    looks, best = found["looks"], max(found["looks"])
    assert len(looks) == found["steps"] // 5 and looks.index(best) == found["best_step"] // 5 - 1
    assert found["best_step"] + 30 <= found["steps"] < found["best_step"] + 33  # the last epoch, 3 batches, is finished
    assert (model(val[0]).argmax(dim=1) == val[1]).float().mean().item() == pytest.approx(best / 100, abs=1e-4)
    assert looks[0] < best < 100 + 1e-9 and len(set(looks)) > 3


def test_photos_are_drawn_by_class_and_with_their_mirror_images(quadrants: Any) -> None:
    parts = {name: (torch.randn(24, 3, 4, 4), torch.arange(24) % 4) for name in ("train", "val", "test")}
    target = quadrants.Target(parts, mirrored=True)
    images, labels = target.parts["train"]
    chosen = target.chosen(2, seed=0)
    assert labels[chosen].bincount().tolist() == [4] * 4
    assert torch.equal(images[chosen[8:]], images[chosen[:8]].flip(3))
    assert set(chosen[:8].tolist()) <= set(range(24)) and not torch.equal(chosen, target.chosen(2, seed=1))
    assert quadrants.Target(parts, mirrored=False).chosen(2, seed=0).tolist() == chosen[:8].tolist()


def test_the_pairs_share_what_their_names_say(quadrants: Any) -> None:
    shared = {  # first weights, images and order
        "scratch, same first weights": (True, False),
        "scratch, same images in the same order": (False, True),
        "scratch, nothing shared": (False, False),
    }
    for kind, expected in shared.items():
        for (way, init, order), (way_2, init_2, order_2) in quadrants.PAIRS[kind]:
            assert (way, way_2) == ("scratch", "scratch") and (init == init_2, order == order_2) == expected
    assert all(way == "all" for pair in quadrants.PAIRS["fine-tuned"] for way, _, _ in pair)
