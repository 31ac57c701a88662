"""Writes what a fuzz target begins with into its corpus, for HTTP the sample requests: seeds.py TARGET FOLDER."""

import json
import pathlib
import sys

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
CLOUDFLARE.append({"success": False, "errors": [COMPLAINT], "result": None})

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
elif target == "FuzzClientHello":
    seeds = EXTENSIONS
elif target == "FuzzACME":
    seeds = LINKS + [json.dumps(message) for message in ACME]
elif target == "FuzzCloudflare":
    seeds = [json.dumps(message) for message in CLOUDFLARE]
for number, seed in enumerate(seeds):
    (folder / f"sample-{number}").write_bytes(seed.encode("latin-1"))
