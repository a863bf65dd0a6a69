// Runs test files, each in a process of its own and some at a time: node --test does the same, but
// goes by the alphabet. Arguments: how many at a time, the reporter, the files.
import { basename, resolve } from 'node:path';
import { run } from 'node:test';
import * as reporters from 'node:test/reporters';

/* What takes longest begins first: else it is what all others have ended before. */
const LONGEST = ['languages', 'convergence', 'two_subscriptions', 'windows', 'cursor', 'usage', 'tls', 'fairness', 'backup', 'file', 'feed', 'drift',
  'window_rules', 'wal', 'browser', 'auth_keys', 'evict', 'disk', 'nginx', 'shared_store', 'slow', 'rows', 'crash'];
const place = (file) => {
  const at = LONGEST.indexOf(basename(file, '.test.js'));
  return at < 0 ? LONGEST.length : at;
};

const [atOnce, reporter, ...names] = process.argv.slice(2);
const files = names.map((name) => resolve(name)).sort((a, b) => place(a) - place(b));
const tests = run({ files, concurrency: Number(atOnce) });
tests.on('test:fail', ({ todo }) => {
  if (todo === undefined || todo === false) process.exitCode = 1;
});
const { [reporter]: Reporter } = reporters;
tests.compose(reporter === 'spec' ? new Reporter() : Reporter).pipe(process.stdout);
