"""Every check between a request and a released share: with the check gone, its test here fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from signer_world import Cluster, refusal_of, signed


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster.started(tmp_path)
    yield made
    made.close()


def test_share_is_released_when_everything_holds(cluster: Cluster) -> None:
    index = cluster.plan()
    chosen = cluster.commitments(index, "s1", "s2")
    result = cluster.release("s1", index, chosen)
    assert result.WhichOneof("outcome") == "shares", refusal_of(result)
    assert signed(result.next_commitments).body != chosen[0].body
