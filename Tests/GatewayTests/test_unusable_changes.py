"""Changes of the state that can't be used: what they concern stays as it was, and is reported."""

import sqlite3

import pytest

from client import Client, tls_context
from gateway import eventually
from handshake import served
from shop import load_upstream, shop, shop_gateway

upstream = pytest.fixture(load_upstream)
gateway = pytest.fixture(shop_gateway)


@pytest.mark.parametrize("column, value", [
    ("sealed_key", b"broken"), ("chain", b"broken"), ("fingerprint", "broken"),
])
def test_an_unusable_certificate_leaves_the_old_one_in_force(gateway, column, value):
    before = served(gateway.https, "shop.test")
    with sqlite3.connect(gateway.folder / "state.db") as state:
        state.execute("UPDATE position SET revision = revision + 1")
        state.execute(
            f"UPDATE certificates SET {column} = ?, revision = (SELECT revision FROM position) WHERE name = 'shop'",
            (value,))
    gateway.await_log("certificate 'shop' stays as it was")
    eventually("the problem in /metrics", lambda: gateway.metric("aegis_state_problems") == 1)
    assert served(gateway.https, "shop.test") == before
    with sqlite3.connect(gateway.folder / "state.db") as state:
        assert state.execute(
            "SELECT name FROM events WHERE action = 'load' AND failure IS NOT NULL").fetchall() == [("shop",)]
    expected = shop(gateway, 1)
    gateway.reload()
    assert served(gateway.https, "shop.test") == expected
    assert gateway.metric("aegis_state_problems") == 0


def test_an_unreadable_host_leaves_the_old_one_in_force(gateway):
    with sqlite3.connect(gateway.folder / "state.db") as state:
        state.execute("UPDATE position SET revision = revision + 1")
        state.execute(
            "UPDATE items SET record = ?, revision = (SELECT revision FROM position) WHERE name = 'shop.test'",
            (b'{"domain":"shop.test","respond":17}',))
    gateway.await_log("host 'shop.test' stays as it was")
    with Client(gateway.https, tls_context(), "shop.test") as client:
        assert client.get("shop.test").body == b"shop"


def test_a_state_that_is_no_database_changes_nothing(gateway):
    before = served(gateway.https, "shop.test")
    path = gateway.folder / "state.db"
    broken = gateway.folder / "broken"
    broken.write_bytes(b"this is no database" * 1000)
    broken.rename(path)
    gateway.await_log("the state can't be put in force")
    assert served(gateway.https, "shop.test") == before
    assert gateway.metric('aegis_reloads_total{result="failed"}') >= 1
