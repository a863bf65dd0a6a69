// Messages of the server: from bytes to frames, in their order, whatever of them is compressed.

import { isObject } from './merge.js';
import { SteleError } from './types.js';
import type { Sort } from './order.js';

export interface Frame {
  type?: string;
  op?: 'subscribed' | 'unsubscribed' | 'snapshot' | 'upsert' | 'patch' | 'remove' | 'delete';
  subscriptionId?: string | null;
  /* subscribed */
  mode?: string;
  sort?: Sort;
  sorts?: Sort[];
  epoch?: string; /* also of a snapshot that begins another */
  resumed?: boolean;
  replayWindow?: { epoch: string };
  /* snapshot; `data` is a list */
  snapshotId?: string;
  authoritative?: boolean;
  complete?: boolean;
  more?: boolean;
  /* live */
  key?: string;
  data?: any;
  append?: string[];
  seq?: string;
  offset?: number;
  /* errors, answers */
  code?: string;
  message?: string;
  retryable?: boolean;
  retryAfter?: number;
  fatal?: boolean;
  success?: boolean;
  error?: string;
  expiresAt?: number;
}

/** No message is longer than this when it is inflated; the server's are far shorter. */
const LONGEST = 256 << 20;

async function textOf(data: string | ArrayBuffer): Promise<string> {
  if (typeof data === 'string') return data;
  const bytes = new Uint8Array(data);
  const decoder = new TextDecoder();
  if (bytes[0] !== 0x1f) return decoder.decode(bytes);
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip')).getReader();
  let text = '';
  for (let length = 0; length <= LONGEST; ) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    length += value.length;
    text += decoder.decode(value, { stream: true });
  }
  void reader.cancel();
  throw new Error('too long');
}

/** Takes messages; gives frames to `take`, one after the other. What cannot be read goes to `fail`. */
export function decoder(take: (frame: Frame) => void, fail: (error: SteleError) => void): (data: string | ArrayBuffer) => void {
  let last = Promise.resolve();
  return (data) => {
    last = last.then(async () => {
      try {
        const frame = JSON.parse(await textOf(data));
        if (!isObject(frame)) throw new Error('no object');
        take(frame);
      } catch (error) {
        fail(new SteleError('bad-message', String(error)));
      }
    });
  };
}

/** The same object, if nothing is other. */
export const withChange = <S extends object>(old: S, change: Partial<S>): S =>
  Object.entries(change).every(([name, value]) => old[name as keyof S] === value) ? old : { ...old, ...change };

/** Tell all of them; what one of them throws is none of the others'. */
export function tell<A extends unknown[]>(listeners: Iterable<(...args: A) => void>, ...args: A): void {
  for (const listener of listeners) {
    try {
      listener(...args);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}

export const errorOf = (frame: Frame): SteleError =>
  new SteleError((frame.code ?? frame.error)!, frame.message, frame.retryable, frame.retryAfter);

/** Why the server ended a connection: it says "<code>: <message>". */
export function errorOfClose(code: number, reason: string): SteleError {
  const [, said = 'connection-lost', message = `code ${code}`] = /^([a-z\d-]+): (.*)/s.exec(reason) ?? [];
  return new SteleError(said, message);
}
