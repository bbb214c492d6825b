/** Reloads of the real process: by SIGHUP, under load, of files that are wrong, of certificates, and as systemd sees them. */
import { join } from "node:path";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { Authority } from "../support/servers/certificates.ts";
import { askUdp } from "../support/clients/plain_client.ts";
import { DotServer } from "../support/servers/dot_server.ts";
import { modeConfig } from "../support/mode.ts";
import { query, read } from "../support/packets/packets.ts";
import { Child, withLogs } from "../support/processes/child.ts";
import { connectionsTo } from "./connections.ts";
import { dig } from "../support/processes/dig.ts";
import { dnsperf } from "./dnsperf.ts";
import { freePort } from "../support/processes/ports.ts";
import { NotifySocket } from "./notify_socket.ts";
import { proxyCommand } from "./proxy_command.ts";
import { ProxyProcess } from "./proxy_process.ts";
import { startServers } from "./rig.ts";
import { MANY_NAMES } from "./zones.ts";

/** Each has a connection of its own. */
const THREADS = modeConfig().workers;
const RELOADS = 20;
const SECONDS = 8;
const RATE = 2000;

/** A proxy with its configuration in a file. */
class Configured implements AsyncDisposable {
  readonly proxy: ProxyProcess;
  readonly #directory: string;

  private constructor(proxy: ProxyProcess, directory: string) {
    this.proxy = proxy;
    this.#directory = directory;
  }

  static async start(text: string, env: Record<string, string> = {}): Promise<Configured> {
    const directory = await Deno.makeTempDir({ prefix: "dot-proxy-e2e-" });
    const port = freePort();
    await Deno.writeTextFile(join(directory, "dot-proxy.toml"), text);
    const args = ["--config", join(directory, "dot-proxy.toml"), "--listen", `127.0.0.1:${port}`];
    const command = await proxyCommand(args);
    const child = new Child("dot-proxy", { ...command, env: { ...command.env, ...env } });
    const configured = new Configured(new ProxyProcess(child, port), directory);
    await child.says(/forwarding .*\n/);
    return configured;
  }

  get child(): Child {
    return this.proxy.child;
  }

  get address() {
    return { hostname: "127.0.0.1", port: this.proxy.port };
  }

  /** Log lines about reloads, without times. */
  get told(): string[] {
    const lines = this.child.log.split("\n").filter((line) =>
      /reloaded on|reload failed|restart to apply/.test(line)
    );
    return lines.map((line) => line.replace(/^\S+Z /, "").replaceAll(this.#directory, ""));
  }

  /** Replaces the file with the text, if given, reloads, and waits for the log line. */
  async reload(text?: string): Promise<void> {
    if (text !== undefined) await Deno.writeTextFile(join(this.#directory, "dot-proxy.toml"), text);
    const before = this.told.length;
    Deno.kill(this.child.pid, "SIGHUP");
    for (let i = 0; i < 500 && this.told.length === before; i++) await sleep(10);
    assert(this.told.length > before, this.child.explain("did not reload"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy[Symbol.asyncDispose]();
    await Deno.remove(this.#directory, { recursive: true });
  }
}

/** An upstream that nobody listens on, on an address that no other test uses. */
const AWAY = "127.0.53.20:1";

for (const mode of ["udp", "tcp"] as const) {
  Deno.test(`${RELOADS} reloads under dnsperf over ${mode.toUpperCase()} lose no query, and the upstream that stays has one connection`, async () => {
    await using stack = new AsyncDisposableStack();
    const servers = stack.use(await startServers("Unbound"));
    const questions = await Deno.makeTempFile({ prefix: "dot-proxy-e2e-" });
    stack.defer(() => Deno.remove(questions));
    const names = Array.from({ length: MANY_NAMES }, (_, i) => `n${i}.example.test A\n`);
    await Deno.writeTextFile(questions, names.join(""));
    // Without a cache, so that each query has to come through the whole chain.
    function configuration(round: number): string {
      const upstreams = round % 2 ? [servers.upstream, AWAY] : [servers.upstream];
      return [
        `ca = ${JSON.stringify(servers.ca)}`,
        `upstream = ${JSON.stringify(upstreams)}`,
        `strategy = "${round % 3 ? "failover" : "fastest"}"`,
        `cache-size = 0`,
        `timeout = "${3 + round % 2}s"`,
        `max-tcp-clients = ${100 + round}`,
        `rebind-allow = ["r${round}.example"]`,
        `[route]`,
        `"r${round}.example" = "${AWAY}"`,
      ].join("\n");
    }
    const configured = stack.use(await Configured.start(configuration(0)));
    await withLogs([...servers.children, configured.child], async () => {
      await dig(configured.proxy.server, "www.example.test"); // the connection is there before it is counted
      await using upstream = connectionsTo(servers.server.dotPort);
      const load = dnsperf({ port: configured.proxy.port, mode, questions, seconds: SECONDS, rate: RATE });
      const pause = 1000 * (SECONDS - 2) / RELOADS;
      for (let round = 1; round <= RELOADS; round++) {
        await sleep(pause);
        await configured.reload(configuration(round));
      }
      const { sent, completed, lost, statuses, text } = await load;
      console.log(`${mode}: ${sent} sent, ${lost} lost, ${RELOADS} reloads`);
      const answers = Object.keys(statuses);
      assertEquals([answers, lost, completed], [["NOERROR"], 0, sent], text);
      assert(sent > RATE * (SECONDS - 1), text);
      const { most, ports, samples } = await upstream.counts();
      assert(samples > SECONDS);
      assert(most >= 1 && ports.size <= THREADS, `${most} connections at one time, ${ports.size} in all`);
    });
    const reloaded = configured.told.filter((line) => line.startsWith("info reloaded on SIGHUP: changed "));
    assertEquals(reloaded.length, RELOADS, configured.told.join("\n"));
  });
}

/** A DoT server whose authority's certificate is in a file. */
async function upstream() {
  const authority = await Authority.create();
  const certificate = await authority.issue({ addresses: ["127.0.0.1"] });
  const server = await DotServer.start({ certificate });
  const ca = await Deno.makeTempFile({ suffix: ".pem" });
  await Deno.writeTextFile(ca, authority.pem);
  return {
    server,
    ca,
    authority,
    text: `upstream = "127.0.0.1:${server.port}"\nca = ${JSON.stringify(ca)}\n`,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await Deno.remove(ca);
    },
  };
}

Deno.test("a wrong file is rejected as a whole with one clear line, and the current configuration stays", async () => {
  await using dot = await upstream();
  await using configured = await Configured.start(dot.text);
  const wrong: [text: string, complaint: string][] = [
    [
      `${dot.text}timeout = 4`,
      `/dot-proxy.toml:3: timeout: found 4, expected text in quotes: 500ms to 30s`,
    ],
    [`upstream = "127.0.53.21:1"\nca = "/no/ca.pem"`, `--ca: cannot read "/no/ca.pem": `],
    [
      `upstream = "127.0.53.21:1"\nupstreem = 1`,
      "/dot-proxy.toml:2: upstreem: unknown key; did you mean upstream?",
    ],
    [`upstream = "127.0.53.21:1"\nblock = "/no/list"`, `--block: cannot read "/no/list": `],
    ["upstream = ", "/dot-proxy.toml:1: not valid TOML: "],
    [`admin = "192.0.2.1"`, "--admin: other hosts can reach 192.0.2.1:9153"],
  ];
  for (const [i, [text, complaint]] of wrong.entries()) {
    await configured.reload(text);
    assertEquals(configured.told.length, i + 1);
    assertMatch(configured.told.at(-1)!, /^error reload failed, keeping the current configuration: /);
    assert(configured.told.at(-1)!.includes(complaint), configured.told.at(-1));
    assertEquals(read(await askUdp(configured.address, query(`name${i}.example`))).rcode, 0);
  }
  assert(dot.server.connections.length <= THREADS);
});

Deno.test("a reload logs changed options, and those that need a restart", async () => {
  await using dot = await upstream();
  await using configured = await Configured.start(dot.text);
  const port = freePort();
  await configured.reload(dot.text);
  await configured.reload(`${dot.text}log-level = "debug"\nadmin = "127.0.0.1:${port}"\nquery-log = "-"`);
  await askUdp(configured.address, query("a.example"));
  await configured.child.says(/debug 127\.0\.0\.1 udp a\.example/);
  await configured.reload(`${dot.text}[[upstream]]`);
  await configured.reload();
  assertEquals(configured.told.map((line) => line.replace(/: .*TOML.*/, ": not TOML")), [
    "info reloaded on SIGHUP: no option changed",
    "info reloaded on SIGHUP: changed log-level",
    "warning restart to apply the change of admin, query-log",
    ...Array(2).fill("error reload failed, keeping the current configuration: not TOML"),
  ]);
});

Deno.test("a configuration that is emptied or cut off never means another upstream", async () => {
  await using dot = await upstream();
  const port = freePort();
  await using configured = await Configured.start(`${dot.text}admin = "127.0.0.1:${port}"\n`);
  await configured.child.says(/metrics and dashboard/);
  for (const text of ["", "# cut off\n", `ca = "${dot.ca}"\n`]) {
    await configured.reload(text);
    assertEquals(read(await askUdp(configured.address, query(`n${text.length}.example`))).rcode, 0);
  }
  assertEquals(
    configured.told.map((line) =>
      line.replace(/.*current configuration: (.*:1: )?/, "").replace(/[,;] .*/, "")
    ),
    [
      "the file is empty and may be truncated",
      ...Array(2).fill("the configuration no longer names an upstream"),
    ],
  );
  const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  assertMatch(metrics, /dot_proxy_reloads_total\{result="failure"\} 3/);
});

Deno.test("another certificate to trust comes into force when its file changes", async () => {
  await using dot = await upstream();
  const stranger = await Authority.create();
  await Deno.writeTextFile(dot.ca, stranger.pem);
  await using configured = await Configured.start(dot.text);
  assertEquals(read(await askUdp(configured.address, query("a.example"))).rcode, 2);
  await Deno.writeTextFile(dot.ca, dot.authority.pem.slice(0, 300));
  await configured.child.says(/is cut off: certificate 1 has no end/);
  await Deno.writeTextFile(dot.ca, "half of a certificate");
  await configured.child.says(/holds no PEM certificate/);
  assertEquals(configured.told.length, 2);
  await Deno.writeTextFile(dot.ca, dot.authority.pem);
  await configured.child.says(/info reloaded on a changed certificate file: no option changed/);
  assertEquals(read(await askUdp(configured.address, query("b.example"))).rcode, 0);
});

Deno.test("names of a list that is new are blocked after the reload, and none is let through meanwhile", async () => {
  await using dot = await upstream();
  const list = await Deno.makeTempFile();
  await Deno.writeTextFile(list, "0.0.0.0 ads.example\n");
  const text = `${dot.text}block = ${JSON.stringify(list)}\n`;
  await using configured = await Configured.start(text);
  const ask = async (name: string) => read(await askUdp(configured.address, query(name))).rcode;
  assertEquals(await ask("ads.example"), 3);
  for (let i = 0; i < 5; i++) {
    const reloaded = configured.reload(`${text}timeout = "${i + 1}s"`);
    let isDone = false;
    void reloaded.then(() => isDone = true);
    while (!isDone) assertEquals(await ask("ads.example"), 3);
    await reloaded;
  }
  await Deno.writeTextFile(list, "0.0.0.0 other.example\n");
  await configured.reload(); // sees it at once, and not when the file is looked at the next time
  assertEquals([await ask("ads.example"), await ask("other.example")], [0, 3]);
  await Deno.remove(list);
});

Deno.test("systemd hears of a reload and of its end, and why it failed until one succeeds", async () => {
  await using dot = await upstream();
  await using stack = new AsyncDisposableStack();
  const systemd = stack.use(new NotifySocket());
  const configured = stack.use(await Configured.start(dot.text, { NOTIFY_SOCKET: systemd.path }));
  assertEquals([await systemd.told(), await systemd.told()], [
    "READY=1",
    "STATUS=no upstream has been asked yet",
  ]);
  await configured.reload(`${dot.text}timeout = "1s"`);
  assertEquals([await systemd.told(), await systemd.told()], ["RELOADING=1", "READY=1"]);
  await configured.reload("timeout = 1");
  assertEquals(await systemd.told(), "RELOADING=1");
  assertMatch(
    await systemd.told(),
    /^STATUS=reload failed, keeping the current configuration: .*timeout.*; no upstream has been asked yet$/,
  );
  assertEquals(await systemd.told(), "READY=1");
  await configured.reload(dot.text);
  const told = [await systemd.told(), await systemd.told(), await systemd.told()];
  assertEquals(told, ["RELOADING=1", "STATUS=no upstream has been asked yet", "READY=1"]);
});

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
