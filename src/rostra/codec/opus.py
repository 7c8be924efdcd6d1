"""Opus through libopus itself, because FFmpeg's wrapper can neither conceal a lost packet nor use in-band FEC.

All sound is mono float32 at 48 kHz. Encoders and decoders belong to one stream and are not thread-safe; they free
themselves when collected. Sources: RFC 6716, RFC 7587, opus_encoder(3), opus_decoder(3).
"""

import ctypes
import ctypes.util
import weakref
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import av
import numpy as np
from numpy.typing import NDArray

from rostra.kernel.errors import Fault, RostraError

Samples = NDArray[np.float32]

SAMPLE_RATE: Final = 48_000
FRAME_SAMPLES: Final = 960  # 20 ms
_LONGEST_SAMPLES: Final = 5760  # 120 ms, the longest packet there is (RFC 6716 section 3.2.5)
_LARGEST_BYTES: Final = 1276  # one frame cannot be larger (RFC 6716 section 3.2.1)

_APPLICATION: Final = {"audio": 2049, "voice": 2048}
_SET_BITRATE: Final = 4002
_SET_BANDWIDTH: Final = 4008
_SET_COMPLEXITY: Final = 4010
_SET_INBAND_FEC: Final = 4012
_SET_PACKET_LOSS_PCT: Final = 4014
_SET_DTX: Final = 4016
_GET_LOOKAHEAD: Final = 4027
_RESET_STATE: Final = 4028
_FULLBAND: Final = 1105


class BadOpus(RostraError):
    """A packet that no Opus encoder made. The decoder's state is unharmed."""


class Encoder:
    """One mono stream, fullband always, DTX off: silence is sent too, so that packets and time stay the same thing."""

    def __init__(
        self,
        bitrate: int,
        *,
        complexity: int = 5,
        expected_loss_pct: int = 0,
        tuned_for: Literal["audio", "voice"] = "audio",
    ) -> None:
        """`expected_loss_pct` above 0 also turns in-band FEC on. `complexity`: 0 fast to 10 thorough."""
        self._lib = _libopus()
        failed = ctypes.c_int()
        self._state = self._lib.opus_encoder_create(SAMPLE_RATE, 1, _APPLICATION[tuned_for], ctypes.byref(failed))
        if failed.value:
            raise Fault(f"libopus could not make an encoder (error {failed.value}).", "Reinstall the av package.")
        weakref.finalize(self, self._lib.opus_encoder_destroy, self._state)
        self._out = ctypes.create_string_buffer(_LARGEST_BYTES)
        self._set(_SET_BITRATE, bitrate)
        self._set(_SET_BANDWIDTH, _FULLBAND)
        self._set(_SET_COMPLEXITY, complexity)
        self._set(_SET_INBAND_FEC, int(expected_loss_pct > 0))
        self._set(_SET_PACKET_LOSS_PCT, expected_loss_pct)
        self._set(_SET_DTX, 0)
        delay = ctypes.c_int32()
        self._lib.opus_encoder_ctl(self._state, _GET_LOOKAHEAD, ctypes.byref(delay))
        self.delay_samples = delay.value

    def encode(self, frame: Samples) -> bytes:
        """One packet of `frame`, 960 samples in -1 to 1 (louder is clipped by the codec's own soft knee)."""
        if frame.dtype != np.float32 or frame.shape != (FRAME_SAMPLES,) or not frame.flags.c_contiguous:
            raise ValueError(f"not a frame of {FRAME_SAMPLES} float32 samples: {frame.dtype} {frame.shape}")
        size = self._lib.opus_encode_float(self._state, frame.ctypes.data, FRAME_SAMPLES, self._out, _LARGEST_BYTES)
        if size < 0:
            raise RuntimeError(f"libopus refused to encode: error {size}")
        return ctypes.string_at(self._out, size)

    def reset(self) -> None:
        """Forget what was heard, as if new; settings stay."""
        self._lib.opus_encoder_ctl(self._state, _RESET_STATE)

    def _set(self, request: int, value: int) -> None:
        result = self._lib.opus_encoder_ctl(self._state, request, ctypes.c_int32(value))
        if result:
            raise ValueError(f"libopus refused setting {request} = {value}: error {result}")


class Decoder:
    """One stream to mono; a stereo packet is mixed down by the decoder."""

    def __init__(self) -> None:
        self._lib = _libopus()
        failed = ctypes.c_int()
        self._state = self._lib.opus_decoder_create(SAMPLE_RATE, 1, ctypes.byref(failed))
        if failed.value:
            raise Fault(f"libopus could not make a decoder (error {failed.value}).", "Reinstall the av package.")
        weakref.finalize(self, self._lib.opus_decoder_destroy, self._state)
        self._out = np.zeros(_LONGEST_SAMPLES, np.float32)
        self._out_at = self._out.ctypes.data

    def decode(self, packet: bytes) -> Samples:
        """The packet's sound, as many samples as it holds.

        Raises:
            BadOpus: not an Opus packet.
        """
        return self._decode(packet, len(packet), _LONGEST_SAMPLES, fec=0)

    def recover(self, following: bytes, samples: int = FRAME_SAMPLES) -> Samples:
        """The sound lost just before `following`, from the copy that in-band FEC put into it; concealed if there is none.

        `samples` is exactly what is missing, a multiple of 120 (2.5 ms).
        """
        return self._decode(following, len(following), samples, fec=1)

    def conceal(self, samples: int = FRAME_SAMPLES) -> Samples:
        """A guess at `samples` lost samples, a multiple of 120; fades by itself when asked again and again."""
        return self._decode(None, 0, samples, fec=0)

    def reset(self) -> None:
        """Forget what was heard, for a new stream on the same decoder."""
        self._lib.opus_decoder_ctl(self._state, _RESET_STATE)

    def _decode(self, packet: bytes | None, size: int, room: int, fec: int) -> Samples:
        count = self._lib.opus_decode_float(self._state, packet, size, self._out_at, room, fec)
        if count < 0:
            raise BadOpus(f"libopus could not decode {size} bytes: error {count}")
        return self._out[:count].copy()


def packet_samples(packet: bytes) -> int:
    """How many samples at 48 kHz a packet lasts; 0 if it is not an Opus packet (RFC 6716 section 3)."""
    count: int = _libopus().opus_packet_get_nb_samples(packet, len(packet), SAMPLE_RATE)
    return max(count, 0)


def version() -> str:
    """Such as 'libopus 1.6.1'."""
    text: bytes = _libopus().opus_get_version_string()
    return text.decode("ascii", "replace")


@cache
def _libopus() -> Any:
    for candidate in _candidates():
        try:
            lib = ctypes.CDLL(candidate)
            return _declared(lib)
        except (OSError, AttributeError):
            continue
    raise Fault("libopus was not found.", "Reinstall the av package, or install the system's libopus0.")


def _candidates() -> Iterator[str]:
    # PyAV's wheels bring a libopus newer than most systems', under a name that changes with every build.
    beside = Path(av.__file__).parent.parent / "av.libs"
    yield from (str(path) for path in sorted(beside.glob("libopus-*.so*"), reverse=True))
    yield from (str(path) for path in sorted((Path(av.__file__).parent / ".dylibs").glob("libopus*.dylib")))
    yield "libopus.so.0"
    found = ctypes.util.find_library("opus")
    if found:
        yield found


def _declared(lib: Any) -> Any:
    pointer, number = ctypes.c_void_p, ctypes.c_int
    lib.opus_encoder_create.restype = pointer
    lib.opus_encoder_create.argtypes = [ctypes.c_int32, number, number, ctypes.POINTER(number)]
    lib.opus_encoder_destroy.restype = None
    lib.opus_encoder_destroy.argtypes = [pointer]
    lib.opus_encode_float.restype = ctypes.c_int32
    lib.opus_encode_float.argtypes = [pointer, pointer, number, ctypes.c_char_p, ctypes.c_int32]
    lib.opus_decoder_create.restype = pointer
    lib.opus_decoder_create.argtypes = [ctypes.c_int32, number, ctypes.POINTER(number)]
    lib.opus_decoder_destroy.restype = None
    lib.opus_decoder_destroy.argtypes = [pointer]
    lib.opus_decode_float.restype = number
    lib.opus_decode_float.argtypes = [pointer, ctypes.c_char_p, ctypes.c_int32, pointer, number, number]
    lib.opus_packet_get_nb_samples.restype = number
    lib.opus_packet_get_nb_samples.argtypes = [ctypes.c_char_p, ctypes.c_int32, ctypes.c_int32]
    lib.opus_get_version_string.restype = ctypes.c_char_p
    # The ctl functions take variable arguments: only the fixed ones may be declared.
    lib.opus_encoder_ctl.argtypes = [pointer, number]
    lib.opus_decoder_ctl.argtypes = [pointer, number]
    return lib
