import { UpstreamError } from "../../lib/core/errors.ts";
import { queryLine } from "../../lib/observe/query_log.ts";
import { assertEquals, assertMatch } from "../support/assert.ts";
import { answered } from "./answers.ts";

const time = new Date("2026-01-02T03:04:05.678Z");
const upstream = "192.0.2.53:853";
const error = new UpstreamError("timed out", { upstream, phase: "connect" });

Deno.test("queryLine writes client, question, RCODE, source, duration, attempts and upstream", () => {
  assertEquals(
    queryLine(answered({ upstream }), time, "text", "full"),
    `2026-01-02T03:04:05.678Z 192.0.2.7 udp example.com. AAAA NOERROR upstream 12.35 1 ${upstream}\n`,
  );
  assertEquals(
    queryLine(answered({ source: "cache", attempts: 0, rcode: 3, type: "TXT" }), time, "text", "full"),
    "2026-01-02T03:04:05.678Z 192.0.2.7 udp example.com. TXT NXDOMAIN cache 12.35 0 -\n",
  );
});

Deno.test("queryLine appends phase and failure of a failed query", () => {
  const event = answered({ rcode: 2, upstream, error });
  assertMatch(queryLine(event, time, "text", "full"), / SERVFAIL .* connect: timed out\n$/);
  assertEquals(JSON.parse(queryLine(event, time, "json", "full")), {
    time: "2026-01-02T03:04:05.678Z",
    client: "192.0.2.7",
    transport: "udp",
    name: "example.com.",
    type: "AAAA",
    rcode: "SERVFAIL",
    source: "upstream",
    milliseconds: 12.35,
    attempts: 1,
    upstream,
    error: error.message,
  });
});

Deno.test("queryLine appends the block list of a blocked name", () => {
  const event = answered({ source: "blocked", list: "ads", rcode: 3, attempts: 0 });
  assertMatch(queryLine(event, time, "text", "full"), / NXDOMAIN blocked 12\.35 0 - list: ads\n$/);
  const { source, list, error } = JSON.parse(queryLine(event, time, "json", "full"));
  assertEquals([source, list, error], ["blocked", "ads", undefined]);
});

Deno.test("queryLine masks clients, or hides clients and names", () => {
  const cases: [address: string, shown: string][] = [
    ["192.0.2.7", "192.0.2.0/24"],
    ["::ffff:192.0.2.7", "192.0.2.0/24"],
    ["2001:db8:1:2345:6:7:8:9", "2001:db8:1:2300::/56"],
    ["2001:db8::1", "2001:db8:0:0::/56"],
    ["2001:db8:1:ff::", "2001:db8:1:0::/56"],
    ["fe80::1%eth0", "fe80:0:0:0::/56"],
    ["::1", "0:0:0:0::/56"],
    ["1::2:3:4:5:6:7", "1:0:2:0::/56"],
  ];
  for (const [address, shown] of cases) {
    const event = answered({ address });
    assertMatch(queryLine(event, time, "text", "masked"), new RegExp(` ${RegExp.escape(shown)} udp example`));
    assertMatch(queryLine(event, time, "text", "none"), / - udp - AAAA NOERROR /);
  }
});

Deno.test("queryLine appends the outcome of DNSSEC validation", () => {
  const event = answered({ upstream });
  event.query.trace.dnssec = "bogus";
  assertMatch(queryLine(event, time, "text", "full"), / dnssec: bogus\n$/);
  assertEquals(JSON.parse(queryLine(event, time, "json", "full")).dnssec, "bogus");
});

Deno.test("queryLine escapes names, so that they form one word of one line", () => {
  const line = queryLine(answered({ name: "a\\010b\\032c\\027\\133.example" }), time, "text", "full");
  assertMatch(line, / a\\010b\\032c\\027\S*\.example\. AAAA /);
  assertEquals(line.split("\n").length, 2);
});
