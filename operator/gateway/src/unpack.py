"""Writes one member of a zip archive to a new file, and prints its SHA-256.

Arguments: archive, member, target.
"""

import hashlib
import os
import sys
import zipfile

archive, member, target = sys.argv[1:]
digest = hashlib.sha256()
with zipfile.ZipFile(archive) as opened:
    with opened.open(member) as packed, open(target, "xb") as plain:
        for block in iter(lambda: packed.read(1 << 20), b""):
            digest.update(block)
            plain.write(block)
        plain.flush()
        os.fsync(plain.fileno())
print(digest.hexdigest())
