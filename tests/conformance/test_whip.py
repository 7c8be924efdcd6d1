"""RFC 9725 (WHIP), clause by clause, over real sockets."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from stage_world import OPERATOR, SDP, World, until, world

FRAGMENT = "application/trickle-ice-sdpfrag"


def run(data: Path, test: Callable[[World], Awaitable[None]], **settings: Any) -> None:
    async def inside() -> None:
        async with world(data, **settings) as one:
            await test(one)

    asyncio.run(inside())


async def post(
    one: World, space: str, token: str | None, body: str | bytes, kind: str = SDP, query: str = ""
) -> httpx.Response:
    headers = {"content-type": kind} | ({"authorization": f"Bearer {token}"} if token else {})
    return await one.http.post(f"/s/{space}/whip{query}", content=body, headers=headers)


async def sdp_of(one: World) -> str:
    connection = await one.offer(only_sends=True)
    text = str(connection.localDescription.sdp)
    await connection.close()
    return text


def test_4_2_an_offer_is_answered_201_with_location_etag_and_a_recvonly_answer(tmp_path: Path) -> None:
    async def test(one: World) -> None:
        space, host = await one.space()
        speaker = await one.join(space, host, whip=True)
        assert speaker.location.startswith(f"/s/{space}/whip/")
        assert speaker.etag.startswith('"') and speaker.etag.endswith('"')
        assert "a=recvonly" in speaker.answer and "a=sendrecv" not in speaker.answer
        assert "a=end-of-candidates" in speaker.answer and "a=candidate:" in speaker.answer
        await until(lambda: speaker.connection.connectionState == "connected")

    run(tmp_path, test)


def test_4_2_other_methods_on_the_endpoint_are_405_and_options_names_what_is_taken(tmp_path: Path) -> None:
    async def test(one: World) -> None:
        space, _ = await one.space()
        for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE"):
            refused = await one.http.request(method, f"/s/{space}/whip")
            assert refused.status_code == 405 and "POST" in refused.headers["allow"]
        options = await one.http.options(f"/s/{space}/whip")
        assert options.status_code in (200, 204) and options.headers["accept-post"] == SDP
        assert options.headers["access-control-allow-origin"] == "*"

    run(tmp_path, test)


def test_4_2_delete_ends_the_session_with_200_and_entity_tags_play_no_part(tmp_path: Path) -> None:
    async def test(one: World) -> None:
        space, host = await one.space()
        speaker = await one.join(space, host, whip=True)
        bearer = {"authorization": f"Bearer {host}", "if-match": '"another"'}
        assert (await one.http.delete(speaker.location, headers=bearer)).status_code == 200
        assert (await one.http.delete(speaker.location, headers=bearer)).status_code == 404

    run(tmp_path, test)


def test_4_3_a_session_takes_no_other_methods(tmp_path: Path) -> None:
    async def test(one: World) -> None:
        space, host = await one.space()
        speaker = await one.join(space, host, whip=True)
        for method in ("GET", "POST", "PUT"):
            refused = await one.http.request(method, speaker.location)
            assert refused.status_code == 405 and refused.headers["allow"] == "PATCH, DELETE, OPTIONS"
        assert (await one.http.get(f"/s/{space}/whip/nobody")).status_code == 404

    run(tmp_path, test)


def test_4_3_1_trickled_candidates_are_204_and_each_mistake_has_its_code(tmp_path: Path) -> None:
    async def test(one: World) -> None:
        space, host = await one.space()
        speaker = await one.join(space, host, whip=True)
        lines = speaker.connection.localDescription.sdp.splitlines()
        own = "".join(f"{line}\r\n" for line in lines if line.startswith(("a=ice-ufrag", "a=ice-pwd")))
        media = "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.9 9 typ host\r\n"

        async def patch(body: str, **headers: str) -> httpx.Response:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            base = {"authorization": f"Bearer {host}", "content-type": FRAGMENT, "if-match": speaker.etag}
            given = {name: value for name, value in {**base, **named}.items() if value}
            return await one.http.patch(speaker.location, content=body, headers=given)

        done = await patch(own + media)
        assert done.status_code == 204 and not done.content and "etag" not in done.headers
        assert (
            await patch(own + media + "a=candidate:nonsense\r\na=candidate:1 1 tcp 1 ::1 9 typ host\r\n")
        ).status_code == 204
        assert (await patch(own + media, content_type=SDP)).status_code == 415
        assert (await patch(own + media, if_match="")).status_code == 428
        assert (await patch(own + media, if_match='"old"')).status_code == 412
        assert (await patch("not a fragment")).status_code == 400
        restart = "a=ice-ufrag:fresh\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n"
        assert (await patch(restart, if_match="*")).status_code == 422  # we trickle, we do not restart
        assert (await patch(own + media, authorization="Bearer nobody")).status_code == 401

    run(tmp_path, test)


def test_4_4_offers_that_cannot_be_served_whole_are_refused_whole(tmp_path: Path) -> None:
    async def test(one: World) -> None:
        space, host = await one.space()
        good = await sdp_of(one)
        video = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=sendonly\r\na=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\n"
        for body, status in [
            (good + video * 99, 422),
            (good.replace("m=audio", "m=text"), 422),
            (good.replace("opus", "speex"), 422),
            ("v=0", 422),
            ("hello", 400),
            ("", 400),
            (b"\xff\xfe\x00", 400),
            (good + "a=x:" + "y" * 40_000 + "\r\n", 413),
            ("v=0\r\n" + "a=x\r\n" * 50_000, 413),
        ]:
            refused = await post(one, space, host, body)
            assert refused.status_code == status, (refused.text, str(body)[:80])
            assert "Traceback" not in refused.text and refused.text.strip().strip('"}').endswith(".")
        assert (await post(one, space, host, good, kind="text/plain")).status_code == 415
        # What encoders offer that cannot leave their video out: it is answered inactive, and the sound is taken.
        both = await post(one, space, host, good.replace("BUNDLE 0", "BUNDLE 0 1") + video)
        assert both.status_code == 201 and "m=video" in both.text and "a=inactive" in both.text

    run(tmp_path, test)


def test_4_5_a_server_that_is_full_answers_503_with_retry_after(tmp_path: Path) -> None:
    async def test(one: World) -> None:
        _, first = await one.space()
        space, host = await one.space()
        other, _ = await one.space()
        assert (await one.command(other, OPERATOR["authorization"][7:], type="open")).status_code == 200
        refused = await post(one, space, host, await sdp_of(one))
        assert refused.status_code == 503 and int(refused.headers["retry-after"]) > 0
        assert first

    run(tmp_path, test, spaces_live_most=1)


def test_4_6_stun_and_turn_servers_come_as_links_with_the_answer_and_to_nobody_else(tmp_path: Path) -> None:
    async def test(one: World) -> None:
        space, host = await one.space()
        links = ", ".join((await post(one, space, host, await sdp_of(one))).headers.get_list("link"))
        assert '<stun:127.0.0.1:9>; rel="ice-server"' in links
        assert (
            '<turn:127.0.0.1:9>; rel="ice-server"; username="u"; credential="p\\"q"; credential-type="password"'
            in links
        )
        for place in (f"/s/{space}/whip", f"/s/{space}/stage", f"/s/{space}/whip/x", "/s/23456789ab/whip"):
            for method in ("OPTIONS", "GET", "POST", "DELETE"):
                answer = await one.http.request(method, place)
                told = str(answer.headers.raw) + answer.text
                assert "ice-server" not in told and "127.0.0.1:9" not in told, (method, place)

    run(tmp_path, test, stun_url="stun:127.0.0.1:9", turn_url="turn:127.0.0.1:9", turn_user="u", turn_password='p"q')


def test_4_7_a_bearer_token_is_asked_for_and_checked(tmp_path: Path) -> None:
    async def test(one: World) -> None:
        space, host = await one.space()
        _, foreign = await one.space()
        good = await sdp_of(one)
        for token in (None, "nobody", foreign, "x" * 4000):
            refused = await post(one, space, token, good)
            assert refused.status_code in (400, 401)
            if refused.status_code == 401:
                assert refused.headers["www-authenticate"].startswith("Bearer")
        old = await one.guest(space, host)
        assert (await one.command(space, host, type="renew_link", seat="s2")).status_code == 200
        assert (await post(one, space, old, good)).status_code == 401
        assert (await post(one, space, OPERATOR["authorization"][7:], good)).status_code == 403
        assert (await post(one, "aaaaaaaaaa", host, good)).status_code == 404
        assert (await post(one, "..%2f..%2fetc", host, good)).status_code in (400, 404)

    run(tmp_path, test)


def test_a_speaker_cannot_touch_another_seats_session(tmp_path: Path) -> None:
    async def test(one: World) -> None:
        space, host = await one.space()
        guest = await one.guest(space, host)
        speaker = await one.join(space, host, whip=True)
        refused = await one.http.delete(speaker.location, headers={"authorization": f"Bearer {guest}"})
        assert refused.status_code == 403
        assert (await one.http.get(speaker.location)).status_code == 405  # still there

    run(tmp_path, test)


@pytest.mark.parametrize(("starts_in_min", "status"), [(None, 201), (10, 201), (16, 409)])
def test_an_encoder_of_the_host_opens_a_space_that_is_due(
    tmp_path: Path, starts_in_min: int | None, status: int
) -> None:
    from rostra.kernel.clock import iso

    async def test(one: World) -> None:
        starts = None if starts_in_min is None else iso(one.clock.wall_us() + starts_in_min * 60_000_000)
        space, host = await one.space(starts=starts)
        guest = await one.guest(space, host)
        good = await sdp_of(one)
        assert (await post(one, space, guest, good)).status_code == 409  # only the host's encoder opens
        answer = await post(one, space, host, good)
        assert answer.status_code == status
        assert one.state(space) == ("open" if status == 201 else "scheduled")
        if status == 409:
            assert starts is not None and starts in answer.json()["message"]

    run(tmp_path, test)
