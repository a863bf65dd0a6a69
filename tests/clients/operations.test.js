// What an operator sees: every metric is documented and what it says is so, /status and the list of
// views tell the same, and every line of the log keeps to docs/logs.md.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { clientFor } from './lib/client.js';
import { http, post, tryPost } from './lib/feed.js';
import { parse, value } from './lib/prometheus.js';
import { ROOT, Server, check, run, sql } from './lib/server.js';

const m = (key, patch, more = {}) => ({ export: 'E', key, patch, ...more });
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const read = (path) => readFileSync(join(ROOT, path), 'utf8');
const scrape = async (server) => parse((await server.get('/metrics')).text);

/** Ask again until `test` holds of what `ask` gives; that. */
async function eventually(ask, test, what) {
  for (let i = 0; i < 400; i++) {
    const found = await ask();
    if (test(found)) return found;
    await new Promise((done) => setTimeout(done, 50));
  }
  assert.fail(`it never came about: ${what}`);
}

/** Rows of the tables in a document: cells, without code marks. */
const tableRows = (document) =>
  read(document)
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.slice(2, -2).split(' | ').map((cell) => cell.replaceAll('`', '')));

/* ---- metrics ---- */

const derived = {
  exports: {
    E: {
      views: {
        strong: { pipeline: [{ filter: { field: 'n', gte: 5 } }, { sort: { by: 'n', order: 'desc' } }] },
        middle: { source: 'E/strong', pipeline: [{ skip: 2 }, { take: 3 }] },
        best: { pipeline: [{ max_by: 'n' }] },
        last: { source: 'E/strong', pipeline: ['last'] },
        slim: { mode: 'list', keys: ['k1', 'k7', 'none'] },
      },
    },
  },
};

test('docs/metrics.md names exactly the metrics that there are, with type, labels and meaning', async (t) => {
  const server = await Server.forTest(t, { config: derived });
  await post(server, [m('k1', { n: 1 })]);
  const families = await scrape(server);
  const documented = new Map(tableRows('docs/metrics.md').map((row) => [row[0], row]));
  for (const { name, type, help, samples } of families.values()) {
    const labels = [...new Set(samples.flatMap((s) => Object.keys(s.labels)))].filter((label) => label !== 'le');
    assert.deepEqual(documented.get(name), [name, type, labels.join(' '), help], `docs/metrics.md: ${name}`);
    documented.delete(name);
  }
  assert.deepEqual([...documented.keys()], [], 'documented, but not there');
});

test('metrics, /status, the list of views and SQL count the same rows', async (t) => {
  const server = await Server.forTest(t, { config: derived });
  const agree = async (expected) => {
    const families = await scrape(server);
    const status = await server.status();
    const listed = (await http(`${server.http}/v1/views`)).json.views;
    for (const [view, rows] of Object.entries(expected)) {
      assert.equal(value(families, 'stele_view_rows', { view }), rows, `stele_view_rows of ${view}`);
      assert.equal(status.views.find((v) => v.id === view).rows, rows, `/status of ${view}`);
      assert.equal(listed.find((v) => v.id === view).rows, rows, `/v1/views of ${view}`);
      assert.equal((await sql(server.db, `SELECT count(*) AS n FROM "${view}"`))[0].n, rows, `SQL of ${view}`);
    }
  };
  await agree({ 'E/list': 0, 'E/strong': 0, 'E/middle': 0, 'E/best': 0, 'E/last': 0, 'E/slim': 0 });
  await post(server, range(10, (i) => m(`k${i}`, { n: i })));
  await agree({ 'E/list': 10, 'E/strong': 5, 'E/middle': 3, 'E/best': 1, 'E/last': 1, 'E/slim': 2 });
  await post(server, [m('k9', { n: 0 }), m('k8', { n: 0 }), { export: 'E', key: 'k7', op: 'delete' }]);
  await agree({ 'E/list': 9, 'E/strong': 2, 'E/middle': 0, 'E/best': 1, 'E/last': 1, 'E/slim': 1 });
  await server.kill9();
  await server.restart();
  await agree({ 'E/list': 9, 'E/strong': 2, 'E/middle': 0, 'E/best': 1, 'E/last': 1, 'E/slim': 1 });
  /* A view that is new is counted as it is built. */
  await server.terminate();
  derived.exports.E.views.weak = { pipeline: [{ filter: { field: 'n', lt: 5 } }] };
  t.after(() => delete derived.exports.E.views.weak);
  await server.restart({ config: derived });
  await agree({ 'E/weak': 7, 'E/strong': 2 });
  await check(server.db);
});

test('what happens is counted where it should be', async (t) => {
  const server = await Server.forTest(t, { config: derived });
  const client = await clientFor(t, server);
  await post(server, [m('a', { n: 9 }), { export: 'Other', key: 'b', patch: {} }]);
  await client.open('E/list');
  client.subscribe('E/strong');
  await client.until((frame) => frame.op === 'snapshot' && frame.entity === 'E/strong' && frame.complete);
  await post(server, [m('a', { n: 8 })]);
  await client.until((frame) => frame.entity === 'E/strong' && frame.op === 'upsert');
  const families = await scrape(server);
  const is = (name, labels, number) => assert.equal(value(families, name, labels), number, `${name} ${JSON.stringify(labels)}`);
  const least = (name, labels, number) =>
    assert.ok(value(families, name, labels) >= number, `${name} ${JSON.stringify(labels)} is ${value(families, name, labels)}`);
  is('stele_connections_active', {}, 1);
  is('stele_connections_total', {}, 1);
  is('stele_mutations_total', { result: 'applied' }, 2);
  is('stele_mutations_total', { result: 'ignored' }, 1);
  is('stele_view_subscriptions', { view: 'E/list' }, 1);
  is('stele_view_subscriptions', { view: 'E/strong' }, 1);
  is('stele_subscriptions_active', {}, 2);
  is('stele_windows', {}, 1);
  is('stele_window_members', {}, 1);
  least('stele_window_looks_total', {}, 1);
  least('stele_frames_published_total', { mode: 'list' }, 2);
  least('stele_commit_latency_seconds_count', {}, 2);
  least('stele_publish_latency_seconds_count', {}, 2);
  is('stele_disk_ok', {}, 1);
  least('stele_disk_free_bytes', {}, 1);
  least('stele_database_bytes', {}, 1);
  least('stele_loop_pause_seconds_count', {}, 1);
  is('stele_build_info', { version: (await server.status()).version }, 1);
  least('process_resident_memory_bytes', {}, 1 << 20);
  least('process_open_fds', {}, 5);
  least('process_threads', {}, 4);
  const started = value(families, 'process_start_time_seconds');
  assert.ok(Math.abs(started - Date.now() / 1000) < 600, `started at ${started}`);
  /* The kernel's own word on descriptors, give or take what comes and goes. */
  const open = readdirSync(`/proc/${server.pid}/fd`).length;
  assert.ok(Math.abs(value(families, 'process_open_fds') - open) <= 3, `${open} descriptors`);
  const status = await server.status();
  assert.deepEqual([status.windows.count, status.windows.members], [1, 1]);
  assert.deepEqual([status.connections.total, status.clients, status.disk.state], [1, 1, 'ok']);
  assert.equal(status.mutations.applied, 2);
  assert.deepEqual([status.attempts.refused, status.attempts.limited], [0, 0]);
  assert.ok(status.snapshots.built >= 1);
  assert.equal(status.process.id, server.pid);
  client.destroy();
  const later = await eventually(() => scrape(server), (f) => value(f, 'stele_connections_active') === 0, 'the client is gone');
  assert.equal(value(later, 'stele_connection_duration_seconds_count'), 1);
  assert.equal(value(later, 'stele_windows'), 0);
  assert.equal(value(later, 'stele_window_members'), 0);
});

test('names that clients choose cannot break the metrics, and do not make series without end', async (t) => {
  const server = await Server.forTest(t);
  const odd = 'back\\slash {le=1},x \u2028 é';
  await post(server, [{ export: odd, key: 'k', patch: {} }]);
  let families = await scrape(server);
  assert.equal(value(families, 'stele_view_rows', { view: `${odd}/list` }), 1);
  await post(server, range(500, (i) => ({ export: `X${i}`, key: 'k', patch: {} })));
  families = await scrape(server);
  const rows = families.get('stele_view_rows').samples;
  assert.equal(rows.length, 1001, 'a thousand views, and the others as one');
  assert.equal(value(families, 'stele_view_rows', { view: 'others' }), 503);
  assert.equal(rows.reduce((sum, sample) => sum + sample.value, 0), 3 * 501);
});

test('a program that keeps the write lock holds producers up, and they are told to come again', async (t) => {
  const server = await Server.forTest(t);
  await post(server, [m('a', {})]);
  const shell = spawn('sqlite3', [server.db], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => shell.kill('SIGKILL'));
  shell.stdin.write(".timeout 20000\nBEGIN IMMEDIATE;\nSELECT 'held';\n");
  await once(shell.stdout, 'data');
  const refused = await tryPost(server, [m('b', {})]);
  assert.deepEqual([refused.status, refused.json.code, refused.json.retryable], [503, 'database-in-use', true], refused.text);
  assert.match(refused.headers['retry-after'] ?? '', /^[0-9]+$/);
  assert.match(server.stderr, / error engine commit-failed error="/);
  const families = await scrape(server);
  assert.equal(value(families, 'stele_commit_failures_total'), 1);
  assert.equal(value(families, 'stele_log_lines_total', { level: 'error' }), 1);
  shell.kill('SIGKILL');
  await once(shell, 'exit');
  assert.equal((await post(server, [m('b', {})])).applied, 1);
});

/* ---- what is built on the metrics ---- */

const PROMQL = new Set('sum max min avg topk rate increase changes predict_linear histogram_quantile time by on count and or unless'.split(' '));

/** Holds a PromQL expression against the metrics and labels that there are; the names that it uses. */
function checkExpression(expression, families, where) {
  const tokens = expression.match(/"(?:[^"\\]|\\.)*"|[A-Za-z_:][A-Za-z0-9_:]*|[0-9.]+[smhd]?|\$[a-z_]+|=~|!~|!=|==|>=|<=|[-+*/<>=(){}[\],]|\S/g);
  const open = [];
  const used = [];
  let metric; /* whose braces are open, or were last */
  const labels = new Set();
  tokens.forEach((token, i) => {
    const tell = `${where}: ${token} in ${expression}`;
    assert.match(token, /^(".*"|[A-Za-z_:][\w:]*|[\d.]+[smhd]?|\$[a-z_]+|=~|!~|[!=<>]=|[-+*/<>=(){}[\],])$/, tell);
    if ('([{'.includes(token)) open.push(token);
    if (')]}'.includes(token)) assert.equal(open.pop() + token, { ')': '()', ']': '[]', '}': '{}' }[token], tell);
    if (!/^[A-Za-z_]/.test(token)) return;
    if (open.at(-1) === '{') {
      assert.match(tokens[i + 1], /^(=|=~|!=|!~)$/, tell);
      labels.add([metric, token].join(' '));
    } else if (open.at(-1) === '(' && ['by', 'on'].includes(tokens[tokens.lastIndexOf('(', i) - 1])) {
      labels.add(['*', token].join(' '));
    } else if (!PROMQL.has(token)) {
      metric = token;
      used.push(token);
    }
  });
  assert.deepEqual(open, [], `${where}: something is left open in ${expression}`);
  assert.ok(used.length > 0, `${where}: no metric in ${expression}`);
  const labelsOf = (name) => {
    if (name === 'up') return [];
    const base = name.replace(/_(bucket|sum|count)$/, '');
    const family = families.get(name) ?? (families.get(base)?.type === 'histogram' ? families.get(base) : undefined);
    assert.ok(family, `${where}: there is no metric ${name}`);
    const counted = family.type === 'counter' || (family.type === 'histogram' && name !== base);
    const rated = new RegExp(`\\b(rate|increase)\\(${name}\\b`).test(expression);
    assert.equal(rated, counted, `${where}: ${name} is ${counted ? 'only good for' : 'no matter of'} a rate`);
    return family.samples.filter((sample) => sample.name === name).flatMap((sample) => Object.keys(sample.labels));
  };
  const has = new Map(used.map((name) => [name, new Set(['instance', 'job', ...labelsOf(name)])]));
  for (const pair of labels) {
    const [name, label] = pair.split(' ');
    const found = name === '*' ? used.some((each) => has.get(each).has(label)) : has.get(name).has(label);
    assert.ok(found, `${where}: nothing has the label ${label} in ${expression}`);
  }
  return used;
}

test('every panel of the dashboard shows metrics that there are', async (t) => {
  const server = await Server.forTest(t);
  await post(server, [m('a', {})]);
  const families = await scrape(server);
  const dashboard = JSON.parse(read('docs/grafana-dashboard.json'));
  assert.ok(dashboard.title && dashboard.uid && dashboard.schemaVersion >= 30);
  assert.deepEqual(dashboard.templating.list.map((variable) => variable.name), ['datasource', 'job', 'instance']);
  const ids = new Set();
  const shown = new Set();
  const cells = new Set();
  for (const panel of dashboard.panels) {
    assert.ok(!ids.has(panel.id), `panel ${panel.id} twice`);
    ids.add(panel.id);
    const { x, y, w, h } = panel.gridPos;
    assert.ok(x >= 0 && x + w <= 24 && h > 0, panel.title);
    for (let i = 0; i < w * h; i++) {
      const cell = `${x + (i % w)},${y + Math.floor(i / w)}`;
      assert.ok(!cells.has(cell), `${panel.title} covers another panel`);
      cells.add(cell);
    }
    if (panel.type === 'row') continue;
    assert.ok(panel.title && panel.description && panel.targets.length > 0, JSON.stringify(panel.title));
    assert.equal(new Set(panel.targets.map((target) => target.refId)).size, panel.targets.length, panel.title);
    for (const { expr } of panel.targets) {
      for (const variable of expr.match(/\$[a-z_]+/g)) assert.ok(['$instance', '$job', '$__rate_interval'].includes(variable), expr);
      for (const name of checkExpression(expr, families, `the panel "${panel.title}"`)) shown.add(name.replace(/_(bucket|sum|count)$/, ''));
    }
  }
  /* What is not drawn is a choice, so that a new metric is not forgotten. */
  const left = [...families.keys()].filter((name) => !shown.has(name));
  assert.deepEqual(left.sort(), [
    'process_start_time_seconds', 'process_threads', 'process_virtual_memory_bytes', 'stele_build_info', 'stele_http_answer_bytes',
    'stele_incoming_bytes', 'stele_keys_stale', 'stele_log_floor_change', 'stele_log_followers', 'stele_log_last_change', 'stele_queue_bytes', 'stele_revoked_tokens',
    'stele_subscriber_messages_total', 'stele_subscribers', 'stele_subscriptions_active', 'stele_subscriptions_total',
    'stele_tls_certificate_end_seconds',
  ]);
});

test('every alert is on metrics that there are, and says what to do', async (t) => {
  const server = await Server.forTest(t);
  await post(server, [m('a', {})]);
  const families = await scrape(server);
  const [head, ...rules] = read('docs/alerts.yml').split(/^ {6}- alert: /m);
  assert.match(head, /^groups:\n {2}- name: stele\n {4}rules:\n$/m);
  assert.ok(rules.length > 10);
  const names = new Set();
  for (const rule of rules) {
    /* Each is written in the same lines, so that this can be read without a library for YAML. */
    const found =
      /^(\w+)\n {8}expr: (.+)\n {8}for: [0-9]+[mh]\n {8}labels:\n {10}severity: (critical|warning|info)\n {8}annotations:\n {10}summary: "([^"]+)"\n {10}description: "([^"]+)"\n+$/.exec(rule);
    assert.ok(found, rule);
    const [, name, expression, , summary, description] = found;
    assert.ok(!names.has(name), `${name} twice`);
    names.add(name);
    assert.doesNotMatch(expression, /: | #|^[{["'*&!|>%@`]/, `${name}: not a plain scalar of YAML`);
    checkExpression(expression, families, name);
    for (const text of [summary, description]) {
      for (const used of text.match(/\$labels\.\w+/g) ?? []) assert.ok(['$labels.instance', '$labels.job', '$labels.limit'].includes(used), text);
    }
    assert.ok(/\$labels\.(instance|job)/.test(summary) && description.length > 60, `${name} says what to do`);
    for (const metric of `${description}`.match(/\bstele_[a-z_]+/g) ?? []) assert.ok(families.has(metric), `${name}: ${metric}`);
    assert.ok(read('docs/operations.md').includes(`\`${name}\``), `docs/operations.md does not name ${name}`);
  }
});

/* ---- the log ---- */

test('what a token does not let a client do in its session is told as an audit event, and not to the client', async (t) => {
  const token = 'a-static-token-0123456789';
  const server = await Server.forTest(t, {
    config: { exports: { E: {}, Secret: {} }, auth: { mode: 'static', tokens: [{ token, subject: 'x', scope: 'read', views: ['E/*'] }] } },
  });
  const client = await clientFor(t, server, { headers: { authorization: `Bearer ${token}` } });
  const answers = [];
  for (const view of ['Secret/list', 'None/list']) {
    client.subscribe(view);
    answers.push((await client.expect('error')).message.replace(view, 'it'));
  }
  assert.equal(answers[0], answers[1], 'to the client it is not there');
  await client.open('E/list');
  const told = server.stderr.split('\n').filter((line) => / session-denied /.test(line)).map(textLine);
  assert.equal(told.length, 1);
  const { client: address, kind, subject, what, code, reason } = told[0].fields;
  assert.deepEqual([address, kind, subject, what, code], ['127.0.0.1', 'subscriber', 'x', 'subscribe', 'view-not-found']);
  assert.match(reason, /Secret\/list/);
});

/** One line of text → {time, level, component, event, fields}; throws where docs/logs.md is not kept. */
function textLine(line) {
  const head = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (error|warning|info|debug) (\S+) (\S+)/.exec(line);
  assert.ok(head, `no line of the log: ${line}`);
  const fields = {};
  let rest = line.slice(head[0].length);
  while (rest !== '') {
    const field = /^ ([a-z_]+)=("(?:[^"\\\u0000-\u001f]|\\(?:["\\bfnrt]|u[0-9a-f]{4}))*"|[^\s"=\\]+)/.exec(rest);
    assert.ok(field, `no field: ${rest} in ${line}`);
    assert.ok(!(field[1] in fields), `${field[1]} twice: ${line}`);
    fields[field[1]] = field[2].startsWith('"') ? JSON.parse(field[2]) : field[2];
    rest = rest.slice(field[0].length);
  }
  return { time: head[1], level: head[2], component: head[3], event: head[4], fields };
}

test('every event of the log that the program has is in docs/logs.md, and no other', () => {
  const files = [];
  const walk = (folder) => {
    for (const name of readdirSync(join(ROOT, folder))) {
      const path = `${folder}/${name}`;
      if (statSync(join(ROOT, path)).isDirectory()) walk(path);
      else if (/\.[ch]$/.test(name)) files.push(path);
    }
  };
  walk('src');
  const told = new Set();
  const components = new Set();
  for (const file of files.filter((name) => !name.startsWith('src/base/log'))) {
    const text = read(file);
    for (const call of text.matchAll(/\blog_(error|warning|info|debug)\(\s*"([^"]+)",\s*([^;]*?)[,)]/g)) {
      components.add(call[2]);
      const names = [...call[3].matchAll(/"([^"]+)"/g)].map((match) => match[1]);
      /* What is no name of ours is told in the documents as a whole: names of the environment. */
      for (const name of names.filter((text) => !text.startsWith('ARETE_'))) told.add(`${call[2]} ${name} ${call[1]}`);
    }
  }
  for (const [, name] of read('src/access/audit.h').matchAll(/^ {4}X\([A-Z_]+, "([a-z-]+", [A-Z]+), (?:true|false)\)/gm)) {
    told.add(`audit ${name.replace('",', '').toLowerCase()}`);
  }
  assert.ok(told.size > 30, `only ${told.size} events were found`);
  const known = /static const char \*const components\[\] = \{([^}]*)\}/.exec(read('src/base/log.c'))[1];
  for (const name of components) assert.ok(known.includes(`"${name}"`), `src/base/log.c does not know the component ${name}`);
  const documented = new Set();
  let component = 'audit';
  for (const line of read('docs/logs.md').split('\n')) {
    const heading = /^### `(\w+)`/.exec(line);
    if (heading) component = heading[1];
    const row = /^\| `([a-z-]+)` \| (error|warning|info|debug) \|/.exec(line);
    if (row) documented.add(`${component} ${row[1]} ${row[2]}`);
  }
  assert.deepEqual([...told].sort().filter((name) => !documented.has(name)), [], 'not in docs/logs.md');
  assert.deepEqual([...documented].sort().filter((name) => !told.has(name)), [], 'in docs/logs.md, but nowhere in src');
});

test('no client can forge a line or a field, in either format', async (t) => {
  const evil = 'x" event=forged\n2026-01-01T00:00:00.000Z error audit handshake-accepted subject=root \u001b[2J\u2028\u202e\u0085 \\';
  for (const log_format of ['text', 'json']) {
    const server = await Server.forTest(t, {
      set: { log_format, log_level: 'debug' },
      config: { exports: { E: { views: { top: { pipeline: [{ sort: 'n' }] } } } } },
    });
    const client = await clientFor(t, server, { headers: { Origin: 'http://localhost:1" subject="root', 'User-Agent': 'a"b\\c' } });
    client.subscribe(evil);
    await client.expect('error');
    client.send({ type: evil });
    await client.expect('error');
    await http(`${server.http}/${encodeURIComponent(evil)}`);
    await http(`${server.http}/v1/views/${encodeURIComponent(evil)}`, { headers: { 'X-Forwarded-For': 'x" client="y' } });
    client.destroy();
    await server.terminate();
    const lines = server.stderr.split('\n').slice(0, -1);
    assert.ok(lines.length > 0);
    for (const line of lines) {
      const told = log_format === 'json' ? JSON.parse(line) : textLine(line);
      if (log_format === 'json') assert.deepEqual(Object.keys(told).slice(0, 4), ['time', 'level', 'component', 'event'], line);
      assert.notEqual(told.event, 'forged');
      assert.doesNotMatch(line, /[\u0000-\u001f\u007f-\u009f\u2028\u202e]/, line);
      assert.ok(Buffer.byteLength(line) <= 4095, line);
    }
  }
});

test('levels of components hold, and a wrong one is refused by name', async (t) => {
  const quiet = await Server.forTest(t, { set: { log_level: 'error', log_levels: 'server=info' } });
  await quiet.terminate();
  assert.match(quiet.stderr, / info server stopped\n/);
  const loud = await Server.forTest(t, { set: { log_level: 'debug', log_levels: 'server=error' } });
  await loud.terminate();
  assert.doesNotMatch(loud.stderr, / server /);
  const { code, stderr } = await Server.refused({ db: join(ROOT, 'none.db'), set: { log_levels: 'sever=info' } });
  assert.equal(code, 1);
  assert.match(stderr, /log_levels.*"sever".*server/);
  const shown = await run(['serve', '--db', 'x.db', '--set', 'log_levels=hub=debug', '--check-config']);
  assert.equal(JSON.parse(shown.stdout).log_levels, 'hub=debug');
});
