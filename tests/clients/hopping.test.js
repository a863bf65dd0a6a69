// Clients of all kinds move at random between three nodes of one log. One node at a time is stopped (SIGSTOP), or cut from
// its broker, for a while; so nodes are not equally far. In the end each client holds what the log made, no cursor was
// refused, and no row and no cursor went back (lib/hoppers.js). The clients of this repository feed meanwhile, by whatever
// node they are at: each batch is applied once.
//
// STELE_SEEDS seeds (1) from STELE_SEED (1) on, each of STELE_SECONDS (3).

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import WebSocket from 'ws';
import { Broker, figure, hasBroker, logOf, reaches } from './lib/broker.js';
import { Gate } from './lib/gate.js';
import { Comparing, First, Named, Newest, Polling, Reading, Streamed } from './lib/hoppers.js';
import { Proxy } from './lib/proxy.js';
import { PYTHON, PythonSdk, missing } from './lib/python_sdk.js';
import { Random } from './lib/random.js';
import { seedsOf } from './lib/seeds.js';
import { ROOT, Server, check, eventually, scratch, sql } from './lib/server.js';

const OPTIONS = seedsOf(1);
const SECONDS = Number(process.env.STELE_SECONDS ?? 3);
const skip = hasBroker ? false : 'nats-server is not installed (tools/setup test brings it)';

const EXPORTS = { E: { views: { top: { pipeline: [{ sort: { by: 'n', order: 'desc' } }] } } }, F: { max_entities: 12 }, W: { max_array_length: 0 } };
const BEST = { sort: [{ by: 'n', order: 'desc' }], take: 5 };
const SOME = { where: { field: 'n', gte: 500 } };

/* ---- what is fed ---- */

function mutation(r) {
  const name = r.pick(['E', 'E', 'E', 'F']);
  const key = `k${r.below(40)}`;
  if (r.chance(0.12)) return { export: name, key, op: 'delete' };
  const patch = { n: r.below(1000), ...(r.chance(0.4) && { l: [r.below(1000)] }) };
  return r.chance(0.1) ? { export: name, key, op: 'upsert', patch } : { export: name, key, patch, append: ['l'] };
}

const message = (r) => Array.from({ length: r.pick([1, 1, 1, 2, 5]) }, () => JSON.stringify(mutation(r))).join('\n');

/* ---- the clients of this repository: behind doors that are shut on them, one for each node ---- */

const source = join(ROOT, 'clients/typescript/src');

async function loadClient(t) {
  const folder = scratch(t);
  await build({ entryPoints: [join(source, 'index.ts')], outdir: folder, bundle: true, splitting: true, format: 'esm', platform: 'node', outExtension: { '.js': '.mjs' }, logLevel: 'silent' });
  return import(pathToFileURL(join(folder, 'index.mjs')));
}

class OfTypeScript {
  constructor({ SteleClient }, urls, view, query = {}, transport = 'websocket') {
    this.newest = new Newest();
    this.name = `TypeScript of ${view} by ${transport}`;
    Object.assign(this, { viewName: view, query });
    this.client = new SteleClient({ url: urls, WebSocket, storage: 'memory', transport, backoff: { first: 0.02, most: 0.3 }, lingerMs: 1e9 });
    this.view = this.client.view({ view, ...query });
    this.view.subscribe(({ rows, keys }, changed) => {
      try {
        for (const [i, key] of keys.entries()) if (changed.has(key)) this.newest.see(key, rows[i]._seq);
      } catch (error) {
        this.failure ??= error;
      }
    });
  }

  rows() {
    const { status, rows, keys, error } = this.view.state;
    return status === 'live' ? new Map(rows.map((row, i) => [keys[i], row])) : new Map([['it is', `${status}: ${error?.code}`]]);
  }

  feed(mutation) {
    return this.client.enqueue(mutation).then(({ done }) => void done.catch((error) => (this.failure ??= error)));
  }

  pending() {
    return this.client.status.pending;
  }

  close() {
    return this.client.close();
  }
}

class OfPython {
  static async start(t, urls, view, query = {}) {
    const it = Object.assign(new OfPython(), { name: `Python of ${view}`, viewName: view, query });
    it.sdk = PythonSdk.start(t, PYTHON, [join(ROOT, 'clients/python/tests/driver.py')]);
    await it.sdk.ask('open', { urls, url: urls[0], storage: scratch(t), backoff: { first: 0.02, most: 0.3 } });
    await it.sdk.ask('subscribe', { name: 'a', query: { view, ...query } });
    return it;
  }

  async rows() {
    const { views } = await this.sdk.ask('status');
    if (views.a.state !== 'live') return new Map([['it is', views.a.state]]);
    return new Map((await this.sdk.ask('rows', { name: 'a' })).rows.map(({ key, data }) => [key, data]));
  }

  feed(mutation) {
    return this.sdk.do('apply', { mutations: [mutation] });
  }

  async pending() {
    const { pending, feedError } = await this.sdk.ask('status');
    assert.equal(feedError, null);
    return pending;
  }

  close() {}
}

/* ---- one seed ---- */

const plain = (rows) => Object.fromEntries([...rows].map(([key, { _version, ...row }]) => [key, row]).sort(([a], [b]) => (a < b ? -1 : 1)));

class Run {
  constructor(t, seed) {
    this.t = t;
    this.random = new Random(seed);
    this.isOver = false;
  }

  async begin() {
    const { t, random } = this;
    this.broker = await Broker.forTest(t);
    await this.broker.make();
    this.gates = await Promise.all([1, 2, 3].map(() => Gate.start(t, this.broker.port)));
    this.nodes = [];
    const array = random.pick([0, 3, 100]);
    for (const gate of this.gates) {
      const own = { commit_mutations: random.pick([1, 8192]), ring_bytes: random.pick([0, 4096, 67108864]), cursor_wait_ms: random.pick([50, 400, 5000]) };
      this.nodes.push(await Server.forTest(t, { config: { exports: EXPORTS, max_array_length: array, ...own, log: { ...logOf(this.broker), nats: [gate.url] } } }));
    }
    this.last = await this.broker.publish(Array.from({ length: 20 }, () => message(random)));
    for (const node of this.nodes) await reaches(node, this.last);
    this.doors = await Promise.all(this.nodes.map((node) => Proxy.start(t, node.port)));
    for (const door of this.doors) door.passing = (data) => this.#overhear(String(data));
    await this.#gather();
  }

  /** What the clients of this repository are told, and do not tell. Of a window it may be false. */
  #overhear(text) {
    for (const [subscribed, resumed] of text.matchAll(/"op":"subscribed"[^]*?"resumed":(true|false)/g)) if (resumed === 'false' && subscribed.includes('"field":["_seq"]')) this.refused = subscribed;
  }

  async #gather() {
    const { t, random } = this;
    const make = (Kind, count, view, query) => Array.from({ length: count }, (_, i) => new Kind(this, random.fork(i), view, query));
    this.hoppers = [
      ...make(First, 4, 'E/list'), ...make(First, 3, 'E/append'), ...make(First, 2, 'F/list'), ...make(First, 2, 'E/state', { key: 'k1' }),
      ...make(First, 2, 'E/list', BEST), ...make(First, 2, 'E/top'), ...make(First, 2, 'E/top', { take: 3, skip: 1 }),
      ...make(Named, 4, 'E/list'), ...make(Named, 4, 'E/append'), ...make(Named, 2, 'F/append'), ...make(Named, 2, 'E/list', BEST), ...make(Named, 2, 'E/top'),
      ...make(Streamed, 3, 'E/list'), ...make(Streamed, 2, 'E/list', SOME), ...make(Streamed, 2, 'F/list'),
      ...make(Polling, 2, 'E/list', { take: 1000 }), ...make(Polling, 1, 'E/top', { take: 7 }), ...make(Reading, 2, 'E/append'), ...make(Reading, 1, 'F/append'), ...make(Comparing, 2, 'E/list', { take: 1000 }),
    ];
    this.others = [];
    const urls = () => {
      const all = this.doors.map(({ ws }) => ws);
      return Array.from({ length: 3 }, () => all.splice(random.below(all.length), 1)[0]);
    };
    if (existsSync(source)) {
      const client = await loadClient(t);
      this.others.push(new OfTypeScript(client, urls(), 'E/list'), new OfTypeScript(client, urls(), 'E/list', BEST), new OfTypeScript(client, urls(), 'F/list', {}, 'sse'));
    }
    if (!missing) this.others.push(await OfPython.start(t, urls(), 'E/list'), await OfPython.start(t, urls(), 'F/list'));
    for (const other of this.others) t.after(() => other.close());
    for (const { length } of [[...this.hoppers, ...this.others]]) assert.ok(length >= 45, `${length} clients`);
  }

  async #feed(until) {
    const r = this.random.fork(1);
    while (Date.now() < until) {
      this.last = await this.broker.publish(Array.from({ length: r.pick([1, 1, 2, 20]) }, () => message(r)));
      await sleep(r.between(1, 60));
    }
  }

  /** Each appends its numbers to a row of its own. */
  async #write(until) {
    const r = this.random.fork(4);
    this.writers = this.others.filter((_, i) => i % 2 === 0).map((client, i) => ({ client, key: `w${i}`, count: 0 }));
    while (Date.now() < until) {
      const writer = r.pick(this.writers);
      await writer.client.feed({ export: 'W', key: writer.key, patch: { l: [++writer.count] }, append: ['l'] });
      await sleep(r.between(1, 60));
    }
  }

  async #written() {
    for (const { client } of this.writers) await eventually(async () => (await client.pending()) === 0, () => `all batches of ${client.name} are acknowledged`, 1200);
    this.last = (await this.broker.manager.streams.info('stele')).state.last_seq;
    for (const node of this.nodes) await reaches(node, this.last);
    for (const { key, count } of this.writers) {
      const [row] = await sql(this.nodes[0].db, `SELECT data ->> '$.l' AS l FROM "W/list" WHERE key = '${key}'`);
      assert.deepEqual(JSON.parse(row?.l ?? '[]'), Array.from({ length: count }, (_, i) => i + 1), `each batch once, in order: ${key}`);
    }
    this.batches = this.writers.reduce((sum, { count }) => sum + count, 0);
  }

  /** One node at a time is away. */
  async #disturb(until) {
    const r = this.random.fork(2);
    while (Date.now() < until) {
      const at = r.below(3);
      const ms = Math.min(r.pick([100, 400, 900, 2500]), until - Date.now());
      const stops = r.chance(0.6);
      if (stops) this.nodes[at].child.kill('SIGSTOP');
      else this.gates[at].shut();
      await sleep(ms);
      if (stops) this.nodes[at].child.kill('SIGCONT');
      else this.gates[at].open();
      await sleep(r.between(20, 300));
    }
  }

  async #slam(until) {
    const r = this.random.fork(3);
    while (Date.now() < until) {
      await sleep(r.between(50, 600));
      r.pick(this.doors).cut();
    }
  }

  async play() {
    await this.begin();
    const until = Date.now() + SECONDS * 1000;
    const lives = this.hoppers.map((hopper) => hopper.live());
    await Promise.all([this.#feed(until), this.#disturb(until), this.#slam(until), this.#write(until)]);
    for (const hopper of this.hoppers) hopper.isCalm = true;
    await this.#written();
    await this.#agree();
    this.isOver = true;
    await Promise.all(lives);
    this.waited = await this.#sum('stele_cursors_waited_total');
    assert.equal(this.refused, undefined, 'a cursor was refused');
    const contents = [];
    for (const node of this.nodes) {
      await node.terminate();
      await check(node.db);
      contents.push(JSON.stringify([await sql(node.db, 'SELECT * FROM "E/append"'), await sql(node.db, 'SELECT * FROM "F/append"'), await sql(node.db, 'SELECT * FROM "E/list"')]));
    }
    assert.ok(contents.every((content) => content === contents[0]), 'all nodes are equal');
  }

  async #sum(name) {
    const figures = await Promise.all(this.nodes.map((node) => figure(node, name)));
    return figures.reduce((sum, value) => sum + value, 0);
  }

  /** What a client of that view is to hold: of a node that has all. */
  async #wanted(view, query) {
    const { key, ...others } = query;
    const asked = new URLSearchParams(Object.entries({ ...(key ? {} : { take: 1000 }), ...others }).map(([name, value]) => [name, typeof value === 'object' ? JSON.stringify(value) : value]));
    if (key) asked.set('key', key);
    const { rows } = await (await fetch(`${this.nodes[0].http}/v1/views/${view.replace('/append', '/list')}?${asked}`)).json();
    return plain(new Map(rows.map(({ key: of, data }) => [of, data])));
  }

  async #agree() {
    const tapes = {};
    for (const name of ['E', 'F']) tapes[`${name}/append`] = (await sql(this.nodes[0].db, `SELECT change, key, op FROM "${name}/append" ORDER BY change`)).map((row) => [row.change, row.key, { create: 'patch', evict: 'delete' }[row.op] ?? row.op]);
    for (const each of [...this.hoppers, ...this.others]) {
      const view = each.viewName ?? each.view;
      const isTape = each.events && view.endsWith('/append');
      const wanted = isTape ? tapes[view] : await this.#wanted(view, each.query);
      let has;
      const holds = async () => {
        if (each.failure || each instanceof Comparing) return true;
        has = isTape ? each.events() : plain(await each.rows());
        return JSON.stringify(has) === JSON.stringify(wanted);
      };
      await eventually(holds, () => {
        assert.deepEqual(has, wanted, each.name);
        return each.name;
      }, 400);
      if (each.failure) throw Object.assign(each.failure, { message: `${each.name}: ${each.failure.message}` });
    }
  }
}

for (let seed = OPTIONS.first; seed < OPTIONS.first + OPTIONS.seeds; seed++) {
  test(`clients that hop between three nodes end at the log's state, and never go back (seed ${seed})`, { skip }, async (t) => {
    const run = new Run(t, seed);
    await run.play();
    const sum = (name) => run.hoppers.reduce((all, hopper) => all + hopper[name], 0);
    t.diagnostic(`seed ${seed}: ${run.hoppers.length + run.others.length} clients, ${run.last} messages, ${run.batches} batches of clients, ${sum('hops')} hops, ${run.waited} cursors waited, ${sum('anew')} windows anew, ${sum('behind')} refusals of nodes that were behind`);
  });
}
