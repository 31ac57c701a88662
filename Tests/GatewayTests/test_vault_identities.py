"""Identities from Vault: issued by its PKI engine, or kept in its key-value store."""

import contextlib
import os
import re
import signal
import sqlite3
import ssl
import subprocess
import threading

import pytest

import load
from authority import CLIENT, SERVER, Holder, pem
from client import Client
from client_auth import LOCAL, ask, certified, context
from gateway import Gateway, eventually, free_port
from vault import Vault

HOST = "127.0.0.1"

root, other = Holder("mesh", is_ca=True), Holder("other mesh", is_ca=True)


@pytest.fixture
def own_vault(tmp_path):
    """A Vault for tests that disturb it."""
    vault = Vault(tmp_path / "vault")
    yield vault
    vault.stop()


def token(text):
    return {"method": "token", "token": text}


def vaults(server, auth=None):
    """The configuration of a Vault named `main`; `server` is a Vault, or a proxy in front of one."""
    vault = getattr(server, "vault", server)
    return {"main": {"address": server.address, "auth": auth or token(vault.token())}}


def issued(name="mesh", **settings):
    return {name: {"source": "vault", "vault": "main", "pki": {
        "role": "node", "common_name": "node.test", "sans": [HOST], "ttl": "24h", **settings}}}


def stored(path, name="mesh", **settings):
    return {name: {"source": "vault", "vault": "main", "kv": {"path": path, "ca": "ca", **settings}}}


def node(issuer=root, **options):
    return Holder("node", issuer, **{"names": ["node.test", HOST], "purposes": [CLIENT, SERVER], **options})


def put(vault, path, holder=None, authorities=(root,)):
    """Writes a new version of a secret."""
    holder = holder or node()
    return vault.put(
        path, pem(holder.certificate).decode(), holder.key_pem.decode(),
        pem(*(authority.certificate for authority in authorities)).decode())


@pytest.fixture
def upstream(make_origin, tmp_path, vault):
    """An upstream over TLS that accepts certificates of the mount `pki`, of `root` and of `other`; its own is of `root`."""
    return make_upstream(make_origin, tmp_path, vault)


def make_upstream(make_origin, tmp_path, vault):
    settings = Holder("upstream", root, names=[HOST], purposes=[SERVER]).server(tmp_path / "upstream.pem")
    (tmp_path / "root.pem").write_bytes(pem(root.certificate))
    settings.load_verify_locations(cadata=vault.authorities() + pem(root.certificate, other.certificate).decode())
    settings.verify_mode = ssl.CERT_REQUIRED
    return make_origin(tls=settings)


def host(upstream, tmp_path, **settings):
    return {"domain": "app.test", "upstreams": [upstream.url],
            "upstream_tls": {"identity": "mesh", "ca_file": str(tmp_path / "root.pem")}, **settings}


def status(gateway):
    with Client(gateway.http) as client:
        return client.get("app.test").status


def serves(gateway, **options):
    eventually("the upstream takes the identity", lambda: status(gateway) == 200, **options)


def refreshes(gateway, result="ok", name="mesh"):
    return gateway.metric(f'aegis_identity_refreshes_total{{name="{name}",result="{result}"}}')


def row(gateway, columns="*", table="obtained_identities"):
    with contextlib.closing(sqlite3.connect(gateway.folder / "state.db")) as state:
        return state.execute(f"SELECT {columns} FROM {table}").fetchall()


# Uses of an identity.


def test_the_gateway_shows_an_issued_identity_to_an_upstream(run, vault, upstream, tmp_path):
    before = len(vault.issued())
    gateway = run([host(upstream, tmp_path)], vaults=vaults(vault), identities=issued())
    serves(gateway)
    assert len(vault.issued()) == before + 1
    gateway.await_log("the identity 'mesh' was obtained from Vault 'main'", "not_after=")
    assert refreshes(gateway) == 1
    assert gateway.metric('aegis_identity_not_after_timestamp_seconds{name="mesh"}') == row(gateway, "not_after")[0][0]


def test_the_gateway_shows_an_identity_from_the_kv_store_to_an_upstream(run, vault, upstream, tmp_path):
    put(vault, "shown")
    gateway = run([host(upstream, tmp_path)], vaults=vaults(vault), identities=stored("shown"))
    serves(gateway)
    assert row(gateway, "secret_version") == [(1,)]


@pytest.mark.parametrize("kind", ["pki", "kv"])
def test_clients_are_verified_by_the_cas_of_an_identity(run, vault, make_origin, tmp_path, kind):
    put(vault, "clients")
    gateway = run(
        [certified("any.test", upstreams=[make_origin().url], client_auth={"identity": "mesh"})],
        vaults=vaults(vault), identities=issued() if kind == "pki" else stored("clients"), **LOCAL)
    if kind == "pki":
        data = vault.write("pki/issue/node", common_name="client.test", ttl="1h")
        (tmp_path / "client.pem").write_text(data["certificate"] + "\n" + data["private_key"])
        good = context()
        good.load_cert_chain(tmp_path / "client.pem")
    else:
        good = context(Holder("client", root, purposes=[CLIENT]), folder=tmp_path)
    eventually("the client is let in", lambda: ask(gateway, good, "any.test")[0] == 200)
    assert isinstance(ask(gateway, context(Holder("client", other), folder=tmp_path), "any.test")[0], str)


def test_the_node_listener_shows_an_issued_identity(run, vault, tmp_path):
    port = free_port()
    gateway = run([], vaults=vaults(vault), identities=issued(), node={
        "id": "edge-1", "address": f"127.0.0.1:{port}", "identity": "mesh",
        "allow": [{"san": "ci.test", "scope": "read"}]})
    data = vault.write("pki/issue/node", common_name="ci.test", ttl="1h")
    (tmp_path / "client.pem").write_text(data["certificate"] + "\n" + data["private_key"])
    settings = ssl.create_default_context(cadata=vault.authorities())
    settings.load_cert_chain(tmp_path / "client.pem")

    def answer():
        try:
            with Client(port, settings, HOST) as client:
                return client.get("x", "/healthz").status
        except OSError:
            return None

    eventually("the node listener answers", lambda: answer() == 200)
    assert gateway.process.poll() is None


@pytest.mark.parametrize("source", ["file", "dev", "vault"])
def test_a_login_by_certificate_shows_another_identity(run, vault, own_vault, make_origin, tmp_path, source):
    """The login needs another identity of the same gateway: from files, made for development, or from another Vault."""
    tls = free_port()
    shows = Holder("vault", root, names=[HOST], purposes=[SERVER])
    shows.write(tmp_path / "vault.pem")
    own_vault.stop()
    own_vault = TLSVault(tmp_path / "tls-vault", tls, tmp_path / "vault.pem")
    try:
        folder = tmp_path / "gateway0"
        folder.mkdir()
        (folder / "root.pem").write_bytes(pem(root.certificate))
        upstream = make_upstream(make_origin, tmp_path, own_vault)
        login, sections = login_of(source, vault, folder)
        main = {
            "address": f"https://127.0.0.1:{tls}", "ca_file": "root.pem", "auth": {"method": "cert", "identity": "login"}}
        gateway = run(
            [host(upstream, tmp_path)], vaults={"main": main, **sections.pop("vaults", {})},
            identities={**issued(), "login": login}, **sections)
        own_vault.write("sys/auth/cert", type="cert")
        authority = {
            "file": lambda: pem(other.certificate).decode(), "vault": vault.authorities,
            "dev": lambda: eventually("the CA is made", (folder / "certs" / "ca-cert.pem").exists)
            and (folder / "certs" / "ca-cert.pem").read_text()}[source]()
        own_vault.write(
            "auth/cert/certs/gateway", certificate=authority, token_policies=["gateway"], allowed_dns_sans=["gateway.test"])
        serves(gateway, patience=60)
    finally:
        own_vault.stop()


def login_of(source, vault, folder):
    """An identity with the SAN gateway.test, and the further sections of the file that it needs."""
    if source == "file":
        shown = Holder("gateway", other, names=["gateway.test"], purposes=[CLIENT])
        (folder / "node.crt").write_bytes(pem(shown.certificate))
        (folder / "node.key").touch(mode=0o600)
        (folder / "node.key").write_bytes(shown.key_pem)
        return {"source": "file", "cert_file": "node.crt", "key_file": "node.key"}, {}
    if source == "dev":
        return {"source": "dev", "cert_dir": "certs"}, {"node": {"id": "gateway.test"}}
    return (
        {"source": "vault", "vault": "first", "pki": {"role": "node", "common_name": "gateway.test"}},
        {"vaults": {"first": {"address": vault.address, "auth": token(vault.token())}}})


class TLSVault(Vault):
    """A Vault that speaks TLS on a second port."""

    def __init__(self, folder, port, certificate):
        self.config = folder.with_suffix(".hcl")
        self.config.write_text(
            f'listener "tcp" {{\n address = "127.0.0.1:{port}"\n tls_cert_file = "{certificate}"\n'
            f' tls_key_file = "{certificate}"\n}}\n')
        super().__init__(folder, f"-config={self.config}")


# Changes.


@pytest.mark.parametrize("change", [
    {"role": "second"}, {"common_name": "other.test"}, {"sans": [HOST, "more.test"]}, {"ttl": "2h"}, {"mount": "pki2"},
], ids=lambda change: next(iter(change)))
def test_a_changed_identity_is_requested_at_once(run, vault, make_origin, tmp_path, change):
    if not vault.call("GET", "sys/mounts/pki2")[1].get("data"):
        vault.mount("pki2")
        vault.role("node", "pki2")
        vault.role("second")
    gateway = run([], vaults=vaults(vault), identities=issued())
    eventually("the first one", lambda: refreshes(gateway) == 1)
    first = row(gateway, "chain")
    gateway.config["identities"] = issued(**change)
    gateway.reload()
    eventually("the second one", lambda: refreshes(gateway) == 2)
    assert row(gateway, "chain") != first
    # Changed rules for peers cause no call to Vault.
    gateway.config["identities"]["mesh"]["required_sans"] = ["*.mesh.test"]
    gateway.reload()
    assert refreshes(gateway) == 2 and len(row(gateway)) == 1


def test_a_changed_identity_that_vault_refuses_leaves_the_former_in_force(run, vault, upstream, tmp_path):
    gateway = run([host(upstream, tmp_path)], vaults=vaults(vault), identities=issued())
    serves(gateway)
    gateway.config["identities"] = issued(role="missing")
    gateway.reload()
    gateway.await_log("error: the identity 'mesh' serves until", "can't be refreshed from Vault 'main'", "unknown role")
    assert status(gateway) == 200
    eventually("failures are counted", lambda: refreshes(gateway, "failed") >= 1)
    vault.role("missing")
    gateway.await_log("no longer: the identity 'mesh'")
    assert status(gateway) == 200


def test_stored_material_is_deleted_with_its_identity(run, vault):
    gateway = run([], vaults=vaults(vault), identities=issued())
    eventually("it is stored", lambda: len(row(gateway)) == 1)
    gateway.config["identities"] = {"mesh": {"source": "dev"}}
    gateway.reload()
    assert row(gateway) == row(gateway, table="identity_requests") == []
    gateway.config["identities"] = issued()
    gateway.reload()
    eventually("it is stored again", lambda: len(row(gateway)) == 1)
    del gateway.config["identities"], gateway.config["vaults"]
    gateway.reload()
    assert row(gateway) == row(gateway, table="identity_requests") == []


def test_an_identity_is_renewed_before_it_expires(run, vault, upstream, tmp_path):
    """A certificate of one minute is renewed when a third of its life is left."""
    gateway = run([host(upstream, tmp_path)], vaults=vaults(vault), identities=issued(ttl="60s"))
    serves(gateway)
    end = row(gateway, "not_after")[0][0]
    eventually("it is renewed", lambda: refreshes(gateway) == 2, patience=60)
    assert row(gateway, "obtained_at")[0][0] < end
    assert status(gateway) == 200


def test_a_new_ca_of_the_mount_is_trusted_once_the_identity_is_renewed(run, own_vault, make_origin, tmp_path):
    gateway = run(
        [certified("any.test", upstreams=[make_origin().url], client_auth={"identity": "mesh"})],
        vaults=vaults(own_vault), identities=issued(), **LOCAL)
    own_vault.write("pki/root/rotate/internal", common_name="second CA", ttl="7000h", key_type="ec")
    keys = own_vault.call("GET", "pki/issuers?list=true")[1]["data"]["keys"]
    assert len(keys) == 2
    shown = []
    for key in keys:
        data = own_vault.write(f"pki/issuer/{key}/issue/node", common_name="client.test", ttl="1h")
        path = tmp_path / f"{key}.pem"
        path.write_text(data["certificate"] + "\n" + data["private_key"])
        shown.append(context())
        shown[-1].load_cert_chain(path)
    # A start reads the mount's CAs.
    gateway.stop()
    gateway.start()
    for settings in shown:
        eventually("its clients are let in", lambda: ask(gateway, settings, "any.test")[0] == 200)


# Rotation under load.


@pytest.mark.parametrize("kind", ["pki", "kv"])
def test_no_request_is_lost_while_identities_rotate(run, vault, front, upstream, tmp_path, kind):
    """An issued identity changes by its configuration each time, a stored one by a new version of the secret."""
    put(vault, "rotating")
    gateway = run(
        [host(upstream, tmp_path)], vaults=vaults(vault), identities=issued() if kind == "pki" else stored("rotating"))
    serves(gateway)
    upstream.answer = load.answer
    # Requests before the first identity have caused this log line already.
    unanswered = gateway.log.count("no answer from")
    with load.Load(gateway) as traffic:
        for number in range(1, (load.ROTATIONS if kind == "pki" else 100) + 1):
            if kind == "pki":
                gateway.config["identities"] = issued(ttl=f"{1440 + number}m")
                gateway.apply()
            else:
                put(vault, "rotating", node((root, other)[number % 2]), (root, other))
                gateway.process.send_signal(signal.SIGHUP)
            eventually("the change", lambda: refreshes(gateway) > number)
            requests = traffic.requests
            eventually("requests after it", lambda: traffic.requests > requests + 10 or traffic.faults)
    assert gateway.log.count("no answer from") == unanswered
    assert refreshes(gateway, "failed") == 0


def test_a_new_version_of_a_secret_is_noticed_within_a_minute(run, vault, front, upstream, tmp_path):
    """The gateway asks for the version, which is cheap, and reads the secret only when the version is new."""
    put(vault, "versions")
    gateway = run([host(upstream, tmp_path)], vaults=vaults(front), identities=stored("versions"))
    serves(gateway)
    assert front.count("secret/data/versions") == 1
    put(vault, "versions", node(other), (root, other))
    eventually("the second version", lambda: row(gateway, "secret_version") == [(2,)], patience=90)
    assert front.count("secret/data/versions") == 2
    eventually("it is in force", lambda: refreshes(gateway) == 2)
    assert status(gateway) == 200


# Vault in trouble.

SEALED = b'{"errors":["Vault is sealed"]}'
AILMENTS = {
    "sealed": lambda method, path, forward: (503, SEALED),
    "standby": lambda method, path, forward: (429 if "health" in path else 503, b'{"errors":["Vault is in standby mode"]}'),
    "gone": lambda method, path, forward: None,
    "denied": lambda method, path, forward: (403, b'{"errors":["permission denied"]}'),
    "html": lambda method, path, forward: (200, b"<html>Sign in</html>"),
    "empty": lambda method, path, forward: (200, b""),
    "other json": lambda method, path, forward: (200, b'{"data": {"certificate": "none", "keys": [], "type": "kv"}}'),
    "slow": lambda method, path, forward: threading.Event().wait(3600),
    "an endless answer": lambda method, path, forward: (200, b" " * (2 << 20)),
}


@pytest.mark.parametrize(
    "kind, ailment", [("pki", ailment) for ailment in AILMENTS] + [("kv", "sealed"), ("kv", "gone"), ("kv", "other json")])
def test_the_last_good_identity_serves_while_vault_fails(run, vault, front, upstream, tmp_path, kind, ailment):
    def declared(number):
        return issued(ttl=f"{100 + number}h") if kind == "pki" else stored(f"ill{number}")

    put(vault, "ill0")
    put(vault, "ill1")

    gateway = run([host(upstream, tmp_path)], vaults=vaults(front), identities=declared(0))
    serves(gateway)
    front.behave = AILMENTS[ailment]
    gateway.config["identities"] = declared(1)
    gateway.reload()
    told = re.compile("error: the identity 'mesh' serves until .*, but can't be refreshed from Vault 'main'.*")
    # A call to a slow Vault fails only when its time is over.
    line = eventually("it is told", lambda: told.search(gateway.log), patience=60)[0]
    eventually("it is tried again", lambda: refreshes(gateway, "failed") >= 2, patience=120)
    assert status(gateway) == 200
    assert gateway.log.count(line) == 1, "the same is logged again"
    assert gateway.ask("/readyz")[0] == 200
    # A gateway that restarts meanwhile still serves.
    gateway.stop()
    gateway.start()
    assert status(gateway) == 200
    front.behave = lambda method, path, forward: forward()
    eventually("it mends itself", lambda: refreshes(gateway) >= 1 and status(gateway) == 200, patience=60)
    gateway.await_log("the identity 'mesh' was obtained")


def test_a_slow_vault_delays_nothing_else(run, vault, front, upstream, tmp_path):
    """A call without an answer blocks only the thread of its Vault."""
    release = threading.Event()

    def behave(method, path, forward):
        release.wait(60)
        return forward()

    front.behave = behave
    put(vault, "quick")
    gateway = run(
        [host(upstream, tmp_path)],
        vaults={**vaults(vault), "slow": {"address": front.address, "auth": token(vault.token())}},
        identities={**stored("quick"), "late": {
            "source": "vault", "vault": "slow", "pki": {"role": "node", "common_name": "late.test"}}})
    eventually("the slow one is asked", lambda: front.calls)
    serves(gateway)
    for number in range(3):
        gateway.config["hosts"].append({"domain": f"n{number}.test", "respond": {}})
        gateway.reload()
    release.set()
    eventually("the slow one is obtained too", lambda: refreshes(gateway, name="late") == 1)


def test_another_address_takes_effect_while_a_call_is_under_way(run, vault, front, upstream, tmp_path):
    release, signed = threading.Event(), threading.Event()

    def behave(method, path, forward):
        if not path.endswith("/sign/node"):
            return forward()
        release.wait(60)
        answer = forward()
        signed.set()
        return answer

    front.behave = behave
    gateway = run([host(upstream, tmp_path)], vaults=vaults(front), identities=issued())
    eventually("it is asked", lambda: front.count("/sign/"))
    gateway.config["vaults"]["main"]["address"] = vault.address
    gateway.reload()
    serves(gateway)
    assert front.count("/sign/") == 1, "the gateway has given up the former call before"
    # The identity that the former call obtains is no longer wanted.
    chain = row(gateway, "chain")
    release.set()
    assert signed.wait(60)
    gateway.reload()
    assert row(gateway, "chain") == chain and gateway.log.count("was obtained from Vault") == 1


def test_an_identity_does_not_wait_for_a_call_for_another(run, vault, front, upstream, tmp_path):
    release = threading.Event()
    vault.role("second")

    def behave(method, path, forward):
        if path.endswith("/sign/node"):
            release.wait(60)
        return forward()

    front.behave = behave
    gateway = run([host(upstream, tmp_path)], vaults=vaults(front), identities=issued())
    eventually("it is asked", lambda: front.count("/sign/node"))
    gateway.config["identities"].update(issued("aside", role="second"))
    gateway.reload()
    eventually("the other is obtained", lambda: refreshes(gateway, name="aside") == 1)
    assert refreshes(gateway) == 0 and refreshes(gateway, "failed") == 0
    # The identity that the former call obtains is still wanted.
    release.set()
    eventually("the first one is obtained", lambda: refreshes(gateway))
    serves(gateway)


def test_a_first_failure_is_counted_after_one_login(run, vault, front, upstream, tmp_path):
    front.behave = AILMENTS["sealed"]
    gateway = run([host(upstream, tmp_path)], vaults=vaults(front), identities={**issued(), **stored("x", "other")})
    eventually("both are counted", lambda: all(refreshes(gateway, "failed", name) for name in ("mesh", "other")))
    assert len(front.calls) == 3, "more than one call, which is tried three times"


@pytest.mark.parametrize("kind", ["pki", "kv"])
def test_a_standby_that_sends_clients_to_the_active_node(run, vault, front, upstream, tmp_path, kind):
    """A standby that does not forward calls: the token must reach no address that the file does not name."""
    put(vault, "standby")
    active = "https://active.test:8200"
    front.behave = lambda method, path, forward: (307, b"", {"Location": f"{active}{path}"})
    gateway = run(
        [host(upstream, tmp_path)], vaults=vaults(front), identities=issued() if kind == "pki" else stored("standby"))
    gateway.await_log("error: the identity 'mesh' can't be obtained", f"to '{active}', where nothing was sent")
    gateway.await_log("the address must be that of the active server, or of a balancer that finds it")
    assert status(gateway) == 502
    # The standby becomes the active node, behind a balancer that redirects each call once.
    seen = set()

    def around(method, path, forward):
        if path in seen:
            return forward()
        seen.add(path)
        return 307, b"", {"Location": f"{front.address}{path}"}

    front.behave = around
    serves(gateway)


@pytest.mark.parametrize("code", [429, 472, 473])
def test_a_balancer_that_finds_no_active_node(run, vault, front, upstream, tmp_path, code):
    """The codes with which sys/health tells a balancer that a node is a standby, a secondary or a performance standby."""
    body = b'{"initialized": true, "sealed": false, "standby": true}'
    front.behave = lambda method, path, forward: (code, body)
    gateway = run([host(upstream, tmp_path)], vaults=vaults(front), identities=issued())
    gateway.await_log("error: the identity 'mesh' can't be obtained from Vault 'main'", f"(HTTP {code})")
    assert status(gateway) == 502
    front.behave = lambda method, path, forward: forward()
    serves(gateway)


def test_an_unsealed_vault_is_used_again(run, own_vault, make_origin, tmp_path):
    upstream = make_upstream(make_origin, tmp_path, own_vault)
    gateway = run([host(upstream, tmp_path)], vaults=vaults(own_vault), identities=issued())
    serves(gateway)
    own_vault.seal()
    gateway.config["identities"] = issued(ttl="48h")
    gateway.reload()
    gateway.await_log("error: the identity 'mesh' serves until", "Vault is sealed", "unseal it")
    assert status(gateway) == 200
    own_vault.unseal()
    eventually("it is obtained", lambda: refreshes(gateway) == 2, patience=60)
    gateway.await_log("no longer: the identity 'mesh'")


def test_a_revoked_token_is_replaced_by_a_login(run, vault, upstream, tmp_path):
    """A gateway replaces a login's token; it can't replace an operator's token, and logs that."""
    if "approle/" not in vault.call("GET", "sys/auth")[1]["data"]:
        vault.write("sys/auth/approle", type="approle")
    vault.write("auth/approle/role/gateway", token_policies=["gateway"])
    role = vault.call("GET", "auth/approle/role/gateway/role-id")[1]["data"]["role_id"]
    secret = vault.write("auth/approle/role/gateway/secret-id")["secret_id"]
    gateway = run(
        [host(upstream, tmp_path)],
        vaults=vaults(vault, {"method": "approle", "role_id": role, "secret_id": secret}), identities=issued())
    serves(gateway)
    for accessor in vault.call("LIST", "auth/token/accessors")[1]["data"]["keys"]:
        facts = vault.call("POST", "auth/token/lookup-accessor", {"accessor": accessor})[1].get("data") or {}
        if facts.get("path") == "auth/approle/login":
            vault.write("auth/token/revoke-accessor", accessor=accessor)
    gateway.config["identities"] = issued(ttl="48h")
    gateway.reload()
    eventually("another login", lambda: refreshes(gateway) == 2)
    assert refreshes(gateway, "failed") == 0


def test_a_revoked_configured_token_is_reported(run, vault, upstream, tmp_path):
    given = vault.token()
    (tmp_path / "token").touch(mode=0o600)
    (tmp_path / "token").write_text(given)
    gateway = run(
        [host(upstream, tmp_path)], vaults=vaults(vault, token({"file": str(tmp_path / "token")})), identities=issued())
    serves(gateway)
    vault.call("POST", "auth/token/revoke", {"token": given})
    gateway.config["identities"] = issued(ttl="48h")
    gateway.reload()
    gateway.await_log("error: the identity 'mesh' serves until", "put a new token in its place")
    assert status(gateway) == 200 and given not in gateway.log
    (tmp_path / "token").write_text(vault.token())
    eventually("the new token", lambda: refreshes(gateway) == 2, patience=60)


def test_a_deleted_or_broken_secret_leaves_the_former_identity_in_force(run, vault, upstream, tmp_path):
    put(vault, "breaking", first := node())
    gateway = run([host(upstream, tmp_path)], vaults=vaults(vault), identities=stored("breaking"))
    serves(gateway)
    one, two = node(), node()
    for ruin, reason in [
            (lambda: vault.put("breaking", pem(one.certificate).decode(), two.key_pem.decode(), ""), "does not belong"),
            (lambda: vault.put("breaking", "none", "none", "none"), "'key' of 'secret/breaking'"),
            (lambda: vault.write("secret/data/breaking", data={"cert": "x"}), "has no 'key'"),
            (lambda: vault.call("DELETE", "secret/data/breaking"), "was deleted"),
            (lambda: vault.call("DELETE", "secret/metadata/breaking"), "there is none")]:
        ruin()
        gateway.process.send_signal(signal.SIGHUP)
        gateway.await_log("error: the identity 'mesh' serves until", reason)
        assert status(gateway) == 200
    # The same content in a new version of the secret.
    put(vault, "breaking", first)
    gateway.process.send_signal(signal.SIGHUP)
    gateway.await_log("no longer: the identity 'mesh' serves until", "there is none")
    eventually("no problem in /metrics", lambda: gateway.metric("aegis_state_problems") == 0)
    vault.call("DELETE", "secret/metadata/breaking")
    # A secret that is deleted and made again starts at version 1.
    second = node(other)
    assert put(vault, "breaking", second, (root, other)) == 1
    gateway.process.send_signal(signal.SIGHUP)
    eventually("the new one", lambda: row(gateway, "chain") == [(pem(second.certificate),)])
    assert status(gateway) == 200
    gateway.stop()
    vault.call("DELETE", "secret/metadata/breaking")
    third = node()
    assert put(vault, "breaking", third) == 1
    gateway.start()
    eventually("the third one", lambda: row(gateway, "chain") == [(pem(third.certificate),)])


def test_hosts_wait_for_a_vault_that_is_down_at_the_start(run, vault, front, upstream, tmp_path):
    front.behave = AILMENTS["sealed"]
    gateway = run([host(upstream, tmp_path)], vaults=vaults(front), identities=issued())
    gateway.await_log("error: the identity 'mesh' can't be obtained from Vault 'main'", "Vault is sealed")
    assert status(gateway) == 502
    front.behave = lambda method, path, forward: forward()
    serves(gateway)


# What the state stores.


def test_no_key_or_token_is_stored_unsealed(run, vault, upstream, tmp_path):
    put(vault, "sealed", holder := node())
    gateway = run([host(upstream, tmp_path)], vaults=vaults(vault), identities=stored("sealed"))
    serves(gateway)
    gateway.stop()
    der = holder.key.private_numbers().private_value.to_bytes(32, "big")
    for path in gateway.folder.rglob("*"):
        # The local CA's keys have their own files.
        if path.is_file() and path.parent.name != "ca":
            content = path.read_bytes()
            assert der not in content and b"PRIVATE KEY" not in content, path


def test_a_damaged_row_is_reported_and_obtained_again(run, vault, upstream, tmp_path):
    gateway = run([host(upstream, tmp_path)], vaults=vaults(vault), identities=issued())
    serves(gateway)
    gateway.stop()
    with contextlib.closing(sqlite3.connect(gateway.folder / "state.db")) as state:
        # CAs other than those that the key was sealed with.
        state.execute("UPDATE obtained_identities SET authorities = ?", (pem(other.certificate),))
        state.commit()
    assert "the stored material of identity 'mesh' can't be used" in gateway.apply(everything=True)
    gateway.start()
    gateway.await_log("the stored material of the identity 'mesh' can't be used")
    serves(gateway)
    assert pem(other.certificate) not in row(gateway, "authorities")[0][0]


def test_rekey_reseals_obtained_identities(run, vault, front, upstream, tmp_path):
    gateway = run([host(upstream, tmp_path)], vaults=vaults(front), identities=issued())
    serves(gateway)
    gateway.stop()
    before = row(gateway, "hex(sealed_key)")
    (gateway.folder / "newer").write_text("a5" * 32 + "\n")
    done = subprocess.run(
        [os.environ.get("AEGIS_PROGRAMS", ".build/debug") + "/aegis-apply", "rekey", "--new-key-file", "newer"],
        cwd=gateway.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert row(gateway, "hex(sealed_key)") != before
    (gateway.folder / "key").write_text("a5" * 32 + "\n")
    front.behave = AILMENTS["gone"]
    gateway.start()
    assert status(gateway) == 200


def test_two_gateways_of_one_state_share_an_identity(run, vault, front, upstream, tmp_path):
    """One gateway obtains the identity while the other waits, and then takes it from the state. When the first is dead, the
    other obtains the next identity. The second gateway can't listen, since it has the same addresses; the test does not
    need that."""
    release = threading.Event()

    def behave(method, path, forward):
        if "/sign/" in path:
            release.wait(20)
        return forward()

    front.behave = behave
    gateway = run([host(upstream, tmp_path)], vaults=vaults(front), identities=issued())
    eventually("it asks", lambda: front.count("/sign/"))
    second = Gateway(tmp_path / "second", [])
    second.folder, second.config = gateway.folder, gateway.config
    second.launch()
    try:
        second.await_log("can't be shown to upstreams: it was not obtained yet")
        eventually("the second one has a token", lambda: front.count("lookup-self") >= 2)
        release.set()
        second.await_log("the identity 'mesh' was read from the state")
        serves(gateway)
        assert front.count("/sign/") == 1
        gateway.process.kill()
        gateway.process.wait()
        gateway.config["identities"] = issued(ttl="48h")
        gateway.apply()
        second.await_log("the identity 'mesh' was obtained from Vault 'main'")
        assert front.count("/sign/") == 2
    finally:
        second.stop()
        gateway.process = None


def test_a_successor_uses_the_stored_identity(run, vault, front, upstream, tmp_path):
    gateway = run([host(upstream, tmp_path)], vaults=vaults(front), identities=issued())
    serves(gateway)
    signed = front.count("/sign/")
    former = gateway.upgrade()
    front.behave = AILMENTS["gone"]
    assert former.wait(60) == 0
    assert status(gateway) == 200
    assert front.count("/sign/") == signed == 1
