/**
 * The program where its image puts it: a root that holds less than gcr.io/distroless/cc does, and an unprivileged user.
 * From source, deno takes the executable's place; it is linked against the same libraries. Needs root, for chroot.
 */
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type CachedPackage, cachedPackages, copyProgram, denoFolders } from "../../deploy/program.ts";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { Authority } from "../support/servers/certificates.ts";
import { askTcp, askUdp } from "../support/clients/plain_client.ts";
import { DotServer } from "../support/servers/dot_server.ts";
import { MODE_ENVIRONMENT } from "../support/mode.ts";
import { query, read } from "../support/packets/packets.ts";
import { Child, type Command, withLogs } from "../support/processes/child.ts";
import { pathOf, succeed } from "./tools.ts";
import { BUNDLE, proxyCommand } from "./proxy_command.ts";

/** Debian packages of distroless/cc that the executable is linked against (its cc/ and base/config.bzl). */
const PACKAGES = ["libc6", "libgcc-s1", "libstdc++6"];
const PROJECT = fileURLToPath(new URL("../../", import.meta.url));
/** distroless calls this user nonroot. */
const USER = 65532;
/** Patch level of the versions that the registry has published since the lock was made. */
const NEWER = "9999";

Deno.test("with glibc, libgcc and libstdc++ alone, without a shell, as an unprivileged user, it answers, is healthy, and stops", async () => {
  const authority = await Authority.create();
  const certificate = await authority.issue({ addresses: ["127.0.0.1"] });
  await using server = await DotServer.start({ certificate });
  await using image = await buildRoot();
  await Deno.writeTextFile(join(image.root, "ca.pem"), authority.pem);
  const options = ["--listen", "127.0.0.1:0", "--upstream", `127.0.0.1:${server.port}`, "--ca", "/ca.pem"];
  await using child = new Child("dot-proxy in its image's root", await confined(image.root, options));
  await withLogs([child], async () => {
    await child.says(/forwarding .*\n/);
    const address = { hostname: "127.0.0.1", port: Number(/127\.0\.0\.1:(\d+) /.exec(child.log)?.[1]) };
    for (const ask of [askUdp, askTcp]) {
      const { rcode, answers } = read(await ask(address, query("www.example.com", "A", { id: 7 })));
      assertEquals([rcode, answers.length], [0, 1]);
    }
    await assertConfined(child, image.root);
    const health = await runConfined(image.root, ["healthcheck", "--listen", `127.0.0.1:${address.port}`]);
    assertEquals(health.code, 0);
    assertEquals(await child.stop("SIGTERM"), 0);
    // A missing library or cache would appear here.
    for (const line of child.log.trimEnd().split("\n")) assertMatch(line, /^\S+Z info /);
  });
});

Deno.test("from source, it starts with the lock's packages when the registry has newer ones of all", async () => {
  const { program } = await proxyCommand([]);
  if (program !== Deno.execPath() || Deno.env.has(BUNDLE)) return; // neither asks a registry
  await using image = await buildRoot();
  const locked = await runConfined(image.root, ["--version"]);
  assertEquals([locked.code, locked.stderr], [0, ""]);
  assertMatch(locked.stdout, /^dot-proxy /);
  // The same root without its lock finds them, so the lock alone made the difference.
  await Deno.remove(join(image.root, "src/deno.lock"));
  const unlocked = await runConfined(image.root, ["--version"]);
  assertEquals(unlocked.code, 1);
  assertMatch(unlocked.stderr, new RegExp(`tdigest@\\d+\\.\\d+\\.${NEWER}`));
});

/** It sees that root, is that user, has no capability and cannot get any. The checks above depend on it. */
async function assertConfined({ pid }: Child, root: string): Promise<void> {
  assertEquals(await Deno.readLink(`/proc/${pid}/root`), await Deno.realPath(root));
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  assertMatch(status, new RegExp(`^Uid:(\t${USER}){4}$`, "m"));
  assertMatch(status, new RegExp(`^Gid:(\t${USER}){4}$`, "m"));
  assertMatch(status, /^CapEff:\t0+$/m);
  assertMatch(status, /^NoNewPrivs:\t1$/m);
}

/**
 * How to run the program in that root. A runtime like Docker mounts /proc, so it is mounted here; in a mount namespace of
 * its own, which ends with the process: nothing is left to unmount.
 */
async function confined(root: string, options: readonly string[]): Promise<Command> {
  const { program, args: [first = "", ...rest] } = await proxyCommand(options);
  const fromSource = program === Deno.execPath();
  // Without the flag deno asks the registry for the lists of versions before it uses the lock.
  const args = fromSource ? [first, "--cached-only", ...rest] : [first, ...rest];
  const inside = join("/usr/local/bin", fromSource ? "deno" : "dot-proxy");
  const confine = ["--mount", `--root=${root}`, "--mount-proc", "--wd=/src"];
  return {
    program: "setpriv",
    args: [
      ...[
        "--no-new-privs",
        pathOf("unshare"),
        ...confine,
        `--setgid=${USER}`,
        `--setuid=${USER}`,
        inside,
        ...args,
      ],
    ],
    env: { DENO_DIR: "/deno-dir", NO_COLOR: "1", PATH: Deno.env.get("PATH") ?? "", ...MODE_ENVIRONMENT },
    clearEnv: true,
  };
}

/** Runs the program in that root to its end. */
async function runConfined(
  root: string,
  options: readonly string[],
): Promise<{ code: number; stdout: string; stderr: string }> {
  const { program, args, ...surroundings } = await confined(root, options);
  const { code, stdout, stderr } = await new Deno.Command(program, { args: [...args], ...surroundings })
    .output();
  const [said = "", complaint = ""] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code, stdout: said, stderr: complaint };
}

/** The image's root, none of it writable for the user. */
async function buildRoot(): Promise<AsyncDisposable & { readonly root: string }> {
  await using stack = new AsyncDisposableStack();
  const root = await Deno.makeTempDir({ prefix: "dot-proxy-e2e-" });
  stack.defer(() => Deno.remove(root, { recursive: true }));
  await Deno.chmod(root, 0o755);
  for (const directory of ["proc", "etc", "src", "usr/lib", "usr/lib64"]) {
    await Deno.mkdir(join(root, directory), { recursive: true });
  }
  for (const name of ["lib", "lib64"]) await Deno.symlink(`usr/${name}`, join(root, name));
  for (const library of await libraries()) await copy(library, root);
  await Deno.writeTextFile(join(root, "etc/passwd"), `nonroot:x:${USER}:${USER}::/:/sbin/nologin\n`);
  const { program } = await proxyCommand([]);
  if (program === Deno.execPath()) await copySource(root);
  else await copy(resolve(program), root, "usr/local/bin/dot-proxy");
  const owned = stack.move();
  return { root, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Paths of the shared libraries in the packages, the loader included. */
async function libraries(): Promise<string[]> {
  const paths = (await succeed("dpkg", ["--listfiles", ...PACKAGES])).split("\n");
  const found = paths.filter((path) => /\.so(\.\d+)*$/.test(path) && !path.includes("/gconv/"));
  assert(found.length > 10, `${PACKAGES.join(", ")} hold only ${found}`);
  return found;
}

/** deno, the program, and the packages that it reaches at the versions of the lock, in a DENO_DIR that cannot be written to. */
async function copySource(root: string): Promise<void> {
  await copy(Deno.execPath(), root, "usr/local/bin/deno");
  await copyProgram(join(root, "src"));
  const bundle = Deno.env.get(BUNDLE);
  if (bundle !== undefined) await copy(resolve(PROJECT, bundle), root, join("src", bundle));
  const { npmCache } = await denoFolders();
  for (const { localPath, ...locked } of await cachedPackages(join(root, "src"))) {
    const inside = join(root, "deno-dir/npm", relative(npmCache, localPath));
    await Deno.mkdir(dirname(inside), { recursive: true });
    await output("cp", ["--recursive", localPath, inside]);
    await Deno.writeTextFile(join(inside, "../registry.json"), await withNewer(locked, localPath));
  }
}

/** A registry's list of versions that has a newer one than the lock; it fits each range that the locked version fits. */
async function withNewer({ name, version }: Omit<CachedPackage, "localPath">, path: string): Promise<string> {
  const manifest = JSON.parse(await Deno.readTextFile(join(path, "package.json")));
  const newer = version.replace(/\d+$/, NEWER);
  const dist = { tarball: "https://registry.invalid/newer.tgz", integrity: "sha512-AAAA" };
  const versions = Object.fromEntries(
    [version, newer].map((each) => [each, { ...manifest, version: each, dist }]),
  );
  return JSON.stringify({ name, "dist-tags": { latest: newer }, versions });
}

/** Copies a file, through symbolic links, to the same path or another one in the root. */
async function copy(path: string, root: string, inside = path): Promise<void> {
  await Deno.mkdir(dirname(join(root, inside)), { recursive: true });
  await Deno.copyFile(path, join(root, inside));
}

async function output(program: string, args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args: [...args] }).output();
  const [said = "", complaint = ""] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  if (!success) throw new Error(`${program} ${args.join(" ")}: ${complaint}`);
  return said;
}
