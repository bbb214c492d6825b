import { Flag, HEADER_BYTES } from "../../lib/dns/header.ts";
import { FormatError } from "../../lib/dns/format_error.ts";
import { Message } from "../../lib/dns/message.ts";
import { assert, assertEquals, assertThrows } from "../support/assert.ts";
import { hex } from "../support/packets/packets.ts";
import { vector } from "./vectors.ts";

/** A query for `a.`, TYPE A, with bytes behind its question. */
const query = "1234 0100 0001 0000 0000 0000  01 61 00 0001 0001";

Deno.test("the header is read: ID, flags, opcode, RCODE", () => {
  const message = Message.parse(hex("beef ad35 0000 0000 0000 0000"));
  assertEquals(message.id, 0xbeef);
  assertEquals(message.flags, 0xad35);
  assert(message.isResponse);
  assertEquals(message.opcode, 5);
  assertEquals(message.rcode, 5);
  assertEquals(message.flags & Flag.CD, Flag.CD);
});

Deno.test("a question is read in place: name, type, and where it ends", () => {
  const bytes = hex(query);
  const message = Message.parse(bytes);
  assert(message.bytes === bytes, "a copy was made");
  assert(!message.isResponse && message.hasQuestion);
  assertEquals([message.name, message.type, message.questionEnd], ["a.", 1, 19]);
});

Deno.test("a message without a question has no name and no type, and its records follow the header", () => {
  const message = Message.parse(vector("captured/header-only.response.hex"));
  assert(!message.hasQuestion);
  assertEquals([message.name, message.type, message.questionEnd], [".", 0, HEADER_BYTES]);
  assertEquals(message.edns?.udpSize, 1232);
});

Deno.test("the root can be asked for", () => {
  const message = Message.parse(vector("written/root-question.hex"));
  assert(message.hasQuestion);
  assertEquals([message.name, message.type, message.questionEnd], [".", 2, 17]);
});

Deno.test("parse checks header and question only; later errors appear on access", () => {
  const message = Message.parse(vector("malformed/opt-twice.hex"));
  assertEquals([message.name, message.id], ["a.", 1]);
  assertThrows(() => message.edns, FormatError, "more than one OPT");
});

Deno.test("the upper eight bits of the RCODE come from the OPT record (RFC 6891 §6.1.3)", () => {
  assertEquals(Message.parse(vector("written/opt-upper-rcode.hex")).rcode, 23);
  assertEquals(Message.parse(vector("captured/badvers.response.hex")).rcode, 16);
  const highest = "1234 800f 0001 0000 0000 0001  01 61 00 0001 0001  00 0029 04d0 ff 00 0000 0000";
  assertEquals(Message.parse(hex(highest)).rcode, 4095);
});

Deno.test("6891-1: records end where OPT begins; records behind it are left out", () => {
  const message = Message.parse(vector("written/opt-not-last.hex"));
  assertEquals(message.edns?.udpSize, 4096);
  assertEquals(message.bytes.subarray(message.recordsEnd)[2], 41, "OPT does not follow what is passed on");
  assertEquals(message.additionalKept, 1);
});

Deno.test("TSIG, which stands behind OPT and signs for one hop only, is not passed on (RFC 8945 §5.1)", () => {
  const message = Message.parse(vector("captured/tsig.query.hex"));
  assertEquals(message.edns?.udpSize, 1232);
  assertEquals([message.recordsEnd, message.additionalKept], [message.questionEnd, 0]);
});

Deno.test("without OPT all records can be passed on, octets behind them cannot", () => {
  const alias = Message.parse(vector("captured/alias.response.hex"));
  assertEquals(alias.edns, undefined);
  assertEquals([alias.recordsEnd, alias.additionalKept], [alias.bytes.length, 3]);
  const trailing = Message.parse(vector("written/octets-behind.hex"));
  assertEquals(trailing.recordsEnd, trailing.bytes.length - 3);
});

Deno.test("OPT alone leaves nothing to pass on", () => {
  const message = Message.parse(vector("captured/address.query.hex"));
  assertEquals([message.recordsEnd, message.additionalKept], [message.questionEnd, 0]);
});

Deno.test("5452-1, 7766-7: the same question differs in nothing but the case of the name", () => {
  const asked = Message.parse(hex(query));
  const same = (bytes: string) => {
    const other = Message.parse(hex(bytes));
    assertEquals(asked.sameQuestion(other), other.sameQuestion(asked));
    return asked.sameQuestion(other);
  };
  assert(same("ffff 8180 0001 0000 0000 0000  01 61 00 0001 0001"), "ID and flags are no part of it");
  assert(same("1234 8180 0001 0000 0000 0000  01 41 00 0001 0001"), "A. is a.");
  assert(!same("1234 8180 0001 0000 0000 0000  01 62 00 0001 0001"), "b. is not a.");
  assert(!same("1234 8180 0001 0000 0000 0000  01 61 00 001c 0001"), "AAAA is not A");
  assert(!same("1234 8180 0001 0000 0000 0000  01 61 00 0001 0003"), "CH is not IN");
  assert(!same("1234 8180 0001 0000 0000 0000  01 61 01 61 00 0001 0001"), "a.a. is not a.");
  assert(!same("1234 8180 0001 0000 0000 0000  00 0001 0001"), "the root is not a.");
  assert(!same("1234 8180 0000 0000 0000 0000"), "no question is not a question");
});

Deno.test("5452-1, 7766-7: a response without a question answers if it refuses, for then it could not read it", () => {
  const asked = Message.parse(hex(query));
  const withRcode = (rcode: number, counts: string, records = "") =>
    Message.parse(hex(`1234 818${rcode} 0000 ${counts} ${records}`)).answers(asked);
  const [none, one] = ["0000 0000 0000", "0001 0000 0000"];
  const answering = Array.from({ length: 6 }, (_, rcode) => withRcode(rcode, none));
  // NOERROR and NXDOMAIN are about a name, which is missing here.
  assertEquals(answering, [false, true, true, false, true, true]);
  const address = "00 0001 0001 00000000 0004 c0000201";
  assertEquals([0, 2, 3, 5].map((rcode) => withRcode(rcode, one, address)), [false, false, false, false]);
});

Deno.test("types and classes have no case: TYPE65 is not TYPE97", () => {
  const ask = (type: string, classNumber: string) =>
    Message.parse(hex(`1234 0100 0001 0000 0000 0000  01 61 00 ${type} ${classNumber}`));
  assert(!ask("0041", "0001").sameQuestion(ask("0061", "0001")));
  assert(!ask("0001", "0041").sameQuestion(ask("0001", "0061")));
});

Deno.test("names with the same octets but other labels are other questions", () => {
  const one = Message.parse(hex("0001 0100 0001 0000 0000 0000  03 610162 00 0001 0001"));
  const two = Message.parse(hex("0001 0100 0001 0000 0000 0000  01 61 01 62 00 0001 0001"));
  assert(!one.sameQuestion(two));
});
