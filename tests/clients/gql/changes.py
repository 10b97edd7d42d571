"""Hears of its own changes as they happen, over a WebSocket."""

import asyncio

from client import ask, over_http, over_web_socket
from gql import GraphQLRequest
from operations import CHANGED, CREATE, LIST, UPDATE


async def main() -> None:
    async with over_http() as session, over_web_socket() as socket:
        # No change is missed after the point in time of a list.
        cursor = (await ask(session, LIST))["personalConnectors"]["changesCursor"]
        variables = {"after": cursor, "filter": {"type": "CUSTOM"}}
        changes = socket.subscribe(GraphQLRequest(CHANGED, variable_values=variables))

        notes = {"name": "Our notes", "serverType": "STDIO"}
        created = (await ask(session, CREATE, input=notes))["createCustomConnector"]
        id = created["personalConnector"]["id"]
        change = (await anext(changes))["personalConnectorChanged"]
        assert (change["kind"], change["personalConnector"]["id"]) == ("CREATED", id)

        await ask(session, UPDATE, input={"id": id, "description": "Notes of the team"})
        change = (await anext(changes))["personalConnectorChanged"]
        assert change["changedFields"] == ["DESCRIPTION"]
        assert change["personalConnector"]["description"] == "Notes of the team"
        await changes.aclose()


asyncio.run(main())
