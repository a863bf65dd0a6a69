// Whether a view shows what the server has: the sums of its rows, compared with the server's, and the keys that differ.
//
// Both must be of one state. The answer names its seq, and the view its cursor. If they meet, that is exact. Where the
// changes of an export do not concern the view, its cursor stays behind. A key counts that two answers, some time apart,
// found different; if they were not exact, with the same rows, because what changed meanwhile would have come.

import type { SteleClient } from './client.js';
import { States, type Shown } from './states.js';
import { add, hex, keySum, link, partOf, PARTS, rowSum, type Sum } from './sum.js';
import { overHttp, parametersOf } from './transport.js';
import { SteleError } from './types.js';
import type { View } from './view.js';

export interface DifferentKey {
  key: string;
  /** changed: both have it. here, there: only this client, only the server has it. */
  is: 'changed' | 'here' | 'there';
}

export interface CheckResult {
  /** undefined: it could not be told, because the view was not live, or moved all the time. */
  equal: boolean | undefined;
  keys: DifferentKey[];
  /** The rows are equal, and not their order. */
  orderDiffers: boolean;
}

export interface CheckOptions {
  /** So long it is tried, in milliseconds (15,000); an answer that takes longer is not waited for. */
  patience?: number;
  /** So long what the server sent may take to come (1,000). */
  grace?: number;
}

interface Answer {
  mode: string;
  epoch: string;
  seq: string;
  rows: number;
  sum: string;
  order?: string;
  parts?: [string, number, string][];
  keys?: [string, string][];
}

const ANSWER_MS = 90_000; /* the server takes a minute at most */
const CALM_MS = 120; /* longer than a view waits before it shows what came */
const STEP = 500; /* rows that are summed before others have their turn */
const ROWS_AT_ONCE = 20_000; /* whose keys one answer has */

/** The milliseconds until then. Once there are none, what goes on is left. */
function left(end: number): number {
  const ms = end - performance.now();
  if (ms > 0) return ms;
  throw new SteleError('timed-out', 'it took longer than was wanted');
}

const rest = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** "<slot>:<index>" */
function isBehind(seq: string, other: string): boolean {
  const [slot, index] = seq.split(':').map(BigInt) as [bigint, bigint];
  const [otherSlot, otherIndex] = other.split(':').map(BigInt) as [bigint, bigint];
  return slot === otherSlot ? index < otherIndex : slot < otherSlot;
}

// ---- sums of this side ----

/** Of one check: a row that does not change meanwhile is the same object. A page may have changed one before. */
type Known = WeakMap<object, Sum>;

function sumOf(known: Known, key: string, data: object): Sum {
  let sum = known.get(data);
  if (!sum) known.set(data, (sum = rowSum(key, data)));
  return sum;
}

interface Summed {
  sum: string;
  order: string;
  parts: { rows: number; sum: string }[];
}

async function sumAll(known: Known, { rows, keys }: Shown, end: number): Promise<Summed> {
  const sum = new Uint32Array(8);
  const parts = Array.from({ length: PARTS }, () => ({ rows: 0, sum: new Uint32Array(8) }));
  let order: Sum = new Uint32Array(8);
  for (const [i, key] of keys.entries()) {
    const own = keySum(key);
    const row = sumOf(known, key, rows[i]);
    const part = parts[partOf(own)]!;
    part.rows++;
    add(part.sum, row);
    add(sum, row);
    order = link(order, own);
    if (i % STEP !== STEP - 1) continue;
    await rest(0);
    left(end);
  }
  return { sum: hex(sum), order: hex(order), parts: parts.map((part) => ({ rows: part.rows, sum: hex(part.sum) })) };
}

const nameOf = (part: number): string => part.toString(16).padStart(2, '0');

// ---- the states of the view meanwhile ----

class Recorder {
  readonly #stop: () => void;
  readonly #states: States;
  #calmSince = performance.now();
  #last: string | undefined;

  constructor(
    private readonly view: View<any>,
    private readonly end: number,
  ) {
    /* Of the first one the cursor may be ahead. Told of a state, the view's cursor is that of the state. */
    this.#states = new States(view.state, undefined);
    this.#stop = view.subscribe((shown, changed) => this.#states.add(shown, this.#cursor(), changed));
  }

  stop(): void {
    this.#stop();
  }

  #cursor(): string | undefined {
    const { after, epoch } = this.view.request();
    return after && `${after}@${epoch}`;
  }

  /** The cursor, once it has stood still for so long that what it is of is shown. */
  #calm(): string | undefined {
    const cursor = this.#cursor();
    if (cursor !== this.#last) {
      this.#last = cursor;
      this.#calmSince = performance.now();
    }
    return performance.now() - this.#calmSince > CALM_MS ? cursor : undefined;
  }

  /** The state of an answer, if this view came to it, soon; else what it shows now. */
  async at({ seq, epoch }: Answer, grace: number): Promise<{ shown: Shown; isExact: boolean }> {
    const wanted = `${seq}@${epoch}`;
    for (const end = Math.min(this.end, performance.now() + grace); ; await rest(20)) {
      const shown = this.#states.find(wanted);
      if (shown) return { shown, isExact: true };
      this.#states.forget((cursor) => isBehind(cursor.split('@')[0]!, seq));
      if (this.#calm() === wanted) return { shown: this.view.state, isExact: true };
      const { after } = this.view.request();
      const isPast = after !== undefined && isBehind(seq, after);
      if (isPast || performance.now() > end) return { shown: this.view.state, isExact: false };
    }
  }
}

// ---- the server's side ----

async function ask(client: SteleClient, view: View<any>, more: Record<string, string>, end: number): Promise<Answer> {
  const { token, fetch: fetcher = globalThis.fetch } = client['options'];
  const target = overHttp(client.backoff.url, 'v1/checksum');
  target.search = String(parametersOf({ ...view.query, ...more, subscribed: 1 }));
  target.searchParams.set('view', view.query.view);
  const bearer = await token?.();
  const headers = bearer === undefined ? {} : { authorization: `Bearer ${bearer}` };
  const response = await fetcher(target, { headers, signal: AbortSignal.timeout(Math.ceil(Math.min(ANSWER_MS, left(end)))) });
  const body: any = await response.json().catch(() => ({}));
  if (response.status === 200) return body;
  throw new SteleError(body.code ?? `http-${response.status}`, body.message, body.retryable ?? response.status >= 500, body.retry_after);
}

// ---- comparing ----

/** A key, and the sums of both sides, where they have it. */
type Difference = [key: string, here: string | undefined, there: string | undefined];

interface Finding {
  isEqual: boolean;
  /** Both sides were of one state. */
  isExact: boolean;
  differences: Difference[];
  /** The rows are equal, and these two orders are not. */
  orders?: string;
}

const UNTOLD: Finding = { isEqual: false, isExact: false, differences: [] };

class Comparison {
  readonly #known: Known = new WeakMap();

  constructor(
    private readonly client: SteleClient,
    private readonly view: View<any>,
    private readonly recorder: Recorder,
    private readonly grace: number,
    private readonly end: number,
  ) {}

  async #ask(more: Record<string, string>): Promise<Answer> {
    const answer = await ask(this.client, this.view, more, this.end);
    if (answer.mode !== 'append' || this.view.state.rows.length) return answer;
    throw new SteleError('has-events', 'the view has events, and a sum is of rows', false);
  }

  async #question(more: Record<string, string>): Promise<{ answer: Answer; shown: Shown; isExact: boolean }> {
    const answer = await this.#ask(more);
    return { answer, ...(await this.recorder.at(answer, this.grace)) };
  }

  async attempt(): Promise<Finding> {
    const answer = await this.#ask({});
    const now = await this.#compareAll(answer, this.view.state);
    if (now.isEqual) return now;
    const { shown, isExact } = await this.recorder.at(answer, this.grace);
    const then = await this.#compareAll(answer, shown);
    return then.isEqual || then.orders ? { ...then, isExact } : this.#findKeys();
  }

  async #compareAll(answer: Answer, shown: Shown): Promise<Finding> {
    const own = await sumAll(this.#known, shown, this.end);
    if (own.sum !== answer.sum || shown.keys.length !== answer.rows) return UNTOLD;
    if (!answer.order || answer.order === own.order) return { ...UNTOLD, isEqual: true };
    return { ...UNTOLD, orders: `${own.order} ${answer.order}` };
  }

  async #findKeys(): Promise<Finding> {
    const { answer, shown } = await this.#question({ parts: '1' });
    const own = await sumAll(this.#known, shown, this.end);
    const theirs = new Map(answer.parts!.map(([part, rows, sum]) => [part, `${rows} ${sum}`]));
    const none = `0 ${'0'.repeat(64)}`;
    const differing = own.parts.flatMap(({ rows, sum }, i) => ((theirs.get(nameOf(i)) ?? none) === `${rows} ${sum}` ? [] : [nameOf(i)]));
    /* So many at a time that an answer is no longer than the server allows. */
    const atOnce = Math.max(1, Math.floor((ROWS_AT_ONCE * PARTS) / Math.max(1, answer.rows, shown.keys.length)));
    const found = { ...UNTOLD, isExact: differing.length > 0 };
    for (let at = 0; at < differing.length; at += atOnce) {
      const { isExact, differences } = await this.#compareKeys(differing.slice(at, at + atOnce));
      found.isExact &&= isExact;
      found.differences = [...found.differences, ...differences];
    }
    return found;
  }

  async #compareKeys(parts: string[]): Promise<Finding> {
    const { answer, shown, isExact } = await this.#question({ keys: parts.join() });
    const wanted = new Set(parts);
    const theirs = new Map(answer.keys);
    const differences: Difference[] = [];
    for (const [i, key] of shown.keys.entries()) {
      if (!wanted.has(nameOf(partOf(keySum(key))))) continue;
      const here = hex(sumOf(this.#known, key, shown.rows[i]));
      const there = theirs.get(key);
      theirs.delete(key);
      if (here !== there) differences.push([key, here, there]);
    }
    for (const [key, there] of theirs) differences.push([key, undefined, there]);
    return { ...UNTOLD, isExact, differences };
  }
}

function told({ differences, orders }: Finding): CheckResult {
  const keys = differences.map(([key, here, there]): DifferentKey => ({ key, is: here === undefined ? 'there' : there === undefined ? 'here' : 'changed' }));
  return { equal: false, keys, orderDiffers: orders !== undefined };
}

/**
 * What the one before found, too. Changes may share a seq, so one finding is not enough. If one of both is not exact, the
 * rows must be the same as well.
 */
function standing(before: Finding, found: Finding): Finding {
  const nameOf = before.isExact && found.isExact ? ([key]: Difference): string => key : String;
  const seen = new Set(before.differences.map(nameOf));
  const differences = found.differences.filter((difference) => seen.has(nameOf(difference)));
  return { ...UNTOLD, differences, ...(found.orders !== undefined && found.orders === before.orders && { orders: found.orders }) };
}

const isTold = ({ differences, orders }: Finding): boolean => differences.length > 0 || orders !== undefined;

/** Compare what the view shows with what the server has. Rejects with the server's error if it refuses. */
export async function check(client: SteleClient, view: View<any>, { patience = 15_000, grace = 1000 }: CheckOptions = {}): Promise<CheckResult> {
  const end = performance.now() + patience;
  const recorder = new Recorder(view, end);
  const comparison = new Comparison(client, view, recorder, grace, end);
  let before = UNTOLD;
  try {
    while (performance.now() < end) {
      if (view.isEnded) throw view.state.error!;
      if (view.state.status !== 'live') {
        await rest(CALM_MS);
        continue;
      }
      const found = await comparison.attempt().catch((error: unknown) => {
        if (error instanceof SteleError && !error.retryable) throw error;
        return UNTOLD; /* the connection may come back */
      });
      if (found.isEqual) return { equal: true, keys: [], orderDiffers: false };
      const certain = standing(before, found);
      if (isTold(certain)) return told(certain);
      before = found;
      await rest(Math.min(grace, Math.max(0, end - performance.now())));
    }
    return { equal: undefined, keys: [], orderDiffers: false };
  } finally {
    recorder.stop();
  }
}
