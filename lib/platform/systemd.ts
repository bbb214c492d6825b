/** Where systemd wants to be told how the service is (sd_notify(3)), and how often. */
export interface SystemdOptions {
  /** A path, or `@` and a name in the abstract namespace. */
  readonly socket: string;
  /** Without a word for longer than this, in ms, it restarts the service; undefined where it does not watch. */
  readonly watchdog: number | undefined;
  /** Told if it cannot be told. */
  readonly onTrouble: (error: unknown) => void;
}

/** What the environment says of this; undefined where nobody wants to be told. */
export function notifyFrom(
  environment: Record<string, string>,
  pid: number,
): Omit<SystemdOptions, "onTrouble"> | undefined {
  const { NOTIFY_SOCKET: socket, WATCHDOG_USEC, WATCHDOG_PID = `${pid}` } = environment;
  if (!socket) return undefined;
  const microseconds = WATCHDOG_PID === `${pid}` ? Number(WATCHDOG_USEC) : NaN;
  return { socket, watchdog: microseconds > 0 ? microseconds / 1000 : undefined };
}

/** UTF-16 units of a status; systemd ignores a datagram of more than 4096 bytes, three for a unit at most. */
const MAX_STATUS = 1000;

/**
 * Tells systemd in datagrams how the service is. That the watchdog hears of us says that the event loop turns.
 *
 * RELOADING comes without MONOTONIC_USEC, for the platform has no clock that counts as CLOCK_MONOTONIC does: so the unit
 * is `Type=notify` with ExecReload, and not `notify-reload`.
 */
export class SystemdNotifier {
  readonly #socket: Deno.DatagramConn;
  readonly #to: Deno.UnixAddr;
  readonly #onTrouble: (error: unknown) => void;
  readonly #watchdog: number | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #sent: Promise<unknown> = Promise.resolve();
  #status = "";

  /** Throws what `Deno.listenDatagram` throws. */
  constructor({ socket, watchdog, onTrouble }: SystemdOptions) {
    this.#onTrouble = onTrouble;
    // A name for ourselves in the abstract namespace (a leading NUL octet) needs no file and no right to make one.
    const path = `\0dot-proxy-${crypto.randomUUID()}`;
    this.#socket = Deno.listenDatagram({ transport: "unixpacket", path });
    this.#to = { transport: "unixpacket", path: socket.replace(/^@/, "\0") };
    this.#watchdog = watchdog;
  }

  /** "The watchdog is activated when the start-up is completed" (systemd.service(5)). */
  ready(): void {
    this.#send("READY=1");
    if (this.#watchdog === undefined) return;
    // "about every half of the time" (sd_watchdog_enabled(3)).
    this.#timer ??= setInterval(() => this.#send("WATCHDOG=1"), this.#watchdog / 2);
  }

  reloading(): void {
    this.#send("RELOADING=1");
  }

  /** One line for people, in `systemctl status`, cut to `MAX_STATUS`; sent if it is another one. */
  status(text: string): void {
    if (text === this.#status) return;
    this.#status = text;
    const line = text.length > MAX_STATUS ? `${text.slice(0, MAX_STATUS)}…` : text;
    this.#send(`STATUS=${line.replaceAll("\n", " ")}`);
  }

  /** Says that the service is about to end; resolves when that has been said. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#send("STOPPING=1");
    await this.#sent;
    this.#socket.close();
  }

  /** One after the other, so that they come in order. */
  #send(text: string): void {
    this.#sent = this.#sent.then(() => this.#socket.send(new TextEncoder().encode(text), this.#to))
      .catch(this.#onTrouble);
  }
}
