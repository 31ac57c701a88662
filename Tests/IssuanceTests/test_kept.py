"""Certificates of hosts that were removed from the file: kept, not served, not renewed, and used again."""

import contextlib
import json
import sqlite3

from client import Client, tls_context
from gateway import eventually
from hosts import aegis_apply, age, behind_cloudflare, host, nothing_is_left, rows, serial, shown

OTHER = {"domain": "other.test", "respond": {"body": "other"}}


def kept(gateway):
    return [name for name, in rows(gateway, "SELECT name FROM kept_certificates ORDER BY name")]


def take_out(gateway, domain):
    gateway.config["hosts"] = [host for host in gateway.config["hosts"] if host["domain"] != domain]
    gateway.reload()


def test_a_host_that_returns_has_its_certificate_again(site):
    gateway, ca = site([host("app.test"), OTHER])
    gateway.apply()
    gateway.start()
    before = serial(gateway, "app.test")
    sealed = rows(gateway, "SELECT sealed_key, fingerprint FROM certificates")
    take_out(gateway, "app.test")
    assert kept(gateway) == ["app.test"]
    assert rows(gateway, "SELECT sealed_key, fingerprint FROM kept_certificates") == sealed
    # No client is shown the certificate, and it is not renewed.
    assert serial(gateway, "app.test") != before
    status = aegis_apply(gateway, "status")
    assert "kept for when they come back, not served: app.test (since 20" in status
    assert "app.test " not in status.split("kept for")[0]
    listed = json.loads(aegis_apply(gateway, "status", "--format", "json"))["kept_certificates"]
    assert [entry["certificate"] for entry in listed] == ["app.test"]
    header, line = aegis_apply(gateway, "certificates", "list").splitlines()
    assert "KEPT" in header and line.startswith("app.test ") and " until 20" in line
    assert aegis_apply(gateway, "renew", "--all") == "Nothing is due.\n"
    gateway.config["hosts"].append(host("app.test", respond={"body": "back"}))
    assert "certificate app.test (kept since " in aegis_apply_dry(gateway)
    gateway.reload()
    assert serial(gateway, "app.test") == before
    assert shown(gateway, ca, "app.test") == "back"
    assert kept(gateway) == []
    assert len(ca.issued) == 1
    assert "No changes" in gateway.apply()


def aegis_apply_dry(gateway):
    (gateway.folder / "aegis.yaml").write_text(json.dumps(gateway.config))
    return aegis_apply(gateway, "--dry-run")


def test_a_kept_certificate_that_is_due_is_reissued_when_its_host_returns(site):
    gateway, ca = site([host("app.test"), OTHER])
    gateway.apply()
    take_out_without_gateway(gateway)
    change(gateway, "UPDATE kept_certificates SET not_before = not_before - 10000000, created_at = created_at - "
                    "10000000, expires_at = unixepoch() + 86400")
    gateway.start()
    gateway.config["hosts"][0] = {**OTHER, "respond": {"body": "changed"}}
    gateway.reload()
    # Another due certificate has been renewed, so the gateway has looked for due certificates.
    assert len(ca.issued) == 1
    gateway.config["hosts"].append(host("app.test"))
    gateway.reload()
    assert len(ca.issued) == 2
    assert kept(gateway) == []
    assert shown(gateway, ca, "app.test") == "app.test"


def take_out_without_gateway(gateway):
    gateway.config["hosts"] = [OTHER]
    gateway.apply()
    assert kept(gateway) == ["app.test"]


def change(gateway, statement):
    with contextlib.closing(sqlite3.connect(gateway.folder / "state.db")) as state, state:
        state.execute(statement)


def test_kept_certificates_are_resealed_by_rekey(site):
    gateway, ca = site([host("app.test"), OTHER])
    gateway.apply()
    take_out_without_gateway(gateway)
    before = rows(gateway, "SELECT sealed_key FROM kept_certificates")
    (gateway.folder / "new").write_text("6b" * 32)
    aegis_apply(gateway, "rekey", "--new-key-file", "new")
    assert rows(gateway, "SELECT sealed_key FROM kept_certificates") != before
    (gateway.folder / "key").write_text("6b" * 32)
    gateway.config["hosts"].append(host("app.test"))
    gateway.apply()
    gateway.start()
    assert shown(gateway, ca, "app.test") == "app.test"
    assert len(ca.issued) == 1


def test_a_damaged_kept_certificate_is_reissued(site):
    gateway, ca = site([host("app.test"), OTHER])
    gateway.apply()
    take_out_without_gateway(gateway)
    change(gateway, "UPDATE kept_certificates SET sealed_key = x'00'")
    gateway.config["hosts"].append(host("app.test"))
    said = gateway.apply(everything=True)
    assert "warning: certificate app.test is ordered again, since the kept certificate can't be used: " in said
    assert len(ca.issued) == 2
    assert nothing_is_left(gateway)


def test_a_certificate_kept_for_too_long_is_deleted_with_the_next_change(site):
    gateway, ca = site([host("app.test"), OTHER])
    gateway.apply()
    take_out_without_gateway(gateway)
    gateway.config["state"]["retention"] = "1d"
    change(gateway, "UPDATE kept_certificates SET kept_since = kept_since - 90000")
    gateway.config["hosts"] = [{**OTHER, "respond": {"body": "changed"}}]
    gateway.apply()
    assert kept(gateway) == []
    gateway.config["state"]["retention"] = 0
    gateway.config["hosts"].append(host("app.test"))
    gateway.apply()
    assert len(ca.issued) == 2
    # A certificate that is not kept leaves no key in the state.
    gateway.config["hosts"].pop()
    gateway.apply()
    assert kept(gateway) == []
    assert rows(gateway, "SELECT count(*) FROM certificates") == [(0,)]


def test_a_certificate_of_cloudflare_is_kept_unless_it_is_to_be_revoked(behind, cloudflare):
    gateway = behind()
    gateway.apply()
    declared, hosts = gateway.config["certificates"], gateway.config["hosts"]
    gateway.config["certificates"], gateway.config["hosts"] = {}, [OTHER]
    gateway.apply()
    assert kept(gateway) == ["site"]
    gateway.config["certificates"], gateway.config["hosts"] = declared, hosts
    gateway.apply()
    assert len(cloudflare.said("POST", "/certificates")) == 1
    assert rows(gateway, "SELECT name, remote_id <> '' FROM certificates") == [("site", 1)]
    gateway.config["issuers"]["origin"]["on_removal"] = "revoke"
    gateway.config["certificates"], gateway.config["hosts"] = {}, [OTHER]
    gateway.apply()
    assert kept(gateway) == []
    assert len(cloudflare.said("DELETE", "/certificates")) == 1


def test_kept_certificates_can_be_listed_shown_exported_and_revoked(site):
    gateway, ca = site([host("app.test"), OTHER])
    gateway.apply()
    take_out_without_gateway(gateway)
    listed, = json.loads(aegis_apply(gateway, "certificates", "list", "--format", "json"))["certificates"]
    assert listed["name"] == "app.test" and listed["kept_since"] < listed["kept_until"] <= listed["expires_at"]
    without_file = aegis_apply(gateway, "certificates", "list", "--state", "state.db")
    assert " since 20" in without_file
    assert "kept_until" in aegis_apply(gateway, "certificates", "show", "app.test")
    aegis_apply(gateway, "certificates", "export", "app.test", "--out", "app.pem", "--with-key")
    assert "PRIVATE KEY" in (gateway.folder / "app.pem").read_text()
    for force in [], ["--force"]:
        said = aegis_apply(gateway, "renew", "app.test", *force, expect=1)
        assert "the certificate 'app.test' is only kept: nothing in the file refers to it" in said and "mean" not in said
    said = aegis_apply(gateway, "certificates", "revoke", "app.test", "--reason", "superseded")
    assert said.startswith("Revoked 'app.test', serial ") and said.endswith("only kept. It will not be used again.\n")
    assert "was revoked on " in aegis_apply(gateway, "certificates", "list")
    gateway.config["hosts"].append(host("app.test"))
    gateway.apply()
    assert len(ca.issued) == 2


def test_a_shorter_retention_alone_deletes_kept_certificates(site):
    gateway, ca = site([host("app.test"), OTHER])
    gateway.apply()
    take_out_without_gateway(gateway)
    gateway.config["state"]["retention"] = "0"
    said = aegis_apply_dry(gateway)
    assert "- certificate app.test (kept since 20" in said and "state.retention is over)" in said, said
    assert "Plan: 1 to delete." in said
    change_, = json.loads(aegis_apply(gateway, "--dry-run", "--format", "json"))["changes"]
    assert (change_["action"], change_["kind"], change_["name"]) == ("delete", "certificate", "app.test")
    assert aegis_apply(gateway, "--dry-run", "--detailed-exitcode", expect=2)
    assert "1 deleted" in gateway.apply()
    assert kept(gateway) == []
    assert "No changes" in gateway.apply()


def test_turning_renewals_off_and_on_orders_nothing(site):
    gateway, ca = site(
        [host("app.test", ssl_mode="custom", certificate="shop")],
        certificates={"shop": {"issuer": "letsencrypt", "domains": ["app.test"]}})
    gateway.apply()
    before = rows(gateway, "SELECT fingerprint FROM certificates")
    for renews in (False, True):
        gateway.config["certificates"]["shop"]["auto_renew"] = renews
        assert "1 updated" in gateway.apply()
        assert rows(gateway, "SELECT auto_renew FROM certificates") == [(int(renews),)]
        assert "No changes" in gateway.apply()
    assert rows(gateway, "SELECT fingerprint FROM certificates") == before
    assert len(ca.issued) == 1


def test_an_entry_that_is_renamed_keeps_its_certificate(site):
    gateway, ca = site(
        [host("app.test", ssl_mode="custom", certificate="shop")],
        certificates={"shop": {"issuer": "letsencrypt", "domains": ["app.test"]}})
    gateway.apply()
    gateway.start()
    before = serial(gateway, "app.test")
    gateway.config["certificates"] = {"store": gateway.config["certificates"]["shop"]}
    gateway.config["hosts"][0]["certificate"] = "store"
    said = aegis_apply_dry(gateway)
    assert "+ certificate store (certificate 'shop' has the same names, and becomes this one)" in said, said
    assert "- certificate shop (no longer in the file; it becomes 'store')" in said
    gateway.reload()
    assert rows(gateway, "SELECT name FROM certificates") == [("store",)] and kept(gateway) == []
    assert serial(gateway, "app.test") == before
    assert shown(gateway, ca, "app.test") == "app.test"
    assert "No changes" in gateway.apply()
    # The certificate is used as the host's own.
    gateway.config["certificates"] = {}
    gateway.config["hosts"][0] = host("app.test")
    gateway.reload()
    assert rows(gateway, "SELECT name FROM certificates") == [("app.test",)]
    assert serial(gateway, "app.test") == before
    # The certificate is kept, and then used again by another declaration.
    gateway.config["hosts"] = [OTHER]
    gateway.reload()
    assert kept(gateway) == ["app.test"]
    gateway.config["certificates"] = {"shop": {"issuer": "letsencrypt", "domains": ["app.test"]}}
    gateway.config["hosts"] = [host("app.test", ssl_mode="custom", certificate="shop"), OTHER]
    gateway.reload()
    assert serial(gateway, "app.test") == before and kept(gateway) == []
    assert len(ca.issued) == 1


def test_a_kept_certificate_stands_in_while_another_ca_refuses(site):
    gateway, ca = site([host("app.test"), OTHER])
    gateway.config["issuers"]["two"] = {**ca.issuer, "profile": "none-such"}
    gateway.apply()
    gateway.start()
    before = serial(gateway, "app.test")
    for again in ({"issuer": "two"}, {"issuer": "two", "aliases": ["www.app.test"]}):
        take_out(gateway, "app.test")
        assert kept(gateway) == ["app.test"] and serial(gateway, "app.test") != before
        gateway.config["hosts"].append(host("app.test", **again))
        said = aegis_apply_dry(gateway)
        assert "certificate app.test: issue (kept since 20" in said, said
        lacks = "it lacks www.app.test, " if "aliases" in again else ""
        words = f"; it is not used again: {lacks}it is from issuer 'letsencrypt')"
        assert f"; it stands in until the new one is there, and is no longer kept{words}" in said, said
        gateway.reload(expect=3)
        assert serial(gateway, "app.test") == before
        assert shown(gateway, ca, "app.test") == "app.test"
        assert kept(gateway) == []
        line, = [line for line in aegis_apply(gateway, "status").splitlines() if line.startswith("app.test ")]
        assert "Pebble" in line and "missing" not in line, line
    # The host is removed from the file again, so the certificate is kept again.
    take_out(gateway, "app.test")
    assert kept(gateway) == ["app.test"]
    # The certificate is used under another name, as an entry of `certificates`.
    gateway.config["certificates"] = {"shop": {"issuer": "two", "domains": ["app.test"]}}
    gateway.config["hosts"].append(host("app.test", ssl_mode="custom", certificate="shop"))
    assert "'app.test' was kept since 20" in aegis_apply_dry(gateway)
    gateway.reload(expect=3)
    assert rows(gateway, "SELECT name FROM certificates") == [("shop",)] and kept(gateway) == []
    assert serial(gateway, "app.test") == before
    assert shown(gateway, ca, "app.test") == "app.test"
    assert len(ca.issued) == 1
    # A newly obtained certificate replaces the kept one.
    gateway.config["certificates"]["shop"] = {"issuer": "letsencrypt", "domains": ["app.test", "www.app.test"]}
    gateway.reload()
    assert serial(gateway, "app.test") != before and len(ca.issued) == 2
    assert "No changes" in gateway.apply()


def test_damage_of_a_kept_certificate_is_reported(site):
    gateway, ca = site([host("app.test"), OTHER])
    gateway.apply()
    take_out_without_gateway(gateway)
    change(gateway, "UPDATE kept_certificates SET sealed_key = x'00'")
    gateway.config["hosts"].append(host("app.test", aliases=["www.app.test"]))
    said = gateway.apply(everything=True)
    assert "warning: certificate app.test is ordered again, since the kept certificate can't be used: " in said
    assert kept(gateway) == [] and len(ca.issued) == 2


def test_swapping_a_domain_and_its_alias_keeps_the_certificate(site):
    gateway, ca = site([host("app.test", aliases=["www.app.test"]), OTHER])
    gateway.apply()
    before = rows(gateway, "SELECT fingerprint FROM certificates")
    gateway.config["hosts"][0] = host("www.app.test", aliases=["app.test"])
    gateway.apply()
    assert rows(gateway, "SELECT fingerprint FROM certificates") == before
    assert len(ca.issued) == 1
    assert "No changes" in gateway.apply()


def test_renaming_an_issuer_reissues_nothing(site):
    gateway, ca = site([host("app.test"), OTHER])
    gateway.apply()
    before = rows(gateway, "SELECT fingerprint FROM certificates")
    gateway.config["issuers"] = {"ca": gateway.config["issuers"]["letsencrypt"]}
    gateway.config["hosts"][0] = host("app.test", issuer="ca")
    gateway.apply()
    assert rows(gateway, "SELECT fingerprint FROM certificates") == before
    assert len(ca.issued) == 1
    assert "No changes" in gateway.apply()
    # There is still only one account.
    assert rows(gateway, "SELECT count(*) FROM accounts") == [(1,)]


def aliased(gateway, *aliases, **settings):
    gateway.config["hosts"] = [host("app.test", aliases=list(aliases), **settings)]


def test_removing_and_restoring_an_alias_orders_once(site):
    gateway, ca = site([host("app.test", aliases=["www.app.test"])])
    gateway.apply()
    gateway.start()
    before = serial(gateway, "app.test")
    aliased(gateway)
    said = aegis_apply_dry(gateway)
    assert "app.test: issue (the certificate in force is kept until 20" in said, said
    gateway.reload()
    smaller = serial(gateway, "app.test")
    assert smaller != before and len(ca.issued) == 2
    (name,) = kept(gateway)
    assert name.startswith("app.test@")
    assert name in aegis_apply(gateway, "status") and name in aegis_apply(gateway, "certificates", "list")
    for back in (1, 2, 3):
        aliased(gateway, "www.app.test")
        said = aegis_apply_dry(gateway)
        assert "certificate app.test (" in said and "used again" in said, said
        gateway.reload()
        assert serial(gateway, "app.test") == before and serial(gateway, "www.app.test") == before
        assert shown(gateway, ca, "www.app.test") == "app.test"
        assert len(kept(gateway)) == 1
        assert "No changes" in gateway.apply()
        # The smaller certificate, which was kept meanwhile, is used again too.
        aliased(gateway)
        gateway.reload()
        assert serial(gateway, "app.test") == smaller and len(kept(gateway)) == 1
    assert len(ca.issued) == 2
    assert nothing_is_left(gateway)


def test_a_replaced_certificate_is_kept_until_retention_ends_or_it_is_revoked(site):
    gateway, ca = site([host("app.test", aliases=["www.app.test"])])
    gateway.config["state"]["retention"] = 0
    gateway.apply()
    aliased(gateway)
    assert "is kept" not in aegis_apply_dry(gateway)
    gateway.apply()
    assert kept(gateway) == []
    gateway.config["state"]["retention"] = "30d"
    aliased(gateway, "m.app.test")
    gateway.apply()
    (name,) = kept(gateway)
    aegis_apply(gateway, "certificates", "revoke", name, "--reason", "superseded")
    aliased(gateway)
    gateway.apply()
    assert len(ca.issued) == 4


def test_a_damaged_replaced_certificate_is_ordered_again(site):
    gateway, ca = site([host("app.test", aliases=["www.app.test"])])
    gateway.apply()
    aliased(gateway)
    gateway.apply()
    change(gateway, "UPDATE kept_certificates SET sealed_key = x'00'")
    aliased(gateway, "www.app.test")
    said = gateway.apply(everything=True)
    assert "is ordered again, since the kept certificate can't be used: " in said
    assert len(ca.issued) == 3 and nothing_is_left(gateway)


def test_a_replaced_certificate_is_resealed_and_deleted_when_its_time_is_over(site):
    gateway, ca = site([host("app.test", aliases=["www.app.test"])])
    gateway.apply()
    aliased(gateway)
    gateway.apply()
    (gateway.folder / "new").write_text("6b" * 32)
    aegis_apply(gateway, "rekey", "--new-key-file", "new")
    (gateway.folder / "key").write_text("6b" * 32)
    aliased(gateway, "www.app.test")
    gateway.apply()
    assert len(ca.issued) == 2
    change(gateway, "UPDATE kept_certificates SET kept_since = kept_since - 3000000")
    aliased(gateway)
    gateway.apply()
    assert len(ca.issued) == 3 and len(kept(gateway)) == 1
