"""Who may be loaded: loopback, and a server whose operator set a rehearsal key and gave it to us.

The server publishes the key's hash at /rehearsal.json; only somebody who holds the key can know that its operator agreed.
"""

import ipaddress
import json
from urllib.parse import urlsplit

from rostra.kernel.errors import Fault
from rostra.kernel.ids import same_secret
from rostra.rehearsal.http import Client, HttpError


async def check_consent(client: Client, url: str, key: str | None) -> None:
    """Raises: Fault: this server has not agreed to be loaded by us."""
    if on_loopback(url):
        return
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
    if not key:
        raise Fault(
            f"A crowd is sent to {origin} only with its rehearsal key.",
            "Its operator sets 'rehearsal_key' and gives it to you; pass it with --key.",
        )
    try:
        answer = await client.request("GET", f"{origin}/rehearsal.json", deadline_s=10, redirects=0)
        said = json.loads(answer.body) if answer.status == 200 else {}
    except (HttpError, ValueError):
        said = {}
    published = said.get("key_sha256") if isinstance(said, dict) else None
    if not isinstance(published, str) or said.get("consents") is not True:
        raise Fault(
            f"{origin} does not consent to a rehearsal.",
            "Its operator sets 'rehearsal_key' there and restarts; then /rehearsal.json says so.",
        )
    if not same_secret(key, published.lower()):
        raise Fault(f"This is not the rehearsal key of {origin}.", "Ask its operator for the one that is set now.")


def on_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
