import { join } from "node:path";

/** Notifications for systemd, at a socket in a folder of its own. */
export class NotifySocket implements AsyncDisposable {
  readonly path: string;
  readonly #directory = Deno.makeTempDirSync();
  readonly #socket: Deno.DatagramConn;

  constructor() {
    this.path = join(this.#directory, "notify");
    this.#socket = Deno.listenDatagram({ transport: "unixpacket", path: this.path });
  }

  /** The next datagram. */
  async told(): Promise<string> {
    const [bytes] = await this.#socket.receive();
    return new TextDecoder().decode(bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await Deno.remove(this.#directory, { recursive: true });
  }
}
