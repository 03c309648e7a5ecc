"""The README: its picture is made by the kit itself, its commands and links exist.

``PYTHONPATH=. python tests/test_readme.py`` draws the picture anew.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from PIL import Image

import colab_setup
from helpers import activations, commands, dissect, loaders, machine, models, photos, svg
from helpers.svg import kernel, network, zoo

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
    """Two columns: what a network says to a photo, and the model zoo; a kernel on a photo, and a network."""
    lenet = dissect.layers(models.load("lenet5", pretrained=False), 32)
    zoo_state = {"axis": "macs", "weights": "first", "family": "resnet", "frontier": True}
    cat = photos.load("cat").convert("L").crop((115, 60, 245, 190)).resize((90, 90))
    sobel = np.array(kernel.KERNELS["Sobel x"][0]).reshape(3, 3)
    left = [
        look(),
        zoo.zoo_picture(list(entries()), zoo_state, font_px=FONT_PX),
    ]
    right = [
        kernel.kernel_picture(np.asarray(cat), sobel, at=(34, 12), title="One kernel on a cat's eye", font_px=FONT_PX),
        network.network_picture(lenet, font_px=FONT_PX),
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


def look() -> str:
    """A photo, where the kit's small network looks, and what it says: what notebook 00 begins with."""
    net, (_, classes) = models.load("resnet_mini"), models.about("resnet_mini")
    square = photos.load("coffee").crop((100, 0, 500, 400))
    pixels = torch.from_numpy(np.array(square.resize((64, 64)))).permute(2, 0, 1)[None]
    image = loaders.Preprocess()(pixels)
    rows = activations.top_k(net, image, classes, k=3).rows
    heat = activations.grad_cam(net, image, classes.index(rows[0][0]))
    heat = F.interpolate(heat[None, None] / heat.max(), size=(360, 360), mode="bilinear")[0, 0].numpy()
    shown = square.resize((360, 360))
    colours = 255 * matplotlib.colormaps["viridis"](heat)[..., :3]
    over = Image.fromarray((0.45 * np.asarray(shown.convert("L"))[..., None] + 0.55 * colours).astype(np.uint8))
    sheet = svg.Sheet(FONT_PX)
    sheet.text(
        sheet.left, 1.9 * FONT_PX, "A photo, and what a small network makes of it", size=1.2 * FONT_PX, bold=True
    )
    for x, name, each in ((sheet.left, "the photo", shown), (sheet.left + 335, "where it looks: Grad-CAM", over)):
        sheet.text(x, 3.9 * FONT_PX, name, size=sheet.small, fill=svg.MUTED)
        content = io.BytesIO()
        each.save(content, "JPEG", quality=82)
        data = base64.b64encode(content.getvalue()).decode()
        place = f'x="{x:.1f}" y="{4.4 * FONT_PX:.1f}" width="320" height="320"'
        sheet.parts.append(f'<image {place} href="data:image/jpeg;base64,{data}"/>')
    x, sheet.y = sheet.left + 675, 4.4 * FONT_PX
    sheet.text(x, 3.9 * FONT_PX, "what it says", size=sheet.small, fill=svg.MUTED)
    for name, probability in rows:
        sheet.y += 1.5 * FONT_PX
        sheet.text(x, sheet.y, name, bold=name == rows[0][0])
        sheet.y += 1.4 * FONT_PX
        sheet.rect(x, sheet.y - 0.8 * FONT_PX, max(2, 150 * probability), 0.8 * FONT_PX, fill=svg.BLUE)
        sheet.text(x + max(2, 150 * probability) + 8, sheet.y, f"{100 * probability:.0f} %")
    return sheet.picture(title="A photo", alt="A cup of coffee; the network says espresso.", height=4.4 * FONT_PX + 345)


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
    stored, drawn = (re.sub(r"base64,[^\"]+", "", each) for each in (PICTURE.read_text(encoding="utf-8"), overview()))
    assert stored == drawn  # but for the bytes of its photos, which depend on the version of Pillow
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
