// Views that nobody used for long are forgotten.

import type { CarefulStorage } from './storage.js';
import type { Options } from './types.js';

const DAY_MS = 86_400_000;

/** `index` is the key of when each view was used last. Those that are in use now stay. */
export async function prune(storage: CarefulStorage, index: string, isUsed: (id: string) => boolean, { keepDays = 30, maxKeptViews = 50 }: Options): Promise<void> {
  let gone: string[] = [];
  await storage.update(index, (old) => {
    const used = Object.entries((old ?? {}) as Record<string, number>).sort(([, a], [, b]) => b - a);
    const stays = ([id, at]: [string, number], i: number): boolean => isUsed(id) || (i < maxKeptViews && at > Date.now() - keepDays * DAY_MS);
    gone = used.filter((entry, i) => !stays(entry, i)).map(([id]) => id);
    return Object.fromEntries(used.filter(stays));
  });
  for (const id of gone) await storage.delete(id);
}

/** Forget all of them. */
export async function forget(storage: CarefulStorage, index: string): Promise<void> {
  const kept = Object.keys(((await storage.get(index)) ?? {}) as object);
  for (const id of [...kept, index]) await storage.delete(id);
}
