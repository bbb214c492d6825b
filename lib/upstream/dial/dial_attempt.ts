/** Time limit, phase and errors of one dial. */

import { type Failure, type Phase, UpstreamError } from "../../core/errors.ts";
import { explainAlert } from "./tls_alerts.ts";
import type { DialOptions } from "../connection/channel.ts";

/** One dial from the lookup to the certificate check. */
export class DialAttempt implements Disposable {
  readonly #label: string;
  readonly #options: DialOptions;
  readonly #abort = new AbortController();
  readonly #timer: ReturnType<typeof setTimeout>;
  readonly #onAbort = () => this.#abort.abort(new DOMException("the dial was canceled", "AbortError"));
  #phase: Phase = "connect";

  constructor(label: string, options: DialOptions, timeoutMs: number) {
    this.#label = label;
    this.#options = options;
    this.#timer = setTimeout(
      () => this.#abort.abort(new DOMException("time is over", "TimeoutError")),
      timeoutMs,
    );
    options.signal.addEventListener("abort", this.#onAbort);
    if (options.signal.aborted) this.#onAbort();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#options.signal.removeEventListener("abort", this.#onAbort);
  }

  /** Aborted when the time is over or the caller cancels the dial. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  enter(phase: Phase): void {
    this.#phase = phase;
    this.#options.onPhase(phase);
  }

  /** Settles like the promise, or rejects when the signal is aborted. For operations that cannot be canceled. */
  async untilAborted<T>(promise: Promise<T>): Promise<T> {
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

  /** Translates an error of the platform into an `UpstreamError`. */
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
    if (code === UNUSABLE_CERTIFICATE) {
      return this.error("bad certificate", { cause: error, detail: UNUSABLE_CERTIFICATE_WORDS });
    }
    const isEnd = name === "AbortError" || error instanceof Deno.errors.UnexpectedEof;
    return this.error(isEnd ? "closed" : FAILURES[code] ?? "protocol", { cause: error, detail });
  }
}

/** During the handshake the platform reports this one code for each certificate that it cannot use, without showing it. */
const UNUSABLE_CERTIFICATE = "UNABLE_TO_VERIFY_LEAF_SIGNATURE";
const UNUSABLE_CERTIFICATE_WORDS =
  "it cannot be used here: a critical extension that is not known, an RSA key below 2048 bits, or damage";

/** Shortages of this host, which are no fault of the upstream. */
const SHORTAGES: Readonly<Record<string, Failure>> = {
  EMFILE: "no descriptors",
  ENFILE: "no descriptors",
  ENOBUFS: "no memory",
  ENOMEM: "no memory",
};

/** Error codes with a failure of their own; all others become "protocol". */
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
