"""The signer daemon and its operator's command."""

import os

# gRPC's own notes on standard error are no JSON lines; the daemon's events say what happened. gRPC reads this when
# it is imported, and never again.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
