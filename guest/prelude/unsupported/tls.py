"""The module ``ssl`` of a system without a network: it imports, and connections say why there are none."""

from typing import Any, NoReturn

from cloche_guest.unsupported.reasons import NO_NETWORK

__all__ = [
    "CERT_NONE",
    "CERT_OPTIONAL",
    "CERT_REQUIRED",
    "HAS_ALPN",
    "HAS_SNI",
    "OPENSSL_VERSION",
    "OP_NO_COMPRESSION",
    "PROTOCOL_TLS",
    "PROTOCOL_TLS_CLIENT",
    "PROTOCOL_TLS_SERVER",
    "CertificateError",
    "HAS_TLSv1_3",
    "MemoryBIO",
    "OP_NO_SSLv2",
    "OP_NO_SSLv3",
    "OP_NO_TLSv1",
    "OP_NO_TLSv1_1",
    "Purpose",
    "SSLCertVerificationError",
    "SSLContext",
    "SSLEOFError",
    "SSLError",
    "SSLObject",
    "SSLSocket",
    "SSLSyscallError",
    "SSLWantReadError",
    "SSLWantWriteError",
    "SSLZeroReturnError",
    "TLSVersion",
    "create_default_context",
]

CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED = 0, 1, 2
PROTOCOL_TLS, PROTOCOL_TLS_CLIENT, PROTOCOL_TLS_SERVER = 2, 16, 17
OP_NO_SSLv2, OP_NO_SSLv3, OP_NO_TLSv1, OP_NO_TLSv1_1, OP_NO_COMPRESSION = 0, 1 << 25, 1 << 26, 1 << 28, 1 << 17
HAS_SNI = HAS_ALPN = HAS_TLSv1_3 = False
OPENSSL_VERSION = "none: there is no network in this sandbox"


class SSLError(OSError):
    """What a connection could fail with; kept for ``except ssl.SSLError``."""

    __module__ = "ssl"


class SSLZeroReturnError(SSLError):
    """Kept for ``except``."""

    __module__ = "ssl"


class SSLWantReadError(SSLError):
    """Kept for ``except``."""

    __module__ = "ssl"


class SSLWantWriteError(SSLError):
    """Kept for ``except``."""

    __module__ = "ssl"


class SSLSyscallError(SSLError):
    """Kept for ``except``."""

    __module__ = "ssl"


class SSLEOFError(SSLError):
    """Kept for ``except``."""

    __module__ = "ssl"


class SSLCertVerificationError(SSLError, ValueError):
    """Kept for ``except``."""

    __module__ = "ssl"


CertificateError = SSLCertVerificationError


class TLSVersion:
    """The versions' numbers."""

    MINIMUM_SUPPORTED, TLSv1_2, TLSv1_3, MAXIMUM_SUPPORTED = -2, 0x303, 0x304, -1


class Purpose:
    """What a context is for."""

    SERVER_AUTH, CLIENT_AUTH = "SERVER_AUTH", "CLIENT_AUTH"


class SSLContext:
    """Settings of connections, which can be made and changed; no connection can."""

    __module__ = "ssl"
    post_handshake_auth = None

    def __init__(self, protocol: int = PROTOCOL_TLS_CLIENT, *args: Any) -> None:
        self.protocol = protocol
        self.verify_mode, self.check_hostname, self.options = CERT_REQUIRED, True, 0
        self.minimum_version, self.maximum_version = TLSVersion.TLSv1_2, TLSVersion.MAXIMUM_SUPPORTED

    def load_default_certs(self, purpose: str = Purpose.SERVER_AUTH) -> None:
        """Do nothing: no certificate is ever looked at."""

    def load_verify_locations(self, cafile: Any = None, capath: Any = None, cadata: Any = None) -> None:
        """Do nothing."""

    def set_ciphers(self, ciphers: str, /) -> None:
        """Do nothing."""

    def set_alpn_protocols(self, alpn_protocols: list[str]) -> None:
        """Do nothing."""

    def load_cert_chain(self, *args: Any, **options: Any) -> NoReturn:
        """Raise OSError."""
        raise OSError(NO_NETWORK)

    wrap_socket = wrap_bio = load_cert_chain


class SSLSocket:
    """Cannot be made."""

    __module__ = "ssl"

    def __init__(self, *args: Any, **options: Any) -> None:
        raise OSError(NO_NETWORK)


class SSLObject(SSLSocket):
    """Cannot be made."""

    __module__ = "ssl"


class MemoryBIO(SSLSocket):
    """Cannot be made."""

    __module__ = "ssl"


def create_default_context(purpose: str = Purpose.SERVER_AUTH, **options: Any) -> SSLContext:
    """Return a context."""
    return SSLContext()


def __getattr__(name: str) -> NoReturn:
    raise AttributeError(f"module 'ssl' has no attribute {name!r} here: {NO_NETWORK}")


_create_default_https_context = _create_unverified_context = create_default_context
