// GET /v1/changes and GET /v1/backup: what a replica reads, and what it begins with.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { createConnection } from 'node:net';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { http, post, postAll } from './lib/feed.js';
import { BINARY, Server, check, eventually, run, scratch, sql, sqlView, within } from './lib/server.js';
import { fillDisk, smallDisk } from './lib/small_disk.js';

const m = (key, patch, more = {}) => ({ export: 'E', key, patch, ...more });
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const pad = 'x'.repeat(2000);
const exports = { E: {} };

/** One answer: {status, head, changes, producers, end}, or {status, code, message}. */
async function ask(server, query = '', headers = {}) {
  const answer = await http(`${server.http}/v1/changes?${query}`, { headers });
  if (answer.status !== 200) return { status: answer.status, ...JSON.parse(answer.text) };
  const lines = answer.text.trimEnd().split('\n').map((line) => JSON.parse(line));
  const of = (name) => lines.filter((line) => line[name] !== undefined);
  return { status: 200, lines, head: lines[0], changes: of('change').filter((line) => line.op), producers: of('producer'), end: lines.at(-1) };
}

/** All answers from there on, until there is no more. */
async function askAll(server, after, limit) {
  const answers = [];
  for (;;) {
    const answer = await ask(server, `limit=${limit}${after ? `&after=${after}` : ''}`);
    assert.equal(answer.status, 200, answer.message);
    answers.push(answer);
    after = answer.end.cursor;
    if (Number(after.split(':')[1]) === answer.end.head) return answers;
  }
}

const cursorOf = async (server, change) => `${(await server.status()).epoch}:${change}`;

test('the log is told as it is, with producers, in answers that end between transactions', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: { max_entities: 4 }, 'Ünicode x': {} } } });
  await post(server, [{ producer: 'p', batch: 3, mark: 'here', mutations: [m('a', { n: 1 }), m('b', { t: [1] }), m('b', { t: [2] }, { append: ['t'] })] }]);
  await post(server, [m('a', {}, { unset: ['n'] }), m('c', { n: 1 }), m('c', undefined, { op: 'delete' }), { export: 'Ünicode x', key: 'k"\n', patch: { deep: { er: null } }, slot: 9, index: 2 }]);
  await postAll(server, range(30, (i) => m(`k${i}`, { i })), 5);
  const answers = await askAll(server, '', 1);
  const changes = answers.flatMap((answer) => answer.changes);
  const rows = await sql(server.db, 'SELECT change.id, export.name, key, op, slot, idx, at, patch, append FROM change JOIN export ON export.id = export ORDER BY change.id');
  const operations = ['create', 'patch', 'upsert', 'delete', 'evict'];
  assert.deepEqual(
    changes,
    rows.map((row) => ({
      change: row.id, op: operations[row.op], export: row.name, key: row.key, slot: row.slot, index: row.idx, at: row.at,
      ...(row.patch === null ? {} : { patch: JSON.parse(row.patch) }), ...(row.append === null ? {} : { append: JSON.parse(row.append) }),
    })),
  );
  assert.ok(changes.some((change) => change.op === 'evict'));
  /* No transaction is divided: what shares a time is in one answer. */
  for (const [i, answer] of answers.entries()) {
    assert.equal(answer.end.whole, true);
    if (i > 0 && answer.changes.length) assert.notEqual(answers[i - 1].changes.at(-1).at, answer.changes[0].at);
  }
  assert.deepEqual(answers[0].producers.length, 1, 'in the answer that has its changes, though more follow');
  const all = await ask(server);
  assert.equal(all.changes.length, changes.length);
  const { at, change, ...producer } = all.producers[0];
  assert.deepEqual(producer, { producer: 'p', batch: 3, slot: 0, index: 3, mark: 'here' });
  assert.equal(change, 3);
  assert.ok(at > 1e12);
});

test('who makes the changes up to anywhere knows the producers of there, in however many answers they come', async (t) => {
  const server = await Server.forTest(t, { config: { exports } });
  const batch = (producer, batch, ...mutations) => post(server, [{ producer, batch, mutations }]);
  for (let i = 1; i <= 12; i++) {
    await batch(`p${i % 5}`, i, m('a', { i }), m(`k${i}`, { i }));
    await post(server, m('b', { i }));
    if (i % 4 === 0) await batch('idle', i, m('b', { i })); /* changes nothing */
  }
  const rows = await sql(server.db, 'SELECT name AS producer, batch, change FROM producer ORDER BY name');
  assert.equal(rows.length, 6);
  for (const limit of [1, 4, 5000]) {
    const lines = (await askAll(server, '', limit)).flatMap((answer) => answer.lines);
    const told = new Map();
    let last = 0;
    for (const line of lines) {
      if (line.op) last = line.change;
      if (!line.producer) continue;
      assert.ok(line.change <= last, `${line.producer} of change ${line.change} is told behind ${last}`);
      /* It could be lost, if it were told later than with the transaction of its change. */
      if (line.producer !== 'idle' && told.get(line.producer)?.batch !== line.batch) assert.equal(line.change, last);
      told.set(line.producer, { producer: line.producer, batch: line.batch, change: line.change });
    }
    const missing = rows.filter((row) => row.producer !== 'idle');
    assert.deepEqual(missing.map((row) => told.get(row.producer)), missing, `limit=${limit}`);
  }
});

test('who has all of the log waits for more, and a stop ends the wait', async (t) => {
  const server = await Server.forTest(t, { config: { exports } });
  await post(server, [m('a', { n: 1 })]);
  const after = await cursorOf(server, 1);
  const short = await ask(server, `after=${after}&wait=1`);
  assert.deepEqual([short.changes, short.end], [[], { cursor: after, head: 1, whole: true }]);
  const waiting = range(5, () => ask(server, `after=${after}&wait=60`));
  await eventually(async () => Number(/stele_http_requests_total (\d+)/.exec((await server.get('/metrics')).text)?.[1] ?? 0) >= 7, 'all are there');
  await post(server, [m('b', { n: 2 })]);
  for (const answer of await within(Promise.all(waiting), 'the change')) assert.deepEqual(answer.changes.map((change) => change.key), ['b']);
  const last = ask(server, `after=${await cursorOf(server, 2)}&wait=60`);
  const gone = createConnection(server.port, '127.0.0.1');
  gone.end(`GET /v1/changes?after=${await cursorOf(server, 2)}&wait=60 HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  await within(once(gone, 'close'), 'the end of one that went');
  await server.terminate();
  const { code, changes } = await last; /* or it was just being read, and then there was nothing */
  if (code !== undefined) assert.equal(code, 'shutting-down');
  else assert.deepEqual(changes, []);
});

test('a cursor of another database, or of what was trimmed, is refused with the remedy', async (t) => {
  const server = await Server.forTest(t, { config: { exports, retention_rows: 10 } });
  for (let i = 0; i < 20; i++) await post(server, range(5, (k) => m(`k${k}`, { i })));
  await eventually(async () => (await sql(server.db, 'SELECT floor_change FROM log_state'))[0].floor_change >= 80, 'it is trimmed');
  for (const query of ['', `after=${await cursorOf(server, 7)}`]) {
    const { status, code, message } = await ask(server, query);
    assert.deepEqual([status, code], [410, 'log-gap']);
    assert.match(message, /backup/);
  }
  assert.equal((await ask(server, `after=${await cursorOf(server, 95)}`)).changes.length, 5);
  const other = await ask(server, `after=00000000-0000-4000-8000-000000000000:5`);
  assert.deepEqual([other.status, other.code], [409, 'log-replaced']);
  const ahead = await ask(server, `after=${await cursorOf(server, 101)}`);
  assert.deepEqual([ahead.status, ahead.code], [409, 'log-replaced']);
  for (const query of ['after=5', 'after=x:5', `after=${await cursorOf(server, -1)}`, 'limit=0', 'wait=61', 'much=1']) {
    const { status, code } = await ask(server, query);
    assert.deepEqual([status, code], [400, 'invalid-parameter'], query);
  }
});

test('after a change of what decides merging, older changes are not given', async (t) => {
  const server = await Server.forTest(t, { config: { exports } });
  await post(server, [m('a', { n: 1 }), m('b', { n: 1 })]);
  const { head } = await ask(server);
  await server.terminate();
  await server.restart({ config: { exports: { E: { null_removes: true } } } });
  const gap = await ask(server, `after=${await cursorOf(server, 1)}`);
  assert.deepEqual([gap.status, gap.code], [410, 'log-gap']);
  const now = await ask(server, `after=${await cursorOf(server, 2)}`);
  assert.equal(now.status, 200);
  assert.notEqual(now.head.settings, head.settings);
  await server.terminate();
  await server.restart({ config: { exports: { E: { null_removes: true, max_entities: 9, views: { v: { mode: 'list' } } } } } });
  assert.equal((await ask(server, `after=${await cursorOf(server, 2)}`)).head.settings, now.head.settings);
});

const bearer = (token) => (token ? { authorization: `Bearer ${token}` } : {});

test('the log needs admin, or read of all; a copy admin', async (t) => {
  const tokens = [
    { token: 'writer-writer-writer', subject: 'w', scope: 'write' },
    { token: 'reader-reader-reader', subject: 'r', scope: 'read' },
    { token: 'starry-starry-starry', subject: 's', scope: 'read', views: ['F/list', '**'], row_scopes: ['red'] },
    { token: 'narrow-narrow-narrow', subject: 'n', scope: 'read', views: ['E/*', 'F/*'] },
    { token: 'limited-limited-limited', subject: 'l', scope: 'read', limits: { max_snapshot_rows: 100 } },
    { token: 'admin-admin-admin', subject: 'a', scope: 'admin' },
  ];
  const server = await Server.forTest(t, { config: { exports: { E: {}, F: {} }, auth: { mode: 'static', tokens } } });
  const as = async (path, token, method = 'GET') => {
    const { status, text } = await http(`${server.http}/v1/${path}`, { method, headers: bearer(token) });
    return status === 200 ? 200 : `${status} ${JSON.parse(text).code}`;
  };
  for (const [token, ...expected] of [['reader-reader-reader', 200, '403 scope-missing'], ['starry-starry-starry', 200, '403 scope-missing'], ['narrow-narrow-narrow', '403 scope-missing', '403 scope-missing'],
    ['limited-limited-limited', '403 scope-missing', '403 scope-missing'], ['writer-writer-writer', '403 scope-missing', '403 scope-missing'], [null, '401 token-missing', '401 token-missing'], ['admin-admin-admin', 200, 200]])
    assert.deepEqual([await as('changes', token), await as('backup', token)], expected, token);
  assert.match((await ask(server, '', bearer('narrow-narrow-narrow'))).message, /'admin'.*'read'.*limited to some views/);
  assert.match((await ask(server, '', bearer('writer-writer-writer'))).message, /'admin' or 'read'/);
  for (const path of ['changes', 'backup']) assert.equal(await as(path, 'admin-admin-admin', 'DELETE'), '405 method-not-allowed');
  /* A reader of all gets the changes, and nothing that is an administrator's. */
  await http(`${server.http}/v1/mutations`, { method: 'POST', headers: { ...bearer('writer-writer-writer'), 'idempotency-key': 'k' }, body: JSON.stringify({ producer: 'secret-name', batch: 1, mutations: [m('a', { n: 1 })] }) });
  const [all, changes] = [await ask(server, '', bearer('admin-admin-admin')), await ask(server, '', bearer('reader-reader-reader'))];
  assert.deepEqual(changes.changes, all.changes);
  assert.equal(changes.head.only, 'changes');
  assert.equal(all.head.only, undefined);
  assert.ok(all.lines.length > changes.lines.length && all.producers.length === 1);
  assert.equal(changes.lines.length, changes.changes.length + 2);
});

test('nothing that is hidden from a reader is told by the log, whatever hides it, and also from when it does', async (t) => {
  const tokens = [{ token: 'reader-reader-reader', subject: 'r', scope: 'read', row_scopes: ['red', 'blue'] }, { token: 'writer-writer-writer', subject: 'w', scope: 'write' }];
  const auth = { mode: 'static', tokens };
  const open = { E: {}, F: { views: { slim: { fields: ['n'] }, one: { keys: ['a'] }, first: { pipeline: [{ take: 1 }] } } } };
  const server = await Server.forTest(t, { config: { exports: open, auth } });
  const read = (more = '') => ask(server, more, bearer('reader-reader-reader'));
  await http(`${server.http}/v1/mutations`, { method: 'POST', headers: bearer('writer-writer-writer'), body: [m('a', { team: 'green', secret: 1 }), { export: 'F', key: 'b', patch: { secret: 2 } }].map((line) => JSON.stringify(line)).join('\n') });
  assert.equal((await read()).changes.length, 2, 'views beside the list hide nothing');
  const restricted = [
    [{ ...open, E: { scope: 'team' } }, /row_scopes.* of E/],
    [{ ...open, E: { views: { list: { fields: ['n'] } } } }, /no list shows all fields of all rows of E/],
    [{ ...open, E: { views: { list: { keys: ['a', 'b'] } } } }, /no list shows/],
    [{ ...open, E: { views: { list: { pipeline: [{ filter: { field: 'n', gt: 1 } }] } } } }, /no list shows/],
  ];
  const after = `after=${(await read()).end.cursor}`;
  for (const [exports, why] of restricted) {
    await server.terminate();
    await server.restart({ config: { exports, auth } });
    for (const query of ['', 'limit=1', 'after=head', after]) {
      const refused = await read(query);
      assert.deepEqual([refused.status, refused.code], [403, 'scope-missing'], JSON.stringify(exports));
      assert.match(refused.message, why);
    }
  }
  /* Of an export that is not shown any more nothing is told. */
  await server.terminate();
  await server.restart({ config: { exports: { E: {} }, auth } });
  assert.equal((await read()).code, 'log-gap');
  assert.deepEqual((await read('after=head')).changes, []);
  await server.terminate();
  await server.restart({ config: { exports: open, auth } });
  /* A token that is limited, or taken back, while its client waits. */
  for (const [fresh, code] of [[[{ ...tokens[0], views: ['E/list'] }, tokens[1]], 'scope-missing'], [[tokens[1]], 'invalid-static-token'], [[{ ...tokens[0], scope: 'write' }, tokens[1]], 'scope-missing']]) {
    const waiting = read('after=head&wait=60');
    await server.reload({ exports: open, auth: { ...auth, tokens: fresh } });
    await http(`${server.http}/v1/mutations`, { method: 'POST', headers: bearer('writer-writer-writer'), body: JSON.stringify(m(`y${code}${fresh.length}`, { n: Math.random() })) });
    assert.equal((await within(waiting, 'its answer')).code, code);
    await server.reload({ exports: open, auth });
  }
});

test('a client that does not read costs the others nothing', async (t) => {
  const server = await Server.forTest(t, { config: { exports } });
  await postAll(server, range(3000, (i) => m(`k${i}`, { i, pad })), 500);
  /* Of the answers to these, 1 MiB each, 64 MiB are kept. */
  const stalled = range(600, () => {
    const socket = createConnection(server.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write('GET /v1/changes?limit=100000 HTTP/1.1\r\nHost: localhost\r\n\r\n');
    socket.pause();
    return socket;
  });
  const before = server.memory();
  await postAll(server, range(200, (i) => m(`n${i}`, { i })), 10);
  /* They are of one client, which has its share of the readers while theirs are being read. */
  const after = await cursorOf(server, 3000);
  await eventually(async () => (await ask(server, `after=${after}&limit=1`)).status === 200, 'its turn');
  const answers = await askAll(server, after, 5000);
  assert.equal(answers.flatMap((answer) => answer.changes).length, 200);
  assert.ok(server.memory() - before < 450e6, `${server.memory() - before} bytes`);
  for (const socket of stalled) socket.destroy();
});

// ---- GET /v1/backup ----

const left = (server) => readdirSync(dirname(server.db)).filter((name) => /served-copy|partial/.test(name));

test('a copy under load is whole, of one state, and the log goes on behind it', async (t) => {
  const server = await Server.forTest(t, { config: { exports } });
  await postAll(server, range(5000, (i) => m(`k${i}`, { i, pad })), 500);
  let feeding = true;
  const feeder = (async () => {
    for (let i = 0; feeding; i++) await post(server, range(20, (k) => m(`k${k}`, { round: i })));
  })();
  const to = join(scratch(t), 'copy.db');
  const { code, stdout, stderr } = await run(['backup', '--from', server.http, to]);
  feeding = false;
  await feeder;
  assert.equal(code, 0, stderr);
  const [, bytes, change] = /: ([0-9]+) bytes, as of change ([0-9]+), seq \S+, checked\n/.exec(stdout);
  assert.equal(Number(bytes), statSync(to).size);
  await check(to);
  assert.equal((await sql(to, 'SELECT last_change FROM log_state'))[0].last_change, Number(change));
  /* A round is one request: all of its rows, or none. */
  const rounds = new Set(range(20, (k) => `k${k}`).map((k) => k));
  const rows = [...(await sqlView(to, 'E/list')).values()].filter((row) => rounds.has(row.key)).map((row) => JSON.parse(row.data).round);
  assert.equal(new Set(rows).size, 1);
  const behind = (await askAll(server, await cursorOf(server, change), 5000)).flatMap((answer) => answer.changes);
  assert.equal(behind[0]?.change ?? Number(change) + 1, Number(change) + 1);
  assert.deepEqual(left(server), []);
  /* It says what it sent. */
  const response = await fetch(`${server.http}/v1/backup`);
  const body = Buffer.from(await response.arrayBuffer());
  assert.equal(response.headers.get('stele-sha-256'), createHash('sha256').update(body).digest('hex'));
  assert.equal(Number(response.headers.get('content-length')), body.length);
  assert.match(response.headers.get('stele-cursor'), /^[0-9a-f-]{36}:[0-9]+$/);
});

test('there is one copy at a time; who goes makes room for the next, and who does not read holds nothing', async (t) => {
  const server = await Server.forTest(t, { config: { exports } });
  await postAll(server, range(8000, (i) => m(`k${i}`, { i, pad })), 1000);
  const stalled = createConnection(server.port, '127.0.0.1');
  stalled.on('error', () => {});
  stalled.write('GET /v1/backup HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await within(once(stalled, 'readable'), 'the copy');
  const second = await http(`${server.http}/v1/backup`);
  assert.deepEqual([second.status, JSON.parse(second.text).code], [503, 'queue-full']);
  assert.deepEqual(left(server), []);
  await postAll(server, range(2000, (i) => m(`n${i}`, { i })), 100);
  assert.equal((await http(`${server.http}/v1/views/E/list?take=1`)).status, 200);
  stalled.destroy();
  const to = join(scratch(t), 'copy.db');
  await eventually(async () => (await run(['backup', '--from', server.http, to])).code === 0, 'the next one');
  /* Killed in between: what the copy left goes with the next start, and the client has none. */
  const client = spawn(BINARY, ['backup', '--from', server.http, `${to}.2`], { stdio: 'ignore' });
  const ended = once(client, 'exit'); /* it may end before the server does */
  await eventually(() => existsSync(`${to}.2.partial`) || client.exitCode !== null, 'it began');
  await server.kill9();
  const [code] = await within(ended, 'the end of the client');
  if (code !== 0) assert.ok(!existsSync(`${to}.2`) && !existsSync(`${to}.2.partial`));
  await server.restart();
  assert.deepEqual(left(server), []);
});

test('a disk without room for a copy is told, and the server goes on; a full one of the client leaves nothing', async (t) => {
  let server;
  const folder = smallDisk(t, 100, () => server?.discard());
  if (!folder) return;
  server = await Server.start({ db: join(folder, 'stele.db'), config: { exports } });
  await postAll(server, range(6000, (i) => m(`k${i}`, { i, pad })), 500);
  fillDisk(folder, 25);
  const refused = await http(`${server.http}/v1/backup`);
  assert.deepEqual([refused.status, JSON.parse(refused.text).code], [503, 'disk-full']);
  await post(server, [m('more', { n: 1 })]);
  assert.deepEqual(left(server), []);
  const source = await Server.forTest(t, { config: { exports } });
  await postAll(source, range(20_000, (i) => m(`k${i}`, { i, pad })), 1000);
  const { code, stderr } = await run(['backup', '--from', source.http, join(folder, 'copy.db')]);
  assert.notEqual(code, 0);
  assert.match(stderr, /no room/);
  assert.ok(!readdirSync(folder).some((name) => name.startsWith('copy.db')));
});

test('the command refuses what is no copy, and does not write over a file', async (t) => {
  const server = await Server.forTest(t, { config: { exports } });
  const folder = scratch(t);
  const to = join(folder, 'copy.db');
  assert.equal((await run(['backup', '--from', server.http, to])).code, 0);
  const again = await run(['backup', '--from', server.http, to]);
  assert.notEqual(again.code, 0);
  assert.match(again.stderr, /exists already/);
  assert.equal((await run(['backup', '--from', server.http, '--force', to])).code, 0);
  const elsewhere = await run(['backup', '--from', server.healthUrl, join(folder, 'no.db')]);
  assert.match(elsewhere.stderr, /refused \(HTTP 404\)/);
  const both = await run(['backup', '--from', server.http, '--db', server.db, join(folder, 'no.db')]);
  assert.equal(both.code, 2);
  assert.equal((await run(['backup', '--from', server.http, '--wal-limit', '5', join(folder, 'no.db')])).code, 2);
  assert.deepEqual(readdirSync(folder), ['copy.db']);
  assert.equal(readFileSync(to).subarray(0, 15).toString(), 'SQLite format 3');
});
