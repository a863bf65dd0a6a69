// protocol.md section 8: health, status, metrics.

import assert from 'node:assert/strict';
import test from 'node:test';
import { clientFor } from './lib/client.js';
import { http, post } from './lib/feed.js';
import { parse } from './lib/prometheus.js';
import { Server } from './lib/server.js';

const m = (key, patch) => ({ export: 'E', key, patch });

/** Prometheus text → Map(name{labels} → value). */
function metrics(text) {
  const values = new Map();
  for (const family of parse(text).values()) {
    for (const { name, labels, value } of family.samples) {
      const inside = Object.entries(labels).map(([label, v]) => `${label}="${v}"`).join(',');
      values.set(inside ? `${name}{${inside}}` : name, value);
    }
  }
  return values;
}

test('health and readiness answer as load balancers expect', async (t) => {
  const server = await Server.forTest(t);
  for (const [path, text] of [['/health', 'OK'], ['/healthz', 'OK'], ['/ready', 'READY'], ['/readiness', 'READY'], ['/ready/write', 'READY']]) {
    const answer = await server.get(path);
    assert.deepEqual([answer.status, answer.text.trim()], [200, text], path);
  }
  assert.equal((await server.get('/nothing')).status, 404);
  const head = await http(`${server.healthUrl}/health`, { method: 'HEAD' });
  assert.equal(head.status, 200);
});

test('status tells health, head, views with rows, clients and lag', async (t) => {
  const server = await Server.forTest(t);
  await post(server, [m('a', {}), m('b', {})]);
  const client = await clientFor(t, server);
  await client.open('E/list');
  const answer = await server.get('/status');
  assert.match(answer.type, /^application\/json/);
  const status = JSON.parse(answer.text);
  assert.equal(status.healthy, true);
  assert.equal(typeof status.status, 'string');
  assert.equal(status.error_count, 0);
  const text = JSON.stringify(status);
  assert.match(text, /"0:000000000002"/);
  assert.match(text, /E\/list/);
  const views = Array.isArray(status.views) ? status.views : Object.entries(status.views).map(([view, v]) => ({ view, ...v }));
  const list = views.find((v) => Object.values(v).includes('E/list'));
  assert.ok(Object.values(list).includes(2), `rows of E/list: ${JSON.stringify(list)}`);
  assert.equal(list.changes, 2);
  await post(server, m('a', { n: 1 }));
  assert.deepEqual((await server.status()).views.map(({ export: of, changes, rows }) => [of, changes, rows]), Array(3).fill(['E', 3, 2]));
});

test('metrics are Prometheus text and move with what happens', async (t) => {
  const server = await Server.forTest(t);
  const before = metrics((await server.get('/metrics')).text);
  const client = await clientFor(t, server);
  await post(server, [m('a', {})]);
  await client.open('E/list');
  await post(server, [m('a', { n: 1 }), m('b', {})]);
  await client.expect('patch');
  await client.expect('upsert');
  client.send('nonsense');
  await client.expect('error');
  const answer = await server.get('/metrics');
  assert.match(answer.type, /^text\/plain/);
  const after = metrics(answer.text);
  const find = (pattern) => {
    const found = [...after].filter(([name]) => pattern.test(name));
    assert.ok(found.length > 0, `no metric like ${pattern}; there are: ${[...after.keys()].join(' ')}`);
    return found;
  };
  const grew = (pattern) => assert.ok(find(pattern).some(([name, value]) => value > (before.get(name) ?? 0)), `${pattern} did not grow`);
  grew(/connections.*total/);
  grew(/connections.*active|active.*connections|_connections(\{|$)/);
  grew(/messages.*(in|received)/);
  grew(/messages.*(out|sent)|bytes.*(out|sent)/);
  grew(/subscriptions.*\{.*E\/list/);
  grew(/mutations/);
  grew(/frames.*mode="list"/);
  grew(/commit.*_count/);
  grew(/publish.*_count/);
  find(/connection.*duration/);
  find(/floor/);
  find(/lag/);
  find(/snapshot/);
  grew(/log.*(rows|length|changes)|(rows|length|changes).*log/);
});

test('status tells the greatest seq as head, also after a late arrival and a restart', async (t) => {
  const server = await Server.forTest(t);
  await post(server, [{ ...m('a', {}), slot: 10, index: 0 }, { ...m('b', {}), slot: 5, index: 0 }]);
  for (let life = 0; life < 2; life++) {
    const text = JSON.stringify(await server.status());
    assert.match(text, /"10:000000000000"/, `life ${life}: ${text}`);
    await server.kill9();
    await server.restart();
  }
});
