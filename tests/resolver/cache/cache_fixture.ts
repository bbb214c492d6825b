/** A cache in fake time, whose upstream answers as the test decides and counts its queries. */
import { Message } from "../../../lib/dns/message.ts";
import { type Failure, type Phase, UpstreamError } from "../../../lib/core/errors.ts";
import type { Event } from "../../../lib/core/event.ts";
import { Cache, type CacheOptions } from "../../../lib/resolver/cache/cache.ts";
import type { Query, Source, Trace } from "../../../lib/core/resolver.ts";
import { extendedErrors } from "../../support/clients/query_client.ts";
import { FakeResolver, type Respond } from "../../support/fakes/resolver.ts";
import { FakeTime, settled } from "../../support/fakes/time.ts";
import {
  type Decoded,
  query,
  type QueryFields,
  read,
  record,
  response,
  type ResponseFields,
  type Type,
} from "../../support/packets/packets.ts";

/** What became of a query. */
export interface Outcome {
  readonly message: Decoded;
  readonly source: Source;
  /** RCODE, and per answer its TTL and text. */
  readonly told: string;
  /** INFO-CODEs of its extended errors. */
  readonly reasons: readonly number[];
}

export interface AskOptions extends QueryFields {
  readonly type?: Type;
  /** In ms from now; default 4000. */
  readonly time?: number;
}

export class CacheFixture implements Disposable {
  readonly time = new FakeTime();
  readonly upstream: FakeResolver;
  readonly cache: Cache;
  readonly events: Event[] = [];

  constructor(respond: Respond, options: Partial<CacheOptions> = {}) {
    this.upstream = new FakeResolver(respond);
    this.cache = new Cache({
      next: this.upstream,
      maxOctets: 1 << 20,
      minTtl: 0,
      maxTtl: 86_400,
      serveStale: 86_400_000,
      observe: (event) => this.events.push(event),
      now: this.time.now,
      ...options,
    });
  }

  /** How many queries have reached the upstream. */
  get asked(): number {
    return this.upstream.asked.length;
  }

  query(name: string, { type = "A", time = 4_000, ...fields }: AskOptions = {}): Query {
    const trace: Trace = { source: "upstream", upstream: undefined, attempts: 0 };
    return {
      trace,
      message: Message.parse(query(name, type, fields)),
      client: { transport: "udp", address: "127.0.0.1", port: 1 },
      deadline: this.time.now() + time,
    };
  }

  /** Result of a query; rejects as the cache does. */
  async ask(name: string, options: AskOptions = {}): Promise<Outcome> {
    const asked = this.query(name, options);
    const answer = await this.cache.resolve(asked);
    const message = read(answer.bytes);
    return {
      message,
      source: asked.trace.source,
      told: [message.rcode, ...message.answers.map(({ ttl, text }) => `${ttl} ${text}`)].join(" | "),
      reasons: extendedErrors(message).map(({ code }) => code),
    };
  }

  /** The result of `ask`, or its failure. */
  async tell(name: string, options: AskOptions = {}): Promise<string> {
    try {
      const { told, source, reasons } = await this.ask(name, options);
      return `${source}: ${told}${reasons.length > 0 ? ` EDE ${reasons}` : ""}`;
    } catch (error) {
      if (error instanceof UpstreamError) return `error: ${error.failure}`;
      throw error;
    }
  }

  /** Lets seconds pass, and all that is to happen then. */
  async pass(seconds: number): Promise<void> {
    await this.time.pass(seconds * 1000);
    await settled();
  }

  [Symbol.dispose](): void {
    this.cache[Symbol.dispose]();
    this.time[Symbol.dispose]();
    const defect = this.events.find((event) => event.kind === "internal error");
    if (defect) throw defect.error;
  }
}

/** Answers every question with these fields, at once. */
export function responding(fields: ResponseFields | ((query: Query) => ResponseFields)): Respond {
  return (asked) => {
    const given = typeof fields === "function" ? fields(asked) : fields;
    return Message.parse(response(asked.message.bytes, given));
  };
}

/** Answers every question with one record of its type, for A an address, of this TTL. */
export function addressFor(ttl: number): Respond {
  return responding(({ message }) => ({ answers: [record(message.name, message.type, ADDRESS, ttl)] }));
}

const ADDRESS = Uint8Array.of(192, 0, 2, 1);

/** Fails every question. */
export function failing(failure: Failure, phase: Phase = "read"): Respond {
  return () => Promise.reject(new UpstreamError(failure, { upstream: "server", phase }));
}

/** Never answers before the promise resolves. */
export const hanging: Respond = () => new Promise(() => {});
