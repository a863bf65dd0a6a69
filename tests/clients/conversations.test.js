// Conversations that clients of version 2 had with the server that they were made for (tests/vectors/protocol2), held
// with stele: after each step a client holds the same rows, and was told the same of its subscriptions. In which frames
// the rows came may differ (an upsert in the place of a patch), and what stands in DIFFERS is another promise.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { NamedClient, NamedModel } from './lib/named.js';
import { ROOT, Server } from './lib/server.js';

const lines = readFileSync(join(ROOT, 'tests/vectors/protocol2/conversations.jsonl'), 'utf8').trim().split('\n').map((line) => JSON.parse(line));
const conversations = new Map();
for (const line of lines.filter((each) => each.conversation)) conversations.set(line.conversation, [...(conversations.get(line.conversation) ?? []), line]);

const sorted = (order, more = []) => ({ pipeline: [{ sort: { by: 'mag', order } }, ...more] });
const big = { filter: { field: 'mag', gte: 5 } };
const CONFIG = { exports: { Quake: { views: {
  strongest: sorted('desc'), top3: sorted('desc', [{ take: 3 }]), first: { ...sorted('desc', ['first']), output: 'single' },
  big: { pipeline: [big] }, bigsorted: { pipeline: [big, ...sorted('desc').pipeline] }, max: { pipeline: [{ max_by: 'mag' }], output: 'single' },
} }, Note: {} } };
const at = (key, slot, index, patch) => ({ export: 'Quake', key, slot, index, patch: { id: key, ...patch } });
const BASE = [at('a', 100, 0, { mag: 1.5, type: 'x' }), at('b', 100, 1, { mag: 6, type: 'y' }), at('c', 101, 0, { mag: 3, type: 'x' })];
const FILTERED = [
  at('a', 100, 0, { mag: 1, type: 'x', _partition: 'eu', geo: { lat: 1 } }), at('b', 100, 1, { mag: 1, type: 'x', _partition: 'us', n: null }),
  at('c', 100, 2, { mag: '1', type: 'y' }),
];

/* What was in the views before, and where the promises part: there the conversation ends. */
const PLAYED = {
  'list-basic': { before: BASE, until: (line) => line.json?.[0]?.slot === 106 /* a patch brings a deleted key back */ },
  windows: { before: [...BASE, at('d', 101, 1, { mag: 4 }), at('e', 101, 2, { mag: 5 })] },
  state: { before: BASE, until: (line) => line.json?.[0]?.slot === 115 /* the same */ },
  filters: { before: FILTERED, without: ['int1', 'dbl1', 'two'] /* numbers compare by value */ },
  partial: { before: BASE },
  recreated: { before: BASE, until: (line) => line.json?.[0]?.slot === 106 /* the same */ },
  refusals: { before: BASE },
  derived: { before: BASE, without: ['max'] /* the greatest, and not the newest */ },
};

/* What published clients and hands said to that server, said to stele over other rows (the vectors have few of theirs):
 * each subscription is answered in the same way. Rows, and changes that others made meanwhile, are not compared; nor are
 * subscriptions of which the promises part. */
const POSITIONS = 'positions of another server are of no use';
const ANSWERED = {
  'python-basic': {}, 'python-modes': {}, 'python-resume': {}, 'rust-basic': {}, 'rust-modes': {}, 'rust-late-frame': {}, batches: {},
  'python-refresh': {} /* the refresh itself differs: it may have a protocolVersion (sdk.test.js, with the client itself) */,
  'python-restart-loss': {} /* the rest: a tape outlives the server (sdk.test.js) */,
  'rust-resume': {}, slow: {}, shutdown: {} /* closes have a code and a reason (slow.test.js, shutdown.test.js) */,
  'state-burst': {} /* no change is passed over: the log has them */,
  coalesced: {} /* intervals are by the clock (window_rules.test.js) */,
  'after-list': { without: { G: 'a cursor that is none is refused; a good one is found in the log' } },
  'append-tape': { without: { at4: POSITIONS, last: POSITIONS, edge: POSITIONS, old: POSITIONS, future: POSITIONS, Note: 'the epoch is checked first, also on an empty tape' } },
};

const DIFFERS = {
  'append-plain': 'append views always have a tape',
  'auth-static': 'as for version 1 (auth.test.js)',
  'auth-signed': 'a token of another subject is refused (protocol2.test.js)',
  limits: 'rows are counted as they are read, so behind `subscribed`; closes have a code and a reason (limits.test.js)',
  http: 'views can be read by HTTP (views_http.test.js)',
  lagged: 'who lags is caught up from the log',
  'lagged-append': 'the same',
};

test('every conversation is played, or it is said why not', () => {
  assert.deepEqual([...conversations.keys()].sort(), [...Object.keys(PLAYED), ...Object.keys(ANSWERED), ...Object.keys(DIFFERS)].sort());
});

const bare = ({ _version, ...data }) => data;

/** What a client was told of each subscription, as far as both servers must say the same. */
function told(model, without) {
  const out = {};
  for (const [id, it] of model.subscriptions) {
    if (without.includes(id)) continue;
    const { query, mode, sort, wholeEntities } = it.ack ?? {};
    const rows = Object.fromEntries(Object.entries(model.rows(id)).map(([key, data]) => [key, bare(data)]));
    out[id] = { ack: it.ack && { query, mode, sort, wholeEntities }, rows, live: it.live, errors: it.errors.map(({ code, error, retryable, fatal, retryAfter }) => [code, error, retryable, fatal, retryAfter !== undefined]), snapshots: it.snapshots };
  }
  return out;
}

/* Where nothing says that it is version 2, version 1 answers. Of an id that cannot be named the answer names none. */
const isOurs = (line) => {
  const message = line.json ?? (() => { try { return JSON.parse(line.raw); } catch { return null; } })();
  return message !== null && typeof message === 'object' && ('protocolVersion' in message || 'subscriptionId' in message);
};
const isNameable = (id) => typeof id === 'string' && id !== '' && id.trim() === id && id.length <= 128 && !/\p{Cc}/u.test(id);

for (const [name, { before, until = () => false, without = [] }] of Object.entries(PLAYED)) {
  test(`the conversation "${name}"`, async (t) => {
    const server = await Server.forTest(t, { config: CONFIG });
    const feed = async (mutations) => {
      const body = mutations.map((mutation) => JSON.stringify(mutation)).join('\n');
      const response = await fetch(`http://127.0.0.1:${server.port}/v1/mutations`, { method: 'POST', body });
      assert.equal(response.status, 200, await response.text());
    };
    await feed(before);
    const client = await NamedClient.connect(t, server.port);
    const recorded = new NamedModel();
    const agree = (n) => client.until(() => {
      const same = isDeepStrictEqual(told(client, without), told(recorded, without));
      return same || undefined;
    }, () => `line ${n}: the same as\n${JSON.stringify(told(recorded, without))}\nand not\n${JSON.stringify(told(client, without))}`);
    let answered = false, last = 0;
    for (const line of conversations.get(name).slice(1)) {
      if (line.dir === 'server') {
        const frame = line.json;
        if (!frame || line.kind === 'handshake' || (frame.type === 'error' && !isNameable(frame.subscriptionId))) continue;
        if (frame.success === undefined) recorded.take(frame);
        answered = true;
        last = line.n;
        continue;
      }
      if (answered) await agree(last);
      answered = false;
      if (until(line)) break;
      if (line.dir === 'source') await feed(line.json);
      if (line.dir !== 'client' || line.kind !== 'text' || !isOurs(line)) continue;
      const message = line.json ?? JSON.parse(line.raw);
      if (isNameable(message.subscriptionId)) recorded.ask(message);
      client.send(isNameable(message.subscriptionId) ? message : JSON.stringify(message));
    }
    if (answered) await agree(last);
    assert.equal(client.broken, undefined);
  });
}

const QUAKES = readFileSync(join(ROOT, 'tests/data/quakes.ndjson'), 'utf8').trim().split('\n').filter((line) => line.includes('"Quake"'));

/** How one subscription was answered: what both servers must say. */
function answers(frames) {
  const out = {};
  for (const frame of frames) {
    if (typeof frame.subscriptionId !== 'string') continue;
    const it = (out[frame.subscriptionId] ??= { acks: [], errors: [], snapshots: new Map(), ended: 0 });
    if (frame.op === 'subscribed') {
      const { query: { after, ...query }, mode, sort, wholeEntities, replayWindow } = frame;
      it.cursor = after !== undefined && !replayWindow;
      it.acks.push({ query, mode, sort, wholeEntities, tape: replayWindow && Object.keys(replayWindow).sort() });
    } else if (frame.op === 'snapshot') it.snapshots.set(frame.snapshotId, [frame.mode, frame.entity, frame.key, frame.authoritative, frame.complete]);
    else if (frame.op === 'unsubscribed') it.ended += 1;
    else if (frame.type === 'error') it.errors.push([frame.code, frame.error, frame.retryable, frame.fatal, frame.replayWindow && Object.keys(frame.replayWindow).sort()]);
  }
  for (const it of Object.values(out)) {
    /* Which cursors are of use is another promise; and behind a tape's replay stele sends an empty snapshot. */
    const rows = [...it.snapshots.values()].filter(([mode]) => mode !== 'append');
    it.snapshots = it.cursor ? rows.length > 0 : rows;
    delete it.cursor;
  }
  return out;
}

/** The client's own cursor, in the place of the recorded one: of that tape, and of no other. */
function withOwnCursor(message, recorded, own) {
  const { after } = message.query ?? {};
  const [, epoch] = /^(.*):[0-9]+$/.exec(after ?? '') ?? [];
  const of = (frames) => frames.find((frame) => frame.op === 'subscribed' && frame.replayWindow)?.replayWindow.epoch;
  if (epoch === undefined || epoch !== of(recorded)) return message;
  const last = own.filter((frame) => frame.offset !== undefined).at(-1);
  return { ...message, query: { ...message.query, after: `${of(own)}:${last.offset}` } };
}

for (const [name, { without = {} }] of Object.entries(ANSWERED)) {
  test(`the client of the conversation "${name}" is answered alike`, async (t) => {
    const server = await Server.forTest(t, { config: CONFIG });
    const body = QUAKES.filter((line) => line.includes('us1000chhc') || QUAKES.indexOf(line) < 300).join('\n');
    const response = await fetch(`http://127.0.0.1:${server.port}/v1/mutations`, { method: 'POST', body });
    assert.equal(response.status, 200, await response.text());
    const conversation = conversations.get(name).slice(1);
    const openings = conversation.flatMap((line, i) => (line.dir === 'client' && line.kind === 'handshake' ? [i] : []));
    let before = { recorded: [], own: [] };
    for (const [i, from] of openings.entries()) {
      const part = conversation.slice(from, openings[i + 1]);
      const recorded = part.filter((line) => line.dir === 'server' && line.json).map((line) => line.json);
      const client = await NamedClient.connect(t, server.port);
      const expected = answers(recorded);
      const sent = [];
      const lastAnswer = part.findLastIndex((line) => line.dir === 'server' && line.json);
      for (const line of part.slice(0, lastAnswer).filter((each) => each.dir === 'client' && each.kind === 'text')) {
        const { subscriptionId: id, type } = line.json;
        const whole = () => { const it = client.subscriptions.get(id); return it.errors.length || (it.ack && (it.snapshots || !hasSnapshot)); };
        const hasSnapshot = recorded.some((frame) => frame.subscriptionId === id && frame.op === 'snapshot');
        if (type === 'unsubscribe' && sent.includes(id)) await client.until(whole, `an answer to ${id}`);
        sent.push(id);
        client.send(withOwnCursor(line.json, before.recorded, before.own));
      }
      /* A conversation that was cut short ends before its answers. */
      const asked = (id, op) => recorded.some((frame) => frame.subscriptionId === id && (frame.op ?? frame.type) === op);
      const comparable = (all) => Object.fromEntries(Object.entries(all).filter(([id]) => expected[id] && !without[id]).map(([id, it]) =>
        [id, { ...it, ended: asked(id, 'unsubscribed') ? it.ended : undefined, snapshots: asked(id, 'snapshot') ? it.snapshots : undefined }]));
      await client.until(() => isDeepStrictEqual(comparable(answers(client.frames)), comparable(expected)) || undefined,
        () => `the answers\n${JSON.stringify(comparable(expected))}\nand not\n${JSON.stringify(comparable(answers(client.frames)))}`);
      for (const it of client.subscriptions.values()) if (it.live && it.ack?.replayWindow) await client.until(() => it.snapshots, 'the end of the tape');
      assert.equal(client.broken, undefined);
      before = { recorded, own: client.frames };
      client.socket.terminate();
    }
  });
}
