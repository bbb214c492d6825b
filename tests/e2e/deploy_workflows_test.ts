/** The workflows of the public forge, and what the Dockerfile and they must agree on. */
import { parse } from "yaml";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";

const ROOT = new URL("../../", import.meta.url);
const texts = await Promise.all(["ci", "release"].map((name) => text(`.github/workflows/${name}.yml`)));
const workflows = texts.map((each) => parse(each));

// deno-lint-ignore no-explicit-any -- as it comes from YAML
type Node = any;

Deno.test("every action of others is fixed by the commit, with its version beside it", () => {
  const uses = texts.flatMap((each) => [...each.matchAll(/\buses: (.*)/g)].map(([, action = ""]) => action));
  assert(uses.length > 5);
  for (const action of uses) assertMatch(action, /^(\.\/\S+|[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+)$/);
});

Deno.test("the workflows may read the code, and a release's jobs write what they say", () => {
  for (const { permissions } of workflows) assertEquals(permissions, { contents: "read" });
  const [ci, release] = workflows;
  for (const { permissions } of jobs(ci)) assertEquals(permissions, undefined);
  assertEquals(release.jobs.executables.permissions.packages, undefined);
  assertEquals(release.jobs.image.permissions.contents, "read");
  for (const step of [ci, release].flatMap(jobs).flatMap(({ steps = [] }) => steps)) {
    if (step.uses?.startsWith("actions/checkout@")) assertEquals(step.with, { "persist-credentials": false });
  }
});

Deno.test("nothing is released that the gate has not passed", () => {
  const [, { jobs: { gate, ...others } }] = workflows;
  assertEquals(gate, { uses: "./.github/workflows/ci.yml" });
  for (const { needs } of Object.values<Node>(others)) assertEquals(needs, "gate");
});

// What comes from outside into a shell's text is run by it.
Deno.test("no shell command is composed of expressions", () => {
  for (const { run = "" } of workflows.flatMap(jobs).flatMap(({ steps = [] }) => steps)) {
    assertEquals(run.includes("${{"), false, run);
  }
});

Deno.test("it is the same Deno everywhere", async () => {
  const [, version = ""] = /^readonly DENO=(\S+)$/m.exec(await text(".ci/run")) ?? [];
  assertMatch(version, /^\d+\.\d+\.\d+$/);
  for (const path of ["Dockerfile", "README.md", ".github/workflows/release.yml"]) {
    const versions = [...(await text(path)).matchAll(/\bdeno[@:](\d\S*)/g)].map(([, each]) => each);
    assert(versions.length > 0, path);
    assertEquals(new Set(versions), new Set([version]), path);
  }
});

Deno.test("the image is compiled where it is built, for the processor that it is for", async () => {
  const stages = [...(await text("Dockerfile")).matchAll(/^FROM (.*)$/gm)].map(([, from]) => from);
  assertEquals(stages.length, 2);
  assertMatch(stages[0] ?? "", /^--platform=\$BUILDPLATFORM denoland\/deno:\d+\.\d+\.\d+ AS build$/);
  assertMatch(stages[1] ?? "", /^gcr\.io\/distroless\/cc-debian\d+:nonroot$/);
  assertMatch(
    await text("deno.json"),
    /"compile": "deno task bundle && deno compile [^"]* \$COMPILE_FLAGS [^"]* build\/dot-proxy\.js"/,
  );
});

function jobs(workflow: Node): Node[] {
  return Object.values(workflow.jobs);
}

function text(path: string): Promise<string> {
  return Deno.readTextFile(new URL(path, ROOT));
}
