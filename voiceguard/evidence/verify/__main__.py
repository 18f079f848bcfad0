"""`python -m voiceguard.evidence.verify`; of a copy of this folder, `python -m verify`."""

import sys

from .command import main

sys.exit(main())
