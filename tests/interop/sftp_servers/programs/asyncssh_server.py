"""An SFTP server made of asyncssh: `asyncssh_server.py HOST_KEY AUTHORIZED_KEYS ACCOUNT`.

It serves the whole file system with the rights of the account, on a free port that it prints. There are no commands
beside SFTP. The end of its standard input is its end too.
"""

import asyncio
import sys

import asyncssh

from account import become


async def main(host_key, authorized_keys, account):
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[asyncssh.read_private_key(host_key)],
        authorized_client_keys=asyncssh.read_authorized_keys(authorized_keys),
        sftp_factory=asyncssh.SFTPServer,
    )
    # The keys are read by now, and the library, which may be readable by root alone.
    become(account)
    print("listening on", server.get_port(), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main(*sys.argv[1:]))
