"""``python tests/tools/draw_standin FOLDER``: draw the stand-in data sets into FOLDER (default: helpers/datasets)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import draw_standin  # noqa: E402  the folder above has to be on the path first

KIT = Path(__file__).parents[3]
for path in draw_standin.write(Path(sys.argv[1]) if len(sys.argv) > 1 else KIT / "helpers" / "datasets"):
    print(f"{path}: {path.stat().st_size / 2**20:.2f} MiB")
