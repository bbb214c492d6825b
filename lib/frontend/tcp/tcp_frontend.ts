import { errorCode, isShortage } from "../../platform/host_error.ts";
import type { ConnectionLimit } from "./connection_limit.ts";
import { listenTcp } from "../../platform/reuse_port.ts";
import { type TcpClientLimits, TcpSession } from "./tcp_session.ts";
import type { FrontendOptions } from "../udp/udp_frontend.ts";

export interface TcpFrontendOptions extends FrontendOptions {
  /** What all listeners share. */
  readonly places: ConnectionLimit;
  readonly limits: TcpClientLimits;
}

/**
 * Connections that may wait to be accepted, if net.core.somaxconn allows as many, as it does by default. Where no more
 * may wait, the kernel drops the handshake, and the client tries again a second later (RFC 6298 §2).
 */
const BACKLOG = 4096;
/** As many queries take the time that a connect takes. */
const CONNECT = 16;
/** How long to wait before the next accept where the host is short of something, in ms. */
const SHORTAGE_PAUSE = 10;
/** So many failures of accept in a row without a shortage are a fault of the listener: then it pauses, too. */
const MAX_FAILURES = 100;
/** Failures that accept(2) passes on from a connection whose client has gone already: nobody waits for it. */
const GONE = new Set(["ENOTCONN", "ECONNABORTED", "ECONNRESET", "EPROTO"]);
/** How often sessions are looked through for idle ones, in ms. */
const SWEEP = 1000;

/** One listening TCP socket and the sessions that came through it. */
export class TcpFrontend {
  readonly address: Deno.NetAddr;
  readonly #listener: Deno.TcpListener;
  #options: TcpFrontendOptions;
  readonly #sessions = new Set<TcpSession>();
  readonly #timer: ReturnType<typeof setInterval>;
  #stopping = false;

  /** Throws what `Deno.listen` throws. */
  constructor(options: TcpFrontendOptions) {
    this.#options = options;
    this.#listener = listenTcp({ ...options, tcpBacklog: BACKLOG });
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
    clearInterval(this.#timer); // until then it lets go those that do not read
  }

  [Symbol.dispose](): void {
    this.#close();
    clearInterval(this.#timer);
    for (const session of this.#sessions) session[Symbol.dispose]();
  }

  #close(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#listener.close();
  }

  async #accept(): Promise<void> {
    for (let failures = 0; !this.#stopping;) {
      try {
        this.#admit(await this.#listener.accept());
        failures = 0;
      } catch (error) {
        if (this.#stopping) return;
        // accept(2): errors of the new connection are to be treated "like EAGAIN by retrying".
        const isGone = GONE.has(errorCode(error) ?? "");
        if (isShortage(error) || !isGone && ++failures % MAX_FAILURES === 0) await this.#recover(error);
        else if (!isGone) this.#report(error);
      }
      // After each whatever has come already, and soon all the rest: a burst of connects keeps no query waiting.
      await new Promise((resolve) => setImmediate(resolve));
      const { turns } = this.#options;
      turns.consume(CONNECT);
      if (turns.isExhausted) await turns.yieldToKernel();
    }
  }

  /** Gives up an idle client for the one that waits, whose connection needs a descriptor and memory. */
  async #recover(error: unknown): Promise<void> {
    this.#report(error);
    const { places, limits } = this.#options;
    places.spare(1, limits.now());
    await new Promise((resolve) => setTimeout(resolve, SHORTAGE_PAUSE));
  }

  #report(error: unknown): void {
    const { hostname } = this.address;
    this.#options.observe({ kind: "socket error", transport: "tcp", address: hostname, error });
  }

  #admit(socket: Deno.TcpConn): void {
    if (this.#stopping) return socket.close(); // accepted just before, and nobody would end it
    try {
      this.#welcome(socket);
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  #welcome(socket: Deno.TcpConn): void {
    const { hostname: address, port } = socket.remoteAddr;
    const { answerer, turns, limits, observe, places } = this.#options;
    const client = { transport: "tcp", address, port } as const;
    // A client that may not ask never costs another one its place, and none at all where it gets no answer.
    const access = answerer.access(address);
    if (access === "ignore" || access === "refuse" && !places.isFree) {
      socket.close();
      return observe({ kind: "denied", client, reason: "not allowed", answered: false });
    }
    const reason = places.refusal(address, limits.now());
    if (reason) {
      socket.close();
      return observe({ kind: "connection rejected", address, reason });
    }
    // Answers are gathered here, not by the kernel (RFC 7766 §8).
    socket.setNoDelay(true);
    const session = new TcpSession(socket, client, {
      ...limits,
      maxQueued: places.bytesEach,
      answerer,
      turns,
    });
    places.give(session, address);
    this.#sessions.add(session);
    void session.closed.then(() => this.#sessions.delete(session));
  }

  #sweep(): void {
    const now = this.#options.limits.now();
    for (const session of this.#sessions) session.expire(now);
  }
}
