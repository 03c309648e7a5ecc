"""helpers.pictures: any picture file becomes the same upright 8-bit RGB picture, or one sentence."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import unicodedata
import warnings
import zlib
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
    assert pictures.open_with_header(str(tmp_path / "a.jpg"))[1] == ("JPEG", "RGB", (48, 32), False, None)


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
    [("float32", 1.0, 1.0), ("float32", 200.0, 255.0), ("float32", 5000.0, 16383.0), ("int32", 255, 255),
     ("int32", 60000, 65535), ("int32", 10**7, 10**7)],
    ids=["float 0..1", "float 0..255", "float 16-bit", "int 8-bit", "int 16-bit", "int 32-bit"],
)  # fmt: skip
def test_32_bit_values_are_scaled_to_the_usual_range_that_holds_them(tmp_path, dtype, largest, white):
    values = np.linspace(0, largest, 40 * 40).reshape(40, 40).astype(dtype)
    Image.fromarray(values).save(tmp_path / "a.tif")
    found = np.asarray(pictures.open_rgb(tmp_path / "a.tif"))
    assert np.abs(found - (values * (255.0 / white))[..., None]).max() <= 0.51


def test_what_is_no_number_does_not_move_the_range(tmp_path):
    values = np.full((40, 40), 0.5, np.float32)
    values[0, :3] = (np.nan, np.inf, -np.inf)
    Image.fromarray(values).save(tmp_path / "a.tif")
    found = np.asarray(pictures.open_rgb(tmp_path / "a.tif"))
    assert found[0, :3, 0].tolist() == [0, 255, 0] and (found[1:] == 128).all()


def grey(path, values, dtype):
    """A file of these values: TIFF for signed and float ones, PNG else."""
    values = np.resize(np.array(values), (40, 40)).astype(dtype)
    path = path.with_suffix(".png" if dtype == "uint16" else ".tif")
    if dtype == "int16":  # Pillow writes none: a TIFF by hand, with Width, Height, Bits, no compression, black is 0...
        tags = [
            (256, 40),
            (257, 40),
            (258, 16),
            (259, 1),
            (262, 1),
            (273, 8),
            (277, 1),
            (278, 40),
            (279, 3200),
            (339, 2),
        ]
        fields = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
        path.write_bytes(
            b"II*\0" + struct.pack("<I", 3208) + values.tobytes() + struct.pack("<H", 10) + fields + bytes(4)
        )
    else:
        Image.fromarray(values).save(path)
    return path


RANGES = {  # what the files of one folder hold -> what becomes black and white in all of them
    "8 bits in 16": (((0, 9), "uint16"), ((3, 200), "uint16"), (0, 255)),
    "10 bits": (((0, 1000), "uint16"), ((0, 4), "uint16"), (0, 1023)),
    "12 bits": (((0, 4095), "uint16"), ((0, 700), "uint16"), (0, 4095)),
    "14 bits": (((100, 9000), "uint16"), ((100, 200), "uint16"), (0, 16383)),
    "16 bits": (((0, 16384), "uint16"), ((0, 255), "uint16"), (0, 65535)),
    "32 bits": (((0, 70000), "int32"), ((5, 6), "int32"), (0, 70000)),
    "signed 16 bits": (((-1000, 2000), "int16"), ((0, 100), "int16"), (-1000, 2000)),
    "signed 32 bits": (((-5, 10), "int32"), ((0, 3000), "int32"), (-5, 3000)),
    "float 0..1": (((0, 0.9), "float32"), ((0, 0.1), "float32"), (0, 1)),
    "float -1..1": (((-1, 1), "float32"), ((0, 0.5), "float32"), (-1, 1)),
    "float 0..10": (((0, 10), "float32"), ((2, 3), "float32"), (0, 10)),
    "float 0..255": (((0, 250), "float32"), ((0, 1), "float32"), (0, 255)),
    "mixed": (((0, 300), "uint16"), ((-1, 1), "float32"), (-1, 300)),
}


def test_one_range_for_all_files_of_a_data_set(tmp_path):
    wrong = []
    for what, (first, second, expected) in RANGES.items():
        (tmp_path / what).mkdir()
        paths = [grey(tmp_path / what / f"{number}", *each) for number, each in enumerate((first, second))]
        corners().save(tmp_path / what / "usual.jpg")
        found = pictures.value_range([*paths, tmp_path / what / "usual.jpg"])
        if found is None or not np.allclose(found, expected):
            wrong.append((what, found))
            continue
        black, white = expected
        for path, (values, _) in zip(paths, (first, second), strict=True):
            levels = np.asarray(pictures.open_rgb(path, values=found))[0, :2, 0]
            if np.abs(levels - (np.array(values) - black) * 255 / (white - black)).max() > 0.51:
                wrong.append((what, path.name, levels))
    assert not wrong
    assert pictures.value_range([tmp_path / "mixed" / "usual.jpg", tmp_path / "nothing.png"]) is None


def test_16_bits_a_colour_are_read_or_refused_when_they_are_nearly_black(tmp_path):
    """Pillow keeps the upper 8 of the 16 bits; it writes no such file."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    for name, colour_type, channels in (("RGB", 2, 3), ("RGBA", 6, 4)):
        for largest in (4095, 65535):
            rows = np.linspace(0, largest, 40 * 40 * channels).reshape(40, -1, channels).astype(">u2")
            if channels == 4:
                rows[..., 3] = 65535
            data = b"".join(b"\0" + row.tobytes() for row in rows)
            path = tmp_path / f"{name}{largest}.png"
            path.write_bytes(
                b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 40, 40, 16, colour_type, 0, 0, 0))
                + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
            )  # fmt: skip
            if largest == 65535:
                assert np.abs(np.asarray(pictures.open_rgb(path)) - rows[..., :3] / 257.0).max() <= 1
            else:
                with pytest.raises(pictures.PictureError, match=r"uses less than a quarter.*Save it with 8 bits"):
                    pictures.open_rgb(path)


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
                 ".ipynb_checkpoints/1.jpg", "__MACOSX/cat/._1.jpg", "@eaDir/1.jpg", "cat/@eaDir/1.jpg/SYNO.jpg",
                 "$Recycle.Bin/1.jpg", "LOST+FOUND/1.jpg", "System Volume Information/1.jpg", "#recycle/1.jpg",
                 "__pycache__/1.jpg", "@Recycle/1.jpg", "found.000/1.jpg", "cat/THUMBS.DB"):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    assert pictures.list_classes(tmp_path) == ["cat"]
    assert pictures.list_pictures(tmp_path) == pictures.list_files(tmp_path) == [tmp_path / "cat" / "1.jpg"]


def test_links_that_lead_back_are_named(tmp_path):
    for name, target in (("cat/again", ".."), ("dog/all/here", "../.."), ("emu/self", "."), ("fox/top", "../../..")):
        link = tmp_path / "set" / name
        link.parent.mkdir(parents=True)
        (link.parent / "1.jpg").write_bytes(b"x")
        link.symlink_to(target)
        with pytest.raises(pictures.PictureError, match=r"leads back to a folder in which it lies.*remove this link"):
            pictures.list_files(tmp_path / "set" / name.split("/")[0])
    (tmp_path / "good" / "deep").mkdir(parents=True)
    (tmp_path / "good" / "deep" / "1.jpg").write_bytes(b"x")
    (tmp_path / "good" / "twice").symlink_to("deep")  # a link that leads elsewhere is followed, as ImageFolder does
    (tmp_path / "good" / "itself").symlink_to("itself")
    assert [path.parent.name for path in pictures.list_pictures(tmp_path / "good")] == ["deep", "twice"]
    assert pictures.list_classes(tmp_path / "good") == ["deep", "twice"]


def test_names_in_two_spellings_are_one_class_and_every_name_can_be_printed(tmp_path):
    for name in ("V\u00f6gel", unicodedata.normalize("NFD", "V\u00f6gel"), "кот", "猫"):
        (tmp_path / name).mkdir()
    os.mkdir(os.fsencode(tmp_path) + b"/\x83l\x83R")
    found = pictures.class_folders(tmp_path)
    assert set(found) == {"V\u00f6gel", "кот", "猫", "\ufffdl\ufffdR"}
    assert len(found["V\u00f6gel"]) == 2 and all(path.is_dir() for paths in found.values() for path in paths)
    with pytest.raises(pictures.PictureError) as caught:
        pictures.open_rgb(found["\ufffdl\ufffdR"][0] / "1.jpg")
    assert str(caught.value).encode()


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
