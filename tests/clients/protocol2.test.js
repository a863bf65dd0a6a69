// docs/protocol-2.md, by a client that is as strict as the published ones (lib/named.js): what conversations.test.js,
// where stele says what another server said, does not reach.

import assert from 'node:assert/strict';
import test from 'node:test';
import { NamedClient } from './lib/named.js';
import { Server, patience, within } from './lib/server.js';
import { newKey, tokenOf, unixNow } from './lib/token.js';

const sorted = (order, more = []) => ({ pipeline: [{ sort: { by: 'n', order } }, ...more] });
const CONFIG = { exports: { E: { views: { sorted: sorted('desc'), top: sorted('asc', [{ take: 5 }]), slim: { fields: ['n'] } } }, F: {} } };
const row = (key, n, more = {}) => ({ export: 'E', key, patch: { n, ...more } });

async function feed(server, mutations, headers = {}) {
  const response = await fetch(`http://127.0.0.1:${server.port}/v1/mutations`, { method: 'POST', headers, body: mutations.map((each) => JSON.stringify(each)).join('\n') });
  assert.equal(response.status, 200, await response.text());
  return response;
}

async function begin(t, { config = CONFIG, set, rows = [] } = {}) {
  const server = await Server.forTest(t, { config, set });
  if (rows.length) await feed(server, rows);
  return server;
}

const bare = (rows) => Object.fromEntries(Object.entries(rows).map(([key, { _version, ...data }]) => [key, data]));

/** What the server says a view has, by plain HTTP. */
async function shown(server, view, query = '') {
  const response = await fetch(`http://127.0.0.1:${server.port}/v1/views/${view}?take=10000${query}`);
  const { rows } = await response.json();
  return Object.fromEntries(rows.map(({ key, data }) => [key, data]));
}

test('batches: 50 rows, then 100, compressed behind their heads, and cut into fragments', async (t) => {
  const noise = () => Array.from({ length: 200 }, () => Math.random().toString(36).slice(2)).join('');
  const server = await begin(t, { rows: Array.from({ length: 420 }, (_, i) => row(`k${i}`, i, { text: noise() })) });
  const client = await NamedClient.connect(t, server.port);
  const rows = await client.open('all', { view: 'E/list' });
  assert.equal(Object.keys(rows).length, 420);
  const batches = client.frames.filter((frame) => frame.op === 'snapshot');
  assert.deepEqual(batches.map((batch) => batch.data.length), [50, 100, 100, 100, 70]);
  assert.ok(batches.every((batch) => batch.compressed && batch.bytes > 32768), 'compressed, and longer than a fragment');
  assert.equal(new Set(batches.map((batch) => batch.snapshotId)).size, 1);
  assert.deepEqual(batches.map((batch) => batch.complete), [false, false, false, false, true]);
  assert.deepEqual(Object.keys(await client.open('again', { view: 'E/list' })).length, 420); /* from the cache, with another head */
  assert.deepEqual(bare(client.rows('again')), await shown(server, 'E/list'));
});

test('ready frames are shared by ids that are equal, as long, or of other lengths, and each client sees its own', async (t) => {
  const server = await begin(t, { rows: [row('k0', 0)] });
  const ids = ['same', 'same', 'also', 'more', 'a', 'bb', 'ccc', 'a longer one', 'quo"te', '\u00e9t\u00e9', `a4-${'0'.repeat(36)}`, `a4-${'1'.repeat(36)}`];
  const clients = [];
  for (const id of ids) {
    const client = await NamedClient.connect(t, server.port); /* an error at once about a frame with another's id */
    await client.open(id, { view: 'E/list' });
    clients.push(client);
  }
  const others = await NamedClient.connect(t, server.port);
  for (const id of ['x1', 'x2', 'y', 'same']) await others.open(id, { view: 'E/list' });
  const slow = clients[1].socket._socket;
  for (let i = 1; i <= 60; i++) {
    if (i === 20) slow.pause();
    if (i === 50) slow.resume();
    await feed(server, Array.from({ length: 1 + (i * 7) % 40 }, (_, j) => row(`k${(i + j) % 50}`, i, i % 15 ? { text: 'y'.repeat(j) } : { text: 'z'.repeat(j % 2 ? 40000 : 32700) })));
  }
  await feed(server, [{ export: 'E', key: 'k7', op: 'delete' }, row('last', 61)]);
  const wanted = await shown(server, 'E/list');
  for (const [i, client] of clients.entries()) {
    await client.until(() => 'last' in client.rows(ids[i]), `client ${i} has the last row`);
    assert.deepEqual(bare(client.rows(ids[i])), wanted, `client ${i}, of id ${ids[i]}`);
  }
  for (const id of ['x1', 'x2', 'y', 'same']) {
    await others.until(() => 'last' in others.rows(id));
    assert.deepEqual(bare(others.rows(id)), wanted);
  }
  for (const client of [...clients, others]) assert.equal(client.broken, undefined);
});

test('behind unsubscribed nothing comes, and the id is free', async (t) => {
  const server = await begin(t, { rows: Array.from({ length: 2000 }, (_, i) => row(`k${i}`, i, { text: 'x'.repeat(500) })) });
  const client = await NamedClient.connect(t, server.port);
  const feeding = (async () => {
    for (let i = 0; i < 40; i++) await feed(server, Array.from({ length: 50 }, (_, j) => row(`k${j}`, i)));
  })();
  for (let i = 0; i < 30; i++) {
    client.subscribe('s', { view: i % 2 ? 'E/sorted' : 'E/list', ...(i % 3 ? {} : { take: 10 }) });
    if (i % 4) await client.until(() => client.frames.at(-1).op !== 'unsubscribed');
    client.unsubscribe('s');
    await client.until(() => client.subscriptions.get('s').live === false, 'unsubscribed');
  }
  await feeding;
  await client.open('end', { view: 'E/list', take: 1 });
  assert.equal(client.broken, undefined);
});

test('a subscribe that is sent twice does not disturb the first', async (t) => {
  const server = await begin(t, { rows: [row('a', 1)] });
  const client = await NamedClient.connect(t, server.port);
  client.subscribe('s', { view: 'E/list' });
  client.subscribe('s', { view: 'E/list' });
  const error = await client.until(() => client.subscriptions.get('s').errors[0]);
  assert.deepEqual([error.code, error.fatal], ['duplicate-subscription-id', false]);
  await client.until(() => client.subscriptions.get('s').snapshots);
  await feed(server, [row('b', 2)]);
  await client.until(() => 'b' in client.rows('s'));
});

test('limits name themselves, and what is refused is not there', async (t) => {
  const server = await begin(t, { rows: Array.from({ length: 30 }, (_, i) => row(`k${i}`, i)), set: { max_subscriptions: 3, max_window_rows: 10, max_snapshot_rows: 20 } });
  const client = await NamedClient.connect(t, server.port);
  const code = async (id, query) => (await client.refused(id, query)).code;
  assert.equal(await code('long', { view: 'E/sorted', take: 11 }), 'subscription-rejected');
  assert.equal(await code('rows', { view: 'E/list' }), 'subscription-rejected');
  assert.equal(Object.keys(await client.open('window', { view: 'E/sorted' })).length, 10);
  await client.open('one', { view: 'E/state', key: 'k1' });
  client.send(JSON.stringify({ type: 'subscribe', view: 'E/state', key: 'k2' })); /* one of version 1 counts, too */
  await client.until(() => client.old.length === 2);
  assert.equal(await code('more', { view: 'E/state', key: 'k3' }), 'subscription-limit-exceeded');
  client.unsubscribe('one');
  await client.until(() => !client.subscriptions.get('one').live);
  assert.deepEqual(Object.keys(await client.open('more', { view: 'E/state', key: 'k3' })), ['k3']);
});

test('each refused subscription is counted once, and so is each refused message', async (t) => {
  const server = await begin(t, { rows: [row('a', 1)], set: { max_subscriptions: 2, max_window_rows: 10, max_snapshot_rows: 5 } });
  await feed(server, Array.from({ length: 10 }, (_, i) => row(`k${i}`, i)));
  const client = await NamedClient.connect(t, server.port);
  const counts = async () => {
    const { text } = await server.get('/metrics');
    return ['stele_subscriptions_refused_total', 'stele_subscriber_messages_refused_total'].map((name) => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)[1]));
  };
  let [subscriptions, messages] = await counts();
  const refused = async (code, query, isSubscription = 1) => {
    const error = await client.refused(`s${messages}`, query);
    assert.equal(error.code, code);
    assert.deepEqual(await counts(), [subscriptions += isSubscription, messages += 1], code);
  };
  await refused('subscription-rejected', { view: 'E/sorted', take: 11 });
  await refused('subscription-rejected', { view: 'E/state' });
  await refused('subscription-rejected', { view: 'E/nothing' });
  await refused('subscription-rejected', { view: 'E/list' });
  await refused('invalid-subscription', { view: 'E/list', sort: [''] });
  await refused('invalid-cursor', { view: 'E/append', after: 'x' });
  await refused('malformed-message', { view: 'E/list', other: 1 }, 0);
  await client.open('one', { view: 'E/state', key: 'k1' });
  client.subscribe('one', { view: 'E/list' });
  await client.until(() => client.subscriptions.get('one').errors[0]);
  assert.deepEqual(await counts(), [subscriptions += 1, messages += 1], 'a duplicate');
  await client.open('two', { view: 'E/state', key: 'k2' });
  await refused('subscription-limit-exceeded', { view: 'E/state', key: 'k3' });
  client.unsubscribe('unknown');
  await client.until(() => client.frames.some((frame) => frame.code === 'unknown-subscription-id'));
  assert.deepEqual(await counts(), [subscriptions, messages + 1], 'an unsubscribe');
});

test('a cursor on a list: rows, then what is gone; a refused one: all', async (t) => {
  const server = await begin(t, { rows: Array.from({ length: 20 }, (_, i) => row(`k${i}`, i)) });
  const client = await NamedClient.connect(t, server.port);
  await client.open('first', { view: 'E/list' });
  const after = client.rows('first').k19._seq;
  await feed(server, [row('k3', 33), { export: 'E', key: 'k4', op: 'delete' }, row('new', 1), { export: 'E', key: 'k5', op: 'delete' }, row('k5', 55)]);
  await client.until(() => client.rows('first').k5?.n === 55);
  const changed = await client.open('next', { view: 'E/list', after });
  assert.equal(client.subscriptions.get('next').ack.resumed, true);
  /* What shares the seq of the cursor may come again. */
  assert.deepEqual(Object.keys(changed).filter((key) => key !== 'k19').sort(), ['k3', 'k5', 'new']);
  await client.until(() => client.frames.some((frame) => frame.subscriptionId === 'next' && frame.op === 'delete' && frame.key === 'k4'));
  const window = await client.open('window', { view: 'E/sorted', take: 3, after });
  assert.ok(!Object.keys(window).includes('k4'));
  const all = await client.open('beyond', { view: 'E/list', after: '99:000000000000' });
  assert.deepEqual([client.subscriptions.get('beyond').ack.resumed, Object.keys(all).length], [false, 20]);
  assert.equal((await client.refused('bad', { view: 'E/list', after: 'garbage' })).code, 'invalid-subscription');
});

test('cursors: a snapshot has one, with the epoch; that of another database, or definition, is refused', async (t) => {
  const server = await begin(t, { rows: Array.from({ length: 70 }, (_, i) => row(`k${i}`, i)), set: { ring_bytes: 65536 } });
  const client = await NamedClient.connect(t, server.port);
  const last = (id) => client.frames.filter((frame) => frame.subscriptionId === id && frame.op === 'snapshot').at(-1);
  const queries = { list: { view: 'E/list' }, window: { view: 'E/sorted', take: 5 }, state: { view: 'E/state', key: 'k1' }, empty: { view: 'F/list' } };
  for (const [id, query] of Object.entries(queries)) {
    await client.open(id, query);
    const { seq } = last(id), { epoch } = client.subscriptions.get(id).ack;
    assert.deepEqual([seq, epoch.length >= 8], [id === 'empty' ? '0:000000000000' : '0:000000000070', true], id);
    await client.open(`${id} again`, { ...query, after: seq, epoch });
    assert.equal(client.subscriptions.get(`${id} again`).ack.resumed, true, id);
    assert.deepEqual(client.subscriptions.get(`${id} again`).ack.query, { ...query, after: seq, epoch });
    await client.open(`${id} of another`, { ...query, after: seq, epoch: epoch.replace(/[0-9a-f]/g, (digit) => (15 - parseInt(digit, 16)).toString(16)) });
    assert.equal(client.subscriptions.get(`${id} of another`).ack.resumed, false, id);
  }
  assert.equal(client.frames.filter((frame) => frame.subscriptionId === 'list' && frame.op === 'snapshot')[0].seq, undefined, 'only the last batch has it');
  await client.until(() => last('list again').seq, 'the end of a resume');
  const [changed, end] = client.frames.filter((frame) => frame.subscriptionId === 'list again' && frame.op === 'snapshot');
  assert.deepEqual([changed.seq, end.authoritative, end.complete, end.data, end.seq], [undefined, false, true, [], '0:000000000070'], 'what is gone is told behind the rows');
  assert.deepEqual([last('window').more, last('list').more], [true, undefined]);
  /* A large snapshot is read in steps: it has a cursor when what changed meanwhile has come. */
  await feed(server, Array.from({ length: 3000 }, (_, i) => row(`k${i}`, i, { text: 'x'.repeat(300) })));
  client.subscribe('large', { view: 'E/list' });
  const feeding = (async () => {
    for (let i = 0; i < 30; i++) await feed(server, [row(`k${i * 97}`, -1), { export: 'E', key: `k${i * 97 + 1}`, op: 'delete' }]);
  })();
  await client.until(() => client.subscriptions.get('large').snapshots && last('large').seq, 'one state');
  const before = new Map(Object.entries(client.rows('large'))), { seq } = last('large');
  await feeding;
  await client.open('behind', { view: 'E/list', after: seq, epoch: client.subscriptions.get('large').ack.epoch });
  const total = Object.keys(await shown(server, 'E/list')).length;
  await client.until(() => {
    for (const frame of client.frames.filter((each) => each.subscriptionId === 'behind')) {
      if (frame.op === 'snapshot') for (const { key, data } of frame.data) before.set(key, data);
      if (frame.op === 'upsert') before.set(frame.key, frame.data);
      if (frame.op === 'delete') before.delete(frame.key);
    }
    return before.size === total;
  }, 'the rows behind the cursor');
  assert.deepEqual(bare(Object.fromEntries(before)), await shown(server, 'E/list'));
});

test('a tape: positions, keys, filters, hidden members; deletes are events; a cursor below the log is refused', async (t) => {
  const server = await begin(t, { rows: [row('a', 1), row('b', 2, { secret: 1 }), row('a', 3)], set: { retention_rows: 1000 } });
  const client = await NamedClient.connect(t, server.port);
  await client.open('all', { view: 'E/append' });
  const tape = client.subscriptions.get('all');
  const { epoch, earliest, next } = tape.ack.replayWindow;
  assert.deepEqual([earliest, next, tape.events.map((event) => event.offset)], [1, 4, [1, 2, 3]]);
  assert.equal(client.frames.find((frame) => frame.op === 'snapshot').authoritative, false);
  await client.open('key', { view: 'E/append', key: 'a' });
  await client.open('filter', { view: 'E/append', filters: { n: 3 } });
  await client.open('after', { view: 'E/append', after: `${epoch}:2` });
  const offsets = (id) => client.subscriptions.get(id).events.map((event) => event.offset);
  assert.deepEqual([offsets('key'), offsets('filter'), offsets('after')], [[1, 3], [3], [3]]);
  await feed(server, [{ export: 'E', key: 'b', op: 'delete' }, row('c', 3)]);
  await client.until(() => ['all', 'after'].every((id) => offsets(id).includes(5)) && offsets('filter').includes(5));
  assert.deepEqual([offsets('all'), offsets('key'), offsets('filter')], [[1, 2, 3, 4, 5], [1, 3], [3, 5]]);
  assert.deepEqual(tape.events[3].op, 'delete');
  for (let i = 0; i < 30; i++) await feed(server, Array.from({ length: 100 }, (_, j) => row(`k${j}`, i)));
  let error;
  for (let i = 0; !error; i++) { /* until the log was trimmed */
    const old = client.subscribe(`old${i}`, { view: 'E/append', after: `${epoch}:1` });
    await client.until(() => old.errors.length || old.ack);
    error = old.errors[0];
    if (!error) client.unsubscribe(old.id);
    await feed(server, [row('more', i)]);
  }
  assert.equal(error.code, 'cursor-expired');
  assert.ok(error.replayWindow.earliest > 2);
});

test('tokens: another subject is refused, rows follow the scopes, tapes end, and the end of a token ends all', async (t) => {
  const key = newKey();
  const claims = { iss: 'https://issuer.example', aud: 'stele' };
  const WRITER = 'writer-token-0123456789';
  const server = await begin(t, {
    config: { exports: { E: { scope: 'team' }, F: {} }, auth: { mode: 'signed', keys: [key.x], issuer: claims.iss, audience: 'stele', tokens: [{ token: WRITER, scope: 'write' }] } },
  });
  await feed(server, [row('a', 1, { team: 'red' }), row('b', 2, { team: 'blue' }), row('c', 3), { export: 'F', key: 'f', patch: {} }], { authorization: `Bearer ${WRITER}` });
  const token = (more) => tokenOf(key, { ...claims, ...more });
  const client = await NamedClient.connect(t, server.port, { path: `/?hs_token=${token({ row_scopes: ['red'] })}` });
  assert.deepEqual(Object.keys(await client.open('list', { view: 'E/list' })), ['a', 'c']);
  await client.open('free', { view: 'F/list' });
  await client.open('tape', { view: 'E/append' });
  client.subscribe('quiet', { view: 'E/list' }, { snapshot: { enabled: false } });
  client.send({ type: 'refresh_auth', protocolVersion: 2, token: token({ sub: 'mallory' }) });
  await client.until(() => client.answers.length === 1);
  assert.equal(client.answers[0].success, false);
  client.send({ type: 'refresh_auth', protocolVersion: 2, token: token({ row_scopes: ['blue'] }) });
  await client.until(() => client.answers.length === 2);
  assert.equal(client.answers[1].success, true);
  await client.until(() => client.subscriptions.get('list').snapshots === 2 && client.subscriptions.get('quiet').snapshots === 1);
  assert.deepEqual([Object.keys(client.rows('list')), Object.keys(client.rows('quiet'))], [['b', 'c'], ['b', 'c']]);
  /* The snapshot names the epoch of its cursors: they resume. */
  const moved = client.frames.findLast(({ op, subscriptionId, complete }) => op === 'snapshot' && subscriptionId === 'list' && complete);
  assert.notEqual(moved.epoch, client.subscriptions.get('list').ack.epoch);
  const later = await NamedClient.connect(t, server.port, { path: `/?hs_token=${token({ row_scopes: ['blue'] })}` });
  await later.open('same', { view: 'E/list', after: moved.seq, epoch: moved.epoch });
  await later.open('other', { view: 'E/list', after: moved.seq, epoch: client.subscriptions.get('list').ack.epoch });
  assert.deepEqual(['same', 'other'].map((id) => later.subscriptions.get(id).ack.resumed), [true, false]);
  const rescoped = await client.until(() => client.subscriptions.get('tape').errors[0]);
  assert.deepEqual([rescoped.code, rescoped.fatal], ['subscription-rescoped', false]);
  assert.equal(client.subscriptions.get('free').snapshots, 1);
  client.send({ type: 'refresh_auth', token: token({ row_scopes: ['blue'], exp: unixNow() + 2 }) });
  await within(new Promise((done) => client.socket.on('close', done)), 'the end of the token');
  const last = client.errors.at(-1);
  assert.deepEqual([last.code, last.fatal, last.subscriptionId, client.closed.code], ['token-expired', true, null, 1008]);
  assert.match(client.closed.reason, /^token-expired: /);
});

test('who wants no snapshot and is left behind by the log is told that its rows count no more', async (t) => {
  const server = await begin(t, { set: { retention_rows: 10, ring_bytes: 0, channel_bytes: 65536 } });
  const client = await NamedClient.connect(t, server.port);
  const quiet = client.subscribe('quiet', { view: 'E/list' }, { snapshot: { enabled: false } });
  await client.until(() => quiet.ack, 'subscribed');
  await feed(server, [row('gone', 1)]);
  await client.until(() => 'gone' in client.rows('quiet'), 'the row');
  client.socket._socket.pause();
  await feed(server, [row('large', 0)]);
  const text = 'x'.repeat(100_000);
  for (let i = 0; i < 200; i++) await feed(server, [row('large', i, { text })]);
  await feed(server, [{ export: 'E', key: 'gone', op: 'delete' }]);
  for (let i = 0; i < 20; i++) await feed(server, [row('large', i, { text })]);
  client.socket._socket.resume();
  const told = await client.until(() => client.frames.find((frame) => frame.op === 'snapshot'), 'that it has nothing');
  assert.deepEqual([told.authoritative, told.complete, told.data], [true, true, []]);
  await feed(server, [row('last', 1)]);
  await client.until(() => 'last' in client.rows('quiet'), 'a change of later');
  assert.ok(!('gone' in client.rows('quiet')));
});

test('nobody can tell a row that is deleted from one that left its sight, and no filter asks about what it became', async (t) => {
  const [READER, WRITER] = ['reader-token-0123456789', 'writer-token-0123456789'];
  const tokens = [{ token: WRITER, scope: 'write' }, { token: READER, scope: 'read', subject: 'reader', row_scopes: ['red'] }];
  const views = { sorted: sorted('desc'), red: { pipeline: [{ filter: { field: 'team', ne: 'none' } }] } };
  const server = await begin(t, { config: { exports: { E: { scope: 'team', views } }, auth: { mode: 'static', tokens } } });
  const write = (...rows) => feed(server, rows, { authorization: `Bearer ${WRITER}` });
  const red = (key, n) => row(key, n, { team: 'red' });
  await write(red('deleted', 1), red('moved', 1), red('same', 5), red('other', 5));
  const connect = () => NamedClient.connect(t, server.port, { path: `/?token=${READER}`, apart: true });
  const live = await connect();
  const queries = { list: { view: 'E/list' }, key: { view: 'E/state', key: 'deleted' }, moved: { view: 'E/state', key: 'moved' }, sorted: { view: 'E/sorted' }, top: { view: 'E/sorted', take: 3 }, red: { view: 'E/red' } };
  for (const [id, query] of Object.entries(queries)) await live.open(id, query);
  await live.open('tape', { view: 'E/append' });
  await live.open('five', { view: 'E/append', filters: { n: 5 } });
  const after = live.rows('list').other._seq;
  await write({ export: 'E', key: 'deleted', op: 'delete' }, row('moved', 1, { team: 'blue' }), row('same', 5, { team: 'blue' }), row('other', 6, { team: 'blue' }), red('last', 5));
  await live.until(() => [...Object.keys(queries), 'tape', 'five'].every((id) => id === 'key' || id === 'moved' || 'last' in live.rows(id)), 'the last row');
  const told = (client, id) => client.frames.filter(({ subscriptionId, op, key }) => subscriptionId === id && key && op !== 'upsert' && op !== 'patch' && op !== 'snapshot').map(({ op }) => op);
  for (const id of Object.keys(queries)) {
    const ops = told(live, id);
    assert.deepEqual([...new Set(ops)], ['remove'], id);
    assert.equal(ops.length, id === 'key' || id === 'moved' ? 1 : id === 'top' ? 3 : 4, id);
  }
  /* The same from the log, to a client that comes later. */
  const late = await connect();
  await late.open('tape', { view: 'E/append' });
  await late.open('five', { view: 'E/append', filters: { n: 5 } });
  for (const client of [live, late]) {
    assert.deepEqual([...new Set(told(client, 'tape'))], ['delete']);
    assert.equal(told(client, 'tape').length, 4);
    assert.deepEqual(told(client, 'five'), []);
  }
  await late.open('resumed', { view: 'E/list', after });
  assert.deepEqual(told(late, 'resumed').filter((op) => op !== 'remove'), []);
});

/* ---- convergence ---- */

const seeds = Number(process.env.STELE_SEEDS ?? 3);

test('whatever is fed, whoever is slow: all subscriptions end with what the server has', { timeout: patience(60_000) * Math.max(1, seeds / 3) }, async (t) => {
  for (let i = 0; i < seeds; i++) {
    const seed = Number(process.env.STELE_SEED ?? Math.floor(Math.random() * 2 ** 31));
    await t.test(`seed ${seed}`, (each) => converges(each, seed));
  }
});

function random(seed) {
  let state = seed >>> 0 || 1;
  return (n) => {
    state ^= state << 13; state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5; state >>>= 0;
    return state % n;
  };
}

function mutation(pick) {
  const key = `k${pick(60)}`;
  const kind = pick(12);
  if (kind === 0) return { export: 'E', key, op: 'delete' };
  if (kind === 1) return { export: 'E', key, op: 'upsert', patch: { n: pick(20), g: pick(3), whole: true } };
  if (kind < 5) return { export: 'E', key, patch: { tags: [`t${pick(1000)}`] }, append: ['tags'] };
  return { export: 'E', key, patch: { n: pick(20), g: pick(3), text: 'x'.repeat(pick(3) ? 10 : 2000) } };
}

const QUERIES = [
  (pick) => [{ view: 'E/list' }], (pick) => [{ view: 'E/list', filters: { g: pick(3) } }], (pick) => [{ view: 'E/sorted', take: 1 + pick(10), skip: pick(10) }],
  (pick) => [{ view: 'E/sorted' }], (pick) => [{ view: 'E/top' }], (pick) => [{ view: 'E/state', key: `k${pick(60)}` }], (pick) => [{ view: 'E/slim' }],
  (pick) => [{ view: 'E/list', take: 1 + pick(20), skip: pick(5) }], (pick) => [{ view: 'E/list', key: `k${pick(60)}` }],
];

/** The rows that a query shows, by plain HTTP: the same words, but for what all of a view is called there. */
async function wanted(server, { view, key, filters, take, skip }) {
  const parts = [];
  if (key) parts.push(`key=${key}`);
  if (take) parts.push(`take=${take}`);
  else if (!key && view !== 'E/top') parts.push('take=10000');
  if (skip) parts.push(`skip=${skip}`);
  for (const [path, value] of Object.entries(filters ?? {})) parts.push(`filter=${path}:${value}`);
  const response = await fetch(`http://127.0.0.1:${server.port}/v1/views/${view}?${parts.join('&')}`);
  const { rows } = await response.json();
  return Object.fromEntries(rows.map(({ key: name, data }) => [name, data]));
}

async function converges(t, seed) {
  const pick = random(seed);
  /* Little memory, so that who is slow falls behind it. */
  const server = await begin(t, { set: { ring_bytes: 65536, channel_bytes: 65536, max_array_length: 5 } });
  const clients = [];
  for (let i = 0; i < 4; i++) clients.push(await NamedClient.connect(t, server.port, { apart: true }));
  const asked = [];
  let names = 0;
  const subscribe = (client) => {
    const [query] = QUERIES[pick(QUERIES.length)](pick);
    const id = `s${names++}`;
    client.subscribe(id, query, pick(5) ? {} : { snapshot: { enabled: false } });
    asked.push({ client, id, query });
  };
  for (let round = 0; round < 40; round++) {
    await feed(server, Array.from({ length: 1 + pick(30) }, () => mutation(pick)));
    const client = clients[pick(clients.length)];
    if (asked.length < 30) subscribe(client);
    if (pick(6) === 0 && asked.length > 3) {
      const [gone] = asked.splice(pick(asked.length), 1);
      gone.client.unsubscribe(gone.id);
    }
    if (pick(5) === 0) client.socket._socket.pause();
    if (pick(3) === 0) client.socket._socket.resume();
  }
  for (const client of clients) client.socket._socket.resume();
  for (const { client, id, query } of asked) {
    const all = await wanted(server, query);
    const quiet = () => client.subscriptions.get(id).snapshots === 0 && client.subscriptions.get(id).ack;
    await client.until(() => {
      const rows = bare(client.rows(id));
      const has = JSON.stringify(sortedText(rows)) === JSON.stringify(sortedText(all));
      /* Who wanted no rows has those that changed since. */
      return has || (quiet() && Object.entries(rows).every(([key, data]) => JSON.stringify(sortedText(data)) === JSON.stringify(sortedText(all[key] ?? null))));
    }, () => `seed ${seed}: ${JSON.stringify(query)}: ${JSON.stringify(all)} and not ${JSON.stringify(client.rows(id))}`);
  }
  for (const client of clients) assert.equal(client.broken, undefined);
}

function sortedText(value) {
  if (Array.isArray(value)) return value.map(sortedText);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sortedText(value[key])]));
}

test('the longest of queries and keys are served, or refused by name; none is lost in silence', async (t) => {
  const server = await begin(t, { rows: [row('k', 1)], set: { max_key_bytes: 4096 } });
  const client = await NamedClient.connect(t, server.port);
  const controls = (length) => '\u0001'.repeat(length);
  const queries = [
    { filters: { text: 'x'.repeat(7000) } }, { filters: { text: 'x'.repeat(16_300) } }, { filters: { text: 'x'.repeat(16_384) } },
    { key: controls(2000) }, { key: controls(2700) }, { key: controls(4000) }, { key: controls(2600), filters: { n: 1 } },
    { where: { field: 'text', in: Array.from({ length: 60 }, (_, i) => String(i).repeat(60)) } },
  ];
  const ends = { subscribed: 0, refused: 0 };
  for (const [i, query] of queries.entries()) {
    const id = `${i}-${'i'.repeat(100)}`;
    client.subscribe(id, { view: 'E/list', ...query });
    await client.until(() => client.subscriptions.get(id).ack || client.subscriptions.get(id).errors.length, `an answer to ${JSON.stringify(query).slice(0, 60)}`);
    const { ack, errors } = client.subscriptions.get(id);
    if (ack) {
      ends.subscribed++;
      await client.until(() => client.subscriptions.get(id).snapshots > 0, 'the rows');
      client.unsubscribe(id);
      await client.until(() => client.subscriptions.get(id).live === false, 'unsubscribed');
    } else {
      ends.refused++;
      assert.match(errors[0].message, /bytes/);
    }
  }
  assert.ok(ends.subscribed >= 3 && ends.refused >= 2, JSON.stringify(ends));
});

test('one state: behind a snapshot of several states, and behind a resume, an empty one has the cursor', async (t) => {
  const server = await begin(t, { rows: Array.from({ length: 3000 }, (_, i) => row(`k${i}`, i, { text: 'x'.repeat(300) })), set: { ring_bytes: 65536 } });
  const client = await NamedClient.connect(t, server.port, { apart: true });
  /* What the client has at each cursor of a batch is what the view was at that cursor. */
  const states = new Map(), had = [];
  const keep = async () => {
    const { seq, rows } = await (await fetch(`http://127.0.0.1:${server.port}/v1/views/E/list?take=10000`)).json();
    states.set(seq, Object.fromEntries(rows.map(({ key, data }) => [key, data])));
    return seq;
  };
  client.waiting.add(() => {
    const { op, complete, seq, subscriptionId } = client.frames.at(-1);
    if (op === 'snapshot' && complete && seq) had.push({ subscriptionId, seq, rows: bare(client.rows(subscriptionId)) });
  });
  for (let i = 0; i < 6; i++) {
    const seq = await keep();
    client.subscribe(`fresh ${i}`, { view: 'E/list' });
    await feed(server, [row(`k${i}`, -i), { export: 'E', key: `k${i + 100}`, op: 'delete' }]);
    await keep();
    const it = client.subscribe(`resumed ${i}`, { view: 'E/list', after: seq });
    for (const [key, data] of Object.entries(states.get(seq))) {
      it.entities.set(key, { data });
      it.keys.add(key);
    }
    const has = (id) => had.some(({ subscriptionId }) => subscriptionId === id);
    await client.until(() => has(`fresh ${i}`) && has(`resumed ${i}`), 'one state of both');
  }
  assert.equal(had.length, 12, 'each says it once');
  for (const { subscriptionId, seq, rows } of had) assert.deepEqual(rows, states.get(seq), `${subscriptionId} at ${seq}`);
  const steps = (id) => client.frames.filter((frame) => frame.subscriptionId === id && frame.op === 'snapshot' && frame.complete).length;
  assert.ok([0, 1, 2, 3, 4, 5].every((i) => steps(`resumed ${i}`) === 2));
});
