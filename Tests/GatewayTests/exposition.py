"""Parses metrics as strictly as Prometheus and `promtool check metrics` do."""

import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf'({NAME})(?:\{{(.*)\}})? (\S+)')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)')
UNITS = {"seconds", "bytes", "total", "info", "ratio"}


def families(text):
    """Maps each metric family's name to its type and its samples: values by name and labels. Fails on anything that
    Prometheus or promtool would complain of."""
    assert text.endswith("\n")
    found, current, series = {}, None, set()
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name, _, words = line[7:].partition(" ")
            assert re.fullmatch(NAME, name) and words, line
            assert name not in found, f"{name} comes twice"
            current = found[name] = {"type": None, "samples": {}}
            current["name"] = name
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            assert name == current["name"] and current["type"] is None and not current["samples"], line
            assert kind in ("counter", "gauge", "histogram", "summary"), line
            current["type"] = kind
        else:
            name, labels, value = SAMPLE.fullmatch(line).groups()
            base = current["name"]
            assert current["type"] is not None, f"no type before {line}"
            allowed = {f"{base}_bucket", f"{base}_sum", f"{base}_count"} if current["type"] == "histogram" else {base}
            assert name in allowed, f"{name} among {base}"
            pairs = LABEL.findall(labels or "")
            assert LABEL.sub("", labels or "") == "", line
            assert len({key for key, _ in pairs}) == len(pairs), line
            key = (name, tuple(sorted(pairs)))
            assert key not in series, f"twice: {line}"
            series.add(key)
            current["samples"][key] = float(value)
    for name, family in found.items():
        check(name, family)
    return found


def check(name, family):
    kind, samples = family["type"], family["samples"]
    assert name == name.lower() and not re.search("_(milliseconds|ms|minutes|kilobytes|mb|percent)(_|$)", name), name
    assert (kind == "counter") == name.endswith("_total"), f"{kind} {name}"
    assert not re.search("_(count|sum|bucket|counter|gauge|histogram|timestamp)$", name), name
    if kind == "counter":
        assert all(value >= 0 for value in samples.values()), name
    if kind != "histogram":
        return
    assert name.split("_")[-1] in UNITS, name
    buckets = [(float(dict(labels)["le"].replace("+Inf", "inf")), value)
               for (sample, labels), value in samples.items() if sample.endswith("_bucket")]
    assert buckets == sorted(buckets) and buckets[-1][0] == float("inf")
    assert [value for _, value in buckets] == sorted(value for _, value in buckets)
    assert samples[(f"{name}_count", ())] == buckets[-1][1]
