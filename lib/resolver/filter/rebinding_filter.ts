/** Protection against DNS rebinding: no name of the Internet leads to an address of an internal network. */

import { IpAddress } from "../../net/ip_address.ts";
import { ExtendedError, Rcode, Type } from "../../dns/codes.ts";
import type { Message } from "../../dns/message.ts";
import { RecordCursor } from "../../dns/records.ts";
import { composeExtendedError } from "../../dns/compose/reply.ts";
import { composeResponse } from "../../dns/compose/local_response.ts";
import { SvcParam, visitSvcParams } from "../../dns/svc_params.ts";
import { type Network, NetworkTable, parseNetwork, PRIVATE_NETWORKS } from "../../net/ip_network.ts";
import type { DomainSet } from "../names/domain_set.ts";
import type { Query, Resolver } from "../../core/resolver.ts";

/** Private networks, and other networks without hosts of the public Internet. */
export const INTERNAL_NETWORKS: readonly Network[] = [
  ...PRIVATE_NETWORKS,
  ...[
    "0.0.0.0/8", // "this host" (RFC 1122 §3.2.1.3)
    "100.64.0.0/10", // shared address space (RFC 6598)
    "192.0.0.0/29", // between a network and its translator (RFC 7335)
    "198.18.0.0/15", // tests within a network (RFC 2544)
    "224.0.0.0/4", // multicast (RFC 5771)
    "240.0.0.0/4", // reserved, and broadcast (RFC 1112 §4, RFC 919 §7)
    "::", // unspecified (RFC 4291 §2.5.2)
    "fec0::/10", // site-local (RFC 3879)
    "ff00::/8", // multicast (RFC 4291 §2.7)
  ].map(parseNetwork),
];

const REASON = [composeExtendedError({
  code: ExtendedError.FILTERED,
  text: "the answer has an address of a private network (protection against rebinding)",
})];

/** Bytes per address in each address hint. Browsers connect to these addresses, too. */
const HINTS: ReadonlyMap<number, 4 | 16> = new Map([[SvcParam.IPV4_HINT, 4], [SvcParam.IPV6_HINT, 16]]);

/**
 * Replaces an answer that has an internal address by an empty one. Otherwise a foreign page and a device of the internal
 * network would share a name, and a browser would treat them as one site.
 *
 * The filter stands behind the cache, so that a cached answer needs no second check. The empty answer has no SOA record:
 * it is not cached, and each client gets the reason.
 */
export class RebindingFilter implements Resolver {
  readonly #internal: NetworkTable<true>;
  readonly #allowed: DomainSet;
  readonly #next: Resolver;
  readonly #address = new IpAddress();

  /** @param internal networks whose addresses no answer may have; @param allowed names that may have them */
  constructor(internal: readonly Network[], allowed: DomainSet, next: Resolver) {
    this.#internal = new NetworkTable(internal.map((network) => [network, true] as const));
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
    if (!this.#hasInternalAddress(response)) return response;
    query.trace.source = "filtered";
    return composeResponse(query.message, {
      rcode: Rcode.NOERROR,
      authoritative: false,
      extendedErrors: REASON,
    });
  }

  /** Checks additional records, too: clients connect to the addresses that accompany HTTPS and SRV records. */
  #hasInternalAddress({ bytes, questionEnd }: Message): boolean {
    const cursor = new RecordCursor(bytes, questionEnd);
    while (cursor.next()) {
      const { type, data, end } = cursor;
      if (type === Type.A && end - data === 4 && this.#isInternal(bytes, data, 4)) return true;
      if (type === Type.AAAA && end - data === 16 && this.#isInternal(bytes, data, 16)) return true;
      if ((type === Type.HTTPS || type === Type.SVCB) && this.#hasInternalHint(bytes, data, end)) return true;
    }
    return false;
  }

  #hasInternalHint(bytes: Uint8Array, data: number, end: number): boolean {
    let isInternal = false;
    visitSvcParams(bytes, data, end, (key, start, end) => {
      const size = HINTS.get(key);
      if (size === undefined) return;
      for (let at = start; at + size <= end; at += size) isInternal ||= this.#isInternal(bytes, at, size);
    });
    return isInternal;
  }

  #isInternal(bytes: Uint8Array, offset: number, length: 4 | 16): boolean {
    if (this.#internal.find(this.#address.readBytes(bytes, offset, length)) === true) return true;
    return length === 16 &&
      embeddedIpv4(bytes.subarray(offset, offset + 16)).some((ipv4) =>
        this.#internal.find(this.#address.readBytes(ipv4, 0, 4)) === true
      );
  }
}

/** Prefixes of IPv6 addresses that lead to an embedded IPv4 address, and the offset of that address in bytes. */
const EMBEDDING: readonly { readonly prefix: readonly number[]; readonly at: number }[] = [
  { prefix: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], at: 12 }, // ::a.b.c.d (RFC 4291 §2.5.5.1)
  { prefix: [0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0], at: 12 }, // ::ffff:0:a.b.c.d (RFC 2765 §2.1)
  { prefix: [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0], at: 12 }, // 64:ff9b::/96 (RFC 6052 §2.1)
  { prefix: [0x20, 0x02], at: 2 }, // 2002::/16 (RFC 3056 §2)
];
/** 64:ff9b:1::/48, for the translators of a local network (RFC 8215 §5). */
const LOCAL_TRANSLATION = [0, 0x64, 0xff, 0x9b, 0, 1];
/** Offsets of the IPv4 address's bytes for prefixes of 48, 56, 64 and 96 bits; byte 8 is skipped (RFC 6052 §2.2). */
const TRANSLATED = [[6, 7, 9, 10], [7, 9, 10, 11], [9, 10, 11, 12], [12, 13, 14, 15]];
/** 2001::/32. The last four bytes are the client's IPv4 address with each bit inverted (RFC 4380 §4). */
const TEREDO = [0x20, 1, 0, 0];

/** The IPv4 addresses to which a translator or tunnel takes packets for an IPv6 address. */
function embeddedIpv4(address: Uint8Array): Uint8Array[] {
  const startsWith = (prefix: readonly number[]) => prefix.every((byte, i) => address[i] === byte);
  if (startsWith(TEREDO)) return [address.subarray(12).map((byte) => ~byte)];
  if (startsWith(LOCAL_TRANSLATION)) {
    // All bytes after the IPv4 address are zero, so the first offsets that fit belong to the prefix.
    const offsets = TRANSLATED.find((offsets) =>
      address.subarray(offsets[3]! + 1).every((byte) => byte === 0)
    )!;
    return [Uint8Array.from(offsets, (offset) => address[offset]!)];
  }
  return EMBEDDING.filter(({ prefix }) => startsWith(prefix)).map(({ at }) => address.subarray(at, at + 4));
}
