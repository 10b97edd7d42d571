"""Sends each input that has a default in each way, and compares the answers. The schema says which inputs those are."""

import itertools
import json
from collections.abc import Callable, Iterator
from os import environ
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLObjectType, Undefined, build_schema, get_named_type

URL = environ["URL"]
TOKEN = environ["TOKEN"]
HEADERS = {"Authorization": f"Bearer {TOKEN}"}

# Sends inputs, by the schema's names, and gives the answer's data. It raises what the answer has as an error.
Send = Callable[[dict[str, Any]], Any]

# The tests let the service call no server.
SERVER_URL = "https://plans.example.com/mcp"
names = (f"Plans {number}" for number in itertools.count())


def ask(query: str, variables: dict[str, Any]) -> Any:
    """Asks without a generated client. An error of the answer is raised."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    with urlopen(Request(URL, body, HEADERS | {"Content-Type": "application/json"})) as response:
        answer = json.load(response)
    if "errors" in answer:
        raise ValueError(answer["errors"][0]["message"])
    return answer["data"]


CREATE = "mutation($input: CreateCustomConnectorInput!) { createCustomConnector(input: $input) { personalConnector { id } } }"
CHECK = "mutation($id: ID!) { checkConnector(input: {id: $id}) { userErrors { code } } }"


def connector() -> str:
    """The id of a new connector, which is checked."""
    data = ask(CREATE, {"input": {"name": next(names), "serverUrl": SERVER_URL}})
    connector: str = data["createCustomConnector"]["personalConnector"]["id"]
    ask(CHECK, {"id": connector})
    return connector


# The inputs beside one that has a default, one of each type: tests/it/pipeline/unset_null_default.rs has all.
BESIDE: dict[str, Callable[[], dict[str, Any]]] = {
    "ConnectorHealth.uptime": lambda: {"id": connector()},
    "CreateCustomConnectorInput": lambda: {"name": next(names), "serverUrl": SERVER_URL},
    "InspectServerInput": lambda: {"serverUrl": SERVER_URL},
    "UpdateCustomConnectorInput": lambda: {"id": connector(), "version": "1.0.0"},
}


def inputs() -> Iterator[tuple[str, str, Any, list[Any]]]:
    """The inputs that have a default: where they are, name, default, and other values."""
    schema = build_schema(Path("../../../schema.graphql").read_text())
    for owner in schema.type_map.values():
        places: dict[str, Any] = {}
        if isinstance(owner, GraphQLInputObjectType):
            places = {owner.name: owner.fields}
        if isinstance(owner, GraphQLObjectType) and not owner.name.startswith("__"):
            places = {f"{owner.name}.{name}": field.args for name, field in owner.fields.items()}
        for place, fields in places.items():
            for name, field in fields.items():
                if place in BESIDE and field.default_value is not Undefined:
                    of = get_named_type(field.type)
                    values = {"Boolean": [False, True], "Int": [0]}.get(of.name, [])
                    if isinstance(of, GraphQLEnumType):
                        values = list(of.values)
                    others = [value for value in values if value != field.default_value]
                    yield place, name, field.default_value, others


def compare(client: str, send: dict[str, Send]) -> None:
    """A client has a function for each place."""
    for place, name, default, others in inputs():

        def answer(way: dict[str, Any]) -> str:
            try:
                return json.dumps(send[place](BESIDE[place]() | way))
            except Exception as refused:
                return f"refused: {refused}"

        of = f"{client}: {place}, {name}"
        unset = answer({})
        assert not unset.startswith("refused"), (of, unset)
        assert answer({name: default}) == unset, (of, default)
        # A category may be null, and so None means none.
        is_value = (place, name) == ("CreateCustomConnectorInput", "category")
        expected = unset.replace('"category": "CUSTOM"', '"category": null') if is_value else unset
        assert (none := answer({name: None})) == expected, (of, none)
        # The answers show the value.
        assert any(answer({name: other}) != unset for other in others), of
