import { Edns } from "../../lib/dns/edns.ts";
import { EdnsOption } from "../../lib/dns/codes.ts";
import { FormatError } from "../../lib/dns/format_error.ts";
import { assert, assertEquals, assertThrows } from "../support/assert.ts";
import { hex } from "../support/packets/packets.ts";

/** An OPT record read from its TYPE on, as `Message` does after the owner, the root. */
function opt(fixed: string, options = ""): Edns {
  const length = hex(options).length.toString(16).padStart(4, "0");
  const bytes = hex(`00 0029 ${fixed} ${length} ${options}`);
  return new Edns(bytes, 1, bytes.length);
}

Deno.test("CLASS and TTL of an OPT record are size, RCODE bits, version and DO (RFC 6891 §6.1.2, §6.1.3)", () => {
  const edns = opt("04d0 12 34 8000");
  assertEquals(edns.udpSize, 1232);
  assertEquals(edns.extendedRcode, 0x12);
  assertEquals(edns.version, 0x34);
  assertEquals(edns.dnssecOk, true);
});

Deno.test("DO is the first of sixteen flags; the others, reserved, are ignored (RFC 3225 §3)", () => {
  assertEquals(opt("0200 00 00 0000").dnssecOk, false);
  assertEquals(opt("0200 00 00 7fff").dnssecOk, false);
  assertEquals(opt("0200 00 00 ffff").dnssecOk, true);
});

Deno.test("Edns returns the payload size as it stands, even below 512 and at the maximum", () => {
  assertEquals(opt("0000 00 00 0000").udpSize, 0);
  assertEquals(opt("ffff 00 00 0000").udpSize, 65_535);
});

Deno.test("6891-2: options are found among others, known or not, and absent ones are not", () => {
  const edns = opt("04d0 00 00 0000", "fde9 0003 010203  000b 0000  000c 0002 0000  000b 0002 0078");
  assertEquals(edns.option(EdnsOption.TCP_KEEPALIVE), hex(""), "the first of two");
  assertEquals(edns.option(EdnsOption.PADDING), hex("0000"));
  assertEquals(edns.option(0xfde9), hex("010203"));
  assertEquals(edns.option(EdnsOption.CLIENT_SUBNET), undefined);
  assertEquals(opt("04d0 00 00 0000").option(EdnsOption.PADDING), undefined);
});

Deno.test("7830-1: padding of any content is accepted", () => {
  assertEquals(opt("04d0 00 00 0000", "000c 0004 deadbeef").option(EdnsOption.PADDING), hex("deadbeef"));
});

Deno.test("8914-1: all extended errors are found, each with its header", () => {
  const edns = opt("04d0 00 00 0000", "000f 0005 0016 657468  000c 0000  000f 0002 0017");
  assertEquals(edns.extendedErrors(), [hex("000f 0005 0016 657468"), hex("000f 0002 0017")]);
  assertEquals(opt("04d0 00 00 0000", "000c 0000").extendedErrors(), []);
});

Deno.test("an extended error too short for its INFO-CODE is none (RFC 8914 §2)", () => {
  const edns = opt("04d0 00 00 0000", "000f 0000  000f 0001 00  000f 0002 0003");
  assertEquals(edns.extendedErrors(), [hex("000f 0002 0003")]);
});

Deno.test("options that do not fill their record exactly are malformed", () => {
  for (
    const options of [
      "00",
      "000c",
      "000c00",
      "000c 0001",
      "000c ffff 00",
      "000c 0000 00",
      "000c 0001 00 000c",
    ]
  ) {
    assertThrows(() => opt("04d0 00 00 0000", options), FormatError, "runs past its record");
  }
});

Deno.test("options are read within the record, whatever stands behind it", () => {
  const bytes = hex("00 0029 04d0 00 00 0000 0004 000c 0001 ff");
  assertThrows(() => new Edns(bytes, 1, bytes.length - 1), FormatError, "runs past its record");
  const two = hex("00 0029 04d0 00 00 0000 0004 000c 0000 000b 0000");
  assert(new Edns(two, 1, two.length - 4).option(EdnsOption.TCP_KEEPALIVE) === undefined);
});
