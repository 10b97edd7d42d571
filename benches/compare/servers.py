"""The compared servers. Each has its own form of requests. Their responses are converted to the same form of values."""
import base64
import http.client
import json
import secrets
import urllib.parse

from .operations import DOCUMENTS, FILTER
from .processes import Listening

SECRET = base64.b64encode(secrets.token_bytes(48)).decode()
PUBLISHED_AS_LOWER_CASE = ('type', 'category', 'status', 'serverType')


class Server(Listening):
    """Subclasses have `request`, which returns method, path, token and body, and `read`, which takes JSON."""

    # The database's URL, if the server has one.
    url = None
    # A text that each response to a create contains. None for a server without creates.
    success = None

    def __init__(self, name, command, folder):
        super().__init__(name, command, folder / f'{secrets.token_hex(4)}.log', CONNECTORS_JWT_SECRET=SECRET)
        self.cursors = {}

    def connect(self):
        return http.client.HTTPConnection(self.address, timeout=60)

    def send(self, connection, request):
        """Returns the response's status and bytes."""
        method, path, token, body = request
        headers = {'accept': 'application/json'}
        if body:
            headers['content-type'] = 'application/json'
        if token:
            headers['authorization'] = f'Bearer {token}'
        connection.request(method, path, body or None, headers)
        response = connection.getresponse()
        return response.status, response.read()

    def ask(self, operation, values):
        """Returns the response's values, and its bytes."""
        # A new connection, because the server would close one that was idle for long.
        connection = self.connect()
        status, data = self.send(connection, self.request(operation, values))
        connection.close()
        if status not in (200, 201):
            raise SystemExit(f'{self.name}, {operation}: {status} {data[:500]!r}')
        return self.read(operation, json.loads(data)), data


class Service(Server):
    success = '"userErrors":[]'

    def __init__(self, name, binary, url, flags, folder):
        super().__init__(name, [
            binary, '--listen', '127.0.0.1:0', '--database-url', url, '--log', 'warn', '--max-per-user', '1000000000', *flags,
        ], folder)
        self.url = url

    def request(self, operation, values):
        if operation == 'search':
            variables = {'search': values['word']}
        elif operation == 'by-id':
            variables = {'id': values['id']}
        elif operation == 'mutation':
            variables = {'input': values['new']}
        else:
            variables = {'filter': FILTER, 'first': values.get('first', 20)}
            if 'place' in values:
                variables['after'] = self.cursors[values['place']]
        body = json.dumps({'query': DOCUMENTS[operation], 'variables': variables})
        return 'POST', '/graphql', values.get('token', ''), body

    @staticmethod
    def read(operation, answer):
        if 'errors' in answer:
            raise SystemExit(f'{operation}: {json.dumps(answer["errors"])[:500]}')
        data = answer['data']
        if operation == 'mutation':
            outcome = data['createCustomConnector']
            assert outcome['userErrors'] == [], outcome
            return {'nodes': [published(outcome['personalConnector'])]}
        if operation == 'by-id':
            return {'nodes': [published(data['personalConnector'])]}
        connection = data['personalConnectors']
        return page({**connection, 'nodes': [published(node) for node in connection['nodes']]})


class Rest(Server):
    success = '"pcon_'

    def __init__(self, binary, url, folder):
        super().__init__('REST on sqlx', [binary, url], folder)
        self.url = url

    def request(self, operation, values):
        if operation == 'by-id':
            return 'GET', f'/connectors/{values["id"]}', '', ''
        if operation == 'mutation':
            return 'POST', '/connectors', '', json.dumps({'user': values['user'], **values['new']})
        if operation == 'search':
            query = {'search': values['word']}
        else:
            query = {'category': 'development', 'status': 'active', 'first': values.get('first', 20)}
            if 'place' in values:
                query['after'] = self.cursors[values['place']]
            if operation == 'totals':
                query['counts'] = 'yes'
        return 'GET', f'/connectors?{urllib.parse.urlencode(query)}', '', ''

    @staticmethod
    def read(operation, answer):
        return {'nodes': [answer]} if operation in ('by-id', 'mutation') else page(answer)


class EmbeddedRest(Rest):
    """REST on rusqlite, within the server's process. It only reads."""

    success = None

    def __init__(self, binary, url, folder):
        Server.__init__(self, 'REST on rusqlite', [binary, '--embedded', url], folder)
        self.url = url


class Fixed(Server):
    """The REST endpoint's program, which sends the same bytes each time."""

    def __init__(self, binary, data, folder):
        file = folder / 'fixed.json'
        file.write_bytes(data)
        super().__init__('fixed bytes', [binary, '--fixed', file], folder)

    def request(self, operation, values):
        return 'GET', '/fixed', '', ''


def page(connection):
    return {
        'nodes': connection['nodes'],
        'more': connection['pageInfo']['hasNextPage'],
        'cursor': connection['pageInfo']['endCursor'],
        'total': connection.get('totalCount'),
        'facets': counted(connection.get('facets')),
    }


def published(node):
    """Returns a connector with the values of enums in the form of REST."""
    return {key: value.lower() if key in PUBLISHED_AS_LOWER_CASE and value else value for key, value in node.items()}


def counted(facets):
    """Returns the counts by dimension and value, without values that no connector has."""
    if facets is None:
        return None
    return {dimension: {(count['value'] or '').lower(): count['count'] for count in counts if count['count']}
            for dimension, counts in facets.items()}
