/**
 * Opens authenticated channels to one upstream: lookup, TCP, TLS, certificate check, in this order. The only file that uses
 * the sockets of `node:tls`.
 *
 * `Deno.connectTls` is not used: it leaves Nagle's algorithm on, cannot authenticate a name other than the dialed host,
 * shows no certificates, and keeps the socket of a handshake that was given up.
 */

import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions, type SecureContext, type TLSSocket } from "node:tls";
import type { Failure, UpstreamError } from "../../core/errors.ts";
import { isShortage } from "../../platform/host_error.ts";
import type { UpstreamAddress } from "../address.ts";
import { refusesProtocol } from "./tls_alerts.ts";
import { findProblem } from "./certificate_check.ts";
import type { CertificateProblem } from "./certificate_problems.ts";
import type { Channel, Dial, DialOptions } from "../connection/channel.ts";
import { readClientCertificate } from "./client_certificate.ts";
import { DialAttempt } from "./dial_attempt.ts";
import { interleave, openFirst } from "./happy_eyeballs.ts";
import { type HostLookup, within } from "./host_lookup.ts";
import { secureContexts, trustedRoots } from "./trust_roots.ts";
import { TlsChannel } from "./tls_channel.ts";

export interface DialSettings {
  /** PEM certificates trusted beside the built-in roots. */
  readonly caCerts: readonly string[];
  /** Time limit of all phases together. It is longer than a query's, so that later queries can use a slow connection. */
  readonly timeoutMs: number;
  /** Looks up a host name. */
  readonly lookup: HostLookup;
  /** Whether to reject a server that fails the certificate check, or only to report it (RFC 8310 §5). */
  readonly profile: "strict" | "opportunistic";
  /** Called for each channel to such a server in the opportunistic profile (RFC 8310 §6.5). */
  readonly onUnauthenticated: (error: UpstreamError) => void;
  /** Called when this host is short of descriptors or memory. Returns whether it freed some for this dial. */
  readonly makeRoom: () => boolean;
}

/** Time until freed descriptors can be used. */
const ROOM_DELAY_MS = 5;
/**
 * Time limits of a lookup if the address of the last channel is known: afterwards that address is used. After a failed dial
 * that address may be wrong, so the lookup gets more time. Both limits leave time to connect.
 */
const LOOKUP_LIMIT_MS = { usual: 1000, afterFailure: 3000 };
/** Problems that other trusted roots may solve. */
const ROOT_PROBLEMS: ReadonlySet<Failure> = new Set(["untrusted issuer", "bad certificate"]);

/**
 * Creates the function that dials one upstream. In the strict profile a channel exists, and DNS is sent, only if the
 * certificate chain is valid, names `authName`, and has a pinned key if there are pins (RFC 8310 §6.6). Throws `UsageError`
 * for a client certificate that cannot be used.
 */
export function dialer(address: UpstreamAddress, settings: DialSettings): Dial {
  const dialer = new Dialer(address, settings);
  return (options) => dialer.dial(options);
}

class Dialer {
  readonly #address: UpstreamAddress;
  readonly #settings: DialSettings;
  /** The context that trusted the server the last time is first. */
  #contexts: readonly SecureContext[];
  /** Address of the last channel; undefined after a failed handshake with it. */
  #preferred: string | undefined;
  /** Address of the last channel, also after failures. */
  #lastGood: string | undefined;
  /** Whether the last dial failed. The host may have another address now. */
  #hasFailed = false;
  /** An address where TCP succeeded and TLS failed. It is tried last. */
  #failedAddress: string | undefined;
  /** Whether the server refuses the ALPN protocol "dot". Some servers that also serve HTTPS do. */
  #refusesAlpn = false;

  constructor(address: UpstreamAddress, settings: DialSettings) {
    this.#address = address;
    this.#settings = settings;
    this.#contexts = secureContexts(settings.caCerts, readClientCertificate(address));
  }

  async dial(options: DialOptions): Promise<Channel> {
    using attempt = new DialAttempt(this.#address.label, options, this.#settings.timeoutMs);
    for (;;) {
      try {
        const { socket, isAuthenticated } = await this.#open(attempt);
        this.#hasFailed = false;
        this.#lastGood = this.#preferred;
        return new TlsChannel(socket, { isAuthenticated });
      } catch (error) {
        this.#hasFailed ||= !options.signal.aborted;
        if (attempt.signal.aborted || !isShortage(error) || !this.#settings.makeRoom()) {
          throw attempt.explain(error);
        }
        await new Promise((resolve) => setTimeout(resolve, ROOM_DELAY_MS));
      }
    }
  }

  async #open(attempt: DialAttempt): Promise<{ socket: TLSSocket; isAuthenticated: boolean }> {
    const addresses = await this.#lookUp(attempt);
    const contexts = this.#contexts;
    for (const context of contexts) {
      const socket = await this.#shakeHands(addresses, context, attempt);
      attempt.enter("authentication");
      const problem = this.#findProblem(socket);
      if (!problem) {
        this.#contexts = [context, ...contexts.filter((each) => each !== context)];
        return { socket, isAuthenticated: true };
      }
      // Other roots may trust the chain. They change nothing about a wrong name, date or key.
      const mayBeTrusted = !socket.authorized && ROOT_PROBLEMS.has(problem.failure);
      const isLast = !mayBeTrusted || context === contexts.at(-1);
      if (isLast && this.#toleratesProblems) {
        this.#settings.onUnauthenticated(attempt.error(problem.failure, problem));
        return { socket, isAuthenticated: false };
      }
      socket.destroy();
      if (isLast) throw attempt.error(problem.failure, problem);
    }
    throw new Error("no secure context"); // unreachable: there is at least one
  }

  /** Pins are always enforced (RFC 7858 §4.2: a mismatch is "non-recoverable"). */
  get #toleratesProblems(): boolean {
    return this.#settings.profile === "opportunistic" && this.#address.pins.length === 0;
  }

  async #lookUp(attempt: DialAttempt): Promise<string[]> {
    const { host } = this.#address;
    if (isIP(host) > 0) return [host];
    attempt.enter("resolve");
    const found = this.#settings.lookup(host, this.#hasFailed);
    return this.#inOrder(await attempt.untilAborted(this.#orLastGood(found)));
  }

  /** The address of the last channel replaces a lookup that fails or is slow. */
  async #orLastGood(found: Promise<readonly string[]>): Promise<readonly string[]> {
    const address = this.#lastGood;
    if (address === undefined) return await found;
    const { usual, afterFailure } = LOOKUP_LIMIT_MS;
    return await within(this.#hasFailed ? afterFailure : usual, found).catch(() => [address]);
  }

  /** The address of the last channel first, one that failed last, and the address families in turn in between. */
  #inOrder(addresses: readonly string[]): string[] {
    const rank = (address: string) =>
      address === this.#preferred ? 0 : address === this.#failedAddress ? 2 : 1;
    return interleave(addresses).sort((a, b) => rank(a) - rank(b));
  }

  async #shakeHands(
    addresses: readonly string[],
    secureContext: SecureContext,
    attempt: DialAttempt,
  ): Promise<TLSSocket> {
    attempt.enter("connect");
    const { port } = this.#address;
    const open = (address: string, signal: AbortSignal) => openTcp(address, port, signal);
    const { address, opened } = await openFirst(addresses, open, attempt.signal);
    attempt.enter("TLS");
    try {
      const socket = await this.#secure(opened, secureContext, attempt.signal);
      this.#preferred = address;
      return socket;
    } catch (error) {
      if (this.#preferred === address) this.#preferred = undefined;
      if (!this.#refusesAlpn && refusesProtocol(error)) {
        // RFC 7858 §3.1 does not mention ALPN, so the port alone may identify the protocol.
        this.#refusesAlpn = true;
        return await this.#shakeHands([address], secureContext, attempt);
      }
      this.#refusesAlpn = false;
      this.#failedAddress = address;
      throw error;
    }
  }

  #secure(socket: Socket, secureContext: SecureContext, signal: AbortSignal): Promise<TLSSocket> {
    const { authName } = this.#address;
    return openTls(socket, {
      secureContext,
      ...!this.#refusesAlpn && { ALPNProtocols: ["dot"] }, // RFC 7858 §8.2 (IANA)
      // RFC 6066 §3: "Literal IPv4 and IPv6 addresses are not permitted" as a server name.
      ...isIP(authName) === 0 && { servername: authName },
      // `#findProblem` checks name and chain from the DER, because it can explain each problem. Before that there is no
      // channel. The TLS engine still checks that the server holds the certificate's key (TLS 1.2 and 1.3, Deno 2.9.6).
      checkServerIdentity: () => undefined,
      rejectUnauthorized: false,
    }, signal);
  }

  #findProblem(socket: TLSSocket): CertificateProblem | undefined {
    const error = socket.authorized ? undefined : String(socket.authorizationError ?? "unverified");
    const presented = { certificate: socket.getPeerCertificate(true), error };
    return findProblem(presented, { ...this.#address, roots: () => trustedRoots(this.#settings.caCerts) });
  }
}

/** Resolves when the connection is open, with Nagle's algorithm off: it would delay small pipelined queries. */
function openTcp(host: string, port: number, signal: AbortSignal): Promise<Socket> {
  return ready(connectTcp({ host, port, noDelay: true }), "connect", signal);
}

/** Resolves when the handshake is complete. Closing the TLS socket closes the TCP socket. */
async function openTls(
  socket: Socket,
  options: ConnectionOptions,
  signal: AbortSignal,
): Promise<TLSSocket> {
  const tls = connectTls({ ...options, socket });
  tls.once("close", () => socket.destroy());
  return await ready(tls, "secureConnect", signal);
}

/** Resolves at the event. Destroys the socket when it fails or the signal is aborted. */
function ready<S extends Socket>(socket: S, event: string, signal: AbortSignal): Promise<S> {
  const { promise, resolve, reject } = Promise.withResolvers<S>();
  socket.on("error", reject); // never removed: an error without a listener ends the process
  const close = () => reject(new Deno.errors.UnexpectedEof("the server has closed the connection"));
  const abort = () => reject(signal.reason);
  socket.once(event, () => resolve(socket));
  socket.once("close", close);
  signal.addEventListener("abort", abort);
  if (signal.aborted) abort();
  return promise.catch((error) => {
    socket.destroy();
    throw error;
  }).finally(() => {
    socket.off("close", close);
    signal.removeEventListener("abort", abort);
  });
}
