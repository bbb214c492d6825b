/** `Answered` events for tests of subscribers. */
import { Message } from "../../lib/dns/message.ts";
import type { UpstreamError } from "../../lib/core/errors.ts";
import type { Answered } from "../../lib/core/event.ts";
import type { Client, Trace } from "../../lib/core/resolver.ts";
import { query, type Type } from "../support/packets/packets.ts";

export interface AnswerFacts extends Partial<Trace> {
  readonly name?: string;
  readonly type?: Type;
  readonly transport?: Client["transport"];
  readonly address?: string;
  readonly rcode?: number;
  readonly milliseconds?: number;
  readonly error?: UpstreamError;
}

/** An event with defaults: NOERROR from an upstream in 12.345 ms. */
export function answered(facts: AnswerFacts = {}): Answered {
  const { name = "example.com", type = "AAAA", transport = "udp", address = "192.0.2.7" } = facts;
  const { source = "upstream", upstream, attempts = 1, hedges, list, error } = facts;
  return {
    kind: "answered",
    query: {
      message: Message.parse(query(name, type)),
      client: { transport, address, port: 5000 },
      deadline: 0,
      trace: { source, upstream, attempts, ...hedges && { hedges }, ...list && { list } },
    },
    rcode: facts.rcode ?? 0,
    milliseconds: facts.milliseconds ?? 12.345,
    ...error && { error },
  };
}
