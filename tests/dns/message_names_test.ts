/** Names of a message: malformed ones, pointers, and the cost of checking them. */
import { HEADER_BYTES } from "../../lib/dns/header.ts";
import { FormatError } from "../../lib/dns/format_error.ts";
import { Message, messageNames } from "../../lib/dns/message.ts";
import { assert, assertEquals, assertThrows } from "../support/assert.ts";
import { concat } from "../support/packets/frames.ts";
import { hex } from "../support/packets/packets.ts";
import { captured, written } from "./vectors.ts";

/** A response to "a. A" with these records in its answer section; the first one stands at offset 19. */
function answering(count: number, ...records: Uint8Array[]): Message {
  const header = hex("0001 8180 0001 0000 0000 0000 01 61 00 0001 0001");
  header[6] = count >> 8;
  header[7] = count;
  return Message.parse(concat(header, ...records));
}

/** A record of the name asked for. */
function record(type: number, data: string): Uint8Array {
  const bytes = hex(data);
  const fixed = `c00c ${type.toString(16).padStart(4, "0")} 0001 0000003c`;
  return concat(hex(`${fixed} ${bytes.length.toString(16).padStart(4, "0")}`), bytes);
}

const NUMBERS = "00".repeat(20);
const DATA_NAMES:
  readonly (readonly [type: number, name: string, before: string, names: number, behind: string])[] = [
    [2, "NS", "", 1, ""],
    [3, "MD", "", 1, ""],
    [4, "MF", "", 1, ""],
    [5, "CNAME", "", 1, ""],
    [6, "SOA", "", 2, NUMBERS],
    [7, "MB", "", 1, ""],
    [8, "MG", "", 1, ""],
    [9, "MR", "", 1, ""],
    [12, "PTR", "", 1, ""],
    [14, "MINFO", "", 2, ""],
    [15, "MX", "0001", 1, ""],
    [17, "RP", "", 2, ""],
    [18, "AFSDB", "0001", 1, ""],
    [21, "RT", "0001", 1, ""],
    [26, "PX", "0001", 2, ""],
    [33, "SRV", "0001 0001 0035", 1, ""],
  ];

for (const [type, title, before, count, behind] of DATA_NAMES) {
  Deno.test(`${title}: names in the data end where the data ends, or the message is malformed`, () => {
    const reads = (...given: string[]) =>
      answering(1, record(type, `${before} ${given.join(" ")} ${behind}`)).recordsEnd;
    const good = Array<string>(count).fill("c00c");
    reads(...good);
    reads(...good.fill("01 62 00"));
    for (let i = 0; i < count; i++) {
      const itself = 31 + hex(before).length + 3 * i;
      // A label that leaves the message, a pointer ahead, one to itself, an undefined label type, no name at all.
      for (const bad of ["3f", "c0ff", `c0${itself.toString(16)}`, "41 62 00", ""]) {
        const given = good.with(i, bad);
        assertThrows(() => reads(...given), FormatError);
      }
    }
    assertThrows(() => reads(...good, "00"), FormatError, "does not end with the data");
    // A name that runs into the next record ends within the message, and yet it is malformed.
    const cut = record(type, `${before} ${"01 62 00".repeat(count - 1)} 04`);
    assertThrows(() => answering(2, cut, record(16, "00")).recordsEnd, FormatError);
  });
}

Deno.test("every golden message has pointers to names only", () => {
  const updates = ["update", "notify"];
  for (const { file, bytes } of [...captured, ...written]) {
    if (updates.some((each) => file.includes(each))) continue;
    assert(Message.parse(bytes).pointersLeadToNames, file);
  }
});

Deno.test("a name behind the data of SRV, RRSIG, NSEC, DNAME, NAPTR, SVCB and HTTPS records may point into them", () => {
  const before = {
    33: "0001 0001 0035",
    46: "00".repeat(18),
    24: "00".repeat(18),
    47: "",
    39: "",
    36: "0001",
    35: "0001 0001 0161 026162 00",
    64: "0001",
    65: "0001",
  };
  for (const [type, start] of Object.entries(before)) {
    const first = record(Number(type), `${start} 02 6262 00`);
    const target = 19 + 12 + hex(start).length;
    const second = hex(`c0${target.toString(16)} 0001 0001 0000003c 0004 c0000201`);
    assert(answering(2, first, second).pointersLeadToNames, type);
  }
});

Deno.test("a pointer into a TTL, an address, a text or the question's type leads to no name (Unbound CVE-2026-82717)", () => {
  const behind = (first: Uint8Array, target: number) =>
    answering(2, first, hex(`01 7a ${(0xc000 | target).toString(16)} 0001 0001 0000003c 0004 c0000201`));
  const places: [what: string, first: Uint8Array, target: number][] = [
    ["a TTL", hex("c00c 0001 0001 00000100 0004 14010101"), 26],
    ["a TTL's last octet", hex("c00c 0001 0001 00000100 0004 14010101"), 28],
    ["an address", record(1, "00000000"), 31],
    ["a text", record(16, "02 00 00"), 32],
    ["RDLENGTH", record(1, "00000000"), 29],
    ["the question's type", record(1, "00000000"), 15],
    ["the inside of a label", record(5, "03 610000 00"), 33],
  ];
  for (const [what, first, target] of places) {
    assertEquals(behind(first, target).pointersLeadToNames, false, what);
  }
});

/** How many offsets are looked at for a message. */
function steps(message: Message): number {
  const before = messageNames.steps;
  try {
    void message.edns;
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
  }
  return messageNames.steps - before;
}

/** The largest message of records with the given owners, behind some data of a TXT record at offset 31. */
function largest(data: Uint8Array, owner: (i: number) => number): Message {
  const fixed = hex("0010 0001 00000000 0000");
  const text = concat(hex("c00c 0010 0001 00000000"), Uint8Array.of(data.length >> 8, data.length), data);
  const count = Math.floor((65_000 - data.length) / 12);
  const owners = Array.from({ length: count }, (_, i) => {
    return concat(Uint8Array.of(0xc0 | owner(i) >> 8, owner(i)), fixed);
  });
  return answering(count + 1, text, ...owners);
}

Deno.test("no message costs more steps than it has octets: pointer chains (Unbound CVE-2026-96405, c-ares CVE-2026-69184, dnspython CVE-2026-114605, Net::DNS CVE-2026-64194)", () => {
  const labels = hex("0161".repeat(126) + "00");
  const chain = Array.from({ length: 120 }, (_, i) => {
    const target = i === 0 ? 31 : 31 + labels.length + 2 * (i - 1);
    return Uint8Array.of(0xc0 | target >> 8, target);
  });
  const data = concat(labels, ...chain);
  const last = 31 + data.length - 2;
  const runs = hex("0161".repeat(8000) + "00".repeat(2));
  const messages: Record<string, Message> = {
    "each owner points to a chain of 120 pointers to 126 labels": largest(data, () => last),
    "each owner points to another pointer of the chain": largest(data, (i) => last - 2 * (i % 119)),
    "each owner points into a run of labels without end": largest(runs, (i) => 31 + 2 * (i % 8000)),
    "the same, backwards": largest(runs, (i) => 31 + 2 * (7999 - i % 7999)),
    "each owner points to the name in the question": largest(new Uint8Array(0), () => HEADER_BYTES),
  };
  for (const [what, message] of Object.entries(messages)) {
    const cost = steps(message);
    assert(cost <= message.bytes.length, `${what}: ${cost} steps for ${message.bytes.length} octets`);
  }
});

Deno.test("limits of names hold through remembered pointers: 255 octets, and 127 pointers", () => {
  const long = "3f" + "61".repeat(63);
  const owner = (name: string) => hex(`${name} 0010 0001 00000000 0000`);
  const first = owner(`${long.repeat(3)} 00`); // at 19, 193 octets
  assertEquals(answering(2, first, owner(`3b ${"61".repeat(59)} c013`)).pointersLeadToNames, true);
  assertThrows(
    () => answering(2, first, owner(`3e ${"61".repeat(62)} c013`)).edns,
    FormatError,
    "255 bytes",
  );
  const chained = Array.from({ length: 128 }, (_, i) => {
    const target = i === 0 ? HEADER_BYTES : 19 + 12 * (i - 1);
    return owner((0xc000 | target).toString(16));
  });
  assert(answering(127, ...chained.slice(0, 127)).pointersLeadToNames);
  assertThrows(() => answering(128, ...chained).edns, FormatError, "too many compression pointers");
});
