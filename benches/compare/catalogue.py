"""The connectors of the catalogue: random, and the same in every run."""
import hashlib
import inspect
import json
import random
from datetime import datetime, timedelta, timezone

from .common import CACHE, ROOT, SEED


def objects(count, seed):
    """Connectors in the published form. Of those in development a few in ten are active and public."""
    letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'
    common = (  # Each in about 3 % of the connectors.
        'calendar mail issue deploy metric figma sketch ticket review budget meeting schedule pipeline cluster schema contact wiki '
        'board sprint release invoice survey gallery palette font prompt agent vector').split()
    rare = 'quasar obelisk zephyr lichen halyard tundra'.split()  # Each in about 0.1 %.
    others = (
        'connects your workspace to the team and keeps records in sync with every change that people make so nothing is lost when '
        'you move between tools or hand work over').split()
    chance = random.Random(seed)
    created = None
    for number in range(count):
        word = chance.choice(common)
        words = chance.sample(others, 20)
        words.insert(chance.randrange(20), word)
        if chance.random() < 0.006:
            words.insert(chance.randrange(20), chance.choice(rare))
        # A hundredth are as old as the one before, so that order needs ids.
        if created is None or chance.random() > 0.01:
            created = datetime(2024, 1, 1, tzinfo=timezone.utc) + timedelta(
                seconds=chance.randrange(600 * 86400), microseconds=chance.randrange(10**6))
        updated = created + timedelta(seconds=chance.randrange(1, 30 * 86400), microseconds=chance.randrange(10**6))
        kind = chance.choices(['official', 'aitronos_built', 'custom'], [2, 1, 3])[0]
        connector = {
            'id': 'pcon_' + ''.join(chance.choices(letters, k=12)),
            'object': 'personal_connector',
            'name': f'{word.title()} {chance.choice(others).title()} {number}',
            'type': kind,
            'connectorId': 'custom_mcp' if kind == 'custom' else f'conn{number:06}',
            'description': ' '.join(words)[:118].strip() + '.',
            'category': chance.choice(['productivity', 'development', 'communication', 'design', 'custom']),
            'version': f'{chance.randrange(1, 5)}.{chance.randrange(20)}.{chance.randrange(10)}',
            'status': chance.choices(['active', 'deprecated', 'maintenance'], [85, 10, 5])[0],
            'serverUrl': f'https://mcp-{number % 313}.example.com/v1/{word}',
            'serverType': chance.choice(['http', 'websocket']),
            'metadata': {
                'transport': chance.choice(['sse', 'http', 'stdio']), 'region': chance.choice(['eu-central', 'us-east']),
                'tools': chance.randrange(1, 40), 'tags': chance.sample(common, 3),
                'auth': {'kind': 'oauth2', 'scopes': ['read', 'write']}, 'rev': chance.randrange(1, 900)},
            'createdAt': created.isoformat().replace('+00:00', 'Z'),
            'updatedAt': updated.isoformat().replace('+00:00', 'Z'),
        }
        if chance.random() < 0.9:
            connector['iconUrl'] = f'https://cdn.example.com/icons/{word}-{number % 50}.svg'
        if kind == 'custom':
            connector['createdBy'] = 'usr_' + ''.join(chance.choices(letters, k=10))
            # Most are everybody's, so that a scan meets some that are not.
            connector['visibility'] = chance.choices(['public', 'organization', 'private'], [7, 2, 1])[0]
        yield connector


def objects_key(count):
    """Returns a key that changes with the connectors."""
    return hashlib.sha256(f'{inspect.getsource(objects)}{SEED} {count}'.encode()).hexdigest()[:12]


def objects_file(count):
    """Returns a file of the connectors for `import`, and writes it the first time."""
    file = CACHE / f'objects-{count}-{objects_key(count)}.jsonl'
    if not file.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        making = file.with_suffix('.making')
        with open(making, 'w') as out:
            out.writelines(json.dumps(connector, separators=(',', ':')) + '\n' for connector in objects(count, SEED))
        making.rename(file)
    return file


def public_ids(count, most):
    """Returns a random sample of the public connectors' ids."""
    with open(objects_file(count)) as lines:
        connectors = map(json.loads, lines)
        ids = [connector['id'] for connector in connectors if connector.get('visibility', 'public') == 'public']
    return random.Random(SEED).sample(ids, min(most, len(ids)))


def database_key(count):
    """Returns a key that changes with the connectors and with the database's schema."""
    files = sorted((ROOT / 'migration/src').rglob('*.rs'))
    sources = b''.join(file.read_bytes() for file in files)
    return f'{count}-{objects_key(count)}-{hashlib.sha256(sources).hexdigest()[:8]}'
