/** Responses from which fuzzing starts: each kind of answer that the cache treats in a way of its own. */
import { concat } from "../support/packets/frames.ts";
import { a, cname, hex, query, record, response, soa, txt } from "../support/packets/packets.ts";

/** An NXDOMAIN whose names are compressed throughout, as servers compose it. */
function denial(): Uint8Array {
  // test. SOA ns.test. hostmaster.test., both names compressed.
  const data = hex(
    "02 6e73 c00f  0a 686f73746d6173746572 c00f  00000001 00001c20 00000384 00127500 00000258",
  );
  const fixed = hex("c00f 0006 0001 00000258");
  return concat(
    hex("beef 81a3 0001 0000 0001 0000  02 6e6f 04 74657374 00  0001 0001"),
    fixed,
    Uint8Array.of(data.length >> 8, data.length),
    data,
  );
}

const asked = (name: string, type: Parameters<typeof query>[1] = "A") => query(name, type, { edns: {} });
const nsec = record("a.test", "NSEC", hex("01 7a 04 74657374 00 0001 02"), 300);

export const SEEDS: Readonly<Record<string, Uint8Array>> = {
  "an address": response(asked("a.test"), { answers: [a("a.test", "192.0.2.1", 256)], ad: true }),
  "two addresses": response(asked("a.test"), {
    answers: [a("a.test", "192.0.2.1", 256), a("a.test", "192.0.2.2", 3600)],
  }),
  "an alias": response(asked("www.test"), {
    answers: [cname("www.test", "b.test"), a("b.test", "192.0.2.1", 60)],
  }),
  "a denial": response(asked("no.test"), {
    rcode: 3,
    ad: true,
    authority: [soa("test", { ttl: 600 })],
    edns: false,
  }),
  "a compressed denial": denial(),
  "a denial with proofs": response(asked("no.test"), { rcode: 3, ad: true, authority: [soa("test"), nsec] }),
  "no data": response(asked("a.test", "AAAA"), { authority: [soa("test")] }),
  "a service": response(asked("_s._tcp.test", "SRV"), {
    answers: [record("_s._tcp.test", "SRV", hex("0001 0001 0035 01 61 04 74657374 00"))],
    additional: [a("a.test", "192.0.2.1")],
  }),
  "texts": response(asked("t.test", "TXT"), { answers: [txt("t.test", ["x".repeat(200), "y"])] }),
  "a failure with a reason": response(asked("a.test"), {
    rcode: 2,
    edns: { options: [{ code: 15, value: hex("0006 626164") }] },
  }),
  // A label in the SOA record's data that leaves the message (dnsdist CVE-2025-30187 and its kin).
  "an endless name": concat(
    hex("beef 81a3 0001 0000 0001 0000  04 68616e67 04 74657374 00  0001 0001"),
    hex("c00c 0006 0001 0000012c 0016 3f"),
    new Uint8Array(17),
    hex("0000012c"),
  ),
  // The second owner leads to the last octet of the first TTL (Unbound CVE-2026-82717).
  "a name under a TTL": concat(
    hex("beef 8180 0001 0002 0000 0000  01 61 04 74657374 00  0001 0001"),
    hex("c00c 0001 0001 00000100 0004 14010101"),
    hex("01 7a c021 0001 0001 00000e10 0004 14010102"),
  ),
};

/** One name of 126 labels, a chain of 120 pointers to it, and records whose owners point to the end of the chain. */
function pointerChains(): Uint8Array {
  const asked = query("localhost");
  const fixed = hex("0010 0001 00000000");
  const name = hex("0161".repeat(126) + "00");
  const at = asked.length;
  const first = concat(name, fixed, hex("0000"));
  const data = at + first.length + 12;
  const links = Array.from({ length: 120 }, (_, i) => {
    const target = i === 0 ? at : data + 2 * (i - 1);
    return Uint8Array.of(0xc0 | target >> 8, target);
  });
  const chain = concat(Uint8Array.of(0xc0 | at >> 8, at), fixed, Uint8Array.of(0, 240), ...links);
  const last = data + 2 * 119;
  const record = concat(Uint8Array.of(0xc0 | last >> 8, last), fixed, hex("0000"));
  const whole = concat(asked, first, chain, ...Array<Uint8Array>(300).fill(record));
  whole[10] = 302 >> 8;
  whole[11] = 302 & 0xff;
  return whole;
}

const options = (count: number) => ({
  edns: { options: Array(count).fill({ code: 65_001, value: hex("") }) },
});

/** Queries from which fuzzing starts: each kind that the front end treats in a way of its own. */
export const QUERY_SEEDS: Readonly<Record<string, Uint8Array>> = {
  "a plain one": query("a.test"),
  "one that waits": query("ab.test", "A", { edns: { do: true } }),
  "one with EDNS": query("a.test", "A", { edns: { do: true, size: 4096 } }),
  "one for a transfer": query("a.test", "IXFR"),
  "one for any type": query("a.test", "ANY", { edns: {} }),
  "one of another opcode": query("a.test", "SOA", { opcode: 4 }),
  "one of another version of EDNS": query("a.test", "A", { edns: { version: 1 } }),
  "one with padding": query("a.test", "A", {
    edns: { options: [{ code: 12, value: new Uint8Array(2000) }] },
  }),
  // Unbound CVE-2026-41292.
  "one with a thousand options": query("a.test", "A", options(1000)),
  // Unbound CVE-2026-96405, c-ares CVE-2026-69184, dnspython CVE-2026-114605, Net::DNS CVE-2026-64194.
  "one with chains of pointers": pointerChains(),
};
