"""What ``hashlib`` has where it is built on OpenSSL: keys derived from passwords, and RIPEMD-160."""

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import _cloche
from cloche_guest.unsupported.reasons import put

__all__ = ["install", "pbkdf2_hmac", "ripemd160", "scrypt"]

_BLOCK = 64
_new: Callable[..., Any] = hashlib.new
_MASK = 0xFFFFFFFF


def install() -> None:
    """Complete ``hashlib``."""
    put(hashlib, pbkdf2_hmac=pbkdf2_hmac, scrypt=scrypt, new=new)
    names = frozenset(hashlib.algorithms_available | {"ripemd160"})
    put(hashlib, algorithms_available=set(names), __all__=(*hashlib.__all__, "pbkdf2_hmac", "scrypt"))


def new(name: Any, *data: Any, **options: Any) -> Any:
    """Do what ``hashlib.new`` does, for ``ripemd160`` too."""
    if isinstance(name, str) and name.lower() in ("ripemd160", "rmd160"):
        options.pop("usedforsecurity", None)
        return ripemd160(*data, **options)
    return _new(name, *data, **options)


def pbkdf2_hmac(hash_name: Any, password: Any, salt: Any, iterations: int, dklen: int | None = None) -> bytes:
    """Derive a key of ``dklen`` bytes, by default as many as the hash has, as RFC 8018 says."""
    if not isinstance(hash_name, str):
        raise TypeError(f"argument 'hash_name' must be str, not {type(hash_name).__name__}")
    if iterations < 1:
        raise ValueError("iteration value must be greater than 0.")
    start = hmac.new(bytes(password), digestmod=hash_name)
    wanted = start.digest_size if dklen is None else dklen
    if wanted < 1:
        raise ValueError("key length must be greater than 0.")
    # With the hashes of the padded key begun once, a round is two copies and two short updates.
    padded = _padded_key(hash_name, bytes(password))
    inner, outer = (new(hash_name, padded.translate(_XOR[pad])) for pad in (0x36, 0x5C))
    blocks = -(-wanted // start.digest_size)
    return b"".join(_derived(inner, outer, bytes(salt), number, iterations) for number in range(1, blocks + 1))[:wanted]


_XOR = {pad: bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C)}


def _padded_key(hash_name: str, key: bytes) -> bytes:
    size = new(hash_name).block_size
    return (new(hash_name, key).digest() if len(key) > size else key).ljust(size, b"\0")


def _derived(inner: Any, outer: Any, salt: bytes, number: int, iterations: int) -> bytes:
    begun, ended = inner.copy, outer.copy
    latest = salt + number.to_bytes(4, "big")
    total = 0
    for _ in range(iterations):
        middle = begun()
        middle.update(latest)
        last = ended()
        last.update(middle.digest())
        latest = last.digest()
        total ^= int.from_bytes(latest, "big")
    return total.to_bytes(len(latest), "big")


def scrypt(password: Any, *, salt: Any, n: int, r: int, p: int, maxmem: int = 0, dklen: int = 64) -> bytes:
    """Derive a key of ``dklen`` bytes as RFC 7914 says; ``maxmem`` bounds the memory, to 32 MiB by default."""
    if n < 2 or n & (n - 1):
        raise ValueError("n must be a power of 2.")
    if r < 1 or p < 1 or dklen < 1:
        raise ValueError("r, p and dklen must be greater than 0.")
    if maxmem < 0:
        raise ValueError("maxmem must be positive")
    if 128 * r * (n + p + 2) > (maxmem or 32 << 20):
        raise ValueError("Invalid parameter combination for n, r, p, maxmem.")
    size = 128 * r
    mixed = pbkdf2_hmac("sha256", password, salt, 1, p * size)
    blocks = [_cloche.scrypt_mix(mixed[at : at + size], n, r) for at in range(0, p * size, size)]
    return pbkdf2_hmac("sha256", password, b"".join(blocks), 1, dklen)


def _digits(text: str) -> list[int]:
    return [int(digit, 16) for digit in text]


# RIPEMD-160, a left line and a right one of 80 steps: which word is taken, how far it is rotated, what is added.
_WORDS = (
    _digits("0123456789abcdef74d1a6f3c0952eb83ae49f812706db5c19ba08c4d37fe56240597c2ae138b6fd"),
    _digits("5e7092b4d6f81a3c6b370d5aef8c4912f5137e69b8c2a04d86413bf05c2d97aecfa4158762de039b"),
)
_SHIFTS = (
    _digits("befc5879bdef6798768db97f7cf9b7dcbd67e9dfe8d65c75bcefef989e56865c9f5b68dc5cdeb856"),
    _digits("899bdff5778beec69df7c89b77c76fdb97fb866ecd5edd75f58bee6e69c9c5f885c9c5e68d65fdbb"),
)
_ADDED = ((0, 0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xA953FD4E), (0x50A28BE6, 0x5C4DD124, 0x6D703EF3, 0x7A6D76E9, 0))
_MIXES: tuple[Callable[[int, int, int], int], ...] = (
    lambda x, y, z: x ^ y ^ z,
    lambda x, y, z: (x & y) | (~x & z),
    lambda x, y, z: (x | ~y) ^ z,
    lambda x, y, z: (x & z) | (y & ~z),
    lambda x, y, z: x ^ (y | ~z),
)


class ripemd160:
    """A hash object, as ``hashlib.new`` returns it."""

    name = "ripemd160"
    digest_size = 20
    block_size = _BLOCK

    def __init__(self, data: Any = b"") -> None:
        self._state: tuple[int, ...] = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0)
        self._size, self._rest = 0, b""
        self.update(data)

    def update(self, data: Any, /) -> None:
        """Take more bytes."""
        if isinstance(data, str):
            raise TypeError("Strings must be encoded before hashing")
        text = self._rest + bytes(memoryview(data))
        self._size += len(text) - len(self._rest)
        whole = len(text) - len(text) % _BLOCK
        for at in range(0, whole, _BLOCK):
            self._state = _compressed(self._state, text[at : at + _BLOCK])
        self._rest = text[whole:]

    def digest(self) -> bytes:
        """Return the hash of all bytes so far."""
        last = self.copy()
        padding = b"\x80" + bytes((_BLOCK - 9 - self._size) % _BLOCK)
        last.update(padding + (8 * self._size).to_bytes(8, "little"))
        return b"".join(word.to_bytes(4, "little") for word in last._state)

    def hexdigest(self) -> str:
        """Return the hash in hexadecimal digits."""
        return self.digest().hex()

    def copy(self) -> "ripemd160":
        """Return an independent copy of the hash object as it is now."""
        other = ripemd160()
        other._state, other._size, other._rest = self._state, self._size, self._rest
        return other


def _compressed(state: tuple[int, ...], block: bytes) -> tuple[int, ...]:
    words = [int.from_bytes(block[at : at + 4], "little") for at in range(0, _BLOCK, 4)]
    left, right = (_line(side, state, words) for side in (0, 1))
    turned = state[1:] + state[:1]
    return tuple(sum(part) & _MASK for part in zip(turned, left[2:] + left[:2], right[3:] + right[:3], strict=True))


def _line(side: int, state: tuple[int, ...], words: list[int]) -> tuple[int, ...]:
    a, b, c, d, e = state
    for step in range(80):
        turn = step // 16
        mix = _MIXES[4 - turn if side else turn]
        total = (a + mix(b, c, d) + words[_WORDS[side][step]] + _ADDED[side][turn]) & _MASK
        a, b, c, d, e = e, (_rotated(total, _SHIFTS[side][step]) + e) & _MASK, b, _rotated(c, 10), d
    return a, b, c, d, e


def _rotated(word: int, by: int) -> int:
    return ((word << by) | (word >> (32 - by))) & _MASK
