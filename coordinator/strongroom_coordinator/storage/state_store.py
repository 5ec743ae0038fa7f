"""The folded state as a key-value store over one table, with the rows in use kept in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from sqlalchemy import Connection, Engine, bindparam, select
from sqlalchemy.exc import SQLAlchemyError

from strongroom.model.row_check import verified
from strongroom_coordinator.errors import DAMAGED, StorageFailed
from strongroom_coordinator.storage.schema import ledger_state

__all__ = ["StateStore"]


class StateStore:
    """Reads of the table `ledger_state`, for the event loop's thread.

    Writes reach the table through the batch that folds them; `learned` then tells this store what they were, so that a
    remembered row is never an old one.
    """

    def __init__(self, engine: Engine, *, capacity: int) -> None:
        self._engine = engine
        self._name = engine.url.database or engine.dialect.name
        self._connection: Connection | None = None
        self._capacity = capacity
        self._known: OrderedDict[bytes, bytes | None] = OrderedDict()
        query = select(ledger_state.c.value).where(ledger_state.c.key == bindparam("key"))
        self._query = query

    def get(self, key: bytes) -> bytes | None:
        """Value of a key, or None.

        Raises:
            StorageFailed: the database did not answer; nothing may be concluded about the key.
        """
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        try:
            if self._connection is None:
                # Autocommit: each read sees what was last committed, and holds no snapshot open.
                self._connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            stored = self._connection.execute(self._query, {"key": key}).scalar_one_or_none()
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            raise StorageFailed(f"{self._name}: the state cannot be read: {cause}; {DAMAGED}") from error
        value = None if stored is None else verified(b"state/" + key, stored)
        if stored is not None and value is None:
            raise StorageFailed(f"{self._name}: a row of the state is not what was written; {DAMAGED}")
        self._remember(key, value)
        return value

    def learned(self, writes: Mapping[bytes, bytes]) -> None:
        """Take over rows that were just committed."""
        for key, value in writes.items():
            self._remember(key, value)

    def forget(self) -> None:
        """Drop everything remembered, when the table was changed otherwise."""
        self._known.clear()

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _remember(self, key: bytes, value: bytes | None) -> None:
        self._known[key] = value
        self._known.move_to_end(key)
        if len(self._known) > self._capacity:
            self._known.popitem(last=False)
