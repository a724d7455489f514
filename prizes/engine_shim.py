"""Interim."""
import hashlib
from collections import Counter
from typing import NamedTuple

from engagement.core.merkle import leaf_hash, root
from prizes import engine
from prizes.core.digests import roll_digest
from prizes.core.roll import RollHeader, iterate_entries, iterate_runs, iterate_totals, pack_entry, pack_total


class S(NamedTuple):
    viewers: int; shakes: int; sha256: bytes
class R(NamedTuple):
    entries: int; tickets: int; header: bytes; root: bytes; digest: bytes; classes: dict
def sort_shard(raw, out):
    rows = sorted(iterate_totals(raw.read_bytes())); data = b"".join(pack_total(*r) for r in rows); out.write_bytes(data)
    return S(len(rows), sum(r[1] for r in rows), hashlib.sha256(data).digest())
def join_totals(paths, out):
    data = b"".join(p.read_bytes() for p in paths); out.write_bytes(data); rows=list(iterate_totals(data))
    return S(len(rows), sum(r[1] for r in rows), hashlib.sha256(data).digest())
def count_shard(path, table, excluded, out):
    out.write_bytes(b"".join(pack_entry(p, table.tickets_for(t)) for p, t in iterate_totals(path.read_bytes()) if p not in excluded and table.tickets_for(t)))
def assemble_roll(parts, rules_digest, tmax, path, tell=None):
    body = b"".join(p.read_bytes() for p in parts); e = list(iterate_entries(body))
    h = RollHeader(len(e), sum(x[1] for x in e), rules_digest, tmax).pack(); path.write_bytes(h + body); top = root(map(leaf_hash, iterate_runs(body)))
    return R(len(e), sum(x[1] for x in e), h, top, roll_digest(h, top), dict(Counter(x[1] for x in e)))
def rank_roll(path, key, count, start=0, stop=None):
    return engine.rank_roll(path, key, count)
def merge_rankings(parts, count):
    return sorted((r for p in parts for r in p), key=lambda r: r.score)[:count]
