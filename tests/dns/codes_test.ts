import { Flag } from "../../lib/dns/header.ts";
import { EdnsOption, ExtendedError, Rcode, rcodeName, Type } from "../../lib/dns/codes.ts";
import { assertEquals } from "../support/assert.ts";

Deno.test("an RCODE is called by its name, or by its number where it has none here (RFC 6895 §2.3)", () => {
  assertEquals(rcodeName(0), "NOERROR");
  assertEquals(rcodeName(2), "SERVFAIL");
  assertEquals(rcodeName(16), "BADVERS");
  assertEquals(rcodeName(23), "RCODE23");
  assertEquals(rcodeName(4095), "RCODE4095");
});

Deno.test("the numbers are those of the registries", () => {
  assertEquals(Object.values(Flag), [0x8000, 0x400, 0x200, 0x100, 0x80, 0x40, 0x20, 0x10]);
  assertEquals({ ...Rcode }, {
    NOERROR: 0,
    FORMERR: 1,
    SERVFAIL: 2,
    NXDOMAIN: 3,
    NOTIMP: 4,
    REFUSED: 5,
    YXDOMAIN: 6,
    BADVERS: 16,
  });
  assertEquals([Type.NS, Type.SOA, Type.OPT, Type.IXFR, Type.AXFR], [2, 6, 41, 251, 252]);
  assertEquals(
    [EdnsOption.CLIENT_SUBNET, EdnsOption.TCP_KEEPALIVE, EdnsOption.PADDING, EdnsOption.EXTENDED_ERROR],
    [8, 11, 12, 15],
  );
  assertEquals(
    [
      ExtendedError.OTHER,
      ExtendedError.NOT_SUPPORTED,
      ExtendedError.NO_REACHABLE_AUTHORITY,
      ExtendedError.NETWORK_ERROR,
    ],
    [0, 21, 22, 23],
  );
});
