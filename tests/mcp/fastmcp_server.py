"""A server of FastMCP: `python fastmcp_server.py http|sse PORT open|signed-in`."""

import sys

from fastmcp import FastMCP
from fastmcp.server.auth import RemoteAuthProvider
from fastmcp.server.auth.providers.jwt import StaticTokenVerifier

transport, port, access = sys.argv[1], int(sys.argv[2]), sys.argv[3]
auth = None
if access == "signed-in":
    auth = RemoteAuthProvider(
        token_verifier=StaticTokenVerifier({"test-only": {"client_id": "ann", "scopes": []}}),
        authorization_servers=["https://issuer.example"],
        base_url=f"http://localhost:{port}",
    )
server = FastMCP("fast", version="1.0.0", instructions="Multiplies numbers.", auth=auth)


@server.tool(annotations={"readOnlyHint": True})
def multiply(a: int, b: int) -> int:
    """Multiplies two numbers."""
    return a * b


@server.tool
def divide(a: float, b: float) -> float:
    """Divides two numbers."""
    return a / b


server.run(transport, host="127.0.0.1", port=port, show_banner=False)
