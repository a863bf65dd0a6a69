// The published client for Python, in a process of its own: foreign/named_sdk.py.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { within } from './server.js';

const HERE = dirname(dirname(fileURLToPath(import.meta.url)));
export const PYTHON = join(HERE, 'node_modules/.python/bin/python');
/** Why it cannot run; false: it can. */
export const missing = existsSync(join(HERE, 'node_modules/.python/.installed')) ? false : 'arete-sdk is not installed; tests/clients/run.sh --install does it where there is python3 with venv';

export class PythonSdk {
  /** Or another program that speaks the same lines. */
  static start(t, program = PYTHON, args = ['-I', join(HERE, 'foreign/named_sdk.py')]) {
    const sdk = new PythonSdk();
    sdk.child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    t.after(() => sdk.child.kill('SIGKILL'));
    sdk.told = [];
    sdk.stderr = '';
    sdk.pending = new Map();
    sdk.waiting = new Set();
    sdk.child.stderr.on('data', (text) => (sdk.stderr += text));
    createInterface({ input: sdk.child.stdout }).on('line', (line) => {
      const message = JSON.parse(line);
      if ('id' in message) sdk.pending.get(message.id)(message);
      else sdk.told.push(message);
      for (const check of sdk.waiting) check();
    });
    return sdk;
  }

  ask(what, more = {}) {
    const id = this.pending.size + 1;
    const answer = new Promise((done) => this.pending.set(id, done));
    this.child.stdin.write(`${JSON.stringify({ id, do: what, ...more })}\n`);
    return within(answer, () => `the client's answer to ${what} ${JSON.stringify(more)}: ${this.stderr}`);
  }

  async do(what, more) {
    const { result, error } = await this.ask(what, more);
    if (error) throw Object.assign(new Error(`${what}: ${JSON.stringify(error)}`), { told: error });
    return result;
  }

  of(name) {
    return this.told.filter((each) => each.watch === name);
  }

  until(holds, what) {
    let check;
    const found = new Promise((done) => {
      check = () => {
        const value = holds();
        if (value) done(value);
      };
    });
    this.waiting.add(check);
    check();
    return within(found, () => `${what ?? holds}; told ${JSON.stringify(this.told.slice(-8))} ${this.stderr}`).finally(() => this.waiting.delete(check));
  }
}
