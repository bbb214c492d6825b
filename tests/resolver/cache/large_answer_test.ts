/** Large answers from the cache over UDP: replies equal those from the upstream, and only the sent part is read. */
import fc from "fast-check";
import { Message } from "../../../lib/dns/message.ts";
import { composeReply } from "../../../lib/dns/compose/reply.ts";
import type { Query } from "../../../lib/core/resolver.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { a, query, response, type ResponseFields, txt } from "../../support/packets/packets.ts";
import { CacheFixture } from "./cache_fixture.ts";

const OPTIONS = { transport: "udp", udpSize: 4096, keepAlive: 100 } as const;

function asking(fixture: CacheFixture, size: number | undefined, transport: "udp" | "tcp" = "udp"): Query {
  const bytes = query("big.test", "A", size === undefined ? {} : { edns: { size } });
  return {
    ...fixture.query("big.test"),
    message: Message.parse(bytes),
    client: { transport, address: "192.0.2.1", port: 1 },
  };
}

/** An upstream that has these records, for half a minute and more. */
function fixtureOf(fields: ResponseFields): CacheFixture {
  return new CacheFixture(({ message }) => Message.parse(response(message.bytes, fields)));
}

const addresses = (name: string, count: number) =>
  Array.from({ length: count }, (_, i) => a(name, `192.0.${i >> 8}.${i & 255}`));

Deno.test("4,000 addresses over UDP cost only the sent part, fresh and stale; TCP gets all", async () => {
  using fixture = fixtureOf({ answers: addresses("big.test", 4000) });
  const first = await fixture.cache.resolve(asking(fixture, 1232));
  for (const seconds of [1, 1000]) {
    await fixture.pass(seconds);
    if (seconds === 1000) {
      fixture.upstream.respond = () => Message.parse(response(query("big.test"), { rcode: 2 }));
    }
    const short = await fixture.cache.resolve(asking(fixture, 1232));
    assert(short.bytes.length < 4096 + 100, `${short.bytes.length} octets`);
    assertEquals((short.bytes[2]! & 2) !== 0, true);
    const long = await fixture.cache.resolve(asking(fixture, 1232, "tcp"));
    assert(long.bytes.length >= first.bytes.length - 20);
    assertEquals((long.bytes[2]! & 2) !== 0, false);
  }
});

Deno.test("a reply with a large answer has the same bytes from the cache as from the upstream", async () => {
  const records = fc.array(
    fc.oneof(
      fc.nat(3).map((i) => addresses(`n${i}.test`, 50)),
      fc.nat(120).map((count) => addresses("big.test", count)),
      fc.nat(250).map((length) => [txt("big.test", Array(20).fill("x".repeat(length)))]),
    ),
    { maxLength: 8 },
  ).map((parts) => parts.flat());
  const fields = fc.record({ answers: records, authority: records, additional: records });
  let large = 0;
  await fc.assert(
    fc.asyncProperty(fields, fc.constantFrom(undefined, 512, 1232, 4096), async (fields, size) => {
      using fixture = fixtureOf(fields);
      const whole = await fixture.cache.resolve(asking(fixture, size));
      const asked = asking(fixture, size).message;
      const first = composeReply(asked, whole, OPTIONS).slice();
      const cached = await fixture.cache.resolve(asking(fixture, size));
      assertEquals(composeReply(asked, cached, OPTIONS).toHex(), first.toHex());
      if (cached.bytes.length < whole.bytes.length - 11) large++;
    }),
    { seed: 2181, numRuns: 300 },
  );
  assert(large > 50, `${large} large ones`);
});
