"""The table's lines."""
import math
import statistics

COLUMNS = ['', 'requests/s', 'of rounds', 'p50 ms', 'p99 ms', 'CPU µs', 'PostgreSQL µs']


def head(title, ratios):
    columns = COLUMNS + ratios
    print(f'\n{title}\n\n| {" | ".join(columns)} |\n|{"---|" * len(columns)}', flush=True)


def heading(title, ratios):
    print(f'| *{title}* |' + ' |' * (len(COLUMNS) + len(ratios) - 1))


def line(name, rounds, *ratios):
    rates = sorted(result.rate for result in rounds)
    wrong = sum(result.wrong for result in rounds)
    database = median(rounds, 'database')
    print('| ' + ' | '.join([
        name, f'{statistics.median(rates):,.0f}', f'{rates[0]:,.0f}–{rates[-1]:,.0f}', f'{median(rounds, "p50"):.2f}',
        f'{median(rounds, "p99"):.2f}', f'{median(rounds, "cpu"):.0f}', f'{database:.0f}' if database else '', *ratios,
    ]) + (f' | {wrong} bad' if wrong else '') + ' |', flush=True)


def median(rounds, key):
    values = [getattr(result, key) for result in rounds]
    return None if None in values else statistics.median(values)


def by_rate(rounds, base):
    """Returns the median of the rounds' ratios to the base's rate. Other load affects both sides of a round."""
    return ratio([result.rate for result in rounds], [result.rate for result in base]) if base else ''


def by_cpu(rounds, base):
    """Returns the ratio of the base's CPU time to this one. Empty if the database's CPU time is unknown."""
    if not base or any(result.database is None for result in rounds + base):
        return ''
    spent = [[result.cpu + result.database for result in side] for side in (base, rounds)]
    return ratio(*spent)


def with_goal(ratio, goal):
    """Returns a ratio with its goal, the least allowed value, if both exist."""
    return f'{ratio} (goal {goal})' if ratio and goal else ratio


def ratio(numbers, divisors):
    return f'{statistics.median(a / b if b else math.nan for a, b in zip(numbers, divisors)):.2f}'
