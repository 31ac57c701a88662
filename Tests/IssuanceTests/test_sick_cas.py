"""A CA that refuses, is silent or slow delays only the hosts that need it. The operator is informed and may stop the
apply."""

import contextlib
import re
import signal
import socket
import sqlite3
import subprocess
import threading

import pytest

from client import Client, tls_context
from gateway import PATIENCE, PROGRAMS, eventually, free_port
from hosts import aegis_apply, host, nothing_is_left, rows, shown


def plain(domain, body, **settings):
    return {"domain": domain, "respond": {"body": body}, **settings}


def record(gateway, domain):
    """The state's record of a host; None when there is none."""
    return next((row[0].decode() for row in rows(
        gateway, "SELECT record FROM items WHERE kind = 'host' AND name = ?", domain)), None)


class Silence:
    """A fault: calls that get it wait without an answer until it ends."""

    def __init__(self):
        self.calls = threading.Semaphore(0)
        self.over = threading.Event()
        self.passes_on = False

    def __call__(self, call):
        self.calls.release()
        self.over.wait(PATIENCE * 5)
        if self.passes_on:
            call.answer(*call.pass_on())
        else:
            call.hang_up()


@pytest.fixture
def silence(stand):
    fault = Silence()
    yield fault
    fault.over.set()
    stand.proxy.arm(None, None)


@contextlib.contextmanager
def applying(gateway, *options):
    """A running apply, with its output."""
    process = gateway.launch_apply(options=options, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def refusing(stand, gateway, silence):
    gateway.config["issuers"]["letsencrypt"]["directory"] = f"https://localhost:{free_port()}/dir"


def silent(stand, gateway, silence):
    stand.proxy.arm(None, silence)


def slow(stand, gateway, silence):
    """Makes the CA answer all calls except new orders."""
    stand.proxy.arm(None, silence, "/order-plz")


@pytest.mark.parametrize("make_sick", [refusing, silent, slow])
def test_changes_without_certificates_are_in_force_while_a_ca_fails(stand, silence, make_sick):
    gateway = stand.gateway([plain("a.test", "old"), plain("gone.test", "gone"), host("own.test")])
    gateway.config["certificates"] = {"lan": {"issuer": "lan", "domains": ["lan.test"]}}
    gateway.config["issuers"]["lan"] = {"type": "local_ca"}
    gateway.apply()
    gateway.start()
    try:
        gateway.config["hosts"] = [
            plain("a.test", "new"), host("own.test", respond={"body": "changed"}),
            *[host(f"new{number}.test") for number in range(13)],
            plain("lan.test", "lan", ssl_mode="custom", certificate="lan2")]
        gateway.config["certificates"]["lan2"] = {"issuer": "lan", "domains": ["lan.test"]}
        make_sick(stand, gateway, silence)
        with applying(gateway) as apply:
            for name, body in [("a.test", "new"), ("own.test", "changed"), ("lan.test", "lan")]:
                eventually(f"{name} is live", lambda: shown_by(gateway, name) == body)
            assert record(gateway, "gone.test") is None
            # A new host is not in the state while its certificate may still be issued: it would get the fallback.
            assert record(gateway, "new0.test") is None
            assert apply.poll() is None
            if make_sick is not refusing:
                assert silence.calls.acquire(timeout=PATIENCE)
            apply.send_signal(signal.SIGINT)
            stdout, stderr = apply.communicate(timeout=PATIENCE)
        assert apply.returncode == -signal.SIGINT
        assert re.search(r"^Applied generation 2: .*2[67] left undone\.$", stdout, re.M), stdout
        assert re.search("stopped by SIGINT; not in force: certificate (own|new0).test, ", stderr), stderr
        assert shown_by(gateway, "a.test") == "new"
        # Another apply completes what this one has begun.
        silence.over.set()
        stand.proxy.arm(None, None)
        gateway.config["issuers"]["letsencrypt"].update(stand.proxy.issuer)
        gateway.reload()
        assert shown(gateway, stand.ca, "new12.test") == "new12.test"
        assert rows(gateway, "SELECT count(*) FROM orders") == [(0,)]
    finally:
        gateway.stop()


def test_a_served_name_changes_while_a_new_alias_waits_for_its_certificate(stand, silence):
    gateway = stand.gateway([host("own.test", respond={"body": "old"}), plain("plain.test", "old")])
    gateway.apply()
    gateway.start()
    try:
        gateway.config["hosts"] = [
            host("own.test", respond={"body": "new"}, aliases=["more.test"]), host("plain.test", respond={"body": "new"})]
        stand.proxy.arm(None, silence, "/order-plz")
        with applying(gateway) as apply:
            for name in ("own.test", "plain.test"):
                eventually(f"{name} is changed", lambda: shown_by(gateway, name) == "new")
            assert silence.calls.acquire(timeout=PATIENCE)
            assert "more.test" not in record(gateway, "own.test") and apply.poll() is None
            apply.send_signal(signal.SIGINT)
            apply.communicate(timeout=PATIENCE)
        silence.over.set()
        stand.proxy.arm(None, None)
        gateway.reload()
        for name in ("own.test", "more.test", "plain.test"):
            assert shown(gateway, stand.ca, name) == "new"
    finally:
        gateway.stop()


def shown_by(gateway, name):
    with Client(gateway.https, tls_context(), name) as client:
        return client.get(name).body.decode()


def test_hosts_are_committed_as_their_certificates_are_issued(stand, silence):
    """One CA is silent, the other issues."""
    gateway = stand.gateway([host("good.test"), host("bad.test", issuers=["silent"])])
    gateway.config["issuers"]["silent"] = {
        **stand.proxy.issuer, "directory": stand.proxy.issuer["directory"].replace("/dir", "/silent")}
    stand.proxy.arm(None, silence, "/silent")
    with applying(gateway) as apply:
        eventually("the good host", lambda: gateway_has(gateway, "good.test") or apply.poll() is not None)
        assert apply.poll() is None, apply.communicate()
        assert not gateway_has(gateway, "bad.test")


def gateway_has(gateway, name):
    with contextlib.suppress(sqlite3.OperationalError):
        return (gateway.folder / "state.db").exists() and record(gateway, name) is not None


def test_a_waiting_apply_names_what_it_waits_for(stand, silence):
    gateway = stand.gateway([host(f"app{number}.test") for number in range(5)])
    stand.proxy.arm(None, silence, "/dir")
    with applying(gateway) as apply:
        said = [apply.stderr.readline() for _ in range(2)]
        directory = re.escape(stand.proxy.issuer["directory"])
        for line, seconds in zip(said, ("[4-9]", r"9|\d\d")):
            named = ", ".join(rf"certificate app\d\.test \({directory}, (?:{seconds}) s(?:: no answer yet)?\)" for _ in range(3))
            assert re.fullmatch(rf"  still waiting for {named} and 1 more\n", line) or \
                re.fullmatch(rf"  still waiting for {named} and 2 more\n", line), said


def busy(kind, answer):
    if kind == "new-order":
        answer.problem("serverInternal", status=503)
        answer.fields["Retry-After"] = "50"


def unreachable(kind, answer):
    if kind == "directory":
        answer.body["newNonce"] = f"https://localhost:{free_port()}/nonce"


def cut_off(kind, answer):
    answer.hangs_up = kind == "finalize" or kind == "order"


def without_answer(kind, answer):
    answer.stalls = kind == "new-order"


def issuing(kind, answer):
    if kind == "order":
        answer.body["status"] = "processing"


@pytest.mark.parametrize("twist, reason", [
    (busy, r"the CA has given no usable answer \(HTTP 503\), and is asked again after 50 s"),
    (unreachable, r"the CA has given no usable answer \(localhost:\d+: connection refused\), and is asked again after \d+ s"),
    (cut_off, r"the CA has given no usable answer \(localhost:\d+: the connection was closed [^)]*\), .* after \d+ s"),
    (without_answer, "no answer yet"), (issuing, "the CA is issuing it")])
def test_a_waiting_apply_gives_the_reason_if_it_is_known(odd, twist, reason):
    gateway, ca = odd(twist)
    with applying(gateway) as apply:
        place = re.escape(ca.url("directory"))
        line = apply.stderr.readline()
        assert re.fullmatch(rf"  still waiting for certificate app\.test \({place}, \d+ s: {reason}\)\n", line), line


def test_a_waiting_apply_names_the_webhook_that_does_not_answer(odd):
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as webhook:
        address = f"127.0.0.1:{webhook.getsockname()[1]}"
        dns = {"provider": "webhook", "url": f"http://{address}/dns?key=x", "resolvers": ["127.0.0.1:1"]}

        def offer(kind, answer):
            if kind == "authorization":
                answer.body["challenges"][0]["type"] = "dns-01"

        gateway, ca = odd(offer, issuer={"challenge": "dns-01", "dns": dns}, validates=True)
        with applying(gateway) as apply:
            reason = re.escape(f"the DNS webhook at {address} has not answered yet")
            line = apply.stderr.readline()
            assert re.fullmatch(rf"  still waiting for certificate app\.test \(.*, \d+ s: {reason}\)\n", line), line


def test_a_waiting_apply_gives_cloudflares_address(behind, cloudflare):
    gateway = behind()
    answer = Answer()
    cloudflare.on_call("POST", "/certificates", answer)
    with applying(gateway) as apply:
        line = apply.stderr.readline()
        place = re.escape(cloudflare.base_url)
        assert re.fullmatch(rf"  still waiting for certificate site \({place}, \d+ s: no answer yet\)\n", line), line
    answer.over.set()


def test_certificates_that_wait_for_their_turn_are_counted_too(stand, silence):
    gateway = stand.gateway([host(f"app{number}.test") for number in range(20)])
    stand.proxy.arm(None, silence, "/dir")
    with applying(gateway) as apply:
        assert apply.stderr.readline().endswith(" and 17 more\n")


def rollover(gateway):
    return "accounts", "rollover", "letsencrypt"


def revocation(gateway):
    return "certificates", "revoke", "app.test", "--reason", "superseded"


@pytest.mark.parametrize("command, kind", [(rollover, "key"), (revocation, "revoke")])
def test_a_command_that_waits_for_a_ca_says_so(odd, command, kind):
    gateway, ca = odd()
    gateway.apply()
    ca.twist = lambda asked, answer: setattr(answer, "stalls", asked == kind)
    process = subprocess.Popen(
        [PROGRAMS / "aegis-apply", *command(gateway)], cwd=gateway.folder, stderr=subprocess.PIPE, text=True)
    with process:
        try:
            for seconds in ("[5-9]", r"1\d"):
                line = process.stderr.readline()
                place = re.escape(ca.url("directory"))
                assert re.fullmatch(rf"  still waiting for {place} \({seconds} s: no answer yet\)\n", line), line
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_order_is_resumed_by_the_next_apply(stand, silence, number):
    before = len(stand.ca.issued)
    gateway = stand.gateway([plain("a.test", "a"), host("app.test")])
    stand.proxy.arm(None, silence, "/finalize-order")
    with applying(gateway) as apply:
        assert silence.calls.acquire(timeout=PATIENCE)
        apply.send_signal(number)
        stdout, stderr = apply.communicate(timeout=PATIENCE)
    assert apply.returncode == -number
    assert "not in force: certificate app.test, host app.test\n" in stderr
    (order,), = rows(gateway, "SELECT url FROM orders")
    assert rows(gateway, "SELECT outcome, summary LIKE '%2 left undone' FROM generations") == [("partial", 1)]
    silence.over.set()
    stand.proxy.arm(None, None)
    gateway.apply()
    used = f"Issued certificate serial {stand.ca.issued[-1]} for order {order.split('/')[-1]}"
    assert used in stand.ca.log
    assert len(stand.ca.issued) == before + 1
    assert nothing_is_left(gateway)


class Answer(Silence):
    """A fault at Cloudflare: it performs the call, and answers when the test says so."""

    def __call__(self, call):
        self.calls.release()
        self.over.wait(PATIENCE * 5)
        call.answer(*call.carry_out())


@pytest.mark.parametrize("number, is_awaited", [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_an_answer_that_can_not_be_looked_up_is_awaited_until_a_second_signal(
        behind, cloudflare, number, is_awaited):
    gateway = behind(zone_id=None)
    answer = Answer()
    cloudflare.on_call("POST", "/certificates", answer)
    with applying(gateway) as apply:
        assert answer.calls.acquire(timeout=PATIENCE)
        apply.send_signal(number)
        words = f"{number.name}: ends after the work in progress"
        eventually("the first signal", lambda: words in apply.stderr.readline())
        assert apply.poll() is None
        if is_awaited:
            answer.over.set()
        else:
            apply.send_signal(number)
        stdout, _ = apply.communicate(timeout=PATIENCE)
    assert apply.returncode == -number
    answer.over.set()
    if is_awaited:
        assert "1 issued" in stdout
        assert "No changes" in gateway.apply()


def test_a_stopped_renewal_says_so_and_is_resumed(stand, silence):
    gateway = stand.gateway([host("app.test")])
    gateway.apply()
    before = len(stand.ca.issued)
    stand.proxy.arm(None, silence, "/finalize-order")
    renewal = subprocess.Popen(
        [PROGRAMS / "aegis-apply", "renew", "--all", "--force"], cwd=gateway.folder, text=True, stderr=subprocess.PIPE)
    try:
        assert silence.calls.acquire(timeout=PATIENCE)
        assert "still waiting for certificate app.test (" in renewal.stderr.readline()
        renewal.send_signal(signal.SIGTERM)
        _, stderr = renewal.communicate(timeout=PATIENCE)
    finally:
        renewal.kill()
    assert renewal.returncode == -signal.SIGTERM
    assert "stopped by SIGTERM; not renewed: certificate app.test\n" in stderr
    silence.over.set()
    stand.proxy.arm(None, None)
    aegis_apply(gateway, "renew", "--all", "--force")
    assert len(stand.ca.issued) == before + 1
    assert nothing_is_left(gateway)


def test_a_pack_that_is_not_active_yet_delays_nothing(edge_site, cloudflare):
    cloudflare.steps = ("pending_validation",) * 100_000
    gateway = edge_site(wait="1h")
    with applying(gateway) as apply:
        eventually("the order", lambda: cloudflare.said("GET", "/ssl/certificate_packs/"))
        apply.send_signal(signal.SIGINT)
        assert apply.wait(PATIENCE) == -signal.SIGINT
    gateway.config["hosts"][0]["respond"]["body"] = "changed"
    with applying(gateway) as apply:
        eventually("the change", lambda: "changed" in record(gateway, "app.example.test"))
        line = apply.stderr.readline()
        assert re.fullmatch(rf"  still waiting for edge_certificate edge \({cloudflare.base_url}, \d+ s\)\n", line)
        apply.send_signal(signal.SIGINT)
        assert apply.wait(PATIENCE) == -signal.SIGINT


def test_a_revocation_without_an_answer_delays_no_deletion_of_hosts(behind, cloudflare):
    gateway = behind(on_removal="revoke")
    gateway.config["hosts"].append({"domain": "other.test", "respond": {"body": "other"}})
    gateway.apply()
    del gateway.config["hosts"][0], gateway.config["certificates"]
    answer = Answer()
    cloudflare.on_call("DELETE", "/certificates/", answer)
    with applying(gateway) as apply:
        assert answer.calls.acquire(timeout=PATIENCE)
        assert record(gateway, "app.example.test") is None
        assert "still waiting for certificate site (Cloudflare, " in apply.stderr.readline()
        answer.over.set()
        assert apply.wait(PATIENCE) == 0


def test_a_signal_ignored_by_the_parent_does_not_stop_an_apply(stand, silence):
    gateway = stand.gateway([host("app.test")])
    stand.proxy.arm(None, silence, "/dir")
    process = gateway.launch_apply("nohup", stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    try:
        assert silence.calls.acquire(timeout=PATIENCE)
        process.send_signal(signal.SIGHUP)
        stand.proxy.arm(None, None)
        silence.passes_on = True
        silence.over.set()
        assert process.wait(PATIENCE * 4) == 0
    finally:
        process.kill()
        process.communicate()
