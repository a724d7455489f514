"""Signed notes and checkpoints: the known answers of others, and everything that is refused."""

import base64

import pytest

from engagement.ledger.core.checkpoints import (
    Checkpoint,
    VerifierKey,
    format_checkpoint,
    format_vkey,
    open_note,
    parse_checkpoint,
    parse_vkey,
    sign_note,
    verifier_key,
)

# Known answers of golang.org/x/mod/sumdb/note, which C2SP's signed-note took over.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETERS_SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
NOTE = f"""{TEXT}
— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
"""
# The example of C2SP's tlog-checkpoint.
SOFA = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"


def test_we_sign_a_known_note_to_the_byte_and_open_it():
    assert sign_note(TEXT, "PeterNeumann", PETERS_SEED) == NOTE
    assert open_note(NOTE, [parse_vkey(PETER)]) == TEXT
    assert format_vkey(verifier_key("PeterNeumann", PETERS_SEED)) == PETER


def test_no_part_of_a_key_is_a_key():
    parts = [PETER[:end] for end in range(len(PETER))] + [PETER[begin:] for begin in range(1, len(PETER))]
    for part in parts:
        with pytest.raises(ValueError, match=r"expected a key as name\+id"):
            parse_vkey(part)


@pytest.mark.parametrize(
    "text",
    [
        PETER.replace("c74f", "C74F"),
        PETER.replace("+c7", "+d7"),
        "Peter Neumann" + PETER[12:],
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",  # another kind of key
    ],
)
def test_a_key_of_another_form_length_or_kind_is_refused(text: str):
    with pytest.raises(ValueError, match=r"expected a key as name\+id"):
        parse_vkey(text)


def test_a_note_with_any_byte_changed_does_not_open():
    keys = [parse_vkey(PETER)]
    for at, letter in enumerate(NOTE[:-1]):
        other = "\x02" if letter != "\x02" else "a"
        for changed in (other, "b" if letter != "b" else "c"):
            with pytest.raises(ValueError):
                open_note(NOTE[:at] + changed + NOTE[at + 1 :], keys)


def test_the_signature_of_a_witness_beside_ours_is_left_alone():
    witness = sign_note(TEXT, "witness.example", bytes(32)).rpartition("\n\n")[2]
    ours, theirs = parse_vkey(PETER), verifier_key("witness.example", bytes(32))
    for both in (NOTE + witness, NOTE.replace("\n\n", "\n\n" + witness)):
        assert open_note(both, [ours]) == open_note(both, [theirs]) == open_note(both, [ours, theirs]) == TEXT


def test_a_known_key_whose_signature_does_not_hold_spoils_the_note():
    forged = sign_note("Another text.\n", "witness.example", bytes(32)).rpartition("\n\n")[2]
    keys = [parse_vkey(PETER), verifier_key("witness.example", bytes(32))]
    assert open_note(NOTE + forged, keys[:1]) == TEXT
    with pytest.raises(ValueError, match=r"expected a signature of witness\.example over this text"):
        open_note(NOTE + forged, keys)


def test_a_signature_of_another_length_or_of_a_key_that_is_no_point_does_not_hold():
    short = f"{TEXT}\n— PeterNeumann {base64.b64encode(parse_vkey(PETER).key_id + b'short').decode()}\n"
    with pytest.raises(ValueError, match="over this text"):
        open_note(short, [parse_vkey(PETER)])
    nobody = VerifierKey("nobody", b"\xff" * 32)
    line = base64.b64encode(nobody.key_id + bytes(64)).decode()
    with pytest.raises(ValueError, match="over this text"):
        open_note(f"{TEXT}\n— nobody {line}\n", [nobody])


def test_a_note_of_a_stranger_says_who_was_expected_and_who_came():
    with pytest.raises(
        ValueError, match=r"expected a signature of x\+[0-9a-f]{8}, got PeterNeumann\+c74f20a3"
    ):
        open_note(NOTE, [verifier_key("x", bytes(32))])


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n",
        TEXT,
        TEXT + "\n",
        NOTE[:-1],
        NOTE + "\n",
        NOTE.replace("\n\n", "\n"),
        NOTE.replace("— ", "—"),
        NOTE.replace("— ", "- "),
        NOTE.replace("PeterNeumann ", " "),
        NOTE.replace("PeterNeumann ", "Peter+Neumann "),
        NOTE.replace("PeterNeumann ", "Peter\u3000Neumann "),
        NOTE.replace("nAM=", "nAN="),  # base64 of the same bytes in another form
        NOTE.replace("nAM=", "nAM"),
        NOTE.replace("nAM=", "nAM= "),
        NOTE.replace(NOTE.split()[-1], "x08gow=="),  # an id without a signature
        NOTE.replace("\n", "\r\n"),
        "\t" + NOTE,
        "\ud800" + NOTE,
        "a" * 1_000_000 + NOTE,
    ],
)
def test_what_is_no_note_is_refused(note: str):
    with pytest.raises(ValueError, match=r"expected (text, an empty line and signatures|a signature line)"):
        open_note(note, [parse_vkey(PETER)])


def test_a_text_may_have_empty_lines_and_any_alphabet():
    text = "晚会\n\ned è subito sera.\n\n"
    assert open_note(sign_note(text, "n", bytes(32)), [verifier_key("n", bytes(32))]) == text


@pytest.mark.parametrize("text", ["", "no newline", "tab\t\n", "\ud800\n"])
def test_only_lines_of_text_are_signed(text: str):
    with pytest.raises(ValueError, match="expected lines of text"):
        sign_note(text, "n", bytes(32))


@pytest.mark.parametrize("name", ["", "two words", "a+b", "a\u00a0b", "a\nb", "\ud800"])
def test_a_name_that_no_signature_line_can_hold_is_refused(name: str):
    with pytest.raises(ValueError, match="expected a key name"):
        verifier_key(name, bytes(32))


def test_the_example_of_the_specification_is_read_and_written():
    checkpoint = parse_checkpoint(SOFA)
    assert checkpoint[:2] == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.root.hex().startswith("0ac5186a91863e8e")
    assert format_checkpoint(checkpoint) == SOFA


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        SOFA[:-1],
        SOFA + "\n",
        SOFA + "extension\n",
        SOFA.replace("20852163", "020852163"),
        SOFA.replace("20852163", "+20852163"),
        SOFA.replace("20852163", "-20852163"),
        SOFA.replace("20852163", "20_852_163"),
        SOFA.replace("20852163", "２０８５２１６３"),
        SOFA.replace("20852163", "many"),
        SOFA.replace("20852163", "9" * 5000),
        SOFA.replace("CsUY", ""),
        SOFA.replace("q2I=", "q2J="),
        SOFA.replace("example.com/behind-the-sofa", ""),
        SOFA.replace("-", "\t"),
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str):
    with pytest.raises(ValueError, match="expected the lines origin, size and root"):
        parse_checkpoint(text)


@pytest.mark.parametrize(
    "checkpoint",
    [
        Checkpoint("", 1, bytes(32)),
        Checkpoint("two\nlines", 1, bytes(32)),
        Checkpoint("tab\t", 1, bytes(32)),
        Checkpoint("o", -1, bytes(32)),
        Checkpoint("o", 1, bytes(31)),
    ],
)
def test_what_cannot_be_a_checkpoint_is_not_written(checkpoint: Checkpoint):
    with pytest.raises(ValueError, match="expected an origin, a size and a root"):
        format_checkpoint(checkpoint)
