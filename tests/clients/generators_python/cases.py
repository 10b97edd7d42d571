"""sgqlc, turms with rath, and the models of datamodel-code-generator."""

import logging
from typing import Any

from compare import HEADERS, TOKEN, URL, Send, ask, compare
from generated import models, sgqlc_types, turms_operations
from pydantic import BaseModel
from rath import Rath
from rath.links.aiohttp import AIOHttpLink
from rath.links.auth import ComposedAuthLink
from rath.links.compose import compose
from rath.turms.funcs import execute
from sgqlc.endpoint.http import HTTPEndpoint
from sgqlc.operation import Operation


def of_sgqlc() -> dict[str, Send]:
    """Inputs are written into the document, also None."""
    endpoint = HTTPEndpoint(URL, HEADERS)

    def data(operation: Operation) -> Any:
        answer = endpoint(operation)
        if "errors" in answer:
            raise ValueError(answer["errors"][0]["message"])
        return answer["data"]

    def uptime(fields: dict[str, Any]) -> Any:
        operation = Operation(sgqlc_types.Query)
        hours = {name: value for name, value in fields.items() if name != "id"}
        operation.personal_connector(id=fields["id"]).health().uptime(**hours)
        return data(operation)

    def create(fields: dict[str, Any]) -> Any:
        operation = Operation(sgqlc_types.Mutation)
        payload = operation.create_custom_connector(input=sgqlc_types.CreateCustomConnectorInput(fields))
        payload.personal_connector().__fields__("category", "server_type", "visibility")
        payload.user_errors().__fields__("code", "field")
        return data(operation)

    def inspect(fields: dict[str, Any]) -> Any:
        operation = Operation(sgqlc_types.Mutation)
        payload = operation.inspect_server(input=sgqlc_types.InspectServerInput(fields))
        payload.inspection().outcome()
        payload.user_errors().__fields__("code", "field")
        return data(operation)

    def update(fields: dict[str, Any]) -> Any:
        operation = Operation(sgqlc_types.Mutation)
        payload = operation.update_custom_connector(input=sgqlc_types.UpdateCustomConnectorInput(fields))
        payload.personal_connector().version()
        payload.user_errors().__fields__("code", "field")
        return data(operation)

    return {
        "ConnectorHealth.uptime": uptime,
        "CreateCustomConnectorInput": create,
        "InspectServerInput": inspect,
        "UpdateCustomConnectorInput": update,
    }


def of_turms(rath: Rath) -> dict[str, Send]:
    """Rath leaves out the fields that are not set."""
    of = turms_operations

    def run(operation: Any, variables: dict[str, Any]) -> Any:
        return execute(operation, variables, rath).model_dump(mode="json", by_alias=True)

    return {
        "ConnectorHealth.uptime": lambda fields: run(of.Uptime, fields),
        "CreateCustomConnectorInput": lambda fields: run(
            of.Create, {"input": of.CreateCustomConnectorInput(**fields)}
        ),
        "InspectServerInput": lambda fields: run(of.Inspect, {"input": of.InspectServerInput(**fields)}),
        "UpdateCustomConnectorInput": lambda fields: run(
            of.Update, {"input": of.UpdateCustomConnectorInput(**fields)}
        ),
    }


def of_models() -> dict[str, Send]:
    """A model has the schema's defaults, and None in the other fields. All are sent, but not in an update: null clears."""
    of = turms_operations

    def run(operation: Any, input: BaseModel, **dump: Any) -> Any:
        return ask(operation.Meta.document, {"input": input.model_dump(mode="json", **dump)})

    return {
        "ConnectorHealth.uptime": lambda fields: ask(of.Uptime.Meta.document, fields),
        "CreateCustomConnectorInput": lambda fields: run(of.Create, models.CreateCustomConnectorInput(**fields)),
        "InspectServerInput": lambda fields: run(of.Inspect, models.InspectServerInput(**fields)),
        "UpdateCustomConnectorInput": lambda fields: run(
            of.Update, models.UpdateCustomConnectorInput(**fields), exclude_unset=True
        ),
    }


async def token() -> str:
    return TOKEN


logging.getLogger("sgqlc").setLevel(logging.CRITICAL)
compare("sgqlc", of_sgqlc())
compare("datamodel-code-generator", of_models())
auth = ComposedAuthLink(token_loader=token, token_refresher=token)
with Rath(link=compose(auth, AIOHttpLink(endpoint_url=URL))) as rath:
    compare("turms", of_turms(rath))
