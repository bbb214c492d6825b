/** The zone that the demonstration's DNS-over-TLS server knows. */
import type { Answer } from "../support/packets/answers.ts";
import { concat } from "../support/packets/frames.ts";
import { composeName, readName } from "../support/packets/names.ts";
import {
  a,
  aaaa,
  cname,
  record,
  type ResourceRecord,
  response,
  soa,
  txt,
  TYPE,
} from "../support/packets/packets.ts";

export const ZONE = "demo.example";
/** Its TXT record has some 4,000 octets: too many for UDP. */
export const LARGE = `large.${ZONE}`;

/** Names of their own for so many clients. */
export const CLIENTS: readonly string[] = Array.from({ length: 100 }, (_, i) => `client-${i + 1}.${ZONE}`);

const VERSE = "Names go in the clear no more, they travel padded, all alike, ";
const PREFERENCE = Uint8Array.of(0, 10);

const records: readonly ResourceRecord[] = [
  a(ZONE, "192.0.2.1"),
  aaaa(ZONE, "2001:db8::1"),
  record(ZONE, "MX", concat(PREFERENCE, composeName(`mail.${ZONE}`))),
  txt(ZONE, ["hello from the other end of a TLS connection"]),
  cname(`www.${ZONE}`, ZONE),
  ...CLIENTS.map((name, i) => a(name, `192.0.2.${i + 101}`)),
  txt(LARGE, Array.from({ length: 16 }, () => VERSE.repeat(4))),
];

/** The zone's records, aliases followed; NXDOMAIN with the SOA where there is no such name (RFC 2308 §2.1). */
export const zone: Answer = (query) => {
  const { name: asked, end } = readName(query, 12);
  const name = asked.toLowerCase();
  const type = query[end]! << 8 | query[end + 1]!;
  const own = records.filter((each) => each.name === name);
  const alias = own.filter((each) => each.type === TYPE.CNAME);
  const found = alias.length > 0
    ? [...alias, ...records.filter((each) => each.name === ZONE && each.type === type)]
    : own.filter((each) => each.type === type);
  const authority = found.length > 0 ? [] : [soa(ZONE)];
  return response(query, { rcode: own.length > 0 ? 0 : 3, answers: found, authority });
};
