import { isIP } from "node:net";
import { connect, createSecureContext, type SecureContext, type TLSSocket } from "node:tls";
import { type Failure, type Phase, UpstreamError } from "../errors.ts";
import type { UpstreamAddress } from "./address.ts";
import { checkName, findFlaw } from "./authentication.ts";
import type { Channel, Dial, DialOptions } from "./channel.ts";
import { TlsChannel } from "./tls_channel.ts";

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
 * By `node:tls` and not by `Deno.connectTls`, which leaves Nagle's algorithm on, cannot authenticate a name other than
 * the host dialled, does not show certificates, and keeps the socket of a handshake that is given up.
 */
export function dialer(address: UpstreamAddress, { caCerts, timeout }: DialSettings): Dial {
  const minVersion = "TLSv1.2"; // RFC 8310 §9
  const publicRoots = createSecureContext({ minVersion });
  // The platform trusts either its own roots or those it is given. To trust both, the ones given are tried first.
  const trusts = caCerts.length > 0
    ? [createSecureContext({ minVersion, ca: [...caCerts] }), publicRoots]
    : [publicRoots];
  return async (options) => {
    const deadline = performance.now() + timeout;
    for (let tries = 1;; tries++) {
      try {
        return await new Attempt(address, options, trusts[0]!).run(deadline - performance.now());
      } catch (error) {
        const { failure } = error as UpstreamError;
        if (failure === "untrusted issuer") trusts.push(trusts.shift()!); // the other first, from now on
        if (failure !== "untrusted issuer" || tries === trusts.length) throw error;
      }
    }
  };
}

class Attempt {
  readonly #address: UpstreamAddress;
  readonly #options: DialOptions;
  readonly #socket: TLSSocket;
  #phase: Phase = "connect";

  constructor(address: UpstreamAddress, options: DialOptions, secureContext: SecureContext) {
    this.#address = address;
    this.#options = options;
    const { host, port, authName } = address;
    this.#socket = connect({
      host,
      port,
      secureContext,
      ALPNProtocols: ["dot"],
      ...isIP(authName) === 0 && { servername: authName },
      checkServerIdentity: (_, certificate) => checkName(authName, certificate),
      // Not here, but in `#authenticate`, which can say what is wrong; until then nobody can write.
      rejectUnauthorized: false,
    });
    this.#socket.setNoDelay(true);
  }

  /** Resolves with an authenticated channel; rejects with `UpstreamError`, and then nothing is left open. */
  async run(timeout: number): Promise<Channel> {
    const abort = () => this.#socket.destroy(new DOMException("gave up", "AbortError"));
    const timer = setTimeout(
      () => this.#socket.destroy(new DOMException("gave up", "TimeoutError")),
      timeout,
    );
    this.#options.signal.addEventListener("abort", abort);
    try {
      await this.#handshake();
      this.#authenticate();
      return new TlsChannel(this.#socket);
    } catch (error) {
      this.#socket.on("error", () => {}); // what it still has to say changes nothing
      this.#socket.destroy();
      throw error instanceof UpstreamError ? error : this.#explain(error);
    } finally {
      clearTimeout(timer);
      this.#options.signal.removeEventListener("abort", abort);
    }
  }

  #handshake(): Promise<void> {
    this.#enter("connect");
    return new Promise((resolve, reject) => {
      this.#socket.once("connect", () => this.#enter("TLS"));
      this.#socket.once("secureConnect", resolve);
      this.#socket.once("error", reject);
      this.#socket.once("close", () => reject(new Deno.errors.UnexpectedEof("connection closed")));
    });
  }

  #authenticate(): void {
    this.#enter("authentication");
    const certificate = this.#socket.getPeerCertificate(true);
    const error = this.#socket.authorized
      ? undefined
      : String(this.#socket.authorizationError ?? "unverified");
    const flaw = findFlaw({ certificate, error }, { named: true, pins: [] });
    if (flaw) throw this.#error(flaw.failure, { detail: flaw.detail });
  }

  #enter(phase: Phase): void {
    this.#phase = phase;
    this.#options.onPhase(phase);
  }

  #explain(error: unknown): UpstreamError {
    const { code = "", message = String(error), name } = error as NodeJS.ErrnoException;
    if (name === "TimeoutError" || code === "ETIMEDOUT") return this.#error("timed out", { cause: error });
    const failure = FAILURES[code] ?? (error instanceof Deno.errors.UnexpectedEof ? "closed" : "protocol");
    return this.#error(failure, { cause: error, detail: message.replace(/ \(SSL routines:.*\)$/, "") });
  }

  #error(failure: Failure, facts: { readonly detail?: string; readonly cause?: unknown }): UpstreamError {
    const phase = failure === "resolve" ? "resolve" : this.#phase;
    return new UpstreamError(failure, { upstream: this.#address.label, phase, ...facts });
  }
}

/** The platform's error codes that say more than that it did not work. */
const FAILURES: Readonly<Record<string, Failure>> = {
  ENOTFOUND: "resolve",
  EAI_AGAIN: "resolve",
  ECONNREFUSED: "refused",
  EHOSTUNREACH: "unreachable",
  ENETUNREACH: "unreachable",
  EADDRNOTAVAIL: "unreachable",
  EACCES: "unreachable",
  EPERM: "unreachable",
  ECONNRESET: "closed",
  EPIPE: "closed",
};
