"""The JSON Schema and the program agree on every sample.

Editors check with the schema, aegis-apply with its model. They must not differ about which files have a valid structure.
"""

import json
import os
import pathlib
import subprocess

import jsonschema
import pytest
import ruamel.yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ["AEGIS_APPLY"]
SCHEMA = json.loads((ROOT / "schema" / "aegis.schema.json").read_text())
SAMPLES = ROOT / "Tests" / "Samples"


def load(path):
    """Parses a file as YAML 1.2, as editors do."""
    yaml = ruamel.yaml.YAML(typ="safe", pure=True)
    yaml.version = (1, 2)
    return yaml.load(path.read_bytes().decode("utf-8-sig"))


def schema_accepts(path):
    return jsonschema.Draft202012Validator(SCHEMA).is_valid(load(path))


def program_accepts(path):
    done = subprocess.run([PROGRAM, "validate", str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, 65), done.stderr
    return done.returncode == 0


def samples(folder):
    found = sorted((SAMPLES / folder).glob("*.yaml"))
    assert found, folder
    return [pytest.param(path, id=path.stem) for path in found]


def test_the_schema_is_a_valid_json_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


# The Kubernetes manifest contains a configuration, and is none itself.
EXAMPLES = [path for path in ROOT.glob("examples/*.yaml") if path.name != "kubernetes.yaml"]


@pytest.mark.parametrize("path", samples("valid") + [pytest.param(path, id=path.name) for path in EXAMPLES])
def test_valid_files_satisfy_the_schema_and_the_program(path):
    assert schema_accepts(path)
    assert program_accepts(path)


@pytest.mark.parametrize("path", samples("invalid/structure"))
def test_structural_faults_violate_the_schema_and_the_program(path):
    assert not schema_accepts(path)
    assert not program_accepts(path)


@pytest.mark.parametrize("path", samples("invalid/rules"))
def test_broken_rules_are_refused_by_the_program(path):
    assert not program_accepts(path)


def objects(schema, place="#"):
    """Every object schema with properties, wherever it is in the schema."""
    if isinstance(schema, dict):
        if "properties" in schema:
            yield place, schema
        for key, value in schema.items():
            yield from objects(value, f"{place}/{key}")
    elif isinstance(schema, list):
        for index, value in enumerate(schema):
            yield from objects(value, f"{place}/{index}")


def test_every_key_is_explained_and_no_others_are_allowed():
    found = list(objects(SCHEMA))
    assert len(found) > 20
    for place, schema in found:
        assert schema.get("additionalProperties") is False, place
        for key, value in schema["properties"].items():
            assert value.get("description"), f"{place}/{key}"


def test_defaults_fit_their_own_schema():
    registry = {"$defs": SCHEMA["$defs"]}
    for place, schema in objects(SCHEMA):
        for key, value in schema["properties"].items():
            if "default" in value:
                jsonschema.Draft202012Validator(value | registry).validate(value["default"])
