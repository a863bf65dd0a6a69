// The published client for Python, version 2 of the protocol, as it is: what it shows its user while stele is fed,
// killed and started again. And clients of version 1 on the same server at the same time.

import assert from 'node:assert/strict';
import test from 'node:test';
import { clientFor } from './lib/client.js';
import { PythonSdk, missing } from './lib/python_sdk.js';
import { Server, patience } from './lib/server.js';
import { newKey, tokenOf, unixNow } from './lib/token.js';

const sorted = (order, more = []) => ({ pipeline: [{ sort: { by: 'mag', order } }, ...more] });
const CONFIG = { exports: { Quake: { views: { strongest: sorted('desc'), top3: sorted('desc', [{ take: 3 }]) } }, Note: {} } };
const VIEWS = ['Quake/list', 'Quake/state', 'Quake/append', 'Quake/strongest', 'Quake/top3', 'Note/append', 'Quake/none'];
const quake = (key, mag, more = {}) => ({ export: 'Quake', key, patch: { id: key, mag, ...more } });

async function feed(server, ...mutations) {
  const response = await fetch(`http://127.0.0.1:${server.port}/v1/mutations`, { method: 'POST', body: mutations.map((each) => JSON.stringify(each)).join('\n') });
  assert.equal(response.status, 200, await response.text());
}

async function begin(t, { config = CONFIG, more = {} } = {}) {
  const server = await Server.forTest(t, { config });
  const sdk = PythonSdk.start(t);
  await feed(server, quake('a', 1, { type: 'x' }), quake('b', 6, { type: 'y' }), quake('c', 3, { type: 'x' }), quake('d', 2));
  const connect = (also = {}) => sdk.do('connect', { url: `ws://127.0.0.1:${server.port}/`, views: VIEWS, ...more, ...also });
  return { server, sdk, connect };
}

const ids = (rows) => rows.map((row) => row.id);
const options = (test_) => ({ skip: missing, ...test_ });

test('get: lists, windows, filters, state, derived views', options(), async (t) => {
  const { sdk, connect } = await begin(t);
  await connect();
  assert.deepEqual(ids(await sdk.do('get', { view: 'Quake/list' })), ['d', 'c', 'b', 'a']);
  assert.deepEqual(ids(await sdk.do('get', { view: 'Quake/list', options: { take: 2, skip: 1 } })), ['c', 'b']);
  assert.deepEqual(ids(await sdk.do('get', { view: 'Quake/strongest' })), ['b', 'c', 'd', 'a']);
  assert.deepEqual(ids(await sdk.do('get', { view: 'Quake/top3' })), ['b', 'c', 'd']);
  assert.deepEqual(ids(await sdk.do('get', { view: 'Quake/list', options: { filters: { type: 'x' } } })), ['c', 'a']);
  assert.deepEqual(ids(await sdk.do('get', { view: 'Quake/list', options: { snapshot_limit: 1 } })), ['d']);
  assert.equal((await sdk.do('get', { view: 'Quake/state', key: 'c' })).mag, 3);
  assert.equal(await sdk.do('get', { view: 'Quake/state', key: 'zz' }), null);
  assert.deepEqual(await sdk.do('get', { view: 'Note/append' }), []); /* an empty tape ends, too */
});

test('watch: two windows of a view beside its list, what comes, changes and goes', options(), async (t) => {
  const { server, sdk, connect } = await begin(t);
  await connect();
  await sdk.do('watch', { name: 'list', view: 'Quake/list' });
  await sdk.do('watch', { name: 'first', view: 'Quake/strongest', options: { take: 2 } });
  await sdk.do('watch', { name: 'next', view: 'Quake/strongest', options: { take: 2, skip: 2 } });
  await sdk.until(() => sdk.of('list').length === 4 && sdk.of('first').length === 2 && sdk.of('next').length === 2, 'the snapshots');
  await feed(server, quake('a', 9));
  await sdk.until(() => sdk.of('first').some((each) => each.op === 'upsert' && each.key === 'a' && each.data.mag === 9), 'a at the top');
  const sync = (options_) => sdk.do('sync', { view: 'Quake/strongest', options: options_ });
  assert.deepEqual(ids(await sync({ take: 2 })), ['a', 'b']);
  await sdk.until(() => sdk.of('next').some((each) => each.op === 'remove' && each.key === 'a'), 'a in the other window no more');
  assert.deepEqual(ids(await sync({ take: 2, skip: 2 })), ['c', 'd']);
  await feed(server, { export: 'Quake', key: 'c', patch: { tags: ['t1'] }, append: ['tags'] });
  await feed(server, { export: 'Quake', key: 'c', patch: { tags: ['t2'] }, append: ['tags'] });
  await sdk.until(() => sdk.of('next').some((each) => each.data?.tags?.length === 2), 'both tags');
  /* Three subscriptions show the row: each change counts once. */
  const list = await sdk.do('sync', { view: 'Quake/list' });
  assert.deepEqual(list.find((row) => row.id === 'c').tags, ['t1', 't2']);
  await feed(server, { export: 'Quake', key: 'b', op: 'delete' });
  await sdk.until(() => ['list', 'first'].every((name) => sdk.of(name).some((each) => each.op === 'delete' && each.key === 'b')), 'b is gone');
  assert.deepEqual(ids(await sync({ take: 2 })), ['a', 'c']);
  await sdk.do('leave', { name: 'first' });
  await feed(server, quake('d', 8));
  await sdk.until(() => sdk.of('list').some((each) => each.data?.mag === 8), 'the list goes on');
  assert.ok(!sdk.of('first').some((each) => each.data?.mag === 8));
  assert.deepEqual(sdk.told.filter((each) => each.issue), []);
});

test('a tape is resumed over kill -9, without a loss and without a repetition', options(), async (t) => {
  const { server, sdk, connect } = await begin(t);
  await connect({ attempts: 200 });
  await sdk.do('watch', { name: 'tape', view: 'Quake/append' });
  await sdk.do('watch', { name: 'c', view: 'Quake/append', options: { filters: { id: 'c' } } });
  await sdk.until(() => sdk.of('tape').length === 4, 'what the log has');
  await feed(server, quake('e', 5), { export: 'Quake', key: 'a', op: 'delete' });
  await sdk.until(() => sdk.of('tape').length === 6, 'live events');
  const [, , , , upsert, gone] = sdk.of('tape');
  assert.deepEqual([upsert.key, gone.op, gone.key], ['e', 'delete', 'a']);
  await server.kill9();
  await server.restart({ samePort: true });
  for (let i = 0; i < 50; i++) await feed(server, quake('c', i / 10));
  await sdk.until(() => sdk.of('tape').length >= 56 && sdk.of('c').length >= 51, 'events of after the restart');
  assert.equal(sdk.of('tape').length, 56);
  assert.deepEqual(sdk.of('tape').slice(6).map((each) => each.data.mag), Array.from({ length: 50 }, (_, i) => i / 10));
  assert.equal(sdk.of('c').length, 51);
  const cursor = sdk.of('tape')[53].cursor;
  await sdk.do('watch', { name: 'late', view: 'Quake/append', options: { after: cursor } });
  await sdk.until(() => sdk.of('late').length === 2, 'what came behind the cursor');
});

test('errors are shown to the stream or the get in question', options(), async (t) => {
  const { server, sdk, connect } = await begin(t);
  await connect();
  const failed = async (what) => (await sdk.ask('get', what)).error?.code;
  assert.equal(await failed({ view: 'Quake/none' }), 'subscription-rejected');
  assert.equal(await failed({ view: 'Quake/append', options: { take: 1 } }), 'invalid-subscription');
  assert.equal(await failed({ view: 'Quake/append', options: { after: 'nonsense' } }), 'invalid-cursor');
  assert.equal(await failed({ view: 'Quake/append', options: { after: 'another:1' } }), 'cursor-epoch-changed');
  await sdk.do('watch', { name: 'ahead', view: 'Quake/append' });
  await sdk.until(() => sdk.of('ahead').length === 4, 'the tape');
  const epoch = sdk.of('ahead')[0].cursor.split(':')[0];
  assert.equal(await failed({ view: 'Quake/append', options: { after: `${epoch}:1000` } }), 'cursor-unknown');
  assert.deepEqual(ids(await sdk.do('get', { view: 'Quake/list' })), ['d', 'c', 'b', 'a']);
  await feed(server, quake('z', 1));
  await sdk.until(() => sdk.of('ahead').some((each) => each.key === 'z'), 'the others go on');
});

test('a token is refreshed in band, and rows follow its scopes', options(), async (t) => {
  const key = newKey();
  const issuer = 'https://issuer.example';
  const config = { exports: { Quake: { scope: 'team', views: CONFIG.exports.Quake.views } }, auth: { mode: 'signed', keys: [key.x], issuer, audience: 'stele', tokens: [{ token: 'writer-token-0123456789', scope: 'write' }] } };
  const server = await Server.forTest(t, { config });
  const post = (...mutations) => fetch(`http://127.0.0.1:${server.port}/v1/mutations`, { method: 'POST', headers: { authorization: 'Bearer writer-token-0123456789' }, body: mutations.map((each) => JSON.stringify(each)).join('\n') });
  assert.equal((await post(quake('a', 1, { team: 'red' }), quake('b', 2, { team: 'blue' }), quake('c', 3))).status, 200);
  const sdk = PythonSdk.start(t);
  await sdk.do('asked'); /* it has begun: a token with less than 60 s left would be refused by the client itself */
  /* The client refreshes 60 s before the end, and a second on at the earliest. */
  const token = (seconds, row_scopes) => {
    const expires_at = unixNow() + seconds;
    return { token: tokenOf(key, { iss: issuer, aud: 'stele', exp: expires_at, row_scopes }), expires_at };
  };
  await sdk.do('connect', { url: `ws://127.0.0.1:${server.port}/`, views: VIEWS, tokens: [token(60 + patience(3), ['red']), token(3600, ['blue'])] });
  await sdk.do('watch', { name: 'list', view: 'Quake/list' });
  await sdk.until(() => sdk.of('list').length === 2, 'the rows of red');
  assert.deepEqual(sdk.of('list').map((each) => each.key).sort(), ['a', 'c']);
  await sdk.until(() => sdk.of('list').some((each) => each.key === 'b'), 'the rows of blue');
  assert.deepEqual(ids(await sdk.do('sync', { view: 'Quake/list' })), ['c', 'b']);
  assert.equal(await sdk.do('asked'), 2);
});

test('clients of both versions see the same of one server', options(), async (t) => {
  const { server, sdk, connect } = await begin(t);
  await connect();
  const client = await clientFor(t, server);
  await client.open('Quake/list');
  await sdk.do('watch', { name: 'list', view: 'Quake/list' });
  await sdk.until(() => sdk.of('list').length === 4, 'the snapshot');
  await feed(server, quake('a', 7), { export: 'Quake', key: 'b', op: 'delete' }, quake('n', 1));
  await sdk.until(() => sdk.of('list').some((each) => each.key === 'n'), 'n');
  const seen = Object.fromEntries((await sdk.do('sync', { view: 'Quake/list' })).map(({ _version, ...row }) => [row.id, row]));
  await client.expect('patch');
  await client.expect('delete');
  assert.deepEqual((await client.expect('upsert')).data, seen.n);
  assert.deepEqual(Object.keys(seen).sort(), ['a', 'c', 'd', 'n']);
});
