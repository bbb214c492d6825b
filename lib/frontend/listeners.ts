import { hostReason } from "../platform/host_error.ts";
import { formatHostPort } from "../net/host_port.ts";
import { ConnectionLimit, type ConnectionLimits, type SharedCount } from "./tcp/connection_limit.ts";
import { TcpFrontend, type TcpFrontendOptions } from "./tcp/tcp_frontend.ts";
import { LoopBudget } from "./loop_budget.ts";
import { UdpFrontend, type UdpFrontendOptions } from "./udp/udp_frontend.ts";

/** An address to listen on, over UDP and TCP both. */
export interface ListenAddress {
  /** An IP literal without brackets. A wildcard stands for every address of its family that this host has. */
  readonly hostname: string;
  readonly port: number;
  /** Whether it is an error if the host lacks it. */
  readonly required: boolean;
}

type PairOptions = Omit<TcpFrontendOptions & UdpFrontendOptions, "hostname" | "port">;
export interface ListenerOptions
  extends Omit<PairOptions, "connectionLimit" | "loopBudget">, ConnectionLimits {
  /** Called when the host's addresses have come or gone, and what is listened on with them. */
  readonly onAddressChange?: () => void;
  /** TCP clients of other threads; nobody unless told. */
  readonly sharedCount?: SharedCount | undefined;
}

/** How often the host's addresses are looked at where a wildcard is listened on, in ms. */
const REFRESH = 5000;
/** How often a pair of sockets is tried for where any port will do. */
const PORT_TRIES = 10;

/** A port that cannot be bound; the message says what to do. */
export class ListenError extends Error {
  override readonly name = "ListenError";
}

/** One address to listen on, with no wildcard. */
interface Wanted extends ListenAddress {
  /** Whether it is one of those that a wildcard stands for: another program may have its port. */
  readonly ofWildcard: boolean;
}

/** A UDP and a TCP socket on the same address and port. */
interface Pair {
  /** Undefined where another thread has the port alone. */
  readonly udp: UdpFrontend | undefined;
  readonly tcp: TcpFrontend;
}

/**
 * All listening sockets. A wildcard address becomes one pair for each local address: a socket bound to the wildcard
 * answers from whatever address the routing table picks, and a client that asked another drops the answer.
 */
export class Listeners {
  #options: ListenerOptions;
  readonly #connectionLimit: ConnectionLimit;
  readonly #loopBudget = new LoopBudget();
  #addresses: readonly ListenAddress[] = [];
  readonly #pairs = new Map<string, Pair>();
  /** Those that answer what they were asked, and are not asked any more. */
  readonly #leaving = new Set<Pair>();
  readonly #skipped = new Set<string>();
  /** Whether the host's addresses could not be listed at the last refresh. */
  #isBlind = false;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** Throws `ListenError`, with nothing left open. */
  constructor(addresses: readonly ListenAddress[], options: ListenerOptions) {
    this.#options = options;
    this.#connectionLimit = new ConnectionLimit(options, options.sharedCount);
    this.reconfigure(addresses, options);
  }

  /** From now on listens on these and no others; what stays is not disturbed. Throws `ListenError`, with all as it was. */
  reconfigure(addresses: readonly ListenAddress[], options = this.#options): void {
    const known = new Set(this.#pairs.keys());
    const wanted = wantedAtOnce(addresses);
    try {
      let taken: ListenError | undefined;
      for (const address of wanted.values()) {
        const error = this.#open(address, options);
        if (error?.cause instanceof Deno.errors.AddrInUse) taken ??= error;
      }
      if (!wanted.keys().some((key) => this.#pairs.has(key))) {
        throw taken ?? new ListenError(`This host has none of ${addresses.map(text).join(", ")}`);
      }
    } catch (error) {
      for (const key of this.#pairs.keys()) if (!known.has(key)) this.#close(key, dispose);
      throw error;
    }
    this.#options = options;
    this.#addresses = addresses;
    this.#connectionLimit.reconfigure(options);
    for (const { tcp } of this.#pairs.values()) tcp.reconfigure({ ...options, ...this.#shared });
    for (const key of this.#pairs.keys()) if (!wanted.has(key)) this.#close(key, this.#leave);
    clearInterval(this.#timer);
    if (addresses.some(isWildcard)) this.#timer = setInterval(() => this.#refresh(), REFRESH);
  }

  /** Where it listens, over UDP and TCP alike. */
  get addresses(): Deno.NetAddr[] {
    return [...this.#pairs.values()].map(({ tcp }) => tcp.address);
  }

  /** Closes so many idle TCP clients, if there are as many; returns how many it closed. */
  closeIdleConnections(count: number): number {
    return this.#connectionLimit.closeIdle(count, this.#options.limits.now());
  }

  /** Takes no more queries, answers those it has, then closes. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all([...this.#pairs.values(), ...this.#leaving].map(stop));
    this.#loopBudget[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    for (const pair of [...this.#pairs.values(), ...this.#leaving]) dispose(pair);
    this.#loopBudget[Symbol.dispose]();
  }

  get #shared() {
    return { connectionLimit: this.#connectionLimit, loopBudget: this.#loopBudget };
  }

  /** Opens a pair of sockets unless there is one. Returns why an address is skipped; throws `ListenError` if it may not. */
  #open(address: Wanted, options: ListenerOptions): ListenError | undefined {
    const key = text(address);
    if (this.#pairs.has(key)) return undefined;
    try {
      const pair = openPair(address, { ...options, ...this.#shared });
      this.#pairs.set(key, pair);
      this.#skipped.delete(key);
      const { observe } = options;
      if (pair.udp) observe({ kind: "listening", transport: "udp", address: text(pair.udp.address) });
      observe({ kind: "listening", transport: "tcp", address: text(pair.tcp.address) });
      return undefined;
    } catch (error) {
      const isTaken = address.ofWildcard && error instanceof Deno.errors.AddrInUse;
      const explained = explain(address, error);
      if (!isTaken && (address.required || !isLacking(error))) throw explained;
      this.#skip(
        key,
        isTaken ? `${reasonOf(error)}; it is tried again every ${REFRESH / 1000} s` : reasonOf(error),
      );
      return explained;
    }
  }

  #close(key: string, end: (pair: Pair) => void): void {
    const pair = this.#pairs.get(key)!;
    this.#pairs.delete(key);
    end(pair);
  }

  readonly #leave = (pair: Pair): void => {
    this.#leaving.add(pair);
    void stop(pair).then(() => this.#leaving.delete(pair));
  };

  /** Says once that an address is not listened on. */
  #skip(address: string, reason: string): void {
    if (this.#skipped.has(address)) return;
    this.#skipped.add(address);
    this.#options.observe({ kind: "skipped", address, reason });
  }

  /** Follows the host's addresses as they come and go. While they cannot be listed, the sockets stay as they are. */
  #refresh(): void {
    let wanted: Map<string, Wanted>;
    try {
      wanted = wantedOf(this.#addresses);
      this.#isBlind = false;
    } catch (error) {
      if (!this.#isBlind) this.#options.observe({ kind: "host error", problem: BLIND, error });
      this.#isBlind = true;
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
        this.#skip(key, reasonOf(cause)); // tried again at the next refresh
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
      // Any port will do, and this one is free for TCP only.
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

/** What to listen on now, by what it is called: first what is asked for by itself, for that may have to be there. */
function wantedOf(addresses: readonly ListenAddress[]): Map<string, Wanted> {
  const others = addresses.filter((address) => !isWildcard(address));
  const locals = addresses.filter(isWildcard).flatMap(localAddresses);
  const wanted = new Map(others.map((each) => [text(each), { ...each, ofWildcard: false }]));
  for (const each of locals) {
    if (!wanted.has(text(each))) wanted.set(text(each), { ...each, ofWildcard: true });
  }
  return wanted;
}

/** Throws `ListenError` where the addresses of the host are needed and cannot be listed. */
function wantedAtOnce(addresses: readonly ListenAddress[]): Map<string, Wanted> {
  try {
    return wantedOf(addresses);
  } catch (cause) {
    throw new ListenError(
      `Cannot list the addresses of this host, which ${addresses.filter(isWildcard).map(text).join(", ")} ` +
        `stands for: ${hostReason(cause)}. Or name each address with --listen`,
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

const BLIND = "the addresses of this host cannot be listed, so queries to a new one are not answered";

/**
 * The addresses a wildcard stands for. Link-local IPv6 needs a zone, which cannot be bound here. Throws what
 * `Deno.networkInterfaces` throws.
 */
function localAddresses({ hostname, port }: ListenAddress): ListenAddress[] {
  return Deno.networkInterfaces()
    .map(({ address }) => ({ hostname: address, port, required: false }))
    .filter((each) => sameFamily(each.hostname, hostname) && !each.hostname.startsWith("fe80"));
}

function text({ hostname, port }: { hostname: string; port: number }): string {
  return formatHostPort(hostname, port);
}

function isLacking(error: unknown): boolean {
  return error instanceof Deno.errors.AddrNotAvailable || /os error (97|99)\b/.test(String(error));
}

function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.AddrInUse) return "another program listens there";
  if (error instanceof Deno.errors.PermissionDenied) return "permission denied";
  if (isLacking(error)) return "this host does not have the address";
  return hostReason(error);
}

function explain(address: ListenAddress, error: unknown): ListenError {
  return listenError("--listen", address, error);
}

/** Why an address cannot be listened on, and what to do about that reason. */
export function listenError(
  option: "--listen" | "--admin",
  address: Pick<ListenAddress, "hostname" | "port">,
  error: unknown,
): ListenError {
  const message = `Cannot listen on ${text(address)}: ${reasonOf(error)}${remedyFor(option, address, error)}`;
  return new ListenError(message, { cause: error });
}

/** Empty where the reason names one itself. */
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
        text({ hostname, port: 5353 })
      }`;
  }
  return isLacking(error) ? `. Name one that it has: "ip -brief address" lists them` : "";
}
