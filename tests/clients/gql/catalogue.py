"""Lists connectors page by page, creates and changes one, and meets both kinds of errors."""

import asyncio
from collections.abc import Awaitable

from client import ask, over_http, schema_of
from gql.client import AsyncClientSession
from gql.dsl import DSLQuery, DSLSchema, DSLVariableDefinitions, dsl_gql
from gql.transport.exceptions import TransportQueryError
from graphql import build_schema, lexicographic_sort_schema, print_schema
from operations import CONNECTOR, CREATE, LIST, UPDATE


def check_schema(session: AsyncClientSession) -> None:
    """The schema by introspection is that of the file."""
    with open("../../../schema.graphql") as file:
        published = build_schema(file.read())
    found = lexicographic_sort_schema(schema_of(session))
    assert print_schema(found) == print_schema(lexicographic_sort_schema(published))


async def list_pages(session: AsyncClientSession) -> None:
    """A document made in Python gives all pages of a list."""
    schema = DSLSchema(schema_of(session))
    variables = DSLVariableDefinitions()  # type: ignore[no-untyped-call]
    built_in = {"type": ["OFFICIAL", "AITRONOS_BUILT"], "not": {"status": ["DEPRECATED"]}}
    query = DSLQuery(
        schema.Query.personalConnectors.args(filter=built_in, first=2, after=variables.after).select(
            schema.PersonalConnectorConnection.totalCount,
            schema.PersonalConnectorConnection.nodes.select(
                schema.PersonalConnector.id, schema.PersonalConnector.object
            ),
            schema.PersonalConnectorConnection.pageInfo.select(schema.PageInfo.hasNextPage, schema.PageInfo.endCursor),
        )
    )
    query.variable_definitions = variables
    request = dsl_gql(query)

    ids, after, pages = set(), None, 0
    while pages == 0 or after:
        page = (await ask(session, request, after=after))["personalConnectors"]
        assert all(node["object"] == "personal_connector" for node in page["nodes"])
        ids |= {node["id"] for node in page["nodes"]}
        after = page["pageInfo"]["endCursor"] if page["pageInfo"]["hasNextPage"] else None
        pages += 1
    assert pages >= 3
    assert len(ids) == page["totalCount"]


async def create_and_update(session: AsyncClientSession) -> None:
    wiki = {"name": "Our wiki", "serverUrl": "https://wiki.example.com/mcp", "metadata": {"owner": "engineering"}}
    created = (await ask(session, CREATE, input=wiki))["createCustomConnector"]
    assert created["userErrors"] == []
    id = created["personalConnector"]["id"]
    await ask(session, UPDATE, input={"id": id, "version": "1.0.0"})
    connector = (await ask(session, CONNECTOR, id=id))["personalConnector"]
    assert connector == {
        "name": "Our wiki",
        "description": None,
        "version": "1.0.0",
        "metadata": {"owner": "engineering"},
    }


async def meet_errors(session: AsyncClientSession) -> None:
    """An error in an input is in the payload. Any other is one of the request, with a code."""
    blank = {"name": " ", "serverUrl": "https://wiki.example.com/mcp"}
    refused = (await ask(session, CREATE, input=blank))["createCustomConnector"]
    assert [(error["code"], error["field"]) for error in refused["userErrors"]] == [("BLANK", ["input", "name"])]

    assert await code_of(ask(session, LIST, after="no cursor")) == "CURSOR_INVALID"
    # The status is 401 here.
    async with over_http("none", schema_of(session)) as stranger:
        assert await code_of(ask(stranger, LIST)) == "UNAUTHENTICATED"


async def code_of(answer: Awaitable[object]) -> object:
    try:
        await answer
    except TransportQueryError as error:
        [only] = error.errors or []
        return only["extensions"]["code"]
    return None


async def main() -> None:
    async with over_http() as session:
        check_schema(session)
        await list_pages(session)
        await create_and_update(session)
        await meet_errors(session)


asyncio.run(main())
