// protocol.md section 7: what comes in, how it is merged, and what is answered.

import assert from 'node:assert/strict';
import test from 'node:test';
import { clientFor } from './lib/client.js';
import { Ingest, Nack, http, post, tryPost } from './lib/feed.js';
import { canon, parse } from './lib/json.js';
import { Model, expectRows } from './lib/model.js';
import { Server, check, sqlView } from './lib/server.js';

const m = (key, patch, more = {}) => ({ export: 'E', key, patch, ...more });
const serverFor = (t, { exports = { E: {} }, ...config } = {}) =>
  Server.forTest(t, { config: { ...(exports ? { exports } : {}), ...config } });
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const dataOf = async (server, key, view = 'E/list') => JSON.parse((await sqlView(server.db, view)).get(key)?.data ?? 'null');

/** SQL holds exactly what the model says. */
async function agree(server, model, name = 'E') {
  const rows = await sqlView(server.db, `${name}/list`);
  const expected = expectRows(model, name);
  assert.deepEqual([...rows.keys()].sort(), [...expected.keys()].sort());
  for (const [key, text] of expected) assert.equal(canon(parse(rows.get(key).data)), text, key);
}

/* ---- answers ---- */

test('POST answers applied, ignored, duplicate and seq after the commit', async (t) => {
  const server = await serverFor(t);
  const answer = await tryPost(server, [m('a', { n: 1 }), m('b', { n: 1 }), { export: 'Other', key: 'x', patch: {} }]);
  assert.equal(answer.status, 200);
  assert.match(answer.headers['content-type'], /^application\/json/);
  assert.deepEqual(answer.json, { applied: 2, ignored: 1, duplicate: 0, seq: '0:000000000002', unknown_exports: ['Other'] });
  assert.equal((await dataOf(server, 'a')).n, 1);
});

test('an empty request is committed and changes nothing', async (t) => {
  const server = await serverFor(t);
  for (const body of ['', '\n', '\n\n  \n']) {
    const answer = await tryPost(server, body);
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.json.applied, 0);
  }
});

test('lines may end in CR LF, be blank, and the last one needs no end', async (t) => {
  const server = await serverFor(t);
  const answer = await post(server, `${JSON.stringify(m('a', { n: 1 }))}\r\n\r\n${JSON.stringify(m('b', { n: 1 }))}\n\n${JSON.stringify(m('c', { n: 1 }))}`);
  assert.equal(answer.applied, 3);
});

test('a batch is a line with mutations, its slot and index shared', async (t) => {
  const server = await serverFor(t);
  const answer = await post(server, [{ slot: 7, index: 3, mutations: [m('a', {}), m('b', {}), m('c', {}, { slot: 8, index: 0 })] }]);
  assert.deepEqual(answer, { applied: 3, ignored: 0, duplicate: 0, seq: '8:000000000000' });
  assert.equal((await dataOf(server, 'a'))._seq, '7:000000000003');
  assert.equal((await dataOf(server, 'b'))._seq, '7:000000000003');
});

test('a mutation without slot and index gets the successor of the newest seq', async (t) => {
  const server = await serverFor(t);
  const seq = async (...feed) => (await post(server, feed)).seq;
  assert.equal(await seq(m('a', {})), '0:000000000001');
  assert.equal(await seq(m('a', {}), m('a', {})), '0:000000000003');
  assert.equal(await seq(m('a', {}, { slot: 5, index: 9 })), '5:000000000009');
  assert.equal(await seq(m('a', {})), '5:000000000010');
  assert.equal(await seq(m('a', {}, { slot: 2, index: 1 })), '2:000000000001');
  assert.equal(await seq(m('b', {})), '5:000000000011', 'after a late arrival still of the newest');
  await server.kill9();
  await server.restart();
  assert.equal(await seq(m('b', {})), '5:000000000012');
  assert.equal(await seq(m('b', {}, { slot: 9223372036854775000n.toString(), index: 0 })).catch(() => 'refused'), 'refused', 'a slot is a number');
  assert.equal((await post(server, '{"export":"E","key":"z","patch":{},"slot":9007199254740993,"index":1000000000000}')).seq, '9007199254740993:1000000000000');
  assert.equal((await dataOf(server, 'z'))._seq, '9007199254740993:1000000000000');
});

test('keys: strings, integers, byte arrays, other JSON', async (t) => {
  const server = await serverFor(t);
  const keys = {
    '"text"': 'text', '""': '', '"é\\u0041"': 'éA', '12': '12', '-5': '-5', '18446744073709551615': '18446744073709551615',
    '[1,255,16]': '01ff10', '[0]': '00', '[1,256]': '[1,256]', '[1,"a"]': '[1,"a"]', '[1, -1]': '[1,-1]',
    'true': 'true', 'null': 'null', '1.50': '1.50', '{"a": 1}': '{"a":1}',
  };
  const client = await clientFor(t, server);
  await client.open('E/list');
  for (const [json, text] of Object.entries(keys)) {
    const answer = await tryPost(server, `{"export":"E","key":${json},"patch":{"n":1}}`);
    if (text === '' && answer.status === 400) continue; /* an empty key may be refused */
    assert.equal(answer.status, 200, `${json}: ${answer.text}`);
    assert.equal((await client.expect('upsert')).key, text, json);
    const one = await clientFor(t, server);
    assert.deepEqual((await one.open('E/state', { key: text })).order, [text]);
    one.destroy();
  }
});

/* ---- merging ---- */

const merging = [
  ['objects merge deeply', [{ a: { b: { c: 1 } }, x: 1 }], [{ a: { b: { d: 2 }, e: 3 } }]],
  ['null overwrites', [{ a: { b: 1 }, c: [1] }], [{ a: null, c: null }]],
  ['a scalar becomes an object', [{ a: 1 }], [{ a: { b: 1 } }]],
  ['an object becomes a scalar', [{ a: { b: 1 } }], [{ a: 1 }]],
  ['an array is replaced', [{ a: [1, 2] }], [{ a: [3] }]],
  ['an array in append is extended', [{ a: [1, 2] }], [{ a: [3] }, ['a']]],
  ['append at a dotted path', [{ o: { p: { l: [1] } } }], [{ o: { p: { l: [2] } } }, ['o.p.l']]],
  ['append where no array was', [{ a: 1 }], [{ a: [1] }, ['a']]],
  ['append where nothing was', [{ b: 1 }], [{ a: [1] }, ['a']]],
  ['append of what is no array', [{ a: [1] }], [{ a: 5 }, ['a']]],
  ['append of an empty array', [{ a: [1] }], [{ a: [] }, ['a']]],
  ['append at a path that the patch lacks', [{ a: [1] }], [{ b: 1 }, ['a', 'x.y', '']]],
  ['a name with a dot matches as the clients match it', [{ 'a.b': [1], a: { b: [2] } }], [{ 'a.b': [3], a: { b: [4] } }, ['a.b']]],
  ['an empty name', [{ '': { x: 1 } }], [{ '': { y: 2 } }]],
  ['an empty patch', [{ a: 1 }], [{}]],
  ['_seq of the producer is overwritten', [{ _seq: 'mine', a: 1 }], [{ _seq: 'yours' }]],
  ['names of every kind', [{ __proto__x: 1, 'a"b': 1, 'ключ': { 'é': 1 }, 'new\nline': 1 }], [{ 'a"b': 2, 'ключ': { 'ö': 2 } }]],
  ['objects inside arrays are not merged', [{ a: [{ x: 1 }] }], [{ a: [{ y: 2 }] }]],
];
for (const [name, ...steps] of merging) {
  test(`merge: ${name}`, async (t) => {
    const server = await serverFor(t);
    const model = new Model();
    for (const [patch, append] of steps) {
      const line = JSON.stringify(m('k', patch, append ? { append } : {}));
      model.feed(line);
      await post(server, line);
      await agree(server, model);
    }
    await check(server.db);
  });
}

test('merge: upsert replaces, delete removes, patch starts anew', async (t) => {
  const server = await serverFor(t);
  const model = new Model();
  for (const step of [m('k', { a: 1 }), m('k', { b: 2 }, { op: 'upsert' }), m('k', { c: 3 }, { op: 'patch' }), { export: 'E', key: 'k', op: 'delete' }, m('k', { d: 4 })]) {
    model.feed(JSON.stringify(step));
    await post(server, step);
    await agree(server, model);
  }
});

test('no array holds more than max_array_length elements, at any depth; the oldest go', async (t) => {
  const server = await serverFor(t, { max_array_length: 3 });
  const model = new Model({ maxArray: 3 });
  const long = range(7, (i) => i);
  for (const line of [
    m('k', { a: long, o: { p: long }, n: [[long, long], long, [{ deep: long }], long] }),
    m('k', { a: [10], o: { p: [11, 12] } }, { append: ['a', 'o.p'] }),
    m('k', { a: long }, { append: ['a'] }),
    m('k', { o: { p: long } }),
    m('u', { a: long, o: [{ x: long }] }, { op: 'upsert' }),
  ]) {
    model.feed(JSON.stringify(line));
    await post(server, line);
    await agree(server, model);
  }
});

test('the default of max_array_length is 100', async (t) => {
  const server = await serverFor(t);
  await post(server, m('k', { a: range(150, (i) => i) }));
  assert.deepEqual((await dataOf(server, 'k')).a, range(100, (i) => i + 50));
  for (let i = 0; i < 30; i++) await post(server, m('k', { a: [1000 + i] }, { append: ['a'] }));
  const { a } = await dataOf(server, 'k');
  assert.deepEqual([a.length, a[0], a.at(-1)], [100, 80, 1029]);
});

test('a mutation for an export that no view shows is ignored, and counted', async (t) => {
  const server = await serverFor(t, { exports: { Known: {} } });
  const answer = await post(server, [m('a', {}), { export: 'Known', key: 'a', patch: {} }, m('b', {})]);
  assert.deepEqual([answer.applied, answer.ignored], [1, 2]);
});

/* ---- refusals ---- */

const deep = (n) => '{"a":'.repeat(n) + '1' + '}'.repeat(n);
const refusals = [
  ['broken JSON', '{"export":"E","key":"k","patch":{', /./],
  ['trailing bytes', '{"export":"E","key":"k","patch":{}} x', /./],
  ['not an object', '[1,2]', /object/i],
  ['a word', 'hello', /./],
  ['a number', '5', /object/i],
  ['NaN', '{"export":"E","key":"k","patch":{"n":NaN}}', /./],
  ['Infinity', '{"export":"E","key":"k","patch":{"n":-Infinity}}', /./],
  ['a number that no double holds', '{"export":"E","key":"k","patch":{"n":1e999}}', /number|range|large/i],
  ['a leading zero', '{"export":"E","key":"k","patch":{"n":01}}', /./],
  ['a plus sign', '{"export":"E","key":"k","patch":{"n":+1}}', /./],
  ['a trailing comma', '{"export":"E","key":"k","patch":{"n":1,}}', /./],
  ['a comment', '{"export":"E","key":"k","patch":{/*x*/}}', /./],
  ['single quotes', "{'export':'E'}", /./],
  ['a raw control character', '{"export":"E","key":"k","patch":{"n":"a\u0001b"}}', /control|character/i],
  ['a duplicate member', '{"export":"E","key":"k","patch":{"a":1,"a":2}}', /duplicate|twice/i],
  ['a duplicate member by escape', '{"export":"E","key":"k","patch":{"a":1,"\\u0061":2}}', /duplicate|twice/i],
  ['a duplicate member of the envelope', '{"export":"E","key":"k","key":"l","patch":{}}', /duplicate|twice/i],
  ['a lone high surrogate', '{"export":"E","key":"k","patch":{"s":"\\ud800"}}', /surrogate/i],
  ['a lone low surrogate', '{"export":"E","key":"k","patch":{"s":"\\udc00x"}}', /surrogate/i],
  ['a lone surrogate in a name', '{"export":"E","key":"k","patch":{"\\ud800":1}}', /surrogate/i],
  ['a lone surrogate in a key', '{"export":"E","key":"\\ud800","patch":{}}', /surrogate/i],
  ['depth beyond 128', `{"export":"E","key":"k","patch":${deep(129)}}`, /dep|nest/i],
  ['a very deep one', `{"export":"E","key":"k","patch":${deep(100_000)}}`, /dep|nest/i],
  ['a long key', `{"export":"E","key":"${'k'.repeat(1025)}","patch":{}}`, /key/i],
  ['no export', '{"key":"k","patch":{}}', /export/],
  ['export of another type', '{"export":5,"key":"k","patch":{}}', /export/],
  ['an export with a slash', '{"export":"a/b","key":"k","patch":{}}', /export/i],
  ['no key', '{"export":"E","patch":{}}', /key/],
  ['no patch', '{"export":"E","key":"k"}', /patch/],
  ['a patch that is no object', '{"export":"E","key":"k","patch":[1]}', /patch/],
  ['a patch that is null', '{"export":"E","key":"k","patch":null}', /patch/],
  ['an unknown op', '{"export":"E","key":"k","op":"increment","patch":{}}', /op/],
  ['append that is no array', '{"export":"E","key":"k","patch":{},"append":"a"}', /append/],
  ['append of other things than strings', '{"export":"E","key":"k","patch":{},"append":[1]}', /append/],
  ['slot without index', '{"export":"E","key":"k","patch":{},"slot":1}', /index|slot/],
  ['index without slot', '{"export":"E","key":"k","patch":{},"index":1}', /index|slot/],
  ['a negative slot', '{"export":"E","key":"k","patch":{},"slot":-1,"index":0}', /slot/],
  ['a fractional slot', '{"export":"E","key":"k","patch":{},"slot":1.5,"index":0}', /slot/],
  ['the last index, behind which there is none', '{"export":"E","key":"k","patch":{},"slot":0,"index":9223372036854775807}', /index.*9223372036854775806/],
  ['a slot beyond 2^63', '{"export":"E","key":"k","patch":{},"slot":9223372036854775808,"index":0}', /slot/],
  ['mutations that are no array', '{"mutations":{}}', /mutations/],
  ['a batch with a bad mutation', '{"mutations":[{"export":"E","key":"k","patch":{}},{"export":"E","key":"k"}]}', /patch/],
  ['a producer without a batch number', '{"producer":"p","mutations":[]}', /batch/],
  ['a batch number that is no integer', '{"producer":"p","batch":"1","mutations":[]}', /batch/],
  ['a producer that is no string', '{"producer":5,"batch":1,"mutations":[]}', /producer/],
];
for (const [name, line, says] of refusals) {
  test(`refused, naming the line, and nothing applied: ${name}`, async (t) => {
    const server = await serverFor(t, { exports: null });
    const good = JSON.stringify(m('good', { n: 1 }));
    const answer = await tryPost(server, `${good}\n${good}\n${line}\n${good}\n`);
    assert.equal(answer.status, 400, answer.text);
    assert.equal(answer.headers['content-type'], 'application/json; charset=utf-8');
    assert.equal(answer.headers['x-error-code'], answer.json.code);
    assert.match(answer.json.message, /\bline 3\b/i);
    assert.match(answer.json.message, says);
    assert.equal(answer.json.retryable, false);
    const ingest = await Ingest.open(server);
    const nack = await ingest.raw(line.startsWith('{"mutations"') || line.startsWith('{"producer"') ? line : `{"mutations":[${line}]}`);
    assert.ok('nack' in nack, JSON.stringify(nack));
    assert.match(typeof nack.error === 'string' ? nack.error : nack.error.message, says);
    assert.equal((await post(server, '')).applied, 0, 'the server lives on');
    const { applied, seq } = await post(server, good);
    assert.deepEqual([applied, seq], [1, '0:000000000001'], 'nothing of it was applied');
    await ingest.close();
  });
}

test('depth 128 and a key of 1,024 bytes are accepted', async (t) => {
  const server = await serverFor(t);
  await post(server, `{"export":"E","key":"${'k'.repeat(1024)}","patch":${deep(128)}}`);
  await post(server, `{"export":"E","key":"${'k'.repeat(1024)}","patch":${deep(128)}}`);
  assert.equal((await sqlView(server.db, 'E/list')).size, 1);
  await check(server.db);
});

test('invalid UTF-8 is refused: in values, names, keys, exports', async (t) => {
  const server = await serverFor(t);
  const bad = [[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xe2, 0x82], [0x80]];
  for (const bytes of bad) {
    for (const [before, after] of [
      ['{"export":"E","key":"k","patch":{"s":"', '"}}'], ['{"export":"E","key":"k","patch":{"', '":1}}'],
      ['{"export":"E","key":"', '","patch":{}}'], ['{"export":"', '","key":"k","patch":{}}'],
    ]) {
      const answer = await tryPost(server, Buffer.concat([Buffer.from(before), Buffer.from(bytes), Buffer.from(after)]));
      assert.equal(answer.status, 400, `${bytes} ${answer.text}`);
      assert.match(answer.json.message, /UTF-8/i);
    }
  }
});

test('a NUL and all escapes in strings survive', async (t) => {
  const server = await serverFor(t);
  const model = new Model();
  const line = '{"export":"E","key":"k","patch":{"s":"\\u0000\\b\\f\\n\\r\\t\\"\\\\\\/\\u001f\\u007f\\u2028\\ud83d\\ude00é"}}';
  model.feed(line);
  await post(server, line);
  await agree(server, model);
});

test('a request that is too large is 413, before it is read whole', async (t) => {
  const server = await serverFor(t, { max_request_bytes: 100_000 });
  const answer = await tryPost(server, JSON.stringify(m('k', { s: 'x'.repeat(200_000) })));
  assert.equal(answer.status, 413, answer.text);
  assert.equal(answer.json.code, 'too-large');
  assert.equal((await post(server, m('k', { s: 'x'.repeat(50_000) }))).applied, 1);
  const ingest = await Ingest.open(server);
  const refused = await Promise.race([
    ingest.send({ mutations: [m('k', { s: 'x'.repeat(200_000) })] }).then(() => 'acked', (error) => error),
    ingest.raw('{"type":"never"}').catch(() => null).then((nack) => nack),
    ingest.closed,
  ]);
  assert.ok(refused instanceof Nack || refused?.code === 1009 || 'nack' in (refused ?? {}) || refused instanceof Error, JSON.stringify(refused));
  assert.equal((await post(server, m('k', { n: 1 }))).applied, 1);
});

test('other methods and paths are refused with a clear status', async (t) => {
  const server = await serverFor(t);
  const status = async (method, path, body) => (await http(server.http + path, { method, body })).status;
  assert.equal(await status('GET', '/v1/mutations'), 405);
  assert.equal(await status('POST', '/v1/nothing', '{}'), 404);
  assert.equal(await status('GET', '/nothing'), 404);
});

test('a chunked request body is read like any other', async (t) => {
  const server = await serverFor(t);
  const answer = await http(`${server.http}/v1/mutations`, { method: 'POST', body: undefined, headers: { 'transfer-encoding': 'chunked' } }).catch((e) => e);
  assert.ok(answer.status === 200 || answer.status === 411 || answer.status === 400, String(answer.status ?? answer));
  assert.equal((await post(server, m('k', {}))).applied, 1);
});

/* ---- atomicity and exactly once ---- */

test('a request is one transaction: all of it or nothing', async (t) => {
  const server = await serverFor(t);
  const answer = await tryPost(server, [...range(500, (i) => JSON.stringify(m(`k${i}`, {}))), '{bad'].join('\n'));
  assert.equal(answer.status, 400);
  assert.match(answer.json.message, /line 501/);
  assert.equal((await sqlView(server.db, 'E/list')).size, 0);
});

test('a batch with a number that was committed is acknowledged and not applied again', async (t) => {
  const server = await serverFor(t);
  const batch = (number, n) => ({ producer: 'p', batch: number, mutations: [m('k', { l: [n] }, { append: ['l'] })] });
  await post(server, m('k', { l: [] }));
  assert.deepEqual((({ applied, duplicate }) => [applied, duplicate])(await post(server, batch(1, 1))), [1, 0]);
  assert.deepEqual((({ applied, duplicate }) => [applied, duplicate])(await post(server, batch(1, 1))), [0, 1]);
  assert.deepEqual((({ applied, duplicate }) => [applied, duplicate])(await post(server, [batch(1, 1), batch(2, 2), batch(2, 2), batch(5, 5)])), [2, 2]);
  assert.deepEqual((({ applied, duplicate }) => [applied, duplicate])(await post(server, batch(4, 4))), [0, 1]);
  assert.equal((await post(server, { ...batch(1, 100), producer: 'q' })).applied, 1, 'producers count apart');
  await server.kill9();
  await server.restart();
  assert.deepEqual((({ applied, duplicate }) => [applied, duplicate])(await post(server, batch(5, 5))), [0, 1]);
  const ingest = await Ingest.open(server);
  assert.deepEqual((({ applied, duplicate }) => [applied, duplicate])(await ingest.send(batch(5, 5))), [0, 1]);
  assert.deepEqual((({ applied, duplicate }) => [applied, duplicate])(await ingest.send(batch(6, 6))), [1, 0]);
  assert.deepEqual((await dataOf(server, 'k')).l, [1, 2, 5, 100, 6]);
});

test('a refused batch does not use up its number', async (t) => {
  const server = await serverFor(t);
  assert.equal((await tryPost(server, '{"producer":"p","batch":1,"mutations":[{"export":"E"}]}')).status, 400);
  assert.equal((await tryPost(server, `${JSON.stringify({ producer: 'p', batch: 1, mutations: [m('k', {})] })}\n{bad`)).status, 400);
  assert.equal((await post(server, { producer: 'p', batch: 1, mutations: [m('k', {})] })).applied, 1);
});

/* ---- the WebSocket ---- */

test('ingest acknowledges pipelined requests with their ids, in order', async (t) => {
  const server = await serverFor(t);
  const ingest = await Ingest.open(server);
  const order = [];
  const answers = range(200, (i) => ingest.send({ id: `r${i}`, mutations: range(3, (j) => m(`k${j}`, { i })) }).then((ack) => (order.push(ack.ack), ack)));
  const acks = await Promise.all(answers);
  assert.deepEqual(order, range(200, (i) => `r${i}`));
  assert.deepEqual(acks[0], { ack: 'r0', applied: 3, ignored: 0, duplicate: 0, seq: '0:000000000003' });
  assert.equal(acks.at(-1).seq, '0:000000000600');
  assert.equal((await dataOf(server, 'k0')).i, 199);
  await ingest.close();
});

test('ingest takes any JSON as id, and a batch or a plain mutation list', async (t) => {
  const server = await serverFor(t);
  const ingest = await Ingest.open(server);
  for (const id of [1, 'x', null, [1, { a: 2 }], { z: 1 }, 0.5, true]) {
    const answer = await ingest.raw(JSON.stringify({ id, mutations: [m('k', {})] }));
    assert.deepEqual(answer.ack, id);
  }
  const batch = await ingest.send({ producer: 'p', batch: 7, slot: 5, index: 5, mutations: [m('k', {})] });
  assert.equal(batch.seq, '5:000000000005');
  const nack = await ingest.raw('{"id":"bad","mutations":[{"export":"E"}]}');
  assert.equal(nack.nack, 'bad');
  const broken = await ingest.raw('{"id":1,');
  assert.ok('nack' in broken);
  assert.equal((await ingest.send({ mutations: [] })).applied, 0);
  await ingest.close();
});

test('producers on many connections at once lose and repeat nothing', async (t) => {
  const server = await serverFor(t);
  await post(server, range(4, (i) => m(`p${i}`, { l: [] })));
  const one = async (p) => {
    const ingest = await Ingest.open(server);
    await Promise.all(range(25, (i) => ingest.send({ producer: `p${p}`, batch: i + 1, mutations: [m(`p${p}`, { l: [i * 2] }, { append: ['l'] }), m(`p${p}`, { l: [i * 2 + 1] }, { append: ['l'] })] })));
    await ingest.close();
  };
  await Promise.all(range(4, one));
  for (let p = 0; p < 4; p++) assert.deepEqual((await dataOf(server, `p${p}`)).l, range(50, (i) => i));
  await check(server.db);
});

test('a queue that is full answers 503 with Retry-After, or a nack, and loses nothing', async (t) => {
  const server = await serverFor(t, { queue_bytes: 65536, exports: { E: {} } });
  const body = (n) => range(400, (i) => JSON.stringify(m(`k${n}-${i}`, { pad: 'x'.repeat(60) }))).join('\n');
  const answers = await Promise.all(range(60, (n) => tryPost(server, body(n))));
  const taken = answers.filter((a) => a.status === 200).length;
  const refused = answers.filter((a) => a.status === 503);
  t.diagnostic(`${taken} taken, ${refused.length} refused`);
  assert.equal(taken + refused.length, 60);
  for (const answer of refused) {
    assert.equal(answer.json.code, 'queue-full');
    assert.equal(answer.json.retryable, true);
    assert.match(answer.headers['retry-after'] ?? '', /^[0-9]+$/);
  }
  assert.equal((await sqlView(server.db, 'E/list')).size, taken * 400);
});
