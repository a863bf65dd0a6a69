// Certificates for the tests, made by the openssl program as an operator would.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './server.js';

const KINDS = { ec: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'], rsa: ['-newkey', 'rsa:2048'], ed25519: ['-newkey', 'ed25519'], short: ['-newkey', 'rsa:1024'], bitcoin: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:secp256k1'] };

async function openssl(...args) {
  const { code, stderr } = await run(args, { program: 'openssl' });
  if (code !== 0) throw new Error(`openssl ${args.join(' ')}: ${stderr}`);
}

/** A certificate that signed itself: {certificate, key (files), pem (text), settings}. `days` it lasts; `extensions` are
 * more of openssl's. */
export async function makePair(folder, name, { kind = 'ec', days = 30, names = ['DNS:localhost', 'IP:127.0.0.1'], extensions = [] } = {}) {
  const certificate = join(folder, `${name}.pem`);
  const key = join(folder, `${name}.key`);
  await openssl(
    'req', '-x509', ...KINDS[kind], '-nodes', '-keyout', key, '-out', certificate, '-days', String(days),
    '-subj', `/CN=${name}`, '-addext', `subjectAltName=${names.join(',')}`, ...extensions.flatMap((each) => ['-addext', each]),
  );
  return { certificate, key, pem: readFileSync(certificate, 'utf8'), settings: { tls_certificate: certificate, tls_key: key } };
}

/** One that an authority of its own signed, with another between them: {…, pem of the authority}. */
export async function makeChain(folder, name) {
  const file = (part) => join(folder, `${name}-${part}`);
  const extensions = (part, text) => {
    writeFileSync(file(`${part}.ext`), text);
    return file(`${part}.ext`);
  };
  const sign = async (part, issuer, text) => {
    await openssl('req', '-new', ...KINDS.ec, '-nodes', '-keyout', file(`${part}.key`), '-out', file(`${part}.csr`), '-subj', `/CN=${name} ${part}`);
    await openssl(
      'x509', '-req', '-in', file(`${part}.csr`), '-CA', file(`${issuer}.pem`), '-CAkey', file(`${issuer}.key`), '-CAcreateserial',
      '-days', '30', '-out', file(`${part}.pem`), '-extfile', extensions(part, text),
    );
  };
  await openssl('req', '-x509', ...KINDS.ec, '-nodes', '-keyout', file('root.key'), '-out', file('root.pem'), '-days', '30', '-subj', `/CN=${name} root`);
  await sign('middle', 'root', 'basicConstraints=critical,CA:TRUE\n');
  await sign('own', 'middle', 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
  const certificate = file('full.pem');
  writeFileSync(certificate, readFileSync(file('own.pem'), 'utf8') + readFileSync(file('middle.pem'), 'utf8'));
  return { certificate, key: file('own.key'), pem: readFileSync(file('root.pem'), 'utf8'), authority: file('root.pem'), settings: { tls_certificate: certificate, tls_key: file('own.key') } };
}
