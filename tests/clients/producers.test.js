// protocol.md, "Producers" and "Requests with a key": whose numbers they are, and what is applied once.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomInt, randomUUID } from 'node:crypto';
import test from 'node:test';
import { Ingest, http, tryPost } from './lib/feed.js';
import { Server, run, scratch, sqlView } from './lib/server.js';

const ANN = 'ann-token-0123456789', ANN2 = 'ann-second-0123456789', BOB = 'bob-token-0123456789', READER = 'reader-token-0123456789';
const m = (key, patch = { n: 1 }, more = {}) => ({ export: 'E', key, patch, ...more });
const batch = (producer, number, more = {}) => ({ producer, batch: number, mutations: [m(`k${number}`)], ...more });
const auth = {
  mode: 'static',
  tokens: [
    { token: ANN, subject: 'ann', scope: 'read write' },
    { token: ANN2, subject: 'ann', scope: 'write' },
    { token: BOB, scope: 'write' },
    { token: READER, scope: 'read' },
  ],
};
const serverFor = (t, config = {}, options = {}) => Server.forTest(t, { config: { exports: { E: {} }, ...config }, ...options });
const as = (token, more = {}) => ({ ...(token ? { authorization: `Bearer ${token}` } : {}), ...more });
const send = async (server, feed, token, more) => {
  const answer = await tryPost(server, feed, as(token, more));
  return { status: answer.status, code: answer.json?.code, ...answer.json, headers: answer.headers };
};
const keys = async (server) => [...(await sqlView(server.db, 'E/list')).keys()].sort();

/* ---- whose a name is ---- */

test('a subject cannot move the batch number of another', async (t) => {
  const server = await serverFor(t, { auth });
  assert.equal((await send(server, [batch('orders', 1)], ANN)).applied, 1);
  for (const feed of [[{ producer: 'orders', batch: 9007199254740992, mutations: [] }], [batch('orders', 2)], [batch('orders', 1)], [m('x'), batch('orders', 2)]]) {
    const answer = await send(server, feed, BOB);
    assert.deepEqual([answer.status, answer.code], [403, 'producer-taken']);
    assert.match(answer.message, /'orders'.*'static:bob-toke'/);
    assert.ok(!('last_batch' in answer), 'where it is, is not told to others');
  }
  const other = await Ingest.open(`${server.ws}/v1/ingest?hs_token=${BOB}`);
  t.after(() => other.close?.());
  await assert.rejects(other.send({ producer: 'orders', batch: 9007199254740992, mutations: [] }), /producer-taken/);
  assert.equal((await send(server, [batch('orders', 2)], ANN)).applied, 1);
  assert.equal((await send(server, [batch('orders', 3)], ANN2)).applied, 1, 'another token of the same subject');
  assert.deepEqual(await keys(server), ['k1', 'k2', 'k3']);
});

test('a name that is nobody\'s goes to the first subject that uses it, and stays everybody\'s without authentication', async (t) => {
  const folder = scratch(t), db = `${folder}/stele.db`;
  const open = await serverFor(t, {}, { db });
  assert.equal((await send(open, [batch('old', 5)])).applied, 1);
  await open.terminate();
  const closed = await serverFor(t, { auth }, { db });
  for (const token of [ANN, BOB]) {
    assert.equal((await ask(closed, '/v1/producers/old', token)).batch, 5, 'who would claim it is told where it is');
    assert.deepEqual((await ask(closed, '/v1/producers?limit=1', token)).producers.map(({ name }) => name), ['old']);
    assert.deepEqual((await ask(closed, '/v1/producers?after=old', token)).producers, []);
    assert.equal((await ask(closed, '/v1/producers/old', token, 'DELETE')).status, 404, 'before it is theirs they cannot forget it');
  }
  assert.equal((await send(closed, [batch('a', 1), batch('z', 1)], ANN)).applied, 2);
  assert.deepEqual((await ask(closed, '/v1/producers', ANN)).producers.map(({ name }) => name), ['a', 'old', 'z']);
  assert.deepEqual((await ask(closed, '/v1/producers', BOB)).producers.map(({ name }) => name), ['old']);
  assert.equal((await send(closed, [batch('old', 5)], ANN)).duplicate, 1, 'a repetition takes nothing');
  assert.equal((await send(closed, [batch('old', 6)], ANN)).applied, 1);
  assert.equal((await ask(closed, '/v1/producers/old', BOB)).status, 404, 'it has an owner now');
  assert.equal((await send(closed, [batch('old', 7)], BOB)).code, 'producer-taken');
  await closed.terminate();
  const again = await serverFor(t, {}, { db });
  assert.equal((await send(again, [batch('old', 7)])).applied, 1);
  await again.terminate();
  const back = await serverFor(t, { auth }, { db });
  assert.equal((await send(back, [batch('old', 8)], BOB)).code, 'producer-taken', 'whose it is, holds');
});

test('the names of a subject are bounded, and old ones go on', async (t) => {
  const server = await serverFor(t, { auth, max_producers: 2 });
  for (const name of ['a', 'b']) assert.equal((await send(server, [batch(name, 1)], ANN)).applied, 1);
  const more = await send(server, [m('z'), batch('c', 2)], ANN);
  assert.deepEqual([more.status, more.code], [429, 'producer-limit-exceeded']);
  assert.match(more.message, /'c'.*max_producers/);
  assert.equal((await send(server, [batch('x', 3), batch('y', 4), batch('z', 5)], BOB)).code, 'producer-limit-exceeded', 'also within a request');
  assert.equal((await send(server, [batch('x', 3), batch('y', 4)], BOB)).applied, 2);
  assert.equal((await send(server, [batch('b', 2)], ANN)).applied, 1);
  assert.deepEqual(await keys(server), ['k1', 'k2', 'k3', 'k4']);
});

/* ---- previous, mark ---- */

test('a batch that names its predecessor is applied only behind that', async (t) => {
  const server = await serverFor(t);
  const steps = [
    [{ batch: 3, previous: 2 }, 409, { last_batch: null }],
    [{ batch: 3, previous: 0 }, 409, { last_batch: null }],
    [{ batch: 3 }, 200, { applied: 1 }],
    [{ batch: 5, previous: 4 }, 409, { last_batch: 3 }],
    [{ batch: 5, previous: 2 }, 409, { last_batch: 3 }],
    [{ batch: 5, previous: 0 }, 409, { last_batch: 3 }],
    [{ batch: 3, previous: 1 }, 200, { duplicate: 1, last_batch: 3 }],
    [{ batch: 2, previous: 1 }, 200, { duplicate: 1, last_batch: 3 }],
    [{ batch: 9, previous: 3, mark: 'line 9 "x"' }, 200, { applied: 1 }],
    [{ batch: 9, previous: 3 }, 200, { duplicate: 1, last_batch: 9, mark: 'line 9 "x"' }],
    [{ batch: 11, previous: 10 }, 409, { last_batch: 9, mark: 'line 9 "x"' }],
    [{ batch: 11, previous: 9 }, 200, { applied: 1 }],
    [{ batch: 11, previous: 9 }, 200, { duplicate: 1, last_batch: 11, mark: undefined }],
    [{ batch: 12, previous: null, mark: null }, 200, { applied: 1 }],
  ];
  for (const [members, status, expected] of steps) {
    const answer = await send(server, [batch('p', members.batch, members)]);
    assert.equal(answer.status, status, JSON.stringify([members, answer]));
    for (const [name, value] of Object.entries(expected)) assert.equal(answer[name], value, `${name} of ${JSON.stringify(members)}`);
    if (status === 409) assert.deepEqual([answer.code, answer.headers['x-error-code'], answer.headers['retry-after']], ['out-of-order', 'out-of-order', '1']);
  }
  assert.deepEqual(await keys(server), ['k11', 'k12', 'k3', 'k9']);
  const two = await send(server, [batch('p', 13, { previous: 12 }), batch('p', 14, { previous: 13 }), batch('q', 15, { previous: 14 })]);
  assert.equal(two.code, 'out-of-order');
  assert.deepEqual(await keys(server), ['k11', 'k12', 'k3', 'k9'], 'nothing of a request that is refused');
  const chained = await send(server, [batch('p', 13, { previous: 12 }), batch('p', 14, { previous: 13 })]);
  assert.equal(chained.applied, 2);
});

test('a nack says which batch is the last', async (t) => {
  const server = await serverFor(t);
  const ingest = await Ingest.open(server);
  t.after(() => ingest.close?.());
  await ingest.send(batch('p', 1, { mark: 'one' }));
  const refused = await ingest.send(batch('p', 5, { previous: 4 })).catch(({ answer }) => answer.error);
  assert.deepEqual([refused.code, refused.last_batch, refused.mark, refused.retryable], ['out-of-order', 1, 'one', true]);
  const repeated = await ingest.send(batch('p', 1));
  assert.deepEqual([repeated.duplicate, repeated.last_batch, repeated.mark], [1, 1, 'one']);
  assert.equal((await ingest.send(batch('p', 2, { previous: 1 }))).applied, 1);
});

test('what cannot be a producer, a predecessor or a mark is refused by name', async (t) => {
  const server = await serverFor(t);
  const wrong = [
    [{ previous: 1, mutations: [] }, 'previous is there without producer'],
    [{ mark: 'x', mutations: [] }, 'mark is there without producer'],
    [{ producer: 'p', batch: 2, previous: 2, mutations: [] }, 'previous is 2 and batch 2'],
    [{ producer: 'p', batch: 2, previous: -1, mutations: [] }, 'previous must be an integer'],
    [{ producer: 'p', batch: 2, previous: '1', mutations: [] }, 'previous must be an integer'],
    [{ producer: 'p', batch: 2, mark: 7, mutations: [] }, 'mark must be a string'],
    [{ producer: 'p', batch: 2, mark: 'x'.repeat(257), mutations: [] }, 'at most 256 bytes'],
    [{ producer: 'p', batch: 2, mark: 'a\0b', mutations: [] }, 'no NUL'],
    [{ producer: '.', batch: 2, mutations: [] }, "producer is '.', which no URL"],
    [{ producer: '..', batch: 2, mutations: [] }, "producer is '..', which no URL"],
    [{ producer: 'p', batch: 2, previos: 1, mutations: [] }, 'unknown member "previos"'],
  ];
  for (const [line, words] of wrong) {
    const answer = await send(server, [line]);
    assert.deepEqual([answer.status, answer.code], [400, 'invalid-message'], JSON.stringify(line));
    assert.ok(answer.message.includes(words), answer.message);
  }
});

/* ---- Idempotency-Key ---- */

const append = (value) => [{ export: 'E', key: 'a', patch: { list: [value] }, append: ['list'] }];
const listOf = async (server) => JSON.parse((await sqlView(server.db, 'E/list')).get('a')?.data ?? '{"list":[]}').list;

test('the same request twice under a key is applied once and answered alike, over kill -9 too', async (t) => {
  const db = `${scratch(t)}/stele.db`;
  let server = await serverFor(t, {}, { db });
  const key = randomUUID(), feed = append(1);
  const first = await send(server, feed, null, { 'idempotency-key': key });
  assert.equal(first.applied, 1);
  assert.equal(first.headers['idempotency-replayed'], undefined);
  await server.kill9();
  server = await serverFor(t, {}, { db });
  await send(server, append(2));
  for (let i = 0; i < 2; i++) {
    const again = await send(server, feed, null, { 'idempotency-key': key });
    const { headers, ...body } = again, { headers: _, ...before } = first;
    assert.deepEqual(body, before);
    assert.equal(headers['idempotency-replayed'], 'true');
  }
  const other = await send(server, append(9), null, { 'idempotency-key': key });
  assert.deepEqual([other.status, other.code], [422, 'idempotency-key-reused']);
  assert.ok(other.message.includes(key));
  assert.equal((await send(server, feed, null, { 'idempotency-key': randomUUID() })).applied, 1);
  assert.deepEqual(await listOf(server), [1, 2, 1]);
});

test('requests that are repeated under their keys are applied once, whenever the server is killed', async (t) => {
  const server = await serverFor(t, { max_array_length: 0 });
  const count = 120;
  let next = 0, done = 0, ended = false;
  const work = async () => {
    for (let n; (n = next++) < count; done++) {
      for (;;) {
        const answer = await tryPost(server, append(n), { 'idempotency-key': `k${n}` }).catch(() => null);
        if (answer?.status === 200) break;
        assert.ok(!answer || answer.status === 503, `${answer?.status} ${answer?.text}`);
      }
    }
  };
  const kill = async () => {
    for (let i = 0; i < 4 && !ended; i++) {
      const until = done + randomInt(1, count / 5);
      while (done < until && !ended) await new Promise((go) => setTimeout(go, 1));
      await server.kill9();
      await server.restart();
    }
  };
  await Promise.all([Promise.all([work(), work(), work(), work()]).finally(() => (ended = true)), kill()]);
  assert.deepEqual((await listOf(server)).sort((a, b) => a - b), range(0, count));
});

test('of requests with one key at the same time one is applied', async (t) => {
  const server = await serverFor(t);
  const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => send(server, append(i % 4), null, { 'idempotency-key': `k${i % 4}` })));
  for (const group of [0, 1, 2, 3]) {
    const same = answers.filter((_, i) => i % 4 === group);
    assert.equal(same.filter(({ headers }) => headers['idempotency-replayed'] !== 'true').length, 1);
    assert.equal(new Set(same.map(({ seq }) => seq)).size, 1);
  }
  assert.deepEqual((await listOf(server)).sort(), [0, 1, 2, 3]);
});

test('a refused request leaves its key free, and a key is its subject\'s', async (t) => {
  const server = await serverFor(t, { auth });
  const key = { 'idempotency-key': 'one' };
  assert.equal((await send(server, '{"export":"E"}', ANN, key)).status, 400);
  assert.equal((await send(server, [batch('p', 3, { previous: 2 })], ANN, key)).status, 409);
  assert.equal((await send(server, append(1), ANN, key)).applied, 1);
  const bob = await send(server, append(2), BOB, key);
  assert.deepEqual([bob.applied, bob.headers['idempotency-replayed']], [1, undefined]);
  assert.equal((await send(server, append(1), ANN2, key)).headers['idempotency-replayed'], 'true');
  assert.deepEqual(await listOf(server), [1, 2]);
});

test('a key that is none is refused before the body is read', async (t) => {
  const server = await serverFor(t);
  for (const key of ['', 'x'.repeat(256), 'a b', 'caf\u00e9']) {
    const answer = await send(server, append(1), null, { 'idempotency-key': key });
    assert.deepEqual([answer.status, answer.code], [400, 'invalid-parameter'], key);
    assert.match(answer.message, /Idempotency-Key/);
  }
  assert.equal((await send(server, append(1), null, { 'idempotency-key': 'x'.repeat(255) })).applied, 1);
  assert.deepEqual(await listOf(server), [1]);
});

test('keys are bounded: the oldest go after a day, and younger ones are not forgotten', async (t) => {
  const db = `${scratch(t)}/stele.db`;
  let server = await serverFor(t, { max_idempotency_keys: 3 }, { db });
  const sendKey = (n) => send(server, append(n), null, { 'idempotency-key': `k${n}` });
  for (const n of [1, 2, 3]) assert.equal((await sendKey(n)).applied, 1);
  const full = await sendKey(4);
  assert.deepEqual([full.status, full.code], [429, 'rate-limit-exceeded']);
  assert.ok(Number(full.headers['retry-after']) > 0);
  assert.equal((await sendKey(1)).headers['idempotency-replayed'], 'true');
  await server.terminate();
  execFileSync('sqlite3', [db, "UPDATE idempotency_key SET at = at - 86400001 WHERE key = 'k2'"]);
  execFileSync('sqlite3', [db, "UPDATE idempotency_key SET at = at + 315360000000 WHERE key = 'k1'"]);
  server = await serverFor(t, { max_idempotency_keys: 3 }, { db });
  assert.equal((await sendKey(4)).applied, 1);
  assert.equal((await sendKey(1)).headers['idempotency-replayed'], 'true');
  assert.equal((await sendKey(5)).code, 'rate-limit-exceeded');
  const ahead = execFileSync('sqlite3', [db, `SELECT count(*) FROM idempotency_key WHERE at > ${Date.now() + 60000}`]);
  assert.equal(String(ahead).trim(), '0', 'the day of one that a clock far ahead stamped has begun');
  assert.deepEqual(await listOf(server), [1, 2, 3, 4]);
});

/* ---- exports that nobody configured ---- */

test('a mutation for an export that is not configured is named in the answer and once in the log', async (t) => {
  const server = await serverFor(t);
  for (let i = 0; i < 3; i++) {
    const answer = await send(server, [m('a'), { export: 'Oops', key: 'k', patch: {} }, { export: 'Oops', key: 'l', patch: {} }, { export: 'Other', key: 'l', patch: {} }]);
    assert.deepEqual([answer.status, answer.applied, answer.ignored, answer.unknown_exports], [200, 1, 3, ['Oops', 'Other']]);
  }
  assert.equal((await send(server, [m('a')])).unknown_exports, undefined);
  const many = await send(server, Array.from({ length: 300 }, (_, i) => ({ export: `X${i}`, key: 'k', patch: {} })));
  assert.deepEqual([many.ignored, many.unknown_exports.length], [300, 8]);
  const ingest = await Ingest.open(server);
  t.after(() => ingest.close?.());
  assert.deepEqual((await ingest.send({ mutations: [{ export: 'Oops', key: 'k', patch: {} }] })).unknown_exports, ['Oops']);
  await server.terminate();
  const told = server.stderr.split('\n').filter((line) => line.includes('unknown-export'));
  assert.equal(told.filter((line) => line.includes('export="Oops"') || line.includes('export=Oops')).length, 1);
  assert.ok(told.length <= 100, `${told.length} lines`);
});

test('with unknown_exports refuse, such a request is refused whole', async (t) => {
  const server = await serverFor(t, { unknown_exports: 'refuse' });
  const answer = await send(server, [m('a'), { export: 'Oops', key: 'k', patch: {} }]);
  assert.deepEqual([answer.status, answer.code], [400, 'unknown-export']);
  assert.match(answer.message, /'Oops'.*E.*`exports`/);
  const ingest = await Ingest.open(server);
  t.after(() => ingest.close?.());
  await assert.rejects(ingest.send({ mutations: [{ export: 'Oops', key: 'k', patch: {} }] }), /unknown-export/);
  assert.deepEqual(await keys(server), []);
  assert.equal((await send(server, [m('a')])).applied, 1);
});

/* ---- where a producer is ---- */

const ask = async (server, path, token, method = 'GET') => {
  const { status, json, headers } = await http(`${server.http}${path}`, { method, headers: as(token) });
  return { status, ...json, headers };
};

test('a producer can ask where it is, and sees its own names only', async (t) => {
  const server = await serverFor(t, { auth });
  await send(server, [batch('orders', 7, { mark: 'x', slot: 5, index: 1 })], ANN);
  await send(server, [{ producer: 'empty "quoted"/%41 ü', batch: 0, mutations: [] }], ANN);
  await send(server, [batch('bobs', 3)], BOB);
  const { headers, time, ...orders } = await ask(server, '/v1/producers/orders', ANN);
  assert.deepEqual(orders, { status: 200, name: 'orders', batch: 7, seq: '5:000000000001', mark: 'x' });
  assert.ok(Math.abs(time - Date.now() / 1000) < 600, `${time}`);
  assert.equal(headers['cache-control'], 'no-store');
  assert.equal((await ask(server, `/v1/producers/${encodeURIComponent('empty "quoted"/%41 ü')}`, ANN2)).batch, 0);
  const list = await ask(server, '/v1/producers', ANN2);
  assert.deepEqual([list.producers.map(({ name, seq }) => [name, seq]), list.more], [[['empty "quoted"/%41 ü', null], ['orders', '5:000000000001']], false]);
  assert.deepEqual((await ask(server, '/v1/producers', BOB)).producers.map(({ name }) => name), ['bobs']);
  for (const [path, token, status, code, method] of [
    ['/v1/producers/bobs', ANN, 404, 'not-found'],
    ['/v1/producers/bobs', ANN, 404, 'not-found', 'DELETE'],
    ['/v1/producers/none', ANN, 404, 'not-found'],
    ['/v1/producers/', ANN, 404, 'not-found'],
    ['/v1/producers', READER, 403, 'scope-missing'],
    ['/v1/producers/orders', READER, 403, 'scope-missing', 'DELETE'],
    ['/v1/producers', undefined, 401, 'token-missing'],
    ['/v1/producers?limit=0', ANN, 400, 'invalid-parameter'],
    ['/v1/producers?limit=1001', ANN, 400, 'invalid-parameter'],
    ['/v1/producers?limit=x', ANN, 400, 'invalid-parameter'],
    ['/v1/producers?from=x', ANN, 400, 'invalid-parameter'],
    ['/v1/producers/orders?after=x', ANN, 400, 'invalid-parameter'],
    ['/v1/producers', ANN, 405, 'method-not-allowed', 'DELETE'],
    ['/v1/producers/orders', ANN, 405, 'method-not-allowed', 'POST'],
  ]) {
    const answer = await ask(server, path, token, method);
    assert.deepEqual([answer.status, answer.code], [status, code], `${method} ${path}`);
  }
  const head = await http(`${server.http}/v1/producers/orders`, { method: 'HEAD', headers: as(ANN) });
  assert.deepEqual([head.status, head.text], [200, '']);
});

test('the list comes in pages, and a name that was forgotten begins anew', async (t) => {
  const server = await serverFor(t, { max_producers: 250 });
  const names = Array.from({ length: 250 }, (_, i) => `p${String(i).padStart(3, '0')}`);
  await send(server, names.map((name) => ({ producer: name, batch: 1, mutations: [] })));
  const seen = [];
  for (let after = ''; ; ) {
    const page = await ask(server, `/v1/producers?limit=99&after=${after}`);
    seen.push(...page.producers.map(({ name }) => name));
    if (!page.more) break;
    after = seen.at(-1);
  }
  assert.deepEqual(seen, names);
  assert.equal((await ask(server, '/v1/producers')).producers.length, 100);
  assert.equal((await send(server, [batch('more', 1)])).code, 'producer-limit-exceeded');
  const gone = await ask(server, '/v1/producers/p007', undefined, 'DELETE');
  assert.deepEqual([gone.status, gone.name, gone.batch], [200, 'p007', 1]);
  assert.equal((await ask(server, '/v1/producers/p007', undefined, 'DELETE')).status, 404);
  assert.equal((await send(server, [batch('more', 1)])).applied, 1);
  assert.equal((await send(server, [batch('p008', 1)])).duplicate, 1);
});

test('stele producers tells the same, from the file and from the server', async (t) => {
  const server = await serverFor(t, { auth });
  await send(server, [batch('orders', 7, { mark: 'half\u001b[2J', slot: 5, index: 1 })], ANN);
  await send(server, [batch('bobs', 3)], BOB);
  const file = await run(['producers', '--db', server.db]);
  assert.equal(file.code, 0, file.stderr);
  assert.match(file.stdout, /^producer .*owner.*\nbobs +3 +\S+ +\S+Z +static:bob-toke +\norders +7 +5:000000000001 +\S+Z +ann +half \[2J\n$/);
  const env = { STELE_TOKEN: ANN };
  const all = await run(['producers', '--url', server.http], { env });
  assert.match(all.stdout, /^producer .*\norders +7 +5:000000000001 +\S+Z +half \[2J\n$/, all.stderr);
  const one = await run(['producers', '--url', server.ws, 'orders'], { env });
  assert.equal(one.stdout, all.stdout);
  const none = await run(['producers', '--url', server.http, 'bobs'], { env });
  assert.deepEqual([none.code, /not-found/.test(none.stderr)], [1, true], none.stderr);
  assert.equal((await run(['producers', '--db', server.db, 'none'])).code, 1);
  assert.equal((await run(['producers', '--url', server.http, 'n'.repeat(3000)], { env })).code, 1);
  for (const args of [['producers'], ['producers', '--db', 'x', '--url', 'y'], ['producers', '--db', 'x', '--forget']]) assert.equal((await run(args)).code, 2, args.join(' '));
  const busy = await run(['producers', '--db', server.db, '--forget', 'bobs']);
  assert.deepEqual([busy.code, /a server has/.test(busy.stderr)], [1, true], busy.stderr);
  assert.equal((await run(['producers', '--url', server.http, '--forget', 'orders'], { env })).stdout, 'forgot orders\n');
  await server.terminate();
  assert.equal((await run(['producers', '--db', server.db, '--forget', 'bobs'])).stdout, 'forgot bobs\n');
  assert.equal((await run(['producers', '--db', server.db])).stdout.split('\n').length, 2, 'the head alone');
});

test('an administrator sees the producers of everybody, and whose they are', async (t) => {
  const ADMIN = 'admin-token-0123456789';
  const config = { auth: { ...auth, tokens: [...auth.tokens, { token: ADMIN, subject: 'root', scope: 'admin' }] } };
  const server = await serverFor(t, config);
  await send(server, [batch('orders', 7)], ANN);
  await send(server, [batch('bobs', 3)], BOB);
  const get = (path, token, base = server.http) => http(`${base}/v1/producers${path}`, { headers: token ? { authorization: `Bearer ${token}` } : {} });
  for (const base of [server.http, server.healthUrl]) {
    const all = await get('?all=1', ADMIN, base);
    assert.deepEqual(all.json.producers.map(({ name, owner }) => [name, owner]), [['bobs', 'static:bob-toke'], ['orders', 'ann']], base);
    const page = await get('?all=1&limit=1&after=bobs', ADMIN, base);
    assert.deepEqual([page.json.producers.map(({ name }) => name), page.json.more], [['orders'], false]);
    assert.deepEqual([(await get('/bobs?all=1', ADMIN, base)).json.owner, (await get('/none?all=1', ADMIN, base)).status], ['static:bob-toke', 404]);
    for (const token of [ANN, BOB]) {
      for (const path of ['?all=1', '/bobs?all=1', '?limit=5&all=1']) assert.deepEqual([(await get(path, token, base)).status, (await get(path, token, base)).json.code], [403, 'scope-missing'], path);
    }
    assert.equal((await get('?all=1', undefined, base)).status, 401);
    assert.equal((await get('', ADMIN, base)).json.code, 'scope-missing', 'without write it has no names of its own');
    assert.deepEqual((await get('', ANN, base)).json.producers.map((it) => [it.name, 'owner' in it]), [['orders', false]]);
    assert.equal((await get('?all=2', ANN, base)).status, 400);
  }
  const gone = await http(`${server.http}/v1/producers/bobs?all=1`, { method: 'DELETE', headers: { authorization: `Bearer ${ADMIN}` } });
  assert.notEqual(gone.status, 200);
  const shown = await run(['producers', '--url', server.http, '--all'], { env: { STELE_TOKEN: ADMIN } });
  assert.match(shown.stdout, /^producer .*owner.*\nbobs +3 .* static:bob-toke +\norders +7 .* ann +\n$/, shown.stderr);
  const one = await run(['producers', 'bobs', '--url', server.http, '--all'], { env: { STELE_TOKEN: ADMIN } });
  assert.match(one.stdout, /^producer .*\nbobs +3 .* static:bob-toke +\n$/, one.stderr);
  const refused = await run(['producers', '--url', server.http, '--all'], { env: { STELE_TOKEN: ANN } });
  assert.deepEqual([refused.code, /scope-missing/.test(refused.stderr)], [1, true], refused.stderr);
  for (const args of [['--db', 'x', '--all'], ['--url', 'http://127.0.0.1:1', '--all', '--forget', 'n']]) assert.equal((await run(['producers', ...args])).code, 2);
});

test('without authentication everybody sees all producers anyway', async (t) => {
  const server = await serverFor(t, {});
  await send(server, [batch('orders', 7)]);
  const { status, json } = await http(`${server.http}/v1/producers?all=1`);
  assert.deepEqual([status, json.producers.map(({ name, owner }) => [name, owner])], [200, [['orders', null]]]);
});

/* ---- what an operator sees of refusals ---- */

test('refused requests are counted by code, and the first of each is in the log', async (t) => {
  const server = await serverFor(t, { auth: { ...auth, metrics: 'all' }, max_request_bytes: 4096 });
  const refuse = [
    ['invalid-message', () => send(server, '{"export":"E"}', ANN)],
    ['invalid-message', () => send(server, '{', ANN)],
    ['invalid-parameter', () => send(server, append(1), ANN, { 'idempotency-key': 'a b' })],
    ['too-large', () => send(server, 'x'.repeat(5000), ANN)],
    ['out-of-order', () => send(server, [batch('p', 3, { previous: 2 })], ANN)],
  ];
  for (const [code, cause] of refuse) assert.equal((await cause()).code, code);
  const ingest = await Ingest.open(`${server.ws}/v1/ingest?hs_token=${ANN}`);
  t.after(() => ingest.close());
  await assert.rejects(ingest.send({ mutation: [] }), /invalid-message/);
  assert.equal((await send(server, append(1), READER)).status, 403);
  const { text } = await http(`${server.healthUrl}/metrics`);
  const count = (code) => Number(new RegExp(`^stele_requests_refused_total\\{code="${code}"\\} (\\d+)$`, 'm').exec(text)?.[1]);
  assert.deepEqual(['invalid-message', 'invalid-parameter', 'too-large', 'out-of-order', 'queue-full', 'unknown-export'].map(count), [3, 1, 1, 1, 0, 0]);
  await server.terminate();
  const told = server.stderr.split('\n').filter((line) => line.includes('request-refused'));
  assert.deepEqual(told.map((line) => /code=(\S+)/.exec(line)[1]), ['invalid-message', 'invalid-parameter', 'too-large', 'out-of-order']);
  assert.match(told[0], /warning audit request-refused client=127\.0\.0\.1 kind=http .*subject="ann" .*reason=".*key is missing.*" others=0/);
});

/* ---- stele ingest ---- */

const l = (i) => JSON.stringify({ export: 'E', key: 'a', patch: { list: [i] }, append: ['list'] });
const feed = (server, lines, args = ['--producer', 'nightly'], options = {}) => run(['ingest', '--url', server.ws, ...args, '-'], { input: lines.map((line) => `${line}\n`).join(''), ...options });
const range = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);

test('ingest goes on behind what an earlier run delivered, and tells another input', async (t) => {
  const server = await serverFor(t, { max_array_length: 0 });
  const input = ['', ...range(0, 300).map(l), '', JSON.stringify({ mutations: [JSON.parse(l(300)), JSON.parse(l(301))] }), ...range(302, 700).map(l)];
  const steps = [
    [input.slice(0, 650), 0, /applied 649, ignored 0, duplicate 0/],
    [input, 0, /applied 51, ignored 0, duplicate 649/],
    [input, 0, /applied 0, ignored 0, duplicate 700/],
    [[...input, l(700)], 0, /applied 1, ignored 0, duplicate 700/],
  ];
  for (const [lines, code, expected] of steps) {
    const { code: ended, stdout, stderr } = await feed(server, lines);
    assert.equal(ended, code, stderr);
    assert.match(stdout, expected);
  }
  const all = range(0, 701);
  assert.deepEqual(await listOf(server), all);
  const others = [
    [[l(1000), ...input.slice(1), l(700)], /the lines up to here are not those/],
    [[...input.slice(0, 100), l(1000), ...input.slice(101), ...range(0, 50).map(l)], /the lines up to here are not those/],
    [[...input.slice(0, 100), ' ', ...input.slice(101), l(702), l(1000)], /the lines up to here are not those/],
    [[l(1000)], /the input ends here/],
    [[], /the input ends here/],
    [input.slice(0, 700), /the input ends here/],
  ];
  for (const [lines, words] of others) {
    const { code, stderr } = await feed(server, lines);
    assert.equal(code, 1, stderr);
    assert.match(stderr, words);
    assert.match(stderr, /producer 'nightly' was fed 70\d lines.*--forget/);
  }
  assert.deepEqual(await listOf(server), all, 'nothing of another input is applied');
  assert.equal((await feed(server, range(2000, 2003).map(l), ['--producer', 'other'])).code, 0);
  await run(['producers', '--url', server.http, '--forget', 'nightly']);
  assert.equal((await feed(server, [l(3000)])).code, 0);
  assert.deepEqual(await listOf(server), [...all, 2000, 2001, 2002, 3000]);
});

test('ingest goes on behind a run from before there were marks', async (t) => {
  const db = `${scratch(t)}/stele.db`;
  const server = await serverFor(t, { max_array_length: 0 }, { db });
  await send(server, [{ producer: 'nightly', batch: 2, mutations: [JSON.parse(l(0)), JSON.parse(l(1))] }]);
  assert.equal((await feed(server, range(0, 5).map(l))).code, 0);
  assert.deepEqual(await listOf(server), range(0, 5));
});

test('batches of other producers in the input of ingest are told from repetitions by their own numbers', async (t) => {
  const server = await serverFor(t, { max_array_length: 0 });
  const input = [l(0), JSON.stringify({ producer: 'own', batch: 1, mutations: [JSON.parse(l(1))] }), l(2)];
  for (let i = 0; i < 2; i++) assert.equal((await feed(server, input)).code, 0);
  assert.deepEqual(await listOf(server), [0, 1, 2]);
});

test('ingest names the exports that nobody configured, and its exit status tells', async (t) => {
  const server = await serverFor(t);
  const lines = [JSON.stringify(m('a')), ...range(0, 12).map((i) => JSON.stringify({ export: `X${i % 11}`, key: 'k', patch: {} }))];
  const { code, stdout, stderr } = await feed(server, lines, []);
  assert.equal(code, 1, stderr);
  assert.match(stdout, /applied 1, ignored 12/);
  assert.match(stderr, /no export 'X0', .*'X7' and others: .*`exports`/);
  const strict = await serverFor(t, { unknown_exports: 'refuse' });
  const refused = await feed(strict, lines, []);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /line 2: .*'X0' is not configured/);
  assert.deepEqual(await keys(strict), ['a']);
});

test('a run of ingest without a name leaves none behind, and one under another\'s name says so', async (t) => {
  const server = await serverFor(t, { auth, max_producers: 2 });
  for (let i = 0; i < 4; i++) {
    const { code, stderr } = await feed(server, [l(i)], [], { env: { STELE_TOKEN: ANN } });
    assert.equal(code, 0, stderr);
  }
  assert.deepEqual((await ask(server, '/v1/producers', ANN)).producers, []);
  assert.equal((await feed(server, [l(9)], ['--producer', 'p'], { env: { STELE_TOKEN: ANN } })).code, 0);
  const bob = await feed(server, [l(10)], ['--producer', 'p'], { env: { STELE_TOKEN: BOB } });
  assert.deepEqual([bob.code, /producer-taken/.test(bob.stderr)], [1, true], bob.stderr);
  assert.deepEqual(await listOf(server), [0, 1, 2, 3, 9]);
});
