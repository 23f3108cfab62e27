"""``crypteq``: every scheme by the hash of one password."""

from __future__ import annotations

import pytest

from smarthostd.errors import ExpansionError
from smarthostd.expand.passwords import crypteq

HASHES = {
    "md5, hexadecimal": "{md5}900150983CD24FB0D6963F7D28E17F72",
    "md5, base64": "{MD5}kAFQmDzST7DWlj99KOF/cg==",
    "sha1, hexadecimal": "{sha1}a9993e364706816aba3e25717850c26c9cd0d89d",
    "sha1, base64": "{sha1}qZk+NkcGgWq6PiVxeFDCbJzQ2J0=",
    "crypt with MD5": "$1$ab$nOE/gbJSBNZK8ySO8vuj0/",
    "crypt by name": "{crypt}$5$saltstring$tDHA0KPsYQ8V.LDB1/fgW7cvROod5ZajSrx1tZU2JG9",
}


@pytest.mark.parametrize("stored", HASHES.values(), ids=HASHES)
def test_the_password_is_known_and_another_is_not(stored: str) -> None:
    assert crypteq("abc", stored)
    assert not crypteq("abd", stored)
    assert not crypteq("", stored)


@pytest.mark.parametrize("stored", ["", "x", "*", "*0", "{md5}", "{sha1}abc", "{crypt}", "{md5}é", "$6$", "$y$"])
def test_what_is_no_hash_is_never_equal(stored: str) -> None:
    assert not crypteq("abc", stored)
    assert not crypteq(stored, stored)


@pytest.mark.parametrize("stored", ["{foo}x", "{crypt16}x", "{md5"])
def test_an_unknown_scheme_is_an_error(stored: str) -> None:
    with pytest.raises(ExpansionError, match=r"unknown encryption mechanism|is not in smarthostd"):
        crypteq("abc", stored)
