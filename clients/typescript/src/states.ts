// The states that a view had, one after the other: the oldest as it was, and what became other from each to the next.

/** What is shown, of one moment. */
export interface Shown {
  rows: readonly any[];
  keys: readonly string[];
}

interface Step {
  cursor: string | undefined;
  /** Places in the state before that go; then what stands at places of this one, in order. */
  gone: number[];
  put: [place: number, key: string, row: any][];
}

const MOST_ENTRIES = 100_000; /* of all steps; of states that are too many, the oldest go */

/** Undefined where rows that stay change places with each other. */
function difference(from: Shown, to: Shown, changed: ReadonlySet<string>): Omit<Step, 'cursor'> | undefined {
  const gone = from.keys.flatMap((key, place) => (changed.has(key) ? [place] : []));
  const put: Step['put'] = [];
  let at = 0;
  for (const [place, key] of to.keys.entries()) {
    if (changed.has(key)) put.push([place, key, to.rows[place]]);
    else {
      while (at < from.keys.length && changed.has(from.keys[at]!)) at++;
      if (from.keys[at] !== key || from.rows[at++] !== to.rows[place]) return undefined;
    }
  }
  return { gone, put };
}

function follow({ rows, keys }: Shown, { gone, put }: Step): Shown {
  const next = { rows: [] as any[], keys: [] as string[] };
  let puts = 0;
  let goes = 0;
  const fill = (): void => {
    for (; put[puts]?.[0] === next.keys.length; puts++) {
      next.keys.push(put[puts]![1]);
      next.rows.push(put[puts]![2]);
    }
  };
  for (const [place, key] of keys.entries()) {
    fill();
    if (gone[goes] === place) goes++;
    else {
      next.keys.push(key);
      next.rows.push(rows[place]);
    }
  }
  fill();
  return next;
}

export class States {
  #oldest: Shown;
  #newest: Shown;
  #steps: Step[] = [];
  #entries = 0;

  constructor(
    shown: Shown,
    private cursor: string | undefined,
  ) {
    this.#oldest = this.#newest = shown;
  }

  add(shown: Shown, cursor: string | undefined, changed: ReadonlySet<string>): void {
    const step = difference(this.#newest, shown, changed);
    this.#newest = shown;
    if (!step) {
      Object.assign(this, { cursor });
      this.#oldest = shown;
      this.#steps = [];
      this.#entries = 0;
      return;
    }
    this.#steps.push({ cursor, ...step });
    this.#entries += step.gone.length + step.put.length + 1;
    while (this.#entries > MOST_ENTRIES) this.#forget(1);
  }

  /** The last one with this cursor. Those before it are forgotten. */
  find(cursor: string): Shown | undefined {
    const at = this.#last((each) => each === cursor);
    if (at < 0) return this.cursor === cursor ? this.#oldest : undefined;
    this.#forget(at + 1);
    return this.#oldest;
  }

  /** Those before the last one of whose cursor this holds are not asked for any more. */
  forget(isOver: (cursor: string) => boolean): void {
    this.#forget(this.#last(isOver) + 1);
  }

  /** The place of the last step of whose cursor this holds; -1: none. */
  #last(is: (cursor: string) => boolean): number {
    let at = this.#steps.length - 1;
    while (at >= 0 && !(this.#steps[at]!.cursor && is(this.#steps[at]!.cursor!))) at--;
    return at;
  }

  #forget(count: number): void {
    for (const step of this.#steps.splice(0, count)) {
      this.#oldest = follow(this.#oldest, step);
      this.cursor = step.cursor;
      this.#entries -= step.gone.length + step.put.length + 1;
    }
  }
}
