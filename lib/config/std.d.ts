/** Types of what is used of the standard library outside tests: its npm packaging carries none. */

export declare function parseArgs<Text extends string, Flag extends string>(
  args: string[],
  options: {
    /** Options with a value; those in `collect` too give every value they were given, in order. */
    string: Text[];
    collect: Text[];
    boolean: Flag[];
    alias: Record<string, Flag>;
    /** Called for an argument that is no option; `key` is absent where it is no option's form either. */
    unknown: (arg: string, key?: string) => unknown;
  },
): Record<Text, string[]> & Record<Flag, boolean> & { _: (string | number)[] };

/** The word with the least Levenshtein distance. */
export declare function closestString(given: string, possible: readonly string[]): string;
