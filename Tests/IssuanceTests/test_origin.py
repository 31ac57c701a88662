"""Certificates of Cloudflare's Origin CA, from the plan to their end."""

import json
import os
import pathlib
import subprocess
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from cloudflare import TOKEN
from gateway import PATIENCE, PROGRAMS, eventually
from hosts import NAMES, aegis_apply, age, nothing_is_left, rows, serial


def visit(gateway, cloudflare):
    """curl's output with only the Origin CA trusted."""
    return subprocess.run(
        ["curl", "--silent", "--show-error", "--max-time", str(PATIENCE), "--cacert", cloudflare.origin_root,
         "--resolve", f"app.example.test:{gateway.https}:127.0.0.1", f"https://app.example.test:{gateway.https}/"],
        capture_output=True, text=True, check=True).stdout


def write(gateway):
    (gateway.folder / "aegis.yaml").write_text(json.dumps(gateway.config, indent=1))


def stored(gateway):
    """The stored leaf certificate."""
    [(chain,)] = rows(gateway, "SELECT chain FROM certificates WHERE name = 'site'")
    return x509.load_pem_x509_certificate(chain)


def test_a_certificate_lives_from_plan_to_deletion(behind, cloudflare):
    gateway = behind()
    write(gateway)
    assert "+ certificate site: issue" in aegis_apply(gateway, "--dry-run")
    assert cloudflare.calls == []
    gateway.apply()
    assert "No changes" in gateway.apply()
    gateway.start()
    assert visit(gateway, cloudflare) == "app"
    [number] = cloudflare.valid
    assert f"provider_id  {number}" in aegis_apply(gateway, "certificates", "show", "site")
    assert "cloudflare_origin" in aegis_apply(gateway, "certificates", "list", "--format", "json")
    # The certificate is renewed while it is served.
    former = serial(gateway, "app.example.test")
    assert "Nothing is due" in aegis_apply(gateway, "renew")
    assert "renewed" in aegis_apply(gateway, "renew", "site", "--force")
    eventually("the new one is served", lambda: serial(gateway, "app.example.test") != former)
    assert visit(gateway, cloudflare) == "app"
    assert len(cloudflare.valid) == 2, "the former one is not revoked unless that is wished"
    # The certificate is removed from the file.
    gateway.config["hosts"] = [{"domain": "other.test", "respond": {"body": "other"}}]
    del gateway.config["certificates"]
    assert "- certificate site (no longer in the file; it is kept until 20" in gateway.apply()
    assert rows(gateway, "SELECT count(*) FROM certificates") == [(0,)]
    assert not cloudflare.said("DELETE")


@pytest.mark.parametrize("kind, key", [("origin-rsa", rsa.RSAPublicKey), ("origin-ecc", ec.EllipticCurvePublicKey)])
def test_the_file_sets_the_kind_of_key_and_the_validity(behind, cloudflare, kind, key):
    gateway = behind(request_type=kind, requested_validity=90)
    gateway.apply()
    leaf = stored(gateway)
    assert isinstance(leaf.public_key(), key)
    assert (leaf.not_valid_after_utc - leaf.not_valid_before_utc).days == 90
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == NAMES
    [(_, request)] = rows(gateway, "SELECT remote_id, request FROM certificates")
    assert x509.load_der_x509_csr(request).public_key() == leaf.public_key()


def test_an_origin_ca_key_works_with_a_warning(behind, cloudflare):
    cloudflare.tokens.clear()
    cloudflare.service_keys.add("v1.0-old-key")
    gateway = behind(auth_method="origin_ca_key", api_token=None, origin_ca_key={"env": "ORIGIN_CA_KEY"})
    write(gateway)
    assert "deprecated" in aegis_apply(gateway, ORIGIN_CA_KEY="v1.0-old-key")
    assert len(cloudflare.valid) == 1


def test_a_gateway_renews_due_certificates_by_itself(behind, cloudflare):
    # The token is in the file, which the gateway does not read.
    gateway = behind(api_token=TOKEN, revoke_replaced=True)
    gateway.apply()
    gateway.start()
    former = serial(gateway, "app.example.test")
    age(gateway, "site")
    eventually("another one", lambda: serial(gateway, "app.example.test") != former, patience=60)
    eventually("the former one is revoked", lambda: len(cloudflare.valid) == 1, patience=60)
    methods = [method for method, _, _ in cloudflare.calls]
    assert methods == ["POST", "POST", "DELETE"], "revoked when the new one is there"
    eventually("nothing is left", lambda: nothing_is_left(gateway))
    eventually("its event", lambda: rows(gateway, "SELECT 1 FROM events WHERE action = 'revoke' AND failure IS NULL"))


@pytest.mark.parametrize("days, is_due", [(31, False), (22, True)])
def test_long_lived_certificates_are_due_a_month_before_their_end(behind, cloudflare, days, is_due):
    gateway = behind()
    gateway.apply()
    rows(gateway, "UPDATE certificates SET not_before = unixepoch() - 5000 * 86400, created_at = 0, "
                  "expires_at = unixepoch() + ? * 86400", days)
    plan = aegis_apply(gateway, "--dry-run")
    assert ("certificate site: renew" in plan) == is_due
    assert ("Nothing is due" not in aegis_apply(gateway, "renew")) == is_due


def test_a_replaced_certificate_is_revoked_later_if_it_can_not_be_now(behind, cloudflare):
    gateway = behind(revoke_replaced=True)
    gateway.apply()
    [former] = cloudflare.valid
    cloudflare.refuse("DELETE", "/certificates/", 403, 9109, "Not now")
    said = aegis_apply(gateway, "renew", "site", "--force")
    assert "is not revoked:" in said and "Not now (code 9109)" in said
    assert former in cloudflare.valid
    rows(gateway, "UPDATE superseded SET next_try_at = 0")
    # The next apply revokes it without a change of the file.
    assert "Revoked the former certificate" in gateway.apply()
    assert former not in cloudflare.valid and len(cloudflare.valid) == 1
    assert rows(gateway, "SELECT * FROM superseded") == []


def test_with_on_removal_a_certificate_removed_from_the_file_is_revoked(behind, cloudflare):
    gateway = behind(on_removal="revoke")
    gateway.apply()
    gateway.config["hosts"] = [{"domain": "other.test", "respond": {"body": "other"}}]
    # The certificate and its issuer are removed together.
    del gateway.config["certificates"], gateway.config["issuers"]
    write(gateway)
    assert "it is revoked at Cloudflare, which can't be undone" in aegis_apply(gateway, "--dry-run")
    cloudflare.refuse("DELETE", "/certificates/", 403, 9109, "Not now")
    assert "Not now" in gateway.apply(expect=3, everything=True)
    assert rows(gateway, "SELECT name FROM certificates") == [("site",)], "it stays until that is done"
    gateway.apply()
    assert cloudflare.valid == [] and rows(gateway, "SELECT name FROM certificates") == []
    assert "No changes" in gateway.apply()


def test_a_dry_run_knows_that_a_revocation_will_fail(behind, cloudflare):
    gateway = behind(on_removal="revoke")
    gateway.apply()
    gateway.config["hosts"] = [{"domain": "other.test", "respond": {"body": "other"}}]
    del gateway.config["certificates"]
    write(gateway)
    (gateway.folder / "token").write_text("one\ntwo\n")
    said = aegis_apply(gateway, "--dry-run", expect=3)
    assert "error: issuer 'origin': the secret has a line break or another control character in it (file token)" in said
    assert "it is revoked at Cloudflare" in said
    assert "the secret has a line break" in gateway.apply(expect=3, everything=True)


# Changes at the provider.


def test_a_refresh_reports_revoked_certificates_and_orders_them_again(behind, cloudflare):
    gateway = behind()
    gateway.apply()
    [number] = cloudflare.valid
    assert "No changes" in aegis_apply(gateway, "--dry-run", "--refresh")
    cloudflare.revoke(number)
    before = len(cloudflare.calls)
    assert "No changes" in aegis_apply(gateway, "--dry-run")
    assert len(cloudflare.calls) == before, "nobody is asked without --refresh"
    plan = json.loads(aegis_apply(gateway, "--dry-run", "--refresh", "--format", "json"))
    [change] = plan["changes"]
    assert (change["action"], change["name"]) == ("issue", "site")
    assert change["reason"].startswith("was revoked at Cloudflare on 20")
    assert cloudflare.valid == []
    aegis_apply(gateway, "--refresh")
    assert len(cloudflare.valid) == 1
    del cloudflare.certificates[cloudflare.valid[0]]
    assert "(is no longer at Cloudflare)" in aegis_apply(gateway, "--dry-run", "--refresh")


def test_a_refresh_that_can_not_ask_says_so(behind, cloudflare):
    gateway = behind()
    gateway.apply()
    cloudflare.tokens.clear()
    said = aegis_apply(gateway, "--dry-run", "--refresh")
    assert "certificate 'site' could not be refreshed: Cloudflare refuses" in said and "No changes" in said


# Refusals and faults.


def refused(gateway):
    return gateway.apply(expect=3, everything=True)


def test_an_invalid_token_is_reported_once(behind, cloudflare):
    cloudflare.tokens.clear()
    said = refused(behind())
    assert "Authentication error (code 10000)" in said and "CF-Ray 8f2c1ab34cd5-TXL" in said
    assert "permission" in said
    assert len(cloudflare.calls) == 1


@pytest.mark.parametrize("status, code, fields", [(400, 1100, {}), (429, 971, {"Retry_After": "1"}), (503, 0, {})])
def test_a_failing_provider_is_asked_again(behind, cloudflare, status, code, fields):
    cloudflare.refuse("POST", "/certificates", status, code, "Try again", times=2, **fields)
    behind().apply()
    assert [call[2] for call in cloudflare.said("POST")] == [status, status, 200]
    assert len(cloudflare.valid) == 1


def test_a_long_retry_after_is_obeyed(behind, cloudflare):
    cloudflare.refuse("POST", "/certificates", 429, 971, "Too many", Retry_After="600")
    gateway = behind()
    said = refused(gateway)
    assert "try again in 600 s; not before 20" in said
    assert len(cloudflare.calls) == 1
    [(next_try,)] = rows(gateway, "SELECT next_try_at - unixepoch() FROM renewals")
    assert 500 < next_try <= 600


def test_a_refusal_is_reported_with_the_servers_reason(behind, cloudflare):
    gateway = behind()
    gateway.config["issuers"]["origin"]["request_type"] = "origin-rsa"
    cloudflare.refuse("POST", "/certificates", 400, 1005, "The key is not of the requested type")
    assert "Cloudflare refuses (HTTP 400, CF-Ray" in refused(gateway)
    gateway.apply()


def other_key(call, cloudflare):
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return cloudflare.issue_elsewhere(key, NAMES)


def other_names(call, cloudflare):
    request = x509.load_pem_x509_csr(call.body["csr"].encode())
    return cloudflare.issue_elsewhere(request.public_key(), ["app.example.test"])


def ended(call, cloudflare):
    request = x509.load_pem_x509_csr(call.body["csr"].encode())
    return cloudflare.issue_elsewhere(request.public_key(), NAMES, days=0)


@pytest.mark.parametrize("make, words", [
    (other_key, "key"), (other_names, "is not for *.example.test"), (ended, "and not now")])
def test_a_certificate_that_differs_from_the_request_is_not_stored(behind, cloudflare, make, words):
    def forge(call):
        status, fields, envelope = call.carry_out()
        envelope["result"]["certificate"] = make(call, cloudflare)
        call.answer(status, fields, envelope)

    gateway = behind()
    cloudflare.on_call("POST", "/certificates", forge)
    said = refused(gateway)
    assert words in said
    assert rows(gateway, "SELECT * FROM certificates") == []


@pytest.mark.parametrize(
    "body", [b"<html>", b"", b"{}", b'{"success":true,"result":[]}', b"[" * 100_000, b" " * (2 << 20)])
def test_unusable_answers_are_reported(behind, cloudflare, body):
    gateway = behind()
    cloudflare.on_call("POST", "/certificates", lambda call: call.send(200, body))
    # No certificate was issued, which the list of certificates shows.
    assert "it may have been issued all the same" in refused(gateway)
    gateway.apply()
    assert len(cloudflare.valid) == 1


def test_an_untrusted_server_gets_no_token(behind, cloudflare):
    gateway = behind(ca_file=None)
    said = refused(gateway)
    assert "TLS verification failed" in said and "ca_file" in said
    assert cloudflare.calls == []


# Secrets.


@pytest.mark.parametrize("secret", [TOKEN, {"env": "CF_API_TOKEN"}, {"file": "token"}], ids=["inline", "env", "file"])
def test_a_token_appears_in_no_output(behind, cloudflare, secret):
    gateway = behind(api_token=secret)
    write(gateway)
    arrived, go_on = threading.Event(), threading.Event()
    seen = []

    def look(call):
        arrived.set()
        go_on.wait(PATIENCE)
        call.answer(*call.carry_out())

    cloudflare.on_call("POST", "/certificates", look)
    said = aegis_apply(gateway, "--dry-run", "--format", "json")
    environment = {**os.environ, **({"CF_API_TOKEN": TOKEN} if "env" in secret else {})}
    with subprocess.Popen(
            [PROGRAMS / "aegis-apply"], cwd=gateway.folder, env=environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True) as process:
        assert arrived.wait(PATIENCE)
        seen.append(pathlib.Path(f"/proc/{process.pid}/cmdline").read_text())
        children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        assert children == "", "nobody else is run"
        for path in gateway.folder.glob("state.db*"):
            assert TOKEN.encode() not in path.read_bytes()
        go_on.set()
        said += process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 0, said
    cloudflare.tokens.clear()
    for arguments in (["renew", "site", "--force"], ["--dry-run", "--refresh"], ["status"], ["history"]):
        done = subprocess.run(
            [PROGRAMS / "aegis-apply", *arguments], cwd=gateway.folder, capture_output=True, text=True)
        said += done.stdout + done.stderr
    if "env" not in secret:
        rows(gateway, "DELETE FROM renewals")
        age(gateway, "site")
        gateway.start()
        said += gateway.await_log("Authentication error")
        gateway.stop()
    assert TOKEN not in said + gateway.log + "".join(seen)
    for path in gateway.folder.rglob("*"):
        if path.is_file() and path.name not in ("token", "aegis.yaml"):
            assert TOKEN.encode() not in path.read_bytes(), path
