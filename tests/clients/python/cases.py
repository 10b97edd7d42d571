"""Values that clients take differently: fields that are omitted or null, mapped scalars, enum values that are unknown."""

import asyncio
from datetime import UTC, datetime, timedelta
from os import environ
from typing import Any

import older
from generated import (
    Client,
    ConnectorCategory,
    ConnectorVisibility,
    CreateCreateCustomConnectorPersonalConnector,
    CreateCustomConnectorInput,
    DateTimeRange,
    InspectionOutcome,
    InspectServerInput,
    PersonalConnectorFilter,
    ServerType,
    UpdateCustomConnectorInput,
    UpdateUpdateCustomConnectorPersonalConnector,
)
from pydantic import ValidationError

HEADERS = {"Authorization": f"Bearer {environ['TOKEN']}"}


async def create(client: Client, **fields: Any) -> CreateCreateCustomConnectorPersonalConnector:
    payload = (await client.create(CreateCustomConnectorInput(**fields))).create_custom_connector
    assert payload and payload.personal_connector, payload
    return payload.personal_connector


async def update(client: Client, **fields: Any) -> UpdateUpdateCustomConnectorPersonalConnector:
    payload = (await client.update(UpdateCustomConnectorInput(**fields))).update_custom_connector
    assert payload and payload.personal_connector, payload
    return payload.personal_connector


async def omit_fields_and_send_null(client: Client) -> None:
    """A field that is not set is not sent, and None is null."""
    plans = await create(
        client,
        name="Our plans",
        server_url="https://plans.example.com/mcp",
        description="Plans of the team",
    )
    assert (plans.category, plans.server_type) == (ConnectorCategory.CUSTOM, ServerType.HTTP)
    assert (plans.visibility, plans.version) == (ConnectorVisibility.PRIVATE, None)

    updated = await update(client, id=plans.id, version="1.0.0")
    assert updated.description == "Plans of the team"
    updated = await update(client, id=plans.id, description=None)
    assert (updated.description, updated.version) == (None, "1.0.0")


async def send_null_and_the_default(client: Client) -> None:
    """None and the default mean the same as no value. A category may be null, and so None means none."""
    url = "https://tracker.example.com/mcp"
    defaults: dict[str, Any] = {
        "category": ConnectorCategory.CUSTOM,
        "server_type": ServerType.HTTP,
        "visibility": ConnectorVisibility.PRIVATE,
        "verify": False,
        "validate_only": False,
    }
    for name, fields, hours in [("Our tracker", dict.fromkeys(defaults), None), ("Our planner", defaults, 24)]:
        tracker = await create(client, name=name, server_url=url, **fields)
        assert (tracker.category, tracker.server_type) == (fields["category"], ServerType.HTTP)
        assert tracker.visibility == ConnectorVisibility.PRIVATE

        updated = await update(client, id=tracker.id, version="1.0.0", validate_only=fields["validate_only"])
        assert updated.version == "1.0.0"

        # The tests let the service call no server.
        server = InspectServerInput(server_url=url, server_type=fields["server_type"])
        inspected = (await client.inspect(server)).inspect_server
        assert inspected and inspected.inspection
        assert inspected.inspection.outcome == InspectionOutcome.BLOCKED
        checked = (await client.check(tracker.id, hours=hours)).check_connector
        assert checked and checked.personal_connector and checked.personal_connector.health
        assert checked.personal_connector.health.uptime == 0


async def map_scalars(client: Client) -> None:
    """A DateTime is a datetime in both directions, JSON is any value, and a URL is a text."""
    began = datetime.now(UTC) - timedelta(minutes=1)
    metadata = {"owner": "engineering", "floors": [1, 2]}
    icon = "https://pages.example.com/icon.png"
    pages = await create(
        client, name="Our pages", server_url="https://pages.example.com/mcp", icon_url=icon, metadata=metadata
    )
    assert (pages.metadata, pages.icon_url) == (metadata, icon)
    assert pages.created_at > began
    recent = PersonalConnectorFilter(created_at=DateTimeRange(gte=began))
    assert (await client.connectors(recent)).personal_connectors.total_count >= 1


async def meet_an_unknown_enum_value() -> None:
    """The older schema has no ConnectorType OFFICIAL. The generated enums are closed, and so the answer is refused."""
    async with older.Client(environ["URL"], HEADERS) as client:
        try:
            await client.connectors()
        except ValidationError as error:
            assert {one["input"] for one in error.errors()} == {"OFFICIAL"}
        else:
            raise AssertionError("an unknown value was accepted")


async def main() -> None:
    async with Client(environ["URL"], HEADERS) as client:
        await omit_fields_and_send_null(client)
        await send_null_and_the_default(client)
        await map_scalars(client)
    await meet_an_unknown_enum_value()


asyncio.run(main())
