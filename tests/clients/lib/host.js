// A C program that embeds the library (tests/embed/host.c), driven line by line.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { BINARY, within } from './server.js';

export const HOST = join(dirname(BINARY), 'embed/host');

export class Host {
  /** Open a store in a host program that ends with the test. options: db, config (object), listen. */
  static async forTest(t, { db, config, listen = '127.0.0.1:0' }) {
    const args = [db, listen];
    if (config) {
      writeFileSync(`${db}.config.json`, JSON.stringify(config));
      args.push(`${db}.config.json`);
    }
    const host = new Host(spawn(HOST, args, { stdio: ['pipe', 'pipe', 'inherit'] }));
    t.after(() => host.child.kill('SIGKILL'));
    const [ready] = await host.#until('ready', 'error');
    if (ready[0] !== 'ready') throw new Error(ready.join(' '));
    host.http = `http://${ready[1]}`;
    return host;
  }

  constructor(child) {
    this.child = child;
    this.ended = once(child, 'exit');
    this.lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  /** All lines up to one that begins with any of these words, split. */
  async #until(...words) {
    const all = [];
    for (;;) {
      const { value, done } = await within(this.lines.next(), `${words.join(' or ')} of the host program`, 60_000);
      if (done) throw new Error(`the host program ended: ${JSON.stringify(all)}`);
      all.push(value.split('\t'));
      if (words.includes(all.at(-1)[0])) return all;
    }
  }

  async #ask(words, answer) {
    this.child.stdin.write(`${words.map((word) => word ?? '-').join('\t')}\n`);
    const all = await this.#until(answer, 'error');
    const [word, code, message] = all.at(-1);
    if (word === 'error') throw Object.assign(new Error(`${code}: ${message}`), { code });
    return all;
  }

  /** stele_query_view: {rows: [{key, seq, text}], seq, epoch}. */
  async query(view, { key, filters, skip, take } = {}) {
    const all = await this.#ask(['query', view, key, filters && JSON.stringify(filters), skip, take], 'end');
    const [, count, seq, epoch] = all.pop();
    if (Number(count) !== all.length) throw new Error(`${count} rows are ${all.length}`);
    return { rows: all.map(([, name, at, text]) => ({ key: name, seq: at, text })), seq, epoch };
  }

  async apply(mutation) {
    const [[, applied, seq]] = await this.#ask(['apply', JSON.stringify(mutation)], 'applied');
    return { applied: Number(applied), seq };
  }

  async close() {
    this.child.stdin.end();
    const [code] = await within(this.ended, 'the end of the host program');
    if (code !== 0) throw new Error(`the host program ended with ${code}`);
  }
}
