/**
 * `deno task sbom FILE` writes the contents of the executable, as CycloneDX: the runtime, and the packages of deno.lock
 * that main.ts reaches, with their hashes. It has no date and no serial number, so that one commit has one list.
 */
import { join } from "node:path";
import config from "../deno.json" with { type: "json" };
import { cachedPackages, copyProgram, type Lock, programLock } from "./program.ts";

/** Version of CycloneDX. */
const SPECIFICATION = "1.6";

/** The list of one version of the program, for the version of Deno that runs this. */
export async function billOfMaterials() {
  const lock = await programLock();
  const licenses = await licensesOf();
  const packages = Object.entries(lock.npm).map(([key, { integrity }]) => {
    const [, name = "", version = ""] = /^(@?[^@]+)@([^_]+)/.exec(key) ?? [];
    const license = licenses.get(`${name}@${version}`);
    return {
      type: "library",
      "bom-ref": reference(key),
      name,
      version,
      purl: reference(key),
      hashes: [{ alg: "SHA-512", content: Uint8Array.fromBase64(integrity.replace("sha512-", "")).toHex() }],
      ...license !== undefined && { licenses: [{ license: { id: license } }] },
    };
  });
  const { deno } = Deno.version;
  const runtime = `pkg:github/denoland/deno@v${deno}`;
  const root = `${config.name}@${config.version}`;
  return {
    bomFormat: "CycloneDX",
    specVersion: SPECIFICATION,
    version: 1,
    metadata: {
      component: { type: "application", "bom-ref": root, name: config.name, version: config.version },
    },
    components: [
      // The runtime is the greatest part of the executable, and none of its packages.
      {
        type: "platform",
        "bom-ref": runtime,
        name: "deno",
        version: deno,
        purl: runtime,
        licenses: [{ license: { id: "MIT" } }],
      },
      ...packages,
    ],
    dependencies: [
      {
        ref: root,
        dependsOn: [runtime, ...lock.workspace.dependencies.map((name) => reference(name.slice(4)))],
      },
      ...Object.entries(lock.npm).map(([key, { dependencies = [] }]) => ({
        ref: reference(key),
        dependsOn: dependencies.map((name) => reference(keyOf(name, lock))),
      })),
    ],
  };
}

/** The package URL of NAME@VERSION. */
function reference(key: string): string {
  return `pkg:npm/${key.replace(/^@/, "%40")}`;
}

function keyOf(name: string, { npm }: Lock): string {
  return Object.keys(npm).find((key) => key === name || key.startsWith(`${name}@`)) ?? name;
}

/** The license of each package, by NAME@VERSION. */
async function licensesOf(): Promise<Map<string, string>> {
  const folder = await Deno.makeTempDir();
  try {
    await copyProgram(folder);
    const packages = await cachedPackages(folder);
    return new Map(packages.flatMap(({ name, version, localPath }) => {
      const { license } = JSON.parse(Deno.readTextFileSync(join(localPath, "package.json")));
      return typeof license === "string" ? [[`${name}@${version}`, license] as const] : [];
    }));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) {
  const [file, ...others] = Deno.args;
  if (file === undefined || others.length > 0) {
    console.error("Usage: deno task sbom FILE");
    Deno.exit(2);
  }
  await Deno.writeTextFile(file, `${JSON.stringify(await billOfMaterials(), null, 2)}\n`);
}
