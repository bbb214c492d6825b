/** Notifications to systemd (sd_notify(3)). */

import { Serial } from "../async/serial.ts";

/** Destination and interval of notifications. */
export interface SystemdOptions {
  /** A path, or `@` and a name in the abstract namespace. */
  readonly socket: string;
  /** systemd restarts the service after this time without a notification; undefined without a watchdog. */
  readonly watchdogMs: number | undefined;
  /** Called when a notification cannot be sent. */
  readonly onTrouble: (error: unknown) => void;
}

/** Reads the variables that systemd sets. Undefined if the service is not of `Type=notify`. */
export function notifyFrom(
  environment: Record<string, string>,
  pid: number,
): Omit<SystemdOptions, "onTrouble"> | undefined {
  const { NOTIFY_SOCKET: socket, WATCHDOG_USEC, WATCHDOG_PID = `${pid}` } = environment;
  if (!socket) return undefined;
  const microseconds = WATCHDOG_PID === `${pid}` ? Number(WATCHDOG_USEC) : NaN;
  return { socket, watchdogMs: microseconds > 0 ? microseconds / 1000 : undefined };
}

/** Bound of a status in UTF-16 units. systemd ignores a datagram of more than 4096 bytes, and a unit has at most three. */
const MAX_STATUS = 1000;

/**
 * Sends the state of the service in datagrams. The watchdog notifications show that the event loop runs.
 *
 * RELOADING has no MONOTONIC_USEC, because Deno has no clock equal to CLOCK_MONOTONIC. So the unit is `Type=notify` with
 * ExecReload, and not `notify-reload`.
 */
export class SystemdNotifier {
  readonly #socket: Deno.DatagramConn;
  readonly #to: Deno.UnixAddr;
  readonly #onTrouble: (error: unknown) => void;
  readonly #watchdogMs: number | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  readonly #serial = new Serial();
  #status = "";

  /** Throws the errors of `Deno.listenDatagram`. */
  constructor({ socket, watchdogMs, onTrouble }: SystemdOptions) {
    this.#onTrouble = onTrouble;
    // An own address in the abstract namespace (with a leading NUL byte) needs no file and no permission to create one.
    const path = `\0dot-proxy-${crypto.randomUUID()}`;
    this.#socket = Deno.listenDatagram({ transport: "unixpacket", path });
    this.#to = { transport: "unixpacket", path: socket.replace(/^@/, "\0") };
    this.#watchdogMs = watchdogMs;
  }

  /** "The watchdog is activated when the start-up is completed" (systemd.service(5)). */
  ready(): void {
    void this.#send("READY=1");
    if (this.#watchdogMs === undefined) return;
    // "about every half of the time" (sd_watchdog_enabled(3)).
    this.#timer ??= setInterval(() => void this.#send("WATCHDOG=1"), this.#watchdogMs / 2);
  }

  reloading(): void {
    void this.#send("RELOADING=1");
  }

  /** Sets the line in `systemctl status`, cut to `MAX_STATUS`. An unchanged line is not sent again. */
  status(text: string): void {
    if (text === this.#status) return;
    this.#status = text;
    const line = text.length > MAX_STATUS ? `${text.slice(0, MAX_STATUS)}…` : text;
    void this.#send(`STATUS=${line.replaceAll("\n", " ")}`);
  }

  /** Reports the end of the service. Resolves when the notification is sent. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#send("STOPPING=1");
    this.#socket.close();
  }

  /** Sends notifications in order. Resolves when this one is sent or has failed. */
  #send(text: string): Promise<unknown> {
    const send = () => this.#socket.send(new TextEncoder().encode(text), this.#to);
    return this.#serial.run(send).catch(this.#onTrouble);
  }
}
