import { Activity } from "../../lib/admin/activity.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { answered } from "../observe/answers.ts";

Deno.test("the most frequent names and clients come first, and fade", () => {
  const activity = new Activity("full");
  for (const name of ["a.test", "b.test", "b.test", "b.test"]) activity.observe(answered({ name }));
  assertEquals(activity.top(1), {
    names: [{ text: "b.test.", count: 3 }],
    clients: [{ text: "192.0.2.7", count: 4 }],
  });
  activity.fade();
  assertEquals(activity.top(5)!.names, [{ text: "b.test.", count: 1 }]);
});

Deno.test("clients are masked, or nobody is told of, where the detail says so", () => {
  const masked = new Activity("masked");
  masked.observe(answered());
  assertEquals(masked.top(5)!.clients, [{ text: "192.0.2.0/24", count: 1 }]);
  const none = new Activity("none");
  none.observe(answered());
  assertEquals(none.top(5), undefined);
});

Deno.test("any number of names takes bounded memory, and hides none that is frequent", () => {
  const activity = new Activity("full");
  for (let i = 0; i < 20_000; i++) {
    activity.observe(answered({ name: `n${i}.test` }));
    if (i % 4 === 0) activity.observe(answered({ name: "often.test" }));
  }
  assertEquals(activity.top(1)!.names[0]!.text, "often.test.");
  assert(activity.top(Infinity)!.names.length <= 5000);
});
