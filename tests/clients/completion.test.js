// What `stele completion` prints, tried in the shells themselves: every command and every option of it
// is completed, and what an option takes.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { BINARY, run, scratch } from './lib/server.js';

const help = async (...command) => (await run([...command, '--help'])).stdout;
const names = (text) => [...text.matchAll(/^ {2}([a-z]+) {2,}\S/gm)].map((match) => match[1]);
const options = (text) => [...text.matchAll(/^ {2}(--[a-z-]+)/gm)].map((match) => match[1]);

/** Every command that has options of its own, as words: [['serve'], …, ['token', 'sign'], …]. */
async function commands() {
  const all = [];
  for (const name of names(await help())) {
    const text = await help(name);
    const parts = /^commands:$/m.test(text) ? names(text) : [];
    all.push(...(parts.length ? parts.map((part) => [name, part]) : [[name]]));
  }
  assert.ok(all.length > 8, JSON.stringify(all));
  return all;
}

/** The words that bash would offer for the last of `words`. */
async function bash(...words) {
  const quoted = words.map((word) => `'${word}'`).join(' ');
  const script = `source <('${BINARY}' completion bash); COMP_WORDS=(stele ${quoted}); COMP_CWORD=${words.length}; _stele; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { code, stdout, stderr } = await run(['--norc', '-c', script], { program: 'bash' });
  assert.equal(code, 0, stderr);
  assert.equal(stderr, '');
  return stdout.split('\n').filter(Boolean);
}

test('bash completes commands, options and their values', async (t) => {
  assert.deepEqual(await bash('ser'), ['serve']);
  assert.deepEqual(await bash('token', 'ke'), ['keygen']);
  assert.deepEqual((await bash('')).sort(), names(await help()).sort());
  for (const words of await commands()) {
    const wanted = [...options(await help(...words)), '--help'].sort();
    assert.deepEqual((await bash(...words, '--')).sort(), wanted, words.join(' '));
  }
  assert.deepEqual(await bash('serve', '--synchronous', ''), ['full', 'normal', 'off']);
  assert.deepEqual(await bash('serve', '--listen', '1'), []);
  const folder = scratch(t);
  writeFileSync(join(folder, 'some.json'), '');
  assert.deepEqual(await bash('serve', '--config', join(folder, 'so')), [join(folder, 'some.json')]);
  assert.deepEqual(await bash('ingest', join(folder, 'so')), [join(folder, 'some.json')]);
});

for (const shell of ['zsh', 'fish']) {
  test(`${shell} takes its script, which names every option`, async (t) => {
    const { code, stdout } = await run(['completion', shell]);
    assert.equal(code, 0);
    for (const words of await commands())
      for (const option of options(await help(...words)))
        assert.ok(stdout.includes(shell === 'zsh' ? option : ` -l ${option.slice(2)} `), `${words.join(' ')} ${option}`);
    const file = join(scratch(t), 'script');
    writeFileSync(file, stdout);
    const checked = await run(['-n', file], { program: shell }).catch(() => null);
    if (!checked) return t.skip(`${shell} is not installed`);
    assert.equal(checked.code, 0, checked.stderr);
  });
}

test('another shell is refused', async () => {
  const { code, stderr } = await run(['completion', 'csh']);
  assert.equal(code, 2);
  assert.match(stderr, /bash, zsh and fish, not for "csh"/);
});
