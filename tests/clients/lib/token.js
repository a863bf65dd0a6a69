// Tokens and keys made without stele: Node's crypto, and JSON written by hand.

import { createPublicKey, generateKeyPairSync, sign } from 'node:crypto';

const base64url = (value) => Buffer.from(value).toString('base64url');
export const unixNow = () => Math.floor(Date.now() / 1000);

/** An Ed25519 key pair: {privateKey, x (base64url), kid (the first 16 hex digits of the public key)}. */
export function newKey() {
  const { privateKey } = generateKeyPairSync('ed25519');
  const { x } = createPublicKey(privateKey).export({ format: 'jwk' });
  return { privateKey, x, kid: Buffer.from(x, 'base64url').toString('hex').slice(0, 16) };
}

/** As an issuer publishes it. */
export const jwks = (...keys) => JSON.stringify({ keys: keys.map(({ x, kid }) => ({ kty: 'OKP', crv: 'Ed25519', use: 'sig', alg: 'EdDSA', x, kid })) });

/** A signed token. What is in `claims` replaces the usual ones; undefined leaves one out. */
export function tokenOf(key, claims = {}, header = {}) {
  const now = unixNow();
  const head = base64url(JSON.stringify({ alg: 'EdDSA', typ: 'JWT', kid: key.kid, ...header }));
  const body = base64url(JSON.stringify({ sub: 'user', iat: now, exp: now + 3600, scope: 'read write', ...claims }));
  const signature = sign(null, Buffer.from(`${head}.${body}`), key.privateKey).toString('base64url');
  return `${head}.${body}.${signature}`;
}

/** A token whose signature is of another one. */
export function forged(key, claims) {
  const [head, body] = tokenOf(key, claims).split('.');
  return `${head}.${body}.${tokenOf(key, { ...claims, sub: 'other' }).split('.')[2]}`;
}

export const bearer = (token) => ({ Authorization: `Bearer ${token}` });
