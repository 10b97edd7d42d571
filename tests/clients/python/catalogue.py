"""Lists connectors page by page, creates and changes one, and meets both kinds of errors."""

import asyncio
from datetime import UTC, datetime
from os import environ

from generated import (
    Client,
    ConnectorStatus,
    ConnectorType,
    CreateCustomConnectorInput,
    DateTimeRange,
    GraphQLClientGraphQLMultiError,
    PersonalConnectorFilter,
    UpdateCustomConnectorInput,
    UserErrorCode,
)


async def main() -> None:
    headers = {"Authorization": f"Bearer {environ['TOKEN']}"}
    async with Client(environ["URL"], headers) as client:
        # What Python reserves or has has an underscore: `not_`, `or_`, `type_`, `object_`.
        built_in = PersonalConnectorFilter(
            type_=[ConnectorType.OFFICIAL, ConnectorType.AITRONOS_BUILT],
            not_=PersonalConnectorFilter(status=[ConnectorStatus.DEPRECATED]),
            created_at=DateTimeRange(lt=datetime.now(UTC)),
        )
        connectors, after, pages = [], None, 0
        while pages == 0 or after:
            page = (await client.connectors(built_in, after)).personal_connectors
            connectors += page.nodes
            after = page.page_info.end_cursor if page.page_info.has_next_page else None
            pages += 1
        assert pages >= 3
        assert len({connector.id for connector in connectors}) == page.total_count
        assert all(connector.object_ == "personal_connector" for connector in connectors)
        assert all(connector.created_at.tzinfo for connector in connectors)

        # The payload's user errors list the errors that another input would avoid.
        blank = await client.create(CreateCustomConnectorInput(name=" ", server_url="https://wiki.example.com/mcp"))
        assert blank.create_custom_connector
        assert [(error.code, error.field) for error in blank.create_custom_connector.user_errors] == [
            (UserErrorCode.BLANK, ["input", "name"])
        ]

        created = await client.create(
            CreateCustomConnectorInput(
                name="Our wiki",
                description="Pages of the wiki",
                server_url="https://wiki.example.com/mcp",
                metadata={"owner": "engineering"},
            )
        )
        assert created.create_custom_connector and created.create_custom_connector.personal_connector
        connector = created.create_custom_connector.personal_connector
        assert connector.metadata == {"owner": "engineering"}

        update = UpdateCustomConnectorInput(id=connector.id, version="1.0.0")
        updated = (await client.update(update)).update_custom_connector
        assert updated and updated.personal_connector
        assert updated.personal_connector.version == "1.0.0"

        # Everything else is an error of the request, with a code.
        try:
            await client.connectors(built_in, "no cursor")
        except GraphQLClientGraphQLMultiError as error:
            assert [(one.extensions or {})["code"] for one in error.errors] == ["CURSOR_INVALID"]
        else:
            raise AssertionError("a cursor that is none was taken")


asyncio.run(main())
