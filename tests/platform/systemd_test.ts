import { join } from "node:path";
import { notifyFrom, SystemdNotifier } from "../../lib/platform/systemd.ts";
import { assert, assertEquals } from "../support/assert.ts";

/** systemd's end of the socket. */
class Manager implements Disposable {
  readonly #socket: Deno.DatagramConn;

  constructor(path: string) {
    this.#socket = Deno.listenDatagram({ transport: "unixpacket", path });
  }

  async told(): Promise<string> {
    const [bytes] = await this.#socket.receive();
    return new TextDecoder().decode(bytes);
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

function fail(error: unknown): never {
  throw error;
}

const directory = Deno.makeTempDirSync();
Deno.test.afterAll(() => Deno.removeSync(directory, { recursive: true }));
const name = `dot-proxy-test-${crypto.randomUUID()}`;

for (
  const [what, path, socket] of [
    ["a path", join(directory, "notify"), join(directory, "notify")],
    ["a name in the abstract namespace", `\0${name}`, `@${name}`],
  ] as const
) {
  Deno.test(`SystemdNotifier sends its states in order over ${what}`, async () => {
    using manager = new Manager(path);
    const notifier = new SystemdNotifier({ socket, watchdogMs: undefined, onTrouble: fail });
    notifier.status("starting");
    notifier.ready();
    notifier.status("one line\nand no more");
    notifier.status("one line\nand no more");
    notifier.reloading();
    await notifier.stop();
    const told = [];
    while (told.at(-1) !== "STOPPING=1") told.push(await manager.told());
    assertEquals(told, [
      "STATUS=starting",
      "READY=1",
      "STATUS=one line and no more",
      "RELOADING=1",
      "STOPPING=1",
    ]);
  });
}

// systemd ignores a datagram of more than 4096 bytes (NOTIFY_BUFFER_MAX).
Deno.test("a status of many words is cut to what systemd reads", async () => {
  const path = join(directory, "long");
  using manager = new Manager(path);
  const notifier = new SystemdNotifier({ socket: path, watchdogMs: undefined, onTrouble: fail });
  notifier.status("…".repeat(10_000));
  const told = await manager.told();
  assertEquals(told, `STATUS=${"…".repeat(1001)}`);
  assert(new TextEncoder().encode(told).length <= 4096);
  await notifier.stop();
});

Deno.test("SystemdNotifier sends two watchdog notifications per interval when the start has ended", async () => {
  const path = join(directory, "watchdog");
  using manager = new Manager(path);
  const { setInterval } = globalThis;
  let period = 0;
  let bark = () => {};
  globalThis.setInterval = ((callback: () => void, milliseconds: number) => {
    [bark, period] = [callback, milliseconds];
    return 0;
  }) as unknown as typeof setInterval;
  const notifier = new SystemdNotifier({ socket: path, watchdogMs: 3000, onTrouble: fail });
  bark(); // without effect: no ping has been requested yet
  notifier.ready();
  globalThis.setInterval = setInterval;
  assertEquals(await manager.told(), "READY=1");
  bark();
  assertEquals([await manager.told(), period], ["WATCHDOG=1", 1500]);
  await notifier.stop();
});

Deno.test("a missing listener is reported and does no harm", async () => {
  const troubles: unknown[] = [];
  const onTrouble = (error: unknown) => void troubles.push(error);
  const notifier = new SystemdNotifier({
    socket: join(directory, "nobody"),
    watchdogMs: undefined,
    onTrouble,
  });
  notifier.ready();
  await notifier.stop();
  assertEquals(troubles.length, 2);
  assert(troubles.every((error) => error instanceof Deno.errors.NotFound));
});

Deno.test("notifyFrom ignores the watchdog when it is for another process", () => {
  const NOTIFY_SOCKET = "/run/systemd/notify";
  assertEquals(notifyFrom({}, 7), undefined);
  assertEquals(notifyFrom({ NOTIFY_SOCKET }, 7), { socket: NOTIFY_SOCKET, watchdogMs: undefined });
  const WATCHDOG_USEC = "30000000";
  for (const [pid, watchdog] of [[undefined, 30_000], ["7", 30_000], ["8", undefined]] as const) {
    const environment = { NOTIFY_SOCKET, WATCHDOG_USEC, ...pid && { WATCHDOG_PID: pid } };
    assertEquals(notifyFrom(environment, 7), { socket: NOTIFY_SOCKET, watchdogMs: watchdog });
  }
});
