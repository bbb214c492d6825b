import { readUint16, writeUint16 } from "../../lib/dns/bytes.ts";
import { FormatError } from "../../lib/dns/format_error.ts";
import { Message } from "../../lib/dns/message.ts";
import { RecordCursor } from "../../lib/dns/records.ts";
import { assert, assertEquals, assertThrows } from "../support/assert.ts";
import { hex, read } from "../support/packets/packets.ts";
import { captured, vector, written } from "./vectors.ts";

Deno.test("records are walked in order, each in its section, at its offsets", () => {
  const bytes = hex(`
    0001 8180 0001 0001 0001 0001
    01 61 00 0001 0001                           # a. A, octets 12 to 18
    c00c 0001 0001 0000003c 0004 c0000201        # 19: a. A
    00 0002 0001 0000003c 0003 01 62 00          # 35: . NS b.
    01 62 00 001c 0003 0000003c 0000             # 49: b. AAAA, class 3, no data
  `);
  const cursor = new RecordCursor(bytes, 19);
  const seen = [];
  while (cursor.next()) {
    const { section, start, fixed, data, end, type } = cursor;
    seen.push({ section, start, fixed, data, end, type, class: cursor.class });
  }
  assertEquals(seen, [
    { section: "answer", start: 19, fixed: 21, data: 31, end: 35, type: 1, class: 1 },
    { section: "authority", start: 35, fixed: 36, data: 46, end: 49, type: 2, class: 1 },
    { section: "additional", start: 49, fixed: 52, data: 62, end: 62, type: 28, class: 3 },
  ]);
  assert(!cursor.next(), "there is nothing behind the end, however often it is asked for");
});

Deno.test("no records: the cursor stays at the end of the question", () => {
  const cursor = new RecordCursor(vector("written/root-question.hex"), 17);
  assert(!cursor.next());
  assertEquals(cursor.end, 17);
});

Deno.test("the walk over each golden message sees the records the tests' reader sees", () => {
  for (const { file, bytes } of [...captured, ...written]) {
    if (file === "written/octets-behind.hex") continue;
    const expected = read(bytes);
    const cursor = new RecordCursor(bytes, Message.parse(bytes).questionEnd);
    const sections = { answer: [], authority: [], additional: [] } as Record<string, string[]>;
    while (cursor.next()) {
      if (cursor.type === 41) continue;
      sections[cursor.section]!.push(
        `${cursor.type} ${cursor.class} ${bytes.slice(cursor.data, cursor.end).toHex()}`,
      );
    }
    const expect = (records: typeof expected.answers) =>
      records.map((record) => `${record.type} ${record.class} ${record.rdata.toHex()}`);
    assertEquals(sections.answer, expect(expected.answers), file);
    assertEquals(sections.authority, expect(expected.authority), file);
    assertEquals(sections.additional, expect(expected.additional), file);
    assertEquals(cursor.end, bytes.length, file);
  }
});

Deno.test("every golden message that is cut is malformed at every place", () => {
  for (const { file, bytes } of [...captured, ...written].filter(({ bytes }) => bytes.length < 1000)) {
    if (file === "written/octets-behind.hex") continue;
    for (let end = 0; end < bytes.length; end++) {
      assertThrows(() => Message.parse(bytes.subarray(0, end)).edns, FormatError);
    }
  }
});

Deno.test("the sum of three counts of 65,535 does not wrap", () => {
  const records = "00 0001 0001 00000000 0000".repeat(3);
  const cursor = new RecordCursor(hex(`0001 8180 0000 ffff ffff ffff ${records}`), 12);
  for (let i = 0; i < 3; i++) assert(cursor.next());
  assertThrows(() => cursor.next(), FormatError, "past the end");
});

Deno.test("16 bits are read and written in network order, all values of them", () => {
  const bytes = new Uint8Array(4);
  for (let value = 0; value < 65_536; value++) {
    writeUint16(bytes, 1, value);
    if (readUint16(bytes, 1) !== value) throw new Error(`${value} came back as ${readUint16(bytes, 1)}`);
  }
  writeUint16(bytes, 1, 0x1234);
  assertEquals(bytes, hex("00 12 34 00").map((octet, i) => i === 0 || i === 3 ? 0 : octet));
});
