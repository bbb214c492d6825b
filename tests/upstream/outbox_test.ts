import { Outbox } from "../../lib/upstream/outbox.ts";
import { assertEquals } from "../support/assert.ts";

function put(outbox: Outbox, octet: number, count: number): void {
  outbox.reserve(count).fill(octet, outbox.length, outbox.length + count);
  outbox.length += count;
}

Deno.test("what was gathered leaves in order, once", () => {
  const outbox = new Outbox();
  put(outbox, 1, 3);
  put(outbox, 2, 2);
  assertEquals(outbox.take(), Uint8Array.of(1, 1, 1, 2, 2));
  assertEquals([outbox.length, outbox.take().length], [0, 0]);
});

Deno.test("there is room for however much is gathered, and nothing of it is lost", () => {
  const outbox = new Outbox();
  for (let octet = 0; octet < 200; octet++) put(outbox, octet, 386);
  const gathered = outbox.take();
  assertEquals(gathered.length, 200 * 386);
  for (let octet = 0; octet < 200; octet++) {
    assertEquals([gathered[octet * 386], gathered[octet * 386 + 385]], [octet, octet]);
  }
});

Deno.test("what was taken stays as it is while more is gathered", () => {
  const outbox = new Outbox();
  put(outbox, 1, 100);
  const taken = outbox.take();
  put(outbox, 2, 100);
  assertEquals(taken, new Uint8Array(100).fill(1));
  assertEquals(outbox.take(), new Uint8Array(100).fill(2));
});
