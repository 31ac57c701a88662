"""What two scanners report about the gateway's TLS: testssl.sh, and sslyze with Mozilla's intermediate configuration."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif("AEGIS_SANITIZER" in os.environ, reason="it is the same TLS, and takes minutes")

# Findings about the test's certificate, which is a local CA's: it lasts 397 days, and offers no revocation information.
OF_THE_CERTIFICATE = {"cert_revocation", "cert_expirationStatus", "cert_validityPeriod", "cert_extlifeSpan"}
LIFESPAN = "maximum_certificate_lifespan"

# Protocols, ciphers, forward secrecy, preferences, server defaults, known attacks. Simulated handshakes of browsers,
# which take most of the time, run with AEGIS_LONG=1 only.
SAMPLE = ["-p", "-s", "-f", "-P", "-S", "-h", "-U"]


@pytest.fixture(scope="module")
def gateway(run_once):
    # Every machine can resolve this name. The security headers are the test host's, not the gateway's.
    host = {
        "domain": "localhost", "ssl_mode": "custom", "certificate": "own", "respond": {"body": "here"},
        "force_https": True, "hsts": {"enabled": True, "max_age": 63_072_000},
        "headers": {"response": {"set": {"Content-Security-Policy": "default-src 'none'"}}},
    }
    return run_once(
        [host],
        issuers={"lan": {"type": "local_ca"}}, certificates={"own": {"issuer": "lan", "domains": ["localhost"]}})


def test_testssl_finds_nothing_above_severity_low(gateway):
    report = gateway.folder / "testssl.json"
    scope = [] if os.environ.get("AEGIS_LONG") else SAMPLE
    done = subprocess.run(
        ["testssl", "--quiet", "--color", "0", "--warnings", "off", "--ip", "127.0.0.1", "--add-ca", gateway.root,
         "--jsonfile", report, *scope, f"localhost:{gateway.https}"],
        capture_output=True, text=True, timeout=1200)
    findings = json.loads(report.read_text())
    seen = {finding["id"] for finding in findings}
    # The scan has made these checks.
    assert {"TLS1_2", "TLS1_3", "PFS", "cipher_order", "heartbleed", "secure_renego", "cert_trust"} <= seen, done.stdout
    bad = [
        f"{finding['severity']} {finding['id']}: {finding['finding']}" for finding in findings
        if finding["severity"] not in ("OK", "INFO", "LOW", "WARN")
        and finding["id"].split(" ")[0] not in OF_THE_CERTIFICATE
    ]
    assert not bad, "\n".join(bad)


def test_sslyze_confirms_mozillas_intermediate_configuration(gateway):
    done = subprocess.run(
        [pathlib.Path(sys.executable).parent / "sslyze", "--mozilla_config=intermediate",
         f"--certinfo_ca_file={gateway.root}", f"localhost:{gateway.https}"],
        capture_output=True, text=True, timeout=300)
    verdict = done.stdout.partition("COMPLIANCE AGAINST TLS CONFIGURATION")[2]
    assert f"localhost:{gateway.https}: " in verdict, done.stdout + done.stderr
    faults = re.findall(r"^ +\* (\w+): (.*)$", verdict, re.MULTILINE)
    assert "Not compliant" not in verdict or faults, verdict
    assert [fault for fault in faults if fault[0] != LIFESPAN] == [], verdict
