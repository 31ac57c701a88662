"""Writes the sample requests into a fuzz target's corpus: http1_seeds.py TARGET FOLDER."""

import json
import pathlib
import sys

RESPONSES = [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: x\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: x, close\r\nX: y\r\n\r\n",
    "HTTP/1.0 404\r\nConnection: keep-alive\r\nSet-Cookie: a=b; Path=/\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 7\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
]

target, folder = sys.argv[1], pathlib.Path(sys.argv[2])
seeds = []
for name in ["malformed", "valid"]:
    seeds += [sample["bytes"] for sample in json.loads(pathlib.Path(f"Tests/Samples/http1/{name}.json").read_text())]
if target == "FuzzChunkedBody":
    seeds = [seed.split("\r\n\r\n", 1)[-1] for seed in seeds if "chunked" in seed]
elif target == "FuzzResponseHead":
    seeds = RESPONSES + ["HTTP/1.1 200 OK\r\n" + seed.split("\r\n", 1)[-1] for seed in seeds]
for number, seed in enumerate(seeds):
    (folder / f"sample-{number}").write_bytes(seed.encode("latin-1"))
