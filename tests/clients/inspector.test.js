// The inspector in Chromium: each screen against a server under load whose rows are hostile, with and without tokens, by
// keyboard alone, as a screen reader has it, on a phone, in light and dark. Screenshots go to build/inspector. What the
// health port answers beside it is asked by plain HTTP. The browser's part is skipped where no Chromium is installed.

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { Browser, browserProgram } from './lib/browser.js';
import { clientFor } from './lib/client.js';
import { http, post, postAll } from './lib/feed.js';
import { parse } from './lib/prometheus.js';
import { ROOT, Server } from './lib/server.js';
import { bearer } from './lib/token.js';

const skip = browserProgram() ? false : 'no chromium is installed (tools/setup test brings it)';
const PICTURES = join(ROOT, 'build/inspector');
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));

let browser;
before(() => {
  if (skip) return;
  mkdirSync(PICTURES, { recursive: true });
  browser = new Browser(browserProgram());
});
after(() => browser?.close());

// ---- a server with rows that would be markup, code or an address if a page let them ----

const HOSTILE = [
  '<img src=x onerror="hit()">', '<script>hit()</script>', '"><svg onload=hit()>', "'; hit(); '", '${hit()}', '</td></table><b>bold</b>', 'javascript:hit()',
  '\u202egnirts', 'a/b?c#d&e=f%2Fg', '%3Cb%3E', '../../x', ' ', 'x'.repeat(500), '\u{1F30D} ünï', 'nul\\u0000', 'line\nbreak',
];
const EVIL = '<i onmouseover=hit()>evil';
const CONFIG = {
  exports: { Quake: { views: { strongest: { pipeline: [{ filter: { field: 'mag', gte: 5 } }, { sort: { by: 'mag', order: 'desc' } }] } } }, [EVIL]: {}, Empty: {} },
};
const hostile = (i, n = 0) => ({ export: 'Quake', key: HOSTILE[i], patch: { mag: i, place: HOSTILE[(i + n) % HOSTILE.length], n, geo: { [HOSTILE[i]]: HOSTILE[i] }, [HOSTILE[i]]: true } });
const plain = (i) => ({ export: 'Quake', key: `q${String(i).padStart(4, '0')}`, patch: { mag: (i % 90) / 10, place: `place ${i}`, status: i % 2 ? 'reviewed' : 'automatic' } });
const seed = () => [...range(HOSTILE.length, (i) => hostile(i)), ...range(300, plain), { export: EVIL, key: EVIL, patch: { [EVIL]: EVIL } }];

/** Feed until the test ends: hostile rows and plain ones, by a producer with a hostile name. */
function load(t, server, headers = {}) {
  let going = true;
  let n = 0;
  const work = (async () => {
    while (going) {
      n++;
      const mutations = [hostile(n % HOSTILE.length, n), plain(n % 300), { export: 'Quake', key: 'counter', patch: { mag: 9.5, n } }];
      const answer = await http(`${server.http}/v1/mutations`, { method: 'POST', body: `${JSON.stringify({ producer: EVIL, batch: n, mark: EVIL, mutations })}\n`, headers });
      assert.equal(answer.status, 200, answer.text);
      await new Promise((done) => setTimeout(done, 20));
    }
  })();
  const ended = work.catch((error) => {
    if (!/^ECONN/.test(error.code)) throw error; /* the server ended first, with the test */
  });
  t.after(() => {
    going = false;
    return ended;
  });
}

// ---- the page ----

async function open(t, server, path = '/') {
  const tab = await browser.open(t, 'about:blank');
  await tab.look();
  await tab.send('Page.addScriptToEvaluateOnNewDocument', {
    source: `globalThis.hits = 0; globalThis.hit = () => hits++; globalThis.violations = [];
      addEventListener('securitypolicyviolation', (event) => violations.push(event.violatedDirective + ' ' + event.blockedURI));`,
  });
  await tab.navigate(server.healthUrl + path);
  await tab.until('document.querySelector("h1")?.textContent', (text) => text, 'the page has a heading');
  return tab;
}

const go = (tab, hash) => tab.evaluate(`location.hash = ${JSON.stringify(hash)}`);
const text = (tab) => tab.evaluate('document.querySelector("main").innerText');
const shows = (tab, pattern, what) => tab.until('document.querySelector("main").innerText', (it) => pattern.test(it), what ?? `the page shows ${pattern}`);
const picture = async (tab, name) => writeFileSync(join(PICTURES, `${name}.png`), await tab.picture());
const at = (...parts) => `#/${parts.map(encodeURIComponent).join('/')}`;

async function isClean(tab, allowed = () => false) {
  assert.deepEqual(tab.problems, []);
  const entries = tab.entries.filter(({ level }) => level === 'error' || level === 'warning');
  assert.deepEqual(entries.filter(({ text: said }) => !allowed(said)), []);
  assert.deepEqual(await tab.evaluate('({ hits, violations })'), { hits: 0, violations: [] });
  assert.equal(await tab.evaluate('document.querySelectorAll("main :is(img, script, i, iframe, object), main [onclick], main [onerror], main [onload]").length'), 0);
}

// ---- what a person sees and hears ----

const NAMED = ['button', 'link', 'textbox', 'searchbox', 'combobox', 'image', 'region', 'navigation', 'table', 'dialog', 'columnheader', 'rowheader'];

/** Every control, picture and region has a name, as a screen reader has it. */
async function isNamed(tab, what) {
  const { nodes } = await tab.send('Accessibility.getFullAXTree');
  const seen = nodes.filter(({ ignored, role }) => !ignored && NAMED.includes(role?.value));
  assert.ok(seen.length > 5, `${what}: ${seen.length} nodes`);
  const nameless = seen.filter(({ name }) => !name?.value?.trim()).map(({ role }) => role.value);
  assert.deepEqual(nameless, [], what);
  assert.equal(nodes.filter(({ ignored, role, properties }) => !ignored && role?.value === 'heading' && properties?.some(({ name, value }) => name === 'level' && value.value === 1)).length, 1, `${what}: one heading of the first level`);
}

/* WCAG's contrast of each text with what it stands on. */
const CONTRAST = `(() => {
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)).reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let it = element; it; it = it.parentElement) {
      const color = parse(getComputedStyle(it).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const low = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode()); ) {
    const element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility() || element.closest(':disabled, .skip, noscript')) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) low.push([element.tagName, element.className, node.data.slice(0, 30), ratio.toFixed(2)].join(' '));
  }
  return low;
})()`;

// ---- walks ----

const [VIEW, KEY] = ['Quake/list', HOSTILE[0]];
const WALK = [
  ['overview', '#/', /Quake\/strongest[\s\S]*\/s/],
  ['view', at('view', VIEW), /place 299|Rows 1 to 25, and more/],
  ['view-hostile', `${at('view', VIEW)}?where=${encodeURIComponent('n exists')}&sort=mag&order=desc&take=100`, /Rows 1 to 17/],
  ['view-derived', at('view', 'Quake/strongest'), /counter/],
  ['view-evil', at('view', `${EVIL}/list`), /<i onmouseover=hit\(\)>evil/],
  ['view-empty', at('view', 'Empty/list'), /No rows\./],
  ['view-tape', at('view', 'Quake/append'), /25 of the newest events[\s\S]*patch/],
  ['row', at('row', VIEW, KEY), /"geo"[\s\S]*changes, the newest first[\s\S]* → [\s\S]*The view shows it/],
  ['row-out', at('row', 'Quake/strongest', 'q0001'), /no such row[\s\S]*The view does not show it[\s\S]*does not hold/],
  ['clients', '#/clients', /Subscribers\s+3[\s\S]*127\.0\.0\.1[\s\S]*<i onmouseover=hit\(\)>evil\/list +live[\s\S]*Windows: 1[\s\S]*Quake\/strongest/],
  ['producers', '#/producers', /<i onmouseover=hit\(\)>evil/],
  ['storage', '#/storage', /Latencies[\s\S]*p99 lately[\s\S]*values between/],
  ['configuration', '#/config', /max_window_rows[\s\S]*"Quake"/],
];

test('each screen, under load, with rows that would be code', { skip }, async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await postAll(server, seed());
  load(t, server);
  for (const view of ['Quake/list', 'Quake/strongest', `${EVIL}/list`]) await (await clientFor(t, server)).open(view);
  const begun = Date.now(); /* the page looks from its start on */
  const tab = await open(t, server);
  assert.equal(await tab.evaluate('location.pathname'), '/inspector/');
  for (const [name, hash, pattern] of WALK) {
    await tab.look();
    await go(tab, hash);
    await shows(tab, pattern, `${name}: ${pattern}`);
    await picture(tab, name);
    await isNamed(tab, name);
    assert.equal(await tab.evaluate('document.title.length > 0 && document.activeElement.tagName'), 'H1', `${name}: the heading has the focus`);
    for (const scheme of ['light', 'dark']) {
      await tab.look({ width: 360, height: 780, scheme });
      assert.ok((await tab.evaluate('document.documentElement.scrollWidth')) <= 360, `${name}: wider than a phone`);
      assert.deepEqual(await tab.evaluate(CONTRAST), [], `${name} in ${scheme}`);
      await picture(tab, `${name}-phone-${scheme}`);
    }
    await isClean(tab);
  }
  /* Nothing was asked of anybody else, and no more often than the document says. */
  const urls = tab.requests.map(({ url }) => url).filter((url) => !url.startsWith('about:'));
  assert.deepEqual(urls.filter((url) => !url.startsWith(`${server.healthUrl}/`)), []);
  assert.ok(tab.requests.every(({ method }) => method === 'GET'));
  const passed = Date.now() - begun;
  const asked = (part) => urls.filter((url) => url.includes(part)).length;
  /* Two at the start: the screens wait for the first. */
  assert.ok(asked('/status') <= passed / 2000 + 2, `${asked('/status')} looks in ${passed} ms`);
  assert.equal(asked('/metrics') <= asked('/status'), true);
  assert.ok(asked('/v1/views/') <= passed / 1000 + WALK.length, `${asked('/v1/views/')} reads of rows in ${passed} ms`);
});

test('a view is live: rows come, change and go, a page turns, a search and an order hold', { skip }, async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await postAll(server, range(60, plain));
  const tab = await open(t, server, `/inspector/${at('view', VIEW)}?sort=place`);
  const keys = '[...document.querySelectorAll("tbody th")].map((it) => it.textContent)';
  const expected = async (query) => (await http(`${server.healthUrl}/v1/views/Quake/list?${query}`)).json.rows.map(({ key }) => key);
  const byPlace = (skipped) => `take=25&skip=${skipped}&sort=${encodeURIComponent('[{"by":["place"]}]')}`;
  const converges = async (query, what) => {
    const want = JSON.stringify(await expected(query));
    await tab.until(keys, (shown) => JSON.stringify(shown) === want, `${what}: ${want}`);
  };
  await converges(byPlace(0), 'at first');
  await post(server, [{ export: 'Quake', key: 'new', patch: { place: 'a first place' } }, { export: 'Quake', key: 'q0000', op: 'delete' }, { export: 'Quake', key: 'q0001', patch: { place: HOSTILE[0] } }]);
  await converges(byPlace(0), 'after changes');
  await shows(tab, /<img src=x/);
  await tab.evaluate('[...document.querySelectorAll("button")].find((it) => it.textContent === "Next").click()');
  await converges(byPlace(25), 'the second page');
  assert.equal(await tab.evaluate('[...document.querySelectorAll("th[aria-sort]")].map((it) => it.getAttribute("aria-sort")).join()'), 'ascending');
  await go(tab, `${at('view', VIEW)}?where=${encodeURIComponent('mag >= 3 and (status = reviewed or place prefix "place 4")')}`);
  await converges(`take=25&where=${encodeURIComponent('{"all":[{"field":"mag","gte":3},{"any":[{"field":"status","eq":"reviewed"},{"field":"place","prefix":"place 4"}]}]}')}`, 'a search');
  await go(tab, `${at('view', VIEW)}?where=mag+%3E%3E+3`);
  await shows(tab, /The search cannot be read/);
  await go(tab, `${at('view', VIEW)}?where=${encodeURIComponent('{"field":"mag","bigger":5}')}`);
  await tab.until('document.querySelector("[role=alert]").innerText', (said) => /bigger/.test(said), 'the words of the server');
  await go(tab, at('view', 'nothing/here'));
  await shows(tab, /view 'nothing\/here' is not known/);
  /* A pause holds what is shown. */
  await go(tab, at('view', 'Empty/list'));
  await shows(tab, /No rows/);
  await tab.evaluate('[...document.querySelectorAll("button")].find((it) => it.textContent === "Pause").click()');
  await post(server, { export: 'Empty', key: 'k', patch: {} });
  await tab.evaluate('new Promise((done) => setTimeout(done, 3000))'); /* time to do wrong */
  assert.doesNotMatch(await text(tab), /Rows 1/);
  await tab.evaluate('[...document.querySelectorAll("button")].find((it) => it.textContent === "Pause").click()');
  await shows(tab, /Rows 1 to 1/);
  await isClean(tab, (said) => /400|404/.test(said));
});

test('the server goes and comes back', { skip }, async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await postAll(server, range(5, plain));
  const tab = await open(t, server, `/inspector/${at('view', VIEW)}`);
  await shows(tab, /Rows 1 to 5/);
  const state = 'document.getElementById("state").textContent';
  await tab.until(state, (said) => said === 'well', 'the server is well');
  await server.kill9();
  await tab.until(state, (said) => said === 'no answer', 'the page tells that the server is gone');
  await shows(tab, /does not answer/);
  await go(tab, '#/');
  await shows(tab, /Look at its process/);
  await server.restart({ samePort: true });
  await post(server, plain(7));
  await tab.until(state, (said) => said === 'well', 'the server is well again');
  await go(tab, at('view', VIEW));
  await shows(tab, /Rows 1 to 6/);
  assert.deepEqual(tab.problems, []);
});

test('a look without metrics, as while a server starts, is a gap and no fault of the page', { skip }, async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await postAll(server, range(5, plain));
  const tab = await open(t, server);
  await shows(tab, /The server is well/);
  await tab.evaluate(`(() => {
    const own = window.fetch;
    window.looks = 0;
    window.fetch = (path, ...more) => (/metrics$/.test(path) && ++window.looks === 1 ? Promise.reject(new TypeError('nobody')) : own(path, ...more));
  })()`);
  await tab.until('window.looks', (looks) => looks > 3, 'looks behind it');
  await shows(tab, /The server is well/);
  assert.deepEqual(tab.problems, []);
});

test('a fault is named with its remedy', { skip }, async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  const tab = await open(t, server);
  await shows(tab, /The server is well/);
  await post(server, { export: 'Unknown', key: 'k', patch: {} });
  await shows(tab, /1 mutations were ignored[\s\S]*add the export/);
  await isClean(tab);
});

// ---- the keyboard alone ----

const FOCUS = '(() => { const it = document.activeElement; return `${it.tagName} ${it.textContent.trim().slice(0, 40) || it.id}`; })()';

/** Press Tab until this has the focus, which is then seen. */
async function tabTo(tab, pattern, what) {
  for (let i = 0; i < 200; i++) {
    await tab.press('Tab');
    if (pattern.test(await tab.evaluate(FOCUS))) {
      assert.ok(await tab.evaluate('document.activeElement.matches(":focus-visible")'), `${what} shows that it has the focus`);
      return;
    }
  }
  assert.fail(`${what} is not reached by Tab; at the end: ${await tab.evaluate(FOCUS)}`);
}

test('by the keyboard alone: to a view, a search, an order, a page, a row, and back', { skip }, async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await postAll(server, range(80, plain));
  const tab = await open(t, server);
  await shows(tab, /Quake\/list/);
  await tab.press('Tab');
  assert.match(await tab.evaluate(FOCUS), /^BUTTON Skip to the content/);
  await tab.press('Enter');
  await tabTo(tab, /^A Quake\/list$/, 'the view');
  /* What is drawn anew keeps the focus. */
  await post(server, plain(81));
  await tab.until('document.querySelector("main").innerText', (it) => /\b81\b/.test(it), 'another number of rows');
  assert.match(await tab.evaluate(FOCUS), /^A Quake\/list$/);
  await tab.press('Enter');
  await shows(tab, /Rows 1 to 25/);
  assert.match(await tab.evaluate(FOCUS), /^H1 Quake\/list/);
  /* It skips to the content that is shown, and to no other. */
  await tabTo(tab, /^A Overview$/, 'a link of the head');
  for (let i = 0; i < 5 && !/^BUTTON Skip/.test(await tab.evaluate(FOCUS)); i++) await tab.press('Tab', { shift: true });
  await tab.press('Enter');
  assert.equal(await tab.evaluate('document.activeElement.id'), 'main');
  await shows(tab, /Rows 1 to 25/);
  await tabTo(tab, /^INPUT where$/, 'the search');
  await tab.type('status = reviewed');
  await tab.press('Enter');
  await tab.until('document.querySelectorAll("tbody tr").length && [...document.querySelectorAll("tbody tr")].every((line) => line.innerText.includes("reviewed"))', Boolean, 'the search holds');
  await tabTo(tab, /^BUTTON mag$/, 'a column');
  await tab.press('Enter');
  await tab.until('document.querySelector("th[aria-sort]")?.getAttribute("aria-sort")', (it) => it === 'ascending', 'sorted');
  await tabTo(tab, /^BUTTON mag/, 'the column again');
  await tab.press('Enter');
  await tab.until('document.querySelector("th[aria-sort]")?.getAttribute("aria-sort")', (it) => it === 'descending', 'sorted the other way');
  await shows(tab, /Rows 1 to 25/);
  await tabTo(tab, /^BUTTON Next$/, 'the next page');
  await tab.press(' ');
  await shows(tab, /Rows 26 to/);
  await tabTo(tab, /^A q\d+$/, 'a row');
  const key = await tab.evaluate('document.activeElement.textContent');
  await tab.press('Enter');
  await shows(tab, new RegExp(`›? ?${key}[\\s\\S]*"mag"`));
  await tabTo(tab, /^A Quake\/list$/, 'the way back');
  await tab.press('Enter');
  await shows(tab, /Rows 1 to 25/);
  /* The dialog takes the focus, and gives it back. */
  for (let i = 0; i < 40 && !/^BUTTON Token/.test(await tab.evaluate(FOCUS)); i++) await tab.press('Tab', { shift: true });
  await tab.press('Enter');
  assert.equal(await tab.evaluate('document.querySelector("dialog").open && document.activeElement.closest("dialog") !== null'), true);
  await tab.press('Escape');
  assert.equal(await tab.evaluate('document.querySelector("dialog").open'), false);
  assert.match(await tab.evaluate(FOCUS), /^BUTTON Token/);
  await isClean(tab);
});

// ---- tokens ----

const TOKENS = {
  admin: 'an-admin-token-for-the-inspector-1', reader: 'a-reading-token-for-the-inspector-2', blue: 'a-token-of-blue-for-the-inspector-33', feeder: 'a-feeding-token-for-the-inspector-4',
};
const SECURED = {
  exports: { Quake: {}, Color: { scope: 'team' } },
  usage_url: 'http://127.0.0.1:1/usage?key=HIDE-ME',
  auth: {
    mode: 'static',
    tokens: [
      { token: TOKENS.admin, subject: 'admin', scope: 'read write admin' }, { token: TOKENS.reader, subject: 'reader', scope: 'read', views: ['Quake/*'] },
      { token: TOKENS.blue, subject: 'blue', scope: 'read', row_scopes: ['blue'] }, { token: TOKENS.feeder, subject: 'feeder', scope: 'write' },
    ],
  },
};

async function secured(t) {
  const server = await Server.forTest(t, { config: SECURED });
  const rows = [...range(5, plain), { export: 'Color', key: 'red-row', patch: { team: 'red' } }, { export: 'Color', key: 'blue-row', patch: { team: 'blue' } }, { export: 'Color', key: 'public-row', patch: {} }];
  const answer = await http(`${server.http}/v1/mutations`, { method: 'POST', headers: bearer(TOKENS.feeder), body: rows.map((row) => `${JSON.stringify(row)}\n`).join('') });
  assert.equal(answer.status, 200, answer.text);
  return server;
}

test('the health port shows a token what the main port shows it, and nothing more', async (t) => {
  const server = await secured(t);
  const paths = ['/v1/views', '/v1/views/Quake/list', '/v1/history?export=Color&key=red-row', '/v1/explain?view=Color/list&key=red-row', '/v1/explain?view=Quake/list&key=q0001', '/v1/views/Color/list', '/v1/views/Color/list?key=red-row', '/v1/views/Color/append?events=1', '/v1/producers', '/v1/views/Quake/list?take=0', '/v1/nothing'];
  for (const token of [undefined, 'nobody-has-this-token-at-all-55555', ...Object.values(TOKENS)]) {
    const headers = token ? bearer(token) : {};
    for (const path of paths) {
      const [main, health] = [await http(server.http + path, { headers }), await http(server.healthUrl + path, { headers })];
      assert.equal(health.status, main.status, `${path} for ${token}`);
      if (main.status !== 404) assert.equal(health.text, main.text, `${path} for ${token}`);
    }
    const configuration = await http(`${server.healthUrl}/config`, { headers });
    assert.equal(configuration.status, token === TOKENS.admin ? 200 : Object.values(TOKENS).includes(token) ? 403 : 401);
    assert.ok(!Object.values(TOKENS).some((secret) => configuration.text.includes(secret)) && !configuration.text.includes('HIDE-ME'));
  }
  const { json } = await http(`${server.healthUrl}/config`, { headers: bearer(TOKENS.admin) });
  assert.equal(json.usage_url, 'http://127.0.0.1:1/usage?(hidden)');
  assert.deepEqual(json.auth.tokens.map(({ token, subject }) => [token, subject])[0], ['(hidden)', 'admin']);
  /* A reload changes what is in force. */
  await server.reload({ ...SECURED, max_connections: 77 });
  assert.equal((await http(`${server.healthUrl}/config`, { headers: bearer(TOKENS.admin) })).json.max_connections, 77);
});

test('an open server whose health port a network reaches gives no rows there', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG, health: '0.0.0.0:0', args: ['--insecure'] });
  await postAll(server, range(3, plain));
  const local = `http://127.0.0.1:${server.healthPort}`;
  for (const path of ['/v1/views', '/v1/views/Quake/list', '/v1/producers', '/v1/clients', '/v1/windows', '/config']) {
    const answer = await http(local + path);
    assert.equal(answer.status, 403, `${path}: ${answer.text}`);
    assert.match(answer.text, /ask it there, or configure auth/);
  }
  assert.equal((await http(`${local}/status`)).status, 200);
  assert.equal((await http(`${local}/inspector/`)).status, 200);
  if (skip) return;
  const tab = await open(t, { healthUrl: local }, `/inspector/${at('view', VIEW)}`);
  await shows(tab, /ask it there, or configure auth/);
  await go(tab, '#/');
  await shows(tab, /Quake\/list/);
});

const counted = async (server, result) => {
  const answer = await http(`${server.healthUrl}/metrics`, { headers: bearer(TOKENS.admin) });
  return parse(answer.text).get('stele_auth_attempts_total').samples.find(({ labels }) => labels.result === result)?.value ?? 0;
};

async function give(tab, token) {
  await tab.evaluate('document.getElementById("token").click()');
  await tab.evaluate('document.getElementById("ask-token").focus()');
  await tab.type(token);
  await tab.press('Enter');
  await tab.until('document.querySelector("dialog").open', (isOpen) => !isOpen, 'the dialog closes');
}

test('the page asks for a token, sends it as a header, and shows what it opens', { skip }, async (t) => {
  const server = await secured(t);
  const tab = await open(t, server);
  const state = 'document.getElementById("state").textContent';
  await tab.until(state, (said) => said === 'well', 'the state is for everybody');
  await shows(tab, /token is needed/);
  assert.doesNotMatch(await text(tab), /Quake|Color/);
  await picture(tab, 'no-token');
  await isNamed(tab, 'without a token');

  await give(tab, 'nobody-has-this-token-at-all-55555');
  await shows(tab, /token/);
  await tab.evaluate('new Promise((done) => setTimeout(done, 5000))'); /* time to do wrong */
  assert.ok((await counted(server, 'invalid-static-token')) <= 8, 'a wrong token is not tried again and again');

  await give(tab, TOKENS.reader);
  await shows(tab, /Quake\/list/);
  assert.doesNotMatch(await text(tab), /Color/);
  await go(tab, at('view', 'Color/list'));
  await shows(tab, /view 'Color\/list' is not known/);
  await go(tab, at('view', 'Quake/list'));
  await shows(tab, /place 4/);
  for (const [hash, pattern] of [['#/config', /lacks the scope 'admin'/], ['#/producers', /lacks the scope 'write'/], ['#/storage', /need a token with the scope admin/]]) {
    await go(tab, hash);
    await shows(tab, pattern);
  }

  await give(tab, TOKENS.blue);
  await go(tab, at('view', 'Color/list'));
  await shows(tab, /blue-row/);
  assert.match(await text(tab), /public-row/);
  assert.doesNotMatch(await text(tab), /red-row/);
  await go(tab, at('row', 'Color/list', 'red-row'));
  await shows(tab, /no such row/);

  await give(tab, TOKENS.admin);
  await go(tab, '#/config');
  await shows(tab, /max_window_rows/);
  assert.doesNotMatch(await text(tab), /HIDE-ME|-token-/);
  await picture(tab, 'configuration-admin');
  await go(tab, '#/storage');
  await shows(tab, /p99 lately/);

  assert.deepEqual(await tab.evaluate('[sessionStorage.length, localStorage.length, document.cookie]'), [1, 0, '']);
  assert.deepEqual(tab.requests.filter(({ url }) => Object.values(TOKENS).some((token) => url.includes(token))), []);
  await tab.evaluate('document.getElementById("token").click()');
  await tab.evaluate('document.getElementById("ask-forget").click()');
  assert.equal(await tab.evaluate('sessionStorage.length'), 0);
  await go(tab, at('view', 'Quake/list'));
  await shows(tab, /token is needed/);
  await isClean(tab, (said) => /40[0134]/.test(said));
});
