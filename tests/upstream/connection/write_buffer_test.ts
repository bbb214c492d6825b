import { WriteBuffer } from "../../../lib/upstream/connection/write_buffer.ts";
import { assertEquals } from "../../support/assert.ts";

function put(outbox: WriteBuffer, octet: number, count: number): void {
  outbox.reserve(count).fill(octet, outbox.length, outbox.length + count);
  outbox.length += count;
}

/** Takes at most so many octets a write, each when the test says so. */
class SlowChannel {
  readonly writes: Uint8Array[] = [];
  readonly #most: number;
  #proceed: (() => void) | undefined;

  constructor(most = Infinity) {
    this.#most = most;
  }

  async write(bytes: Uint8Array): Promise<number> {
    const taken = bytes.slice(0, this.#most);
    this.writes.push(taken);
    await new Promise<void>((resolve) => this.#proceed = resolve);
    return taken.length;
  }

  async proceed(): Promise<void> {
    this.#proceed?.();
    await turn();
  }

  read(): Promise<null> {
    return Promise.resolve(null);
  }

  close(): void {}
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

Deno.test("what one turn gathers leaves in one write, in order, once (7766-8)", async () => {
  const [outbox, channel] = [new WriteBuffer(), new SlowChannel()];
  put(outbox, 1, 3);
  outbox.flush(channel);
  put(outbox, 2, 2);
  outbox.flush(channel);
  await turn();
  await channel.proceed();
  assertEquals(channel.writes, [Uint8Array.of(1, 1, 1, 2, 2)]);
  assertEquals(outbox.length, 0);
});

Deno.test("what comes while a write is under way leaves in the next, and the first stays as it was", async () => {
  const [outbox, channel] = [new WriteBuffer(), new SlowChannel(60)];
  put(outbox, 1, 100);
  outbox.flush(channel);
  await turn();
  put(outbox, 2, 50);
  outbox.flush(channel);
  for (let i = 0; i < 3; i++) await channel.proceed();
  assertEquals(channel.writes, [
    new Uint8Array(60).fill(1),
    new Uint8Array(40).fill(1),
    new Uint8Array(50).fill(2),
  ]);
});

Deno.test("there is room for however much is gathered, and nothing of it is lost", async () => {
  const [outbox, channel] = [new WriteBuffer(), new SlowChannel()];
  for (let octet = 0; octet < 200; octet++) put(outbox, octet, 386);
  outbox.flush(channel);
  await turn();
  await channel.proceed();
  const [gathered] = channel.writes;
  assertEquals(gathered!.length, 200 * 386);
  for (let octet = 0; octet < 200; octet++) {
    assertEquals([gathered![octet * 386], gathered![octet * 386 + 385]], [octet, octet]);
  }
});
