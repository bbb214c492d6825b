import type { Address } from "./plain_client.ts";
import { frame, Unframer } from "../packets/frames.ts";
import { within } from "../within.ts";

export interface DotClientOptions {
  /** PEM of the authority to trust. */
  readonly trusted: string;
  readonly name?: string;
  readonly alpn?: readonly string[];
}

const TIMEOUT = 5_000;

/** A plain DNS-over-TLS client on Deno's own TLS, to look at servers with. Rejects with Deno's errors. */
export class DotClient implements Disposable {
  readonly alpn: string | undefined;
  readonly #conn: Deno.TlsConn;
  readonly #unframer = new Unframer();
  readonly #received: Uint8Array[] = [];

  private constructor(conn: Deno.TlsConn, alpn: string | null) {
    this.#conn = conn;
    this.alpn = alpn ?? undefined;
  }

  static async connect(address: Address, options: DotClientOptions): Promise<DotClient> {
    const { trusted, name = "dot.test", alpn = ["dot"] } = options;
    const socket = await Deno.connect({ ...address, transport: "tcp" });
    socket.setNoDelay(true);
    const conn = await Deno.startTls(socket, {
      hostname: name,
      caCerts: [trusted],
      alpnProtocols: [...alpn],
    });
    try {
      const { alpnProtocol } = await within(TIMEOUT, conn.handshake(), "the TLS handshake");
      return new DotClient(conn, alpnProtocol);
    } catch (error) {
      conn.close();
      throw error;
    }
  }

  /** Sends the messages, framed, in one write. */
  async send(...messages: Uint8Array[]): Promise<void> {
    const bytes = frame(...messages);
    for (let at = 0; at < bytes.length;) at += await this.#conn.write(bytes.subarray(at));
  }

  /** The next message, or nothing when the server has ended the connection. Throws if it ended within a frame. */
  async receive({ timeout = TIMEOUT } = {}): Promise<Uint8Array | undefined> {
    const buffer = new Uint8Array(16_384);
    while (this.#received.length === 0) {
      const size = await within(timeout, this.#conn.read(buffer), "a message");
      if (size === null && this.#unframer.pending > 0) throw new Error("The server ended within a frame");
      if (size === null) return undefined;
      this.#received.push(...this.#unframer.push(buffer.subarray(0, size)));
    }
    return this.#received.shift();
  }

  async closeWrite(): Promise<void> {
    await this.#conn.closeWrite();
  }

  [Symbol.dispose](): void {
    this.#conn.close();
  }
}
