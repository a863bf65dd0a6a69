// Keys that are published at a URL: an endpoint that is late, hangs, fails, answers nonsense or
// rotates its keys. Known keys go on working, and the server answers others all the while.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import test from 'node:test';
import { clientFor } from './lib/client.js';
import { checkAnswer, checkFatal, checkFields, refusal } from './lib/error_table.js';
import { Ingest, http } from './lib/feed.js';
import { Server, patience, scratch } from './lib/server.js';
import { bearer, jwks, newKey, tokenOf } from './lib/token.js';
import { writeFileSync } from 'node:fs';

/** An issuer: {url, asked (times), answer (what it does with a request), keys}. */
async function issuerFor(t, keys, port = 0) {
  const issuer = { keys, asked: 0, open: [], answer: (response) => response.end(jwks(...issuer.keys)) };
  issuer.server = createServer((request, response) => {
    issuer.asked++;
    issuer.open.push(response);
    issuer.answer(response);
  });
  await new Promise((done) => issuer.server.listen(port, '127.0.0.1', done));
  issuer.port = issuer.server.address().port;
  issuer.url = `http://127.0.0.1:${issuer.port}/.well-known/jwks.json?secret=in-the-query`;
  issuer.close = () => {
    issuer.server.closeAllConnections();
    return new Promise((done) => issuer.server.close(done));
  };
  t.after(() => issuer.close());
  return issuer;
}

const serverFor = (t, url, more = {}) =>
  Server.forTest(t, { config: { exports: { E: {} }, auth: { mode: 'signed', jwks_url: url, jwks_refetch_seconds: 1, ...more } } });

/** Until a token of this key is let in; in between it is refused for its key only. */
async function accepted(t, server, key) {
  const until = Date.now() + patience(20_000);
  const headers = bearer(tokenOf(key));
  for (;;) {
    const answer = await http(`${server.http}/v1/views`, { headers });
    if (answer.status === 200) break;
    assert.equal(answer.headers['x-error-code'], 'token-key-not-found', answer.text);
    assert.ok(Date.now() < until, 'the key did not come');
    await new Promise((done) => setTimeout(done, 50));
  }
  return clientFor(t, server, { headers });
}

/** Until a token of this key is refused. */
async function refused(server, key) {
  const until = Date.now() + patience(20_000);
  for (;;) {
    const answer = await http(`${server.http}/v1/views`, { headers: bearer(tokenOf(key)) });
    if (answer.status === 401) {
      assert.equal(answer.headers['x-error-code'], 'token-key-not-found', answer.text);
      return;
    }
    assert.equal(answer.status, 200, answer.text);
    assert.ok(Date.now() < until, 'the key still holds');
    await new Promise((done) => setTimeout(done, 50));
  }
}

const unknown = async (server, key, expected) =>
  checkAnswer(await refusal(server, { headers: bearer(tokenOf(key)) }), 'token-key-not-found', expected);

/** Asks for health over and over while `work` goes on; the longest answer in ms. */
async function longestPause(server, work) {
  let busy = true;
  let longest = 0;
  const watch = (async () => {
    while (busy) {
      const start = performance.now();
      await http(`${server.healthUrl}/health`);
      longest = Math.max(longest, performance.now() - start);
      await new Promise((done) => setTimeout(done, 5));
    }
  })();
  await work();
  busy = false;
  await watch;
  return longest;
}

test('keys are fetched at the start and kept', async (t) => {
  const key = newKey();
  const issuer = await issuerFor(t, [key]);
  const server = await serverFor(t, issuer.url);
  const client = await accepted(t, server, key);
  await client.open('E/list');
  await server.logged(/keys-changed.*keys=1/);
  const asked = issuer.asked;
  for (let i = 0; i < 20; i++) assert.equal((await http(`${server.http}/v1/views`, { headers: bearer(tokenOf(key)) })).status, 200);
  assert.equal(issuer.asked, asked);
  assert.ok(!server.stderr.includes('in-the-query'), 'the query of the URL is in the log');
});

test('an unknown key is asked for once per interval, however many tokens name one', async (t) => {
  const key = newKey();
  const issuer = await issuerFor(t, [key]);
  const server = await serverFor(t, issuer.url, { jwks_refetch_seconds: 3600 });
  await accepted(t, server, key);
  const asked = issuer.asked;
  for (let i = 0; i < 30; i++) await unknown(server, newKey());
  assert.equal(issuer.asked, asked); /* the fetch at the start was less than an hour ago */
});

test('rotation: a new key is found by its first token, and an old one goes', async (t) => {
  const [first, second] = [newKey(), newKey()];
  const issuer = await issuerFor(t, [first]);
  const server = await serverFor(t, issuer.url);
  const old = await accepted(t, server, first);
  issuer.keys = [first, second];
  await accepted(t, server, second);
  issuer.keys = [second];
  await accepted(t, server, second);
  const until = Date.now() + patience(20_000);
  for (;;) { /* the first key is forgotten when the URL is asked again, for the sake of another one */
    await http(`${server.http}/v1/views`, { headers: bearer(tokenOf(newKey())) });
    const answer = await http(`${server.http}/v1/views`, { headers: bearer(tokenOf(first)) });
    if (answer.status === 401) break;
    assert.ok(Date.now() < until, 'the old key still holds');
    await new Promise((done) => setTimeout(done, 100));
  }
  await old.open('E/list'); /* a connection outlives the key of its token */
});

test('while it is asked, a refusal says when to try again', async (t) => {
  const [key, fresh] = [newKey(), newKey()];
  const issuer = await issuerFor(t, [key]);
  const server = await serverFor(t, issuer.url);
  await accepted(t, server, key);
  let held;
  issuer.answer = (response) => (held = response);
  const until = Date.now() + patience(20_000);
  while (!held && Date.now() < until) {
    await http(`${server.http}/v1/views`, { headers: bearer(tokenOf(fresh)) });
    await new Promise((done) => setTimeout(done, 5));
  }
  await unknown(server, fresh, { retryAfter: 1 });
  issuer.keys = [key, fresh];
  held.end(jwks(key, fresh));
  await accepted(t, server, fresh);
});

test('a dead endpoint at the start: signed tokens are refused until it comes', async (t) => {
  const key = newKey();
  const gone = await issuerFor(t, []);
  await gone.close();
  const server = await serverFor(t, gone.url, { tokens: [{ token: 'static-token-0123456789', scope: 'read admin' }] });
  await server.logged(/keys-failed/);
  await unknown(server, key);
  await (await clientFor(t, server, { headers: bearer('static-token-0123456789') })).open('E/list');
  const issuer = await issuerFor(t, [key], gone.port);
  await (await accepted(t, server, key)).open('E/list');
  assert.ok(issuer.asked >= 1);
});

const faults = {
  'hangs without a byte': () => {},
  'hangs in the middle': (response) => response.write('{"keys":['),
  'answers 500': (response) => { response.statusCode = 500; response.end(jwks(newKey())); },
  'answers no JSON': (response) => response.end('<html>'),
  'answers JSON without keys': (response) => response.end('{}'),
  'answers without an end': (response) => {
    const more = () => !response.destroyed && response.write('x'.repeat(65536), () => setImmediate(more));
    more();
  },
  'cuts the connection': (response) => response.socket.destroy(),
  'points elsewhere': (response) => { response.writeHead(302, { location: '/elsewhere' }); response.end(); },
};

/* They wait for seconds of the server's. */
test('an endpoint in trouble delays nobody, and known keys go on working', { concurrency: 4 }, (parent) =>
  Promise.all(Object.entries(faults).map(([name, fault]) => parent.test(`it ${name}`, async (t) => {
    const [key, extra] = [newKey(), newKey()];
    const issuer = await issuerFor(t, [key]);
    const server = await serverFor(t, issuer.url, { jwks_seconds: 1 });
    const client = await accepted(t, server, key);
    await client.open('E/list');
    const asked = issuer.asked;
    issuer.answer = fault;
    const longest = await longestPause(server, async () => {
      const until = Date.now() + patience(20_000);
      while (issuer.asked === asked && Date.now() < until) await new Promise((done) => setTimeout(done, 20));
      assert.ok(issuer.asked > asked, 'it was not asked again');
      for (let i = 0; i < 50; i++) {
        assert.equal((await refusal(server, { headers: bearer(tokenOf(extra)) })).headers['x-error-code'], 'token-key-not-found');
        await (await clientFor(t, server, { headers: bearer(tokenOf(key)) })).close();
      }
    });
    t.diagnostic(`longest answer meanwhile: ${longest.toFixed(1)} ms`);
    assert.ok(longest < patience(2000), `${longest} ms`); /* requests of the server itself may take 10 s */
    for (const response of issuer.open) response.destroy();
    issuer.keys = [key, extra];
    issuer.answer = (response) => response.end(jwks(...issuer.keys));
    await accepted(t, server, extra);
    await client.silence();
  }))));

const RSA = { kty: 'RSA', kid: 'r', n: 'AQAB', e: 'AQAB', alg: 'RS256', use: 'sig' };
for (const [what, answer] of [['no key at all', '{"keys":[]}'], ['no key that can be used here', JSON.stringify({ keys: [RSA] })]]) {
  test(`an answer with ${what} withdraws the keys`, async (t) => {
    const [key, other] = [newKey(), newKey()];
    const issuer = await issuerFor(t, [key]);
    const server = await serverFor(t, issuer.url, { jwks_seconds: 1, keys: [other.x] });
    const client = await accepted(t, server, key);
    await client.open('E/list');
    issuer.answer = (response) => response.end(answer);
    await refused(server, key);
    await server.logged(/keys-changed [^\n]*jwks\.json"? keys=0 /);
    await accepted(t, server, other); /* the configuration's own */
    assert.equal((await server.get('/health')).text, 'OK');
    assert.doesNotMatch(server.stderr, /keys-failed|keys-stale/);
    await client.silence(); /* a connection outlives the key of its token */
    issuer.answer = (response) => response.end(jwks(key));
    await accepted(t, server, key);
  });
}

const staleMetric = async (server) => /^stele_keys_stale (\d)$/m.exec((await server.get('/metrics')).text)?.[1];

const silences = [
  ['cannot be reached', (issuer) => issuer.close()],
  ['answers with errors', (issuer) => { issuer.answer = (response) => { response.statusCode = 503; response.end(); }; }],
  ['answers nonsense', (issuer) => { issuer.answer = (response) => response.end('<html>'); }],
];
test('keys of a URL in trouble grow stale, and are good again with its next answer', { concurrency: 3 }, (parent) =>
  Promise.all(silences.map(([what, fault]) => parent.test(`it ${what}`, async (t) => {
    const [key, other, unknownKey] = [newKey(), newKey(), newKey()];
    const issuer = await issuerFor(t, [key]);
    const auth = { mode: 'signed', jwks_url: issuer.url, jwks_refetch_seconds: 1, jwks_seconds: 1, jwks_stale_seconds: 2, keys: [other.x], metrics: 'all', status: 'all' };
    const server = await Server.forTest(t, { config: { exports: { E: {} }, auth } });
    const client = await accepted(t, server, key);
    await client.open('E/list');
    assert.equal(await staleMetric(server), '0');
    await fault(issuer);
    await server.logged(/keys-failed[^]*keys-stale [^\n]*jwks\.json"? keys=1 seconds=2/);

    const answer = await refusal(server, { headers: bearer(tokenOf(key)) });
    checkAnswer(answer, 'token-key-not-found', { retryAfter: Number(answer.headers['retry-after']) });
    assert.ok(Number(answer.headers['retry-after']) >= 1);
    assert.match(answer.body, /key that signed the token is stale: .*jwks_url/);
    /* Who has not the key is not told. */
    for (const token of [tokenOf(unknownKey), tokenOf({ ...unknownKey, kid: key.kid })])
      assert.doesNotMatch((await refusal(server, { headers: bearer(token) })).body, /stale/);
    await accepted(t, server, other);
    await client.silence();
    assert.deepEqual(await server.get('/health').then(({ status, text }) => [status, text]), [200, 'OK, but the keys of auth.jwks_url are stale']);
    assert.deepEqual(await server.get('/ready').then(({ status, text }) => [status, text]), [200, 'READY, but the keys of auth.jwks_url are stale']);
    const { healthy, status } = await server.status();
    assert.deepEqual([healthy, status], [false, 'keys-stale']);
    assert.equal(await staleMetric(server), '1');

    /* Who gives them more time has them back at once, and loses them again by giving less. */
    const held = (seconds) => ({ exports: { E: {} }, auth: { ...auth, jwks_stale_seconds: seconds } });
    await server.reload(held(3600));
    await accepted(t, server, key);
    assert.equal(await staleMetric(server), '0');
    await server.reload(held(2));
    await refused(server, key);
    await server.logged(/keys-stale [^]*keys-stale /);
    assert.equal(server.stderr.match(/keys-stale /g).length, 2, 'a line each time');

    const again = issuer.server.listening ? issuer : await issuerFor(t, [key], issuer.port);
    again.answer = (response) => response.end(jwks(key));
    await accepted(t, server, key);
    await server.logged(/keys-stale [^]*keys-stale [^]*keys-changed [^\n]*jwks\.json"? keys=1 /);
    assert.equal((await server.get('/health')).text, 'OK');
    assert.equal(await staleMetric(server), '0');
    assert.equal((await server.status()).healthy, true);
  }))));

test('keys are replaced when the configuration is read again: in it, in a file, at another URL', async (t) => {
  const [a, b, c] = [newKey(), newKey(), newKey()];
  const file = `${scratch(t)}/jwks.json`;
  writeFileSync(file, jwks(a));
  const issuer = await issuerFor(t, [c]);
  const auth = { mode: 'signed', jwks_file: file };
  const server = await Server.forTest(t, { config: { exports: { E: {} }, auth } });
  await server.logged(new RegExp(`keys-changed.*source="?configuration.*${a.kid}`));
  const client = await accepted(t, server, a);
  writeFileSync(file, jwks(b));
  await unknown(server, b);
  await server.reload();
  await server.logged(new RegExp(`keys-changed.*${b.kid}`));
  await accepted(t, server, b);
  await unknown(server, a);
  await client.open('E/list'); /* signed tokens hold until they run out */
  writeFileSync(file, '{"keys":[]}');
  assert.match(await server.reload(), /configuration-refused .*no key of Ed25519/);
  await accepted(t, server, b);
  await server.reload({ exports: { E: {} }, auth: { mode: 'signed', keys: [b.x, { key: a.x, ends_at: 1000 }] } });
  await accepted(t, server, b);
  await unknown(server, a);
  /* There was no URL at the start, so nothing that could ask it. */
  const said = await server.reload({ exports: { E: {} }, auth: { mode: 'signed', keys: [b.x], jwks_url: issuer.url } });
  assert.match(said, /jwks_url/);
  await accepted(t, server, b);
  await unknown(server, c);
});

test('where configuration and URL name two keys alike, the configuration holds, and all of it', async (t) => {
  const [a, b] = [newKey(), newKey()];
  const token = 'a-static-token-that-goes';
  const issuer = await issuerFor(t, [a]);
  const server = await serverFor(t, issuer.url, { tokens: [token] });
  await accepted(t, server, a);
  assert.equal((await http(`${server.http}/v1/views`, { headers: bearer(token) })).status, 200);
  const auth = { mode: 'signed', jwks_url: issuer.url, jwks_refetch_seconds: 1, keys: [{ key: b.x, kid: a.kid }] };
  const said = await server.reload({ exports: { E: {} }, auth });
  assert.match(said, /keys-failed .*127\.0\.0\.1/);
  assert.doesNotMatch(said, /in-the-query/);
  assert.equal((await http(`${server.http}/v1/views`, { headers: bearer(token) })).status, 400, 'a token that was taken out');
  checkAnswer(await refusal(server, { headers: bearer(tokenOf(a)) }), 'token-invalid-signature');
  await accepted(t, server, { ...b, kid: a.kid });
  /* Once they differ, both hold. */
  issuer.keys = [newKey()];
  await accepted(t, server, issuer.keys[0]);
});

test('another URL takes the place of the one before', async (t) => {
  const [a, b] = [newKey(), newKey()];
  const [first, second] = [await issuerFor(t, [a]), await issuerFor(t, [b])];
  const server = await serverFor(t, first.url, { jwks_seconds: 1 });
  await accepted(t, server, a);
  let held;
  first.answer = (response) => (held = response);
  const until = Date.now() + patience(20_000);
  while (!held && Date.now() < until) await new Promise((done) => setTimeout(done, 20));
  await server.reload({ exports: { E: {} }, auth: { mode: 'signed', jwks_url: second.url, jwks_refetch_seconds: 1 } });
  held.end(jwks(a)); /* too late */
  await accepted(t, server, b);
  const answer = await refusal(server, { headers: bearer(tokenOf(a)) });
  assert.equal(answer.headers['x-error-code'], 'token-key-not-found');
});

test('where tokens are wanted of a sudden, those who came without one go', async (t) => {
  const key = newKey();
  const server = await Server.forTest(t, { config: { exports: { E: {} } } });
  const client = await clientFor(t, server);
  await client.open('E/list');
  await server.reload({ exports: { E: {} }, auth: { mode: 'signed', keys: [key.x] } });
  await checkFatal(client, 'token-missing');
  const signed = await clientFor(t, server, { headers: bearer(tokenOf(key)) });
  await signed.open('E/list');
  await server.reload({ exports: { E: {} } });
  await (await clientFor(t, server)).open('E/list');
  await signed.open('E/append'); /* who had more than is needed, stays */
});

test('a static token that allows something else now does so in connections that are open', async (t) => {
  const token = 'static-token-0123456789';
  const auth = (more) => ({ exports: { E: {}, F: {} }, auth: { mode: 'static', tokens: [{ token, ...more }] } });
  const server = await Server.forTest(t, { config: auth({ scope: 'read write' }) });
  const client = await clientFor(t, server, { headers: bearer(token) });
  await client.open('E/list');
  const ingest = await Ingest.open(`${server.ws}/v1/ingest`, { headers: bearer(token) });
  await ingest.send({ mutations: [{ export: 'E', key: 'a', patch: {} }] });
  await client.until((frame) => frame.key === 'a');
  await server.reload(auth({ scope: 'read', views: ['F/*'] }));
  checkFields(await client.expect('error'), 'view-not-found');
  await client.open('F/list');
  const end = await ingest.closed;
  assert.equal(end.code, 1008);
  assert.match(end.reason, /^scope-missing: /);
});

test('a server stops at once while an endpoint hangs', async (t) => {
  const issuer = await issuerFor(t, []);
  issuer.answer = () => {};
  const server = await serverFor(t, issuer.url);
  const until = Date.now() + patience(20_000);
  while (!issuer.asked && Date.now() < until) await new Promise((done) => setTimeout(done, 10));
  const start = Date.now();
  await server.terminate();
  assert.ok(Date.now() - start < patience(5000));
});

test('a JWKS may be a file, and stand beside other keys', async (t) => {
  const [a, b, c] = [newKey(), newKey(), newKey()];
  const file = `${scratch(t)}/jwks.json`;
  writeFileSync(file, jwks(a));
  const issuer = await issuerFor(t, [b]);
  const server = await serverFor(t, issuer.url, { jwks_file: file, keys: [{ key: c.x, kid: 'by hand' }] });
  await accepted(t, server, a);
  await accepted(t, server, b);
  await (await clientFor(t, server, { headers: bearer(tokenOf({ ...c, kid: 'by hand' })) })).open('E/list');
});
