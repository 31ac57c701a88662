"""seeds.py TARGET FOLDER: writes a fuzz target's first inputs into its corpus. Targets of HTTP get the sample requests."""

import json
import pathlib
import struct
import subprocess
import sys
import tempfile

RESPONSES = [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: x\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: x, close\r\nX: y\r\n\r\n",
    "HTTP/1.0 404\r\nConnection: keep-alive\r\nSet-Cookie: a=b; Path=/\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 7\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "\r\nHTTP/1.2 999 Odd\r\nServer \t: x\r\nContent-Length : 5\r\nContent-Length: 5, 05\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nKeep-Alive: timeout=\"5\", max=9\r\n\r\n",
]
FRAMES = ["\x81\x02hi\x89\x00", "\x82\x7e\x00\x80" + "a" * 128, "\x81\x82abcdhi\x82\x7f\0\0\0\0\0\0\0\x03abc"]
EXTENSIONS = ["\x00\x05\x00\x00\x02ab", "\x00\x0b\x0aacme-tls/1", "\x00\x0c\x02h2\x08http/1.1"]
LINKS = ["<../alternate/1>; rel=\"alternate\"", "</a>;rel=up;title=\"x, <b>\", <//ca.test/b?c>; REL=Alternate"]
PROBLEM = {"type": "urn:ietf:params:acme:error:dns", "detail": "no", "identifier": {"type": "dns", "value": "a.test"}}
CHALLENGE = {"type": "http-01", "url": "https://ca.test/c", "status": "invalid", "token": "t0-_", "error": PROBLEM}
ACME = [
    {"newNonce": "https://ca.test/n", "newAccount": "/a", "newOrder": "o", "keyChange": "", "renewalInfo": "//ca.test/r",
     "meta": {"termsOfService": "t", "caaIdentities": ["ca.test"], "externalAccountRequired": True,
              "profiles": {"classic": "as ever"}}},
    {"status": "valid", "identifiers": [{"type": "dns", "value": "a.test"}], "authorizations": ["https://ca.test/z"],
     "finalize": "f", "certificate": "/c", "expires": "2027-01-15T08:00:00Z", "error": PROBLEM},
    {"status": "pending", "identifier": {"type": "dns", "value": "a.test"}, "wildcard": True,
     "challenges": [CHALLENGE, {"type": "dns-persist-01"}]},
    {"suggestedWindow": {"start": "2027-01-15T08:00:00Z", "end": "2027-01-16T08:00:00+01:00"}, "explanationURL": "e"},
    {**PROBLEM, "subproblems": [PROBLEM, {"title": "t"}]}]
ORIGIN = {"id": "12", "certificate": "PEM", "csr": "PEM", "expires_on": "2020-12-25 06:27:00 +0000 UTC",
          "revoked_at": "2026-01-02T03:04:05Z"}
PACK = {"id": "p-1", "status": "active", "hosts": ["a.test"], "certificates": [{"expires_on": "2030-01-02T03:04:05Z"}],
        "validation_records": [{"txt_name": "a", "txt_value": "b"}, {"emails": ["a@b"]}],
        "validation_errors": [{"message": "no"}]}
COMPLAINT = {"code": 1004, "message": "no", "source": {"pointer": "/csr"}, "documentation_url": "u",
             "error_chain": [{"code": 7, "message": "why"}]}
CLOUDFLARE = [{"success": True, "errors": [], "result": result, "result_info": {"total_pages": 2}}
              for result in (ORIGIN, PACK, [ORIGIN, None], [PACK, {"id": 7}])]
TOKEN = {"client_token": "t", "lease_duration": 600, "renewable": True, "token_type": "service", "num_uses": 0}
VERSION = {"version": 1, "created_time": "2026-11-30T00:39:42.38Z", "deletion_time": "", "destroyed": False}
VAULT = [{"request_id": "1", "lease_id": "", "data": data, "warnings": ["w"], "auth": None} for data in (
    {"certificate": "PEM", "ca_chain": ["PEM", None], "issuing_ca": "PEM", "serial_number": "1:2", "expiration": 7},
    {"keys": ["a-1"], "key_info": {}}, {"certificate": "PEM"}, {"type": "kv", "options": {"version": "2"}},
    {"data": {"cert": "c", "key": "k", "ca": "a", "n": [1]}, "metadata": VERSION}, {"data": None, "metadata": VERSION},
    {"current_version": 1, "versions": {"1": VERSION | {"deletion_time": "2027-01-15T08:00:00+01:00"}}},
    {"cert": "c", "key": "k", "ca": "a"}, {"ttl": 60, "creation_ttl": 9, "renewable": True, "num_uses": 1})]
VAULT += [{"data": None, "auth": TOKEN}, {"errors": []}, {"errors": ["1 error occurred:\n\t* permission denied\n\n"]}]
CLOUDFLARE.append({"success": False, "errors": [COMPLAINT], "result": None})


def pem():
    """A chain of two certificates: in order, in another order, and damaged; and a key in each PEM form."""
    with tempfile.TemporaryDirectory() as folder:

        def openssl(*words):
            return subprocess.run(["openssl", *words], cwd=folder, capture_output=True, check=True).stdout.decode("latin-1")

        for name in ["ca", "leaf"]:
            openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", f"{name}.key")
        openssl("req", "-x509", "-key", "ca.key", "-subj", "/CN=ca", "-days", "9", "-out", "ca.pem")
        openssl("req", "-new", "-key", "leaf.key", "-subj", "/CN=leaf", "-out", "leaf.csr")
        leaf = openssl("x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial")
        root = openssl("x509", "-in", "ca.pem")
        key = openssl("pkey", "-in", "leaf.key")
        yield from [leaf + root, root + leaf, key + leaf, leaf.strip() + root, "----" + leaf[5:], leaf.lower(), key]
        yield from [openssl("ec", "-in", "leaf.key"), openssl("ec", "-in", "leaf.key", "-aes128", "-passout", "pass:x")]
        yield openssl("pkey", "-in", "leaf.key", "-ec_param_enc", "explicit")
        yield leaf.replace("\n", "\r\n")
        yield openssl("crl2pkcs7", "-nocrl", "-certfile", "ca.pem")
        yield openssl("x509", "-in", "ca.pem", "-trustout", "-addtrust", "serverAuth")


def peers():
    """Certificates of peers with keys and extensions of each kind, and revocation lists."""
    alternatives = "DNS:a.test,URI:spiffe://a.test/x/b,IP:10.0.0.5,IP:::1,email:a@a.test,RID:1.2.3,dirName:d"
    extensions = [
        "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign,digitalSignature",
        f"subjectAltName={alternatives}\nextendedKeyUsage=clientAuth,serverAuth",
        "nameConstraints=critical,permitted;DNS:a.test,excluded;IP:10.0.0.0/255.0.0.0\nbasicConstraints=CA:TRUE",
        "1.2.3.4=critical,DER:0500\ncertificatePolicies=1.2.3\nauthorityInfoAccess=caIssuers;URI:http://a.test/"]
    keys = [["RSA", "-pkeyopt", "rsa_keygen_bits:1024"], ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"], ["ED25519"]]
    head = "[req]\ndistinguished_name=n\n[n]\n[d]\nCN=a\n[e]\n"
    lists = ["", "authorityKeyIdentifier=keyid", "issuingDistributionPoint=critical,@p", "2.5.29.27=critical,DER:020101"]
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)

        def openssl(*words):
            return subprocess.run(["openssl", *words], cwd=folder, capture_output=True, check=True).stdout.decode("latin-1")

        for key in keys:
            openssl("genpkey", "-algorithm", *key, "-out", "key")
            for extension in extensions:
                (place / "config").write_text(head + extension + "\n")
                certificate = ["req", "-x509", "-config", "config", "-extensions", "e", "-key", "key", "-subj", "/CN=root/O=\u00e9"]
                openssl(*certificate, "-utf8", "-days", "9999", "-out", "certificate")
                yield openssl("x509", "-in", "certificate", "-outform", "DER")
        (place / "index").write_text("R\t300101000000Z\t260101000000Z,keyCompromise\t1F\tunknown\t/CN=a\n")
        (place / "number").write_text("01\n")
        for extension in lists:
            ca = "[ca]\ndefault_ca=c\n[c]\ndatabase=index\ncrlnumber=number\ndefault_md=default\n"
            (place / "config").write_text(f"{ca}[e]\n{extension}\n[p]\nfullname=URI:http://a.test/\nonlyuser=TRUE\n")
            openssl("ca", "-gencrl", "-config", "config", "-crlexts", "e", "-crldays", "99", "-keyfile", "key", "-cert",
                    "certificate", "-out", "list")
            yield openssl("crl", "-in", "list", "-outform", "DER")


def dns():
    """Answers of each record type that the parser reads: with aliases, truncated, and signed."""
    name, pointer = b"\x01a\x04test\x00", b"\xc0\x0c"

    def record(kind, data, owner=pointer, place=1):
        return owner + struct.pack(">HHIH", kind, place, 60, len(data)) + data

    def message(kind, answers=(), flags=0x8400, additional=()):
        header = struct.pack(">6H", 7, flags, 1, len(answers), 0, len(additional))
        return header + name + struct.pack(">HH", kind, 1) + b"".join([*answers, *additional])

    alias = record(5, b"\x01b\xc0\x0e")
    target = pointer[:1] + bytes([12 + len(name) + 4 + 12])
    mac = b"\x0bhmac-sha256\x00" + bytes(6) + b"\x01\x2c" + b"\x00\x20" + bytes(32) + b"\x00\x07\x00\x12\x00\x00"
    return [
        message(1, [alias, record(1, bytes([192, 0, 2, 1]), target)]),
        message(28, [record(28, bytes(range(16)))]),
        message(16, [record(16, b"\x03one\x04more"), record(16, b"\x00")]),
        message(257, [record(257, b"\x00\x05issueca.test; a=b"), record(257, b"\x80\x05iodef")]),
        message(6, [record(6, b"\x02ns\xc0\x0c\x04host\xc0\x0c" + bytes(20)), record(2, b"\x02ns\xc0\x0c")]),
        message(5, [record(5, pointer)]),
        message(16, [record(16, b"\x03on")], flags=0x8600)[:-2],
        message(6, flags=0xA809, additional=[record(250, mac, b"\x01k\x00", 255)]),
    ]


def frame(kind, flags, stream, payload=b""):
    """A frame of HTTP/2 (RFC 9113 section 4.1)."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def literals(fields):
    """Fields as literals that are not indexed (RFC 7541 section 6.2.2)."""
    return b"".join(
        b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in fields.items())


def http2_responses():
    """What upstreams send over HTTP/2 to three requests."""
    ok = frame(1, 4, 1, literals({":status": "200", "content-length": "5"})) + frame(0, 1, 1, b"hello")
    yield ok + frame(1, 5, 3, literals({":status": "204"})) + frame(1, 5, 5, literals({":status": "404", "x": "y"}))
    yield frame(1, 4, 1, literals({":status": "103", "link": "a"})) + ok + frame(3, 0, 3, b"\0\0\0\x07")
    yield frame(1, 4, 1, literals({":status": "200"})) + frame(0, 0, 1, b"hi") + frame(1, 5, 1, literals({"grpc-status": "0"}))
    yield frame(7, 0, 0, b"\0\0\0\x01" + bytes(4)) + ok + frame(8, 0, 0, b"\0\0\x10\0") + frame(6, 0, 0, bytes(8))
    yield frame(4, 0, 0, b"\0\x03\0\0\0\x01") + frame(1, 0, 1, literals({":status": "200"})[:6]) + frame(
        9, 4, 1, literals({":status": "200"})[6:]) + frame(0, 9, 1, b"\x02hi\0\0")


def http2():
    """What clients send over HTTP/2 behind their preface."""
    def fields(**more):
        return literals({":method": "GET", ":scheme": "https", ":authority": "app.test", ":path": "/", **more})

    get = frame(1, 5, 1, fields(cookie="a=1", accept="*/*"))
    post = frame(1, 4, 3, fields(**{":method": "POST"})) + frame(0, 0, 3, b"hello") + frame(0, 1, 3)
    yield get + post + frame(3, 0, 3, b"\0\0\0\x08")
    yield frame(1, 1, 1, fields()[:20]) + frame(9, 4, 1, fields()[20:]) + frame(8, 0, 0, b"\0\0\x10\0")
    # Indexed fields, a new entry of the table, Huffman code, and a change of the table's size.
    yield frame(1, 5, 1, bytes.fromhex("3f e1 1f 82 87 84 41 8c f1 e3 c2 e5 f2 3a 6b a0 ab 90 f4 ff".replace(" ", "")))
    yield frame(1, 0x2d, 1, b"\x02\0\0\0\0\x10" + fields() + b"\0\0") + frame(2, 0, 1, b"\0\0\0\0\x01")
    yield frame(4, 0, 0, b"\0\x04\0\0\0\x01") + post + frame(6, 0, 0, bytes(8)) + frame(7, 0, 0, bytes(8))
    yield frame(1, 4, 1, fields(te="trailers")) + frame(0, 8, 1, b"\x02hi\0\0") + frame(1, 5, 1, b"\0\x01x\x01y")
    yield frame(0x77, 0, 0, b"unknown") + get + frame(1, 5, 3, fields(X="y")) + frame(1, 5, 5, fields(host="b.test"))


target, folder = sys.argv[1], pathlib.Path(sys.argv[2])
seeds = []
for name in ["malformed", "valid"]:
    seeds += [sample["bytes"] for sample in json.loads(pathlib.Path(f"Tests/Samples/http1/{name}.json").read_text())]
if target == "FuzzChunkedBody":
    seeds = [seed.split("\r\n\r\n", 1)[-1] for seed in seeds if "chunked" in seed]
    seeds += ["5  \r\nhello\r\n0 \r\nA : b\r\n\r\n"]
elif target == "FuzzResponseHead":
    seeds = RESPONSES + ["HTTP/1.1 200 OK\r\n" + seed.split("\r\n", 1)[-1] for seed in seeds]
elif target == "FuzzWebSocketFrames":
    seeds = FRAMES
elif target == "FuzzHTTP2":
    seeds = [frames.decode("latin-1") for frames in http2()]
elif target == "FuzzHTTP2Upstream":
    seeds = [frames.decode("latin-1") for frames in http2_responses()]
elif target == "FuzzClientHello":
    seeds = EXTENSIONS
elif target == "FuzzACME":
    seeds = LINKS + [json.dumps(message) for message in ACME]
elif target == "FuzzCloudflare":
    seeds = [json.dumps(message) for message in CLOUDFLARE]
elif target == "FuzzVaultJSON":
    seeds = [json.dumps(message) for message in VAULT]
elif target == "FuzzPEM":
    seeds = list(pem())
elif target == "FuzzPeerCertificate":
    seeds = list(peers())
elif target == "FuzzDNSAnswer":
    seeds = [message.decode("latin-1") for message in dns()]
for number, seed in enumerate(seeds):
    (folder / f"sample-{number}").write_bytes(seed.encode("latin-1"))
