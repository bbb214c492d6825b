import { settlesWithin, withTimeout } from "../../lib/async/deadline.ts";
import { assertEquals, assertRejects } from "../support/assert.ts";
import { FakeTime } from "../support/fakes/time.ts";

function never(): Promise<string> {
  return new Promise(() => {});
}

Deno.test("settlesWithin resolves with true when the promise is first, and with false when the time is", async () => {
  using time = new FakeTime();
  assertEquals(await settlesWithin(Promise.resolve(1), 100), true);
  const waited = settlesWithin(never(), 100);
  await time.pass(100);
  assertEquals([await waited, time.waiting], [false, 0]);
});

Deno.test("settlesWithin rejects when the promise rejects in time", async () => {
  using time = new FakeTime();
  await assertRejects(() => settlesWithin(Promise.reject(new RangeError("early")), 100), RangeError, "early");
  assertEquals(time.waiting, 0);
});

Deno.test("withTimeout settles as the promise does, and clears its timer", async () => {
  using time = new FakeTime();
  const onTimeout = () => new Error("late");
  assertEquals(await withTimeout(Promise.resolve(1), 100, onTimeout), 1);
  await assertRejects(() => withTimeout(Promise.reject(new RangeError("early")), 100, onTimeout), RangeError);
  assertEquals(time.waiting, 0);
});

Deno.test("withTimeout rejects with the error of onTimeout when the time is over", async () => {
  using time = new FakeTime();
  const waited = assertRejects(
    () => withTimeout(never(), 100, () => new RangeError("late")),
    RangeError,
    "late",
  );
  await time.pass(100);
  await waited;
});
