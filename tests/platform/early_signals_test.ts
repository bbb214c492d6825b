import { assertEquals } from "../support/assert.ts";

const MODULE = new URL("../../lib/platform/early_signals.ts", import.meta.url).href;

/** Runs a program, sends it these signals once it has written "ready", and gives back its exit code and output. */
async function run(program: string, args: string[], ...signals: Deno.Signal[]): Promise<[number, string]> {
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(
    file,
    `import "${MODULE}";\nimport { onHangUp, onStop } from "${MODULE}";\n${program}`,
  );
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", file, ...args],
    stdout: "piped",
    stderr: "null",
  });
  const child = command.spawn();
  let output = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    output += text;
    if (text.includes("ready")) { for (const signal of signals) child.kill(signal); }
  }
  await Deno.remove(file);
  return [(await child.status).code, output.trim()];
}

/** Is at work for as long as it takes the signals to come, as if other modules were being loaded. */
const LOADING = `console.log("ready"); await new Promise((resolve) => setTimeout(resolve, 10_000));`;

Deno.test("a signal ends the program at once when no listener is set: with 0 for the service, else with the shell's code", async () => {
  assertEquals(await run(LOADING, ["--listen", "127.0.0.1"], "SIGTERM"), [0, "ready"]);
  assertEquals(await run(LOADING, [], "SIGTERM"), [0, "ready"]);
  assertEquals(await run(LOADING, [], "SIGINT"), [130, "ready"]);
  assertEquals(await run(LOADING, ["healthcheck"], "SIGTERM"), [143, "ready"]);
});

Deno.test("onHangUp calls its listener at once when a SIGHUP came before", async () => {
  const program = `
    console.log("ready");
    while (!globalThis.hasHungUp) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      onHangUp(() => globalThis.hasHungUp = true);
    }
    console.log("reloaded");`;
  assertEquals(await run(program, [], "SIGHUP"), [0, "ready\nreloaded"]);
});

Deno.test("onStop replaces the listener that ends the program", async () => {
  const program = `
    const stopped = new Promise(onStop);
    console.log("ready");
    const timer = setTimeout(() => {}, 10_000);
    console.log(await stopped);
    Deno.exit(7);`;
  assertEquals(await run(program, [], "SIGTERM"), [7, "ready\nSIGTERM"]);
});

Deno.test("main.ts imports early_signals.ts before all other modules", async () => {
  const text = await Deno.readTextFile(new URL("../../main.ts", import.meta.url));
  assertEquals(/^import (?:.* from )?"(.*)";/m.exec(text)?.[1], "./lib/platform/early_signals.ts");
});
