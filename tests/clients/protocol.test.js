// protocol.md sections 1 to 5: what subscribers see, one named test for each rule.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Applier } from './lib/applier.js';
import { clientFor } from './lib/client.js';
import { post, postAll } from './lib/feed.js';
import { Server, sqlView } from './lib/server.js';
import { HandshakeError } from './lib/socket.js';

const m = (key, patch, more = {}) => ({ export: 'E', key, patch, ...more });
const at = (slot, index = 0) => ({ slot, index });
const seqOf = (slot, index = 0) => `${slot}:${String(index).padStart(12, '0')}`;
/** A server that knows the export E from the start, and others as the test says. */
const serverFor = (t, { exports = { E: {} }, ...config } = {}) =>
  Server.forTest(t, { config: { ...(exports ? { exports } : {}), ...config } });
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));

/* ---- 1. transport ---- */

test('a WebSocket is served on any path', async (t) => {
  const server = await serverFor(t);
  for (const path of ['/', '/ws', '/some/where?x=1']) {
    const client = await clientFor(t, server, { path });
    const { subscribed } = await client.open('E/list');
    assert.equal(subscribed.view, 'E/list');
  }
});

test('data frames are binary, control messages are text', async (t) => {
  const server = await serverFor(t);
  const client = await clientFor(t, server);
  await client.open('E/list'); /* or it might be told of the rest by its snapshot */
  client.send('{not json');
  await post(server, [m('a', { n: 1 }), m('a', { n: 2 }), { export: 'E', key: 'a', op: 'delete' }]);
  const kinds = () => new Map(client.messages.map(({ json, binary }) => [json.op ?? json.type, binary]));
  while (kinds().size < 6) await client.record('all kinds of messages');
  const ops = kinds();
  assert.deepEqual(Object.fromEntries([...ops].sort()), {
    delete: true, error: false, patch: true, snapshot: true, subscribed: true, upsert: true,
  });
});

test('the fields of frames come in the documented order', async (t) => {
  const server = await serverFor(t);
  const client = await clientFor(t, server);
  client.subscribe('E/list');
  const texts = [(await client.record()).text, (await client.record()).text];
  await post(server, [
    m('k', { l: [1] }, at(5, 7)),
    m('k', { l: [2] }, { append: ['l'], ...at(5, 8) }),
    { export: 'E', key: 'k', op: 'upsert', patch: { z: 1 }, ...at(5, 9) },
    { export: 'E', key: 'k', op: 'delete', ...at(5, 10) },
  ]);
  for (let i = 0; i < 4; i++) texts.push((await client.record()).text);
  const [subscribed, snapshot, create, patch, upsert, gone] = texts;
  assert.match(subscribed, /^\{"op":"subscribed","view":"E\/list","mode":"list","sort":\{"field":\["_seq"\],"order":"desc"\},"epoch":"[^"]+"\}$/);
  assert.match(snapshot, /^\{"mode":"list","entity":"E\/list","op":"snapshot","data":\[\],"complete":true(,"seq":"[^"]+")?\}$/);
  assert.match(create, /^\{"mode":"list","entity":"E\/list","op":"upsert","key":"k","data":\{.*\},"seq":"5:000000000007"\}$/);
  assert.match(patch, /^\{"mode":"list","entity":"E\/list","op":"patch","key":"k","data":\{.*\},"append":\["l"\],"seq":"5:000000000008"\}$/);
  assert.match(upsert, /^\{"mode":"list","entity":"E\/list","op":"upsert","key":"k","data":\{.*\},"seq":"5:000000000009"\}$/);
  assert.equal(gone, '{"mode":"list","entity":"E/list","op":"delete","key":"k","data":null,"seq":"5:000000000010"}');
});

test('snapshot batches are compressed from 1,024 bytes on, live frames never', async (t) => {
  const server = await serverFor(t);
  const payload = (n) => 'x'.repeat(n);
  await post(server, m('a', { p: payload(100) }));
  const client = await clientFor(t, server);
  await client.open('E/list', { key: 'a' });
  assert.equal(client.messages.at(-1).gzip, false, 'small batch');
  await post(server, m('b', { p: payload(5000) }));
  await post(server, m('b', { p: payload(6000) }));
  const other = await clientFor(t, server);
  const { rows } = await other.open('E/list');
  assert.equal(rows.get('b').p.length, 6000);
  assert.equal(other.messages.at(-1).gzip, true, 'large batch');
  await post(server, m('b', { p: payload(7000) }));
  const live = await other.record();
  assert.equal(live.json.data.p.length, 7000);
  assert.equal(live.gzip, false, 'live frame');
});

test('the border of compression is 1,024 bytes of the message', async (t) => {
  const server = await serverFor(t);
  let seen = 0;
  for (let n = 840; n < 1000; n += 8) {
    await post(server, { export: 'E', key: 'k', op: 'upsert', patch: { p: 'x'.repeat(n) } });
    const client = await clientFor(t, server);
    await client.open('E/state', { key: 'k' });
    const { text, gzip } = client.messages.at(-1);
    assert.equal(gzip, Buffer.byteLength(text) >= 1024, `${Buffer.byteLength(text)} bytes`);
    seen |= gzip ? 1 : 2;
    client.destroy();
  }
  assert.equal(seen, 3, 'both sides of the border were met');
});

test('a frame longer than a fragment arrives whole', async (t) => {
  const server = await serverFor(t);
  const client = await clientFor(t, server);
  await client.open('E/list');
  const big = 'é'.repeat(200_000);
  await post(server, m('a', { big }));
  const created = await client.record();
  assert.equal(created.json.data.big, big);
  await post(server, m('a', { big: big + '!' }));
  assert.equal((await client.record()).json.data.big, big + '!');
  await client.silence();
});

test('integers beyond ±(2^53 − 1) travel as strings, other numbers as they came', async (t) => {
  const server = await serverFor(t);
  const client = await clientFor(t, server);
  await client.open('E/list');
  const numbers =
    '"max":9007199254740991,"wide":9007199254740992,"min":-9007199254740991,"nwide":-9007199254740992,' +
    '"u64":18446744073709551615,"i64":-9223372036854775808,"far":123456789012345678901234567890,' +
    '"tenth":0.1,"one":1.0,"exp":1e3,"Exp":1.5E+10,"tiny":1e-7,"zero":-0,"third":0.3333333333333333,' +
    '"array":[18446744073709551615,0.1,{"deep":9007199254740993}]';
  const shown = numbers
    .replaceAll('9007199254740992', '"9007199254740992"')
    .replace('-"9007199254740992"', '"-9007199254740992"')
    .replaceAll('18446744073709551615', '"18446744073709551615"')
    .replace('-9223372036854775808', '"-9223372036854775808"')
    .replace('123456789012345678901234567890', '"123456789012345678901234567890"')
    .replace('9007199254740993', '"9007199254740993"');
  const check = (text, where) => {
    for (const member of shown.split(/,(?="[a-zA-Z0-9]+":)/)) assert.ok(text.includes(member), `${where}: ${member} in ${text}`);
  };
  await post(server, `{"export":"E","key":"k","patch":{${numbers}}}`);
  check((await client.record()).text, 'upsert');
  await post(server, `{"export":"E","key":"k","patch":{${numbers}}}`);
  check((await client.record()).text, 'patch');
  for (let i = 0; i < 5; i++) await post(server, m('k', { other: i }));
  const fresh = await clientFor(t, server);
  await fresh.open('E/list');
  check(fresh.messages.at(-1).text, 'snapshot');
  check((await sqlView(server.db, 'E/list')).get('k').data, 'SQL');
});

/* ---- 2. client messages ---- */

test('an object without type but with view is a subscribe', async (t) => {
  const server = await serverFor(t);
  await post(server, m('a', { n: 1 }));
  const client = await clientFor(t, server);
  client.send({ view: 'E/state', key: 'a' });
  const { subscribed, rows } = await client.opening();
  assert.equal(subscribed.mode, 'state');
  assert.equal(rows.get('a').n, 1);
});

test('partition is accepted and selects nothing', async (t) => {
  const server = await serverFor(t);
  await post(server, [m('a', { n: 1 }), m('b', { n: 2 })]);
  const client = await clientFor(t, server);
  const { rows } = await client.open('E/list', { partition: 'west' });
  assert.deepEqual([...rows.keys()].sort(), ['a', 'b']);
});

test('the same subscription again changes nothing', async (t) => {
  const server = await serverFor(t);
  await post(server, m('a', { n: 1 }));
  const client = await clientFor(t, server);
  await client.open('E/list');
  client.subscribe('E/list');
  await client.silence();
  await post(server, m('a', { n: 2 }));
  assert.equal((await client.expect('patch')).data.n, 2);
  await client.silence();
});

test('the same subscription with other parameters starts afresh and stays live', async (t) => {
  const server = await serverFor(t);
  await post(server, range(5, (i) => m(`k${i}`, { i })));
  const client = await clientFor(t, server);
  assert.equal((await client.open('E/list')).rows.size, 5);
  assert.equal((await client.open('E/list', { snapshotLimit: 2 })).rows.size, 2);
  assert.equal((await client.open('E/list')).rows.size, 5);
  await post(server, m('k0', { i: 10 }));
  assert.equal((await client.expect('patch')).key, 'k0');
  await client.silence();
});

test('subscriptions with and without a key live side by side', async (t) => {
  const server = await serverFor(t);
  await post(server, [m('a', { n: 1 }), m('b', { n: 1 })]);
  const client = await clientFor(t, server);
  await client.open('E/list');
  await client.open('E/list', { key: 'a' });
  await post(server, m('b', { n: 2 }));
  assert.equal((await client.expect('patch')).key, 'b');
  client.send({ type: 'unsubscribe', view: 'E/list' });
  await client.silence();
  await post(server, [m('b', { n: 3 }), m('a', { n: 4 })]);
  const frame = await client.expect('patch');
  assert.deepEqual([frame.key, frame.data.n], ['a', 4]);
  await client.silence();
});

test('unsubscribe answers nothing and ends the frames', async (t) => {
  const server = await serverFor(t);
  await post(server, m('a', { n: 1 }));
  const client = await clientFor(t, server);
  await client.open('E/list');
  await client.open('E/state', { key: 'a' });
  client.send({ type: 'unsubscribe', view: 'E/list' });
  client.send({ type: 'unsubscribe', view: 'E/append' });
  client.send({ type: 'unsubscribe', view: 'E/state', key: 'other' });
  await client.silence();
  await post(server, m('a', { n: 2 }));
  assert.equal((await client.expect('patch')).entity, 'E/state');
  await client.silence();
  assert.equal((await client.open('E/list')).rows.get('a').n, 2);
});

test('ping keeps the connection and needs no answer', async (t) => {
  const server = await serverFor(t);
  const client = await clientFor(t, server);
  client.send('{"type":"ping"}');
  client.subscribe('E/list');
  const first = await client.next();
  assert.ok(first.type === 'pong' || first.op === 'subscribed');
  const pong = new Promise((done) => client.socket.once('pong', done));
  client.socket.ping(Buffer.from('hello'));
  assert.equal((await pong).toString(), 'hello');
});

test('what cannot be understood costs one error message and nothing else', async (t) => {
  const server = await serverFor(t);
  const client = await clientFor(t, server);
  await client.open('E/list');
  const wrong = [
    ['{', 'invalid-message'],
    ['', 'invalid-message'],
    ['"subscribe"', 'invalid-message'],
    ['[1,2]', 'invalid-message'],
    ['17', 'invalid-message'],
    ['null', 'invalid-message'],
    ['{"type":"dance"}', 'invalid-message'],
    ['{"type":7,"view":"E/list"}', /^invalid-(message|parameter)$/],
    ['{}', /^invalid-(message|parameter)$/],
    ['{"type":"subscribe"}', /^invalid-(message|parameter)$/],
    ['{"type":"subscribe","view":5}', 'invalid-parameter'],
    ['{"type":"subscribe","view":"E/other"}', 'view-not-found'],
    ['{"type":"subscribe","view":"Nope/list"}', 'view-not-found'],
    ['{"type":"subscribe","view":"E"}', 'view-not-found'],
    ['{"type":"subscribe","view":""}', /^(view-not-found|invalid-parameter)$/],
    ['{"type":"subscribe","view":"E/append","take":5}', 'invalid-parameter'],
    ['{"type":"subscribe","view":"E/append","skip":5}', 'invalid-parameter'],
    ['{"type":"subscribe","view":"E/append","filters":3}', 'invalid-parameter'],
    ['{"type":"subscribe","view":"E/state"}', 'invalid-parameter'],
    ['{"type":"subscribe","view":"E/append","key":7}', 'invalid-parameter'],
    ['{"type":"subscribe","view":"E/append","withSnapshot":"no"}', 'invalid-parameter'],
    ['{"type":"subscribe","view":"E/append","snapshotLimit":"many"}', 'invalid-parameter'],
    ['{"type":"subscribe","view":"E/append","snapshotLimit":-1}', 'invalid-parameter'],
    ['{"type":"subscribe","view":"E/append","after":"yesterday"}', 'invalid-parameter'],
    ['{"type":"subscribe","view":"E/append","after":"1"}', 'invalid-parameter'],
    ['{"type":"subscribe","view":"E/append","after":"1:2:3"}', 'invalid-parameter'],
    ['{"type":"subscribe","view":"E/append","after":"-1:000000000001"}', 'invalid-parameter'],
    ['{"type":"subscribe","view":"E/append","after":"99999999999999999999:000000000001"}', 'invalid-parameter'],
    ['{"type":"subscribe","view":"E/append","after":17}', 'invalid-parameter'],
    ['{"type":"subscribe","view":"E/append","epoch":17}', 'invalid-parameter'],
    ['['.repeat(100_000).slice(0, 60_000), 'invalid-message'],
  ];
  for (const [message, code] of wrong) {
    client.send(message);
    const error = await client.next(`the error for ${message.slice(0, 80)}`);
    const tell = `${message.slice(0, 80)} → ${JSON.stringify(error)}`;
    assert.equal(error.type, 'error', tell);
    if (code instanceof RegExp) assert.match(error.code, code, tell);
    else assert.equal(error.code, code, tell);
    assert.equal(error.retryable, false, tell);
    assert.equal(error.fatal, false, tell);
    assert.ok(error.message.length > 5, tell);
  }
  await post(server, m('a', { n: 1 }));
  assert.equal((await client.expect('upsert')).key, 'a');
});

test('an append view under filters tells each event of what passes', async (t) => {
  const server = await serverFor(t);
  await post(server, [m('a', { g: 1, l: [1] }), m('b', { g: 0 }), m('c', { g: 1 })]);
  const client = await clientFor(t, server);
  client.subscribe('E/append', { filters: { g: 1 } });
  await client.expect('subscribed');
  const snapshot = await client.expect('snapshot');
  assert.deepEqual(snapshot.data.map((row) => row.key).sort(), ['a', 'c']);
  await post(server, [
    m('a', { n: 1 }), m('b', { n: 1 }), m('a', { l: [2] }, { append: ['l'] }), m('b', { g: 1 }), m('c', { g: 2 }),
    m('d', { g: 1 }), { export: 'E', key: 'd', op: 'delete' }, { export: 'E', key: 'a', op: 'delete' }, m('a', { g: 1, again: true }),
  ]);
  const told = [];
  for (const op of ['patch', 'patch', 'upsert', 'delete', 'delete', 'patch']) told.push(await client.expect(op));
  assert.deepEqual(
    told.map(({ op, key, append }) => [op, key, append]),
    [
      ['patch', 'a', undefined], ['patch', 'a', ['l']], ['upsert', 'b', undefined], ['delete', 'c', undefined],
      ['delete', 'a', undefined], ['patch', 'a', undefined],
    ],
  );
});

test('the error for a wrong parameter names it', async (t) => {
  const server = await serverFor(t);
  const client = await clientFor(t, server);
  for (const name of ['take', 'skip', 'filters', 'after', 'snapshotLimit']) {
    client.subscribe('E/list', { [name]: name === 'filters' ? 3 : 'x' });
    assert.match((await client.expect('error')).message, new RegExp(name));
  }
  client.subscribe('Nope/list');
  assert.match((await client.expect('error')).message, /Nope\/list/);
});

test('binary and invalid UTF-8 messages from a client do not harm others', async (t) => {
  const server = await serverFor(t);
  const other = await clientFor(t, server);
  await other.open('E/list');
  const client = await clientFor(t, server);
  client.socket.sendBinary(Buffer.from([0xff, 0xfe, 0x00]));
  const second = await clientFor(t, server);
  second.socket.send('{"type":"ping"}');
  await post(server, m('a', { n: 1 }));
  assert.equal((await other.expect('upsert')).key, 'a');
});

test('null stands for a missing parameter', async (t) => {
  const server = await serverFor(t);
  await post(server, m('a', { n: 1 }));
  const client = await clientFor(t, server);
  const { rows, subscribed } = await client.open('E/list', {
    key: null, partition: null, after: null, snapshotLimit: null, epoch: null, take: null, filters: null,
  });
  assert.equal(rows.size, 1);
  assert.equal('resumed' in subscribed, false);
});

test('a subscribe with a protocolVersion that is not spoken is refused, not misread', async (t) => {
  const server = await serverFor(t);
  const client = await clientFor(t, server);
  client.send({ type: 'subscribe', protocolVersion: 3, subscriptionId: 's', query: { view: 'E/list' } });
  assert.equal((await client.expect('error')).fatal, false);
  await client.silence();
});

test('the limit of subscriptions on a connection is an error that names itself', async (t) => {
  const server = await serverFor(t, { max_subscriptions: 2 });
  const client = await clientFor(t, server);
  await client.open('E/list');
  await client.open('E/state', { key: 'a' });
  client.subscribe('E/state', { key: 'b' });
  assert.equal((await client.expect('error')).code, 'subscription-limit-exceeded');
  await client.open('E/list', { snapshotLimit: 1 }); /* a replacement is not one more */
  client.send({ type: 'unsubscribe', view: 'E/list' });
  await client.open('E/state', { key: 'b' });
});

test('a handshake beyond the limit of connections is answered with 429 and its fields', async (t) => {
  const server = await serverFor(t, { max_connections: 2 });
  await clientFor(t, server);
  await clientFor(t, server);
  await assert.rejects(clientFor(t, server), (error) => {
    assert.ok(error instanceof HandshakeError, String(error));
    assert.equal(error.status, 429);
    assert.equal(error.headers['x-error-code'], 'connection-limit-exceeded');
    assert.equal(error.headers['content-type'], 'application/json; charset=utf-8');
    assert.equal(error.headers['cache-control'], 'no-store');
    const body = JSON.parse(error.body);
    assert.equal(body.code, 'connection-limit-exceeded');
    assert.equal(body.error, 'connection-limit-exceeded');
    assert.equal(body.retryable, true);
    assert.equal('type' in body || 'fatal' in body, false);
    return true;
  });
});

/* ---- 3. frames ---- */

test('a snapshot comes in batches of 50 and then 100, complete and seq on the last', async (t) => {
  const server = await serverFor(t);
  for (const [count, sizes] of [[1, [1]], [50, [50]], [51, [50, 1]], [150, [50, 100]], [275, [50, 100, 100, 25]]]) {
    await postAll(server, range(count, (i) => m(`k${i}`, { i }, at(count, i))));
    for (const view of ['E/list', 'E/append']) {
      const client = await clientFor(t, server);
      const { batches, seq, rows } = await client.open(view);
      assert.deepEqual(batches.map((b) => b.data.length), sizes, view);
      assert.deepEqual(batches.map((b) => b.complete), sizes.map((_, i) => i === sizes.length - 1));
      assert.equal(seq, seqOf(count, count - 1));
      assert.ok(batches.slice(0, -1).every((b) => !('seq' in b)));
      assert.equal(rows.size, count);
      assert.deepEqual([...new Set(batches.map((b) => `${b.mode} ${b.entity}`))], [`${view.slice(2)} ${view}`]);
      client.destroy();
    }
  }
});

test('a list snapshot has the newest first', async (t) => {
  const server = await serverFor(t);
  await post(server, [m('a', {}, at(3)), m('b', {}, at(1)), m('c', {}, at(2)), m('a', {}, at(4)), m('d', {}, at(10))]);
  const client = await clientFor(t, server);
  assert.deepEqual((await client.open('E/list')).order, ['d', 'a', 'c', 'b']);
});

test('an empty view sends one empty batch that is complete', async (t) => {
  const server = await serverFor(t);
  for (const [view, more] of [['E/list'], ['E/append'], ['E/state', { key: 'a' }], ['E/list', { key: 'a' }]]) {
    const client = await clientFor(t, server);
    const { batches } = await client.open(view, more);
    assert.equal(batches.length, 1);
    assert.deepEqual(batches[0].data, []);
    assert.equal(batches[0].complete, true);
    await client.silence();
  }
});

test('subscribed tells view, mode, sort and epoch', async (t) => {
  const server = await serverFor(t);
  const client = await clientFor(t, server);
  const list = (await client.open('E/list')).subscribed;
  const state = (await client.open('E/state', { key: 'a' })).subscribed;
  const append = (await client.open('E/append')).subscribed;
  assert.deepEqual(list, { op: 'subscribed', view: 'E/list', mode: 'list', sort: { field: ['_seq'], order: 'desc' }, epoch: list.epoch });
  assert.deepEqual(state, { op: 'subscribed', view: 'E/state', mode: 'state', epoch: list.epoch });
  assert.deepEqual(append, { op: 'subscribed', view: 'E/append', mode: 'append', epoch: list.epoch });
  assert.ok(list.epoch.length > 8);
  await server.terminate();
  await server.restart();
  const again = await clientFor(t, server);
  assert.equal((await again.open('E/list')).subscribed.epoch, list.epoch, 'the epoch survives a restart');
});

test('a new key reaches list and state whole, append as a patch; then patches', async (t) => {
  const server = await serverFor(t);
  const open = async (view, more) => {
    const client = await clientFor(t, server);
    await client.open(view, more);
    return client;
  };
  const [list, state, append, keyed] = [
    await open('E/list'), await open('E/state', { key: 'a' }), await open('E/append'), await open('E/append', { key: 'a' }),
  ];
  await post(server, [m('a', { n: 1, o: { x: 1 } }), m('a', { o: { y: 2 } })]);
  for (const [client, first] of [[list, 'upsert'], [state, 'upsert'], [append, 'patch'], [keyed, 'patch']]) {
    const created = await client.expect(first);
    assert.deepEqual(created.data, { n: 1, o: { x: 1 }, _seq: created.seq });
    const patched = await client.expect('patch');
    assert.deepEqual(patched.data, { o: { y: 2 }, _seq: patched.seq });
    assert.equal('append' in patched, false);
    await client.silence();
  }
});

test('a patch frame carries what the producer sent', async (t) => {
  const server = await serverFor(t);
  await post(server, m('k', { o: { keep: 1 }, list: [1] }));
  const client = await clientFor(t, server);
  await client.open('E/list');
  await post(server, '{ "export" : "E", "key":"k", "patch": {"n":null, "o":{"b":1.50,"a":[]}, "s":"\\u00e9\\n", "list":[2,3]}, "append":["list"], "slot":7, "index":8 }');
  const { text } = await client.record();
  assert.ok(text.includes('"n":null,"o":{"b":1.50,"a":[]},"s":"é\\n","list":[2,3]'), text);
  assert.ok(text.endsWith('"append":["list"],"seq":"7:000000000008"}'), text);
});

test('delete and upsert reach list, state and append subscribers', async (t) => {
  const server = await serverFor(t);
  await post(server, m('a', { n: 1, old: true }));
  const clients = [];
  for (const [view, more] of [['E/list'], ['E/state', { key: 'a' }], ['E/append'], ['E/list', { key: 'a' }]]) {
    const client = await clientFor(t, server);
    await client.open(view, more);
    clients.push(client);
  }
  const answer = await post(server, [
    { export: 'E', key: 'a', op: 'upsert', patch: { n: 2 } },
    { export: 'E', key: 'a', op: 'delete' },
    { export: 'E', key: 'a', op: 'delete' },
  ]);
  assert.deepEqual([answer.applied, answer.ignored], [2, 1], 'a delete of a missing key is ignored');
  for (const client of clients) {
    const upsert = await client.expect('upsert');
    assert.deepEqual(upsert.data, { n: 2, _seq: upsert.seq });
    const gone = await client.expect('delete');
    assert.equal(gone.seq, answer.seq);
    await client.silence();
  }
});

test('withSnapshot false: only subscribed, then whole entities on first change', async (t) => {
  const server = await serverFor(t);
  await post(server, [m('a', { n: 1, keep: 'a' }), m('b', { n: 1, keep: 'b' })]);
  for (const view of ['E/list', 'E/append']) {
    const client = await clientFor(t, server);
    client.subscribe(view, { withSnapshot: false });
    await client.expect('subscribed');
    await client.silence();
    await post(server, [m('a', { n: 2 }), m('a', { n: 3 })]);
    const first = await client.expect('upsert');
    assert.deepEqual([first.key, first.data.keep], ['a', 'a'], 'unsent keys come whole');
    if (first.data.n === 2) assert.deepEqual((await client.expect('patch')).data.n, 3);
    await client.silence();
    await post(server, m('a', { n: 4 }));
    assert.equal((await client.expect('patch')).data.n, 4);
  }
  const state = await clientFor(t, server);
  state.subscribe('E/state', { key: 'b', withSnapshot: false });
  await state.expect('subscribed');
  await post(server, m('b', { n: 9 }));
  assert.deepEqual((await state.expect('upsert')).data.keep, 'b');
  await post(server, m('b', { n: 10 }));
  assert.equal((await state.expect('patch')).data.n, 10);
});

test('unsent keys come whole also to who is served from the database', async (t) => {
  const server = await serverFor(t, { ring_bytes: 0 });
  await post(server, [m('a', { n: 1, whole: 'a' }), m('b', { n: 1, whole: 'b' })]);
  for (const [view, parameters] of [['E/list', { withSnapshot: false }], ['E/append', { withSnapshot: false }], ['E/list', { snapshotLimit: 1 }], ['E/append', { snapshotLimit: 1 }]]) {
    const client = await clientFor(t, server);
    const tell = `${view} ${JSON.stringify(parameters)}`;
    client.subscribe(view, parameters);
    await client.expect('subscribed');
    const applier = new Applier();
    if (parameters.snapshotLimit) applier.apply(await client.expect('snapshot'));
    await post(server, [m('a', { n: 2 }), m('a', { n: 3 }), m('fence', { tell })]);
    for (let frame = {}; frame.key !== 'fence'; ) applier.apply((frame = await client.next('the fence')));
    assert.deepEqual([applier.rows.get('a').whole, applier.rows.get('a').n], ['a', 3], tell);
    client.destroy();
    await post(server, m('b', { n: 2 })); /* the newest again */
  }
});

test('snapshotLimit sends the newest N; the others come whole on their first change', async (t) => {
  const server = await serverFor(t);
  await post(server, range(10, (i) => m(`k${i}`, { i, whole: true })));
  await post(server, m('k2', { i: 22 }));
  for (const view of ['E/list', 'E/append']) {
    const client = await clientFor(t, server);
    const { order } = await client.open(view, { snapshotLimit: 3 });
    assert.deepEqual(order, ['k2', 'k9', 'k8']);
    await post(server, m('k9', { i: 99 }));
    assert.equal((await client.expect('patch')).key, 'k9', 'a sent key gets patches');
    await post(server, m('k0', { i: 100 }));
    const whole = await client.expect('upsert');
    assert.deepEqual([whole.key, whole.data.whole], ['k0', true]);
    await post(server, m('k0', { i: 101 }));
    assert.equal((await client.expect('patch')).key, 'k0');
    await client.silence();
    await post(server, [m('k2', { i: 22 })]);
    await client.expect('patch');
    await post(server, range(10, (i) => ({ export: 'E', key: `k${i}`, op: 'delete' })));
    await post(server, range(10, (i) => m(`k${i}`, { i, whole: true })));
    await post(server, m('k2', { i: 22 }));
  }
});

test('a snapshotLimit of 0 sends no row, and every key comes whole', async (t) => {
  const server = await serverFor(t);
  await post(server, m('a', { n: 1, whole: true }));
  const client = await clientFor(t, server);
  client.subscribe('E/list', { snapshotLimit: 0 });
  const first = await client.next();
  if (first.type === 'error') return; /* refusing it is fine too */
  assert.equal(first.op, 'subscribed');
  assert.deepEqual((await client.expect('snapshot')).data, []);
  await post(server, m('a', { n: 2 }));
  assert.equal((await client.expect('upsert')).data.whole, true);
});

test('a key on a list or an append view selects that key alone', async (t) => {
  const server = await serverFor(t);
  await post(server, [m('a', { n: 1 }), m('b', { n: 1 })]);
  for (const view of ['E/list', 'E/append']) {
    const client = await clientFor(t, server);
    assert.deepEqual((await client.open(view, { key: 'a' })).order, ['a']);
    await post(server, [m('b', { n: 2 }), m('a', { n: 2 })]);
    assert.equal((await client.expect('patch')).key, 'a');
    await client.silence();
  }
});

test('when an append fills an array, the patch holds the whole array and the path leaves append', async (t) => {
  const server = await serverFor(t, { max_array_length: 5 });
  await post(server, m('k', { l: [1, 2, 3], m: [1] }));
  const client = await clientFor(t, server);
  const { rows } = await client.open('E/list');
  const applier = new Applier();
  applier.rows = rows;
  await post(server, m('k', { l: [4] }, { append: ['l'] }));
  const grows = await client.expect('patch');
  assert.deepEqual([grows.data.l, grows.append], [[4], ['l']]);
  await post(server, m('k', { l: [5, 6], m: [2] }, { append: ['l', 'm'] }));
  const full = await client.expect('patch');
  assert.deepEqual([full.data.l, full.data.m, full.append], [[2, 3, 4, 5, 6], [2], ['m']]);
  await post(server, m('k', { l: [7] }, { append: ['l'] }));
  const still = await client.expect('patch');
  assert.deepEqual([still.data.l, still.append], [[3, 4, 5, 6, 7], undefined]);
  for (const frame of [grows, full, still]) applier.apply(frame);
  const data = JSON.parse((await sqlView(server.db, 'E/list')).get('k').data);
  assert.deepEqual(applier.rows.get('k'), data);
  assert.deepEqual(data.l, [3, 4, 5, 6, 7]);
});

test('all subscribers of a view see its changes in commit order', async (t) => {
  const server = await serverFor(t);
  const clients = [];
  for (let i = 0; i < 5; i++) {
    clients.push(await clientFor(t, server));
    await clients[i].open(i % 2 ? 'E/list' : 'E/append');
  }
  await Promise.all(range(20, (i) => post(server, range(20, (j) => m(`k${j}`, { i, j })))));
  const orders = [];
  for (const client of clients) {
    const order = [];
    while (order.length < 400) order.push((await client.next()).seq);
    orders.push(order.join());
  }
  assert.equal(new Set(orders).size, 1);
});

/* ---- views of the configuration ---- */

test('fields and keys of a view: projected rows and patches, only those keys', async (t) => {
  const server = await serverFor(t, {
    exports: {
      E: {
        views: {
          slim: { mode: 'list', fields: ['n', 'geo.lat', 'tags'] },
          two: { mode: 'append', keys: ['a', 'b'] },
          one: { mode: 'state', fields: ['n'], keys: ['a'] },
        },
      },
    },
  });
  const open = async (view, more) => {
    const client = await clientFor(t, server);
    await client.open(view, more);
    return client;
  };
  const [slim, two, one] = [await open('E/slim'), await open('E/two'), await open('E/one', { key: 'a' })];
  await post(server, [
    m('a', { n: 0.10, geo: { lat: 1.5, lon: 2 }, tags: [1], other: 'x' }),
    m('c', { n: 3, other: 'y' }),
    m('a', { n: 5, tags: [2], more: [1] }, { append: ['tags', 'more'] }),
  ]);
  const s1 = await slim.expect('upsert');
  assert.deepEqual(s1.data, { n: 0.1, geo: { lat: 1.5 }, tags: [1], _seq: s1.seq });
  assert.equal(s1.mode, 'list');
  assert.equal((await slim.expect('upsert')).key, 'c');
  const s3 = await slim.expect('patch');
  assert.deepEqual([s3.data, s3.append], [{ n: 5, tags: [2], _seq: s3.seq }, ['tags']]);
  const t1 = await two.expect('patch');
  assert.deepEqual([t1.key, t1.data.other], ['a', 'x']);
  assert.equal((await two.expect('patch')).key, 'a');
  await two.silence();
  assert.deepEqual(Object.keys((await one.expect('upsert')).data).sort(), ['_seq', 'n']);
  assert.deepEqual((await one.expect('patch')).data.n, 5);
  const rows = await sqlView(server.db, 'E/slim');
  assert.deepEqual(JSON.parse(rows.get('a').data), { n: 5, geo: { lat: 1.5 }, tags: [1, 2], _seq: s3.seq });
  assert.deepEqual([...(await sqlView(server.db, 'E/two')).keys()], ['a']);
  const fresh = await clientFor(t, server);
  assert.deepEqual(Object.fromEntries((await fresh.open('E/slim')).rows), Object.fromEntries([...rows].map(([k, v]) => [k, JSON.parse(v.data)])));
});

test('a projected view whose parent is overwritten stays equal to a fresh snapshot', async (t) => {
  const server = await serverFor(t, { exports: { E: { views: { slim: { mode: 'list', fields: ['o.x', 'p'] } } } } });
  const client = await clientFor(t, server);
  await client.open('E/slim');
  const applier = new Applier();
  const steps = [{ o: { x: 1, y: 2 }, p: 1 }, { o: 5 }, { o: { y: 1 } }, { o: { x: 2 } }, { o: null }, { o: { x: { z: 1 } } }, { o: [1] }, { p: null }];
  for (const patch of steps) {
    await post(server, [m('a', patch), m('fence', { p: JSON.stringify(patch) })]);
    for (;;) {
      const frame = await client.next();
      applier.apply(frame);
      if (frame.key === 'fence') break;
    }
    const fresh = await clientFor(t, server);
    const { rows } = await fresh.open('E/slim');
    assert.deepEqual(applier.rows.get('a'), rows.get('a'), `after ${JSON.stringify(patch)}`);
    assert.deepEqual(JSON.parse((await sqlView(server.db, 'E/slim')).get('a').data), rows.get('a'), `SQL after ${JSON.stringify(patch)}`);
    fresh.destroy();
  }
});

test('exports appear as they are fed when the configuration names none', async (t) => {
  const server = await serverFor(t, { exports: null });
  assert.equal((await post(server, { export: 'New', key: 'a', patch: { n: 1 } })).applied, 1);
  const client = await clientFor(t, server);
  for (const [view, more] of [['New/list'], ['New/state', { key: 'a' }], ['New/append']]) {
    assert.equal((await client.open(view, more)).rows.get('a').n, 1);
  }
  for (const view of ['New/list', 'New/state', 'New/append']) assert.equal((await sqlView(server.db, view)).size, 1);
});

/* ---- eviction ---- */

test('an entity beyond max_entities goes: the least recently changed, as a delete', async (t) => {
  const server = await serverFor(t, { exports: { E: { max_entities: 3 } } });
  const client = await clientFor(t, server);
  await client.open('E/list');
  await post(server, [m('a', {}), m('b', {}), m('c', {}), m('a', { n: 2 })]);
  await client.until((f) => f.op === 'patch');
  await post(server, m('d', {}));
  const frames = [await client.next(), await client.next()];
  assert.deepEqual(frames.map((f) => [f.op, f.key]).sort(), [['delete', 'b'], ['upsert', 'd']]);
  await client.silence();
  assert.deepEqual([...(await sqlView(server.db, 'E/list')).keys()].sort(), ['a', 'c', 'd']);
});
