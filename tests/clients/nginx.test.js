// Behind nginx, set up as docs/operations.md says: subscribers, producers, kept connections, bodies,
// addresses, paths, restarts on either side. Skipped where nginx is not installed.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import test, { after, before } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { Client, clientFor } from './lib/client.js';
import { Clock } from './lib/clock.js';
import { Ingest, Producer, http, post } from './lib/feed.js';
import { Nginx, hasNginx } from './lib/nginx.js';
import { Raw } from './lib/raw.js';
import { Server, check, patience, scratch, sqlView, within } from './lib/server.js';

const skip = hasNginx ? false : 'nginx is not installed (tools/setup test brings it)';
const exports = { E: {} };
const m = (key, patch = {}) => ({ export: 'E', key, patch });
const line = (key, pad = 0) => `${JSON.stringify(m(key, { pad: 'x'.repeat(pad) }))}\n`;

async function start(t, { config = { exports }, set, ...options } = {}) {
  const server = await Server.forTest(t, { config, set });
  return { server, nginx: await Nginx.forTest(t, server.port, options) };
}

/** A request with an agent (of kept connections), or on a connection of its own; its body may come in pieces. */
function ask(url, { method = 'GET', body, pieces, headers = {}, agent = false, from } = {}) {
  return within(
    new Promise((done, fail) => {
      const asked = request(url, { method, headers, agent, localAddress: from }, (answer) => {
        const parts = [];
        answer.on('data', (part) => parts.push(part));
        answer.on('error', fail);
        answer.on('end', () => done({ status: answer.statusCode, headers: answer.headers, text: Buffer.concat(parts).toString() }));
      });
      asked.on('error', fail);
      for (const piece of pieces ?? []) asked.write(piece);
      asked.end(body);
    }),
    `${method} ${url}`,
  );
}

/** `count` pieces of work, so many at a time. */
async function crowd(count, atOnce, work) {
  let next = 0;
  await Promise.all(Array.from({ length: atOnce }, async () => {
    while (next < count) await work(next++);
  }));
}

/* Connections on which little happens, from before the first test on; the last test looks at them. nginx cuts after 35 s,
 * as others do after 60; the server pings after 25. */
const SILENCE_MS = 35_000;
const idle = { undo: [], after: (undo) => idle.undo.push(undo) };
before(async () => {
  if (skip) return;
  const { server, nginx } = await start(idle, { config: { exports: { E: {}, Busy: {} } }, more: `proxy_read_timeout ${SILENCE_MS}ms; proxy_send_timeout ${SILENCE_MS}ms;` });
  Object.assign(idle, { server, since: Date.now(), silent: await clientFor(idle, nginx), asking: await clientFor(idle, nginx), told: await clientFor(idle, nginx) });
  for (const client of [idle.silent, idle.asking]) await client.open('E/list');
  await idle.told.open('Busy/list');
  idle.ingest = await Ingest.open(nginx);
  idle.after(() => idle.ingest.destroy());
  /* One client says something now and then and hears nothing, another hears and says nothing. */
  const busy = setInterval(() => {
    idle.asking.send({ type: 'ping' });
    post(server, { export: 'Busy', key: 'k', patch: { at: Date.now() } }).catch(() => {});
  }, 5000);
  idle.after(() => clearInterval(busy));
});
after(async () => {
  for (const undo of idle.undo.reverse()) await undo();
});

test('subscribers and producers through nginx, as without it', { skip }, async (t) => {
  const { server, nginx } = await start(t);
  const client = await clientFor(t, nginx);
  await client.open('E/list');
  const ingest = await Ingest.open(nginx);
  t.after(() => ingest.destroy());
  for (let i = 0; i < 100; i++) ingest.send({ mutations: [m(`k${i}`, { i })] });
  assert.equal((await ask(`${nginx.http}/v1/mutations`, { method: 'POST', body: line('posted') })).status, 200);
  const keys = new Set();
  while (keys.size < 101) keys.add((await client.next('a row')).key);
  const fresh = await clientFor(t, nginx);
  assert.equal((await fresh.open('E/list')).rows.size, 101);
  assert.equal(JSON.parse((await ask(`${nginx.http}/v1/views/E/list?take=500`)).text).rows.length, 101);
  await client.close();
  await server.terminate();
});

test('thousands of requests over kept connections, whose ends come all the while: no 502', { skip }, async (t) => {
  /* nginx ends an idle connection after 5 ms or 40 requests; the server those that it cannot go on with. */
  const { server, nginx } = await start(t, { upstream: 'keepalive 8; keepalive_timeout 5ms; keepalive_requests 40;', set: { max_request_bytes: 65536 } });
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  t.after(() => agent.destroy());
  const kinds = [
    [200, { path: '/v1/views' }],
    [200, { path: '/v1/mutations', method: 'POST', body: line('a', 100) }],
    [404, { path: '/nothing/here' }],
    [200, { path: '/v1/views/E/list' }],
    [413, { path: '/v1/mutations', method: 'POST', body: 'x'.repeat(70_000) }], /* an answer before the body was read: the server ends the connection */
    [400, { path: '/v1/mutations', method: 'POST', body: '{' }],
    [405, { path: '/v1/views', method: 'POST', body: 'unasked' }],
  ];
  const statuses = new Map();
  await crowd(3000, 16, async (i) => {
    const [wanted, { path, ...options }] = kinds[i % kinds.length];
    const answer = await ask(nginx.http + path, { agent, ...options });
    statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
    assert.equal(answer.status, wanted, `${path}: ${answer.text}`);
    if (i % 50 === 0) await sleep(20); /* now and then they are idle */
  });
  assert.ok(!/upstream prematurely closed|reset by peer/.test(nginx.stderr), nginx.stderr);
  t.diagnostic([...statuses].map(([status, count]) => `${status}: ${count}`).join(', '));
  await check(server.db);
});

/* nginx and load balancers keep an idle connection for 60 s, and may send a request on it in the last moment. */
test('the server keeps an idle connection for longer than proxies do, and then ends it', async (t) => {
  const clock = new Clock(scratch(t));
  const server = await Server.forTest(t, { env: clock.env });
  const raw = new Raw(server.port);
  t.after(() => raw.tcp.destroy());
  let ended = false;
  const end = new Promise((done) => raw.tcp.once('end', done)).then(() => (ended = true));
  const answers = async (count) => {
    raw.send('GET /v1/views HTTP/1.1\r\nHost: localhost\r\n\r\n');
    while (!ended && (raw.text.match(/^HTTP\/1\.1 200/gm)?.length ?? 0) < count) await within(Promise.race([once(raw.tcp, 'data'), end]), 'an answer');
    assert.equal(ended, false, 'the connection ended');
  };
  await answers(1);
  for (let i = 1; i <= 2; i++) {
    clock.set(i * 70, i * 70); /* the time is of the silence, not of the connection */
    await server.get('/health'); /* the server's loop has seen the time */
    await answers(1 + i);
  }
  clock.set(2 * 70 + 80, 2 * 70 + 80);
  await server.get('/health');
  await within(end, 'the end of the connection');
});

for (const buffering of ['on', 'off']) {
  test(`bodies in pieces, compressed and too big, with proxy_request_buffering ${buffering}`, { skip }, async (t) => {
    const { server, nginx } = await start(t, { set: { max_request_bytes: 1 << 20 }, more: `proxy_request_buffering ${buffering};`, server: 'client_max_body_size 8m;' });
    const url = `${nginx.http}/v1/mutations`;
    const pieces = Array.from({ length: 300 }, (_, i) => line(`piece${i}`, 1000));
    let answer = await ask(url, { method: 'POST', pieces });
    assert.equal(answer.status, 200, answer.text);
    assert.equal(JSON.parse(answer.text).applied, 300);
    answer = await ask(url, { method: 'POST', body: gzipSync(line('zipped', 500_000)), headers: { 'content-encoding': 'gzip' } });
    assert.equal(answer.status, 200, answer.text);
    answer = await ask(url, { method: 'POST', pieces: [gzipSync(line('zipped and in pieces', 500_000))], headers: { 'content-encoding': 'gzip' } });
    assert.equal(answer.status, 200, answer.text);
    answer = await ask(url, { method: 'POST', body: line('expected', 10), headers: { expect: '100-continue' } });
    assert.equal(answer.status, 200, answer.text);
    /* The server's own 413 comes through, whole; also where nginx is still sending. */
    for (let i = 0; i < 10; i++) {
      answer = await ask(url, { method: 'POST', body: line('big', (2 << 20) + i * 300_000) });
      assert.equal(answer.status, 413, answer.text);
      assert.equal(answer.headers['x-error-code'], 'too-large', answer.text);
      answer = await ask(url, { method: 'POST', pieces: Array.from({ length: 30 + i }, () => line('big', 100_000)) });
      assert.equal(answer.status, 413, answer.text);
      assert.equal(answer.headers['x-error-code'], 'too-large', answer.text);
    }
    answer = await ask(url, { method: 'POST', body: gzipSync(line('bomb', 5 << 20)), headers: { 'content-encoding': 'gzip' } });
    assert.equal(answer.status, 413, answer.text);
    const rows = await sqlView(server.db, 'E/list');
    assert.equal(rows.size, 303);
    assert.ok(!rows.has('big') && !rows.has('bomb'));
  });
}

test('a client has the address that the proxy saw, whatever it says itself', { skip }, async (t) => {
  const { server, nginx } = await start(t, {
    set: { trusted_proxies: '127.0.0.1', max_connections_per_ip: 2 },
  });
  const told = { headers: { 'X-Forwarded-For': '192.0.2.77' } };
  for (let i = 0; i < 2; i++) await clientFor(t, nginx, { from: '127.0.0.2', ...told });
  await server.logged(/handshake-accepted [^\n]*client=127\.0\.0\.2[^\n]*\n[^]*client=127\.0\.0\.2/);
  await assert.rejects(Client.open(nginx, { from: '127.0.0.2', headers: { 'X-Forwarded-For': '192.0.2.78' } }), ({ status, headers }) => status === 429 && headers['x-error-code'] === 'connection-limit-exceeded');
  await (await clientFor(t, nginx, { from: '127.0.0.3' })).open('E/list');
  /* Who comes without the proxy is not believed. */
  await clientFor(t, server, { from: '127.0.0.4', ...told });
  await server.logged(/client=127\.0\.0\.4/);
  assert.ok(!server.stderr.includes('192.0.2.7'));

  /* A proxy that appends: the address is the first from the right that is no proxy's. */
  nginx.configure(server.port, { forwarded: '$http_x_forwarded_for, $remote_addr, 127.0.0.1' });
  await nginx.reload();
  await clientFor(t, nginx, { from: '127.0.0.5', ...told });
  await server.logged(/client=127\.0\.0\.5/);
  assert.ok(!server.stderr.includes('192.0.2.7'));
});

for (const [what, pass] of [['leaves the prefix', ''], ['takes the prefix off', '/']]) {
  test(`a path prefix: the proxy ${what}`, { skip }, async (t) => {
    const { server, nginx } = await start(t, { config: { exports, ...(pass ? {} : { base_path: '/a/stele' }) }, location: '/a/stele/', pass });
    const base = `${nginx.http}/a/stele`;
    await post(server, m('row'));
    const { views } = JSON.parse((await ask(`${base}/v1/views`)).text);
    assert.ok(views.length > 0);
    if (!pass) for (const { url } of views) assert.equal((await ask(nginx.http + url.split('?')[0] + (url.endsWith('state') ? '?key=row' : ''))).status, 200, url);
    assert.equal((await ask(`${base}/v1/mutations`, { method: 'POST', body: line('posted') })).status, 200);
    assert.equal((await ask(`${nginx.http}/v1/views`)).status, 404, 'nginx itself, outside of the prefix');
    const client = await Client.open(`${nginx.ws}/a/stele/`);
    t.after(() => client.destroy());
    assert.equal((await client.open('E/list')).rows.size, 2);
    const ingest = await Ingest.open(`${nginx.ws}/a/stele/v1/ingest`);
    t.after(() => ingest.destroy());
    await ingest.send({ mutations: [m('third')] });
    assert.equal((await client.next('a row')).key, 'third');
  });
}

test('a reload of nginx fails no request, and subscribers resume without a loss', { skip }, async (t) => {
  const { server, nginx } = await start(t);
  let client = await clientFor(t, nginx);
  let { seq } = await client.open('E/list');
  const seen = new Set();
  let cuts = 0;
  let posted = 0;
  let done = false;
  const reading = (async () => {
    while (!done || seen.size < posted) {
      try {
        const frame = await client.next('a row');
        for (const { key } of frame.op === 'snapshot' ? frame.data : [frame]) seen.add(key);
        seq = frame.seq ?? seq;
      } catch (error) {
        if (!client.end) throw error;
        cuts++;
        client = await clientFor(t, nginx);
        client.subscribe('E/list', { after: seq });
        assert.equal((await client.expect('subscribed')).resumed, true);
      }
    }
  })();
  /* Until the subscriber's worker has ended, and some more. */
  const feeding = (async () => {
    const until = Date.now() + patience(60_000);
    for (let more = 100; more > 0; more -= cuts > 0) {
      assert.ok(Date.now() < until, 'the subscriber was never cut');
      const answer = await ask(`${nginx.http}/v1/mutations`, { method: 'POST', body: line(`k${posted}`) });
      assert.equal(answer.status, 200, answer.text);
      posted++;
      if (posted % 10 === 0) await sleep(20);
    }
    done = true;
    await post(server, m(`k${posted++}`));
  })();
  for (let i = 0; i < 3; i++) {
    await nginx.reload();
    await sleep(100);
  }
  await feeding;
  reading.catch(() => {});
  await within(reading, () => `all rows; ${seen.size} of ${posted} so far, ${cuts} cuts`, 60_000);
  assert.equal(seen.size, posted);
  t.diagnostic(`${posted} requests, ${cuts} cuts`);
  await check(server.db);
});

for (const end of ['terminate', 'kill9']) {
  test(`the server restarts behind nginx (${end}): producers lose nothing, and no 502 stays`, { skip }, async (t) => {
    const { server, nginx } = await start(t);
    const producer = new Producer('through-nginx');
    t.after(() => producer.disconnect());
    await producer.connect(nginx);
    for (let i = 0; i < 200; i++) producer.add([JSON.stringify(m(`k${i}`, { i }))]);
    await producer.acknowledgement();
    await server[end]();
    const gone = await ask(`${nginx.http}/v1/views`);
    assert.equal(gone.status, 502);
    await server.restart({ samePort: true });
    const until = Date.now() + patience(20_000);
    for (;;) {
      try {
        await producer.connect(nginx);
        break;
      } catch (error) {
        assert.ok(Date.now() < until, String(error));
        await sleep(20);
      }
    }
    await producer.drain();
    const agent = new Agent({ keepAlive: true, maxSockets: 8 });
    t.after(() => agent.destroy());
    await crowd(500, 8, async () => assert.equal((await ask(`${nginx.http}/v1/views/E/list?take=3`, { agent })).status, 200));
    assert.equal((await sqlView(server.db, 'E/list')).size, 200);
    await check(server.db);
  });
}

test('the name that the proxy passes on must be allowed where there is no authentication', { skip }, async (t) => {
  const { server, nginx } = await start(t);
  const named = { headers: { host: 'stele.example.org' } };
  const refused = await ask(`${nginx.http}/v1/views`, named);
  assert.equal(refused.status, 403);
  assert.equal(refused.headers['x-error-code'], 'host-not-allowed');
  await server.reload({ exports, allowed_hosts: ['stele.example.org'] });
  assert.equal((await ask(`${nginx.http}/v1/views`, named)).status, 200);
  await assert.rejects(Client.open(nginx, { headers: { Origin: 'https://elsewhere.example' } }), ({ status }) => status === 403);
});

test('connections outlive the read time-out of the proxy, whichever direction is silent', { skip }, async () => {
  await sleep(Math.max(0, idle.since + SILENCE_MS + 5000 - Date.now()));
  await idle.ingest.send({ mutations: [m('late')] });
  for (const client of [idle.silent, idle.asking]) assert.equal((await client.next('the row')).key, 'late');
  await post(idle.server, { export: 'Busy', key: 'last', patch: {} });
  await idle.told.until(({ key }) => key === 'last', 'the last row');
});
