import type { Message } from "../dns/message.ts";
import { UpstreamError } from "../errors.ts";
import type { Observe } from "../observe/event.ts";
import type { Query, Resolver } from "../resolver/resolver.ts";
import { Backoff } from "./backoff.ts";
import type { Dial, DialOptions } from "./channel.ts";
import { Connection, type ConnectionOptions } from "./connection.ts";

/** "MUST NOT retry a given query … more than twice (i.e., three queries in total)" (RFC 9520 §3.1). */
const MAX_ATTEMPTS = 3;
/** With this many connections in a row that answered nothing, the upstream counts as away. */
const MAX_BARREN = 3;
/** How long a learned limit of queries per connection is kept to, in ms. */
const BUDGET_LIFETIME = 30_000;

export interface UpstreamOptions extends Omit<ConnectionOptions, "budget"> {
  readonly dial: Dial;
  readonly observe: Observe;
}

/**
 * One DNS-over-TLS server, reached over one connection that is opened when a query wants it. A close with queries in
 * flight is normal life: they are sent again on a new connection (RFC 7766 §6.2.4), within their deadlines.
 */
export class Upstream implements Resolver, Disposable {
  readonly #options: UpstreamOptions;
  readonly #backoff = new Backoff();
  readonly #open = new Set<Connection>();
  #current: Connection | undefined;
  #state: "untried" | "up" | "down" = "untried";
  #lastError: UpstreamError | undefined;
  #barren = 0;
  #lastCut = 0;
  #budget = Infinity;
  #budgetUntil = 0;

  constructor(options: UpstreamOptions) {
    this.#options = options;
  }

  /** Resolves with the upstream's answer; rejects at the deadline at the latest. */
  async resolve({ message, deadline, trace }: Query): Promise<Message> {
    trace.upstream = this.#options.upstream;
    for (let attempts = 0;;) {
      try {
        return await this.#connection().exchange(message, deadline);
      } catch (error) {
        if (!(error instanceof UpstreamError) || !error.again) throw error;
        if (error.sent) attempts++;
        if (attempts === MAX_ATTEMPTS || this.#options.now() >= deadline) throw error;
      }
    }
  }

  /** Closes all connections now; queries under way are rejected. */
  [Symbol.dispose](): void {
    for (const connection of this.#open) connection[Symbol.dispose]();
  }

  /** The connection to use; throws the reason if the upstream is better left alone for now. */
  #connection(): Connection {
    const state = this.#current?.state;
    if (this.#current && (state === "connecting" || state === "open")) return this.#current;
    const now = this.#options.now();
    if (this.#lastError && !this.#backoff.ready(now)) throw this.#lastError;
    if (now >= this.#budgetUntil) this.#budget = Infinity;

    const dial = (options: DialOptions) => this.#dial(options);
    const connection = new Connection(dial, { ...this.#options, budget: this.#budget });
    this.#current = connection;
    this.#open.add(connection);
    void connection.closed.then((error) => this.#closed(connection, error));
    return connection;
  }

  async #dial(options: DialOptions) {
    try {
      const channel = await this.#options.dial(options);
      if (this.#barren < MAX_BARREN) this.#reached();
      return channel;
    } catch (error) {
      if (error instanceof UpstreamError && !options.signal.aborted) this.#away(error);
      throw error;
    }
  }

  #closed(connection: Connection, error: UpstreamError | undefined): void {
    this.#open.delete(connection);
    const { upstream, observe } = this.#options;
    const { answered } = connection;
    observe({ kind: "connection closed", upstream, answered, ...error && { error } });
    if (answered > 0) {
      this.#barren = 0;
      this.#reached();
      if (error) this.#learn(answered);
    } else if (error?.phase === "read" && ++this.#barren >= MAX_BARREN) {
      this.#away(error);
    }
  }

  /** Two connections in a row cut off after the same number of answers: the server has a limit, so keep to it. */
  #learn(answered: number): void {
    if (answered === this.#lastCut) {
      this.#budget = answered;
      this.#budgetUntil = this.#options.now() + BUDGET_LIFETIME;
    }
    this.#lastCut = answered;
  }

  #reached(): void {
    this.#backoff.succeeded();
    this.#lastError = undefined;
    this.#change("up");
  }

  #away(error: UpstreamError): void {
    const news = this.#lastError?.failure !== error.failure;
    this.#lastError = error;
    this.#backoff.failed(this.#options.now());
    if (news) this.#state = "untried";
    this.#change("down", error);
  }

  #change(state: "up" | "down", error?: UpstreamError): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#options.observe({
      kind: "upstream",
      upstream: this.#options.upstream,
      state,
      ...error && { error },
    });
  }
}
