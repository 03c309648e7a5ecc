"""``colab_setup.py address OWNER/NAME``: write the repository's address into every badge and link of the kit.

Standard library only: a fork is given its address before anything is installed.
"""

from __future__ import annotations

import re
from pathlib import Path

KIT = Path(__file__).resolve().parents[2]
PLACES = ("*.md", "*.py", "*.toml", "*.yml", "helpers/**/*.py", "notebooks/*.ipynb", ".github/workflows/*.yml")
BEFORE = ("github/", "github.com/", "githubusercontent.com/", 'ADDRESS = "')


def address(new: str, *, kit: Path = KIT) -> list[Path]:
    """Replace the address that colab_setup.py holds by ``new`` wherever it stands; return the files that changed.

    The text is replaced and nothing else in a file moves. Works any number of times, from any address to any other.
    """
    new = re.sub(r"^https://github\.com/|\.git$|/$", "", new.strip())
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+", new):
        raise ValueError(f"{new!r} is not an address. It has the form OWNER/NAME, as in https://github.com/OWNER/NAME.")
    old = re.escape(current(kit).encode())
    before = b"|".join(b"(?<=%s)" % re.escape(text.encode()) for text in BEFORE)
    pattern = re.compile(b"(?:%s)%s(?![\\w-])" % (before, old))
    return [path for place in PLACES for path in sorted(kit.glob(place)) if _rewrite(path, pattern, new.encode())]


def current(kit: Path = KIT) -> str:
    """The address that stands in colab_setup.py."""
    found = re.search(r'(?m)^ADDRESS = "([^"]+)"', (kit / "colab_setup.py").read_text(encoding="utf-8"))
    if not found:
        raise ValueError('colab_setup.py has no line ADDRESS = "OWNER/NAME" any more: restore that line first.')
    return found[1]


def _rewrite(path: Path, pattern: re.Pattern[bytes], new: bytes) -> bool:
    before = path.read_bytes()  # bytes: line ends stay as they are
    after = pattern.sub(new, before)
    if after != before:
        path.write_bytes(after)
    return after != before


def main(arguments: list[str]) -> int:
    """Write the address and say where."""
    changed = address(" ".join(arguments))
    for path in changed:
        print(f"  {path.relative_to(KIT)}")
    print(f"{len(changed)} files changed; the address is {current()}.")
    return 0
