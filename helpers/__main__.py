"""``python -m helpers COMMAND``; ``python -m helpers --help`` lists the commands."""

import sys

from helpers import commands

sys.exit(commands.main(sys.argv[1:]))
