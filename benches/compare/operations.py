"""The measured operations. Each is a row of the table."""

COLUMNS = 'id name type connectorId description category version status serverUrl metadata updatedAt'
WHOLE = 'id object name type connectorId description iconUrl category version status serverUrl serverType metadata createdAt updatedAt'
CONNECTION = f'nodes {{ {COLUMNS} }} pageInfo {{ hasNextPage endCursor }}'
FACETS = ' '.join(f'{dimension} {{ value count }}' for dimension in ('category', 'status', 'type', 'serverType'))
FILTERED = '''query List($filter: PersonalConnectorFilter, $first: Int, $after: String) {
  personalConnectors(filter: $filter, first: $first, after: $after, orderBy: {field: CREATED_AT, direction: DESC}) { %s }
}'''
FILTER = {'category': ['DEVELOPMENT'], 'status': ['ACTIVE']}
DOCUMENTS = {
    'list': FILTERED % CONNECTION,
    'by-id': f'query ById($id: ID!) {{ personalConnector(id: $id) {{ {WHOLE} }} }}',
    'totals': FILTERED % f'{CONNECTION} totalCount facets {{ {FACETS} }}',
    'deep': FILTERED % CONNECTION,
    'search': f'query Search($search: String!) {{ personalConnectors(search: $search) {{ {CONNECTION} }} }}',
    'mutation': f'''mutation Create($input: CreateCustomConnectorInput!) {{
  createCustomConnector(input: $input) {{ personalConnector {{ {WHOLE} }} userErrors {{ code message }} }}
}}''',
}
# The mutation is last, because it adds connectors to the database.
TITLES = {
    'list': 'list with filter and order', 'by-id': 'by id', 'totals': 'list, totalCount, facets',
    'deep': 'page deep in the list', 'search': 'search', 'mutation': 'mutation (create)',
}
WORDS = 'calendar quasar mail obelisk issue zephyr deploy lichen metric halyard figma tundra sketch ticket budget pipeline'.split()
# The number of consecutive pages deep in the list.
DEEP_PAGES = 16
# A placeholder in a name, which each request replaces by a unique text.
UNIQUE = '@n@'


def created(user, token):
    """Returns the values of a user's create."""
    return {
        'user': user, 'token': token,
        'new': {
            'name': f'connector {UNIQUE}',
            'description': 'connects your workspace to the team and keeps records in sync with every change that people make.',
            'serverUrl': 'https://mcp.example.com/v1/created',
        },
    }
