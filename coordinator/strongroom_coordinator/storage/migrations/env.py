"""Runs the migrations on the connection that `storage.migrating.migrate` opened; there is no other way to run them."""

from alembic import context

from strongroom_coordinator.storage.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
