import { parseHostPort } from "../../lib/net/host_port.ts";
import { parseBootstrap, parseUpstream, type UpstreamAddress } from "../../lib/upstream/address.ts";
import { assertEquals, assertThrows } from "../support/assert.ts";
import fc from "fast-check";

function one(host: string, port: number, authName: string, label: string): UpstreamAddress[] {
  return [{ ...PLAIN, host, port, authName, hasAuthName: authName !== host, label }];
}

const PLAIN = { pins: [], clientCertificate: undefined, weight: 1 };

const WRITTEN: [text: string, expected: UpstreamAddress[]][] = [
  ["1.1.1.1", one("1.1.1.1", 853, "1.1.1.1", "1.1.1.1:853")],
  ["1.1.1.1:8853", one("1.1.1.1", 8853, "1.1.1.1", "1.1.1.1:8853")],
  ["1.1.1.1#one.one", one("1.1.1.1", 853, "one.one", "1.1.1.1:853#one.one")],
  ["tls://1.1.1.1:443#one.one", one("1.1.1.1", 443, "one.one", "1.1.1.1:443#one.one")],
  ["dns.google", one("dns.google", 853, "dns.google", "dns.google:853")],
  ["dns.google.", one("dns.google", 853, "dns.google", "dns.google:853")],
  ["tls://resolver:8853", one("resolver", 8853, "resolver", "resolver:8853")],
  ["tls://google", one("google", 853, "google", "google:853")],
  ["2.pool.1.example", one("2.pool.1.example", 853, "2.pool.1.example", "2.pool.1.example:853")],
  ["[::1]", one("::1", 853, "::1", "[::1]:853")],
  ["[::1]:8853#a.b", one("::1", 8853, "a.b", "[::1]:8853#a.b")],
  ["tls://[2620:fe::9]", one("2620:fe::9", 853, "2620:fe::9", "[2620:fe::9]:853")],
  ["::1", one("::1", 853, "::1", "[::1]:853")],
  [
    "2606:4700:4700::1111",
    one("2606:4700:4700::1111", 853, "2606:4700:4700::1111", "[2606:4700:4700::1111]:853"),
  ],
  ["1:2:3:4:5:6:7:8", one("1:2:3:4:5:6:7:8", 853, "1:2:3:4:5:6:7:8", "[1:2:3:4:5:6:7:8]:853")],
  ["[::1]#127.0.0.1", one("::1", 853, "127.0.0.1", "[::1]:853#127.0.0.1")],
];

Deno.test("parseUpstream defaults to port 853 and to the host as authentication name (7858-1)", () => {
  for (const [text, expected] of WRITTEN) assertEquals(parseUpstream(text), expected, text);
});

Deno.test("parseUpstream notes an explicit authentication name that equals the host", () => {
  const [named] = parseUpstream("dns.google#dns.google.");
  assertEquals(named, { ...one("dns.google", 853, "dns.google", "dns.google:853")[0]!, hasAuthName: true });
});

const PIN = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="; // of nothing: base64 with all it may have in it
const OTHER = "Fr8YGfAnSGgkQBCDnf6RvcvBXlQxqBS3E/xWyXVVsBw=";

const PARAMETERS: [text: string, expected: Partial<UpstreamAddress>][] = [
  [`1.1.1.1?pin=sha256/${PIN}`, { host: "1.1.1.1", hasAuthName: false, pins: [PIN] }],
  [`tls://1.1.1.1:443#one.one?pin=sha256/${PIN}&pin=sha256/${OTHER}`, {
    port: 443,
    authName: "one.one",
    hasAuthName: true,
    label: "1.1.1.1:443#one.one",
    pins: [PIN, OTHER],
  }],
  ["[::1]?weight=100", { host: "::1", label: "[::1]:853", weight: 100 }],
  ["dns.test?cert=/etc/a+b=c#%20.pem&key=k.pem", {
    hasAuthName: false,
    clientCertificate: { certificate: "/etc/a+b=c#%20.pem", key: "k.pem" },
  }],
];

Deno.test("parseUpstream takes the parameters after the question mark literally", () => {
  for (const [text, expected] of PARAMETERS) {
    const [upstream] = parseUpstream(text);
    assertEquals({ ...upstream!, ...expected }, upstream!, text);
  }
});

const PARAMETERS_REFUSED: [text: string, reason: string][] = [
  ["1.1.1.1?", `"1.1.1.1?" has "" after the "?"; write HOST[:PORT][#AUTHNAME][?pin=…`],
  ["1.1.1.1?pins=x", `has "pins=x" after the "?"`],
  ["1.1.1.1?weight=", `has "weight=" after the "?"`],
  ["1.1.1.1?weight=1&", `has "" after the "?"`],
  ["1.1.1.1?weight=0", `has the weight "0"; a weight is a number from 1 to 100`],
  ["1.1.1.1?weight=101", `has the weight "101"`],
  ["1.1.1.1?weight=1.5", `has the weight "1.5"`],
  ["1.1.1.1?weight=1&weight=2", "has more than one weight="],
  ["1.1.1.1?cert=a&cert=b&key=c", "has more than one cert="],
  ["1.1.1.1?cert=a", "has only one of cert= and key=; a client certificate needs both"],
  ["1.1.1.1?key=a", "has only one of cert= and key="],
  [`1.1.1.1?pin=${PIN}`, `"${PIN}" is not a pin; write sha256/ and the base64 of 32 bytes (RFC 7858 §4.2)`],
  [`1.1.1.1?pin=sha1/${PIN}`, "is not a pin"],
  [`1.1.1.1?pin=sha256/${PIN.slice(0, -1)}`, "is not a pin"],
  [`1.1.1.1?pin=sha256/${PIN.slice(0, -2)}V=`, "is not a pin"],
  [`1.1.1.1?pin=sha256/${PIN.replace("+", "-")}`, "is not a pin"],
  [`1.1.1.1?pin=sha256/${PIN.slice(4)}`, "is not a pin"],
  [`1.1.1.1?pin=sha256/AAAA${PIN}`, "is not a pin"],
  [`1.1.1.1?pin=sha256/ ${PIN}`, "is not a pin"],
  ["cloudflare?weight=2#x", `has the weight "2#x"`],
];

Deno.test("parseUpstream rejects bad parameters with the value, the reason and the remedy (7858-8)", () => {
  for (const [text, reason] of PARAMETERS_REFUSED) assertThrows(() => parseUpstream(text), TypeError, reason);
});

Deno.test("parseBootstrap reads an address for plain DNS, or for DNS over TLS after tls://", () => {
  assertEquals(parseBootstrap("9.9.9.9"), [{ kind: "plain", host: "9.9.9.9", port: 53 }]);
  assertEquals(parseBootstrap("[::1]:5353"), [{ kind: "plain", host: "::1", port: 5353 }]);
  const [upstream] = parseUpstream("9.9.9.9#dns.quad9.net");
  assertEquals(parseBootstrap("tls://9.9.9.9#dns.quad9.net"), [{ kind: "tls", upstream: upstream! }]);
  for (
    const text of ["dns.quad9.net", "tls://dns.quad9.net", "localhost", "9.9.9.9#dns.quad9.net", "quad9"]
  ) {
    assertThrows(() => parseBootstrap(text), TypeError);
  }
});

const REFUSED: [text: string, reason: string][] = [
  [
    "1.1.1.1:53",
    `"1.1.1.1:53" has the port 53, which DNS over TLS cannot use (RFC 7858 §3.1); leave it out for 853`,
  ],
  ["[::1]:53#a.b", "has the port 53"],
  ["1.1.1.1:0", "has the port 0"],
  ["1.1.1.1:65536", `"1.1.1.1:65536" has the port "65536"; a port is a number up to 65535`],
  ["1.1.1.1:", `has the port ""`],
  ["1.1.1.1:dot", `has the port "dot"`],
  ["1.1.1.1:-1", `has the port "-1"`],
  ["https://dns.google/dns-query", "write tls://HOST or HOST, not https://"],
  ["udp://1.1.1.1", "only DNS over TLS is supported"],
  ["tls://", "HOST is empty"],
  ["", "HOST is empty"],
  [":853", "HOST is empty"],
  ["#dns.google", "HOST is empty"],
  ["1.1.1.1#", "the name after # is empty"],
  ["1.1.1.1#a#b", `more than one "#"`],
  ["1.1.1.1#a b", `"a b" is neither an IP address nor a host name`],
  ["1.1.1.256", `"1.1.1.256" is neither`],
  ["1.1.1", `"1.1.1" is neither`],
  ["a,b", `"a,b" is neither`],
  ["-a.example", "is neither"],
  ["a..b", "is neither"],
  [`${"a".repeat(64)}.example`, "is neither"],
  [" 1.1.1.1", "is neither"],
  ["dns.google/", "is neither"],
  ["2620:fe::9:853", "can be read in two ways; write [2620:fe::9:853] or [2620:fe::9]:853"],
  ["1:2:3:4:5:6:7:8:853", "is not an IPv6 address; with a port, write [ADDRESS]:PORT"],
  ["[1.1.1.1]:853", "has no IPv6 address in its brackets"],
  ["[::1", `"[::1" is not an IPv6 address`],
  ["[]", "has no IPv6 address in its brackets"],
  ["[::1]853", `is not an IPv6 address`],
  ["[fe80::1%eth0]", "has a zone"],
];

Deno.test("parseUpstream rejects a bad address with the value, the reason and the remedy (7858-1)", () => {
  for (const [text, reason] of REFUSED) assertThrows(() => parseUpstream(text), TypeError, reason);
});

Deno.test("parseUpstream expands a preset to all published addresses of its service", () => {
  const labels = (text: string) => parseUpstream(text).map((each) => each.label);
  assertEquals(labels("cloudflare"), [
    "1.1.1.1:853#cloudflare-dns.com",
    "1.0.0.1:853#cloudflare-dns.com",
    "[2606:4700:4700::1111]:853#cloudflare-dns.com",
    "[2606:4700:4700::1001]:853#cloudflare-dns.com",
  ]);
  assertEquals(labels("google"), [
    "8.8.8.8:853#dns.google",
    "8.8.4.4:853#dns.google",
    "[2001:4860:4860::8888]:853#dns.google",
    "[2001:4860:4860::8844]:853#dns.google",
  ]);
  assertEquals(labels("quad9"), [
    "9.9.9.9:853#dns.quad9.net",
    "149.112.112.112:853#dns.quad9.net",
    "[2620:fe::fe]:853#dns.quad9.net",
    "[2620:fe::9]:853#dns.quad9.net",
  ]);
});

Deno.test("parseUpstream reads its own label as the same upstream", () => {
  for (const [, [expected]] of WRITTEN) assertEquals(parseUpstream(expected?.label ?? ""), [expected!]);
});

Deno.test("parseUpstream throws only TypeError, for any text", () => {
  const text = fc.oneof(
    fc.string(),
    fc.stringMatching(/^[\[\]:#.%a-f0-9]{0,20}$/),
    fc.ipV6().map((ip) => `[${ip}]:x`),
  );
  fc.assert(fc.property(text, (text) => {
    try {
      parseUpstream(text);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
  }));
});

Deno.test("parseUpstream reads back each formatted IP address", () => {
  const port = fc.integer({ min: 0, max: 65535 });
  fc.assert(fc.property(fc.ipV6(), port, (host, port) => {
    assertEquals(parseHostPort(`[${host}]:${port}`, 1), { host, port });
  }));
  fc.assert(fc.property(fc.ipV4(), port, (host, port) => {
    assertEquals(parseHostPort(`${host}:${port}`, 1), { host, port });
  }));
});
