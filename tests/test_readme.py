"""The README: its picture is made by the kit itself, its commands and links exist.

``PYTHONPATH=. python tests/test_readme.py`` draws the picture anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import torchvision

import colab_setup
from helpers import commands, dissect, machine, models, svg
from helpers.svg import network, zoo
from helpers.widgets import ConvExplorer, ReceptiveFieldExplorer

KIT = Path(__file__).resolve().parents[1]
README = (KIT / "README.md").read_text(encoding="utf-8")
PICTURE = KIT / ".github" / "overview.svg"
FONT_PX = 22  # the page shows the picture at less than half its size
ZOO = """
    alexnet vgg11 vgg13 vgg16 vgg19 googlenet inception_v3 resnet18 resnet34 resnet50 resnet101 resnet152 squeezenet1_0
    squeezenet1_1 densenet121 densenet161 densenet169 densenet201 mobilenet_v2 mobilenet_v3_small mobilenet_v3_large
    shufflenet_v2_x0_5 shufflenet_v2_x1_0 mnasnet0_5 mnasnet1_0 regnet_y_400mf regnet_y_3_2gf regnet_y_16gf
    efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3 efficientnet_b4 efficientnet_b5 efficientnet_v2_s
    efficientnet_v2_m convnext_tiny convnext_small convnext_base convnext_large vit_b_16 swin_t swin_s swin_b
"""


def overview() -> str:
    """Two columns: a convolution and a network, a receptive field and the model zoo."""
    lenet = dissect.layers(models.load("lenet5", pretrained=False), 32)
    zoo_state = {"axis": "macs", "weights": "first", "family": "resnet", "frontier": True}
    left = [
        ConvExplorer("Three channels, two filters", font_px=FONT_PX).svg(),
        network.network_picture(lenet, font_px=FONT_PX),
    ]
    right = [
        ReceptiveFieldExplorer(font_px=FONT_PX).svg(),
        zoo.zoo_picture(list(entries()), zoo_state, font_px=FONT_PX),
    ]
    parts, bottom = [], 0
    for column, pictures in enumerate((left, right)):
        y = 20
        for picture in pictures:
            parts.append(picture.replace("<svg ", f'<svg x="{20 + 980 * column}" y="{y}" ', 1))
            y += 20 + int(re.search(r'height="(\d+)"', picture)[1])
        bottom = max(bottom, y)
    drawn = svg.document(parts, width=1980, height=bottom, title="CNN course kit", alt=alt())
    return drawn.replace(f'fill="{svg.PAPER}"', 'fill="#E4E8EB"', 1) + "\n"  # a frame around the four


def entries() -> Iterator[zoo.Entry]:
    """Networks whose first weights will not change any more."""
    for name in ZOO.split():
        weights = next(iter(torchvision.models.get_model_weights(name)))
        meta = weights.meta
        accuracy = meta["_metrics"]["ImageNet-1K"]["acc@1"]
        yield zoo.Entry(name, weights.name, accuracy, meta["_ops"], meta["num_params"] / 1e6)


def alt() -> str:
    """What README.md says to somebody who cannot see the picture."""
    return re.search(r"!\[([^\]]+)\]\(\.github/overview\.svg\)", README)[1].replace("\n", " ")


def test_the_picture_is_what_the_kit_draws() -> None:
    assert PICTURE.read_text(encoding="utf-8") == overview()
    assert PICTURE.stat().st_size < 150_000


def test_the_main_commands_are_two() -> None:
    block = re.search(r"(?s)## Two commands.*?```\n(.*?)```", README)[1]
    assert re.findall(r"(?m)^python3 colab_setup\.py (\w+)", block) == ["run", "test"]


def test_every_command_that_is_named_exists() -> None:
    known = commands.parser()._subparsers._group_actions[0].choices
    for line in sorted(set(re.findall(r"colab_setup\.py [a-z]+(?: --[a-z]+)?", README))):
        command, *options = line.split()[1:]
        assert command in colab_setup.COMMANDS and command in known, line
        tests = {"--colab", "--browser"} if command == "test" else set()
        assert set(options) <= {*known[command]._option_string_actions, *tests}, line
    for command in re.findall(r"python -m helpers ([a-z]+)", README):
        assert command in known


def test_links_inside_the_readme_lead_to_headings() -> None:
    headings = {re.sub(r"[^\w-]", "", text.lower().replace(" ", "-")) for text in re.findall(r"(?m)^#+ (.+)$", README)}
    assert {target for target in re.findall(r"\]\(#([^)]+)\)", README)} <= headings


def test_every_setting_is_explained() -> None:
    assert set(re.findall(r"KIT_[A-Z]+", machine.__doc__)) <= set(re.findall(r"(?m)^\| `(KIT_[A-Z]+)`", README))


if __name__ == "__main__":
    PICTURE.write_text(overview(), encoding="utf-8")
    print(f"{PICTURE.relative_to(KIT)}: {PICTURE.stat().st_size:,} bytes")
