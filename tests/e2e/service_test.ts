/** Files shipped beside the program: the systemd unit and the Dockerfile. */
import { basename, join } from "node:path";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { run } from "./tools.ts";

const UNIT = new URL("../../deploy/dot-proxy.service", import.meta.url);
const DOCKERFILE = new URL("../../Dockerfile", import.meta.url);

/** `systemd-analyze security` counts exposure from 0 to 100; below 20 it shows as 2.0, "OK". */
const EXPOSURE = 20;

Deno.test("systemd accepts the unit without a complaint", async () => {
  await using unit = await installableUnit();
  const { code, stdout, stderr } = await run("systemd-analyze", ["verify", "--man=no", unit.path]);
  assertEquals({ code, said: stdout + stderr }, { code: 0, said: "" });
});

Deno.test("the unit leaves the service little to do harm with", async () => {
  await using unit = await installableUnit();
  const args = ["security", "--offline=true", "--no-pager", `--threshold=${EXPOSURE}`, unit.path];
  const { code, stdout, stderr } = await run("systemd-analyze", args);
  assertEquals(code, 0, stdout + stderr);
});

Deno.test("the unit runs as a dynamic user, with one capability, and restarts", async () => {
  const text = await Deno.readTextFile(UNIT);
  assertEquals(settingOf(text, "DynamicUser"), "yes");
  assertEquals(settingOf(text, "CapabilityBoundingSet"), "CAP_NET_BIND_SERVICE");
  assertEquals(settingOf(text, "AmbientCapabilities"), "CAP_NET_BIND_SERVICE");
  assertMatch(settingOf(text, "Restart") ?? "", /^(always|on-failure)$/);
});

Deno.test("the unit waits until queries are accepted, and restarts a process that is silent for 30 s", async () => {
  const text = await Deno.readTextFile(UNIT);
  assertEquals([settingOf(text, "Type"), settingOf(text, "WatchdogSec")], ["notify", "30s"]);
  // Datagrams to systemd go over a Unix socket.
  assertMatch(settingOf(text, "RestrictAddressFamilies") ?? "", /\bAF_UNIX\b/);
});

Deno.test("the image is distroless, runs as nonroot, and starts the program without a shell", async () => {
  const text = await Deno.readTextFile(DOCKERFILE);
  const stages = text.split(/^(?=FROM )/m).filter((stage) => stage.startsWith("FROM "));
  assert(stages.length >= 2, "there is a build stage and a final one");
  const final = stages.at(-1) ?? "";
  assertMatch(final, /^FROM \S*distroless\/cc\S*/, "Deno's binaries need glibc, which distroless/cc has");
  assertMatch(final, /:\S*nonroot|^USER (nonroot|65532)(:\S+)?$/m);
  assertMatch(final, /^ENTRYPOINT \["[^"]+"(, "[^"]*")*\]$/m, "exec form: signals reach the program");
  assertMatch(final, /^EXPOSE .*\b53\/udp\b/m);
  assertMatch(final, /^EXPOSE .*\b53\/tcp\b/m);
  assertMatch(final, /^HEALTHCHECK .* CMD \["[^"]+", "healthcheck"\]$/m);
});

/** The unit as it will be, but for its program, which is not installed here and which systemd wants to see. */
async function installableUnit(): Promise<AsyncDisposable & { readonly path: string }> {
  const text = await Deno.readTextFile(UNIT);
  const directory = await Deno.makeTempDir({ prefix: "dot-proxy-e2e-" });
  const path = join(directory, basename(UNIT.pathname));
  await Deno.writeTextFile(path, text.replaceAll(/^(Exec\w+=)\S+/gm, `$1${Deno.execPath()}`));
  return { path, [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }) };
}

/** The value of a setting that is there once. */
function settingOf(unit: string, name: string): string | undefined {
  const values = [...unit.matchAll(new RegExp(`^${name}=(.*)$`, "gm"))];
  assert(values.length <= 1, `${name} is there ${values.length} times`);
  return values[0]?.[1];
}
