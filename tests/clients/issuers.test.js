// Tokens of issuers that people have: RS256, ES256 and EdDSA by keys that an independent library made and by
// tokens that it signed, from key files, JWKS files and JWKS URLs.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import test from 'node:test';
import * as jose from 'jose';
import { clientFor } from './lib/client.js';
import { http } from './lib/feed.js';
import { Server, run, scratch } from './lib/server.js';
import { bearer } from './lib/token.js';

const algorithms = ['EdDSA', 'ES256', 'RS256'];

/** A pair of an algorithm, with its public half as a JWK and as PEM. */
async function newPair(alg, kid) {
  const pair = await jose.generateKeyPair(alg, { extractable: true });
  return { alg, kid, ...pair, jwk: { ...(await jose.exportJWK(pair.publicKey)), ...(kid ? { kid } : {}) }, pem: await jose.exportSPKI(pair.publicKey) };
}

const sign = (pair, claims = {}, header = {}) =>
  new jose.SignJWT({ scope: 'read write', ...claims }).setProtectedHeader({ alg: pair.alg, ...(pair.kid ? { kid: pair.kid } : {}), ...header })
    .setSubject('user').setIssuedAt().setExpirationTime('10m').sign(pair.privateKey);

const status = async (server, token) => {
  const answer = await http(`${server.http}/v1/views`, { headers: bearer(token) });
  return answer.status === 200 ? 'ok' : answer.headers['x-error-code'];
};

const signedBy = (t, auth) => Server.forTest(t, { config: { exports: { E: {} }, auth: { mode: 'signed', ...auth } } });

test('each algorithm by a key file, a JWKS file and a JWKS URL, all at a time', async (t) => {
  const folder = scratch(t);
  const [files, set, published] = await Promise.all(['file', 'set', 'url'].map((from) => Promise.all(algorithms.map((alg) => newPair(alg, `${from}-${alg}`)))));
  for (const pair of files) writeFileSync(join(folder, `${pair.kid}.pem`), pair.pem);
  writeFileSync(join(folder, 'set.json'), JSON.stringify({ keys: set.map(({ jwk }) => jwk) }));
  /* What such sets hold beside: keys of other kinds, uses and sizes. */
  const others = [{ kty: 'oct', k: 'AAAA', kid: 'secret' }, { ...published[2].jwk, alg: 'RSA-OAEP', use: 'enc', kid: 'box' }, { kty: 'EC', crv: 'P-384', x: 'AA', y: 'AA' }];
  const issuer = createServer((_, response) => response.end(JSON.stringify({ keys: [...others, ...published.map(({ jwk, alg }) => ({ ...jwk, alg, use: 'sig' }))] })));
  await new Promise((done) => issuer.listen(0, '127.0.0.1', done));
  t.after(() => issuer.close());
  const server = await signedBy(t, {
    keys: files.map(({ kid }) => ({ file: join(folder, `${kid}.pem`), kid })), jwks_file: join(folder, 'set.json'), jwks_url: `http://127.0.0.1:${issuer.address().port}/jwks.json`,
  });
  await server.logged(/keys-changed [^\n]*jwks\.json"? keys=3 [^\n]*passed_over=3 first="key 1 \(kid secret\) has a kind other/);
  for (const pair of [...files, ...set, ...published]) {
    assert.equal(await status(server, await sign(pair)), 'ok', pair.kid);
    const client = await clientFor(t, server, { headers: bearer(await sign(pair)) });
    await client.open('E/list');
  }
  assert.equal((server.stderr.match(/passed_over/g) ?? []).length, 1);
});

test('the algorithm is the key\'s, whatever a header says', async (t) => {
  const [ed, ec, rsa] = await Promise.all(algorithms.map((alg) => newPair(alg, alg)));
  const folder = scratch(t);
  writeFileSync(join(folder, 'set.json'), JSON.stringify({ keys: [ed.jwk, ec.jwk, rsa.jwk] }));
  const server = await signedBy(t, { jwks_file: join(folder, 'set.json') });
  const good = await sign(rsa);
  assert.equal(await status(server, good), 'ok');
  const [head, body, signature] = good.split('.');
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const hmac = (header, secret) => {
    const text = `${encode(header)}.${body}`;
    return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
  };
  assert.equal(await status(server, hmac({ alg: 'HS256', kid: 'RS256' }, rsa.pem)), 'token-invalid-format');
  assert.equal(await status(server, hmac({ alg: 'RS256', kid: 'RS256' }, rsa.pem)), 'token-invalid-format');
  assert.equal(await status(server, `${encode({ alg: 'none', kid: 'RS256' })}.${body}.`), 'token-invalid-format');
  assert.equal(await status(server, `${encode({ alg: 'ES256', kid: 'RS256' })}.${body}.${signature}`), 'token-invalid-format');
  assert.equal(await status(server, `${head}.${body}.${signature.slice(0, -4)}AAAA`), 'token-invalid-signature');
  assert.equal(await status(server, await sign(ec, {}, { kid: 'RS256' })), 'token-invalid-signature');
  assert.equal(await status(server, await sign(ed, {}, { kid: 'ES256' })), 'token-invalid-signature');
  /* The same key under the hashes and paddings that are not taken. */
  for (const alg of ['PS256', 'RS384', 'RS512', 'PS512']) {
    const other = await jose.importJWK(await jose.exportJWK(rsa.privateKey), alg);
    assert.equal(await status(server, await sign({ alg, kid: 'RS256', privateKey: other })), 'token-invalid-format', alg);
    const renamed = (await sign({ alg, kid: 'RS256', privateKey: other })).split('.');
    assert.equal(await status(server, [encode({ alg: 'RS256', kid: 'RS256' }), renamed[1], renamed[2]].join('.')), 'token-invalid-signature', alg);
  }
  for (const alg of ['ES384', 'ES512']) assert.equal(await status(server, await sign(await newPair(alg, 'ES256'))), 'token-invalid-format', alg);
});

test('RSA below 2,048 bits and curves other than P-256 are refused where the configuration names them', async (t) => {
  const folder = scratch(t);
  const { generateKeyPairSync } = await import('node:crypto');
  const weak = [generateKeyPairSync('rsa', { modulusLength: 1024 }), generateKeyPairSync('ec', { namedCurve: 'P-384' }), generateKeyPairSync('rsa-pss', { modulusLength: 2048 })];
  for (const [i, { publicKey }] of weak.entries()) {
    const file = join(folder, `weak${i}.pem`);
    writeFileSync(file, publicKey.export({ type: 'spki', format: 'pem' }));
    const config = join(folder, 'config.json');
    writeFileSync(config, JSON.stringify({ auth: { mode: 'signed', keys: [{ file }] } }));
    const { code, stderr } = await run(['serve', '--db', join(folder, 'x.db'), '--config', config, '--check-config'], { ms: 10_000 });
    assert.notEqual(code, 0);
    assert.match(stderr, /auth\.keys.*key 1.*(RSA has 2048 to|no public key)/);
  }
});

test('rotation from one algorithm to another, by a URL', async (t) => {
  const [first, second] = [await newPair('RS256', 'a'), await newPair('ES256', 'b')];
  let keys = [first.jwk];
  const issuer = createServer((_, response) => response.end(JSON.stringify({ keys })));
  await new Promise((done) => issuer.listen(0, '127.0.0.1', done));
  t.after(() => issuer.close());
  const server = await signedBy(t, { jwks_url: `http://127.0.0.1:${issuer.address().port}/`, jwks_refetch_seconds: 1 });
  await server.logged(/keys-changed.*kids="?a/);
  assert.equal(await status(server, await sign(first)), 'ok');
  keys = [first.jwk, second.jwk];
  const until = async (pair, expected) => {
    for (let answer; (answer = await status(server, await sign(pair))) !== expected;) {
      assert.equal(answer, expected === 'ok' ? 'token-key-not-found' : 'ok');
      await status(server, await sign({ ...second, kid: 'unknown' })); /* has the server ask again */
      await new Promise((done) => setTimeout(done, 100));
    }
  };
  await until(second, 'ok');
  assert.equal(await status(server, await sign(first)), 'ok');
  keys = [second.jwk];
  await until(first, 'token-key-not-found');
  assert.equal(await status(server, await sign(second)), 'ok');
});

/* ---- the commands ---- */

for (const alg of algorithms) {
  test(`stele token makes, signs, verifies and publishes keys of ${alg}, as jose reads and writes them`, async (t) => {
    const folder = scratch(t);
    const file = join(folder, 'key.pem');
    const token = async (...args) => {
      const { code, stdout, stderr } = await run(['token', ...args]);
      assert.equal(code, 0, stderr);
      return stdout.trim();
    };
    const printed = JSON.parse(await token('keygen', '--alg', alg, file));
    const signed = await token('sign', '--key-file', file, '--subject', 'alice', '--scope', 'read', '--issuer', 'me');
    const set = JSON.parse(await token('jwks', file));
    assert.equal(set.keys[0].kid, printed.kid);
    if (alg !== 'EdDSA') assert.equal(printed.kid, await jose.calculateJwkThumbprint(set.keys[0]));
    const { payload, protectedHeader } = await jose.jwtVerify(signed, jose.createLocalJWKSet(set), { issuer: 'me' });
    assert.deepEqual([payload.sub, payload.scope, protectedHeader.alg, protectedHeader.kid], ['alice', 'read', alg, printed.kid]);
    assert.equal(JSON.parse(await token('verify', '--key-file', file, signed)).sub, 'alice');
    const privateKey = await jose.importPKCS8(readFileSync(file, 'utf8'), alg);
    const theirs = await sign({ alg, kid: printed.kid, privateKey });
    assert.equal(JSON.parse(await token('verify', '--key-file', file, theirs)).sub, 'user');
    writeFileSync(join(folder, 'set.json'), JSON.stringify(set));
    assert.equal(JSON.parse(await token('verify', '--key-file', join(folder, 'set.json'), theirs)).sub, 'user');
    /* What keygen prints is an entry of the configuration. */
    const server = await signedBy(t, { keys: [printed] });
    assert.equal(await status(server, theirs), 'ok');
    assert.equal(await status(server, signed), 'ok');
    const wrong = await run(['token', 'verify', '--key-file', file, await sign(await newPair(alg, printed.kid))]);
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /token-invalid-signature/);
  });
}

test('keygen knows three algorithms', async (t) => {
  const { code, stderr } = await run(['token', 'keygen', '--alg', 'HS256', join(scratch(t), 'key.pem')]);
  assert.equal(code, 2);
  assert.match(stderr, /EdDSA, ES256 or RS256/);
});
