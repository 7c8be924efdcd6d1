"""Session descriptions, as far as one voice needs them: an offer in, an answer out, trickled candidates in.

Pure text. One audio section with Opus is what a stage takes; data channels are refused by port zero (RFC 8829 section
5.3.1), video refuses the whole offer, since a half-accepted offer misleads the person who sent it (RFC 9725 section 4.4.3).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rostra.kernel.errors import PeerError

OFFER_BYTES_MOST: Final = 32_768
SECTIONS_MOST: Final = 8
CANDIDATES_MOST: Final = 32

# RFC 7587 section 6.1: what we ask of the sender: mono, in-band FEC, and a rate at which sibilants stay whole.
OPUS_WISHES: Final = "minptime=10;useinbandfec=1;maxaveragebitrate=64000;stereo=0;sprop-stereo=0"

_HASHES: Final = frozenset({"sha-256", "sha-384", "sha-512"})
_UFRAG: Final = re.compile(r"[A-Za-z0-9+/]{4,256}\Z")
_PWD: Final = re.compile(r"[A-Za-z0-9+/]{22,256}\Z")
_FINGERPRINT: Final = re.compile(r"(?:[0-9A-Fa-f]{2}:){31,63}[0-9A-Fa-f]{2}\Z")
_MID: Final = re.compile(r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]{1,32}\Z")
_DIRECTIONS: Final = frozenset({"sendrecv", "sendonly", "recvonly", "inactive"})
_SETUP: Final = {"actpass": "active", "active": "passive", "passive": "active"}


@dataclass(frozen=True, slots=True)
class Section:
    """One m= section, only for giving it back refused. `payload_type`: the first one offered."""

    kind: str
    protocol: str
    formats: str
    mid: str
    rtpmap: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a speaker's side can do. `setup`: the DTLS role that is left for us, "active" or "passive"."""

    sections: tuple[Section, ...]
    audio: int
    opus_payload_type: int
    direction: str
    ufrag: str
    pwd: str
    fingerprints: tuple[tuple[str, str], ...]
    setup: str
    ssrc: int | None
    candidates: tuple[str, ...]
    ice_lite: bool


@dataclass(frozen=True, slots=True)
class Fragment:
    """Trickled ICE (RFC 8840): the generation it speaks of and its candidates."""

    ufrag: str
    pwd: str
    candidates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Local:
    """Our side, for the answer."""

    ufrag: str
    pwd: str
    fingerprint: str
    candidates: Sequence[str]
    ssrc: int
    cname: str


def parse_offer(text: str, *, returns: bool) -> Offer:
    """The offer, if it is one that a stage can answer.

    Args:
        returns: whether we will send sound back, so whether the offer must be ready to receive.
    Raises:
        PeerError: 400 where it is no session description, 413 where huge, 422 where we cannot do what it asks.
    """
    if len(text) > OFFER_BYTES_MOST:
        raise PeerError(413, f"An offer may have {OFFER_BYTES_MOST:,} characters at most.", "too-large")
    lines = [line.rstrip("\r") for line in text.strip("\r\n").split("\n")]
    if not lines[0].startswith("v=0") or any(len(line) < 2 or line[1] != "=" for line in lines):
        raise _bad("This is not a session description: it must begin with v=0 and hold one field a line.")
    starts = [number for number, line in enumerate(lines) if line.startswith("m=")]
    if not starts:
        raise _no("The offer has no media section. Offer one audio section with Opus.")
    if len(starts) > SECTIONS_MOST:
        raise _no(f"The offer has {len(starts)} media sections, {SECTIONS_MOST} at most. Offer one audio section.")
    session = _attributes(lines[: starts[0]])
    ends = [*starts[1:], len(lines)]
    parts = [lines[start:end] for start, end in zip(starts, ends, strict=True)]
    sections = tuple(_section(part) for part in parts)
    audio = _the_audio(sections)
    attributes = _attributes(parts[audio][1:])
    _check_bundle(session, sections, audio)
    return _offer(sections, audio, session, attributes, returns)


def answer(offer: Offer, local: Local, *, returns: bool) -> str:
    """Our answer: sendrecv where sound goes back, else recvonly as RFC 9725 section 4.2 demands."""
    payload_type = offer.opus_payload_type
    lines = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0"]
    # A video section stays in the bundle, inactive: encoders offer one that cannot leave it out, and RFC 9725 section 4.2
    # has a session refused whole or taken whole. It shares the transport, so it names it too, as browsers insist.
    unused = [
        one for one in offer.sections if one.kind == "video" and one.mid and one.rtpmap and len(offer.sections) > 1
    ]
    mids = [one.mid for number, one in enumerate(offer.sections) if number == offer.audio or one in unused]
    transport = [f"a=ice-ufrag:{local.ufrag}", f"a=ice-pwd:{local.pwd}", "a=ice-options:trickle"]
    transport += [f"a=fingerprint:sha-256 {local.fingerprint}", f"a=setup:{offer.setup}"]
    lines += [f"a=group:BUNDLE {' '.join(mids)}", "a=msid-semantic: WMS *"]
    for number, section in enumerate(offer.sections):
        if number != offer.audio:
            lines += _unused(section, transport) if section in unused else _refused(section)
            continue
        lines += [
            f"m=audio 9 {section.protocol} {payload_type}",
            "c=IN IP4 0.0.0.0",
            f"a={'sendrecv' if returns else 'recvonly'}",
            f"a=mid:{section.mid}",
            "a=rtcp:9 IN IP4 0.0.0.0",
            "a=rtcp-mux",
            "a=rtcp-mux-only",  # RFC 9725 section 4.4.1, RFC 8858
            f"a=rtpmap:{payload_type} opus/48000/2",
            f"a=fmtp:{payload_type} {OPUS_WISHES}",
            "a=ptime:20",
        ]
        if returns:
            lines += [f"a=msid:{local.cname} {local.cname}", f"a=ssrc:{local.ssrc} cname:{local.cname}"]
        lines += transport
        lines += [f"a=candidate:{candidate}" for candidate in local.candidates]
        lines.append("a=end-of-candidates")
    return "\r\n".join(lines) + "\r\n"


def parse_fragment(text: str) -> Fragment:
    """A trickle-ice-sdpfrag (RFC 8840 section 9).

    Raises:
        PeerError: 400 where it is none, 413 where huge.
    """
    if len(text) > OFFER_BYTES_MOST:
        raise PeerError(413, f"A fragment may have {OFFER_BYTES_MOST:,} characters at most.", "too-large")
    lines = [line.rstrip("\r") for line in text.strip("\r\n").split("\n")]
    if any(len(line) < 2 or line[1] != "=" for line in lines):
        raise _bad("This is not an SDP fragment: each line must be one field.")
    attributes = _attributes(lines)
    ufrag, pwd = _one(attributes, "ice-ufrag"), _one(attributes, "ice-pwd")
    if not _UFRAG.match(ufrag) or not _PWD.match(pwd):
        raise _bad("The fragment must name its ICE generation by ice-ufrag and ice-pwd.")
    return Fragment(ufrag, pwd, _candidates(attributes))


def _offer(
    sections: tuple[Section, ...], audio: int, session: dict[str, list[str]], own: dict[str, list[str]], returns: bool
) -> Offer:
    both = {**session, **own}  # RFC 8839 and 8122: a media-level value stands before the session's
    ufrag, pwd = _one(both, "ice-ufrag"), _one(both, "ice-pwd")
    if not _UFRAG.match(ufrag) or not _PWD.match(pwd):
        raise _no("The offer lacks valid ICE credentials (ice-ufrag, ice-pwd).")
    prints = tuple(found for found in map(_fingerprint, both.get("fingerprint", ())) if found)
    if not prints:
        raise _no("The offer lacks a DTLS fingerprint (sha-256, sha-384 or sha-512).")
    setup = _SETUP.get(_one(both, "setup") or "actpass")
    if setup is None:
        raise _no("The offer's DTLS role (setup) must be actpass, active or passive.")
    if "rtcp-mux" not in own and "rtcp-mux-only" not in own:
        raise _no("The offer must multiplex RTCP with RTP (rtcp-mux).")
    directions = [name for name in both if name in _DIRECTIONS]
    own_directions = [name for name in own if name in _DIRECTIONS]
    direction = (own_directions or directions or ["sendrecv"])[0]
    if direction not in ("sendrecv", "sendonly"):
        raise _no(f"The offer's audio section is {direction}: it must send.")
    if returns and direction != "sendrecv":
        raise _no("The offer's audio section is sendonly: on this address it must also receive (sendrecv).")
    return Offer(
        sections, audio, _opus(own), direction, ufrag, pwd, prints, setup,
        _ssrc(own), _candidates(own), "ice-lite" in session,
    )  # fmt: skip


def _section(part: list[str]) -> Section:
    words = part[0][2:].split(" ")
    if len(words) < 4 or not words[0].isalpha() or not re.match(r"[0-9]{1,5}\Z", words[1]):
        raise _bad("A media section of the offer is malformed.")
    attributes = _attributes(part[1:])
    mid = _one(attributes, "mid")
    if mid and not _MID.match(mid):
        raise _bad("A media section's mid is malformed.")
    if not re.match(r"[A-Z/]{3,32}\Z", words[2]) or not all(re.match(r"[!-~]{1,32}\Z", word) for word in words[3:]):
        raise _bad("A media section of the offer is malformed.")
    kind = words[0] if words[1] != "0" or "bundle-only" in attributes else f"{words[0]} refused"
    first = next((line for line in attributes.get("rtpmap", ()) if line.startswith(f"{words[3]} ")), "")
    rtpmap = first if re.match(r"[0-9]{1,3} [A-Za-z0-9\-]{1,20}/[0-9]{1,6}(/[0-9]{1,2})?\Z", first) else ""
    return Section(kind, words[2], " ".join(words[3:]), mid, rtpmap)


def _the_audio(sections: Sequence[Section]) -> int:
    audio = [number for number, section in enumerate(sections) if section.kind == "audio"]
    if len(audio) != 1:
        raise _no(f"The offer has {len(audio)} audio sections, but a seat takes exactly one.")
    if sections[audio[0]].protocol not in ("UDP/TLS/RTP/SAVPF", "RTP/SAVPF", "UDP/TLS/RTP/SAVP"):
        raise _no("The audio section must be secure RTP with DTLS (UDP/TLS/RTP/SAVPF).")
    return audio[0]


def _check_bundle(session: dict[str, list[str]], sections: Sequence[Section], audio: int) -> None:
    # RFC 9725 section 4.4.1. A lone section is a bundle of itself.
    groups = [value.split(" ") for value in session.get("group", ())]
    bundled = {mid for group in groups if group[0] == "BUNDLE" for mid in group[1:]}
    if len(sections) > 1 and sections[audio].mid not in bundled:
        raise _no("The offer must bundle its media sections (a=group:BUNDLE).")


def _opus(own: dict[str, list[str]]) -> int:
    for value in own.get("rtpmap", ()):
        found = re.match(r"([0-9]{1,3}) opus/48000/2\Z", value, re.IGNORECASE)
        if (
            found and int(found[1]) < 128 and not 64 <= int(found[1]) <= 95
        ):  # RFC 5761 section 4: not to be taken for RTCP
            return int(found[1])
    raise _no("The offer lacks Opus (opus/48000/2), the one codec of this stage.")


def _unused(section: Section, transport: Sequence[str]) -> list[str]:
    first = section.formats.split(" ")[0]
    lines = [f"m=video 9 {section.protocol} {first}", "c=IN IP4 0.0.0.0", "a=inactive", f"a=mid:{section.mid}"]
    return [*lines, "a=rtcp-mux", f"a=rtpmap:{section.rtpmap}", *transport]


def _refused(section: Section) -> list[str]:
    kind = section.kind.removesuffix(" refused")
    mid = [f"a=mid:{section.mid}"] if section.mid else []
    return [f"m={kind} 0 {section.protocol} {section.formats}", "c=IN IP4 0.0.0.0", "a=inactive", *mid]


def _attributes(lines: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith("a="):
            name, _, value = line[2:].partition(":")
            found.setdefault(name, []).append(value.strip())
    return found


def _one(attributes: dict[str, list[str]], name: str) -> str:
    return attributes.get(name, [""])[0]


def _fingerprint(value: str) -> tuple[str, str] | None:
    algorithm, _, digits = value.partition(" ")
    if algorithm.lower() in _HASHES and _FINGERPRINT.match(digits.strip()):
        return algorithm.lower(), digits.strip().upper()
    return None


def _ssrc(own: dict[str, list[str]]) -> int | None:
    digits = _one(own, "ssrc").split(" ")[0]
    return int(digits) if re.match(r"[0-9]{1,10}\Z", digits) and int(digits) < 1 << 32 else None


def _candidates(attributes: dict[str, list[str]]) -> tuple[str, ...]:
    return tuple(value for value in attributes.get("candidate", ()) if len(value) < 256)[:CANDIDATES_MOST]


def _bad(sentence: str) -> PeerError:
    return PeerError(400, sentence, "bad-sdp")


def _no(sentence: str) -> PeerError:
    return PeerError(422, sentence, "unusable-offer")
