// protocol.md sections 1 and 5: who may come in, and what everybody else is told. Tokens are made by
// Node's crypto. Each row of the error table that a client can meet stands in one of the two tables
// below; a test at the end holds them against docs/protocol.md.

import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { once } from 'node:events';
import test, { after, before } from 'node:test';
import { clientFor } from './lib/client.js';
import { answerTo, checkAnswer, checkFatal, checkFields, documentedErrors, npmClient, npmReport, refusal } from './lib/error_table.js';
import { Ingest, http, tryPost } from './lib/feed.js';
import { Server, scratch, within } from './lib/server.js';
import { Socket } from './lib/socket.js';
import { bearer, forged, newKey, tokenOf, unixNow } from './lib/token.js';

const key = newKey();
const ended = newKey();
const stranger = newKey();
const STATIC = 'static-token-0123456789';
const ADMIN = 'admin-token-0123456789ab';
const issuer = 'https://issuer.example';
const audience = 'stele';
const m = (name, patch, more = {}) => ({ export: 'E', key: name, patch, ...more });

/** A good token for the signed servers below, but for `claims`. */
const good = (claims, by = key, header) => tokenOf(by, { iss: issuer, aud: audience, ...claims }, header);

/* ---- servers, one per configuration, shared by the tests ---- */

const settings = {
  signed: {
    auth: { mode: 'signed', keys: [key.x, { key: ended.x, ends_at: unixNow() - 10 }], issuer, audience, tokens: [{ token: ADMIN, scope: 'admin' }] },
  },
  origins: { auth: { mode: 'signed', keys: [key.x], require_origin: true }, allowed_origins: ['https://app.example', 'https://*.apps.example'] },
  address: { auth: { mode: 'signed', keys: [key.x], require_client_ip: true } },
  static: {
    auth: {
      mode: 'static',
      tokens: [STATIC, { token: ADMIN, scope: 'read write admin' }, { token: 'writer-token-0123456789', scope: 'write' }, { token: 'expired-token-0123456789', expires_at: 1000 }],
    },
  },
  full: { max_connections: 1 },
  rated: { rate_limiting: 'on', rate_handshakes_per_ip: '1/1h' },
  hurried: { rate_limiting: 'on', rate_subscriptions_per_connection: 1, rate_subscriptions_per_connection_burst: 0 },
  subscriptions: { max_subscriptions: 1 },
};
const servers = {};
const folder = scratch();
before(async () => {
  for (const [name, config] of Object.entries(settings)) {
    servers[name] = await Server.start({ db: `${folder}/${name}.db`, config: { exports: { E: {}, F: {} }, ...config }, set: { log_level: 'debug' } });
  }
});
after(async () => {
  for (const server of Object.values(servers)) await server.discard();
});

/* ---- the table: handshakes ---- */

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const unsigned = `${encode({ alg: 'none' })}.${encode({ sub: 'user', exp: unixNow() + 3600, scope: 'read' })}.`;
const byHmac = () => {
  const text = `${encode({ alg: 'HS256', kid: key.kid })}.${encode({ sub: 'user', exp: unixNow() + 3600, scope: 'read', iss: issuer, aud: audience })}`;
  return `${text}.${createHmac('sha256', Buffer.from(key.x, 'base64url')).update(text).digest('base64url')}`;
};
const byOtherCurve = () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const text = `${encode({ alg: 'ES256', kid: key.kid })}.${encode({ sub: 'user', exp: unixNow() + 3600, scope: 'read', iss: issuer, aud: audience })}`;
  return `${text}.${sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
};

/* Claims of a token whose subject may connect once. */
const alone = { sub: 'alone', limits: { max_connections: 1 } };

/**
 * code, on (which server, default signed), what (for the test's name), and one of
 * token: a token or a function that makes one; it is tried in the header, in the query, by the
 *   published client, and with a request for a view;
 * ask: {path, headers} of the handshake;
 * message: what the error must say; retryAfter: true, or seconds; npm: the code that the published
 * client reports, where it is not CONNECTION_ERROR (it cannot see the answer to a handshake).
 */
const handshakes = [
  { code: 'token-missing', what: 'no token', ask: {} },
  { code: 'token-missing', what: 'another scheme', ask: { headers: { Authorization: 'Basic dXNlcjpwYXNz' } } },
  { code: 'token-missing', what: 'a scheme alone', ask: { headers: { Authorization: 'Bearer' } } },
  { code: 'token-missing', what: 'an empty parameter', ask: { path: '/?hs_token=' } },
  { code: 'token-missing', what: 'none where tokens are static', on: 'static', ask: {} },
  { code: 'token-missing-claim', what: 'no exp', token: () => good({ exp: undefined }), message: /exp/ },
  { code: 'token-missing-claim', what: 'no sub', token: () => good({ sub: undefined }), message: /sub/ },
  { code: 'token-missing-claim', what: 'no scope', token: () => good({ scope: undefined }), message: /scope/ },
  { code: 'token-missing-claim', what: 'no address where one is required', on: 'address', token: () => tokenOf(key), message: /client_ip/ },
  { code: 'invalid-static-token', what: 'a static token of nobody', on: 'static', token: 'static-token-0123456780' },
  { code: 'invalid-static-token', what: 'a part of a static token', on: 'static', token: STATIC.slice(0, -1) },
  { code: 'invalid-static-token', what: 'a signed token', on: 'static', token: () => good() },
  { code: 'token-expired', what: 'by a second', token: () => good({ exp: unixNow() - 1 }), npm: 'TOKEN_EXPIRED' },
  { code: 'token-expired', what: 'a static one', on: 'static', token: 'expired-token-0123456789' },
  { code: 'token-invalid-signature', what: 'the signature of another token', token: () => forged(key, { iss: issuer, aud: audience }) },
  { code: 'token-invalid-signature', what: 'the kid of a known key, signed by another', token: () => good({}, { ...stranger, kid: key.kid }) },
  { code: 'token-invalid-issuer', what: 'another issuer', token: () => good({ iss: 'https://elsewhere.example' }) },
  { code: 'token-invalid-audience', what: 'another audience', token: () => good({ aud: 'other' }) },
  { code: 'token-invalid-audience', what: 'several others', token: () => good({ aud: ['a', 'b'] }) },
  { code: 'token-key-not-found', what: 'an unknown kid', token: () => good({}, stranger) },
  { code: 'token-key-not-found', what: 'a key whose time is over', token: () => good({}, ended) },
  { code: 'token-invalid-format', what: 'not a token', token: 'nonsense-nonsense-nonsense' },
  { code: 'token-invalid-format', what: 'alg none', token: unsigned },
  { code: 'token-invalid-format', what: 'HS256 with the public key', token: byHmac },
  { code: 'token-invalid-signature', what: 'another curve than the key of that name has', token: byOtherCurve },
  { code: 'token-invalid-format', what: 'cut short', token: () => good().slice(0, -10) },
  { code: 'token-invalid-format', what: 'a fourth part', token: () => `${good()}.AAAA` },
  { code: 'token-invalid-format', what: 'longer than any may be', token: () => good({ more: 'x'.repeat(8000) }) },
  { code: 'token-invalid-format', what: 'not yet valid', token: () => good({ nbf: unixNow() + 600 }) },
  { code: 'origin-mismatch', what: 'a page that is not allowed', on: 'origins', ask: { headers: { Origin: 'https://evil.example', ...bearer(tokenOf(key, { origin: 'https://evil.example' })) } }, message: /evil/ },
  { code: 'origin-mismatch', what: 'a name that only ends alike', on: 'origins', ask: { headers: { Origin: 'https://evilapps.example', ...bearer(tokenOf(key, { origin: 'https://evilapps.example' })) } } },
  { code: 'origin-mismatch', what: 'another page than the token is bound to', on: 'origins', ask: { headers: { Origin: 'https://app.example', ...bearer(tokenOf(key, { origin: 'https://x.apps.example' })) } } },
  { code: 'origin-mismatch', what: 'another page, where none is required', ask: { headers: { Origin: 'https://b.example', ...bearer(good({ origin: 'https://a.example' })) } } },
  { code: 'origin-mismatch', what: 'another address than the token is bound to', on: 'address', token: () => tokenOf(key, { client_ip: '192.0.2.7' }) },
  { code: 'origin-required', what: 'no page', on: 'origins', token: () => tokenOf(key, { origin: 'https://app.example' }) },
  { code: 'scope-missing', what: 'feeding with a token to read', ask: { path: '/v1/ingest', headers: bearer(good({ scope: 'read' })) }, message: /write/ },
  { code: 'scope-missing', what: 'feeding with a token to administer', on: 'signed', ask: { path: '/v1/ingest', headers: bearer(ADMIN) }, message: /write/ },
  { code: 'connection-limit-exceeded', what: 'all connections', on: 'full', prepare: (t) => clientFor(t, servers.full), ask: {} },
  { code: 'connection-limit-exceeded', what: 'those of the subject, by its token', prepare: (t) => clientFor(t, servers.signed, read({ ...alone })), ask: { headers: bearer(good({ ...alone })) }, message: /subject/ },
  { code: 'rate-limit-exceeded', what: 'handshakes of an address', on: 'rated', prepare: (t) => clientFor(t, servers.rated), ask: {}, retryAfter: true, message: /handshakes/ },
];

/** The handshake's answer for each way to bring the token. */
function waysOf({ ask, token }) {
  if (ask) return [ask];
  return [{ headers: bearer(token) }, { path: `/?hs_token=${token}` }, { path: `/any/path?a=b&token=${token}` }];
}

for (const row of handshakes) {
  test(`handshake: ${row.code}: ${row.what}`, async (t) => {
    const server = servers[row.on ?? 'signed'];
    const token = typeof row.token === 'function' ? row.token() : row.token;
    await row.prepare?.(t);
    for (const ask of waysOf({ ...row, token })) checkAnswer(await refusal(server, ask), row.code, row);
    if (token) {
      checkAnswer(await answerTo(server, '/v1/views', { headers: bearer(token) }), row.code, row);
      checkAnswer(await answerTo(server, `/v1/views/E/list?hs_token=${token}`), row.code, row);
      const posted = await tryPost(server, m('a', {}), bearer(token));
      checkAnswer({ ...posted, body: posted.text }, row.code, row);
    }
    if (!row.ask?.path) {
      const options = token ? { auth: { token } } : { headers: row.ask.headers };
      const report = await npmReport(t, server, options);
      assert.equal(report.code, row.npm ?? 'CONNECTION_ERROR', JSON.stringify(report));
      assert.match(report.states.at(-1), /^error: /);
    }
    if (token) assert.ok(!server.stderr.includes(token), 'the token is in the log');
  });
}

/* ---- the table: in a session ---- */

const read = (claims) => ({ headers: bearer(good(claims)) });

/** code, what, and how it comes about: `cause` gets a connected client of `on` with `options`. Where
 * the connection ends, `fatal`. `npm` is what the published client reports, given by `npmCause`. */
const sessions = [
  { code: 'token-expired', what: 'the time is over', options: () => read({ exp: unixNow() + 2 }), fatal: true, cause: () => {} },
  { code: 'scope-missing', what: 'to subscribe with a token to feed', options: () => read({ scope: 'write' }), cause: (client) => client.subscribe('E/list'), view: 'E/list', npm: 'INTERNAL_ERROR', message: /read/, audited: true },
  { code: 'view-not-found', what: 'outside of the token\'s views', options: () => read({ views: ['F/*'] }), cause: (client) => client.subscribe('E/list'), view: 'E/list', npm: 'INTERNAL_ERROR', audited: true },
  { code: 'view-not-found', what: 'no such view', options: () => read({}), cause: (client) => client.subscribe('E/none'), view: 'E/none', npm: 'INTERNAL_ERROR' },
  { code: 'invalid-message', what: 'not JSON', options: () => read({}), cause: (client) => client.send('{') },
  { code: 'invalid-parameter', what: 'no key for a state', options: () => read({}), cause: (client) => client.subscribe('E/state'), view: 'E/state', npm: 'INTERNAL_ERROR' },
  { code: 'subscription-limit-exceeded', what: 'one more than may be', on: 'subscriptions', options: () => ({}), cause: async (client) => { await client.open('E/list'); client.subscribe('F/list'); }, first: 'E/list', view: 'F/list', npm: 'SUBSCRIPTION_LIMIT_EXCEEDED' },
  { code: 'subscription-limit-exceeded', what: 'one more than the token says', options: () => read({ limits: { max_subscriptions: 1 } }), cause: async (client) => { await client.open('E/list'); client.subscribe('F/list'); }, first: 'E/list', view: 'F/list', npm: 'SUBSCRIPTION_LIMIT_EXCEEDED' },
  { code: 'rate-limit-exceeded', what: 'subscribing too often', on: 'hurried', options: () => ({}), cause: async (client) => { await client.open('E/list'); client.subscribe('F/list'); }, first: 'E/list', view: 'F/list', npm: 'RATE_LIMIT_EXCEEDED', message: /subscribe messages/ },
  { code: 'rate-limit-exceeded', what: 'more messages than the token says', options: () => read({ limits: { max_messages_per_minute: 1 } }), fatal: true, cause: (client) => { client.send({ type: 'ping' }); client.send({ type: 'ping' }); }, view: 'F/list', first: 'E/list', npm: 'RATE_LIMIT_EXCEEDED' },
  { code: 'snapshot-limit-exceeded', what: 'more rows than the token says', options: () => read({ limits: { max_snapshot_rows: 0 } }), cause: async (client) => { await post2(servers.signed, m('row', { n: 1 })); client.subscribe('E/list'); await client.expect('subscribed'); }, view: 'E/list', npm: 'SNAPSHOT_LIMIT_EXCEEDED' },
  { code: 'egress-limit-exceeded', what: 'more bytes than the token says', options: () => read({ limits: { max_bytes_per_minute: 50 } }), fatal: true, cause: (client) => client.subscribe('E/list'), view: 'E/list', npm: 'EGRESS_LIMIT_EXCEEDED' },
];

for (const row of sessions) {
  test(`session: ${row.code}: ${row.what}`, async (t) => {
    const server = servers[row.on ?? 'signed'];
    const options = row.options();
    const client = await clientFor(t, server, options);
    await row.cause(client);
    if (row.fatal) {
      await checkFatal(client, row.code, row);
    } else {
      const error = await client.expect('error');
      checkFields(error, row.code, row);
      assert.equal(error.fatal, false);
      await client.silence(); /* the connection lives on */
    }
    if (row.audited) await server.logged(new RegExp(`audit session-denied .*what=subscribe code=${row.code} `));
    if (!row.view) return;
    const npm = npmClient(t, server, options);
    await npm.manager.connect();
    if (row.first) npm.manager.subscribe({ view: row.first });
    npm.manager.subscribe({ view: row.view });
    await npm.until(({ issues }) => issues.length, 'an issue');
    assert.equal(npm.issues[0].error, row.code);
    assert.equal(npm.issues[0].code, row.npm);
    assert.equal(npm.issues[0].fatal, row.fatal ?? false);
    if (row.fatal) await npm.until(({ states }) => states.at(-1).startsWith(`error: Rate limit exceeded: ${row.code}: `), 'its end');
    else assert.equal(npm.states.at(-1), 'connected');
  });
}

test('each row of the error table is in a table here, or is tested where it belongs', () => {
  const elsewhere = {
    'internal-error': 'a fault of the server; wire_problem_test.c has its form',
    'out-of-memory': 'delivery_fault_test.c',
    'not-found': 'server_http_test.c',
    'method-not-allowed': 'server_http_test.c',
    'too-large': 'server_http_test.c',
    'length-required': 'server_http_test.c',
    'target-too-long': 'net_head_test.c',
    'head-too-large': 'net_head_test.c',
    'expectation-failed': 'server_http_test.c',
    'upgrade-required': 'strangers.test.js',
    'not-implemented': 'server_http_test.c',
    'version-not-supported': 'server_http_test.c',
    'host-not-allowed': 'strangers.test.js',
    'too-slow': 'incoming.test.js',
    'unsupported-encoding': 'server_http_test.c',
    'queue-full': 'feed.test.js',
    'out-of-order': 'feed.test.js',
    'producer-taken': 'producers.test.js',
    'producer-limit-exceeded': 'producers.test.js',
    'idempotency-key-reused': 'producers.test.js',
    'unknown-export': 'producers.test.js',
    'history-trimmed': 'as_of.test.js',
    'log-gap': 'changes.test.js',
    'log-replaced': 'changes.test.js',
    'shutting-down': 'shutdown.test.js',
    'client-ended': 'clients.test.js',
    'node-behind': 'node_behind.test.js',
    'log-unavailable': 'log_writes.test.js',
    'log-forbidden': 'log_writes.test.js',
    'replica-read-only': 'replica.test.js',
    'disk-full': 'crash.test.js',
    'disk-failed': 'crash.test.js',
    'database-gone': 'file.test.js',
    'database-damaged': 'file.test.js',
    'database-unusable': 'disk.test.js',
    'file-limit-reached': 'disk.test.js',
    'wal-limit-exceeded': 'wal.test.js',
    'outcome-unknown': 'crash.test.js',
    'database-in-use': 'operations.test.js',
  };
  const here = new Set([...handshakes, ...sessions].map(({ code }) => code));
  for (const code of documentedErrors().keys()) assert.ok(here.has(code) || code in elsewhere, `${code} is tested nowhere`);
  for (const code of here) assert.ok(documentedErrors().has(code), `${code} is not in docs/protocol.md`);
});

/* ---- who comes in ---- */

test('a good token is taken in the header and in the query, by own and published clients', async (t) => {
  const server = servers.signed;
  for (const options of [read({}), { path: `/?hs_token=${good()}` }, { path: `/x?a=1&hs_token=${good()}` }, { headers: { authorization: `bearer   ${good()} ` } }]) {
    const client = await clientFor(t, server, options);
    await client.open('E/list');
  }
  for (const claims of [{ aud: ['x', audience] }, { exp: unixNow() + 3650 * 86400 }, { exp: unixNow() + 90 }, { views: ['*'] }]) await (await clientFor(t, server, read(claims))).open('E/list');
  for (const auth of [{ token: good() }, { token: good(), tokenTransport: 'bearer' }]) {
    const npm = npmClient(t, server, { auth });
    await npm.manager.connect();
    npm.manager.subscribe({ view: 'E/list' });
    await npm.until(({ frames }) => frames.some((frame) => frame.op === 'snapshot'), 'a snapshot');
    assert.deepEqual(npm.issues, []);
  }
});

test('static tokens work in the header and in the query, also beside signed ones', async (t) => {
  for (const options of [{ headers: bearer(STATIC) }, { path: `/?token=${STATIC}` }]) {
    await (await clientFor(t, servers.static, options)).open('E/list');
  }
  const client = await clientFor(t, servers.signed, { headers: bearer(ADMIN) });
  client.subscribe('E/list');
  checkFields(await client.expect('error'), 'scope-missing', { message: /read/ });
});

test('origins: a page of the list with a token bound to it comes in', async (t) => {
  for (const origin of ['https://app.example', 'https://x.apps.example', 'https://a.b.apps.example']) {
    const client = await clientFor(t, servers.origins, { headers: { Origin: origin, ...bearer(tokenOf(key, { origin })) } });
    await client.open('E/list');
  }
  /* Where it is not required, who names no page is let in with a bound token, too. */
  await (await clientFor(t, servers.signed, read({ origin: 'https://a.example' }))).open('E/list');
  await (await clientFor(t, servers.signed, { headers: { Origin: 'https://a.example', ...bearer(good({ origin: 'https://a.example' })) } })).open('E/list');
  await (await clientFor(t, servers.address, { headers: bearer(tokenOf(key, { client_ip: '127.0.0.1' })) })).open('E/list');
});

test('allowed_origins holds without authentication, for pages only', async (t) => {
  const server = await Server.forTest(t, { config: { allowed_origins: ['http://localhost:3000'] } });
  await (await clientFor(t, server)).close();
  await (await clientFor(t, server, { headers: { Origin: 'http://localhost:3000' } })).close();
  checkAnswer(await refusal(server, { headers: { Origin: 'http://localhost:3001' } }), 'origin-mismatch');
  checkAnswer(await answerTo(server, '/v1/views', { headers: { Origin: 'null' } }), 'origin-mismatch');
  const posted = await tryPost(server, m('a', {}), { Origin: 'http://evil.example' });
  checkAnswer({ ...posted, body: posted.text }, 'origin-mismatch');
});

test('pages of the list may read answers by HTTP, refusals too; others may not', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} }, auth: { mode: 'static', tokens: [{ token: STATIC, scope: 'read' }] }, allowed_origins: ['https://app.example'] } });
  const Origin = 'https://app.example';
  const allowed = ({ headers }) => headers['access-control-allow-origin'];
  const asked = await http(`${server.http}/v1/views/E/list`, { method: 'OPTIONS', headers: { Origin, 'Access-Control-Request-Method': 'GET', 'Access-Control-Request-Headers': 'authorization' } });
  assert.deepEqual([asked.status, allowed(asked), asked.text], [204, Origin, '']);
  assert.match(asked.headers['access-control-allow-headers'], /Authorization/);
  assert.match(asked.headers['access-control-allow-headers'], /traceparent, tracestate, baggage/);
  assert.match(asked.headers['access-control-allow-methods'], /GET/);
  for (const path of ['/v1/views', '/v1/views/E/list']) {
    const read = await http(server.http + path, { headers: { Origin, ...bearer(STATIC) } });
    assert.deepEqual([read.status, allowed(read)], [200, Origin]);
    assert.equal(read.headers.vary, 'Accept-Encoding, Authorization, Origin');
    assert.equal(read.headers['cache-control'], 'private, no-cache');
    assert.match(read.headers['access-control-expose-headers'], /ETag.*X-Error-Code/);
  }
  for (const [path, headers] of [['/v1/views', {}], ['/v1/views/E/none', bearer(STATIC)], ['/nothing', bearer(STATIC)]]) {
    const refused = await http(server.http + path, { headers: { Origin, ...headers } });
    assert.ok(refused.status >= 400);
    assert.equal(allowed(refused), Origin, path);
  }
  const posted = await tryPost(server, m('a', {}), { Origin, ...bearer(STATIC) });
  assert.deepEqual([posted.status, allowed(posted)], [403, Origin]);
  for (const other of ['https://evil.example', 'null', `${Origin}:444`]) {
    for (const method of ['OPTIONS', 'GET']) {
      const answer = await http(`${server.http}/v1/views`, { method, headers: { Origin: other, ...bearer(STATIC) } });
      assert.equal(allowed(answer), undefined, other);
      assert.match(answer.headers.vary, /Origin/);
    }
  }
  /* Without a list any page may connect with a token, but none may read answers. */
  for (const [path, headers] of [['/v1/views', bearer(good({ scope: 'read' }))], ['/v1/views', {}], ['/v1/views/E/list/live', {}]]) {
    const unlisted = await http(servers.signed.http + path, { headers: { Origin: 'https://evil.example', ...headers } });
    assert.deepEqual([allowed(unlisted), unlisted.headers['access-control-expose-headers']], [undefined, undefined], path);
  }
  assert.equal(allowed(await http(`${servers.signed.healthUrl}/status`, { headers: { Origin: 'https://evil.example' } })), undefined);
  /* Without authentication pages of this machine may, and others are refused. */
  for (const [page, status] of [['http://localhost:3000', 200], ['http://127.0.0.1:5173', 200], ['https://evil.example', 403], ['null', 403]]) {
    const open = await http(`${servers.full.http}/v1/views`, { headers: { Origin: page } });
    assert.deepEqual([open.status, allowed(open)], [status, status === 200 ? page : undefined], page);
    if (status === 200) assert.equal(open.headers.vary, 'Accept-Encoding, Origin');
  }
});

/* ---- scopes ---- */

test('each route asks for its scope', async () => {
  const server = servers.signed;
  const routes = {
    'GET /v1/views': ['read', (headers) => answerTo(server, '/v1/views', { headers })],
    'GET /v1/views/E/list': ['read', (headers) => answerTo(server, '/v1/views/E/list', { headers })],
    'POST /v1/mutations': ['write', async (headers) => { const { status, headers: h, text } = await tryPost(server, m('a', { n: 1 }), headers); return { status, headers: h, body: text }; }],
    'GET /metrics': ['admin', (headers) => answerTo({ http: server.healthUrl }, '/metrics', { headers })],
  };
  for (const [name, [scope, ask]] of Object.entries(routes)) {
    checkAnswer(await ask({}), 'token-missing');
    for (const has of ['read', 'write', 'admin']) {
      const answer = await ask(bearer(good({ scope: has })));
      if (has === scope) assert.equal(answer.status, 200, `${name} with ${has}: ${answer.body}`);
      else checkAnswer(answer, 'scope-missing', { message: new RegExp(scope) });
    }
    assert.equal((await ask(bearer(good({ scope: 'read write admin' })))).status, 200, name);
  }
  const ingest = await Ingest.open(`${server.ws}/v1/ingest`, { headers: bearer(good({ scope: 'write' })) });
  assert.equal((await ingest.send({ mutations: [m('b', { n: 1 })] })).applied, 1);
  ingest.socket.destroy();
});

test('health and readiness are open to all, status is short for those who are not admin', async () => {
  for (const server of [servers.signed, servers.static]) {
    for (const path of ['/health', '/healthz', '/ready', '/readiness', '/ready/write']) assert.equal((await server.get(path)).status, 200, path);
    const short = await http(`${server.healthUrl}/status`);
    assert.deepEqual([short.status, Object.keys(short.json)], [200, ['healthy', 'status', 'error_count']]);
    const whole = await http(`${server.healthUrl}/status`, { headers: bearer(ADMIN) });
    assert.ok(whole.json.views.length >= 6 && whole.json.version, whole.text);
    assert.equal((await http(`${server.healthUrl}/status?token=${ADMIN}`)).json.views.length, whole.json.views.length);
    const wrong = await http(`${server.healthUrl}/status`, { headers: bearer('wrong-token-wrong-token') });
    assert.equal(wrong.status, server === servers.static ? 401 : 400);
  }
  const reader = await http(`${servers.signed.healthUrl}/status`, { headers: bearer(good({ scope: 'read' })) });
  assert.deepEqual(Object.keys(reader.json), ['healthy', 'status', 'error_count']);
});

test('status and metrics may be opened to all', async (t) => {
  const server = await Server.forTest(t, { config: { auth: { mode: 'static', tokens: [STATIC], status: 'all', metrics: 'all' } } });
  assert.ok((await server.status()).version);
  assert.match((await server.get('/metrics')).text, /stele_connections_total/);
});

test('a token limited to views sees these only, wherever it asks', async (t) => {
  const server = servers.signed;
  const headers = bearer(good({ views: ['F/*', 'E/state'] }));
  const list = await http(`${server.http}/v1/views`, { headers });
  assert.deepEqual(list.json.views.map(({ id }) => id).sort(), ['E/state', 'F/append', 'F/list', 'F/state']);
  assert.equal((await http(`${server.http}/v1/views/F/list`, { headers })).status, 200);
  checkAnswer(await answerTo(server, '/v1/views/E/list', { headers }), 'view-not-found');
  checkAnswer(await answerTo(server, '/v1/views/E/nothing', { headers }), 'view-not-found');
  const hidden = JSON.parse((await answerTo(server, '/v1/views/E/list', { headers })).body);
  const absent = JSON.parse((await answerTo(server, '/v1/views/E/lisp', { headers })).body);
  assert.equal(hidden.message.replace('E/list', 'E/lisp'), absent.message); /* nobody can tell which */
  const client = await clientFor(t, server, { headers });
  await client.open('F/list');
  client.subscribe('E/append');
  checkFields(await client.expect('error'), 'view-not-found');
});

/* ---- refresh ---- */

/** The answer to refresh_auth. */
async function refresh(client, token) {
  client.send({ type: 'refresh_auth', token });
  return client.next('the answer to refresh_auth');
}

test('refresh_auth answers with the codes of the protocol, and a refused one changes nothing', async (t) => {
  const client = await clientFor(t, servers.signed, read({}));
  await client.open('E/list');
  const refused = [
    ['token-expired', good({ exp: unixNow() - 1 })],
    ['token-invalid-signature', forged(key, { iss: issuer, aud: audience })],
    ['token-invalid-issuer', good({ iss: 'other' })],
    ['token-invalid-audience', good({ aud: 'other' })],
    ['token-invalid', 'nonsense'],
    ['token-invalid', ''],
    ['token-invalid', good({}, stranger)],
    ['token-invalid', good({ sub: 'somebody else' })],
    ['token-invalid', good({ exp: undefined })],
    ['token-invalid', ADMIN],
  ];
  for (const [error, token] of refused) assert.deepEqual(await refresh(client, token), { success: false, error });
  await post2(servers.signed, m('refreshed', { n: 1 }));
  await client.until((frame) => frame.key === 'refreshed', 'a live frame');
});

const post2 = async (server, feed) => {
  const answer = await tryPost(server, feed, bearer(good({ scope: 'write' })));
  assert.equal(answer.status, 200, answer.text);
};

test('a fresh token moves the end of the connection, and may allow more or less', async (t) => {
  const first = unixNow() + 3;
  const client = await clientFor(t, servers.signed, read({ exp: first, views: ['E/*'] }));
  await client.open('E/list');
  client.subscribe('F/list');
  checkFields(await client.expect('error'), 'view-not-found');
  const exp = first + 4;
  assert.deepEqual(await refresh(client, good({ exp })), { success: true, expiresAt: exp });
  await client.open('F/list');
  assert.deepEqual(await refresh(client, good({ exp, views: ['F/*'] })), { success: true, expiresAt: exp });
  const gone = await client.expect('error');
  checkFields(gone, 'view-not-found', { message: /E\/list/ });
  await post2(servers.signed, [m('x', { n: 1 }), { export: 'F', key: 'x', patch: {} }]);
  assert.equal((await client.until((frame) => frame.key === 'x', 'a live frame')).at(-1).entity, 'F/list');
  /* It outlives the first token, and ends with the last one. */
  await checkFatal(client, 'token-expired');
  assert.ok(unixNow() >= exp, 'it ended too early');
});

test('the origin is not asked again, the subject is', async (t) => {
  const origin = 'https://app.example';
  const client = await clientFor(t, servers.origins, { headers: { Origin: origin, ...bearer(tokenOf(key, { origin })) } });
  const exp = unixNow() + 100;
  assert.deepEqual(await refresh(client, tokenOf(key, { origin: 'https://x.apps.example', exp })), { success: true, expiresAt: exp });
  assert.deepEqual(await refresh(client, tokenOf(key, { origin, exp, sub: 'other' })), { success: false, error: 'token-invalid' });
});

test('without authentication there is nothing to refresh', async (t) => {
  const client = await clientFor(t, servers.subscriptions);
  assert.deepEqual(await refresh(client, good()), { success: false, error: 'token-invalid' });
});

test('a static token may be sent again', async (t) => {
  const client = await clientFor(t, servers.static, { headers: bearer(STATIC) });
  assert.deepEqual(await refresh(client, STATIC), { success: true });
  assert.deepEqual(await refresh(client, ADMIN), { success: false, error: 'token-invalid' });
});

test('a producer refreshes in band, too', async (t) => {
  const exp = unixNow() + 3;
  const ingest = await Ingest.open(`${servers.signed.ws}/v1/ingest`, { headers: bearer(good({ exp })) });
  t.after(() => ingest.socket.destroy());
  const told = async (message) => {
    const before = ingest.others.length;
    ingest.socket.send(JSON.stringify(message));
    while (ingest.others.length === before) await within(once(ingest.socket, 'other'), 'an answer');
    return ingest.others[before];
  };
  assert.deepEqual(await told({ type: 'refresh_auth', token: good({ sub: 'other' }) }), { success: false, error: 'token-invalid' });
  assert.deepEqual(await told({ token: good({ exp: exp + 100 }), type: 'refresh_auth' }), { success: true, expiresAt: exp + 100 });
  /* The word alone makes no refresh. */
  assert.equal((await ingest.send({ mutations: [m('r', { type: 'refresh_auth', s: '"refresh_auth"' })] })).applied, 1);
  while (unixNow() <= exp) await new Promise((done) => setTimeout(done, 100));
  assert.equal((await ingest.send({ mutations: [m('r', { n: 2 })] })).applied, 1);
  assert.deepEqual(await told({ type: 'refresh_auth', token: good({ scope: 'read', exp: exp + 200 }) }), { success: true, expiresAt: exp + 200 });
  const end = await ingest.closed;
  assert.equal(end.code, 1008);
  assert.match(end.reason, /^scope-missing: /);
});

test('the published client refreshes in band, and stays connected', async (t) => {
  const server = servers.signed;
  const tokens = [good({ exp: unixNow() + 62 }), good({ exp: unixNow() + 500 })]; /* it refreshes 60 s before */
  const npm = npmClient(t, server, { auth: { getToken: async () => tokens.shift() ?? good() } });
  await npm.manager.connect();
  npm.manager.subscribe({ view: 'E/list' });
  await npm.until(() => tokens.length === 0, 'a second token');
  await post2(server, m('npm', { n: 1 }));
  await npm.until(({ frames }) => frames.some((frame) => frame.key === 'npm'), 'a live frame');
  assert.deepEqual(npm.states, ['connecting', 'connected']);
  assert.deepEqual(npm.issues, []);
});

/* ---- running out ---- */

test('an expired token ends feeding, and what was taken in is acknowledged', async () => {
  const ingest = await Ingest.open(`${servers.signed.ws}/v1/ingest`, { headers: bearer(good({ exp: unixNow() + 2 })) });
  assert.equal((await ingest.send({ mutations: [m('f', { n: 1 })] })).applied, 1);
  const end = await ingest.closed;
  assert.equal(end.code, 1008);
  assert.match(end.reason, /^token-expired: /);
  assert.equal(ingest.others[0].nack, null);
  checkFields(ingest.others[0].error, 'token-expired');
});

test('the published client is told of the end, and comes back with a fresh token', async (t) => {
  const server = servers.signed;
  /* It takes a token without three parts' exp for one that never ends, so it does not refresh before. */
  const exp = unixNow() + 3;
  let asked = 0;
  const npm = npmClient(t, server, {
    maxReconnectAttempts: 5, auth: { getToken: async () => (asked++ ? { token: good() } : { token: good({ exp }), expiresAt: exp + 100000 }) },
  });
  await npm.manager.connect();
  npm.manager.subscribe({ view: 'E/list' });
  await npm.until(({ states }) => states.filter((state) => state === 'connected').length === 2, 'a second connection');
  assert.equal(npm.issues[0].code, 'TOKEN_EXPIRED');
  assert.deepEqual([npm.issues[0].fatal, npm.issues[0].retryable], [true, true]);
  assert.equal(asked, 2);
  await post2(server, m('back', { n: 1 }));
  await npm.until(({ frames }) => frames.some((frame) => frame.key === 'back'), 'a live frame');
});

test('many connections end each at its time, and one without an end stays', async (t) => {
  const server = servers.signed;
  const stays = await clientFor(t, server, read({ exp: unixNow() + 3650 * 86400 }));
  const ends = [];
  for (let i = 0; i < 120; i++) {
    /* From now on, each: however long the others took to come in. */
    const exp = unixNow() + 3 + ((i * 7) % 4);
    const client = await clientFor(t, server, read({ exp }));
    ends.push(client.closed.then((end) => ({ end, exp, at: Date.now() / 1000 })));
  }
  for (const { end, exp, at } of await Promise.all(ends)) {
    assert.equal(end.code, 1008);
    assert.match(end.reason, /^token-expired: /);
    assert.ok(at >= exp, `${at} is before ${exp}`);
  }
  await stays.open('E/list');
});

test('a client that had not read its rows yet is told of the end instead', async (t) => {
  const server = servers.static;
  const token = 'writer-token-0123456789';
  const rows = 3000;
  for (let at = 0; at < rows; at += 300) {
    const part = Array.from({ length: 300 }, (_, i) => m(`k${at + i}`, { text: randomBytes(3000).toString('hex') }));
    assert.equal((await tryPost(server, part, bearer(token))).status, 200);
  }
  const config = { auth: { mode: 'signed', keys: [key.x] } };
  await server.terminate();
  const copy = await Server.forTest(t, { db: server.db, config });
  const client = await clientFor(t, copy, { headers: bearer(tokenOf(key, { exp: unixNow() + 3 })) });
  client.subscribe('E/list');
  await client.expect('subscribed');
  client.socket.tcp.pause();
  await copy.logged(/session-ended/);
  client.socket.tcp.resume();
  const end = await client.closed;
  assert.deepEqual([end.code, end.clean], [1008, true]);
  const messages = client.messages.map(({ json }) => json);
  checkFields(messages.at(-1), 'token-expired');
  const seen = messages.filter(({ op }) => op === 'snapshot').reduce((sum, { data }) => sum + data.length, 0);
  assert.ok(seen < rows, 'all rows were sent');
  await copy.terminate();
  await server.restart();
});

test('nothing of a token is ever logged or printed', async (t) => {
  const token = good({ secret: 'never to be seen' });
  const server = servers.signed;
  await (await clientFor(t, server, { path: `/?hs_token=${token}` })).close();
  await http(`${server.http}/v1/views?hs_token=${token}&x=1`);
  await http(`${server.http}/nothing?hs_token=${token}`);
  await refusal(server, { path: `/?hs_token=${token}x` });
  const socket = await Socket.open(`${server.ws}/?hs_token=${token}`).catch(() => null);
  socket?.destroy();
  for (const { stderr, stdout } of Object.values(servers)) {
    for (const part of [...token.split('.'), STATIC.slice(8), ADMIN.slice(8)]) assert.ok(!stderr.includes(part) && !stdout.includes(part), part);
  }
});
