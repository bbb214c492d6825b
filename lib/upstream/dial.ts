import { type Failure, type Phase, UpstreamError } from "../errors.ts";
import type { UpstreamAddress } from "./address.ts";
import type { Channel, Dial, DialOptions } from "./channel.ts";

export interface DialSettings {
  /** PEM certificates trusted beside the built-in roots. */
  readonly caCerts: readonly string[];
  /** For TCP and TLS together, in ms: not part of any query's time, so that a slow handshake is finished and kept. */
  readonly timeout: number;
}

/**
 * Dials one upstream with strict authentication (RFC 8310 §5): the certificate chain is verified and must name
 * `authName` among its subject alternative names, or there is no channel and not an octet of DNS is sent.
 *
 * `Deno.connectTls` in two steps, because in one step it neither turns Nagle's algorithm off, which holds small
 * pipelined queries back for 40 ms, nor authenticates any other name than the host dialled.
 */
export function dialer(address: UpstreamAddress, { caCerts, timeout }: DialSettings): Dial {
  return async (options) => {
    const attempt = new Attempt(address, options, timeout);
    try {
      return await attempt.run([...caCerts]);
    } finally {
      attempt.settle();
    }
  };
}

class Attempt {
  readonly #address: UpstreamAddress;
  readonly #options: DialOptions;
  readonly #abort = new AbortController();
  readonly #timer: ReturnType<typeof setTimeout>;
  readonly #onAbort = () => this.#abort.abort();
  #phase: Phase = "connect";

  constructor(address: UpstreamAddress, options: DialOptions, timeout: number) {
    this.#address = address;
    this.#options = options;
    this.#timer = setTimeout(this.#onAbort, timeout);
    options.signal.addEventListener("abort", this.#onAbort);
  }

  async run(caCerts: string[]): Promise<Channel> {
    const { host, port, authName } = this.#address;
    try {
      this.#enter("connect");
      const tcp = await Deno.connect({ hostname: host, port, signal: this.#abort.signal });
      tcp.setNoDelay(true);
      this.#enter("TLS");
      const tls = await Deno.startTls(tcp, { hostname: authName, alpnProtocols: ["dot"], caCerts });
      return await this.#handshake(tls);
    } catch (error) {
      throw this.#explain(error);
    }
  }

  async #handshake(tls: Deno.TlsConn): Promise<Channel> {
    const close = () => tls.close();
    this.#abort.signal.addEventListener("abort", close);
    try {
      await tls.handshake();
      if (this.#abort.signal.aborted) throw this.#abort.signal.reason;
      return tls;
    } catch (error) {
      if (!this.#abort.signal.aborted) tls.close();
      throw error;
    } finally {
      this.#abort.signal.removeEventListener("abort", close);
    }
  }

  settle(): void {
    clearTimeout(this.#timer);
    this.#options.signal.removeEventListener("abort", this.#onAbort);
  }

  #enter(phase: Phase): void {
    this.#phase = phase;
    this.#options.onPhase(phase);
  }

  #explain(error: unknown): UpstreamError {
    const detail = error instanceof Error ? error.message : String(error);
    const failure = this.#abort.signal.aborted ? "timed out" : classify(error, detail, this.#phase);
    const phase = AUTHENTICATION.has(failure)
      ? "authentication"
      : failure === "resolve"
      ? "resolve"
      : this.#phase;
    const facts = { upstream: this.#address.label, phase, cause: error };
    return new UpstreamError(failure, failure === "timed out" ? facts : { ...facts, detail: tidy(detail) });
  }
}

const AUTHENTICATION: ReadonlySet<Failure> = new Set(
  ["untrusted issuer", "wrong name", "expired", "not yet valid", "bad certificate"] as const,
);

/** The platform's words for each failure of a certificate (rustls), which come as text only. */
const CERTIFICATE_FAILURES: readonly [RegExp, Failure][] = [
  [/UnknownIssuer/, "untrusted issuer"],
  [/not valid for name/i, "wrong name"],
  [/NotValidForName/, "wrong name"],
  [/NotValidYet|not valid yet/i, "not yet valid"],
  [/expired/i, "expired"],
  [/invalid peer certificate/i, "bad certificate"],
];

function classify(error: unknown, text: string, phase: Phase): Failure {
  if (error instanceof Deno.errors.ConnectionRefused) return "refused";
  if (/lookup address|resolve/i.test(text) && phase === "connect") return "resolve";
  if (error instanceof Deno.errors.TimedOut) return "timed out";
  if (phase === "connect") return "unreachable";
  for (const [pattern, failure] of CERTIFICATE_FAILURES) if (pattern.test(text)) return failure;
  if (error instanceof Deno.errors.UnexpectedEof || error instanceof Deno.errors.ConnectionReset) {
    return "closed";
  }
  return "protocol";
}

function tidy(detail: string): string {
  return detail.replace(/^invalid peer certificate: /, "").replace(/ \(os error \d+\)$/, "");
}
