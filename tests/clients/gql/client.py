"""Connects over HTTP and over a WebSocket."""

from datetime import datetime
from os import environ
from typing import Any

from gql import Client, GraphQLRequest
from gql.client import AsyncClientSession
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.aiohttp_websockets import AIOHTTPWebsocketsTransport
from graphql import GraphQLScalarType, GraphQLSchema

TOKEN = environ["TOKEN"]

# A scalar that is not mapped stays as it is in JSON.
DATE_TIME = GraphQLScalarType("DateTime", serialize=datetime.isoformat, parse_value=datetime.fromisoformat)

# All that introspection may ask for.
INTROSPECTION = {
    "descriptions": True,
    "specified_by_url": True,
    "directive_is_repeatable": True,
    "schema_description": True,
    "input_value_deprecation": True,
    "input_object_one_of": True,
}


def over_http(token: str = TOKEN, schema: str | GraphQLSchema | None = None, parse_results: bool = True) -> Client:
    """A client with this schema, or with the server's own by introspection."""
    return Client(
        transport=AIOHTTPTransport(environ["URL"], headers={"Authorization": f"Bearer {token}"}),
        schema=schema,
        fetch_schema_from_transport=schema is None,
        introspection_args=INTROSPECTION,
        serialize_variables=True,
        parse_results=parse_results,
    )


def over_web_socket() -> Client:
    return Client(
        transport=AIOHTTPWebsocketsTransport(
            environ["URL"].replace("http", "ws", 1),
            init_payload={"Authorization": f"Bearer {TOKEN}"},
        )
    )


def schema_of(session: AsyncClientSession) -> GraphQLSchema:
    assert session.client.schema
    return session.client.schema


async def ask(session: AsyncClientSession, request: GraphQLRequest, **variables: Any) -> dict[str, Any]:
    return await session.execute(GraphQLRequest(request, variable_values=variables or None))
