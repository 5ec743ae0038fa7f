"""The reference of all reasons, made from the error classes: what they mean stands in one place, their docstrings.

python tests/support/error_reference.py > docs/reference/errors.md
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator

import strongroom
import strongroom_client
import strongroom_coordinator
import strongroom_signer
from strongroom.ledger.reasons import REASONS, Refused
from strongroom.model.errors import Kind, StrongroomError
from strongroom.protocol.voter_state import Alarm

PACKAGES = (strongroom, strongroom_coordinator, strongroom_signer, strongroom_client)

SECTIONS = (
    ("The coordinator and its services", ("strongroom_coordinator",)),
    ("The ledger: why an entry, an order or a plan is refused", ("strongroom.ledger.reasons",)),
    ("Signers", ("strongroom_signer",)),
    ("Votes, terms, signing and key generation", ("strongroom.protocol",)),
    ("The client and its commands", ("strongroom_client",)),
    ("Proofs, encodings and files", ("strongroom.ledger", "strongroom.wire", "strongroom.model")),
    ("Bitcoin", ("strongroom.chains",)),
    ("Cryptography", ("strongroom.crypto",)),
)

INTRODUCTION = """# Errors

Every error has a stable reason in UPPER_SNAKE that never changes its meaning. Programs decide by the reason and the
kind, never by the text.

- Over gRPC the **kind** is the status code, and the status details hold `google.rpc.ErrorInfo` with the reason, the
  domain `strongroom`, and short facts as metadata (for `INVALID_REQUEST` the field's name).
- In bulk calls a refused item carries reason and text in its place.
- The SDK raises the class for the kind (`strongroom_client.errors`), with the reason as `remote_reason`.
- Signers' refusals reach people as `signer: REASON detail`.
- A client or an operator who sees `INTERNAL_ERROR` gives the incident from the message to whoever runs the
  coordinator; its log has the rest.

This list is made from the code, and a test holds the two together: to renew it, run
`python tests/support/error_reference.py > docs/reference/errors.md`.

## Kinds

| Kind | What a caller may do |
|---|---|
"""


ALARMS = """
## Alarms of a signer

A signer that stopped with an alarm gives the alarm's name as its last refusal and beside its name in
`strongroom signers list`. Its operator finds what to do under [Alarms](../operators.md#alarms).

| Alarm | Meaning |
|---|---|
"""


def load_all() -> None:
    """Import every module, so that every error class is known."""
    for package in PACKAGES:
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if not any(part in module.name for part in ("_pb2", ".migrations", ".__main__")):
                importlib.import_module(module.name)


def classes(base: type[StrongroomError] = StrongroomError) -> Iterator[type[StrongroomError]]:
    """Every error class of the packages, each once."""
    for found in base.__subclasses__():
        if found.__module__.partition(".")[0] in {package.__name__ for package in PACKAGES}:
            yield found
        yield from classes(found)


def section_of(error: type[StrongroomError]) -> str:
    """The first section whose packages hold the class."""
    for title, prefixes in SECTIONS:
        if any(error.__module__ == prefix or error.__module__.startswith(prefix + ".") for prefix in prefixes):
            return title
    raise LookupError(f"no section of the reference holds {error.__module__}")


def row(error: type[StrongroomError]) -> str:
    """The table row of one class."""
    if issubclass(error, Refused) and error is not Refused:
        reason = REASONS[error.reason]
        meaning, remedy = reason.meaning, reason.remedy
    else:
        paragraph = (inspect.cleandoc(error.__doc__ or "")).split("\n\n")[0]
        meaning, remedy = " ".join(paragraph.split()), vars(error).get("remedy", error.kind.value)
    return f"| `{error.reason}` | {error.kind.name} | {meaning} | {remedy[:1].upper()}{remedy[1:].rstrip('.')}. |"


def name_of(alarm: Alarm) -> str:
    """What alarms are sorted by."""
    return alarm.name


def render() -> str:
    """The whole reference."""
    load_all()
    text = INTRODUCTION + "".join(f"| {kind.name} | {kind.value} |\n" for kind in Kind)
    for title, _ in SECTIONS:
        rows = sorted({row(error) for error in classes() if section_of(error) == title})
        text += f"\n## {title}\n\n| Reason | Kind | Meaning | What to do |\n|---|---|---|---|\n"
        text += "".join(f"{line}\n" for line in rows)
    alarms = (
        f"| `{alarm.name}` | {alarm.value[:1].upper()}{alarm.value[1:]}. |\n" for alarm in sorted(Alarm, key=name_of)
    )
    return text + ALARMS + "".join(alarms)


if __name__ == "__main__":
    sys.stdout.write(render())
