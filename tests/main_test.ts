import { Child } from "./support/processes/child.ts";
import { proxyCommand } from "./e2e/proxy_command.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "./support/assert.ts";
import { Authority } from "./support/servers/certificates.ts";
import { type Address, askTcp, askUdp, TcpClient } from "./support/clients/plain_client.ts";
import { DotServer, Hold, silent } from "./support/servers/dot_server.ts";
import { isLeftOut } from "./support/left_out.ts";
import { query, read } from "./support/packets/packets.ts";

/** The proxy as users run it. */
class Running implements AsyncDisposable {
  readonly child: Child;
  /** The address that it listens on, over UDP and TCP. */
  readonly address: Address;

  private constructor(child: Child, address: Address) {
    this.child = child;
    this.address = address;
  }

  static async start(...args: string[]): Promise<Running> {
    const command = await proxyCommand(["--listen", "127.0.0.1:0", ...args]);
    const child = new Child("dot-proxy", command);
    try {
      await child.says(/forwarding .*\n/);
    } catch (error) {
      await child[Symbol.asyncDispose]();
      throw error;
    }
    const port = Number(/127\.0\.0\.1:(\d+)/.exec(child.log)![1]);
    return new Running(child, { hostname: "127.0.0.1", port });
  }

  /** Its log, without the times. */
  get lines(): string[] {
    return this.child.log.trimEnd().split("\n").map((line) => line.replace(/^\S+Z /, ""));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.child[Symbol.asyncDispose]();
  }
}

/** Runs to the end and returns stdout and stderr apart; optionally started by another program. */
async function run(args: string[], behind: string[] = []) {
  const { program, args: all, ...surroundings } = await proxyCommand(args);
  const [first = "", ...rest] = [...behind, program, ...all];
  const { code, stdout, stderr } = await new Deno.Command(first, { ...surroundings, args: rest }).output();
  const [out = "", complaint = ""] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code, out, complaint };
}

/** A DoT server, and the options that make the proxy trust and use it. */
async function upstream(behavior?: DotServer["behavior"]) {
  const authority = await Authority.create();
  const certificate = await authority.issue({ addresses: ["127.0.0.1"] });
  const server = await DotServer.start({ certificate, ...behavior && { behavior } });
  const ca = await Deno.makeTempFile({ suffix: ".pem" });
  await Deno.writeTextFile(ca, authority.pem);
  return {
    server,
    label: `127.0.0.1:${server.port}`,
    args: ["--upstream", `127.0.0.1:${server.port}`, "--ca", ca],
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await Deno.remove(ca);
    },
  };
}

/** An upstream address without a listener, which no other test uses. */
function away(): string {
  using listener = Deno.listen({ hostname: "127.0.53.2", port: 0 });
  return `127.0.53.2:${listener.addr.port}`;
}

const asked = query("example.com", "A", { edns: {} });

function extendedError(reply: Uint8Array): string {
  const option = read(reply).edns?.options.find(({ code }) => code === 15);
  return new TextDecoder().decode(option?.value.subarray(2));
}

Deno.test("--help and --version print to standard output and exit with 0", async () => {
  const [help, version] = await Promise.all([run(["--help"]), run(["--version"])]);
  assertEquals([help.code, help.complaint, version.code, version.complaint], [0, "", 0, ""]);
  assertMatch(help.out, /^dot-proxy answers plain DNS[^]*--upstream UPSTREAM\n[^]*--version\n/);
  assertMatch(version.out, /^dot-proxy \d+\.\d+\.\d+ \((from source|commit \S+), Deno \d\S+, V8 \d\S+\)\n$/);
});

Deno.test("a usage error prints one line with the reason and exits with 2", async () => {
  const noCertificate = await Deno.makeTempFile();
  const cases: [string[], RegExp][] = [
    [["--upstrem", "1.1.1.1"], /Unknown option --upstrem; did you mean --upstream\?/],
    [["--upstream", "1.1.1.1:53"], /port 53, which DNS over TLS cannot use \(RFC 7858 §3\.1\)/],
    [["--timeout", "4"], /--timeout: "4" is not a duration/],
    [
      ["--ca", "/does/not/exist.pem", "--listen", "127.0.0.1:0"],
      /--ca: cannot read "\/does\/not\/exist\.pem"/,
    ],
    [["--ca", noCertificate, "--listen", "127.0.0.1:0"], /--ca: ".*" holds no PEM certificate/],
  ];
  await Promise.all(cases.map(async ([args, reason]) => {
    const { code, out, complaint } = await run(args);
    assertEquals([code, out], [2, ""], args.join(" "));
    assertMatch(complaint, reason);
    assertMatch(complaint, /^dot-proxy: [^\n]+\n$/);
  }));
  await Deno.remove(noCertificate);
});

Deno.test("an unexpected error at the start is printed and exits with 1", async () => {
  const { cwd, env } = await proxyCommand([]);
  // The environment may not be read as a whole: that is no mistake of the configuration.
  const permissions = ["--no-prompt", "--allow-net", "--allow-read", "--allow-env=NODE_*,DENO_*,SSL*"];
  const args = ["run", ...permissions, "main.ts", "--listen", "127.0.0.1:0", "--upstream", away()];
  const surroundings = { ...cwd && { cwd }, ...env && { env }, clearEnv: true };
  const { code, stderr } = await new Deno.Command(Deno.execPath(), { args, ...surroundings }).output();
  assertEquals(code, 1);
  assertMatch(new TextDecoder().decode(stderr), /dot-proxy: NotCapable: [^\n]*env access/);
});

Deno.test("check-config prints the configuration and exits with 0, or prints the error and exits with 2", async () => {
  const file = await Deno.makeTempFile({ suffix: ".toml" });
  await Deno.writeTextFile(file, `listen = "127.0.0.1:5353"\ntimeout = "2s"\n`);
  const good = await run(["check-config", "--config", file, "--timeout", "3s"]);
  assertEquals([good.code, good.complaint], [0, ""]);
  assertStringIncludes(good.out, 'timeout = "3s"                           # --timeout\n');
  assertStringIncludes(good.out, `listen = ["127.0.0.1:5353"]              # ${file}:1: listen\n`);
  await Deno.writeTextFile(file, `ca = "/does/not/exist.pem"`);
  const noFile = await run(["check-config", "--config", file]);
  const noCertificate = await run([
    "check-config",
    "--upstream",
    "1.1.1.1?cert=/no/cert.pem&key=/no/key.pem",
  ]);
  for (const { code, out, complaint } of [noFile, noCertificate]) {
    assertEquals([code, out], [2, ""]);
    assertMatch(complaint, /^dot-proxy: [^\n]*cannot read "\/[^\n]+\n$/);
  }
  await Deno.remove(file);
});

Deno.test("a port in use is an error with address and remedy, and exits with 1", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { code, complaint } = await run(["--listen", `127.0.0.1:${taken.addr.port}`]);
  assertEquals(code, 1);
  assertStringIncludes(complaint, `127.0.0.1:${taken.addr.port}: another program listens there`);
  assertMatch(complaint, /^dot-proxy: [^\n]*ss -lnptu [^\n]*another address with --listen\n$/);
});

const canDropCapability = Deno.build.os === "linux" && Deno.uid() === 0 &&
  new Deno.Command("setpriv", { args: ["--version"], stdout: "null" }).outputSync().success;
/** Containers may open all ports to every user, which no test can take back. */
const hasLowPorts = Deno.build.os !== "linux" ||
  Deno.readTextFileSync("/proc/sys/net/ipv4/ip_unprivileged_port_start").trim() === "1024";

Deno.test({
  name: "a low port without the capability is an error with three remedies, and exits with 1",
  ignore: isLeftOut(canDropCapability) || !hasLowPorts,
  async fn() {
    const drop = ["setpriv", "--bounding-set=-net_bind_service", "--inh-caps=-net_bind_service"];
    const { code, complaint } = await run(["--listen", "127.0.0.1:53"], drop);
    assertEquals(code, 1);
    assertStringIncludes(complaint, "Cannot listen on 127.0.0.1:53: permission denied.");
    for (const remedy of ["--listen 127.0.0.1:5353", "cap_net_bind_service", "dot-proxy.service"]) {
      assertStringIncludes(complaint, remedy);
    }
  },
});

Deno.test("an admin address in use is an error with port and remedy", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr;
  const { code, complaint } = await run(["--listen", "127.0.0.1:0", "--admin", `127.0.0.1:${port}`]);
  assertEquals(code, 1);
  assertStringIncludes(
    complaint,
    `Cannot listen on 127.0.0.1:${port}: another program listens there. Find it with`,
  );
  assertStringIncludes(complaint, "choose another address with --admin");
});

Deno.test("a query log that is not a file is an error with a remedy", async () => {
  for (const path of ["/dev/stdout", "/dev/fd/1", "/dev/null"]) {
    const { code, complaint } = await run(["--listen", "127.0.0.1:0", "--query-log", path]);
    assertEquals(code, 2);
    assertStringIncludes(complaint, `--query-log: cannot write "${path}": it is`);
    assertStringIncludes(complaint, "use - for standard output");
  }
});

Deno.test("the log has one line per listener and per upstream", async () => {
  const [one, other] = [away(), away()];
  await using proxy = await Running.start(
    "--upstream",
    `${one},${other}`.split(",")[0]!,
    "--upstream",
    other,
  );
  const { port } = proxy.address;
  await proxy.child.says(new RegExp(`TLS to ${other}\n`));
  assertEquals(proxy.lines, [
    `info listening on 127.0.0.1:${port} (udp)`,
    `info listening on 127.0.0.1:${port} (tcp)`,
    `info forwarding over TLS to ${one}`,
    `info forwarding over TLS to ${other}`,
  ]);
});

Deno.test("the proxy forwards to Cloudflare and logs that it is the default when no upstream is given", async () => {
  await using proxy = await Running.start();
  await proxy.child.says(/1001\][^\n]*\n/);
  const forwarding = proxy.lines.filter((line) => line.includes("forwarding"));
  assertEquals(forwarding.length, 4);
  const first = "info forwarding over TLS to 1.1.1.1:853#cloudflare-dns.com";
  assertEquals(forwarding[0], `${first} (the default; choose with --upstream)`);
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.test(`the proxy answers queries under way, accepts no more and exits with 0 when it gets ${signal}`, async () => {
    const hold = new Hold();
    await using dot = await upstream(hold.behavior);
    await using proxy = await Running.start(...dot.args);
    await using client = await TcpClient.connect(proxy.address);
    await client.send(query("tcp.example"));
    const overUdp = askUdp(proxy.address, query("udp.example"));
    await dot.server.until((server) => server.received === 2);
    const start = performance.now();
    const stopped = proxy.child.stop(signal);
    await proxy.child.says(new RegExp(`stopping on ${signal}: `));
    const refused = await TcpClient.connect(proxy.address).then(() => false, () => true);
    await hold.release();
    assertEquals(read(await overUdp).question?.name, "udp.example");
    assertEquals(read((await client.receive())!).question?.name, "tcp.example");
    assertEquals([await client.closed(), await stopped, refused], ["fin", 0, true]);
    assert(performance.now() - start < 5_000);
    assertEquals(proxy.lines.at(-1), "info stopped");
  });
}

// With 30s the limit of stopping comes first.
for (const timeout of ["3s", "30s"]) {
  Deno.test({
    name:
      `the proxy stops within 5 s and clients get SERVFAIL when the upstream never answers (--timeout ${timeout})`,
    async fn() {
      await using dot = await upstream(silent);
      await using proxy = await Running.start(...dot.args, "--timeout", timeout);
      // Clients wait for longer than a stop takes, however long the handshake before it was.
      const patience = { timeout: 30_000 };
      const replies = Promise.allSettled([askUdp, askTcp].map((ask) => ask(proxy.address, asked, patience)));
      await dot.server.until((server) => server.received === 2);
      const start = performance.now();
      assertEquals(await proxy.child.stop("SIGTERM"), 0);
      assert(performance.now() - start < 5_000);
      for (const each of await replies) {
        assertEquals(each.status === "fulfilled" && read(each.value).rcode, 2);
      }
    },
  });
}

Deno.test("each query gets SERVFAIL with the reason, and the log one line, when the upstream is down", async () => {
  const label = away();
  await using proxy = await Running.start("--upstream", label);
  for (let i = 0; i < 10; i++) {
    const reply = await (i % 2 ? askTcp : askUdp)(proxy.address, asked);
    assertEquals(read(reply).rcode, 2);
    assertStringIncludes(extendedError(reply), `${label}: connect: connection refused`);
  }
  await proxy.child.stop(); // its log is complete then
  const told = proxy.lines.filter((line) => line.includes("upstream"));
  assertEquals(told.length, 1, proxy.child.log);
  assertMatch(told[0]!, new RegExp(`^error upstream is down: ${label}: connect: connection refused`));
});

Deno.test("the log has one line when an upstream goes down, and one when it comes back", async () => {
  await using dot = await upstream();
  await using proxy = await Running.start(...dot.args, "--cache-size", "0");
  for (let i = 0; i < 5; i++) assertEquals(read(await askUdp(proxy.address, asked)).rcode, 0);
  dot.server.stopListening();
  for (const connection of dot.server.connections) connection.end();
  while (read(await askUdp(proxy.address, asked)).rcode === 0);
  await dot.server.listen();
  while (read(await askUdp(proxy.address, asked)).rcode !== 0);
  await proxy.child.stop(); // its log is complete then
  const told = proxy.lines.filter((line) => line.includes("upstream")).map((line) => line.split(": ")[0]);
  const up = `info upstream ${dot.label} is up`;
  assertEquals(told, [up, "error upstream is down", up]);
});

Deno.test("the JSON log has one object per line", async () => {
  await using proxy = await Running.start(
    "--upstream",
    away(),
    "--log-format",
    "json",
    "--log-level",
    "debug",
  );
  await askUdp(proxy.address, asked);
  await proxy.child.stop();
  const records = proxy.child.log.trimEnd().split("\n").map((line) => JSON.parse(line));
  assert(records.some(({ level, properties }) => level === "DEBUG" && properties.rcode === "SERVFAIL"));
  for (const record of records) assert(!isNaN(Date.parse(record["@timestamp"])) && record.message !== "");
});
