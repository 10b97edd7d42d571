"""Writes the introspection of schema.graphql, of which sgqlc generates its types."""

import json
from pathlib import Path

from graphql import build_schema, introspection_from_schema

schema = build_schema(Path("../../../schema.graphql").read_text())
Path("generated").mkdir(exist_ok=True)
Path("generated/introspection.json").write_text(json.dumps(introspection_from_schema(schema)))
