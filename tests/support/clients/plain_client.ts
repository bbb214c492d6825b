/** DNS clients for tests: as small as possible, and every wait ends. */
import { connect, type Socket } from "node:net";
import { frame, Unframer } from "../packets/frames.ts";
import { destroyed } from "../servers/sockets.ts";
import { started } from "../processes/wait_for_start.ts";
import { Changes, within } from "../within.ts";

export interface Address {
  readonly hostname: string;
  readonly port: number;
}

export interface Patience {
  /** Milliseconds until the wait is given up with a TimeoutError. */
  readonly timeout?: number;
}

const TIMEOUT = 5_000;

/** One UDP socket of its own port; `from` an address of this host, loopback unless given. */
export class UdpClient implements Disposable {
  readonly #socket: Deno.DatagramConn;
  readonly #server: Address;

  constructor(server: Address, from?: string) {
    const hostname = from ?? (server.hostname.includes(":") ? "::1" : "127.0.0.1");
    this.#socket = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
    this.#server = server;
  }

  get port(): number {
    return (this.#socket.addr as Deno.NetAddr).port;
  }

  async send(message: Uint8Array): Promise<void> {
    await started();
    await this.#socket.send(message, { transport: "udp", ...this.#server });
  }

  /** The next datagram. It must come from where the queries went (RFC 5452 §9.1). After a timeout the client is closed. */
  async receive({ timeout = TIMEOUT }: Patience = {}): Promise<Uint8Array> {
    const received = this.#socket.receive();
    try {
      const [message, from] = await within(timeout, received, "a datagram");
      const { hostname, port } = from as Deno.NetAddr;
      if (port !== this.#server.port) {
        throw new Error(`A datagram from ${hostname}:${port}, which was not asked`);
      }
      return message;
    } catch (error) {
      this[Symbol.dispose]();
      await received.catch(() => {}); // The close ends it; no other code awaits it.
      throw error;
    }
  }

  [Symbol.dispose](): void {
    try {
      this.#socket.close();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }
}

/** Sends one message over UDP and gives back the answer. */
export async function askUdp(
  server: Address,
  message: Uint8Array,
  patience: Patience = {},
): Promise<Uint8Array> {
  using client = new UdpClient(server);
  await client.send(message);
  return await client.receive(patience);
}

/** Sends one message over a TCP connection of its own and gives back the answer. */
export async function askTcp(
  server: Address,
  message: Uint8Array,
  patience: Patience = {},
): Promise<Uint8Array> {
  await using client = await TcpClient.connect(server, patience);
  await client.send(message);
  const answer = await client.receive(patience);
  if (!answer) throw new Error("The server closed the connection instead of answering");
  return answer;
}

/**
 * DNS over TCP, as badly behaved as a test needs it. Uses `node:net`, because `Deno.TcpConn` cannot send a RST.
 */
export class TcpClient implements AsyncDisposable {
  readonly #socket: Socket;
  readonly #unframer = new Unframer();
  readonly #received: Uint8Array[] = [];
  readonly #changes = new Changes();
  #ended: "fin" | "reset" | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Uint8Array) => {
      this.#received.push(...this.#unframer.push(chunk));
      this.#changes.notify();
    });
    socket.on("end", () => this.#end("fin"));
    socket.on("error", () => this.#end("reset"));
    socket.on("close", () => this.#end("fin"));
  }

  static async connect(
    { hostname, port }: Address,
    { timeout = TIMEOUT }: Patience = {},
  ): Promise<TcpClient> {
    await started();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const socket = connect({ host: hostname, port, noDelay: true, allowHalfOpen: true }, resolve);
    socket.once("error", reject);
    try {
      await within(timeout, promise, `a connection to ${hostname}:${port}`);
    } catch (error) {
      socket.destroy();
      throw error;
    }
    socket.off("error", reject);
    return new TcpClient(socket);
  }

  get port(): number {
    return this.#socket.localPort!;
  }

  /** Sends the messages, framed, in one write. */
  send(...messages: Uint8Array[]): Promise<void> {
    return this.sendRaw(frame(...messages));
  }

  /** Sends octets as they are, in one write. */
  sendRaw(bytes: Uint8Array): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#socket.write(bytes, (error) => error ? reject(error) : resolve());
    return within(TIMEOUT, promise, "a write");
  }

  /** Sends the message, framed, each octet in a write of its own. */
  async sendByteByByte(message: Uint8Array): Promise<void> {
    for (const octet of frame(message)) await this.sendRaw(Uint8Array.of(octet));
  }

  /** The next message, or nothing when the server has closed. Throws if it closed within a frame. */
  async receive({ timeout = TIMEOUT }: Patience = {}): Promise<Uint8Array | undefined> {
    await this.#changes.until(
      () => this.#received.length > 0 || this.#ended !== undefined,
      timeout,
      "a message",
    );
    const message = this.#received.shift();
    if (!message && this.#unframer.pending > 0) {
      throw new Error("The server closed the connection within a frame");
    }
    return message;
  }

  /** Resolves when the server has ended its side, with how. Nothing can be received after that. */
  async closed({ timeout = TIMEOUT }: Patience = {}): Promise<"fin" | "reset"> {
    await this.#changes.until(() => this.#ended !== undefined, timeout, "the server to close the connection");
    return this.#ended!;
  }

  /** Sends FIN; answers can still be received (a half-close, RFC 7766 §6.2.4). */
  closeWrite(): void {
    this.#socket.end();
  }

  /** Sends RST. */
  abort(): void {
    this.#socket.resetAndDestroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await destroyed(this.#socket);
  }

  #end(reason: "fin" | "reset"): void {
    this.#ended ??= reason;
    this.#changes.notify();
  }
}
