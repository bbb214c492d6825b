import { LogThrottle } from "../../lib/observe/log_throttle.ts";
import { assertEquals } from "../support/assert.ts";
import { FakeTime } from "../support/fakes/time.ts";

Deno.test("the first of a kind is said, those of the minute after it are one sum, and then it is news again", async () => {
  using time = new FakeTime();
  const throttle = new LogThrottle(time.now);
  const sums: number[] = [];
  const tell = (kind: string) => throttle.admit(kind, (more) => sums.push(more));
  assertEquals([tell("a"), tell("a"), tell("b"), tell("a")], [true, false, true, false]);
  await time.pass(59_999);
  assertEquals(sums, []);
  await time.pass(1);
  assertEquals([sums, tell("a"), tell("b"), time.waiting], [[2], true, true, 0]);
});
