// Usage events at a real endpoint: what is told, that it adds up, and that nothing is lost while the
// endpoint is away or the server is killed.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { join } from 'node:path';
import test from 'node:test';
import { clientFor } from './lib/client.js';
import { Endpoint } from './lib/endpoint.js';
import { post, tryPost } from './lib/feed.js';
import { Server, check, eventually, patience, scratch, sql } from './lib/server.js';
import { fillDisk, smallDisk } from './lib/small_disk.js';
import { bearer, newKey, tokenOf } from './lib/token.js';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const WHO = { deployment_id: null, metering_key: 'dev', subject: 'anonymous', key_class: null };

const config = {
  exports: {
    Quake: {
      views: {
        slim: { fields: ['mag'] },
        strongest: { pipeline: [{ sort: { by: 'mag', order: 'desc' } }] },
      },
    },
  },
};

const quake = (key, mag, pad = '') => ({ export: 'Quake', key, patch: { mag, pad } });
const quakes = (from, to, pad) => Array.from({ length: to - from }, (_, i) => quake(`q${from + i}`, from + i, pad));

async function start(t, endpoint, options = {}) {
  const set = { usage_url: endpoint.url, ...options.set };
  return Server.forTest(t, { config, ...options, set });
}

const rest = (server) => sql(server.db, 'SELECT * FROM usage_event ORDER BY id');
const spooled = async (server) => (await sql(server.db, 'SELECT count(*) AS n FROM usage_event'))[0].n;

/** The value of a metric of the running server. */
async function metric(server, name) {
  const { text } = await server.get('/metrics');
  return Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)[1]);
}

/** Everything that was asked before has been answered. */
async function fence(client) {
  client.subscribe('\u0001fence');
  await client.until(({ type, message }) => type === 'error' && message.includes('\u0001fence'), 'the fence');
}

/** What a client really got of a view, by the rule of docs/usage.md. */
function count(client, view) {
  const snapshot = { rows: 0, messages: 0, bytes: 0 };
  const update = { messages: 0, bytes: 0 };
  for (const { json, bytes } of client.messages) {
    if ((json.entity ?? json.view) !== view) continue;
    /* A list's deletes without a cursor are told along with a snapshot. */
    const old = json.op === 'delete' && json.seq === undefined && view === 'Quake/list';
    const sum = json.op === 'snapshot' || old ? snapshot : update;
    sum.messages++;
    sum.bytes += bytes;
    if (json.op === 'snapshot') snapshot.rows += json.data.length;
  }
  return { snapshot, update };
}

function assertSums(endpoint, client, view) {
  const mine = count(client, view);
  const { events: snapshots, ...snapshot } = endpoint.sums('snapshot_sent', view);
  const { events: updates, rows, ...update } = endpoint.sums('update_sent', view);
  assert.deepEqual(snapshot, mine.snapshot, `snapshots of ${view}`);
  assert.deepEqual(update, mine.update, `updates of ${view}`);
  assert.equal(rows, 0);
  return { snapshots, updates };
}

test('every event is told, once, and the sums are what the client got', async (t) => {
  const endpoint = await Endpoint.forTest(t);
  const server = await start(t, endpoint);
  await post(server, quakes(0, 300, 'x'.repeat(200)));
  const client = await clientFor(t, server, { windows: true });
  await client.open('Quake/list'); /* several batches, compressed */
  await client.open('Quake/append', { withSnapshot: true });
  await client.open('Quake/state', { key: 'q7' });
  await client.open('Quake/strongest', { take: 20 });
  await client.open('Quake/slim', { take: 150, skip: 10 });
  await client.open('Quake/slim', { key: 'q3' });
  client.subscribe('Quake/unknown');
  await client.expect('error');
  for (let i = 0; i < 30; i++) await post(server, [quake('q7', 1000 + i), quake(`q${i}`, 500 + i), quake('q3', i)]);
  await post(server, { export: 'Quake', key: 'q299', op: 'delete' });
  await post(server, quake('end', 5000, 'y'.repeat(100_000))); /* a message of several fragments */
  const last = new Set(['Quake/list', 'Quake/append', 'Quake/strongest']);
  await client.until(({ entity, key }) => key === 'end' && last.delete(entity) && !last.size);
  client.send({ type: 'unsubscribe', view: 'Quake/append' });
  client.subscribe('Quake/list', { snapshotLimit: 5 }); /* replaces the first one */
  await client.until(({ op, entity, complete }) => op === 'snapshot' && entity === 'Quake/list' && complete);
  await fence(client);
  await client.close();
  await endpoint.until(() => endpoint.events('connection_closed').length, 'the end of the connection');
  const views = ['Quake/list', 'Quake/append', 'Quake/state', 'Quake/strongest', 'Quake/slim'];
  for (const view of views) assertSums(endpoint, client, view);
  assert.equal(endpoint.sums('snapshot_sent', 'Quake/list').events, 2, 'an event for each snapshot');
  assert.equal(endpoint.repeated, 0);

  const [{ client_id: id }] = endpoint.events('connection_established');
  assert.match(id, UUID);
  for (const { event_id, occurred_at_ms, event } of endpoint.taken.values()) {
    assert.match(event_id, UUID);
    assert.ok(Math.abs(Date.now() - occurred_at_ms) < 600_000);
    assert.equal(event.client_id, id);
    for (const [name, value] of Object.entries(WHO)) assert.equal(event[name], value, name);
  }
  assert.deepEqual(endpoint.events('connection_established'), [
    { type: 'connection_established', client_id: id, ...WHO, remote_addr: '127.0.0.1' },
  ]);
  const created = endpoint.events('subscription_created').map(({ view_id }) => view_id);
  const removed = endpoint.events('subscription_removed').map(({ view_id }) => view_id);
  const subscribed = [...views, 'Quake/slim', 'Quake/list'].sort();
  assert.deepEqual(created.sort(), subscribed);
  assert.deepEqual(removed.sort(), subscribed);
  const [closed] = endpoint.events('connection_closed');
  assert.equal(closed.subscription_count, 5);
  assert.ok(closed.duration_secs > 0 && closed.duration_secs < 600);
  for (const { method, path, headers, size, events } of endpoint.posts) {
    assert.equal(`${method} ${path}`, 'POST /usage');
    assert.equal(headers['content-type'], 'application/json');
    assert.equal(headers.authorization, undefined);
    assert.equal(size, 1, 'nothing but events');
    assert.ok(events.length >= 1 && events.length <= 50);
  }
  await eventually(async () => (await spooled(server)) === 0, 'an empty spool');
  for (const name of ['events', 'bytes'])
    await eventually(async () => (await metric(server, `stele_usage_spool_${name}`)) === 0, async () => `no ${name} in the spool`);
  assert.equal(await metric(server, 'stele_usage_events_delivered_total'), endpoint.taken.size);
  assert.equal(await metric(server, 'stele_usage_events_dropped_total'), 0);
  await check(server.db);
});

test('updates are summed over ten seconds while the connection lasts, and a resume is a snapshot', async (t) => {
  const endpoint = await Endpoint.forTest(t);
  const server = await start(t, endpoint);
  await post(server, quakes(0, 10));
  const first = await clientFor(t, server);
  const { seq } = await first.open('Quake/list');
  for (let i = 0; i < 100; i++) await post(server, quake('q1', i));
  await first.until(({ data }) => data?.mag === 99);
  await endpoint.until(() => endpoint.sums('update_sent', 'Quake/list').messages === 101, 'the sum of a first interval');
  assert.equal(endpoint.events('update_sent').length, 1);
  assert.equal(endpoint.events('connection_closed').length, 0);
  const second = await clientFor(t, server, { windows: true });
  await second.open('Quake/list', { after: seq });
  await second.open('Quake/strongest', { after: seq });
  await second.close();
  await first.close();
  await endpoint.until(() => endpoint.events('connection_closed').length === 2, 'both ends');
  const mine = [count(first, 'Quake/list').snapshot, count(second, 'Quake/list').snapshot];
  const { rows, messages, bytes } = endpoint.sums('snapshot_sent', 'Quake/list');
  assert.deepEqual(
    { rows, messages, bytes },
    { rows: mine[0].rows + mine[1].rows, messages: mine[0].messages + mine[1].messages, bytes: mine[0].bytes + mine[1].bytes },
  );
  assert.equal(mine[1].rows, 1);
  assertSums(endpoint, second, 'Quake/strongest');
});

test('who it was comes from the token, also when that is refreshed and other rows are shown', async (t) => {
  const endpoint = await Endpoint.forTest(t);
  const key = newKey();
  const exports = { Quake: { ...config.exports.Quake, scope: 'owner' } };
  const server = await start(t, endpoint, { config: { exports, auth: { mode: 'signed', keys: [key.x] } } });
  const feeder = bearer(tokenOf(key, { sub: 'feeder' }));
  const feed = async (list) => assert.equal((await tryPost(server, list, feeder)).status, 200);
  await feed(Array.from({ length: 200 }, (_, i) => ({ ...quake(`q${i}`, i), patch: { mag: i, owner: ['a', 'b', ''][i % 3] } })));
  const claims = { sub: 'user', deployment_id: 'blue', key_class: 'publishable', metering_key: 'first', row_scopes: ['a'] };
  const client = await clientFor(t, server, { windows: true, headers: bearer(tokenOf(key, claims)) });
  await client.open('Quake/list');
  await client.open('Quake/strongest', { take: 50 });
  await feed([{ export: 'Quake', key: 'q0', patch: { mag: 900 } }]);
  await fence(client);
  client.send({ type: 'refresh_auth', token: tokenOf(key, { ...claims, metering_key: 'second', row_scopes: ['b'] }) });
  await client.until(({ success }) => success);
  const open = new Set(['Quake/list', 'Quake/strongest']);
  await client.until(({ op, entity, complete }) => op === 'snapshot' && complete && open.delete(entity) && !open.size);
  await feed([{ export: 'Quake', key: 'q1', patch: { mag: 901 } }]);
  const live = new Set(['Quake/list', 'Quake/strongest']);
  await client.until(({ entity, key: k, data }) => k === 'q1' && data?.mag === 901 && live.delete(entity) && !live.size);
  await client.close();
  await endpoint.until(() => endpoint.events('connection_closed').length, 'the end of the connection');
  for (const view of ['Quake/list', 'Quake/strongest']) {
    const mine = count(client, view);
    const [snapshot, update] = [endpoint.sums('snapshot_sent', view), endpoint.sums('update_sent', view)];
    /* What the client loses with its old token counts as part of the new snapshot; all in all it is the same. */
    assert.equal(snapshot.rows, mine.snapshot.rows, view);
    assert.equal(snapshot.messages + update.messages, mine.snapshot.messages + mine.update.messages, view);
    assert.equal(snapshot.bytes + update.bytes, mine.snapshot.bytes + mine.update.bytes, view);
  }
  const told = endpoint.events();
  for (const { deployment_id, subject, key_class } of told) assert.deepEqual([deployment_id, subject, key_class], ['blue', 'user', 'publishable']);
  assert.equal(told.find(({ type }) => type === 'connection_established').metering_key, 'first');
  assert.equal(told.find(({ type }) => type === 'connection_closed').metering_key, 'second');
  assert.deepEqual(told.filter(({ type }) => type === 'subscription_created').map(({ metering_key }) => metering_key), ['first', 'first']);
});

test('a client that a limit cuts off is told for what it got, and for no more', async (t) => {
  const endpoint = await Endpoint.forTest(t);
  const server = await start(t, endpoint, { set: { max_bytes_per_minute: 150_000 } });
  const pad = () => randomBytes(1500).toString('base64'); /* does not compress */
  await post(server, Array.from({ length: 500 }, (_, i) => quake(`q${i}`, i, pad())));
  const client = await clientFor(t, server);
  client.subscribe('Quake/state', { key: 'q1' });
  client.subscribe('Quake/list');
  const { code } = await client.closed;
  assert.equal(code, 1008);
  await endpoint.until(() => endpoint.events('connection_closed').length, 'the end of the connection');
  for (const view of ['Quake/list', 'Quake/state']) {
    const mine = count(client, view);
    const { rows, messages, bytes } = endpoint.sums('snapshot_sent', view);
    const update = endpoint.sums('update_sent', view);
    /* The last message may have been cut: its first fragments were sent, too. */
    assert.equal(messages, mine.snapshot.messages, view);
    assert.ok(bytes >= mine.snapshot.bytes && bytes <= 150_000, `${view}: ${bytes} bytes told, ${mine.snapshot.bytes} came`);
    assert.deepEqual([update.messages, update.bytes], [mine.update.messages, mine.update.bytes], view);
    assert.ok(rows >= mine.snapshot.rows && rows <= mine.snapshot.rows + 100, `${view}: ${rows} rows told, ${mine.snapshot.rows} came`);
  }
});

test('a client that leaves in the middle of its snapshot is told for what it was given', async (t) => {
  const endpoint = await Endpoint.forTest(t);
  const server = await start(t, endpoint);
  const pad = () => randomBytes(45_000).toString('base64'); /* does not compress; 24 MB in all */
  for (let i = 0; i < 400; i += 50) await post(server, Array.from({ length: 50 }, (_, j) => quake(`q${i + j}`, j, pad())));
  const client = await clientFor(t, server);
  client.subscribe('Quake/list');
  client.socket.pause();
  /* The connection takes no more when what was written stays the same for a second. */
  let written = -1;
  for (let now = 0; now !== written || !now; now = await metric(server, 'stele_sent_bytes_total')) {
    written = now;
    await new Promise((done) => setTimeout(done, 1000));
  }
  client.destroy();
  await endpoint.until(() => endpoint.events('connection_closed').length, 'the end of the connection');
  const { rows, messages, bytes } = endpoint.sums('snapshot_sent', 'Quake/list');
  assert.ok(rows > 0 && rows < 400 && messages < 400, `${rows} rows, ${messages} messages`);
  const share = bytes / rows;
  assert.ok(share > 30_000 && share < 70_000, `${bytes} bytes for ${rows} rows`);
  assert.ok(bytes <= written && bytes > written * 0.8, `${bytes} bytes told, ${written} written`);
});

test('without an endpoint there are no events', async (t) => {
  const server = await Server.forTest(t, { config });
  const client = await clientFor(t, server);
  await client.open('Quake/list');
  await client.close();
  await post(server, quake('a', 1));
  await server.terminate();
  assert.equal(await spooled(server), 0);
  assert.doesNotMatch(server.stderr, /^\S+ \S+ usage /m);
});

for (const [name, behave] of Object.entries({
  'answers 500': { status: 500 },
  'answers 401': { status: 401 },
  'sends elsewhere': { status: 307, headers: { location: '/elsewhere' } },
  'resets connections': 'reset',
  'asks for patience': { status: 503, headers: { 'retry-after': '1' } },
})) {
  test(`an endpoint that ${name} and comes to its senses gets everything`, async (t) => {
    const endpoint = await Endpoint.forTest(t, { behave });
    const server = await start(t, endpoint);
    await post(server, quakes(0, 10));
    for (let i = 0; i < 20; i++) {
      const client = await clientFor(t, server);
      await client.open('Quake/list');
      await client.close();
    }
    await endpoint.until(() => endpoint.posts.length >= 3, 'three attempts');
    assert.equal(endpoint.taken.size, 0);
    assert.ok((await spooled(server)) > 0);
    endpoint.behave = 'ok';
    await endpoint.until(() => endpoint.events('connection_closed').length === 20, 'all ends');
    assert.equal(endpoint.events('connection_established').length, 20);
    assert.equal(endpoint.events('subscription_created').length, 20);
    assert.equal(endpoint.sums('snapshot_sent').rows, 200);
    assert.equal(endpoint.repeated, 0);
    assert.match(server.stderr, /usage delivery-failed .*failures=1 /);
    assert.match(server.stderr, /usage delivery-resumed failures=/);
    await eventually(async () => (await spooled(server)) === 0, 'an empty spool');
    assert.ok((await metric(server, 'stele_usage_requests_failed_total')) >= 2);
  });
}

test('an endpoint that takes its time gets everything once, several requests at a time', async (t) => {
  const endpoint = await Endpoint.forTest(t, { behave: { late: 1500 } });
  const server = await start(t, endpoint);
  await post(server, quakes(0, 10));
  for (let i = 0; i < 60; i++) {
    const client = await clientFor(t, server);
    await client.open('Quake/list');
    await client.close();
  }
  await endpoint.until(() => endpoint.events('connection_closed').length === 60, 'all ends');
  assert.equal(endpoint.sums('snapshot_sent').rows, 600);
  assert.equal(endpoint.repeated, 0);
  assert.equal(await metric(server, 'stele_usage_requests_failed_total'), 0);
});

test('an endpoint that hangs slows nobody, and a stop waits no longer for it than for a client', async (t) => {
  const endpoint = await Endpoint.forTest(t, { behave: 'hang' });
  const server = await start(t, endpoint);
  let slowest = 0;
  let over = false;
  const watching = (async () => {
    while (!over) {
      const begun = performance.now();
      await server.get('/health');
      slowest = Math.max(slowest, performance.now() - begun);
    }
  })();
  for (let i = 0; i < 10; i++) {
    await post(server, quakes(0, 100));
    for (let j = 0; j < 20; j++) {
      const client = await clientFor(t, server);
      await client.open('Quake/list');
      await client.close();
    }
  }
  await endpoint.until(() => endpoint.posts.length > 0, 'an attempt');
  over = true;
  await watching;
  t.diagnostic(`the slowest answer to /health took ${slowest.toFixed(1)} ms`);
  assert.ok(slowest < Math.min(patience(4000), 14_000), 'the loop waited for the endpoint'); /* which is given 15 s */
  await eventually(async () => (await rest(server)).filter(({ event }) => JSON.parse(event).type === 'connection_closed').length === 200, 'all events in the spool');
  const pause = await metric(server, 'stele_loop_longest_pause_seconds');
  t.diagnostic(`the longest pause of the loop was ${(pause * 1000).toFixed(1)} ms`);
  assert.ok(pause < Math.min(patience(4), 14));
  const begun = performance.now();
  await server.terminate();
  t.diagnostic(`the stop took ${(performance.now() - begun).toFixed(0)} ms`);
  assert.ok(performance.now() - begun < patience(10_000));
  endpoint.behave = 'ok';
  await server.restart();
  await endpoint.until(() => endpoint.events('connection_closed').length === 200, 'all ends');
  assert.equal(endpoint.events('connection_established').length, 200);
});

test('kill -9: what was in the spool arrives, each event with its id, and what was taken is not lost', async (t) => {
  const endpoint = await Endpoint.forTest(t);
  const server = await start(t, endpoint);
  const seen = new Map();
  await post(server, quakes(0, 5));
  for (let round = 0; round < 6; round++) {
    /* Alive, dead, answering too late, by turns; killed in the middle of it. */
    endpoint.behave = ['ok', { status: 500 }, 'hang', 'reset', 'ok', (body, it) => (it.posts.length % 2 ? 'ok' : { status: 503 })][round];
    for (let i = 0; i < 15; i++) {
      const client = await clientFor(t, server);
      await client.open('Quake/list');
      await client.close();
    }
    await eventually(async () => (await rest(server)).length + endpoint.taken.size > seen.size, 'new events');
    await server.kill9();
    for (const { event_id, event } of await rest(server)) seen.set(event_id, event);
    for (const event_id of endpoint.taken.keys()) seen.set(event_id, seen.get(event_id));
    await check(server.db);
    await server.restart();
  }
  endpoint.behave = 'ok';
  await endpoint.until(() => [...seen.keys()].every((id) => endpoint.taken.has(id)), 'every event that was ever in the spool');
  await eventually(async () => (await spooled(server)) === 0, 'an empty spool');
  for (const [id, event] of seen) if (event) assert.deepEqual(endpoint.taken.get(id).event, JSON.parse(event));
  t.diagnostic(`${seen.size} events, ${endpoint.repeated} of them sent again`);
});

test('a full spool drops the oldest and says how many', async (t) => {
  const endpoint = await Endpoint.forTest(t, { behave: { status: 500 } });
  const server = await start(t, endpoint, { set: { usage_spool_rows: 10 } });
  for (let i = 0; i < 30; i++) {
    const client = await clientFor(t, server);
    await client.silence();
    await client.close();
  }
  await eventually(async () => (await metric(server, 'stele_usage_events_spooled_total')) === 60, 'all events spooled');
  const rows = await rest(server);
  assert.equal(rows.length, 10);
  assert.equal(JSON.parse(rows[9].event).type, 'connection_closed');
  const [state] = await sql(server.db, 'SELECT rows, dropped FROM usage_state');
  assert.deepEqual(state, { rows: 10, dropped: 50 });
  assert.equal(await metric(server, 'stele_usage_events_dropped_total'), 50);
  assert.equal(await metric(server, 'stele_usage_spool_events'), 10);
  assert.match(server.stderr, /usage events-dropped events=/);
  endpoint.behave = 'ok';
  await endpoint.until(() => rows.every(({ event_id }) => endpoint.taken.has(event_id)), 'the ten that are left');
  await check(server.db);
});

test('while the disk is full events wait in memory, and none is lost', async (t) => {
  let server;
  const folder = smallDisk(t, 24, () => server?.discard());
  if (!folder) return;
  const endpoint = await Endpoint.forTest(t);
  server = await Server.start({ db: join(folder, 'stele.db'), config, set: { usage_url: endpoint.url } });
  fillDisk(folder, 2);
  let full = false;
  for (let i = 0; i < 500 && !full; i++) full = (await tryPost(server, quakes(i * 20, i * 20 + 20, 'x'.repeat(2000)))).status === 503;
  assert.ok(full, 'the disk never became full');
  /* Whatever room was left is used up by the events themselves. */
  let clients = 0;
  for (; clients < 4000 && !/usage spool-failed/.test(server.stderr); clients++) {
    const client = await clientFor(t, server);
    for (let i = 0; i < 50; i++) client.subscribe('Quake/state', { key: `${i}` });
    await client.close();
  }
  assert.match(server.stderr, /usage spool-failed /);
  rmSync(join(folder, 'filler'));
  await endpoint.until(() => endpoint.events('connection_closed').length === clients, `the ends of ${clients} clients`);
  assert.equal(endpoint.events('connection_established').length, clients);
  assert.equal(endpoint.events('subscription_removed').length, clients * 50);
  assert.equal(await metric(server, 'stele_usage_events_dropped_total'), 0);
  await server.terminate();
  await check(server.db);
});

test('an event that the endpoint refuses holds up no other, stays, and is tried again after a restart', async (t) => {
  const refused = (body) => (body.events.some(({ event }) => event.view_id === 'Quake/state') ? { status: 400 } : 'ok');
  const endpoint = await Endpoint.forTest(t, { behave: refused });
  const server = await start(t, endpoint);
  await post(server, quakes(0, 5));
  const client = await clientFor(t, server);
  for (let i = 0; i < 10; i++) await client.open('Quake/list', { snapshotLimit: i + 1 });
  await client.open('Quake/state', { key: 'q1' });
  await client.close();
  await endpoint.until(() => endpoint.events('connection_closed').length, 'what comes behind the refused ones');
  assert.equal(endpoint.events('subscription_created').length, 10);
  await eventually(async () => (await metric(server, 'stele_usage_events_refused_total')) === 4, 'four refused');
  await eventually(async () => (await spooled(server)) === 4, 'all others removed');
  assert.match(server.stderr, /usage event-refused status=400 id=/);
  endpoint.behave = 'ok';
  await server.terminate();
  await server.restart();
  await endpoint.until(() => endpoint.events().filter(({ view_id }) => view_id === 'Quake/state').length === 4, 'those four');
  assert.equal(endpoint.repeated, 0);
});

test('many events go in full batches', async (t) => {
  const endpoint = await Endpoint.forTest(t, { behave: { status: 500 } });
  const server = await start(t, endpoint);
  await post(server, quakes(0, 2));
  const client = await clientFor(t, server);
  for (let i = 0; i < 400; i++) {
    client.subscribe('Quake/state', { key: `k${i}` });
    client.send({ type: 'unsubscribe', view: 'Quake/state', key: `k${i}` });
  }
  await fence(client);
  await eventually(async () => (await spooled(server)) >= 800, 'all in the spool');
  const failed = endpoint.posts.length;
  endpoint.behave = 'ok';
  await endpoint.until(() => endpoint.events('subscription_removed').length === 400, 'all of them');
  const sizes = endpoint.posts.slice(failed).map(({ events }) => events.length);
  assert.ok(sizes.length <= 30, `sizes ${sizes}`);
  assert.ok(sizes.filter((size) => size === 50).length >= 15, `sizes ${sizes}`);
});

test('at a stop the last events are still delivered', async (t) => {
  const endpoint = await Endpoint.forTest(t);
  const server = await start(t, endpoint);
  await post(server, quake('a', 1));
  for (let i = 0; i < 120; i++) await (await clientFor(t, server)).open('Quake/list');
  await server.terminate();
  assert.equal(endpoint.events('connection_closed').length, 120);
  assert.equal(endpoint.events('subscription_removed').length, 120);
  assert.equal(endpoint.sums('update_sent').messages, 120);
  assert.equal(await spooled(server), 0);
  await check(server.db);
});

test('the token comes from a file or the environment, and is never shown', async (t) => {
  const endpoint = await Endpoint.forTest(t);
  const file = join(scratch(t), 'token');
  writeFileSync(file, 'from-the-file\n');
  const env = { STELE_USAGE_TOKEN: 'from-the-environment' };
  const tell = async (options, token) => {
    const server = await start(t, endpoint, options);
    const before = endpoint.posts.length;
    await (await clientFor(t, server)).close();
    await endpoint.until(() => endpoint.posts.length > before, 'a post');
    assert.equal(endpoint.posts.at(-1).headers.authorization, token && `Bearer ${token}`);
    await server.terminate();
    assert.ok(!token || !(server.stderr + server.stdout).includes(token));
  };
  await tell({}, undefined);
  await tell({ env }, 'from-the-environment');
  await tell({ env, set: { usage_token_file: file } }, 'from-the-file');

  const db = join(scratch(t), 'refused.db');
  const refused = async (set, message, more = {}) => {
    const { code, stderr } = await Server.refused({ db, set: { usage_url: endpoint.url, ...set }, ...more });
    assert.equal(code, 1, stderr);
    assert.match(stderr, message);
  };
  writeFileSync(file, 'two words\n');
  await refused({ usage_token_file: file }, /does not hold a token/);
  await refused({ usage_token_file: `${file}.none` }, /cannot be opened/);
  await refused({}, /STELE_USAGE_TOKEN does not hold a token/, { env: { STELE_USAGE_TOKEN: '' } });
  await refused({ usage_url: 'ftp://example.org/' }, /usage_url.*http:\/\//s);
  await refused({ usage_url: 'http://me:secret@example.org/' }, /usage_url.*password/s);
});

test('another endpoint, token and limit are in force after a reload', async (t) => {
  const [first, second] = [await Endpoint.forTest(t, { behave: { status: 401 } }), await Endpoint.forTest(t)];
  const file = join(scratch(t), 'token');
  writeFileSync(file, 'old-token\n');
  const usage = (endpoint, more) => ({ ...config, usage_url: endpoint.url, usage_token_file: file, ...more });
  const server = await Server.forTest(t, { config: usage(first) });
  await (await clientFor(t, server)).close();
  await first.until(() => first.posts.length > 1, 'two attempts');
  assert.equal(first.posts[0].headers.authorization, 'Bearer old-token');
  writeFileSync(file, 'two words\n');
  assert.match(await server.reload(usage(second)), /configuration-refused .*does not hold a token/);
  writeFileSync(file, 'new-token\n');
  const said = await server.reload(usage(second, { usage_spool_rows: 4 }));
  assert.match(said, /configuration-reloaded changed="usage_url usage_spool_rows"/);
  assert.doesNotMatch(server.stderr, /(old|new)-token/);
  await second.until(() => second.events('connection_closed').length, 'the events, now at the second');
  assert.equal(second.posts[0].headers.authorization, 'Bearer new-token');
  second.behave = { status: 500 };
  for (let i = 0; i < 5; i++) await (await clientFor(t, server)).close();
  await eventually(async () => (await metric(server, 'stele_usage_events_dropped_total')) === 6, 'what is too much gone');
  assert.equal(await spooled(server), 4);
  assert.match(await server.reload(config), /warning config usage_url effect="needs a restart"/);
});

test('HTTPS: a certificate that nobody vouches for is refused', async (t) => {
  const folder = scratch(t);
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(folder, name));
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
    '-subj', '/CN=endpoint', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert], { stdio: 'ignore' });
  const create = (handle) => createServer({ key: readFileSync(key), cert: readFileSync(cert) }, handle);
  const endpoint = await Endpoint.forTest(t, { create, scheme: 'https' });
  const server = await start(t, endpoint);
  await (await clientFor(t, server)).close();
  await server.logged(/usage delivery-failed .*certificate/);
  assert.equal(endpoint.posts.length, 0);
  await server.terminate();
  await server.restart({ set: { outgoing_ca_file: cert } });
  await endpoint.until(() => endpoint.events('connection_closed').length, 'the events, now that the certificate is known');
});
