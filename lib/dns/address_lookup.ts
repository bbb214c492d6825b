/** Queries for the addresses of a host, and the addresses in the response. */

import { Flag, HEADER_BYTES, HeaderField } from "./header.ts";
import { readUint16, writeUint16 } from "./bytes.ts";
import { Class, Type } from "./codes.ts";
import { Message } from "./message.ts";
import { equalNames, parseName, skipName } from "./name.ts";
import { readTtl, RecordCursor } from "./records.ts";

export type AddressType = typeof Type.A | typeof Type.AAAA;

export interface Addresses {
  /** As text; empty if the name has no records of this type. */
  readonly addresses: string[];
  /** In seconds: the smallest TTL of the addresses and of the aliases that lead to them. */
  readonly ttl: number;
}

/** Longer chains of aliases do not occur in practice. */
const MAX_ALIASES = 16;

/** A query with ID 0, RD and no EDNS options. Throws a `TypeError` if the host is not a name. */
export function composeAddressQuery(host: string, type: AddressType): Message {
  const name = parseName(host);
  const bytes = new Uint8Array(HEADER_BYTES + name.length + 4);
  writeUint16(bytes, HeaderField.FLAGS, Flag.RD);
  writeUint16(bytes, HeaderField.QUESTIONS, 1);
  bytes.set(name, HEADER_BYTES);
  writeUint16(bytes, HEADER_BYTES + name.length, type);
  writeUint16(bytes, HEADER_BYTES + name.length + 2, Class.IN);
  return Message.parse(bytes);
}

/**
 * The addresses in a response to a `composeAddressQuery`. Only records of QNAME and of its aliases' targets count: other
 * data was not asked for (RFC 2181 §5.4.1). Throws `FormatError`.
 */
export function readAddresses(response: Message): Addresses {
  const { bytes } = response;
  const addresses: string[] = [];
  let ttl = Infinity;
  let name: number | undefined = HEADER_BYTES;
  for (let aliases = 0; name !== undefined && aliases <= MAX_ALIASES; aliases++) {
    let target: number | undefined;
    const cursor = new RecordCursor(bytes, response.questionEnd);
    while (cursor.next() && cursor.section === "answer") {
      if (cursor.class !== Class.IN || !equalNames(bytes, cursor.start, name)) continue;
      if (cursor.type === Type.CNAME) {
        skipName(bytes, cursor.data); // throws if it is malformed
        target = cursor.data;
      } else if (cursor.type !== response.type) {
        continue;
      } else {
        addresses.push(addressText(bytes.subarray(cursor.data, cursor.end)));
      }
      ttl = Math.min(ttl, readTtl(bytes, cursor.fixed + 4));
    }
    name = target;
  }
  return { addresses: addresses.filter((address) => address !== ""), ttl };
}

/** The address as text; empty if the data is not an address. */
function addressText(data: Uint8Array): string {
  if (data.length === 4) return data.join(".");
  if (data.length !== 16) return "";
  return Array.from({ length: 8 }, (_, i) => readUint16(data, 2 * i).toString(16)).join(":");
}
