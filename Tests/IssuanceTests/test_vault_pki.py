"""Certificates signed by the PKI engine of a real Vault (OpenBao), from the plan to their revocation."""

import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from cloudflare import lose
from gateway import eventually
from hosts import aegis_apply, age, nothing_is_left, serial, shown
from vault_site import REVOKE, SIGN, leaf, make_sites, names

site = pytest.fixture(make_sites)


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


def test_a_gateway_finds_inline_secrets_without_the_file(site, vault):
    gateway = site(auth={"method": "token", "token": vault.token(SIGN)})
    gateway.apply()
    (gateway.folder / "aegis.yaml").unlink()
    former = leaf(gateway)
    age(gateway, "site")
    gateway.start()
    eventually("another one", lambda: leaf(gateway) != former, patience=60)


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
