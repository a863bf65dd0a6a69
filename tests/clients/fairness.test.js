// One client must not stop the others: while it has all that it can get of something, others are
// served; what is broken off is its own, and says why. Nothing here is measured by the clock.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from './lib/client.js';
import { http, post, postAll, tryPost } from './lib/feed.js';
import { Server, check, sql, within } from './lib/server.js';
import { Socket } from './lib/socket.js';
import { bearer, jwks, newKey, tokenOf } from './lib/token.js';

const MIB = 1 << 20;
const ADMIN = 'a-token-for-the-operator-of-these-tests';
const signed = (key) => ({ mode: 'signed', keys: [key.x], tokens: [{ token: ADMIN, scope: 'admin' }] });
const range = (count, make) => Array.from({ length: count }, (_, i) => make(i));
const m = (key, patch, name = 'E') => ({ export: name, key, patch });
const figure = async (server, name, labels = '') => {
  const { text } = await http(`${server.healthUrl}/metrics`, { headers: bearer(ADMIN) });
  const escaped = labels.replace(/[{}]/g, '\\$&');
  return Number(new RegExp(`^${name}${escaped} (\\S+)$`, 'm').exec(text)[1]);
};
const brokenOff = (server, what) => figure(server, 'stele_broken_off_total', `{what="${what}"}`);

async function until(wanted, what) {
  const look = async () => {
    while (!(await wanted())) await sleep(20);
  };
  await within(look(), what, 60_000);
}

/* ---- what is on its way in ---- */

/** The beginning of a message of 4 MiB: so many bytes of it, and never the rest. */
class Unfinished {
  static async open(server, bytes, headers = {}) {
    const it = new Unfinished();
    it.socket = await Socket.open(`${server.ws}/v1/ingest`, { headers });
    it.socket.tcp.on('error', () => {});
    it.said = [];
    it.socket.on('message', (text) => it.said.push(JSON.parse(text)));
    it.socket.closed.then((end) => (it.end = end));
    const head = Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0]);
    it.socket.tcp.write(Buffer.concat([head, Buffer.alloc(bytes, ' ')]));
    return it;
  }

  destroy() {
    this.socket.destroy();
  }
}

/** Open unfinished messages one after the other, each behind the bytes of those before. */
async function crowd(t, server, sizes, headers) {
  const all = [];
  for (const size of sizes) {
    const received = await figure(server, 'stele_bytes_received_total');
    const one = await Unfinished.open(server, size, headers);
    t.after(() => one.destroy());
    all.push(one);
    await until(async () => (await figure(server, 'stele_bytes_received_total')) >= received + size, 'the bytes of a message');
  }
  return all;
}

const endedFull = ({ end, said }, why) => {
  assert.equal(end.code, 1013);
  assert.match(end.reason, /^queue-full: /);
  assert.deepEqual([said.at(-1).error.code, said.at(-1).error.retryable], ['queue-full', true]);
  assert.match(said.at(-1).error.message, why);
};
const LARGEST = /incoming_bytes.*largest.*smaller parts/;
const wasBrokenOff = (one) => endedFull(one, LARGEST);

const large = 'x'.repeat(200_000);

test('unfinished messages of one client leave room for the requests of others, and the largest goes first', async (t) => {
  const key = newKey();
  const server = await Server.forTest(t, { config: { exports: { E: {} }, incoming_bytes: 16 * MIB, auth: signed(key) } });
  const greedy = bearer(tokenOf(key, { sub: 'greedy' })), other = bearer(tokenOf(key, { sub: 'other' }));
  /* The memory of one is up to twice its bytes, by the pieces that they come in: so many bytes are of one class of size in any
     case, and so many messages too many. */
  const sizes = range(30, (i) => (i === 5 ? 3 * MIB : MIB / 2));
  const crowded = await crowd(t, server, sizes, greedy);
  await until(() => crowded[5].end, 'the end of the largest');
  wasBrokenOff(crowded[5]);
  const endedOf = () => crowded.filter((one) => one.end);
  const before = endedOf().length;
  for (let i = 0; i < 45; i++) {
    const { status, text } = await tryPost(server, m(`k${i}`, { large }), other);
    assert.equal(status, 200, text);
  }
  /* Even a request that is larger than each of theirs. */
  assert.equal((await tryPost(server, m('all', { large: 'x'.repeat(3_000_000) }), other)).status, 200);
  const more = endedOf().length - before;
  assert.ok(more < 12, `${more} more were broken off for what needs 4 MB`);
  /* One whose last piece is too much is itself as large as the others, and is refused. */
  const broken = endedOf().filter(({ said }) => LARGEST.test(said.at(-1).error.message));
  broken.forEach(wasBrokenOff);
  for (const one of endedOf()) if (!broken.includes(one)) endedFull(one, /held already, and incoming_bytes allows no more.*smaller parts/);
  /* Of equal ones the oldest. */
  const equal = crowded.filter((_, i) => i !== 5);
  assert.ok(equal.slice(0, broken.length - 1).every((one) => one.end), 'the oldest go first');
  assert.ok((await figure(server, 'stele_incoming_bytes')) <= 16 * MIB);
  assert.equal(await brokenOff(server, 'request'), broken.length);
  assert.match(server.stderr, /request-refused .*subject="greedy".*code=queue-full/);
  assert.doesNotMatch(server.stderr, /request-refused .*subject="other"/);
  await server.terminate();
  await check(server.db);
});

test('without tokens a client is its address, behind a trusted proxy the forwarded one', async (t) => {
  const config = { exports: { E: {} }, incoming_bytes: 8 * MIB, trusted_proxies: '127.0.0.1' };
  const server = await Server.forTest(t, { config });
  const from = (address) => ({ 'X-Forwarded-For': address });
  const crowded = await crowd(t, server, range(50, () => 100_000), from('192.0.2.1'));
  /* Larger than each of theirs: from their address it is the largest of all, from another it is not. */
  const same = await tryPost(server, m('same', { large: 'x'.repeat(1_500_000) }), from('192.0.2.1'));
  assert.deepEqual([same.status, same.json.code, same.headers['retry-after']], [503, 'queue-full', '1']);
  assert.match(same.json.message, /incoming_bytes.*try again later, or in smaller parts/);
  assert.equal(await brokenOff(server, 'request'), 0);
  for (let i = 0; i < 5; i++) assert.equal((await tryPost(server, m('other', { i, large: 'x'.repeat(1_500_000) }), from('192.0.2.2'))).status, 200);
  const ended = crowded.filter((one) => one.end);
  assert.ok(ended.length > 0 && ended.length < 50);
  ended.forEach(wasBrokenOff);
  /* What is smaller than theirs passes from anywhere. */
  for (let i = 0; i < 45; i++) assert.equal((await tryPost(server, m('small', { i, large: 'x'.repeat(50_000) }), from('192.0.2.1'))).status, 200);
});

/* ---- answers that are not read ---- */

test('answers that nobody reads leave room for those of others, and the largest is broken off', async (t) => {
  const key = newKey();
  const server = await Server.forTest(t, { config: { exports: { E: {}, F: {} }, auth: signed(key) } });
  const greedy = bearer(tokenOf(key, { sub: 'greedy' })), other = bearer(tokenOf(key, { sub: 'other' }));
  const fill = range(1500, (i) => m(`k${i}`, { pad: 'p'.repeat(8000) }));
  for (let at = 0; at < 1500; at += 300) assert.equal((await tryPost(server, fill.slice(at, at + 300), other)).status, 200);
  assert.equal((await tryPost(server, m('k', { n: 1 }, 'F'), other)).status, 200);
  const open = async (token) => {
    const socket = connect({ host: server.host, port: server.port });
    t.after(() => socket.destroy());
    socket.on('error', () => {});
    socket.once('close', () => (socket.over = true));
    socket.write(`GET /v1/views/E/list?take=1500 HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${token.Authorization}\r\n\r\n`);
    await within(new Promise((done) => socket.once('readable', done)), 'the head of an answer');
    const head = socket.read(12).toString();
    return { socket, head };
  };
  const before = server.memory();
  const stalled = [];
  for (let i = 0; i < 14; i++) stalled.push(await open(greedy));
  const served = stalled.filter(({ head }) => head === 'HTTP/1.1 200');
  assert.ok(served.length >= 3);
  /* Refused is only who has most of it itself. */
  assert.ok(stalled.every(({ head }) => /^HTTP\/1\.1 (200|503)$/.test(head)));
  for (let i = 0; i < 30; i++) {
    assert.equal((await http(`${server.http}/v1/views/F/list`, { headers: other })).status, 200);
    assert.equal((await http(`${server.http}/v1/views/F/list`, { headers: greedy })).status, 200);
  }
  const whole = await http(`${server.http}/v1/views/E/list?take=1500`, { headers: other });
  assert.equal(whole.json.rows.length, 1500);
  assert.equal(await brokenOff(server, 'answer'), 1);
  assert.match(server.stderr, /answer-broken-off client=127\.0\.0\.1 bytes=\d{8} sent=\d+ reason=".*largest.*read it faster, or ask for less/);
  assert.ok((await figure(server, 'stele_http_answer_bytes')) <= 80 * MIB);
  assert.ok(server.memory() - before < 300 * MIB);
  /* It is the oldest of the equal ones, whose connection ends in the middle; the next one is whole. */
  const read = ({ socket }) => within(new Promise((done) => {
    let length = 12;
    socket.on('data', (part) => {
      length += part.length;
      if (length > 12_000_000) done(length);
    });
    socket.once('close', () => done(length));
    if (socket.over) done(length);
    socket.resume();
  }), 'an answer', 60_000);
  assert.ok((await read(served[0])) < 12_000_000);
  assert.ok((await read(served[1])) >= 12_000_000);
});

/* ---- windows ---- */

/** A connection and its windows, each of one key. */
async function watcher(t, server, options) {
  const client = await Client.open(server, { windows: true, ...options });
  t.after(() => client.destroy());
  return client;
}

const watch = async (client, key) => {
  client.subscribe('E/list', { key, take: 1 });
  const seen = await client.until((frame) => (frame.op === 'snapshot' && frame.complete) || (frame.type === 'error' && frame.key === key), `the window of ${key}`);
  return seen.at(-1);
};

test('windows of one connection leave room for those of others: its oldest goes, and is told', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} }, max_windows: 40 } });
  await postAll(server, range(100, (i) => m(`k${i}`, { n: i })));
  const greedy = await watcher(t, server), other = await watcher(t, server), third = await watcher(t, server);
  for (let i = 0; i < 40; i++) assert.equal((await watch(greedy, `k${i}`)).op, 'snapshot');
  /* It has most of them itself. */
  const refused = await watch(greedy, 'k40');
  assert.deepEqual([refused.code, refused.fatal], ['subscription-limit-exceeded', false]);
  assert.match(refused.message, /max_windows/);
  /* A window that others watch as well is nobody's share. */
  assert.equal((await watch(other, 'k0')).op, 'snapshot');
  for (let i = 50; i < 60; i++) assert.equal((await watch(other, `k${i}`)).op, 'snapshot', `window ${i}`);
  const lost = [];
  while (lost.length < 10) {
    const frame = await greedy.next('the end of a window');
    if (frame.type === 'error') lost.push(frame);
  }
  assert.deepEqual(lost.map(({ key }) => key), range(10, (i) => `k${i + 1}`));
  for (const { code, fatal, message } of lost) {
    assert.deepEqual([code, fatal], ['subscription-limit-exceeded', false]);
    assert.match(message, /max_windows.*oldest.*use fewer, or ones that others use/);
  }
  assert.equal(await figure(server, 'stele_windows'), 40);
  assert.equal(await brokenOff(server, 'window'), 10);
  /* What both keep goes on, and so do newcomers. */
  assert.equal((await watch(third, 'k70')).op, 'snapshot');
  await post(server, [m('k0', { n: -1 }), m('k39', { n: -2 }), m('k50', { n: -3 }), m('k70', { n: -4 })]);
  const live = (client, key) => client.until((frame) => frame.key === key && frame.op !== 'snapshot', `a change of ${key}`);
  await live(greedy, 'k39');
  await live(other, 'k50');
  await live(third, 'k70');
});

test('a window that lingers takes a place when somebody comes back to it', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} }, max_windows: 6 } });
  await postAll(server, range(40, (i) => m(`k${i}`, { n: i })));
  const first = await watcher(t, server);
  for (let i = 0; i < 3; i++) assert.equal((await watch(first, `k${i}`)).op, 'snapshot');
  first.destroy();
  await until(async () => (await figure(server, 'stele_windows')) === 0, 'the end of the windows');
  const greedy = await watcher(t, server);
  for (let i = 10; i < 16; i++) assert.equal((await watch(greedy, `k${i}`)).op, 'snapshot');
  /* It comes back; the one that has most gives way. */
  const again = await watcher(t, server);
  for (let i = 0; i < 3; i++) {
    assert.equal((await watch(again, `k${i}`)).op, 'snapshot');
    assert.equal(await figure(server, 'stele_windows'), 6);
    const [frame] = await greedy.until(({ type }) => type === 'error', 'the end of a window').then((frames) => frames.slice(-1));
    assert.deepEqual([frame.code, frame.key], ['subscription-limit-exceeded', `k${10 + i}`]);
  }
  assert.equal((await watch(again, 'k20')).code, 'subscription-limit-exceeded');
  /* What somebody watches may be watched by others, however many there are. */
  assert.equal((await watch(again, 'k13')).op, 'snapshot');
});

test('the windows of a subject count together, however many connections it has', async (t) => {
  const key = newKey();
  const server = await Server.forTest(t, { config: { exports: { E: {} }, max_windows: 12, auth: signed(key) } });
  const as = (sub) => ({ headers: bearer(tokenOf(key, { sub })) });
  await tryPost(server, range(40, (i) => m(`k${i}`, { n: i })), as('feeder').headers);
  const greedy = [];
  for (let i = 0; i < 12; i++) {
    greedy.push(await watcher(t, server, as('greedy')));
    assert.equal((await watch(greedy[i], `k${i}`)).op, 'snapshot');
  }
  /* Each of its connections has as few as another client's, but the subject has most. */
  const other = await watcher(t, server, as('other'));
  for (let i = 20; i < 26; i++) assert.equal((await watch(other, `k${i}`)).op, 'snapshot');
  for (let i = 0; i < 6; i++) {
    const [frame] = await greedy[i].until(({ type }) => type === 'error', 'the end of a window');
    assert.deepEqual([frame.code, frame.key], ['subscription-limit-exceeded', `k${i}`]);
  }
  /* As many as another: nobody gives way any more. */
  assert.equal((await watch(other, 'k30')).code, 'subscription-limit-exceeded');
});

test('a window that several connections of a subject watch is one of that subject', async (t) => {
  const key = newKey();
  const server = await Server.forTest(t, { config: { exports: { E: {} }, max_windows: 12, auth: signed(key) } });
  const as = (sub) => ({ headers: bearer(tokenOf(key, { sub })) });
  await tryPost(server, range(40, (i) => m(`k${i}`, { n: i })), as('feeder').headers);
  const greedy = await Promise.all(range(3, () => watcher(t, server, as('greedy'))));
  for (let i = 0; i < 11; i++) for (const client of greedy) assert.equal((await watch(client, `k${i}`)).op, 'snapshot');
  /* Who has one of its own keeps it. */
  const small = await watcher(t, server, as('small')), other = await watcher(t, server, as('other'));
  assert.equal((await watch(small, 'k30')).op, 'snapshot');
  for (let i = 20; i < 25; i++) assert.equal((await watch(other, `k${i}`)).op, 'snapshot', `window ${i}`);
  for (const client of greedy)
    for (let i = 0; i < 5; i++) {
      const [frame] = await client.until(({ type }) => type === 'error', 'the end of a window').then((frames) => frames.slice(-1));
      assert.deepEqual([frame.code, frame.key], ['subscription-limit-exceeded', `k${i}`]);
    }
  assert.equal(await brokenOff(server, 'window'), 5);
  await tryPost(server, [m('k30', { n: -1 })], as('feeder').headers);
  await small.until((frame) => frame.key === 'k30' && frame.op !== 'snapshot', 'a change of k30');
});

/* ---- the readers' time ---- */

test('scans of one client do not stand in the way of short reads', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {}, F: {} } } });
  await postAll(server, range(100_000, (i) => m(`k${i}`, { n: i, text: `some text ${i}` })), 5000);
  await post(server, m('k', { n: 1 }, 'F'));
  let stopped = false, scanned = 0;
  const scan = async (i) => {
    while (!stopped) {
      const answer = await http(`${server.http}/v1/views/E/list?take=10&filter=n:${-1 - i}`).catch(() => null);
      if (stopped) return;
      assert.deepEqual([answer.status, answer.json?.rows], [200, []]);
      scanned++;
    }
  };
  const scans = range(60, scan);
  await until(() => scanned > 0, 'a scan');
  const before = scanned;
  for (let i = 0; i < 40; i++) {
    assert.equal((await http(`${server.http}/v1/views/F/list`)).status, 200);
    assert.equal((await http(`${server.http}/v1/views/E/list?take=20`)).json.rows.length, 20);
  }
  /* Where each waits for a round of all scans' steps, each client of scans is through some times. */
  assert.ok(scanned - before < 120, `${scanned - before} scans ended during 80 short reads`);
  /* And they do go on beside short reads that never end. */
  const now = scanned;
  let reads = 0;
  while (scanned < now + 3) {
    assert.equal((await http(`${server.http}/v1/views/F/list`)).status, 200);
    assert.ok(++reads < 100_000, 'scans starve');
  }
  stopped = true;
  await server.kill9();
  await Promise.allSettled(scans);
});

test('requests for views have shares, too', async (t) => {
  const config = { exports: { E: {}, F: {} }, trusted_proxies: '127.0.0.1' };
  const server = await Server.forTest(t, { config });
  await postAll(server, range(100_000, (i) => m(`k${i}`, { n: i })), 5000);
  const from = (address) => ({ headers: { 'X-Forwarded-For': address } });
  const scans = range(300, (i) => http(`${server.http}/v1/views/E/list?take=10&filter=n:${-1 - i}`, from('192.0.2.1')));
  scans.forEach((one) => one.catch(() => {}));
  const [first] = await Promise.all([Promise.race(scans), ...range(20, async () => {
    const { status, text } = await http(`${server.http}/v1/views/F/list`, from('192.0.2.2'));
    assert.equal(status, 200, text);
  })]);
  assert.ok([200, 503].includes(first.status));
  await server.kill9();
  const answers = (await Promise.allSettled(scans)).filter(({ status }) => status === 'fulfilled').map(({ value }) => value);
  for (const { json } of answers.filter(({ status }) => status === 503)) {
    assert.equal(json.code, 'queue-full');
    assert.match(json.message, /the most that one client may have now; try again later, with fewer at a time/);
  }
});

/* ---- the writer's time and memory ---- */

/** Nothing can be committed until what this returns is called. */
async function holdWriter(t, server) {
  const shell = spawn('sqlite3', [server.db], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => shell.kill('SIGKILL'));
  shell.stdin.write(".timeout 20000\nBEGIN IMMEDIATE;\nSELECT 'held';\n");
  await within(once(shell.stdout, 'data'), 'the lock');
  return async () => {
    shell.kill('SIGKILL');
    await once(shell, 'close');
  };
}

test('what waits to be committed has shares: one client with many connections does not fill the queue', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} }, queue_bytes: MIB, trusted_proxies: '127.0.0.1' } });
  const from = (address) => ({ 'X-Forwarded-For': address });
  const body = (key) => m(key, { pad: 'x'.repeat(8000) });
  const release = await holdWriter(t, server);
  /* It begins until it is refused several times, so there is no room for it any more. */
  const greedy = [];
  let refused = 0;
  for (let i = 0; refused < 20 && i < 1000; i++) {
    const answer = tryPost(server, body(`g${i}`), from('192.0.2.1'));
    answer.then(({ status }) => (refused += status !== 200), () => {});
    greedy.push(answer);
    await sleep(5);
  }
  assert.ok(refused >= 20, 'the queue of one client has no end');
  /* Others have room, by HTTP and by WebSocket. */
  const other = range(6, (i) => tryPost(server, body(`o${i}`), from('192.0.2.2')));
  const answers = other.map((one) => one.then(({ status }) => status));
  const early = await Promise.race([...answers, sleep(300)]);
  assert.equal(early, undefined, `refused with ${early}`);
  const socket = await Socket.open(`${server.ws}/v1/ingest`, { headers: from('192.0.2.3') });
  socket.send(JSON.stringify({ id: 1, mutations: [body('w')] }));
  const acknowledged = once(socket, 'message');
  await release();
  assert.deepEqual(await within(Promise.all(answers), 'the answers of another', 60_000), range(6, () => 200));
  assert.equal(JSON.parse((await within(acknowledged, 'an acknowledgement', 60_000))[0]).ack, 1);
  const told = await within(Promise.all(greedy), 'the answers', 60_000);
  for (const { status, json } of told.filter((one) => one.status !== 200)) {
    assert.deepEqual([status, json.code], [503, 'queue-full']);
    assert.match(json.message, /of this client wait to be written already.*others/);
  }
  assert.ok(told.some(({ status }) => status === 200));
  socket.destroy();
  await server.terminate();
  await check(server.db);
});

test('many patches of a large entity are merged once, and each is told and kept', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {}, F: {} }, max_merge_bytes: 16 * MIB } });
  await post(server, m('large', Object.fromEntries(range(30_000, (i) => [`member${i}`, 'x'.repeat(80)]))));
  const client = await watcher(t, server, { windows: false });
  const opened = await client.open('E/list');
  const held = opened.rows.get('large');
  const patches = range(1100, (i) => m('large', i % 3 ? { [`member${i}`]: i } : { deep: { [`d${i % 7}`]: i, list: [i] } }));
  const answer = await tryPost(server, patches.map((patch) => ({ ...patch, append: ['deep.list'] })));
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.json.applied, 1100);
  const frames = [];
  while (frames.length < 1100) frames.push(await client.next('a patch'));
  frames.forEach((frame, i) => {
    assert.deepEqual([frame.op, frame.key], ['patch', 'large']);
    const sent = { ...frame.data };
    delete sent._seq;
    if (i % 3) assert.deepEqual(sent, patches[i].patch);
    else assert.equal(sent.deep[`d${i % 7}`], i);
  });
  const merge = (into, from) => {
    for (const [name, value] of Object.entries(from)) {
      if (value && typeof value === 'object' && !Array.isArray(value)) into[name] = merge(into[name] ?? {}, value);
      else into[name] = value;
    }
    return into;
  };
  const lists = patches.flatMap(({ patch }) => patch.deep?.list ?? []).slice(-100);
  frames.forEach((frame) => merge(held, frame.data));
  held.deep.list = lists;
  const [row] = await sql(server.db, "SELECT data FROM \"E/list\" WHERE key = 'large'");
  assert.deepEqual(JSON.parse(row.data), held);
  assert.equal((await sql(server.db, 'SELECT count(*) AS n FROM change'))[0].n, 1101);
  await server.terminate();
  await check(server.db);
});

test('a short request that touches many large entities is refused, and nothing of it is kept', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} }, max_merge_bytes: 32 * MIB, entity_cache_bytes: MIB } });
  const pad = 'y'.repeat(4 * MIB);
  for (let i = 0; i < 40; i++) await post(server, m(`k${i}`, { pad }));
  const before = server.memory();
  const first = await sql(server.db, 'SELECT max(id) AS id FROM change');
  for (const make of [(i) => m(`k${i}`, { n: i }), (i) => ({ export: 'E', key: `k${i}`, op: 'delete' }), (i) => m(`k${i % 40}`, { n: i, unset: 1 })]) {
    const answer = await tryPost(server, range(80, (i) => make(i % 40)));
    assert.deepEqual([answer.status, answer.json.code, answer.json.retryable], [413, 'too-large', false]);
    assert.match(answer.json.message, /max_merge_bytes.*send it in parts/);
  }
  assert.ok(server.memory() - before < 150 * MIB, `grew by ${(server.memory() - before) >> 20} MiB`);
  assert.deepEqual(await sql(server.db, 'SELECT max(id) AS id FROM change'), first);
  /* In parts it passes. */
  for (let i = 0; i < 40; i += 2) await post(server, [m(`k${i}`, { n: i }), m(`k${i + 1}`, { n: i })]);
  await server.terminate();
  await check(server.db);
});
