/** A proxy that may have few file descriptors, and clients that want them all (part 4, rows 1, 1b and 2; S9, S10). */
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { Authority } from "../support/certificates.ts";
import { askTcp, askUdp } from "../support/client.ts";
import { addressed, answering, DotServer } from "../support/dot_server.ts";
import { query, read } from "../support/packets.ts";
import { written } from "../support/running_proxy.ts";
import { Child } from "./child.ts";
import { freePort, onFreePorts } from "./ports.ts";
import { proxyCommand } from "./proxy_command.ts";

const AUTHORITY = await Authority.create();
const CERTIFICATE = await AUTHORITY.issue({ addresses: ["127.0.0.1"] });

/** A proxy in a process with a limit of descriptors. */
class Limited implements AsyncDisposable {
  readonly address: Deno.NetAddr;
  readonly admin: Deno.NetAddr;
  readonly child: Child;
  readonly server: DotServer;
  readonly #ca: string;

  private constructor(child: Child, server: DotServer, ca: string, ports: readonly [number, number]) {
    this.child = child;
    this.server = server;
    this.#ca = ca;
    [this.address, this.admin] = ports.map((port) => ({ transport: "tcp", hostname: "127.0.0.1", port })) as [
      Deno.NetAddr,
      Deno.NetAddr,
    ];
  }

  static start(limit: number, ...options: string[]): Promise<Limited> {
    return onFreePorts(async () => {
      await using stack = new AsyncDisposableStack();
      const behaviour = answering(addressed());
      const server = stack.use(await DotServer.start({ certificate: CERTIFICATE, behaviour }));
      const ca = await Deno.makeTempFile({ suffix: ".pem" });
      await Deno.writeTextFile(ca, AUTHORITY.pem);
      const ports = [freePort(), freePort()] as const;
      const { program, args, ...surroundings } = await proxyCommand([
        ...["--listen", `127.0.0.1:${ports[0]}`, "--admin", `127.0.0.1:${ports[1]}`],
        ...["--upstream", written(server.address), "--ca", ca, "--max-tcp-clients-per-address", "50000"],
        ...options,
      ]);
      const script = `ulimit -n ${limit}; exec "$0" "$@"`;
      const child = stack.use(
        new Child("dot-proxy", { program: "sh", args: ["-c", script, program, ...args], ...surroundings }),
      );
      await child.says(/metrics and dashboard on/);
      stack.move();
      return new Limited(child, server, ca, ports);
    });
  }

  /** The RCODE of a name that nothing knows yet. */
  async ask(name: string, ask = askUdp): Promise<number> {
    return read(await ask(this.address, query(name), { timeout: 10_000 })).rcode;
  }

  async #fetch(path: string): Promise<number> {
    const response = await fetch(`http://127.0.0.1:${this.admin.port}${path}`);
    await response.body?.cancel();
    return response.status;
  }

  /** The status of `/healthz`. */
  health(): Promise<number> {
    return this.#fetch("/healthz");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.child[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
    await Deno.remove(this.#ca);
  }
}

/** As many connections as there can be, which do nothing. */
async function crowd(address: Deno.NetAddr, count: number): Promise<Disposable> {
  const stack = new DisposableStack();
  for (let i = 0; i < count; i++) {
    stack.use(await Deno.connect({ hostname: address.hostname, port: address.port }));
  }
  return stack;
}

for (const limit of [96, 256, 1024]) {
  Deno.test(`with ${limit} descriptors idle TCP clients keep nobody from an answer, and the operator from nothing`, async () => {
    // Of several threads each has a part of the clients, and those of so few places would be too small to share.
    await using proxy = await Limited.start(limit, ...limit < 256 ? ["--workers", "1"] : []);
    assertMatch(
      proxy.child.log,
      new RegExp(`no more than \\d+ TCP clients .* the limit of ${limit} file descriptors`),
    );
    {
      using _idle = await crowd(proxy.address, limit + 100);
      assertEquals(await proxy.ask("a.example"), 0);
      assertEquals(await proxy.ask("b.example", askTcp), 0);
      assertEquals(await proxy.health(), 200);
    }
    assertEquals([await proxy.ask("c.example"), await proxy.health()], [0, 200]);
    assert(!/panicked|defect/.test(proxy.child.log), proxy.child.log);
    assertEquals(await proxy.child.stop(), 0);
  });
}

Deno.test("idle connections to the admin address keep neither clients from answers nor the operator out", async () => {
  await using proxy = await Limited.start(256);
  {
    using _idle = await crowd(proxy.admin, 300);
    assertEquals(await proxy.ask("a.example"), 0);
    assertEquals(await proxy.health(), 200);
  }
  assertEquals(await proxy.health(), 200);
  assertEquals(await proxy.child.stop(), 0);
});
