// `stele bootstrap` and `stele follow`: from nothing to following, and every end in between.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { Broker, hasBroker, logOf } from './lib/broker.js';
import { http, post, postAll } from './lib/feed.js';
import { makePair } from './lib/tls.js';
import { BINARY, Server, check, eventually, run, scratch, sql, within } from './lib/server.js';
import { fillDisk, smallDisk } from './lib/small_disk.js';

const m = (key, patch = {}, more = {}) => ({ export: 'E', key, patch, ...more });
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const exports = { E: { max_entities: 100_000 } };
const pad = 'x'.repeat(2000);

/** The command, as it runs: {child, said, ended}. */
function start(t, ...args) {
  const child = spawn(BINARY, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ARETE_RATE_LIMITING_ENABLED: 'false' } });
  const it = { child, said: '', ended: once(child, 'exit').then(([code, signal]) => code ?? signal) };
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (it.said += text));
  t.after(() => child.kill('SIGKILL'));
  return it;
}

const says = async (it, pattern) => {
  await eventually(() => pattern.test(it.said) || it.child.exitCode !== null, () => `${pattern} in ${it.said}`);
  const found = pattern.exec(it.said);
  assert.ok(found, it.said);
  return found;
};

/** A folder with the configuration of a replica, and its arguments. */
function place(t, from, config = { exports }, folder = scratch(t)) {
  const file = join(scratch(t), 'config.json');
  writeFileSync(file, JSON.stringify(config));
  const db = join(folder, 'stele.db');
  return { db, folder, args: ['--from', from, '--db', db, '--config', file, '--listen', '127.0.0.1:0', '--health', '127.0.0.1:0'] };
}

const readyLine = /^stele ready: ws:\/\/(\S+) /m;
const keys = async (address) => (await http(`http://${address}/v1/views/E/list?take=1000`)).json.rows.map(({ key }) => key).sort();

test('from nothing to following; then it is followed by `stele follow`', async (t) => {
  const source = await Server.forTest(t, { config: { exports, retention_rows: 100 } });
  await postAll(source, range(500, (i) => m(`k${i % 300}`, { i })), 50);
  const { db, args } = place(t, source.http);
  const first = start(t, 'bootstrap', ...args);
  await says(first, /bytes, as of change 500, checked\n/);
  const [, address] = await says(first, readyLine);
  await post(source, [m('new')]);
  await says(first, /stele has all of the log, up to 50[01]\n/);
  await eventually(async () => (await keys(address)).includes('new'), 'it follows');
  first.child.kill('SIGTERM');
  assert.equal(await within(first.ended, 'the end'), 0);
  await post(source, [m('newer')]);
  const again = await run(['bootstrap', ...args]);
  assert.equal(again.code, 1);
  assert.match(again.stderr, /exists already, and is not written over. Go on with it by `stele follow`/);
  const second = start(t, 'follow', ...args);
  const [, there] = await says(second, readyLine);
  await eventually(async () => (await keys(there)).includes('newer'), 'it goes on');
  assert.equal((await sql(db, "SELECT value FROM meta WHERE name = 'epoch'"))[0].value, (await source.status()).epoch);
  second.child.kill('SIGTERM');
  assert.equal(await within(second.ended, 'the end'), 0);
  await check(db);
});

test('over TLS, with a token; without either it is refused, and the token stays out of the log', async (t) => {
  const folder = scratch(t);
  const pair = await makePair(folder, 'source');
  const token = 'admin-admin-admin';
  const source = await Server.forTest(t, { config: { exports, ...pair.settings, auth: { mode: 'static', tokens: [{ token, subject: 'a', scope: 'admin' }] } } });
  const file = join(folder, 'token');
  writeFileSync(file, `${token}\n`);
  const url = source.http.replace('127.0.0.1', 'localhost');
  const bare = place(t, url);
  assert.match((await run(['bootstrap', ...bare.args, '--token-file', file])).stderr, /certificate/);
  assert.match((await run(['bootstrap', ...bare.args, '--ca', pair.certificate])).stderr, /refused \(HTTP 401\)/);
  assert.deepEqual(readdirSync(bare.folder), []);
  const { db, args } = place(t, url);
  const replica = start(t, 'bootstrap', ...args, '--ca', pair.certificate, '--token-file', file);
  await says(replica, /stele has all of the log, up to 0\n/);
  assert.ok(!replica.said.includes(token), replica.said);
  /* Beside it the file is one of a replica: what only the source decides is refused, and it stays one. */
  replica.child.kill('SIGTERM');
  assert.equal(await within(replica.ended, 'the end'), 0);
  const forgotten = await run(['producers', '--db', db, '--forget', 'p']);
  assert.match(forgotten.stderr, /follows a log, which decides what its producers are/);
  assert.equal((await run(['token', 'revoke', '--db', db, 'some-id'])).code, 0);
  assert.equal((await sql(db, "SELECT value FROM meta WHERE name = 'epoch'"))[0].value, (await sql(source.db, "SELECT value FROM meta WHERE name = 'epoch'"))[0].value);
});

test('from a backup, with a configuration that says whom to follow; or without following', async (t) => {
  const source = await Server.forTest(t, { config: { exports } });
  await postAll(source, range(100, (i) => m(`k${i}`)), 50);
  const copy = join(scratch(t), 'copy.db');
  assert.equal((await run(['backup', '--db', source.db, copy])).code, 0);
  await post(source, [m('new')]);
  const without = place(t, copy);
  const asked = await run(['bootstrap', ...without.args]);
  assert.equal(asked.code, 2);
  assert.match(asked.stderr, /what is to be followed/);
  assert.deepEqual(readdirSync(without.folder), []);
  /* What will not do is said before the copy. */
  for (const [from, env, pattern] of [['127.0.0.1:1', {}, /no file that is there, and no URL/], [source.http, { STELE_TOKEN: 'a token' }, /must be in a file/]]) {
    const refused = await run(['bootstrap', ...place(t, from, { exports }, without.folder).args], { env });
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, pattern);
    assert.deepEqual(readdirSync(without.folder), []);
  }
  writeFileSync(`${without.db}-wal`, 'of another');
  const taken = await run(['bootstrap', ...without.args, '--no-follow']);
  assert.match(taken.stderr, /stele\.db-wal is there, of another database/);
  assert.deepEqual(readdirSync(without.folder), ['stele.db-wal']);
  unlinkSync(`${without.db}-wal`);
  const alone = await run(['bootstrap', ...without.args, '--no-follow']);
  assert.equal(alone.code, 0, alone.stderr);
  assert.match(alone.stdout, /as of change 100, checked/);
  await check(without.db);
  const { args } = place(t, copy, { exports, log: { from: source.http } });
  const replica = start(t, 'bootstrap', ...args);
  const [, address] = await says(replica, readyLine);
  await eventually(async () => (await keys(address)).includes('new'), 'it follows');
});

test('a node of a log begins with the copy of another node', { skip: hasBroker ? false : 'nats-server is not installed' }, async (t) => {
  const broker = await Broker.forTest(t);
  await broker.make();
  await broker.publish([m('a'), m('b')]);
  const config = { exports, log: logOf(broker) };
  const source = await Server.forTest(t, { config });
  await eventually(async () => (await source.status()).node.position === 2, 'it has all');
  const { args } = place(t, source.http, config);
  const node = start(t, 'bootstrap', ...args);
  const [, address] = await says(node, readyLine);
  await broker.publish([m('c')]);
  await eventually(async () => (await keys(address)).join() === 'a,b,c', 'it follows the stream');
  await says(node, /stele has all of the log, up to [23]\n/);
});

test('ended in between it leaves nothing, and the next attempt writes over what a kill left', async (t) => {
  const source = await Server.forTest(t, { config: { exports } });
  await postAll(source, range(20_000, (i) => m(`k${i}`, { pad })), 1000);
  const { folder, db, args } = place(t, source.http);
  let met = 0;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL']) {
    const it = start(t, 'bootstrap', ...args, '--no-follow');
    await eventually(() => readdirSync(folder).length > 0 || it.child.exitCode !== null, 'it began');
    it.child.kill(signal);
    const code = await within(it.ended, 'the end');
    if (existsSync(db)) continue; /* it was quicker */
    met++;
    assert.notEqual(code, 0);
    if (signal !== 'SIGKILL') assert.deepEqual(readdirSync(folder), [], it.said);
  }
  assert.ok(met > 0);
  /* The server may not know yet that the last one is gone: there is one copy at a time. */
  await eventually(async () => existsSync(db) || (await run(['bootstrap', ...args, '--no-follow'])).code === 0, 'the next attempt');
  assert.deepEqual(readdirSync(folder), ['stele.db']);
  await check(db);
});

test('a full disk, a damaged backup and a server that refuses leave nothing', async (t) => {
  const source = await Server.forTest(t, { config: { exports } });
  await postAll(source, range(10_000, (i) => m(`k${i}`, { pad })), 1000);
  const small = smallDisk(t, 10);
  if (small) {
    fillDisk(small, 8);
    const { args } = place(t, source.http, { exports }, small);
    const { code, stderr } = await run(['bootstrap', ...args]);
    assert.equal(code, 1);
    assert.match(stderr, /no room/);
    assert.deepEqual(readdirSync(small), ['filler']);
  }
  const copy = join(scratch(t), 'copy.db');
  assert.equal((await run(['backup', '--from', source.http, copy])).code, 0);
  await run([copy, "UPDATE entity SET data = '{}' WHERE key = 'k5'"], { program: 'sqlite3' });
  const damaged = place(t, copy);
  const found = await run(['bootstrap', ...damaged.args, '--no-follow']);
  assert.equal(found.code, 1);
  assert.match(found.stderr, /findings, so it is not used/);
  assert.deepEqual(readdirSync(damaged.folder), []);
  const nowhere = place(t, 'http://127.0.0.1:1');
  assert.equal((await run(['bootstrap', ...nowhere.args])).code, 1);
  assert.deepEqual(readdirSync(nowhere.folder), []);
  const other = place(t, source.http, { exports: { E: { null_removes: true } } });
  const settings = await run(['bootstrap', ...other.args]);
  assert.equal(settings.code, 1);
  assert.match(settings.stderr, /other settings/);
});
