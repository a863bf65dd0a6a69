// Where rows, cursors and unacknowledged batches are kept: IndexedDB, and memory where there is none or it fails.

import { after } from './backoff.js';
import { SteleError, type Storage } from './types.js';

/** Longer a page does not wait for a database that does not open. */
const PATIENCE_MS = 3000;
const STORE = 'kept';

/** The key of what `apply` keeps. */
export const FEED = 'feed';

/** The key of when each view was used last. */
export const INDEX = 'views';

function indexedStorage(name: string): Storage {
  const opened = new Promise<IDBDatabase>((done, fail) => {
    const request = indexedDB.open(name, 1);
    after(PATIENCE_MS, () => fail(new Error('it does not open')));
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onerror = () => fail(request.error);
    request.onsuccess = () => {
      const database = request.result;
      database.onversionchange = () => database.close(); /* somebody wants to delete it */
      done(database);
    };
  });
  opened.catch(() => {}); /* whoever asks is told */

  /** One transaction: resolves with what `act` gives, when all of it is on disk; or at once, when `act` says done. */
  const run = async <R>(
    mode: IDBTransactionMode, durability: IDBTransactionDurability, act: (store: IDBObjectStore, give: (value: R) => void, done: (value: R) => void) => void,
  ): Promise<R> => {
    const transaction = (await opened).transaction(STORE, mode, { durability });
    return new Promise((done, fail) => {
      let given: R;
      transaction.oncomplete = () => done(given);
      transaction.onabort = () => fail(transaction.error);
      act(transaction.objectStore(STORE), (value) => (given = value), done);
    });
  };

  return {
    get: (key) =>
      run('readonly', 'default', (store, _, done) => {
        const request = store.get(key);
        request.onsuccess = () => done(request.result);
      }),
    /* A number that the disk forgets would be given to another batch; rows that it forgets come again. */
    update: (key, change) =>
      run('readwrite', key === FEED ? 'strict' : 'relaxed', (store, give) => {
        const request = store.get(key);
        request.onsuccess = () => {
          const value = change(request.result);
          store.put(value, key); /* what it throws aborts the transaction */
          give(value);
        };
      }),
    delete: (key) => run('readwrite', 'relaxed', (store) => store.delete(key)),
  };
}

export interface CarefulStorage extends Storage {
  isDurable(): boolean;
  /** Why what is kept now does not outlive the page. */
  failure(): SteleError | null;
}

/** The wished one, until it fails; from then on memory, in front of what can still be read. */
export function makeStorage(wish: 'auto' | 'memory' | Storage, name: string, onFailure: () => void): CarefulStorage {
  /* Merely to read that member is forbidden in some frames. */
  const wished = wish === 'auto' ? 'indexedDB' in globalThis && indexedStorage(name) : wish !== 'memory' && wish;
  const memory = new Map<string, unknown>(); /* what is undefined here is gone */
  let failure: SteleError | null = null;
  const isDurable = (): boolean => !!wished && !failure;

  /** What the wished one gives; undefined when it fails. */
  const careful = async <V>(act: (wished: Storage) => Promise<V>): Promise<V | undefined> => {
    try {
      return wished ? await act(wished) : undefined;
    } catch (error) {
      failure ??= new SteleError('storage-failed', `rows are not kept: ${error}`, false);
      onFailure();
      return undefined;
    }
  };
  const get = async (key: string): Promise<unknown> => (memory.has(key) ? memory.get(key) : careful((it) => it.get(key)));

  return {
    isDurable,
    failure: () => failure,
    get,
    async update(key, change) {
      /* It may be kept although another one failed meanwhile. */
      const kept = isDurable() && (await careful(async (it) => [await it.update(key, change)] as const));
      if (kept) return kept[0];
      const old = await get(key);
      /* Another update may have come meanwhile. */
      const value = change(memory.has(key) ? memory.get(key) : old);
      memory.set(key, value);
      return value;
    },
    async delete(key) {
      memory.set(key, undefined);
      await careful((it) => it.delete(key));
      if (isDurable()) memory.delete(key);
    },
  };
}
