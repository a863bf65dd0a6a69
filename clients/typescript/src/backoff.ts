// Pauses between attempts: each twice as long as the one before, and none exactly as long as another client's.

export class Backoff {
  #failures = 0;

  /** Seconds. */
  constructor(private readonly bounds: { first?: number; most?: number } = {}) {}

  reset(): void {
    this.#failures = 0;
  }

  /** The next pause, in milliseconds; not less than the server asks for, in seconds. */
  next(retryAfter = 0): number {
    const { first = 0.25, most = 30 } = this.bounds;
    const seconds = Math.min(most, first * 2 ** this.#failures++);
    return 1000 * (retryAfter + seconds * (0.5 + Math.random() / 2));
  }
}

/** A timer that keeps no process alive. */
export function after(ms: number, act: () => void): ReturnType<typeof setTimeout> {
  const timer = setTimeout(act, ms);
  (timer as { unref?: () => void }).unref?.();
  return timer;
}
