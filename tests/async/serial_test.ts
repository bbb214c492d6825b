import { Serial } from "../../lib/async/serial.ts";
import { assertEquals, assertRejects } from "../support/assert.ts";
import { settled } from "../support/fakes/time.ts";

Deno.test("Serial starts a task when all earlier ones have ended", async () => {
  const serial = new Serial();
  const { promise, resolve } = Promise.withResolvers<void>();
  const log: string[] = [];
  const first = serial.run(async () => {
    log.push("first starts");
    await promise;
    log.push("first ends");
  });
  const second = serial.run(() => log.push("second starts"));
  await settled();
  assertEquals(log, ["first starts"]);
  resolve();
  await Promise.all([first, second]);
  assertEquals(log, ["first starts", "first ends", "second starts"]);
});

Deno.test("Serial settles as each task does, and runs the next one after a failure", async () => {
  const serial = new Serial();
  const failing = assertRejects(
    () =>
      serial.run(() => {
        throw new RangeError("first");
      }),
    RangeError,
    "first",
  );
  assertEquals(await serial.run(() => 2), 2);
  await failing;
});
