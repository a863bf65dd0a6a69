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

/* ---- standard descriptors that do not wait ---- */

/* The command with a small pipe as its standard output, not blocking, that is not read from for a while; or one as its
 * standard input, likewise, into which something comes only later. */
const PIPED = `use Fcntl;
my $input = shift @ARGV;
pipe(my $from, my $to) or die;
fcntl($to, 1031, 4096);
my $mine = $input ? $from : $to;
fcntl($mine, F_SETFL, fcntl($mine, F_GETFL, 0) | O_NONBLOCK) or die;
my $child = fork;
if (!$child) {
  $input ? open(STDIN, '<&', $from) : open(STDOUT, '>&', $to);
  close($from); close($to);
  exec @ARGV or die;
}
close($input ? $from : $to);
select(undef, undef, undef, 0.5);
if ($input) { print $to $input; close($to); }
else { while (sysread($from, my $bytes, 1000)) { print $bytes; select(undef, undef, undef, 0.0005); } }
waitpid($child, 0);
exit($? >> 8 || $? & 127);`;
const piped = (args, input = '') => run(['-e', PIPED, input, BINARY, ...args], { program: 'perl' });

test('on a standard output that does not block, every command prints all of it', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} } } });
  const rows = Array.from({ length: 300 }, (_, i) => ({ export: 'E', key: `k${i}`, patch: { pad: 'x'.repeat(300) } }));
  await post(server, rows);
  await post(server, Array.from({ length: 300 }, (_, i) => ({ producer: `producer-with-a-long-name-${i}`, batch: 1, mutations: [{ export: 'E', key: 'a', patch: {} }] })));
  const commands = [['serve', '--print-schema'], ['serve', '--help'], ['completion', 'bash'], ['producers', '--db', server.db], ['subscribe', '--url', server.ws, 'E/list', '--count', '2']];
  for (const args of commands) {
    const direct = await run(args);
    assert.ok(direct.stdout.length > 6000, `${args}: only ${direct.stdout.length} bytes`);
    const { code, stdout, stderr } = await piped(args);
    assert.deepEqual([code, stdout.length, stderr], [direct.code, direct.stdout.length, direct.stderr], args.join(' '));
    if (args[0] !== 'subscribe') assert.equal(stdout, direct.stdout);
  }
});

test('a subscription goes on when nobody reads its output for a while', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} } } });
  await post(server, [{ export: 'E', key: 'a', patch: {} }]);
  const ended = piped(['subscribe', '--url', server.ws, 'E/list', '--count', '402']);
  let subscribers = 0;
  while (!subscribers) ({ subscriptions: subscribers } = await server.status());
  for (let i = 0; i < 400; i++) await post(server, [{ export: 'E', key: 'a', patch: { i, pad: 'x'.repeat(500) } }]);
  const { code, stdout, stderr } = await ended;
  assert.deepEqual([code, stderr], [0, '']);
  const frames = stdout.trim().split('\n').map((line) => JSON.parse(line));
  assert.deepEqual([frames.length, frames.at(-1).data.i], [402, 399]);
});

test('a standard input that does not block is waited for', async () => {
  const args = ['token', 'verify', '--key', 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a', '--token-file', '-'];
  const direct = await run(args, { input: 'no token\n' });
  const { code, stdout, stderr } = await piped(args, 'no token\n');
  assert.deepEqual([code, stdout, stderr], [direct.code, direct.stdout, direct.stderr]);
});
