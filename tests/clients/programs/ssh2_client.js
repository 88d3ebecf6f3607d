// ssh2 as a client: does what one JSON object on standard input asks for, and prints a JSON line for each step.
//
// The fields are those of `request.rs`; bytes that need not be text travel as hex.
'use strict';

const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { once } = require('node:events');
const { pipeline } = require('node:stream/promises');
const { Client } = require('ssh2');

const tell = (answer) => fs.writeSync(1, `${JSON.stringify(answer)}\n`);

// A function that takes a callback, as a promise.
const ask = (object, method, ...args) =>
  new Promise((resolve, reject) => {
    object[method](...args, (error, value) => (error ? reject(error) : resolve(value)));
  });

async function all(stream) {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces);
}

// A command begun, and how it ends once its channel is closed. One packet after the other may have come before a promise
// is heard of, so the events are listened to from the start.
function start(client, command, options = {}) {
  return new Promise((resolve, reject) => {
    client.exec(command, options, (error, channel) => {
      if (error) {
        reject(error);
        return;
      }
      const end = { exit: null, signal: null };
      channel.on('exit', (code, signal) => Object.assign(end, { exit: code ?? null, signal: signal ?? null }));
      const ended = new Promise((done) => { channel.on('close', () => done(end)); });
      resolve({ channel, ended });
    });
  });
}

async function run(client, step) {
  const options = { env: step.env ?? {}, agentForward: step.forward_agent ?? false };
  const { channel, ended } = await start(client, step.command, options);
  channel.end(Buffer.from(step.input ?? '', 'hex'));
  const [stdout, stderr] = await Promise.all([all(channel), all(channel.stderr)]);
  return { ...(await ended), stdout: stdout.toString('hex'), stderr: stderr.toString('hex') };
}

// Exchanges keys after each so many bytes that were moved. The library begins an exchange by itself only after 1 GiB,
// and its client has no public way to ask for one; this is the way its server half takes.
function rekeyInTime(client, step) {
  let [moved, busy] = [0, false];
  return (piece) => {
    moved += piece.length;
    if (!step.rekey_each || busy || moved < step.rekey_each) return;
    [moved, busy] = [0, true];
    client.once('handshake', () => { busy = false; });
    client._protocol.rekey();
  };
}

async function download(client, step) {
  const { channel, ended } = await start(client, step.command);
  const digest = createHash('sha256');
  const passed = rekeyInTime(client, step);
  let bytes = 0;
  for await (const piece of channel) {
    digest.update(piece);
    bytes += piece.length;
    passed(piece);
  }
  return { bytes, sha256: digest.digest('hex'), exit: (await ended).exit };
}

async function upload(client, step) {
  const { channel, ended } = await start(client, step.command);
  const answer = all(channel);
  const source = fs.createReadStream(step.file);
  source.on('data', rekeyInTime(client, step));
  await pipeline(source, channel, { end: true });
  return { stdout: (await answer).toString('hex'), exit: (await ended).exit };
}

// Starts a command, waits for its first output, sends it a signal.
async function signal(client, step) {
  const { channel, ended } = await start(client, step.command);
  const [first] = await once(channel, 'data');
  channel.signal(step.signal);
  channel.resume();
  const { exit, signal: name } = await ended;
  return { first: first.toString('hex'), exit, signal: name && name.replace(/^SIG/, '') };
}

async function connectOut(client, step) {
  const channel =
    'path' in step
      ? await ask(client, 'openssh_forwardOutStreamLocal', step.path)
      : await ask(client, 'forwardOut', '127.0.0.1', 1, step.host, step.port);
  // Says its line, ends its side, and hears the other out.
  channel.end(Buffer.from(step.say, 'hex'));
  return { heard: (await all(channel)).toString('hex') };
}

async function refused(client, step) {
  try {
    await ask(client, 'forwardOut', '127.0.0.1', 1, step.host, step.port);
  } catch (error) {
    return { code: error.reason };
  }
  return { code: null };
}

// Has the server listen, and answers one connection made to it with what it said, in upper case.
async function listen(client, step) {
  const byPath = 'path' in step;
  const accepted = once(client, byPath ? 'unix connection' : 'tcp connection');
  let port;
  if (byPath) {
    await ask(client, 'openssh_forwardInStreamLocal', step.path);
    tell({ listening: step.path });
  } else {
    port = await ask(client, 'forwardIn', step.host, 0);
    tell({ listening: port });
  }
  const [, accept] = await accepted;
  const channel = accept();
  const closed = once(channel, 'close');
  // By events: a loop over the channel would end its other direction too.
  const pieces = [];
  channel.on('data', (piece) => pieces.push(piece));
  await once(channel, 'end');
  const heard = Buffer.concat(pieces);
  channel.end(Buffer.from(heard.toString('latin1').replace(/[a-z]/g, (letter) => letter.toUpperCase()), 'latin1'));
  await closed;
  if (byPath) await ask(client, 'openssh_unforwardInStreamLocal', step.path);
  else await ask(client, 'unforwardIn', step.host, port);
  return { heard: heard.toString('hex') };
}

async function putTree(sftp, from, there) {
  await ask(sftp, 'mkdir', there);
  for (const entry of fs.readdirSync(from, { withFileTypes: true })) {
    const source = path.join(from, entry.name);
    const target = `${there}/${entry.name}`;
    if (entry.isDirectory()) await putTree(sftp, source, target);
    else await ask(sftp, 'fastPut', source, target);
  }
}

async function getTree(sftp, there, to) {
  fs.mkdirSync(to);
  for (const entry of await ask(sftp, 'readdir', there)) {
    const target = path.join(to, entry.filename);
    if (entry.attrs.isDirectory()) await getTree(sftp, `${there}/${entry.filename}`, target);
    else await ask(sftp, 'fastGet', `${there}/${entry.filename}`, target);
  }
}

const listed = async (sftp, folder) =>
  (await ask(sftp, 'readdir', folder))
    .map((entry) => entry.filename)
    .filter((name) => name !== '.' && name !== '..')
    .sort();

const hexOf = (names) => names.map((name) => Buffer.from(name).toString('hex'));

// A tree sent, its names listed, a file renamed, the tree fetched again. The library has no walk of its own.
async function tree(sftp, step) {
  await putTree(sftp, step.from, step.there);
  const found = await listed(sftp, step.there);
  await ask(sftp, 'rename', `${step.there}/${step.rename}`, `${step.there}/${step.as}`);
  await getTree(sftp, step.there, step.to);
  return { names: hexOf(found) };
}

// A file under a name beyond ASCII: written, found in its directory, read, renamed, removed. Names are text here.
async function names(sftp, step) {
  const [name, other] = [step.name, step.other].map((hex) => Buffer.from(hex, 'hex').toString());
  await ask(sftp, 'mkdir', 'names');
  await ask(sftp, 'writeFile', `names/${name}`, 'content');
  const first = await listed(sftp, 'names');
  const read = await ask(sftp, 'readFile', `names/${name}`);
  await ask(sftp, 'rename', `names/${name}`, `names/${other}`);
  const renamed = await listed(sftp, 'names');
  await ask(sftp, 'unlink', `names/${other}`);
  await ask(sftp, 'rmdir', 'names');
  return { listed: hexOf(first), renamed: hexOf(renamed), read: read.toString('hex') };
}

async function put(sftp, step) {
  await ask(sftp, 'fastPut', step.file, step.there);
  return { size: (await ask(sftp, 'stat', step.there)).size };
}

async function get(sftp, step) {
  await ask(sftp, 'fastGet', step.there, step.file);
  return {};
}

// Sends, then fetches, what is missing of a file that is there in part.
async function resume(sftp, step) {
  const { size } = await ask(sftp, 'stat', step.there);
  const rest = fs.createReadStream(step.file, { start: size });
  await pipeline(rest, sftp.createWriteStream(step.there, { flags: 'r+', start: size }));
  const have = fs.statSync(step.to).size;
  await pipeline(sftp.createReadStream(step.there, { start: have }), fs.createWriteStream(step.to, { flags: 'a' }));
  return { sent_from: size };
}

async function links(sftp, step) {
  await ask(sftp, 'symlink', step.target, step.link);
  const target = await ask(sftp, 'readlink', step.link);
  await ask(sftp, 'chmod', step.target, 0o640);
  await ask(sftp, 'utimes', step.target, 1_000_000_000, 1_100_000_000);
  const seen = await ask(sftp, 'stat', step.target);
  const kind = await ask(sftp, 'lstat', step.link);
  const missing = await ask(sftp, 'stat', 'no-such-file').then(
    () => 'found',
    (error) => (error.code === 2 ? 'no such file' : error.message),
  );
  return { readlink: target, mode: seen.mode & 0o7777, mtime: seen.mtime, is_link: kind.isSymbolicLink(), missing };
}

// Holds so many files open at once, and reads them all.
async function many(sftp, step) {
  const handles = [];
  for (let n = 0; n < step.count; n += 1) handles.push(await ask(sftp, 'open', `many-${n}`, 'w+'));
  let right = 0;
  for (const [n, handle] of handles.entries()) {
    const text = Buffer.from(String(n));
    await ask(sftp, 'write', handle, text, 0, text.length, 0);
    const read = Buffer.alloc(text.length);
    await ask(sftp, 'read', handle, read, 0, text.length, 0);
    right += read.equals(text) ? 1 : 0;
    await ask(sftp, 'close', handle);
  }
  return { right };
}

const STEPS = { run, download, upload, signal, connect: connectOut, refused, listen };
const SFTP_STEPS = { tree, names, put, get, resume, links, many };

async function stepOf(client, exchanges, step) {
  if (step.do === 'rekeys') return { rekeys: exchanges() - 1 };
  if (!(step.do in SFTP_STEPS)) return STEPS[step.do](client, step);
  const sftp = await ask(client, 'sftp');
  const answer = await SFTP_STEPS[step.do](sftp, step);
  const closed = once(sftp, 'close');
  sftp.end();
  await closed;
  return answer;
}

function methods({ user: username, login }, rounds) {
  const ways = {
    none: { type: 'none', username },
    password: { type: 'password', username, password: login.password },
    key: { type: 'publickey', username, key: login.key && fs.readFileSync(login.key) },
    agent: { type: 'agent', username, agent: login.agent },
    answers: {
      type: 'keyboard-interactive',
      username,
      prompt: (_name, _instructions, _language, prompts, finish) => {
        rounds.push(prompts.map((prompt) => prompt.prompt));
        finish(prompts.map((prompt) => login.answers[prompt.prompt]));
      },
    },
  };
  return login.by.map((name) => ways[name]);
}

async function main() {
  const request = JSON.parse(await all(process.stdin));
  const client = new Client();
  const rounds = [];
  let exchanges = 0;
  let server = null;
  client.on('handshake', () => { exchanges += 1; });
  const ways = methods(request, rounds);
  const expected = Buffer.from(request.host_key.split(' ')[1], 'base64');
  const ready = once(client, 'ready');
  client.connect({
    host: '127.0.0.1',
    port: request.port,
    username: request.user,
    agent: request.login.agent,
    // What OpenSSH added may be asked of others too.
    strictVendor: false,
    authHandler: (_left, _partial, next) => next(ways.shift() ?? false),
    hostVerifier: (key) => key.equals(expected),
    debug: (line) => {
      const found = /^Remote ident: '(.*)'$/.exec(line);
      if (found) [, server] = found;
    },
  });
  try {
    await ready;
  } catch (error) {
    if (error.level !== 'client-authentication') throw error;
    tell({ refused: error.message });
    return;
  }
  // The library writes a packet in pieces, and the second would wait for the first to be acknowledged.
  client.setNoDelay(true);
  tell({ logged_in: true, rounds, server });
  for (const step of request.steps) tell(await stepOf(client, () => exchanges, step));
  const closed = once(client, 'close');
  client.end();
  await closed;
}

main();
