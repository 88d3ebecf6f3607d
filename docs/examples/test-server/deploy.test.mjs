// Commands over SSH, tested with ssh2 and node:test against `rustle-connect test-server`.
//
//     npm install ssh2
//     node --test
//
// RUSTLE_CONNECT names the program where it is not in the PATH.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, test } from "node:test";

import ssh2 from "ssh2";

let server, told;

beforeEach(async () => {
  const program = process.env.RUSTLE_CONNECT ?? "rustle-connect";
  server = spawn(program, ["test-server"], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: server.stdout });
  const [line] = await once(lines, "line");
  told = JSON.parse(line);
});

afterEach(async () => {
  const ended = once(server, "exit");
  server.stdin.end();
  assert.deepEqual(await ended, [0, null], "a fault that was scripted never happened");
});

async function control(place, body) {
  const { url, token } = told.control;
  const answer = await fetch(url + place, {
    method: body ? "POST" : "GET",
    headers: { authorization: `Bearer ${token}` },
    body: body && JSON.stringify(body),
  });
  const json = await answer.json();
  assert.ok(answer.ok, JSON.stringify(json));
  return json;
}

async function connect() {
  const client = new ssh2.Client();
  const known = Buffer.from(told.host_key.split(" ")[1], "base64");
  const [{ name, password }] = told.users;
  const ready = once(client, "ready");
  client.connect({
    host: told.host,
    port: told.port,
    username: name,
    password,
    hostVerifier: (key) => key.equals(known),
  });
  await ready;
  return client;
}

function run(client, command) {
  return new Promise((resolve, reject) => {
    client.exec(command, (error, stream) => {
      if (error) return reject(error);
      let stdout = "";
      stream.on("data", (data) => (stdout += data));
      stream.stderr.resume();
      stream.on("close", (code, signal) => resolve({ code, signal, stdout }));
    });
  });
}

test("a command that was added answers", async () => {
  await control("/commands", { exact: "uptime", stdout: "up 3 days\n", exit: 0 });
  const client = await connect();
  assert.deepEqual(await run(client, "uptime"), { code: 0, signal: undefined, stdout: "up 3 days\n" });
  client.end();
  const record = await control("/wait?command=uptime&connections_open=0");
  assert.deepEqual(record.commands[0].exit, { code: 0 });
});

test("a channel that is refused is an error, and the next one works", async () => {
  await control("/faults", { kind: "refuse_channel_with", code: 1, text: "not now", once: true });
  const client = await connect();
  await assert.rejects(run(client, "true"), /not now/);
  assert.equal((await run(client, "echo again")).stdout, "again\n");
  client.end();
});
