// Windows, rule by rule: what docs/views.md promises of a part of a view, each in its smallest form.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Applier } from './lib/applier.js';
import { clientFor } from './lib/client.js';
import { Clock } from './lib/clock.js';
import { http, post, postAll } from './lib/feed.js';
import { Server, scratch, sql } from './lib/server.js';

const m = (key, patch, more = {}) => ({ export: 'E', key, patch, ...more });
const gone = (key) => ({ export: 'E', key, op: 'delete' });
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const views = (definitions) => ({ exports: { E: { views: definitions } } });
const url = (server, view, parameters) => `${server.http}/v1/views/${encodeURI(view)}?${new URLSearchParams(parameters)}`;
const read = (server, view, parameters = {}) => http(url(server, view, parameters));

/** Subscribe and take all frames up to and with the complete batch into the applier. */
async function ask(client, applier, view, parameters = {}) {
  client.subscribe(view, parameters);
  const frames = await client.until((frame) => (frame.op === 'snapshot' && frame.complete) || frame.type === 'error');
  for (const frame of frames) applier.apply(frame);
  return frames;
}

/** Rows of the view as somebody sees them that never saw any before. */
async function fresh(t, server, view, parameters = {}) {
  const applier = new Applier();
  const client = await clientFor(t, server);
  await ask(client, applier, view, parameters);
  client.destroy();
  return [...applier.rows.keys()].sort();
}

const held = (applier) => [...applier.rows.keys()].sort();

/* ---- a cursor ---- */

/* Rows that the view hides have a place in its cut. In each case some row is pushed out or let in by
 * one that nobody is shown. */
const HIDDEN = [
  ['take 1', { pipeline: [{ take: 1 }], keys: ['a'] }, {}, [m('a', {})], [m('b', {})]],
  ['take 1 with key', { pipeline: [{ take: 1 }], keys: ['a'] }, { key: 'a' }, [m('a', {})], [m('b', {})]],
  ['take 1 with a filter', { pipeline: [{ take: 1 }], keys: ['a'] }, { filters: { on: true } }, [m('a', { on: true })], [m('b', { on: true })]],
  ['last', { pipeline: [{ sort: 'n' }, 'last'], keys: ['a'] }, {}, [m('a', { n: 1 })], [m('b', { n: 2 })]],
  ['max_by', { pipeline: [{ max_by: 'n' }], keys: ['a'] }, {}, [m('a', { n: 1 })], [m('b', { n: 2 })]],
  ['skip', { pipeline: [{ sort: 'n' }, { skip: 1 }, { take: 5 }], keys: ['a', 'c'] }, {}, [m('b', { n: 0 }), m('a', { n: 1 }), m('c', { n: 2 })], [gone('b')]],
  ['skip without take', { pipeline: [{ sort: 'n' }, { skip: 1 }], keys: ['a', 'c'] }, {}, [m('b', { n: 0 }), m('a', { n: 1 }), m('c', { n: 2 })], [gone('b')]],
  ['skip of a subscription', { pipeline: [{ sort: 'n' }, { take: 4 }], keys: ['a', 'c'] }, { skip: 1, take: 1 }, [m('a', { n: 1 }), m('c', { n: 2 }), m('d', { n: 3 })], [m('b', { n: 0 }), m('b2', { n: 0 }), m('b3', { n: 0 })]],
  ['a long take', { pipeline: [{ sort: 'n' }, { take: 2000 }], keys: ['a', 'z'] }, {}, [m('a', { n: 1 }), m('z', { n: 9 }), ...range(1998, (i) => m(`f${i}`, { n: 5 }))], [m('b', { n: 0 })]],
  ['let in', { pipeline: [{ sort: 'n' }, { take: 1 }], keys: ['a'] }, {}, [m('b', { n: 0 }), m('a', { n: 1 })], [gone('b')]],
  ['a view over a cut', { source: 'E/cut', pipeline: [{ sort: { by: 'n', order: 'desc' } }, { take: 5 }], keys: ['a'] }, {}, [m('a', { n: 1 })], [m('b', { n: 2 }), m('b2', { n: 2 })]],
];

for (const [name, view, parameters, first, then] of HIDDEN)
  test(`hidden rows move a cut: ${name}`, async (t) => {
    const server = await Server.forTest(t, { config: views({ cut: { pipeline: [{ take: 2 }] }, v: view }) });
    await post(server, first);
    const mine = new Applier();
    const client = await clientFor(t, server);
    await ask(client, mine, 'E/v', parameters);
    client.destroy();
    const asked = { ...parameters, filters: undefined, ...(parameters.filters ? { filter: 'on:true' } : {}) };
    for (const name of Object.keys(asked)) if (asked[name] === undefined) delete asked[name];
    const page = (await read(server, 'E/v', asked)).json;
    await post(server, then);
    const again = await clientFor(t, server);
    const [subscribed] = await ask(again, mine, 'E/v', { ...parameters, ...mine.parameters() });
    assert.equal(subscribed.resumed, true);
    const should = await fresh(t, server, 'E/v', parameters);
    assert.deepEqual(held(mine), should, 'by WebSocket');
    const later = (await read(server, 'E/v', { ...asked, after: page.seq, epoch: page.epoch })).json;
    assert.equal(later.resumed, true);
    const rows = new Set(page.rows.map((row) => row.key));
    for (const key of later.deleted) rows.delete(key);
    for (const { key } of later.rows) rows.add(key);
    assert.deepEqual([...rows].sort(), should, 'by HTTP');
  });

/* ---- max_filter_rows ---- */

for (const most of [1000, 5000, 25_000])
  test(`a filter looks at max_filter_rows rows and at no more: ${most}`, async (t) => {
    const config = views({ sorted: { pipeline: [{ sort: 'n' }] }, cut: { pipeline: [{ sort: 'n' }, { skip: 1 }, { take: 1_000_000 }] } });
    const server = await Server.forTest(t, { config, set: { max_filter_rows: most } });
    await postAll(server, range(most, (i) => m(`k${i}`, { n: i })), 5000);
    const statuses = async () => Promise.all(['E/list', 'E/sorted', 'E/cut'].map(async (view) => (await read(server, view, { filter: 'rare:true' })).status));
    assert.deepEqual(await statuses(), [200, 200, 200], 'as many as may be');
    await post(server, m('one more', { n: most }));
    assert.deepEqual(await statuses(), [413, 413, 200], 'one more; the cut skips one');
    await post(server, m('and another', { n: most }));
    assert.deepEqual(await statuses(), [413, 413, 413]);
  });

/* ---- the clock in the test's hand ---- */

test('a server runs by the clock that a test sets', async (t) => {
  const clock = new Clock(scratch(t));
  clock.set(86_400);
  const server = await Server.forTest(t, { env: clock.env });
  const at = async (key) => {
    await post(server, m(key, {}));
    return (await sql(server.db, `SELECT at FROM change WHERE key = '${key}'`))[0].at;
  };
  /* The clock from the start on, and time that passes: a jump of the wall clock alone is not believed (clock.test.js). */
  for (const seconds of [86_400, 90_000]) {
    clock.set(seconds, seconds - 86_400);
    assert.ok(Math.abs((await at(`k${seconds}`)) - clock.now()) < 600_000, `${seconds} s`);
  }
});

/* ---- one window after the other, on one connection ---- */

/* The published clients keep the rows of a view in one place, whatever they asked for. */
const BY_N = views({ by: { pipeline: [{ sort: 'n' }] }, top: { pipeline: [{ sort: 'n' }, { take: 6 }] } });
const TEN = range(10, (i) => m(`k${i}`, { n: i, even: i % 2 === 0 }));
const PAGES = [
  ['another page', 'E/by', { take: 2 }, { take: 2, skip: 2 }],
  ['a page of a list', 'E/list', { take: 2 }, { take: 2, skip: 2 }],
  ['back to the first page', 'E/list', { take: 3, skip: 3 }, { take: 3 }],
  ['less', 'E/by', { take: 5 }, { take: 2 }],
  ['a filter', 'E/by', { take: 5 }, { take: 5, filters: { even: true } }],
  ['another filter', 'E/list', { filters: { even: true } }, { filters: { even: false } }],
  ['a filter that nothing passes', 'E/top', {}, { filters: { even: 7 } }],
  ['a filter where there was none', 'E/list', {}, { filters: { even: true } }],
  ['a page where all was shown', 'E/list', {}, { take: 2 }],
  ['all where a page was shown', 'E/list', { take: 2 }, {}],
  ['a filter on an append view', 'E/append', { filters: { even: true } }, { filters: { even: false } }],
  ['no snapshot', 'E/by', { take: 2 }, { take: 2, skip: 2, withSnapshot: false }],
  ['a part of a snapshot', 'E/by', { take: 4 }, { take: 2, skip: 4, snapshotLimit: 1 }],
];

/** The rows that are shown, for what is begun without all of them: none, or the first few. */
const begun = (rows, { withSnapshot, snapshotLimit }) => (withSnapshot === false ? [] : rows.slice(0, snapshotLimit));

for (const [name, view, first, then] of PAGES)
  for (const way of ['replaced', 'unsubscribed', 'unsubscribed, and fed before it is asked anew'])
    test(`a page is ${way}: ${name}`, async (t) => {
      const server = await Server.forTest(t, { config: BY_N });
      await post(server, TEN);
      const watcher = await clientFor(t, server); /* it keeps the first window moving */
      await ask(watcher, new Applier(), view, first);
      const client = await clientFor(t, server, { windows: true });
      const mine = new Applier();
      await ask(client, mine, view, first);
      if (way !== 'replaced') client.send({ type: 'unsubscribe', view });
      if (way.endsWith('anew')) {
        await client.silence();
        await post(server, [m('k0', { n: 20 }), gone('k1'), m('k5', { n: 1.5 }), m('k2', { even: 3 })]);
      }
      client.subscribe(view, then);
      if (then.withSnapshot === false) {
        /* Whatever is sent at once is sent before what comes of the next change, which brings none of the old
         * rows into the page. */
        await client.expect('subscribed');
        await post(server, m('last', { n: 2.5 }));
        for (const frame of await client.until((f) => f.key === 'last')) mine.apply(frame);
        assert.ok(mine.rows.has('last'));
        for (const key of ['k0', 'k1']) assert.ok(!mine.rows.has(key), key);
        return;
      }
      for (const frame of await client.until((f) => f.op === 'snapshot' && f.complete)) mine.apply(frame);
      const whole = { ...then, snapshotLimit: undefined };
      const all = new Applier();
      const other = await clientFor(t, server);
      await ask(other, all, view, whole);
      assert.deepEqual(held(mine), begun([...all.rows.keys()], then).sort());
    });

test('a page that is asked for anew with a cursor takes the page before it away', async (t) => {
  const server = await Server.forTest(t, { config: BY_N });
  await post(server, TEN);
  const other = await clientFor(t, server);
  const { seq, epoch } = await ask(other, new Applier(), 'E/by', { take: 2, skip: 2 }).then((frames) => ({ ...frames.at(-1), epoch: frames[0].epoch }));
  const client = await clientFor(t, server);
  const mine = new Applier();
  await ask(client, mine, 'E/by', { take: 2 });
  /* What the cursor says it has, may have been taken away on this very connection. */
  const frames = await ask(client, mine, 'E/by', { take: 2, skip: 2, after: seq, epoch });
  assert.equal(frames[0].resumed, false);
  assert.deepEqual(held(mine), ['k2', 'k3']);
});

test('rows that another subscription of the connection shows stay when a page goes', async (t) => {
  const server = await Server.forTest(t, { config: BY_N });
  await post(server, TEN);
  for (const [view, beside] of [['E/by', { key: 'k1' }], ['E/list', { key: 'k9' }], ['E/list', { key: 'k9', filters: { even: false } }]]) {
    const client = await clientFor(t, server);
    const mine = new Applier();
    await ask(client, mine, view, { take: 2 });
    await ask(client, mine, view, beside);
    await ask(client, mine, view, { take: 2, skip: 4 });
    const page = await fresh(t, server, view, { take: 2, skip: 4 });
    assert.deepEqual(held(mine), [...page, beside.key].sort(), view);
  }
});

for (const [how, of, went] of [
  ['deleted', {}, gone('k3')],
  ['evicted', { max_entities: 10 }, m('more', {})],
  ['hidden', { scope: 'owner' }, m('k3', { owner: 'ann' })],
]) {
  test(`a window of one row takes away what a list before it showed: ${how} in between`, async (t) => {
    const server = await Server.forTest(t, { config: { exports: { E: of } } });
    await post(server, TEN);
    const key = 'k4';
    for (const parameters of [{ key, filters: { even: true } }, { key, take: 3 }, { key, filters: { even: 7 } }, { key, take: 3, withSnapshot: false }, { take: 1 }, { take: 1, withSnapshot: false }]) {
      const client = await clientFor(t, server, { windows: true });
      const mine = new Applier();
      await ask(client, mine, 'E/list', {});
      client.send({ type: 'unsubscribe', view: 'E/list' });
      await client.silence();
      await post(server, [went, m('k4', { even: true })]);
      client.subscribe('E/list', parameters);
      /* Whatever is sent at once is sent before what comes of the next change. */
      await client.expect('subscribed');
      if (parameters.withSnapshot !== false) for (const frame of await client.until((f) => f.complete)) mine.apply(frame);
      else {
        await post(server, m('k4', { even: true, again: 1 }));
        for (const frame of await client.until((f) => f.key === 'k4' && f.data)) mine.apply(frame);
      }
      assert.deepEqual(held(mine), parameters.filters?.even === 7 ? [] : ['k4'], JSON.stringify(parameters));
      await post(server, [gone('k3'), gone('more'), ...TEN.map((line) => ({ ...line, op: 'upsert' }))]);
    }
  });
}

test('many pages one after the other leave the last', async (t) => {
  const server = await Server.forTest(t, { config: BY_N });
  await post(server, TEN);
  const client = await clientFor(t, server);
  const mine = new Applier();
  for (let i = 0; i < 60; i++) {
    const parameters = { take: 1 + (i % 4), skip: (i * 3) % 9 };
    if (i % 3 === 1) client.send({ type: 'unsubscribe', view: 'E/by' });
    /* Some are replaced before they were answered. */
    if (i % 5 === 2) client.subscribe('E/by', { take: 3, skip: i % 7 });
    client.subscribe('E/by', parameters);
    if (i % 4 !== 3) continue;
    client.send({ type: 'subscribe', view: '\u0001fence' });
    await client.until((frame) => frame.type === 'error').then((frames) => frames.filter((f) => f.op).forEach((f) => mine.apply(f)));
  }
  client.subscribe('E/by', { take: 2, skip: 5 });
  /* Nothing of those before comes behind its `subscribed`. */
  for (const is of [(f) => f.op === 'subscribed' && f.take === 2 && f.skip === 5, (f) => f.op === 'snapshot' && f.complete])
    for (const frame of await client.until(is)) if (frame.op) mine.apply(frame);
  assert.deepEqual(held(mine), ['k5', 'k6']);
});

/* ---- what part of the view it is ---- */

const PARTS = [
  ['E/by', {}, 100, 0, true], ['E/by', { take: 150 }, 150, 0, false], ['E/by', { take: 149 }, 149, 0, true],
  ['E/by', { take: 10, skip: 140 }, 10, 140, false], ['E/by', { take: 10, skip: 139 }, 10, 139, true],
  ['E/cut', {}, 7, 0, false], ['E/cut', { take: 5 }, 5, 0, true], ['E/cut', { take: 50 }, 7, 0, false],
  ['E/cut', { take: 2, skip: 5 }, 2, 5, false], ['E/cut', { take: 2, skip: 4 }, 2, 4, true],
  ['E/last', {}, 1, 0, false], ['E/hidden', {}, 100, 0, false], ['E/hidden', { take: 1 }, 1, 0, true],
  ['E/list', { take: 150 }, 150, 0, false], ['E/list', { take: 3 }, 3, 0, true],
  ['E/list', { take: 3, filters: { even: true } }, 3, 0, true], ['E/by', { take: 75, filters: { even: true } }, 75, 0, false],
  ['E/by', { filters: { even: true } }, 100, 0, false], ['E/by', { take: 74, filters: { even: true } }, 74, 0, true],
  ['E/cut', { take: 2, filters: { even: true } }, 2, 0, true], ['E/cut', { take: 4, filters: { even: true } }, 4, 0, false],
  ['E/by', { key: 'k1' }, undefined, undefined, undefined], ['E/list', { filters: { even: true } }, undefined, undefined, undefined],
];

test('a window says which part of its view it is, and whether there is more', async (t) => {
  const hidden = { pipeline: [{ sort: 'n' }], keys: ['k3', 'k148'] };
  const config = views({ by: { pipeline: [{ sort: 'n' }] }, cut: { pipeline: [{ sort: 'n' }, { take: 7 }] }, last: { pipeline: [{ sort: 'n' }, 'last'] }, hidden });
  const server = await Server.forTest(t, { config });
  await post(server, range(150, (i) => m(`k${i}`, { n: i, even: i % 2 === 0 })));
  for (const [view, parameters, take, skip, more] of PARTS) {
    const name = `${view} ${JSON.stringify(parameters)}`;
    const client = await clientFor(t, server);
    const frames = await ask(client, new Applier(), view, parameters);
    assert.deepEqual([frames[0].take, frames[0].skip, frames.at(-1).more], [take, skip, more], name);
    assert.ok(frames.slice(0, -1).every((frame) => frame.more === undefined), name);
    client.destroy();
    const { filters, ...rest } = parameters;
    const { json } = await read(server, view, { ...rest, ...(filters ? { filter: 'even:true' } : {}) });
    const all = view === 'E/list' && filters && parameters.take === undefined; /* over HTTP that is a hundred */
    assert.deepEqual([json.take, json.skip, json.more], all ? [100, 0, false] : [take, skip, more], `${name} by HTTP`);
  }
  assert.deepEqual((await read(server, 'E/list')).json.more, true);
});

test('whether there is more is told as it is, though the rows of the window are the same', async (t) => {
  const config = views({ by: { pipeline: [{ sort: 'n' }] }, even: { pipeline: [{ filter: { field: 'even', eq: true } }, { sort: 'n' }] } });
  const server = await Server.forTest(t, { config });
  await post(server, range(3, (i) => m(`k${i}`, { n: i, even: true })));
  for (const [view, parameters] of [['E/by', { take: 2 }], ['E/even', { take: 2 }], ['E/list', { take: 2, filters: { even: true } }], ['E/by', { take: 2, filters: { even: true } }]]) {
    /* Somebody watches, so that what is kept for all is kept. */
    const watcher = await clientFor(t, server);
    await ask(watcher, new Applier(), view, parameters);
    const more = async (want) => {
      for (let i = 0; ; i++) {
        const client = await clientFor(t, server);
        const has = (await ask(client, new Applier(), view, parameters)).at(-1).more;
        client.destroy();
        if (has === want) return;
        assert.ok(i < 200, `${view}: more is ${has}`); /* the subscribers' side hears of a commit a moment later */
        await new Promise((done) => setTimeout(done, 5));
      }
    };
    await more(true);
    const [last] = view === 'E/list' ? ['k0'] : ['k2'];
    await post(server, gone(last));
    await more(false);
    await post(server, m('k9', { n: 9, even: true, slot: 0 }, view === 'E/list' ? { slot: 0, index: 0 } : {}));
    await more(true);
    await post(server, [gone('k9'), m('k8', { n: 8, even: true })]);
    await more(true);
    await post(server, [gone('k8'), ...range(3, (i) => m(`k${i}`, { n: i, even: true }))]);
    watcher.destroy();
  }
});

/* ---- rows kept without a cursor, over a restart ---- */

/* As the published clients: they keep their rows, and ask without a cursor when they are back. Each
 * row of these windows leaves in a way of its own: by its own change, by another's, or deleted. */
const KEPT = [
  ['E/by', { take: 3 }], ['E/by', { take: 3, skip: 2 }], ['E/list', { take: 3 }], ['E/top', {}], ['E/by', { take: 3, filters: { even: true } }],
  ['E/list', { filters: { even: true } }], ['E/append', { filters: { even: true } }], ['E/by', { key: 'k1' }], ['E/even', {}], ['E/calm', {}], ['E/hidden', {}],
];
const KEPT_VIEWS = views({
  by: { pipeline: [{ sort: 'n' }] }, top: { pipeline: [{ sort: 'n' }, { take: 6 }] }, even: { pipeline: [{ filter: { field: 'even', eq: true } }] },
  calm: { pipeline: [{ sort: 'n' }, { take: 4 }], coalesce_ms: 20 }, hidden: { pipeline: [{ sort: 'n' }, { take: 4 }], keys: ['k0', 'k2', 'k3'] },
});
const LEAVE = [m('k0', { n: 20, even: 1 }), m('new', { n: -1 }), m('new2', { n: -2 }), gone('k1'), m('k4', { even: false }), m('k2', { n: 30 })];
const crowd = (n, by) => range(n, (i) => m(`c${i}`, { n: 100 + i + by }));

async function leaveThenComeBack(t, between) {
  const server = await Server.forTest(t, { config: KEPT_VIEWS });
  await post(server, TEN);
  const mine = await Promise.all(KEPT.map(async ([view, parameters]) => {
    const client = await clientFor(t, server);
    const applier = new Applier({ resume: false });
    await ask(client, applier, view, parameters);
    return { view, parameters, client, applier };
  }));
  await between(server, () => mine.forEach(({ client }) => client.destroy()), mine);
  for (const { view, parameters, applier } of mine) {
    const client = await clientFor(t, server);
    await ask(client, applier, view, parameters);
    client.destroy();
  }
  for (const { view, parameters, applier } of mine) assert.deepEqual(held(applier), await fresh(t, server, view, parameters), `${view} ${JSON.stringify(parameters)}`);
}

/** Until the database has so many windows, and knows what subscribers were shown of all changes. */
async function settled(server, windows = KEPT.length) {
  const behind = "l.last_change > coalesce((SELECT value FROM meta WHERE name = 'watched_change'), -1)";
  const ask = async () => (await sql(server, `SELECT ${behind} OR (SELECT count(*) FROM watched_window) < ${windows} AS waits FROM log_state AS l`))[0].waits;
  while (await ask()) await new Promise((done) => setTimeout(done, 50));
}

for (const end of ['terminate', 'kill9']) {
  const restart = async (server) => {
    await server[end]();
    await server.restart();
  };
  test(`rows that left while nobody watched go after a restart: ${end}`, (t) =>
    leaveThenComeBack(t, async (server, cut) => {
      await settled(server);
      cut();
      await post(server, LEAVE);
      await restart(server);
    }));
  test(`the same, when more changed than a cursor is resumed over: ${end}`, (t) =>
    leaveThenComeBack(t, async (server, cut) => {
      await settled(server);
      cut();
      await post(server, LEAVE);
      await postAll(server, crowd(12_000, 0), 3000);
      await restart(server);
      await postAll(server, crowd(12_000, 0.5), 3000);
    }));
  test(`rows that left after a restart go, when clients were cut by it: ${end}`, (t) =>
    leaveThenComeBack(t, async (server) => {
      if (end === 'kill9') await settled(server); /* a clean stop writes down what is not yet */
      await restart(server);
      await post(server, LEAVE);
      await postAll(server, crowd(12_000, 0), 3000);
    }));
  test(`rows that came just before a restart and left after it go: ${end}`, (t) =>
    leaveThenComeBack(t, async (server, cut, mine) => {
      const first = m('first', { n: -9, even: true });
      await post(server, first);
      for (const { client, applier, parameters } of mine.filter(({ view }) => !['E/append', 'E/hidden'].includes(view)).filter(({ parameters }) => !parameters.key && !parameters.skip))
        for (const frame of await client.until((f) => f.key === 'first', `first in ${JSON.stringify(parameters)}`)) applier.apply(frame);
      await restart(server);
      await post(server, [m('first', { n: 900, even: false }), ...range(4, (i) => m(`late${i}`, { n: 800 }))]);
    }));
  test(`rows go after two restarts, and others that watched meanwhile: ${end}`, (t) =>
    leaveThenComeBack(t, async (server, cut) => {
      await settled(server);
      cut();
      await restart(server);
      const other = await clientFor(t, server);
      await ask(other, new Applier(), 'E/by', { take: 3 });
      await post(server, LEAVE);
      await settled(server);
      await restart(server);
      await postAll(server, crowd(12_000, 0), 3000);
    }));
}

/* It asks for what it had, and for another window before that is answered. */
for (const end of ['terminate', 'kill9'])
  test(`rows kept over a restart go, though their window is left before it is answered: ${end}`, async (t) => {
    const server = await Server.forTest(t, { config: KEPT_VIEWS });
    await post(server, TEN);
    const mine = await Promise.all(KEPT.map(async ([view, parameters]) => {
      const applier = new Applier({ resume: false });
      await ask(await clientFor(t, server), applier, view, parameters);
      return { view, parameters, applier };
    }));
    if (end === 'kill9') await settled(server);
    await server[end]();
    await server.restart();
    await post(server, LEAVE);
    let early = 0;
    for (const { view, parameters, applier } of mine) {
      const then = view === 'E/append' ? { filters: { even: false } } : { take: 1 };
      const client = await clientFor(t, server);
      client.socket.tcp.cork();
      client.subscribe(view, parameters);
      if (parameters.key) client.send({ type: 'unsubscribe', view, key: parameters.key });
      client.subscribe(view, then);
      client.socket.tcp.uncork();
      let frames = [];
      for (let answers = 0; answers < 2; answers += frames.at(-1).op === 'subscribed') frames.push(await client.next());
      early += frames.every((frame) => frame.op === 'subscribed');
      frames = frames.concat(await client.until((frame) => frame.complete));
      for (const frame of frames) applier.apply(frame);
      assert.deepEqual(held(applier), await fresh(t, server, view, then), `${view} ${JSON.stringify(parameters)}`);
    }
    assert.ok(early > 0, 'each was answered before it was left');
  });

test('a window of a key that is left before it is answered takes away no other row', async (t) => {
  const server = await Server.forTest(t);
  const spec = { key: 'a', filters: { on: true } };
  await post(server, [m('a', { on: true }), m('b', { on: true }), m('c', { on: true })]);
  const first = await clientFor(t, server);
  await ask(first, new Applier(), 'E/list', spec);
  await settled(server, 1);
  await post(server, [m('b', { on: false }), m('c', { n: 1 })]);
  await server.kill9();
  await server.restart();
  await post(server, gone('c'));
  const client = await clientFor(t, server);
  client.socket.tcp.cork();
  client.subscribe('E/list', spec);
  client.subscribe('E/list', { ...spec, partition: 'another' });
  client.socket.tcp.uncork();
  const frames = await client.until((frame) => frame.complete);
  assert.deepEqual(frames.filter((frame) => frame.op === 'delete' && frame.key !== 'a'), []);
});

/* Who was away over several starts knows nothing of those between. `between`: what happens after the crash. */
const AWAY = [
  ['stopped again', async (server) => server.terminate()],
  ['killed again', async (server) => server.kill9()],
  ['stopped again, when others had watched', async (server, watch) => {
    await watch();
    await server.terminate();
  }],
  ['killed again, when others had watched', async (server, watch) => {
    await watch();
    await settled(server);
    await server.kill9();
  }],
];

for (const [name, between] of AWAY)
  test(`rows that came just before a crash go, though the server was ${name}`, (t) =>
    leaveThenComeBack(t, async (server, cut, mine) => {
      await settled(server);
      await post(server, m('first', { n: -9, even: true }));
      for (const { client, applier, parameters } of mine.filter(({ view }) => !['E/append', 'E/hidden'].includes(view)).filter(({ parameters }) => !parameters.key && !parameters.skip))
        for (const frame of await client.until((f) => f.key === 'first', `first in ${JSON.stringify(parameters)}`)) applier.apply(frame);
      await server.kill9();
      await server.restart();
      await post(server, [m('first', { n: 900, even: false }), ...range(4, (i) => m(`late${i}`, { n: 800 }))]);
      const watch = () => Promise.all(KEPT.map(async ([view, parameters]) => ask(await clientFor(t, server), new Applier(), view, parameters)));
      for (let i = 0; i < 2; i++) {
        await between(server, watch);
        await server.restart();
      }
    }));

/* Of other views all was written down before this one was shown anything of the change. */
test('a row that a view with coalesce_ms showed just before a crash goes, however much changed since', async (t) => {
  const config = views({ slow: { pipeline: [{ sort: 'n' }, { take: 2 }], coalesce_ms: 1000 } });
  const server = await Server.forTest(t, { config, set: { retention_rows: 10 } });
  await post(server, TEN);
  const applier = new Applier({ resume: false });
  const client = await clientFor(t, server);
  await ask(client, applier, 'E/slow');
  await ask(await clientFor(t, server), new Applier(), 'E/list', { take: 3 });
  await settled(server, 2);
  await post(server, m('first', { n: -9 }));
  let shown = false;
  const showing = client.until((f) => f.key === 'first').then((frames) => {
    frames.forEach((frame) => applier.apply(frame));
    shown = true;
  });
  for (let i = 0; !shown; i++) await post(server, m(`k${5 + (i % 4)}`, { n: 500 + i })); /* something else is always to be written down */
  await server.kill9();
  await showing;
  await server.restart();
  await postAll(server, range(12_000, (i) => m(`c${i}`, { n: -100 - i })), 3000);
  await ask(await clientFor(t, server), applier, 'E/slow');
  assert.deepEqual(held(applier), await fresh(t, server, 'E/slow'));
});

test('who comes to a window that nobody watched before a restart is told nothing of what changed', async (t) => {
  const server = await Server.forTest(t, { config: KEPT_VIEWS });
  await post(server, TEN);
  const watcher = await clientFor(t, server);
  await ask(watcher, new Applier(), 'E/top');
  await post(server, [...LEAVE, gone('k7')]);
  await settled(server, 1);
  await server.kill9();
  await server.restart();
  const client = await clientFor(t, server);
  const frames = await ask(client, new Applier(), 'E/by', { take: 2 });
  assert.deepEqual(frames.filter((frame) => frame.op === 'delete'), []);
});

/* ---- far into a view ---- */

test('what is skipped of a list is skipped in its order, whatever shares a seq', async (t) => {
  const server = await Server.forTest(t, { config: views({}) });
  let slot = 1;
  for (let i = 0; i < 420; ) {
    const size = [1, 7, 1, 60, 2, 130][slot % 6];
    const rows = range(size, (j) => ({ export: 'E', key: `k${(i + j) * 7919 % 1000}`, patch: { n: i + j } }));
    await post(server, [{ slot: slot++, index: 0, mutations: rows }]);
    i += size;
  }
  await post(server, range(40, (i) => ({ export: 'F', key: `f${i}`, patch: {}, slot: i, index: 0 })));
  const all = (await read(server, 'E/list', { take: 5000 })).json.rows.map((row) => row.key);
  assert.ok(all.length >= 420);
  for (let skip = 90; skip < all.length + 3; skip += 3) {
    const page = (await read(server, 'E/list', { take: 5, skip })).json;
    assert.deepEqual(page.rows.map((row) => row.key), all.slice(skip, skip + 5), `skip ${skip}`);
    assert.equal(page.more, skip + 5 < all.length);
  }
});

test('a filter finds the same rows whichever way the view is read', async (t) => {
  const config = { exports: { E: { views: { by: { pipeline: [{ sort: 'n' }] }, some: { pipeline: [{ filter: { field: 'n', lt: 3000 } }, { sort: { by: 'n', order: 'desc' } }] }, cut: { pipeline: [{ sort: 'n' }, { skip: 10 }, { take: 20_000 }] } } }, Small: {} } };
  const server = await Server.forTest(t, { config });
  /* Small is few among many, and lies in the middle of them. */
  const row = (i, more = {}) => m(`k${i}`, { n: (i * 7919) % 30_000, tag: i % 5000 }, more);
  await postAll(server, range(15_000, (i) => row(i)), 5000);
  await postAll(server, range(300, (i) => ({ export: 'Small', key: `s${i}`, patch: { tag: i % 100 } })), 300);
  await postAll(server, range(15_000, (i) => row(15_000 + i)), 5000);
  await post(server, [gone('k42'), m('k5042', { tag: 1 }), m('k1', { tag: 42 })]);
  const sorted = range(30_000, (i) => ({ key: `k${i}`, n: (i * 7919) % 30_000, tag: i === 1 ? 42 : i === 5042 ? 1 : i % 5000 })).filter(({ key }) => key !== 'k42').sort((a, b) => a.n - b.n);
  const tagged = (rows) => rows.filter(({ tag }) => tag === 42).map(({ key }) => key);
  const cases = [['E/by', tagged(sorted)], ['E/some', tagged(sorted.filter(({ n }) => n < 3000)).reverse()], ['E/cut', tagged(sorted.slice(10, 20_010))]];
  for (const [view, keys] of cases) {
    const applier = new Applier();
    const client = await clientFor(t, server);
    await ask(client, applier, view, { filters: { tag: 42 }, take: 50 });
    assert.deepEqual([...applier.rows.keys()], keys, view);
    assert.deepEqual((await read(server, view, { filter: 'tag:42', take: 50 })).json.rows.map(({ key }) => key), keys, `${view} by HTTP`);
  }
  const small = await fresh(t, server, 'Small/list', { filters: { tag: 7 } });
  assert.deepEqual(small, ['s107', 's207', 's7']);
});

test('a resume has at most two deletes for three rows of the snapshot that it spares', async (t) => {
  const server = await Server.forTest(t, { config: BY_N });
  await postAll(server, range(3000, (i) => m(`k${i}`, { n: i })), 3000);
  const one = await clientFor(t, server);
  const frames = await ask(one, new Applier(), 'E/by', { take: 10 });
  const after = { after: frames.at(-1).seq, epoch: frames[0].epoch };
  const resumed = async () => {
    const client = await clientFor(t, server);
    const [subscribed, ...rest] = await ask(client, new Applier(), 'E/by', { take: 10, ...after });
    return { resumed: subscribed.resumed, deletes: rest.filter((frame) => frame.op === 'delete').length };
  };
  /* Each entity that changed costs a delete, one of a row that may have been in its place, and a row that came there. */
  await post(server, range(2, (i) => m(`k${1000 + i}`, { x: 1 })));
  assert.deepEqual(await resumed(), { resumed: true, deletes: 4 });
  await post(server, m('k1002', { x: 1 }));
  assert.deepEqual(await resumed(), { resumed: false, deletes: 0 });
  await post(server, range(1000, (i) => m(`k${1000 + i}`, { x: 2 })));
  assert.deepEqual(await resumed(), { resumed: false, deletes: 0 });
});

test('a large window of a view with few rows behind it resumes with the rows that changed', async (t) => {
  const server = await Server.forTest(t, { config: BY_N });
  await postAll(server, range(101, (i) => m(`k${i}`, { n: i })), 101);
  const keeps = await clientFor(t, server); /* and the window with it */
  const frames = await ask(keeps, new Applier(), 'E/by', { take: 100 });
  await post(server, range(40, (i) => m(`k${50 + i}`, { x: 1 })));
  const [subscribed, ...rest] = await ask(await clientFor(t, server), new Applier(), 'E/by', { take: 100, after: frames.at(-1).seq, epoch: frames[0].epoch });
  const rows = rest.flatMap(({ data }) => (Array.isArray(data) ? data : []));
  assert.equal(subscribed.resumed, true);
  assert.ok(rows.length >= 40 && rows.length < 60, `${rows.length} rows`);
});

test('a row that changed often is one row for a resume', async (t) => {
  const server = await Server.forTest(t, { config: BY_N });
  await postAll(server, range(3000, (i) => m(`k${i}`, { n: i })), 3000);
  const frames = await ask(await clientFor(t, server), new Applier(), 'E/by', { take: 10 });
  await postAll(server, range(500, (i) => m('k1000', { x: i })), 500);
  const [{ resumed }] = await ask(await clientFor(t, server), new Applier(), 'E/by', { take: 10, after: frames.at(-1).seq, epoch: frames[0].epoch });
  assert.equal(resumed, true);
});

test('a resume with few deletes is a snapshot if the last one of its window was shorter', async (t) => {
  const server = await Server.forTest(t, { config: BY_N });
  /* Ten rows are compressed, two are not. */
  await postAll(server, range(300, (i) => m(`k${i}`, { n: i, text: 'x'.repeat(350) })), 300);
  const frames = await ask(await clientFor(t, server), new Applier(), 'E/by', { take: 10 });
  const after = { after: frames.at(-1).seq, epoch: frames[0].epoch };
  const resumed = async () => (await ask(await clientFor(t, server), new Applier(), 'E/by', { take: 10, ...after }))[0].resumed;
  await post(server, m('k100', { x: 1 }));
  assert.equal(await resumed(), true);
  await post(server, m('k101', { x: 1 }));
  assert.equal(await resumed(), false);
});

test('a resume that wants no snapshot may have more deletes, and bounds them too', async (t) => {
  const server = await Server.forTest(t, { config: BY_N });
  await postAll(server, range(3000, (i) => m(`k${i}`, { n: i })), 3000);
  const frames = await ask(await clientFor(t, server), new Applier(), 'E/by', { take: 10 });
  const after = { after: frames.at(-1).seq, epoch: frames[0].epoch, withSnapshot: false };
  const resumed = async () => {
    const client = await clientFor(t, server, { windows: true });
    client.subscribe('E/by', { take: 10, ...after });
    return (await client.expect('subscribed')).resumed;
  };
  await post(server, range(200, (i) => m(`k${1000 + i}`, { x: 1 })));
  assert.equal(await resumed(), true);
  await post(server, m('k1200', { x: 1 }));
  assert.equal(await resumed(), false);
});
