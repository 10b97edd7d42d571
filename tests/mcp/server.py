"""A server of Python's SDK: `python server.py streamable-http|sse PORT`."""

import sys

from mcp.server.mcpserver import MCPServer

transport, port = sys.argv[1], int(sys.argv[2])
server = MCPServer("python", version="1.0.0", instructions="Adds numbers.")


@server.tool()
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@server.prompt()
def greet(name: str) -> str:
    """Greets somebody."""
    return f"Hello, {name}"


@server.resource("notes://today")
def today() -> str:
    """What is noted for today."""
    return "nothing"


server.run(transport, port=port)
