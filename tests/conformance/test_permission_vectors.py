"""
The vectors of `resources.json`, `constraints.json` and `permissions.json`, against the code.

Another implementation can be held against the same files: each vector has a comment that says what it is about.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentid.constraint import from_data
from agentid.errors import ConfigurationError
from agentid.permission import Permission
from agentid.resource import Resource, ResourcePattern, literal_segment


def vectors(file, group):
    data = json.loads((Path(__file__).parent / file).read_text(encoding="utf-8"))
    return [pytest.param(vector, id=f"{number}-{vector['comment']}") for number, vector in enumerate(data[group])]


def refuses(parse, value):
    try:
        parse(value)
    except ConfigurationError as error:
        return str(error).isprintable()
    return False


@pytest.mark.parametrize("vector", vectors("resources.json", "resources"))
def test_a_resource_has_one_key_and_one_canonical_text(vector):
    resource = Resource.parse(vector["text"])

    assert tuple(vector["key"]) == resource.key
    assert vector["canonical"] == str(resource)
    assert resource == Resource.parse(vector["canonical"])


@pytest.mark.parametrize("vector", vectors("resources.json", "resources"))
def test_what_is_a_resource_is_also_the_pattern_of_only_it(vector):
    pattern = ResourcePattern.parse(vector["text"])

    assert ResourcePattern.exactly(Resource.parse(vector["text"])) == pattern
    assert pattern.is_literal


@pytest.mark.parametrize("vector", vectors("resources.json", "refused"))
def test_what_names_no_single_resource_is_refused_on_one_line(vector):
    assert refuses(Resource.parse, vector["text"])


@pytest.mark.parametrize("vector", [v for v in vectors("resources.json", "refused") if "*" not in v.values[0]["text"]])
def test_a_pattern_may_hold_nothing_that_a_resource_may_not_hold(vector):
    """Wildcards excepted."""
    assert refuses(ResourcePattern.parse, vector["text"])


@pytest.mark.parametrize("vector", vectors("resources.json", "patterns"))
def test_a_pattern_has_one_canonical_text(vector):
    pattern = ResourcePattern.parse(vector["text"])

    assert vector["canonical"] == str(pattern)
    assert pattern == ResourcePattern.parse(vector["canonical"])


@pytest.mark.parametrize("vector", vectors("resources.json", "refused_patterns"))
def test_what_is_no_pattern_is_refused_on_one_line(vector):
    assert refuses(ResourcePattern.parse, vector["text"])


@pytest.mark.parametrize("vector", vectors("resources.json", "matches"))
def test_a_pattern_matches_whole_segments(vector):
    pattern, resource = ResourcePattern.parse(vector["pattern"]), Resource.parse(vector["resource"])

    assert vector["expect"] == pattern.matches(resource) == pattern.matches_key(resource.key)
    assert vector["expect"] == pattern.covers(ResourcePattern.exactly(resource))


@pytest.mark.parametrize("vector", vectors("resources.json", "covers"))
def test_a_pattern_covers_what_is_inside_it(vector):
    assert vector["expect"] == ResourcePattern.parse(vector["pattern"]).covers(ResourcePattern.parse(vector["other"]))


@pytest.mark.parametrize("vector", vectors("resources.json", "segments"))
def test_a_value_is_one_literal_segment_or_nothing(vector):
    if vector["expect"] is None:
        assert refuses(literal_segment, vector["text"])
    else:
        assert vector["expect"] == literal_segment(vector["text"])


@pytest.mark.parametrize("vector", vectors("constraints.json", "allows"))
def test_a_constraint_allows_by_type_and_value(vector):
    constraint = from_data(vector["constraint"])

    assert vector["expect"] is constraint.allows(vector["value"])
    assert constraint == from_data(constraint.to_data())


@pytest.mark.parametrize("vector", vectors("constraints.json", "covers"))
def test_a_constraint_covers_what_is_provably_inside_it(vector):
    assert vector["expect"] is from_data(vector["constraint"]).covers(from_data(vector["other"]))


@pytest.mark.parametrize("vector", vectors("constraints.json", "refused"))
def test_what_is_no_constraint_is_refused_when_loaded(vector):
    assert refuses(from_data, vector["data"])


@pytest.mark.parametrize("vector", vectors("constraints.json", "nested"))
def test_constraints_nest_as_deep_as_eight(vector):
    assert vector["data"] == from_data(vector["data"]).to_data()


@pytest.mark.parametrize("vector", vectors("permissions.json", "permissions"))
def test_a_permission_has_one_canonical_text(vector):
    permission = Permission.parse(vector["text"])

    assert vector["canonical"] == str(permission)
    assert permission == Permission.parse(vector["canonical"])


@pytest.mark.parametrize("vector", vectors("permissions.json", "refused"))
def test_what_is_no_permission_is_refused_on_one_line(vector):
    assert refuses(Permission.parse, vector["text"])


@pytest.mark.parametrize("vector", vectors("permissions.json", "covers"))
def test_a_permission_covers_what_is_provably_inside_it(vector):
    assert vector["expect"] is Permission.parse(vector["permission"]).covers(Permission.parse(vector["other"]))


@pytest.mark.parametrize("vector", vectors("permissions.json", "allows"))
def test_a_permission_allows_an_action_on_a_resource_with_arguments(vector):
    permission, resource = Permission.parse(vector["permission"]), Resource.parse(vector["resource"])

    assert vector["expect"] is permission.allows(vector["action"], resource, vector["arguments"])
