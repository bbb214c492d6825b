/** Minimal responses to ANY queries (RFC 8482). */

import { Rcode, Type } from "../../dns/codes.ts";
import type { Message } from "../../dns/message.ts";
import { composeRecord, composeResponse, QUESTION_NAME } from "../../dns/compose/local_response.ts";
import type { Query, Resolver } from "../../core/resolver.ts";

/** TTL of the HINFO record, in seconds. It is long, so that clients do not repeat the query. */
const TTL = 3600;
/** CPU "RFC8482" and no OS (RFC 8482 §4.2). */
const HINFO = composeRecord(
  QUESTION_NAME,
  Type.HINFO,
  TTL,
  Uint8Array.of(7, ...new TextEncoder().encode("RFC8482"), 0),
);

/**
 * Answers ANY queries over UDP with one small record, because the full answer is large and the client's address may be
 * forged. Over TCP addresses cannot be forged, so the query is resolved (RFC 8482 §4.4).
 */
export class AnyFilter implements Resolver {
  readonly #next: Resolver;

  constructor(next: Resolver) {
    this.#next = next;
  }

  resolve(query: Query): Message | Promise<Message> {
    const { message, client } = query;
    if (message.type !== Type.ANY || client.transport === "tcp") return this.#next.resolve(query);
    query.trace.source = "filtered";
    return composeResponse(message, { rcode: Rcode.NOERROR, authoritative: false, answers: [HINFO] });
  }
}
