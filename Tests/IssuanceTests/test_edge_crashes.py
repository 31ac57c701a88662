"""A process that orders, replaces or deletes a pack is killed, refused or loses the answer: one pack is left in the end.

AEGIS_LONG=1 kills at every place where the state is written; else the test takes a sample.
"""

import json
import os
import pathlib
import signal
import subprocess
import threading

import pytest

from cloudflare import STEPS, TOKEN, ends_with, lose
from gateway import PATIENCE, PROGRAMS
from hosts import aegis_apply, killing_at, rows

LONG = bool(os.environ.get("AEGIS_LONG"))
SHORT = (STEPS[0], "active")


def edge(gateway):
    return gateway.config["edge_certificates"][0]


def is_settled(gateway, cloudflare):
    """Whether Cloudflare has one pack, active and with the file's names, and the state has only that pack."""
    [(number, pack)] = cloudflare.packs.items()
    return pack["status"] == "active" and sorted(pack["hosts"]) == sorted(edge(gateway)["hosts"]) \
        and rows(gateway, "SELECT id, status FROM edge_packs") == [(number, "active")] \
        and rows(gateway, "SELECT name FROM leases WHERE name LIKE 'edge%'") == []


@pytest.fixture
def changed(edge_site, cloudflare):
    """A gateway with an active pack, and one more name in its file."""
    cloudflare.steps = SHORT
    gateway = edge_site()
    gateway.apply()
    edge(gateway)["hosts"].append("www.example.test")
    return gateway


# Deleting the former pack.


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_an_apply_killed_as_it_deletes_the_former_pack_recovers(changed, cloudflare, after):
    cloudflare.on_call("DELETE", "/certificate_packs/", ends_with(lambda: apply, after=after))
    apply = changed.launch_apply(stdout=subprocess.DEVNULL)
    assert apply.wait(PATIENCE) == -signal.SIGKILL
    changed.apply()
    assert is_settled(changed, cloudflare)
    assert "No changes" in changed.apply()
    assert len(cloudflare.said("POST")) == 2


@pytest.mark.parametrize("fault", ["lost", "refused", "in trouble"])
def test_a_former_pack_is_deleted_by_this_apply_or_the_next(changed, cloudflare, fault):
    if fault == "lost":
        cloudflare.on_call("DELETE", "/certificate_packs/", lose)
    elif fault == "refused":
        cloudflare.refuse("DELETE", "/certificate_packs/", 403, 9109, "Not now")
    else:
        cloudflare.refuse("DELETE", "/certificate_packs/", 503, 0, "Busy", times=2)
    said = changed.run_apply()
    # The exit code of a refused deletion may be that of success or of a problem; the test does not decide this.
    assert said.returncode == 0 or fault == "refused" and said.returncode == 3
    assert fault != "refused" or "Not now" in said.stdout + said.stderr
    changed.apply()
    assert is_settled(changed, cloudflare)
    assert len(cloudflare.said("POST")) == 2


def test_a_former_pack_is_deleted_after_its_successor_is_active(changed, cloudflare):
    edge(changed)["wait"] = "0"
    changed.apply()
    cloudflare.refuse("DELETE", "/certificate_packs/", 403, 9109, "Not now")
    said = changed.run_apply()
    assert "Not now" in said.stdout + said.stderr
    changed.apply()
    assert is_settled(changed, cloudflare)


def test_a_missing_former_pack_is_no_obstacle(changed, cloudflare):
    cloudflare.packs.clear()
    changed.apply()
    assert is_settled(changed, cloudflare)


# Orders.


def test_an_apply_killed_as_it_writes_recovers(edge_site, cloudflare, figures):
    cloudflare.steps = SHORT
    kills = 0
    for place in range(1, 200) if LONG else range(2, 200, 3):
        cloudflare.packs.clear()
        gateway = edge_site(f"gateway{place}")
        gateway.apply()
        edge(gateway)["hosts"].append("www.example.test")
        before = len(cloudflare.said("POST"))
        done = gateway.run_apply(*killing_at("fdatasync", place))
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        kills += 1
        gateway.apply()
        assert is_settled(gateway, cloudflare), f"killed at place {place}"
        assert "No changes" in gateway.apply()
        assert len(cloudflare.said("POST")) == before + 1, f"killed at place {place}"
    assert kills
    figures.append(f"apply with an edge certificate killed at fdatasync: {kills} kills")


def test_an_order_is_found_on_any_page_of_the_list(edge_site, cloudflare):
    cloudflare.steps = SHORT
    gateway = edge_site()
    gateway.apply()
    [pack] = cloudflare.packs.values()
    others = {f"{number}": {**pack, "id": f"{number}"} for number in range(120)}
    cloudflare.packs = {**others, pack["id"]: pack}
    edge(gateway)["validation_method"] = "http"
    cloudflare.on_call("POST", "/order", lose)
    gateway.apply()
    assert len(cloudflare.said("POST")) == 2
    assert len(cloudflare.packs) == len(others) + 1, "what is somebody else's stays"
    assert rows(gateway, "SELECT id FROM edge_packs") == [(list(cloudflare.packs)[-1],)]


def test_an_order_without_answer_or_list_is_searched_by_the_next_apply(edge_site, cloudflare):
    cloudflare.steps = SHORT
    gateway = edge_site()

    def close(call):
        lose(call)
        cloudflare.refuse("GET", "/certificate_packs", 403, 9109, "Not now")

    cloudflare.on_call("POST", "/order", close)
    assert "it may have been ordered all the same" in gateway.apply(expect=3, everything=True)
    gateway.apply()
    assert is_settled(gateway, cloudflare) and len(cloudflare.said("POST")) == 1


@pytest.mark.parametrize("status, code, fields", [(400, 1100, {}), (429, 971, {"Retry_After": "1"}), (503, 0, {})])
def test_a_failing_provider_is_asked_again(edge_site, cloudflare, status, code, fields):
    cloudflare.steps = SHORT
    cloudflare.refuse("POST", "/order", status, code, "Try again", times=2, **fields)
    gateway = edge_site()
    gateway.apply()
    assert [call[2] for call in cloudflare.said("POST")] == [status, status, 200]
    assert is_settled(gateway, cloudflare)


def test_an_invalid_token_is_reported_once(edge_site, cloudflare):
    cloudflare.tokens.clear()
    gateway = edge_site()
    said = gateway.apply(expect=3, everything=True)
    assert "Authentication error (code 10000)" in said and "CF-Ray" in said and "permission" in said
    assert len(cloudflare.calls) == 1
    assert cloudflare.packs == {}


def test_two_simultaneous_applies_order_one_pack(edge_site, cloudflare):
    cloudflare.steps = SHORT
    gateway = edge_site()
    applies = [gateway.launch_apply(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert sorted(apply.wait(PATIENCE) for apply in applies) in ([0, 0], [0, 75])
    assert is_settled(gateway, cloudflare) and len(cloudflare.said("POST")) == 1


# A move to another zone, and deletions.


def test_a_pack_moves_to_another_zone(edge_site, cloudflare):
    cloudflare.steps = SHORT
    zone = "f" * 32
    cloudflare.zones[zone] = "other.test"
    gateway = edge_site()
    gateway.apply()
    edge(gateway).update(zone_id=zone, hosts=["other.test"])
    gateway.apply()
    assert is_settled(gateway, cloudflare)
    assert [pack["zone"] for pack in cloudflare.packs.values()] == [zone]


@pytest.mark.parametrize("fault", ["killed before", "killed after", "lost", "refused"])
def test_a_deletion_is_repeated_until_it_is_certain(edge_site, cloudflare, fault):
    cloudflare.steps = SHORT
    gateway = edge_site()
    gateway.apply()
    del gateway.config["edge_certificates"]
    if fault == "lost":
        cloudflare.on_call("DELETE", "/certificate_packs/", lose)
    elif fault == "refused":
        cloudflare.refuse("DELETE", "/certificate_packs/", 403, 9109, "Not now")
    else:
        cloudflare.on_call(
            "DELETE", "/certificate_packs/", ends_with(lambda: apply, after=fault == "killed after"))
    apply = gateway.launch_apply(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert apply.wait(PATIENCE) == {"lost": 0, "refused": 3}.get(fault, -signal.SIGKILL)
    gateway.apply()
    assert cloudflare.packs == {} and rows(gateway, "SELECT * FROM edge_packs") == []
    assert "No changes" in gateway.apply()


# Validation records and secrets.


@pytest.mark.parametrize("method, words", [
    ("txt", "TXT _acme-challenge.example.test = x-y_z"),
    ("http", "HTTP http://example.test/.well-known/pki-validation/x.txt answers x-y_z"),
    ("email", "e-mail to admin@example.test")])
def test_the_records_for_validation_are_printed(edge_site, cloudflare, method, words):
    cloudflare.steps = STEPS[:2]
    gateway = edge_site(wait="0", validation_method=method, certificate_authority="ssl_com", validity_days=30)
    assert words in gateway.apply(everything=True)
    [shown] = json.loads(aegis_apply(gateway, "status", "--format", "json"))["edge_certificates"]
    assert shown["notes"] == [words]


@pytest.mark.parametrize("secret", [TOKEN, {"env": "CF_API_TOKEN"}, {"file": "token"}], ids=["inline", "env", "file"])
def test_the_token_of_a_pack_appears_in_no_output(edge_site, cloudflare, secret):
    cloudflare.steps = STEPS[:2]
    gateway = edge_site(wait="0", api_token=secret)
    arrived, go_on = threading.Event(), threading.Event()

    def look(call):
        arrived.set()
        go_on.wait(PATIENCE)
        call.answer(*call.carry_out())

    cloudflare.on_call("POST", "/order", look)
    environment = (f"CF_API_TOKEN={TOKEN}",) if "env" in secret else ()
    with gateway.launch_apply("env", *environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as apply:
        assert arrived.wait(PATIENCE)
        process = pathlib.Path(f"/proc/{apply.pid}")
        seen = (process / "cmdline").read_text() + (process / f"task/{apply.pid}/children").read_text()
        go_on.set()
        said = apply.communicate(timeout=PATIENCE)[0]
    assert apply.returncode == 0, said
    assert TOKEN not in seen
    cloudflare.tokens.clear()
    rows(gateway, "UPDATE edge_packs SET checked_at = 0")
    for arguments in (["--dry-run", "--refresh"], ["status"], ["history"]):
        done = subprocess.run(
            [PROGRAMS / "aegis-apply", *arguments], cwd=gateway.folder, capture_output=True, text=True)
        said += done.stdout + done.stderr
    gateway.start("env", *environment)
    gateway.await_log("Authentication error")
    gateway.stop()
    assert TOKEN not in said + gateway.log
    for path in gateway.folder.rglob("*"):
        if path.is_file() and path.name not in ("token", "aegis.yaml"):
            assert TOKEN.encode() not in path.read_bytes(), path
