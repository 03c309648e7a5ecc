"""helpers.pictures: any picture file becomes the same upright 8-bit RGB picture, or one sentence."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageOps
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS

from helpers import pictures

# Four colours in the corners: any turn, mirror or wrong channel order shows.
CORNERS = {(0, 0): (230, 30, 30), (1, 0): (30, 200, 30), (0, 1): (40, 40, 220), (1, 1): (240, 220, 40)}


def corners(width=48, height=32):
    image = Image.new("RGB", (width, height))
    for (right, down), colour in CORNERS.items():
        image.paste(colour, (right * width // 2, down * height // 2, (right + 1) * width // 2, height))
    return image


def assert_corners(image, tolerance):
    assert image.mode == "RGB" and image.size == (48, 32)
    for (right, down), colour in CORNERS.items():
        found = image.getpixel((12 + 24 * right, 8 + 16 * down))
        assert np.abs(np.subtract(found, colour)).max() <= tolerance, (right, down, found, colour)


def stored(path, orientation):
    """``corners()`` as a camera would store it, so that the EXIF ``orientation`` makes it upright again."""
    back = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]  # the inverse turns, in Pillow's numbers
    image = corners() if back is None else corners().transpose(Image.Transpose(back))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(path, exif=exif, **({"quality": 95} if path.suffix == ".jpg" else {}))
    return path


@pytest.mark.parametrize("ending", ["jpg", "png", "bmp", "ppm", "tif", "webp"])
def test_every_format_that_counts_is_read(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    corners().save(path)
    assert_corners(pictures.open_rgb(path), 0 if ending in ("png", "bmp", "ppm", "tif") else 25)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
def test_exif_orientation_is_applied_once(tmp_path, ending, orientation):
    image, header = pictures.open_with_header(stored(tmp_path / f"a.{ending}", orientation))
    assert_corners(image, 30)
    assert_corners(ImageOps.exif_transpose(image), 30)  # nothing is left for the next reader to turn
    if ending != "tif":  # Pillow turns TIFF files itself while it decodes them
        assert header.is_turned == (orientation != 1)
        assert header.size == ((48, 32) if orientation < 5 else (32, 48))


def test_plain_jpeg_is_what_pillow_decodes(tmp_path):
    corners().save(tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as image:
        expected = np.asarray(image.convert("RGB"))
    assert np.array_equal(np.asarray(pictures.open_rgb(tmp_path / "a.jpg")), expected)
    assert pictures.open_with_header(str(tmp_path / "a.jpg"))[1] == ("JPEG", "RGB", (48, 32), False)


def test_damaged_exif_does_not_cost_the_picture(tmp_path):
    tiff = b"II*\x00\x08\x00\x00\x00" + struct.pack("<H", 2) + struct.pack("<HHII", 0x0112, 3, 9999, 10**6) * 2
    corners().save(tmp_path / "a.jpg", exif=b"Exif\x00\x00" + tiff, quality=95)
    assert_corners(pictures.open_rgb(tmp_path / "a.jpg"), 30)


@pytest.mark.parametrize("mode", ["L", "1", "P"])
def test_grey_and_palette_become_rgb(tmp_path, mode):
    source = corners().convert(mode)
    source.save(tmp_path / "a.png")
    image, header = pictures.open_with_header(tmp_path / "a.png")
    assert header.mode == mode
    assert np.array_equal(np.asarray(image), np.asarray(source.convert("RGB")))


@pytest.mark.parametrize("alpha", [0, 128, 255])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_on_white(tmp_path, mode, alpha):
    grey = Image.new("L", (40, 40), 100)
    Image.merge("LA", (grey, Image.new("L", (40, 40), alpha))).convert(mode).save(tmp_path / "a.png")
    expected = 255 + (100 - 255) * alpha / 255
    found = np.asarray(pictures.open_rgb(tmp_path / "a.png"))
    assert found.shape == (40, 40, 3) and np.abs(found - expected).max() <= 1


@pytest.mark.parametrize("mode", ["P", "RGB", "L"])
def test_a_transparent_colour_becomes_white(tmp_path, mode):
    image = Image.new("RGB", (40, 40), (0, 0, 0))
    image.paste((200, 10, 10), (0, 0, 20, 40))
    image = image.convert(mode)
    black = image.getpixel((30, 5))
    image.save(tmp_path / "a.png", transparency=black)
    found = pictures.open_rgb(tmp_path / "a.png")
    assert found.getpixel((30, 5)) == (255, 255, 255) and found.getpixel((5, 5)) != (255, 255, 255)


def test_palette_with_alpha_in_bytes_gives_no_warning(tmp_path):
    image = corners().quantize(4)
    image.save(tmp_path / "a.png", transparency=bytes([0, 255, 255, 255]))
    found = np.asarray(pictures.open_rgb(tmp_path / "a.png"))
    assert (found == 255).all(-1).mean() == pytest.approx(0.25)


@pytest.mark.parametrize("ending", ["jpg", "tif"])
def test_cmyk_keeps_its_colours(tmp_path, ending):
    corners().convert("CMYK").save(tmp_path / f"a.{ending}", **({"quality": 95} if ending == "jpg" else {}))
    image, header = pictures.open_with_header(tmp_path / f"a.{ending}")
    assert header.mode == "CMYK"
    assert_corners(image, 30)  # a reader that misses Adobe's inversion gives the negative


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bit_grey_is_scaled_and_not_clipped(tmp_path, ending):
    values = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / f"a.{ending}")
    found = np.asarray(pictures.open_rgb(tmp_path / f"a.{ending}"))
    assert np.abs(found - (values / 257.0)[..., None]).max() <= 0.5 + 1e-3


@pytest.mark.parametrize(
    ("dtype", "largest", "white"),
    [("float32", 1.0, 1.0), ("float32", 200.0, 255.0), ("float32", 5000.0, 65535.0), ("int32", 255, 255),
     ("int32", 60000, 65535), ("int32", 10**7, 10**7)],
    ids=["float 0..1", "float 0..255", "float 16-bit", "int 8-bit", "int 16-bit", "int 32-bit"],
)  # fmt: skip
def test_32_bit_values_are_scaled_to_the_usual_range_that_holds_them(tmp_path, dtype, largest, white):
    values = np.linspace(0, largest, 40 * 40).reshape(40, 40).astype(dtype)
    Image.fromarray(values).save(tmp_path / "a.tif")
    found = np.asarray(pictures.open_rgb(tmp_path / "a.tif"))
    assert np.abs(found - (values * (255.0 / white))[..., None]).max() <= 0.51


def test_not_a_number_and_negative_values_become_black(tmp_path):
    values = np.full((40, 40), 0.5, np.float32)
    values[0, :3] = (np.nan, np.inf, -3)
    Image.fromarray(values).save(tmp_path / "a.tif")
    found = np.asarray(pictures.open_rgb(tmp_path / "a.tif"))
    assert (found[0, :3] == 0).all() and (found[1:] == 128).all()


def jpeg_bytes(size=(100, 80)):
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG")
    return buffer.getvalue()


BROKEN = {
    "empty": (b"", r"is empty \(0 bytes\)"),
    "truncated": (jpeg_bytes()[:3000], r"cannot be decoded \(.*truncated.*probably damaged, copy or download it again"),
    "only a header": (jpeg_bytes()[:20], "damaged"),
    "web page": (b"<!DOCTYPE html>\n<html><title>Quota exceeded</title>", "not a picture but a web page"),
    "text": (b"see https://example.org/cat.jpg\n", r"it holds: text"),
    "text in UTF-8, cut within a letter": ("Grüße, 猫".encode() * 60, r"it holds: text"),
    "HEIC": (b"\x00\x00\x00\x18ftypheic" + bytes(300), r"HEIC photo \(iPhone\).*save it as JPEG"),
    "video": (b"\x00\x00\x00\x18ftypisom" + bytes(300), "it holds: video"),
    "PDF": (b"%PDF-1.7\n" + bytes(300), "it holds: PDF"),
    "zip": (b"PK\x03\x04" + bytes(300), "it holds: zip archive"),
    "high bytes": (bytes(range(200, 256)) * 9, "its first bytes are none that Pillow knows"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_read_is_one_sentence_with_the_files_name(tmp_path, name):
    content, sentence = BROKEN[name]
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    with pytest.raises(pictures.PictureError, match=sentence) as caught:
        pictures.open_rgb(path)
    assert str(caught.value).startswith(f"{path} ") and "\n" not in str(caught.value)
    assert path.read_bytes() == content


def test_png_cut_anywhere_never_raises_anything_else(tmp_path):
    corners().save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    path = tmp_path / "cut.png"
    for length in range(0, len(whole) - 40, 3):
        path.write_bytes(whole[:length])
        with pytest.raises(pictures.PictureError):
            pictures.open_rgb(path)


def test_flipped_bytes_give_a_picture_or_a_picture_error(tmp_path):
    rng = np.random.default_rng(3)
    for ending in ("jpg", "png", "tif", "webp", "bmp"):
        corners().save(tmp_path / f"whole.{ending}")
        whole = np.frombuffer((tmp_path / f"whole.{ending}").read_bytes(), np.uint8)
        for _ in range(60):
            damaged = whole.copy()
            damaged[rng.integers(0, len(whole), 4)] = rng.integers(0, 256, 4)
            (tmp_path / f"damaged.{ending}").write_bytes(damaged.tobytes())
            try:
                assert pictures.open_rgb(tmp_path / f"damaged.{ending}").mode == "RGB"
            except pictures.PictureError as error:
                assert "damaged" in str(error)


def test_no_such_file_and_a_folder(tmp_path):
    with pytest.raises(pictures.PictureError, match=r"nothing\.jpg cannot be read: there is no such file"):
        pictures.open_rgb(tmp_path / "nothing.jpg")
    with pytest.raises(pictures.PictureError, match="it is a folder, not a picture"):
        pictures.open_rgb(tmp_path)


@pytest.mark.parametrize("limit", [1000, 500], ids=["pillow warns", "pillow refuses"])
def test_too_many_pixels_is_an_error(tmp_path, monkeypatch, limit):
    corners().save(tmp_path / "a.png")  # 1,536 pixels
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(pictures.PictureError, match=r"a\.png has too many pixels.*save a smaller copy"):
        pictures.open_rgb(tmp_path / "a.png")


def test_threads_decode_the_same_and_leave_the_warning_filters_alone(tmp_path):
    paths = [stored(tmp_path / f"{number}.{ending}", 1 + number % 8)
             for number in range(24) for ending in ("jpg", "png", "tif")]  # fmt: skip
    expected = [np.asarray(pictures.open_rgb(path)) for path in paths]
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(4):
            found = list(pool.map(pictures.open_rgb, paths))
            assert all(np.array_equal(np.asarray(image), wanted) for image, wanted in zip(found, expected, strict=True))
    assert warnings.filters == before


def test_suffixes_and_order_are_those_of_imagefolder(tmp_path):
    assert pictures.SUFFIXES == IMG_EXTENSIONS
    for name in ("b/2.jpg", "b/10.JPG", "b/sub/1.png", "b/notes.txt", "B/x.jpeg", "a/é.webp", "a/z.gif", "a/0.tif"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        corners().save(path) if not name.endswith("txt") else path.write_text("x")
    ours = [str(path) for each in pictures.list_classes(tmp_path) for path in pictures.list_pictures(tmp_path / each)]
    assert pictures.list_classes(tmp_path) == ImageFolder(tmp_path).classes
    assert ours == [path for path, _ in ImageFolder(tmp_path).samples] and len(ours) == 6


def test_litter_is_no_data(tmp_path):
    for name in ("cat/1.jpg", "cat/._1.jpg", "cat/.hidden.png", "cat/Thumbs.db", "cat/__MACOSX/2.jpg",
                 ".ipynb_checkpoints/1.jpg", "__MACOSX/cat/._1.jpg"):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    assert pictures.list_classes(tmp_path) == ["cat"]
    assert pictures.list_pictures(tmp_path) == pictures.list_files(tmp_path) == [tmp_path / "cat" / "1.jpg"]


def test_a_missing_folder_is_not_an_empty_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        pictures.list_pictures(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        pictures.list_classes(tmp_path / "nowhere")


@pytest.mark.parametrize("ending", ["jpg", "png", "gif", "bmp", "webp", "tif", "ppm"])
def test_kind_of_file_looks_at_the_content(tmp_path, ending):
    corners().save(tmp_path / f"a.{ending}")
    (tmp_path / f"a.{ending}").rename(tmp_path / "a.txt")
    kind = pictures.kind_of_file(tmp_path / "a.txt")
    assert kind == {"jpg": "JPEG", "webp": "WebP", "tif": "TIFF", "ppm": "PNM"}.get(ending, ending.upper())
    assert kind in pictures.PICTURES


def test_importing_loads_no_torch():
    code = "import sys, helpers.pictures, helpers.doctor, helpers.drive; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
