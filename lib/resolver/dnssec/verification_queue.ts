/**
 * Checks of signatures, one per turn of the event loop. The platform computes a signature on the thread that asks, also
 * through WebCrypto, and that takes 0.1 ms (Ed25519) to some ms (P-384, RSA with 4096 bits): between two of them the front
 * end answers what has arrived.
 */
import { createHash } from "node:crypto";
import { UpstreamError } from "../../core/errors.ts";
import { isSignedBy, type ZoneKey } from "./keys.ts";
import { MAX_WAITING, VERIFICATIONS_PER_SECOND } from "./limits.ts";

/** Signatures that are remembered as valid: about 2 MB. */
const MAX_REMEMBERED = 10_000;

interface Job {
  readonly key: ZoneKey;
  readonly data: Uint8Array;
  readonly signature: Uint8Array;
  readonly deadline: number;
  readonly outcome: PromiseWithResolvers<boolean>;
}

export class VerificationQueue implements Disposable {
  /** Signatures verified so far. */
  verified = 0;
  readonly #waiting: Job[] = [];
  readonly #now: () => number;
  readonly #perSecond: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #second = 0;
  #inThisSecond = 0;
  /** Digests of what was found valid: the SOA and NSEC records of a zone come with each denial. The oldest go first. */
  readonly #valid = new Set<string>();

  /** @param perSecond how many signatures are verified in a second */
  constructor(now: () => number, perSecond: number = VERIFICATIONS_PER_SECOND) {
    this.#now = now;
    this.#perSecond = perSecond;
  }

  /** Whether the signature is that of the data by this key. Rejects with `UpstreamError` where its turn does not come in time. */
  verify(key: ZoneKey, data: Uint8Array, signature: Uint8Array, deadline: number): Promise<boolean> {
    if (this.#valid.has(digestOf(key, data, signature))) return Promise.resolve(true);
    if (this.#waiting.length >= MAX_WAITING) return Promise.reject(tooBusy("overloaded"));
    const outcome = Promise.withResolvers<boolean>();
    this.#waiting.push({ key, data, signature, deadline, outcome });
    if (this.#timer === undefined) this.#run();
    return outcome.promise;
  }

  /** Those that wait are rejected. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const { outcome } of this.#waiting.splice(0)) outcome.reject(tooBusy("closed"));
  }

  /** Verifies the first signature in the queue. The timer marks the turn as used until the next one. */
  #run(): void {
    this.#timer = undefined;
    const now = this.#now();
    const second = Math.floor(now / 1000);
    if (second !== this.#second) [this.#second, this.#inThisSecond] = [second, 0];
    if (this.#inThisSecond >= this.#perSecond) {
      if (this.#waiting.length > 0) this.#timer = setTimeout(() => this.#run(), 1000 - now % 1000);
      return;
    }
    const job = this.#waiting.shift();
    if (!job) return;
    this.#timer = setTimeout(() => this.#run(), 0);
    const { key, data, signature, deadline, outcome } = job;
    if (now >= deadline) return outcome.reject(tooBusy("timed out"));
    this.#inThisSecond++;
    this.verified++;
    const isValid = isSignedBy(key, data, signature);
    if (isValid) this.#remember(digestOf(key, data, signature));
    outcome.resolve(isValid);
  }

  #remember(digest: string): void {
    this.#valid.add(digest);
    if (this.#valid.size > MAX_REMEMBERED) this.#valid.delete(this.#valid.keys().next().value!);
  }
}

/** A hash takes some microseconds, a check up to some milliseconds. */
function digestOf(key: ZoneKey, data: Uint8Array, signature: Uint8Array): string {
  // The lengths say where each part ends.
  const lengths = `${key.data.length}/${signature.length}/`;
  return createHash("sha256").update(lengths).update(key.data).update(signature).update(data).digest(
    "base64",
  );
}

function tooBusy(failure: "overloaded" | "timed out" | "closed"): UpstreamError {
  return new UpstreamError(failure, {
    upstream: "DNSSEC validation",
    phase: "read",
    detail: "signatures wait for their check",
    sent: false,
  });
}
