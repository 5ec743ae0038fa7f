"""Strongroom's shared core: pure code that every role runs alike, without input or output of its own."""
