"""Lets a whole run begin with the files that take longest, so that no worker is left alone with one at the end.

Workers take whole files, because a file's deployment serves all its tests; by itself pytest-xdist begins with the files
of the most tests, which are not the longest ones.
"""

from __future__ import annotations

import pytest

__all__ = ["LONGEST_FIRST", "begin_with_the_longest", "keep_this_order"]

LONGEST_FIRST = (
    "test_e2e_years",
    "test_e2e_demo",
    "test_readme_by_hand",
    "test_fuzz_corpus",
    "test_e2e_restart",
    "test_e2e_recovery_powers",
    "test_e2e_new_shares",
    "test_e2e_amendments",
    "test_docs_commands",
    "test_attack_table",
    "test_e2e_command_line",
    "test_crash_points_coordinator",
    "test_crash_points_signer",
    "test_attacks_by_silence",
    "test_attacks_on_history",
    "test_attacks_by_signers",
    "test_attacks_on_signing",
    "test_attacks_on_clocks",
    "test_attacks_on_rebuilds",
    "test_attacks_on_the_network",
    "test_attacks_at_the_doors",
    "test_lies_to_real_daemons",
    "test_attacks_on_robustness",
    "test_attacks_between_hosts",
    "test_attacks_with_withheld_words",
    "test_attacks_with_signers",
    "test_attacks_with_poison",
    "test_crash_points_commands",
    "test_attacks_on_disks",
    "test_attacks_on_stored_files",
    "test_attacks_on_limits",
    "test_attacks_on_frames",
    "test_attacks_on_new_shares",
    "test_attacks_on_charters",
    "test_attacks_on_ceremonies",
    "test_attacks_on_keygen",
)
"""Longest first; the order of all others does not matter."""


def keep_this_order(config: pytest.Config) -> None:
    """Have pytest-xdist, where it runs, hand files out in the order in which they are collected."""
    config.option.loadscopereorder = False


def begin_with_the_longest(items: list[pytest.Item]) -> None:
    """Put the tests of the longest files first; within a file nothing changes."""
    rank = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))
