// Subscribers that never read, under full feeding: the server's memory stays flat, the others are
// served, and a stalled one that starts reading again converges.
//
// STELE_STALLED subscribers (default 100; the full run is 1,000), STELE_FEED mutations (120,000).

import assert from 'node:assert/strict';
import test from 'node:test';
import { Applier } from './lib/applier.js';
import { Client } from './lib/client.js';
import { Producer } from './lib/feed.js';
import { Server, check, patience, sqlView } from './lib/server.js';

const STALLED = Number(process.env.STELE_STALLED ?? 100);
const FEED = Number(process.env.STELE_FEED ?? 120_000);
const KEYS = 500;
const BATCH = 100;
const LATE = 16_000;
const MIB = 1024 * 1024;

const settle = async (applier, expected, what) => {
  const until = Date.now() + patience(60_000);
  for (;;) {
    let differs = 0;
    for (const [key, text] of expected) if (JSON.stringify(applier.rows.get(key)) !== text) differs++;
    if (differs === 0 && applier.rows.size === expected.size) return;
    assert.ok(Date.now() < until, `${what}: ${differs} of ${expected.size} rows differ, holds ${applier.rows.size}`);
    await new Promise((done) => setTimeout(done, 20));
  }
};

/** Reads on and applies until the connection ends. */
function follow(client, applier) {
  const read = async () => {
    while (!client.end) {
      try {
        applier.apply(await client.next('a frame'));
      } catch (error) {
        if (client.failure) throw error;
        if (client.end) return;
        /* Nothing for a while is no failure here. */
      }
      if (client.read > 1000) {
        client.messages.splice(0, client.read);
        client.read = 0;
      }
    }
  };
  return read();
}

test(`${STALLED} subscribers that never read cost no memory and nobody else's time`, async (t) => {
  const server = await Server.forTest(t, {
    config: {
      exports: { E: {} },
      ring_bytes: MIB, channel_bytes: MIB, snapshot_cache_bytes: MIB, entity_cache_bytes: MIB,
      page_cache_bytes: 2 * MIB, retention_rows: 20_000, checkpoint_pages: 1000,
    },
  });
  const producer = new Producer('p', { window: 16 });
  await producer.connect(server);
  let n = 0;
  const feed = async (count) => {
    const began = Date.now();
    for (const end = n + count; n < end; ) {
      const mutations = [];
      for (let i = 0; i < BATCH; i++, n++) {
        mutations.push(`{"export":"E","key":"k${n % KEYS}","patch":{"n":${n},"l":[${n}],"pad":"${String(n).padStart(150, 'x')}"},"append":["l"]}`);
      }
      producer.add(mutations);
      if (producer.queue.length > 32) await producer.drain(16);
    }
    await producer.drain();
    return (count / (Date.now() - began)) * 1000;
  };
  await feed(KEYS * 4);
  const idle = server.memory();

  const views = ['E/list', 'E/append', 'E/list', 'E/state'];
  const stalled = [];
  for (let i = 0; i < STALLED; i++) {
    const client = await Client.open(server);
    client.view = views[i % views.length];
    client.key = client.view === 'E/state' ? `k${i % KEYS}` : undefined;
    client.subscribe(client.view, { key: client.key });
    client.socket.pause();
    stalled.push(client);
  }
  t.after(() => stalled.forEach((client) => client.destroy()));
  const readers = [];
  for (const view of ['E/list', 'E/append']) {
    const client = await Client.open(server);
    const applier = new Applier();
    client.subscribe(view);
    readers.push({ client, applier, view, over: follow(client, applier) });
  }

  const samples = [];
  const rates = [];
  const rounds = Number(process.env.STELE_ROUNDS ?? 6);
  for (let round = 0; round < rounds; round++) {
    rates.push(Math.round(await feed(FEED / rounds)));
    samples.push(server.memory());
  }
  const expected = new Map([...(await sqlView(server.db, 'E/list'))].map(([key, row]) => [key, row.data]));
  for (const { applier, view } of readers) await settle(applier, expected, `the reader of ${view}`);
  const status = await server.get('/ready');
  assert.equal(status.status, 200);

  const mib = (bytes) => (bytes / MIB).toFixed(1);
  t.diagnostic(`memory: ${mib(idle)} MiB before, then ${samples.map(mib).join(', ')} MiB; ${rates.join(', ')} mutations/s`);
  if (!process.env.STELE_SANITIZED) {
    /* Flat: the second half adds far less than one copy of what it fed (330 bytes of frame each); the allocator's pieces
       and the last rows of the caches are some MiB, however little is fed. Bounded: a constant for each one stalled. */
    const growth = samples.at(-1) - samples[Math.floor(rounds / 2) - 1];
    const copy = (FEED / 2) * 330;
    assert.ok(growth < Math.max(0.6 * copy, 8 * MIB), `memory grew by ${mib(growth)} MiB in the second half, one copy of what it fed is ${mib(copy)}`);
    const most = idle + 40 * MIB + STALLED * 96 * 1024;
    assert.ok(Math.max(...samples) < most, `memory ${mib(Math.max(...samples))} MiB, the bound is ${mib(most)} MiB`);
  }

  /* Some wake up: what they hold in the end is what is there. */
  for (const client of stalled.slice(0, 8)) {
    assert.equal(client.end, undefined, 'a stalled subscriber is not dropped');
    const applier = new Applier();
    const over = follow(client, applier);
    client.socket.resume();
    const want = client.key ? new Map([[client.key, expected.get(client.key)]]) : expected;
    await settle(applier, want, `a stalled subscriber of ${client.view} that reads again`);
    client.destroy();
    await over;
  }
  for (const { client, over } of readers) {
    client.destroy();
    await over;
  }
  producer.disconnect();
  await server.terminate();
  await check(server.db);
});

/* More than the buffers of both sides hold, so writes to it end within frames. */
test('a subscriber that reads late gets each frame once, in order', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} } } });
  const producer = new Producer('p', { window: 16 });
  await producer.connect(server);
  const late = await Client.open(server);
  await late.open('E/list');
  late.socket.pause();
  const pad = 'x'.repeat(1000);
  for (let n = 0; n < LATE; n += BATCH) {
    producer.add(Array.from({ length: BATCH }, (_, i) => `{"export":"E","key":"k${i}","patch":{"n":${n + i},"pad":"${pad}"}}`));
    if (producer.queue.length > 32) await producer.drain(16);
  }
  await producer.drain();
  late.socket.resume();
  for (let n = 0; n < LATE; n++) assert.equal((await late.next('a frame')).data.n, n);
  producer.disconnect();
  late.destroy();
});

test('a client unseen for the client timeout is closed; one that pings is not', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} }, client_timeout_seconds: 2 } });
  /* A busy machine may keep this process from pinging. That says nothing of the server, so both come again. */
  for (let i = 0; !(await outlives(server)); i++) assert.ok(i < 5, 'this process stands still too often to ping');
});

/** One that is silent and one that pings: whether the second could ping. */
async function outlives(server) {
  const silent = await Client.open(server);
  silent.subscribe('E/list');
  silent.socket.pause(); /* reads nothing, sends nothing, answers no ping */
  const alive = await Client.open(server);
  await alive.open('E/list');
  const began = performance.now();
  let last = began, pause = 0; /* the longest between two pings */
  const ping = () => {
    const now = performance.now();
    pause = Math.max(pause, now - last);
    last = now;
    alive.send('{"type":"ping"}');
  };
  const beat = setInterval(ping, 300);
  try {
    for (let active; active !== '1'; await new Promise((done) => setTimeout(done, 100))) {
      const connections = JSON.stringify(await server.status());
      active = /"(?:clients|connections|subscribers)":\{?[^0-9]*([0-9]+)/.exec(connections)?.[1];
      if (pause > 1500 || performance.now() - last > 1500) return false;
      assert.equal(alive.end, undefined);
      assert.ok(performance.now() - began < patience(20_000), `still there: ${connections}`);
    }
    assert.ok(performance.now() - began > 1000, 'not before its time');
    return true;
  } finally {
    clearInterval(beat);
    silent.destroy();
    alive.destroy();
  }
}
