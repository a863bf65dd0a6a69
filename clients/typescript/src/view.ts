// One view as this client holds it.
//
// What is held follows the frames. What is shown is a state that the server had: it is replaced, once, where the frames
// have brought what is held to such a state. That is so
//   - behind the last batch of a snapshot that has a cursor. A snapshot without one is followed by changes that belong to
//     it, and then by an empty one with a cursor;
//   - behind a live frame with a new cursor. The frames of one change of a window carry the old one, but for the last.
// Servers that tell no epoch tell no cursor in batches; there the last batch is enough. Where a cursor fails to come, a
// short silence stands for it.
//
// A snapshot that replaces the rows without being asked for is of other row_scopes, and names the epoch of what follows.

import { after } from './backoff.js';
import { merge } from './merge.js';
import { comparator, type Sort } from './order.js';
import { canonical } from './query.js';
import { SteleError, type Query, type Row, type Storage, type TapeEvent, type ViewState, type ViewStatus } from './types.js';
import { tell, withChange, type Frame } from './wire.js';

const SILENCE_MS = 50;
const KEPT_EVENTS = 1000;
/** How long a change waits until it is kept. */
const KEEP_MS = 1000;

interface Held {
  key: string;
  data: Record<string, unknown>;
  version: string | undefined;
}

interface Staged {
  id: string | undefined;
  replaces: boolean;
  /** In their order; without data: the key goes. */
  rows: (Held | { key: string; data: undefined })[];
}

/** The last frame that counted, and the epoch under which it came. */
interface Cursor {
  after?: string | undefined;
  epoch?: string | undefined;
}

/** What is kept of a view, in one piece: its rows, and the cursor that they are of. */
interface Kept {
  rows: Held[];
  events: readonly TapeEvent<any>[];
  cursor: Cursor;
  sorts: Sort[];
  more: boolean | undefined;
}

/** What a view needs of its client. */
export interface Home {
  /** Send what changed: subscribe or unsubscribe. */
  open(view: View<any>): void;
  close(view: View<any>): void;
  readonly storage: Storage;
  readonly maxRows: number;
  readonly maxKeptRows: number;
  readonly lingerMs: number;
}

export type Listener<T> = (state: ViewState<T>, changed: ReadonlySet<string>) => void;

/** "<epoch>:<n>"; without a version, or of another epoch, it is newer. */
const isNewer = (version = '', held = ''): boolean => {
  const [epoch, count] = version.split(':');
  const [heldEpoch, heldCount] = held.split(':');
  return epoch !== heldEpoch || !(Number(count) <= Number(heldCount));
};

export class View<T = any> {
  state: ViewState<T> = { status: 'loading', rows: [], keys: [], events: [], error: null };
  /** Resolves when what was kept is shown. */
  readonly loaded: Promise<void>;

  #cursor: Cursor = {};
  #held = new Map<string, Held>();
  #events: readonly TapeEvent<any>[] = [];
  /* What is shown: the rows in their order, and the cursor that they are of. */
  #order: Held[] = [];
  #index: Map<string, Held> | undefined;
  #shownCursor: Cursor = {};
  #sorts: Sort[] = [];
  #more: boolean | undefined;
  #changed = new Set<string>();
  #staged: Staged | undefined;
  #isKnown = false; /* a complete state was held once */
  #isComplete = false; /* of the subscription that is open now */
  #isSettled = true; /* what is held is a state that was */
  #ended: SteleError | null = null;
  #lost: SteleError | null = null;
  #ack: Frame = {};
  #seq: string | undefined; /* of the last frame that had one */

  #listeners = new Set<Listener<T>>();
  #publishing: ReturnType<typeof setTimeout> | undefined;
  #waitsSince = 0; /* when the first frame came that is not shown; 0: all are */
  #keeping: ReturnType<typeof setTimeout> | undefined;
  #kept: Promise<unknown> = Promise.resolve();
  #leaving: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  constructor(
    readonly query: Query,
    readonly id: string,
    private readonly home: Home,
  ) {
    this.loaded = this.#load();
    this.#linger();
  }

  // ---- for users ----

  get(key: string): Row<T> | undefined {
    this.#index ??= new Map(this.#order.map((row) => [row.key, row]));
    return this.#index.get(key)?.data as Row<T> | undefined;
  }

  /** Be told of every new state, until the returned function is called. */
  subscribe(listener: Listener<T>): () => void {
    this.#listeners.add(listener);
    clearTimeout(this.#leaving);
    if (this.#isClosed) {
      this.#isClosed = false;
      this.home.open(this);
    }
    return () => {
      if (this.#listeners.delete(listener) && !this.#listeners.size) this.#linger();
    };
  }

  /** Stop, and forget what is kept of it. */
  async forget(): Promise<void> {
    this.close();
    await this.#kept;
    await this.home.storage.delete(this.id);
  }

  close(): void {
    clearTimeout(this.#leaving);
    if (this.#isClosed) return;
    this.home.close(this);
    this.lost(null);
    this.#keep();
    this.#isClosed = true;
  }

  /** Resolves when all that is shown is kept. */
  async flush(): Promise<void> {
    await this.loaded;
    if (this.#isSettled) this.#publish();
    this.#keep();
    await this.#kept;
  }

  #linger(): void {
    clearTimeout(this.#leaving);
    this.#leaving = after(this.home.lingerMs, () => this.close());
  }

  // ---- what was kept ----

  async #load(): Promise<void> {
    const kept = (await this.home.storage.get(this.id)) as Kept | undefined;
    if (!kept || this.#isKnown) return;
    this.#order = kept.rows; /* in their order */
    this.#held = new Map(kept.rows.map((row) => [row.key, row]));
    this.#events = kept.events;
    this.#cursor = this.#shownCursor = kept.cursor;
    this.#sorts = kept.sorts;
    this.#more = kept.more;
    this.#isKnown = true;
    this.#show(new Set(this.#held.keys()));
  }

  /** Whatever waits to be kept. */
  #keep(): void {
    if (!this.#keeping) return;
    clearTimeout(this.#keeping);
    this.#keeping = undefined;
    const { storage, maxKeptRows } = this.home;
    const kept: Kept = { rows: this.#order, events: this.state.events, cursor: this.#shownCursor, sorts: this.#sorts, more: this.#more };
    this.#kept = this.#order.length > maxKeptRows ? storage.delete(this.id) : storage.update(this.id, () => kept);
  }

  // ---- the connection's side ----

  /** The query to subscribe with. */
  request(): Query & Cursor {
    return { ...this.query, ...this.#cursor };
  }

  /** The connection ended; `error`: why, if that is known. */
  lost(error: SteleError | null): void {
    if (this.#isSettled) this.#publish();
    this.#isComplete = false;
    this.#staged = undefined;
    this.#lost = error;
    this.#show();
  }

  get isEnded(): boolean {
    return this.#ended !== null;
  }

  /** The server will not show it. */
  end(error: SteleError): void {
    this.#ended = error;
    this.#isComplete = false;
    this.#show();
  }

  /** Its cursor is of no use any more. */
  forgetCursor(): void {
    this.#cursor = {};
    this.#events = [];
  }

  take(frame: Frame): void {
    if (frame.op === 'subscribed') this.#accept(frame);
    else if (frame.op === 'snapshot') this.#stage(frame);
    else if (frame.offset !== undefined) this.#event(frame);
    else this.#change(frame);
    const { maxRows } = this.home;
    if (Math.max(this.#held.size, this.#staged?.rows.length ?? 0) <= maxRows) return;
    this.home.close(this);
    this.end(new SteleError('too-many-rows', `there are more than ${maxRows} (maxRows)`, false));
  }

  #accept(frame: Frame): void {
    this.#ack = frame;
    this.#seq = this.#cursor.after;
    this.#staged = undefined;
    this.#ended = this.#lost = null;
    const sorts = frame.sorts ?? (frame.sort ? [frame.sort] : []);
    if (canonical(sorts) === canonical(this.#sorts)) return;
    this.#sorts = sorts;
    this.#order = [];
    for (const key of this.#held.keys()) this.#changed.add(key);
  }

  #stage(frame: Frame): void {
    if (this.#staged?.id !== frame.snapshotId) this.#staged = undefined;
    this.#staged ??= { id: frame.snapshotId, replaces: frame.authoritative ?? !this.#ack.resumed, rows: [] };
    for (const { key, data } of frame.data) this.#staged.rows.push(held(key, data));
    if (!frame.complete) return;
    const { replaces, rows } = this.#staged;
    this.#staged = undefined;
    if (frame.epoch) this.#ack.epoch = frame.epoch;
    const old = this.#held;
    if (replaces) {
      this.#held = new Map();
      for (const key of old.keys()) this.#changed.add(key);
    }
    for (const row of rows) {
      const same = old.get(row.key);
      if (row.data) this.#put(same?.version && same.version === row.version ? same : row); /* the same object, if it did not change */
      else this.#remove(row.key);
    }
    if (frame.seq) this.#advance(frame.seq);
    else if (replaces) this.#cursor = {};
    this.#more = frame.more ?? (replaces ? undefined : this.#more);
    this.#isComplete = this.#isKnown = true;
    this.#settle(!!frame.seq || !this.#ack.epoch || !!this.#ack.replayWindow);
  }

  #change({ op, key, data, append, seq }: Frame): void {
    if (op === 'delete' || op === 'remove') {
      if (this.#staged) this.#staged.rows.push({ key: key!, data: undefined });
      else this.#remove(key!);
    } else if (op === 'upsert') {
      this.#put(held(key!, data));
    } else if (op === 'patch') {
      const next = held(key!, data);
      const old = this.#held.get(key!);
      if (!old) {
        this.forgetCursor(); /* something was lost: the view begins from nothing */
        throw new Error(`a patch of "${key}", which was never sent`);
      }
      next.data = merge(old.data, next.data, append ?? []);
      this.#put(next);
    } else {
      return; /* of a later version of the protocol */
    }
    const isNew = seq !== undefined && seq !== this.#seq;
    if (seq) this.#advance(seq);
    this.#settle(isNew);
  }

  #event({ op, key, data, append, offset }: Frame): void {
    const last = this.#events.at(-1);
    if (last && last.offset >= offset!) return;
    delete data?._version;
    this.#events = [...this.#events.slice(1 - KEPT_EVENTS), { op: op as TapeEvent['op'], key: key!, data, offset: offset!, append }];
    this.#cursor = { after: `${this.#ack.replayWindow?.epoch}:${offset}` };
    this.#settle(true);
  }

  #advance(seq: string): void {
    this.#seq = seq;
    this.#cursor = { after: seq, epoch: this.#ack.epoch };
  }

  // ---- what is held ----

  /** Unless a newer one is there. */
  #put(row: Held): void {
    if (!isNewer(row.version, this.#held.get(row.key)?.version)) return;
    this.#held.set(row.key, row);
    this.#changed.add(row.key);
  }

  #remove(key: string): void {
    if (this.#held.delete(key)) this.#changed.add(key);
  }

  // ---- what is shown ----

  #settle(isState: boolean): void {
    const now = performance.now();
    this.#isSettled = isState;
    this.#waitsSince ||= now;
    clearTimeout(this.#publishing);
    if (isState && now - this.#waitsSince > SILENCE_MS) this.#publish(); /* frames come without a pause */
    else this.#publishing = setTimeout(() => this.#publish(), isState ? 0 : SILENCE_MS);
  }

  #publish(): void {
    clearTimeout(this.#publishing);
    this.#waitsSince = 0;
    const isTape = this.#ack.replayWindow; /* each event counts at once */
    if (!isTape && (!this.#isKnown || (this.#ack.op && !this.#isComplete))) return;
    this.#shownCursor = this.#cursor;
    const changed = this.#changed;
    this.#changed = new Set();
    if (changed.size) {
      const before = comparator(this.#sorts);
      const news = [...changed].flatMap((key) => this.#held.get(key) ?? []).sort(before);
      /* Two parts in order: to sort them is little more than to join them. */
      this.#order = [...this.#order.filter(({ key }) => !changed.has(key)), ...news].sort(before);
      this.#index = undefined;
    }
    this.#show(changed);
    if (this.#isComplete || isTape) this.#keeping ??= after(KEEP_MS, () => this.#keep());
  }

  #show(changed = new Set<string>()): void {
    const status: ViewStatus = this.#ended ? 'ended' : !this.#isKnown ? 'loading' : this.#isComplete ? 'live' : 'stale';
    const error = this.#ended ?? (status === 'live' ? null : this.#lost);
    const order = this.#order;
    const rows = changed.size > 0 && { rows: order.map(({ data }) => data as Row<T>), keys: order.map(({ key }) => key) };
    const next = withChange(this.state, { status, events: this.#events, more: this.#more, error, ...rows });
    if (next !== this.state) tell(this.#listeners, (this.state = next), changed);
  }
}

/** Takes the version out of a row. */
function held(key: string, data: Record<string, unknown>): Held {
  const version = data._version as string | undefined;
  delete data._version;
  return { key, data, version };
}
