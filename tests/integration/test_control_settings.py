"""The settings as they are in force, for the operator to look at."""

import asyncio
from pathlib import Path

from control_world import world


def test_the_operator_sees_each_setting_as_it_acts_and_no_secret(tmp_path: Path) -> None:
    async def test() -> None:
        given = {"edges": 3, "turn_password": "hush", "turn_url": "turn:turn.example.org:3478"}
        async with world(tmp_path, **given) as w:
            answer = await w.program().get("/api/settings")
            assert answer.status_code == 200 and "hush" not in answer.text
            found = {one.pop("name"): one for one in answer.json()["settings"]}
            assert all(one.pop("meaning") for one in found.values())
            assert list(found)[:3] == ["host", "port", "public_url"]
            assert found["port"] == {"value": w.settings.port, "changed": True, "secret": False}
            assert found["edges"] == {"value": 3, "changed": True, "secret": False}
            assert found["window_s"] == {"value": 60, "changed": False, "secret": False}
            assert found["media_addresses"] == {"value": [], "changed": False, "secret": False}
            # What an empty address stands for.
            assert found["sound_url"] == {"value": w.settings.sound_base, "changed": False, "secret": False}
            assert found["turn_password"] == {"value": None, "changed": True, "secret": True}
            assert found["rehearsal_key"] == {"value": None, "changed": False, "secret": True}

    asyncio.run(test())
