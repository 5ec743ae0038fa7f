"""The coordinator's database: tables, migrations, and small functions that hold all of its SQL."""
