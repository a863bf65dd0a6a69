// Conversations that clients of version 2 had with the server that they were made for (tests/vectors/protocol2), held
// with stele: after each step a client holds the same rows, and was told the same of its subscriptions. In which frames
// the rows came may differ (an upsert in the place of a patch), and what stands in DIFFERS is another promise.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { NamedClient, NamedModel } from './lib/named.js';
import WebSocket from 'ws';
import { ROOT, Server, patience } from './lib/server.js';
import { forged, newKey, tokenOf, unixNow } from './lib/token.js';

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

/* Conversations in which section 10 of the design, or an older promise of stele, changes a step: all others are held, each
 * by the test of its name at the end of this file. */
const IN_PART = {
  'append-plain': 'append views always have a tape, and a tape has no windows',
  'auth-static': 'a token is taken under either name of the query, has 16 characters at least, and may be refreshed',
  'auth-signed': 'a token of another subject is refused; a tape that ends for its scopes does not end the connection; deletes are on the tape',
  limits: 'rows are counted as they are read, so behind `subscribed`; the close has a code and a reason',
  http: 'views can be read by HTTP; pages read what allowed_origins lets them',
  lagged: 'who lags is caught up from the log',
  'lagged-append': 'the same, and a tape is no window',
};

test('every conversation is held, or it is said which step is not', () => {
  assert.deepEqual([...conversations.keys()].sort(), [...Object.keys(PLAYED), ...Object.keys(ANSWERED), ...Object.keys(IN_PART)].sort());
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

/* ---- in part ---- */

const linesOf = (name) => conversations.get(name).slice(1);
const framesOf = (name) => linesOf(name).filter((line) => line.dir === 'server' && line.json && line.kind !== 'http').map((line) => line.json);
/** How each of these subscriptions was acknowledged there. */
const acksOf = (frames, ...ids) => Object.fromEntries(ids.map((id) => [id, answers(frames)[id].acks.map(({ tape, ...ack }) => ack)]));
const message = (name, n) => linesOf(name).find((line) => line.n === n).json;
const rowsOf = (model, id) => Object.fromEntries(Object.entries(model.rows(id)).map(([key, row]) => [key, bare(row)]));

async function fedServer(t, before, config = CONFIG) {
  const server = await Server.forTest(t, { config });
  const feed = async (mutations) => {
    const body = mutations.map((mutation) => JSON.stringify(mutation)).join('\n');
    const response = await fetch(`http://127.0.0.1:${server.port}/v1/mutations`, { method: 'POST', body, headers: { authorization: `Bearer ${WRITER}` } });
    assert.equal(response.status, 200, await response.text());
  };
  await feed(before);
  return { server, feed };
}

const WRITER = 'the-token-of-who-feeds';

test('in part, the conversation "append-plain": the same rows by a tape', async (t) => {
  const { server, feed } = await fedServer(t, BASE);
  const client = await NamedClient.connect(t, server.port);
  const frames = framesOf('append-plain');
  const recorded = new NamedModel();
  for (const n of [3, 6]) recorded.ask(message('append-plain', n));
  for (const frame of frames) recorded.take(frame);
  client.send(message('append-plain', 3));
  await feed(message('append-plain', 9));
  await client.until(() => isDeepStrictEqual(rowsOf(client, 'P'), rowsOf(recorded, 'P')) && client.subscriptions.get('P').snapshots, 'the rows of P');
  assert.deepEqual(acksOf(client.frames, 'P'), acksOf(frames, 'P'));
  const error = await client.refused('P2', message('append-plain', 6).query);
  assert.deepEqual([error.code, error.fatal], ['invalid-subscription', false]);
});

/** A handshake as it was made there: the answer's status, its headers and its body. */
async function handshake(server, { request, headers: asked }, token) {
  const headers = asked.Authorization ? { authorization: `Bearer ${token}` } : {};
  const socket = new WebSocket(server.ws + request.replace('GET ', '').replace('<token>', token), { headers });
  const answer = await new Promise((done, fail) => {
    socket.on('open', () => done({ status: 101 }));
    socket.on('unexpected-response', async (_, response) => {
      let text = '';
      for await (const part of response) text += part;
      done({ status: response.statusCode, headers: response.headers, body: JSON.parse(text) });
    });
    socket.on('error', fail);
  });
  socket.terminate();
  return answer;
}

function sameRefusal(own, { status, headers, body }, what) {
  assert.equal(own.status, status, what);
  for (const name of ['content-type', 'x-error-code', 'cache-control']) assert.equal(own.headers[name], headers[name], `${what}: ${name}`);
  for (const name of ['error', 'code', 'retryable']) assert.equal(own.body[name], body[name], `${what}: ${name}`);
  if (body.suggested_action) assert.equal(typeof own.body.suggested_action, 'string', what);
}

test('in part, the conversation "auth-static": refused and let in at the door alike', async (t) => {
  const token = 'tok-123456789-abcdef';
  const { server } = await fedServer(t, BASE, { ...CONFIG, auth: { mode: 'static', tokens: [token, { token: WRITER, scope: 'write' }] } });
  const steps = linesOf('auth-static');
  let last;
  for (const [i, line] of steps.entries()) {
    if (line.dir !== 'client') continue;
    const answer = steps[i + 1];
    if (line.kind !== 'handshake') {
      last ??= await NamedClient.connect(t, server.port, { path: `/?token=${token}` });
      const sent = JSON.parse(JSON.stringify(line.json).replace('tok-123456789', token));
      if (sent.type === 'refresh_auth') {
        last.send(JSON.stringify(sent));
        assert.deepEqual(await last.until(() => last.answers[0], 'an answer'), { success: true });
        last.send(JSON.stringify({ ...sent, token: 'another-token-of-nobody' }));
        assert.deepEqual(await last.until(() => last.answers[1], 'another answer'), answer.json);
      } else {
        await last.open(sent.subscriptionId, sent.query);
        assert.deepEqual(acksOf(last.frames, 'L'), acksOf(framesOf('auth-static'), 'L'));
      }
      continue;
    }
    const ask = { ...line, request: line.request.replace('tok-123456789', token) };
    const own = await handshake(server, ask, token);
    if (line.request.includes('hs_token')) assert.equal(own.status, 101, 'the other name');
    else if (answer.status === 101) assert.equal(own.status, 101, line.request);
    else sameRefusal(own, answer, line.request);
  }
});

test('in part, the conversation "auth-signed": refusals, rows of the scopes, refreshes, the end', async (t) => {
  const key = newKey();
  const config = { exports: { Quake: {}, Note: { scope: 'owner' } }, auth: { mode: 'signed', keys: [key.x], tokens: [{ token: WRITER, scope: 'write' }] } };
  const note = (id, slot, index, patch) => ({ export: 'Note', key: id, slot, index, patch });
  const before = [note('pub', 10, 0, { id: 'pub' }), note('al', 10, 1, { id: 'al', owner: 'alice' }), note('bo', 10, 2, { id: 'bo', owner: 'bob' })];
  const { server, feed } = await fedServer(t, before, config);
  const token = (claims = {}) => tokenOf(key, { sub: 'alice', row_scopes: ['alice'], ...claims });
  const tokens = {
    'bad signature': forged(key, { sub: 'alice' }), expired: token({ exp: unixNow() - 5 }), 'other subject': token({ sub: 'mallory' }),
    'scopes alice, bob': token({ row_scopes: ['alice', 'bob'] }),
  };
  const steps = linesOf('auth-signed');
  for (const [n, bad] of [[1, 'nonsense'], [3, tokens['bad signature']], [5, tokens.expired]]) {
    sameRefusal(await handshake(server, steps.find((line) => line.n === n), bad), steps.find((line) => line.n === n + 1), `handshake ${n}`);
  }
  const client = await NamedClient.connect(t, server.port, { path: `/?hs_token=${token()}` });
  const recorded = new NamedModel();
  const ids = ['N', 'NS'];
  const state = (model) => ids.map((id) => ({ rows: rowsOf(model, id), live: model.subscriptions.get(id)?.live, snapshots: model.subscriptions.get(id)?.snapshots }));
  const agree = (n) => client.until(() => isDeepStrictEqual(state(client), state(recorded)), () => `line ${n}: ${JSON.stringify(state(recorded))} and not ${JSON.stringify(state(client))}`);
  let asked = 0, said;
  for (const line of steps.filter((each) => each.n > 8)) {
    if (line.dir === 'note') said = line.kind;
    if (line.dir === 'client') {
      if (line.json.type === 'subscribe') {
        recorded.ask(line.json);
        client.send(line.json);
      } else {
        client.send(JSON.stringify({ ...line.json, token: tokens[said] }));
        asked += 1;
        await client.until(() => client.answers.length === asked, `an answer to a token: ${said}`);
      }
    }
    if (line.dir === 'server' && line.json && 'success' in line.json) {
      const own = client.answers.at(-1);
      if (said === 'other subject') assert.deepEqual(own, { success: false, error: 'token-invalid' });
      else assert.deepEqual({ ...own, expiresAt: own.expiresAt && 1 }, { ...line.json, expiresAt: line.json.expiresAt && 1 }, said);
    } else if (line.dir === 'server' && line.json && ids.includes(line.json.subscriptionId)) {
      /* Here the snapshot for other scopes names its epoch. */
      const isAgain = line.json.op === 'snapshot' && recorded.subscriptions.get(line.json.subscriptionId).snapshots > 0;
      recorded.take(isAgain ? { ...line.json, epoch: 'there' } : line.json);
    }
    if (line.dir === 'source') {
      await agree(line.n);
      await feed(line.json);
    }
    if (said === 'four seconds later the token has run out; the next change finds that') break;
  }
  await agree('the last');
  assert.deepEqual(acksOf(client.frames, ...ids), acksOf(framesOf('auth-signed'), ...ids));
  const [rescoped] = client.subscriptions.get('NA').errors;
  const there = framesOf('auth-signed').find((frame) => frame.code === 'subscription-rescoped');
  for (const name of ['type', 'protocolVersion', 'subscriptionId', 'error', 'code', 'retryable']) assert.equal(rescoped[name], there[name], name);
  assert.deepEqual([rescoped.fatal, typeof rescoped.suggestedAction, client.closed], [false, 'string', undefined]);
  client.send(JSON.stringify({ type: 'refresh_auth', token: token({ exp: unixNow() + patience(2) }) }));
  const closed = await client.until(() => client.closed, 'the end of the token');
  const end = steps.at(-1);
  assert.equal(closed.code, end.code);
  assert.match(closed.reason, /^token-expired: /);
  assert.match(end.reason, /^token-expired: /);
});

test('in part, the conversation "limits": each limit by its code, and what is refused is not there', async (t) => {
  const key = newKey();
  const { server } = await fedServer(t, [...BASE, at('d', 102, 0, { mag: 1 })], { ...CONFIG, auth: { mode: 'signed', keys: [key.x], tokens: [{ token: WRITER, scope: 'write' }] } });
  const limits = { max_subscriptions: 2, max_snapshot_rows: 3, max_messages_per_minute: 8 };
  const client = await NamedClient.connect(t, server.port, { path: `/?hs_token=${tokenOf(key, { limits })}` });
  const frames = framesOf('limits');
  const recorded = new NamedModel();
  for (const line of linesOf('limits').filter((each) => each.dir === 'client' && each.json?.type === 'subscribe')) {
    recorded.ask(line.json);
    client.send(line.json);
    const it = client.subscriptions.get(line.json.subscriptionId);
    await client.until(() => it.errors.length || it.snapshots, line.json.subscriptionId);
  }
  for (const frame of frames) recorded.take(frame);
  const errors = (model, id) => model.subscriptions.get(id).errors.map(({ code, error, retryable, fatal, suggestedAction }) => [code, error, retryable, fatal, code !== 'subscription-rejected' && typeof suggestedAction]);
  for (const id of ['all', 'three', 'one', 'more']) {
    assert.deepEqual(errors(client, id), errors(recorded, id), id);
    assert.deepEqual(rowsOf(client, id), rowsOf(recorded, id), id);
  }
  assert.deepEqual(acksOf(client.frames, 'three', 'one'), acksOf(frames, 'three', 'one'));
  for (let i = 0; i < 12; i++) client.socket.send('{"type":"ping"}');
  const [error] = await client.until(() => client.errors.length && client.errors, 'too many messages');
  const [there] = recorded.errors;
  for (const name of ['type', 'protocolVersion', 'subscriptionId', 'error', 'code', 'retryable', 'fatal']) assert.equal(error[name], there[name], name);
  assert.ok(error.retryAfter >= 1 && error.retryAfter <= 60 && typeof error.suggestedAction === 'string', JSON.stringify(error));
  const closed = await client.until(() => client.closed, 'the close');
  assert.equal(closed.code, 1008);
  assert.match(closed.reason, /^rate-limit-exceeded: /);
});

test('in part, the conversation "http": health and readiness', async (t) => {
  const { server } = await fedServer(t, BASE);
  for (const { request, status, type, body } of linesOf('http')) {
    const [method, path] = request.split(' ');
    const answer = await fetch(server.healthUrl + path, { method });
    const text = await answer.text();
    if (path === '/health' || path === '/ready') assert.deepEqual([answer.status, answer.headers.get('content-type').split(';')[0], text], [status, type, body], path);
    else if (path === '/status') {
      assert.deepEqual([answer.status, answer.headers.get('content-type').split(';')[0]], [status, type]);
      for (const [name, value] of Object.entries(JSON.parse(body))) assert.equal(typeof JSON.parse(text)[name], typeof value, name);
    } else if (path !== '/metrics') assert.equal(answer.status, path === '/v1/views' ? 200 : 404, path); /* what the inspector reads; the others are of the Solana side, or on the main port */
  }
});

test('in part, the conversations "lagged" and "lagged-append": who reads nothing for a while is told all', async (t) => {
  const { server, feed } = await fedServer(t, Array.from({ length: 400 }, (_, i) => at(`k${String(i).padStart(3, '0')}`, 100, i, { mag: i / 10 })));
  const client = await NamedClient.connect(t, server.port, { apart: true });
  for (const n of [3, 6, 9]) client.send(message('lagged', n));
  client.send(message('lagged-append', 3));
  await client.until(() => ['T', 'S', 'A'].every((id) => client.subscriptions.get(id).snapshots) && client.subscriptions.get('O').ack, 'the beginning');
  assert.deepEqual(acksOf(client.frames, 'T', 'S', 'O'), acksOf(framesOf('lagged'), 'T', 'S', 'O'));
  assert.deepEqual(acksOf(client.frames, 'A'), acksOf(framesOf('lagged-append'), 'A'));
  client.socket.pause();
  for (let from = 0; from < 1500; from += 100) {
    await feed(Array.from({ length: 100 }, (_, i) => ({ export: 'Quake', key: `k${String((from + i) % 20).padStart(3, '0')}`, slot: 200, index: from + i, patch: { mag: from + i } })));
  }
  client.socket.resume();
  await client.until(() => ['S', 'O'].every((id) => client.rows(id).k001?.mag === 1481) && client.subscriptions.get('T').events.length === 76, 'the last change');
  assert.deepEqual(client.subscriptions.get('T').events.slice(1).map(({ data }) => data.mag), Array.from({ length: 75 }, (_, i) => 20 * i + 1));
  /* A filter looks at the patch, and these have no id. */
  assert.deepEqual(client.subscriptions.get('A').events.map(({ key }) => key), ['k001']);
  for (const id of ['T', 'S', 'O', 'A']) {
    const it = client.subscriptions.get(id);
    assert.deepEqual([it.live, it.errors, it.snapshots], [true, [], id === 'O' ? 0 : 1], id);
  }
});
