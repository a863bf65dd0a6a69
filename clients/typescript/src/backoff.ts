// Attempts: which server of a list is asked next, and after which pause. Each pause is twice as long as the one before, and
// none exactly as long as another client's.

export class Backoff {
  #failures = 0;
  /** Whose turn it is comes first: who was asked longest ago, and behind all others who asked to be left until later. */
  readonly turns: [url: string, asked: number][];

  /** Seconds. */
  constructor(
    private readonly bounds: { first?: number; most?: number } = {},
    urls: readonly string[],
  ) {
    this.turns = urls.map((url) => [url, 0]);
  }

  get url(): string {
    return this.turns[0]![0];
  }

  reset(): void {
    this.#failures = 0;
  }

  /** The next pause, in milliseconds; not less than the server asks for, in seconds. */
  next(retryAfter = 0): number {
    const { first = 0.25, most = 30 } = this.bounds;
    const seconds = Math.min(most, first * 2 ** this.#failures++);
    return 1000 * (retryAfter + seconds * (0.5 + Math.random() / 2));
  }

  /** The pause until another server is asked, if there is one, as this one asks to be left for so many seconds. */
  leave(retryAfter = 0): number {
    const now = performance.now() / 1000;
    this.turns[0]![1] = now + retryAfter;
    this.turns.sort(([, a], [, b]) => a - b);
    return this.next(Math.max(0, this.turns[0]![1] - now));
  }
}

/** A timer that keeps no process alive. */
export function after(ms: number, act: () => void): ReturnType<typeof setTimeout> {
  const timer = setTimeout(act, ms);
  (timer as { unref?: () => void }).unref?.();
  return timer;
}
