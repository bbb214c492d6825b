import { type Failure, type Phase, UpstreamError } from "../../core/errors.ts";
import { explainAlert } from "./tls_alerts.ts";
import type { DialOptions } from "../connection/channel.ts";

/** One dial from beginning to end: its time limit, how far it is, and what its errors mean. */
export class DialAttempt implements Disposable {
  readonly #label: string;
  readonly #options: DialOptions;
  readonly #abort = new AbortController();
  readonly #timer: ReturnType<typeof setTimeout>;
  readonly #onAbort = () => this.#abort.abort(new DOMException("it is not wanted any more", "AbortError"));
  #phase: Phase = "connect";

  /** @param timeout in ms */
  constructor(label: string, options: DialOptions, timeout: number) {
    this.#label = label;
    this.#options = options;
    this.#timer = setTimeout(
      () => this.#abort.abort(new DOMException("time is up", "TimeoutError")),
      timeout,
    );
    options.signal.addEventListener("abort", this.#onAbort);
    if (options.signal.aborted) this.#onAbort();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#options.signal.removeEventListener("abort", this.#onAbort);
  }

  /** Aborted when time is up or nobody wants the channel any more. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  enter(phase: Phase): void {
    this.#phase = phase;
    this.#options.onPhase(phase);
  }

  /** Settles as the promise does, or when the signal is aborted: for what cannot be called off. */
  async within<T>(promise: Promise<T>): Promise<T> {
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    const abort = () => reject(this.signal.reason);
    this.signal.addEventListener("abort", abort);
    if (this.signal.aborted) abort();
    try {
      return await Promise.race([promise, aborted]);
    } finally {
      this.signal.removeEventListener("abort", abort);
    }
  }

  error(failure: Failure, facts: { readonly detail?: string; readonly cause?: unknown }): UpstreamError {
    return new UpstreamError(failure, { upstream: this.#label, phase: this.#phase, ...facts });
  }

  /** What went wrong, in our own terms. */
  explain(error: unknown): UpstreamError {
    if (error instanceof UpstreamError) return error;
    const { code = "", message = String(error), name } = error as NodeJS.ErrnoException;
    const detail = message.replace(/ \(SSL routines:.*\)$/, "");
    const shortage = SHORTAGES[code];
    if (shortage) return this.error(shortage, { cause: error });
    if (this.#phase === "resolve") return this.error("resolve", { cause: error, detail });
    if (name === "TimeoutError" || code === "ETIMEDOUT") return this.error("timed out", { cause: error });
    const refusal = explainAlert(error);
    if (refusal) return this.error(refusal.failure, { cause: error, detail: refusal.detail });
    if (code === UNUSABLE) return this.error("bad certificate", { cause: error, detail: UNUSABLE_WORDS });
    const isEnd = name === "AbortError" || error instanceof Deno.errors.UnexpectedEof;
    return this.error(isEnd ? "closed" : FAILURES[code] ?? "protocol", { cause: error, detail });
  }
}

/** Within the handshake the platform has this one code for a certificate that it cannot read, and shows none. */
const UNUSABLE = "UNABLE_TO_VERIFY_LEAF_SIGNATURE";
const UNUSABLE_WORDS =
  "it cannot be used here: a critical extension that is not known, an RSA key below 2048 bits, or damage";

/** This host is short of something, whatever the phase: not the upstream's fault. */
const SHORTAGES: Readonly<Record<string, Failure>> = {
  EMFILE: "no descriptors",
  ENFILE: "no descriptors",
  ENOBUFS: "no memory",
  ENOMEM: "no memory",
};

/** The platform's error codes that say more than that it did not work. */
const FAILURES: Readonly<Record<string, Failure>> = {
  ECONNREFUSED: "refused",
  EHOSTUNREACH: "unreachable",
  ENETUNREACH: "unreachable",
  ENETDOWN: "unreachable",
  EHOSTDOWN: "unreachable",
  EADDRNOTAVAIL: "unreachable",
  EAFNOSUPPORT: "unreachable",
  EINVAL: "unreachable",
  EACCES: "unreachable",
  EPERM: "unreachable",
  ECONNRESET: "closed",
  EPIPE: "closed",
};
