"""Hosts that move to another CA and back: nothing is ordered without need, and no failure outlives its cause."""

import json

import pytest

from hosts import aegis_apply, rows, serial, tried
from scripted_ca import ScriptedCA


@pytest.fixture
def second(tmp_path):
    """Another CA."""
    ca = ScriptedCA(tmp_path / "second")
    yield ca
    ca.stop()


def refused(kind, answer):
    if kind == "new-order":
        answer.problem("rejectedIdentifier", "our policy", 403)


def moved(gateway, **changes):
    """Changes the host, and returns the dry run's text."""
    host = gateway.config["hosts"][0]
    host.update(changes)
    for key in [key for key, value in changes.items() if value is None]:
        del host[key]
    (gateway.folder / "aegis.yaml").write_text(json.dumps(gateway.config))
    return aegis_apply(gateway, "--dry-run")


def test_a_host_that_moves_back_has_its_former_certificate(odd, second):
    gateway, first = odd()
    gateway.config["issuers"]["second"] = second.issuer
    gateway.apply()
    gateway.start()
    before = serial(gateway, "app.test")
    said = moved(gateway, issuer="second")
    assert "certificate app.test: issue (the certificate in force is kept until 20" in said, said
    gateway.reload()
    after = serial(gateway, "app.test")
    assert after != before and len(second.issued) == 1
    # There and back, as often as the operator likes.
    for issuer, shown in ((None, before), ("second", after), (None, before)):
        said = moved(gateway, issuer=issuer)
        assert "~ certificate app.test (kept since 20" in said and ", used again; " in said, said
        gateway.reload()
        assert serial(gateway, "app.test") == shown
        assert "No changes" in gateway.apply()
    assert first.new_orders == second.new_orders == 1
    assert len(rows(gateway, "SELECT name FROM kept_certificates")) == 1


def test_a_refused_move_that_is_undone_leaves_no_failure(odd, second):
    gateway, first = odd()
    gateway.config["issuers"]["second"] = second.issuer
    gateway.apply()
    second.twist = refused
    moved(gateway, issuer="second")
    code, said = tried(gateway)
    assert code == 3 and "our policy" in said
    assert "our policy" in aegis_apply(gateway, "status", "--check", expect=3)
    assert "certificate" not in moved(gateway, issuer=None)
    gateway.apply()
    assert "our policy" not in aegis_apply(gateway, "status", "--check")
    assert first.new_orders == 1 and rows(gateway, "SELECT count(*) FROM renewals WHERE failures > 0") == [(0,)]


def test_a_failure_of_the_host_s_new_declaration_stays(odd, second):
    gateway, _ = odd()
    gateway.config["issuers"]["second"] = second.issuer
    gateway.apply()
    second.twist = refused
    for change in {"issuer": "second"}, {"aliases": ["www.app.test"]}, {"respond": {"body": "other"}}:
        moved(gateway, **change)
        assert tried(gateway)[0] == 3
        assert "our policy" in aegis_apply(gateway, "status", "--check", expect=3)


def test_a_disabled_host_moves_without_an_order(odd, second):
    gateway, first = odd()
    gateway.config["issuers"]["second"] = second.issuer
    gateway.apply()
    before = rows(gateway, "SELECT fingerprint FROM certificates")
    for change in {"enabled": False}, {"issuer": "second"}, {"aliases": ["www.app.test"]}:
        said = moved(gateway, **change)
        assert "Plan: 1 to update." in said, said
        gateway.apply()
        assert "No changes" in gateway.apply()
    assert (first.new_orders, second.new_orders) == (1, 0)
    assert rows(gateway, "SELECT fingerprint FROM certificates") == before
    said = moved(gateway, enabled=True)
    assert "certificate app.test: issue" in said, said
    gateway.apply()
    assert (first.new_orders, second.new_orders) == (1, 1)
