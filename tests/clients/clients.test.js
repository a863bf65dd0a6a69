// protocol.md, "Clients and windows": who is there, how far behind each is, and the end of one.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { Client, clientFor } from './lib/client.js';
import { checkAnswer, checkFatal, checkFields, npmClient } from './lib/error_table.js';
import { EventStream } from './lib/events.js';
import { Ingest, http } from './lib/feed.js';
import { NamedClient } from './lib/named.js';
import { PythonSdk, missing } from './lib/python_sdk.js';
import { Server, eventually } from './lib/server.js';

const ADMIN = 'admin-0123456789abcdef', READER = 'reader-0123456789abcdef', FEEDER = 'feeder-0123456789abcdef';
const tokens = [
  { token: ADMIN, subject: 'root', scope: 'admin' },
  { token: READER, subject: 'alice', scope: 'read' },
  { token: FEEDER, subject: 'shop', scope: 'read write' },
];
const auth = { mode: 'static', tokens };
const exports = { E: {}, F: {} };
const bearer = (token) => (token ? { authorization: `Bearer ${token}` } : {});
const ask = (server, path, { token = ADMIN, method = 'GET', base = server.http } = {}) => http(base + path, { method, headers: bearer(token) });
const list = async (server, query = '', options) => {
  const answer = await ask(server, `/v1/clients${query}`, options);
  assert.equal(answer.status, 200, answer.text);
  return answer.json;
};
const only = async (server, protocol) => {
  const found = (await list(server)).clients.filter((it) => it.protocol === protocol);
  assert.equal(found.length, 1, protocol);
  return found[0];
};
const reader = (t, server, options) => clientFor(t, server, { headers: bearer(READER), ...options });
const m = (key, n, more = {}) => ({ export: 'E', key, patch: { n }, ...more });
const serverFor = (t, config = {}) => Server.forTest(t, { config: { exports, auth, ...config } });
const feed = (server, mutations) => http(`${server.http}/v1/mutations`, { method: 'POST', body: mutations.map((it) => JSON.stringify(it)).join('\n'), headers: bearer(FEEDER) });

/* ---- the list ---- */

test('the list has every client that lasts, by its protocol, with what it subscribed to', async (t) => {
  const server = await serverFor(t);
  const before = Date.now();
  await feed(server, [m('a', 1, { slot: 7, index: 3 })]);
  const first = await reader(t, server, { path: '/?x=1' });
  await first.open('E/list');
  await first.open('F/list', { key: 'k' });
  await first.open('E/list', { take: 5, where: { field: 'n', gte: 1 }, key: undefined });
  const second = await NamedClient.connect(t, server.port, { headers: bearer(READER) });
  await second.open('mine', { view: 'E/list' });
  const stream = await EventStream.open(`${server.http}/v1/views/E/list/live`, { headers: bearer(READER) });
  t.after(() => stream.destroy());
  await stream.complete();
  const producer = await Ingest.open(`${server.ws}/v1/ingest?hs_token=${FEEDER}`);
  t.after(() => producer.destroy());
  await producer.send({ mutations: [m('a', 2, { slot: 9, index: 0 })] });
  const stranger = await clientFor(t, server, { path: '/?auth=message' });
  const all = await list(server);
  assert.deepEqual(Object.keys(all), ['time', 'change', 'seq', 'count', 'clients', 'more']);
  assert.deepEqual([all.change, all.seq, all.count, all.more], [2, '9:000000000000', 5, false]);
  assert.deepEqual(all.clients.map(({ protocol }) => protocol), ['1', '2', 'events', 'ingest', 'none']);
  assert.deepEqual(all.clients.map(({ subject }) => subject), ['alice', 'alice', 'alice', 'shop', null]);
  const ids = all.clients.map(({ id }) => id);
  assert.deepEqual(ids, [...ids].sort((a, b) => a - b));
  for (const client of all.clients) {
    assert.deepEqual([client.address, client.state], ['127.0.0.1', 'open']);
    assert.ok(client.since >= before && client.since <= all.time, 'since when, by the wall clock');
    assert.equal(client.subscription_count, client.subscriptions.length);
    assert.equal(client.queued, 0);
  }
  const [one, two, events, ingest, none] = all.clients;
  assert.deepEqual(one.subscriptions.map(({ view, key, take }) => [view, key, take]), [['F/list', 'k', undefined], ['E/list', undefined, 5]]);
  const window = one.subscriptions[1];
  assert.deepEqual(JSON.parse(window.query), { field: ['n'], gte: 1 });
  assert.ok(Number.isInteger(window.window) && window.skip === 0);
  assert.deepEqual(two.subscriptions.map(({ id, view }) => [id, view]), [['mine', 'E/list']]);
  assert.deepEqual(events.subscriptions.map(({ view }) => view), ['E/list']);
  assert.deepEqual([ingest.subscriptions, none.subscriptions], [[], []]);
  assert.ok(one.sent > 0 && one.received > 0 && events.sent > 0 && events.received === 0 && ingest.received > 0 && none.sent === 0);
  await eventually(async () => (await list(server)).clients.every(({ lag }) => lag.changes === 0 && lag.seconds === 0 && lag.slots === 0), 'all have everything');
  for (const { subscriptions } of (await list(server)).clients) {
    for (const it of subscriptions) assert.deepEqual([it.state, it.change, it.seq], ['live', 2, '9:000000000000'], JSON.stringify(it));
  }
  const text = JSON.stringify(all) + server.stderr;
  for (const { token } of tokens) assert.ok(!text.includes(token), 'no token is shown or logged');
  assert.deepEqual((await ask(server, `/v1/clients/${one.id}`)).json.id, one.id);
  stranger.send({ type: 'auth', token: READER });
  await stranger.next('the welcome');
  const known = (await list(server)).clients.at(-1);
  assert.deepEqual([known.id, known.protocol, known.subject], [none.id, '1', 'alice'], 'who says who it is keeps its id');
  for (const id of ids) assert.match(server.stderr, new RegExp(`handshake-accepted [^\\n]* id=${id} `), 'the audit names the same id');
});

test('only a hundred subscriptions of a client are shown, and long texts are cut', async (t) => {
  const server = await serverFor(t);
  const client = await reader(t, server);
  const long = 'ü'.repeat(400);
  await client.open('E/list', { key: long });
  for (let i = 0; i < 149; i++) await client.open('E/list', { key: `k${i}` });
  await client.open('F/list', { where: { field: 'x', in: Array.from({ length: 200 }, (_, i) => `value ${i}`) } });
  const { subscriptions, subscription_count, lag } = await only(server, '1');
  assert.deepEqual([subscriptions.length, subscription_count, lag.changes], [100, 151, 0]);
  assert.equal(subscriptions[0].key, `${'ü'.repeat(128)}…`);
  const other = await reader(t, server);
  await other.open('F/list', { where: { field: 'x', in: Array.from({ length: 200 }, (_, i) => `value ${i}`) } });
  const { query } = (await list(server)).clients[1].subscriptions[0];
  assert.ok(query.endsWith('…') && Buffer.byteLength(query) <= 1024 + 3, query);
});

test('a client that does not read falls behind, by changes, slots and seconds, and comes back', async (t) => {
  const server = await serverFor(t);
  await feed(server, [m('a', 0, { slot: 1, index: 0 })]);
  const healthy = await reader(t, server), slow = await reader(t, server), window = await reader(t, server);
  await healthy.open('E/list');
  await slow.open('E/append');
  await window.open('E/list', { take: 3 });
  const ids = (await list(server)).clients.map(({ id }) => id);
  slow.socket.pause();
  window.socket.pause();
  const big = 'x'.repeat(300_000);
  let slot = 1;
  const find = async (id) => (await list(server)).clients.find((it) => it.id === id);
  await eventually(async () => {
    await feed(server, Array.from({ length: 10 }, () => m('a', 1, { slot: ++slot, index: 0, patch: { big } })));
    const lag = [await find(ids[1]), await find(ids[2])];
    return lag.every(({ lag, queued }) => lag.changes > 20 && queued > 0);
  }, 'two clients are behind');
  const all = await list(server);
  const [fine, behind, held] = ids.map((id) => all.clients.find((it) => it.id === id));
  await eventually(async () => (await find(fine.id)).lag.changes === 0, 'the other one has everything');
  for (const { subscriptions: [it], lag } of [behind, held]) {
    assert.ok(it.change > 0 && it.change < all.change);
    assert.equal(it.lag.changes, all.change - it.change);
    assert.deepEqual(lag, it.lag);
    const head = Number(all.seq.split(':')[0]);
    if (it.seq) assert.equal(it.lag.slots, head - Number(it.seq.split(':')[0]));
    else assert.ok(it.lag.slots >= it.lag.changes && it.lag.slots <= head, 'about as many, by the notes of each second');
    assert.ok(it.lag.seconds > 0, 'there is something that it lacks, and since when is known');
  }
  await sleep(50);
  const later = await find(behind.id);
  assert.ok(later.lag.seconds > behind.lag.seconds || later.lag.changes < behind.lag.changes);
  slow.socket.resume();
  window.socket.resume();
  await eventually(async () => (await list(server)).clients.every(({ lag, queued }) => lag.changes === 0 && lag.seconds === 0 && queued === 0), 'all have everything again');
});

/* ---- pages ---- */

test('pages by id have who stays exactly once, while others come and go', async (t) => {
  const server = await serverFor(t);
  const stay = [];
  for (let i = 0; i < 40; i++) {
    stay.push(await reader(t, server));
    if (i % 2) await (await reader(t, server)).close();
  }
  const ids = new Set((await list(server)).clients.map(({ id }) => id));
  assert.equal(ids.size, stay.length);
  let turns = 0, done = false;
  const visitors = (async () => {
    while (!done) {
      const visitor = await Client.open(server, { headers: bearer(READER) });
      await visitor.open('E/list');
      visitor.destroy();
      turns++;
    }
  })();
  while (turns < 60) {
    const seen = [];
    let after = 0, more = true;
    while (more) {
      const page = await list(server, `?limit=7&after=${after}`);
      assert.ok(page.clients.length <= 7);
      seen.push(...page.clients.map(({ id }) => id));
      after = page.clients.at(-1)?.id ?? after;
      more = page.more;
    }
    assert.deepEqual(seen, [...seen].sort((a, b) => a - b), 'in order');
    assert.equal(new Set(seen).size, seen.length, 'none twice');
    for (const id of ids) assert.ok(seen.includes(id), `${id} stays, and is missing`);
  }
  done = true;
  await visitors;
});

test('a client that goes in the middle of a list, and a server that stops in one, are fine', async (t) => {
  const server = await serverFor(t);
  for (let i = 0; i < 200; i++) await reader(t, server);
  const all = Array.from({ length: 16 }, () => ask(server, '/v1/clients?limit=1000'));
  const gone = Array.from({ length: 20 }, async () => {
    const controller = new AbortController();
    const answer = fetch(`${server.http}/v1/clients?limit=1000`, { headers: bearer(ADMIN), signal: controller.signal });
    setImmediate(() => controller.abort());
    await answer.catch(() => {});
  });
  const answers = await Promise.all(all);
  assert.ok(answers.some(({ status }) => status === 200), 'some are made');
  for (const answer of answers) {
    if (answer.status === 200) assert.equal(answer.json.clients.length, 200);
    else checkAnswer({ ...answer, body: answer.text }, 'queue-full');
  }
  await Promise.all(gone);
  const last = Array.from({ length: 8 }, () => ask(server, '/v1/clients?limit=1000').catch(() => {}));
  await server.terminate();
  await Promise.all(last);
});

test('lists that nobody reads keep nobody from another list, and from the end of a client', async (t) => {
  const server = await serverFor(t);
  const readers = [];
  const where = { field: 'x', in: Array.from({ length: 200 }, (_, i) => `value ${i}`) };
  for (let i = 0; i < 6; i++) {
    const client = await reader(t, server);
    for (let j = 0; j < 100; j++) client.subscribe('E/list', { key: `${'k'.repeat(240)}${j}`, where });
    readers.push(client);
  }
  const path = '/v1/clients?limit=1000', size = 700_000;
  await eventually(async () => (await ask(server, path)).text.length > size, 'a long list');
  /* More than the system takes for somebody who does not read, one request behind the other. */
  for (let i = 0; i < 16; i++) {
    const socket = connect({ host: server.host, port: server.port });
    t.after(() => socket.destroy());
    socket.on('error', () => {});
    socket.pause();
    socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${ADMIN}\r\n\r\n`.repeat(30));
  }
  const waiting = async () => Number(/^stele_http_answer_bytes (\d+)$/m.exec((await ask(server, '/metrics', { base: server.healthUrl })).text)[1]);
  let last = -1;
  await eventually(async () => {
    const before = last;
    await sleep(100);
    last = await waiting();
    return last === before && last >= 16 * size;
  }, 'all sixteen wait for their readers');
  /* Of the last ones some may still be in the making, on a machine with much else to do. */
  const taken = async (path, options) => {
    let answer;
    await eventually(async () => (answer = await ask(server, path, options)).status === 200, `${path} is answered`);
    return answer;
  };
  const { clients } = (await taken('/v1/clients')).json;
  assert.equal(clients.length, readers.length);
  await taken(`/v1/clients/${clients[0].id}`, { method: 'DELETE' });
});

/* ---- who may ---- */

test('only the scope admin sees and ends clients', async (t) => {
  const server = await serverFor(t);
  const client = await reader(t, server);
  await client.open('E/list');
  const { id } = await only(server, '1');
  for (const base of [server.http, server.healthUrl]) {
    for (const [method, path] of [['GET', '/v1/clients'], ['GET', `/v1/clients/${id}`], ['DELETE', `/v1/clients/${id}`]]) {
      const nobody = await ask(server, path, { token: null, method, base });
      checkAnswer({ ...nobody, body: nobody.text }, 'token-missing');
      for (const token of [READER, FEEDER]) {
        const answer = await ask(server, path, { token, method, base });
        checkAnswer({ ...answer, body: answer.text }, 'scope-missing');
      }
      const stranger = await ask(server, path, { token: 'nobody-0123456789abcdef', method, base });
      checkAnswer({ ...stranger, body: stranger.text }, 'invalid-static-token');
    }
    assert.equal((await list(server, '', { base })).clients[0].id, id, 'with the scope, by both addresses');
  }
  await client.silence();
  assert.equal((await ask(server, `/v1/clients/${id}`, { method: 'DELETE', base: server.healthUrl })).status, 200);
  await checkFatal(client, 'client-ended');
});

test('without authentication the health address shows the list, and nobody ends anybody', async (t) => {
  const server = await Server.forTest(t, { config: { exports } });
  const client = await clientFor(t, server);
  await client.open('E/list');
  const all = await list(server, '', { token: null, base: server.healthUrl });
  assert.deepEqual(all.clients.map(({ subject, protocol }) => [subject, protocol]), [['anonymous', '1']]);
  for (const base of [server.http, server.healthUrl]) {
    for (const [method, path] of [['GET', '/v1/clients'], ['DELETE', `/v1/clients/${all.clients[0].id}`]]) {
      if (base === server.healthUrl && method === 'GET') continue;
      const answer = await ask(server, path, { token: null, method, base });
      checkAnswer({ ...answer, body: answer.text }, 'scope-missing');
    }
  }
  await client.silence();
});

test('what cannot be answered is refused', async (t) => {
  const server = await serverFor(t);
  const wrong = async (path, code, method) => {
    const answer = await ask(server, path, { method });
    checkAnswer({ ...answer, body: answer.text }, code);
    return answer;
  };
  for (const query of ['limit=0', 'limit=1001', 'limit=x', 'limit=', 'after=-1', 'after=x', 'after=', `after=${'9'.repeat(30)}`, 'x=1', 'after=1&after=2', 'limit=3&limit=3']) {
    await wrong(`/v1/clients?${query}`, 'invalid-parameter');
  }
  for (const id of ['0', '17', 'x', '-1', '', '9'.repeat(30)]) {
    await wrong(`/v1/clients/${id}`, 'not-found');
    await wrong(`/v1/clients/${id}`, 'not-found', 'DELETE');
  }
  assert.equal((await wrong('/v1/clients', 'method-not-allowed', 'DELETE')).headers.allow, 'GET, HEAD');
  assert.equal((await wrong('/v1/clients/1', 'method-not-allowed', 'POST')).headers.allow, 'GET, HEAD, DELETE');
  assert.equal((await ask(server, '/v1/clients', { method: 'HEAD' })).status, 200);
  assert.equal((await list(server, '?limit=1000')).more, false);
  assert.equal((await ask(server, '/v1/clientsx')).status, 404);
});

/* ---- the end of one ---- */

test('an ended client is told why in its own protocol, and the audit by whom', async (t) => {
  const server = await serverFor(t);
  const one = await reader(t, server);
  await one.open('E/list');
  const two = await NamedClient.connect(t, server.port, { headers: bearer(READER) });
  await two.open('mine', { view: 'E/list' });
  const stream = await EventStream.open(`${server.http}/v1/views/E/list/live`, { headers: bearer(READER) });
  await stream.complete();
  const producer = await Ingest.open(`${server.ws}/v1/ingest?hs_token=${FEEDER}`);
  await producer.send({ mutations: [m('a', 1)] });
  const stranger = await clientFor(t, server, { path: '/?auth=message' });
  const other = await reader(t, server);
  await other.open('E/list');
  const { clients } = await list(server);
  const ended = clients.slice(0, 5);
  for (const { id, protocol } of ended) {
    const answer = await ask(server, `/v1/clients/${id}`, { method: 'DELETE' });
    assert.deepEqual([answer.status, answer.json.id, answer.json.protocol], [200, id, protocol]);
  }
  await one.expect('upsert');
  checkFields(await checkFatal(one, 'client-ended', { message: /administrator/ }), 'client-ended');
  await two.until(() => two.closed, 'the close');
  assert.deepEqual([two.closed.code, two.closed.reason.split(':')[0]], [1008, 'client-ended']);
  assert.deepEqual([two.errors[0].code, two.errors[0].fatal, two.errors[0].retryable], ['client-ended', true, true]);
  const last = await stream.upTo(({ name }) => name === 'end', 'the end');
  assert.ok(last.some(({ name, json }) => name === 'error' && json.code === 'client-ended'), JSON.stringify(last));
  await eventually(() => producer.end, 'the end of the producer');
  assert.equal(producer.end.code, 1008);
  assert.deepEqual([producer.others[0].nack, producer.others[0].error.code], [null, 'client-ended']);
  await checkFatal(stranger, 'client-ended');
  await eventually(async () => (await list(server)).clients.length === 1, 'the others are gone');
  for (const { id } of ended) {
    assert.match(server.stderr, new RegExp(`client-ended client=127.0.0.1 kind=http [^\\n]*subject="root"[^\\n]* ended=${id}\\b`));
    assert.match(server.stderr, new RegExp(`session-ended client=127.0.0.1 [^\\n]*id=${id} [^\\n]*code=client-ended`));
    assert.equal((await ask(server, `/v1/clients/${id}`, { method: 'DELETE' })).status, 404, 'once');
  }
  await feed(server, [m('b', 2)]);
  assert.equal((await other.until(({ key }) => key === 'b')).length, 1, 'nobody else is touched');
});

test('a client that does not read is ended, too', async (t) => {
  const server = await serverFor(t);
  const slow = await reader(t, server);
  await slow.open('E/append');
  slow.socket.pause();
  const { id } = await only(server, '1');
  await eventually(async () => {
    await feed(server, Array.from({ length: 50 }, () => m('a', 1, { patch: { big: 'x'.repeat(20_000) } })));
    return (await only(server, '1')).queued > 0;
  }, 'its socket is full');
  assert.equal((await ask(server, `/v1/clients/${id}`, { method: 'DELETE' })).status, 200);
  const ending = await ask(server, `/v1/clients/${id}`);
  if (ending.status === 200) assert.deepEqual([ending.json.state, ending.json.subscription_count], ['ending', 0]);
  await eventually(async () => (await list(server)).clients.length === 0, 'it is cut off');
});

test('the published client of version 1 comes back by itself', async (t) => {
  const server = await serverFor(t);
  const npm = npmClient(t, server, { headers: bearer(READER), maxReconnectAttempts: 5 });
  await npm.manager.connect();
  npm.manager.subscribe({ view: 'E/list' });
  await npm.until(({ frames }) => frames.some(({ op }) => op === 'snapshot'), 'its rows');
  const { id } = await only(server, '1');
  assert.equal((await ask(server, `/v1/clients/${id}`, { method: 'DELETE' })).status, 200);
  await npm.until(({ issues }) => issues.some(({ error }) => error === 'client-ended'), 'the reason');
  await npm.until(({ states }) => states.lastIndexOf('connected') > 1, 'another connection');
  await eventually(async () => (await list(server)).clients.some((it) => it.id > id && it.subscriptions.length === 1), 'it is back, with its subscription');
});

test('the published client of version 2 comes back by itself, and misses nothing', { skip: missing }, async (t) => {
  const server = await serverFor(t);
  const sdk = PythonSdk.start(t);
  await feed(server, [m('a', 1)]);
  await sdk.do('connect', { url: `${server.ws}/`, views: ['E/append'], tokens: [{ token: READER }] });
  await sdk.do('watch', { name: 'events', view: 'E/append' });
  await sdk.until(() => sdk.of('events').length > 0, 'the first event');
  const { id } = await only(server, '2');
  assert.equal((await ask(server, `/v1/clients/${id}`, { method: 'DELETE' })).status, 200);
  await feed(server, [m('b', 2)]);
  await eventually(async () => (await list(server)).clients.some((it) => it.id > id && it.protocol === '2' && it.subscriptions.length === 1), 'it is back, with its subscription');
  await sdk.until(() => JSON.stringify(sdk.of('events')).includes('"b"'), 'what came meanwhile');
});

/* ---- many ---- */

/** Frames one after the other: the milliseconds from each request to its frame at a subscriber. */
async function roundTrips(server, subscriber, count) {
  const times = [];
  for (let i = 0; i < count; i++) {
    const key = `trip${i}`, from = performance.now();
    await Promise.all([feed(server, [m(key, i)]), subscriber.until((frame) => frame.key === key, key)]);
    times.push(performance.now() - from);
  }
  times.sort((a, b) => a - b);
  return { median: times[count >> 1], longest: times.at(-1) };
}

const MANY = Number(process.env.STELE_CLIENTS ?? 2000);

/**
 * Whole lists, one after the other, read by a thread of its own: of each the number of ids, and of how many positions of
 * the log a page of it is, by the clients that F/list has nothing for.
 */
async function listInLoop(server) {
  const worker = new Worker(
    `const { parentPort, workerData: { url, headers } } = require('node:worker_threads');
     let over = false;
     parentPort.on('message', () => (over = true));
     (async () => {
       const lists = [];
       while (!over) {
         const ids = new Set();
         let positions = 0;
         let after = 0, more = true;
         while (more) {
           const text = await (await fetch(url + '?limit=1000&after=' + after, { headers })).text();
           for (const [, id] of text.matchAll(/\\{"id":(\\d+),"address"/g)) ids.add((after = id));
           positions = Math.max(positions, new Set(Array.from(text.matchAll(/"view":"F\\/list".*?"change":(\\d+)/g), ([, change]) => change)).size);
           more = text.endsWith('"more":true}\\n');
         }
         if (lists.push({ count: ids.size, positions }) === 1) parentPort.postMessage(lists);
       }
       parentPort.postMessage(lists);
     })();`,
    { eval: true, workerData: { url: `${server.http}/v1/clients`, headers: bearer(ADMIN) } },
  );
  await once(worker, 'message'); /* the first one */
  return async () => {
    const all = once(worker, 'message');
    worker.postMessage('over');
    const [found] = await all;
    await worker.terminate();
    return found;
  };
}

test(`the list of ${MANY} clients, asked for in a loop, is made in steps, between which others are served`, async (t) => {
  const server = await serverFor(t, { max_connections: MANY + 100, max_connections_per_ip: MANY + 100 });
  for (let i = 0; i < MANY; i += 100) {
    const clients = await Promise.all(Array.from({ length: 100 }, () => reader(t, server)));
    await Promise.all(clients.map((client, j) => client.open('F/list', j % 2 ? { take: 5 } : {})));
  }
  const subscriber = await reader(t, server);
  await subscriber.open('E/list');
  const trips = 300;
  const alone = await roundTrips(server, subscriber, trips);
  const pause = (await ask(server, '/status', { base: server.healthUrl })).json.process.longest_pause_ms;
  const end = await listInLoop(server);
  const beside = await roundTrips(server, subscriber, trips);
  const lists = await end();
  assert.ok(lists.length > 0 && lists.every(({ count }) => count === MANY + 1), `all clients in each list: ${lists.map(({ count }) => count)}`);
  assert.ok(lists.some(({ positions }) => positions > 1), `no change was told while a page of any of ${lists.length} lists was made`);
  const after = (await ask(server, '/status', { base: server.healthUrl })).json.process.longest_pause_ms;
  const tell = ({ median, longest }) => `${median.toFixed(1)} ms at the median, ${longest.toFixed(1)} at most`;
  t.diagnostic(`a frame takes ${tell(alone)}; beside ${lists.length} lists of ${MANY} ${tell(beside)}; longest pause of the loop ${pause} ms before, ${after} ms in all`);
});
