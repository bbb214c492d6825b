/**
 * The systemd unit under a real systemd, booted in a root of Debian's packages. debootstrap makes the root anew each time: its
 * suite is fixed, the versions are those of the day. Needs root and the packages of `tools.ts`.
 */
import { join } from "node:path";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { Authority } from "../support/servers/certificates.ts";
import { parseDig } from "../support/processes/dig.ts";
import { installExecutable } from "./executable.ts";
import { Machine } from "./machine.ts";
import { startMachineUpstream } from "./machine_upstream.ts";
import { type Outcome, pathOf } from "./tools.ts";

const SUITE = "bookworm";
/** No shell tools beyond Debian's essential ones: the unit needs none. */
const PACKAGES = ["systemd", "systemd-sysv", "dbus"];
const UNIT = new URL("../../deploy/dot-proxy.service", import.meta.url);
/** TEST-NET-1 (RFC 5737): an address that the machine gets only after systemd has booted. */
const UPSTREAM = "192.0.2.53";
const TOKEN = "a-token-that-only-root-can-read-0123";
const CREDENTIALS = "/run/credentials/dot-proxy.service";
const CONFIG = "etc/dot-proxy/dot-proxy.toml";

Deno.test("systemd runs the unit: boot without a network, status, reload, watchdog, restarts, secrets, logs, state", async (t) => {
  await using stack = new AsyncDisposableStack();
  const machine = stack.use(await Machine.start());
  const root = join(machine.directory, "root");
  const authority = await Authority.create();
  const ca = join(machine.directory, "clients.pem");
  await Deno.writeTextFile(ca, authority.pem);
  const server = stack.use(await startMachineUpstream(machine, UPSTREAM, ca));
  await machine.succeed("ip", ["address", "delete", `${UPSTREAM}/32`, "dev", "lo"]);
  await debootstrap(machine, root);
  await installExecutable(root);
  const [address, pin] = server.upstream.split("?");
  const config = [
    `upstream = ["${address}?${pin}&cert=${CREDENTIALS}/cert&key=${CREDENTIALS}/key"]`,
    `special-names = "forward"`,
    `admin = "localhost"`,
    `admin-token-file = "${CREDENTIALS}/token"`,
    `query-log = "/var/log/dot-proxy/queries.log"`,
    "",
  ].join("\n");
  await install(machine, root, config, await authority.issue({ names: ["client.example"] }));
  const systemd = await boot(machine, root);
  const active = () => systemd.untilShown("ActiveState", /^active$/);

  await step("it starts at boot, before the network is there, and says so", async () => {
    await active();
    assertEquals(await statusOf(machine, "early.example"), "SERVFAIL");
    await systemd.untilShown("StatusText", /^0 of 1 upstreams answer; /);
  });

  await step(
    "it answers by UDP and TCP once the network is there, with a client key that only root can read",
    async () => {
      await machine.succeed("ip", ["address", "add", `${UPSTREAM}/32`, "dev", "lo"]);
      await until("an answer", async () => await statusOf(machine, "www.example.com") === "NOERROR");
      assertEquals(await statusOf(machine, "+tcp", "other.example.com"), "NOERROR");
      await systemd.untilShown("StatusText", /^1 of 1 upstreams answer$/);
    },
  );

  await step("it runs as a dynamic user with one capability", async () => {
    const status = await systemd.succeed("cat", `/proc/${await systemd.show("MainPID")}/status`);
    assertMatch(status, /^Uid:\t(\d{5})\t\1\t\1\t\1$/m);
    for (const set of ["Prm", "Eff", "Bnd", "Amb"]) {
      assertMatch(status, new RegExp(`^Cap${set}:\t0+400$`, "m"));
    }
  });

  await step("the admin token is one that only root can read", async () => {
    const ask =
      `const { status } = await fetch("http://127.0.0.1:9153/metrics", { headers: JSON.parse(Deno.args[0]) });
      console.log(status);`;
    for (const [headers, status] of [[{}, "401"], [{ authorization: `Bearer ${TOKEN}` }, "200"]] as const) {
      const args = ["eval", ask, JSON.stringify(headers)];
      assertEquals((await machine.succeed(Deno.execPath(), args, { env: { NO_COLOR: "1" } })).trim(), status);
    }
  });

  await step("the query log is in its directory, for the service's user and root alone", async () => {
    await until("a line", async () => (await systemd.run("grep", "www.example.com", QUERY_LOG)).code === 0);
    assertEquals((await systemd.succeed("stat", "--format=%a", "/var/log/private/dot-proxy")).trim(), "700");
    assertEquals((await systemd.succeed("stat", "--format=%a", QUERY_LOG)).trim(), "600");
  });

  await step("systemctl reload brings in a changed file", async () => {
    await Deno.writeTextFile(join(root, CONFIG), `${config}record = ["new.example A 192.0.2.7"]\n`);
    await systemd.succeed("systemctl", "reload", "dot-proxy");
    const { answer } = parseDig(await machine.dig("@127.0.0.1", "new.example"));
    assertEquals(answer.map(({ rdata }) => rdata), ["192.0.2.7"]);
  });

  await step(
    "a refused reload fails, shows in the status with the reason, and changes nothing",
    async () => {
      await Deno.writeTextFile(join(root, CONFIG), `${config}timeout = "soon"\n`);
      const { code, stderr } = await systemd.run("systemctl", "reload", "dot-proxy");
      assert(code !== 0, stderr);
      assertMatch(
        await systemd.show("StatusText"),
        /^reload failed, keeping the current configuration: .*soon.*; 1 of 1 upstreams answer$/,
      );
      assertEquals(await systemd.show("ActiveState"), "active");
      const { answer } = parseDig(await machine.dig("@127.0.0.1", "new.example"));
      assertEquals(answer.length, 1);
      const journal = await systemd.succeed("journalctl", "--unit=dot-proxy", "--output=cat");
      assertMatch(journal, /^dot-proxy: .*soon/m);
      await Deno.writeTextFile(join(root, CONFIG), config);
      await systemd.succeed("systemctl", "reload", "dot-proxy");
      assertEquals(await systemd.show("StatusText"), "1 of 1 upstreams answer");
    },
  );

  await step("the cache is saved at the end and there after the restart", async () => {
    await systemd.succeed("systemctl", "restart", "dot-proxy");
    assertEquals(await systemd.show("StatusText"), "no upstream has been asked yet");
    assertEquals(await statusOf(machine, "www.example.com"), "NOERROR");
    assertEquals(await systemd.show("StatusText"), "no upstream has been asked yet");
  });

  await step("it is back after SIGKILL", async () => {
    await restartsAfter("KILL");
  });

  await step("a process that stands still is ended by the watchdog, and is back", async () => {
    assertEquals(await systemd.show("WatchdogUSec"), "30s");
    // In place of them, so that the test need not wait for so long.
    const dropIn = join(root, "etc/systemd/system/dot-proxy.service.d");
    await Deno.mkdir(dropIn);
    await Deno.writeTextFile(join(dropIn, "watchdog.conf"), "[Service]\nWatchdogSec=5s\n");
    await systemd.succeed("systemctl", "daemon-reload");
    await systemd.succeed("systemctl", "restart", "dot-proxy");
    const [started, pid] = [await systemd.show("WatchdogTimestampMonotonic"), await systemd.show("MainPID")];
    await systemd.untilShown("WatchdogTimestampMonotonic", new RegExp(`^(?!(0|${started})$)`));
    assertEquals(await systemd.show("MainPID"), pid, "as long as it runs, the watchdog leaves it alone");
    await restartsAfter("STOP");
    const journal = await systemd.succeed("journalctl", "--unit=dot-proxy", "--output=cat");
    assertMatch(journal, /Watchdog timeout/);
  });

  await step("it stops with 0", async () => {
    await systemd.succeed("systemctl", "stop", "dot-proxy");
    assertEquals([await systemd.show("Result"), await systemd.show("ExecMainStatus")], ["success", "0"]);
  });

  await step(
    "a configuration that cannot be used ends it with 2, and it is not started again",
    async () => {
      await Deno.writeTextFile(join(root, CONFIG), `${config}timeout = "soon"\n`);
      assert((await systemd.run("systemctl", "start", "dot-proxy")).code !== 0);
      const shown = [await systemd.show("ActiveState"), await systemd.show("ExecMainStatus")];
      assertEquals(shown, ["failed", "2"]);
    },
  );

  /** Shows the journal when the step fails; those after it would fail, too. */
  async function step(name: string, body: () => Promise<void>): Promise<void> {
    const succeeded = await t.step(name, async () => {
      try {
        await body();
      } catch (error) {
        console.error((await systemd.run("journalctl", "--unit=dot-proxy", "--lines=40")).stdout);
        throw error;
      }
    });
    assert(succeeded, name);
  }

  async function restartsAfter(signal: string): Promise<void> {
    await active();
    const before = await systemd.show("MainPID");
    await systemd.succeed("sh", "-c", `kill -${signal} ${before}`);
    await systemd.untilShown("MainPID", new RegExp(`^(?!(0|${before})$)`));
    await active();
    await until("an answer", async () => await statusOf(machine, "www.example.com") === "NOERROR");
  }
});

const QUERY_LOG = "/var/log/dot-proxy/queries.log";

/** A systemd that has booted in the machine. */
class Systemd {
  readonly #machine: Machine;
  /** Its process, as the machine numbers it. */
  readonly #pid: string;

  constructor(machine: Machine, pid: string) {
    this.#machine = machine;
    this.#pid = pid;
  }

  /** Runs a program beside it, in its root. */
  async run(...command: string[]): Promise<Outcome> {
    return await this.#machine.run("nsenter", this.#inside(command));
  }

  /** Like `run`, for a program whose failure is the test's failure. Resolves with its standard output. */
  async succeed(...command: string[]): Promise<string> {
    return await this.#machine.succeed("nsenter", this.#inside(command));
  }

  /** A property of the service. */
  async show(property: string): Promise<string> {
    return (await this.succeed("systemctl", "show", `--property=${property}`, "--value", "dot-proxy")).trim();
  }

  /** Waits until a property of the service matches. */
  async untilShown(property: string, pattern: RegExp): Promise<void> {
    await until(`${property} ${pattern}`, async () => pattern.test(await this.show(property)));
  }

  #inside(command: readonly string[]): string[] {
    return ["--target", this.#pid, "--mount", "--uts", "--ipc", "--pid", "--", ...command];
  }
}

async function debootstrap(machine: Machine, root: string): Promise<void> {
  const args = ["--variant=minbase", `--include=${PACKAGES}`, SUITE, root];
  await machine.succeed(pathOf("debootstrap"), args, { outside: true });
}

/** Puts unit, configuration and secrets into the places of docs/deployment.md, and enables the service. */
async function install(
  machine: Machine,
  root: string,
  config: string,
  client: { certificate: string; key: string },
): Promise<void> {
  await Deno.copyFile(UNIT, join(root, "etc/systemd/system/dot-proxy.service"));
  await Deno.mkdir(join(root, "etc/dot-proxy"));
  await Deno.writeTextFile(join(root, CONFIG), config);
  await Deno.writeTextFile(join(root, "etc/dot-proxy/dot-proxy.env"), `DOT_PROXY_CONFIG=/${CONFIG}\n`);
  const secrets = join(root, "etc/credstore");
  await Deno.mkdir(secrets, { recursive: true, mode: 0o700 });
  for (const [name, text] of [["token", TOKEN], ["cert", client.certificate], ["key", client.key]] as const) {
    await Deno.writeTextFile(join(secrets, `dot-proxy.${name}`), `${text}\n`, { mode: 0o600 });
  }
  await machine.succeed(pathOf("systemctl"), ["--root", root, "enable", "dot-proxy"]);
}

/** Boots systemd in the root, in the machine's network. */
async function boot(machine: Machine, root: string): Promise<Systemd> {
  const hybrid = (await machine.run("test", ["-d", "/sys/fs/cgroup/systemd"])).code === 0;
  const env = hybrid ? { SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: "0" } : {};
  const pidFile = join(machine.directory, "nspawn.pid");
  const script = `${machine.joinCgroup}
    "$0" --register=no --keep-unit --quiet --console=pipe --directory="$1" --boot >"$1.log" 2>&1 & echo $! >"$2"`;
  await machine.succeed("sh", ["-c", script, pathOf("systemd-nspawn"), root, pidFile], { env });
  const nspawn = (await Deno.readTextFile(pidFile)).trim();
  let pid = "";
  await until("systemd has booted", async () => {
    pid = (await machine.run("cat", [`/proc/${nspawn}/task/${nspawn}/children`])).stdout.trim();
    if (pid === "") return false;
    const { stdout } = await new Systemd(machine, pid).run("systemctl", "is-system-running");
    return /^(running|degraded|starting)$/m.test(stdout);
  });
  return new Systemd(machine, pid);
}

async function statusOf(machine: Machine, ...question: string[]): Promise<string> {
  return parseDig(await machine.dig("@127.0.0.1", ...question)).status;
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 300; attempt++) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`never: ${what}`);
}
