/**
 * A machine within this one: namespaces of its own for network, mounts and processes, without a route to anywhere. Container
 * engines and systemd leave nothing behind there, since all of it ends with the first process. Needs root.
 */
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { assertEquals } from "../support/assert.ts";
import { Child, type Command } from "../support/processes/child.ts";
import { type Outcome, pathOf } from "./tools.ts";

/** Longer than any step takes on a loaded machine. */
const SECONDS = 300;

/**
 * The first process: sets the machine up, then waits for its own end, for that of orphans, and for that of its reader, the
 * test, which may be killed. Podman and CNI keep their state
 * in /run, /dev/shm and /var/lib; here those are empty or copies.
 */
const FIRST_PROCESS = `
set -e
directory=$1 cgroup=$2
echo $$ >"$cgroup/cgroup.procs"
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /dev/shm
mount -t overlay -o "lowerdir=/var/lib,upperdir=$directory/lib,workdir=$directory/work" overlay /var/lib
mkdir -p /var/lib/containers
mount --bind "$directory/containers" /var/lib/containers
ip link set lo up
echo ready
while sleep 5 && echo waiting; do :; done
`;

/** Where cgroups are made: the root of version 2, or of the hierarchy that systemd has beside version 1. */
const CGROUPS = existsSync("/sys/fs/cgroup/cgroup.controllers") ? "/sys/fs/cgroup" : "/sys/fs/cgroup/systemd";

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly seconds?: number;
  /** Whether to use the network of the host, for downloads; default false. */
  readonly outside?: boolean;
}

export class Machine implements AsyncDisposable {
  /** A temporary folder that both machines see under this path. */
  readonly directory: string;
  readonly #first: Child;
  readonly #cgroup: string;
  /** The first process, as this machine numbers it. */
  #pid = "";

  private constructor(directory: string, cgroup: string) {
    this.directory = directory;
    this.#cgroup = cgroup;
    const namespaces = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    const args = [...namespaces, "sh", "-c", FIRST_PROCESS, "machine", directory, cgroup];
    this.#first = new Child("the machine", { program: pathOf("unshare"), args });
  }

  static async start(): Promise<Machine> {
    assertEquals(Deno.uid(), 0, "a machine of its own needs root");
    const directory = await Deno.makeTempDir({ prefix: "dot-proxy-e2e-" });
    await Deno.chmod(directory, 0o755); // for users without privileges, as containers have them
    for (const name of ["lib", "work", "containers", "tmp"]) await Deno.mkdir(join(directory, name));
    const cgroup = join(CGROUPS, basename(directory));
    await Deno.mkdir(cgroup);
    const machine = new Machine(directory, cgroup);
    try {
      await machine.#first.says(/ready/);
      const { pid } = machine.#first;
      machine.#pid = (await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`)).trim();
    } catch (error) {
      await machine[Symbol.asyncDispose]();
      throw error;
    }
    return machine;
  }

  /** A shell's line that puts it into the machine's cgroup, for what makes cgroups below its own. */
  get joinCgroup(): string {
    return `echo $$ >${this.#cgroup}/cgroup.procs`;
  }

  /** For a process of this machine that is in the network of the other: a `Child` can end it. */
  beside(program: string, args: readonly string[]): Command {
    return {
      program: "nsenter",
      args: ["--target", this.#pid, "--net", "--", program, ...args],
    };
  }

  /** Runs a program in the machine to its end. It is ended if it takes too long. */
  async run(
    program: string,
    args: readonly string[],
    { env = {}, seconds = SECONDS, outside = false }: RunOptions = {},
  ): Promise<Outcome> {
    const namespaces = ["--mount", "--pid", ...outside ? [] : ["--net"]];
    const inside = ["nsenter", "--target", this.#pid, ...namespaces, "--"];
    const { code, stdout, stderr } = await new Deno.Command("timeout", {
      args: ["--signal=KILL", `${seconds}`, ...inside, program, ...args],
      env: { LC_ALL: "C", TMPDIR: join(this.directory, "tmp"), ...env },
      stdin: "null",
    }).output();
    const [said = "", complaint = ""] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    return { code, stdout: said, stderr: complaint };
  }

  /** Like `run`, for a program whose failure is the test's failure. Resolves with its standard output. */
  async succeed(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
    const { code, stdout, stderr } = await this.run(program, args, options);
    if (code !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${code}:\n${stdout}${stderr}`);
    return stdout;
  }

  /** Asks a server from the machine's own network, outside all containers. Resolves with all that dig printed. */
  async dig(...question: string[]): Promise<string> {
    return await this.succeed(pathOf("dig"), ["-r", "+tries=1", "+time=8", ...question]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#first.stop("SIGKILL"); // --kill-child: with it, all that runs in the machine
    await removeCgroups(this.#cgroup);
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** Removes a cgroup and those below, as soon as their processes have ended. */
async function removeCgroups(path: string): Promise<void> {
  for (const { name, isDirectory } of Deno.readDirSync(path)) {
    if (isDirectory) await removeCgroups(join(path, name));
  }
  for (let attempt = 1;; attempt++) {
    try {
      return await Deno.remove(path);
    } catch (error) {
      if (attempt === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
