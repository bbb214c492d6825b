import { AddressWords } from "../address_words.ts";
import { ExtendedError, Rcode, Type } from "../dns/codes.ts";
import type { Message } from "../dns/message.ts";
import { RecordCursor } from "../dns/records.ts";
import { composeReason } from "../dns/reply.ts";
import { composeResponse } from "../dns/response.ts";
import { SvcParam, visitSvcParams } from "../dns/svc_params.ts";
import { type Network, NetworkTable } from "../networks.ts";
import { DomainSet } from "./domain_set.ts";
import type { Query, Resolver } from "./resolver.ts";

const REASON = [composeReason({
  code: ExtendedError.FILTERED,
  text: "the answer has an address of a private network (protection against rebinding)",
})];

/** Octets of an address in each; browsers connect there, too. */
const HINTS: ReadonlyMap<number, 4 | 16> = new Map([[SvcParam.IPV4_HINT, 4], [SvcParam.IPV6_HINT, 16]]);

/**
 * Empties answers that would make names of strangers lead into the own network, where a browser then takes the stranger's
 * page and a device in the network for one site. Stands behind the cache: what passes once need not be looked at again.
 *
 * The empty answer has no SOA record, so that it is not cached, and the reason is given each time.
 */
export class RebindingFilter implements Resolver {
  readonly #own: NetworkTable<true>;
  readonly #allowed: DomainSet;
  readonly #next: Resolver;
  readonly #address = new AddressWords();

  /** @param own whose addresses no answer may have; @param allowed names that may have them, in lower case */
  constructor(own: readonly Network[], allowed: readonly string[], next: Resolver) {
    this.#own = new NetworkTable(own.map((network) => [network, true] as const));
    this.#allowed = new DomainSet(allowed);
    this.#next = next;
  }

  resolve(query: Query): Message | Promise<Message> {
    const response = this.#next.resolve(query);
    if (this.#allowed.holds(query.message)) return response;
    if (response instanceof Promise) return response.then((response) => this.#inspect(query, response));
    return this.#inspect(query, response);
  }

  #inspect(query: Query, response: Message): Message {
    if (!this.#leadsInside(response)) return response;
    query.trace.source = "filtered";
    return composeResponse(query.message, {
      rcode: Rcode.NOERROR,
      authoritative: false,
      extendedErrors: REASON,
    });
  }

  /** Additional records count, too: they are what clients of HTTPS and SRV records connect to. */
  #leadsInside({ bytes, questionEnd }: Message): boolean {
    const cursor = new RecordCursor(bytes, questionEnd);
    while (cursor.next()) {
      const { type, data, end } = cursor;
      if (type === Type.A && end - data === 4 && this.#isOwn(bytes, data, 4)) return true;
      if (type === Type.AAAA && end - data === 16 && this.#isOwn(bytes, data, 16)) return true;
      if ((type === Type.HTTPS || type === Type.SVCB) && this.#hintsInside(bytes, data, end)) return true;
    }
    return false;
  }

  #hintsInside(bytes: Uint8Array, data: number, end: number): boolean {
    let isInside = false;
    visitSvcParams(bytes, data, end, (key, start, end) => {
      const size = HINTS.get(key);
      if (size === undefined) return;
      for (let at = start; at + size <= end; at += size) isInside ||= this.#isOwn(bytes, at, size);
    });
    return isInside;
  }

  #isOwn(bytes: Uint8Array, offset: number, length: 4 | 16): boolean {
    return this.#own.find(this.#address.readOctets(bytes, offset, length)) === true;
  }
}
