"""The pretrained networks in the kit and the script that made them."""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pretrain  # in tests/tools
import pytest
import soft_labels
import torch
import torchvision
from PIL import Image
from torch import nn

from helpers import loaders, models, training
from helpers.models import alexnet_mini, resnet_mini, shipped

DATA = Path(__file__).parents[2] / "shared" / "data"
ZIP, BCDP = DATA / "tiny-imagenet-50k.zip", DATA / "bcdp_real.zip"
TINY = pretrain.Recipe(
    cycles=(
        pretrain.Cycle(epochs=2, lr=0.02, small_until=0.5),
        pretrain.Cycle(epochs=1, lr=0.01, crop_area=(0.5, 1.4)),
    ),
    small_size=32,
    batch_size=4,
)
BOTH = pytest.mark.parametrize("network", [alexnet_mini, resnet_mini])


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return alexnet_mini.load()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn noise on three colours: train/ has 4 pictures a class, val/ 2, in the layout of Tiny-ImageNet."""
    root, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        for number, name in enumerate(("n01", "n02", "n03")):
            (root / split / name).mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(0, 60, (64, 64, 3), np.uint8)
                pixels[..., number] += 180
                Image.fromarray(pixels).save(root / split / name / f"{index}.png")
    (root / "words.txt").write_text("n01\tred, ruddy\nn02\tgreen\nn99\tnot here\n")
    return root


# ---- the network ----


def test_layers_have_the_names_and_kinds_of_torchvisions_alexnet():
    def kinds(model: nn.Module) -> list[tuple[str, type]]:
        return [(name, type(layer)) for name, layer in model.named_modules() if name]

    with torch.device("meta"):
        assert kinds(alexnet_mini.build()) == kinds(torchvision.models.alexnet())


def test_layers_of_resnet_mini_have_names_and_kinds_that_resnet18_has():
    def kinds(model: nn.Module) -> set[tuple[str, type]]:
        return {(name, type(layer)) for name, layer in model.named_modules() if name}

    with torch.device("meta"):
        missing = kinds(torchvision.models.resnet18()) - kinds(resnet_mini.build())
        assert kinds(resnet_mini.build()) <= kinds(torchvision.models.resnet18())
    assert {name.split(".")[0] for name, _ in missing} == {"maxpool", "layer4"}


@BOTH
def test_scores_for_pictures_of_64_px_and_larger(network):
    model = network.build(7).eval()
    for size in (64, 96, 100, 224):
        assert model(torch.zeros(2, 3, size, size)).shape == (2, 7), size


@BOTH
def test_build_gives_an_untrained_network_whose_signal_neither_dies_nor_explodes(network):
    torch.manual_seed(0)
    model = network.build(5)
    assert model.training
    assert 0.1 < model.eval()(torch.randn(64, 3, 64, 64)).std() < 10


def test_a_new_head_is_a_matter_of_one_line_and_everything_trains(model: nn.Module):
    copy = alexnet_mini.load().train()
    copy.classifier[6] = nn.Linear(copy.classifier[6].in_features, 4)
    copy(torch.randn(2, 3, 64, 64)).sum().backward()
    assert all(p.requires_grad and p.grad is not None for p in copy.parameters())


# ---- the weights ----


@BOTH
def test_the_file_is_small_enough_to_ship(network):
    assert network.WEIGHTS_FILE.stat().st_size <= 3_000_000


@BOTH
def test_the_loaded_network_is_float32_and_ready_to_use(network):
    model = network.load()
    assert not any(layer.training for layer in model.modules())
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert all(p.isfinite().all() for p in model.parameters())
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 200)


def test_alexnet_mini_is_plain(model: nn.Module):
    assert not [layer for layer in model.modules() if "Norm" in type(layer).__name__]


@pytest.mark.parametrize("name", models.OWN)
def test_a_network_of_the_kit_by_its_name(name: str):
    network, card = models.load(name), models.OWN[name].card()
    assert not network.training and models.name_of(network) == name == card["name"]
    assert models.about(name) == (64, card["classes"])
    assert models.load(name, num_classes=3)(torch.zeros(1, 3, 64, 64)).shape == (1, 3)
    assert models.load(name, pretrained=False)(torch.zeros(1, 3, 64, 64)).shape == (1, 200)


def test_what_torchvision_says_about_a_network():
    side, classes = models.about("alexnet")
    assert side == 224 and len(classes) == 1000 and classes[0] == "tench"
    with pytest.raises(ValueError, match="lenet5"):
        models.about("lenet5")


@BOTH
def test_loading_leaves_the_random_state_alone(network):
    before = torch.get_rng_state()
    network.load()
    assert torch.equal(before, torch.get_rng_state())


def test_the_script_runs_by_its_path():
    command = [sys.executable, pretrain.__file__, "--help"]
    assert "--resume" in subprocess.run(command, check=True, capture_output=True, text=True, cwd="/").stdout


@BOTH
def test_the_card_tells_the_whole_story(network):
    card, model = network.card(), network.load()
    assert card.keys() >= {"name", "date", "data", "recipe", "curve", "accuracy", "licence", "made_by"}
    assert len(card["classes"]) == len(set(card["class_ids"])) == 200
    assert {"tabby", "goldfish", "school bus"} <= set(card["classes"])
    assert card["parameters"] == sum(p.numel() for p in model.parameters())
    assert card["accuracy"] == {name: card["curve"][-1][name] for name in ("top1", "top5")}
    least = {"alexnet_mini": (40, 67), "resnet_mini": (53, 78)}[card["name"]]
    assert (card["accuracy"]["top1"], card["accuracy"]["top5"]) >= least
    assert len(card["curve"]) == sum(cycle["epochs"] for cycle in card["recipe"]["cycles"])
    transfer = card["transfer"]["test accuracy in percent, means over 3 seeds"]
    assert transfer["fine-tuned"] >= 87 and transfer["last layer only"] >= 77
    assert transfer["fine-tuned"] >= transfer["from scratch"] + 12
    assert card["near_duplicates"].startswith("none")


def test_first_layer_sees_edges_and_colours(model: nn.Module):
    """Filters that look at colour and filters that look at grey edges are both there, and few are noise."""
    filters = model.features[0].weight.detach()
    filters = filters - filters.mean((2, 3), keepdim=True)
    smooth = nn.functional.avg_pool2d(filters, 3, stride=1, padding=1, count_include_pad=False)
    kept = smooth.flatten(1).norm(dim=1) / filters.flatten(1).norm(dim=1)  # white noise would keep about 0.35
    grey = filters.mean(1, keepdim=True).expand_as(filters).flatten(1).norm(dim=1) / filters.flatten(1).norm(dim=1)
    assert (kept > 0.45).float().mean() > 0.6
    assert (grey > 0.9).sum() >= 8 and (grey < 0.5).sum() >= 4


@BOTH
def test_a_damaged_file_gives_a_sentence(network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    content = network.WEIGHTS_FILE.read_bytes()
    middle = len(content) // 2
    one_bit = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    other = io.BytesIO()
    torch.save({"state_dict": {}, "card": {}}, other)
    file = tmp_path / "mini.pt"
    monkeypatch.setattr(network, "WEIGHTS_FILE", file)
    for damaged in (None, b"", content[:-1000], one_bit, other.getvalue()):  # None: no file at all
        if damaged is not None:
            file.write_bytes(damaged)
        with pytest.raises(shipped.WeightsError, match="weights file .*mini.pt .*reinstall"):
            network.load()


# ---- the script ----


def test_folding_batch_norm_changes_no_output():
    torch.manual_seed(0)
    model = alexnet_mini.with_batch_norm(alexnet_mini.build(5))
    for _ in range(3):  # gives the running statistics something to remember
        model(torch.randn(16, 3, 64, 64) * 2 + 1)
    for layer in model.modules():
        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias)
    model.double().eval()
    images = torch.randn(4, 3, 64, 64, dtype=torch.float64)
    plain = pretrain.fold_batch_norm(model)
    assert [name for name, _ in plain.named_parameters()] == [n for n, _ in alexnet_mini.build(5).named_parameters()]
    torch.testing.assert_close(plain(images), model(images), rtol=0, atol=1e-9)
    torch.testing.assert_close(plain.float()(images.float()).double(), model(images), rtol=1e-5, atol=1e-5)


def test_about_half_of_the_pictures_are_mirrored_and_none_is_turned():
    across = torch.linspace(-1, 1, 64).expand(400, 3, 64, 64)  # brighter to the right
    torch.manual_seed(0)
    result = pretrain.augment(across, 64, crop_area=(0.5, 1.0), light=0.0)
    slope = result[..., -1].mean((1, 2)) - result[..., 0].mean((1, 2))
    assert 150 < (slope > 0.9).sum() < 250 and ((slope > 0.9) | (slope < -0.9)).all()
    assert result.abs().max() <= 1 and result.std(dim=2).max() < 1e-5


def test_augmented_pictures_stay_in_range_and_differ():
    images = pretrain.normalise(torch.full((8, 3, 64, 64), 255, dtype=torch.uint8))
    result = pretrain.augment(images, 48, crop_area=(0.5, 1.4), light=0.0)
    assert result.shape == (8, 3, 48, 48)
    torch.testing.assert_close(result, images[:, :, :48, :48])  # a crop of white is white: nothing black comes in


def test_normalise_is_torchvisions():
    pictures = torch.randint(0, 256, (2, 3, 5, 5), dtype=torch.uint8)
    preset = torchvision.models.AlexNet_Weights.DEFAULT.transforms()
    expected = torchvision.transforms.functional.normalize(pictures / 255, preset.mean, preset.std)
    torch.testing.assert_close(pretrain.normalise(pictures), expected)


def test_learning_rate_rises_then_falls_to_nothing():
    cycle = pretrain.Cycle(epochs=1, lr=0.3, warmup=0.25)
    rates = [pretrain.learning_rate(step / 100, cycle) for step in range(101)]
    assert rates[0] == 0 and rates.index(max(rates)) == 25 and max(rates) == 0.3 and rates[100] == pytest.approx(0)
    assert rates[:26] == sorted(rates[:26]) and rates[25:] == sorted(rates[25:], reverse=True)


def test_each_epoch_lies_in_its_cycle():
    first, second = TINY.cycles
    assert TINY.epochs == 3 and [TINY.at(epoch) for epoch in range(3)] == [(first, 0), (first, 1), (second, 0)]
    with pytest.raises(ValueError, match="has 3 epochs, numbered from 0"):
        TINY.at(3)


def test_an_interrupted_training_ends_with_the_same_weights(folder, tmp_path, monkeypatch, capsys):
    whole, parts = tmp_path / "whole.pt", tmp_path / "parts.pt"
    curve = pretrain.train("alexnet_mini", folder, whole, recipe=TINY, device="cpu")
    with monkeypatch.context() as patch:
        real = pretrain._train_epoch

        def stopped(*arguments):
            if arguments[4] == 1:
                raise KeyboardInterrupt
            return real(*arguments)

        patch.setattr(pretrain, "_train_epoch", stopped)
        with pytest.raises(KeyboardInterrupt):
            pretrain.train("alexnet_mini", folder, parts, recipe=TINY, device="cpu")
    assert not parts.exists()
    torch.manual_seed(99)  # the state of the random numbers outside must not matter ...
    before = torch.get_rng_state()
    resumed = pretrain.train("alexnet_mini", folder, parts, recipe=TINY, resume=True, device="cpu")
    assert torch.equal(before, torch.get_rng_state())  # ... and is left alone
    first, second = torch.load(whole), torch.load(parts)
    assert all(torch.equal(first["state_dict"][name], tensor) for name, tensor in second["state_dict"].items())
    assert [row["train_loss"] for row in curve] == [row["train_loss"] for row in resumed]
    assert [row["size"] for row in curve] == [32, 64, 64]
    assert parts.with_suffix(".csv").read_text().count("\n") == 4


def test_the_written_file_carries_its_card_and_scores_as_the_network_did(folder, tmp_path, capsys):
    out = tmp_path / "net.pt"
    recipe = pretrain.Recipe(cycles=(pretrain.Cycle(epochs=6, lr=0.02),), batch_size=6)
    curve = pretrain.train("alexnet_mini", folder, out, recipe=recipe, device="cpu")
    weights = torch.load(out)
    assert hashlib.sha256(out.read_bytes()).hexdigest() in capsys.readouterr().out
    assert weights["card"]["classes"] == ["red", "green", "n03"]
    assert weights["card"]["curve"] == curve and curve[-1]["top5"] == 100
    pictures, labels, _ = pretrain.read_pictures(folder / "val")
    scores = pretrain.evaluate(shipped.restore(alexnet_mini.AlexNetMini, weights), pictures, labels)
    assert scores["top1"] == curve[-1]["top1"] > 50  # red, green and blue noise: chance is 33


def test_resnet_mini_learns_from_labels_and_a_teacher(folder, tmp_path, capsys):
    soft, out = tmp_path / "soft.pt", tmp_path / "net.pt"
    recipe = pretrain.Recipe(cycles=(pretrain.Cycle(epochs=8, lr=0.05),), batch_size=6, label_smoothing=0, teacher=0.5)
    torch.save(torch.eye(3).repeat_interleave(4, dim=0).half(), soft)
    curve = pretrain.train("resnet_mini", folder, out, recipe=recipe, soft_labels=soft, device="cpu")
    weights = torch.load(out)
    assert weights["card"]["name"] == "resnet_mini" and weights["card"]["recipe"]["teacher"] == 0.5
    pictures, labels, _ = pretrain.read_pictures(folder / "val")
    scores = pretrain.evaluate(shipped.restore(resnet_mini.ResNetMini, weights), pictures, labels)
    assert scores["top1"] == curve[-1]["top1"] > 50
    torch.save(torch.full((12, 3), 1 / 3), soft)
    with pytest.raises(ValueError, match="another recipe or teacher: {'soft_labels'"):
        pretrain.train("resnet_mini", folder, out, recipe=recipe, soft_labels=soft, resume=True, device="cpu")
    with pytest.raises(ValueError, match="has a teacher: name the file"):
        pretrain.train("resnet_mini", folder, tmp_path / "b.pt", device="cpu")
    torch.save(torch.eye(3), soft)
    with pytest.raises(ValueError, match=r"labels of the shape \(3, 3\), not \(12, 3\)"):
        pretrain.train("resnet_mini", folder, tmp_path / "b.pt", soft_labels=soft, device="cpu")


def test_labels_are_mixed_with_what_the_teacher_says(tmp_path):
    torch.save(torch.tensor([[0.5, 0.5], [0.25, 0.75]]).half(), tmp_path / "soft.pt")
    mixed = pretrain.mixed(torch.tensor([0, 1]), 2, 0.4, tmp_path / "soft.pt")
    torch.testing.assert_close(mixed, torch.tensor([[0.8, 0.2], [0.1, 0.9]]))
    assert pretrain.mixed(torch.tensor([1]), 2, 0.0, None).tolist() == [[0, 1]]


def test_a_teacher_answers_for_pictures_that_it_was_not_fitted_to():
    torch.manual_seed(0)
    labels = torch.arange(600) % 3
    informed = torch.eye(3)[labels] * 4 + torch.randn(600, 3)
    noise = torch.randn(600, 300)  # enough numbers to learn 480 pictures by heart
    sure = soft_labels.answers([informed, informed.clone()], labels, 3)
    guessed = soft_labels.answers([noise], labels, 3)
    assert (sure.argmax(1) == labels).float().mean() > 0.9
    assert (guessed.argmax(1) == labels).float().mean() < 0.45
    torch.testing.assert_close(sure.sum(1), torch.ones(600))


def test_resuming_needs_a_checkpoint_of_the_same_recipe(folder, tmp_path, capsys):
    with pytest.raises(ValueError, match="nothing to resume.*Start without --resume"):
        pretrain.train("alexnet_mini", folder, tmp_path / "a.pt", recipe=TINY, resume=True, device="cpu")
    pretrain.train("alexnet_mini", folder, tmp_path / "b.pt", recipe=TINY, device="cpu")
    with pytest.raises(ValueError, match="b.pt is there already. Go on with --resume"):  # and is not overwritten
        pretrain.train("alexnet_mini", folder, tmp_path / "b.pt", recipe=TINY, device="cpu")
    with pytest.raises(ValueError, match="another recipe"):
        pretrain.train("alexnet_mini", folder, tmp_path / "b.pt", recipe=pretrain.Recipe(), resume=True, device="cpu")


def test_a_folder_without_pictures_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match="holds no pictures. Pass the folder that has train"):
        pretrain.read_pictures(tmp_path / "train")


def test_evaluation_from_the_command_line(folder, tmp_path, monkeypatch, capsys):
    first, *_, last = alexnet_mini.card()["class_ids"]
    for name in (first, last):
        (tmp_path / "val" / name).mkdir(parents=True)
        Image.new("RGB", (80, 64), "orange").save(tmp_path / "val" / name / "0.jpg")
    monkeypatch.setattr(sys, "argv", ["pretrain", "alexnet_mini", str(tmp_path), "--evaluate"])
    pretrain.main()
    assert re.fullmatch(r"alexnet_mini on 2 pictures: top-1 [\d.]+ %, top-5 [\d.]+ %\n", capsys.readouterr().out)
    with pytest.raises(ValueError, match="not trained on: n01, n02, n03"):
        pretrain.score("alexnet_mini", folder / "val")


@BOTH
@pytest.mark.skipif(not ZIP.is_file(), reason=f"{ZIP.name} is not on this machine")
def test_the_kits_weights_score_on_real_pictures_what_their_card_says(network):
    pictures, labels = [], []
    with zipfile.ZipFile(ZIP) as archive:
        names = sorted(name for name in archive.namelist() if "/val/" in name and name.endswith(".JPEG"))
        ids = network.card()["class_ids"]
        for name in names[::10]:  # 5 of the 50 pictures of each class
            pictures.append(np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")))
            labels.append(ids.index(name.split("/")[-2]))
    images = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    scores, said = pretrain.evaluate(network.load(), images, torch.tensor(labels)), network.card()["accuracy"]
    assert scores["top1"] == pytest.approx(said["top1"], abs=4)  # three standard errors of 1000 pictures
    assert scores["top5"] == pytest.approx(said["top5"], abs=4)


@pytest.mark.skipif(not BCDP.is_file(), reason=f"{BCDP.name} is not on this machine")
def test_a_new_last_layer_tells_real_bikes_cats_dogs_and_persons_apart(tmp_path: Path):
    with zipfile.ZipFile(BCDP) as archive:
        archive.extractall(tmp_path)
    data = loaders.image_folder(next(tmp_path.glob("*/train")).parent, size=64)
    for name in models.OWN:
        network = models.freeze(models.load(name, num_classes=4))
        training.fit(network, data, training.TrainConfig(epochs=10, lr=1e-3))
        assert training.evaluate(network, data.test).accuracy >= 77, name  # guessing: 25
