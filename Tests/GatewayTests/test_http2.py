"""HTTP/2 to clients, by curl."""

import subprocess

from gateway import PATIENCE


def curl(gateway, host, *options, path="/", version="--http2"):
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--insecure", version, "--max-time", str(PATIENCE),
         "--resolve", f"{host}:{gateway.https}:127.0.0.1", *options, f"https://{host}:{gateway.https}{path}"],
        capture_output=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_curl_gets_answers(run, origin):
    gateway = run([
        {"domain": "fixed.test", "respond": {"body": "here"}}, {"domain": "app.test", "upstreams": [origin.url]}])
    form = "%{http_version} %{http_code}"
    assert curl(gateway, "fixed.test", "--write-out", " " + form) == b"here 2 200"
    assert curl(gateway, "app.test", "--write-out", " " + form, "--data", "abc") == b"ok 2 200"
    assert origin.requests[-1].body == b"abc"
    assert curl(gateway, "app.test", "--head", "--output", "/dev/null", "--write-out", form) == b"2 200"
    assert curl(gateway, "app.test", "--write-out", " " + form, version="--http1.1") == b"ok 1.1 200"


def test_protocols_says_what_is_offered(run):
    hosts = [
        {"domain": "new.test", "respond": {"body": "here"}},
        {"domain": "old.test", "respond": {"body": "here"}, "protocols": ["http/1.1"]}]
    gateway = run(hosts)
    form = "%{http_version}"
    assert curl(gateway, "new.test", "--write-out", " " + form) == b"here 2"
    assert curl(gateway, "old.test", "--write-out", " " + form) == b"here 1.1"
    gateway.config["gateway"]["protocols"] = ["http/1.1"]
    hosts[1]["protocols"] = ["h2", "http/1.1"]
    gateway.reload()
    assert curl(gateway, "new.test", "--write-out", " " + form) == b"here 1.1"
    assert curl(gateway, "old.test", "--write-out", " " + form) == b"here 2"
