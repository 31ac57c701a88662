"""aegis-apply gets certificates from a real CA: with a gateway that answers challenges, and without one."""

import sqlite3
import subprocess

import pytest

from gateway import PROGRAMS, eventually
from hosts import host, nothing_is_left, rows, shown

EXTERNAL_ACCOUNT = ("kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W")


@pytest.mark.parametrize("challenge", ["http-01", "tls-alpn-01"])
@pytest.mark.parametrize("serving", [True, False])
def test_an_apply_obtains_a_certificate(site, challenge, serving):
    # Pebble refuses half of all valid nonces.
    gateway, ca = site(
        [host("app.test", aliases=["www.app.test"], force_https=True)], issuer={"challenge": challenge},
        ca={"nonce_rejection": 50})
    if serving:
        # The gateway serves an earlier state, so the apply must issue the certificate.
        gateway.config["hosts"][0].update(ssl_mode="none", force_https=False)
        gateway.apply()
        gateway.start()
        gateway.config["hosts"][0].update(ssl_mode="letsencrypt", force_https=True)
        gateway.reload()
    else:
        gateway.apply()
        gateway.start()
    assert shown(gateway, ca, "app.test") == "app.test"
    assert shown(gateway, ca, "www.app.test") == "app.test"
    assert nothing_is_left(gateway)
    assert "No changes" in gateway.apply()
    assert len(ca.issued) == 1


def test_a_gateway_that_waits_for_its_first_state_is_no_obstacle(site):
    gateway, ca = site([host("app.test")])
    gateway.launch()
    eventually("the gateway", lambda: "waiting until aegis-apply makes it" in gateway.log)
    gateway.apply()
    gateway.await_ready()
    revision, = rows(gateway, "SELECT revision FROM position")[0]
    eventually("all of it is in force", lambda: gateway.metric("aegis_state_revision") == revision)
    assert shown(gateway, ca, "app.test") == "app.test"
    assert len(ca.issued) == 1


def test_named_certificates_and_addresses_come_from_the_ca(site):
    gateway, ca = site(
        [{"domain": "app.test", "ssl_mode": "custom", "certificate": "shared", "respond": {"body": "app.test"}}],
        issuer={"key_type": "rsa-2048", "challenge": "tls-alpn-01"},
        certificates={"shared": {"issuer": "letsencrypt", "domains": ["app.test", "other.test", "127.0.0.1"]}})
    gateway.apply()
    gateway.start()
    assert shown(gateway, ca, "app.test") == "app.test"
    show = subprocess.run([PROGRAMS / "aegis-apply", "certificates", "show", "shared"], cwd=gateway.folder,
                          capture_output=True, text=True, check=True).stdout
    assert "app.test, other.test, 127.0.0.1" in show


def test_an_external_account_is_bound(site):
    gateway, ca = site(
        [host("app.test")], ca={"external_account": EXTERNAL_ACCOUNT},
        issuer={"eab": {"kid": EXTERNAL_ACCOUNT[0], "hmac_key": {"file": "hmac"}}})
    (gateway.folder / "hmac").write_text(EXTERNAL_ACCOUNT[1] + "\n")
    gateway.apply()
    assert len(ca.issued) == 1
    assert rows(gateway, "SELECT external_key_id FROM accounts") == [("kid-1",)]


def test_a_ca_that_requires_an_external_account_is_named(site):
    gateway, ca = site([host("app.test")], ca={"external_account": EXTERNAL_ACCOUNT})
    said = gateway.apply(expect=3, everything=True)
    assert "certificate app.test: issue failed: the CA takes only accounts with external account binding" in said
    assert "eab" in said


def test_a_ca_that_lost_our_account_gets_it_again(site):
    gateway, ca = site([host("app.test")])
    gateway.apply()
    before = rows(gateway, "SELECT sealed_key FROM accounts")
    ca.restart_empty()
    gateway.config["hosts"].append(host("other.test"))
    gateway.apply()
    gateway.start()
    assert shown(gateway, ca, "other.test") == "other.test"
    assert rows(gateway, "SELECT sealed_key FROM accounts") == before


def test_an_unvalidated_name_fails_alone_with_the_cas_reason(site):
    gateway, ca = site([host("app.test"), host("bad.test")])
    # The name has the address of another machine.
    ca.names.tell("add-a", {"host": "bad.test.", "addresses": ["127.0.0.9"]})
    said = gateway.apply(expect=3, everything=True)
    assert "certificate bad.test: issue failed: the CA refuses bad.test: urn:ietf:params:acme:error:connection" in said
    assert "127.0.0.9" in said
    gateway.start()
    assert shown(gateway, ca, "app.test") == "app.test"
    assert nothing_is_left(gateway)
    assert rows(gateway, "SELECT failures, last_failure LIKE '%connection%' FROM renewals") == [(1, 1)]
    assert "certificate bad.test could not be obtained once; next try 20" in aegis(gateway, "status").stdout
    # After the name's correction the next apply issues its certificate.
    ca.names.tell("clear-a", {"host": "bad.test."})
    gateway.apply()
    assert shown(gateway, ca, "bad.test") == "bad.test"
    assert "could not be obtained" not in aegis(gateway, "status").stdout


def test_the_next_issuer_is_asked_if_the_first_fails(site):
    gateway, ca = site([host("app.test", issuers=["dead", "letsencrypt"])])
    gateway.config["issuers"]["dead"] = {**ca.issuer, "directory": ca.directory.replace("/dir", "/nothing")}
    gateway.apply()
    gateway.start()
    assert shown(gateway, ca, "app.test") == "app.test"


def test_an_order_beyond_the_limits_waits_and_says_until_when(site):
    gateway, ca = site([host("app.test")], issuer={"rate_limits": "letsencrypt"})
    gateway.apply()
    for _ in range(4):
        done = renew(gateway, "app.test", "--force")
        assert done.returncode == 0, done.stderr
    done = renew(gateway, "app.test", "--force")
    assert done.returncode == 3
    assert "exactly these names (5 in 7 days) is reached; not before 20" in done.stderr
    assert len(ca.issued) == 5


def renew(gateway, *arguments):
    return subprocess.run(
        [PROGRAMS / "aegis-apply", "renew", *arguments], cwd=gateway.folder, capture_output=True, text=True,
        timeout=120)


def test_renew_renews_certificates(site):
    gateway, ca = site([host("app.test"), host("other.test")])
    gateway.apply()
    gateway.start()
    assert renew(gateway).stdout == "Nothing is due.\n"
    before = rows(gateway, "SELECT name, fingerprint, sealed_key FROM certificates ORDER BY name")
    assert renew(gateway, "app.test", "--force").returncode == 0
    after = rows(gateway, "SELECT name, fingerprint, sealed_key FROM certificates ORDER BY name")
    assert before[1] == after[1]
    assert before[0][1] != after[0][1] and before[0][2] != after[0][2]
    done = renew(gateway, "app.tset", "--force")
    assert done.returncode == 1
    assert "there is no certificate 'app.tset'" in done.stderr and "did you mean 'app.test'?" in done.stderr
    assert shown(gateway, ca, "app.test") == "app.test"
    gateway.config["hosts"][0]["enabled"] = False
    gateway.apply()
    done = renew(gateway, "app.test", "--force")
    assert done.returncode == 1 and "the host 'app.test' is disabled, so its certificate is not renewed" in done.stderr


def aegis(gateway, *arguments):
    return subprocess.run(
        [PROGRAMS / "aegis-apply", *arguments], cwd=gateway.folder, capture_output=True, text=True, timeout=120)


def test_an_account_gets_another_key_and_gateways_follow(site):
    gateway, ca = site([host("app.test")])
    gateway.apply()
    gateway.start()
    account = rows(gateway, "SELECT url, sealed_key FROM accounts")
    done = aegis(gateway, "accounts", "rollover", "letsencrypt")
    assert done.returncode == 0, done.stderr
    changed = rows(gateway, "SELECT url, sealed_key FROM accounts")
    assert changed[0][0] == account[0][0] and changed[0][1] != account[0][1]
    assert account[0][0] in aegis(gateway, "accounts").stdout
    assert renew(gateway, "app.test", "--force").returncode == 0
    # The state is that of an apply which was killed after the CA's answer: it has both keys of the account. The renewal
    # finds the key that the CA accepts.
    with sqlite3.connect(gateway.folder / "state.db") as state:
        state.execute("UPDATE accounts SET sealed_next_key = sealed_key, sealed_key = ?", (account[0][1],))
    assert renew(gateway, "app.test", "--force").returncode == 0
    assert rows(gateway, "SELECT sealed_key, sealed_next_key FROM accounts") == [(changed[0][1], None)]
    done = aegis(gateway, "accounts", "rollover", "nobody")
    assert done.returncode == 1 and "there are: letsencrypt" in done.stderr


def test_a_certificate_is_revoked_for_a_reason(site):
    gateway, ca = site([host("app.test"), {"domain": "plain.test", "respond": {"body": ""}}])
    gateway.apply()
    done = aegis(gateway, "certificates", "revoke", "app.test", "--reason", "key-compromise")
    assert done.returncode == 0, done.stderr
    assert "Revoked 'app.test'" in done.stdout
    assert "POST /revoke-cert" in ca.log
    assert rows(gateway, "SELECT count(*) FROM events WHERE action = 'revoke' AND name = 'app.test'") == [(1,)]
    assert aegis(gateway, "certificates", "revoke", "app.test").returncode == 64
    done = aegis(gateway, "certificates", "revoke", "other.test", "--reason", "superseded")
    assert done.returncode == 1 and "there is no certificate 'other.test'" in done.stderr


def test_rekey_seals_accounts_too(site):
    gateway, ca = site([host("app.test")])
    gateway.apply()
    (gateway.folder / "new").write_text("6b" * 32)
    subprocess.run([PROGRAMS / "aegis-apply", "rekey", "--new-key-file", "new"], cwd=gateway.folder, check=True,
                   capture_output=True)
    (gateway.folder / "key").write_text("6b" * 32)
    gateway.config["hosts"].append(host("other.test"))
    gateway.apply()
    assert len(ca.issued) == 2
    assert len(rows(gateway, "SELECT * FROM accounts")) == 1


def test_no_secret_is_in_the_state_or_the_output(site):
    gateway, ca = site(
        [host("app.test")], ca={"external_account": EXTERNAL_ACCOUNT},
        issuer={"eab": {"kid": EXTERNAL_ACCOUNT[0], "hmac_key": {"file": "hmac"}}})
    (gateway.folder / "hmac").write_text(EXTERNAL_ACCOUNT[1])
    said = gateway.apply(everything=True)
    content = b"".join(path.read_bytes() for path in gateway.folder.glob("state.db*"))
    for text in (said.encode(), content):
        assert EXTERNAL_ACCOUNT[1].encode() not in text
        assert b"PRIVATE KEY" not in text
