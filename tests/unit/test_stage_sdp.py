import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rostra.kernel.errors import PeerError
from rostra.stage import sdp

PRINT = ":".join(["AB"] * 32)
CANDIDATE = "1 1 udp 2130706431 192.0.2.7 40000 typ host"

AUDIO = [
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9",
    "c=IN IP4 0.0.0.0",
    "a=sendrecv",
    "a=mid:0",
    "a=ice-ufrag:abcd",
    "a=ice-pwd:abcdefghijklmnopqrstuv",
    f"a=fingerprint:sha-256 {PRINT}",
    "a=setup:actpass",
    "a=rtcp-mux",
    "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    "a=rtpmap:63 red/48000/2",
    "a=rtpmap:111 opus/48000/2",
    "a=fmtp:111 minptime=10;useinbandfec=1",
    "a=ssrc:1234 cname:x",
    f"a=candidate:{CANDIDATE}",
]
VIDEO = [
    "m=video 9 UDP/TLS/RTP/SAVPF 96 97",
    "c=IN IP4 0.0.0.0",
    "a=sendonly",
    "a=mid:1",
    "a=rtcp-mux",
    "a=rtpmap:96 H264/90000",
]
DATA = ["m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0", "a=mid:2", "a=sctp-port:5000"]
LOCAL = sdp.Local("ufra", "p" * 22, PRINT, [CANDIDATE], 77, "me")


def offer(*sections: list[str], session: tuple[str, ...] = ("a=group:BUNDLE 0 1 2",)) -> str:
    head = ["v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", *session]
    return "\r\n".join(head + [line for section in sections for line in section]) + "\r\n"


def without(section: list[str], start: str) -> list[str]:
    return [line for line in section if not line.startswith(start)]


def swapped(old: str, new: str) -> list[str]:
    return [line.replace(old, new) for line in AUDIO]


def test_an_offer_is_read_and_answered_with_what_we_wish_of_opus() -> None:
    read = sdp.parse_offer(offer(AUDIO), returns=True)
    assert (read.opus_payload_type, read.setup, read.ufrag, read.ssrc) == (111, "active", "abcd", 1234)
    answer = sdp.answer(read, LOCAL, returns=True).split("\r\n")
    assert "m=audio 9 UDP/TLS/RTP/SAVPF 111" in answer
    assert {"a=sendrecv", "a=setup:active", "a=rtcp-mux", "a=mid:0", f"a=candidate:{CANDIDATE}"} <= set(answer)
    assert any("useinbandfec=1" in line and "maxaveragebitrate=64000" in line for line in answer)


def test_an_encoder_that_only_sends_is_answered_recvonly() -> None:
    read = sdp.parse_offer(offer(swapped("sendrecv", "sendonly")), returns=False)
    assert "a=recvonly" in sdp.answer(read, LOCAL, returns=False)
    assert "a=ssrc" not in sdp.answer(read, LOCAL, returns=False)


def test_credentials_may_stand_at_the_session_level() -> None:
    own = without(without(AUDIO, "a=ice"), "a=fingerprint")
    session = ("a=ice-ufrag:sess", "a=ice-pwd:abcdefghijklmnopqrstuv", f"a=fingerprint:sha-256 {PRINT}")
    assert sdp.parse_offer(offer(own, session=session), returns=True).ufrag == "sess"


def test_a_data_channel_is_refused_by_port_zero_and_the_voice_stays() -> None:
    answer = sdp.answer(sdp.parse_offer(offer(AUDIO, DATA), returns=True), LOCAL, returns=True)
    assert "m=application 0 UDP/DTLS/SCTP webrtc-datachannel" in answer
    assert "a=group:BUNDLE 0\r\n" in answer


def test_video_can_be_left_unused_by_an_encoder_that_cannot_leave_it_out() -> None:
    read = sdp.parse_offer(offer(swapped("sendrecv", "sendonly"), VIDEO), returns=False)
    answer = sdp.answer(read, LOCAL, returns=False)
    video = answer[answer.index("m=video") :]
    assert video.startswith("m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\na=mid:1\r\n")
    # Browsers refuse an answer whose section names no transport, even where it is bundled.
    assert all(f"a={name}:" in video for name in ("ice-ufrag", "ice-pwd", "fingerprint", "setup"))
    assert "a=group:BUNDLE 0 1\r\n" in answer


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("", 400),
        ("hello", 400),
        ("{}", 400),
        ("v=0\r\nnonsense\r\n", 400),
        (offer(), 422),
        (offer(VIDEO), 422),
        (offer(AUDIO, AUDIO), 422),
        (offer(*[AUDIO] * 9), 422),
        (offer(*[VIDEO] * 100), 422),
        (offer(swapped("sendrecv", "recvonly")), 422),
        (offer(swapped("sendrecv", "inactive")), 422),
        (offer(swapped("sendrecv", "sendonly")), 422),
        (offer(without(AUDIO, "a=ice-ufrag")), 422),
        (offer(swapped("ice-pwd:abcdefghijklmnopqrstuv", "ice-pwd:short")), 422),
        (offer(without(AUDIO, "a=fingerprint")), 422),
        (offer(swapped("sha-256", "md5")), 422),
        (offer(without(AUDIO, "a=rtcp-mux")), 422),
        (offer(without(AUDIO, "a=rtpmap:111")), 422),
        (offer(swapped("actpass", "holdconn")), 422),
        (offer(swapped("UDP/TLS/RTP/SAVPF", "RTP/AVP")), 422),
        (offer(AUDIO, DATA, session=()), 422),
        (offer(["m=audio"]), 400),
        (offer(["m=audio x UDP/TLS/RTP/SAVPF 111"]), 400),
        ("v=0\r\n" + "a=" + "x" * 40_000 + "\r\n", 413),
    ],
)
def test_what_cannot_be_answered_is_refused_with_a_sentence(text: str, status: int) -> None:
    with pytest.raises(PeerError) as refusal:
        sdp.parse_offer(text, returns=True)
    assert refusal.value.status == status
    assert str(refusal.value).endswith(".")


@given(
    st.text(max_size=300)
    | st.lists(st.sampled_from([*AUDIO, *VIDEO, *DATA, "v=0", "a=", "m=", "\x00="])).map("\r\n".join)
)
def test_any_text_is_an_offer_or_refused_and_nothing_else(text: str) -> None:
    for body in (text, f"v=0\r\n{text}"):
        with contextlib.suppress(PeerError):
            sdp.answer(sdp.parse_offer(body, returns=False), LOCAL, returns=False)
        with contextlib.suppress(PeerError):
            sdp.parse_fragment(body)


def test_a_fragment_names_its_generation_and_its_candidates() -> None:
    text = f"a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:{CANDIDATE}\r\n"
    assert sdp.parse_fragment(text) == sdp.Fragment("abcd", "abcdefghijklmnopqrstuv", (CANDIDATE,))
    with pytest.raises(PeerError):
        sdp.parse_fragment("a=candidate:1\r\n")


def test_more_candidates_than_a_speaker_can_have_are_passed_over() -> None:
    many = AUDIO + [f"a=candidate:{CANDIDATE}"] * 500
    assert len(sdp.parse_offer(offer(many), returns=True).candidates) == sdp.CANDIDATES_MOST
