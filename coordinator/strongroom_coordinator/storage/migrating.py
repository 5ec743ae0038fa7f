"""Brings a database to this release's schema. Apart from `engine`, so that a daemon that only runs does not load it."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.exc import SQLAlchemyError

from strongroom_coordinator.errors import BadSchema, StorageFailed
from strongroom_coordinator.storage.engine import engine_for, schema_revision
from strongroom_coordinator.storage.schema import REVISION

__all__ = ["alembic_config", "migrate"]

_MIGRATIONS = Path(__file__).parent / "migrations"


def alembic_config() -> Config:
    """Where Alembic finds the steps."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config


def migrate(url: str) -> str:
    """Bring the database at `url` to this release's schema, and return its revision.

    Raises:
        StorageFailed: the database cannot be opened or refused a step.
        BadSchema: it was written by a newer release.
    """
    engine = engine_for(url)
    config = alembic_config()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    try:
        found = schema_revision(engine)
        if found is not None and found not in known:
            raise BadSchema(f"the database has schema {found}, which a newer release wrote: use that release")
        with engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                # The driver begins a transaction for rows only; without one, each table would be a commit of its own.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            config.attributes["connection"] = connection
            command.upgrade(config, REVISION)
    except SQLAlchemyError as error:
        raise StorageFailed(f"the migration failed and was rolled back: {error}") from error
    finally:
        engine.dispose()
    return REVISION
