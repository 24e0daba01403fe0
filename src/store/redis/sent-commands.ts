/** What commands are called when people are told of them: a script by the name of its file. */

export interface SentCommand {
  name: string;
  args: readonly unknown[];
}

/** By hash and by text, as EVALSHA and EVAL name them. */
const scripts = new Map<string, string>();

export function nameScript({ sha, body }: { sha: string; body: string }, name: string): void {
  scripts.set(sha, name);
  scripts.set(body, name);
}

export interface Operation {
  /** `append-event`, or the name of a command in capitals. */
  name: string;
  keys: readonly string[];
}

export function operationOf({ name, args }: SentCommand): Operation {
  if (!/^eval(?:sha)?$/i.test(name)) {
    const [key] = args;
    const known = typeof key === 'string' && /:|\{/.test(key);
    return { name: name.toUpperCase(), keys: known ? [key] : [] };
  }
  const [script, count, ...rest] = args.map(String);
  return { name: scripts.get(script ?? '') ?? 'script', keys: rest.slice(0, Number(count)) };
}

/** The appid in the braces of a key: whom the operation is about. */
export function subjectOf({ keys }: Operation): string | undefined {
  return /\{([^}]+)\}/.exec(keys[0] ?? '')?.[1];
}
