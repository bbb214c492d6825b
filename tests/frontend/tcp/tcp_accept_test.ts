import { isShortage } from "../../../lib/platform/host_error.ts";
import { ConnectionLimit } from "../../../lib/frontend/tcp/connection_limit.ts";
import { TcpFrontend } from "../../../lib/frontend/tcp/tcp_frontend.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { FakeResolver } from "../../support/fakes/resolver.ts";
import { FakeTime } from "../../support/fakes/time.ts";
import { answererFor, Events, LOOP_BUDGET } from "../fixture.ts";

function systemError(code: string): Error {
  return Object.assign(new Error(code), { code });
}

/** A listening socket whose `accept` fails with each of these errors, and then waits. */
class FailingListener {
  readonly addr = { transport: "tcp", hostname: "127.0.0.1", port: 53 } as const;
  readonly #errors: unknown[];
  readonly #end = Promise.withResolvers<never>();
  readonly drained = Promise.withResolvers<void>();

  constructor(errors: readonly unknown[]) {
    this.#errors = [...errors];
  }

  accept(): Promise<never> {
    const error = this.#errors.shift();
    if (error !== undefined) return Promise.reject(error);
    this.drained.resolve();
    return this.#end.promise;
  }

  close(): void {
    this.#end.reject(new Deno.errors.BadResource("closed"));
  }
}

function frontendOn(listener: FailingListener, events: Events): TcpFrontend {
  const { listen } = Deno;
  Deno.listen = (() => listener) as unknown as typeof Deno.listen;
  try {
    return new TcpFrontend({
      ...listener.addr,
      answerer: answererFor({ resolver: new FakeResolver(), events }),
      loopBudget: LOOP_BUDGET,
      observe: events.observe,
      connectionLimit: new ConnectionLimit({ maxClients: 10, maxClientsPerAddress: 10 }),
      limits: { idleTimeoutMs: 10_000, maxPipelined: 10, now: () => 0 },
    });
  } finally {
    Deno.listen = listen;
  }
}

Deno.test("TcpFrontend neither pauses nor reports when clients leave before they are accepted", async () => {
  const time = new FakeTime();
  using _time = time;
  const [events, listener] = [new Events(), new FailingListener(Array(500).fill(systemError("ENOTCONN")))];
  const frontend = frontendOn(listener, events);
  await listener.drained.promise; // no time passes, so a pause would never end
  assertEquals(events.of("socket error"), []);
  frontend[Symbol.dispose]();
});

Deno.test("TcpFrontend reports and pauses, then accepts again, when the host is short of resources", async () => {
  for (const code of ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]) {
    const error = systemError(code);
    assert(isShortage(error));
    const [events, listener] = [new Events(), new FailingListener([error, error])];
    const frontend = frontendOn(listener, events);
    await listener.drained.promise;
    assertEquals(events.of("socket error").map((event) => event.error), [error, error]);
    frontend[Symbol.dispose]();
  }
});

Deno.test("TcpFrontend pauses when its listener fails again and again", async () => {
  const errors = Array.from({ length: 1000 }, () => systemError("EINVAL"));
  const [events, listener] = [new Events(), new FailingListener(errors)];
  const frontend = frontendOn(listener, events);
  await listener.drained.promise;
  assertEquals(events.of("socket error").length, 1000);
  frontend[Symbol.dispose]();
});
