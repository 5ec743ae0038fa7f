"""Counts with their nouns."""

from __future__ import annotations

import pytest

from strongroom_client.plain_text import counted


@pytest.mark.parametrize(
    ("count", "one", "text"),
    [
        (1, "order", "1 order"),
        (0, "vault", "0 vaults"),
        (1, "batch", "1 batch"),
        (2, "batch", "2 batches"),
        (1, "entry", "1 entry"),
        (3, "entry", "3 entries"),
    ],
)
def test_a_noun_follows_its_count(count: int, one: str, text: str) -> None:
    assert counted(count, one) == text
