"""Paths, constants of a run, and commands."""
import os
import pathlib
import secrets
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get('CARGO_TARGET_DIR', ROOT / 'target'))
BINARY = TARGET / 'release/personal-connectors'
# The folder of files that later runs reuse.
CACHE = TARGET / 'bench'
SEED = 20261122
# Part of the names of this run's databases.
RUN = secrets.token_hex(4)


def log(text):
    print(text, file=sys.stderr, flush=True)


def run(*command, **options):
    """Returns what a command prints. The run ends if the command fails."""
    done = subprocess.run(command, text=True, capture_output=True, **options)
    if done.returncode:
        raise SystemExit(f'{command[0]} failed:\n{done.stdout}{done.stderr}')
    return done.stdout


def build(*arguments):
    """Builds the service's release binary, or the one that the arguments name."""
    subprocess.run(['cargo', 'build', '--release', '--locked', '--quiet', *arguments], cwd=ROOT, check=True)
