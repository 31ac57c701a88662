"""A Vault that refuses to sign, can't be asked, or is sealed: the reason is reported, and nobody else waits."""

import json
import subprocess
import threading

import pytest
from cryptography import x509

from gateway import PATIENCE, eventually
from hosts import aegis_apply, age, nothing_is_left, rows, serial, shown
from vault_site import PLAIN, SIGN, leaf, make_sites, names

site = pytest.fixture(make_sites)


def test_unusable_cas_of_a_vault_are_reported_by_the_dry_run(site, vault):
    gateway = site()
    gateway.config["vaults"]["main"]["ca_file"] = "none.pem"
    (gateway.folder / "aegis.yaml").write_text(json.dumps(gateway.config))
    said = aegis_apply(gateway, "--dry-run", expect=3)
    assert "error: Vault 'main' can't be used: the CAs to trust: cannot read 'none.pem'" in said


def test_a_name_that_the_role_refuses_is_reported(site, vault):
    gateway = site()
    gateway.config["certificates"]["site"]["domains"].append("app.example")
    said = gateway.apply(expect=3, everything=True)
    assert "site: issue failed: Vault refuses to sign by the role 'web' of 'pki' (HTTP 400)" in said
    assert "app.example" in said and "hint: the role must allow the name: allowed_domains" in said
    assert leaf(gateway) is None
    del gateway.config["certificates"]["site"]["domains"][1]
    gateway.apply()
    assert names(leaf(gateway)) == ["app.test"] and nothing_is_left(gateway)


def test_a_name_that_the_role_leaves_out_is_reported(site, vault):
    vault.role("few", use_csr_sans=False, use_csr_common_name=False)
    gateway = site(role="few")
    vault.policy("of-token", "pki/sign/few")

    def leave_out(call):
        body = {**call.json, "alt_names": "app.test"}
        status, answer = vault.raw("POST", call.path, json.dumps(body).encode(), {
            "X-Vault-Token": (gateway.folder / "token").read_text().strip()})
        call.answer(status, answer)

    gateway.config["certificates"]["site"]["domains"].append("www.test")
    vault.on_call("/sign/", leave_out)
    said = gateway.apply(expect=3, everything=True)
    assert "the certificate that the role 'few' has signed is not for www.test" in said
    assert leaf(gateway) is None


@pytest.mark.parametrize("change, words", [
    ({"role": "nope"}, ["unknown role", "has no such role"]),
    ({"mount": "nope"}, ["permission denied", "policies must allow this"]),
], ids=["role", "mount"])
def test_a_missing_mount_or_role_is_reported(site, vault, change, words):
    gateway = site(**change)
    vault.policy("of-token", SIGN, "pki/sign/nope")
    said = gateway.apply(expect=3, everything=True)
    assert all(word in said for word in words), said


def test_a_revoked_token_is_reported_and_may_be_replaced(site, vault):
    gateway = site()
    gateway.apply()
    token = (gateway.folder / "token").read_text().strip()
    vault.set("auth/token/revoke", token=token)
    former = leaf(gateway)
    said = aegis_apply(gateway, "renew", "site", "--force", expect=3)
    assert "the token for Vault is not valid" in said and "put a new token in its place" in said
    assert token not in said and leaf(gateway) == former
    (gateway.folder / "token").write_text(vault.token(SIGN))
    aegis_apply(gateway, "renew", "site", "--force")
    assert leaf(gateway) != former


def test_a_failed_login_is_reported(site, vault):
    role, _ = vault.app_role(SIGN)
    gateway = site(auth={"method": "approle", "role_id": role, "secret_id": "planted-5ecret"})
    said = gateway.apply(expect=3, everything=True)
    assert "invalid role or secret ID" in said and "secret_id_ttl" in said
    assert "planted-5ecret" not in said and role not in said


def test_an_apply_sends_a_refused_secret_id_once(site, vault):
    """Threat: one login for each certificate, five of which lock the role out of Vault."""
    role, secret = vault.app_role(SIGN)
    gateway = site(auth={"method": "approle", "role_id": role, "secret_id": "stale"})
    for number in range(5):
        gateway.config["certificates"][f"more{number}"] = {"issuer": "internal", "domains": [f"n{number}.test"]}
    said = gateway.apply(expect=3, everything=True)
    assert said.count("invalid role or secret ID") >= 6
    assert sum("approle/login" in call.path for call in vault.calls) == 1
    gateway.config["vaults"]["main"]["auth"]["secret_id"] = secret
    gateway.apply()


def test_a_vault_that_is_down_delays_no_other_issuer(site, vault):
    gateway = site(hosts=[PLAIN])
    vault.close()
    try:
        said = gateway.apply(expect=3, everything=True)
        assert "Vault can't be asked to" in said
        gateway.start()
        assert rows(gateway, "SELECT count(*) FROM items WHERE kind = 'host'") == [(2,)]
    finally:
        vault.open()
    gateway.apply()
    eventually("it is served", lambda: x509.load_der_x509_certificate(serial(gateway, "app.test")) == leaf(gateway))


def test_a_gateway_completes_the_work_of_a_failed_vault(site, vault):
    gateway = site()
    gateway.apply()
    former = leaf(gateway)
    age(gateway, "site")
    vault.close()
    try:
        gateway.start()
        gateway.await_log("the certificate 'site' can't be obtained", "Vault can't be asked to")
        assert shown(gateway, vault, "app.test") == "app"
    finally:
        vault.open()
    rows(gateway, "UPDATE renewals SET next_try_at = 0")
    eventually("another one", lambda: leaf(gateway) != former, patience=60)


def test_a_vault_that_is_silent_delays_only_its_own_hosts(site, vault):
    gateway = site(hosts=[PLAIN])
    speaks = threading.Event()

    def hesitate(call):
        speaks.wait(PATIENCE * 2)
        call.answer(*call.pass_on())

    vault.on_call("/sign/", hesitate)
    apply = gateway.launch_apply(stdout=subprocess.DEVNULL)
    try:
        eventually("the other host", lambda: (gateway.folder / "state.db").exists() and rows(
            gateway, "SELECT count(*) FROM sqlite_schema WHERE name = 'items'") == [(1,)] and rows(
            gateway, "SELECT name FROM items WHERE kind = 'host'") == [("plain.test",)])
        eventually("the call", lambda: vault.signed)
        assert apply.poll() is None
    finally:
        speaks.set()
    assert apply.wait(PATIENCE) == 0 and len(vault.signed) == 1
    assert names(leaf(gateway)) == ["app.test"]


def test_a_sealed_vault_is_reported(site, vault):
    gateway = site()
    vault.seal()
    try:
        said = gateway.apply(expect=3, everything=True)
    finally:
        vault.unseal()
    assert "Vault is sealed" in said and "hint: unseal it" in said
    gateway.apply()
    assert leaf(gateway)
