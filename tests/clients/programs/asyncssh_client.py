"""asyncssh as a client: does what one JSON object on standard input asks for, and prints a JSON line for each step.

The fields are those of `request.rs`; bytes that need not be text travel as hex.
"""

import asyncio
import hashlib
import json
import logging
import os
import sys

import asyncssh

PIECE = 256 * 1024


def tell(answer):
    print(json.dumps(answer), flush=True)


class Login(asyncssh.SSHClient):
    """Answers keyboard-interactive questions from a table, and keeps what was asked."""

    def __init__(self, answers):
        self.answers = answers
        self.rounds = []

    def kbdint_auth_requested(self):
        return "" if self.answers else None

    def kbdint_challenge_received(self, name, instructions, lang, prompts):
        self.rounds.append([text for text, _echo in prompts])
        return [self.answers[text] for text, _echo in prompts]


class Rekeys(logging.Handler):
    """Counts the key exchanges that the library says it has completed."""

    count = 0

    def emit(self, record):
        if "Completed key exchange" in record.getMessage():
            self.count += 1


async def run(connection, step):
    result = await connection.run(
        step["command"],
        input=bytes.fromhex(step.get("input", "")),
        env=step.get("env", {}),
        encoding=None,
    )
    return {
        "exit": None if result.exit_signal else result.exit_status,
        "signal": result.exit_signal[0] if result.exit_signal else None,
        "stdout": result.stdout.hex(),
        "stderr": result.stderr.hex(),
    }


async def download(connection, step):
    process = await connection.create_process(step["command"], encoding=None)
    digest, size = hashlib.sha256(), 0
    while piece := await process.stdout.read(PIECE):
        digest.update(piece)
        size += len(piece)
    await process.wait()
    return {"bytes": size, "sha256": digest.hexdigest(), "exit": process.exit_status}


async def upload(connection, step):
    process = await connection.create_process(step["command"], encoding=None)
    with open(step["file"], "rb") as source:
        while piece := source.read(PIECE):
            process.stdin.write(piece)
            await process.stdin.drain()
    process.stdin.write_eof()
    result = await process.wait()
    return {"exit": result.exit_status, "stdout": result.stdout.hex()}


async def signal(connection, step):
    """Starts a command, waits for its first output, sends it a signal."""
    process = await connection.create_process(step["command"], encoding=None)
    first = await process.stdout.read(PIECE)
    process.send_signal(step["signal"])
    result = await process.wait()
    name = result.exit_signal[0] if result.exit_signal else None
    return {"first": first.hex(), "signal": name, "exit": None if name else result.exit_status}


async def talk(reader, writer, text):
    """Says its line, ends its side, and hears the other out."""
    writer.write(text)
    writer.write_eof()
    heard = await reader.read(-1)
    writer.close()
    return {"heard": heard.hex()}


async def connect_out(connection, step):
    if "path" in step:
        reader, writer = await connection.open_unix_connection(step["path"])
    else:
        reader, writer = await connection.open_connection(step["host"], step["port"])
    return await talk(reader, writer, bytes.fromhex(step["say"]))


async def refused(connection, step):
    try:
        await connection.open_connection(step["host"], step["port"])
    except asyncssh.ChannelOpenError as error:
        return {"code": error.code}
    return {"code": None}


async def listen_there(connection, step):
    """Has the server listen, and answers one connection made to it with what it said, in upper case."""
    served = asyncio.get_running_loop().create_future()

    async def answer(reader, writer):
        heard = await reader.read(-1)
        writer.write(heard.upper())
        writer.write_eof()
        await writer.drain()
        writer.close()
        served.set_result(heard.hex())

    if "path" in step:
        listener = await connection.start_unix_server(lambda: answer, step["path"], encoding=None)
        tell({"listening": step["path"]})
    else:
        factory = lambda _host, _port: answer
        listener = await connection.start_server(factory, step["host"], 0, encoding=None)
        tell({"listening": listener.get_port()})
    heard = await served
    listener.close()
    await listener.wait_closed()
    return {"heard": heard}


async def tree(sftp, step):
    """A tree sent, its names listed, a file renamed, the tree fetched again."""
    there = os.fsencode(step["there"])
    await sftp.put(step["from"], there, recurse=True)
    names = sorted(name for name in await sftp.listdir(there) if name not in (b".", b"..", ".", ".."))
    await sftp.rename(there + b"/" + os.fsencode(step["rename"]), there + b"/" + os.fsencode(step["as"]))
    await sftp.get(there, step["to"], recurse=True)
    return {"names": [os.fsencode(name).hex() for name in names]}


async def names(sftp, step):
    """A file under a name of any bytes: written, found in its directory, read, renamed, removed."""
    name, other = bytes.fromhex(step["name"]), bytes.fromhex(step["other"])
    await sftp.mkdir(b"names")
    async with sftp.open(b"names/" + name, "wb") as file:
        await file.write(b"content")
    listed = [entry for entry in await sftp.listdir(b"names") if entry not in (b".", b"..")]
    async with sftp.open(b"names/" + name, "rb") as file:
        read = await file.read()
    await sftp.rename(b"names/" + name, b"names/" + other)
    renamed = [entry for entry in await sftp.listdir(b"names") if entry not in (b".", b"..")]
    await sftp.remove(b"names/" + other)
    await sftp.rmdir(b"names")
    return {
        "listed": [entry.hex() for entry in listed],
        "renamed": [entry.hex() for entry in renamed],
        "read": read.hex(),
    }


async def put(sftp, step):
    await sftp.put(step["file"], step["there"])
    return {"size": (await sftp.stat(step["there"])).size}


async def get(sftp, step):
    await sftp.get(step["there"], step["file"])
    return {}


async def resume(sftp, step):
    """Sends, then fetches, what is missing of a file that is there in part."""
    async with sftp.open(step["there"], "ab") as file:
        size = (await file.stat()).size
        with open(step["file"], "rb") as source:
            source.seek(size)
            while piece := source.read(PIECE):
                await file.write(piece)
    with open(step["to"], "ab") as target:
        async with sftp.open(step["there"], "rb") as file:
            await file.seek(target.tell())
            while piece := await file.read(PIECE):
                target.write(piece)
    return {"sent_from": size}


async def links(sftp, step):
    await sftp.symlink(step["target"], step["link"])
    target = await sftp.readlink(step["link"])
    await sftp.chmod(step["target"], 0o640)
    await sftp.utime(step["target"], times=(1_000_000_000, 1_100_000_000))
    seen = await sftp.stat(step["target"])
    kind = await sftp.lstat(step["link"])
    try:
        await sftp.stat("no-such-file")
        missing = "found"
    except asyncssh.SFTPNoSuchFile:
        missing = "no such file"
    return {
        "readlink": target,
        "mode": seen.permissions & 0o7777,
        "mtime": seen.mtime,
        "is_link": (kind.permissions & 0o170000) == 0o120000,
        "missing": missing,
    }


async def many(sftp, step):
    """Holds so many files open at once, and reads them all."""
    files = [await sftp.open(f"many-{n}", "w+b") for n in range(step["count"])]
    for n, file in enumerate(files):
        await file.write(b"%d" % n)
    right = 0
    for n, file in enumerate(files):
        await file.seek(0)
        right += await file.read() == b"%d" % n
        await file.close()
    return {"right": right}


STEPS = {
    "run": run,
    "download": download,
    "upload": upload,
    "signal": signal,
    "connect": connect_out,
    "refused": refused,
    "listen": listen_there,
}
SFTP_STEPS = {
    "tree": tree,
    "names": names,
    "put": put,
    "get": get,
    "resume": resume,
    "links": links,
    "many": many,
}


async def step_of(connection, rekeys, step):
    if step["do"] == "rekeys":
        return {"rekeys": rekeys.count - 1}
    if step["do"] in SFTP_STEPS:
        async with connection.start_sftp_client(path_encoding=step.get("encoding", "utf-8")) as sftp:
            return await SFTP_STEPS[step["do"]](sftp, step)
    return await STEPS[step["do"]](connection, step)


async def main():
    request = json.load(sys.stdin)
    login = request["login"]
    client = Login(login.get("answers", {}))
    key = login.get("key")
    if key and "certificate" in login:
        key = (key, login["certificate"])
    rekeys = Rekeys()
    logging.getLogger("asyncssh").addHandler(rekeys)
    asyncssh.set_log_level("DEBUG")
    asyncssh.set_debug_level(1)
    # The library counts by itself, and is told when it connects.
    limits = [step["rekey_each"] for step in request["steps"] if "rekey_each" in step]
    more = {"rekey_bytes": limits[0]} if limits else {}
    port = request["port"]
    try:
        connection = await asyncssh.connect(
            "127.0.0.1",
            port,
            config=None,
            username=request["user"],
            known_hosts=asyncssh.import_known_hosts(f"[127.0.0.1]:{port} {request['host_key']}"),
            client_keys=[key] if key else () if "agent" in login else None,
            agent_path=login.get("agent"),
            agent_forwarding=any("forward_agent" in step for step in request["steps"]),
            password=login.get("password"),
            client_factory=lambda: client,
            **more,
        )
    except asyncssh.PermissionDenied as error:
        tell({"refused": str(error)})
        return
    async with connection:
        version = connection.get_extra_info("server_version")
        tell({"logged_in": True, "rounds": client.rounds, "server": version})
        for step in request["steps"]:
            tell(await step_of(connection, rekeys, step))


asyncio.run(main())
