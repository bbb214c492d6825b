import { proxyCommand } from "../e2e/proxy_command.ts";
import { suites, suitesWithMode } from "../suites.ts";
import { assert, assertEquals, assertMatch, assertThrows } from "./assert.ts";
import { MODE, modeConfig, modeOf } from "./mode.ts";
import { RunningProxy, type RunningProxyOptions } from "./processes/running_proxy.ts";

/** How often the C library is opened while `body` runs. */
async function librariesOpened(body: () => Promise<void>): Promise<number> {
  const { dlopen } = Deno;
  let count = 0;
  Deno.dlopen = (...args) => {
    count++;
    return dlopen(...args);
  };
  try {
    await body();
    return count;
  } finally {
    Deno.dlopen = dlopen;
  }
}

async function startProxy(fields: Partial<RunningProxyOptions> = {}): Promise<void> {
  await using _ = new RunningProxy({ upstreams: ["127.0.53.9:1"], ...fields });
}

Deno.test("a mode that does not exist is an error, and none named means what users have", () => {
  assertEquals([modeOf("plain"), modeOf("batched"), modeOf()], ["plain", "batched", "batched"]);
  for (const name of ["", "Plain", "batch", "toString"]) {
    assertThrows(
      () => modeOf(name),
      TypeError,
      `DOT_PROXY_TEST_MODE: "${name}" is not one of plain, batched`,
    );
  }
});

Deno.test("a proxy in the process of a test is in the mode of the tests, unless the test sets it", async () => {
  const expected = MODE === "plain" || Deno.build.os !== "linux" ? 0 : 1;
  assertEquals(await librariesOpened(() => startProxy()), expected);
  assertEquals(await librariesOpened(() => startProxy({ udpBatch: "off" })), 0);
});

Deno.test("a proxy in a process of its own is in the mode of the tests, unless the test sets it", async () => {
  for (const [args, expected] of [[[], modeConfig().udpBatch], [["--udp-batch", "on"], "on"]] as const) {
    const { program, args: all, ...surroundings } = await proxyCommand(args);
    const [...before] = all.slice(0, all.length - args.length);
    const command = new Deno.Command(program, {
      ...surroundings,
      args: [...before, "check-config", ...args],
    });
    const { stdout } = await command.output();
    assertMatch(new TextDecoder().decode(stdout), new RegExp(`^udp-batch = "${expected}"`, "m"));
  }
});

Deno.test("every suite that goes through a proxy is run in each mode", () => {
  const [all, withMode] = [suites(), suitesWithMode()];
  const expected = [
    ...all.filter((path) => /^proxy\//.test(path)),
    ...["commands/healthcheck_test.ts", "main_test.ts", "frontend/listeners_test.ts", "support/mode_test.ts"],
    ...["e2e/clients_test.ts", "e2e/load_test.ts", "e2e/reload_test.ts", "e2e/dashboard_test.ts"],
    ...["faults/faults_test.ts", "faults/soak_test.ts", "faults/idle_test.ts"],
  ];
  assertEquals(expected.filter((path) => !withMode.includes(path)), []);
  for (const path of ["dns/compose/reply_test.ts", "upstream/upstream_test.ts", "config/config_test.ts"]) {
    assert(all.includes(path) && !withMode.includes(path), path);
  }
});
