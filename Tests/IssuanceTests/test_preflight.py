"""aegis-apply --dry-run --preflight reports what would keep a CA from issuing, and changes nothing."""

import http.server
import json
import os
import re
import socket
import ssl
import subprocess
import threading
import urllib.request

import pytest

from gateway import PROGRAMS, free_port
from hosts import host, rows
from test_apply import EXTERNAL_ACCOUNT


def preflight(gateway, ca, *arguments, expect=0):
    """The doubts that a dry run with preflight reports, as pairs of line and text. Names are resolved by the CA's DNS."""
    (gateway.folder / "aegis.yaml").write_text(json.dumps(gateway.config, indent=1))
    done = subprocess.run(
        [PROGRAMS / "aegis-apply", "--dry-run", "--preflight", "--format", "json", *arguments], cwd=gateway.folder,
        capture_output=True, text=True, timeout=120,
        env={**os.environ, "AEGIS_PREFLIGHT_RESOLVER": f"127.0.0.1:{ca.names.port}",
             "AEGIS_PREFLIGHT_HTTP_PORT": str(gateway.http)})
    assert done.returncode == expect, done.stdout + done.stderr
    return [(warning["line"], warning["message"]) for warning in json.loads(done.stdout)["warnings"]]


def messages(*arguments, **options):
    return [message for _, message in preflight(*arguments, **options)]


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def line_of(gateway, text):
    lines = (gateway.folder / "aegis.yaml").read_text().splitlines()
    number = next(number for number, line in enumerate(lines, 1) if text in line)
    # A host begins at the line of its opening brace.
    return number - 1 if lines[number - 2].strip() == "{" else number


class Server:
    """Gives every GET the same answer, over TLS when there is a certificate with its key."""

    def __init__(self, address, status, body=b"", fields=(), certificate=None):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                for name, value in (*fields, ("Content-Length", str(len(body)))):
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(address, Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def port(self):
        return self.server.server_port

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def named(site):
    """Makes a site whose CA lists, in its directory, the names for CAA records, and other members of `meta`."""
    servers = []

    def make(hosts, meta=None, **options):
        gateway, ca = site(hosts, **options)
        with urllib.request.urlopen(ca.directory, timeout=5, context=ca.trust) as answer:
            directory = json.load(answer)
        directory["meta"] = {**directory.get("meta", {}), "caaIdentities": ["ca.test"], **(meta or {})}
        server = Server(("127.0.0.1", 0), 200, json.dumps(directory).encode(), certificate=(ca.certificate, ca.key))
        servers.append(server)
        gateway.config["issuers"]["letsencrypt"]["directory"] = f"https://localhost:{server.port}/dir"
        return gateway, ca

    yield make
    for server in servers:
        server.__exit__()


def allow(ca, name, *policies):
    assert ca.names.tell("add-caa", {"host": f"{name}.", "policies": [
        {"tag": tag, "value": value} for tag, value in policies]})


def test_a_good_first_plan_has_no_warnings_and_leaves_nothing(named):
    gateway, ca = named([host("app.test", aliases=["www.app.test"])])
    (gateway.folder / "aegis.yaml").write_text(json.dumps(gateway.config, indent=1))
    before = content(gateway.folder)
    assert preflight(gateway, ca) == []
    assert content(gateway.folder) == before
    assert preflight(gateway, ca, "--detailed-exitcode", expect=2) == []
    assert "POST" not in ca.log


def test_a_gateway_that_is_alive_answers_for_itself(named):
    gateway, ca = named([{"domain": "old.test", "respond": {"body": "old"}}])
    gateway.apply()
    gateway.start()
    gateway.config["hosts"].append(host("app.test", force_https=True))
    revision = rows(gateway, "SELECT revision FROM position")
    assert preflight(gateway, ca) == []
    assert rows(gateway, "SELECT revision FROM position") == revision
    assert rows(gateway, "SELECT (SELECT count(*) FROM accounts), (SELECT count(*) FROM challenges)") == [(0, 0)]
    # An apply with another state does not know this gateway, and can't listen at its address.
    gateway.config["state"]["path"] = "other.db"
    [said] = messages(gateway, ca)
    assert said.startswith("http-01 was not tried: no gateway is alive, and challenges can't be answered at 127.0.0.1")
    assert not (gateway.folder / "other.db").exists()


def test_names_that_lead_elsewhere_are_reported_with_their_addresses(named):
    gateway, ca = named(
        [host("app.test"), host("away.test"), host("closed.test"), host("mute.test"), host("broken.test"),
         host("slow.test")])
    ca.names.tell("set-default-ipv4", {"ip": ""})
    ca.names.tell("add-a", {"host": "app.test.", "addresses": ["127.0.0.1"]})
    ca.names.tell("add-a", {"host": "away.test.", "addresses": ["127.0.0.1", "127.0.0.8"]})
    ca.names.tell("add-a", {"host": "closed.test.", "addresses": ["127.0.0.9"]})
    ca.names.tell("add-a", {"host": "slow.test.", "addresses": ["127.0.0.7"]})
    ca.names.tell("set-servfail", {"host": "broken.test."})
    fields = [("Location", "https://elsewhere.test/")]
    with Server(("127.0.0.8", gateway.http), 301, fields=fields), socket.create_server(("127.0.0.7", gateway.http)):
        found = dict(preflight(gateway, ca))
    names = ("away", "closed", "mute", "broken", "slow")
    said = {name: found.pop(line_of(gateway, f'"{name}.test"')) for name in names}
    assert found == {}
    assert said["away"] == ("http-01 of 'away.test': it is not our gateway that answers, but HTTP 301 to "
                            "https://elsewhere.test/, at 127.0.0.8")
    assert said["closed"] == f"http-01 of 'closed.test': closed.test:{gateway.http}: connection refused, at 127.0.0.9"
    assert "no answer in time" in said["slow"] and said["slow"].endswith("at 127.0.0.7")
    assert said["mute"] == "'mute.test' has no address in the DNS"
    assert said["broken"].startswith("'broken.test' can't be looked up: 127.0.0.1:")
    assert "SERVFAIL" in said["broken"]


def test_a_ca_that_caa_records_forbid_is_named(named):
    gateway, ca = named(
        [host("app.test"), host("fine.test"), host("deep.none.test"), host("bound.test"), host("*.wild.test")],
        issuer={"challenge": "http-01"})
    gateway.config["hosts"][-1]["issuers"] = ["wild"]
    gateway.config["issuers"]["wild"] = {
        **gateway.config["issuers"]["letsencrypt"], "challenge": "dns-01",
        "dns": {"provider": "webhook", "url": "http://127.0.0.1:9/"}}
    allow(ca, "app.test", ("issue", "letsencrypt.org"), ("issue", "pki.goog"))
    allow(ca, "fine.test", ("issue", "letsencrypt.org"), ("issue", "CA.test; validationmethods=http-01"))
    allow(ca, "none.test", ("issue", ";"))
    allow(ca, "bound.test", ("issue", "ca.test; accounturi=https://ca.test/1"))
    allow(ca, "wild.test", ("issue", "ca.test"), ("issuewild", "ca.test; validationmethods=http-01"))
    found = messages(gateway, ca)
    assert found == [
        "'app.test' and issuer 'letsencrypt': the CAA records of 'app.test' let only letsencrypt.org, pki.goog issue, "
        "and the CA is ca.test",
        "'deep.none.test' and issuer 'letsencrypt': the CAA records of 'none.test' let no CA issue",
        "'bound.test' and issuer 'letsencrypt': the CAA records of 'bound.test' let ca.test issue only for the account "
        "https://ca.test/1, and we have none yet",
        "'*.wild.test' and issuer 'wild': the CAA records of 'wild.test' let ca.test issue only by http-01, and its "
        "challenge is dns-01",
    ]


def test_caa_records_may_name_our_account(named):
    gateway, ca = named([host("first.test")])
    gateway.apply()
    [(account,)] = rows(gateway, "SELECT url FROM accounts")
    gateway.config["hosts"] += [host("app.test"), host("other.test")]
    allow(ca, "app.test", ("issue", f"ca.test; accounturi={account}"))
    allow(ca, "other.test", ("issue", f"ca.test; accounturi={account}0"))
    [said] = messages(gateway, ca)
    assert said.startswith("'other.test' and issuer")
    assert said.endswith(f"and ours is {account}")


def test_a_cas_requirements_and_offers_are_checked(named):
    gateway, ca = named(
        [host("app.test")], meta={"externalAccountRequired": True, "profiles": {"classic": "90 days"}},
        issuer={"profile": "shortlived"})
    found = preflight(gateway, ca)
    line = line_of(gateway, '"letsencrypt": {')
    assert found == [
        (line, "issuer 'letsencrypt': the CA has no profile 'shortlived': it offers classic"),
        (line, "issuer 'letsencrypt': the CA takes only accounts with external account binding: set 'eab'")]
    gateway.config["issuers"]["letsencrypt"].update(
        profile="classic", eab={"kid": EXTERNAL_ACCOUNT[0], "hmac_key": {"env": "NOT_HERE"}})
    assert messages(gateway, ca) == ["issuer 'letsencrypt': the variable NOT_HERE is not set"]


def test_an_unreachable_ca_is_reported_once(site):
    gateway, ca = site([host("app.test"), host("other.test")])
    gateway.config["issuers"]["letsencrypt"]["directory"] = f"https://localhost:{free_port()}/dir"
    [said] = messages(gateway, ca)
    assert said.startswith("issuer 'letsencrypt': localhost:") and said.endswith("connection refused")
    # The certificate of the CA's own server is of a CA that is not trusted.
    gateway.config["issuers"]["letsencrypt"]["directory"] = ca.directory
    del gateway.config["issuers"]["letsencrypt"]["ca_file"]
    [said] = messages(gateway, ca)
    assert "TLS verification failed" in said


def test_a_reached_limit_is_reported_with_its_end(site):
    gateway, ca = site([host("app.test")], issuer={"rate_limits": "letsencrypt"})
    gateway.apply()
    # The plan's own orders count: 50 certificates of a domain, one of which was issued before.
    gateway.config["hosts"] += [host(f"n{number}.app.test") for number in range(51)]
    before = {path: text for path, text in content(gateway.folder).items() if path.suffix != ".yaml"}
    found = preflight(gateway, ca)
    assert {path: text for path, text in content(gateway.folder).items() if path.suffix != ".yaml"} == before
    assert [line for line, _ in found] == [line_of(gateway, f'"n{number}.app.test"') for number in (49, 50)]
    assert "the limit of certificates for app.test (50 in 7 days) is reached; not before 20" in found[0][1]


def test_silent_name_servers_are_reported(site):
    port = free_port()
    settings = {"provider": "rfc2136", "server": f"127.0.0.1:{port}", "zone": "app.test"}
    gateway, ca = site([host("app.test")], issuer={"challenge": "dns-01", "dns": settings})
    [said] = messages(gateway, ca)
    assert said == f"issuer 'letsencrypt': 127.0.0.1:{port}: connection refused"


def test_if_no_name_server_answers_most_names_are_skipped(site):
    gateway, ca = site([host(f"n{number}.test") for number in range(60)])
    ca.names.stop()
    found = messages(gateway, ca)
    assert sum("can't be looked up" in said for said in found) < 40
    assert any("more names were not looked up: no name server answers" in said for said in found)


def test_a_slow_preflight_says_every_five_seconds_that_it_waits(site):
    gateway, ca = site([host(f"n{number}.test") for number in range(60)])
    (gateway.folder / "aegis.yaml").write_text(json.dumps(gateway.config))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        process = subprocess.Popen(
            [PROGRAMS / "aegis-apply", "--dry-run", "--preflight"], cwd=gateway.folder, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "AEGIS_PREFLIGHT_RESOLVER": f"127.0.0.1:{silent.getsockname()[1]}"})
        with process:
            line = process.stderr.readline()
            process.kill()
    assert re.fullmatch(r"  still asking CAs, name servers and hosts \(\d+ s\)\n", line), line


def test_preflight_warnings_are_in_the_plan_at_their_places(site):
    gateway, ca = site([host("app.test")])
    ca.names.tell("set-default-ipv4", {"ip": ""})
    preflight(gateway, ca)
    done = subprocess.run(
        [PROGRAMS / "aegis-apply", "--dry-run", "--preflight"], cwd=gateway.folder, capture_output=True, text=True,
        env={**os.environ, "AEGIS_PREFLIGHT_RESOLVER": f"127.0.0.1:{ca.names.port}"})
    assert done.returncode == 0
    line = line_of(gateway, '"app.test"')
    assert f"aegis.yaml:{line}:3: warning: 'app.test' has no address in the DNS\n" in done.stderr
    assert "+ certificate app.test: issue" in done.stdout


def test_without_planned_certificates_no_server_is_asked(site):
    gateway, ca = site([{"domain": "app.test", "respond": {"body": "app"}}])
    ca.names.stop()
    assert preflight(gateway, ca) == []
