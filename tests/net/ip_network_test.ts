import fc from "fast-check";
import ipaddr from "ipaddr.js";
import { IpAddress } from "../../lib/net/ip_address.ts";
import { NetworkTable, parseNetwork } from "../../lib/net/ip_network.ts";
import { assertEquals, assertStringIncludes, assertThrows } from "../support/assert.ts";

/** As the system writes it. */
const ipv4 = fc.ipV4();
const ipv6 = fc.ipV6().map((text) => ipaddr.parse(text).toString());

function octets({ words, isIpv4 }: IpAddress): number[] {
  return [...words].slice(isIpv4 ? 3 : 0).flatMap((word) =>
    [24, 16, 8, 0].map((shift) => word >>> shift & 0xff)
  );
}

Deno.test("an address is read as ipaddr.js reads it, whether as text or as octets", () => {
  fc.assert(fc.property(fc.oneof(ipv4, ipv6), (text) => {
    const expected = ipaddr.process(text).toByteArray();
    const address = new IpAddress();
    assertEquals(octets(address.read(text)), expected);
    const bytes = Uint8Array.of(9, ...expected, 9);
    assertEquals(octets(address.readBytes(bytes, 1, expected.length as 4 | 16)), expected);
  }));
});

Deno.test("one reader for all addresses: nothing of an address is left in the next", () => {
  const address = new IpAddress();
  for (const text of ["ffff::1", "10.0.0.1", "::", "::ffff:192.0.2.1", "fe80::1%eth0", "1:2:3:4:5:6:7:8"]) {
    assertEquals(octets(address.read(text)), ipaddr.process(text.split("%")[0]!).toByteArray(), text);
  }
});

/** A network with the bits behind its length cleared. */
const network = fc.oneof(
  fc.tuple(ipv4, fc.integer({ min: 0, max: 32 })).map(([address, length]) =>
    `${ipaddr.IPv4.networkAddressFromCIDR(`${address}/${length}`)}/${length}`
  ),
  fc.tuple(ipv6, fc.integer({ min: 0, max: 128 })).map(([address, length]) =>
    `${ipaddr.IPv6.networkAddressFromCIDR(`${address}/${length}`)}/${length}`
  ).filter((text) => ipaddr.parse(text.split("/")[0]!).range() !== "ipv4Mapped"),
);

/** The plain way: the first of the longest networks that the address is in. */
function oracle(networks: readonly string[], text: string): number | undefined {
  const address = ipaddr.process(text);
  let found: number | undefined;
  let longest = -1;
  networks.forEach((network, i) => {
    const [range, length] = ipaddr.parseCIDR(network);
    if (range.kind() !== address.kind() || !address.match(range, length) || length <= longest) return;
    [found, longest] = [i, length];
  });
  return found;
}

Deno.test("NetworkTable finds the longest network with an address, as ipaddr.js does", () => {
  const near = fc.tuple(fc.array(network, { maxLength: 8 }), fc.oneof(ipv4, ipv6), fc.nat());
  fc.assert(fc.property(near, ([networks, anywhere, which]) => {
    const table = new NetworkTable(networks.map((text, i) => [parseNetwork(text), i] as const));
    const inside = networks[which % networks.length]?.split("/")[0] ?? anywhere;
    for (const text of [anywhere, inside]) {
      assertEquals(table.find(new IpAddress().read(text)), oracle(networks, text), text);
    }
  }));
});

Deno.test("IPv4 within IPv6 is IPv4, in networks and in addresses", () => {
  const table = new NetworkTable([[parseNetwork("10.0.0.0/8"), "four"], [parseNetwork("::/0"), "six"]]);
  assertEquals(table.find(new IpAddress().read("::ffff:10.1.2.3")), "four");
  assertEquals(table.find(new IpAddress().read("::ffff:11.1.2.3")), undefined);
  assertEquals(parseNetwork("::ffff:10.0.0.0/104"), parseNetwork("10.0.0.0/8"));
});

Deno.test("parseNetwork rejects other text with the reason", () => {
  const cases: [string, string][] = [
    ["", "is not a network; write ADDRESS/LENGTH"],
    ["10", "is not a network"],
    ["10.0.0", "is not a network"],
    ["010.0.0.0/8", "is not a network"],
    ["10.0.0.0/", "is not a network"],
    ["fe80::1%eth0", "is not a network"],
    ["example.com", "is not a network"],
    ["10.0.0.0/33", "length beyond 32"],
    ["fd00::/129", "length beyond 128"],
    ["10.1.2.3/8", "is an address within its network"],
    ["fd00::1/8", "is an address within its network"],
    ["::ffff:0:0/95", "mixes IPv4 and IPv6"],
  ];
  for (const [text, reason] of cases) {
    const error = assertThrows(() => parseNetwork(text), TypeError);
    assertStringIncludes((error as Error).message, reason, text);
  }
});
