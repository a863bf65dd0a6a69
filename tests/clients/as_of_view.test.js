// What a view was at a former position: each answer of the present is kept, and asked for again with as_of.

import assert from 'node:assert/strict';
import test from 'node:test';
import { http, post, tryPost } from './lib/feed.js';
import { Random } from './lib/random.js';
import { seedsOf } from './lib/seeds.js';
import { Server, run } from './lib/server.js';
import { bearer, newKey, tokenOf } from './lib/token.js';

const m = (key, patch, more = {}) => ({ export: 'E', key, patch, ...more });
const gone = (key) => ({ export: 'E', key, op: 'delete' });
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const ask = (server, parameters, { view = 'E/list', ...options } = {}) => http(`${server.http}/v1/views/${view}?${new URLSearchParams(parameters).toString().replaceAll('+', '%20')}`, options);
const shown = ({ rows, take, skip, more }) => ({ rows, take, skip, more });

const VIEWS = {
  top: { pipeline: [{ sort: { by: 'n', order: 'desc' } }, { take: 3 }] },
  big: { pipeline: [{ filter: { field: 'n', gte: 40 } }, { sort: { by: 's' } }] },
  second: { source: 'E/top', pipeline: [{ sort: { by: 's' } }, { skip: 1 }, { take: 1 }] },
  least: { pipeline: [{ min_by: 'n' }] },
  end: { pipeline: [{ sort: { by: 's' } }, 'last'] },
  some: { fields: ['n'], keys: ['k1', 'k2', 'k5'] },
};
const QUESTIONS = [
  ['E/list', {}], ['E/list', { take: 2 }], ['E/list', { take: 2, skip: 2 }], ['E/append', {}], ['E/some', {}], ['E/top', {}], ['E/top', { take: 1, skip: 1 }], ['E/big', {}], ['E/second', {}], ['E/least', {}], ['E/end', {}],
  ['E/list', { where: '{"field":"n","gte":30}' }], ['E/list', { filter: 's:a', take: 2 }], ['E/list', { sort: '[{"by":"s","order":"desc"},"n"]', take: 3 }], ['E/top', { filter: 's:b' }], ['E/big', { key: 'k1' }],
];
/** Pages that go on behind a row are the parts of the whole; a row that is not shown there is refused. */
async function checkBehind(server, view, { take, skip, key, ...rest }, as_of, random, options = {}) {
  if (key) return 0;
  const of = (take) => (view === 'E/append' ? {} : { take });
  const whole = await ask(server, { ...rest, ...of(100), as_of }, { view, ...options });
  if (whole.status === 410) return 0; /* trimmed meanwhile */
  const { rows } = whole.json, [i, size, left] = [random.below(rows.length + 1), 1 + random.below(3), random.below(3)];
  const behind = rows[i]?.key ?? `k${8 + random.below(9)}`;
  const page = await ask(server, { ...rest, ...of(size), ...(left && view !== 'E/append' ? { skip: left } : {}), as_of, behind }, { view, ...options });
  if (page.status === 410) return 0;
  const what = `${view} ${JSON.stringify(rest)} at ${as_of} behind ${behind} of ${JSON.stringify(rows)}`;
  if (!rows[i]) {
    assert.deepEqual([page.status, page.json.code], [400, 'invalid-parameter'], what);
    return 1;
  }
  assert.equal(page.status, 200, `${what}: ${page.text}`);
  const rest_ = rows.slice(i + 1 + (view === 'E/append' ? 0 : left));
  assert.deepEqual([page.json.rows, page.json.more], [rest_.slice(0, view === 'E/append' ? 100 : size), view !== 'E/append' && rest_.length > size], what);
  return 1;
}
const patchOf = (random) => m(`k${random.below(8)}`, [{ n: random.below(100) }, { s: 'abc'[random.below(3)] }, { n: random.below(100), s: 'abc'[random.below(3)] }, { n: null }][random.below(4)], { op: random.below(5) ? 'patch' : 'upsert' });

test('views at each position are what they were, while the log is trimmed and the server is killed', async (t) => {
  const { seeds, first } = seedsOf(2);
  let told = 0, refused = 0, pages = 0;
  for (let seed = first; seed < first + seeds; seed++) {
    const random = new Random(seed);
    const server = await Server.forTest(t, { set: { retention_rows: 30 }, config: { exports: { E: { views: VIEWS } } } });
    const kept = [];
    const config = `${server.db}.config.json`;
    for (let round = 0; round < 45; round++) {
      const { applied } = await post(server, random.below(7) ? patchOf(random) : gone(`k${random.below(8)}`));
      if (applied) kept.push(await Promise.all(QUESTIONS.map(async ([view, parameters]) => shown((await ask(server, parameters, { view })).json))));
      if (round % 15 !== 14) continue;
      if (random.below(2)) {
        await server.kill9();
        await server.restart();
      }
      for (let i = 0; i < 25; i++) {
        const offset = 1 + random.below(kept.length);
        const which = random.below(QUESTIONS.length);
        const [view, parameters] = QUESTIONS[which];
        const answer = await ask(server, { ...parameters, as_of: `@${offset}` }, { view });
        if (answer.status === 410) {
          refused++;
          assert.equal(answer.json.code, 'history-trimmed');
          assert.ok(kept.length > 20, 'the log has all');
          continue;
        }
        told++;
        pages += await checkBehind(server, view, parameters, `@${offset}`, random);
        assert.equal(answer.status, 200, answer.text);
        assert.equal(answer.json.offset, offset);
        if (!Object.keys(parameters).length) {
          for (const where of [['--db', server.db, '--config', config], ['--url', server.http]]) {
            const { code, stdout, stderr } = await run(['history', view, '--as-of', `@${offset}`, ...where]);
            assert.equal(code, 0, stderr);
            const rows = stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line));
            assert.deepEqual(rows, answer.json.rows, `seed ${seed}: ${view} at @${offset}, ${where[0]}`);
          }
        }
        assert.deepEqual(shown(answer.json), kept[offset - 1][which], `seed ${seed}: ${view} ${JSON.stringify(parameters)} at @${offset} of ${kept.length}`);
      }
    }
    await server.discard();
  }
  t.diagnostic(`${told} told, ${refused} refused, ${pages} pages behind a row`);
  assert.ok(told > 15 * seeds && pages > 10 * seeds && refused, `${told} told, ${refused} refused`);
});

test('rows that did not change are the present ones, also if the log has lost how they came', async (t) => {
  const server = await Server.forTest(t, { set: { retention_rows: 10 } });
  await post(server, [m('x', { n: 1 }), ...range(30, (i) => m(`old${i}`, { n: i }))]);
  for (let i = 0; i < 8; i++) await post(server, m(`new${i}`, { n: i }));
  const at = 31 + 4;
  const { json } = await ask(server, { as_of: `@${at}`, take: 50 });
  assert.deepEqual(json.rows.map(({ key }) => key), [...range(4, (i) => `new${3 - i}`), ...range(30, (i) => `old${29 - i}`), 'x']);
  await post(server, m('x', { n: 2 }));
  const refused = await ask(server, { as_of: `@${at}` });
  assert.deepEqual([refused.status, refused.json.code], [410, 'history-trimmed']);
  const ended = await run(['history', 'E', '--as-of', `@${at}`, '--db', server.db]);
  assert.deepEqual([ended.code, ended.stdout], [1, '']);
  assert.match(ended.stderr, /what 'x' was at @35 is not known any more; it is known from @40 /);
  assert.match(refused.json.message, /what 'x' was at @35 is not known any more; it is known from @40 /);
  assert.deepEqual((await ask(server, { as_of: '@40', take: 50 })).json.rows, (await ask(server, { take: 50 })).json.rows);
  assert.match((await ask(server, { as_of: '@3' })).json.message, /'E\/list' was at @3 is not known any more: the log begins behind @/);
});

test('a token sees the rows that it saw then', async (t) => {
  const key = newKey();
  const auth = { mode: 'signed', keys: [key.x] };
  const views = { top: { pipeline: [{ sort: { by: 'n', order: 'desc' } }, { take: 3 }] }, all: { pipeline: [{ sort: { by: 'n' } }] } };
  const server = await Server.forTest(t, { set: { retention_rows: 40 }, config: { auth, exports: { E: { scope: 'owner', views } } } });
  const as = (...row_scopes) => ({ headers: bearer(tokenOf(key, { scope: 'read write', row_scopes })) });
  const tokens = [as(), as('ann'), as('ann', 'bob')];
  const questions = [['E/list', {}], ['E/list', { take: 2 }], ['E/top', {}], ['E/all', {}], ['E/append', {}], ['E/list', { where: '{"field":"n","gt":2}' }]];
  const { seeds, first } = seedsOf(1);
  const random = new Random(first + seeds);
  const kept = [];
  for (let round = 0; round < 35; round++) {
    const mutation = random.below(6) ? m(`k${random.below(6)}`, random.below(2) ? { n: random.below(9) } : { owner: ['ann', 'bob', null, 7][random.below(4)] }) : gone(`k${random.below(6)}`);
    const { json } = await tryPost(server, mutation, as().headers);
    if (!json.applied) continue;
    kept.push(await Promise.all(tokens.map((token) => Promise.all(questions.map(async ([view, parameters]) => shown((await ask(server, parameters, { view, ...token })).json))))));
  }
  for (const [i, each] of kept.entries()) {
    const [who, which] = [random.below(3), random.below(questions.length)];
    const [view, parameters] = questions[which];
    const answer = await ask(server, { ...parameters, as_of: `@${i + 1}` }, { view, ...tokens[who] });
    assert.deepEqual(shown(answer.json), each[who][which], `${view} of token ${who} at @${i + 1}`);
    await checkBehind(server, view, parameters, `@${i + 1}`, random, tokens[who]);
  }
  /* a refusal names no row that the token never saw */
  for (let i = 0; i < 45; i++) await tryPost(server, m('hidden', { owner: 'bob', n: 9 }), as().headers);
  const answer = await ask(server, { as_of: `@${kept.length + 20}` }, { view: 'E/top', ...as('ann') });
  assert.equal(answer.status, 410, answer.text);
  assert.ok(!answer.text.includes('hidden'), answer.text);
  const fine = await ask(server, { as_of: `@${kept.length + 20}` }, { view: 'E/list', ...as('ann') });
  assert.deepEqual(fine.json.rows, (await ask(server, {}, as('ann'))).json.rows, 'for a list only the rows that it sees matter');
  assert.match((await ask(server, { as_of: `@${kept.length + 20}` }, { view: 'E/list', ...as('bob') })).json.message, /'hidden'/);
});

test('the bounds, and what a position is not for', async (t) => {
  const views = { soon: { pipeline: [{ filter: { field: 'n', gt: { now: true } } }] } };
  const server = await Server.forTest(t, { set: { max_filter_rows: 1000, max_window_rows: 50 }, config: { exports: { E: { views } } } });
  await post(server, range(40, (i) => m(`k${i}`, { n: i })));
  for (const [parameters, status, says, view] of [
    [{ as_of: '@1', after: '0:0' }, 400, /'after'/], [{ as_of: '@1' }, 400, /now\(\)/, 'E/soon'], [{ as_of: '@1', where: '{"field":"n","gt":{"now":true}}' }, 400, /now\(\)/],
    [{ as_of: '@1', take: 51 }, 400, /max_window_rows/], [{ as_of: '@1' }, 400, /'key' is missing/, 'E/state'], [{ as_of: '@1', take: 1 }, 400, /take/, 'E/append'], [{ as_of: '@1', key: 'a', filter: 'n:1' }, 400, /query/],
  ]) {
    const answer = await ask(server, parameters, { view });
    assert.equal(answer.status, status, `${JSON.stringify(parameters)}: ${answer.text}`);
    assert.match(answer.json.message, says);
  }
  assert.deepEqual((await ask(server, { as_of: '@10', take: 50 })).json.rows.length, 10);
  await post(server, range(60, (i) => m(`more${i}`, { n: i })));
  const many = await ask(server, { as_of: '@10' });
  assert.deepEqual([many.status, many.json.code], [413, 'too-large'], many.text);
  assert.match(many.json.message, /max_window_rows/);
  await post(server, range(1000, () => m('k1', { n: 1 })));
  const far = await ask(server, { as_of: '@100' });
  assert.deepEqual([far.status, far.json.code], [413, 'too-large'], far.text);
  assert.match(far.json.message, /max_filter_rows/);
  const { headers } = await ask(server, { as_of: '@1099' });
  assert.equal((await ask(server, { as_of: '@1099' }, { headers: { 'if-none-match': headers.etag } })).status, 304);
  assert.equal((await ask(server, { as_of: '@1099', take: 3 }, { headers: { 'if-none-match': headers.etag } })).status, 200);
});

test('a refusal names no row that the token may not see', async (t) => {
  const key = newKey();
  const auth = { mode: 'signed', keys: [key.x] };
  const views = { big: { pipeline: [{ filter: { field: 'n', gte: 40 } }] }, top: { pipeline: [{ sort: { by: 'n', order: 'desc' } }, { take: 2 }] } };
  const server = await Server.forTest(t, { set: { retention_rows: 10 }, config: { auth, exports: { E: { views } } } });
  const all = { headers: bearer(tokenOf(key, { scope: 'read write' })) };
  const part = { headers: bearer(tokenOf(key, { scope: 'read', views: ['E/big', 'E/top'] })) };
  for (const mutation of [m('hidden', { n: 1 }), m('seen', { n: 50 }), ...range(30, (i) => m('hidden', { n: 1, i }))]) assert.equal((await tryPost(server, mutation, all.headers)).status, 200);
  const now = (await ask(server, { as_of: '@32' }, { view: 'E/big', ...part })).json.rows.map((row) => row.key);
  assert.deepEqual(now, ['seen']);
  /* its newest change is behind the position, and what made it is lost */
  for (const view of ['E/big', 'E/top']) {
    const refused = await ask(server, { as_of: '@25' }, { view, ...part });
    assert.deepEqual([refused.status, refused.json.code], [410, 'history-trimmed'], refused.text);
    assert.doesNotMatch(refused.text, /hidden/);
    assert.match((await ask(server, { as_of: '@25' }, { view, ...all })).json.message, /what 'hidden' was at @25/);
  }
  const row = await ask(server, { as_of: '@25', key: 'hidden' }, { view: 'E/big', ...part });
  assert.deepEqual([row.status, /known from/.test(row.text)], [410, false], row.text);
  assert.match((await ask(server, { as_of: '@25', key: 'hidden' }, { view: 'E/big', ...all })).json.message, /what 'hidden' was at @25 is not known any more; it is known from/);
});

test('the row of a derived view without a cut depends on no other row', async (t) => {
  const views = { big: { pipeline: [{ filter: { field: 'n', gte: 40 } }, { sort: { by: 'n' } }] }, top: { pipeline: [{ sort: { by: 'n', order: 'desc' } }, { take: 2 }] } };
  const server = await Server.forTest(t, { set: { retention_rows: 40, max_window_rows: 10 }, config: { exports: { E: { views } } } });
  await post(server, m('lost', { n: 60 }));
  await post(server, range(20, (i) => m(`old${i}`, { n: i })));
  for (const n of [41, 7, 42]) await post(server, m('a', { n }, { op: 'upsert' }));
  await post(server, gone('a'));
  await post(server, m('a', { n: 43 }));
  for (let i = 0; i < 15; i++) await post(server, [m('lost', { i }), m(`new${i}`, { n: i })]);
  const n = async (at, view = 'E/big') => {
    const { status, json } = await ask(server, { as_of: `@${at}`, key: 'a' }, { view });
    assert.equal(status, 200, json.message);
    return json.rows.map(({ key, data }) => [key, data.n]);
  };
  for (const [at, expected] of [[21, []], [22, [['a', 41]]], [23, []], [24, [['a', 42]]], [25, []], [26, [['a', 43]]], [40, [['a', 43]]]]) {
    assert.deepEqual(await n(at), expected, `@${at}`);
    const { code, stdout, stderr } = await run(['history', 'E/big', 'a', '--as-of', `@${at}`, '--db', server.db, '--config', `${server.db}.config.json`]);
    assert.deepEqual([code, stdout && JSON.parse(stdout).n], [0, expected[0]?.[1] ?? ''], stderr);
  }
  assert.equal((await ask(server, { as_of: '@22', key: 'a' }, { view: 'E/top' })).status, 413, 'with a cut all rows matter');
});

test('many views of former positions at once keep no more rows than a few of them', async (t) => {
  const [ROWS, BYTES, ASKED] = [150, 256 << 10, 16];
  const server = await Server.forTest(t, { config: { exports: { E: { views: { small: { fields: ['n'] } } } } } });
  for (let i = 0; i < ROWS; i++) await post(server, m(`k${i}`, { n: i, text: String(i).repeat(BYTES).slice(0, BYTES) }));
  const one = await ask(server, { as_of: `@${ROWS}`, take: ROWS }, { view: 'E/small' });
  assert.equal(one.json.rows.length, ROWS);
  const before = server.memory();
  let [most, done] = [0, false];
  const watch = (async () => {
    for (; !done; await new Promise((next) => setTimeout(next, 2))) most = Math.max(most, server.memory());
  })();
  const leaving = range(4, () => {
    const left = new AbortController();
    const asked = fetch(`${server.http}/v1/views/E/small?as_of=@${ROWS}&take=${ROWS}`, { signal: left.signal }).catch(() => undefined);
    setTimeout(() => left.abort(), 20);
    return asked;
  });
  const answers = await Promise.all(range(ASKED, () => ask(server, { as_of: `@${ROWS}`, take: ROWS }, { view: 'E/small' })));
  await Promise.all(leaving);
  done = true;
  await watch;
  for (const { status, text } of answers) assert.deepEqual([status, text], [200, one.text]);
  const rows = ROWS * BYTES;
  if (!process.env.STELE_SANITIZED) assert.ok(most - before < 4 * rows, `${(most - before) >> 20} MiB more for ${ASKED} answers of ${rows >> 20} MiB of rows`);
});

test('of a view that had no rows there is no last one', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: { views: VIEWS } } } });
  await post(server, m('a', { n: 1, s: 'a' }));
  for (const view of Object.keys(VIEWS)) {
    const { status, json } = await ask(server, { as_of: '@0' }, { view: `E/${view}` });
    assert.deepEqual([status, json.rows], [200, []], view);
  }
});

test('behind goes on through a list that changes all the time, each row once, and shows no place of a hidden row', async (t) => {
  const key = newKey();
  const server = await Server.forTest(t, { config: { auth: { mode: 'signed', keys: [key.x] }, exports: { E: { scope: 'owner', views: { some: { keys: ['k121', 'k122'] }, big: { pipeline: [{ filter: { field: 'n', gte: 100 } }, { sort: 'n' }] } } } } } });
  const as = (claims) => ({ headers: bearer(tokenOf(key, { scope: 'read write', row_scopes: ['ann'], ...claims })) });
  const feed = (mutations) => tryPost(server, mutations, as().headers);
  await feed(range(300, (i) => m(`k${i}`, { n: i, owner: i % 5 ? 'ann' : 'bob' })));
  for (const view of ['E/list', 'E/big']) {
    const whole = (await ask(server, { take: 1000 }, { view, ...as() })).json;
    const seen = [];
    for (let more = true, round = 0; more; round++) {
      await feed([gone(whole.rows.at(-1 - round).key), m(whole.rows[round].key, { n: 5000 + round }), m(whole.rows[(round * 7) % 100].key, { n: 100 - round }), m(`${view} ${round}`, { n: 200, owner: 'ann' })]);
      const { json } = await ask(server, { take: 17, as_of: `@${whole.offset}`, ...(seen.length ? { behind: seen.at(-1).key } : {}) }, { view, ...as() });
      seen.push(...json.rows);
      more = json.more;
    }
    assert.deepEqual(seen, whole.rows, view);
  }
  const { json: { offset } } = await ask(server, { take: 1 }, as());
  const only = as({ views: ['E/big'] });
  for (const name of ['k51', 'k123', 'k295']) assert.equal((await ask(server, { as_of: `@${offset}`, key: name }, as({ row_scopes: ['ann', 'bob'] }))).json.rows.length, 1, `${name} is there`);
  for (const [view, name, where] of [['E/list', 'k5'], ['E/big', 'k5'], ['E/big', 'k51'], ['E/big', 'k295'], ['E/list', 'none'], ['E/some', 'k123'], ['E/list', 'k123', '{"field":"n","gt":1000}']]) {
    const answer = await ask(server, { as_of: `@${offset}`, behind: name, ...(where && { where }) }, { view, ...(view === 'E/big' ? only : as()) });
    assert.deepEqual([answer.status, answer.json.message], [400, `'behind' is '${name}', and view '${view}' did not show that row there`]);
  }
  for (const [parameters, says] of [[{ behind: 'k1' }, /as_of/], [{ behind: '', as_of: `@${offset}` }, /behind/], [{ behind: 'k1', key: 'k1', as_of: `@${offset}` }, /behind/], [{ behind: 'k1', events: '1', as_of: `@${offset}` }, /as_of/]]) {
    const answer = await ask(server, parameters, as());
    assert.deepEqual([answer.status, says.test(answer.json.message)], [400, true], answer.text);
  }
});
