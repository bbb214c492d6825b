import { FormatError } from "../../lib/dns/format_error.ts";
import { equalNames, lowerCase, nameToString, skipName, skipPlainName } from "../../lib/dns/name.ts";
import { assert, assertEquals, assertThrows } from "../support/assert.ts";
import { hex } from "../support/packets/packets.ts";

/** The example of RFC 1035 §4.1.4, names at the offsets it gives them; zeros stand between. */
const example = hex(`
  0000000000000000000000000000000000000000                  # octets 0 to 19
  01 46 03 495349 04 41525041 00  0000000000000000          # 20: F.ISI.ARPA
  03 464f4f c014  000000000000000000000000000000000000      # 40: FOO, then a pointer to 20
  c01a  0000000000000000000000000000000000000000000000000000  # 64: a pointer to ARPA within the name at 20
  00                                                        # 92: the root
`);

Deno.test("the names of RFC 1035's example are read through their pointers", () => {
  const cases = [[20, 32, "F.ISI.ARPA."], [40, 46, "FOO.F.ISI.ARPA."], [64, 66, "ARPA."], [
    92,
    93,
    ".",
  ]] as const;
  for (const [offset, behind, text] of cases) {
    assertEquals(skipName(example, offset), behind, text);
    assertEquals(nameToString(example, offset), text);
  }
});

Deno.test("names are equal whether they are spelled out or compressed", () => {
  const bytes = hex("000000000000000000000000 01 61 01 62 00  01 61 01 62 00  01 61 c00e  c011");
  const offsets = [12, 17, 22, 26];
  for (const one of offsets) {
    for (const other of offsets) assert(equalNames(bytes, one, other), `${one} ${other}`);
  }
});

Deno.test("names are equal whatever the case of their ASCII letters, and of no others (RFC 4343 §3)", () => {
  const names = (one: string, other: string) => hex(`${"00".repeat(12)} ${one} ${other}`);
  assert(equalNames(names("03 61427a 00", "03 41625a 00"), 12, 17));
  assert(!equalNames(names("01 40 00", "01 60 00"), 12, 15), "@ and `, the octets before A and a");
  assert(!equalNames(names("01 5b 00", "01 7b 00"), 12, 15), "[ and {, the octets behind Z and z");
  assert(!equalNames(names("01 c4 00", "01 e4 00"), 12, 15), "A and a with diaeresis in Latin-1");
});

Deno.test("names that share only a beginning, only an end or only their octets are not equal", () => {
  const differ = (one: string, other: string) => {
    const bytes = hex(`${"00".repeat(12)} ${one} ${other}`);
    assert(!equalNames(bytes, 12, 12 + hex(one).length), `${one} and ${other}`);
    assert(!equalNames(bytes, 12 + hex(one).length, 12), `${other} and ${one}`);
  };
  differ("01 61 00", "01 61 01 62 00");
  differ("01 62 00", "01 61 01 62 00");
  differ("00", "01 61 00");
  differ("03 610162 00", "01 61 01 62 00"); // one label of three octets, or two of one
});

Deno.test("a name in text has every octet that a zone file would misread escaped (RFC 1035 §5.1)", () => {
  const text = (label: string) =>
    nameToString(hex(`${hex(label).length.toString(16).padStart(2, "0")} ${label} 00`), 0);
  assertEquals(text("2e"), String.raw`\..`);
  assertEquals(text("5c"), String.raw`\\.`);
  assertEquals(text("22 24 28 29 3b 40"), String.raw`\"\$\(\)\;\@.`);
  assertEquals(text("00 09 0a 1b 20 7f ff"), String.raw`\000\009\010\027\032\127\255.`);
  assertEquals(text("2a 5f 2d 39 7e 21"), "*_-9~!.");
  assertEquals(text("c3a4"), String.raw`\195\164.`, "UTF-8 is octets like any others");
});

Deno.test("only ASCII capitals have a small form", () => {
  for (let octet = 0; octet < 256; octet++) {
    const capital = octet >= 65 && octet <= 90;
    assertEquals(lowerCase(octet), capital ? octet + 32 : octet);
  }
});

const label = (length: number) => length.toString(16).padStart(2, "0") + "61".repeat(length);
const longest = [63, 63, 63, 61].map(label).join("") + "00";

Deno.test("a name of 255 octets passes, one of 256 does not, spelled out or through a pointer", () => {
  for (const skip of [skipName, skipPlainName]) {
    assertEquals(skip(hex(longest), 0), 255);
    const tooLong = hex([63, 63, 63, 62].map(label).join("") + "00");
    assertThrows(() => skip(tooLong, 0), FormatError, "longer than 255");
    assertThrows(() => skip(hex(label(63).repeat(1000)), 0), FormatError, "longer than 255");
  }
  const behindHeader = "00".repeat(12) + [63, 63, 63].map(label).join("") + "00"; // 193 octets of name
  assertEquals(skipName(hex(`${behindHeader} ${label(61)} c00c`), 205), 269);
  assertThrows(() => skipName(hex(`${behindHeader} ${label(62)} c00c`), 205), FormatError, "longer than 255");
});

Deno.test("127 labels of one octet are a name, and so is the root", () => {
  assertEquals(skipName(hex("0161".repeat(127) + "00"), 0), 255);
  assertEquals(skipPlainName(hex("0161".repeat(127) + "00"), 0), 255);
  assertThrows(() => skipName(hex("0161".repeat(128) + "00"), 0), FormatError, "longer than 255");
  assertEquals(skipName(hex("00"), 0), 1);
});

Deno.test("no label is longer than 63 octets: the label types above that are not in use (RFC 6891 §5)", () => {
  assertEquals(skipPlainName(hex(label(63) + "00"), 0), 65);
  for (const type of ["40", "41", "7f", "80", "bf"]) {
    const bytes = hex(`${"00".repeat(12)} ${type} ${"61".repeat(200)} 00`);
    assertThrows(() => skipName(bytes, 12), FormatError, `label type 0x${type}`);
    assertThrows(() => skipPlainName(bytes, 12), FormatError, `label type 0x${type}`);
  }
});

Deno.test("a name that is cut anywhere is malformed", () => {
  const whole = hex("00".repeat(12) + "01 61 00  03 777777 c00c");
  for (let end = 15; end < whole.length; end++) {
    assertThrows(() => skipName(whole.subarray(0, end), 15), FormatError, "past the end");
  }
  assertEquals(skipName(whole, 15), 21);
});

Deno.test("a name that must be spelled out has no pointer", () => {
  assertThrows(() => skipPlainName(hex("00".repeat(12) + "00 c00c"), 13), FormatError, "label type 0xc0");
});

Deno.test("a pointer leads to before the labels that it ends, so no name goes round in circles", () => {
  const at = (bytes: string, offset: number) => () => skipName(hex("00".repeat(12) + bytes), offset);
  assertThrows(at("c00c", 12), FormatError, "forward"); // to itself
  assertThrows(at("c00e 00", 12), FormatError, "forward"); // ahead
  assertThrows(at("01 61 c00c", 12), FormatError, "forward"); // to its own label
  assertThrows(at("01 61 c00c", 14), FormatError, "no name before it"); // to a label behind which it stands
  assertThrows(at("c00e c00c", 14), FormatError, "forward"); // two that point to each other
  assertThrows(at("ff 01 61 01 62 c00d", 17), FormatError, "no name before it"); // the same through two labels
});

Deno.test("a pointer leads to labels that end before it, so truncation behind a name never changes it", () => {
  const bytes = hex("00".repeat(12) + "03 6162 c00c 00 0000"); // a label at 12 that runs over the name at 15
  assertThrows(() => skipName(bytes, 15), FormatError, "no name before it");
});

Deno.test("a pointer does not lead into the header, which is another one in every hop", () => {
  for (let target = 0; target < 12; target++) {
    const bytes = hex(`${"00".repeat(12)} 00 c0${target.toString(16).padStart(2, "0")}`);
    assertThrows(() => skipName(bytes, 13), FormatError, "into the header");
  }
});

Deno.test("127 pointers in a row are followed, one more is refused: a message cannot make each name cost thousands", () => {
  const chain = "00".repeat(13) + Array.from({ length: 128 }, (_, i) => {
    return (0xc000 | (i === 0 ? 12 : 13 + 2 * (i - 1))).toString(16);
  }).join("");
  assertEquals(skipName(hex(chain), 13 + 2 * 126), 13 + 2 * 127);
  assertThrows(() => skipName(hex(chain), 13 + 2 * 127), FormatError, "too many compression pointers");
});
