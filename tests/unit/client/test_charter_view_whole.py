"""`charter show` is what everybody reads before adopting a charter: no value of it may be left out."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from charter_leaves import full_charter, leaves
from strongroom.ledger.charter import Charter
from strongroom_client.cli.charter_view import charter_tables

FULL = full_charter()


def shown(charter: Charter) -> str:
    out = io.StringIO()
    console = Console(file=out, width=400)
    for part in charter_tables(charter, bytes(32)):
        console.print(part)
    return out.getvalue()


BEFORE = shown(FULL)


@pytest.mark.parametrize("where", [path for path, _ in leaves(FULL) if path != ".salt"])
def test_every_value_of_a_charter_is_shown(where: str) -> None:
    assert shown(dict(leaves(FULL))[where]) != BEFORE


def test_what_pays_to_the_address_book_is_not_called_any_address() -> None:
    assert "to addresses of the address book" in BEFORE
