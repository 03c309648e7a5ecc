"""How feedback is shown: a card in a notebook, and beside it the same words as plain text."""

from __future__ import annotations

import html
import re
import sys
import textwrap

_WRAPPER = textwrap.TextWrapper(96, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False)
_SIGNS = {"Right.": ("&#10003;", "GREEN"), "Not yet": ("&#10007;", "VERMILION")}  # a sign each, never colour alone
_FRAME = "border-left: 4px solid {}; padding: 2px 12px; margin: 4px 0; max-width: 80ch; line-height: 1.5"


class Card:
    """``text``, whose first words name the question ("conv-2: Right."), and perhaps lines of code below it."""

    def __init__(self, text: str, code: str = "") -> None:
        self.text, self.code = text, code

    def __repr__(self) -> str:
        return "\n".join(filter(None, [wrapped(self.text), self.code.rstrip()]))

    def _repr_html_(self) -> str:
        from helpers import svg  # here, so that importing this module stays light

        name, _, rest = self.text.partition(":")
        sign, colour = next((look for word, look in _SIGNS.items() if rest.startswith(f" {word}")), ("", "BLUE"))
        lines = [f"<b>{sign} {html.escape(name)}:</b>{_marked(rest)}".replace("<b> ", "<b>")]
        code = f"<pre><code>{html.escape(self.code.rstrip())}</code></pre>" if self.code else ""
        return f'<div style="{_FRAME.format(getattr(svg, colour))}">{"".join(lines)}{code}</div>'


def show(text: str, code: str = "") -> None:
    """Displays a card where there is a notebook, prints its text elsewhere."""
    card = Card(text, code)
    if "IPython" in sys.modules:
        from IPython.display import display  # here, so that importing this module stays light

        display(card)  # in a plain Python, this prints the text
    else:
        print(card)


def wrapped(text: str) -> str:
    """The lines of ``text``, none longer than 96 letters where that can be had; empty ones are left out."""
    return "\n".join(_WRAPPER.fill(line) for line in text.split("\n") if line)


def _marked(text: str) -> str:
    """``text`` as HTML, with `code` in its own letters and every line on a line."""
    lines = html.escape(text, quote=False).replace("\n", "<br>\n")
    return re.sub(r"`([^`\n]+)`", r"<code>\1</code>", lines)
