// The ordinary requests with Node's fetch, and with http where fetch cannot. Arguments: main port's URL,
// health port's URL. A line for each answer: name, status, body.

import { Agent, request } from 'node:http';
import { gzipSync } from 'node:zlib';

const [main, health] = process.argv.slice(2);
const say = (name, status, body) => console.log(`${name}\t${status}\t${body.replace(/\s+/g, ' ')}`);
const mutation = (key, pad) => `{"export":"E","key":"${key}","patch":{"pad":"${'x'.repeat(pad)}"}}\n`;
const post = `${main}/v1/mutations`;

async function send(name, url, options) {
  const answer = await fetch(url, options);
  say(name, answer.status, await answer.text());
}

for (const path of ['health', 'ready', 'ready/write', 'metrics']) await send(path, `${health}/${path}`);
await send('views', `${main}/v1/views`);
await send('length', post, { method: 'POST', body: mutation('length', 10) });
await send('chunked', post, { method: 'POST', body: new Blob([mutation('chunked', 100_000)]).stream(), duplex: 'half' });
await send('gzip', post, { method: 'POST', body: gzipSync(mutation('gzip', 50_000)), headers: { 'content-encoding': 'gzip' } });
await send('rows', `${main}/v1/views/E/list`);
await send('head', `${main}/v1/views`, { method: 'HEAD' });
await send('options', `${main}/v1/views`, { method: 'OPTIONS' });
await send('missing', `${main}/nothing/here`);
await send('bad', post, { method: 'POST', body: 'no JSON' });
await send('empty', post, { method: 'POST' });

const agent = new Agent({ keepAlive: true, maxSockets: 1 });
const ask = (name, path, { body, method = 'GET', headers = {} } = {}) =>
  new Promise((done, fail) => {
    const asked = request(main + path, { method, headers, agent }, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('end', () => {
        say(name, answer.statusCode, Buffer.concat(parts).toString());
        done();
      });
    });
    let answered = false;
    asked.on('response', () => (answered = true));
    asked.on('error', (error) => answered || fail(error)); /* what was too large need not be read */
    if (headers.expect) asked.on('continue', () => asked.end(body));
    else asked.end(body);
  });
await ask('length-0', '/v1/views', { headers: { 'content-length': 0 } });
for (let i = 0; i < 50; i++) await ask('again', '/v1/views');
await ask('expect', '/v1/mutations', { method: 'POST', body: mutation('expect', 2000), headers: { expect: '100-continue' } });
await ask('too-large', '/v1/mutations', { method: 'POST', body: mutation('large', 3_000_000) });
agent.destroy();
