/** One listening TCP socket and the sessions that it accepted. */

import { errorCode, isShortage } from "../../platform/host_error.ts";
import type { ConnectionLimit } from "./connection_limit.ts";
import { listenTcp } from "../../platform/reuse_port.ts";
import { type TcpClientLimits, TcpSession } from "./tcp_session.ts";
import type { FrontendOptions } from "../udp/udp_frontend.ts";

export interface TcpFrontendOptions extends FrontendOptions {
  /** Shared by all listeners. */
  readonly connectionLimit: ConnectionLimit;
  readonly limits: TcpClientLimits;
}

/**
 * Maximum of connections that wait to be accepted, within net.core.somaxconn, whose default is the same. Beyond it the
 * kernel drops the handshake, and the client tries again a second later (RFC 6298 §2).
 */
const BACKLOG = 4096;
/** Cost of accepting a connection, in queries. */
const ACCEPT_COST = 16;
/** Wait before the next accept when the host is short of descriptors or memory. */
const SHORTAGE_PAUSE_MS = 10;
/** After this many failures in a row for other reasons, the listener itself is at fault, and it pauses, too. */
const MAX_FAILURES = 100;
/** Errors of accept(2) that concern a connection whose client has already left. */
const CLIENT_LEFT = new Set(["ENOTCONN", "ECONNABORTED", "ECONNRESET", "EPROTO"]);
/** Interval between two searches for idle sessions. */
const EXPIRY_INTERVAL_MS = 1000;

export class TcpFrontend {
  readonly address: Deno.NetAddr;
  readonly #listener: Deno.TcpListener;
  #options: TcpFrontendOptions;
  readonly #sessions = new Set<TcpSession>();
  readonly #timer: ReturnType<typeof setInterval>;
  #isStopping = false;

  /** Throws the errors of `Deno.listen`. */
  constructor(options: TcpFrontendOptions) {
    this.#options = options;
    this.#listener = listenTcp({ ...options, tcpBacklog: BACKLOG });
    this.address = this.#listener.addr;
    this.#timer = setInterval(() => this.#expireSessions(), EXPIRY_INTERVAL_MS);
    void this.#acceptAll();
  }

  /** Applies to new connections. Existing sessions keep their options. */
  reconfigure(options: Omit<TcpFrontendOptions, "hostname" | "port">): void {
    this.#options = { ...this.#options, ...options };
  }

  /** Accepts no more connections, replies to all queries that were read, then closes. */
  async stop(): Promise<void> {
    this.#closeListener();
    await Promise.all([...this.#sessions].map((session) => session.finish()));
    clearInterval(this.#timer); // until here it closes sessions whose clients do not read
  }

  [Symbol.dispose](): void {
    this.#closeListener();
    clearInterval(this.#timer);
    for (const session of this.#sessions) session[Symbol.dispose]();
  }

  #closeListener(): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    this.#listener.close();
  }

  async #acceptAll(): Promise<void> {
    for (let failures = 0; !this.#isStopping;) {
      try {
        this.#accept(await this.#listener.accept());
        failures = 0;
      } catch (error) {
        if (this.#isStopping) return;
        // accept(2): errors of the new connection are to be treated "like EAGAIN by retrying".
        const hasClientLeft = CLIENT_LEFT.has(errorCode(error) ?? "");
        if (isShortage(error) || !hasClientLeft && ++failures % MAX_FAILURES === 0) {
          await this.#recover(error);
        } else if (!hasClientLeft) this.#report(error);
      }
      // Pending events come first after each accept, so that a burst of connects does not delay queries.
      await new Promise((resolve) => setImmediate(resolve));
      const { loopBudget } = this.#options;
      loopBudget.consume(ACCEPT_COST);
      if (loopBudget.isExhausted) await loopBudget.yieldToKernel();
    }
  }

  /** Closes an idle client to free the descriptor and memory that the pending connection needs. */
  async #recover(error: unknown): Promise<void> {
    this.#report(error);
    const { connectionLimit, limits } = this.#options;
    connectionLimit.closeIdle(1, limits.now());
    await new Promise((resolve) => setTimeout(resolve, SHORTAGE_PAUSE_MS));
  }

  #report(error: unknown): void {
    const { hostname } = this.address;
    this.#options.observe({ kind: "socket error", transport: "tcp", address: hostname, error });
  }

  #accept(socket: Deno.TcpConn): void {
    if (this.#isStopping) return socket.close(); // no session would close it after `stop`
    try {
      this.#startSession(socket);
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  #startSession(socket: Deno.TcpConn): void {
    const { hostname: address, port } = socket.remoteAddr;
    const { answerer, loopBudget, limits, observe, connectionLimit } = this.#options;
    const client = { transport: "tcp", address, port } as const;
    // A denied client never evicts another one. If it gets no reply, it needs no connection at all.
    const access = answerer.access(address);
    if (access === "ignore" || access === "refuse" && !connectionLimit.hasFreeSlot) {
      socket.close();
      return observe({ kind: "denied", client, reason: "not allowed", answered: false });
    }
    // The session gathers replies itself; the kernel need not delay them (RFC 7766 §8).
    socket.setNoDelay(true);
    const { maxUnreadBytes } = connectionLimit;
    const session = new TcpSession(socket, client, { ...limits, maxUnreadBytes, answerer, loopBudget });
    const rejection = connectionLimit.admit(session, address, limits.now());
    if (rejection !== undefined) {
      session[Symbol.dispose]();
      return observe({ kind: "connection rejected", address, reason: rejection });
    }
    this.#sessions.add(session);
    void session.closed.then(() => this.#sessions.delete(session));
    session.start();
  }

  #expireSessions(): void {
    const now = this.#options.limits.now();
    for (const session of this.#sessions) session.expire(now);
  }
}
