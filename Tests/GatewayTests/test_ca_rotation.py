"""A `ca_file` that is replaced while the gateway serves: in any way, with any content, without a signal."""

import os
import pathlib

import pytest

import load
from authority import Holder, pem
from client import Client
from gateway import eventually

HOST = "127.0.0.1"
CLOSING = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"

first, second = Holder("first", is_ca=True), Holder("second", is_ca=True)
others = [Holder(f"other {number}", is_ca=True) for number in range(3)]


def rename(path, content):
    beside = path.with_suffix(".new")
    beside.write_bytes(content)
    beside.rename(path)


def overwrite(path, content):
    """Overwrites the file in place, in pieces; only the complete content is valid."""
    with open(path, "wb", buffering=0) as file:
        for start in range(0, len(content), 300):
            file.write(content[start:start + 300])


class Volume:
    """Replaces a link to a folder, as Kubernetes does when a secret changes."""

    def __init__(self, path):
        self.path, self.count = path, 0
        self.folder = path.parent / "volume"
        self.folder.mkdir()
        self(path, path.read_bytes())
        path.unlink()
        path.symlink_to(self.folder / "..data" / path.name)

    def __call__(self, path, content):
        self.count += 1
        (self.folder / f"..{self.count}").mkdir()
        (self.folder / f"..{self.count}" / path.name).write_bytes(content)
        (self.folder / "..new").symlink_to(f"..{self.count}")
        (self.folder / "..new").rename(self.folder / "..data")


WAYS = {"renamed": lambda path: rename, "overwritten": lambda path: overwrite, "linked": Volume}


@pytest.fixture
def ca_file(tmp_path):
    path = tmp_path / "cas.pem"
    path.write_bytes(pem(first.certificate))
    return path


def serve(holder, make_origin, tmp_path, **options):
    leaf = Holder("leaf", holder, names=[HOST])
    return make_origin(tls=leaf.server(tmp_path / f"{leaf.certificate.serial_number}.pem"), **options)


def changes(gateway):
    return gateway.log.count("trust other CAs now")


@pytest.mark.parametrize("way", WAYS)
def test_no_request_is_lost_while_a_ca_file_is_replaced(run, make_origin, tmp_path, ca_file, way):
    origin = serve(first, make_origin, tmp_path)
    origin.answer = load.answer
    replace = WAYS[way](ca_file)
    gateway = run([{"domain": "app.test", "upstreams": [origin.url], "ca_file": str(ca_file)}])
    with load.Load(gateway) as traffic:
        for number in range(load.ROTATIONS):
            requests = traffic.requests
            replace(ca_file, pem(others[number % len(others)].certificate, first.certificate))
            eventually("the change", lambda: changes(gateway) > number)
            eventually("requests after it", lambda: traffic.requests > requests + 20 or traffic.faults)
    assert "no answer from" not in gateway.log


@pytest.mark.parametrize("way", WAYS)
def test_a_replaced_ca_file_applies_to_kept_connections_too(run, make_origin, tmp_path, ca_file, way):
    old, new = serve(first, make_origin, tmp_path), serve(second, make_origin, tmp_path)
    replace = WAYS[way](ca_file)
    gateway = run(
        [{"domain": f"{name}.test", "upstreams": [origin.url], "ca_file": str(ca_file)}
         for name, origin in {"old": old, "new": new}.items()], gateway={"workers": 1})

    def statuses():
        with Client(gateway.http) as client:
            return [client.get(f"{name}.test").status for name in ("old", "new")]

    assert statuses() == statuses() == [200, 502]
    replace(ca_file, pem(second.certificate))
    eventually("the change", lambda: statuses() == [502, 200])
    gateway.await_log("trust other CAs now", "upstreams=2")
    assert len({request.connection for request in old.requests}) == 1


def test_a_ca_file_that_appears_later_makes_its_upstreams_usable(run, make_origin, tmp_path, ca_file):
    origin = serve(first, make_origin, tmp_path)
    ca_file.unlink()
    gateway = run([{"domain": "app.test", "upstreams": [origin.url], "ca_file": str(ca_file)}])
    gateway.await_log("error: the CAs in", str(ca_file), "can't be used: No such file")
    eventually("the problem in /metrics", lambda: gateway.metric("aegis_state_problems") == 1)
    with Client(gateway.http) as client:
        assert client.get().status == 502
    ca_file.write_bytes(pem(first.certificate))
    with Client(gateway.http) as client:
        eventually("a trusted upstream", lambda: client.get().status == 200)
    eventually("no problem in /metrics", lambda: gateway.metric("aegis_state_problems") == 0)


def fifo(path):
    path.unlink()
    os.mkfifo(path)


def folder(path):
    path.unlink()
    path.mkdir()


def link(target):
    def make(path):
        path.unlink()
        path.symlink_to(target)

    return make


FAULTS = {
    "gone": (pathlib.Path.unlink, "No such file"),
    "emptied": (lambda path: path.write_bytes(b""), "no certificate found"),
    "half written": (lambda path: path.write_bytes(pem(second.certificate)[:200]), "does not end"),
    "a good one and half of another": (
        lambda path: path.write_bytes(pem(first.certificate) + pem(second.certificate)[:200]), "does not end"),
    "a text": (lambda path: path.write_text("404 Not Found"), "no certificate found"),
    "a pipe": (fifo, "no regular file"),
    "a folder": (folder, "it is a directory"),
    "a device": (link("/dev/zero"), "no regular file"),
    "a link to nowhere": (link("nowhere"), "No such file"),
    "a link to itself": (link("cas.pem"), "symbolic links"),
    "too long": (lambda path: path.write_bytes(pem(first.certificate) + b"\n" * (1 << 20)), "larger than 1 MiB"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_ca_file_that_breaks_leaves_the_former_cas_trusted(run, make_origin, tmp_path, ca_file, fault):
    origin = serve(first, make_origin, tmp_path)
    origin.answer = CLOSING
    gateway = run([{"domain": "app.test", "upstreams": [origin.url], "ca_file": str(ca_file)}])
    ruin, reason = FAULTS[fault]
    ruin(ca_file)
    gateway.await_log("error: the CAs in", str(ca_file), reason, "; the former ones stay trusted")
    eventually("the problem in /metrics", lambda: gateway.metric("aegis_state_problems") == 1)
    assert gateway.ask("/readyz")[0] == 200
    with Client(gateway.http) as client:
        assert [client.get().status for _ in range(3)] == 3 * [200]
    if ca_file.is_dir():
        ca_file.rmdir()
    rename(ca_file, pem(second.certificate))
    gateway.await_log("no longer: the CAs in", str(ca_file))
    with Client(gateway.http) as client:
        eventually("an upstream that is not trusted", lambda: client.get().status == 502)
    eventually("no problem in /metrics", lambda: gateway.metric("aegis_state_problems") == 0)


def test_an_unhealthy_upstream_stays_unhealthy_when_its_ca_file_changes(run, make_origin, tmp_path, ca_file):
    good, bad = serve(first, make_origin, tmp_path), serve(first, make_origin, tmp_path)
    bad.answers["/healthz"] = b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"
    gateway = run([{
        "domain": "app.test", "upstreams": [good.url, bad.url], "ca_file": str(ca_file),
        "health_check": {"path": "/healthz", "interval": "1s"}}])
    gateway.await_log("is not well", bad.url)
    rename(ca_file, pem(first.certificate, second.certificate))
    gateway.await_log("trust other CAs now", "upstreams=2")
    checks = len(bad.requests)
    with Client(gateway.http) as client:
        assert {client.get().status for _ in range(20)} == {200}
    eventually("checks by the new CAs", lambda: len(bad.requests) > checks + 1)
    assert {request.target for request in bad.requests} == {"/healthz"}


def test_a_host_gets_a_new_ca_file_while_it_changes(run, make_origin, tmp_path, ca_file):
    """Files come and go with the hosts that name them: a file that no host names any more is no problem."""
    origin = serve(second, make_origin, tmp_path)
    gateway = run([{"domain": "app.test", "upstreams": [origin.url], "ca_file": str(ca_file)}])
    ca_file.unlink()
    gateway.await_log("error: the CAs in", str(ca_file))
    eventually("the problem in /metrics", lambda: gateway.metric("aegis_state_problems") == 1)
    (tmp_path / "other.pem").write_bytes(pem(second.certificate))
    gateway.host("app.test")["ca_file"] = str(tmp_path / "other.pem")
    gateway.reload()
    with Client(gateway.http) as client:
        eventually("a trusted upstream", lambda: client.get().status == 200)
    eventually("no problem in /metrics", lambda: gateway.metric("aegis_state_problems") == 0)
    errors = gateway.log.count("error: the CAs in")
    ca_file.write_text("nobody reads this")
    (tmp_path / "other.pem").write_text("but this")
    gateway.await_log("error: the CAs in", "other.pem")
    assert gateway.log.count("error: the CAs in") == errors + 1


def test_a_change_that_waits_for_names_includes_a_later_change_of_the_ca_file(names, run, make_origin, tmp_path, ca_file):
    leaf = Holder("leaf", second, names=["up.slow.test"])
    origin = make_origin(tls=leaf.server(tmp_path / "leaf.pem"))
    gateway = run([{"domain": "one.test", "respond": {"status": 200, "body": "ok"}}])
    gateway.config["hosts"].append({
        "domain": "app.test", "upstreams": [f"https://up.slow.test:{origin.port}"], "ca_file": str(ca_file)})
    gateway.apply()
    eventually("the name is asked for", names.with_name("names.asked").exists)
    rename(ca_file, pem(second.certificate))
    gateway.await_log("trust other CAs now", "upstreams=1")
    names.touch()
    with Client(gateway.http) as client:
        eventually("a host that is served", lambda: client.get().status != 404)
        assert client.get().status == 200
