// A replica and a source that sends what this file wants it to: what it says meanwhile.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import test from 'node:test';
import { http } from './lib/feed.js';
import { Server, eventually } from './lib/server.js';

const exports = { E: {} };
const change = (number, name = 'E') => ({ change: number, op: 'create', export: name, key: `k${number}`, slot: 0, index: number, at: 1_764_554_000_000 + number * 1000, patch: { n: number } });

/** A source that answers as a real one does, but for the changes: `tell({after, say, end, source})` has the lines behind the first. */
async function fakeFor(t, tell) {
  const real = await Server.forTest(t, { config: { exports } });
  const { epoch, settings } = JSON.parse((await http(`${real.http}/v1/changes`)).text.split('\n')[0]);
  await real.terminate();
  const source = { end: (number) => ({ cursor: `${epoch}:${number}`, head: source.head, whole: true }) };
  const server = createServer((request, response) => {
    const query = new URL(request.url, 'http://source').searchParams;
    const asked = query.get('after') ?? `${epoch}:0`;
    const after = asked === 'head' ? source.head : Number(asked.split(':')[1]);
    const say = (...lines) => response.write(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    say({ epoch, after, head: source.head, now: source.now, settings });
    if (asked === 'head' || !query.has('after')) {
      say(source.end(after));
      response.end();
    } else tell({ after, say, end: () => response.end(), source });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => (server.closeAllConnections(), server.close()));
  source.url = `http://127.0.0.1:${server.address().port}`;
  return source;
}

const replicaOf = (t, source) => Server.forTest(t, { config: { exports, log: { from: source.url } } });
const ready = async (replica) => (await replica.get('/ready')).text;
const positionOf = async (replica) => (await replica.status()).node.position;

test('a replica that begins far behind is not ready with the first changes that it makes', async (t) => {
  const source = await fakeFor(t, ({ say }) => say(change(1), change(2))); /* the first is made, and the answer goes on */
  source.head = 1000;
  const replica = await replicaOf(t, source);
  await eventually(async () => (await positionOf(replica)) === 1, 'the first change is made');
  assert.equal(await ready(replica), 'NOT READY: 999 messages behind the log');
});

for (const hours of [-1, 1])
  test(`how old what it shows is does not depend on its clock: the source's is ${hours} h from it`, async (t) => {
    const now = Date.now() + hours * 3_600_000;
    const source = await fakeFor(t, ({ say }) => say({ ...change(1), at: now - 100_000 }, change(2)));
    Object.assign(source, { head: 1000, now });
    const replica = await replicaOf(t, source);
    await eventually(async () => (await positionOf(replica)) === 1, 'the first change is made');
    const { lag_seconds: lag } = (await replica.status()).node;
    assert.ok(lag >= 99 && lag < 160, String(lag));
  });

test('a change that cannot be made here stops the replica once, and for as long as it is there', async (t) => {
  let bad = 0;
  const source = await fakeFor(t, ({ after, say, end, source }) => {
    if (after === 1) bad++;
    say(change(after + 1, after ? 'Absent' : 'E'), source.end(after + 1));
    end();
  });
  source.head = 2;
  const replica = await replicaOf(t, source);
  await replica.logged(/error follow log-replaced problem="[^"]*cannot be made here/);
  const before = bad;
  await eventually(async () => bad > before, 'it is tried again', 400);
  for (let i = 0; i < 20; i++) {
    assert.equal(await ready(replica), 'NOT READY: log-replaced');
    await new Promise((done) => setTimeout(done, 25));
  }
  for (const line of [/ log-reading /g, / log-replaced /g, / log-message-waits /g]) assert.equal(replica.stderr.match(line)?.length, 1, replica.stderr);
});

for (const [what, runs] of [['of several runs in turn, as behind one address', 2], ['that say the same again', 1]])
  test(`answers that come at once and move nothing, ${what}, are not asked for without a pause`, async (t) => {
    let asked = 0;
    const source = await fakeFor(t, ({ after, say, end, source }) => {
      const run = String(asked++ % runs).padStart(36, '0');
      if (after < source.head) say(change(after + 1));
      say({ ...source.end(source.head), notes: `${run}:7` });
      end();
    });
    source.head = 0;
    const replica = await replicaOf(t, source);
    await eventually(() => asked > 2, 'it asks');
    const before = asked;
    await new Promise((done) => setTimeout(done, 1500));
    assert.ok(asked - before < 20, `${asked - before} answers`); /* thousands, without a pause */
    source.head = 1;
    await eventually(async () => (await positionOf(replica)) === 1, 'it goes on');
  });
