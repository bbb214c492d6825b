import { Class, ExtendedError, Rcode, Type } from "../../dns/codes.ts";
import type { Message } from "../../dns/message.ts";
import { RecordCursor } from "../../dns/records.ts";
import { composeExtendedError } from "../../dns/compose/reply.ts";
import { composeResponse } from "../../dns/compose/local_response.ts";
import type { Query, Resolver } from "../../core/resolver.ts";

const REASON = [
  composeExtendedError({ code: ExtendedError.NOT_SUPPORTED, text: "this class is not resolved" }),
];

/**
 * Leads questions of other classes than IN past everything that is answered here, which is of class IN. An answer with
 * records of another class than the one asked for becomes REFUSED.
 */
export class OtherClasses implements Resolver {
  readonly #internet: Resolver;
  readonly #others: Resolver;

  constructor(internet: Resolver, others: Resolver) {
    this.#internet = internet;
    this.#others = others;
  }

  resolve(query: Query): Message | Promise<Message> {
    if (query.message.class === Class.IN) return this.#internet.resolve(query);
    const response = this.#others.resolve(query);
    if (response instanceof Promise) return response.then((response) => inOneClass(query.message, response));
    return inOneClass(query.message, response);
  }
}

function inOneClass(query: Message, response: Message): Message {
  const cursor = new RecordCursor(response.bytes, response.questionEnd);
  while (cursor.next()) {
    // The class of an OPT record is a size (RFC 6891 §6.1.2).
    if (cursor.class === query.class || cursor.type === Type.OPT) continue;
    return composeResponse(query, { rcode: Rcode.REFUSED, authoritative: false, extendedErrors: REASON });
  }
  return response;
}
