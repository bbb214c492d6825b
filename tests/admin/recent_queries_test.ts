import { RecentQueries } from "../../lib/admin/recent_queries.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { answered } from "../observe/answers.ts";

Deno.test("RecentQueries lists the most frequent names and clients, and decays their counts", () => {
  const recent = new RecentQueries("full", () => 0);
  for (const name of ["a.test", "b.test", "b.test", "b.test"]) recent.observe(answered({ name }));
  assertEquals(recent.top(1), {
    names: [{ text: "b.test.", count: 3 }],
    clients: [{ text: "192.0.2.7", count: 4 }],
  });
  recent.decay();
  assertEquals(recent.top(5)!.names, [{ text: "b.test.", count: 1 }]);
});

Deno.test("RecentQueries masks clients or hides everything, by redaction", () => {
  const masked = new RecentQueries("masked", () => 0);
  masked.observe(answered());
  assertEquals(masked.top(5)!.clients, [{ text: "192.0.2.0/24", count: 1 }]);
  const none = new RecentQueries("none", () => 0);
  none.observe(answered());
  assertEquals([none.top(5), none.latest], [undefined, undefined]);
});

Deno.test("RecentQueries takes bounded memory for any number of names, and keeps frequent ones", () => {
  const recent = new RecentQueries("full", () => 0);
  for (let i = 0; i < 20_000; i++) {
    recent.observe(answered({ name: `n${i}.test` }));
    if (i % 4 === 0) recent.observe(answered({ name: "often.test" }));
  }
  assertEquals(recent.top(1)!.names[0]!.text, "often.test.");
  assert(recent.top(Infinity)!.names.length <= 5000);
});

Deno.test("RecentQueries lists the last ten answers with source and block list, the newest first", () => {
  let time = 1000;
  const recent = new RecentQueries("masked", () => time++);
  for (let i = 0; i < 12; i++) recent.observe(answered({ name: `n${i}.test`, source: "cache" }));
  recent.observe(
    answered({ name: "ads.test", source: "blocked", list: "ads", rcode: 3, transport: "tcp" }),
  );
  const latest = recent.latest!;
  assertEquals(latest[0], {
    time: 1012,
    client: "192.0.2.0/24",
    transport: "tcp",
    name: "ads.test.",
    type: "AAAA",
    rcode: "NXDOMAIN",
    source: "blocked",
    list: "ads",
    milliseconds: 12.345,
  });
  assertEquals(latest[1]!.list, undefined);
  assertEquals(latest.map(({ name }) => name), [
    "ads.test.",
    ...Array.from({ length: 9 }, (_, i) => `n${11 - i}.test.`),
  ]);
});
