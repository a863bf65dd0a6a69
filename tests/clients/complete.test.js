// protocol.md section 4: what a client holds at complete:true is one committed state, and none older
// than what was acknowledged before it asked, also while the producer never pauses.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Applier } from './lib/applier.js';
import { Client } from './lib/client.js';
import { Producer, post } from './lib/feed.js';
import { Random } from './lib/random.js';
import { Server } from './lib/server.js';

const ROWS = 6000;
const PAD = 'p'.repeat(200);
const key = (i) => `r${i}`;
const nameOf = (seq) => Number(seq.split(':')[0]);

/** Moves value between two rows in each batch; batch n has slot n. */
class Mover {
  constructor(random) {
    this.random = random;
    this.values = Array(ROWS).fill(100);
    this.moves = []; /* by batch number - 1: [[row, value], …] */
    this.producer = new Producer('mover', { window: 32 });
  }

  async start(server) {
    await this.producer.connect(server);
    this.running = this.#run();
  }

  async #run() {
    while (!this.stopped) {
      for (let i = 0; i < 4; i++) this.#move();
      await this.producer.drain(28);
    }
    await this.producer.drain();
  }

  #move() {
    const [from, to] = [this.random.below(ROWS), this.random.below(ROWS)];
    const amount = this.random.between(1, 50);
    this.values[from] -= amount;
    this.values[to] += amount;
    const changed = [[from, this.values[from]], [to, this.values[to]]];
    this.moves.push(changed);
    /* All of a batch share a seq. */
    const mutations = changed.map(([i, n]) => `{"export":"A","key":"${key(i)}","patch":{"n":${n}}}`);
    this.producer.add(mutations, `"slot":${this.moves.length},"index":0,`);
  }

  async stop() {
    this.stopped = true;
    await this.running;
  }

  /** The values after so many batches, and the batch that each row was changed by last. */
  state(batches) {
    const values = Array(ROWS).fill(100);
    const changed = Array(ROWS).fill(0);
    this.moves.slice(0, batches).forEach((moves, i) => {
      for (const [row, n] of moves) [values[row], changed[row]] = [n, i + 1];
    });
    return { values, changed };
  }

  /** The newest batch of which rows were sent names the state. */
  judge(rows, acknowledged, limit, tell) {
    const newest = Math.max(...[...rows.values()].map((row) => nameOf(row._seq)));
    assert.ok(newest >= acknowledged, `${tell}: batch ${acknowledged} was acknowledged, the newest row is of ${newest}`);
    const { values, changed } = this.state(newest);
    const order = Array.from({ length: ROWS }, (_, i) => i).sort((a, b) => changed[b] - changed[a] || (key(a) < key(b) ? -1 : 1));
    const expected = limit ? order.slice(0, limit) : order;
    const has = (i) => rows.get(key(i))?.n;
    const wrong = expected.filter((i) => has(i) !== values[i]);
    assert.deepEqual(wrong.map((i) => `${key(i)}: has ${has(i)}, was ${values[i]} at batch ${newest}`), [], `${tell}: rows that are not of one state`);
    assert.equal(rows.size, expected.length, tell);
  }
}

/** Reads in fits: much is committed between two. */
async function until(client, applier, mover) {
  let frames = 0;
  for (let frame = {}; frame.op !== 'snapshot' || !frame.complete; ) {
    applier.apply((frame = await client.next('the complete batch')));
    if (frame.op !== 'snapshot' || ++frames % 8 !== 2) continue;
    client.socket.pause();
    for (const start = mover.moves.length; mover.moves.length < start + 150; ) await mover.producer.acknowledgement();
    client.socket.resume();
  }
}

test('a complete snapshot, and a resume, is one committed state while the producer never pauses', async (t) => {
  const seed = Number(process.env.STELE_SEED ?? 1);
  const random = new Random(seed);
  const server = await Server.forTest(t, { config: { exports: { A: {} } } });
  await post(server, Array.from({ length: ROWS }, (_, i) => ({ export: 'A', key: key(i), patch: { n: 100, pad: PAD }, slot: 0, index: 0 })));
  const mover = new Mover(random);
  await mover.start(server);
  const kept = new Map(); /* who resumes: by view */
  for (let round = 0; round < 8; round++) {
    for (const [view, limit] of [['A/list'], ['A/append']]) {
      const client = await Client.open(server);
      const applier = limit ? new Applier() : kept.get(view) ?? new Applier();
      const acknowledged = mover.producer.acknowledged;
      const resumes = applier.seq !== null && round % 3 > 0;
      if (!resumes) applier.rows.clear();
      client.subscribe(view, { ...(resumes && applier.parameters()), ...(limit && { snapshotLimit: limit }) });
      await until(client, applier, mover);
      mover.judge(applier.rows, acknowledged, limit, `seed ${seed}, round ${round}, ${view}${limit ? ` limit ${limit}` : ''}${resumes ? ' resumed' : ''}`);
      if (!limit) kept.set(view, applier);
      client.destroy();
    }
  }
  await mover.stop();
});
