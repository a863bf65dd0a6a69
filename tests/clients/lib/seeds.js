// Tests by seed: as many as the environment says, a few at a time, each in a run of its own.

import assert from 'node:assert/strict';
import { scratch } from './server.js';

const number = (name, otherwise) => Number(process.env[name] ?? otherwise);

/** What the environment asks for, given how many seeds are enough every day. */
export const seedsOf = (usual) => ({
  seeds: number('STELE_SEEDS', usual),
  first: number('STELE_SEED', 1),
  jobs: number('STELE_JOBS', 2),
  failures: number('STELE_FAILURES', 3) /* stop after so many */,
});

/** Listeners of a name that STELE_WITHOUT is part of are left out. */
export const wanted = (listeners) => {
  const without = process.env.STELE_WITHOUT ? new RegExp(process.env.STELE_WITHOUT) : null;
  return without ? listeners.filter(({ name }) => !without.test(name)) : listeners;
};

/**
 * Play all seeds. `make(seed, folder)` gives a run: play(), and then listeners and server. What they
 * counted (cuts, and the names in `counted`) is told in the end; a failure names its seed and how to
 * see it again.
 */
export async function playSeeds(t, { seeds, first, jobs, failures: most }, file, make, counted = []) {
  const folder = scratch(t);
  const failures = [];
  const sums = Object.fromEntries(['cuts', ...counted].map((name) => [name, 0]));
  let next = first;
  let done = 0;
  const began = Date.now();
  const worker = async () => {
    while (next < first + seeds && failures.length < most) {
      const seed = next++;
      const run = make(seed, folder);
      try {
        await run.play();
        for (const listener of run.listeners) {
          for (const name of ['cuts', ...counted]) sums[name] += listener[name] ?? 0;
          if (listener.protocol) sums[`messages of ${listener.protocol}`] = (sums[`messages of ${listener.protocol}`] ?? 0) + listener.messages;
        }
      } catch (error) {
        const { server } = run;
        const state = server?.running ? 'runs' : `ended with ${server?.child.signalCode ?? server?.child.exitCode}`;
        failures.push(`seed ${seed}: ${error.stack ?? error}\nthe server ${state}; its last lines:\n${server?.stderr.slice(-1500)}`);
      } finally {
        await run.server?.discard();
      }
      done++;
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  const told = Object.entries(sums).map(([name, sum]) => `${sum} ${name}`).join(', ');
  t.diagnostic(`${done} seeds, ${told}, ${((Date.now() - began) / 1000).toFixed(1)} s`);
  assert.equal(failures.length, 0, `\n${failures.join('\n\n')}\n\nto see one again: STELE_SEED=<seed> STELE_SEEDS=1 node --test ${file}`);
}
