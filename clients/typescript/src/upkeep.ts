// Views that nobody used for long are forgotten.

import { INDEX, type CarefulStorage } from './storage.js';
import type { Options } from './types.js';
import type { View } from './view.js';

const DAY_MS = 86_400_000;

/** Those that are in use now stay. */
export async function prune(storage: CarefulStorage, inUse: ReadonlyMap<string, View>, { keepDays = 30, maxKeptViews = 50 }: Options): Promise<void> {
  let gone: string[] = [];
  await storage.update(INDEX, (old) => {
    const used = Object.entries((old ?? {}) as Record<string, number>).sort(([, a], [, b]) => b - a);
    const stays = ([id, at]: [string, number], i: number): boolean => inUse.has(id) || (i < maxKeptViews && at > Date.now() - keepDays * DAY_MS);
    gone = used.filter((entry, i) => !stays(entry, i)).map(([id]) => id);
    return Object.fromEntries(used.filter(stays));
  });
  for (const id of gone) await storage.delete(id);
}

/** Forget all of them, also those that are in use. */
export async function forget(storage: CarefulStorage, inUse: ReadonlyMap<View, unknown>): Promise<void> {
  await Promise.all([...inUse.keys()].map((view) => view.forget()));
  const kept = Object.keys(((await storage.get(INDEX)) ?? {}) as object);
  for (const id of [...kept, INDEX]) await storage.delete(id);
}
