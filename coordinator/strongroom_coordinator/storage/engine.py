"""The one engine: one writer thread, one transaction per piece of work, and a reader for the folded state.

A piece of work is a function of a SQLAlchemy connection. It runs alone; what it wrote is durable when `run` returns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Table, create_engine, event, inspect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from strongroom_coordinator.errors import DAMAGED, BadSchema, StorageFailed
from strongroom_coordinator.storage.schema import REVISION
from strongroom_coordinator.storage.state_store import StateStore

__all__ = ["Storage", "engine_for", "schema_revision", "upsert"]

T = TypeVar("T")


def _configure_sqlite(dbapi_connection: Any, _record: Any) -> None:
    cursor = dbapi_connection.cursor()
    # FULL makes every commit durable before it returns; WAL lets the state be read meanwhile; what is deleted is
    # overwritten, because recovery data of an epoch that is over must not outlive it.
    pragmas = ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "foreign_keys=ON", "busy_timeout=5000")
    for pragma in pragmas:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def engine_for(url: str) -> Engine:
    """An engine for a database address, set up so that every commit is durable.

    Raises:
        StorageFailed: this installation cannot open such a database.
    """
    try:
        engine = create_engine(url)
    except (SQLAlchemyError, ImportError, ValueError) as error:
        # The address itself is left out: it may hold a password.
        raise StorageFailed(f"storage.url is no database this installation can open: {type(error).__name__}") from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
    return engine


def schema_revision(engine: Engine) -> str | None:
    """Revision of the schema that the database has; None when it is empty."""
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    except SQLAlchemyError as error:
        raise _unreadable(engine, error) from error


def _unreadable(engine: Engine, error: SQLAlchemyError) -> StorageFailed:
    cause = getattr(error, "orig", None) or type(error).__name__
    return StorageFailed(f"{_name(engine)} cannot be read: {cause}; {DAMAGED}")


def _name(engine: Engine) -> str:
    return engine.url.database or engine.dialect.name


def _check_structure(engine: Engine) -> None:
    """Let SQLite look at every page: damage that a query happens not to meet must not be built upon."""
    if engine.dialect.name != "sqlite":
        return
    try:
        with engine.connect() as connection:
            problem = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    except SQLAlchemyError as error:
        raise _unreadable(engine, error) from error
    if problem != "ok":
        raise StorageFailed(f"{_name(engine)} is damaged ({' '.join(problem.split())}); {DAMAGED}")


class Storage:
    """The coordinator's database.

    Build it with `open`; end it with `close`. All methods but `run_sync` belong to the event loop's thread.
    """

    def __init__(self, engine: Engine, *, cached_keys: int) -> None:
        self._engine = engine
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="storage-writer")
        self._state = StateStore(engine, capacity=cached_keys)
        self._failed: str | None = None

    @classmethod
    def open(cls, url: str, *, cached_keys: int = 200_000) -> Storage:
        """Open a database that has exactly this release's schema.

        Raises:
            BadSchema: it has another; the message says what to do.
            StorageFailed: it cannot be opened.
        """
        engine = engine_for(url)
        found = schema_revision(engine)
        if found != REVISION:
            engine.dispose()
            has = "no schema" if found is None else f"schema {found}"
            raise BadSchema(
                f"{_name(engine)} has {has}, this release needs {REVISION}: run strongroom-coordinator migrate"
            )
        _check_structure(engine)
        return cls(engine, cached_keys=cached_keys)

    def run_sync(self, work: Callable[[Connection], T]) -> T:
        """Run one piece of work in one transaction, in the calling thread: for start-up and tools.

        Raises:
            StorageFailed: nothing of it was written.
        """
        try:
            with self._engine.begin() as connection:
                return work(connection)
        except SQLAlchemyError as error:
            # The statement's parameters can be large and help nobody; the driver's own words do.
            cause = getattr(error, "orig", None) or error
            self._failed = str(cause)
            raise StorageFailed(
                f"{_name(self._engine)} refused a transaction, nothing was written: {cause}; {DAMAGED}"
            ) from error

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Run one piece of work in one transaction, in the writer thread, after all earlier ones.

        Raises:
            StorageFailed: nothing of it was written.
        """
        result = await asyncio.get_running_loop().run_in_executor(self._writer, self.run_sync, work)
        self._failed = None
        return result

    def key_value(self) -> StateStore:
        """The folded state, as the replica reads it."""
        return self._state

    @property
    def failure(self) -> str | None:
        """What the database last failed with, until a later transaction succeeded."""
        return self._failed

    def close(self) -> None:
        """Finish the work at hand and close all connections."""
        self._writer.shutdown(wait=True)
        self._state.close()
        self._engine.dispose()


def upsert(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert rows, or replace the ones whose primary key is there already."""
    if not rows:
        return
    build: Any = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = build(table)
    keys = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), rows)
