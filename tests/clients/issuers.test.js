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
import { PYTHON, missing } from './lib/python_sdk.js';
import { http, tryPost } from './lib/feed.js';
import { ROOT, Server, run, scratch } from './lib/server.js';
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

/* ---- tokens as others make them ---- */

const now = () => Math.floor(Date.now() / 1000);

/** A token of exactly these claims. */
const tokenAs = (pair, claims, header = {}) =>
  new jose.SignJWT(claims).setProtectedHeader({ alg: pair.alg, kid: pair.kid, typ: 'JWT', ...header }).sign(pair.privateKey);

/* Each as its documentation shows it, with nothing left out or added for stele. */
const shapes = [
  {
    name: 'Auth0', alg: 'RS256',
    auth: { issuer: 'https://tenant.eu.auth0.com/', audience: 'https://quakes.example.com', scope_claim: 'permissions', scopes: { 'quakes:read': 'read', 'quakes:write': 'write' }, row_scopes_claim: 'https://quakes.example.com/teams' },
    claims: () => ({
      'https://quakes.example.com/teams': ['red', 'blue'], iss: 'https://tenant.eu.auth0.com/', sub: 'auth0|65f1c0ffee', aud: ['https://quakes.example.com', 'https://tenant.eu.auth0.com/userinfo'],
      iat: now(), exp: now() + 86400, scope: 'openid profile email', azp: 'k9Xc2', permissions: ['quakes:read', 'quakes:write'],
    }),
    may: ['read', 'write'], sees: ['red', 'blue'], id: 'auth0|65f1c0ffee',
    less: { permissions: ['quakes:read'] }, wrong: [[{ aud: ['https://other.example.com'] }, 'token-invalid-audience'], [{ iss: 'https://evil.auth0.com/' }, 'token-invalid-issuer'], [{ permissions: undefined }, 'token-missing-claim']],
  },
  {
    name: 'Clerk', alg: 'RS256', origin: 'https://app.example.com',
    auth: { issuer: 'https://clerk.example.com', origin_claim: 'azp', require_origin: true, token_id_claim: 'sid', base_scope: 'read', scope_claim: 'o.rol', scopes: { admin: 'write' }, row_scopes_claim: 'o.id', plan_claim: 'pla' },
    claims: () => ({
      azp: 'https://app.example.com', exp: now() + 60, fva: [3, -1], iat: now(), iss: 'https://clerk.example.com', nbf: now() - 10, jti: '5d1f0c', o: { id: 'org_2b', rol: 'admin', slg: 'acme', per: 'read', fpm: '3' },
      pla: 'o:pro', fea: 'o:views', sid: 'sess_2abc', sts: 'active', sub: 'user_2xyz', v: 2,
    }),
    may: ['read', 'write'], sees: ['org_2b'], id: 'user_2xyz',
    less: { o: undefined }, wrong: [[{ azp: 'https://other.example.com' }, 'origin-mismatch'], [{ azp: undefined }, 'token-missing-claim'], [{ exp: now() - 5 }, 'token-expired']],
  },
  {
    name: 'Supabase', alg: 'ES256',
    auth: { issuer: 'https://abcd.supabase.co/auth/v1', audience: 'authenticated', token_id_claim: 'session_id', scope_claim: 'role', scopes: { authenticated: 'read write', anon: '' }, row_scopes_claim: 'app_metadata.team' },
    claims: () => ({
      iss: 'https://abcd.supabase.co/auth/v1', sub: '0f9c7a4e-5b0d-4f0e-9a57-3c1f5a2f5d11', aud: 'authenticated', exp: now() + 3600, iat: now(), email: 'a@example.com', phone: '',
      app_metadata: { provider: 'email', providers: ['email'], team: 'red' }, user_metadata: { email_verified: true, team: 'blue' }, role: 'authenticated', aal: 'aal1',
      amr: [{ method: 'password', timestamp: now() }], session_id: 'c4d21a', is_anonymous: false,
    }),
    may: ['read', 'write'], sees: ['red'], id: '0f9c7a4e-5b0d-4f0e-9a57-3c1f5a2f5d11',
    less: { role: 'anon' }, wrong: [[{ aud: 'anon' }, 'token-invalid-audience'], [{ role: undefined }, 'token-missing-claim']],
  },
  {
    name: 'Cognito', alg: 'RS256',
    auth: { issuer: 'https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab', audience: '7client', audience_claim: 'client_id', scope_claim: 'cognito:groups', base_scope: 'read', scopes: { editors: 'write' }, row_scopes_claim: 'username' },
    claims: () => ({
      sub: 'aaaaaaaa-bbbb', 'cognito:groups': ['editors', 'eu-west-1_Ab_Google'], iss: 'https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab', version: 2, client_id: '7client', origin_jti: 'o-1',
      event_id: 'e-1', token_use: 'access', scope: 'aws.cognito.signin.user.admin', auth_time: now(), exp: now() + 3600, iat: now(), jti: 'j-1', username: 'alice',
    }),
    may: ['read', 'write'], sees: ['alice'], id: 'aaaaaaaa-bbbb',
    less: { 'cognito:groups': undefined }, wrong: [[{ client_id: 'other' }, 'token-invalid-audience'], [{ client_id: undefined }, 'token-missing-claim']],
  },
];

for (const shape of shapes) {
  test(`a token shaped as ${shape.name}'s works as it is`, async (t) => {
    const folder = scratch(t);
    const [pair, stranger] = [await newPair(shape.alg, 'ins_1'), await newPair(shape.alg, 'ins_1')];
    writeFileSync(join(folder, 'jwks.json'), JSON.stringify({ keys: [{ ...pair.jwk, alg: shape.alg, use: 'sig' }] }));
    const server = await Server.forTest(t, { config: { exports: { E: { scope: 'team' } }, auth: { mode: 'signed', jwks_file: join(folder, 'jwks.json'), ...shape.auth } } });
    const headers = (token) => ({ ...bearer(token), ...(shape.origin ? { Origin: shape.origin } : {}) });
    const claims = shape.claims();
    const token = await tokenAs(pair, claims);
    const ask = async (path, made, options = {}) => http(`${server.http}${path}`, { ...options, headers: { ...headers(made), ...options.headers } });
    const teams = ['red', 'blue', 'org_2b', 'alice', 'nobody'];
    const body = teams.map((team) => JSON.stringify({ export: 'E', key: team, patch: { team } })).join('\n');
    const fed = await ask('/v1/mutations', token, { method: 'POST', body, headers: { 'Content-Type': 'application/x-ndjson' } });
    assert.equal(fed.status, shape.may.includes('write') ? 200 : 403, fed.text);
    const seen = async (made) => JSON.parse((await ask('/v1/views/E/list', made)).text).rows?.map(({ key }) => key).sort();
    assert.deepEqual(await seen(token), [...shape.sees].sort());
    const client = await clientFor(t, server, { headers: headers(token) });
    await client.open('E/list');
    await server.logged(new RegExp(`handshake-accepted[^\\n]*subject="?${shape.id.replace(/[|]/g, '\\|')}`));
    /* The command says the same of it, without a server. */
    const config = join(folder, 'stele.json');
    writeFileSync(config, JSON.stringify({ auth: { mode: 'signed', jwks_file: join(folder, 'jwks.json'), ...shape.auth } }));
    const verified = await run(['token', 'verify', '--config', config, ...(shape.origin ? ['--origin', shape.origin] : []), token]);
    assert.equal(verified.code, 0, verified.stderr);
    const [claimed, made] = verified.stdout.trim().split('\n').map((line) => JSON.parse(line));
    assert.deepEqual(claimed, JSON.parse(JSON.stringify(claims)));
    assert.deepEqual(made, { subject: shape.id, scope: shape.may.join(' '), row_scopes: shape.sees });
    /* With less of it, and wrong in one claim. */
    const less = await tokenAs(pair, { ...claims, ...shape.less });
    assert.equal((await ask('/v1/mutations', less, { method: 'POST', body })).headers['x-error-code'], 'scope-missing');
    for (const [change, code] of shape.wrong)
      assert.equal((await ask('/v1/views', await tokenAs(pair, { ...claims, ...change }))).headers['x-error-code'], code, JSON.stringify(change));
    assert.equal((await ask('/v1/views', await tokenAs(stranger, claims))).headers['x-error-code'], 'token-invalid-signature');
    assert.equal((await ask('/v1/views', await tokenAs(pair, claims, { alg: shape.alg, kid: 'ins_2' }))).headers['x-error-code'], 'token-key-not-found');
  });
}

/* ---- the same, by a library of another language ---- */

test('tokens of these shapes that PyJWT made', { skip: missing }, async (t) => {
  const folder = scratch(t);
  const lines = shapes.flatMap((shape) => [shape.claims(), { ...shape.claims(), ...shape.less }].map((claims) => JSON.stringify({ alg: shape.alg, kid: shape.name, claims })));
  const signed = await run(['-I', join(ROOT, 'tests/clients/foreign/pyjwt_sign.py')], { input: lines.join('\n'), program: PYTHON });
  assert.equal(signed.code, 0, signed.stderr);
  const [keys, ...tokens] = signed.stdout.trim().split('\n');
  writeFileSync(join(folder, 'jwks.json'), keys);
  for (const [i, shape] of shapes.entries()) {
    const server = await Server.forTest(t, { config: { exports: { E: { scope: 'team' } }, auth: { mode: 'signed', jwks_file: join(folder, 'jwks.json'), ...shape.auth } } });
    const ask = (token, path, options = {}) => http(server.http + path, { ...options, headers: { ...bearer(token), ...(shape.origin ? { Origin: shape.origin } : {}) } });
    const [token, less] = tokens.slice(2 * i, 2 * i + 2);
    const body = JSON.stringify({ export: 'E', key: 'k', patch: {} });
    const fed = await tryPost(server, [...shape.sees, 'nobody'].map((team) => ({ export: 'E', key: team, patch: { team } })), { ...bearer(token), ...(shape.origin ? { Origin: shape.origin } : {}) });
    assert.equal(fed.status, 200, `${shape.name}: ${fed.text}`);
    assert.deepEqual((await ask(token, '/v1/views/E/list')).json.rows.map(({ key }) => key).sort(), [...shape.sees].sort(), shape.name);
    assert.equal((await ask(less, '/v1/mutations', { method: 'POST', body })).headers['x-error-code'], 'scope-missing', shape.name);
    const [head, claims, signature] = token.split('.');
    const other = tokens[2 * ((i + 1) % shapes.length)].split('.')[1];
    assert.equal((await ask(`${head}.${other}.${signature}`, '/v1/views')).headers['x-error-code'], 'token-invalid-signature', shape.name);
    assert.equal((await ask(`${head}.${claims}.${signature.slice(0, -4)}AAAA`, '/v1/views')).headers['x-error-code'], 'token-invalid-signature', shape.name);
  }
});
