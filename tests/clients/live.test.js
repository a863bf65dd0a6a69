// Views as they change, by plain HTTP: server-sent events, which curl and every browser read.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import test, { after } from 'node:test';
import { Applier } from './lib/applier.js';
import { Browser, browserProgram } from './lib/browser.js';
import { clientFor } from './lib/client.js';
import { Clock } from './lib/clock.js';
import { Endpoint } from './lib/endpoint.js';
import { EventStream } from './lib/events.js';
import { http, post, postAll } from './lib/feed.js';
import { Nginx, hasNginx } from './lib/nginx.js';
import { Random } from './lib/random.js';
import { Server, scratch, within } from './lib/server.js';
import { bearer, newKey, tokenOf } from './lib/token.js';

const SEED = Number(process.env.STELE_SEED ?? Date.now() % 100000);
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const m = (key, patch, more = {}) => ({ export: 'E', key, patch, ...more });
const CONFIG = { exports: { F: {}, E: { views: {
  top: { pipeline: [{ sort: { by: 'n', order: 'desc' } }, { take: 3 }] },
  live: { pipeline: [{ filter: { field: 'n', gt: 5 } }] },
} } } };

async function open(t, url, options) {
  const stream = await EventStream.open(url, options);
  if (stream.close) t.after(() => stream.close());
  return stream;
}

const live = (t, server, path, options) => open(t, `${server.http}/v1/views/${path}`, options);

test('an event for each message that a WebSocket gets, with the same text, in the same order', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await postAll(server, range(300, (i) => m(`k${i}`, { n: i % 50, text: 'x'.repeat(i) })));
  const cases = [
    ['E/list', '', {}], ['E/append', '', {}], ['E/top', '', {}], ['E/state', '?key=k7', { key: 'k7' }], ['E/list', '?key=k7', { key: 'k7' }],
    ['E/list', '?take=5&skip=2', { take: 5, skip: 2 }], ['E/list', '?filter=n:7', { filters: { n: 7 } }], ['E/top', '?take=2', { take: 2 }],
    ['F/list', '', {}],
  ];
  const pairs = [];
  for (const [view, query, parameters] of cases) {
    const client = await clientFor(t, server);
    client.subscribe(view, parameters);
    const stream = await live(t, server, view + query);
    assert.equal(stream.status, 200, stream.text);
    assert.equal(stream.headers['cache-control'], 'no-store');
    assert.equal(stream.headers['x-accel-buffering'], 'no');
    pairs.push({ what: `${view}${query}`, stream, client });
    const hasRows = ({ complete, op }) => complete || (view === 'E/state' && op !== 'subscribed');
    await Promise.all([stream.upTo(({ json }) => hasRows(json), 'the rows'), client.until(hasRows, 'the rows')]);
  }
  await post(server, [m('k7', { n: 100 }), m('new', { n: 7 }), m('k8', undefined, { op: 'delete' }), m('k7', { n: 99, text: 'last' })]);
  for (const { what, stream, client } of pairs) {
    while (!what.startsWith('F') && client.messages.length < 3) await client.next(what);
    client.read = client.messages.length;
    await client.silence(({ type }) => type !== 'error');
    const messages = client.messages.filter(({ json }) => json.type !== 'error');
    while (stream.events.length < messages.length) await stream.next(what);
    assert.deepEqual(stream.events.map(({ text }) => text), messages.map(({ text }) => text), what);
    for (const { name, id, json } of stream.events) {
      assert.equal(name, json.op, what);
      assert.equal(id || undefined, json.seq && id, what);
      assert.equal(id === '', name === 'subscribed', what); /* who forgets its rows forgets the id */
      if (id) assert.equal(id, `${json.seq}@${stream.events[0].json.epoch}`, what);
    }
  }
});

test(`cut anywhere and asked again with the last id: exactly the rows that there are, over kill -9, seed ${SEED}`, async (t) => {
  const random = new Random(SEED);
  const server = await Server.forTest(t, { config: CONFIG });
  const some = () => range(1 + random.below(40), () => {
    const key = `k${random.below(200)}`;
    return random.chance(0.2) ? m(key, undefined, { op: 'delete' }) : m(key, { n: random.below(12), list: [random.below(9)] }, random.chance(0.3) ? { append: ['list'] } : {});
  });
  await postAll(server, range(500, (i) => m(`k${i % 200}`, { n: i % 12 })));
  for (const view of ['E/list', 'E/top', 'E/live', 'E/append', 'E/list?take=20', 'E/list?filter=n:3']) {
    const applier = new Applier();
    let lastId;
    for (let round = 0; round < 6; round++) {
      const stream = await live(t, server, view + (view === 'E/live' ? '/live' : ''), { headers: lastId ? { 'last-event-id': lastId } : {} });
      assert.equal(stream.status, 200, stream.text);
      const cut = round === 5 ? Infinity : random.below(30);
      let complete = false;
      for (let i = 0; i < cut; i++) {
        const { json } = await stream.next(view);
        if (json.op === 'subscribed' && json.resumed === undefined) applier.drop();
        applier.apply(json);
        complete ||= Boolean(json.complete);
        if (complete && round === 5) break;
        if (complete) await post(server, [...some(), m('k1', { n: 3 })]);
        if (complete && stream.events.length === stream.taken && random.chance(0.5)) break;
      }
      lastId = stream.events.slice(0, stream.taken).findLast(({ id }) => id !== undefined)?.id ?? (stream.events[0]?.json.resumed === false ? undefined : lastId);
      stream.close();
      await post(server, some());
      if (round === 2) {
        await server.kill9();
        await server.restart();
      }
      if (round === 4) await post(server, [m('fence', { n: 3 })]);
    }
    const path = view.includes('?') ? view : `${view.replace('append', 'list')}?take=1000`;
    /* What was fed behind the last stream is not in the rows; so they are held against one more. */
    const last = await live(t, server, view + (view === 'E/live' ? '/live' : ''), { headers: { 'last-event-id': lastId } });
    for (const { json } of await last.complete()) applier.apply(json);
    const { json } = await http(`${server.http}/v1/views/${path}`);
    const rows = (list) => list.map(([key, data]) => [key, JSON.stringify(data)]).sort();
    assert.deepEqual(rows([...applier.rows]), rows(json.rows.map(({ key, data }) => [key, data])), `${view}, seed ${SEED}`);
  }
});

test('a browser that is cut off in the snapshot behind a refused id begins anew', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await postAll(server, range(200, (i) => m(`k${i}`, { n: 1, text: 'x'.repeat(1000) })));
  const first = await live(t, server, 'E/list/live');
  await first.complete();
  const good = first.lastId;
  await post(server, m('k7', { n: 7 }));
  /* It had an id that is refused, and lost its rows; nothing of before may be sent again. */
  const refused = await live(t, server, 'E/list/live', { headers: { 'last-event-id': `${good}x` } });
  assert.equal((await refused.next()).json.resumed, false);
  await refused.next();
  assert.equal(refused.lastId, '');
  const resumed = await live(t, server, 'E/list/live', { headers: { 'last-event-id': good } });
  const [subscribed] = await resumed.complete();
  assert.deepEqual([subscribed.json.resumed, subscribed.id], [true, undefined]);
  assert.notEqual(resumed.lastId, '');
});

test('what cannot be told is refused before the stream begins, so that a browser does not ask for ever', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await post(server, m('k', { n: 9 }));
  for (const [path, status, code] of [
    ['E/nothing/live', 404, 'view-not-found'], ['E/state', 400, 'invalid-parameter'], ['E/list?take=x', 400, 'invalid-parameter'],
    ['E/list?what=1', 400, 'invalid-parameter'], ['E/list?wait=5', 400, 'invalid-parameter'], ['E/top?take=0', 400, 'invalid-parameter'],
  ]) {
    const answer = await live(t, server, path);
    assert.equal(answer.status, status, `${path}: ${answer.text}`);
    assert.equal(answer.json.code, code, path);
  }
  /* None of them was a client that came in: only one that gets its stream is. */
  await live(t, server, 'E/list');
  await server.logged(/handshake-accepted/);
  assert.equal(server.stderr.match(/handshake-accepted/g).length, 1, server.stderr);
  const post405 = await http(`${server.http}/v1/views/E/list/live`, { method: 'POST', headers: { accept: 'text/event-stream' } });
  assert.equal(post405.status, 405);
  const head = await http(`${server.http}/v1/views/E/list/live`, { method: 'HEAD' });
  assert.equal(head.status, 200);
  assert.match(head.headers['content-type'], /^text\/event-stream/);
});

test('Accept decides between a stream and one answer, by how much the client wants each', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await post(server, m('k', { n: 9 }));
  const STREAM = 'text/event-stream';
  for (const [accept, streams] of [
    [STREAM, true], ['Text/Event-Stream', true], [`${STREAM};q=0.9`, true], [`${STREAM}; charset=utf-8 ; Q=0.001`, true],
    [`application/json, ${STREAM}`, true], [`text/html;q=0.9, ${STREAM};q=0.8, */*;q=0.7`, true], [`${STREAM};q=0.5,application/json;q=0.5`, true],
    [`x${' '.repeat(300)},${STREAM};q=1.000`, true],
    [`${STREAM};q=0`, false], [`${STREAM};q=0.000`, false], [`${STREAM};q=0.9, application/json`, false], [`${STREAM};q=0.5,application/json;q=0.501`, false],
    ['*/*', false], ['text/*', false], [`${STREAM}er`, false], [`x${STREAM}`, false], [`${STREAM};q=2`, false], [`${STREAM};q=abc`, false], [`${STREAM};q=0.1234`, false],
    ['', false], [',;,;q=1,', false],
  ]) {
    const answer = await live(t, server, 'E/list', { headers: { accept } });
    assert.equal(answer.status, 200, accept);
    assert.match(answer.headers['content-type'], streams ? /^text\/event-stream/ : /^application\/json/, accept);
  }
});

test('a view that is called live is read as it always was; an id of another server is an old cursor', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await post(server, m('k', { n: 9 }));
  const read = await http(`${server.http}/v1/views/E/live`);
  assert.deepEqual(read.json.rows.map(({ key }) => key), ['k']);
  const stream = await live(t, server, 'E/live/live', { headers: { accept: '*/*' } });
  assert.deepEqual((await stream.complete()).at(-1).json.data.map(({ key }) => key), ['k']);
  for (const id of ['17', '1:000000000001@other', `${'x'.repeat(3000)}@y`, '@']) {
    const foreign = await live(t, server, 'E/list/live', { headers: { 'last-event-id': id } });
    const [first, ...others] = await foreign.complete();
    assert.equal(first.json.resumed, false, id);
    assert.equal(others.flatMap(({ json }) => json.data).length, 1);
  }
});

test('a token is asked for, and its end ends the stream, with the reason', async (t) => {
  const key = newKey();
  const server = await Server.forTest(t, { config: { auth: { mode: 'signed', keys: [key.x] }, exports: CONFIG.exports } });
  const token = tokenOf(key);
  const answer = await http(`${server.http}/v1/mutations`, { method: 'POST', body: JSON.stringify(m('k', { n: 9 })), headers: bearer(token) });
  assert.equal(answer.status, 200, answer.text);
  assert.equal((await live(t, server, 'E/list')).status, 401);
  assert.equal((await http(`${server.http}/v1/views/E/list/live`, { method: 'HEAD' })).status, 401);
  assert.equal((await live(t, server, 'E/list', { headers: bearer(tokenOf(key, { scope: 'write' })) })).status, 403);
  const soon = await live(t, server, 'E/list', { headers: bearer(tokenOf(key, { exp: Math.floor(Date.now() / 1000) + 2 })) });
  await soon.complete();
  const [refused] = await soon.upTo(({ name }) => name === 'error', 'the end of the token');
  assert.equal(refused.json.code, 'token-expired');
  assert.equal(refused.json.fatal, true);
  const end = await soon.next();
  assert.equal(end.name, 'end');
  assert.equal(end.json.status, 1008);
  await soon.end();
});

test('a stream is metered, scoped and limited as a WebSocket is', async (t) => {
  const key = newKey();
  const endpoint = await Endpoint.forTest(t);
  const config = { exports: { E: { scope: 'team' } }, auth: { mode: 'signed', keys: [key.x] } };
  const server = await Server.forTest(t, { config, set: { usage_url: endpoint.url } });
  const writer = bearer(tokenOf(key, { sub: 'writer' }));
  const feed = async (mutations) => {
    const { status, text } = await http(`${server.http}/v1/mutations`, { method: 'POST', headers: writer, body: mutations.map((each) => JSON.stringify(each)).join('\n') });
    assert.equal(status, 200, text);
  };
  await feed(range(120, (i) => m(`k${i}`, { n: i, team: i % 2 ? 'red' : 'blue', pad: 'x'.repeat(100) })));
  const token = (claims) => bearer(tokenOf(key, { sub: 'ann', row_scopes: ['red'], metering_key: 'm1', ...claims }));
  const stream = await live(t, server, 'E/list', { headers: token() });
  const events = await stream.complete();
  assert.equal(events.flatMap(({ json }) => json.data ?? []).length, 60);
  await feed([m('k1', { n: 1000 }), m('k2', { n: 1 }), m('k3', { team: 'blue' })]);
  events.push(await stream.next(), await stream.next());
  assert.deepEqual(events.slice(-2).map(({ name, json }) => `${name} ${json.key}`), ['patch k1', 'delete k3']);
  stream.close();
  await endpoint.until(() => endpoint.events('connection_closed').length, 'the end of the connection');
  /* Each event as it stands in the stream, but of the first one the message alone. */
  const textOf = ({ name, text, id }) => (name === 'subscribed' ? text : `event: ${name}\ndata: ${text}${id === undefined ? '' : `\nid: ${id}`}\n\n`);
  const sum = (list) => Buffer.byteLength(list.map(textOf).join(''));
  const isSnapshot = ({ name }) => name === 'snapshot';
  for (const [type, mine] of [['snapshot_sent', events.filter(isSnapshot)], ['update_sent', events.filter((event) => !isSnapshot(event))]]) {
    const { messages, bytes } = endpoint.sums(type, 'E/list');
    assert.deepEqual([messages, bytes], [mine.length, sum(mine)], type);
  }
  assert.equal(endpoint.sums('snapshot_sent', 'E/list').rows, 60);
  for (const { event } of endpoint.taken.values()) assert.deepEqual([event.subject, event.metering_key], ['ann', 'm1']);

  const limited = async (limits) => live(t, server, 'E/list', { headers: token({ sub: JSON.stringify(limits), limits }) });
  for (const [limits, code] of [[{ max_snapshot_rows: 3 }, 'snapshot-limit-exceeded'], [{ max_bytes_per_minute: 3000 }, 'egress-limit-exceeded']]) {
    const told = await (await limited(limits)).upTo(({ name }) => name === 'error', code);
    assert.equal(told.at(-1).json.code, code);
  }
  const alone = token({ sub: 'alone', limits: { max_connections: 1 } });
  await (await live(t, server, 'E/list', { headers: alone })).complete();
  const second = await live(t, server, 'E/list', { headers: alone });
  assert.deepEqual([second.status, second.json.code], [429, 'connection-limit-exceeded']);
});

test('signs of life come while nothing else does, and the stream outlasts the time-out of clients', async (t) => {
  const server = await Server.forTest(t, { config: { client_timeout_seconds: 3, exports: CONFIG.exports } });
  await post(server, m('k', { n: 9 }));
  const stream = await live(t, server, 'E/list');
  assert.equal((await stream.complete()).length, 2);
  await stream.comment(6);
  await post(server, m('k', { n: 10 }));
  assert.equal((await stream.next()).json.data.n, 10);
  await server.terminate();
  const end = await stream.next();
  assert.equal(end.name, 'end');
  assert.match(end.json.reason, /^shutting-down/);
  await stream.end();
});

test('in 25 seconds of silence a comment comes, by the settings that a server has', async (t) => {
  const clock = new Clock(scratch(t));
  const server = await Server.forTest(t, { env: clock.env, config: CONFIG });
  const stream = await live(t, server, 'E/list');
  await stream.complete();
  for (let round = 1; round <= 3; round++) {
    const { comments } = stream;
    clock.set(26 * round, 26 * round);
    await stream.comment(comments + 1);
  }
});

test('a place among the connections is taken, and given back when the client goes', async (t) => {
  const server = await Server.forTest(t, { config: { max_connections: 3, exports: CONFIG.exports } });
  await post(server, m('k', { n: 9 }));
  for (let round = 0; round < 3; round++) {
    const streams = [];
    for (let i = 0; i < 3; i++) {
      let stream = await live(t, server, 'E/list');
      /* Those of the last round may still be on their way out. */
      while (stream.status === 429 && i === 0) stream = await live(t, server, 'E/list');
      if (stream.status !== 200) break;
      streams.push(stream);
    }
    if (streams.length < 3) { /* the same, for the others */
      streams.forEach((stream) => stream.close());
      round--;
      continue;
    }
    assert.equal((await live(t, server, 'E/list')).status, 429);
    streams.forEach((stream) => stream.close());
  }
});

test('a client that reads slowly gets all of a large view, and the server holds little for it', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  /* Compresses to little: what is held is not the compressed size. */
  await postAll(server, range(60, (i) => m(`k${i}`, { n: i, text: String(i).repeat(200_000) })), 10);
  const before = server.memory();
  const streams = await Promise.all(range(20, () => live(t, server, 'E/list')));
  for (const stream of streams) stream.answer.pause();
  await http(`${server.http}/v1/views/E/top`);
  await new Promise((done) => setTimeout(done, 500));
  const held = server.memory() - before;
  assert.ok(held < 64 * 1024 * 1024, `${held >> 20} MiB for 20 clients of ${60 * 0.3} MB`);
  streams.slice(1).forEach((stream) => stream.close());
  streams[0].answer.resume();
  const rows = (await streams[0].complete()).flatMap(({ json }) => json.data ?? []);
  assert.equal(rows.length, 60);
  for (const { key, data } of rows) assert.equal(data.text, key.slice(1).repeat(200_000), key);
});

test('a silent stream holds next to nothing, however much it told before', async (t) => {
  const STREAMS = 300;
  const server = await Server.forTest(t, { config: { ...CONFIG, max_connections: STREAMS + 10 } });
  await postAll(server, range(60, (i) => m(`k${i}`, { n: i, text: String(i).repeat(5000) })), 10);
  const before = server.memory();
  /* One after the other, so that each uses what the one before it gave back. */
  for (let i = 0; i < STREAMS; i++) await (await live(t, server, 'E/list')).complete();
  await http(`${server.http}/v1/views/E/top`);
  const each = (server.memory() - before) / STREAMS;
  assert.ok(each < 30 * 1024, `${Math.round(each / 1024)} KiB for each of ${STREAMS} silent streams`);
});

test('hang-ups at any moment leave nothing behind', async (t) => {
  const random = new Random(SEED);
  const server = await Server.forTest(t, { config: CONFIG });
  await postAll(server, range(2000, (i) => m(`k${i}`, { n: i, text: 'x'.repeat(100) })));
  for (let i = 0; i < 150; i++) {
    const url = `${server.http}/v1/views/${random.pick(['E/list', 'E/append', 'E/top', 'E/list?take=9', 'E/state?key=k1'])}`;
    const stream = EventStream.open(url).catch(() => null);
    await new Promise((done) => setTimeout(done, random.below(6)));
    stream.then((it) => it?.close?.());
    if (i % 10 === 0) await post(server, m('k1', { n: i }));
  }
  const stream = await live(t, server, 'E/list');
  await stream.complete();
  await within(server.terminate(), 'the stop');
});

/* ---- programs ---- */

test('curl -N shows events as they come', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await post(server, m('k', { n: 9 }));
  const curl = spawn('curl', ['-sN', '-H', 'Accept: text/event-stream', `${server.http}/v1/views/E/list`], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => curl.kill());
  let text = '';
  curl.stdout.setEncoding('utf8').on('data', (part) => (text += part));
  const has = async (pattern) => {
    while (!pattern.test(text)) await within(once(curl.stdout, 'data'), () => `${pattern} in ${text}`);
  };
  await has(/"complete":true.*\nid: .*\n\n/);
  await post(server, m('k', { n: 10 }));
  await has(/event: patch\ndata: .*"n":10.*\nid: .*\n\n/);
});

for (const buffering of ['off', 'on'])
  test(`through nginx with proxy_buffering ${buffering}: events come at once, and go on over a restart`, { skip: hasNginx ? false : 'nginx is not installed (tools/setup test brings it)' }, async (t) => {
    const server = await Server.forTest(t, { config: CONFIG });
    await post(server, m('k', { n: 9 }));
    const nginx = await Nginx.forTest(t, server.port, { buffering });
    const stream = await live(t, nginx, 'E/list');
    await stream.complete();
    for (let n = 0; n < 5; n++) {
      await post(server, m('k', { n }));
      assert.equal((await stream.next()).json.data.n, n);
    }
    await server.kill9();
    await stream.end();
    await server.restart({ samePort: true });
    await post(server, m('k', { n: 77 }));
    const again = await live(t, nginx, 'E/list', { headers: { 'last-event-id': stream.lastId } });
    const events = await again.complete();
    assert.equal(events[0].json.resumed, true);
    assert.deepEqual(events.at(-1).json.data.map(({ data }) => data.n), [77]);
  });

let browser;
after(() => browser?.close());

test("a browser's own EventSource resumes by itself after kill -9", { skip: browserProgram() ? false : 'no chromium is installed (tools/setup test brings it)' }, async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await postAll(server, range(30, (i) => m(`k${i}`, { n: i })));
  const site = createServer((request, response) => {
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end('<!doctype html><title>stele</title><link rel=icon href=data:,>');
  });
  site.listen(0, '127.0.0.1');
  await once(site, 'listening');
  t.after(() => site.close());
  t.after(() => site.closeAllConnections());
  browser = new Browser(browserProgram());
  const tab = await browser.open(t, `http://127.0.0.1:${site.address().port}/`);
  await tab.evaluate(`
    globalThis.rows = new Map(); globalThis.seen = [];
    const source = new EventSource(${JSON.stringify(`${server.http}/v1/views/E/list/live`)});
    const put = ({ key, data }) => rows.set(key, { ...rows.get(key), ...data });
    for (const op of ['subscribed', 'snapshot', 'patch', 'upsert', 'delete', 'end']) source.addEventListener(op, (event) => {
      const message = JSON.parse(event.data);
      seen.push([op, message.resumed, message.complete]);
      if (op === 'snapshot') message.data.forEach(put);
      else if (op === 'delete') rows.delete(message.key);
      else if (op === 'patch' || op === 'upsert') put(message);
    });
    null`);
  await tab.until('rows.size', (size) => size === 30, 'thirty rows');
  await server.kill9();
  await server.restart({ samePort: true });
  await post(server, [m('k3', undefined, { op: 'delete' }), m('k4', { n: 1000 }), m('new', { n: 5 })]);
  await tab.until('[rows.size, rows.has("k3"), rows.get("k4").n, rows.has("new")].join()', (value) => value === '30,false,1000,true', 'the rows after the restart');
  assert.equal(await tab.evaluate('seen.some(([op, resumed]) => op === "subscribed" && resumed === true)'), true);
});
