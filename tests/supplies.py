"""What the shipped image is built from: its lock, the vault in the cache, and this machine's archives to fill it."""

from __future__ import annotations

import os
from pathlib import Path

from builder.definition.lock import load_lock
from builder.definition.mirror import find_mirror
from builder.mkosi.cache import find_cache
from builder.vault.places import archive_sources
from builder.vault.store import Vault
from builder.vault.supply import Supply

IMAGE = Path(__file__).parents[1] / "images/inference-node"


def shipped_supply() -> Supply:
    lock = load_lock(IMAGE)
    sources = archive_sources(lock, find_mirror(None, os.environ, None), None)
    return Supply(lock, Vault(find_cache(os.environ).directory / "vault"), sources)
