// `stele token`, and revoked tokens. What stele makes is read by Node's crypto, and the other way round.

import assert from 'node:assert/strict';
import { createHmac, createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { Client, clientFor } from './lib/client.js';
import { http, tryPost } from './lib/feed.js';
import { Server, check, patience, run, scratch, sql, within } from './lib/server.js';
import { fillDisk, smallDisk } from './lib/small_disk.js';
import { makePair } from './lib/tls.js';
import { bearer, forged, jwks, newKey, tokenOf, unixNow } from './lib/token.js';

const encode = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const claimsOf = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
const headerOf = (token) => JSON.parse(Buffer.from(token.split('.')[0], 'base64url'));
const isSigned = (token, publicKey) => {
  const [head, body, signature] = token.split('.');
  return verify(null, Buffer.from(`${head}.${body}`), publicKey, Buffer.from(signature, 'base64url'));
};

/** Run `stele token …`, which must go well; its output without the line's end. */
async function token(args, options) {
  const { code, stdout, stderr } = await run(['token', ...args], options);
  assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
  return stdout.trim();
}

/** The same for one that must not. */
async function refused(args, says, options) {
  const { code, stdout, stderr } = await run(['token', ...args], options);
  assert.ok(code === 1 || code === 2, `${args.join(' ')}: exit ${code}`);
  assert.equal(stdout, '', args.join(' '));
  assert.match(stderr, says, args.join(' '));
  return code;
}

/* ---- help ---- */

test('each command explains itself, and what is misspelt is guessed', async () => {
  const all = ['keygen', 'sign', 'verify', 'jwks', 'revoke'];
  assert.match((await run(['--help'])).stdout, /\btoken\b/);
  const overview = await token(['--help']);
  for (const command of all) {
    assert.match(overview, new RegExp(`\\b${command}\\b`));
    assert.match(await token([command, '--help']), new RegExp(`^usage: stele token ${command}\\b`));
    await refused([command, '--nope'], new RegExp(`stele token ${command}: .*--nope`));
  }
  await refused([], /usage: stele token/);
  await refused(['verfy'], /did you mean "verify"/);
  await refused(['dance'], /stele token --help/);
});

/* ---- keys ---- */

test('keygen makes a key that nobody else may read, once', async (t) => {
  const folder = scratch(t);
  const file = join(folder, 'key.pem');
  const printed = JSON.parse(await token(['keygen', file]));
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const publicKey = createPublicKey(createPrivateKey(readFileSync(file)));
  assert.equal(publicKey.asymmetricKeyType, 'ed25519');
  const { x } = publicKey.export({ format: 'jwk' });
  assert.deepEqual(printed, { key: x, kid: Buffer.from(x, 'base64url').toString('hex').slice(0, 16) });
  const before = readFileSync(file, 'utf8');
  await refused(['keygen', file], /exist/i);
  assert.equal(readFileSync(file, 'utf8'), before);
  await refused(['keygen', join(folder, 'none', 'key.pem')], /No such file/);
  assert.notEqual(JSON.parse(await token(['keygen', join(folder, 'other.pem')])).key, x);
});

test('jwks prints public keys only, of every kind of file', async (t) => {
  const folder = scratch(t);
  const keys = [newKey(), newKey(), newKey(), newKey()];
  const files = keys.map((_, i) => join(folder, `key${i}`));
  writeFileSync(files[0], keys[0].privateKey.export({ type: 'pkcs8', format: 'pem' }));
  writeFileSync(files[1], createPublicKey(keys[1].privateKey).export({ type: 'spki', format: 'pem' }));
  writeFileSync(files[2], ` ${Buffer.from(keys[2].x, 'base64url').toString('hex')}\n`);
  const printed = await token(['jwks', ...files.slice(0, 3), '-', '--key', keys[3].x], { input: jwks(newKey()) });
  const set = JSON.parse(printed).keys;
  assert.equal(set.length, 5);
  assert.deepEqual(set.map(({ x }) => x).sort(), [...keys.map(({ x }) => x), set.find(({ x }) => !keys.some((key) => key.x === x)).x].sort());
  for (const jwk of set) {
    assert.deepEqual(Object.keys(jwk).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x']);
    assert.equal(createPublicKey({ key: jwk, format: 'jwk' }).asymmetricKeyType, 'ed25519');
  }
  await refused(['jwks', files[0], files[0]], /two keys/);
  await refused(['jwks'], /which keys/);
  await refused(['jwks', join(folder, 'none')], /none/);
  writeFileSync(files[3], generateKeyPairSync('ed448').publicKey.export({ type: 'spki', format: 'pem' }));
  await refused(['jwks', files[3]], /Ed25519/);
});

/* ---- sign ---- */

test('sign puts in what it is told, and Node takes the signature', async (t) => {
  const file = join(scratch(t), 'key.pem');
  const { kid } = JSON.parse(await token(['keygen', file]));
  const publicKey = createPublicKey(createPrivateKey(readFileSync(file)));
  const least = await token(['sign', '--key-file', file, '--subject', 'älice']);
  assert.ok(isSigned(least, publicKey));
  assert.deepEqual(headerOf(least), { alg: 'EdDSA', typ: 'JWT', kid });
  const { iat, nbf, exp, jti, ...rest } = claimsOf(least);
  assert.deepEqual(rest, { sub: 'älice', scope: 'read', metering_key: 'älice' });
  assert.ok(Math.abs(iat - unixNow()) < 60 && nbf === iat && exp === iat + 3600);
  assert.match(jti, /^[0-9a-f]{32}$/);
  const full = await token([
    'sign', '--key-file', '-', '--subject', 's', '--scope', 'read write admin', '--expires-in', '60', '--not-before', '1000', '--issuer', 'i',
    '--audience', 'a', '--audience', 'b', '--id', 'j"1', '--view', 'Quake/*', '--view', 'Sea/list', '--row-scope', 'eu', '--row-scope', '',
    '--limit', 'max_connections=3', '--limit', 'max_bytes_per_minute=5000000000', '--metering-key', 'm', '--key-class', 'publishable',
    '--deployment-id', 'd', '--plan', 'p', '--origin', 'https://app.example', '--client-ip', '10.0.0.7',
  ], { input: readFileSync(file) });
  assert.ok(isSigned(full, publicKey));
  const claims = claimsOf(full);
  assert.equal(claims.exp, claims.iat + 60);
  assert.deepEqual({ ...claims, iat: 0, exp: 0 }, {
    iss: 'i', sub: 's', aud: ['a', 'b'], iat: 0, nbf: 1000, exp: 0, jti: 'j"1', scope: 'read write admin', metering_key: 'm', key_class: 'publishable',
    deployment_id: 'd', origin: 'https://app.example', client_ip: '10.0.0.7', limits: { max_connections: 3, max_bytes_per_minute: 5000000000 },
    plan: 'p', views: ['Quake/*', 'Sea/list'], row_scopes: ['eu', ''],
  });
});

test('sign makes no token that a server would refuse', async (t) => {
  const folder = scratch(t);
  const file = join(folder, 'key.pem');
  await token(['keygen', file]);
  const base = ['sign', '--key-file', file, '--subject', 's'];
  await refused(['sign', '--subject', 's'], /--key-file/);
  await refused(['sign', '--key-file', file], /--subject/);
  await refused(['sign', '--key-file', file, '--subject', ''], /sub/);
  await refused([...base, '--key-class', 'public'], /key_class/);
  await refused([...base, '--limit', 'max_connection=3'], /max_connections/);
  await refused([...base, '--limit', 'max_connections=many'], /max_connections=N/);
  await refused([...base, '--limit', 'max_connections=1', '--limit', 'max_connections=2'], /no server/);
  await refused([...base, '--expires-in', '0'], /expires-in/);
  await refused([...base, '--plan', 'x'.repeat(9000)], /8192/);
  await refused([...base, '--id', 'x'.repeat(513)], /jti/);
  await refused([...base, '--not-before', String(unixNow() + 7200)], /behind the token's end.*expires-in/);
  await refused([...base, '--not-before', String(Date.now())], /behind the token's end.*milliseconds/);
  writeFileSync(join(folder, 'public.pem'), createPublicKey(readFileSync(file)).export({ type: 'spki', format: 'pem' }));
  await refused(['sign', '--key-file', join(folder, 'public.pem'), '--subject', 's'], /private key/);
});

/* ---- verify ---- */

test('verify takes what Node signed, whatever way token and key come', async (t) => {
  const folder = scratch(t);
  const key = newKey();
  const made = tokenOf(key, { jti: 'x', views: ['A/*'] });
  const file = join(folder, 'token');
  writeFileSync(file, `${made}\n`);
  const pem = join(folder, 'pem');
  writeFileSync(pem, createPublicKey(key.privateKey).export({ type: 'spki', format: 'pem' }));
  const set = join(folder, 'set');
  writeFileSync(set, jwks(newKey(), key));
  const hex = Buffer.from(key.x, 'base64url').toString('hex');
  for (const by of [['--key', key.x], ['--key', hex], ['--key-file', pem], ['--key-file', set], ['--key', newKey().x, '--key', key.x]]) {
    assert.deepEqual(JSON.parse(await token(['verify', ...by, made])), claimsOf(made));
  }
  assert.deepEqual(JSON.parse(await token(['verify', '--key', key.x], { input: `${made}\n` })), claimsOf(made));
  assert.deepEqual(JSON.parse(await token(['verify', '--key', key.x, '-'], { input: made })), claimsOf(made));
  assert.deepEqual(JSON.parse(await token(['verify', '--key', key.x, '--token-file', file])), claimsOf(made));
  assert.equal(await refused(['verify', made], /--key/), 2);
  assert.equal(await refused(['verify', '--key', key.x, '--token-file', file, made], /not both/), 2);
  const usual = await token(['verify', '--key', key.x, '--issuer', 'i', '--audience', 'b', tokenOf(key, { iss: 'i', aud: ['a', 'b'] })]);
  assert.equal(JSON.parse(usual).iss, 'i');
});

test('verify refuses each broken or forged token with its code', async () => {
  const key = newKey();
  const now = unixNow();
  const text = (head, body) => `${encode(head)}.${encode(body)}`;
  const signedText = (head, body) => `${text(head, body)}.${sign(null, Buffer.from(text(head, body)), key.privateKey).toString('base64url')}`;
  const claims = { sub: 's', exp: now + 600, scope: 'read', iss: 'i', aud: 'a' };
  const good = signedText({ alg: 'EdDSA', kid: key.kid }, claims);
  const body = encode(claims);
  const other = (type, ...options) => generateKeyPairSync(type, ...options).privateKey;
  const by = (head, secret) => `${text(head, claims)}.${createHmac('sha256', secret).update(text(head, claims)).digest('base64url')}`;
  const head = { alg: 'EdDSA', kid: key.kid };
  const signedBy = (privateKey, algorithm = null) => `${text(head, claims)}.${sign(algorithm, Buffer.from(text(head, claims)), privateKey).toString('base64url')}`;
  const of = (more) => signedText(head, { ...claims, ...more });
  const table = [
    [good, null],
    [`${encode({ alg: 'none' })}.${body}.`, 'token-invalid-format'],
    [signedText({ alg: 'none', kid: key.kid }, claims), 'token-invalid-format'],
    [by({ alg: 'HS256', kid: key.kid }, Buffer.from(key.x, 'base64url')), 'token-invalid-format'],
    [by({ alg: 'HS256', kid: key.kid }, key.x), 'token-invalid-format'],
    [by({ alg: 'HS256', kid: key.kid }, createPublicKey(key.privateKey).export({ type: 'spki', format: 'pem' })), 'token-invalid-format'],
    [by(head, key.x), 'token-invalid-format'],
    [signedBy(other('ed448')), 'token-invalid-format'],
    [signedBy(other('ec', { namedCurve: 'P-256' }), 'sha256'), 'token-invalid-format'],
    [`${text(head, claims)}.${sign('sha256', Buffer.from(text(head, claims)), { key: other('ec', { namedCurve: 'P-256' }), dsaEncoding: 'ieee-p1363' }).toString('base64url')}`, 'token-invalid-signature'],
    [signedBy(newKey().privateKey), 'token-invalid-signature'],
    [forged(key, claims), 'token-invalid-signature'],
    [good.slice(0, -1), 'token-invalid-format'],
    [good.split('.').slice(0, 2).join('.'), 'token-invalid-format'],
    [`${good}.e30`, 'token-invalid-format'],
    [`${good}=`, 'token-invalid-format'],
    [good.replace('.', '..'), 'token-invalid-format'],
    [good.replace(/^./, '+'), 'token-invalid-format'],
    [of({ padding: 'x'.repeat(8192) }), 'token-invalid-format'],
    [signedText(head, `{"sub":"s","sub":"root","exp":${now + 600},"scope":"read"}`), 'token-invalid-format'],
    [signedText(`{"alg":"EdDSA","alg":"none","kid":"${key.kid}"}`, claims), 'token-invalid-format'],
    [signedText({ ...head, crit: ['exp'] }, claims), 'token-invalid-format'],
    [signedText(head, { ...claims, exp: String(now + 600) }), 'token-invalid-format'],
    [of({ exp: now - 1 }), 'token-expired'],
    [of({ nbf: now + 600 }), 'token-invalid-format'],
    [of({ iss: 'j' }), 'token-invalid-issuer'],
    [of({ aud: 'b' }), 'token-invalid-audience'],
    [of({ aud: ['b', 'A'] }), 'token-invalid-audience'],
    [of({ sub: undefined }), 'token-missing-claim'],
    [of({ exp: undefined }), 'token-missing-claim'],
    [of({ scope: undefined }), 'token-missing-claim'],
    [of({ iss: undefined }), 'token-missing-claim'],
    [of({ aud: undefined }), 'token-missing-claim'],
    [signedText({ alg: 'EdDSA', kid: '0000000000000000' }, claims), 'token-key-not-found'],
    [tokenOf(newKey(), claims), 'token-key-not-found'],
  ];
  for (const [made, code] of table) {
    const args = ['verify', '--key', key.x, '--issuer', 'i', '--audience', 'a', '--token-file', '-'];
    if (!code) await token(args, { input: made });
    else assert.equal(await refused(args, new RegExp(`^stele: ${code}: `), { input: made }), 1, made.slice(0, 200));
  }
});

test('a token holds from nbf until the second before exp', async () => {
  const key = newKey();
  const made = tokenOf(key, { nbf: 1000, exp: 2000 });
  const at = (time) => ['verify', '--key', key.x, '--at', String(time), made];
  await refused(at(999), /token-invalid-format.*not valid yet/);
  await token(at(1000));
  await token(at(1999));
  await refused(at(2000), /token-expired/);
});

/* ---- revoking ---- */

const key = newKey();
const config = { auth: { mode: 'signed', keys: [key.x] }, exports: { E: {} } };
const admin = tokenOf(key, { sub: 'root', scope: 'admin', jti: 'admin-1' });

const revocations = (server, options = {}) => http(`${server.http}/v1/revocations`, { headers: bearer(admin), ...options });
const revoke = (server, body, more) => revocations(server, { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body), ...more });
const revokedIds = async (server) => (await revocations(server)).json.revocations.map(({ jti }) => jti);
const codeAtTheDoor = async (server, made) => {
  try {
    const client = await Client.open(server, { headers: bearer(made) });
    client.destroy();
    return null;
  } catch (error) {
    return error.headers?.['x-error-code'] ?? String(error);
  }
};

test('a revoked token ends its connections at once, and is refused for good', async (t) => {
  const server = await Server.forTest(t, { config });
  const revoked = tokenOf(key, { jti: 'one' });
  const other = tokenOf(key, { jti: 'two' });
  const unnamed = tokenOf(key);
  const clients = await Promise.all([revoked, revoked, other, unnamed].map((made) => clientFor(t, server, { headers: bearer(made) })));
  const feeder = await clientFor(t, server, { path: '/v1/ingest', headers: bearer(revoked) });
  for (const client of clients) await client.open('E/list');
  const { status, json } = await revoke(server, { jti: 'one', expires_at: claimsOf(revoked).exp });
  assert.equal(status, 200);
  assert.deepEqual(json, { jti: 'one', expires_at: claimsOf(revoked).exp });
  for (const client of clients.slice(0, 2)) {
    const error = await client.expect('error');
    assert.equal(error.code, 'token-expired');
    assert.equal(error.fatal, true);
    const end = await within(client.closed, 'the end of a connection whose token was revoked');
    assert.deepEqual({ code: end.code, reason: end.reason }, { code: 1008, reason: 'token-expired: the token has been revoked' });
  }
  assert.equal((await within(feeder.closed, 'the end of a feeder')).code, 1008);
  for (const client of clients.slice(2)) await client.silence();
  assert.equal(await codeAtTheDoor(server, revoked), 'token-expired');
  assert.equal(await codeAtTheDoor(server, other), null);
  const { json: list } = await revocations(server);
  assert.equal(list.revocations.length, 1);
  const [row] = list.revocations;
  assert.deepEqual({ ...row, revoked_at: 0 }, { jti: 'one', expires_at: claimsOf(revoked).exp, revoked_at: 0 });
  assert.ok(Math.abs(row.revoked_at - unixNow()) < 60);
  await server.kill9(); /* what was acknowledged is on disk */
  await server.restart();
  assert.equal(await codeAtTheDoor(server, revoked), 'token-expired');
  assert.equal(await codeAtTheDoor(server, other), null);
  assert.deepEqual(await revokedIds(server), ['one']);
  assert.match(server.stderr, /revoked/);
  assert.ok(!server.stderr.includes(revoked));
  await server.terminate();
  await check(server.db);
});

test('a fresh token that is revoked does not refresh', async (t) => {
  const server = await Server.forTest(t, { config });
  const client = await clientFor(t, server, { headers: bearer(tokenOf(key, { jti: 'old' })) });
  await revoke(server, { jti: 'fresh' });
  client.send({ type: 'refresh_auth', token: tokenOf(key, { jti: 'fresh' }) });
  assert.deepEqual(await client.next('the answer'), { success: false, error: 'token-expired' });
  /* A connection that went on with another token is no longer of the old one. */
  client.send({ type: 'refresh_auth', token: tokenOf(key, { jti: 'newer' }) });
  assert.equal((await client.next('the answer')).success, true);
  await revoke(server, { jti: 'old' });
  await client.silence();
  await revoke(server, { jti: 'newer' });
  assert.equal((await client.expect('error')).code, 'token-expired');
});

test('who may revoke, and what a request must be', async (t) => {
  const server = await Server.forTest(t, { config });
  const code = ({ status, headers }) => [status, headers['x-error-code']];
  for (const method of ['GET', 'POST']) {
    const body = method === 'POST' ? '{"jti":"x"}' : undefined;
    assert.deepEqual(code(await revocations(server, { method, body, headers: {} })), [401, 'token-missing']);
    assert.deepEqual(code(await revocations(server, { method, body, headers: bearer(tokenOf(key)) })), [403, 'scope-missing']);
  }
  for (const body of ['', '{', '[]', '{}', '"x"', '{"jti":""}', '{"jti":7}', '{"jti":"a\\u0000b"}', '{"jti":"x","until":1}', '{"jti":"x","jti":"y"}',
    '{"jti":"x","expires_at":"1"}', '{"jti":"x","expires_at":0}', '{"jti":"x","expires_at":-1}', '{"jti":"x","expires_at":1.5}', JSON.stringify({ jti: 'x'.repeat(513) })]) {
    assert.deepEqual(code(await revoke(server, body)), [400, 'invalid-message'], body);
  }
  assert.deepEqual(code(await revoke(server, ' '.repeat(20_000))), [413, 'too-large']);
  assert.deepEqual(code(await revocations(server, { method: 'DELETE' })), [405, 'method-not-allowed']);
  assert.deepEqual(await revokedIds(server), []);
  for (const jti of ['a', 'ü "\\', 'x'.repeat(512), 'a']) assert.equal((await revoke(server, { jti, expires_at: null })).status, 200);
  assert.deepEqual((await revokedIds(server)).sort(), ['a', 'x'.repeat(512), 'ü "\\'].sort());
  const head = await revocations(server, { method: 'HEAD' });
  assert.deepEqual([head.status, head.text], [200, '']);
  const open = await Server.forTest(t);
  assert.deepEqual(code(await revocations(open, { method: 'POST', body: '{"jti":"x"}', headers: {} })), [403, 'scope-missing']);
});

test('a revocation is forgotten seven days after its token has run out', async (t) => {
  const server = await Server.forTest(t, { config });
  const day = 24 * 3600;
  for (const jti of ['long ago', 'lately', 'ever']) assert.equal((await revoke(server, { jti })).status, 200);
  await server.kill9();
  for (const [jti, seconds] of [['long ago', 7 * day + 1], ['lately', 7 * day - 600]]) {
    execFileSync('sqlite3', [server.db, `UPDATE revoked_token SET expires_at = ${unixNow() - seconds} WHERE jti = '${jti}'`]);
  }
  await server.restart();
  while ((await revokedIds(server)).length > 2) await new Promise((done) => setTimeout(done, 50));
  assert.deepEqual(await revokedIds(server), ['ever', 'lately']);
});

test('stele token revoke, by a server and without one', async (t) => {
  const folder = scratch(t);
  const db = join(folder, 'stele.db');
  const adminFile = join(folder, 'admin');
  writeFileSync(adminFile, `${admin}\n`);
  await refused(['revoke', '--db', db, 'x'], /no database/);
  const server = await Server.forTest(t, { db, config });
  const made = tokenOf(key, { jti: 'one' });
  const client = await clientFor(t, server, { headers: bearer(made) });
  await refused(['revoke', '--db', db, 'one'], /--url/);
  await refused(['revoke', '--url', server.http, 'one'], /401 token-missing/, { env: { STELE_TOKEN: '' } });
  await refused(['revoke', '--url', server.http, 'one'], /403 scope-missing/, { env: { STELE_TOKEN: made } });
  assert.equal(await codeAtTheDoor(server, made), null);
  assert.equal(await token(['revoke', '--url', `${server.http}/`, '--token-file', adminFile, 'one', 'more']), 'revoked one\nrevoked more');
  assert.equal((await client.expect('error')).code, 'token-expired');
  const piped = tokenOf(key, { jti: 'piped', exp: unixNow() + 500 });
  assert.equal(await token(['revoke', '--url', server.http, '--of', '-'], { input: piped, env: { STELE_TOKEN: admin } }), 'revoked piped');
  assert.equal(await codeAtTheDoor(server, piped), 'token-expired');
  assert.equal((await sql(db, "SELECT expires_at FROM revoked_token WHERE jti = 'piped'"))[0].expires_at, claimsOf(piped).exp);
  await refused(['revoke', '--url', server.http, '--of', '-'], /no jti/, { input: tokenOf(key), env: { STELE_TOKEN: admin } });
  await server.terminate();
  await refused(['revoke', '--url', server.http, '--token-file', adminFile, 'x'], /--db/);
  const offline = tokenOf(key, { jti: 'offline' });
  assert.equal(await token(['revoke', '--db', db, '--expires-at', String(unixNow() + 900), 'offline']), 'revoked offline');
  await check(db);
  await server.restart();
  assert.equal(await codeAtTheDoor(server, offline), 'token-expired');
  assert.equal(await codeAtTheDoor(server, tokenOf(key, { jti: 'another' })), null);
  for (const args of [['revoke', 'x'], ['revoke', '--db', db], ['revoke', '--db', db, '--url', server.http, 'x']]) assert.equal(await refused(args, /--/), 2);
  await refused(['revoke', '--url', 'ftp://x', 'x'], /http/);
});

test('stele token revoke over TLS, by either name of the server', async (t) => {
  const folder = scratch(t);
  const pair = await makePair(folder, 'own');
  const server = await Server.forTest(t, { db: join(folder, 'stele.db'), config: { ...config, ...pair.settings } });
  const env = { STELE_TOKEN: admin };
  await refused(['revoke', '--url', server.http, 'one'], /certificate/i, { env });
  assert.equal(await token(['revoke', '--url', server.http, '--ca', pair.certificate, 'one'], { env }), 'revoked one');
  assert.equal(await token(['revoke', '--url', server.ws, '--ca', pair.certificate, 'two'], { env }), 'revoked two');
  await server.terminate();
  assert.deepEqual((await sql(server.db, 'SELECT jti FROM revoked_token ORDER BY jti')).map(({ jti }) => jti), ['one', 'two']);
});

/* ---- when there is no room ---- */

test('100,000 revocations are kept, and one more only when another has run out', async (t) => {
  const server = await Server.forTest(t, { config });
  await server.terminate();
  const now = unixNow();
  const rows = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) INSERT INTO revoked_token SELECT 't' || i, NULL, ${now * 1000} FROM n`;
  execFileSync('sqlite3', [server.db, rows]);
  await refused(['revoke', '--db', server.db, 'more'], /100000 tokens are revoked/);
  assert.equal(await token(['revoke', '--db', server.db, 't5']), 'revoked t5');
  await server.restart();
  assert.equal(await codeAtTheDoor(server, tokenOf(key, { jti: 't77777' })), 'token-expired');
  assert.equal(await codeAtTheDoor(server, tokenOf(key, { jti: 't100001' })), null);
  const full = await revoke(server, { jti: 'more' });
  assert.deepEqual([full.status, full.json.code], [503, 'queue-full']);
  assert.equal(await codeAtTheDoor(server, tokenOf(key, { jti: 'more' })), null);
  assert.equal((await revoke(server, { jti: 't5' })).status, 200);
  assert.equal((await revokedIds(server)).length, 100_000);
  assert.match((await http(`${server.healthUrl}/metrics`, { headers: bearer(admin) })).text, /^stele_revoked_tokens 100000$/m);
  await server.terminate();
  execFileSync('sqlite3', [server.db, `UPDATE revoked_token SET expires_at = ${now - 1} WHERE jti = 't5'`]);
  await server.restart();
  assert.equal((await revoke(server, { jti: 'more' })).status, 200);
  assert.equal((await revoke(server, { jti: 'and another' })).status, 503);
  assert.equal(await codeAtTheDoor(server, tokenOf(key, { jti: 'more' })), 'token-expired');
  await server.terminate();
  await check(server.db);
});

test('on a full disk a token is refused at once, and kept when it is asked for again', async (t) => {
  let server;
  const folder = smallDisk(t, 24, () => server?.discard());
  if (!folder) return;
  server = await Server.start({ db: join(folder, 'stele.db'), config });
  fillDisk(folder, 4);
  const feeder = bearer(tokenOf(key, { jti: 'feeder' }));
  const client = await clientFor(t, server, { headers: bearer(tokenOf(key, { jti: 'one' })) });
  const filling = (i) => Array.from({ length: 20 }, (_, j) => ({ export: 'E', key: `k${i}-${j}`, patch: { pad: 'x'.repeat(2000) } }));
  let status = 200;
  for (let i = 0; i < 500 && status === 200; i++) ({ status } = await tryPost(server, filling(i), feeder));
  assert.equal(status, 503, 'the disk never became full');
  const answer = await revoke(server, { jti: 'one' });
  assert.deepEqual([answer.status, answer.json.code], [503, 'disk-full']);
  assert.match(answer.json.message, /refused until the server stops/);
  assert.equal((await client.expect('error')).code, 'token-expired');
  assert.equal(await codeAtTheDoor(server, tokenOf(key, { jti: 'one' })), 'token-expired');
  assert.deepEqual(await revokedIds(server), []);
  rmSync(join(folder, 'filler'));
  const until = Date.now() + patience(30_000);
  for (;;) {
    const again = await revoke(server, { jti: 'one' });
    if (again.status === 200) break;
    assert.ok(Date.now() < until, `still ${again.status} ${again.text}`);
    await new Promise((done) => setTimeout(done, 100));
  }
  await server.kill9();
  await server.restart();
  assert.equal(await codeAtTheDoor(server, tokenOf(key, { jti: 'one' })), 'token-expired');
  assert.deepEqual(await revokedIds(server), ['one']);
});
