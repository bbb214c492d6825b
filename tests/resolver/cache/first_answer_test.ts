/** The first answer to a question equals the second one, from the cache: same TTLs, same flags. */
import { Message } from "../../../lib/dns/message.ts";
import { Singleflight } from "../../../lib/resolver/singleflight.ts";
import { Limiter } from "../../../lib/resolver/cache/writer.ts";
import { assertEquals } from "../../support/assert.ts";
import { a, cname, read, record, response, type ResponseFields, soa } from "../../support/packets/packets.ts";
import { CacheFixture, responding } from "./cache_fixture.ts";

const DAY = 86_400;

/** The upstream's answer, the limits, and the TTLs for every client. */
const CASES: readonly {
  readonly what: string;
  readonly limits?: { readonly minTtl?: number; readonly maxTtl?: number };
  readonly fields: ResponseFields;
  readonly ttls: readonly number[];
}[] = [
  { what: "within the limits", fields: { answers: [a("a.test", "192.0.2.1", 77)] }, ttls: [77] },
  {
    what: "below --min-ttl",
    limits: { minTtl: 60 },
    fields: { answers: [a("a.test", "192.0.2.1", 5)] },
    ttls: [60],
  },
  {
    what: "above --max-ttl",
    limits: { maxTtl: 60 },
    fields: { answers: [a("a.test", "192.0.2.1", DAY)] },
    ttls: [60],
  },
  {
    what: "a chain, each record for itself",
    limits: { minTtl: 10, maxTtl: 60 },
    fields: { answers: [cname("a.test", "b.test", 3_600), a("b.test", "192.0.2.1", 1)] },
    ttls: [60, 10],
  },
  {
    what: "additional records",
    limits: { maxTtl: 60 },
    fields: { answers: [a("a.test", "192.0.2.1", 30)], additional: [a("b.test", "192.0.2.2", 90)] },
    ttls: [30, 60],
  },
  {
    what: "NXDOMAIN above --max-ttl",
    limits: { maxTtl: 60 },
    fields: { rcode: 3, authority: [soa("test", { minimum: 3_600, ttl: 3_600 })] },
    ttls: [60],
  },
  {
    what: "NXDOMAIN for a day",
    fields: { rcode: 3, authority: [soa("test", { minimum: DAY, ttl: DAY })] },
    ttls: [10_800],
  },
  {
    what: "NODATA with a MINIMUM of 60",
    fields: { authority: [soa("test", { minimum: 60, ttl: DAY })] },
    ttls: [60],
  },
  {
    what: "seven days and a second",
    limits: { maxTtl: 604_800 },
    fields: { answers: [a("a.test", "192.0.2.1", 604_801)] },
    ttls: [604_800],
  },
  {
    what: "the top bit set (8767-4)",
    fields: { answers: [a("a.test", "192.0.2.1", 0xffffffff)] },
    ttls: [DAY],
  },
];

for (const { what, limits = {}, fields, ttls } of CASES) {
  Deno.test(`the first answer has the TTLs of the second: ${what}`, async () => {
    using fixture = new CacheFixture(responding(fields), { maxTtl: DAY, ...limits });
    for (const source of ["upstream", "cache"]) {
      const { message, ...outcome } = await fixture.ask("a.test");
      const records = [...message.answers, ...message.authority, ...message.additional];
      assertEquals([outcome.source, ...records.map(({ ttl }) => ttl)], [source, ...ttls]);
    }
  });

  Deno.test(`without a cache the limits hold all the same: ${what}`, async () => {
    using fixture = new CacheFixture(responding(fields));
    const limiter = new Limiter({ minTtl: 0, maxTtl: DAY, ...limits });
    const coalescer = new Singleflight(fixture.upstream, fixture.time.now, limiter);
    const { answers, authority, additional } = read(
      (await coalescer.resolve(fixture.query("a.test"))).bytes,
    );
    assertEquals([...answers, ...authority, ...additional].map(({ ttl }) => ttl), ttls);
  });
}

Deno.test("a TTL of zero stays zero, and is not kept", async () => {
  const fields = { answers: [a("a.test", "192.0.2.1", 0)] };
  using fixture = new CacheFixture(responding(fields), { minTtl: 60 });
  for (let i = 0; i < 2; i++) assertEquals(await fixture.tell("a.test"), "upstream: 0 | 0 192.0.2.1");
});

Deno.test("uncacheable answers have limited TTLs, too: truncated, of class CH, without SOA, refused", async () => {
  const answers = [a("a.test", "192.0.2.1", DAY)];
  const cases: [ResponseFields, { class?: number }][] = [
    [{ answers, tc: true }, {}],
    [{ answers: answers.map((each) => ({ ...each, class: 3 })) }, { class: 3 }],
    [{ answers: [cname("a.test", "b.test", DAY)] }, {}],
    [{ answers, rcode: 5 }, {}],
  ];
  for (const [fields, asked] of cases) {
    using fixture = new CacheFixture(responding(fields), { maxTtl: 60 });
    assertEquals((await fixture.ask("a.test", asked)).message.answers[0]?.ttl, 60);
  }
});

Deno.test("no answer of an upstream has AA, the first one included", async () => {
  using fixture = new CacheFixture(responding({ aa: true, answers: [a("a.test", "192.0.2.1")] }));
  for (let i = 0; i < 2; i++) assertEquals((await fixture.ask("a.test")).message.flags.aa, false);
});

Deno.test("the upstream's own octets stay as they are", async () => {
  const sent: Uint8Array[] = [];
  using fixture = new CacheFixture((asked) => {
    const answers = [a("a.test", "192.0.2.1", DAY)];
    sent.push(response(asked.message.bytes, { aa: true, answers }));
    return Message.parse(sent[0]!);
  }, { maxTtl: 60 });
  await fixture.ask("a.test");
  assertEquals([read(sent[0]!).flags.aa, read(sent[0]!).answers[0]?.ttl], [true, DAY]);
});

Deno.test("names of class CH are asked for each time", async () => {
  using fixture = new CacheFixture(
    responding({ answers: [{ ...record("id.server", "TXT", Uint8Array.of(1, 97)), class: 3 }] }),
  );
  for (let i = 0; i < 2; i++) {
    assertEquals((await fixture.ask("id.server", { type: "TXT", class: 3 })).source, "upstream");
  }
});

Deno.test("YXDOMAIN keeps its DNAME from the first answer on, and without one it is a failure (6672)", async () => {
  const dname = record("test", 39, Uint8Array.of(4, 108, 111, 110, 103, 0));
  using fixture = new CacheFixture(responding({ rcode: 6, answers: [dname] }));
  for (const source of ["upstream", "cache"]) {
    const { message, ...outcome } = await fixture.ask("a.test");
    assertEquals([outcome.source, message.rcode, message.answers[0]?.type], [source, 6, 39]);
  }
  using bare = new CacheFixture(responding({ rcode: 6 }));
  assertEquals([await bare.tell("a.test"), await bare.tell("a.test")], ["upstream: 6", "cache: 6 EDE 13"]);
});
