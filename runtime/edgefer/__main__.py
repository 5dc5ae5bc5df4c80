"""``python -m edgefer`` is ``edgefer``."""

import sys

from edgefer.cli import main

sys.exit(main())
