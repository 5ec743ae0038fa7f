"""Fixtures for tests with real processes; a failed test prints what every daemon logged."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import pytest

from cluster import Cluster, enrolled, funded, running


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, Any]:
    """Show what the daemons logged in the report of a failed test."""
    report: Any = yield
    if report.when in ("setup", "call") and report.failed:
        for value in getattr(item, "funcargs", {}).values():
            # Some fixtures hold a deployment among other things.
            deployed = getattr(value, "cluster", value)
            if isinstance(deployed, Cluster):
                report.sections.append(("what the daemons logged", deployed.logs()))
    return report


@pytest.fixture
def enrolled_cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Enrolled, never started, nothing running."""
    with running(enrolled(), "enrolled") as cluster:
        yield cluster


@pytest.fixture
def stopped_cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """With a funded vault, nothing running."""
    with running(funded(), "stopped") as cluster:
        yield cluster


@pytest.fixture
def cluster(stopped_cluster: Cluster) -> Cluster:
    """With a funded vault, everything running."""
    stopped_cluster.start()
    return stopped_cluster
