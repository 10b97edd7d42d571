"""The documents that the programs send."""

from gql import gql

LIST = gql("""
    query List($after: String, $filter: PersonalConnectorFilter) {
      personalConnectors(after: $after, filter: $filter) {
        totalCount
        nodes { id type }
        changesCursor
      }
    }
""")

CONNECTOR = gql("""
    query Connector($id: ID!) {
      personalConnector(id: $id) { name description version metadata }
    }
""")

CREATE = gql("""
    mutation Create($input: CreateCustomConnectorInput!) {
      createCustomConnector(input: $input) {
        personalConnector { id category serverType visibility description version metadata iconUrl createdAt }
        userErrors { code field message }
      }
    }
""")

UPDATE = gql("""
    mutation Update($input: UpdateCustomConnectorInput!) {
      updateCustomConnector(input: $input) {
        personalConnector { description version metadata }
        userErrors { code field message }
      }
    }
""")

INSPECT = gql("""
    mutation Inspect($input: InspectServerInput!) {
      inspectServer(input: $input) {
        inspection { outcome }
        userErrors { code field message }
      }
    }
""")

CHECK = gql("""
    mutation Check($id: ID!, $hours: Int) {
      checkConnector(input: { id: $id }) {
        personalConnector { health { uptime(hours: $hours) } }
        userErrors { code field message }
      }
    }
""")

CHANGED = gql("""
    subscription Changed($after: String, $filter: PersonalConnectorChangeFilter) {
      personalConnectorChanged(after: $after, filter: $filter) {
        kind
        changedFields
        personalConnector { id description }
      }
    }
""")
