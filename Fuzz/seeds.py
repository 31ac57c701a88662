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
for number, seed in enumerate(seeds):
    (folder / f"sample-{number}").write_bytes(seed.encode("latin-1"))
