// For Node: rows, cursors and batches are kept in a folder.

import { mkdirSync } from 'node:fs';
import { open, readFile, rename, rm } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Storage } from './types.js';

/**
 * Keeps each value in a file of its own. One process at a time may use the folder: updates exclude each other within a
 * process only.
 */
export function fileStorage(folder: string): Storage {
  mkdirSync(folder, { recursive: true });
  const fileOf = (key: string): string => join(folder, `${createHash('sha256').update(key).digest('hex').slice(0, 32)}.json`);
  let last: Promise<unknown> = Promise.resolve();

  const get = async (key: string): Promise<unknown> => {
    try {
      return JSON.parse(await readFile(fileOf(key), 'utf8'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  };

  /** The file is whole at any time: the new one takes the old one's name when it is on disk. */
  const put = async (key: string, value: unknown): Promise<void> => {
    const file = fileOf(key);
    const handle = await open(`${file}.new`, 'w');
    try {
      await handle.writeFile(JSON.stringify(value));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(`${file}.new`, file);
    const directory = await open(folder, 'r');
    await directory.sync().finally(() => directory.close());
  };

  const inTurn = <R>(act: () => Promise<R>): Promise<R> => {
    const turn = last.then(act);
    last = turn.catch(() => {});
    return turn;
  };

  return {
    get: (key) => inTurn(() => get(key)),
    update: (key, change) =>
      inTurn(async () => {
        const value = change(await get(key));
        await put(key, value);
        return value;
      }),
    delete: (key) => inTurn(() => rm(fileOf(key), { force: true })),
  };
}

interface Refusal {
  statusCode: number;
  headers: Record<string, string | undefined>;
}

/** The class of the package "ws", which then also says with which code a server refused the handshake. */
export function tellingWebSocket<C extends new (...args: any[]) => any>(WebSocket: C): C {
  return class extends WebSocket {
    constructor(...args: any[]) {
      super(...args);
      this.on('unexpected-response', (request: { destroy(): void }, { statusCode, headers }: Refusal) => {
        request.destroy();
        this.onclose?.({ code: 1006, reason: `${headers['x-error-code'] ?? `http-${statusCode}`}: the server refused the connection` });
        this.terminate();
      });
    }
  };
}
