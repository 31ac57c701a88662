"""Reading the whole state again after SIGHUP: what can't be read stays as it was, and what was deleted is removed."""

import contextlib
import socket
import sqlite3
import ssl

import pytest

from client import Client, tls_context
from gateway import PATIENCE, eventually
from handshake import served
from shop import load_upstream, shop, shop_gateway
from state_files import state

upstream = pytest.fixture(load_upstream)
gateway = pytest.fixture(shop_gateway)


def change_unseen(gateway, sql, *values):
    """Changes the state without a new revision, so that no reader notices."""
    with contextlib.closing(sqlite3.connect(state(gateway))) as database, database:
        assert database.execute(sql, values).rowcount > 0


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
    with contextlib.closing(sqlite3.connect(state(gateway))) as database, database:
        database.execute("UPDATE position SET revision = revision + 1")
        database.execute(
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


def serial(gateway, host):
    """The serial number of the certificate that is shown for a host."""
    context = ssl.create_default_context(cafile=gateway.root)
    with socket.create_connection(("127.0.0.1", gateway.https), PATIENCE) as raw:
        with context.wrap_socket(raw, server_hostname=host) as connection:
            return connection.getpeercert()["serialNumber"]


@pytest.fixture
def named(run):
    """Two hosts with a certificate each."""
    names = {"a": "a.test", "b": "b.test"}
    return run(
        [{"domain": domain, "respond": {"body": name}, "ssl_mode": "custom", "certificate": name}
         for name, domain in names.items()],
        issuers={"lan": {"type": "local_ca"}},
        certificates={name: {"issuer": "lan", "domains": [domain]} for name, domain in names.items()})


@pytest.mark.parametrize("befall", [
    "DELETE FROM certificates WHERE name = 'a'",
    "UPDATE certificates SET chain = zeroblob(length(chain)) WHERE name = 'a'",
    "UPDATE certificates SET sealed_key = substr(sealed_key, 1, 10) WHERE name = 'a'",
    "UPDATE certificates SET fingerprint = 'x' WHERE name = 'a'",
    "UPDATE items SET record = substr(record, 1, 5) WHERE name = 'a.test'",
    "DELETE FROM items WHERE kind = 'gateway'",
], ids=["row gone", "chain", "key", "fingerprint", "host", "settings gone"])
def test_an_item_that_a_full_read_can_not_read_stays_and_is_reported(named, befall):
    before = serial(named, "a.test")
    assert named.metric("aegis_state_problems") == 0
    change_unseen(named, befall)
    named.read_all()
    named.await_log("error: ", "stays as it was: ")
    assert serial(named, "a.test") == before
    eventually("the problem in /metrics", lambda: named.metric("aegis_state_problems") == 1)
    with contextlib.closing(sqlite3.connect(state(named))) as database:
        query = "SELECT count(*) FROM events WHERE action = 'load' AND failure IS NOT NULL"
        eventually("an event that tells of it", lambda: database.execute(query).fetchone() == (1,))


def test_a_lost_certificate_is_replaced_by_an_apply_and_deleted_with_its_host(named):
    before = serial(named, "a.test")
    change_unseen(named, "DELETE FROM certificates")
    named.read_all()
    named.reload()
    eventually("another certificate", lambda: serial(named, "a.test") != before)
    eventually("the end of the problem", lambda: named.metric("aegis_state_problems") == 0)
    change_unseen(named, "DELETE FROM certificates WHERE name = 'b'")
    named.read_all()
    eventually("another problem", lambda: named.metric("aegis_state_problems") == 1)
    del named.config["certificates"]["b"], named.config["hosts"][1]
    named.reload()
    eventually("the end of the problem", lambda: named.metric("aegis_state_problems") == 0)


def test_a_deleted_certificate_stays_deleted_after_a_full_read(named):
    before = serial(named, "b.test")
    del named.config["certificates"]["b"], named.config["hosts"][1]
    named.reload()
    named.read_all()
    assert serial(named, "b.test") != before and named.metric("aegis_state_problems") == 0
