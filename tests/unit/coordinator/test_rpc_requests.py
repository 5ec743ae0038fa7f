"""Requests are read strictly, tokens are opaque, and roles are a table."""

from __future__ import annotations

import pytest

from strongroom.api.types.v1 import types_pb2
from strongroom_coordinator.rpc import requests
from strongroom_coordinator.rpc.errors import InvalidRequest
from strongroom_coordinator.rpc.interceptor import INTEGRATION, TREASURY, may_call
from strongroom_coordinator.views import Status


def test_page_tokens_come_back_as_they_were_given_and_only_to_their_own_list() -> None:
    token = requests.page_token("orders", 4711)
    page = types_pb2.PageRequest(page_size=7, page_token=token)
    assert requests.page_of(page, "orders") == requests.Page(size=7, start=4711)
    assert requests.page_of(types_pb2.PageRequest(), "orders") == requests.Page(size=100, start=None)
    assert requests.page_token("orders", None) == ""
    with pytest.raises(InvalidRequest) as caught:
        requests.page_of(page, "vaults")
    assert caught.value.facts["field"] == "page.page_token"


@pytest.mark.parametrize("token", ["%%%", "b3JkZXJzOg==", "b3JkZXJzOi0x", "A" * 65, "b3JkZXJzOjE\x00", "é"])
def test_other_tokens_are_refused(token: str) -> None:
    with pytest.raises(InvalidRequest):
        requests.page_of(types_pb2.PageRequest(page_token=token), "orders")


def test_a_token_beyond_what_a_database_counts_to_is_refused() -> None:
    token = requests.page_token("deposits", 2**63)
    with pytest.raises(InvalidRequest):
        requests.page_of(types_pb2.PageRequest(page_token=token), "deposits")


@pytest.mark.parametrize("name", ["", "A", "a_b", "x" * 41, "a b", "a/b", "ä"])
def test_names_of_vaults_are_checked(name: str) -> None:
    with pytest.raises(InvalidRequest):
        requests.vault_name(name)


def test_statuses_are_known_ones() -> None:
    assert requests.statuses_of([types_pb2.PAYMENT_STATUS_PAID]) == {Status.PAID}
    for value in (0, 99):
        with pytest.raises(InvalidRequest):
            requests.statuses_of([value])


def test_bulk_calls_have_one_to_five_hundred_items() -> None:
    requests.check_bulk([None] * 500, "orders")
    for count in (0, 501):
        with pytest.raises(InvalidRequest):
            requests.check_bulk([None] * count, "orders")


def test_hashes_of_a_watch_are_named_by_position() -> None:
    with pytest.raises(InvalidRequest) as caught:
        requests.order_hashes([bytes(32), b"short"])
    assert caught.value.facts["field"] == "order_hashes[1]"


def test_every_role_may_call_exactly_its_own_service() -> None:
    reading = {"GetLedger", "GetOrder", "ListOrders", "WatchOrders", "ExplainOrder", "ListVaults", "GetBalance"}
    reading |= {"ListFreezes", "ReadLog", "GetStatus"}
    writing = {"SubmitOrder", "SubmitOrders", "EndorseOrder", "EndorseOrders"}
    # With a signer's words an exported log gives shares: it is for people, who hold words too.
    writing.add("ExportLog")
    for method in reading | writing:
        assert may_call("person", TREASURY, method)
        assert may_call("auditor", TREASURY, method) == (method in reading)
        for role in ("integrator", "signer", "coordinator"):
            assert not may_call(role, TREASURY, method)
    for role in ("person", "auditor", "signer", "coordinator"):
        assert not may_call(role, INTEGRATION, "GetLedger")
    assert may_call("integrator", INTEGRATION, "CreateWithdrawal")
    assert not may_call("integrator", "strongroom.api.signer.v1.SignerLinkService", "Link")
