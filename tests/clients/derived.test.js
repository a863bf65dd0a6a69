// Derived views, rule by rule: what a review found, so that it stays mended.

import assert from 'node:assert/strict';
import test from 'node:test';
import { clientFor } from './lib/client.js';
import { post } from './lib/feed.js';
import { Server } from './lib/server.js';

const m = (key, patch, more = {}) => ({ export: 'E', key, patch, ...more });
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const sorted = (order) => ({ exports: { E: { views: { top: { pipeline: [{ sort: { by: 'n', order } }, { take: 3 }] } } } } });

test('a cursor from before a definition was changed is refused, and the new rows come', async (t) => {
  const server = await Server.forTest(t, { config: sorted('desc') });
  await post(server, range(10, (i) => m(`k${i}`, { n: i })));
  const before = await clientFor(t, server);
  before.subscribe('E/top');
  await before.expect('subscribed');
  const { seq, data } = await before.expect('snapshot');
  assert.deepEqual(data.map((row) => row.key), ['k9', 'k8', 'k7']);
  await server.kill9();
  await server.restart({ config: sorted('asc') });
  const after = await clientFor(t, server);
  after.subscribe('E/top', { after: seq });
  assert.equal((await after.expect('subscribed')).resumed, false);
  let frame = await after.next();
  while (frame.op === 'delete') frame = await after.next();
  assert.deepEqual(frame.data.map((row) => row.key), ['k0', 'k1', 'k2']);
});

test('a window that nobody watched for a while tells the first difference to who wants no snapshot', async (t) => {
  const server = await Server.forTest(t, { config: sorted('desc') });
  await post(server, range(5, (i) => m(`k${i}`, { n: i })));
  const first = await clientFor(t, server);
  first.subscribe('E/top');
  await first.expect('subscribed');
  await first.expect('snapshot');
  first.destroy();
  const second = await clientFor(t, server);
  second.subscribe('E/top', { withSnapshot: false });
  await second.expect('subscribed');
  await post(server, m('k4', { n: 40 }));
  const frame = await second.expect('upsert');
  assert.deepEqual([frame.key, frame.data.n], ['k4', 40]);
});

test('a large window gets its snapshot however often it changes meanwhile', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} } } });
  const pad = 'x'.repeat(1000);
  for (let i = 0; i < 5; i++) await post(server, range(1000, (j) => m(`k${i}-${j}`, { n: i, pad })));
  let feeding = true;
  const feeder = (async () => {
    for (let n = 0; feeding; n++) await post(server, m(`k0-${n % 1000}`, { n }));
  })();
  const client = await clientFor(t, server);
  client.subscribe('E/list', { take: 4000 });
  await client.expect('subscribed');
  let rows = 0;
  for (let complete = false; !complete; ) {
    const frame = await client.next();
    if (frame.op !== 'snapshot') continue;
    rows += frame.data.length;
    complete = frame.complete;
  }
  feeding = false;
  await feeder;
  assert.equal(rows, 4000);
});
