import { Message } from "../../../lib/dns/message.ts";
import { parseName } from "../../../lib/dns/name.ts";
import {
  canonicalName,
  compareNames,
  countLabels,
  isWithinName,
} from "../../../lib/resolver/dnssec/canonical.ts";
import { recordSetsOf } from "../../../lib/resolver/dnssec/rrsets.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { hex } from "../../support/packets/packets.ts";

const name = (text: string) => canonicalName(parseName(text), 0);

Deno.test("names are ordered as in the example of RFC 4034 §6.1", () => {
  const ordered = [
    "example",
    "a.example",
    "yljkjljk.a.example",
    "Z.a.example",
    "zABC.a.EXAMPLE",
    "z.example",
  ];
  ordered.push("\\001.z.example", "*.z.example", "\\200.z.example");
  const names = ordered.map(name);
  for (const [i, one] of names.entries()) {
    for (const [j, other] of names.entries()) {
      assertEquals(Math.sign(compareNames(one, other)), Math.sign(i - j), `${ordered[i]}, ${ordered[j]}`);
    }
  }
});

Deno.test("a name is within another by whole labels", () => {
  assert(isWithinName(name("a.example"), name("example")));
  assert(isWithinName(name("example"), name("Example")));
  assert(isWithinName(name("example"), name(".")));
  assert(!isWithinName(name("aexample"), name("example")));
  assert(!isWithinName(name("example"), name("a.example")));
  // The label "\007example" ends with the bytes of the name "example".
  assert(!isWithinName(name("x\\007example"), name("example")));
});

Deno.test("neither the root nor a leading asterisk counts as a label", () => {
  assertEquals([".", "a", "*.a", "a.*.b"].map((text) => countLabels(name(text))), [0, 1, 1, 3]);
});

Deno.test("data of a set is in canonical form and order, without duplicates", () => {
  const response = Message.parse(hex(`
    0000 8180 0001 0004 0000 0000
    01 61 01 42 00  000f 0001                        # a.B MX
    c00c  000f 0001 0000012c 0006  0014 01 58 c00e   # 20 X.B
    c00c  000f 0001 00000064 0006  000a 01 59 c00e   # 10 Y.B, TTL 100
    c00c  000f 0001 0000012c 0006  0014 01 78 c00e   # 20 x.B again
    c00c  0023 0001 0000012c 000c  0001 0001 01 55 00 00 01 4e c00e # NAPTR N.B
  `));
  const [mx, naptr] = recordSetsOf(response);
  assertEquals(mx!.data.map((each) => each.toHex()), ["000a0179016200", "00140178016200"]);
  assertEquals([mx!.ttl, mx!.positions], [100, [0, 1, 2]]);
  assertEquals(naptr!.data[0]!.toHex(), "0001000101550000016e016200");
});
