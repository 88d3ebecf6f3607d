"""An SFTP server made of paramiko: `paramiko_server.py HOST_KEY AUTHORIZED_KEYS ACCOUNT`.

It serves the whole file system with the rights of the account, on a free port that it prints. The library leaves the
files to whoever uses it, so what becomes of them is written here. There are no commands beside SFTP. The end of its
standard input is its end too.
"""

import functools
import os
import socket
import sys
import threading

import paramiko
from paramiko import SFTPAttributes, SFTPServer

from account import become


def answers(work):
    """What fails is answered by the code that the library has for it, what gives back nothing by OK."""

    @functools.wraps(work)
    def answering(*arguments):
        try:
            given = work(*arguments)
        except OSError as error:
            return SFTPServer.convert_errno(error.errno)
        return paramiko.SFTP_OK if given is None else given

    return answering


def change(target, attributes):
    """Sets what is set in the attributes, of a path or of a descriptor."""
    if attributes._flags & attributes.FLAG_SIZE:
        os.truncate(target, attributes.st_size)
    if attributes._flags & attributes.FLAG_UIDGID:
        os.chown(target, attributes.st_uid, attributes.st_gid)
    if attributes._flags & attributes.FLAG_PERMISSIONS:
        os.chmod(target, attributes.st_mode & 0o7777)
    if attributes._flags & attributes.FLAG_AMTIME:
        os.utime(target, (attributes.st_atime, attributes.st_mtime))


class Handle(paramiko.SFTPHandle):
    """An open file."""

    def __init__(self, descriptor, flags):
        super().__init__(flags)
        self.descriptor = descriptor

    @answers
    def close(self):
        os.close(self.descriptor)

    @answers
    def read(self, offset, length):
        return os.pread(self.descriptor, length, offset)

    @answers
    def write(self, offset, data):
        while data:
            written = os.pwrite(self.descriptor, data, offset)
            data, offset = data[written:], offset + written

    @answers
    def stat(self):
        return SFTPAttributes.from_stat(os.fstat(self.descriptor))

    @answers
    def chattr(self, attributes):
        change(self.descriptor, attributes)


class Files(paramiko.SFTPServerInterface):
    """The file system as the system has it."""

    @answers
    def list_folder(self, path):
        return [
            SFTPAttributes.from_stat(entry.stat(follow_symlinks=False), entry.name)
            for entry in os.scandir(path)
        ]

    @answers
    def stat(self, path):
        return SFTPAttributes.from_stat(os.stat(path))

    @answers
    def lstat(self, path):
        return SFTPAttributes.from_stat(os.lstat(path))

    @answers
    def open(self, path, flags, attributes):
        mode = 0o666 if attributes.st_mode is None else attributes.st_mode & 0o7777
        return Handle(os.open(path, flags, mode), flags)

    @answers
    def remove(self, path):
        os.remove(path)

    @answers
    def rename(self, old, new):
        if os.path.lexists(new):
            return paramiko.SFTP_FAILURE
        return os.rename(old, new)

    @answers
    def posix_rename(self, old, new):
        os.rename(old, new)

    @answers
    def mkdir(self, path, attributes):
        os.mkdir(path, 0o777 if attributes.st_mode is None else attributes.st_mode & 0o7777)

    @answers
    def rmdir(self, path):
        os.rmdir(path)

    @answers
    def chattr(self, path, attributes):
        change(path, attributes)

    @answers
    def readlink(self, path):
        return os.readlink(path)

    @answers
    def symlink(self, target, path):
        os.symlink(target, path)

    def canonicalize(self, path):
        return os.path.realpath(path)


class Door(paramiko.ServerInterface):
    """Lets in by the authorized keys, for SFTP alone."""

    def __init__(self, keys):
        self.keys = keys

    def get_allowed_auths(self, username):
        return "publickey"

    def check_auth_publickey(self, username, key):
        known = f"{key.get_name()} {key.get_base64()}" in self.keys
        return paramiko.AUTH_SUCCESSFUL if known else paramiko.AUTH_FAILED

    def check_channel_request(self, kind, channel):
        return paramiko.OPEN_SUCCEEDED if kind == "session" else paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED


def serve(connection, host_key, door):
    transport = paramiko.Transport(connection)
    transport.add_server_key(host_key)
    transport.set_subsystem_handler("sftp", SFTPServer, Files)
    transport.start_server(threading.Event(), door)


def accept(listener, host_key, door):
    while True:
        connection, _address = listener.accept()
        serve(connection, host_key, door)


def main(host_key, authorized_keys, account):
    host_key = paramiko.Ed25519Key.from_private_key_file(host_key)
    with open(authorized_keys, encoding="utf-8") as lines:
        door = Door({" ".join(line.split()[:2]) for line in lines})
    listener = socket.create_server(("127.0.0.1", 0))
    # The keys are read by now, and the library, which may be readable by root alone.
    become(account)
    threading.Thread(target=accept, args=(listener, host_key, door), daemon=True).start()
    print("listening on", listener.getsockname()[1], flush=True)
    sys.stdin.read()
    # The library's threads do not end by themselves.
    os._exit(0)


main(*sys.argv[1:])
