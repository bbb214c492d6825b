import { LogThrottle } from "../../lib/observe/log_throttle.ts";
import { assertEquals } from "../support/assert.ts";
import { FakeTime } from "../support/fakes/time.ts";

Deno.test("LogThrottle admits the first line of a kind, and counts further ones for a minute", async () => {
  using time = new FakeTime();
  const throttle = new LogThrottle(time.now);
  const sums: number[] = [];
  const admit = (kind: string) => throttle.admit(kind, (more) => sums.push(more));
  assertEquals([admit("a"), admit("a"), admit("b"), admit("a")], [true, false, true, false]);
  await time.pass(59_999);
  assertEquals(sums, []);
  await time.pass(1);
  assertEquals([sums, admit("a"), admit("b"), time.waiting], [[2], true, true, 0]);
});
