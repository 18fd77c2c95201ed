import base64
import hashlib
import zlib

digest = b""
for i in range(40):
    digest = hashlib.sha256(digest + str(i).encode()).digest()
packed = zlib.compress(digest * 20)
[
    digest.hex(),
    zlib.decompress(packed) == digest * 20,
    base64.b64encode(digest).decode(),
    hashlib.md5(packed).hexdigest(),
]
