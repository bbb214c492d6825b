/** Many questions over one TCP connection to a server on loopback. */
import { frame, Unframer } from "../../support/packets/frames.ts";
import { within } from "../../support/within.ts";

const TIMEOUT = 10_000;

export class PipelinedClient implements Disposable {
  readonly #connection: Deno.TcpConn;
  readonly #waiting = new Map<number, PromiseWithResolvers<Uint8Array>>();
  #next = 1;
  #writing: Promise<unknown> = Promise.resolve();

  private constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
    void this.#read();
  }

  static async connect(port: number): Promise<PipelinedClient> {
    return new PipelinedClient(await Deno.connect({ hostname: "127.0.0.1", port }));
  }

  /** Sends the message under an ID of its own. Rejects when no answer comes in time. */
  ask(message: Uint8Array): Promise<Uint8Array> {
    const copy = message.slice();
    const id = this.#next++ & 0xffff;
    copy[0] = id >> 8;
    copy[1] = id;
    const answer = Promise.withResolvers<Uint8Array>();
    this.#waiting.set(id, answer);
    const framed = frame(copy);
    this.#writing = this.#writing.then(() => this.#connection.write(framed)).catch(() => {});
    return within(TIMEOUT, answer.promise, "an answer");
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }

  async #read(): Promise<void> {
    const unframer = new Unframer();
    const buffer = new Uint8Array(65_536);
    try {
      for (let length; (length = await this.#connection.read(buffer)) !== null;) {
        for (const message of unframer.push(buffer.slice(0, length))) this.#deliver(message);
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted)) {
        throw error;
      }
    }
  }

  #deliver(message: Uint8Array): void {
    const id = message[0]! << 8 | message[1]!;
    this.#waiting.get(id)?.resolve(message);
    this.#waiting.delete(id);
  }
}
