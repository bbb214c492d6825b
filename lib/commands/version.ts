/** Replaced in the bundle by the commit that it is made from (deploy/bundle.ts). */
const COMMIT = "$commit";

/** The line that --version prints: version, commit, Deno and V8. */
export function versionText(version: string): string {
  const origin = COMMIT.startsWith("$") ? "from source" : `commit ${COMMIT}`;
  return `dot-proxy ${version} (${origin}, Deno ${Deno.version.deno}, V8 ${Deno.version.v8})\n`;
}
