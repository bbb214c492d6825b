/** Opens the first of several addresses that works (RFC 8305). */

import { isIPv6 } from "node:net";

/** "Connection Attempt Delay … RECOMMENDED value … is 250 milliseconds" (RFC 8305 §5). */
const ATTEMPT_DELAY_MS = 250;
/** All addresses are tried again after this time. The system repeats a lost SYN after 1, 3 and 7 s, which is too late. */
const RETRY_MS = 750;

/** A socket, or a fake of one. */
interface Destroyable {
  destroy(): void;
}

/** Opens one address. Rejects when the signal is aborted, and then leaves nothing open. */
export type Open<T extends Destroyable> = (address: string, signal: AbortSignal) => Promise<T>;

export interface Winner<T> {
  readonly address: string;
  readonly opened: T;
}

/** IPv4 and IPv6 addresses in turn, beginning with the family of the first (RFC 8305 §4). */
export function interleave(addresses: readonly string[]): string[] {
  const isFirstFamily = (address: string) => isIPv6(address) === isIPv6(addresses[0]!);
  const first = addresses.filter(isFirstFamily);
  const second = addresses.filter((address) => !isFirstFamily(address));
  return Array.from({ length: Math.max(first.length, second.length) })
    .flatMap((_, i) => [first[i], second[i]])
    .filter((address) => address !== undefined);
}

/**
 * Tries the first address, and a further one after each 250 ms or failure. Resolves with the first that is open and
 * destroys the others. Rejects with the first error when all have failed, or with the signal's reason.
 */
export async function openFirst<T extends Destroyable>(
  addresses: readonly string[],
  open: Open<T>,
  signal: AbortSignal,
): Promise<Winner<T>> {
  const race = new Race(addresses, open);
  const abort = () => race.fail(signal.reason);
  signal.addEventListener("abort", abort);
  try {
    if (signal.aborted) abort();
    return await race.winner;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

class Race<T extends Destroyable> {
  readonly #result = Promise.withResolvers<Winner<T>>();
  readonly #losers = new AbortController();
  readonly #addresses: readonly string[];
  #waiting: string[];
  readonly #open: Open<T>;
  #running = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOver = false;
  #firstError: unknown;

  constructor(addresses: readonly string[], open: Open<T>) {
    this.#addresses = addresses;
    this.#waiting = [...addresses];
    this.#open = open;
    this.#next();
  }

  get winner(): Promise<Winner<T>> {
    return this.#result.promise;
  }

  fail(error: unknown): void {
    this.#end();
    this.#result.reject(error);
  }

  readonly #next = () => {
    clearTimeout(this.#timer);
    const address = this.#waiting.shift();
    if (address === undefined && this.#running === 0) return this.fail(this.#firstError);
    this.#timer = this.#waiting.length > 0
      ? setTimeout(this.#next, ATTEMPT_DELAY_MS)
      : setTimeout(this.#retryAll, RETRY_MS);
    if (address === undefined) return;
    this.#running++;
    this.#open(address, this.#losers.signal).then(
      (opened) => this.#opened({ address, opened }),
      (error) => this.#failed(error),
    );
  };

  readonly #retryAll = () => {
    this.#waiting = [...this.#addresses];
    this.#next();
  };

  #opened(winner: Winner<T>): void {
    if (this.#isOver) return winner.opened.destroy();
    this.#end();
    this.#result.resolve(winner);
  }

  #failed(error: unknown): void {
    if (this.#isOver) return;
    this.#running--;
    this.#firstError ??= error;
    this.#next();
  }

  #end(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#losers.abort();
  }
}
