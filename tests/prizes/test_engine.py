"""The engine agrees with the verifier on every roll, however the totals are split into shards."""

import hashlib
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prizes import engine
from prizes.core import merkle, verify
from prizes.core.roll import build_roll, iterate_runs, pack_total
from prizes.core.tickets import TicketTable
from tests.prizes.draws import TABLE, failed, make_viewers, run_draw, write_shards
from tests.prizes.draws import verify as check

KEY = hashlib.sha256(b"key").digest()
pseudonyms = st.binary(min_size=14, max_size=14) | st.sampled_from(
    [bytes(14), bytes(13) + b"\1", b"a" + bytes(13), b"a" * 13 + b"\0", b"\xff" * 14]
)
crowds = st.dictionaries(pseudonyms, st.integers(0, 130) | st.just(0xFFFFFFFF), max_size=40)


def write_roll(folder, size, tmax=3):
    """Write a roll of this many entries, tickets 1 .. tmax in turn."""
    names = sorted(hashlib.sha256(f"{n}".encode()).digest()[:14] for n in range(size))
    path = folder / f"roll-{size}.bin"
    path.write_bytes(build_roll([(name, n % tmax + 1) for n, name in enumerate(names)], bytes(32), tmax))
    return path


def simple_ranking(roll, key):
    """Every score of the roll by the verifier's own AES, sorted in the plainest way."""
    cipher, best = verify.Aes256(key), []
    for index, (name, tickets) in enumerate(struct.iter_unpack(">14sH", roll[64:])):
        scores = [(cipher.encrypt(name + struct.pack(">H", j)), j, index, name) for j in range(tickets)]
        best.append((*min(scores), tickets))
    return sorted(best)


def as_simple(ranked):
    return [(row.score, row.ticket, row.index, row.pseudonym, row.tickets) for row in ranked]


@settings(max_examples=60, deadline=None)
@given(viewers=crowds, data=st.data(), prizes=st.integers(1, 4))
def test_a_draw_over_any_split_holds_in_the_verifier(tmp_path_factory, viewers, data, prizes):
    folder = tmp_path_factory.mktemp("draw")
    cuts = data.draw(st.lists(st.integers(0, len(viewers)), max_size=5))
    some = st.sets(st.sampled_from(sorted(viewers)), max_size=5) if viewers else st.just(set())
    excluded, won = frozenset(data.draw(some)), dict.fromkeys(data.draw(some), "draw-0")
    drawn = run_draw(folder, viewers, prizes=prizes, excluded=excluded, prior_wins=won, cuts=cuts)
    assert failed(check(drawn)) == set()
    assert (
        drawn.encoded == run_draw(folder, viewers, prizes=prizes, excluded=excluded, prior_wins=won).encoded
    )


def test_roots_and_proofs_hold_at_every_size_around_the_leaf_edges(tmp_path):
    for size in range(601):
        path = write_roll(tmp_path, size)
        leaves = [merkle.leaf_hash(run) for run in iterate_runs(path.read_bytes()[64:])]
        top = merkle.root(leaves)
        assert len(leaves) == -(-size // 256)
        for leaf, proof in engine.prove_entries(path, range(size)).items():
            assert merkle.check_inclusion(leaves[leaf], leaf, len(leaves), proof, top)


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 511, 512, 513, 600])
def test_roll_files_agree_with_the_simple_roll_at_the_leaf_edges(tmp_path, size):
    viewers = {name: 10 + total for name, total in make_viewers(size).items()}
    table, shards = TicketTable(TABLE), write_shards(tmp_path, viewers, [size // 3, size // 2])
    roll, totals = tmp_path / "roll.bin", tmp_path / "totals.bin"
    summary = engine.assemble_roll(shards, table, set(), bytes(32), roll, totals)
    entries = [(name, table.tickets_for(total)) for name, total in viewers.items()]
    assert roll.read_bytes() == build_roll(entries, bytes(32), 3)
    assert totals.read_bytes() == b"".join(path.read_bytes() for path in shards)
    assert summary.totals_digest == hashlib.sha256(totals.read_bytes()).digest()
    assert (summary.entries, summary.viewers) == (size, size)
    assert (summary.shakes, summary.tickets) == (sum(viewers.values()), sum(t for _, t in entries))


@pytest.mark.parametrize("chunk", [1, 7, 256])
@pytest.mark.parametrize("count", [0, 1, 5, 40, 1000])
def test_the_ranking_is_the_simple_one_whatever_the_chunks(tmp_path, monkeypatch, chunk, count):
    monkeypatch.setattr(engine, "ENTRIES_PER_CHUNK", chunk)
    monkeypatch.setattr(engine, "BLOCKS_PER_CHUNK", chunk)
    path = write_roll(tmp_path, 60, tmax=9)
    expected = simple_ranking(path.read_bytes(), KEY)[:count]
    assert as_simple(engine.rank_roll(path, KEY, count)) == expected


def test_one_viewer_with_the_most_tickets_is_ranked_once(tmp_path):
    path = tmp_path / "roll.bin"
    path.write_bytes(build_roll([(b"A" * 14, 65535), (b"B" * 14, 1)], bytes(32), 65535))
    assert as_simple(engine.rank_roll(path, KEY, 5)) == simple_ranking(path.read_bytes(), KEY)


def test_the_audit_sample_is_the_smallest_of_a_ticket_nobody_has(tmp_path):
    path = write_roll(tmp_path, 50)
    cipher = verify.Aes256(KEY)
    names = [name for name, _ in struct.iter_unpack(">14sH", path.read_bytes()[64:])]
    expected = sorted((cipher.encrypt(name + b"\xff\xff"), name) for name in names)[:7]
    sample = engine.audit_sample(path, KEY, 7)
    assert [(row.score, row.pseudonym) for row in sample] == expected
    assert {row.ticket for row in sample} == {0xFFFF}


def test_excluded_viewers_stay_in_the_totals_and_out_of_the_roll(tmp_path):
    viewers = {bytes(14): 100, b"a" + bytes(13): 100, b"b" * 14: 9, b"c" * 14: 100}
    drawn = run_draw(tmp_path, viewers, excluded=frozenset([bytes(14)]))
    assert [drawn.roll[at : at + 14] for at in (64, 80)] == [b"a" + bytes(13), b"c" * 14]
    assert (len(drawn.roll), len(drawn.totals)) == (96, 72)


@pytest.mark.parametrize("names", [[b"b", b"a"], [b"a", b"a"], [b"a", b"c", b"b"]])
@pytest.mark.parametrize("split", [True, False])
def test_totals_out_of_order_are_refused_and_no_file_is_left(tmp_path, names, split):
    rows = [pack_total(name * 14, 50) for name in names]
    folder = tmp_path / "out"
    folder.mkdir()
    shards = rows if split else [b"".join(rows)]
    paths = [tmp_path / f"{number}" for number in range(len(shards))]
    for path, data in zip(paths, shards, strict=True):
        path.write_bytes(data)
    with pytest.raises(ValueError, match="strictly increasing"):
        engine.assemble_roll(paths, TicketTable(TABLE), set(), bytes(32), folder / "roll", folder / "totals")
    assert list(folder.iterdir()) == []


def test_a_cut_shard_and_a_cut_roll_are_refused(tmp_path):
    (tmp_path / "shard").write_bytes(pack_total(b"a" * 14, 50)[:-1])
    with pytest.raises(ValueError, match="cut"):
        engine.assemble_roll(
            [tmp_path / "shard"], TicketTable(TABLE), set(), bytes(32), tmp_path / "roll", tmp_path / "totals"
        )
    path = write_roll(tmp_path, 3)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="expected 3 entries"):
        engine.rank_roll(path, KEY, 1)


def test_a_viewer_is_found_in_the_roll_or_known_to_be_absent(tmp_path):
    path = write_roll(tmp_path, 300)
    body = path.read_bytes()[64:]
    names = [name for name, _ in struct.iter_unpack(">14sH", body)]
    assert [engine.find_entry(path, name) for name in names] == list(range(300))
    assert {engine.find_entry(path, absent) for absent in (bytes(14), b"\xff" * 14, b"\x80" * 14)} == {None}
    assert engine.read_run(path, 0) + engine.read_run(path, 1) == body


def test_more_tickets_win_more_often_in_proportion(tmp_path):
    """Of 4,000 draws 1 ticket against 3 wins 1,000; 27 is one standard deviation."""
    path = tmp_path / "roll.bin"
    path.write_bytes(build_roll([(b"A" * 14, 1), (b"B" * 14, 3)], bytes(32), 3))
    keys = [hashlib.sha256(struct.pack(">I", n)).digest() for n in range(4000)]
    wins = np.bincount([engine.rank_roll(path, key, 1)[0].index for key in keys])
    assert abs(int(wins[0]) - 1000) < 4 * 27
