// A replica that takes the place of its source knows what happened beside the changes, too: revoked tokens, forgotten
// producers, keys of requests.
//
// STELE_KILLS (default 6): ends of either server in the random run; STELE_SEED its seed.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { Client } from './lib/client.js';
import { http } from './lib/feed.js';
import { Random } from './lib/random.js';
import { Server, check, eventually, scratch, sql, within } from './lib/server.js';
import { bearer, newKey, tokenOf, unixNow } from './lib/token.js';

const KILLS = Number(process.env.STELE_KILLS ?? 6);
const key = newKey();
const auth = { mode: 'signed', keys: [key.x] };
const exports = { E: {} };
const admin = tokenOf(key, { sub: 'root', scope: 'read write admin' });
const ann = tokenOf(key, { sub: 'ann' });
const m = (key, patch = {}, more = {}) => ({ export: 'E', key, patch, ...more });
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));

const ask = (server, path, options = {}) => http(`${server.http}${path}`, { ...options, headers: { ...bearer(admin), ...options.headers } });
const post = (server, body, headers = {}) => ask(server, '/v1/mutations', { method: 'POST', body: [body].flat().map((line) => JSON.stringify(line)).join('\n'), headers: { ...bearer(ann), ...headers } });
const revoke = (server, jti, expires_at) => ask(server, '/v1/revocations', { method: 'POST', body: JSON.stringify({ jti, expires_at }) });
const forget = (server, name) => ask(server, `/v1/producers/${name}`, { method: 'DELETE', headers: bearer(ann) });
const sourceFor = (t) => Server.forTest(t, { config: { exports, auth } });

async function replicaOf(t, source, options = {}) {
  const token_file = join(scratch(t), 'token');
  writeFileSync(token_file, options.token ?? admin);
  return Server.forTest(t, { ...options, config: { exports, auth, ...options.config, log: { from: source.http ?? source, token_file } } });
}

/** What both must know; `at` too, as the source has it. */
const known = async (db) =>
  JSON.stringify(
    await Promise.all(
      ['SELECT * FROM revoked_token ORDER BY jti', 'SELECT owner, key, hex(body) AS body, answer, at FROM idempotency_key ORDER BY owner, key', 'SELECT * FROM producer ORDER BY name', 'SELECT key, data, change FROM entity ORDER BY key'].map((query) => sql(db, query)),
    ),
    null,
    1,
  );
const alike = (replica, source) => eventually(async () => (await known(replica.db)) === (await known(source.db)), async () => `${await known(replica.db)}\n${await known(source.db)}\n${replica.stderr}`, 400);

/** No change is there without the key of its request, nor the key without the change. */
async function isWhole(db) {
  const missing = await sql(db, "SELECT key, data FROM entity WHERE key GLOB 'k*' AND NOT EXISTS (SELECT 1 FROM idempotency_key AS k WHERE k.key = 'i' || (entity.data ->> 'i'))");
  assert.deepEqual(missing, []);
  const [{ head }] = await sql(db, 'SELECT head_idx AS head FROM log_state');
  for (const { answer } of await sql(db, 'SELECT answer FROM idempotency_key')) assert.ok(Number(JSON.parse(answer).seq?.split(':')[1] ?? 0) <= head, `${answer} ${head}`);
}

/** The replica becomes an ordinary server. */
async function takeOver(replica, source) {
  await source.kill9();
  await replica.kill9();
  await replica.restart({ config: { exports, auth } });
  return replica;
}

test('a reserve refuses the tokens that its source revoked, and takes nothing twice', async (t) => {
  const source = await sourceFor(t);
  await revoke(source, 'from before', unixNow() + 3600);
  await post(source, { producer: 'was', batch: 7, mutations: [m('w')] });
  const replica = await replicaOf(t, source);
  const first = await post(source, m('a', { n: 1 }), { 'idempotency-key': 'k"1"' });
  await post(source, m('gone', {}, { op: 'delete', patch: undefined }), { 'idempotency-key': 'changes-nothing' });
  await post(source, { producer: 'p', batch: 3, mutations: [m('b', { n: 1 })] });
  await alike(replica, source);

  /* What no change follows is there, too, and ends a session of the replica by itself. */
  const stolen = tokenOf(key, { sub: 'ann', jti: 'stolen "ä"' });
  const client = await Client.open(replica, { headers: bearer(stolen) });
  t.after(() => client.destroy());
  assert.equal((await revoke(source, 'stolen "ä"')).status, 200);
  assert.equal((await forget(source, 'was')).status, 200);
  await alike(replica, source);
  await within(client.closed, 'the end of the session');
  assert.equal((await http(`${replica.http}/v1/views/E/list`, { headers: bearer(stolen) })).json.code, 'token-expired');

  const reserve = await takeOver(replica, source);
  for (const jti of ['stolen "ä"', 'from before']) assert.equal((await http(`${reserve.http}/v1/views/E/list`, { headers: bearer(tokenOf(key, { jti })) })).json.code, 'token-expired', jti);
  const again = await post(reserve, m('a', { n: 1 }), { 'idempotency-key': 'k"1"' });
  assert.deepEqual([first.status, again.status, again.text], [200, 200, first.text]);
  assert.equal((await post(reserve, m('a', { n: 2 }), { 'idempotency-key': 'k"1"' })).json.code, 'idempotency-key-reused');
  assert.equal((await post(reserve, { producer: 'p', batch: 3, mutations: [m('b', { n: 2 })] })).json.duplicate, 1);
  assert.equal((await post(reserve, { producer: 'was', batch: 1, mutations: [m('w', { n: 2 })] })).json.applied, 1, 'a forgotten name begins anew');
  await reserve.terminate();
  await check(reserve.db);
});

test('a replica of a replica knows it, too, and one that was away', async (t) => {
  const source = await sourceFor(t);
  const replica = await replicaOf(t, source);
  const behind = await replicaOf(t, replica);
  await post(source, m('a'), { 'idempotency-key': 'k1' });
  await alike(behind, source);
  await replica.terminate();
  for (const i of range(4, (i) => i)) await revoke(source, `while away ${i}`, unixNow() + 1000 + i);
  await revoke(source, 'while away 1');
  await post(source, m('b'), { 'idempotency-key': 'k2' });
  await post(source, { producer: 'p', batch: 1, mutations: [m('p')] });
  await forget(source, 'p');
  await replica.restart({ samePort: true });
  await alike(replica, source);
  await alike(behind, source);
  /* Nothing is told again and again: what is idle has no more notes than happened. */
  const notesOf = async ({ db }) => (await sql(db, 'SELECT count(*) AS n FROM note'))[0].n;
  assert.ok((await notesOf(behind)) <= (await notesOf(source)));
});

test('a key that the source gave up and took again, for another request, is the same here', async (t) => {
  const source = await sourceFor(t);
  const replica = await replicaOf(t, source);
  assert.equal((await post(source, m('a'), { 'idempotency-key': 'K' })).status, 200);
  await alike(replica, source);
  await source.terminate();
  execFileSync('sqlite3', [source.db, 'DELETE FROM idempotency_key']); /* as max_idempotency_keys does to make room, after a day */
  await source.restart({ samePort: true });
  const first = await post(source, m('b'), { 'idempotency-key': 'K' });
  assert.equal(first.status, 200);
  await alike(replica, source);
  await takeOver(replica, source);
  const again = await post(replica, m('b'), { 'idempotency-key': 'K' });
  assert.deepEqual([again.status, again.text], [200, first.text]);
});

test('very many notes come in answers of some megabytes, each once and in its place, and a replica has them all', async (t) => {
  const source = await Server.forTest(t, { config: { exports } });
  for (const keys of ['a', 'bcd', 'e', 'f']) {
    const body = [...keys].map((key) => JSON.stringify(m(key))).join('\n');
    assert.equal((await http(`${source.http}/v1/mutations`, { method: 'POST', body })).status, 200);
  }
  await source.terminate();
  /* Of the request that made change 1, then within a transaction, then where the log ends; and a name that was forgotten and came again. */
  const answer = `{"x":"${'x'.repeat(4000)}"}`;
  const keys = (change, count) => `
    INSERT INTO idempotency_key (owner, key, body, answer, at) SELECT '', printf('k${change}-%04d', value), randomblob(32), '${answer}', 1764554099123 FROM generate_series(1, ${count});
    INSERT INTO note (change, kind, name, owner) SELECT ${change}, 3, printf('k${change}-%04d', value), '' FROM generate_series(1, ${count});`;
  const seven = `INSERT INTO note (change, kind, name, owner) VALUES (6, 2, 'again', NULL); INSERT INTO producer (name, batch, at, change) VALUES ('again', 7, 1764554099123, 6);`;
  execFileSync('sqlite3', [source.db], { input: `BEGIN; ${keys(1, 100)} ${keys(3, 4500)} ${keys(4, 100)} ${keys(6, 2500)} ${seven} COMMIT;` });
  await source.restart({ samePort: true });
  const told = [];
  for (let after = '', notes = '', more = true; more; ) {
    const { text } = await http(`${source.http}/v1/changes?notes=${notes}${after && `&after=${after}`}`);
    assert.ok(text.length < (8 << 20) + 20_000, String(text.length));
    const lines = text.trimEnd().split('\n').map((line) => JSON.parse(line));
    const end = lines.at(-1);
    told.push(...lines.slice(1, -1).filter((line) => !line.producer || lines.some((other) => other.forgotten))); /* it may come again, and does */
    assert.equal(end.whole, !/:[23]$/.test(end.cursor), end.cursor); /* changes 2 to 4 are of one transaction */
    more = end.notes !== notes;
    ({ cursor: after, notes } = end);
  }
  const of = (line) => line.idempotency_key ?? line.forgotten ?? line.producer ?? line.op;
  const expected = [[1, 100], [2, 0], [3, 4500], [4, 100], [5, 0], [6, 2500]].flatMap(([change, count]) => ['create', ...range(count, (i) => `k${change}-${String(i + 1).padStart(4, '0')}`)]);
  assert.deepEqual(told.map(of), [...expected, 'again', 'again']);
  assert.deepEqual(told.map((line) => line.change), told.map((line) => line.change).toSorted((a, b) => a - b));
  assert.deepEqual(told.slice(-2).map((line) => Object.keys(line)[0]), ['forgotten', 'producer']);
  const head = await http(`${source.http}/v1/changes?notes=&after=head`);
  assert.equal(head.text.match(/"idempotency_key"/g).filter(Boolean).length, head.text.match(/"k6-/g).length); /* none from before the cursor */
  const replica = await Server.forTest(t, { config: { exports, log: { from: source.http } } });
  await alike(replica, source);
});

test('what got changes alone is no reserve for good, nor is what follows it: both say so, at each start', async (t) => {
  const reader = tokenOf(key, { sub: 'r', scope: 'read' });
  const source = await sourceFor(t);
  const file = join(scratch(t), 'token');
  writeFileSync(file, reader);
  const middle = await Server.forTest(t, { config: { exports, auth, log: { from: source.http, token_file: file } } });
  const last = await replicaOf(t, middle);
  const since = async (server) => (await http(`${server.healthUrl}/status`, { headers: bearer(admin) })).json.node?.changes_only_since;
  assert.deepEqual([await since(middle), await since(last)], [undefined, undefined]);
  assert.equal((await post(source, { producer: 'p', batch: 1, mutations: [m('a')] }, { 'idempotency-key': 'K' })).status, 200);
  const reaches = (server, change) => eventually(async () => (await sql(server.db, 'SELECT last_change AS n FROM log_state'))[0].n === change, `change ${change}`);
  await reaches(last, 1);
  assert.deepEqual([await since(middle), await since(last), await since(source)], [0, 0, undefined]);
  await last.logged(/log-changes-only problem="the source is a replica/);
  /* It cannot be had later. */
  await middle.terminate();
  writeFileSync(file, admin);
  await middle.restart({ samePort: true });
  await middle.logged(/log-changes-only problem="behind change 0 .*no reserve"/);
  assert.equal((await post(source, m('b'))).status, 200);
  await reaches(last, 2);
  assert.deepEqual([await since(middle), await since(last)], [0, 0]);
  assert.equal(JSON.parse((await ask(middle, '/v1/changes')).text.split('\n')[0]).changes_only_since, 0);
  await last.terminate();
  await last.restart();
  await last.logged(/log-changes-only problem="behind change 0 /);
  /* A replica with all from the beginning knows nothing of the like. */
  const whole = await replicaOf(t, source);
  await reaches(whole, 2);
  assert.equal(await since(whole), undefined);
  assert.doesNotMatch(whole.stderr, /log-changes-only/);
});

test(`equal, whichever of them is killed meanwhile`, async (t) => {
  const random = new Random(Number(process.env.STELE_SEED ?? 1));
  const source = await sourceFor(t);
  const replica = await replicaOf(t, source);
  const batches = {};
  const act = async (i) => {
    const name = `p${random.below(3)}`, kind = random.below(6);
    if (kind === 0) return revoke(source, `t${random.below(30)}`, random.below(3) ? unixNow() + 1000 + random.below(1000) : undefined);
    if (kind === 1 && (await forget(source, name)).status === 200) return delete batches[name];
    if (kind === 2) return post(source, { producer: name, batch: (batches[name] = (batches[name] ?? 0) + 1), mutations: random.below(3) ? [m(name, { i })] : [] });
    return post(source, random.below(4) ? range(random.below(3) + 1, (k) => m(`k${k}`, { i, k })) : [], { 'idempotency-key': `i${i}` });
  };
  for (let kill = 0, i = 0; kill < KILLS; kill++) {
    const feeding = (async () => {
      for (let n = 0; n < 40; n++) await act(i++).catch(() => {});
    })();
    await new Promise((done) => setTimeout(done, random.below(80)));
    const victim = kill % 2 ? source : replica;
    await victim.kill9();
    if (victim === replica) await isWhole(replica.db);
    await victim.restart({ samePort: true });
    await feeding;
  }
  await post(source, m('last'));
  await alike(replica, source);
  const before = await known(source.db);
  const reserve = await takeOver(replica, source);
  assert.equal(await known(reserve.db), before);
  await reserve.terminate();
  await check(reserve.db);
});

test('only an administrator that asks is told, in the place where it happened, and once', async (t) => {
  const source = await sourceFor(t);
  await post(source, m('a'), { 'idempotency-key': 'k' });
  await revoke(source, 'x');
  await post(source, m('b'));
  const lines = async (query, token) => (await ask(source, `/v1/changes?${query}`, token && { headers: bearer(token) })).text.trimEnd().split('\n').map((line) => JSON.parse(line));
  const kinds = (list) => list.map((line) => ['op', 'idempotency_key', 'revoked', 'epoch', 'cursor'].find((name) => name in line));
  const all = await lines('notes=');
  assert.deepEqual(kinds(all), ['epoch', 'revoked', 'op', 'idempotency_key', 'op', 'cursor']);
  assert.deepEqual(kinds(await lines('')), ['epoch', 'op', 'op', 'cursor'], 'an older replica does not ask');
  assert.deepEqual(kinds(await lines('notes=', ann)), ['epoch', 'op', 'op', 'cursor'], 'a reader of all is no administrator');
  const { cursor, notes } = all.at(-1);
  assert.deepEqual(kinds(await lines(`after=${cursor}&notes=${notes}`)), ['epoch', 'cursor']);
  const waiting = lines(`after=${cursor}&notes=${notes}&wait=60`);
  await revoke(source, 'y');
  const woken = await within(waiting, 'the note');
  assert.deepEqual(woken[1], { revoked: 'y', at: woken[1].at, change: 2 });
  await source.terminate();
  await source.restart();
  assert.deepEqual(kinds(await lines(`after=${cursor}&notes=${notes}`)), ['epoch', 'revoked', 'revoked', 'cursor'], 'another run tells what it knows');
});

test('what happened beside the changes is kept as long as the log is', async (t) => {
  const server = await Server.forTest(t, { config: { exports, auth, retention_rows: 10 } });
  for (let i = 0; i < 40; i++) await post(server, m(`k${i}`, { i }), { 'idempotency-key': `k${i}` });
  const trimmed = async () => (await sql(server.db, 'SELECT floor_change AS floor, (SELECT count(*) FROM note) AS notes, (SELECT count(*) FROM note WHERE change < floor_change) AS old FROM log_state'))[0];
  await eventually(async () => {
    const { floor, notes, old } = await trimmed();
    return floor >= 30 && old === 0 && notes > 0 && notes <= 11;
  }, async () => JSON.stringify(await trimmed()));
  assert.equal((await sql(server.db, 'SELECT count(*) AS n FROM idempotency_key'))[0].n, 40, 'the keys stay');
});

test('a replica of an older source says that it is no reserve, and follows', async (t) => {
  const source = await sourceFor(t);
  const older = createServer(async (request, response) => {
    const url = new URL(request.url, source.http);
    if (url.searchParams.has('notes')) {
      response.writeHead(400, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ code: 'invalid-parameter', message: "there is no parameter 'notes'" }));
      return;
    }
    const answer = await http(url.href, { headers: { authorization: request.headers.authorization } }).catch(() => null);
    response.writeHead(answer?.status ?? 502, { 'content-type': 'application/x-ndjson' });
    response.end(answer?.text);
  });
  older.listen(0, '127.0.0.1');
  await once(older, 'listening');
  t.after(() => (older.closeAllConnections(), older.close()));
  const replica = await replicaOf(t, `http://127.0.0.1:${older.address().port}`);
  await post(source, m('a'), { 'idempotency-key': 'k' });
  await replica.logged(/log-source-older/);
  await eventually(async () => (await sql(replica.db, 'SELECT count(*) AS n FROM entity'))[0].n === 1, 'the change');
  assert.deepEqual(await sql(replica.db, 'SELECT * FROM idempotency_key'), []);
});
