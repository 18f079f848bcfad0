"""Listens to calls as they happen and says when a human should take over.

Audio of a call goes in, a pressure index for each customer channel comes out,
with alerts, requests for a human and a flag for quality assurance. The index is
a reason to bring in a human, never a score of a person.

Import the parts by their own names: `voiceguard.core` decides, `voiceguard.engine`
detects and scores speech, `voiceguard.server` and `voiceguard.client` speak gRPC,
`voiceguard.v1` holds the messages of the interface.
"""

import os

__all__ = ["__version__"]

__version__ = "0.1.0"

# onnxruntime reports its use to its makers unless told not to before it is first imported, and
# nothing about a monitored call leaves the machine unasked (docs/adr/0008-no-telemetry.md).
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
