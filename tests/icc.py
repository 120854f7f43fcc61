"""ICC profiles for tests, written byte by byte (ICC.1:2001, version 2): what a file may carry, odd ones included."""

import struct

import numpy as np

D50 = np.array([0.9642, 1.0, 0.8249])  # XYZ of the profile connection space's white
# Chromaticities of red, green, blue and white.
ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), (0.3127, 0.3290))
DISPLAY_P3 = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), (0.3127, 0.3290))
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), (0.3127, 0.3290))
GAMMA_2_2 = 563 / 256  # of Adobe RGB (1998): 2.19921875
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def colorants(chromaticities) -> np.ndarray:
    """Linear RGB -> XYZ for D50 [3, 3], adapted from the white of `chromaticities` by Bradford's method."""
    *primaries, white = [np.array([x / y, 1, (1 - x - y) / y]) for x, y in chromaticities]
    matrix = np.stack(primaries, axis=1)
    matrix = matrix * np.linalg.solve(matrix, white)
    cones = (_BRADFORD @ D50) / (_BRADFORD @ white)
    return np.linalg.inv(_BRADFORD) @ np.diag(cones) @ _BRADFORD @ matrix


def srgb_curve(encoded: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1: encoded 0..1 -> linear."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def rgb(name: str, chromaticities, curve) -> bytes:
    """A display's profile, of a matrix and one curve: a gamma, or a function of encoded values 0..1."""
    matrix, trc = colorants(chromaticities), _curve(curve)
    tags = {b"wtpt": _xyz(D50), b"rTRC": trc, b"gTRC": trc, b"bTRC": trc}
    tags |= {tag: _xyz(matrix[:, k]) for k, tag in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    return _profile(name, b"mntr", b"RGB ", b"XYZ ", tags)


def grey(name: str, gamma: float) -> bytes:
    """A grey profile."""
    return _profile(name, b"mntr", b"GRAY", b"XYZ ", {b"wtpt": _xyz(D50), b"kTRC": _curve(gamma)})


def one_way(name: str) -> bytes:
    """A scanner's RGB profile, a table that has no inverse: L* is red, a* and b* lie in green and blue."""
    tables = bytes(range(256)) * 3
    corners = bytes(255 * (corner >> bit & 1) for corner in range(8) for bit in (2, 1, 0))
    unit = struct.pack(">9i", *(65536 * (k in (0, 4, 8)) for k in range(9)))
    table = b"mft1\0\0\0\0" + bytes([3, 3, 2, 0]) + unit + tables + corners + tables
    return _profile(name, b"scnr", b"RGB ", b"Lab ", {b"wtpt": _xyz(D50), b"A2B0": table})


def _curve(curve) -> bytes:
    if callable(curve):
        values = np.rint(65535 * curve(np.linspace(0, 1, 1024))).astype(int)
        return b"curv\0\0\0\0" + struct.pack(">I1024H", 1024, *values)
    return b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(curve * 256))


def _xyz(values) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def _profile(name: str, kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    text = name.encode("ascii") + b"\0"
    description = b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(4 + 4 + 2 + 1 + 67)
    tags = {b"desc": description, b"cprt": b"text\0\0\0\0public domain\0", **tags}
    at = 128 + 4 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    for tag, value in tags.items():
        table += tag + struct.pack(">II", at + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    header = struct.pack(">I4xI4s4s4s", at + len(data), 0x02400000, kind, space, connection)
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    header += struct.pack(">3i", *(round(value * 65536) for value in D50))
    return header.ljust(128, b"\0") + table + data
