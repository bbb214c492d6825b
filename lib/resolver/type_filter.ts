import { ExtendedError, Rcode } from "../dns/codes.ts";
import type { Message } from "../dns/message.ts";
import { composeReason } from "../dns/reply.ts";
import { composeResponse, composeSoa, QUESTION_NAME } from "../dns/response.ts";
import { typeName } from "../dns/type_names.ts";
import type { Query, Resolver } from "./resolver.ts";

/** How long a client may take it that there is nothing, in seconds: not much longer than it takes to change one's mind. */
const TTL = 60;
const SOA = composeSoa(QUESTION_NAME, TTL);

/** Keeps records of some types from everybody, as though no name had them: AAAA, say, where IPv6 does not work. */
export class TypeFilter implements Resolver {
  /** By type: its reason. */
  readonly #types: ReadonlyMap<number, Uint8Array>;
  readonly #next: Resolver;

  constructor(types: readonly number[], next: Resolver) {
    this.#types = new Map(types.map((type) => [
      type,
      composeReason({
        code: ExtendedError.FILTERED,
        text: `${typeName(type)} records are not given out here`,
      }),
    ]));
    this.#next = next;
  }

  resolve(query: Query): Message | Promise<Message> {
    const reason = this.#types.get(query.message.type);
    if (!reason) return this.#next.resolve(query);
    query.trace.source = "filtered";
    return composeResponse(query.message, {
      rcode: Rcode.NOERROR,
      authoritative: false,
      authority: [SOA],
      extendedErrors: [reason],
    });
  }
}
