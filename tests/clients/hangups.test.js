// Clients that hang up at any moment: subscribers of every kind in every phase, producers, and HTTP
// requests that wait for a reader. The server lives on, forgets them all, and serves the next one.
//
// STELE_SEEDS runs (default 3) of STELE_HANGUPS clients (300) each; STELE_SEED is the first.

import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import test from 'node:test';
import { Client } from './lib/client.js';
import { tryPost } from './lib/feed.js';
import { Random } from './lib/random.js';
import { Raw } from './lib/raw.js';
import { playSeeds, seedsOf } from './lib/seeds.js';
import { Server, patience } from './lib/server.js';
import { Socket } from './lib/socket.js';

const HANGUPS = Number(process.env.STELE_HANGUPS ?? 300);
const AT_A_TIME = 12;
const ROWS = 2000;
/* A static token's subject is its first eight characters, so these two are of one. */
const READER = 'reader-token-0123456789';
const OTHER = 'reader-token-of-A-0123456789';
const WRITER = 'writer-token-0123456789';

/* Little is kept in memory, so that who stops reading is caught up from the database. */
const CONFIG = {
  exports: {
    A: { views: { best: { pipeline: [{ sort: { by: 'n', order: 'desc' } }, { take: 50 }] } } },
    B: { views: { even: { pipeline: [{ filter: { field: 'even', eq: true } }] } } },
  },
  auth: {
    mode: 'static', status: 'all',
    tokens: [{ token: READER, scope: 'read' }, { token: OTHER, scope: 'read', views: ['A/*'] }, { token: WRITER, scope: 'write' }],
  },
  ring_bytes: 64 * 1024, channel_bytes: 64 * 1024, snapshot_cache_bytes: 64 * 1024,
};

const mutation = (random, n) =>
  JSON.stringify({
    export: random.pick(['A', 'B']), key: `k${n % ROWS}`,
    ...(random.chance(0.05) ? { op: 'delete' } : { patch: { n, even: n % 2 === 0, list: [n], pad: 'x'.repeat(random.below(300)) }, append: ['list'] }),
  });

/** A subscribe message of any kind; some of them wrong. */
function subscribe(random, seen) {
  const view = random.pick(['A/list', 'B/list', 'A/append', 'B/append', 'A/state', 'A/best', 'B/even', 'A/nothing', `Z${random.below(50)}/list`, `Z${random.below(50)}/append`]);
  const message = { type: 'subscribe', view };
  if (view.endsWith('/state') || random.chance(0.5)) message.key = `k${random.below(ROWS)}`;
  if (random.chance(0.2)) message.withSnapshot = false;
  if (random.chance(0.2)) message.snapshotLimit = random.between(1, 500);
  if (random.chance(0.3)) Object.assign(message, { take: random.between(1, 300), skip: random.below(20) });
  if (random.chance(0.2)) message.filters = { even: random.chance(0.5) };
  if (random.chance(0.4)) message.after = random.pick([...seen, '0:000000000009', '9999:000000000001']);
  return message;
}

const refresh = (random) => ({ type: 'refresh_auth', token: random.pick([READER, OTHER, WRITER, 'nobody-knows-this-one']) });

const closed = (tcp) => tcp.closed ? Promise.resolve() : new Promise((done) => tcp.once('close', done));

class Run {
  listeners = [];

  constructor(seed, folder) {
    this.random = new Random(seed);
    this.db = `${folder}/hangups-${seed}.db`;
    /* Of every second one exports appear as they are fed, and some are waited for. */
    this.config = seed % 2 ? CONFIG : { ...CONFIG, exports: {} };
    this.seen = [];
    this.n = 0;
    this.cuts = 0;
    this.listeners = [this]; /* counted in the end */
  }

  async play() {
    this.server = await Server.start({ db: this.db, config: this.config });
    await this.feed(ROWS);
    let left = HANGUPS;
    const lane = async (random) => {
      while (left-- > 0) {
        await this.hangUp(random);
        this.cuts++;
      }
    };
    const lanes = Array.from({ length: AT_A_TIME }, (_, i) => lane(this.random.fork(i)));
    const all = [...lanes, this.keepFeeding(() => left > 0)];
    for (const each of all) each.catch(() => (left = 0));
    const { reason } = (await Promise.allSettled(all)).find(({ status }) => status === 'rejected') ?? {};
    if (reason) {
      /* What one sees of a server that ends is mostly that it is not there any more. */
      const ended = await Promise.race([this.server.ended, pause(patience(500))]);
      throw ended ? new Error(`the server was ended by ${ended.signal ?? ended.code}`) : reason;
    }
    await this.judge();
  }

  async feed(count) {
    const all = Array.from({ length: count }, () => mutation(this.random, this.n++));
    for (let at = 0; at < all.length; at += 500) {
      const answer = await tryPost(this.server, all.slice(at, at + 500), { authorization: `Bearer ${WRITER}` });
      assert.equal(answer.status, 200, answer.text);
      this.seen.push(answer.json.seq);
    }
  }

  async keepFeeding(goesOn) {
    while (goesOn()) {
      await this.feed(this.random.between(1, 100));
      await pause(this.random.below(10));
    }
  }

  hangUp(random) {
    const kind = random.below(10);
    if (kind === 0) return this.producer(random);
    if (kind === 1) return this.request(random);
    return this.subscriber(random);
  }

  async subscriber(random) {
    const socket = await Socket.open(`${this.server.ws}/`, { headers: { authorization: `Bearer ${READER}` } });
    if (random.chance(0.3)) socket.pause();
    for (let i = random.between(1, 40); i > 0; i--) {
      const message = random.chance(0.05) ? refresh(random) : subscribe(random, this.seen);
      socket.send(JSON.stringify(message));
      if (random.chance(0.1)) socket.send(JSON.stringify({ ...message, type: 'unsubscribe' }));
      if (random.chance(0.03)) await pause(random.below(3));
    }
    if (random.chance(0.6)) await pause(random.below(6));
    if (random.chance(0.1)) await pause(random.below(100));
    if (random.chance(0.2)) socket.resume();
    await this.part(random, socket);
  }

  async producer(random) {
    const socket = await Socket.open(`${this.server.ws}/v1/ingest`, { headers: { authorization: `Bearer ${WRITER}` } });
    for (let i = random.between(1, 30); i > 0; i--) {
      socket.send(random.chance(0.1) ? 'no request' : `{"id":${i},"mutations":[${mutation(random, i)}]}`);
    }
    if (random.chance(0.5)) await pause(random.below(6));
    await this.part(random, socket);
  }

  async request(random) {
    const view = random.pick(['A/list', 'B/even', 'A/best', 'B/append']);
    const raw = new Raw(this.server.port);
    const many = random.between(1, 3);
    for (let i = 0; i < many; i++) {
      const query = random.pick(['', '?take=2000', '?skip=5&take=9', '?filter.even=true', `?after=${this.seen[0]}`]);
      raw.send(random.chance(0.2)
        ? `POST /v1/mutations HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${WRITER}\r\nContent-Length: 500\r\n\r\n${random.chance(0.5) ? '{"export"' : `${mutation(random, i).padEnd(500)}`}`
        : `GET /v1/views/${view}${query} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${READER}\r\n\r\n`);
      if (random.chance(0.5)) await pause(random.below(4));
    }
    const over = closed(raw.tcp);
    if (random.chance(0.7)) raw.tcp.resetAndDestroy();
    else raw.tcp.destroy();
    await over;
  }

  /* Orderly, torn, reset, or in the middle of a frame. */
  async part(random, socket) {
    const over = closed(socket.tcp);
    switch (random.below(5)) {
      case 0: /* the close frame, and away before its answer */
        socket.close();
        socket.tcp.end();
        if (random.chance(0.5)) socket.destroy();
        socket.resume();
        break;
      case 1:
        socket.tcp.write(Buffer.from([0x81, 0xfe, 0x10, 0x00, 0, 0, 0, 0, 0x7b]));
        socket.destroy();
        break;
      case 2:
        socket.tcp.resetAndDestroy();
        break;
      case 3:
        socket.tcp.end();
        socket.resume();
        break;
      default:
        socket.destroy();
    }
    setTimeout(() => socket.destroy(), patience(2000)).unref();
    await over;
  }

  async judge() {
    const until = Date.now() + patience(30_000);
    for (;;) {
      const status = await this.server.status();
      if (status.clients === 0 && status.subscribers === 0 && status.subscriptions === 0) break;
      assert.ok(Date.now() < until, `gone clients are still there: ${JSON.stringify(status)}`);
      await pause(20);
    }
    const client = await Client.open(this.server, { headers: { authorization: `Bearer ${READER}` } });
    client.subscribe('A/list', { take: 50 });
    const frames = await client.until((frame) => frame.complete, 'a whole snapshot');
    assert.equal(frames.at(-1).data.length, 50);
    await client.close();
    await this.server.terminate();
  }
}

test('clients that hang up at random moments leave nothing behind', async (t) => {
  await playSeeds(t, seedsOf(3), 'hangups.test.js', (seed, folder) => new Run(seed, folder));
});
