import { Rcode, Type } from "../../dns/codes.ts";
import type { Message } from "../../dns/message.ts";
import { composeRecord, composeResponse, QUESTION_NAME } from "../../dns/compose/local_response.ts";
import type { Query, Resolver } from "../../core/resolver.ts";

/** As long as nobody asks again for no reason; in seconds. */
const TTL = 3600;
/** CPU "RFC8482" and no OS (RFC 8482 §4.2). */
const HINFO = composeRecord(
  QUESTION_NAME,
  Type.HINFO,
  TTL,
  Uint8Array.of(7, ...new TextEncoder().encode("RFC8482"), 0),
);

/**
 * Who asks for ANY over UDP gets one small record, since what there is would be large and may go to whoever had his
 * address forged. Over TCP nobody's is, and it is looked up (RFC 8482 §4.4).
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
