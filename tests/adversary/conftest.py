"""Fixtures of the tests with real signers and a cheating coordinator."""

from __future__ import annotations

from cluster_fixtures import cluster, enrolled_cluster, pytest_runtest_makereport, stopped_cluster

__all__ = ["cluster", "enrolled_cluster", "pytest_runtest_makereport", "stopped_cluster"]
