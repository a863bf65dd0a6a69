// No token, key or password ever stands in what a server or a command writes: not in the log at its
// loudest, not in what it prints, not in an answer, not in its database.

import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import test from 'node:test';
import { Client, clientFor } from './lib/client.js';
import { Ingest, http } from './lib/feed.js';
import { Server, run, scratch } from './lib/server.js';

const base64url = (data) => Buffer.from(data).toString('base64url');

function token(key, claims, header = { alg: 'EdDSA', typ: 'JWT' }) {
  const signed = `${base64url(JSON.stringify(header))}.${base64url(JSON.stringify(claims))}`;
  return `${signed}.${base64url(sign(null, Buffer.from(signed), key))}`;
}

/** A server that takes signed and static tokens, the tokens of all kinds, and everything it said. */
async function start(t, log_format) {
  const folder = scratch(t);
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const stranger = generateKeyPairSync('ed25519').privateKey;
  const raw = publicKey.export({ format: 'jwk' }).x;
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: 'i', aud: 'a', sub: 'somebody', iat: now, exp: now + 600, jti: 'an-id', scope: 'read write admin', metering_key: 'm' };
  const good = token(privateKey, claims);
  const secrets = {
    good,
    later: token(privateKey, { ...claims, exp: now + 900 }),
    expired: token(privateKey, { ...claims, exp: now - 5 }),
    strange: token(stranger, claims),
    issuer: token(privateKey, { ...claims, iss: 'nobody' }),
    hmac: (() => {
      const head = `${base64url('{"alg":"HS256"}')}.${base64url(JSON.stringify(claims))}`;
      return `${head}.${createHmac('sha256', raw).update(head).digest('base64url')}`;
    })(),
    truncated: good.slice(0, -7),
    long: `${good}${'x'.repeat(3000)}`,
    static: 'a-static-token-0123456789-of-a-file',
    given: 'a-static-token-9876543210-in-the-configuration',
    wrong: 'a-static-token-that-is-not-one-5555',
    query: 'a-secret-of-the-jwks-url-7777',
  };
  writeFileSync(join(folder, 'token'), secrets.static);
  const jwks = createServer((request, answer) => answer.writeHead(500).end(`no ${request.url}`));
  await new Promise((done) => jwks.listen(0, '127.0.0.1', done));
  t.after(() => jwks.close());
  const config = {
    log_level: 'debug',
    log_format,
    exports: { E: {} },
    auth: {
      mode: 'signed',
      keys: [raw],
      issuer: 'i',
      audience: 'a',
      jwks_url: `http://127.0.0.1:${jwks.address().port}/keys?secret=${secrets.query}`,
      tokens: [{ file: join(folder, 'token'), scope: 'read write admin' }, { token: secrets.given, scope: 'read' }],
    },
  };
  const server = await Server.forTest(t, { config });
  return { server, secrets, folder };
}

/** Every way in, with every token; what came back. */
async function knock(server, secrets) {
  const heard = [];
  const tell = async (work) => {
    try {
      heard.push(await work());
    } catch (error) {
      heard.push(String(error.message));
    }
  };
  const openings = Object.values(secrets).flatMap((it) => [
    { headers: { Authorization: `Bearer ${it}` } },
    { path: `/?hs_token=${it}` },
    { path: `/?token=${it}&x=1` },
  ]);
  for (const opening of openings) {
    await tell(async () => {
      const client = await Client.open(server, opening);
      client.subscribe('E/list');
      const answer = await client.record();
      client.destroy();
      return answer.text;
    });
    await tell(async () => {
      const ingest = await Ingest.open(`${server.ws}/v1/ingest${opening.path?.slice(1) ?? ''}`, opening);
      const ack = await ingest.send({ mutations: [{ export: 'E', key: 'k', patch: { n: 1 } }] });
      ingest.destroy();
      return JSON.stringify(ack);
    });
    const query = opening.path?.slice(1) ?? '';
    const headers = opening.headers ?? {};
    for (const [url, method, body] of [
      [`${server.http}/v1/views${query}`, 'GET'],
      [`${server.http}/v1/views/E/list${query}`, 'GET'],
      [`${server.http}/v1/mutations${query}`, 'POST', '{"export":"E","key":"k","patch":{}}\n'],
      [`${server.http}/nothing/here${query}`, 'GET'],
      [`${server.healthUrl}/status${query}`, 'GET'],
      [`${server.healthUrl}/metrics${query}`, 'GET'],
      [`${server.healthUrl}/config${query}`, 'GET'],
      [`${server.healthUrl}/inspector/${query}`, 'GET'],
      [`${server.healthUrl}/v1/views${query}`, 'GET'],
    ]) {
      await tell(async () => (await http(url, { method, body, headers })).text);
    }
  }
  return heard;
}

/** Tokens in messages of a session: refreshed, and where they do not belong. */
async function refresh(t, server, secrets) {
  const heard = [];
  const client = await clientFor(t, server, { headers: { Authorization: `Bearer ${secrets.good}` } });
  for (const it of Object.values(secrets)) {
    for (const message of [
      { type: 'refresh_auth', token: it },
      { type: 'refresh_auth', token: [it] },
      { type: it },
      { type: 'subscribe', view: `E/${it}`.slice(0, 3000) },
      `{"type":"refresh_auth","token":"${it}"`,
      `{"type":"refresh_auth","token":"${it}"}}`,
    ]) {
      client.send(message);
      const answer = await client.record('an answer').catch((error) => ({ text: error.message }));
      heard.push(answer.text);
      if (client.end) return heard;
    }
  }
  return heard;
}

for (const format of ['text', 'json']) {
  test(`tokens go in by every way and come out by none (${format})`, async (t) => {
    const { server, secrets, folder } = await start(t, format);
    const answers = [...(await knock(server, secrets)), ...(await refresh(t, server, secrets))];
    const config = `${server.db}.config.json`;
    const shown = await run(['serve', '--config', config, '--db', server.db, '--check-config']);
    assert.equal(shown.code, 0, shown.stderr);
    const refused = await run(['serve', '--config', config, '--db', server.db, '--listen', '127.0.0.1:0', '--health', '']);
    await server.terminate();
    /* It must have worked for this to mean anything. */
    assert.ok(answers.some((text) => text.includes('"success":true')), 'a refresh that was taken');
    assert.ok(answers.some((text) => text.includes('token-expired')), 'an expired token that was refused');
    assert.match(server.stderr, /handshake-accepted/);
    assert.match(server.stderr, /handshake-denied/);
    assert.match(server.stderr, /token-refreshed/);
    assert.match(server.stderr, /keys-failed/);
    const said = { log: server.stderr, printed: server.stdout, 'check-config': shown.stdout + shown.stderr, refused: refused.stdout + refused.stderr };
    for (const name of readdirSync(join(server.db, '..'))) {
      if (!name.endsWith('.config.json')) said[name] = readFileSync(join(server.db, '..', name), 'latin1');
    }
    assert.ok(Object.keys(said).some((name) => name.endsWith('.db')));
    assert.ok(readdirSync(folder).includes('token'));
    /* What a client sent may come back to it in the words of an error, but no other token does. */
    said.answers = answers.filter((text) => !text.includes('view')).join('\n');
    for (const [where, text] of Object.entries(said)) {
      for (const [name, it] of Object.entries(secrets)) {
        if (where === 'check-config' && name === 'query') continue; /* a URL is shown as it was given */
        const at = text.indexOf(it);
        assert.ok(at < 0, `${where} holds the token '${name}': …${text.slice(Math.max(0, at - 200), at + 40)}…`);
        const signature = it.split('.')[2]?.slice(0, 40);
        if (signature) assert.ok(!text.includes(signature), `${where} holds the signature of '${name}'`);
      }
    }
  });
}

test('a configuration that is no JSON is refused without a word of what stands there', async (t) => {
  const secret = 'short-token-16-ch'; /* what the parser of JSON would quote has 20 characters at most */
  const config = (between) => `{"auth":{"mode":"static","tokens":["a-static-token-0123456789"${between}"${secret}"]}}`;
  const server = await Server.forTest(t, { config: config(',') });
  for (const between of ['', ' ', '\n\n']) {
    const told = await server.reload(config(between));
    assert.match(told, /configuration-refused .*line \d+, column \d+/, between);
    const { code, stdout, stderr } = await run(['serve', '--config', `${server.db}.config.json`, '--db', server.db, '--check-config']);
    assert.equal(code, 1, between);
    assert.match(stderr, /line \d+, column \d+/);
    for (const text of [told, stdout, stderr]) assert.ok(!text.includes(secret.slice(0, 8)), text);
  }
});
