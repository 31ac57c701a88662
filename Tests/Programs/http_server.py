"""An HTTP server whose answers depend on the path: http_server.py [CERTIFICATE KEY [AUTHORITY]].

With a certificate it speaks TLS, and with an authority asks clients for certificates of it. Prints its port, and a second
port where nothing answers. Ends when its standard input does.
"""
import json
import socket
import ssl
import sys
import threading
from urllib.parse import parse_qs, urlsplit

requests = []  # received requests: [connection, method, path, the beginning of the body, authorization]
context = None
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
if len(sys.argv) > 3:
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(sys.argv[3])


def head(status, *fields):
    return "\r\n".join([f"HTTP/1.1 {status} Whatever", *fields, "", ""]).encode()


def sized(status, body, *fields):
    return head(status, f"Content-Length: {len(body)}", *fields) + body


def answer(request, connection):
    """The bytes of the answer; none to close the connection instead."""
    url = urlsplit(request["path"])
    query = {key: values[0] for key, values in parse_qs(url.query).items()}
    number = int(query.get("n", 0))
    match url.path:
        case "/echo":
            body = json.dumps(request | {"connection": connection}).encode()
            return sized(200, b"" if request["method"] == "HEAD" else body, "Content-Type: application/json")
        case "/status":
            return sized(number, query.get("body", "").encode())
        case "/requests":
            return sized(200, json.dumps(requests).encode())
        case "/repeated":
            return sized(200, b"", "Link: <a>", "link:<b> ", "Empty:")
        case "/interim":
            return head(103, "Link: <early>") + sized(200, b"", "Link: <late>")
        case "/trailers":
            return head(200, "Transfer-Encoding: chunked") + b"2\r\nok\r\n0\r\nTrailer-Field: x\r\n\r\n"
        case "/large":
            return sized(200, b"x" * number)
        case "/endless":
            return head(200, "Transfer-Encoding: chunked") + (b"400\r\n" + b"x" * 1024 + b"\r\n") * number
        case "/fields":
            return sized(200, b"", *(f"Field-{index}: {query['value']}" for index in range(number)))
        case "/redirect":
            return sized(302, b"", "Location: " + query["to"])
        case "/drop":
            return b""
    return sized(404, b"nothing here")


def read(stream):
    """Reads a request; None at the connection's end."""
    line = stream.readline().decode()
    if not line:
        return None
    method, path, _ = line.split(" ")
    fields = []
    while (line := stream.readline().decode().rstrip("\r\n")) != "":
        fields.append([part.strip() for part in line.split(":", 1)])
    length = next((int(value) for name, value in fields if name.lower() == "content-length"), 0)
    return {"method": method, "path": path, "fields": fields, "body": stream.read(length).decode()}


def serve(plain, connection):
    try:
        with context.wrap_socket(plain, server_side=True) if context else plain as client:
            stream = client.makefile("rb")
            shown = (client.getpeercert() or {}).get("subject", ()) if context else ()
            while request := read(stream):
                request["shown"] = [value for name in shown for _, value in name]
                authorization = next((value for name, value in request["fields"] if name == "Authorization"), "")
                body = request["body"][:1000]
                requests.append([connection, request["method"], request["path"], body, authorization])
                answered = answer(request, connection)
                if not answered:
                    return
                client.sendall(answered)
    except OSError:
        pass  # the client has closed, or does not trust this server


def accept(listener):
    connection = 0
    while True:
        client, _ = listener.accept()
        connection += 1
        threading.Thread(target=serve, args=(client, connection), daemon=True).start()


listener = socket.create_server(("127.0.0.1", 0), backlog=64)
mute = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=accept, args=(listener,), daemon=True).start()
print(listener.getsockname()[1], mute.getsockname()[1], flush=True)
sys.stdin.read()
