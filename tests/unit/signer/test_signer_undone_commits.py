"""What a signer believes to hold is what its database holds, also after a commit that failed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from strongroom.crypto.secret import SecretBytes, SecretScalar
from strongroom_signer.recovery import RecoveryBook
from strongroom_signer.shares import Shares
from strongroom_signer.store import DiskFull, Store, StoreFailed, Writer

DATA = b"recovery data"
NAME = bytes(32)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store.create(tmp_path / "signer.db")
    yield made
    made.close()


def fails(store: Store, work: Callable[[Writer], None]) -> None:
    """The disk fills before the commit is durable."""
    with store.commit() as write:
        work(write)
        raise DiskFull("no room")


def fails_later(store: Store, work: Callable[[Writer], None]) -> None:
    """It fills after this part, in a commit that was to be one with it."""
    with store.one_commit():
        with store.commit() as write:
            work(write)
        raise DiskFull("no room")


FAILURES = pytest.mark.parametrize("failure", [fails, fails_later])


@FAILURES
def test_recovery_data_that_was_not_stored_is_not_held(store: Store, failure: Callable[..., None]) -> None:
    """A book that claims it would let this signer vote for a vault that its words could not bring back."""
    book = RecoveryBook(store)
    with pytest.raises((DiskFull, StoreFailed)):
        failure(store, lambda write: book.add(write, {NAME: DATA}))
    assert book._held == set(store.recovery_hashes()) == set()
    with store.commit() as write:
        book.add(write, {NAME: DATA})
    assert book._held == set(store.recovery_hashes()) == {NAME}


@FAILURES
def test_recovery_data_that_was_not_deleted_is_still_held(store: Store, failure: Callable[..., None]) -> None:
    book = RecoveryBook(store)
    with store.commit() as write:
        book.add(write, {NAME: DATA})
    with pytest.raises((DiskFull, StoreFailed)):
        failure(store, lambda write: book._change(write, set()))
    assert book._held == {NAME}


@FAILURES
def test_a_share_that_was_not_stored_or_erased_is_as_it_was(store: Store, failure: Callable[..., None]) -> None:
    shares = Shares(store, SecretBytes(os.urandom(32)), random=os.urandom)

    def put(write: Writer, epoch: int) -> None:
        with SecretScalar.from_bytes(bytes(31) + bytes([epoch])) as share:
            shares.put(write, "vault", epoch, share)

    with pytest.raises((DiskFull, StoreFailed)):
        failure(store, lambda write: put(write, 1))
    assert not shares.has("vault", 1)
    with store.commit() as write:
        put(write, 1)
    with pytest.raises((DiskFull, StoreFailed)):
        failure(store, lambda write: shares.erase(write, "vault", keep=None))
    assert shares.has("vault", 1)
    assert shares.get("vault", 1) is not None
    with store.commit() as write:
        shares.erase(write, "vault", keep=None)
    assert not shares.has("vault", 1)


def test_a_part_that_failed_alone_is_put_back_alone(store: Store) -> None:
    book = RecoveryBook(store)
    with store.one_commit():
        with store.commit() as write:
            book.add(write, {NAME: DATA})
        with pytest.raises(DiskFull):
            fails(store, lambda write: book.add(write, {bytes(31) + b"x": DATA}))
    assert book._held == set(store.recovery_hashes()) == {NAME}
