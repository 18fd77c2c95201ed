"""Keys derived from passwords and RIPEMD-160, against the host's OpenSSL and published values."""

import hashlib
from typing import Any

import pytest

from cloche.runtime.sandbox import Sandbox

BOX = Sandbox()


def value(program: str) -> Any:
    return BOX.run(f"import hashlib\n{program}").unwrap()


@pytest.mark.parametrize("name", ["md5", "sha1", "sha256", "sha512", "sha3_256", "blake2b"])
@pytest.mark.parametrize(("password", "rounds", "size"), [(b"", 1, None), (b"password", 100, 100), (b"x" * 200, 7, 20)])
def test_pbkdf2(name: str, password: bytes, rounds: int, size: int | None) -> None:
    arguments = f"{name!r}, {password!r}, b'salt', {rounds}, {size}"
    assert value(f"hashlib.pbkdf2_hmac({arguments})") == hashlib.pbkdf2_hmac(name, password, b"salt", rounds, size)


@pytest.mark.parametrize(
    ("password", "salt", "n", "r", "p", "key"),
    [
        (b"", b"", 16, 1, 1, "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"),
        (b"password", b"NaCl", 1024, 8, 16, "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"),
        (
            b"pleaseletmein",
            b"SodiumChloride",
            16384,
            8,
            1,
            "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2",
        ),
    ],
)
def test_scrypt(password: bytes, salt: bytes, n: int, r: int, p: int, key: str) -> None:
    """The values of RFC 7914, of which the first half is given."""
    call = f"hashlib.scrypt({password!r}, salt={salt!r}, n={n}, r={r}, p={p}, maxmem=1 << 26).hex()"
    assert value(call)[:64] == key


@pytest.mark.parametrize("settings", ["n=3, r=1, p=1", "n=16, r=0, p=1", "n=1 << 20, r=8, p=1", "n=1, r=1, p=1"])
def test_scrypt_refuses_what_it_cannot_do(settings: str) -> None:
    error = BOX.run(f"import hashlib\nhashlib.scrypt(b'', salt=b'', {settings})").error
    assert getattr(error, "type_name", None) == "ValueError"


def test_ripemd160() -> None:
    wanted = {
        b"": "9c1185a5c5e9fc54612808977ee8f548b2258d31",
        b"abc": "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc",
        b"1234567890" * 8: "9b752e45573d4b39f4dbd3323cab82bf63326bfb",
    }
    for data, digest in wanted.items():
        assert value(f"hashlib.new('ripemd160', {data!r}).hexdigest()") == digest
    pieces = (
        "h = hashlib.new('ripemd160')\nfor i in range(0, 80, 7): h.update((b'1234567890' * 8)[i:i + 7])\nh.hexdigest()"
    )
    assert value(pieces) == wanted[b"1234567890" * 8]
    assert (
        value("'ripemd160' in hashlib.algorithms_available and hashlib.new('sha256', b'').hexdigest()[:8]")
        == "e3b0c442"
    )
