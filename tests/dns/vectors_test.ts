import { Flag } from "../../lib/dns/header.ts";
import { rcodeName } from "../../lib/dns/codes.ts";
import { FormatError } from "../../lib/dns/format_error.ts";
import { Message } from "../../lib/dns/message.ts";
import { RecordCursor } from "../../lib/dns/records.ts";
import { assert, assertEquals, assertThrows } from "../support/assert.ts";
import { read } from "../support/packets/packets.ts";
import { captured, malformed, type Vector, written } from "./vectors.ts";

for (const { file, bytes, notes } of [...captured, ...written]) {
  Deno.test(`${file} is read as its note describes`, () => {
    assert(notes.has("from"), "a vector without provenance");
    assertEquals(describe(bytes), notes.get("is"));
  });
}

for (const { file, bytes } of [...captured, ...written].filter(isWhole)) {
  Deno.test(`${file} reads the same here and in the reader of the tests`, () => {
    const message = Message.parse(bytes);
    const expected = read(bytes);
    assertEquals(message.id, expected.id);
    assertEquals(message.rcode, expected.rcode);
    assertEquals(message.hasQuestion, expected.question !== undefined);
    assertEquals(message.type, expected.question?.type ?? 0);
    assertEquals(message.edns?.udpSize, expected.edns?.size);
    assertEquals(message.edns?.version, expected.edns?.version);
    assertEquals(message.edns?.dnssecOk, expected.edns?.do);
    for (const { code } of expected.edns?.options ?? []) {
      const first = expected.edns!.options.find((option) => option.code === code);
      assertEquals(message.edns!.option(code), first!.value);
    }
  });
}

for (const { file, bytes, notes } of malformed) {
  const [when, words] = notes.get("fails")!.split(", ", 2);
  Deno.test(`${file} must fail: ${words}`, () => {
    const act = when === "parse" ? () => Message.parse(bytes) : records(Message.parse(bytes));
    assertThrows(act, FormatError, words);
  });
}

Deno.test("a message that failed once fails again: no half-made state is left behind", () => {
  for (const { bytes, notes } of malformed.filter(({ notes }) => notes.get("fails")!.startsWith("records"))) {
    const message = Message.parse(bytes);
    for (let round = 0; round < 2; round++) {
      const words = notes.get("fails")!.split(", ", 2)[1]!;
      assertThrows(() => message.edns, FormatError, words);
      assertThrows(() => message.recordsEnd, FormatError, words);
      assertThrows(() => message.additionalKept, FormatError, words);
      assertThrows(() => message.rcode, FormatError, words);
    }
  }
});

function isWhole({ notes }: Vector): boolean {
  return !notes.get("is")!.includes("octets more");
}

function records(message: Message): () => unknown {
  return () => message.edns;
}

/** The facts in the note of a vector, in terms of the code under test. */
function describe(bytes: Uint8Array): string {
  const message = Message.parse(bytes);
  const { edns, flags } = message;
  const cursor = new RecordCursor(bytes, message.questionEnd);
  const counts = { answer: 0, authority: 0, additional: 0 };
  while (cursor.next()) counts[cursor.section]++;
  const set = (["AA", "TC", "RD", "RA", "Z", "AD", "CD"] as const).filter((name) => flags & Flag[name]);
  const classNumber = bytes[message.questionEnd - 2]! << 8 | bytes[message.questionEnd - 1]!;
  return [
    `${message.isResponse ? "response" : "query"} ${message.id} opcode ${message.opcode} ` +
    `${rcodeName(message.rcode)} [${set.join(" ")}]`,
    message.hasQuestion
      ? `${message.name} TYPE${message.type}` + (classNumber === 1 ? "" : ` CLASS${classNumber}`)
      : "no question",
    `${counts.answer}+${counts.authority}+${counts.additional} records`,
    edns
      ? `EDNS${edns.version} ${edns.udpSize}` + (edns.dnssecOk ? " DO" : "") + optionCodes(bytes)
      : "no EDNS",
    ...cursor.end < bytes.length ? [`${bytes.length - cursor.end} octets more`] : [],
  ].join(", ");
}

/** `Edns` has no list of its options, since nothing needs it; the reader of the tests has. */
function optionCodes(bytes: Uint8Array): string {
  const codes = read(bytes).edns!.options.map(({ code }) => code);
  return codes.length > 0 ? ` options ${codes.join(",")}` : "";
}
