// The library in a host program: a query gives what HTTP and SQL give, for every view.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import test from 'node:test';
import { http, post } from './lib/feed.js';
import { Host } from './lib/host.js';
import { Random } from './lib/random.js';
import { scratch } from './lib/server.js';

const pipeline = (...steps) => ({ pipeline: steps });
const desc = (by) => ({ sort: { by, order: 'desc' } });
const asc = (by) => ({ sort: { by } });

const VIEWS = {
  sorted: pipeline(desc('n')),
  rising: pipeline(asc('o.x')),
  top: pipeline(desc('n'), { take: 10 }),
  middle: pipeline(asc('n'), { skip: 7 }, { take: 9 }),
  behind: pipeline(asc('n'), { skip: 20 }),
  beyond: pipeline(asc('n'), { skip: 20000 }),
  last: pipeline(asc('n'), 'last'),
  most: pipeline({ max_by: 'n' }),
  odd: pipeline({ filter: { field: 'odd', eq: true } }, asc('text')),
  first: { ...pipeline(desc('n'), { take: 1 }), output: 'single' },
  alone: { ...pipeline(asc('n')), output: 'single' },
  'by text': { ...pipeline(desc('n')), output: { keyed_by: 'text' } },
  'by n': { ...pipeline(asc('text'), { take: 30 }), output: { keyed_by: 'n' } },
  of: { source: 'E/top', pipeline: [asc('text'), { take: 4 }] },
  slim: { ...pipeline(desc('n'), { take: 12 }), fields: ['n', 'o.x'] },
  few: { ...pipeline(asc('n')), keys: ['k1', 'k2', 'k30', 'none'] },
  'few of it': { ...pipeline(asc('n'), { take: 15 }), keys: ['k1', 'k2', 'k3', 'k4', 'k5', 'k6'] },
  plain: { fields: ['text', 'o.x', 'odd'], keys: ['k1', 'k2', 'k3'] },
  never: pipeline({ filter: { field: 'n', gt: 1000 } }),
};
const CONFIG = {
  rate_limiting: 'off',
  max_array_length: 3,
  exports: { Empty: { views: { top: pipeline(desc('n'), { take: 3 }) } }, S: { scope: 'owner' }, E: { views: VIEWS } },
};

/** Shared seqs, equal and missing values, unusual texts. */
function mutation(random) {
  const key = `k${random.below(60)}`;
  const at = { slot: random.below(9), index: random.below(3) };
  if (random.below(9) === 0) return { export: 'E', key, op: 'delete', ...at };
  const patch = { n: random.below(20), text: `t${random.below(6)}`, odd: random.below(2) === 1, o: { x: random.below(5) / 4, y: 'ü"\\' }, list: [random.below(9)] };
  if (random.below(5) === 0) delete patch[['n', 'text', 'odd', 'o'][random.below(4)]];
  return { export: 'E', key, patch, ...at, ...(random.below(3) ? {} : { append: ['list'] }) };
}

const sql = (db, view) =>
  execFileSync('sqlite3', ['-readonly', '-separator', '\t', db, `SELECT key, seq, data FROM "${view}"`], { encoding: 'utf8', maxBuffer: 1 << 28 })
    .split('\n')
    .slice(0, -1)
    .map((line) => line.split('\t'))
    .map(([key, seq, text]) => ({ key, seq, text }));

const printed = (rows) => rows.map(({ key, text }) => `{"key":${JSON.stringify(key)},"data":${text}}`).join(',');

/* SQL builds an object with `fields` anew, its members in the order of the paths. */
const comparable = ({ text, ...row }) => ({ ...row, data: JSON.parse(text) });

/** Filters that a view can be asked with: about members that it shows. */
function filtersOf(fields, random) {
  const shown = (filters) => !fields || Object.keys(filters).every((path) => fields.includes(path));
  const offered = [{ odd: true }, { text: 't3' }, { 'o.x': 0.5, odd: false }, { 'o.x': 0.5 }, { n: 3 }].filter(shown);
  return offered[random.below(offered.length)];
}

/** The text of the rows that HTTP answers with. */
async function overHttp(host, view, { filters, ...parameters }) {
  const query = new URLSearchParams(parameters);
  for (const [path, value] of Object.entries(filters ?? {})) query.append('filter', `${path}:${JSON.stringify(value)}`);
  const answer = await http(`${host.http}/v1/views/${encodeURI(view)}?${query.toString().replaceAll('+', '%20')}`);
  assert.equal(answer.status, 200, answer.text);
  const [, rows] = /,"rows":\[(.*)\](,"[a-z]+":[^\]]*)?}\n$/s.exec(answer.text);
  return { rows, seq: answer.json.seq, epoch: answer.json.epoch };
}

test('a query gives the rows, the text and the order of HTTP and SQL, for every view', async (t) => {
  const seed = Number(process.env.STELE_SEED ?? Date.now() % 1e9);
  t.diagnostic(`STELE_SEED=${seed}`);
  const random = new Random(seed);
  const db = join(scratch(t), 'stele.db');
  const host = await Host.forTest(t, { db, config: CONFIG });
  const names = [...Object.keys(VIEWS).map((name) => `E/${name}`), 'E/list', 'E/append', 'Empty/top', 'Empty/list'];
  for (let round = 0; round < 6; round++) {
    await post(host, Array.from({ length: 40 + random.below(80) }, () => mutation(random)));
    for (const view of [...names.filter((name) => name !== 'E/append'), 'E/state']) {
      const all = sql(db, view);
      const rows = (await host.query(view)).rows;
      assert.deepEqual(rows.map(comparable), all.map(comparable), `${view} and SQL, round ${round}`);
    }
    for (const view of names) {
      const keyed = view.startsWith('E/by ');
      const stage = !/\/(list|append|plain)$/.test(view);
      for (let i = 0; i < 6; i++) {
        const asked = {};
        if (view !== 'E/append' && view !== 'E/plain' && !keyed && i > 0) Object.assign(asked, { take: 1 + random.below(30), skip: random.below(12) });
        if (i > 2) asked.filters = filtersOf(VIEWS[view.slice(2)]?.fields, random);
        if (keyed || i === 5) asked.key = keyed ? (view === 'E/by n' ? `${random.below(20)}` : `t${random.below(6)}`) : `k${random.below(60)}`;
        if (asked.key) delete asked.take, delete asked.skip;
        if (asked.take === undefined && !asked.key && stage) asked.take = 10000;
        const wanted = await overHttp(host, view, asked);
        const { rows, seq, epoch } = await host.query(view, asked);
        const what = `${view} ${JSON.stringify(asked)}, round ${round}`;
        assert.equal(printed(rows), wanted.rows, what);
        assert.deepEqual({ seq, epoch }, { seq: wanted.seq, epoch: wanted.epoch }, what);
      }
    }
  }
  await assert.rejects(host.query('E/nothing'), { code: 'view-not-found' });
  await host.close();
});

test('a long view is read in pages, filtered and cut, in its order', async (t) => {
  const db = join(scratch(t), 'stele.db');
  const host = await Host.forTest(t, { db, config: { exports: { E: { views: { sorted: VIEWS.sorted, 'by text': VIEWS['by text'] } } } } });
  const rows = Array.from({ length: 5000 }, (_, i) => ({ export: 'E', key: `k${i}`, patch: { n: (i * 7919) % 5003, odd: i % 2 === 1, text: `t${i % 50}` } }));
  await post(host, rows);
  assert.deepEqual((await host.query('E/sorted')).rows, sql(db, 'E/sorted'));
  assert.deepEqual((await host.query('E/list', { skip: 1500, take: 2500 })).rows, sql(db, 'E/list').slice(1500, 4000));
  const odd = sql(db, 'E/sorted').filter(({ text }) => text.includes('"odd":true'));
  assert.deepEqual((await host.query('E/sorted', { filters: { odd: true } })).rows, odd);
  assert.deepEqual((await host.query('E/sorted', { filters: { odd: true }, skip: 1200, take: 1100 })).rows, odd.slice(1200, 2300));
  const one = (await host.query('E/by text', { key: 't49' })).rows;
  assert.equal(one.length, 1);
  assert.equal(one[0].key, 't49');
  assert.equal(one[0].text, sql(db, 'E/sorted').find(({ text }) => text.includes('"text":"t49"')).text);
  await host.close();
});

test('a program sees the rows of all scopes, and goes on from where it read', async (t) => {
  const db = join(scratch(t), 'stele.db');
  const host = await Host.forTest(t, { db, config: CONFIG });
  for (const [key, owner] of [['a', 'ann'], ['b', 'bob'], ['c', 7], ['d', undefined]]) await host.apply({ export: 'S', key, patch: { owner } });
  const { rows, seq } = await host.query('S/list');
  assert.deepEqual(rows.map(({ key }) => key), ['d', 'c', 'b', 'a']);
  assert.equal(seq, rows[0].seq);
  assert.deepEqual((await host.query('S/list', { filters: { owner: 'bob' } })).rows, [rows[2]]);
  await host.close();
});
