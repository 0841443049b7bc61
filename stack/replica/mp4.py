"""MP4 files that claim more than they hold, found before FFmpeg believes them.

The index of an MP4 file may say in a few bytes that hundreds of millions of samples follow, and
FFmpeg makes an entry of each: gigabytes out of a small upload. Each sample has a byte at least, so
a count above the file's size is false. Boxes are those of ISO/IEC 14496-12; they are looked for
wherever they may stand, as FFmpeg finds them in places where the standard has none.
"""

import re
import struct
from typing import BinaryIO, Final

_COUNTS: Final = re.compile(
    # The sizes of all samples: version and flags, one size for all or a width, their number.
    rb"(?:stsz\0{4}.{4}|stz2\0{4}.{4}"
    # A fragment: version, flags, its number of samples.
    rb"|trun[\0\1]\0..)(.{4})",
    re.DOTALL,
)

_COMPRESSED: Final = re.compile(rb"cmov.{4}dcom", re.DOTALL)
"""An index that is itself compressed: nobody makes them any more, and it can't be looked into."""


def claims_too_much(file: BinaryIO) -> bool:
    """Say whether an index in the file counts more samples than the file has bytes.

    Files that are no MP4 claim nothing. The file's position is the beginning afterwards.
    """
    file.seek(0)
    data = file.read()
    file.seek(0)
    if _COMPRESSED.search(data):
        return True
    claimed: int = sum(struct.unpack(">I", found[1])[0] for found in _COUNTS.finditer(data))
    return claimed > len(data)
