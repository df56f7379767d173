"""``python -m uapkit``."""

import sys

from uapkit.cli import main

sys.exit(main())
