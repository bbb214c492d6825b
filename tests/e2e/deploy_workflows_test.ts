/** The workflows of the public forge, and their agreement with the Dockerfile. */
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

Deno.test("the workflows may read the code, and release jobs have only the rights that they name", () => {
  for (const { permissions } of workflows) assertEquals(permissions, { contents: "read" });
  const [ci, release] = workflows;
  for (const { permissions } of jobs(ci)) assertEquals(permissions, undefined);
  assertEquals(release.jobs.build.permissions, undefined);
  assertEquals(release.jobs.executables.permissions.packages, undefined);
  assertEquals(release.jobs.image.permissions.contents, "read");
  for (const step of [ci, release].flatMap(jobs).flatMap(({ steps = [] }) => steps)) {
    if (step.uses?.startsWith("actions/checkout@")) assertEquals(step.with["persist-credentials"], false);
  }
});

Deno.test("nothing is released that the gate has not passed", () => {
  const [, { jobs: { gate, ...others } }] = workflows;
  assertEquals(gate, { uses: "./.github/workflows/ci.yml" });
  const { executables, ...first } = others;
  for (const { needs } of Object.values<Node>(first)) assertEquals(needs, "gate");
  assertEquals(executables.needs, "build");
});

Deno.test("the job that may write the release runs no package and no code of the repository", () => {
  const [, { jobs: { executables } }] = workflows;
  const steps: Node[] = executables.steps;
  const actions = steps.flatMap(({ uses }) => uses === undefined ? [] : [uses.split("@")[0]]);
  assertEquals(actions, ["actions/download-artifact", "actions/attest", "actions/attest"]);
  const programs = steps.flatMap(({ run = "" }) => run.trim().split("\n")).filter((line) => line !== "");
  assertEquals(programs.map((line) => line.split(" ")[0]), ["diff", "mv", "gh"]);
});

Deno.test("the release is built twice, in two folders, and both builds are compared", () => {
  const [, { jobs: { build, executables } }] = workflows;
  assertEquals(build.strategy.matrix, { build: ["first", "second"] });
  assert(executables.steps.some(({ run = "" }) => run.includes("diff --recursive dist-first dist-second")));
});

// A shell runs whatever an expression inserts into its text.
Deno.test("no shell command is composed of expressions", () => {
  for (const { run = "" } of workflows.flatMap(jobs).flatMap(({ steps = [] }) => steps)) {
    assertEquals(run.includes("${{"), false, run);
  }
});

Deno.test("it is the same Deno everywhere", async () => {
  const [, version = ""] = /^readonly DENO=(\S+)$/m.exec(await text(".ci/run")) ?? [];
  assertMatch(version, /^\d+\.\d+\.\d+$/);
  for (const path of ["Dockerfile", "README.md", ".github/tools/package.json"]) {
    const versions = [...(await text(path)).matchAll(/\bdeno(?:[@:]|": ")(\d[\d.]*)/g)].map(([, each]) =>
      each
    );
    assert(versions.length > 0, path);
    assertEquals(new Set(versions), new Set([version]), path);
  }
});

Deno.test("the image is compiled where it is built, for the processor that it is for", async () => {
  const stages = [...(await text("Dockerfile")).matchAll(/^FROM (.*)$/gm)].map(([, from]) => from);
  assertEquals(stages.length, 2);
  const [build = "", runtime = ""] = stages;
  assertMatch(
    build,
    /^--platform=\$BUILDPLATFORM denoland\/deno:\d+\.\d+\.\d+@sha256:[0-9a-f]{64} AS build$/,
  );
  assertMatch(runtime, /^gcr\.io\/distroless\/cc-debian\d+:nonroot@sha256:[0-9a-f]{64}$/);
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
