import type { Channel, Receiver } from "../../../lib/upstream/connection/channel.ts";
import { concat, frame, Unframer } from "../packets/frames.ts";
import { response, type ResponseFields } from "../packets/packets.ts";

/** A channel to a server that is the test itself. */
export class FakeChannel implements Channel {
  /** The octets of each write. */
  readonly writes: Uint8Array[] = [];
  /** Every complete query written, in order. */
  readonly queries: Uint8Array[] = [];
  closed = false;
  /** How many octets a write takes at most. */
  capacity = Infinity;
  /** What writes are to fail with. */
  writeError: Error | undefined;
  readonly #unframer = new Unframer();
  #arrived: Uint8Array = new Uint8Array(0);
  #ending: "end" | Error | undefined;
  #news = Promise.withResolvers<void>();
  #gate: Promise<void> | undefined;

  async start(receiver: Receiver): Promise<void> {
    for (;;) {
      while (this.#arrived.length === 0 && this.#ending === undefined) await this.#news.promise;
      if (this.#arrived.length === 0) break;
      const octets = this.#arrived;
      this.#arrived = new Uint8Array(0);
      receiver.received(octets);
    }
    receiver.ended(this.#ending instanceof Error ? this.#ending : undefined);
  }

  async write(bytes: Uint8Array): Promise<number> {
    await this.#gate;
    if (this.writeError) throw this.writeError;
    const taken = bytes.slice(0, this.capacity);
    this.writes.push(taken);
    this.queries.push(...this.#unframer.push(taken));
    return taken.length;
  }

  close(): void {
    this.closed = true;
    this.fail(new Deno.errors.BadResource("Bad resource ID"));
  }

  /** Lets octets arrive as they are. */
  say(bytes: Uint8Array): void {
    this.#arrived = concat(this.#arrived, bytes);
    this.#tell();
  }

  /** Lets the answers to these queries arrive, all at once. */
  answer(queries: readonly Uint8Array[], fields: ResponseFields = {}): void {
    this.say(frame(...queries.map((query) => response(query, fields))));
  }

  /** The server has closed. */
  end(): void {
    this.#ending ??= "end";
    this.#tell();
  }

  /** The connection is broken. */
  fail(error: Error): void {
    this.#ending ??= error;
    this.#tell();
  }

  /** Keeps writes waiting until the function that comes back is called. */
  jam(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#gate = promise;
    return resolve;
  }

  #tell(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }
}
