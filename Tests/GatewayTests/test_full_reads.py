"""Reading the whole state again after SIGHUP: what can't be read stays as it was, and what was deleted is removed."""

import contextlib
import sqlite3

import pytest

from client import Client, tls_context
from gateway import eventually
from handshake import served
from shop import load_upstream, shop, shop_gateway

upstream = pytest.fixture(load_upstream)
gateway = pytest.fixture(shop_gateway)


def change_unseen(gateway, sql, *values):
    """Changes the state without a new revision, so that no reader notices."""
    with contextlib.closing(sqlite3.connect(gateway.folder / "state.db")) as state, state:
        assert state.execute(sql, values).rowcount > 0


@pytest.mark.parametrize("column, value", [("sealed_key", b"broken"), ("chain", b"broken"), ("fingerprint", "broken")])
def test_a_full_read_keeps_the_former_certificate_if_the_new_one_is_unusable(gateway, column, value):
    before = served(gateway.https, "shop.test")
    change_unseen(gateway, f"UPDATE certificates SET {column} = ? WHERE name = 'shop'", value)
    for _ in range(2):
        gateway.read_all()
        assert served(gateway.https, "shop.test") == before
    gateway.await_log("certificate 'shop' stays as it was")
    eventually("the problem in /metrics", lambda: gateway.metric("aegis_state_problems") == 1)
    expected = shop(gateway, 1)
    gateway.reload()
    assert served(gateway.https, "shop.test") == expected
    assert gateway.metric("aegis_state_problems") == 0


@pytest.mark.parametrize("kind, name", [("host", "shop.test"), ("gateway", "gateway"), ("issuer", "lan")])
def test_a_full_read_keeps_the_former_item_if_the_new_record_is_unreadable(gateway, kind, name):
    gateway.config["issuers"] = {"lan": {"type": "local_ca"}}
    gateway.config["gateway"]["limits"] = {"header_fields": 16}
    gateway.reload()
    change_unseen(gateway, "UPDATE items SET record = ? WHERE kind = ? AND name = ?", b'{"domain":17}', kind, name)
    gateway.read_all()
    gateway.await_log(f"{kind} '{name}' stays as it was")
    eventually("the problem in /metrics", lambda: gateway.metric("aegis_state_problems") == 1)
    with Client(gateway.https, tls_context(), "shop.test") as client:
        assert client.get("shop.test").body == b"shop"
        assert client.get("shop.test", "/", *[f"X-{number}: 1" for number in range(16)]).status == 431


def test_a_full_read_removes_deleted_items(gateway):
    change_unseen(gateway, "DELETE FROM items WHERE name = 'shop.test'")
    change_unseen(gateway, "DELETE FROM certificates WHERE name = 'shop'")
    gone = served(gateway.https, "shop.test")
    gateway.read_all()
    with Client(gateway.http) as client:
        assert client.get("shop.test").status == 404
        assert client.get("app.test", "/?id=1").status == 200
    assert served(gateway.https, "shop.test") != gone


def test_a_full_read_removes_deleted_challenges(gateway):
    with contextlib.closing(sqlite3.connect(gateway.folder / "state.db")) as state, state:
        state.execute("UPDATE position SET revision = revision + 1")
        state.execute(
            "INSERT INTO challenges (token, key_authorization, domain, created_at, revision) "
            "SELECT 'token-1', 'token-1.thumb', 'shop.test', 0, revision FROM position")

    def answered():
        with Client(gateway.http) as client:
            return client.get("shop.test", "/.well-known/acme-challenge/token-1").body == b"token-1.thumb"

    eventually("the challenge's answer", answered)
    gateway.read_all()
    assert answered()
    change_unseen(gateway, "DELETE FROM challenges")
    gateway.read_all()
    eventually("no answer", lambda: not answered())
