import { isIP, type Socket } from "node:net";
import type { SecureContext, TLSSocket } from "node:tls";
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
import { openTcp, openTls } from "./sockets.ts";
import { TlsChannel } from "./tls_channel.ts";

export interface DialSettings {
  /** PEM certificates trusted beside the built-in roots. */
  readonly caCerts: readonly string[];
  /** For all phases together, in ms: not part of any query's time, so that a slow handshake is finished and kept. */
  readonly timeoutMs: number;
  /** Where a host is that was given by name. */
  readonly lookup: HostLookup;
  /** What to do about a server that cannot prove who it is (RFC 8310 §5): turn away from it, or only tell. */
  readonly profile: "strict" | "opportunistic";
  /** Told, in the opportunistic profile, of each channel to such a server (RFC 8310 §6.5). */
  readonly onUnauthenticated: (error: UpstreamError) => void;
  /** Called when this host is short of descriptors or memory; returns whether something was given up for the dial. */
  readonly makeRoom: () => boolean;
}

/** The time that what was given up takes to be free, in ms. */
const ROOM_DELAY = 5;
/**
 * The time that a lookup may take where there is an address that was good the last time, in ms; and after a failed dial,
 * when that one may be good no more. Both leave time to connect.
 */
const LOOKUP_LIMIT = { usual: 1000, afterFailure: 3000 };
/** What other roots may see otherwise. */
const ROOT_FLAWS: ReadonlySet<Failure> = new Set(["untrusted issuer", "bad certificate"]);

/**
 * Dials one upstream: the certificate chain is verified, names `authName` among its subject alternative names, and has a
 * pinned key if there are pins, or there is no channel and not an octet of DNS is sent (RFC 8310 §6.6). Throws `UsageError`
 * for a client certificate that cannot be used.
 *
 * By `node:tls` and not by `Deno.connectTls`, which leaves Nagle's algorithm on, cannot authenticate a name other than
 * the host dialled, does not show certificates, and keeps the socket of a handshake that is given up.
 */
export function dialer(address: UpstreamAddress, settings: DialSettings): Dial {
  const dialer = new Dialer(address, settings);
  return (options) => dialer.dial(options);
}

class Dialer {
  readonly #address: UpstreamAddress;
  readonly #settings: DialSettings;
  /** The one that the server was trusted with last stands first. */
  #contexts: readonly SecureContext[];
  /** Where the last channel led to. */
  #preferred: string | undefined;
  /** Where the last channel led to, whatever has failed since. */
  #lastGood: string | undefined;
  /** Whether the last dial failed: the host may be elsewhere by now. */
  #hasFailed = false;
  /** Where a connection stood, but led to no channel: others had better be tried before. */
  #suspect: string | undefined;
  /** Whether the server refuses the protocol "dot", as some do that serve HTTPS beside. */
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
        const hasClientCertificate = this.#address.clientCertificate !== undefined;
        return new TlsChannel(socket, { isAuthenticated, hasClientCertificate });
      } catch (error) {
        this.#hasFailed ||= !options.signal.aborted;
        if (attempt.signal.aborted || !isShortage(error) || !this.#settings.makeRoom()) {
          throw attempt.explain(error);
        }
        await new Promise((resolve) => setTimeout(resolve, ROOM_DELAY));
      }
    }
  }

  async #open(attempt: DialAttempt): Promise<{ socket: TLSSocket; isAuthenticated: boolean }> {
    const addresses = await this.#lookUp(attempt);
    const contexts = this.#contexts;
    for (const context of contexts) {
      const socket = await this.#shakeHands(addresses, context, attempt);
      attempt.enter("authentication");
      const flaw = this.#findFlaw(socket);
      if (!flaw) {
        this.#contexts = [context, ...contexts.filter((each) => each !== context)];
        return { socket, isAuthenticated: true };
      }
      // Other roots may trust a chain that these do not; none change a name, a date or a key.
      const mayBeTrusted = !socket.authorized && ROOT_FLAWS.has(flaw.failure);
      const isLast = !mayBeTrusted || context === contexts.at(-1);
      if (isLast && this.#toleratesFlaws) {
        this.#settings.onUnauthenticated(attempt.error(flaw.failure, flaw));
        return { socket, isAuthenticated: false };
      }
      socket.destroy();
      if (isLast) throw attempt.error(flaw.failure, flaw);
    }
    throw new Error("there is always a context"); // for the compiler
  }

  /** Who has given pins for an upstream means them (RFC 7858 §4.2: a mismatch is "non-recoverable"). */
  get #toleratesFlaws(): boolean {
    return this.#settings.profile === "opportunistic" && this.#address.pins.length === 0;
  }

  async #lookUp(attempt: DialAttempt): Promise<string[]> {
    const { host } = this.#address;
    if (isIP(host) > 0) return [host];
    attempt.enter("resolve");
    const found = this.#settings.lookup(host, this.#hasFailed);
    return this.#inOrder(await attempt.within(this.#orLastGood(found)));
  }

  /** While the resolver is away, or slow, the last good address goes on. */
  async #orLastGood(found: Promise<readonly string[]>): Promise<readonly string[]> {
    const address = this.#lastGood;
    if (address === undefined) return await found;
    const { usual, afterFailure } = LOOKUP_LIMIT;
    return await within(this.#hasFailed ? afterFailure : usual, found).catch(() => [address]);
  }

  /** What has worked comes first, what has failed last, and the families take turns in between. */
  #inOrder(addresses: readonly string[]): string[] {
    const rank = (address: string) => address === this.#preferred ? 0 : address === this.#suspect ? 2 : 1;
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
        // RFC 7858 §3.1 knows no ALPN: the port alone may have to say what is spoken.
        this.#refusesAlpn = true;
        return await this.#shakeHands([address], secureContext, attempt);
      }
      this.#refusesAlpn = false;
      this.#suspect = address;
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
      // Neither name nor chain here, but in `#findFlaw`, which reads DER and can say what is wrong; until then there is
      // no channel. That the server holds the key of the certificate is checked (TLS 1.2 and 1.3, Deno 2.9.6).
      checkServerIdentity: () => undefined,
      rejectUnauthorized: false,
    }, signal);
  }

  #findFlaw(socket: TLSSocket): CertificateProblem | undefined {
    const error = socket.authorized ? undefined : String(socket.authorizationError ?? "unverified");
    const proof = { certificate: socket.getPeerCertificate(true), error };
    return findProblem(proof, { ...this.#address, roots: () => trustedRoots(this.#settings.caCerts) });
  }
}
