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
const CONFIG = { exports: { Quake: { views: { strongest: sorted('desc'), top3: sorted('desc', [{ take: 3 }]) } }, Note: {} } };
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
};

const DIFFERS = {
  derived: 'stele knows all of a definition: max_by is the greatest',
  'after-list': 'a cursor is found in the log: what came behind it, deletes too',
  'append-plain': 'append views always have a tape',
  'append-tape': 'offsets are positions of the log, and deletes are events (protocol2.test.js)',
  batches: 'batches are the same, the rows are cut in the vector (protocol2.test.js)',
  coalesced: 'intervals are by the clock (window_rules.test.js)',
  'state-burst': 'no change is passed over: the log has them',
  'auth-static': 'as for version 1 (auth.test.js)',
  'auth-signed': 'a token of another subject is refused (protocol2.test.js)',
  limits: 'closes have a code and a reason (limits.test.js)',
  slow: 'the same (slow.test.js)',
  shutdown: 'the same (shutdown.test.js)',
  http: 'views can be read by HTTP (views_http.test.js)',
  lagged: 'who lags is caught up from the log',
  'lagged-append': 'the same',
  'python-basic': 'the client itself is in sdk.test.js', 'python-modes': 'the same', 'python-resume': 'the same', 'python-refresh': 'the same',
  'python-restart-loss': 'a tape outlives the server', 'rust-basic': 'the client itself is in sdk.test.js', 'rust-modes': 'the same',
  'rust-late-frame': 'behind unsubscribed nothing comes', 'rust-resume': 'the same',
};

test('every conversation is played, or it is said why not', () => {
  assert.deepEqual([...conversations.keys()].sort(), [...Object.keys(PLAYED), ...Object.keys(DIFFERS)].sort());
});

const bare = ({ _version, ...data }) => data;

/** What a client was told of each subscription, as far as both servers must say the same. */
function told(model, without) {
  const out = {};
  for (const [id, it] of model.subscriptions) {
    if (without.includes(id)) continue;
    const { query, mode, sort, wholeEntities } = it.ack ?? {};
    const rows = Object.fromEntries(Object.entries(model.rows(id)).map(([key, data]) => [key, bare(data)]));
    out[id] = { ack: it.ack && { query, mode, sort, wholeEntities }, rows, live: it.live, errors: it.errors.map((error) => error.code), snapshots: it.snapshots };
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
