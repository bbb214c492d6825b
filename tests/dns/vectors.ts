import { hex } from "../support/packets/packets.ts";

/** A golden message: see tests/vectors/README.md. */
export interface Vector {
  readonly file: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The `# word: …` lines. */
  readonly notes: ReadonlyMap<string, string>;
}

const root = new URL("../vectors/", import.meta.url);

export const captured: readonly Vector[] = vectorsIn("captured");
export const written: readonly Vector[] = vectorsIn("written");
export const malformed: readonly Vector[] = vectorsIn("malformed");

/** The octets of one of them. */
export function vector(file: string): Uint8Array<ArrayBuffer> {
  return [...captured, ...written, ...malformed].find((one) => one.file === file)!.bytes;
}

function vectorsIn(folder: string): Vector[] {
  return [...Deno.readDirSync(new URL(folder, root))].map(({ name }) => `${folder}/${name}`).sort().map(
    (file) => {
      const text = Deno.readTextFileSync(new URL(file, root));
      const notes = [...text.matchAll(/^# (\w+): (.*)$/gm)].map(([, word, note]) => [word!, note!] as const);
      return { file, bytes: hex(text), notes: new Map(notes) };
    },
  );
}
