"""The append-only log of everything that counts, and the state its replay gives."""
