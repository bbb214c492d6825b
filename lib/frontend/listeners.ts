/**
 * The listening sockets: a UDP and a TCP socket for each address.
 *
 * The folder frontend/ faces the clients. It may import dns/, core/, net/, async/, platform/ and the fast path of the
 * cache. It knows nothing of upstreams; `Answerer` reaches them through `Resolver`.
 */

import { hostReason } from "../platform/host_error.ts";
import { formatHostPort } from "../net/host_port.ts";
import { ConnectionLimit, type ConnectionLimits, type SharedCount } from "./tcp/connection_limit.ts";
import { TcpFrontend, type TcpFrontendOptions } from "./tcp/tcp_frontend.ts";
import { LoopBudget } from "./loop_budget.ts";
import { UdpFrontend, type UdpFrontendOptions } from "./udp/udp_frontend.ts";

/** An address to listen on, over UDP and TCP both. */
export interface ListenAddress {
  /** An IP address without brackets. A wildcard means every address of its family that this host has. */
  readonly hostname: string;
  readonly port: number;
  /** Whether a host without this address is an error. */
  readonly required: boolean;
}

type PairOptions = Omit<TcpFrontendOptions & UdpFrontendOptions, "hostname" | "port">;
export interface ListenerOptions
  extends Omit<PairOptions, "connectionLimit" | "loopBudget">, ConnectionLimits {
  /** Called when sockets were opened or closed because the host's addresses changed. */
  readonly onAddressChange?: () => void;
  /** The TCP clients of other threads; undefined for a single thread. */
  readonly sharedCount?: SharedCount | undefined;
}

/** Interval between two lookups of the host's addresses, while there is a wildcard. */
const REFRESH_MS = 5000;
/** Attempts to open a pair of sockets on any free port. */
const PORT_TRIES = 10;

/** A port that cannot be bound. The message names the remedy. */
export class ListenError extends Error {
  override readonly name = "ListenError";
}

/** One address to listen on, after wildcards were expanded. */
interface ExpandedAddress extends ListenAddress {
  /** Whether it was expanded from a wildcard. Such an address is skipped if another program has its port. */
  readonly fromWildcard: boolean;
}

/** A UDP and a TCP socket on the same address and port. */
interface Pair {
  /** Undefined if the port cannot be shared and another thread has it. */
  readonly udp: UdpFrontend | undefined;
  readonly tcp: TcpFrontend;
}

/**
 * A wildcard address becomes one pair of sockets for each local address. A socket that is bound to the wildcard replies
 * from the address that the routing table selects. A client that sent its query to another address drops the reply.
 */
export class Listeners {
  #options: ListenerOptions;
  readonly #connectionLimit: ConnectionLimit;
  readonly #loopBudget = new LoopBudget();
  #addresses: readonly ListenAddress[] = [];
  readonly #pairs = new Map<string, Pair>();
  /** Pairs that receive no more queries and still reply to pending ones. */
  readonly #closing = new Set<Pair>();
  /** Addresses whose "skipped" event was sent. */
  readonly #skipped = new Set<string>();
  /** Whether the last refresh failed to list the host's addresses. */
  #listingFailed = false;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** Throws `ListenError`, after closing all sockets that it opened. */
  constructor(addresses: readonly ListenAddress[], options: ListenerOptions) {
    this.#options = options;
    this.#connectionLimit = new ConnectionLimit(options, options.sharedCount);
    this.reconfigure(addresses, options);
  }

  /** Listens on these addresses only. Sockets of unchanged addresses stay open. Throws `ListenError` and changes nothing. */
  reconfigure(addresses: readonly ListenAddress[], options = this.#options): void {
    const known = new Set(this.#pairs.keys());
    const wanted = expandAtStart(addresses);
    try {
      let taken: ListenError | undefined;
      for (const address of wanted.values()) {
        const error = this.#open(address, options);
        if (error?.cause instanceof Deno.errors.AddrInUse) taken ??= error;
      }
      if (!wanted.keys().some((key) => this.#pairs.has(key))) {
        throw taken ?? new ListenError(`This host has none of ${addresses.map(format).join(", ")}`);
      }
    } catch (error) {
      for (const key of this.#pairs.keys()) if (!known.has(key)) this.#close(key, dispose);
      throw error;
    }
    this.#options = options;
    this.#addresses = addresses;
    this.#connectionLimit.reconfigure(options);
    for (const { tcp } of this.#pairs.values()) tcp.reconfigure({ ...options, ...this.#shared });
    for (const key of this.#pairs.keys()) if (!wanted.has(key)) this.#close(key, this.#closeGracefully);
    clearInterval(this.#timer);
    if (addresses.some(isWildcard)) this.#timer = setInterval(() => this.#refresh(), REFRESH_MS);
  }

  /** The addresses of all pairs. */
  get addresses(): Deno.NetAddr[] {
    return [...this.#pairs.values()].map(({ tcp }) => tcp.address);
  }

  /** Closes up to `count` idle TCP connections, and returns how many it closed. */
  closeIdleConnections(count: number): number {
    return this.#connectionLimit.closeIdle(count, this.#options.limits.now());
  }

  /** Receives no more queries, replies to the pending ones, then closes. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all([...this.#pairs.values(), ...this.#closing].map(stop));
    this.#loopBudget[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    for (const pair of [...this.#pairs.values(), ...this.#closing]) dispose(pair);
    this.#loopBudget[Symbol.dispose]();
  }

  get #shared() {
    return { connectionLimit: this.#connectionLimit, loopBudget: this.#loopBudget };
  }

  /**
   * Opens a pair of sockets for an address without one. Returns the error of an address that is skipped, and throws
   * `ListenError` for one that is required.
   */
  #open(address: ExpandedAddress, options: ListenerOptions): ListenError | undefined {
    const key = format(address);
    if (this.#pairs.has(key)) return undefined;
    try {
      const pair = openPair(address, { ...options, ...this.#shared });
      this.#pairs.set(key, pair);
      this.#skipped.delete(key);
      const { observe } = options;
      if (pair.udp) observe({ kind: "listening", transport: "udp", address: format(pair.udp.address) });
      observe({ kind: "listening", transport: "tcp", address: format(pair.tcp.address) });
      return undefined;
    } catch (error) {
      const canSkip = address.fromWildcard && error instanceof Deno.errors.AddrInUse;
      const explained = explain(address, error);
      if (!canSkip && (address.required || !isMissingAddress(error))) throw explained;
      this.#reportSkipped(
        key,
        canSkip ? `${reasonOf(error)}; retrying every ${REFRESH_MS / 1000} s` : reasonOf(error),
      );
      return explained;
    }
  }

  #close(key: string, closePair: (pair: Pair) => void): void {
    const pair = this.#pairs.get(key)!;
    this.#pairs.delete(key);
    closePair(pair);
  }

  readonly #closeGracefully = (pair: Pair): void => {
    this.#closing.add(pair);
    void stop(pair).then(() => this.#closing.delete(pair));
  };

  /** Reports an address without sockets, once. */
  #reportSkipped(address: string, reason: string): void {
    if (this.#skipped.has(address)) return;
    this.#skipped.add(address);
    this.#options.observe({ kind: "skipped", address, reason });
  }

  /** Opens and closes sockets as the host's addresses change. If these cannot be listed, the sockets stay as they are. */
  #refresh(): void {
    let wanted: Map<string, ExpandedAddress>;
    try {
      wanted = expandWildcards(this.#addresses);
      this.#listingFailed = false;
    } catch (error) {
      if (!this.#listingFailed) this.#options.observe({ kind: "host error", problem: LISTING_FAILED, error });
      this.#listingFailed = true;
      return;
    }
    const before = [...this.#pairs.keys()].join();
    for (const key of this.#pairs.keys()) if (!wanted.has(key)) this.#close(key, dispose);
    for (const key of this.#skipped) if (!wanted.has(key)) this.#skipped.delete(key);
    for (const [key, address] of wanted) {
      try {
        this.#open(address, this.#options);
      } catch (error) {
        const cause = error instanceof ListenError ? error.cause : error;
        this.#reportSkipped(key, reasonOf(cause)); // the next refresh tries again
      }
    }
    if ([...this.#pairs.keys()].join() !== before) this.#options.onAddressChange?.();
  }
}

function openPair(address: ListenAddress, options: PairOptions): Pair {
  const { hostname, port } = address;
  const hasUdp = options.sharing !== "further" || options.library !== undefined;
  for (let tries = 1;; tries++) {
    const tcp = new TcpFrontend({ ...options, hostname, port });
    try {
      if (!hasUdp) return { udp: undefined, tcp };
      const udp = new UdpFrontend({ ...options, hostname, port: tcp.address.port });
      return { udp, tcp };
    } catch (error) {
      tcp[Symbol.dispose]();
      // The kernel chose a port that is free for TCP only: try another one.
      if (port !== 0 || tries === PORT_TRIES || !(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}

async function stop({ udp, tcp }: Pair): Promise<void> {
  await Promise.all([udp?.stop(), tcp.stop()]);
}

function dispose({ udp, tcp }: Pair): void {
  udp?.[Symbol.dispose]();
  tcp[Symbol.dispose]();
}

/** The addresses to listen on by their text. Explicit addresses come first, because they may be required. */
function expandWildcards(addresses: readonly ListenAddress[]): Map<string, ExpandedAddress> {
  const others = addresses.filter((address) => !isWildcard(address));
  const locals = addresses.filter(isWildcard).flatMap(localAddresses);
  const wanted = new Map(others.map((each) => [format(each), { ...each, fromWildcard: false }]));
  for (const each of locals) {
    if (!wanted.has(format(each))) wanted.set(format(each), { ...each, fromWildcard: true });
  }
  return wanted;
}

/** The same. Throws `ListenError` if the addresses of the host are needed and cannot be listed. */
function expandAtStart(addresses: readonly ListenAddress[]): Map<string, ExpandedAddress> {
  try {
    return expandWildcards(addresses);
  } catch (cause) {
    throw new ListenError(
      `Cannot list the addresses of this host for ${addresses.filter(isWildcard).map(format).join(", ")}: ` +
        `${hostReason(cause)}. Or name each address with --listen`,
      { cause },
    );
  }
}

function isWildcard({ hostname }: ListenAddress): boolean {
  return hostname === "0.0.0.0" || hostname === "::";
}

function sameFamily(one: string, other: string): boolean {
  return one.includes(":") === other.includes(":");
}

const LISTING_FAILED =
  "the addresses of this host cannot be listed, so queries to a new address are not answered";

/**
 * The local addresses of a wildcard's family. Link-local IPv6 addresses are left out: they need a zone, which Deno cannot
 * bind. Throws the errors of `Deno.networkInterfaces`.
 */
function localAddresses({ hostname, port }: ListenAddress): ListenAddress[] {
  return Deno.networkInterfaces()
    .map(({ address }) => ({ hostname: address, port, required: false }))
    .filter((each) => sameFamily(each.hostname, hostname) && !each.hostname.startsWith("fe80"));
}

function format({ hostname, port }: { hostname: string; port: number }): string {
  return formatHostPort(hostname, port);
}

function isMissingAddress(error: unknown): boolean {
  return error instanceof Deno.errors.AddrNotAvailable || /os error (97|99)\b/.test(String(error));
}

function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.AddrInUse) return "another program listens there";
  if (error instanceof Deno.errors.PermissionDenied) return "permission denied";
  if (isMissingAddress(error)) return "this host does not have the address";
  return hostReason(error);
}

function explain(address: ListenAddress, error: unknown): ListenError {
  return listenError("--listen", address, error);
}

/** An error with the reason why an address cannot be listened on, and its remedy. */
export function listenError(
  option: "--listen" | "--admin",
  address: Pick<ListenAddress, "hostname" | "port">,
  error: unknown,
): ListenError {
  const message = `Cannot listen on ${format(address)}: ${reasonOf(error)}${
    remedyFor(option, address, error)
  }`;
  return new ListenError(message, { cause: error });
}

/** Returns an empty text if the reason names its remedy itself. */
function remedyFor(
  option: "--listen" | "--admin",
  { hostname, port }: Pick<ListenAddress, "hostname" | "port">,
  error: unknown,
): string {
  if (error instanceof Deno.errors.AddrInUse) {
    return `. Find it with "ss -lnptu 'sport = :${port}'" and stop it, or choose another address with ${option}`;
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return `. Allow the program low ports with "setcap cap_net_bind_service=+ep dot-proxy", run it by the systemd ` +
      `unit deploy/dot-proxy.service, or choose a port above 1023, as in ${option} ${
        format({ hostname, port: 5353 })
      }`;
  }
  return isMissingAddress(error) ? `. Name one that it has: "ip -brief address" lists them` : "";
}
