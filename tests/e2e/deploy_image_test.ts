/** The image, built of the Dockerfile and run as in docs/deployment.md. Needs root and the packages of `tools.ts`. */
import { join } from "node:path";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { buildImage, Containers } from "./containers.ts";
import { parseDig } from "../support/processes/dig.ts";
import { Machine } from "./machine.ts";
import { startMachineUpstream } from "./machine_upstream.ts";

/** TEST-NET-1 (RFC 5737): an address beyond the container's own network. */
const UPSTREAM = "192.0.2.53";

Deno.test("the image answers from outside, is healthy, uses its volumes, logs JSON and stops with 0, as docs/deployment.md runs it", async (t) => {
  await using machine = await Machine.start();
  const containers = new Containers(machine);
  await buildImage(machine, "dot-proxy");
  await using server = await startMachineUpstream(machine, UPSTREAM);
  const lists = join(machine.directory, "lists");
  await Deno.mkdir(lists);
  await Deno.writeTextFile(join(lists, "ads.txt"), "ads.example\n");
  const start = await runCommand(machine.directory, server.upstream);
  await containers.podman(...start);

  await t.step("dig and dig +tcp are answered at the published ports", async () => {
    await untilHealthy(containers);
    for (const transport of ["+notcp", "+tcp"]) {
      const { status, answer, text } = parseDig(
        await machine.dig("@127.0.0.1", transport, "www.example.com"),
      );
      assertEquals([status, answer.length], ["NOERROR", 1], text);
    }
  });

  await t.step(
    "the process has no capability, gains none, is nonroot, and its root is read-only",
    async () => {
      const pid = await inspect(containers, "{{.State.Pid}}");
      const status = await machine.succeed("cat", [`/proc/${pid}/status`]);
      assertMatch(status, /^Uid:(\t65532){4}$/m);
      for (const set of ["Inh", "Prm", "Eff", "Bnd", "Amb"]) {
        assertMatch(
          status,
          new RegExp(`^Cap${set}:\t0+$`, "m"),
        );
      }
      assertMatch(status, /^NoNewPrivs:\t1$/m);
      const mounts = await machine.succeed("cat", [`/proc/${pid}/mounts`]);
      assertMatch(mounts, /^\S+ \/ \S+ ro,/m);
    },
  );

  await t.step("a list from a volume blocks, and one that changes is read again", async () => {
    assertEquals(await statusOf(machine, "ads.example"), "NXDOMAIN");
    await Deno.writeTextFile(join(lists, "ads.txt"), "more.example\n");
    await until("the list is read again", async () => await statusOf(machine, "more.example") === "NXDOMAIN");
  });

  await t.step("SIGTERM ends it with 0, and each line of the log is a JSON object", async () => {
    await containers.podman("stop", "--time", "10", "dot-proxy");
    assertEquals(await inspect(containers, "{{.State.ExitCode}}"), "0");
    const { stdout, stderr } = await containers.tryPodman("logs", "dot-proxy");
    const lines = (stdout + stderr).trimEnd().split("\n");
    assert(lines.length > 3, stderr);
    for (const line of lines) assertEquals(typeof JSON.parse(line), "object");
  });

  await t.step("the cache outlasts the container in its volume", async () => {
    // Docker gives a new volume the owner that its directory has in the image; podman gives it to the container's user.
    const files = (await containers.podman("image", "mount", "dot-proxy")).trim();
    const owner = await machine.succeed("stat", ["--format=%u:%g", join(files, "var/lib/dot-proxy")]);
    assertEquals(owner.trim(), "65532:65532");
    await containers.podman("rm", "dot-proxy");
    await server[Symbol.asyncDispose]();
    await containers.podman(...start);
    await untilHealthy(containers);
    assertEquals(await statusOf(machine, "www.example.com"), "NOERROR");
  });

  await t.step("the health check fails where nothing listens", async () => {
    const check = ["--env", "DOT_PROXY_LISTEN=127.0.0.1:1053", "dot-proxy", "healthcheck"];
    assertEquals((await containers.tryPodman("run", "--rm", "--network", "none", ...check)).code, 1);
  });
});

/** The `docker run` of docs/deployment.md, with the options for volumes that it lists. */
async function runCommand(directory: string, upstream: string): Promise<string[]> {
  const page = await Deno.readTextFile(new URL("../../docs/deployment.md", import.meta.url));
  const [, command] = /^docker (run (?:.*\\\n)*.*) dot-proxy$/m.exec(page) ?? [];
  const volumes = page.match(/^--volume .*$/gm);
  assert(command && volumes?.length === 2, "the page runs the image, and mounts two volumes");
  const text = [command, ...volumes].join(" ").replace("$PWD", directory).replace("=quad9", `=${upstream}`);
  const words = text.split(/[\s\\]+/).map((word) => word.replaceAll('"', ""));
  return [...words, "--env", "DOT_PROXY_LOG_FORMAT=json", "dot-proxy"];
}

async function inspect(containers: Containers, format: string): Promise<string> {
  return (await containers.podman("inspect", "--format", format, "dot-proxy")).trim();
}

async function statusOf(machine: Machine, name: string): Promise<string> {
  return parseDig(await machine.dig("@127.0.0.1", name)).status;
}

/** Runs the image's HEALTHCHECK, which systemd or Docker would do. */
async function untilHealthy(containers: Containers): Promise<void> {
  await until(
    "healthy",
    async () => (await containers.tryPodman("healthcheck", "run", "dot-proxy")).code === 0,
  );
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`never: ${what}`);
}
