"""Values that clients take differently: fields that are omitted or null, mapped scalars, enum values that are unknown."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from client import DATE_TIME, ask, over_http, schema_of
from gql.client import AsyncClientSession
from gql.utilities import update_schema_scalars
from graphql import GraphQLError
from operations import CHECK, CREATE, INSPECT, LIST, UPDATE


async def omit_fields_and_send_null(session: AsyncClientSession) -> None:
    """A field that is not in the input is not sent, and None is null."""
    plans = {"name": "Our plans", "serverUrl": "https://plans.example.com/mcp", "description": "Plans of the team"}
    created = (await ask(session, CREATE, input=plans))["createCustomConnector"]["personalConnector"]
    assert (created["category"], created["serverType"], created["visibility"]) == ("CUSTOM", "HTTP", "PRIVATE")
    assert created["version"] is None

    update = {"id": created["id"], "version": "1.0.0"}
    updated = (await ask(session, UPDATE, input=update))["updateCustomConnector"]["personalConnector"]
    assert updated["description"] == "Plans of the team"
    update = {"id": created["id"], "description": None}
    updated = (await ask(session, UPDATE, input=update))["updateCustomConnector"]["personalConnector"]
    assert (updated["description"], updated["version"]) == (None, "1.0.0")


async def send_null_and_the_default(session: AsyncClientSession) -> None:
    """None and the default mean the same as no value. A category may be null, and so None means none."""
    url = "https://tracker.example.com/mcp"
    defaults: dict[str, Any] = {
        "category": "CUSTOM",
        "serverType": "HTTP",
        "visibility": "PRIVATE",
        "verify": False,
        "validateOnly": False,
    }
    for name, fields, hours in [("Our tracker", dict.fromkeys(defaults), None), ("Our planner", defaults, 24)]:
        tracker = {"name": name, "serverUrl": url, **fields}
        created = (await ask(session, CREATE, input=tracker))["createCustomConnector"]["personalConnector"]
        assert created["category"] == fields["category"]
        assert (created["serverType"], created["visibility"]) == ("HTTP", "PRIVATE")

        update = {"id": created["id"], "version": "1.0.0", "validateOnly": fields["validateOnly"]}
        updated = (await ask(session, UPDATE, input=update))["updateCustomConnector"]["personalConnector"]
        assert updated["version"] == "1.0.0"

        # The tests let the service call no server.
        server = {"serverUrl": url, "serverType": fields["serverType"]}
        inspected = (await ask(session, INSPECT, input=server))["inspectServer"]
        assert inspected["inspection"] == {"outcome": "BLOCKED"}
        checked = (await ask(session, CHECK, id=created["id"], hours=hours))["checkConnector"]
        assert checked["personalConnector"]["health"] == {"uptime": 0}


async def map_scalars(session: AsyncClientSession) -> None:
    """A mapped scalar is sent and returned as Python's own type. JSON is any value, and a URL is a text."""
    update_schema_scalars(schema_of(session), [DATE_TIME])
    began = datetime.now(UTC) - timedelta(minutes=1)
    pages = {
        "name": "Our pages",
        "serverUrl": "https://pages.example.com/mcp",
        "iconUrl": "https://pages.example.com/icon.png",
        "metadata": {"owner": "engineering", "floors": [1, 2]},
    }
    created = (await ask(session, CREATE, input=pages))["createCustomConnector"]["personalConnector"]
    assert created["metadata"] == pages["metadata"]
    assert created["iconUrl"] == pages["iconUrl"]
    assert created["createdAt"] > began
    recent = {"createdAt": {"gte": began}, "type": "CUSTOM"}
    assert (await ask(session, LIST, filter=recent))["personalConnectors"]["totalCount"] >= 1


async def meet_an_unknown_enum_value() -> None:
    """The older schema has no ConnectorType OFFICIAL. A value passes as it is, unless results are parsed by the schema."""
    with open("older.graphql") as file:
        older = file.read()
    async with over_http(schema=older, parse_results=False) as session:
        nodes = (await ask(session, LIST))["personalConnectors"]["nodes"]
        assert "OFFICIAL" in {node["type"] for node in nodes}
    async with over_http(schema=older) as session:
        try:
            await ask(session, LIST)
        except GraphQLError as error:
            assert "OFFICIAL" in error.message
        else:
            raise AssertionError("an unknown value was parsed")


async def main() -> None:
    async with over_http() as session:
        await omit_fields_and_send_null(session)
        await send_null_and_the_default(session)
        await map_scalars(session)
    await meet_an_unknown_enum_value()


asyncio.run(main())
