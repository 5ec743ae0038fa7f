"""Ports of a demonstration's daemons: nobody else is given one between its choice and any start of its daemon."""

from __future__ import annotations

import socket

import pytest

from strongroom_client.demo.deployment import free_port


@pytest.fixture
def port() -> int:
    return free_port()


def test_a_daemon_listens_there_stops_and_listens_again(port: int) -> None:
    for _ in range(2):
        with socket.create_server(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
            pass


def test_nobody_answers_there_before_the_daemon_does(port: int) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_the_system_gives_it_to_nobody_else_who_asks(port: int) -> None:
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))


def test_each_is_chosen_once() -> None:
    assert len({free_port() for _ in range(20)}) == 20
