"""What every answer must be, whatever was asked; and what makes random operations find and change something."""

import json
import re
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import graphql
import schemathesis
from hypothesis import strategies as st
from schemathesis.graphql import nodes

SCHEMA = graphql.build_schema((Path(__file__).parents[2] / "schema.graphql").read_text())

# The codes of docs/reference/errors.md that well-formed requests with a token get while no other client sends any.
CODES = {"BAD_USER_INPUT", "CURSOR_INVALID", "FORBIDDEN", "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "LIMIT_EXCEEDED"}


@schemathesis.check
def answers_as_promised(ctx, response, case):
    """Status, data and errors are as docs/reference/http.md says."""
    answer = response.json()
    errors = answer.get("errors", [])
    codes = {error.get("extensions", {}).get("code") for error in errors}
    # No process checks servers here.
    expected = CODES | ({"UNAVAILABLE"} if "checkConnectors" in case.body else set())
    assert codes <= expected, f"unexpected codes: {codes - expected}"
    assert errors or answer.get("data") is not None, "neither data nor errors"
    expected = 200 if "data" in answer else 400
    assert response.status_code == expected, f"status {response.status_code} instead of {expected}"


@schemathesis.check
def fits_the_schema(ctx, response, case):
    """The operation, executed over its own data, gives that data: every value is of its type, none is missing or too much."""
    data = response.json().get("data")
    if data is None:
        return
    again = graphql.execute_sync(
        SCHEMA,
        graphql.parse(case.body),
        root_value=data,
        field_resolver=lambda parent, info, **_: parent[info.path.key],
        # No interface has several types.
        type_resolver=lambda _, info, interface: info.schema.get_possible_types(interface)[0].name,
    )
    assert not again.errors, "\n".join(map(str, again.errors))
    # As text, where true is not 1, and keys have an order.
    assert json.dumps(again.data) == json.dumps(data), "more, less, or other than was asked for"


def moment(value):
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", value), f"no time: {value}"
    return value


def url(value):
    assert urlsplit(value).scheme in {"http", "https", "ws", "wss"}, f"no URL: {value}"
    return value


SCHEMA.type_map["DateTime"].coerce_output_value = moment
SCHEMA.type_map["URL"].coerce_output_value = url


def field(kind, name, **value):
    return kind(name=graphql.NameNode(value=name), **value)


def objects(values):
    keys = st.from_regex(r"[_A-Za-z][_0-9A-Za-z]{0,8}", fullmatch=True)
    return st.dictionaries(keys, values, max_size=4).map(
        lambda fields: nodes.Object([field(graphql.ObjectFieldNode, key, value=value) for key, value in fields.items()])
    )


scalars = (
    st.just(nodes.Null)
    | st.booleans().map(nodes.Boolean)
    | st.integers(-(2**63), 2**64 - 1).map(nodes.Int)
    | st.text().map(nodes.String)
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4).map(nodes.List) | objects(inner))
schemathesis.graphql.scalar("JSON", objects(values))

random = Random(1)
IDS = [nodes.String(id) for id in ("pcon_github", "pcon_clickup", "pcon_jira", "pcon_none")]
CURSORS = [nodes.String("none")]
SIZES = [nodes.Int(size) for size in (0, 1, 5, 100)]
URLS = [nodes.String(url) for url in ("https://wiki.example.com/mcp", "https://wiki.example.com/é?a=b#c", "wss://wiki.example.com")]
# Arguments and input fields, with values that random ones seldom are.
LIKELY = {
    "id": IDS,
    "ids": [nodes.List(IDS)],
    "replacedById": IDS,
    "after": CURSORS,
    "before": CURSORS,
    "first": SIZES,
    "last": SIZES,
    "name": [nodes.String(f"Wiki {n}") for n in range(100)],
    "description": [nodes.String("Pages\nand more")],
    "serverUrl": URLS,
    "iconUrl": URLS[:2],
    "version": [nodes.String("1.2.3")],
    "statusMessage": [nodes.String("Until March")],
    "search": [nodes.String("git"), nodes.String("task mana")],
    "expectedRevision": [nodes.Int(1)],
    "validateOnly": [nodes.Boolean(False)],
}
# Those that seldom fit the rest.
OPTIONAL = {"first", "last", "after", "before", "search", "orderBy", "filter", "expectedRevision"}


class Likelier(graphql.Visitor):
    """Makes an operation likely to find and change something, and select much of it."""

    def __init__(self, types):
        super().__init__()
        self.types = types

    def enter_argument(self, node, *_):
        name = node.name.value
        if name in OPTIONAL and random.random() < 0.7:
            return graphql.REMOVE
        if name in LIKELY and random.random() < 0.8:
            return field(type(node), name, value=random.choice(LIKELY[name]))
        return None

    enter_object_field = enter_argument

    def leave_object_value(self, node, *_):
        input_type = graphql.get_named_type(self.types.get_input_type())
        names = {field.name.value for field in node.fields}
        if input_type is not SCHEMA.type_map["CreateCustomConnectorInput"] or "serverUrl" in names:
            return None
        return nodes.Object([*node.fields, field(graphql.ObjectFieldNode, "serverUrl", value=URLS[0])])

    def leave_selection_set(self, node, *_):
        if random.random() < 0.5:
            return None
        selected = {one.name.value for one in node.selections if isinstance(one, graphql.FieldNode)}
        leaves = [
            field(graphql.FieldNode, name)
            for name, definition in self.types.get_parent_type().fields.items()
            if name not in selected and graphql.is_leaf_type(graphql.get_named_type(definition.type))
        ]
        return graphql.SelectionSetNode(selections=(*node.selections, *leaves))


@schemathesis.hook
def before_call(context, case, kwargs):
    """What is wrong on purpose stays as it is."""
    if case.meta.generation.mode.is_positive:
        types = graphql.TypeInfo(SCHEMA)
        document = graphql.visit(graphql.parse(case.body), graphql.TypeInfoVisitor(types, Likelier(types)))
        case.body = graphql.print_ast(document)


@schemathesis.hook
def after_call(context, case, response):
    """Later operations are about what earlier ones made."""
    IDS.extend(map(nodes.String, re.findall(r'"(pcon_[0-9a-z]{26})"', response.text)))
    CURSORS.extend(map(nodes.String, re.findall(r'[cC]ursor":"([^"]+)"', response.text)))
