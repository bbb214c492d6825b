import { IpAddress } from "../../net/ip_address.ts";
import { ExtendedError, Rcode, Type } from "../../dns/codes.ts";
import type { Message } from "../../dns/message.ts";
import { RecordCursor } from "../../dns/records.ts";
import { composeExtendedError } from "../../dns/compose/reply.ts";
import { composeResponse } from "../../dns/compose/local_response.ts";
import { SvcParam, visitSvcParams } from "../../dns/svc_params.ts";
import { type Network, NetworkTable } from "../../net/ip_network.ts";
import type { DomainSet } from "../names/domain_set.ts";
import type { Query, Resolver } from "../../core/resolver.ts";

const REASON = [composeExtendedError({
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
  readonly #address = new IpAddress();

  /** @param own whose addresses no answer may have; @param allowed names that may have them */
  constructor(own: readonly Network[], allowed: DomainSet, next: Resolver) {
    this.#own = new NetworkTable(own.map((network) => [network, true] as const));
    this.#allowed = allowed;
    this.#next = next;
  }

  resolve(query: Query): Message | Promise<Message> {
    const response = this.#next.resolve(query);
    if (this.#allowed.has(query.message)) return response;
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
    if (this.#own.find(this.#address.readBytes(bytes, offset, length)) === true) return true;
    return length === 16 &&
      embeddedIpv4(bytes.subarray(offset, offset + 16)).some((octets) =>
        this.#own.find(this.#address.readBytes(octets, 0, 4)) === true
      );
  }
}

/** Prefixes of IPv6 addresses that reach the IPv4 address within them, and where that begins. In octets. */
const EMBEDDING: readonly { readonly prefix: readonly number[]; readonly at: number }[] = [
  { prefix: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], at: 12 }, // ::a.b.c.d (RFC 4291 §2.5.5.1)
  { prefix: [0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0], at: 12 }, // ::ffff:0:a.b.c.d (RFC 2765 §2.1)
  { prefix: [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0], at: 12 }, // 64:ff9b::/96 (RFC 6052 §2.1)
  { prefix: [0x20, 0x02], at: 2 }, // 2002::/16 (RFC 3056 §2)
];
/** 64:ff9b:1::/48, for translators of a network's own (RFC 8215 §5). */
const LOCAL_TRANSLATION = [0, 0x64, 0xff, 0x9b, 0, 1];
/** Where the IPv4 address stands by the length of their prefix, 48 to 96 bits (RFC 6052 §2.2: not in octet 8). */
const TRANSLATED = [[6, 7, 9, 10], [7, 9, 10, 11], [9, 10, 11, 12], [12, 13, 14, 15]];
/** 2001::/32, whose clients' addresses are the last octets, each bit turned round (RFC 4380 §4). */
const TEREDO = [0x20, 1, 0, 0];

/** The IPv4 addresses that an IPv6 address leads to by way of a translator or a tunnel. */
function embeddedIpv4(address: Uint8Array): Uint8Array[] {
  const begins = (prefix: readonly number[]) => prefix.every((octet, i) => address[i] === octet);
  if (begins(TEREDO)) return [address.subarray(12).map((octet) => ~octet)];
  if (begins(LOCAL_TRANSLATION)) {
    // The octets behind the IPv4 address are zero, which tells the length of the prefix.
    const places = TRANSLATED.find((places) =>
      address.subarray(places[3]! + 1).every((octet) => octet === 0)
    )!;
    return [Uint8Array.from(places, (place) => address[place]!)];
  }
  return EMBEDDING.filter(({ prefix }) => begins(prefix)).map(({ at }) => address.subarray(at, at + 4));
}
