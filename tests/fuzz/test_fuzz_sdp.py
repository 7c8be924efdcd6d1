"""Whatever a speaker's program offers, it is answered by a whole description or refused as its own fault; nothing of it gets into a line of ours."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from rostra.kernel.errors import PeerError
from rostra.stage import sdp

PRINT = ":".join(["AB"] * 32)
CANDIDATE = "1 1 udp 2130706431 192.0.2.7 40000 typ host"
LOCAL = sdp.Local("ufra", "p" * 22, PRINT, [CANDIDATE], 77, "me")
GOOD = [
    "v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0 1",
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 63", "c=IN IP4 0.0.0.0", "a=sendrecv", "a=mid:0", "a=ice-ufrag:abcd",
    "a=ice-pwd:abcdefghijklmnopqrstuv", f"a=fingerprint:sha-256 {PRINT}", "a=setup:actpass", "a=rtcp-mux",
    "a=rtpmap:111 opus/48000/2", "a=ssrc:1234 cname:x", f"a=candidate:{CANDIDATE}",
    "m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:1", "a=sendonly", "a=rtcp-mux", "a=rtpmap:96 H264/90000",
]  # fmt: skip

_lines = st.sampled_from(
    [
        *GOOD, "m=audio 0 RTP/AVP 0", "m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "m=", "a=", "a=mid:", "a=mid:0\x00", "a=ssrc:99999999999",
        "a=rtpmap:999 opus/48000/2", "a=rtpmap:٣ opus/48000/2", "a=ice-pwd:", "a=ice-lite", "a=bundle-only", "a=setup:holdconn", "a=inactive",
        "a=fingerprint:md5 AB", "a=group:BUNDLE", "a=group:", "v=0", "x", "", "m=audio", "m=audio 9", "m=\ud800 9 UDP/TLS/RTP/SAVPF 111",
        f"a=candidate:{'9' * 300}", "a=end-of-candidates",
    ]
)  # fmt: skip
_texts = st.tuples(st.lists(_lines | st.text(max_size=12), max_size=30), st.sampled_from(["\r\n", "\n"])).map(
    lambda made: made[1].join(made[0])
)


@st.composite
def _near(draw: st.DrawFn) -> str:
    """A good offer with a few lines taken out, put in, put elsewhere or spoilt."""
    lines = list(GOOD)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        how = draw(st.sampled_from(["drop", "insert", "double", "cut", "spoil"]))
        if how == "drop" and len(lines) > 1:
            del lines[at]
        elif how == "insert":
            lines.insert(at, draw(_lines))
        elif how == "double":
            lines.insert(at, lines[at])
        elif how == "cut":
            lines[at] = lines[at][: draw(st.integers(0, len(lines[at])))]
        else:
            cut = draw(st.integers(0, len(lines[at])))
            lines[at] = lines[at][:cut] + draw(st.text(max_size=3)) + lines[at][cut:]
    return "\r\n".join(lines) + "\r\n"


@given(_near() | _texts | st.text(max_size=80), st.booleans())
@example("", True)
@example("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF", True)
@settings(max_examples=800, deadline=None)
def test_an_offer_is_answered_whole_or_refused(text: str, returns: bool) -> None:
    try:
        offer = sdp.parse_offer(text, returns=returns)
    except PeerError as refusal:
        assert refusal.status in (400, 413, 422) and str(refusal).endswith(".")
        return
    answer = sdp.answer(offer, LOCAL, returns=returns)
    lines = answer.removesuffix("\r\n").split("\r\n")
    assert answer.isascii() and all(len(line) > 2 and line[1] == "=" and line.isprintable() for line in lines)
    assert len([line for line in lines if line.startswith("m=")]) == len(offer.sections) <= sdp.SECTIONS_MOST
    assert len(offer.candidates) <= sdp.CANDIDATES_MOST
    assert ("a=sendrecv" in lines) == returns


@given(_texts | st.text(max_size=80))
@settings(max_examples=300, deadline=None)
def test_a_fragment_is_read_or_refused(text: str) -> None:
    for given_text in (text, "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n" + text):
        try:
            fragment = sdp.parse_fragment(given_text)
        except PeerError as refusal:
            assert refusal.status in (400, 413)
        else:
            assert len(fragment.candidates) <= sdp.CANDIDATES_MOST
            assert all(len(one) < 256 for one in fragment.candidates)
