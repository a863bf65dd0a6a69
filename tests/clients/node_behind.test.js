// Cursors that a node of a log does not have yet: they wait for it, and are refused with node-behind. The node is kept
// behind by a gate between it and its broker.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Broker, figure, hasBroker, logOf, reaches } from './lib/broker.js';
import { Client } from './lib/client.js';
import { checkAnswer } from './lib/error_table.js';
import { EventStream } from './lib/events.js';
import { http as request } from './lib/feed.js';
import { Gate } from './lib/gate.js';
import { PythonSdk, missing } from './lib/python_sdk.js';
import { Proxy } from './lib/proxy.js';
import { Server, eventually } from './lib/server.js';

const skip = hasBroker ? false : 'nats-server is not installed (tools/setup test brings it)';
const m = (key, patch = {}) => ({ export: 'E', key, patch });
const CONFIG = { exports: { E: { views: { top: { pipeline: [{ sort: { by: 'n', order: 'desc' } }] } } } } };

/** A broker; a node that has all; and one behind a gate. Both have two messages. */
async function nodes(t, { config = {} } = {}) {
  const broker = await Broker.forTest(t);
  await broker.make();
  const gate = await Gate.start(t, broker.port);
  const all = { ...CONFIG, log: logOf(broker) };
  const ahead = await Server.forTest(t, { config: all });
  const behind = await Server.forTest(t, { config: { ...all, ...config, log: { ...all.log, nats: [gate.url] } } });
  await broker.publish([m('a', { n: 1 }), m('b', { n: 2 })]);
  for (const server of [ahead, behind]) await reaches(server, 2);
  return { broker, gate, ahead, behind };
}

/** What came while the gate is shut, and the cursors behind it that a client of the other node has. */
async function leaveBehind({ broker, gate, ahead }) {
  gate.shut();
  await reaches(ahead, await broker.publish([m('c', { n: 3 }), m('a', { n: 4 })]));
  const rows = (await http(ahead, '/v1/views/E/list')).json;
  const tape = (await http(ahead, '/v1/views/E/append?events=1')).json;
  const top = (await http(ahead, '/v1/views/E/top')).json.epoch;
  return { seq: rows.seq, epoch: rows.epoch, offset: rows.offset, cursor: tape.cursor, top };
}

const http = (server, path) => request(`${server.http}${path}`);
const v2 = (id, query) => ({ type: 'subscribe', protocolVersion: 2, subscriptionId: id, query });
let now;
const isWaiting = (server, count) => eventually(async () => (now = await figure(server, 'stele_cursors_waiting')) === count, () => `${count} cursors wait, and ${now}`, 200);

/** All the ways to come with these cursors: name → what it gives, begun. */
async function come(server, { seq, epoch, offset, cursor, top }) {
  const open = async (...messages) => {
    const named = { frames: [], take: (frame) => named.frames.push(frame) };
    const client = await Client.open(server, { named });
    for (const message of messages) client.send(message);
    return Object.assign(client, { frames: named.frames });
  };
  return {
    sockets: [
      await open({ type: 'subscribe', view: 'E/list', after: seq, epoch }),
      await open({ type: 'subscribe', view: 'E/append', after: seq }),
      await open({ type: 'subscribe', view: 'E/top', after: seq, epoch: top }),
      await open({ type: 'subscribe', view: 'E/state', key: 'a', after: seq, epoch, withSnapshot: false }),
      await open({ type: 'subscribe', view: 'E/top', after: seq, epoch: `${epoch}.12345678` }), /* as of another definition */
      await open(v2('s', { view: 'E/list', after: seq, epoch })),
      await open(v2('t', { view: 'E/append', after: cursor })),
    ],
    stream: EventStream.open(`${server.http}/v1/views/E/list/live`, { headers: { 'last-event-id': `${seq}@${epoch}` } }),
    answers: [
      `/v1/views/E/list?after=${seq}&epoch=${epoch}`,
      `/v1/views/E/list?after=${seq}&wait=30`,
      `/v1/views/E/append?events=1&after=${cursor}`,
      `/v1/views/E/append?events=1&until=${cursor}`,
      `/v1/views/E/list?as_of=@${offset}`,
      `/v1/views/E/list?as_of=${seq}&epoch=${epoch}`,
      `/v1/views/E/top?after=${seq}&epoch=${epoch}.12345678`,
    ].map((path) => http(server, path)),
  };
}
const ALL = 7 + 1 + 7;

test('a cursor that is ahead of a node waits until the node is there, and is resumed', { skip }, async (t) => {
  const it = await nodes(t, { config: { cursor_wait_ms: 60_000 } });
  const cursors = await leaveBehind(it);
  const { sockets, stream, answers } = await come(it.behind, cursors);
  await isWaiting(it.behind, ALL);
  const told = await stream;
  for (const each of sockets) assert.deepEqual([each.messages.length, each.frames.length, each.end], [0, 0, undefined], 'nothing comes before the node is there');
  assert.deepEqual(told.events, []);
  it.gate.open();
  await it.broker.publish([m('d', { n: 5 })]); /* ends the wait for a change, and follows */
  for (const each of sockets.slice(0, 4)) {
    const subscribed = await each.expect('subscribed');
    assert.equal(subscribed.resumed, true, JSON.stringify(subscribed));
  }
  await eventually(() => sockets.slice(5).every(({ frames }) => frames.some(({ op }) => op === 'subscribed')), 'version 2 is subscribed');
  assert.equal(sockets[5].frames[0].resumed, true);
  const anew = await sockets[4].opening();
  assert.deepEqual([anew.subscribed.resumed, anew.rows.get('a').n], [false, 4], 'what replaces the rows of another definition is not older');
  await eventually(() => sockets[6].frames.some(({ key }) => key === 'd'), 'the next event');
  assert.deepEqual(sockets[6].frames.filter(({ key }) => key).map(({ key }) => key), ['d'], 'of the tape what is behind the cursor, and nothing before');
  assert.equal((await told.next()).json.resumed, true);
  const [rows, waited, after, until, offset, seq, other] = await Promise.all(answers);
  for (const { status, json } of [rows, waited, after]) assert.deepEqual([status, json.resumed], [200, true]);
  assert.ok([0, 1].includes(rows.json.rows.length) || rows.json.rows[0].key !== 'b', rows.text);
  assert.deepEqual(waited.json.rows.map(({ key }) => key).includes('d'), true, waited.text);
  assert.deepEqual(until.json.events.map(({ key }) => key), ['a', 'b', 'c', 'a']);
  for (const { status, json } of [offset, seq]) assert.deepEqual([status, json.rows.map(({ data }) => data.n).sort()], [200, [2, 3, 4]]);
  assert.deepEqual([other.json.resumed, other.json.rows.find(({ key }) => key === 'a').data.n], [false, 4]);
  await isWaiting(it.behind, 0);
  assert.deepEqual([await figure(it.behind, 'stele_cursors_waited_total'), await figure(it.behind, 'stele_cursors_behind_total'), await figure(it.behind, 'stele_resumes_refused_total')], [ALL, 0, 1]);
});

test('when the time is over, each is refused with node-behind, in the form of its protocol', { skip }, async (t) => {
  const it = await nodes(t);
  await it.behind.reload({ ...CONFIG, log: { ...logOf(it.broker), nats: [it.gate.url] }, cursor_wait_ms: 200 });
  const { sockets, stream, answers } = await come(it.behind, await leaveBehind(it));
  for (const each of sockets) {
    const { code, reason } = await each.closed;
    assert.deepEqual([code, reason.split(':')[0]], [1013, 'node-behind']);
    assert.match(reason, /up to message 2/);
    assert.deepEqual([each.messages, each.frames], [[], []], 'no error: at one, published clients give up');
  }
  const told = await stream;
  await told.end();
  assert.match(told.events[0].json.reason, /^node-behind: /);
  assert.deepEqual(told.events.map(({ name, json, id }) => [name, json.status, id]), [['end', 1013, undefined]]);
  for (const answer of await Promise.all(answers)) checkAnswer({ ...answer, body: answer.text }, 'node-behind', { message: /up to message 2/ });
  await isWaiting(it.behind, 0);
  assert.deepEqual([await figure(it.behind, 'stele_cursors_waited_total'), await figure(it.behind, 'stele_cursors_behind_total')], [0, ALL]);
});

test('a cursor that no message of the log can bring any more is refused at once, and one of another epoch', { skip }, async (t) => {
  const { broker, ahead } = await nodes(t);
  await reaches(ahead, await broker.publish(['not to be read'])); /* message 3 is used up, and has no change */
  const client = await Client.open(ahead);
  for (const [after, epoch] of [['2:000000000007'], ['3:000000000000'], ['9:000000000000', '00000000-0000-0000-0000-000000000000']]) {
    const { subscribed } = await client.open('E/list', { after, epoch });
    assert.equal(subscribed.resumed, false, after);
  }
  assert.equal((await http(ahead, '/v1/views/E/list?after=3:000000000000')).json.resumed, false);
  assert.equal(await figure(ahead, 'stele_cursors_behind_total'), 0);
  await client.close();
});

test('who leaves, unsubscribes, or is met by a stop, waits no longer', { skip }, async (t) => {
  const it = await nodes(t, { config: { cursor_wait_ms: 60_000 } });
  const { sockets, stream, answers } = await come(it.behind, await leaveBehind(it));
  await isWaiting(it.behind, ALL);
  sockets[0].send({ type: 'unsubscribe', view: 'E/list' });
  sockets[5].send({ type: 'unsubscribe', protocolVersion: 2, subscriptionId: 's' });
  await sockets[2].close();
  sockets[3].destroy();
  (await stream).close();
  const gone = new AbortController();
  const asked = fetch(`${it.behind.http}/v1/views/E/list?after=9:000000000000`, { signal: gone.signal }).catch(({ name }) => name);
  await isWaiting(it.behind, ALL - 5 + 1);
  gone.abort();
  assert.equal(await asked, 'AbortError');
  await isWaiting(it.behind, ALL - 5);
  assert.equal((await sockets[0].open('E/list')).rows.size, 2, 'the connection goes on');
  await eventually(() => sockets[5].frames.some(({ op }) => op === 'unsubscribed'), 'it is told');
  const ended = it.behind.terminate();
  for (const answer of await Promise.all(answers)) checkAnswer({ ...answer, body: answer.text }, 'shutting-down');
  assert.equal((await sockets[1].closed).code, 1001);
  await ended;
});

test('a message that changes nothing ends the wait for it, too', { skip }, async (t) => {
  const { broker, ahead } = await nodes(t, {});
  await ahead.reload({ ...CONFIG, log: logOf(broker), cursor_wait_ms: 60_000 });
  const paths = ['/v1/views/E/list?as_of=3:000000000000', '/v1/views/E/list?after=3:000000000000', '/v1/views/E/list?after=3:000000000009'];
  const answers = paths.map((path) => http(ahead, path));
  await isWaiting(ahead, paths.length);
  await broker.publish(['not to be read']);
  for (const [i, answer] of (await Promise.all(answers)).entries()) {
    const anew = await http(ahead, paths[i]);
    assert.deepEqual([answer.status, answer.json], [anew.status, anew.json], paths[i]);
    assert.notEqual(answer.status, 503);
  }
  assert.equal(await figure(ahead, 'stele_cursors_behind_total'), 0);
});

test('cursors that wait take no reads away, and those of clients that left go', { skip }, async (t) => {
  const MANY = 300;
  const { behind } = await nodes(t, { config: { cursor_wait_ms: 60_000 } });
  const leaving = new AbortController();
  const asked = Array.from({ length: MANY }, () => fetch(`${behind.http}/v1/views/E/list?after=9:000000000000`, { signal: leaving.signal }).catch(() => 'left'));
  await isWaiting(behind, MANY);
  assert.equal((await http(behind, '/v1/views/E/list')).status, 200);
  leaving.abort();
  assert.deepEqual(new Set(await Promise.all(asked)), new Set(['left']));
  await isWaiting(behind, 0);
});

test('a token that is taken back while its cursor waits gets nothing', { skip }, async (t) => {
  const tokens = (...names) => ({ mode: 'static', metrics: 'all', tokens: names.map((name) => ({ token: `${name}-secret-secret`, subject: name })) });
  const it = await nodes(t);
  const config = { ...CONFIG, log: { ...logOf(it.broker), nats: [it.gate.url] }, cursor_wait_ms: 60_000 };
  await it.behind.reload({ ...config, auth: tokens('reader', 'other') });
  const { seq, epoch } = await leaveBehind(it);
  const ask = (path) => fetch(`${it.behind.http}/v1/views/E/list?${path}`, { headers: { authorization: 'Bearer reader-secret-secret' } });
  const answers = [`after=${seq}&epoch=${epoch}`, `as_of=${seq}&epoch=${epoch}`].map(ask);
  await isWaiting(it.behind, answers.length);
  await it.behind.reload({ ...config, auth: tokens('other') });
  it.gate.open();
  for (const answer of await Promise.all(answers)) assert.equal(answer.status, 401);
});

test('the published client of version 2 that comes to a node that is behind comes again, and misses nothing', { skip: skip || missing }, async (t) => {
  const it = await nodes(t, { config: { cursor_wait_ms: 100 } });
  const front = await Proxy.start(t, it.ahead.port);
  const sdk = PythonSdk.start(t);
  await sdk.do('connect', { url: `${front.ws}/`, views: ['E/append'], attempts: 500 });
  await sdk.do('watch', { name: 'tape', view: 'E/append' });
  await sdk.until(() => sdk.of('tape').length === 2, 'two events');
  await leaveBehind(it);
  await sdk.until(() => sdk.of('tape').length === 4, 'four events');
  front.port = it.behind.port;
  front.cut();
  await eventually(async () => (await figure(it.behind, 'stele_cursors_behind_total')) > 1, () => `it was refused there, twice; it told ${JSON.stringify(sdk.told)}; ${it.behind.stderr}`, 100);
  it.gate.open();
  await reaches(it.ahead, await it.broker.publish([m('z')]));
  await sdk.until(() => sdk.of('tape').length >= 5, 'the next event');
  assert.deepEqual(sdk.of('tape').map(({ key }) => key), ['a', 'b', 'c', 'a', 'z']);
});
