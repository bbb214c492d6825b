/** Bounds of the time between two attempts to reach an upstream, in ms. */
const SHORTEST = 50;
const LONGEST = 30_000;

/**
 * When an upstream that could not be reached is worth another try: after a fifth of the time it has been away. A short
 * outage is noticed to be over at once, a long one costs little, and jitter keeps many proxies from coming back together.
 */
export class Backoff {
  #since: number | undefined;
  #until = 0;

  failed(now: number): void {
    this.#since ??= now;
    const wait = Math.min(Math.max((now - this.#since) / 5, SHORTEST), LONGEST);
    this.#until = now + wait * (0.75 + Math.random() / 4);
  }

  succeeded(): void {
    this.#since = undefined;
    this.#until = 0;
  }

  ready(now: number): boolean {
    return now >= this.#until;
  }
}
