/** Queries of classes other than IN. Local data and filters apply to class IN only. */

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
 * Sends queries of other classes past the resolvers for class IN. If the response has records of another class than the
 * question, the client gets REFUSED.
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
    if (response instanceof Promise) {
      return response.then((response) => refuseOtherClasses(query.message, response));
    }
    return refuseOtherClasses(query.message, response);
  }
}

function refuseOtherClasses(query: Message, response: Message): Message {
  const cursor = new RecordCursor(response.bytes, response.questionEnd);
  while (cursor.next()) {
    // The class field of an OPT record is a size (RFC 6891 §6.1.2).
    if (cursor.class === query.class || cursor.type === Type.OPT) continue;
    return composeResponse(query, { rcode: Rcode.REFUSED, authoritative: false, extendedErrors: REASON });
  }
  return response;
}
