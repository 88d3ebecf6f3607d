"""paramiko as a client: does what one JSON object on standard input asks for, and prints a JSON line for each step.

The fields are those of `request.rs`; bytes that need not be text travel as hex.
"""

import hashlib
import json
import logging
import os
import stat
import sys
import threading

import paramiko
from paramiko.agent import AgentRequestHandler
from paramiko.auth_handler import AuthOnlyHandler

PIECE = 256 * 1024
WAIT = 100


def tell(answer):
    print(json.dumps(answer), flush=True)


class QuickAnswers(AuthOnlyHandler):
    """The library makes the event it waits for after it has sent its request, and misses an answer that is quicker."""

    made_before = None
    auth_event = property(lambda self: self.made_before, lambda self, made_after: None)

    def send_auth_request(self, *arguments):
        self.made_before = threading.Event()
        return super().send_auth_request(*arguments)


class NewerTransport(paramiko.ServiceRequestingTransport):
    def get_auth_handler(self):
        return QuickAnswers(self)


class Rekeys(logging.Handler):
    """Counts the key exchanges that the library says it has completed."""

    count = 0

    def emit(self, record):
        if "Switch to new keys" in record.getMessage():
            self.count += 1


def log_in(transport, user, login, rounds):
    """By each of the proofs, in their order: each but the last is only part of what is asked for."""

    def answer(title, instructions, prompts):
        rounds.append([text for text, _echo in prompts])
        return [login["answers"][text] for text, _echo in prompts]

    for proof in login["by"]:
        if proof == "none":
            try:
                transport.auth_none(user)
            except paramiko.BadAuthenticationType:
                # Refused, and told what to show instead.
                continue
        elif proof == "key":
            key = paramiko.PKey.from_path(login["key"])
            if "certificate" in login:
                key.load_certificate(login["certificate"])
            transport.auth_publickey(user, key)
        elif proof == "agent":
            transport.auth_publickey(user, paramiko.Agent().get_keys()[0])
        elif proof == "password":
            transport.auth_password(user, login["password"], fallback=False)
        elif proof == "answers":
            transport.auth_interactive(user, answer)


def session(transport, command):
    channel = transport.open_session()
    channel.settimeout(WAIT)
    channel.exec_command(command)
    return channel


def run(transport, step):
    channel = transport.open_session()
    channel.settimeout(WAIT)
    for name, value in step.get("env", {}).items():
        channel.set_environment_variable(name, value)
    if step.get("forward_agent"):
        AgentRequestHandler(channel)
    channel.exec_command(step["command"])
    channel.sendall(bytes.fromhex(step.get("input", "")))
    channel.shutdown_write()
    stdout, stderr = channel.makefile("rb").read(), channel.makefile_stderr("rb").read()
    code = channel.recv_exit_status()
    return {"exit": code, "signal": None, "stdout": stdout.hex(), "stderr": stderr.hex()}


def rekey_in_time(transport, step, size, exchanges):
    """Exchanges keys a few times, after each so many bytes; the other side goes on sending meanwhile.

    A few: while it exchanges keys, the library answers no channel that is closed, and waits for itself.
    """
    if size // step.get("rekey_each", sys.maxsize) > exchanges and exchanges < step["rekey_times"]:
        transport.renegotiate_keys()
        return exchanges + 1
    return exchanges


def download(transport, step):
    channel = session(transport, step["command"])
    digest, size, exchanges = hashlib.sha256(), 0, 0
    while piece := channel.recv(PIECE):
        digest.update(piece)
        size += len(piece)
        exchanges = rekey_in_time(transport, step, size, exchanges)
    return {"bytes": size, "sha256": digest.hexdigest(), "exit": channel.recv_exit_status()}


def upload(transport, step):
    channel, exchanges = session(transport, step["command"]), 0
    with open(step["file"], "rb") as source:
        while piece := source.read(PIECE):
            channel.sendall(piece)
            exchanges = rekey_in_time(transport, step, source.tell(), exchanges)
    channel.shutdown_write()
    stdout = channel.makefile("rb").read()
    return {"exit": channel.recv_exit_status(), "stdout": stdout.hex()}


def talk(channel, text):
    """Says its line, ends its side, and hears the other out."""
    channel.settimeout(WAIT)
    channel.sendall(text)
    channel.shutdown_write()
    heard = b""
    while piece := channel.recv(PIECE):
        heard += piece
    channel.close()
    return {"heard": heard.hex()}


def connect_out(transport, step):
    target = (step["host"], step["port"])
    channel = transport.open_channel("direct-tcpip", target, ("127.0.0.1", 1), timeout=WAIT)
    return talk(channel, bytes.fromhex(step["say"]))


def refused(transport, step):
    try:
        transport.open_channel("direct-tcpip", (step["host"], step["port"]), ("127.0.0.1", 1), timeout=WAIT)
    except paramiko.ChannelException as error:
        return {"code": error.code}
    return {"code": None}


def listen_there(transport, step):
    """Has the server listen, and answers one connection made to it with what it said, in upper case."""
    port = transport.request_port_forward(step["host"], 0)
    tell({"listening": port})
    channel = transport.accept(WAIT)
    channel.settimeout(WAIT)
    heard = b""
    while piece := channel.recv(PIECE):
        heard += piece
    channel.sendall(heard.upper())
    channel.close()
    transport.cancel_port_forward(step["host"], port)
    return {"heard": heard.hex()}


def put_tree(sftp, source, there):
    sftp.mkdir(there)
    for entry in os.scandir(source):
        if entry.is_dir():
            put_tree(sftp, entry.path, f"{there}/{entry.name}")
        else:
            sftp.put(entry.path, f"{there}/{entry.name}")


def get_tree(sftp, there, target):
    os.mkdir(target)
    for entry in sftp.listdir_attr(there):
        if stat.S_ISDIR(entry.st_mode):
            get_tree(sftp, f"{there}/{entry.filename}", os.path.join(target, entry.filename))
        else:
            sftp.get(f"{there}/{entry.filename}", os.path.join(target, entry.filename))


def tree(sftp, step):
    """A tree sent, its names listed, a file renamed, the tree fetched again. The library has no walk of its own."""
    there = step["there"]
    put_tree(sftp, step["from"], there)
    names = sorted(sftp.listdir(there))
    sftp.rename(f"{there}/{step['rename']}", f"{there}/{step['as']}")
    get_tree(sftp, there, step["to"])
    return {"names": [os.fsencode(name).hex() for name in names]}


def names(sftp, step):
    """A file under a name of any bytes: written, read, renamed, removed. The library lists text alone."""

    def listed():
        try:
            return [os.fsencode(name).hex() for name in sftp.listdir(b"names")]
        except UnicodeDecodeError as error:
            # What could not be decoded holds the first name whole: the bytes that came.
            return [error.object.hex()]

    name, other = bytes.fromhex(step["name"]), bytes.fromhex(step["other"])
    sftp.mkdir(b"names")
    with sftp.open(b"names/" + name, "wb") as file:
        file.write(b"content")
    first = listed()
    with sftp.open(b"names/" + name, "rb") as file:
        read = file.read()
    sftp.rename(b"names/" + name, b"names/" + other)
    renamed = listed()
    sftp.remove(b"names/" + other)
    sftp.rmdir(b"names")
    return {"listed": first, "renamed": renamed, "read": read.hex()}


def put(sftp, step):
    return {"size": sftp.put(step["file"], step["there"]).st_size}


def get(sftp, step):
    sftp.get(step["there"], step["file"])
    return {}


def resume(sftp, step):
    """Sends, then fetches, what is missing of a file that is there in part."""
    with sftp.open(step["there"], "ab") as file:
        file.set_pipelined(True)
        size = file.stat().st_size
        with open(step["file"], "rb") as source:
            source.seek(size)
            while piece := source.read(PIECE):
                file.write(piece)
    with open(step["to"], "ab") as target, sftp.open(step["there"], "rb") as file:
        file.seek(target.tell())
        while piece := file.read(PIECE):
            target.write(piece)
    return {"sent_from": size}


def links(sftp, step):
    sftp.symlink(step["target"], step["link"])
    target = sftp.readlink(step["link"])
    sftp.chmod(step["target"], 0o640)
    sftp.utime(step["target"], (1_000_000_000, 1_100_000_000))
    seen = sftp.stat(step["target"])
    kind = sftp.lstat(step["link"])
    try:
        sftp.stat("no-such-file")
        missing = "found"
    except FileNotFoundError:
        missing = "no such file"
    return {
        "readlink": target,
        "mode": stat.S_IMODE(seen.st_mode),
        "mtime": seen.st_mtime,
        "is_link": stat.S_ISLNK(kind.st_mode),
        "missing": missing,
    }


def many(sftp, step):
    """Holds so many files open at once, and reads them all."""
    files = [sftp.open(f"many-{n}", "w+b") for n in range(step["count"])]
    for n, file in enumerate(files):
        file.write(b"%d" % n)
    right = 0
    for n, file in enumerate(files):
        file.seek(0)
        right += file.read() == b"%d" % n
        file.close()
    return {"right": right}


STEPS = {
    "run": run,
    "download": download,
    "upload": upload,
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


def step_of(transport, rekeys, step):
    if step["do"] == "rekeys":
        return {"rekeys": rekeys.count - 1}
    if step["do"] in SFTP_STEPS:
        with paramiko.SFTPClient.from_transport(transport) as sftp:
            return SFTP_STEPS[step["do"]](sftp, step)
    return STEPS[step["do"]](transport, step)


def main():
    request = json.load(sys.stdin)
    login = request["login"]
    rekeys = Rekeys()
    logger = logging.getLogger("rustle")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(rekeys)
    # The library's older transport asks for the authentication service before each attempt, which the server answers
    # once: `logins.rs` shows it. The newer one knows no attempt by `none`.
    older = len(login["by"]) == 1 or "older_transport" in login
    kind = paramiko.Transport if older else NewerTransport
    transport = kind(("127.0.0.1", request["port"]))
    transport.auth_timeout = login.get("older_transport", transport.auth_timeout)
    transport.set_log_channel("rustle")
    if "agent" in login:
        # The library finds its agent by the environment alone.
        os.environ["SSH_AUTH_SOCK"] = login["agent"]
    rounds = []
    try:
        transport.start_client(timeout=WAIT)
        shown = transport.get_remote_server_key()
        if [shown.get_name(), shown.get_base64()] != request["host_key"].split()[:2]:
            raise SystemExit(f"another host key: {shown.get_name()} {shown.get_base64()}")
        try:
            log_in(transport, request["user"], login, rounds)
        except paramiko.AuthenticationException as error:
            tell({"refused": str(error)})
            return
        if not transport.is_authenticated():
            tell({"refused": "more is asked for"})
            return
        tell({"logged_in": True, "rounds": rounds, "server": transport.remote_version})
        for step in request["steps"]:
            tell(step_of(transport, rekeys, step))
    finally:
        transport.close()


main()
