// Views whose rows the log alone does not tell: with `now`, or over a part of another stage. What moved there is noted by each
// file for itself, so a cursor is good at the file that gave it: through its restarts, and in copies that part from it.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { Broker, hasBroker, node, reaches } from './lib/broker.js';
import { http, post } from './lib/feed.js';
import { Gate } from './lib/gate.js';
import { Server, eventually, run, scratch, sql } from './lib/server.js';

const m = (key, patch) => ({ export: 'E', key, patch });
const sort = { sort: { by: 'n', order: 'desc' } };
const on = { filter: { field: 'on', eq: true } };
const views = {
  over: { pipeline: [sort, { take: 2 }, on] },
  timed: { pipeline: [{ filter: { field: 'until', gt: { now: true } } }] },
  top: { pipeline: [on, sort, { take: 2 }] },
};
const configOf = (views, more) => ({ exports: { E: { views } }, ...more });
const read = async (server, view, query = '') => (await http(`${server.http}/v1/views/E/${view}?${query}`)).json;
const resume = (server, view, { seq, epoch }) => read(server, view, `after=${seq}&epoch=${epoch}`);
const keysOf = (told) => told.rows.map(({ key }) => key).sort();
const lastOf = async (server) => (await sql(server.db, 'SELECT last_change FROM log_state'))[0].last_change;
const now = () => Math.floor(Date.now() / 1000);

async function isEqual(replica, source) {
  const last = await lastOf(source);
  await eventually(async () => (await replica.status()).node.position === last, () => `change ${last}: ${replica.stderr}`, 400);
}

/** A client that had `before` and comes with its cursor shows what the view has; whether it was told the difference. */
async function goesOn(server, view, before) {
  const told = await resume(server, view, before);
  const shown = new Set(told.resumed ? keysOf(before) : []);
  for (const key of told.deleted ?? []) shown.delete(key);
  for (const key of keysOf(told)) shown.add(key);
  assert.deepEqual([...shown].sort(), keysOf(await read(server, view)), `${view}: ${JSON.stringify([before, told])}`);
  return told.resumed;
}

test('nodes that took the same messages in other transactions', { skip: hasBroker ? false : 'nats-server is not installed' }, async (t) => {
  const broker = await Broker.forTest(t);
  await broker.make();
  const config = configOf(views);
  const [a, b] = [await node(t, broker, { config }), await node(t, broker, { config })];
  await broker.publish([['a', 10], ['b', 9], ['x', 1]].map(([key, n]) => m(key, { n, on: true })));
  for (const server of [a, b]) await reaches(server, 3);
  await b.terminate();
  await broker.publish([m('b', { n: 0 })]);
  await reaches(a, 4);
  const before = await read(a, 'over'), top = await read(a, 'top');
  assert.deepEqual(keysOf(before), ['a', 'x']);
  await broker.publish([m('b', { n: 9 })]);
  await reaches(a, 5);
  await b.restart();
  await reaches(b, 5);
  assert.equal(await goesOn(a, 'over', before), true);
  assert.equal(await goesOn(b, 'over', before), false);
  assert.equal(await goesOn(b, 'top', top), true);
  /* Of whom it is not told, so not by whom the moves were noted. */
  for (const server of [a, b]) assert.equal((await read(server, 'over', `after=${before.seq}`)).resumed, false);
  for (const end of ['terminate', 'kill9']) {
    await a[end]();
    await a.restart();
    await reaches(a, 5);
    assert.equal(await goesOn(a, 'over', before), true, end);
  }
});

test('a replica that was away when a row ran out, or built the view behind that', async (t) => {
  const source = await Server.forTest(t, { config: configOf({ timed: views.timed }) });
  const gate = await Gate.start(t, source.port);
  const away = await Server.forTest(t, { config: configOf({ timed: views.timed }, { log: { from: gate.url.replace('nats', 'http') } }) });
  const late = await Server.forTest(t, { config: configOf({}, { log: { from: source.http } }) });
  let before, until;
  /* Until it is seen before it ran out. */
  for (let seconds = 2; !before || !keysOf(before).includes('goes'); seconds *= 2) {
    until = now() + seconds;
    gate.open();
    await post(source, [m('stays', { until: until + 1e6 }), m('goes', { until })]);
    await isEqual(away, source);
    gate.shut();
    await post(source, [m('more', { until: until + 1e6 })]);
    before = await read(source, 'timed');
  }
  for (const server of [source, away]) await eventually(async () => !keysOf(await read(server, 'timed')).includes('goes'), 'it ran out', 400);
  gate.open();
  await isEqual(late, source);
  await late.terminate();
  await late.restart({ config: configOf({ timed: views.timed }, { log: { from: source.http } }) });
  await post(source, [m('new', { until: until + 1e6 })]);
  for (const replica of [away, late]) {
    await isEqual(replica, source);
    assert.equal(await goesOn(replica, 'timed', before), false);
  }
  assert.equal(await goesOn(source, 'timed', before), true);
});

test('its own cursors outlive restarts; a copy that follows has its own, one that parts has those of before', async (t) => {
  const source = await Server.forTest(t, { config: configOf(views) });
  const change = (n) => post(source, [m('a', { n, on: true, until: now() + 1e6 + n }), m('b', { n: 1, on: n % 2 === 0, until: now() + 1e6 })]);
  await change(2);
  const copy = async (from) => {
    const db = join(scratch(t), 'stele.db');
    assert.equal((await run(['backup', '--from', from.http, db])).code, 0);
    return db;
  };
  const follower = async (from) => Server.forTest(t, { db: await copy(from), config: configOf(views, { log: { from: from.http } }) });
  const first = await follower(source), second = await follower(first), parted = await copy(source);
  const all = [source, first, second];
  const before = {};
  for (const view of Object.keys(views)) {
    before[view] = [];
    for (const server of all) before[view].push(await read(server, view));
    assert.equal(new Set(before[view].map(({ epoch }) => epoch)).size, view === 'top' ? 1 : all.length, view);
  }
  await change(3);
  for (const replica of [first, second]) await isEqual(replica, source);
  for (const end of ['terminate', 'kill9']) {
    for (const server of [...all].reverse()) await server[end]();
    for (const server of all) await server.restart({ samePort: true });
    for (const [at, server] of all.entries())
      for (const view of Object.keys(views))
        for (const of of all.keys()) assert.equal(await goesOn(server, view, before[view][of]), view === 'top' || of === at, `${end}: ${view} of ${of} at ${at}`);
  }
  /* It has the transactions of the source until it was made, and nothing of the replicas'. */
  const own = await Server.forTest(t, { db: parted, config: configOf(views) });
  const behind = {};
  for (const view of Object.keys(views)) behind[view] = await read(source, view);
  await post(own, [m('a', { n: 0, on: false, until: 1 }), m('c', { n: 5, on: true, until: now() + 1e6 })]);
  for (const view of ['over', 'timed'])
    assert.deepEqual([await goesOn(own, view, before[view][0]), await goesOn(own, view, before[view][1]), await goesOn(own, view, behind[view])], [true, false, false], view);
  /* What a power cut took from a replica it takes again, in other transactions; and a copy goes its own way. */
  await second.terminate();
  const copied = join(scratch(t), 'stele.db');
  copyFileSync(second.db, copied);
  const third = await Server.forTest(t, { db: copied, config: configOf(views, { log: { from: first.http } }) });
  await first.kill9();
  execFileSync('sqlite3', [first.db, "UPDATE meta SET value = 'another' WHERE name = 'running'"]);
  await first.restart();
  for (const [server, at] of [[first, 1], [third, 2]])
    for (const view of Object.keys(views)) assert.equal(await goesOn(server, view, before[view][at]), view === 'top', view);
});
