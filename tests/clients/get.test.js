// `stele get` and `stele views --url`: the rows of a view, once, in every form, in pages that are of one state.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { once } from 'node:events';
import test from 'node:test';
import { http, post, postAll } from './lib/feed.js';
import { BINARY, Server, run } from './lib/server.js';
import { Terminal } from './lib/terminal.js';

const m = (key, patch, more = {}) => ({ export: 'E', key, patch, ...more });
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const key = (i) => `k${String(i).padStart(6, '0')}`;
const get = (server, args, options) => run(['get', ...args, '--url', server.http], options);
const rowsOf = (stdout) => stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line));
const keysOf = (stdout) => rowsOf(stdout).map((row) => row.key);
const BEST = { exports: { E: { views: { best: { pipeline: [{ sort: { by: 'n', order: 'desc' } }] }, top: { pipeline: [{ sort: { by: 'n' } }, { take: 3 }] } } } } };
const HOSTILE = ['plain', 'with "quotes"', 'comma, comma', 'two\nlines', 'cr\r\nlf', ' spaces ', 'tab\there', '日本語 é', 'esc\u001b[2J\u001b]0;evil\u0007', 'c1\u009b2J', 'turn\u202earound\u2066', '=1+1', "o'clock", '\\back\\', 'nul\u0000byte', '%2F?&#+', '../..', '🎉', 'a/b', '😀'.repeat(10)];

/** By RFC 4180: fields, and null where there is nothing between the commas. */
function parseCsv(text) {
  const rows = [];
  let at = 0;
  while (at < text.length) {
    const row = [];
    for (;;) {
      let field = null;
      if (text[at] === '"') {
        for (field = '', at++; ; at++) {
          if (text[at] === undefined) throw new Error('a quote is open');
          if (text[at] !== '"') field += text[at];
          else if (text[++at] === '"') field += '"';
          else break;
        }
      } else {
        const start = at;
        while (at < text.length && !',"\r\n'.includes(text[at])) at++;
        if (at > start) field = text.slice(start, at);
      }
      row.push(field);
      if (text[at] === ',') at++;
      else break;
    }
    assert.equal(text.slice(at, at + 2), '\r\n', `a line ends at ${at}: ${JSON.stringify(text.slice(Math.max(0, at - 20), at + 5))}`);
    at += 2;
    rows.push(row);
  }
  return rows;
}

/** In front of a server; `before(n, url)` runs before the n-th request (from 1) goes on, and may answer it. */
async function between(t, server, before) {
  const urls = [];
  const front = createServer(async (request, response) => {
    urls.push(request.url);
    const own = await before(urls.length, request.url);
    const answer = own ?? (await http(server.http + request.url, { headers: request.headers }));
    response.writeHead(answer.status, { 'content-type': 'application/json' });
    response.end(answer.text);
  });
  front.listen(0, '127.0.0.1');
  await once(front, 'listening');
  t.after(() => front.close());
  return { http: `http://127.0.0.1:${front.address().port}`, urls };
}

/* ---- forms ---- */

test('hostile keys and values come whole in JSON and in CSV', async (t) => {
  const server = await Server.forTest(t);
  const rows = HOSTILE.map((name, i) => ({ key: name.replace('\u0000', '') /* no key has it */, text: HOSTILE[(i + 1) % HOSTILE.length], n: i, nothing: null, empty: '', list: [1, 'a"b'], ok: i % 2 === 0, ...(i % 3 ? { some: `${i},` } : {}) }));
  await post(server, rows.map(({ key: name, ...patch }) => m(name, patch)));
  const json = await get(server, ['E/list']);
  assert.deepEqual([json.code, json.stderr], [0, '']);
  const shown = rowsOf(json.stdout).reverse();
  assert.deepEqual(shown.map(({ key: name, data: { _seq, ...data } }) => ({ key: name, ...data })), rows);
  const csv = await get(server, ['E/list', '--csv']);
  assert.deepEqual([csv.code, csv.stderr], [0, '']);
  const [names, ...lines] = parseCsv(csv.stdout);
  assert.deepEqual(names.slice().sort(), ['empty', 'key', 'list', 'n', 'nothing', 'ok', 'some', 'text']);
  assert.equal(names[0], 'key');
  for (const [i, line] of lines.reverse().entries()) {
    const row = Object.fromEntries(names.map((name, at) => [name, line[at]]));
    const want = rows[i];
    assert.deepEqual(row, { key: want.key, text: want.text, n: String(i), nothing: null, empty: '', list: '[1,"a\\"b"]', ok: String(i % 2 === 0), some: i % 3 ? `${i},` : null }, want.key);
  }
  for (const { key: name } of rows) {
    const one = await get(server, ['E/list', '--key', name]);
    assert.deepEqual([one.code, keysOf(one.stdout)], [0, [name]], `${name}: ${one.stderr}`);
  }
});

test('a table on a terminal lets nothing through, and neither do JSON and CSV there', async (t) => {
  const server = await Server.forTest(t);
  await post(server, HOSTILE.map((name) => m(name.replace('\u0000', ''), { text: name, [`m${name.replace('\u0000', '')}`]: 1 })));
  for (const args of [['--table'], ['--csv'], ['--json'], ['--table', '--columns', 'text'], ['--csv', '--columns', 'text']]) {
    const terminal = new Terminal(t, BINARY, ['get', 'E/list', ...args, '--url', server.http], { columns: 400, rows: 60 });
    assert.equal(await terminal.ended, 0, args.join(' '));
    const text = terminal.screen.text();
    assert.ok(text.includes('esc'), text);
    assert.doesNotMatch(text, /[\u0080-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/);
    if (args[0] === '--json') assert.match(text, /"turn\\u202earound\\u2066"/);
  }
});

test('a table: the columns, their widths, and what there is room for', async (t) => {
  const server = await Server.forTest(t);
  await post(server, [m('a', { n: 1, name: 'one', geo: { lat: 1.5 } }), m('b', { n: 22, name: 'x'.repeat(60), when: '2018-02-06T18:00:00Z' }), m('c', { name: null })]);
  const plain = await get(server, ['E/list', '--table']);
  assert.deepEqual([plain.code, plain.stdout.split('\n')], [0, ['key  name                                       n  when', 'c', `b    ${'x'.repeat(39)}…  22  2018-02-06T18:00:00Z`, 'a    one                                        1', '']]);
  const chosen = await get(server, ['E/list', '--columns', 'geo.lat,n'], { env: { NO_COLOR: '' } });
  assert.equal(chosen.stdout, 'key  geo.lat   n\nc\nb             22\na        1.5   1\n');
  const timed = await get(server, ['E/list', '--csv', '--columns', 'n', '--time', 'when'], { env: { TZ: 'XXX-2' } });
  assert.equal(timed.stdout, 'key,n,when\r\nc,,\r\nb,22,2018-02-06 20:00:00\r\na,1,\r\n');
  const small = new Terminal(t, BINARY, ['get', 'E/list', '--url', server.http], { columns: 20, rows: 10 });
  assert.equal(await small.ended, 0);
  assert.match(small.screen.text(), /^key\nc\nb\na\nstele get: no room/);
  assert.ok(!small.screen.scrolled);
});

test('columns that the first page had not are missed aloud', async (t) => {
  const server = await Server.forTest(t);
  await post(server, [m('late', { n: 1, other: 2 }), ...range(5, (i) => m(key(i), { n: i }))]);
  const csv = await get(server, ['E/list', '--csv', '--page', '3']);
  assert.equal(csv.code, 1);
  assert.match(csv.stderr, /1 rows have members .*'other'.*--columns/);
  assert.equal(parseCsv(csv.stdout).length, 7);
  const named = await get(server, ['E/list', '--csv', '--page', '3', '--columns', 'n,other']);
  assert.deepEqual([named.code, parseCsv(named.stdout).at(-1)], [0, ['late', '1', '2']], named.stderr);
});

test('more columns than there may be are refused, or missed aloud', async (t) => {
  const server = await Server.forTest(t);
  const names = range(1100, (i) => `m${i}`);
  await post(server, [m('a', Object.fromEntries(names.map((name) => [name, 1]))), m('b', { m0: 1 })]);
  const named = await get(server, ['E/list', '--csv', '--columns', names.join()]);
  assert.deepEqual([named.code, named.stdout], [2, '']);
  assert.match(named.stderr, /--columns has more paths/);
  const most = await get(server, ['E/list', '--csv', '--columns', names.slice(0, 999).join()]);
  assert.deepEqual([most.code, parseCsv(most.stdout)[0].length], [0, 1000], most.stderr);
  const all = await get(server, ['E/list', '--csv']);
  assert.equal(all.code, 1);
  assert.match(all.stderr, /1 rows have members without a column.*at most 1000 columns.*--json/);
});

test('a web server that is no stele, and a view without a name', async (t) => {
  const server = await Server.forTest(t);
  const strange = await between(t, server, () => ({ status: 200, text: '<html>' }));
  for (const args of [['get', 'E/list'], ['views'], ['check'], ['check', 'E'], ['producers'], ['producers', 'p'], ['history', 'E', 'k'], ['events', 'E/append'], ['explain', 'E/list', 'k', '--text']]) {
    const { code, stdout, stderr } = await run([...args, '--url', strange.http]);
    assert.deepEqual([code > 0, stdout], [true, ''], args.join(' '));
    assert.ok(stderr.includes(`${strange.http} answered 200 with what is no JSON`), `${args}: ${stderr}`);
  }
  const other = await between(t, server, () => ({ status: 200, text: '{}' }));
  assert.deepEqual([(await run(['producers', '--url', other.http])).stdout], ['']);
  const { code, stderr } = await get(server, ['']);
  assert.deepEqual([code, /which view/.test(stderr)], [2, true], stderr);
});

/* ---- what is asked ---- */

test('where, filter, sort, skip, take, key and as-of', async (t) => {
  const server = await Server.forTest(t, { config: BEST });
  await post(server, range(30, (i) => m(key(i), { n: i, odd: i % 2 === 1, name: `x=${i % 3}` })));
  const all = await http(`${server.http}/v1/views/E/list?take=1`);
  await post(server, [m(key(0), { n: 100 }), { export: 'E', key: key(29), op: 'delete' }]);
  for (const [args, ...expected] of [
    [['E/list', '--take', '3'], key(0), key(28), key(27)], [['E', '--take', '1'], key(0)], [['E', '--key', key(4)], key(4)],
    [['E/list', '--take', '2', '--skip', '4'], key(25), key(24)],
    [['E/list', '--where', '{"field":"n","gte":27}'], key(0), key(28), key(27)],
    [['E/list', '--filter', 'odd=true', '--filter', 'name=x=0', '--take', '2'], key(27), key(21)],
    [['E/list', '--sort', '-n', '--take', '2'], key(0), key(28)],
    [['E/list', '--sort', 'name', '--sort', 'n', '--take', '2'], key(3), key(6)],
    [['E/best', '--take', '2', '--page', '1'], key(0), key(28)],
    [['E/top'], key(1), key(2), key(3)],
    [['E/top', '--page', '1'], key(1), key(2), key(3)],
    [['E/list', '--key', key(4)], key(4)],
    [['E/state', '--key', key(4)], key(4)],
    [['E/list', '--key', key(4), '--where', '{"field":"n","eq":4}'], key(4)],
    [['E/list', '--as-of', all.json.seq, '--take', '2'], key(29), key(28)],
    [['E/list', '--as-of', `@${all.json.offset}`, '--page', '7'], ...range(30, (i) => key(29 - i))],
    [['E/best', '--as-of', `@${all.json.offset}`, '--page', '4', '--skip', '25'], ...range(5, (i) => key(4 - i))],
  ]) {
    const { code, stdout, stderr } = await get(server, args);
    assert.deepEqual([code, keysOf(stdout)], [0, expected], `${args.join(' ')}: ${stderr}`);
  }
});

test('a row or a view that is not there, an empty view, and other failures', async (t) => {
  const server = await Server.forTest(t, { config: BEST });
  for (const [args, stdout] of [[['E/list'], ''], [['E/list', '--csv'], 'key\r\n'], [['E/list', '--table'], 'key\n'], [['E/best', '--csv', '--columns', 'n'], 'key,n\r\n']]) {
    const empty = await get(server, args);
    assert.deepEqual([empty.code, empty.stdout, empty.stderr], [0, stdout, ''], args.join(' '));
  }
  await post(server, range(3, (i) => m(key(i), { n: i })));
  const nobody = await get(server, ['E/list', '--where', '{"field":"n","gt":99}']);
  assert.deepEqual([nobody.code, nobody.stdout], [0, '']);
  for (const [args, says] of [
    [['E/list', '--key', 'no "such" row'], /there is no row 'no "such" row' in view 'E\/list'/],
    [['E/list', '--key', key(1), '--where', '{"field":"n","eq":9}'], /no row.*query/],
    [['Nobody'], /view-not-found.*Nobody\/list/], [['E/nothing'], /view-not-found.*E\/nothing.*stele views --url/],
    [['E/state'], /key/], [['E/list', '--where', '{"field":1}'], /where|field/], [['E/best', '--sort', 'n'], /sort/], [['E/list', '--as-of', '@99999'], /not there yet/],
  ]) {
    for (const form of ['--json', '--csv', '--table']) {
      const { code, stdout, stderr } = await get(server, [...args, form]);
      assert.deepEqual([code, stdout], [1, ''], args.join(' '));
      assert.match(stderr, says, args.join(' '));
    }
  }
  for (const [args, says] of [
    [[], /VIEW/], [['E/list', '--json', '--csv'], /one of/], [['E/list', '--take', '0'], /--take/], [['E/list', '--key', 'a', '--take', '1'], /--take/],
    [['E/list', '--filter', 'n'], /PATH=VALUE/], [['E/list', '--filter', 'a:b=1'], /colon/], [['E/list', '--where', '{'], /--where/], [['E/list', '--json', '--columns', 'n'], /--columns/], [['E/list', '--time', ''], /--time/],
  ]) {
    const { code, stdout, stderr } = await get(server, args);
    assert.deepEqual([code, stdout], [2, ''], args.join(' '));
    assert.match(stderr, says, args.join(' '));
  }
  await server.terminate();
  const gone = await get(server, ['E/list']);
  assert.equal(gone.code, 1);
  assert.match(gone.stderr, /no server answers at http:\/\/127/);
  assert.match(gone.stderr, /use --db/);
  const strange = await run(['get', 'E/list', '--url', 'gopher://x']);
  assert.deepEqual([strange.code, /gopher/.test(strange.stderr)], [1, true], strange.stderr);
});

/* ---- pages ---- */

test('a large view comes in pages, each row once, in order', async (t) => {
  const server = await Server.forTest(t, { config: BEST });
  await postAll(server, range(3210, (i) => m(key(i), { n: i })), 1000);
  const expected = range(3210, (i) => key(3209 - i));
  for (const args of [['E/list'], ['E/best'], ['E/list', '--page', '77'], ['E/best', '--page', '3209'], ['E/list', '--where', '{"field":"n","gte":0}', '--page', '500']]) {
    const { code, stdout, stderr } = await get(server, args);
    assert.deepEqual([code, stderr, keysOf(stdout).length], [0, '', 3210], args.join(' '));
    assert.deepEqual(keysOf(stdout), expected, args.join(' '));
  }
  const front = await between(t, server, () => undefined);
  const part = await get(front, ['E/list', '--take', '2100', '--skip', '5']);
  assert.deepEqual(keysOf(part.stdout), expected.slice(5, 2105));
  assert.deepEqual(front.urls.map((url) => Object.fromEntries(new URLSearchParams(url.split('?')[1]))), [
    { take: '1000', skip: '5' }, { take: '1100', skip: '1005' },
  ]);
});

test('pages are of the first one\'s state, whatever is fed between them', async (t) => {
  const server = await Server.forTest(t, { config: BEST });
  await post(server, range(500, (i) => m(key(i), { n: i })));
  for (const view of ['E/list', 'E/best']) {
    const expected = rowsOf((await get(server, [view])).stdout);
    let round = 0;
    const front = await between(t, server, async (n) => {
      if (n === 1) return;
      /* A shown row goes, so that the others move up; one that is not shown yet comes to the top; one comes. */
      const first = (await http(`${server.http}/v1/views/${view}?take=1`)).json.rows[0].key;
      await post(server, [{ export: 'E', key: first, op: 'delete' }, m(key(3), { n: 5000 + ++round }), m(`new${round}`, { n: 6000 + round })]);
    });
    const { code, stdout, stderr } = await get(front, [view, '--page', '90']);
    assert.deepEqual([code, stderr], [0, '']);
    assert.deepEqual(rowsOf(stdout), expected, view);
    assert.ok(front.urls.some((url) => /as_of=%40\d+/.test(url)), 'the server was asked what was');
  }
});

test('what was and is not known any more ends the command, and what is there is one state', async (t) => {
  const server = await Server.forTest(t, { config: { retention_rows: 10 } });
  await post(server, range(300, (i) => m(key(i), { n: i })));
  const expected = rowsOf((await get(server, ['E/list'])).stdout);
  const front = await between(t, server, async (n) => {
    if (n === 2) await postAll(server, range(300, (i) => m(key(i), { n: -i })), 50);
  });
  let result;
  for (let tries = 0; tries < 50 && result?.code !== 1; tries++) { /* the log is trimmed a little later */
    front.urls.length = 0;
    result = await get(front, ['E/list', '--page', '100']);
    if (result.code === 0) assert.equal(keysOf(result.stdout).length, 300);
  }
  assert.equal(result.code, 1);
  assert.match(result.stderr, /the view changed after 100 rows, which are of one state.*history-trimmed.*--page/);
  assert.equal(keysOf(result.stdout).length, 100);
  assert.deepEqual(keysOf(result.stdout).sort(), keysOf(result.stdout).sort().filter((each) => expected.some((row) => row.key === each)));
});

test('what changes with time alone comes with a warning when it takes several pages', async (t) => {
  const server = await Server.forTest(t);
  await post(server, range(30, (i) => m(key(i), { n: i, at: 0 })));
  const where = ['--where', '{"field":"at","lt":{"now":true}}'];
  const one = await get(server, ['E/list', ...where]);
  assert.deepEqual([one.code, keysOf(one.stdout).length], [0, 30], one.stderr);
  const several = await get(server, ['E/list', ...where, '--page', '10']);
  assert.deepEqual([several.code, keysOf(several.stdout).length], [1, 30]);
  assert.match(several.stderr, /30 rows came in 3 pages of several moments.*now\(\)/);
});

test('a page that is too large is asked for in halves', async (t) => {
  const small = await Server.forTest(t, { config: { max_window_rows: 13 } });
  await post(small, range(100, (i) => m(key(i), { n: i })));
  const rows = await get(small, ['E/list', '--page', '50']);
  assert.deepEqual([rows.code, rows.stderr, keysOf(rows.stdout)], [0, '', range(100, (i) => key(99 - i))]);
  const server = await Server.forTest(t);
  await postAll(server, range(240, (i) => m(key(i), { n: i, big: String(i % 10).repeat(150_000) })), 20);
  const front = await between(t, server, () => undefined);
  const big = await get(front, ['E/list', '--csv', '--columns', 'n']);
  assert.deepEqual([big.code, big.stderr], [0, '']);
  assert.deepEqual(parseCsv(big.stdout).slice(1), range(240, (i) => [key(239 - i), String(239 - i)]));
  assert.ok(front.urls.length > 2);
});

test('a token limits rows of an answer, not rows of the command', async (t) => {
  const READER = 'reader-0123456789abcdef', FEEDER = 'feeder-0123456789abcdef';
  const auth = { mode: 'static', tokens: [{ token: READER, scope: 'read', limits: { max_snapshot_rows: 7 } }, { token: FEEDER, scope: 'write' }] };
  const server = await Server.forTest(t, { config: { auth } });
  const fed = await http(`${server.http}/v1/mutations`, { method: 'POST', headers: { authorization: `Bearer ${FEEDER}`, 'content-type': 'application/x-ndjson' }, body: range(40, (i) => JSON.stringify(m(key(i), { n: i }))).join('\n') });
  assert.equal(fed.status, 200, fed.text);
  const { code, stdout, stderr } = await get(server, ['E/list'], { env: { STELE_TOKEN: READER } });
  assert.deepEqual([code, stderr, keysOf(stdout)], [0, '', range(40, (i) => key(39 - i))]);
});

test('an append view of many rows says where its rows are', async (t) => {
  const server = await Server.forTest(t);
  await post(server, range(101, (i) => m(key(i), { n: i })));
  const { code, stderr } = await get(server, ['E/append']);
  assert.equal(code, 1);
  assert.match(stderr, /stele get E\/list.*stele events/);
});

test('another database, or a stranger, in place of the server is noticed', async (t) => {
  const one = await Server.forTest(t), two = await Server.forTest(t);
  for (const each of [one, two]) await post(each, range(50, (i) => m(key(i), { n: i })));
  const front = await between(t, one, async (n, url) => (n === 2 ? http(two.http + url) : undefined));
  const { code, stdout, stderr } = await get(front, ['E/list', '--page', '20']);
  assert.deepEqual([code, keysOf(stdout).length], [1, 20]);
  assert.match(stderr, /after 20 rows: .*another database/);
  for (const text of ['', '{}', '{"rows":1,"epoch":"x"}', '{"rows":[1],"epoch":"x"}', '{"rows":[{"key":"a"}],"epoch":"x"}', '[]', 'null', '{"rows":[],"epoch":7}', `{"rows":[],"epoch":"${'x'.repeat(500)}"}`]) {
    const strange = await between(t, one, () => ({ status: 200, text }));
    for (const form of ['--json', '--csv', '--table']) {
      const answer = await get(strange, ['E/list', form]);
      assert.equal(answer.code, 1, text);
      assert.match(answer.stderr, /^stele: ./, text);
    }
  }
});

/* ---- of a file ---- */

test('a file tells what its server tells, beside it and without it', async (t) => {
  const views = { ...BEST.exports.E.views, second: { source: 'E/best', pipeline: [{ filter: { field: 'n', lt: 200 } }, { sort: 'name' }, { skip: 3 }, { take: 40 }] }, some: { fields: ['n'], keys: [key(3), key(5)] }, timed: { pipeline: [{ filter: { field: 'n', lt: { now: true } } }] }, one: { pipeline: [{ sort: 'n' }], output: { keyed_by: 'n' } } };
  const server = await Server.forTest(t, { config: { exports: { E: { views } } } });
  await post(server, range(260, (i) => m(key(i), { n: (i * 37) % 260, name: `x=${i % 7}`, list: [i] })));
  const { json: { offset, seq } } = await http(`${server.http}/v1/views/E/list?take=1`);
  await post(server, [m(key(0), { n: 1000 }), { export: 'E', key: key(259), op: 'delete' }, m(key(9), { list: [1] }, { append: ['list'] }), m('"odd"\n', { n: 5 })]);
  const file = (args, options) => run(['get', ...args, '--db', server.db, '--config', `${server.db}.config.json`], options);
  const questions = [
    ['E/list'], ['E/list', '--page', '7'], ['E/best', '--page', '11'], ['E/top'], ['E/top', '--page', '1'], ['E/second', '--page', '9'], ['E/second', '--skip', '5', '--page', '3'], ['E/some'], ['E/append', '--key', key(9)],
    ['E/list', '--take', '50', '--skip', '30', '--page', '8'], ['E/list', '--where', '{"field":"n","gte":100}', '--page', '20'], ['E/list', '--filter', 'name=x=3', '--csv', '--columns', 'n,list'], ['E/list', '--sort', 'name', '--sort', '-n', '--page', '13'],
    ['E/best', '--where', '{"field":"n","gte":100}', '--page', '20'], ['E/second', '--filter', 'name=x=1', '--page', '1'], ['E/list', '--key', key(4)], ['E/state', '--key', '"odd"\n'], ['E/top', '--key', key(7)], ['E/top', '--key', key(8)], ['E/best', '--key', key(8)], ['E/some', '--key', key(4)], ['E/some', '--key', key(5)],
    ['E/list', '--key', key(4), '--where', '{"field":"n","eq":7}'], ['E/list', '--key', 'none'], ['E/list', '--as-of', `@${offset}`], ['E/best', '--as-of', seq, '--page', '30'], ['E/list', '--as-of', `@${offset}`, '--key', key(259)], ['E/list', '--as-of', '@99999'], ['E/list', '--take', '3', '--table'],
    ['E/best', '--sort', 'n'],
  ];
  const told = new Map();
  for (const args of questions) {
    const [one, two] = [await get(server, args), await file(args)];
    assert.deepEqual([two.code, two.stdout], [one.code, one.stdout], `${args.join(' ')}: ${one.stderr}${two.stderr}`);
    told.set(args, two.stdout);
  }
  for (const [args, says] of [[['E/timed'], /now\(\)/], [['E/one', '--key', '1'], /keyed/], [['E/list', '--where', '{"field":"n","lt":{"now":true}}'], /now\(\)/], [['E/state'], /--key/], [['E/nothing'], /no view/], [['E/list', '--where', '{"field":1}'], /field|where/]]) {
    const { code, stdout, stderr } = await file(args);
    assert.deepEqual([code, stdout, says.test(stderr)], [1, '', true], `${args}: ${stderr}`);
  }
  for (const args of [['E/list', '--db', 'x', '--url', 'http://127.0.0.1:1'], ['E/list', '--config', 'x']]) assert.equal((await run(['get', ...args])).code, 2, args.join(' '));
  await server.kill9();
  for (const args of questions) assert.equal((await file(args)).stdout, told.get(args), args.join(' '));
  const none = await run(['get', 'Nothing/list', '--db', server.db]);
  assert.deepEqual([none.code, /no export 'Nothing'/.test(none.stderr)], [1, true], none.stderr);
  assert.equal((await run(['get', 'E/list', '--db', `${server.db}.none`])).code, 1);
  assert.match((await run(['get', 'E/best', '--db', server.db])).stderr, /no view 'E\/best'.*--config/);
  assert.equal(keysOf((await run(['get', 'E/list', '--db', server.db])).stdout).length, 260);
});

test('a file that is fed meanwhile is read as of one position', async (t) => {
  const server = await Server.forTest(t, { config: BEST });
  await post(server, range(400, (i) => m(key(i), { n: i })));
  let fed = 0, over = false;
  const feeding = (async () => {
    for (let i = 0; !over; i = (i + 1) % 200, fed++) await post(server, [m(key(i), { n: 1000 + fed }), { export: 'E', key: key(399 - i), op: 'delete' }, m(key(399 - i), { n: fed % 400 })]);
  })();
  try {
    for (let round = 0; round < 6; round++) {
      const args = [['E/list', 'E/best'][round % 2], '--page', '3', '--db', server.db, '--config', `${server.db}.config.json`];
      const { code, stdout, stderr } = await run(['get', ...args]);
      assert.deepEqual([code, stderr], [0, '']);
      const rows = rowsOf(stdout);
      /* In every state each key is there once, or the one that is being made anew is not. */
      assert.ok(rows.length === 400 || rows.length === 399, `${rows.length}`);
      assert.equal(new Set(rows.map((row) => row.key)).size, rows.length);
      const order = rows.map(({ data }) => (round % 2 ? data.n : data._seq));
      if (round % 2) assert.deepEqual(order, order.slice().sort((a, b) => b - a));
    }
  } finally {
    over = true;
    await feeding;
  }
  assert.ok(fed > 0);
});

/* ---- who sees what ---- */

test('a token sees its views and rows, by get and by views', async (t) => {
  const FEEDER = 'feeder-0123456789abcdef', NORTH = 'north-0123456789abcdef', BESTS = 'bests-0123456789abcdef', ADMIN = 'admin-0123456789abcdef', READER = 'reader-0123456789abcdef';
  const auth = {
    mode: 'static',
    tokens: [
      { token: FEEDER, scope: 'write' }, { token: NORTH, scope: 'read', row_scopes: ['north'] }, { token: BESTS, scope: 'read', views: ['E/best'], row_scopes: ['north', 'south'] },
      { token: ADMIN, scope: 'admin' }, { token: READER, scope: 'read', row_scopes: ['north', 'south'] },
    ],
  };
  const config = { auth, exports: { E: { scope: 'region', views: BEST.exports.E.views }, 'Other one': {} } };
  const server = await Server.forTest(t, { config });
  const feed = [...range(250, (i) => m(key(i), { n: i, region: i % 2 ? 'north' : 'south' })), { export: 'Other one', key: 'x', patch: { n: 1 } }];
  const fed = await http(`${server.http}/v1/mutations`, { method: 'POST', headers: { authorization: `Bearer ${FEEDER}`, 'content-type': 'application/x-ndjson' }, body: feed.map((each) => JSON.stringify(each)).join('\n') });
  assert.equal(fed.status, 200, fed.text);
  const as = (token, args) => get(server, args, { env: token ? { STELE_TOKEN: token } : {} });
  const north = range(125, (i) => key(249 - 2 * i));
  for (const args of [['E/list'], ['E/list', '--page', '10'], ['E/best', '--page', '40']]) {
    const { code, stdout, stderr } = await as(NORTH, args);
    assert.deepEqual([code, keysOf(stdout)], [0, north], `${args}: ${stderr}`);
  }
  const hidden = await as(NORTH, ['E/list', '--key', key(2)]);
  assert.deepEqual([hidden.code, hidden.stdout], [1, '']);
  assert.match(hidden.stderr, /there is no row/);
  assert.equal(keysOf((await as(READER, ['E/list'])).stdout).length, 250);
  assert.match((await as(BESTS, ['E/list'])).stderr, /view-not-found/);
  assert.equal(keysOf((await as(BESTS, ['E/best'])).stdout).length, 250);
  for (const [token, code] of [[undefined, 'token-missing'], ['wrong-0123456789abcdef', 'invalid-static-token'], [ADMIN, 'scope-missing']]) {
    for (const command of [['get', 'E/list'], ['views'], ['subscribe', 'E/list']]) {
      const url = command[0] === 'subscribe' ? server.ws : server.http;
      const refused = await run([...command, '--url', url], { env: token ? { STELE_TOKEN: token } : {} });
      assert.deepEqual([refused.code, refused.stdout], [1, ''], command.join(' '));
      if (command[0] !== 'subscribe') assert.match(refused.stderr, new RegExp(code), command.join(' '));
    }
  }
  const list = async (token) => {
    const { code, stdout, stderr } = await run(['views', '--url', server.http], { env: { STELE_TOKEN: token } });
    assert.deepEqual([code, stderr], [0, '']);
    return stdout.trimEnd().split('\n').map((line) => line.trim().split(/ {2,}/));
  };
  assert.deepEqual(await list(BESTS), [['view', 'mode', 'rows', 'order'], ['E/best', 'list', '-', '-n']]);
  const all = await list(READER);
  assert.deepEqual(all.find(([id]) => id === 'Other one/list'), ['Other one/list', 'list', '1', '-_seq']);
  assert.deepEqual(all.find(([id]) => id === 'E/top'), ['E/top', 'list', '-', 'n']);
});

test('stele views of a file and of a server', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { ...BEST.exports, 'Erdbeben größer': {} } } });
  await post(server, [...range(5, (i) => m(key(i), { n: i })), { export: 'Erdbeben größer', key: 'x', patch: { n: 1 } }]);
  const { code, stdout } = await run(['views', '--url', server.http]);
  assert.equal(code, 0);
  const lines = stdout.split('\n');
  assert.equal(lines[0].replace(/ +/g, ' '), 'view mode rows order');
  assert.equal(lines.find((line) => line.startsWith('E/best')).replace(/ +/g, ' '), 'E/best list 5 -n');
  assert.equal(lines.find((line) => line.startsWith('E/top')).replace(/ +/g, ' '), 'E/top list 3 n');
  assert.equal(lines.find((line) => line.startsWith('Erdbeben größer/list')).indexOf('list', 20), lines[0].indexOf('mode'), stdout);
  const file = await run(['views', '--db', server.db]);
  assert.match(file.stdout, /^view .*head seq\n/);
  for (const args of [[], ['--db', 'x', '--url', 'y'], ['--url', server.http, '--config', 'x']]) assert.equal((await run(['views', ...args])).code, 2, args.join(' '));
});
