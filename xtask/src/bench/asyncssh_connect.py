"""So many connections at once with asyncssh, held until the last one stands."""

import asyncio
import sys

import asyncssh


async def main() -> None:
    count, port, user, key, known_hosts = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:6]
    options = {
        "port": port,
        "username": user,
        "client_keys": [key],
        "known_hosts": known_hosts,
        "config": None,
        "agent_path": None,
        "encryption_algs": ["aes256-gcm@openssh.com"],
    }
    connecting = (asyncssh.connect("127.0.0.1", **options) for _ in range(count))
    connections = await asyncio.gather(*connecting)
    for connection in connections:
        connection.close()
    await asyncio.gather(*(connection.wait_closed() for connection in connections))


asyncio.run(main())
