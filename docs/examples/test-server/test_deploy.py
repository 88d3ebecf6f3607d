"""A deployment over SSH, tested with asyncssh and pytest against `rustle-connect test-server`.

    pip install asyncssh pytest
    pytest test_deploy.py

RUSTLE_CONNECT names the program where it is not in the PATH.
"""

import asyncio
import json
import os
import subprocess
import urllib.error
import urllib.request

import asyncssh
import pytest

SCRIPT = """
[[users]]
name = "deploy"
password = "s3cret"

[[commands]]
exact = "systemctl restart app"
stdout = "restarted\\n"
"""


class Server:
    """The server, and what its control can do."""

    def __init__(self, told):
        self.told = told

    async def connect(self):
        keys = asyncssh.import_known_hosts(self.told["known_hosts"] + "\n")
        return await asyncssh.connect(
            self.told["host"],
            self.told["port"],
            username="deploy",
            password="s3cret",
            known_hosts=keys,
            config=None,
            client_keys=None,
        )

    def control(self, place, body=None):
        control = self.told["control"]
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(control["url"] + place, data=data)
        request.add_header("Authorization", "Bearer " + control["token"])
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


@pytest.fixture
def server(tmp_path):
    script = tmp_path / "server.toml"
    script.write_text(SCRIPT)
    program = os.environ.get("RUSTLE_CONNECT", "rustle-connect")
    process = subprocess.Popen(
        [program, "test-server", "--script", str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    yield Server(json.loads(process.stdout.readline()))
    process.stdin.close()
    assert process.wait(30) == 0, "a fault that was scripted never happened"
    process.stdout.close()


async def deploy(server):
    """What is under test: uploads a file, restarts the service, and tries a second time where the link breaks."""
    for attempt in (1, 2):
        try:
            async with await server.connect() as connection:
                async with connection.start_sftp_client() as sftp:
                    async with sftp.open("app.bin", "wb") as file:
                        await file.write(b"\x7fELF")
                return (await connection.run("systemctl restart app", check=True)).stdout
        except (asyncssh.ConnectionLost, ConnectionError):
            if attempt == 2:
                raise


def test_deploy_uploads_and_restarts(server):
    assert asyncio.run(deploy(server)) == "restarted\n"
    with open(os.path.join(server.told["directory"], "app.bin"), "rb") as file:
        assert file.read() == b"\x7fELF"
    record = server.control("/wait?command=systemctl+restart+app&connections_open=0")
    assert [command["text"] for command in record["commands"]] == ["sftp", "systemctl restart app"]
    assert record["connections"][0]["user"] == "deploy"


def test_deploy_survives_a_lost_connection(server):
    fault = {"kind": "cut", "phase": "request", "how": "rst", "on_connection": 1}
    server.control("/faults", fault)
    assert asyncio.run(deploy(server)) == "restarted\n"
    assert server.control("/faults")["faults"][0]["fired"] == 1


def test_a_failing_service_fails_the_deployment(server):
    failing = {"exact": "systemctl restart app", "stderr": "Unit app.service not found.\n", "exit": 5}
    server.control("/commands", failing)
    with pytest.raises(asyncssh.ProcessError) as error:
        asyncio.run(deploy(server))
    assert error.value.exit_status == 5
    assert "not found" in error.value.stderr


def test_a_mistake_is_told_with_the_right_word(server):
    with pytest.raises(urllib.error.HTTPError) as error:
        server.control("/commands", {"exact": "true", "exitt": 1})
    with error.value as answer:
        assert answer.code == 400
        assert "did you mean `exit`?" in json.load(answer)["error"]["hint"]
