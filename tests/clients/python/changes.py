"""Hears of its own changes as they happen, over a WebSocket."""

import asyncio
from os import environ

from generated import (
    ChangedPersonalConnectorChanged,
    Client,
    ConnectorType,
    CreateCustomConnectorInput,
    PersonalConnectorChangeFilter,
    PersonalConnectorChangeKind,
    ServerType,
    UpdateCustomConnectorInput,
)


async def main() -> None:
    headers = {"Authorization": f"Bearer {environ['TOKEN']}"}
    web_socket = environ["URL"].replace("http", "ws", 1)
    async with Client(environ["URL"], headers, ws_url=web_socket, ws_connection_init_payload=headers) as client:
        # From where a list stood, no change is missed.
        cursor = (await client.connectors()).personal_connectors.changes_cursor
        custom = PersonalConnectorChangeFilter(type_=[ConnectorType.CUSTOM])
        heard: asyncio.Queue[ChangedPersonalConnectorChanged] = asyncio.Queue()

        async def listen() -> None:
            async for event in client.changed(cursor, custom):
                heard.put_nowait(event.personal_connector_changed)

        listener = asyncio.create_task(listen())

        created = await client.create(CreateCustomConnectorInput(name="Our notes", server_type=ServerType.STDIO))
        assert created.create_custom_connector and created.create_custom_connector.personal_connector
        id = created.create_custom_connector.personal_connector.id
        change = await heard.get()
        assert change.kind == PersonalConnectorChangeKind.CREATED
        assert change.personal_connector and change.personal_connector.id == id

        await client.update(UpdateCustomConnectorInput(id=id, description="Notes of the team"))
        change = await heard.get()
        assert change.changed_fields == ["DESCRIPTION"]
        assert change.personal_connector and change.personal_connector.description == "Notes of the team"
        listener.cancel()


asyncio.run(main())
