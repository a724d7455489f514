"""The engine agrees with the plainest implementation on every roll, however it is split into shards and ranges."""

import hashlib
import struct
from itertools import pairwise

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from engagement.ledger.core import merkle
from prizes import engine
from prizes.core.digests import roll_digest
from prizes.core.roll import build_roll, iterate_entries, iterate_runs, pack_entry, pack_total
from prizes.core.tickets import TicketTable
from prizes.engine import ranking, rolls, streams, totals, tree
from tests.prizes.draws import TABLE, failed, make_viewers, prove, run_draw, write_shards
from tests.prizes.draws import verify as check

KEY = hashlib.sha256(b"key").digest()
RULES = hashlib.sha256(b"rules").digest()
pseudonyms = st.binary(min_size=14, max_size=14) | st.sampled_from(
    # the same beginnings of all lengths, zeros at the end, both ends of the range
    [bytes(14), bytes(13) + b"\1", bytes(7) + b"\1" * 7, b"a" + bytes(13), b"a" * 13 + b"\0", b"\xff" * 14]
)
crowds = st.dictionaries(pseudonyms, st.integers(0, 130) | st.just(0xFFFFFFFF), max_size=40)


@pytest.fixture
def tiny(monkeypatch):
    """Every buffer so small that a few rows go every way that millions would."""
    for module, name, value in [
        (totals, "BUCKET_ROWS", 2),
        (totals, "MEMORY_ROWS", 5),
        (totals, "MAX_FILES", 3),
        (totals, "CHUNK_ROWS", 4),
        (totals, "SAMPLES", 2),
        (totals, "SAMPLE_ROWS", 2),
        (rolls, "CHUNK_ROWS", 3),
        (rolls, "COPY_BYTES", 4096),
        (ranking, "CHUNK_ENTRIES", 3),
        (tree, "CHUNK_BYTES", 64),
    ]:
        monkeypatch.setattr(module, name, value)


def names_of(count):
    return sorted(hashlib.sha256(f"{number}".encode()).digest()[:14] for number in range(count))


def write_roll(folder, size, tmax=3):
    """Write a roll of this many entries, tickets 1 .. tmax in turn."""
    path = folder / f"roll-{size}.bin"
    entries = [(name, number % tmax + 1) for number, name in enumerate(names_of(size))]
    path.write_bytes(build_roll(entries, bytes(32), tmax))
    return path


def write_totals(path, rows):
    path.write_bytes(b"".join(pack_total(name, total) for name, total in rows))
    return path


def write_part(path, rows):
    path.write_bytes(b"".join(pack_entry(name, tickets) for name, tickets in rows))
    return path


def simple_ranking(roll, key):
    """Every score of the roll, one block at a time, sorted in the plainest way."""
    cipher, best = Cipher(algorithms.AES(key), modes.ECB()).encryptor(), []
    for index, (name, tickets) in enumerate(iterate_entries(roll[64:])):
        scores = [(cipher.update(name + struct.pack(">H", j)), j, index, name) for j in range(tickets)]
        best.append((*min(scores), tickets))
    return sorted(best)


def as_simple(ranked):
    return [(row.score, row.ticket, row.index, row.pseudonym, row.tickets) for row in ranked]


def sort_all(folder, rows):
    """Sort these rows as one shard; return the bytes of the sorted file and its summary."""
    summary = engine.sort_shard(write_totals(folder / "raw", rows), folder / "sorted")
    return (folder / "sorted").read_bytes(), summary


# --- whole draws ---


@settings(max_examples=60, deadline=None)
@given(viewers=crowds, data=st.data(), prizes=st.integers(1, 4))
def test_a_draw_over_any_split_holds_in_the_verifier(tmp_path_factory, viewers, data, prizes):
    folder = tmp_path_factory.mktemp("draw")
    cuts = data.draw(st.lists(st.integers(0, len(viewers)), max_size=5))
    some = st.sets(st.sampled_from(sorted(viewers)), max_size=5) if viewers else st.just(set())
    excluded, won = frozenset(data.draw(some)), dict.fromkeys(data.draw(some), "draw-0")
    draw = {"prizes": prizes, "beacon": "dice", "excluded": excluded, "prior_wins": won}
    drawn = run_draw(folder, viewers, cuts=cuts, **draw)
    assert failed(check(drawn)) == set()
    assert drawn.encoded == run_draw(folder, viewers, **draw).encoded


@settings(max_examples=60, deadline=None)
@given(viewers=crowds, data=st.data())
def test_any_shards_make_the_simple_roll(tmp_path_factory, viewers, data):
    folder = tmp_path_factory.mktemp("roll")
    rows, table = data.draw(st.permutations(sorted(viewers.items()))), TicketTable(TABLE)
    bounds = [0, *sorted(data.draw(st.lists(st.integers(0, 256), max_size=4))), 256]
    excluded = data.draw(st.sets(pseudonyms, max_size=9))
    parts, counted = [], []
    for number, (low, high) in enumerate(pairwise(bounds)):
        raw = write_totals(folder / f"raw-{number}", [row for row in rows if low <= row[0][0] < high])
        engine.sort_shard(raw, folder / f"totals-{number}")
        parts.append(folder / f"part-{number}")
        counted.append(engine.count_shard(folder / f"totals-{number}", table, excluded, parts[-1]))
    summary = engine.join_roll(parts, RULES, table.tmax, folder / "roll", folder / "tree")
    tickets = {name: table.tickets_for(total) for name, total in viewers.items() if name not in excluded}
    expected = build_roll([row for row in tickets.items() if row[1]], RULES, table.tmax)
    assert (folder / "roll").read_bytes() == expected
    assert summary.entries == sum(part.entries for part in counted) == sum(map(bool, tickets.values()))
    assert summary.tickets == sum(part.tickets for part in counted) == sum(tickets.values())
    assert summary.classes == {n: list(tickets.values()).count(n) for n in (1, 2, 3) if n in tickets.values()}


# --- totals ---


@pytest.mark.parametrize("shape", ["random", "one first byte", "one first half", "one but for the end"])
@pytest.mark.parametrize("order", ["shuffled", "sorted", "backwards"])
@pytest.mark.parametrize("rows", [0, 1, 2, 5, 6, 40, 300])
def test_a_shard_of_any_shape_is_sorted_in_tiny_memory(tmp_path, tiny, shape, order, rows):
    same = {"random": 0, "one first byte": 1, "one first half": 7, "one but for the end": 12}[shape]
    names = sorted({bytes(same) + name[: 14 - same] for name in names_of(rows)})
    shuffled = sorted(names, key=lambda name: hashlib.sha256(name).digest())
    given_order = {"shuffled": shuffled, "sorted": names, "backwards": names[::-1]}[order]
    data, summary = sort_all(tmp_path, [(name, 7 + name[13]) for name in given_order])
    assert data == b"".join(pack_total(name, 7 + name[13]) for name in names)
    shakes = sum(7 + name[13] for name in names)
    assert summary == (len(names), shakes, hashlib.sha256(data).digest())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw", "sorted"]


def test_buckets_that_the_sample_has_misjudged_are_spread_again(tmp_path, tiny):
    """The first rows agree in twelve bytes, and so do most of the others: no single cut makes them small."""
    rows = [bytes(12) + struct.pack(">H", n) for n in range(64)] + names_of(9)
    data, summary = sort_all(tmp_path, [(name, 1) for name in rows[::-1]])
    assert data == b"".join(pack_total(name, 1) for name in sorted(rows))
    assert summary.viewers == 73


def test_a_large_shard_is_sorted_as_the_small_ones_are(tmp_path):
    names = np.random.default_rng(3).integers(0, 256, (300_000, 14), np.uint8)
    rows = [(name.tobytes(), 5) for name in names]
    data, _ = sort_all(tmp_path, rows)
    assert data == b"".join(pack_total(*row) for row in sorted(rows))


@pytest.mark.parametrize("copies", [2, 30])
@pytest.mark.parametrize("others", [0, 1, 60])
def test_a_pseudonym_that_stands_twice_is_refused(tmp_path, tiny, copies, others):
    rows = [(b"twice" * 2 + b"zwei", number) for number in range(copies)]
    with pytest.raises(ValueError, match="each pseudonym once"):
        sort_all(tmp_path, rows + [(name, 1) for name in names_of(others)])
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_a_pseudonym_that_stands_twice_is_refused_in_large_buckets_too(tmp_path):
    with pytest.raises(ValueError, match=f"got {bytes(14).hex()} twice"):
        sort_all(tmp_path, [(bytes(14), 1), (b"a" * 14, 1), (bytes(14), 2)])


def test_cut_rows_are_refused_everywhere_and_no_file_is_left(tmp_path):
    (tmp_path / "cut").write_bytes(pack_total(b"a" * 14, 50)[:-1])
    cut, out, table = tmp_path / "cut", tmp_path / "out", TicketTable(TABLE)
    for step in (
        lambda: engine.sort_shard(cut, out),
        lambda: engine.join_totals([cut], out),
        lambda: engine.count_shard(cut, table, [], out),
        lambda: engine.join_roll([cut], RULES, 3, out, tmp_path / "tree"),
    ):
        with pytest.raises(ValueError, match="got a cut one"):
            step()
    assert [path.name for path in tmp_path.iterdir()] == ["cut"]


@pytest.mark.parametrize("names", [[b"b", b"a"], [b"a", b"a"], [b"a", b"c", b"b"], [b"a", b"b", b"b"]])
@pytest.mark.parametrize("split", [True, False])
def test_rows_out_of_order_are_refused_and_no_file_is_left(tmp_path, names, split):
    groups = [[name] for name in names] if split else [names]
    shards, parts = [], []
    for number, group in enumerate(groups):
        shards.append(write_totals(tmp_path / f"totals-{number}", [(name * 14, 50) for name in group]))
        parts.append(write_part(tmp_path / f"part-{number}", [(name * 14, 2) for name in group]))
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(ValueError, match="strictly increasing"):
        engine.join_totals(shards, out / "totals")
    with pytest.raises(ValueError, match="strictly increasing"):
        engine.join_roll(parts, RULES, 3, out / "roll", out / "tree")
    if not split:
        with pytest.raises(ValueError, match="strictly increasing"):
            engine.count_shard(shards[0], TicketTable(TABLE), [], out / "part")
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("first", range(14))
def test_the_order_is_that_of_all_fourteen_bytes(tmp_path, first):
    low, high = bytearray(14), bytearray(14)
    low[first], high[first] = 127, 128
    low[first + 1 :] = b"\xff" * (13 - first)
    rows = [(bytes(low), 1), (bytes(high), 1)]
    assert sort_all(tmp_path, rows[::-1])[0] == b"".join(pack_total(*row) for row in rows)
    assert engine.join_totals([tmp_path / "sorted"], tmp_path / "all").viewers == 2
    with pytest.raises(ValueError, match="strictly increasing"):
        engine.join_totals([write_totals(tmp_path / "wrong", rows[::-1])], tmp_path / "all")


def test_joined_totals_are_the_shards_one_after_the_other(tmp_path):
    viewers = make_viewers(50)
    shards = write_shards(tmp_path, viewers, [0, 20, 20])
    summary = engine.join_totals(shards, tmp_path / "totals")
    data = (tmp_path / "totals").read_bytes()
    assert data == b"".join(path.read_bytes() for path in shards)
    assert summary == (50, sum(viewers.values()), hashlib.sha256(data).digest())


# --- rolls ---


@pytest.mark.parametrize(
    "rows", [[[1, 65535]], TABLE, [[5, 3], [1 << 20, 9]], [[5, 3], [(1 << 20) + 1, 9], [0xFFFFFFFF, 65535]]]
)
def test_every_total_has_the_tickets_of_the_table(tmp_path, rows):
    table = TicketTable(rows)
    edges = sorted({0, 0xFFFFFFFF} | {edge + step for edge, _ in rows for step in (-1, 0, 1)} - {1 << 32})
    names = names_of(len(edges))
    engine.count_shard(
        write_totals(tmp_path / "t", zip(names, edges, strict=True)), table, [], tmp_path / "p"
    )
    expected = [(name, table.tickets_for(edge)) for name, edge in zip(names, edges, strict=True)]
    assert list(iterate_entries((tmp_path / "p").read_bytes())) == [row for row in expected if row[1]]


def test_excluded_viewers_stay_in_the_totals_and_out_of_the_roll(tmp_path):
    viewers = {bytes(14): 100, b"a" + bytes(13): 100, b"b" * 14: 9, b"c" * 14: 100}
    drawn = run_draw(tmp_path, viewers, excluded=frozenset([bytes(14)]))
    assert [drawn.roll[at : at + 14] for at in (64, 80)] == [b"a" + bytes(13), b"c" * 14]
    assert (len(drawn.roll), len(drawn.totals)) == (96, 72)


@pytest.mark.parametrize("every", [1, 2, 7])
def test_many_excluded_are_found_in_every_chunk(tmp_path, tiny, every):
    names = names_of(50)
    shard = write_totals(tmp_path / "totals", [(name, 10) for name in names])
    excluded = {*names[::every], bytes(14), b"\xff" * 14}
    summary = engine.count_shard(shard, TicketTable(TABLE), excluded, tmp_path / "part")
    left = [name for name in names if name not in excluded]
    assert (tmp_path / "part").read_bytes() == b"".join(pack_entry(name, 1) for name in left)
    assert summary == (len(left), len(left), {1: len(left)} if left else {})


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 511, 512, 513, 600])
def test_roll_files_agree_with_the_simple_roll_at_the_leaf_edges(tmp_path, tiny, size):
    rows = [(name, number % 3 + 1) for number, name in enumerate(names_of(size))]
    parts = [write_part(tmp_path / "a", rows[: size // 3]), write_part(tmp_path / "b", rows[size // 3 :])]
    summary = engine.join_roll(parts, RULES, 3, tmp_path / "roll", tmp_path / "tree")
    roll = build_roll(rows, RULES, 3)
    top = merkle.root(map(merkle.leaf_hash, iterate_runs(roll[64:])))
    assert (tmp_path / "roll").read_bytes() == roll
    assert summary[2:5] == (roll[:64], top, roll_digest(roll[:64], top))
    assert summary[:2] == (size, sum(tickets for _, tickets in rows))


@pytest.mark.parametrize("tickets", [0, 4, 65535])
def test_tickets_that_the_table_does_not_have_are_refused(tmp_path, tickets):
    part = write_part(tmp_path / "part", [(b"a" * 14, 3), (b"b" * 14, tickets)])
    with pytest.raises(ValueError, match=r"1 \.\. 3 tickets"):
        engine.join_roll([part], RULES, 3, tmp_path / "roll", tmp_path / "tree")


@pytest.mark.parametrize("lost", [False, True])
def test_roots_and_proofs_hold_at_every_size_around_the_leaf_edges(tmp_path, tiny, lost):
    roll, tree = tmp_path / "roll", tmp_path / "tree"
    for size in [*range(0, 2600, 128), 255, 257, 4097]:
        part = write_part(tmp_path / "part", [(name, 1) for name in names_of(size)])
        summary = engine.join_roll([part], RULES, 3, roll, tree)
        if lost:
            tree.unlink()
            assert engine.make_tree(roll, tree) == summary.root
        leaves = [merkle.leaf_hash(run) for run in iterate_runs(roll.read_bytes()[64:])]
        proofs = prove(tree, size, range(size))
        assert list(proofs) == list(range(-(-size // 256)))
        for leaf, proof in proofs.items():
            assert proof == merkle.inclusion_proof(leaves, leaf)
            assert merkle.check_inclusion(leaves[leaf], leaf, len(leaves), proof, summary.root)


@pytest.mark.parametrize("index", [-1, 512])
def test_there_is_no_proof_for_an_entry_that_is_not_there(tmp_path, index):
    engine.make_tree(write_roll(tmp_path, 300), tmp_path / "tree")
    with pytest.raises(ValueError, match=r"a leaf of 0 \.\. 1"):
        prove(tmp_path / "tree", 300, [0, index])


# --- rankings ---


@pytest.mark.parametrize("chunk", [1, 7, 256])
@pytest.mark.parametrize("count", [0, 1, 5, 40, 1000])
def test_the_ranking_is_the_simple_one_whatever_the_chunks(tmp_path, monkeypatch, chunk, count):
    monkeypatch.setattr(ranking, "CHUNK_ENTRIES", chunk)
    path = write_roll(tmp_path, 60, tmax=9)
    expected = simple_ranking(path.read_bytes(), KEY)[:count]
    assert as_simple(engine.rank_roll(path, KEY, count)) == expected


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(0, 60),
    tmax=st.integers(1, 90),
    count=st.integers(0, 70),
    cuts=st.lists(st.integers(0, 60), max_size=6),
)
def test_any_split_into_ranges_gives_the_same_ranking(tmp_path_factory, size, tmax, count, cuts):
    path = write_roll(tmp_path_factory.mktemp("roll"), size, tmax)
    edges = [0, *sorted(cuts), 99]
    ranges = list(pairwise(edges))
    for rank in (engine.rank_roll, engine.audit_sample):
        parts = [rank(path, KEY, count, start, stop) for start, stop in reversed(ranges)]
        assert engine.merge_rankings(parts, count) == rank(path, KEY, count)
    assert as_simple(engine.rank_roll(path, KEY, count)) == simple_ranking(path.read_bytes(), KEY)[:count]


def test_a_range_that_was_ranked_twice_is_noticed(tmp_path):
    part = engine.rank_roll(write_roll(tmp_path, 9), KEY, 3)
    with pytest.raises(ValueError, match="an entry twice"):
        engine.merge_rankings([part, part[1:]], 3)


@pytest.mark.parametrize(("chunk", "many"), [(2, 65), (1000, 65535), (1 << 15, 65535)])
def test_viewers_with_the_most_tickets_are_ranked_among_the_others(tmp_path, monkeypatch, chunk, many):
    monkeypatch.setattr(ranking, "CHUNK_ENTRIES", chunk)
    path = tmp_path / "roll.bin"
    entries = zip(names_of(7), [65535, 1, 3, many // 2, 2, many, 1], strict=True)
    path.write_bytes(build_roll(entries, bytes(32), 65535))
    assert as_simple(engine.rank_roll(path, KEY, 5)) == simple_ranking(path.read_bytes(), KEY)[:5]


def test_the_audit_sample_is_the_smallest_of_a_ticket_nobody_has(tmp_path):
    path = write_roll(tmp_path, 50)
    cipher = Cipher(algorithms.AES(KEY), modes.ECB()).encryptor()
    names = [name for name, _ in iterate_entries(path.read_bytes()[64:])]
    expected = sorted((cipher.update(name + b"\xff\xff"), name) for name in names)[:7]
    sample = engine.audit_sample(path, KEY, 7)
    assert [(row.score, row.pseudonym) for row in sample] == expected
    assert {row.ticket for row in sample} == {0xFFFF}


def test_a_roll_that_is_not_whole_is_refused(tmp_path):
    path = write_roll(tmp_path, 3)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="expected 3 entries"):
        engine.rank_roll(path, KEY, 1)


# --- progress ---


def test_progress_is_told_now_and_then_and_at_the_end(tmp_path, tiny, monkeypatch):
    told = []
    path = write_roll(tmp_path, 20)
    engine.rank_roll(path, KEY, 1, 5, progress=lambda *done: told.append(done))
    assert told == [(15, 15)]  # it took no time
    monkeypatch.setattr(streams, "PROGRESS_S", 0)
    engine.rank_roll(path, KEY, 1, progress=lambda *done: told.append(done))
    assert told[1:] == [(done, 20) for done in (3, 6, 9, 12, 15, 18, 20, 20)]


def test_progress_of_a_roll_counts_its_entries(tmp_path):
    told = []
    part = write_part(tmp_path / "part", [(name, 1) for name in names_of(20)])
    engine.join_roll([part], RULES, 3, tmp_path / "roll", tmp_path / "tree", lambda *done: told.append(done))
    assert told == [(20, 20)]
