// An SFTP server made of ssh2: `ssh2_server.js HOST_KEY AUTHORIZED_KEYS ACCOUNT`.
//
// It serves the whole file system with the rights of the account, on a free port that it prints. The library leaves the
// files to whoever uses it, so what becomes of them is written here. Each request is carried out when it comes, so
// answers may come in another order. There are no commands beside SFTP. The end of its standard input is its end too.
'use strict';

const { execFileSync } = require('node:child_process');
const { constants } = require('node:fs');
const fs = require('node:fs');
const files = require('node:fs/promises');
const path = require('node:path');
const { Server, utils } = require('ssh2');

const { STATUS_CODE, OPEN_MODE } = utils.sftp;
// How many names go into one answer.
const AT_ONCE = 100;

const CODES = {
  ENOENT: STATUS_CODE.NO_SUCH_FILE,
  EACCES: STATUS_CODE.PERMISSION_DENIED,
  EPERM: STATUS_CODE.PERMISSION_DENIED,
};

// An error that has no number in the system.
class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// Gives up the rights of root.
function become(account) {
  const home = execFileSync('getent', ['passwd', account], { encoding: 'utf8' }).split(':')[5];
  process.initgroups(account, account);
  process.setgid(account);
  process.setuid(account);
  process.chdir(home);
}

function openFlags(wanted) {
  const has = (flag) => (wanted & flag) !== 0;
  let flags = constants.O_RDONLY;
  if (has(OPEN_MODE.WRITE)) flags = has(OPEN_MODE.READ) ? constants.O_RDWR : constants.O_WRONLY;
  if (has(OPEN_MODE.APPEND)) flags |= constants.O_APPEND;
  if (has(OPEN_MODE.CREAT)) flags |= constants.O_CREAT;
  if (has(OPEN_MODE.TRUNC)) flags |= constants.O_TRUNC;
  if (has(OPEN_MODE.EXCL)) flags |= constants.O_EXCL;
  return flags;
}

const attributes = (found) => ({
  mode: found.mode,
  uid: found.uid,
  gid: found.gid,
  size: found.size,
  atime: Math.floor(found.atimeMs / 1000),
  mtime: Math.floor(found.mtimeMs / 1000),
});

// Sets what is set in the attributes. `file` has the names of an open file's methods.
async function change(file, { size, uid, gid, mode, atime, mtime }) {
  if (size !== undefined) await file.truncate(size);
  if (uid !== undefined) await file.chown(uid, gid);
  if (mode !== undefined) await file.chmod(mode & 0o7777);
  if (mtime !== undefined) await file.utimes(atime, mtime);
}

const named = (name) => ({
  truncate: (size) => files.truncate(name, size),
  chown: (uid, gid) => files.chown(name, uid, gid),
  chmod: (mode) => files.chmod(name, mode),
  utimes: (atime, mtime) => files.utimes(name, atime, mtime),
});

async function entry(folder, name) {
  const found = await files.lstat(path.join(folder, name));
  return { filename: name, longname: `${found.mode.toString(8)} ${found.size} ${name}`, attrs: attributes(found) };
}

const ok = STATUS_CODE.OK;

// What a request's name stands for: gives back a method of the answer and its arguments.
function requests() {
  const open = new Map();
  let last = 0;
  const keep = (what) => {
    last += 1;
    const handle = Buffer.alloc(4);
    handle.writeUInt32BE(last);
    open.set(last, what);
    return ['handle', handle];
  };
  const kept = (handle) => {
    const found = handle.length === 4 && open.get(handle.readUInt32BE());
    if (!found) throw new Refused(STATUS_CODE.FAILURE, 'no such handle');
    return found;
  };
  const done = async (work) => {
    await work;
    return ['status', ok];
  };
  const answers = {
    OPEN: async (name, flags, { mode = 0o666 }) => keep(await files.open(name, openFlags(flags), mode & 0o7777)),
    CLOSE: (handle) => {
      const found = kept(handle);
      open.delete(handle.readUInt32BE());
      return done(found.close());
    },
    READ: async (handle, offset, length) => {
      const piece = Buffer.alloc(Math.min(length, 256 * 1024));
      const { bytesRead } = await kept(handle).read(piece, 0, piece.length, offset);
      return bytesRead === 0 ? ['status', STATUS_CODE.EOF] : ['data', piece.subarray(0, bytesRead)];
    },
    WRITE: async (handle, offset, data) => {
      let written = 0;
      while (written < data.length) {
        const { bytesWritten } = await kept(handle).write(data, written, data.length - written, offset + written);
        written += bytesWritten;
      }
      return ['status', ok];
    },
    FSTAT: async (handle) => ['attrs', attributes(await kept(handle).stat())],
    FSETSTAT: (handle, attrs) => done(change(kept(handle), attrs)),
    OPENDIR: async (name) => {
      const left = ['.', '..', ...(await files.readdir(name))];
      return keep({ name, left, close: async () => {} });
    },
    READDIR: async (handle) => {
      const folder = kept(handle);
      const names = folder.left.splice(0, AT_ONCE);
      if (names.length === 0) return ['status', STATUS_CODE.EOF];
      return ['name', await Promise.all(names.map((name) => entry(folder.name, name)))];
    },
    STAT: async (name) => ['attrs', attributes(await files.stat(name))],
    LSTAT: async (name) => ['attrs', attributes(await files.lstat(name))],
    SETSTAT: (name, attrs) => done(change(named(name), attrs)),
    REMOVE: (name) => done(files.unlink(name)),
    MKDIR: (name, { mode = 0o777 }) => done(files.mkdir(name, mode & 0o7777)),
    RMDIR: (name) => done(files.rmdir(name)),
    RENAME: async (from, to) => {
      const taken = await files.lstat(to).then(() => true, () => false);
      if (taken) throw new Refused(STATUS_CODE.FAILURE, 'the new name is taken');
      return done(files.rename(from, to));
    },
    REALPATH: async (name) => {
      const full = path.resolve(name);
      return ['name', [{ filename: full, longname: full, attrs: {} }]];
    },
    READLINK: async (name) => {
      const target = await files.readlink(name);
      return ['name', [{ filename: target, longname: target, attrs: {} }]];
    },
    SYMLINK: (link, target) => done(files.symlink(target, link)),
  };
  const close = () => open.forEach((found) => found.close());
  return { answers, close };
}

function serve(sftp) {
  const { answers, close } = requests();
  for (const [name, answer] of Object.entries(answers)) {
    sftp.on(name, async (id, ...fields) => {
      try {
        const [method, value] = await answer(...fields);
        sftp[method](id, value);
      } catch (error) {
        sftp.status(id, error.status ?? CODES[error.code] ?? STATUS_CODE.FAILURE, error.message);
      }
    });
  }
  sftp.on('end', () => {
    close();
    sftp.end();
  });
}

function main(hostKey, authorizedKeys, account) {
  const lines = fs.readFileSync(authorizedKeys, 'utf8').split('\n');
  const keys = lines.map((line) => utils.parseKey(line)).filter((key) => !(key instanceof Error));
  const server = new Server({ hostKeys: [fs.readFileSync(hostKey)] }, (client) => {
    // The library writes a packet in pieces, and the second would wait for the first to be acknowledged.
    client.setNoDelay(true);
    client.on('authentication', (context) => {
      const known = context.method === 'publickey'
        && keys.some((key) => key.getPublicSSH().equals(context.key.data)
          && (!context.signature || key.verify(context.blob, context.signature, context.hashAlgo) === true));
      if (known) context.accept();
      else context.reject(['publickey']);
    });
    client.on('session', (accept) => {
      accept().on('sftp', (acceptSftp) => serve(acceptSftp()));
    });
    // A client that goes without a word.
    client.on('error', () => {});
  });
  server.listen(0, '127.0.0.1', () => {
    become(account);
    fs.writeSync(1, `listening on ${server.address().port}\n`);
  });
  process.stdin.resume().on('end', () => process.exit(0));
}

main(...process.argv.slice(2));
