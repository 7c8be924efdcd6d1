"""`make demo`: everything on this machine, and a Space on the air with two synthetic voices in conversation.

Uses the commands alone, as a stranger would; stops all it started at Ctrl-C. What the server says goes to DATA/demo.log.
"""

import argparse
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROSTRA = [sys.executable, "-m", "rostra"]
VOICES = Path(__file__).parent / "voices"


def rostra(*args: str) -> Any:
    done = subprocess.run([*ROSTRA, *args, "--json"], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)  # it has said why
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="./rostra-data")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", default="8000")
    args = parser.parse_args()
    data = Path(args.data)
    data.mkdir(parents=True, exist_ok=True)
    started: list[subprocess.Popen[str]] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    space: dict[str, Any] = {}
    try:
        with (data / "demo.log").open("a") as log:
            where = ["--data", args.data, "--host", args.host, "--port", args.port]
            # In groups of their own, so that Ctrl-C reaches us alone and we stop them in order.
            server = subprocess.Popen(
                [*ROSTRA, "serve", "--json", *where], stdout=subprocess.PIPE, stderr=log, text=True, process_group=0
            )
            started.append(server)
            assert server.stdout is not None
            line = server.stdout.readline()
            if not line or "error" in (greeting := json.loads(line)):
                last = (data / "demo.log").read_text().splitlines()[-2:]
                raise SystemExit("\n".join(last))
            kept = ["--data", args.data]
            space = rostra("space", "create", "--title", "The Lighthouse Hour", "--host-name", "Ada", *kept)
            guest = rostra("space", "invite", space["id"], "--name", "Ben", *kept)
            rostra("space", "open", space["id"], *kept)  # Ben may come before Ada, and only hers would open it
            for token, voice in ((space["token"], "ada"), (guest["token"], "ben")):
                speak = ["speak", space["whip"], "--token", token, "--file", str(VOICES / f"{voice}.opus"), "--loop"]
                started.append(
                    subprocess.Popen(
                        [*ROSTRA, *speak], stdout=subprocess.DEVNULL, stderr=log, text=True, process_group=0
                    )
                )
            deadline = time.monotonic() + 30
            while (state := rostra("space", "show", space["id"], *kept)["state"]) != "live":
                if time.monotonic() > deadline or any(one.poll() is not None for one in started):
                    raise SystemExit(
                        f"The demonstration did not go on the air (it is {state}).\nSee {data / 'demo.log'}."
                    )
                time.sleep(0.2)
        print(f"\nOn the air, two voices about lighthouses:\n  {space['page']}\n")
        print(f"Sign in as the operator (once, within half an hour):\n  {greeting['sign_in']}\n")
        print(f"The log is {data / 'demo.log'}. Stop with Ctrl-C.", flush=True)
        server.wait()
    except KeyboardInterrupt:
        print("\nStopping …", flush=True)
    finally:
        for process in started[1:]:
            process.terminate()
        if space and started[0].poll() is None:
            subprocess.run(
                [*ROSTRA, "space", "end", space["id"], "--data", args.data], stdout=subprocess.DEVNULL, check=False
            )
        for process in started:
            process.terminate()
            try:
                process.wait(25)
            except subprocess.TimeoutExpired:
                process.kill()


if __name__ == "__main__":
    main()
