"""Identities from Vault that change: by the file, before they expire, by a new version of a secret, and under load."""

import signal

import pytest

import load
from client_auth import LOCAL, ask, certified, context
from gateway import eventually
from vault_identities import (
    HOST, host, issued, make_upstream, node, other, put, refreshes, root, row, serves, status, stored, vaults)

upstream = pytest.fixture(make_upstream)


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
