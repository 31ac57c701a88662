"""A Vault that fails, is slow or sealed, or refuses a token: the last good identity serves, and the reason is logged."""

import re
import signal
import threading

import pytest

from authority import SERVER, Holder, pem
from client_auth import replace
from gateway import eventually
from vault import Front
from vault_identities import (
    AILMENTS, HOST, host, issued, make_upstream, node, other, put, refreshes, root, row, serves, status, stored, token, vaults)

upstream = pytest.fixture(make_upstream)


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


@pytest.fixture
def renewed_front(vault, tmp_path):
    """A proxy that speaks TLS, and a function that gives it a certificate of another CA."""
    front = Front(vault)

    def renew(authority):
        front.tls = Holder("vault", authority, names=[HOST], purposes=[SERVER]).server(tmp_path / "front.pem")

    yield front, renew
    front.stop()


def test_a_vault_is_verified_by_the_present_cas(run, vault, upstream, renewed_front, tmp_path):
    front, renew = renewed_front
    first, second = (Holder(name, is_ca=True) for name in ("first", "second"))
    file = tmp_path / "vault.pem"
    renew(first)
    file.write_bytes(pem(second.certificate))
    config = vaults(front)
    config["main"]["ca_file"] = str(file)
    gateway = run([host(upstream, tmp_path)], vaults=config, identities=issued())
    gateway.await_log("error: the identity 'mesh' can't be obtained")
    replace(file, pem(first.certificate))
    serves(gateway)
    # The CAs change before Vault's certificate does.
    replace(file, pem(first.certificate, second.certificate))
    renew(second)
    gateway.config["identities"] = issued(ttl="48h")
    gateway.reload()
    eventually("it is renewed", lambda: refreshes(gateway) == 2, patience=60)
    # With an unusable file, the gateway uses the former CAs.
    for content in (b"none", b"", None):
        file.unlink() if content is None else replace(file, content)
        gateway.await_log("error: the CAs of Vault 'main' in", "the former ones are used on")
        calls = front.count("/sign/")
        gateway.config["identities"] = issued(ttl=f"{50 + calls}h")
        gateway.reload()
        eventually("it is renewed", lambda calls=calls: front.count("/sign/") > calls)
    assert status(gateway) == 200


def test_a_stale_secret_id_locks_nobody_out(run, vault, front, upstream, tmp_path):
    """Threat: five refused logins lock the role out of Vault, for all gateways and for good secret IDs too."""
    if "approle/" not in vault.call("GET", "sys/auth")[1]["data"]:
        vault.write("sys/auth/approle", type="approle")
    vault.write("auth/approle/role/stale", token_policies=["gateway"])
    role = vault.call("GET", "auth/approle/role/stale/role-id")[1]["data"]["role_id"]
    secret = vault.write("auth/approle/role/stale/secret-id")["secret_id"]
    (tmp_path / "secret").touch(mode=0o600)
    (tmp_path / "secret").write_text("stale")
    gateway = run(
        [host(upstream, tmp_path)], identities={**issued(), **issued("other"), **issued("third")},
        vaults=vaults(front, {"method": "approle", "role_id": role, "secret_id": {"file": str(tmp_path / "secret")}}))
    eventually("it is tried again and again", lambda: refreshes(gateway, "failed") >= 4, patience=60)
    assert front.count("approle/login") == 1
    gateway.await_log("error: the identity 'mesh' can't be obtained", "invalid role or secret ID", "when one of them changes")
    assert "HTTP 403" not in gateway.log
    # An operator may have changed something at Vault.
    gateway.process.send_signal(signal.SIGHUP)
    eventually("another login", lambda: front.count("approle/login") == 2)
    assert vault.call("POST", "auth/approle/login", {"role_id": role, "secret_id": secret}, token="")[0] == 200
    (tmp_path / "secret").write_text(secret)
    serves(gateway, patience=60)
    assert front.count("approle/login") == 3
