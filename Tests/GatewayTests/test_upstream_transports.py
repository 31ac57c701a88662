"""Upstreams at Unix sockets and over TLS: which of them are trusted, and which of their bytes are used."""

import os
import socket
import ssl
import subprocess
import threading

from client import Client, post
from gateway import PATIENCE, PROGRAMS, eventually
from origin import OK


def test_unix_sockets_are_upstreams(run, make_origin, tmp_path):
    origin = make_origin(path=tmp_path / "s")
    gateway = run([{"domain": "app.test", "upstreams": [origin.url], "preserve_host": False}])
    with Client(gateway.http) as client:
        assert client.ask(post()).body == b"ok"
        assert client.get().body == b"ok"
    assert origin.requests[0].body == b"hi"


def secure_origin(run, make_origin, name):
    """An origin over TLS with a certificate of a local CA that the system does not trust; and the CA's file."""
    maker = run(
        [{"domain": "app.test", "respond": {"status": 200, "body": ""}}],
        issuers={"lan": {"type": "local_ca"}}, certificates={"up": {"issuer": "lan", "domains": [name]}})
    subprocess.run(
        [PROGRAMS / "aegis-apply", "certificates", "export", "up", "--out", "up.pem", "--with-key"],
        cwd=maker.folder, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(maker.folder / "up.pem")
    return make_origin(tls=context), maker.root


def test_an_https_upstream_whose_certificate_is_not_trusted_is_502(run, make_origin):
    origin, _ = secure_origin(run, make_origin, "127.0.0.1")
    gateway = run([{"domain": "app.test", "upstreams": [origin.url]}])
    with Client(gateway.http) as client:
        response = client.get()
        assert response.status == 502
        gateway.await_log("no answer from", origin.url, "TLS", "is self-signed, and not among those", response["X-Request-Id"])
    assert origin.requests == []


def test_an_https_upstream_of_a_ca_of_the_host_is_trusted(run, make_origin):
    origin, root = secure_origin(run, make_origin, "127.0.0.1")
    gateway = run([{"domain": "app.test", "upstreams": [origin.url], "upstream_tls": {"ca_file": str(root)}}])
    with Client(gateway.http) as client:
        for _ in range(2):
            assert client.get().status == 200
    assert len({request.connection for request in origin.requests}) == 1


def test_a_kept_connection_with_half_a_record_on_it_is_not_used_again(run, make_origin):
    origin, root = secure_origin(run, make_origin, "127.0.0.1")
    gateway = run([{"domain": "app.test", "upstreams": [origin.url], "upstream_tls": {"ca_file": str(root)}}], gateway={"workers": 1})

    def half_a_record_more(connection, request):
        # Sent in one segment: OpenSSL reads both from the socket, but returns only the answer.
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        connection.send(OK)
        os.write(connection.socket.fileno(), b"\x17\x03\x03\x00\x40half")
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)

    origin.answers["/half"] = half_a_record_more
    with Client(gateway.http) as client:
        assert client.get(path="/half").body == b"ok"
        assert client.ask(post()).body == b"ok"


def test_an_https_upstream_with_a_certificate_for_another_name_is_502(run, make_origin):
    origin, root = secure_origin(run, make_origin, "other.test")
    gateway = run([{"domain": "app.test", "upstreams": [origin.url], "upstream_tls": {"ca_file": str(root)}}])
    with Client(gateway.http) as client:
        assert client.get().status == 502
    gateway.await_log("no answer from", origin.url, "is not for the server's name")


def test_bytes_of_a_broken_client_reach_no_upstream(run, make_origin):
    origin, root = secure_origin(run, make_origin, "127.0.0.1")
    gateway = run([{"domain": "app.test", "upstreams": [origin.url], "upstream_tls": {"ca_file": str(root)}}], gateway={"workers": 1})
    with Client(gateway.https) as broken:
        broken.send(b"this is no TLS, but there is much of it")
        assert broken.is_closed()
    with Client(gateway.http) as client:
        assert client.ask(post()).status == 200


def test_an_unusable_ca_file_trusts_nobody(run, make_origin):
    origin, _ = secure_origin(run, make_origin, "127.0.0.1")
    gateway = run([{"domain": "app.test", "upstreams": [origin.url], "upstream_tls": {"ca_file": "missing.pem"}}])
    with Client(gateway.http) as client:
        assert client.get().status == 502
    gateway.await_log("no answer from", "missing.pem")
    assert origin.requests == []


def test_a_full_read_keeps_the_cas_of_a_file_that_became_unusable(run, make_origin, tmp_path):
    origin, root = secure_origin(run, make_origin, "127.0.0.1")
    _, other = secure_origin(run, make_origin, "127.0.0.1")
    file = tmp_path / "cas.pem"
    file.write_bytes(root.read_bytes())
    gateway = run([{"domain": "app.test", "upstreams": [origin.url], "upstream_tls": {"ca_file": str(file)}}])
    # Each request needs a connection of its own.
    origin.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"

    def status():
        with Client(gateway.http) as client:
            return client.get().status

    assert status() == 200
    file.write_text("no certificate")
    gateway.read_all()
    gateway.await_log("error: the CAs in", "cas.pem", "can't be used")
    eventually("the problem in /metrics", lambda: gateway.metric("aegis_state_problems") == 1)
    assert [status() for _ in range(4)] == [200] * 4
    # The file's other CA is trusted instead.
    file.write_bytes(other.read_bytes())
    gateway.read_all()
    eventually("an upstream that is not trusted", lambda: status() == 502)
    eventually("no problem in /metrics", lambda: gateway.metric("aegis_state_problems") == 0)


def test_bytes_of_an_https_upstream_before_tls_are_not_used(run):
    spoken = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def speak():
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
            spoken.set()
            while connection.recv(4096):
                pass

    threading.Thread(target=speak, daemon=True).start()
    gateway = run([{"domain": "app.test", "upstreams": [f"https://127.0.0.1:{listener.getsockname()[1]}"]}])
    with Client(gateway.http) as client:
        assert client.get().status == 502
    assert spoken.wait(PATIENCE)
    listener.close()
