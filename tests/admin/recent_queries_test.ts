import { RecentQueries } from "../../lib/admin/recent_queries.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { answered } from "../observe/answers.ts";

Deno.test("the most frequent names and clients come first, and fade", () => {
  const activity = new RecentQueries("full", () => 0);
  for (const name of ["a.test", "b.test", "b.test", "b.test"]) activity.observe(answered({ name }));
  assertEquals(activity.top(1), {
    names: [{ text: "b.test.", count: 3 }],
    clients: [{ text: "192.0.2.7", count: 4 }],
  });
  activity.decay();
  assertEquals(activity.top(5)!.names, [{ text: "b.test.", count: 1 }]);
});

Deno.test("clients are masked, or nobody is told of, where the detail says so", () => {
  const masked = new RecentQueries("masked", () => 0);
  masked.observe(answered());
  assertEquals(masked.top(5)!.clients, [{ text: "192.0.2.0/24", count: 1 }]);
  const none = new RecentQueries("none", () => 0);
  none.observe(answered());
  assertEquals([none.top(5), none.latest], [undefined, undefined]);
});

Deno.test("any number of names takes bounded memory, and hides none that is frequent", () => {
  const activity = new RecentQueries("full", () => 0);
  for (let i = 0; i < 20_000; i++) {
    activity.observe(answered({ name: `n${i}.test` }));
    if (i % 4 === 0) activity.observe(answered({ name: "often.test" }));
  }
  assertEquals(activity.top(1)!.names[0]!.text, "often.test.");
  assert(activity.top(Infinity)!.names.length <= 5000);
});

Deno.test("the last ten answers are listed with their sources, and lists that block, the newest first", () => {
  let time = 1000;
  const activity = new RecentQueries("masked", () => time++);
  for (let i = 0; i < 12; i++) activity.observe(answered({ name: `n${i}.test`, source: "cache" }));
  activity.observe(
    answered({ name: "ads.test", source: "blocked", list: "ads", rcode: 3, transport: "tcp" }),
  );
  const latest = activity.latest!;
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
