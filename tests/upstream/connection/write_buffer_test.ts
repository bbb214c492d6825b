import { WriteBuffer } from "../../../lib/upstream/connection/write_buffer.ts";
import { assertEquals } from "../../support/assert.ts";

function append(buffer: WriteBuffer, byte: number, count: number): void {
  buffer.reserve(count).fill(byte, buffer.length, buffer.length + count);
  buffer.length += count;
}

/** Accepts at most this many bytes per write. Each write ends when the test calls `proceed`. */
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

Deno.test("WriteBuffer writes the bytes of one turn once, in order, in one write (7766-8)", async () => {
  const [buffer, channel] = [new WriteBuffer(), new SlowChannel()];
  append(buffer, 1, 3);
  buffer.flush(channel);
  append(buffer, 2, 2);
  buffer.flush(channel);
  await turn();
  await channel.proceed();
  assertEquals(channel.writes, [Uint8Array.of(1, 1, 1, 2, 2)]);
  assertEquals(buffer.length, 0);
});

Deno.test("WriteBuffer keeps bytes that arrive during a write for the next one", async () => {
  const [buffer, channel] = [new WriteBuffer(), new SlowChannel(60)];
  append(buffer, 1, 100);
  buffer.flush(channel);
  await turn();
  append(buffer, 2, 50);
  buffer.flush(channel);
  for (let i = 0; i < 3; i++) await channel.proceed();
  assertEquals(channel.writes, [
    new Uint8Array(60).fill(1),
    new Uint8Array(40).fill(1),
    new Uint8Array(50).fill(2),
  ]);
});

Deno.test("WriteBuffer grows with the gathered bytes and loses none", async () => {
  const [buffer, channel] = [new WriteBuffer(), new SlowChannel()];
  for (let byte = 0; byte < 200; byte++) append(buffer, byte, 386);
  buffer.flush(channel);
  await turn();
  await channel.proceed();
  const [gathered] = channel.writes;
  assertEquals(gathered!.length, 200 * 386);
  for (let byte = 0; byte < 200; byte++) {
    assertEquals([gathered![byte * 386], gathered![byte * 386 + 385]], [byte, byte]);
  }
});
