"""``python -m helpers slides``: the notebooks as slides (reveal.js), one page each, to be shown in a browser.

What is stored in a notebook is shown; nothing is executed. Formulas are drawn by matplotlib and pictures are inside, so
a page needs only reveal.js, which is put beside it. It is fetched once; where that fails, the page asks the network for
it when it is shown.
"""

from __future__ import annotations

import base64
import html
import io
import re
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from helpers import machine
from helpers.commands import run, slideshow
from helpers.datasets import download

if TYPE_CHECKING:
    from nbformat import NotebookNode

REVEAL = "reveal.js-5.2.1.tgz"
REVEAL_URL = f"https://registry.npmjs.org/reveal.js/-/{REVEAL}"
REVEAL_SHA256 = "359b575dd51bbda32f89b2fd4c7dc46ad7389a805572158916c29252f7a27333"
REVEAL_ONLINE = "https://unpkg.com/reveal.js@5.2.1"
REVEAL_PARTS = re.compile(
    r"package/(LICENSE|dist/(reveal\.(js|css)|theme/white\.css|theme/fonts/source-sans-pro/[\w-]+\.\w+))"
)
FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+)\$", re.DOTALL)
CODE = re.compile(r"((?ms:^ *(?:```|~~~).*?^ *(?:```|~~~) *$)|`[^`\n]+`)")
TEXT_PX = 24
TEMPLATE = """\
{% extends "reveal/index.html.j2" %}
{% block html_head_js %}{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_css %}<style>STYLE</style>{% endblock %}
{% block data_png scoped %}
<div class="jp-RenderedImage jp-OutputArea-output">
<img src="data:image/png;base64,{{ output.data["image/png"] }}"
alt="{{ output | get_metadata("alt", "image/png") | e }}"
width="{{ output | get_metadata("width", "image/png") }}" height="{{ output | get_metadata("height", "image/png") }}">
</div>
{% endblock %}
{% block data_svg scoped %}
<div class="jp-RenderedSVG jp-OutputArea-output">{{ output.data["image/svg+xml"] }}</div>
{% endblock %}
{% block footer_js %}
<script src="{{ resources.reveal.url_prefix }}/dist/reveal.js"></script>
<script>
Reveal.initialize({
    width: 1280, height: 720, margin: 0, center: false, hash: true, slideNumber: "c/t", transition: "none",
});
</script>
{% endblock %}
"""
STYLE = f"""\
.reveal {{ font-size: {TEXT_PX}px; }}
.reveal .slides section {{ padding: 30px 40px; height: 720px; box-sizing: border-box; text-align: left; }}
.reveal .slides > section {{ padding: 0; }}
.reveal .slides section > section {{ overflow-y: auto; }}
.reveal h1 {{ font-size: 50px; }} .reveal h2 {{ font-size: 40px; }} .reveal h3 {{ font-size: 31px; }}
.reveal .slides :is(h1, h2, h3) {{ text-transform: none; margin: 0 0 14px; }}
.reveal .jp-RenderedHTMLCommon {{ font: {TEXT_PX}px/1.4 "Source Sans Pro", Helvetica, sans-serif; }}
.reveal .jp-RenderedHTMLCommon :is(p, ul, ol, table, blockquote, pre) {{ margin: 0 0 14px; }}
.reveal .jp-RenderedHTMLCommon :is(table, td, th) {{ font-size: 22px; text-align: left; }}
.reveal .jp-RenderedHTMLCommon table {{ max-width: 100%; }}
.reveal .jp-RenderedHTMLCommon blockquote {{ width: auto; padding: 14px 20px; border-left: 8px solid #0072B2;
    background: #EEF5FA; box-shadow: none; font-style: normal; font-size: 30px; }}
.reveal .slides :is(.highlight pre, .jp-RenderedHTMLCommon pre) {{ font-size: 19px; line-height: 25px;
    white-space: pre-wrap; box-shadow: none; }}
.reveal .slides .jp-OutputArea-output > pre {{ font-size: 18px; line-height: 23px; width: 100%;
    white-space: pre-wrap; }}
.reveal .jp-Cell {{ padding: 0; margin: 0 0 10px; }}
.reveal .jp-InputArea-editor {{ border-radius: 4px; }}
.reveal .jp-OutputArea-output {{ padding: 4px 0 0; }}
.reveal .jp-OutputArea-output :is(img, svg) {{ margin: 0; max-width: 100%; }}
.reveal .jp-RenderedHTMLCommon.jp-OutputArea-output table {{ font-size: 18px; }}
.reveal .jp-OutputArea-output :is(td, th) {{ font-size: 18px; padding: 2px 10px; }}
.reveal img.formula {{ margin: 0; max-width: 100%; }}
.reveal img.display {{ display: block; margin: 8px auto; }}
"""


def slides(names: Sequence[str] = (), *, results: str | Path = "results") -> int:
    """Write the slides of each notebook (all by default) to ``results``/slides; returns the exit status."""
    import nbformat

    paths = [run.find_notebook(name) for name in names] or sorted((run.KIT / "notebooks").glob("*.ipynb"))
    folder = Path(results).expanduser().resolve() / "slides"
    folder.mkdir(parents=True, exist_ok=True)
    reveal, trouble = REVEAL_ONLINE, ""
    try:
        reveal = bring_reveal(folder)
    except OSError as error:
        trouble = str(error)
    for path in paths:
        page = folder / f"{path.stem}.html"
        page.write_text(export(nbformat.read(path, as_version=4), title=path.stem, reveal=reveal), encoding="utf-8")
        print(f"  {page.name}  ({page.stat().st_size / 1024:,.0f} KiB)")
    print(f"Slides: {folder}")
    if trouble:
        print(f"To show them, the browser needs a network: reveal.js could not be put beside them ({trouble}).")
    else:
        print(
            "Open one in a browser: no network needed. Arrow keys turn the slides, F fills the screen, Esc shows all."
        )
    return 0


def bring_reveal(folder: Path) -> str:
    """Put reveal.js into ``folder``/reveal.js, and return that address as a page sees it.

    Raises OSError when it is not on this machine and cannot be fetched.
    """
    archive, target = machine.home() / REVEAL, folder / "reveal.js"
    if not archive.is_file():
        if machine.offline():
            raise OSError("it is not on this machine, and KIT_OFFLINE=1 is set")
        download.download(REVEAL_URL, archive, sha256=REVEAL_SHA256)
    with tarfile.open(archive) as package:
        for member in package.getmembers():
            if member.isfile() and REVEAL_PARTS.fullmatch(member.name):
                part = target / member.name.removeprefix("package/")
                part.parent.mkdir(parents=True, exist_ok=True)
                part.write_bytes(package.extractfile(member).read())
    return "reveal.js"


def export(notebook: NotebookNode, *, title: str, reveal: str) -> str:
    """A page with the notebook's slides; ``reveal`` is the address of reveal.js."""
    from jinja2 import DictLoader
    from nbconvert import SlidesExporter

    template = DictLoader({"slides.html.j2": TEMPLATE.replace("STYLE", STYLE)})
    exporter = SlidesExporter(extra_loaders=[template], template_file="slides.html.j2")
    exporter.reveal_url_prefix, exporter.reveal_theme = reveal, "white"
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = exporter.exclude_anchor_links = True
    exporter.log.setLevel("ERROR")
    for_slides(notebook)
    page, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": title}})
    return page


def for_slides(notebook: NotebookNode) -> None:
    """What a slide shows otherwise than a notebook, in place: sizes of pictures, formulas, no badge, no dead widget."""
    for cell, following in zip(notebook.cells, [*notebook.cells[1:], None], strict=True):
        if cell.cell_type == "markdown":
            text = re.sub(r"\[!\[Open in Colab\].*\n*", "", cell.source)
            text = re.sub(r"\]\((\w+)\.ipynb\)", r"](\1.html)", text)  # the other notebook's slides
            cell.source = "".join(part if index % 2 else drawn(part) for index, part in enumerate(CODE.split(text)))
            continue
        for output in cell.outputs:
            data = output.get("data", {})
            if "image/png" in data:
                width, height = slideshow.figure_size(cell, output)
                output.metadata["image/png"] = {**output.metadata["image/png"], "width": width, "height": height}
            elif "image/svg+xml" in data:
                width, height = slideshow.figure_size(cell, output)
                data["image/svg+xml"] = resized(data["image/svg+xml"], width, height)
        if following and following.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _is_widget_of(output, following)]


def drawn(text: str) -> str:
    """Markdown whose formulas are pictures, with the LaTeX source as their description."""

    def picture(found: re.Match[str]) -> str:
        latex = found[1] or found[2]
        try:
            return _formula(latex, display=bool(found[1]))
        except ValueError:  # matplotlib knows only a part of LaTeX
            return f"<code>{html.escape(latex)}</code>"

    return FORMULA.sub(picture, text)


def resized(svg: str, width: float, height: float) -> str:
    """The drawing with another size on the page."""
    svg = re.sub(r'\bwidth="[\d.]+"', f'width="{width:g}"', svg, count=1)
    return re.sub(r'\bheight="[\d.]+"', f'height="{height:g}"', svg, count=1)


def _formula(latex: str, *, display: bool) -> str:
    import matplotlib
    from matplotlib import mathtext
    from matplotlib.font_manager import FontProperties

    stream, size = io.BytesIO(), 20.0  # points; everything below is relative to it
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": latex, "mathtext.fontset": "stix"}):
        depth = mathtext.math_to_image(f"${latex}$", stream, prop=FontProperties(size=size), dpi=72, format="svg")
    svg = stream.getvalue().decode()
    height = float(re.search(r'height="([\d.]+)pt"', svg)[1])
    kind = "formula display" if display else "formula"
    look = f"height:{1.1 * height / size:.3f}em;vertical-align:{-1.1 * depth / size:.3f}em"
    words = latex.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    picture = base64.b64encode(svg.encode()).decode()
    return f'<img class="{kind}" alt="{words}" style="{look}" src="data:image/svg+xml;base64,{picture}">'


def _is_widget_of(output: NotebookNode, following: NotebookNode) -> bool:
    """Is it a widget, stored as its description only, whose picture comes from the next cell?"""
    words = output.get("data", {}).get("text/plain", "").partition(": ")[2].removesuffix("…")  # shortened by IPython
    pictures = [each.data["text/plain"] for each in following.outputs if "image/svg+xml" in each.get("data", {})]
    return bool(words) and any(picture.startswith(words) for picture in pictures)
