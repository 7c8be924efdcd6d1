import asyncio
from dataclasses import replace

import pytest

from rostra.kernel.errors import Fault
from rostra.kernel.settings import Settings
from rostra.stage.ice import IceAgent, host_addresses, ice_servers

LOCAL = Settings()
PUBLIC = replace(LOCAL, host="0.0.0.0")


def test_a_service_on_loopback_offers_loopback_too() -> None:
    assert "127.0.0.1" in host_addresses(LOCAL)


def test_there_is_always_an_address_to_offer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ifaddr.get_adapters", list)
    assert host_addresses(PUBLIC) == ["127.0.0.1"]


def test_the_settings_addresses_stand_before_those_of_the_machine() -> None:
    assert host_addresses(replace(LOCAL, media_addresses=["203.0.113.7"])) == ["203.0.113.7"]
    with pytest.raises(Fault, match="example.org"):
        host_addresses(replace(LOCAL, media_addresses=["example.org"]))


def test_no_server_of_others_is_used_unless_the_operator_names_one() -> None:
    assert ice_servers(LOCAL) == []
    agent = asyncio.run(_agent(LOCAL))
    assert agent.stun_server is None and agent.turn_server is None
    named = replace(LOCAL, turn_url="turns:turn.example.org", turn_user="u", turn_password="p")
    agent = asyncio.run(_agent(named))
    assert agent.turn_server == ("turn.example.org", 5349) and agent.turn_ssl


def test_a_server_that_cannot_be_understood_is_a_fault_of_the_settings() -> None:
    with pytest.raises(Fault):
        asyncio.run(_agent(replace(LOCAL, stun_url="http://x")))


def test_an_address_that_a_router_maps_to_us_is_offered_though_no_card_has_it() -> None:
    async def run() -> None:
        agent = IceAgent(replace(LOCAL, media_addresses=["203.0.113.7", "127.0.0.1"]))
        mapped, loopback = await agent.gather()
        assert " 203.0.113.7 " in mapped and " 127.0.0.1 " in loopback
        await agent.close()

    asyncio.run(run())


def test_candidates_we_cannot_use_are_passed_over() -> None:
    async def run() -> None:
        agent = await _agent(LOCAL)
        agent.offered(
            [
                "",
                "x" * 50,
                "1 1 tcp 1 192.0.2.1 9 typ host",
                "1 1 udp 1 a-b-c.local 9 typ host",
                "1 2 udp 1 192.0.2.1 9 typ host",
            ]
        )
        assert agent.remote_candidates == []
        agent.offered(["1 1 udp 1 192.0.2.1 9 typ host"])
        assert len(agent.remote_candidates) == 1
        await agent.close()

    asyncio.run(run())


async def _agent(settings: Settings) -> IceAgent:
    return IceAgent(settings)
