// kill -9 at random moments under load: nothing acknowledged is missing, nothing is there twice,
// `stele check` is clean, and no subscriber saw a frame of a mutation that is not there.
//
// STELE_KILLS moments (default 8; the full run is 200), STELE_SEED for the moments.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Applier } from './lib/applier.js';
import { Client } from './lib/client.js';
import { Disk } from './lib/disk.js';
import { Producer, lines, post, tryPost } from './lib/feed.js';
import { Random } from './lib/random.js';
import { Server, check, run, scratch, sqlState, sqlView } from './lib/server.js';

const KILLS = Number(process.env.STELE_KILLS ?? 8);
const SEED = Number(process.env.STELE_SEED ?? 1);
const PRODUCERS = 3;
const PER_KEY = 40; /* batches whose numbers share an entity */

/** Batch n of a producer: its number appended, a counter, and entities of its own. */
function batch(p, n, random) {
  const key = `${p}-${Math.floor(n / PER_KEY)}`;
  const mutations = [`{"export":"Log","key":"${key}","patch":{"n":[${n}],"last":${n}},"append":["n"]}`];
  const more = random.below(6);
  for (let i = 0; i < more; i++) mutations.push(`{"export":"Row","key":"${p}-${n}-${i}","patch":{"pad":"${'x'.repeat(random.below(300))}"}}`);
  mutations.push(`{"export":"Log","key":"${p}-count","patch":{"count":${n}}}`);
  return { mutations, rows: more };
}

/** Subscribes and remembers what it saw until the connection ends. */
class Witness {
  constructor(view) {
    this.view = view;
    this.applier = new Applier();
  }

  async watch(server) {
    this.seen = [];
    this.client = await Client.open(server);
    this.client.subscribe(this.view, this.applier.parameters());
    this.over = this.#read();
  }

  async #read() {
    for (;;) {
      let frame;
      try {
        frame = await this.client.next('the next frame or the end');
      } catch (error) {
        if (this.client.end && !this.client.failure) return;
        throw error;
      }
      this.applier.apply(frame);
      if (frame.op === 'snapshot') for (const { key, data } of frame.data) this.seen.push([key, data]);
      else if (frame.op !== 'subscribed') this.seen.push([frame.key, frame.data]);
    }
  }
}

const PER_DATABASE = 10; /* so that checking it does not become the work */

test(`kill -9 at ${KILLS} random moments under load loses and repeats nothing`, async (t) => {
  for (let done = 0; done < KILLS; done += PER_DATABASE) {
    const kills = Math.min(PER_DATABASE, KILLS - done);
    await t.test(`${kills} kills, seed ${SEED + done}`, (inner) => underLoad(inner, kills, new Random(SEED + done)));
  }
});

async function underLoad(t, kills, random) {
  const server = await Server.forTest(t, { config: { exports: { Log: {}, Row: {} }, checkpoint_pages: 64 } });
  const producers = Array.from({ length: PRODUCERS }, (_, i) => new Producer(`p${i}`, { window: 16 }));
  const rowsOf = producers.map(() => [0]); /* by batch number: its rows */
  const witnesses = [new Witness('Log/list'), new Witness('Log/append'), new Witness('Row/list')];
  let loading = true;
  const load = async (p) => {
    const producer = producers[p];
    while (loading) {
      while (loading && producer.queue.length < 24) {
        const { mutations, rows } = batch(p, producer.number + 1, random);
        rowsOf[p].push(rows);
        producer.add(mutations);
      }
      await new Promise((done) => setTimeout(done, 1));
    }
  };
  const connect = async () => {
    await Promise.all(producers.map((producer) => producer.connect(server)));
    await Promise.all(witnesses.map((witness) => witness.watch(server)));
  };

  /** The database holds batches 1..n of each producer, once and in order, n at least as acknowledged. */
  const verify = async (acknowledged) => {
    const logs = await sqlView(server.db, 'Log/list');
    const rows = await sqlView(server.db, 'Row/list');
    const present = [];
    for (let p = 0; p < PRODUCERS; p++) {
      const numbers = [];
      for (let k = 0; logs.has(`${p}-${k}`); k++) {
        const { n, last } = JSON.parse(logs.get(`${p}-${k}`).data);
        assert.equal(last, n.at(-1));
        numbers.push(...n);
      }
      assert.deepEqual(numbers, numbers.map((_, i) => i + 1), `p${p}: every batch once and in order`);
      assert.ok(numbers.length >= acknowledged[p], `p${p}: ${acknowledged[p]} acknowledged, ${numbers.length} there`);
      assert.equal(JSON.parse(logs.get(`${p}-count`)?.data ?? '{"count":0}').count, numbers.length, 'a batch is whole');
      const expected = rowsOf[p].slice(0, numbers.length + 1).reduce((a, b) => a + b, 0);
      const found = [...rows.keys()].filter((key) => key.startsWith(`${p}-`)).length;
      assert.equal(found, expected, `p${p}: rows of whole batches`);
      present.push(numbers.length);
    }
    for (const witness of witnesses) {
      const there = witness.view.startsWith('Log') ? logs : rows;
      for (const [key, data] of witness.seen) {
        assert.ok(there.has(key), `${witness.view}: a frame for ${key}, which is not there`);
        if (data.count !== undefined) assert.ok(data.count <= present[Number(key[0])], `${witness.view}: saw batch ${data.count} of p${key[0]}`);
        for (const n of data.n ?? []) assert.ok(n <= present[Number(key[0])], `${witness.view}: saw batch ${n} of p${key[0]}`);
      }
    }
    return present;
  };

  await connect();
  const loads = producers.map((_, p) => load(p));
  let acks = 0;
  for (let kill = 0; kill < kills; kill++) {
    const before = producers.reduce((sum, producer) => sum + producer.acks, 0);
    /* At least one acknowledgement in each life, then some moment more. */
    await producers[0].acknowledgement();
    await new Promise((done) => setTimeout(done, random.below(120)));
    await server.kill9();
    await Promise.all(witnesses.map((witness) => witness.over));
    const acknowledged = producers.map((producer) => producer.acknowledged);
    for (const producer of producers) producer.disconnect();
    acks += producers.reduce((sum, producer) => sum + producer.acks, 0) - before;
    /* As the crash left it: the shell recovers the log by itself. */
    if (kill % 2) await verify(acknowledged);
    await server.restart();
    await verify(acknowledged);
    await check(server.db);
    await connect();
  }
  loading = false;
  await Promise.all(loads);
  for (const producer of producers) await producer.drain();
  const present = await verify(producers.map((producer) => producer.number));
  assert.deepEqual(present, producers.map((producer) => producer.number));
  for (const witness of witnesses) {
    const expected = await sqlState(server.db, witness.view);
    for (let i = 0; ; i++) {
      const differs = [...expected].filter(([key, row]) => JSON.stringify(witness.applier.rows.get(key)?._seq) !== JSON.stringify(JSON.parse(row.data)._seq));
      if (differs.length === 0) break;
      assert.ok(i < 2000, `${witness.view}: ${differs.length} of ${expected.size} rows differ`);
      await new Promise((done) => setTimeout(done, 10));
    }
    for (const [key, row] of expected) assert.deepEqual(witness.applier.rows.get(key), JSON.parse(row.data), `${witness.view} ${key}`);
    assert.equal(witness.applier.rows.size, expected.size);
    witness.client.destroy();
    await witness.over;
  }
  for (const producer of producers) producer.disconnect();
  await server.terminate();
  await check(server.db);
  const repeated = producers.reduce((sum, producer) => sum + producer.duplicates, 0);
  t.diagnostic(`${kills} kills, ${acks} acknowledgements, ${repeated} batches repeated and known as such`);
}

/* ---- a commit whose sync fails ---- */

const append = (n) => ({ export: 'Log', key: 'k', patch: { n: [n] }, append: ['n'] });
const appended = async (server) => JSON.parse((await sqlView(server.db, 'Log/list')).get('k').data).n;

async function withDisk(t, options = {}) {
  const disk = new Disk(scratch(t));
  const server = await Server.forTest(t, { ...options, env: disk.env });
  await post(server, [append(0)]);
  return { disk, server };
}

/** The server takes in again, as it tries by itself every second. */
async function takesIn(server) {
  while ((await server.get('/ready/write')).status !== 200) await new Promise((done) => setTimeout(done, 50));
}

for (const [name, end] of [
  ['after kill -9', async (server) => (await server.kill9(), server.restart())],
  ['while the server lives', takesIn],
]) {
  test(`what was refused because a sync failed is not there ${name}, and counts once when it comes again`, async (t) => {
    const { disk, server } = await withDisk(t);
    for (let n = 1; n <= 6; n++) {
      disk.failing = 1; /* that of the commit, not that of what takes it back */
      const refused = await tryPost(server, [append(n)]);
      assert.deepEqual([refused.status, refused.json.code, disk.failing], [503, 'disk-failed', 0]);
      await end(server);
      assert.deepEqual(await appended(server), Array.from({ length: n }, (_, i) => i));
      await post(server, [append(n)]);
      assert.deepEqual(await appended(server), Array.from({ length: n + 1 }, (_, i) => i));
    }
    await server.terminate();
    await check(server.db);
  });
}

test('where a refused commit cannot be taken back for certain, the outcome is unknown, and a numbered batch counts once', async (t) => {
  const { disk, server } = await withDisk(t);
  const batch = (n) => [{ producer: 'p', batch: n, mutations: [append(n)] }];
  for (let n = 1; n <= 4; n++) {
    disk.failing = 1000;
    const refused = await tryPost(server, batch(n));
    assert.deepEqual([refused.status, refused.json.code, refused.json.retryable], [500, 'outcome-unknown', false]);
    assert.equal(refused.headers['retry-after'], undefined);
    const next = await tryPost(server, batch(n)); /* nothing is tried meanwhile, so that this is known */
    assert.deepEqual([next.status, next.json.code], [503, 'disk-failed']);
    await server.kill9();
    disk.failing = 0;
    await server.restart();
    await post(server, batch(n));
    assert.deepEqual(await appended(server), Array.from({ length: n + 1 }, (_, i) => i));
  }
  await server.terminate();
  await check(server.db);
});

test('stele ingest goes on after syncs that failed, and each line counts once', async (t) => {
  const { disk, server } = await withDisk(t, { set: { max_array_length: 0 } });
  const feed = Array.from({ length: 3000 }, (_, i) => append(i + 1));
  disk.failing = 3;
  const { code, stderr } = await run(['ingest', '--url', server.http], { input: lines(feed) });
  assert.equal(code, 0, stderr);
  assert.equal(disk.failing, 0);
  assert.deepEqual(await appended(server), Array.from({ length: 3001 }, (_, i) => i));
});

/* ---- writes that come short, or break off ---- */

test('writes that come short are gone on with, and nothing is lost', async (t) => {
  const { disk, server } = await withDisk(t);
  disk.short = 1_000_000_000;
  for (let n = 1; n <= 60; n++) await post(server, [append(n), { export: 'Row', key: `r${n}`, patch: { pad: 'x'.repeat(n * 500) } }]);
  assert.ok(disk.short < 1_000_000_000 - 100, 'they were short');
  await server.kill9();
  await server.restart();
  assert.deepEqual(await appended(server), Array.from({ length: 61 }, (_, i) => i));
  await server.terminate();
  await check(server.db);
});

for (const [name, end] of [
  ['after kill -9', async (server) => (await server.kill9(), server.restart())],
  ['while the server lives', takesIn],
]) {
  test(`what was refused because a write broke off is not there ${name}, and counts once when it comes again`, async (t) => {
    const { disk, server } = await withDisk(t);
    for (let n = 1; n <= 6; n++) {
      /* Of several pages, so that it breaks off at another place each time. */
      const feed = [append(n), { export: 'Row', key: `r${n}`, patch: { pad: 'x'.repeat(n * 30_000) } }];
      disk.torn = 1;
      const refused = await tryPost(server, feed);
      assert.deepEqual([refused.status, refused.json.code, disk.torn, disk.half], [503, 'disk-failed', 0, 0]);
      await end(server);
      assert.deepEqual(await appended(server), Array.from({ length: n }, (_, i) => i));
      await post(server, feed);
    }
    assert.deepEqual(await appended(server), Array.from({ length: 7 }, (_, i) => i));
    await server.terminate();
    await check(server.db);
  });
}
