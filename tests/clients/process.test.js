// The process of the commands: closed descriptors, a full standard output, a missing device.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { post } from './lib/feed.js';
import { BINARY, Server, run, scratch, within } from './lib/server.js';

const shell = (script, args, options) => run(['-c', script, BINARY, ...args], { program: '/bin/sh', ...options });

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Until somebody listens there. */
async function listening(port) {
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    const came = await new Promise((done) => socket.once('connect', () => done(true)).once('error', () => done(false)));
    socket.destroy();
    if (came) return;
    await new Promise((done) => setTimeout(done, 20));
  }
}

for (const closed of ['<&-', '>&-', '2>&-', '<&- >&- 2>&-']) {
  test(`a server that was started with ${closed} serves, and stops cleanly`, async (t) => {
    const port = await freePort();
    const args = ['serve', '--db', join(scratch(t), 'stele.db'), '--listen', `127.0.0.1:${port}`, '--health', ''];
    const child = spawn('/bin/sh', ['-c', `exec "$0" "$@" ${closed}`, BINARY, ...args], { stdio: 'ignore' });
    t.after(() => child.kill('SIGKILL'));
    const ended = once(child, 'exit');
    await within(listening(port), 'the server to listen');
    await post({ http: `http://127.0.0.1:${port}` }, { export: 'E', key: 'a', patch: { n: 1 } });
    child.kill('SIGTERM');
    assert.deepEqual(await within(ended, 'the end of the server'), [0, null]);
  });
}

test('a closed standard input is an error of it, and no other file', async (t) => {
  const server = await Server.forTest(t);
  const { code, stderr } = await shell('exec "$0" "$@" <&-', ['ingest', '--url', server.ws], { ms: 20_000 });
  assert.notEqual(code, 0);
  assert.match(stderr, /standard input|Bad file descriptor/);
});

test('what cannot be printed makes a command fail', async (t) => {
  const server = await Server.forTest(t);
  await post(server, { export: 'E', key: 'a', patch: { n: 1 } });
  const commands = [['version'], ['--version'], ['help'], ['--help'], ['serve', '--help'], ['completion', 'bash'], ['views', '--db', server.db], ['backup', '--db', server.db, `${server.db}.copy`], ['backup', '--help']];
  for (const args of commands) {
    for (const where of ['>/dev/full', '>&-']) {
      const { code, stderr } = await shell(`exec "$0" "$@" ${where}`, args);
      await shell('rm -f "$1"', [`${server.db}.copy`]);
      assert.notEqual(code, 0, `${args.join(' ')} ${where}`);
      assert.match(stderr, /standard output cannot be written: /, `${args.join(' ')} ${where}`);
    }
    const { code, signal, stderr } = await run(args);
    assert.deepEqual({ code, signal }, { code: 0, signal: null }, `${args.join(' ')}: ${stderr}`);
    await shell('rm -f "$1"', [`${server.db}.copy`]);
  }
});

test('without /dev/urandom a server serves, and a client says what is missing', async (t) => {
  const env = { LD_PRELOAD: join(dirname(BINARY), 'libno_random.so') };
  const server = await Server.forTest(t, { env });
  await post(server, { export: 'E', key: 'a', patch: { n: 1 } });
  for (const args of [['subscribe', '--url', server.ws, 'E/list'], ['ingest', '--url', server.ws]]) {
    const { code, stderr } = await run(args, { env, input: '{"export":"E","key":"b","patch":{}}\n', ms: 20_000 });
    assert.equal(code, 1, stderr);
    assert.match(stderr, /\/dev\/urandom/);
  }
});
