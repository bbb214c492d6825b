import { BumpBuffer } from "../../../lib/frontend/udp/bump_buffer.ts";
import { assertEquals } from "../../support/assert.ts";

Deno.test("BumpBuffer keeps copies unchanged when more follow, and shares buffers between them", () => {
  const copies = new BumpBuffer();
  const original = new Uint8Array(5_000);
  const taken = Array.from({ length: 2_000 }, (_, i) => {
    original.fill(i);
    return copies.copy(original, i % 7, i % 300 === 0 ? 4_096 : i % 100);
  });
  for (const [i, copy] of taken.entries()) {
    assertEquals(copy.length, i % 300 === 0 ? 4_096 : i % 100);
    assertEquals(copy.every((byte) => byte === (i & 0xff)), true, `${i}`);
  }
  assertEquals(new Set(taken.map(({ buffer }) => buffer)).size <= 3, true);
});

Deno.test("BumpBuffer copies the given range only", () => {
  assertEquals(new BumpBuffer().copy(Uint8Array.of(1, 2, 3, 4), 1, 2), Uint8Array.of(2, 3));
});
