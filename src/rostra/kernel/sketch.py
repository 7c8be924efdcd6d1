"""How many different ones, in bounded memory, from several places: a HyperLogLog that begins as the exact set.

Flajolet et al. 2007, with the estimator of Ertl 2017 (arXiv:1702.01284, algorithm 6), which is free of bias from nothing to
everything without a table. Up to EXACT_MOST it keeps the hashes themselves and is exact; beyond it keeps one register
of each 2 ** P, and the standard error of its estimate is ERROR, whatever the size of the crowd.

What is added must be 64 evenly spread bits that an outsider cannot choose (`Mark`): who knew the hash could send few
names that look like very many.
"""

import hashlib
import math
import struct
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Final

P: Final = 14
ERROR: Final = 1.04 / math.sqrt(1 << P)
"""Standard error of the estimate beyond EXACT_MOST: 0.81 %."""
EXACT_MOST: Final = 8192
SAMPLE_MOST: Final = 1536
BYTES_MOST: Final = 2 + 8 * EXACT_MOST
"""Of `to_bytes`, whatever was added."""

_REGISTERS: Final = 1 << P
_BITS: Final = 64 - P
_RANK_MOST: Final = _BITS + 1
_EXACT, _DENSE, _SAMPLE = b"E1", b"H1", b"S1"
_KEPT: Final = 40
_KEPT_OFF: Final = 64 - _KEPT
_LEVEL_MOST: Final = 24


class Mark:
    """Names into 64 bits that only who holds the key can foresee. The key and the names stay here."""

    __slots__ = ("_keyed",)

    def __init__(self, key: bytes) -> None:
        """`key`: 16 to 64 random bytes."""
        self._keyed = hashlib.blake2b(digest_size=8, key=key)

    def __call__(self, name: str) -> int:
        keyed = self._keyed.copy()
        keyed.update(name.encode("utf-8", "surrogatepass"))
        return int.from_bytes(keyed.digest())


class Sketch:
    """Marks added, in whatever order and however often. At most 16 KB of registers, or EXACT_MOST marks."""

    __slots__ = ("_exact", "_registers")

    def __init__(self, marks: Iterable[int] = ()) -> None:
        self._exact: set[int] | None = set()
        self._registers = bytearray()
        for mark in marks:
            self.add(mark)

    def add(self, mark: int) -> None:
        if self._exact is None:
            self._count_in(mark)
            return
        self._exact.add(mark)
        if len(self._exact) > EXACT_MOST:
            self._thicken()

    def merge(self, other: "Sketch") -> None:
        """Take in what the other has seen."""
        if self._exact is not None and other._exact is not None:
            self._exact |= other._exact
            if len(self._exact) > EXACT_MOST:
                self._thicken()
            return
        if self._exact is not None:
            self._thicken()
        if other._exact is not None:
            for mark in other._exact:
                self._count_in(mark)
        else:
            self._registers = bytearray(map(max, self._registers, other._registers))

    def estimate(self) -> int:
        if self._exact is not None:
            return len(self._exact)
        histogram = Counter(self._registers)
        z = _REGISTERS * _tau(1 - histogram[_RANK_MOST] / _REGISTERS)
        for rank in range(_BITS, 0, -1):
            z = 0.5 * (z + histogram[rank])
        z += _REGISTERS * _sigma(histogram[0] / _REGISTERS)
        return round(_REGISTERS * _REGISTERS / (2 * math.log(2) * z)) if z else 0

    @property
    def error(self) -> float:
        """Standard error of `estimate`, as a share of it; 0 while it is exact."""
        return 0.0 if self._exact is not None else ERROR

    def copy(self) -> "Sketch":
        other = Sketch()
        other._exact = None if self._exact is None else set(self._exact)
        other._registers = bytearray(self._registers)
        return other

    def to_bytes(self) -> bytes:
        """For `from_bytes`, here or elsewhere; equal sketches give equal bytes."""
        if self._exact is not None:
            return _EXACT + struct.pack(f">{len(self._exact)}Q", *sorted(self._exact))
        return _DENSE + zlib.compress(bytes(self._registers), 1)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Sketch":
        """Raises ValueError for what `to_bytes` cannot have made."""
        kind, rest = data[:2], data[2:]
        sketch = cls()
        if kind == _EXACT:
            if len(rest) % 8 or len(rest) > 8 * EXACT_MOST:
                raise ValueError("not a whole number of marks, or too many")
            sketch._exact = set(struct.unpack(f">{len(rest) // 8}Q", rest))
            return sketch
        if kind != _DENSE or len(data) > BYTES_MOST:
            raise ValueError("not a sketch")
        unpacking = zlib.decompressobj()
        try:
            registers = unpacking.decompress(rest, _REGISTERS + 1)
        except zlib.error:
            raise ValueError("not a sketch") from None
        if len(registers) != _REGISTERS or not unpacking.eof or unpacking.unused_data or max(registers) > _RANK_MOST:
            raise ValueError("not the registers of a sketch")
        sketch._exact, sketch._registers = None, bytearray(registers)
        return sketch

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sketch) and (self._exact, self._registers) == (other._exact, other._registers)

    __hash__ = None  # type: ignore[assignment]

    def _thicken(self) -> None:
        marks, self._exact = self._exact, None
        self._registers = bytearray(_REGISTERS)
        for mark in marks or ():
            self._count_in(mark)

    def _count_in(self, mark: int) -> None:
        register = mark >> _BITS
        rank = _RANK_MOST - (mark & _TAIL).bit_length()
        if rank > self._registers[register]:
            self._registers[register] = rank


_TAIL: Final = (1 << _BITS) - 1


class Sample:
    """Of a set of marks those that begin with `level` zero bits, so many that there are at most SAMPLE_MOST of them.

    The same listeners are in every sample that may hold them; so what several sets share shows in their samples. Of each
    mark the first 40 bits are kept: that two listeners here have the same is out of the question.
    """

    __slots__ = ("level", "starts")

    def __init__(self, marks: Iterable[int]) -> None:
        several = marks if isinstance(marks, Collection) else list(marks)
        self.level = max(0, (len(several) // SAMPLE_MOST).bit_length() - 1)
        limit = 1 << (64 - self.level)
        self.starts = frozenset(mark >> _KEPT_OFF for mark in several if mark < limit)
        while len(self.starts) > SAMPLE_MOST:
            self.level += 1
            self.starts = self.at(self.level)

    def at(self, level: int) -> frozenset[int]:
        """The sample of a higher level."""
        limit = 1 << (_KEPT - level)
        return frozenset(start for start in self.starts if start < limit) if level else self.starts

    def to_bytes(self) -> bytes:
        return _SAMPLE + bytes([self.level]) + b"".join(start.to_bytes(_KEPT // 8) for start in sorted(self.starts))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Sample":
        """Raises ValueError for what `to_bytes` cannot have made."""
        level, rest, size = data[2:3], data[3:], _KEPT // 8
        if (
            data[:2] != _SAMPLE
            or not level
            or level[0] > _LEVEL_MOST
            or len(rest) % size
            or len(rest) > size * SAMPLE_MOST
        ):
            raise ValueError("not a sample")
        sample = cls(())
        sample.level = level[0]
        sample.starts = frozenset(int.from_bytes(rest[at : at + size]) for at in range(0, len(rest), size))
        if sample.at(sample.level) != sample.starts:
            raise ValueError("marks that this sample cannot hold")
        return sample

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sample) and (self.level, self.starts) == (other.level, other.starts)

    __hash__ = None  # type: ignore[assignment]


def overlaps(samples: Sequence[Sample]) -> tuple[list[int], float]:
    """For each of these sets how many of it are in one before it; and the standard error of the sum of that.

    Exact while all samples are whole sets; and where there is no overlap, none is found, however large the sets.
    """
    level = max((one.level for one in samples), default=0)
    before: set[int] = set()
    shared: list[int] = []
    for sample in samples:
        starts = sample.at(level)
        shared.append(len(starts & before) << level)
        before |= starts
    return shared, math.sqrt(sum(shared) * ((1 << level) - 1))


def _sigma(x: float) -> float:
    if x == 1.0:
        return math.inf
    y, z = 1.0, x
    while True:
        x *= x
        before = z
        z += x * y
        y += y
        if z == before:
            return z


def _tau(x: float) -> float:
    if x in (0.0, 1.0):
        return 0.0
    y, z = 1.0, 1 - x
    while True:
        x = math.sqrt(x)
        before = z
        y *= 0.5
        z -= (1 - x) ** 2 * y
        if z == before:
            return z / 3
