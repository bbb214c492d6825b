/**
 * The image, built of the Dockerfile and run in a `Machine`. Its base images cannot be pulled everywhere: stand-ins of the same
 * names are made from scratch, out of the installed Debian packages and the deno that runs the tests.
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { denoFolders } from "../../deploy/program.ts";
import { assert } from "../support/assert.ts";
import { bundle, COMPILED, installStandIn, SHEBANG, STAND_IN } from "./executable.ts";
import type { Machine, RunOptions } from "./machine.ts";
import { type Outcome, pathOf } from "./tools.ts";

const PROJECT = fileURLToPath(new URL("../../", import.meta.url));
/** The user of gcr.io/distroless's tag `nonroot`. */
const USER = 65532;
/** Packages of distroless/cc that the executable is linked against. */
const LIBRARIES = ["libc6", "libgcc-s1", "libstdc++6"];
/** Files for the Dockerfile's RUN: a shell, the tools of a task, and their libraries. */
const BUILD_PACKAGES = [
  "dash",
  "coreutils",
  "libacl1",
  "libattr1",
  "libselinux1",
  "libpcre2-8-0",
  "libgmp10",
];

/**
 * deno in the build's base image. Without `denort`, all of the compilation runs, but its result does not start: the bundle
 * behind an interpreter's line takes its place.
 */
const BUILDERS_DENO = `#!/bin/sh
${STAND_IN}/deno "$@" || exit
if [ "$*" = "task compile" ]; then
  printf '${SHEBANG.trim()}\\n' >dot-proxy
  cat build/dot-proxy.js >>dot-proxy
fi
`;

/** A runtime, cgroups and limits that work beside any engine and without systemd. */
const SETTINGS = `
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
[engine.runtimes]
runc = ["${pathOf("runc")}"]
[containers]
log_driver = "k8s-file"
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
`;

/** Podman, the images and the containers of one machine. */
export class Containers {
  readonly #machine: Machine;
  readonly #settings: string;

  constructor(machine: Machine) {
    pathOf("iptables"); // published ports
    pathOf("catatonit"); // the first process of a pod
    this.#machine = machine;
    this.#settings = join(machine.directory, "containers.conf");
    Deno.writeTextFileSync(this.#settings, SETTINGS);
  }

  /** Runs podman to its end. Its failure is the test's. Resolves with its standard output. */
  async podman(...args: string[]): Promise<string> {
    return await this.#machine.succeed(pathOf("podman"), args, this.#options);
  }

  /** Runs podman to its end, which may be a failure. */
  async tryPodman(...args: string[]): Promise<Outcome> {
    return await this.#machine.run(pathOf("podman"), args, this.#options);
  }

  get #options(): RunOptions {
    return { env: { CONTAINERS_CONF: this.#settings } };
  }
}

/** Builds the Dockerfile under this name. */
export async function buildImage(machine: Machine, tag: string): Promise<void> {
  // Stand-ins have other digests.
  const dockerfile = (await Deno.readTextFile(join(PROJECT, "Dockerfile"))).replaceAll(
    /@sha256:[0-9a-f]+/g,
    "",
  );
  const file = join(machine.directory, "Dockerfile");
  await Deno.writeTextFile(file, dockerfile);
  const bases = [...dockerfile.matchAll(/^FROM (?:--\S+ )?(\S+)/gm)].map(([, name]) => name!);
  assert(bases.length === 2, `the Dockerfile has two base images, not ${bases}`);
  const [builder = "", runtime = ""] = bases;
  await commit(machine, "scratch", runtime, [], runtimeRoot);
  const environment = {
    DENO_DIR: "/deno-cache",
    ...COMPILED === undefined && { DENORT_BIN: `${STAND_IN}/deno` },
  };
  const settings = Object.entries(environment).flatMap(([name, value]) => ["--env", `${name}=${value}`]);
  await commit(machine, runtime, builder, settings, builderRoot);
  await bundle(); // the build has no network: the bundler must be in the cache
  const { denoDir } = await denoFolders();
  await buildah(machine, [
    // HEALTHCHECK is in Docker's format only.
    ...["build", "--pull=never", "--format=docker", "--layers=false", "--file", file, "--tag", tag],
    // The packages of this machine's cache, which the build may add to without a trace.
    ...["--volume", `${denoDir}:${environment.DENO_DIR}:O`],
    ...["--file", file],
    PROJECT,
  ]);
}

/** Adds files to an image and gives the result a name. */
async function commit(
  machine: Machine,
  from: string,
  name: string,
  settings: readonly string[],
  fill: (root: string) => Promise<void>,
): Promise<void> {
  const root = await Deno.makeTempDir({ dir: machine.directory });
  await Deno.chmod(root, 0o755);
  await fill(root);
  const container = (await buildah(machine, ["from", "--pull=never", from])).trim();
  await buildah(machine, ["add", "--quiet", container, root, "/"]);
  if (settings.length > 0) await buildah(machine, ["config", ...settings, container]);
  await buildah(machine, ["commit", "--quiet", "--rm", container, name]);
}

async function runtimeRoot(root: string): Promise<void> {
  for (const directory of ["etc", "tmp", "usr/lib", "usr/lib64"]) {
    await Deno.mkdir(join(root, directory), { recursive: true });
  }
  for (const name of ["lib", "lib64"]) await Deno.symlink(`usr/${name}`, join(root, name));
  await copyPackages(LIBRARIES, root, /\.so(\.\d+)*$/);
  await Deno.writeTextFile(join(root, "etc/passwd"), `nonroot:x:${USER}:${USER}::/:/sbin/nologin\n`);
  await installStandIn(root);
}

async function builderRoot(root: string): Promise<void> {
  await Deno.mkdir(join(root, "usr/bin"), { recursive: true });
  await Deno.symlink("usr/bin", join(root, "bin"));
  await copyPackages(BUILD_PACKAGES, root, /^\/(usr\/)?bin\/|\.so(\.\d+)*$/);
  const deno = COMPILED === undefined ? BUILDERS_DENO : `#!/bin/sh\nexec ${STAND_IN}/deno "$@"\n`;
  await Deno.writeTextFile(join(root, "usr/bin/deno"), deno, { mode: 0o755 });
}

/** Copies those files of installed packages whose paths fit, to where a merged /usr has them. */
async function copyPackages(packages: readonly string[], root: string, pattern: RegExp): Promise<void> {
  const paths = (await output("dpkg", ["--listfiles", ...packages])).split("\n");
  const found = paths.filter((path) => pattern.test(path) && !path.includes("/gconv/"));
  assert(found.length > 10, `${packages.join(", ")} hold only ${found}`);
  for (const path of found) {
    const inside = join(root, path.replace(/^\/(bin|lib|lib64)\//, "/usr/$1/"));
    await output("install", ["-D", "--mode=755", path, inside]);
  }
}

async function buildah(machine: Machine, args: readonly string[]): Promise<string> {
  return await machine.succeed(pathOf("buildah"), args, { env: { BUILDAH_ISOLATION: "chroot" } });
}

async function output(program: string, args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args: [...args] }).output();
  const [said = "", complaint = ""] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  if (!success) throw new Error(`${program} ${args.join(" ")}: ${complaint}`);
  return said;
}
