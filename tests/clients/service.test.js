// What a service manager is told: `stele serve` with a datagram socket in systemd's place.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { post } from './lib/feed.js';
import { ROOT, Server, patience, run, scratch, within } from './lib/server.js';

/** The socket of a manager, and what came: {path, lines, said (waits for a line)}. */
async function manager(t, path) {
  const child = spawn('perl', [join(ROOT, 'tests/clients/lib/manager.pl'), path], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill());
  const lines = [];
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop();
    lines.push(...parts);
    child.emit('said');
  });
  const said = async (pattern, from = 0) => {
    for (;;) {
      const at = lines.findIndex((line, i) => i >= from && pattern.test(line));
      if (at >= 0) return at;
      await within(once(child, 'said'), () => `${pattern} after ${lines.slice(from).join('; ')}`);
    }
  };
  await said(/^bound$/);
  return { path, lines, said };
}

for (const kind of ['a path', 'an abstract name']) {
  test(`ready, reloading and stopping are told, by ${kind}`, async (t) => {
    const folder = scratch(t);
    const { path, lines, said } = await manager(t, kind === 'a path' ? join(folder, 'notify') : `@stele-test-${process.pid}-${Date.now()}`);
    const server = await Server.forTest(t, { db: join(folder, 'stele.db'), config: { exports: { E: {} } }, env: { NOTIFY_SOCKET: path } });
    const ready = await said(/^READY=1\|STATUS=serving on 127\.0\.0\.1:\d+$/);
    assert.equal(lines.filter((line) => /^WATCHDOG/.test(line)).length, 0, 'no watchdog is wanted');
    server.child.kill('SIGHUP');
    const reloading = await said(/^RELOADING=1\|MONOTONIC_USEC=\d+$/, ready + 1);
    const again = await said(/^READY=1\|STATUS=serving$/, reloading + 1);
    await server.reload('{');
    await said(/^READY=1\|STATUS=serving; the new configuration was refused: .*config\.json/, again + 1);
    await server.terminate();
    const stopping = await said(/^STOPPING=1/, again);
    assert.ok(!lines.slice(stopping + 1).some((line) => /READY/.test(line)));
  });
}

test('the watchdog is fed while the loop and the writer get on, and not while the writer hangs', async (t) => {
  const folder = scratch(t);
  const db = join(folder, 'stele.db');
  const { path, lines, said } = await manager(t, join(folder, 'notify'));
  /* The writer gives up on a lock after 5 s, so it must be missed before. */
  const watchdog = Math.min(patience(1_000_000), 3_000_000);
  const server = await Server.forTest(t, {
    db, config: { exports: { E: {} } }, env: { NOTIFY_SOCKET: path, WATCHDOG_USEC: String(watchdog) },
  });
  let at = await said(/^READY=1/);
  for (let i = 0; i < 3; i++) at = await said(/^WATCHDOG=1$/, at + 1);
  await post(server, { export: 'E', key: 'a', patch: { n: 1 } });

  /* Somebody holds the database's lock, so that the writer waits within a transaction. */
  const shell = spawn('sqlite3', [db], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => shell.kill());
  shell.stdin.write(".timeout 20000\nBEGIN IMMEDIATE;\nSELECT 'held';\n");
  await within(once(shell.stdout, 'data'), 'the lock');
  const posted = post(server, { export: 'E', key: 'a', patch: { n: 2 } }).catch(() => null);
  await server.logged(/error service not-well error="the writer has been at one transaction/);
  const fed = lines.filter((line) => line === 'WATCHDOG=1').length;
  const complaints = server.stderr.match(/not-well/g).length;
  shell.stdin.end('COMMIT;\n');
  await posted;
  assert.ok(complaints >= 1);
  await said(/^WATCHDOG=1$/, lines.length);
  assert.ok(lines.filter((line) => line === 'WATCHDOG=1').length > fed);
  await server.terminate();
});

test('a start that takes long asks for more time while it works, and not while it hangs', async (t) => {
  const folder = scratch(t);
  const db = join(folder, 'stele.db');
  const { path, lines, said } = await manager(t, join(folder, 'notify'));
  const first = await Server.forTest(t, { db, config: { exports: { E: {} } } });
  for (let at = 0; at < 60_000; at += 10_000)
    await post(first, Array.from({ length: 10_000 }, (_, i) => `{"export":"E","key":"k${at + i}","patch":{"n":${(at + i) * 7919 % 60_000}}}`));
  await first.terminate();

  /* A view that must be built first; and a configuration that does not come. */
  const pipe = join(folder, 'config');
  await run([pipe], { program: 'mkfifo' });
  const starting = Server.start({ db, args: ['--config', pipe], env: { NOTIFY_SOCKET: path, WATCHDOG_USEC: '100000' } });
  await said(/^STATUS=opening/);
  const extensions = () => lines.filter((line) => /^EXTEND_TIMEOUT_USEC=\d+$/.test(line)).length;
  let quiet = false; /* for a second, twenty times as long as it asks in when it works */
  for (let i = 0; i < 30 && !quiet; i++) {
    const before = extensions();
    await new Promise((done) => setTimeout(done, 1000));
    quiet = extensions() === before;
  }
  const hanging = extensions();
  writeFileSync(pipe, JSON.stringify({ exports: { E: { views: { v: { pipeline: [{ sort: 'n' }] }, w: { pipeline: [{ sort: { by: 'n', order: 'desc' } }] } } } } }));
  const server = await starting;
  t.after(() => server.discard());
  const ready = await said(/^READY=1/);
  assert.ok(quiet, lines.join('; '));
  assert.ok(ready > 0 && extensions() > hanging, lines.join('; '));
});

test('what is wrong in the environment is said', async (t) => {
  const db = join(scratch(t), 'stele.db');
  const serve = (env) => run(['serve', '--db', db, '--listen', '127.0.0.1:0', '--health', ''], { env, ms: 20_000 });
  assert.match((await serve({ NOTIFY_SOCKET: 'relative' })).stderr, /NOTIFY_SOCKET is "relative"; it must be a path/);
  assert.match((await serve({ NOTIFY_SOCKET: `/${'x'.repeat(200)}` })).stderr, /NOTIFY_SOCKET/);
  assert.match((await serve({ NOTIFY_SOCKET: '/tmp/x', WATCHDOG_USEC: 'soon' })).stderr, /WATCHDOG_USEC is "soon"/);
});

test('a manager that is not there, or another process\'s watchdog, disturbs nobody', async (t) => {
  const folder = scratch(t);
  const { path, lines, said } = await manager(t, join(folder, 'notify'));
  const gone = await Server.forTest(t, { db: join(folder, 'gone.db'), env: { NOTIFY_SOCKET: join(folder, 'nobody') } });
  await post(gone, { export: 'E', key: 'a', patch: { n: 1 } });
  await gone.terminate();
  const other = await Server.forTest(t, { db: join(folder, 'other.db'), env: { NOTIFY_SOCKET: path, WATCHDOG_USEC: '20000', WATCHDOG_PID: '1' } });
  await said(/^READY=1/);
  for (let i = 0; i < 20; i++) await post(other, { export: 'E', key: 'a', patch: { n: i } });
  await other.terminate();
  await said(/^STOPPING=1/);
  assert.ok(!lines.includes('WATCHDOG=1'));
});
