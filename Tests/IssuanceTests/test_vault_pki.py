"""Certificates signed by the PKI engine of a real Vault (OpenBao), from the plan to their end, with kills and faults.

AEGIS_LONG=1 kills at every place where the state is written; else the test takes a sample.
"""

import base64
import json
import os
import signal
import subprocess
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cloudflare import lose
from gateway import PATIENCE, PROGRAMS, Gateway, eventually
from hosts import aegis_apply, age, killing_at, nothing_is_left, rows, serial, shown
from reporting import parts
from proxy import ends_with
from vault_ca import Vault

LONG = bool(os.environ.get("AEGIS_LONG"))
SIGN, REVOKE = "pki/sign/web", "pki/revoke"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = Vault(tmp_path_factory.mktemp("vault"))
    yield made
    made.stop()


@pytest.fixture
def vault(server):
    server.reset()
    return server


@pytest.fixture
def site(tmp_path, vault):
    """Makes a gateway whose one certificate, `site`, comes from Vault; neither applied nor started."""
    made = []

    def make(name="gateway", auth=None, hosts=(), **settings):
        gateway = Gateway(tmp_path / name, [
            {"domain": "app.test", "ssl_mode": "custom", "certificate": "site", "respond": {"body": "app"}}, *hosts])
        if auth is None:
            (gateway.folder / "token").write_text(vault.token(SIGN) + "\n")
        gateway.config["vaults"] = {
            "main": {"address": vault.address, "auth": auth or {"method": "token", "token": {"file": "token"}}}}
        gateway.config["issuers"] = {"internal": {"type": "vault_pki", "vault": "main", "role": "web", **settings}}
        gateway.config["certificates"] = {"site": {"issuer": "internal", "domains": ["app.test"]}}
        made.append(gateway)
        parts.append(gateway)
        return gateway

    yield make
    for gateway in made:
        parts.remove(gateway)
        gateway.stop()


def leaf(gateway):
    """The stored leaf certificate; None if there is none."""
    found = rows(gateway, "SELECT chain FROM certificates WHERE name = 'site'")
    return x509.load_pem_x509_certificate(found[0][0]) if found else None


def names(certificate):
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
        x509.DNSName)


def kept_bytes(gateway):
    """The content of the state's files."""
    return b"".join(path.read_bytes() for path in sorted(gateway.folder.glob("state.db*")))


def private_number(gateway):
    """The private value of the stored key, as bytes."""
    text = aegis_apply(gateway, "certificates", "export", "site", "--out", "-", "--with-key")
    key = load_pem_private_key(text[text.index("-----BEGIN PRIVATE KEY"):].encode(), None)
    return key.private_numbers().private_value.to_bytes(32, "big")


# The life of a certificate.


def test_a_certificate_lives_from_plan_to_deletion(site, vault):
    gateway = site(ttl="720h")
    (gateway.folder / "aegis.yaml").write_text(json.dumps(gateway.config))
    assert "+ certificate site: issue" in aegis_apply(gateway, "--dry-run")
    assert vault.calls == [], "a dry run asks nobody"
    gateway.apply()
    assert "No changes" in gateway.apply()
    [signed] = vault.signed
    assert signed["ttl"] == "2592000s" and "private_key" not in json.dumps(signed)
    gateway.start()
    assert shown(gateway, vault, "app.test") == "app"
    said = aegis_apply(gateway, "certificates", "show", "site")
    assert "vault_pki" in said and nothing_is_left(gateway)
    # The certificate is renewed while it is served.
    former = serial(gateway, "app.test")
    assert "Nothing is due" in aegis_apply(gateway, "renew")
    assert "renewed" in aegis_apply(gateway, "renew", "site", "--force")
    eventually("the new one is served", lambda: serial(gateway, "app.test") != former)
    # The certificate is removed from the file, and added again.
    gateway.config["hosts"] = [{"domain": "other.test", "respond": {"body": "other"}}]
    certificates = gateway.config.pop("certificates")
    assert "it is kept until 20" in gateway.apply()
    gateway.config["certificates"] = certificates
    assert "used again" in gateway.apply()
    assert len(vault.signed) == 2


def test_changed_names_and_keys_need_a_new_certificate(site, vault):
    gateway = site()
    gateway.apply()
    gateway.config["certificates"]["site"]["domains"] = ["app.test", "*.sub.test", "www.test"]
    gateway.apply()
    assert names(leaf(gateway)) == ["app.test", "*.sub.test", "www.test"]
    gateway.config["certificates"]["site"]["key_type"] = "rsa-2048"
    gateway.apply()
    assert isinstance(leaf(gateway).public_key(), rsa.RSAPublicKey)
    assert len(vault.signed) == 3
    # Another role or validity takes effect at the next renewal.
    vault.role("other")
    gateway.config["issuers"]["internal"].update(role="other", ttl="100h")
    gateway.apply()
    assert len(vault.signed) == 3


def test_another_mount_is_another_ca(site, vault):
    gateway = site()
    gateway.apply()
    vault.policy("of-token", SIGN, "root/sign/web")
    vault.set("root/roles/web", allowed_domains="test", allow_bare_domains=True, allow_subdomains=True, key_type="any")
    gateway.config["issuers"]["internal"]["mount"] = "root"
    assert "directory is another now" in gateway.apply()
    assert leaf(gateway).issuer.rfc4514_string() == "CN=A root"


def test_a_gateway_renews_due_certificates(site, vault):
    gateway = site(auth={"method": "approle", "role_id": {"file": "role"}, "secret_id": {"file": "secret"}})
    role, secret = vault.app_role(SIGN)
    (gateway.folder / "role").write_text(role + "\n")
    (gateway.folder / "secret").write_text(secret + "\n")
    gateway.apply()
    gateway.start()
    for _ in range(2):
        former = leaf(gateway)
        age(gateway, "site")
        eventually("another one", lambda: leaf(gateway) != former, patience=60)
        eventually("it is served", lambda: x509.load_der_x509_certificate(serial(gateway, "app.test")) == leaf(gateway))
        # Another login replaces the gateway's token.
        vault.revoke_tokens_of_roles()
    assert shown(gateway, vault, "app.test") == "app" and nothing_is_left(gateway)


def test_a_login_by_certificate_shows_an_identity(site, vault):
    gateway = site(auth={"method": "cert", "identity": "mesh"})
    gateway.config["vaults"]["main"].update(address=vault.tls_address, ca_file=str(vault.tls_root))
    gateway.config["identities"] = {"mesh": {"source": "file", "cert_file": "mesh.pem", "key_file": "mesh.key"}}
    vault.identity(gateway.folder / "mesh.pem", gateway.folder / "mesh.key", SIGN)
    (gateway.folder / "mesh.key").chmod(0o640)
    assert "chmod 600" in gateway.apply(expect=3, everything=True)
    (gateway.folder / "mesh.key").chmod(0o600)
    gateway.apply()
    assert names(leaf(gateway)) == ["app.test"]
    # The same identity in the environment, as a pod has it.
    gateway.config["identities"]["mesh"] = {"source": "env", "cert_env_var": "CERT", "key_env_var": "KEY"}
    gateway.apply()
    aegis_apply(gateway, "renew", "site", "--force", CERT=(gateway.folder / "mesh.pem").read_text(),
                KEY=(gateway.folder / "mesh.key").read_text())
    gateway.config["identities"]["mesh"] = {"source": "dev"}
    gateway.apply()
    said = aegis_apply(gateway, "renew", "site", "--force", expect=3)
    assert "identity 'mesh' is not read for issuers" in said and "source file or env" in said


def test_unusable_cas_of_a_vault_are_reported_by_the_dry_run(site, vault):
    gateway = site()
    gateway.config["vaults"]["main"]["ca_file"] = "none.pem"
    (gateway.folder / "aegis.yaml").write_text(json.dumps(gateway.config))
    said = aegis_apply(gateway, "--dry-run", expect=3)
    assert "error: Vault 'main' can't be used: the CAs to trust: cannot read 'none.pem'" in said


def test_a_gateway_finds_inline_secrets_without_the_file(site, vault):
    gateway = site(auth={"method": "token", "token": vault.token(SIGN)})
    gateway.apply()
    (gateway.folder / "aegis.yaml").unlink()
    former = leaf(gateway)
    age(gateway, "site")
    gateway.start()
    eventually("another one", lambda: leaf(gateway) != former, patience=60)


# Revocation.


def test_a_certificate_is_revoked_where_the_policy_allows_it(site, vault):
    gateway = site()
    gateway.apply()
    former = leaf(gateway)
    number = f"{former.serial_number:x}"
    number = number.zfill(len(number) + len(number) % 2)
    said = aegis_apply(gateway, "certificates", "revoke", "site", "--reason", "superseded", expect=1)
    assert "'site' is not revoked: internal: Vault refuses to revoke" in said and "policies must allow this" in said
    assert not vault.revoked(number)
    vault.policy("of-token", SIGN, REVOKE)
    said = aegis_apply(gateway, "certificates", "revoke", "site", "--reason", "superseded")
    assert "Revoked 'site', serial" in said and vault.revoked(number)
    assert "was revoked on 20" in gateway.apply()
    assert leaf(gateway) != former


def test_a_certificate_that_a_role_does_not_store_can_not_be_revoked(site, vault):
    vault.role("unstored", no_store=True)
    gateway = site(role="unstored")
    vault.policy("of-token", "pki/sign/unstored", REVOKE)
    gateway.apply()
    said = aegis_apply(gateway, "certificates", "revoke", "site", "--reason", "unspecified", expect=1)
    assert "no_store=true" in said


# Refusals.


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


# Vaults in trouble.

PLAIN = {"domain": "plain.test", "respond": {"body": "plain"}}


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


# Crashes.


def check_resumption(gateway, vault, calls, where):
    """Applies again after a kill, and checks the result.

    `calls`: how many requests had been signed before. The same request must be sent again, but only if its certificate
    is not stored. The key must never be in the state unsealed.
    """
    left = kept_bytes(gateway)
    had = bool(rows(gateway, "SELECT count(*) FROM sqlite_schema WHERE name = 'certificates'")[0][0]) and leaf(gateway)
    begun = [order for (order,) in rows(gateway, "SELECT request FROM orders")] if had is not False else []
    gateway.apply()
    assert "No changes" in gateway.apply(), where
    signed = vault.signed
    assert len(signed) == calls + (0 if had else 1), where
    if begun:
        requests = {pem_to_der(body["csr"]) for body in signed}
        assert requests == set(begun), where
    assert nothing_is_left(gateway), where
    number = private_number(gateway)
    for held in (left, kept_bytes(gateway)):
        assert number not in held and b"PRIVATE KEY" not in held, where


def pem_to_der(text):
    return base64.b64decode("".join(text.strip().splitlines()[1:-1]))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_an_apply_killed_at_the_call_recovers(site, vault, after):
    gateway = site()
    vault.on_call("/sign/", ends_with(lambda: apply, after=after))
    apply = gateway.launch_apply()
    assert apply.wait(PATIENCE) == -signal.SIGKILL
    check_resumption(gateway, vault, 1, "at the call")
    assert len({body["csr"] for body in vault.signed}) == 1, "the same request is sent again"


@pytest.mark.parametrize("call, every", [("fdatasync", 5), ("pwrite64", 40)])
def test_an_apply_killed_as_it_writes_recovers(site, vault, call, every):
    kills = 0
    for place in range(1 if LONG else 3, 200, 1 if LONG else every):
        vault.reset()
        gateway = site(f"gateway{place}")
        gateway.config["hosts"] = [PLAIN]
        certificates = gateway.config.pop("certificates")
        gateway.apply()
        gateway.config["certificates"] = certificates
        done = gateway.run_apply(*killing_at(call, place))
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        kills += 1
        check_resumption(gateway, vault, len(vault.signed), f"killed at {call} {place}")
    assert kills


def test_a_call_with_a_lost_answer_is_repeated_once(site, vault):
    def lose(call):
        call.pass_on()
        call.hang_up()

    gateway = site()
    vault.on_call("/sign/", lose)
    said = gateway.apply(everything=True)
    assert len({body["csr"] for body in vault.signed}) == 1 and len(vault.signed) == 2
    assert "may have signed a certificate that nobody uses" in said


def test_a_gateway_killed_as_it_renews_recovers(site, vault):
    gateway = site()
    gateway.apply()
    former = leaf(gateway)
    age(gateway, "site")
    vault.reset()
    vault.on_call("/sign/", ends_with(lambda: gateway.process, after=True))
    gateway.launch()
    eventually("its end", lambda: gateway.process.poll() is not None)
    gateway.process = None
    gateway.start()
    eventually("another one", lambda: leaf(gateway) != former, patience=60)
    assert len(vault.signed) == 2 and len({body["csr"] for body in vault.signed}) == 1
    assert private_number(gateway) not in kept_bytes(gateway)


@pytest.mark.parametrize("place", range(1, 30) if LONG else [2, 5, 8, 12])
def test_a_renewal_killed_as_it_writes_recovers(site, vault, place):
    gateway = site()
    gateway.apply()
    former = leaf(gateway)
    vault.reset()
    subprocess.run(
        [*killing_at("fdatasync", place), PROGRAMS / "aegis-apply", "renew", "site", "--force"], cwd=gateway.folder,
        capture_output=True, timeout=PATIENCE * 2)
    if leaf(gateway) == former:
        calls = len(vault.signed)
        aegis_apply(gateway, "renew", "site", "--force")
        assert len(vault.signed) == calls + 1 and len({body["csr"] for body in vault.signed}) == 1
    assert nothing_is_left(gateway) and leaf(gateway) != former
    assert private_number(gateway) not in kept_bytes(gateway)


def test_two_simultaneous_applies_order_once(site, vault):
    gateway = site()
    applies = [gateway.launch_apply() for _ in range(2)]
    codes = sorted(apply.wait(PATIENCE) for apply in applies)
    assert codes in ([0, 0], [0, 75]) and len(vault.signed) == 1


def test_an_issuer_of_another_kind_replaces_the_former(site, vault, cloudflare):
    """An order in the state from the former kind of issuer is not mistaken for an order of Vault."""
    gateway = site()
    (gateway.folder / "cf").write_text("planted-5ecret-t0ken\n")
    gateway.config["issuers"]["origin"] = {
        "type": "cloudflare_origin", "api_token": {"file": "cf"}, **cloudflare.place}
    gateway.config["certificates"]["site"]["issuer"] = "origin"
    cloudflare.on_call("POST", "/certificates", lose)
    assert "may have been issued" in gateway.apply(expect=3, everything=True)
    gateway.config["certificates"]["site"]["issuer"] = "internal"
    gateway.apply()
    assert leaf(gateway).issuer.rfc4514_string() == "CN=A CA" and nothing_is_left(gateway)
