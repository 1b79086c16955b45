"""Secrets are kept out of what attempts put out, also piece by piece."""

import pytest

from sensorflow.executor.masking import Mask

SECRETS = ("hunter2hunter2", "hunter2hunter2more", "hhhhhhhh")


@pytest.mark.parametrize("size", range(1, 24))
def test_a_secret_is_masked_wherever_the_pieces_are_cut(size: int) -> None:
    mask = Mask(SECRETS)
    whole = b"user hunter2hunter2more, hunter2hunter, hhhhhhhhhhhhhhhh hunter2hunter2"
    told, held = b"", b""
    for begin in range(0, len(whole), size):
        piece, held = mask.masked_piece(held + whole[begin : begin + size])
        told += piece
    told += held
    assert len(told) == len(whole)
    for secret in SECRETS:
        assert secret.encode() not in told
    assert told.startswith(b"user **************")
    assert b", hunter2hunter, " in told


def test_what_begins_no_secret_is_not_held_back() -> None:
    assert Mask(SECRETS).masked_piece(b"a line\n") == (b"a line\n", b"")
    assert Mask(SECRETS).masked_piece(b"a line\nhunt") == (b"a line\n", b"hunt")
    assert Mask().masked_piece(b"hunt") == (b"hunt", b"")
