// The commands, as users run them.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import test from 'node:test';
import { post } from './lib/feed.js';
import { Proxy } from './lib/proxy.js';
import { BINARY, ROOT, Server, check, run, scratch, sqlView, within } from './lib/server.js';

const m = (key, patch, more = {}) => ({ export: 'E', key, patch, ...more });
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const ndjson = (list) => list.map((line) => JSON.stringify(line)).join('\n') + '\n';
const dataOf = async (server, key) => JSON.parse((await sqlView(server.db, 'E/list')).get(key)?.data ?? 'null');
const frames = (stdout) => stdout.trim().split('\n').filter(Boolean).map((line) => JSON.parse(line));

/** A command that goes on: lines as they come. */
class Running {
  constructor(t, args, env) {
    this.child = spawn(BINARY, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
    this.lines = [];
    this.waiting = [];
    this.stderr = '';
    let rest = '';
    this.child.stdout.setEncoding('utf8').on('data', (text) => {
      const parts = (rest + text).split('\n');
      rest = parts.pop();
      this.lines.push(...parts.map((line) => JSON.parse(line)));
      this.waiting.splice(0).forEach((done) => done());
    });
    this.child.stderr.setEncoding('utf8').on('data', (text) => (this.stderr += text));
    this.ended = new Promise((done) => this.child.on('exit', (code, signal) => done({ code, signal })));
    t.after(() => this.child.kill('SIGKILL'));
  }

  async until(test, what) {
    while (!this.lines.some(test)) {
      await within(new Promise((done) => this.waiting.push(done)), () => `${what}; so far: ${JSON.stringify(this.lines).slice(0, 2000)} ${this.stderr}`);
    }
  }
}

/* ---- version, help, wrong use ---- */

test('version and --help of every command', async () => {
  const version = await run(['version']);
  assert.equal(version.code, 0);
  assert.match(version.stdout, /stele .*\d+\.\d+\.\d+/i);
  assert.equal((await run(['--version'])).code, 0);
  const help = await run(['--help']);
  assert.equal(help.code, 0);
  for (const command of ['serve', 'ingest', 'subscribe', 'check', 'views', 'version']) {
    assert.match(help.stdout, new RegExp(`\\b${command}\\b`));
    const { code, stdout } = await run([command, '--help']);
    assert.equal(code, 0, command);
    assert.match(stdout, /usage/i, command);
  }
  const serve = (await run(['serve', '--help'])).stdout;
  for (const word of ['--db', '--listen', '--health', '--config', 'retention_rows', 'synchronous']) assert.ok(serve.includes(word), word);
  const subscribe = (await run(['subscribe', '--help'])).stdout;
  for (const word of ['--url', '--key', '--after', '--limit', '--no-snapshot', '--count', '--follow']) assert.ok(subscribe.includes(word), word);
});

test('wrong use says what is wrong and how to go on', async () => {
  for (const [args, says] of [
    [[], /usage|--help/i], [['dance'], /dance/], [['serve'], /--db/], [['serve', '--db'], /--db/], [['serve', '--dd', 'x'], /--dd/],
    [['subscribe'], /view/i], [['subscribe', 'E/list', '--count', 'many'], /count/], [['check'], /--db/], [['views'], /--db/],
    [['ingest', '--nope'], /--nope/], [['version', 'extra'], /extra/],
  ]) {
    const { code, stdout, stderr } = await run(args, { ms: 10_000 });
    assert.ok(code !== 0 && code !== null, `${args}: exit ${code}`);
    assert.match(stderr, says, `${args}: ${stderr}`);
    assert.equal(stdout, '', `${args}`);
  }
});

test('a wrong setting is named with what is allowed', async (t) => {
  const folder = scratch(t);
  for (const [config, ...says] of [
    ['{"retention_row": 5}', /retention_row\b/, /retention_rows/],
    ['{"retention_rows": -1}', /retention_rows/],
    ['{"retention_rows": "5"}', /retention_rows/],
    ['{"synchronous": "sometimes"}', /synchronous/, /full/, /normal/, /off/],
    ['{"exports": {"E": {"views": {"v": {"mode": "lists"}}}}}', /E/, /mode|list/],
    ['{"exports": {"E": {"views": {"v/w": {}}}}}', /v\/w/],
    ['{"exports": {"E": {"view": {}}}}', /view/],
    ['{"retention_rows": 5', /line|column|end/i],
    ['[]', /object/],
  ]) {
    const file = join(folder, 'c.json');
    writeFileSync(file, config);
    for (const args of [['serve', '--db', join(folder, 'x.db'), '--config', file, '--check-config'], ['serve', '--db', join(folder, 'x.db'), '--listen', '127.0.0.1:0', '--health', '127.0.0.1:0', '--config', file]]) {
      const { code, stderr } = await run(args, { ms: 10_000 });
      assert.ok(code !== 0 && code !== null, `${config}: exit ${code}`);
      for (const pattern of says) assert.match(stderr, pattern, config);
    }
  }
  const good = join(folder, 'good.json');
  writeFileSync(good, '{"retention_rows": 5, "exports": {"E": {"max_entities": 3, "views": {"v": {"mode": "list", "fields": ["a.b"], "keys": ["k"]}}}}}');
  const { code, stderr } = await run(['serve', '--config', good, '--db', join(folder, 'x.db'), '--check-config'], { ms: 10_000 });
  assert.equal(code, 0, stderr);
  const missing = await run(['serve', '--config', join(folder, 'none.json'), '--db', join(folder, 'x.db')], { ms: 10_000 });
  assert.notEqual(missing.code, 0);
  assert.match(missing.stderr, /none\.json/);
});

test('an environment name that operators know is read; a value that cannot be parsed is an error', async (t) => {
  const db = join(scratch(t), 'x.db');
  const bad = await run(['serve', '--db', db, '--listen', '127.0.0.1:0', '--health', '127.0.0.1:0'], { env: { ARETE_WS_CLIENT_TIMEOUT_SECS: 'soon' }, ms: 10_000 });
  assert.ok(bad.code !== 0 && bad.code !== null);
  assert.match(bad.stderr, /ARETE_WS_CLIENT_TIMEOUT_SECS/);
  const good = await Server.forTest(t, { env: { ARETE_WS_CLIENT_TIMEOUT_SECS: '77' } });
  assert.ok(good.running);
});

test('every setting can come from the environment, below the file and the command line', async (t) => {
  const config = join(scratch(t), 'some.json');
  writeFileSync(config, '{"auth": {"mode": "none"}, "readers": 4}');
  const env = { STELE_DATABASE: join(scratch(t), 'x.db'), STELE_READERS: '3', STELE_MAX_EXPORTS: '7', STELE_LOG_LEVEL: 'debug', STELE_AUTH_STATUS: 'all' };
  const { code, stdout, stderr } = await run(['serve', '--config', config, '--set', 'max_exports=8', '--check-config'], { env, ms: 10_000 });
  assert.equal(code, 0, stderr);
  const printed = JSON.parse(stdout);
  assert.deepEqual([printed.database, printed.readers, printed.max_exports, printed.log_level, printed.auth.status], [env.STELE_DATABASE, 4, 8, 'debug', 'all']);
  const bad = await run(['serve', '--check-config'], { env: { ...env, STELE_READERS: 'many' }, ms: 10_000 });
  assert.notEqual(bad.code, 0);
  assert.match(bad.stderr, /STELE_READERS.*from 1 to 16/);
});

/* ---- ready ---- */

test('ready tells whether a server serves, by its exit code', async (t) => {
  const server = await Server.forTest(t);
  const url = `http://127.0.0.1:${server.healthPort}`;
  for (const more of [[], ['--write']]) {
    const { code, stdout, stderr } = await run(['ready', '--url', url, ...more]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^READY/);
  }
  const wrong = await run(['ready', '--url', server.http]); /* the other port */
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /answered 404/);
  await server.kill9();
  const { code, stderr } = await run(['ready', '--url', url]);
  assert.equal(code, 1);
  assert.match(stderr, /no server answers/);
});

test('ready waits no longer than it is told to', async (t) => {
  const silent = createServer(() => {}).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  t.after(() => silent.close());
  t.after(() => silent.closeAllConnections());
  const { code, stderr } = await run(['ready', '--seconds', '1', '--url', `http://127.0.0.1:${silent.address().port}`]);
  assert.equal(code, 1, stderr);
});

test('ready waits for a server that starts', async (t) => {
  const first = await Server.forTest(t);
  await first.terminate();
  const waiting = run(['ready', '--wait', '60', '--url', `http://127.0.0.1:${first.healthPort}`]);
  await first.restart({ samePort: true });
  const { code, stderr } = await waiting;
  assert.equal(code, 0, stderr);
});

test('ready passes on why a server is not ready', async (t) => {
  const other = createServer((request, response) => response.writeHead(503).end('NOT READY: disk-full')).listen(0, '127.0.0.1');
  await once(other, 'listening');
  t.after(() => other.close());
  const { code, stderr } = await run(['ready', '--write', '--url', `http://127.0.0.1:${other.address().port}`]);
  assert.equal(code, 1);
  assert.match(stderr, /NOT READY: disk-full/);
});

/* ---- ingest ---- */

test('ingest feeds a file and standard input', async (t) => {
  const server = await Server.forTest(t);
  const file = join(scratch(t), 'feed.ndjson');
  writeFileSync(file, ndjson(range(1234, (i) => m(`k${i % 10}`, { i }))));
  const one = await run(['ingest', '--url', server.ws, file]);
  assert.equal(one.code, 0, one.stderr);
  assert.equal((await dataOf(server, 'k3')).i, 1233);
  for (const args of [['ingest', '--url', server.ws, '-'], ['ingest', '--url', server.ws]]) {
    const two = await run(args, { input: ndjson(range(50, (i) => m('s', { i, args: args.length }))) });
    assert.equal(two.code, 0, two.stderr);
    assert.deepEqual((({ i, args: a }) => [i, a])(await dataOf(server, 's')), [49, args.length]);
  }
  const empty = await run(['ingest', '--url', server.ws], { input: '' });
  assert.equal(empty.code, 0, empty.stderr);
  await check(server.db);
});

test('ingest of the quakes gives what POST gives', async (t) => {
  const server = await Server.forTest(t);
  const { code, stderr } = await run(['ingest', '--url', server.ws, join(ROOT, 'tests/data/quakes.ndjson')]);
  assert.equal(code, 0, stderr);
  const changes = execFileSync('sqlite3', ['-readonly', server.db, 'SELECT count(*) FROM change']).toString().trim();
  assert.equal(changes, '5121');
});

test('ingest names a bad line and ends with an error', async (t) => {
  const server = await Server.forTest(t);
  const { code, stderr } = await run(['ingest', '--url', server.ws], { input: `${JSON.stringify(m('a', { n: 1 }))}\n{"export":"E"}\n${JSON.stringify(m('b', { n: 1 }))}\n` });
  assert.notEqual(code, 0);
  assert.match(stderr, /\b2\b/);
  assert.match(stderr, /key|patch/);
});

test('ingest without a server says so', async () => {
  const { code, stderr } = await run(['ingest', '--url', 'ws://127.0.0.1:1'], { input: '', ms: 60_000 });
  assert.ok(code !== 0 && code !== null, `exit ${code}`);
  assert.match(stderr, /127\.0\.0\.1:1/);
});

for (const [name, cuts] of [['once', [60_000]], ['in the handshake, at once, and thrice more', [100, 300, 20_000, 90_000, 130_000]]]) {
  test(`ingest loses and repeats nothing when its connection breaks ${name}`, async (t) => {
    const server = await Server.forTest(t, { config: { max_array_length: 0 } });
    const proxy = await Proxy.start(t, server.port, cuts);
    const count = 4000;
    const input = ndjson(range(count, (i) => m('k', { l: [i] }, { append: ['l'] })));
    const { code, stderr } = await run(['ingest', '--url', proxy.ws, '--producer', 'me', '-'], { input });
    assert.equal(code, 0, stderr);
    assert.ok(proxy.connections > cuts.length, `${proxy.connections} connections`);
    assert.deepEqual((await dataOf(server, 'k')).l, range(count, (i) => i));
  });
}

test('ingest goes on over kill -9 of the server', async (t) => {
  const server = await Server.forTest(t, { config: { max_array_length: 0, exports: { E: {} } } });
  const proxy = await Proxy.start(t, server.port);
  const child = spawn(BINARY, ['ingest', '--url', proxy.ws, '--producer', 'me', '-'], { stdio: ['pipe', 'ignore', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  let stderr = '';
  child.stderr.on('data', (text) => (stderr += text));
  const ended = new Promise((done) => child.on('exit', done));
  const count = 3000;
  const write = (from, to) => new Promise((done) => child.stdin.write(ndjson(range(to - from, (i) => m('k', { l: [from + i] }, { append: ['l'] }))), done));
  await write(0, 1000);
  for (let at = 1000; at < count; at += 1000) {
    /* Something of the last thousand is there, the rest is on its way. */
    while (!((await dataOf(server, 'k'))?.l.length > at - 1000)) await new Promise((done) => setTimeout(done, 10));
    await server.kill9();
    await write(at, at + 1000);
    await server.restart();
    proxy.port = server.port;
    proxy.cut();
  }
  child.stdin.end();
  assert.equal(await within(ended, 'the end of ingest', 60_000), 0, stderr);
  assert.deepEqual((await dataOf(server, 'k')).l, range(count, (i) => i));
});

test('ingest with a producer name does not repeat what an earlier run delivered', async (t) => {
  const server = await Server.forTest(t, { config: { max_array_length: 0 } });
  const input = ndjson(range(700, (i) => m('k', { l: [i] }, { append: ['l'] })));
  for (let i = 0; i < 2; i++) {
    const { code, stderr } = await run(['ingest', '--url', server.ws, '--producer', 'nightly'], { input });
    assert.equal(code, 0, stderr);
  }
  assert.deepEqual((await dataOf(server, 'k')).l, range(700, (i) => i));
});

/* ---- subscribe ---- */

test('subscribe prints frames as JSON lines and ends after --count', async (t) => {
  const server = await Server.forTest(t);
  await post(server, [m('a', { n: 0.10 }), m('b', { n: 1 })]);
  const { code, stdout, stderr } = await run(['subscribe', 'E/list', '--url', server.ws, '--count', '2']);
  assert.equal(code, 0, stderr);
  const lines = frames(stdout);
  assert.equal(lines.length, 2);
  assert.deepEqual(lines.map((f) => f.op), ['subscribed', 'snapshot']);
  assert.ok(stdout.includes('"n":0.1'), stdout);
  assert.deepEqual(lines[1].data.map((r) => r.key).sort(), ['a', 'b']);
});

test('subscribe reads compressed snapshots', async (t) => {
  const server = await Server.forTest(t);
  await post(server, range(120, (i) => m(`k${i}`, { pad: 'x'.repeat(100) })));
  const { code, stdout } = await run(['subscribe', 'E/list', '--url', server.ws, '--count', '3']);
  assert.equal(code, 0);
  assert.deepEqual(frames(stdout).map((f) => f.data?.length), [undefined, 50, 70]);
});

test('subscribe: --key, --limit, --after, --no-snapshot', async (t) => {
  const server = await Server.forTest(t);
  await post(server, range(5, (i) => m(`k${i}`, { i }, { slot: 10, index: i })));
  const rows = async (...args) => {
    const { code, stdout, stderr } = await run(['subscribe', ...args, '--url', server.ws]);
    assert.equal(code, 0, stderr);
    return frames(stdout);
  };
  assert.deepEqual((await rows('E/state', '--key', 'k2', '--count', '2'))[1].data.map((r) => r.key), ['k2']);
  assert.deepEqual((await rows('E/list', '--key', 'k3', '--count', '2'))[1].data.map((r) => r.key), ['k3']);
  assert.deepEqual((await rows('E/list', '--limit', '2', '--count', '2'))[1].data.map((r) => r.key), ['k4', 'k3']);
  const after = await rows('E/list', '--after', '10:000000000003', '--count', '2');
  assert.equal(after[0].resumed, true);
  assert.deepEqual(after[1].data.map((r) => r.key), ['k4']);
  const live = new Running(t, ['subscribe', 'E/list', '--url', server.ws, '--no-snapshot', '--count', '2']);
  await live.until((f) => f.op === 'subscribed', 'subscribed');
  await post(server, m('k0', { i: 100 }));
  assert.equal((await within(live.ended, 'the end')).code, 0);
  assert.deepEqual([live.lines[1].op, live.lines[1].key, live.lines[1].data.i], ['upsert', 'k0', 100]);
});

test('subscribe to an unknown view fails and names it', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} } } });
  const { code, stderr, stdout } = await run(['subscribe', 'Nope/list', '--url', server.ws], { ms: 10_000 });
  assert.ok(code !== 0 && code !== null, `exit ${code}`);
  assert.match(stderr + stdout, /Nope\/list/);
});

test('subscribe without --follow ends when the server goes', async (t) => {
  const server = await Server.forTest(t);
  await post(server, m('a', {}));
  const live = new Running(t, ['subscribe', 'E/list', '--url', server.ws]);
  await live.until((f) => f.op === 'snapshot', 'snapshot');
  await server.kill9();
  assert.notEqual((await within(live.ended, 'the end')).code, null);
});

test('subscribe --follow goes on over a restart and kill -9, without gap or repetition', async (t) => {
  const server = await Server.forTest(t);
  await post(server, m('a', { l: [0] }));
  const proxy = await Proxy.start(t, server.port);
  const live = new Running(t, ['subscribe', 'E/append', '--url', proxy.ws, '--follow']);
  await live.until((f) => f.op === 'snapshot', 'snapshot');
  let n = 0;
  const feed = async () => {
    await post(server, range(3, () => m('a', { l: [++n] }, { append: ['l'] })));
    await live.until((f) => f.op === 'patch' && f.data.l.at(-1) === n, `patch ${n}`);
  };
  await feed();
  for (const end of ['terminate', 'kill9']) {
    await server[end]();
    await server.restart();
    proxy.port = server.port;
    await post(server, range(2, () => m('a', { l: [++n] }, { append: ['l'] })));
    proxy.cut();
    await feed();
  }
  const seen = live.lines.filter((f) => f.op === 'patch').flatMap((f) => f.data.l);
  assert.deepEqual(seen, range(n, (i) => i + 1));
  assert.ok(live.lines.filter((f) => f.op === 'subscribed').slice(1).every((f) => f.resumed === true), JSON.stringify(live.lines.filter((f) => f.op === 'subscribed')));
  live.child.kill('SIGINT');
  const { code, signal } = await within(live.ended, 'the end');
  assert.ok(code === 0 || code === 130 || signal === 'SIGINT', `${code} ${signal}`);
});

/* ---- check and views ---- */

test('check is clean after all kinds of changes, and lists what was damaged', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: { max_entities: 50 }, F: {} } } });
  await post(server, range(80, (i) => m(`k${i % 60}`, { l: [i], o: { i } }, { append: ['l'] })));
  await post(server, [{ export: 'E', key: 'k30', op: 'delete' }, m('k31', { z: 1 }, { op: 'upsert' }), { export: 'F', key: 'x', patch: { n: 18446744073709551615n.toString() } }]);
  await server.terminate();
  const clean = await run(['check', '--db', server.db]);
  assert.equal(clean.code, 0, clean.stdout + clean.stderr);
  const whole = readFileSync(server.db);
  for (const [name, damage] of [
    ['an entity changed behind our back', `UPDATE entity SET data = json_set(data, '$.o', 999) WHERE key = 'k40'`],
    ['an entity removed', `DELETE FROM entity WHERE key = 'k41'`],
    ['an entity added', `INSERT INTO entity(export, key, slot, idx, change, evict_order, data) SELECT export, 'ghost', slot, idx, change, evict_order, data FROM entity WHERE key = 'k42'`],
    ['a change missing from the log', `DELETE FROM change WHERE id = (SELECT max(id) - 5 FROM change)`],
    ['a change altered', `UPDATE change SET patch = '{"l":[5]}' WHERE id = (SELECT change FROM entity WHERE key = 'k43')`],
    ['the seq of an entity', `UPDATE entity SET idx = idx + 1 WHERE key = 'k44'`],
    ['the head', `UPDATE log_state SET last_change = last_change + 5`],
    ['the floor', `UPDATE log_state SET floor_change = 3`],
    ['the count of an export', `UPDATE export SET entities = entities + 1`],
    ['data that is not JSON', `UPDATE entity SET data = '{"a":' WHERE key = 'k45'`],
  ]) {
    writeFileSync(server.db, whole);
    execFileSync('sqlite3', [server.db, damage]);
    const { code, stdout, stderr } = await run(['check', '--db', server.db]);
    assert.equal(code, 1, `${name}: exit ${code} ${stdout}${stderr}`);
    assert.ok(stdout.trim().length > 0, `${name}: a list`);
  }
});

test('check of what is no database fails with a reason', async (t) => {
  const folder = scratch(t);
  writeFileSync(join(folder, 'x.txt'), 'hello');
  for (const file of ['x.txt', 'none.db']) {
    const { code, stderr, stdout } = await run(['check', '--db', join(folder, file)]);
    assert.ok(code !== 0 && code !== null);
    assert.ok((stderr + stdout).includes(file), stderr);
  }
});

test('views lists the views with their rows and the head', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: { views: { slim: { fields: ['i'] }, one: { keys: ['k1'] } } } } } });
  await post(server, range(7, (i) => m(`k${i}`, { i }, { slot: 3, index: i })));
  const { code, stdout, stderr } = await run(['views', '--db', server.db]);
  assert.equal(code, 0, stderr);
  for (const [view, rows] of [['E/list', 7], ['E/state', 7], ['E/append', 7], ['E/slim', 7], ['E/one', 1]]) {
    const line = stdout.split('\n').find((l) => l.includes(view));
    assert.ok(line, `${view} in ${stdout}`);
    assert.match(line, new RegExp(`\\b${rows}\\b`), line);
  }
  assert.match(stdout, /3:000000000006/);
});
