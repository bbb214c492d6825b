import type { FrontendOptions } from "./udp.ts";
import { type TcpClientLimits, TcpSession } from "./tcp_session.ts";

export interface TcpFrontendOptions extends FrontendOptions {
  /** Connections at once, in all and from one address (RFC 9210 §4.2). */
  readonly maxClients: number;
  readonly maxClientsPerAddress: number;
  readonly limits: TcpClientLimits;
}

/** With all connections taken, one that has been idle for so long, in ms, makes room for another … */
const SPARED = 1000;
/** … if it is among so many of the oldest: looking through all of them each time would be what a flood is after. */
const LOOKS = 64;
/** How often sessions are looked through for idle ones, in ms. */
const SWEEP = 1000;

/** One listening TCP socket and the sessions that came through it. */
export class TcpFrontend {
  readonly address: Deno.NetAddr;
  readonly #listener: Deno.TcpListener;
  #options: TcpFrontendOptions;
  readonly #sessions = new Set<TcpSession>();
  readonly #perAddress = new Map<string, number>();
  readonly #timer: ReturnType<typeof setInterval>;
  #stopping = false;

  /** Throws what `Deno.listen` throws. */
  constructor(options: TcpFrontendOptions) {
    const { hostname, port } = options;
    this.#options = options;
    this.#listener = Deno.listen({ transport: "tcp", hostname, port });
    this.address = this.#listener.addr;
    this.#timer = setInterval(() => this.#sweep(), SWEEP);
    void this.#accept();
  }

  /** For connections from now on; those that there are keep what they were told. */
  reconfigure(options: Omit<TcpFrontendOptions, "hostname" | "port">): void {
    this.#options = { ...this.#options, ...options };
  }

  /** Accepts no more, answers what has been asked, then closes. */
  async stop(): Promise<void> {
    this.#close();
    await Promise.all([...this.#sessions].map((session) => session.finish()));
  }

  [Symbol.dispose](): void {
    this.#close();
    for (const session of this.#sessions) session[Symbol.dispose]();
  }

  #close(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    clearInterval(this.#timer);
    this.#listener.close();
  }

  async #accept(): Promise<void> {
    while (!this.#stopping) {
      try {
        this.#admit(await this.#listener.accept());
      } catch (error) {
        if (this.#stopping) return;
        // Out of file descriptors, or the client was gone already: others may fare better in a moment.
        const { hostname } = this.address;
        this.#options.observe({ kind: "socket trouble", transport: "tcp", address: hostname, error });
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
  }

  #admit(socket: Deno.TcpConn): void {
    const { hostname: address, port } = socket.remoteAddr;
    const reason = this.#refusal(address);
    if (reason) {
      socket.close();
      return this.#options.observe({ kind: "client refused", address, reason });
    }
    // Answers are gathered here, not by the kernel (RFC 7766 §8).
    socket.setNoDelay(true);
    const { answerer, limits } = this.#options;
    const session = new TcpSession(socket, { transport: "tcp", address, port }, answerer, limits);
    this.#sessions.add(session);
    this.#perAddress.set(address, this.#from(address) + 1);
    void session.closed.then(() => this.#leave(session, address));
  }

  #refusal(address: string): string | undefined {
    const { maxClients, maxClientsPerAddress } = this.#options;
    if (this.#from(address) >= maxClientsPerAddress) {
      return `it has ${maxClientsPerAddress} TCP connections already`;
    }
    if (this.#sessions.size < maxClients || this.#makeRoom()) return undefined;
    return `${maxClients} TCP clients are connected already`;
  }

  /**
   * Closes a connection that has been idle for a while, if there is one among the oldest: those who connect and send
   * nothing, or never read, keep nobody out (RFC 7766 §6.2.3 lets a server close idle connections when it must).
   */
  #makeRoom(): boolean {
    const now = this.#options.limits.now();
    let looks = 0;
    for (const session of this.#sessions) {
      if (session.expire(now, SPARED)) return true;
      if (++looks === LOOKS) break;
    }
    return false;
  }

  #from(address: string): number {
    return this.#perAddress.get(address) ?? 0;
  }

  #leave(session: TcpSession, address: string): void {
    this.#sessions.delete(session);
    const left = this.#from(address) - 1;
    if (left > 0) this.#perAddress.set(address, left);
    else this.#perAddress.delete(address);
  }

  #sweep(): void {
    const now = this.#options.limits.now();
    for (const session of this.#sessions) session.expire(now);
  }
}
