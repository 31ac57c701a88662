"""Certificate packs of Cloudflare's edge: ordered, observed, replaced and deleted."""

import json
import signal
import sqlite3

import pytest

from cloudflare import STEPS, TOKEN, ZONE, ends_with, lose
from gateway import PATIENCE, eventually
from hosts import aegis_apply, rows

PENDING = STEPS[:2]


@pytest.fixture
def zone(edge_site):
    return edge_site()


def edge(gateway):
    return gateway.config["edge_certificates"][0]


def status(gateway):
    [shown] = json.loads(aegis_apply(gateway, "status", "--format", "json"))["edge_certificates"]
    return shown


def test_a_pack_is_ordered_and_awaited(zone, cloudflare):
    assert "+ edge_certificate edge: order" in zone.apply()
    [pack] = cloudflare.packs.values()
    assert pack["status"] == "active"
    assert (pack["hosts"], pack["certificate_authority"], pack["validation_method"], pack["validity_days"],
            pack["cloudflare_branding"]) == (["*.example.test", "example.test"], "lets_encrypt", "txt", 90, False)
    shown = status(zone)
    assert (shown["status"], shown["id"], shown["expires_at"]) == ("active", pack["id"], "2027-05-01T00:00:00Z")
    before = len(cloudflare.calls)
    assert "No changes" in zone.apply()
    assert len(cloudflare.calls) == before


def test_a_slow_pack_is_followed_by_later_applies(zone, cloudflare):
    edge(zone)["wait"] = "1s"
    cloudflare.steps = PENDING
    said = zone.apply(everything=True)
    assert "warning: edge_certificate edge is pending_validation" in said
    assert "TXT _acme-challenge.example.test = x-y_z" in said
    assert status(zone)["notes"] == ["TXT _acme-challenge.example.test = x-y_z"]
    assert "_acme-challenge.example.test" in aegis_apply(zone, "status")
    said = zone.apply()
    assert "No changes" in said and "edge is pending_validation" in said
    cloudflare.steps = STEPS
    edge(zone)["wait"] = "20s"
    assert "1 updated" in zone.apply()
    assert "edge is active" in zone.apply()
    assert len(cloudflare.said("POST")) == 1


def test_a_gateway_follows_a_pack_that_an_apply_did_not_await(zone, cloudflare):
    edge(zone).update(wait="0", api_token=TOKEN)
    cloudflare.steps = PENDING
    zone.apply()
    rows(zone, "UPDATE edge_packs SET checked_at = 0")
    zone.start()
    zone.await_log("the edge certificate 'edge' is pending_validation")
    cloudflare.steps = (*PENDING, "active")
    eventually("it is active", lambda: status(zone)["status"] == "active", patience=60, pause=0.5)
    # A gateway never orders.
    assert len(cloudflare.said("POST")) == 1


def test_a_changed_pack_replaces_the_old_one_when_it_is_active(zone, cloudflare):
    zone.apply()
    [former] = cloudflare.packs
    edge(zone)["hosts"].append("www.example.test")
    edge(zone)["wait"] = "1s"
    cloudflare.steps = PENDING
    assert "↻ edge_certificate edge: order" in zone.apply()
    assert former in cloudflare.packs and len(cloudflare.packs) == 2
    assert status(zone)["problem"] == "the former one is served until then"
    cloudflare.steps = (*PENDING, "active")
    zone.apply()
    [pack] = cloudflare.packs.values()
    assert "www.example.test" in pack["hosts"]
    assert [call[0] for call in cloudflare.calls if call[0] in ("POST", "DELETE")] == ["POST", "POST", "DELETE"]


@pytest.mark.parametrize(
    "change", [{"wait": "5s"}, {"on_removal": "keep"}, {"hosts": ["*.example.test", "example.test"]}])
def test_a_changed_setting_outside_the_order_needs_no_new_pack(zone, cloudflare, change):
    zone.apply()
    edge(zone).update(change)
    assert "~ edge_certificate edge" in zone.apply()
    assert len(cloudflare.said("POST")) == 1


def test_a_timed_out_validation_is_started_again(zone, cloudflare):
    edge(zone)["wait"] = "1s"
    cloudflare.steps = PENDING
    zone.apply()
    [pack] = cloudflare.packs.values()
    pack["status"] = "validation_timed_out"
    assert "pending_validation" in zone.apply()
    assert len(cloudflare.said("PATCH")) == 1
    cloudflare.steps = (*PENDING, "active")
    assert "edge is active" in zone.apply()


def test_a_failed_pack_is_reported_and_can_be_ordered_again(zone, cloudflare):
    edge(zone)["wait"] = "1s"
    cloudflare.steps = PENDING
    zone.apply()
    [pack] = cloudflare.packs.values()
    pack.update(status="issuance_timed_out", validation_errors=[{"message": "CAA forbids"}])
    said = zone.apply(expect=3, everything=True)
    assert "is issuance_timed_out" in said and "CAA forbids" in said
    cloudflare.steps = (*PENDING, "active")
    assert "edge_certificate edge: order (is issuance_timed_out at Cloudflare)" in zone.apply()
    assert "No changes" in zone.apply()
    [other] = cloudflare.packs.values()
    assert other["status"] == "active" and other["id"] != pack["id"]


def test_a_refresh_reports_removed_packs_and_orders_them_again(zone, cloudflare):
    zone.apply()
    assert "No changes" in aegis_apply(zone, "--dry-run", "--refresh")
    cloudflare.packs.clear()
    assert "No changes" in aegis_apply(zone, "--dry-run")
    assert "edge_certificate edge: order (is no longer at Cloudflare)" in aegis_apply(zone, "--dry-run", "--refresh")
    aegis_apply(zone, "--refresh")
    assert status(zone)["status"] == "active" and len(cloudflare.packs) == 1


@pytest.mark.parametrize("on_removal, left", [("delete", 0), ("keep", 1)])
def test_a_pack_that_the_file_no_longer_names_is_deleted_unless_on_removal_is_keep(zone, cloudflare, on_removal, left):
    edge(zone)["on_removal"] = on_removal
    zone.apply()
    del zone.config["edge_certificates"]
    plan = zone.apply()
    assert ("it is deleted at Cloudflare" in plan) == (not left)
    assert len(cloudflare.packs) == left
    assert rows(zone, "SELECT * FROM edge_packs") == []


def test_a_refused_order_leaves_nothing(zone, cloudflare):
    cloudflare.without_manager.add(ZONE)
    said = zone.apply(expect=3, everything=True)
    assert "no Advanced Certificate Manager subscription (code 1450)" in said
    cloudflare.without_manager.clear()
    edge(zone)["validity_days"] = 30
    assert "Let's Encrypt issues for 90 days, at /validity_days (code 1437)" in zone.apply(expect=3, everything=True)
    edge(zone)["certificate_authority"] = "google"
    zone.apply()
    assert len(cloudflare.packs) == 1


def test_a_refused_change_leaves_the_old_pack(zone, cloudflare):
    zone.apply()
    edge(zone)["validity_days"] = 30
    assert "Nothing is applied" in zone.apply(expect=3)
    assert status(zone)["status"] == "active" and len(cloudflare.packs) == 1


def test_a_renamed_pack_is_deleted_when_the_new_one_is_active(zone, cloudflare):
    zone.apply()
    [former] = cloudflare.packs
    edge(zone).update(name="other", wait="1s")
    cloudflare.steps = PENDING
    assert "edge stays until 'other' is active" in zone.apply(everything=True)
    assert former in cloudflare.packs
    cloudflare.steps = (*PENDING, "active")
    zone.apply(everything=True)
    zone.apply()
    assert former not in cloudflare.packs and len(cloudflare.packs) == 1


def test_an_unnamed_pack_has_the_name_of_its_apex(zone, cloudflare):
    del edge(zone)["name"]
    assert "edge_certificate example.test: order" in zone.apply()
    edge(zone)["hosts"].reverse()
    zone.apply()
    assert len(cloudflare.said("POST")) == 1


def test_an_order_that_fails_after_a_refresh_is_repeated_by_the_next_apply(zone, cloudflare):
    zone.apply()
    cloudflare.packs.clear()
    cloudflare.without_manager.add(ZONE)
    aegis_apply(zone, "--refresh", expect=3)
    cloudflare.without_manager.clear()
    assert "edge_certificate edge: order" in aegis_apply(zone, "--dry-run")
    zone.apply()
    assert status(zone)["status"] == "active" and len(cloudflare.packs) == 1


def test_a_former_pack_that_can_not_be_deleted_is_deleted_later(zone, cloudflare):
    zone.apply()
    edge(zone)["hosts"].append("www.example.test")
    cloudflare.refuse("DELETE", "/certificate_packs/", 403, 9109, "Not now")
    assert "the former one is not deleted yet: Cloudflare refuses" in zone.apply(everything=True)
    assert status(zone)["problem"] == "the former one is not deleted yet"
    zone.apply()
    assert len(cloudflare.packs) == 1 and status(zone)["problem"] is None


def test_a_pack_that_can_not_be_followed_is_ordered_nevertheless(zone, cloudflare):
    edge(zone)["wait"] = "1s"
    cloudflare.refuse("GET", "/certificate_packs/", 403, 9109, "Not now")
    said = zone.apply(everything=True)
    assert "it can't be looked at now: Cloudflare refuses" in said and "_acme-challenge.example.test" in said


def test_an_error_of_a_proxy_does_not_delete_packs(zone, cloudflare):
    zone.apply()
    for method in ("GET", "DELETE"):
        cloudflare.on_call(method, "/certificate_packs/", lambda call: call.send(404, b"<html>no such host</html>"))
    assert "could not be refreshed" in aegis_apply(zone, "--dry-run", "--refresh")
    del zone.config["edge_certificates"]
    assert "are base_url and zone_id right?" in zone.apply(expect=3, everything=True)
    zone.apply()
    assert cloudflare.packs == {}


# Crashes and lost answers.


def test_an_order_with_a_hidden_success_is_not_repeated(zone, cloudflare):
    def hide(call):
        call.carry_out()
        call.send(524, b"<html>a timeout occurred</html>")

    cloudflare.on_call("POST", "/order", hide)
    zone.apply()
    assert len(cloudflare.packs) == 1 and status(zone)["id"] in cloudflare.packs


def test_a_killed_order_that_the_file_no_longer_names_is_deleted(zone, cloudflare):
    def kill(call):
        call.carry_out()
        apply.kill()
        apply.wait()
        call.hang_up()

    cloudflare.on_call("POST", "/order", kill)
    apply = zone.launch_apply()
    assert apply.wait(PATIENCE) == -signal.SIGKILL
    del zone.config["edge_certificates"]
    assert "- edge_certificate edge" in zone.apply()
    assert cloudflare.packs == {} and rows(zone, "SELECT * FROM edge_packs") == []


def test_an_order_with_a_lost_answer_is_found(zone, cloudflare):
    zone.apply()
    edge(zone)["hosts"].append("www.example.test")
    cloudflare.on_call("POST", "/order", lose)
    zone.apply()
    assert len(cloudflare.said("POST")) == 2 and len(cloudflare.packs) == 1
    assert status(zone)["id"] in cloudflare.packs


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_an_apply_killed_at_the_order_recovers(zone, cloudflare, after):
    # Somebody else's pack for exactly the same names.
    zone.apply()
    [other] = cloudflare.packs
    with sqlite3.connect(zone.folder / "state.db") as state:
        state.execute("DELETE FROM edge_packs")
        state.execute("DELETE FROM items WHERE kind = 'edge_certificate'")

    cloudflare.on_call("POST", "/order", ends_with(lambda: apply, after=after))
    apply = zone.launch_apply()
    assert apply.wait(PATIENCE) == -signal.SIGKILL
    zone.apply()
    assert len(cloudflare.packs) == 2 and status(zone)["id"] != other
    assert "No changes" in zone.apply()


def test_an_apply_killed_as_it_waits_recovers(zone, cloudflare):
    cloudflare.on_call("GET", "/certificate_packs/", ends_with(lambda: apply, after=False))
    apply = zone.launch_apply()
    assert apply.wait(PATIENCE) == -signal.SIGKILL
    zone.apply()
    assert len(cloudflare.packs) == 1 and status(zone)["status"] == "active"
    assert len(cloudflare.said("POST")) == 1
