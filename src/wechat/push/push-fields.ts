/** What the two forms of a push, XML and JSON, have in common. */

/** An element: text, nested elements, or a list where it was repeated. */
export type PushValue = string | PushValue[] | { [name: string]: PushValue };
export type PushFields = Readonly<Record<string, PushValue>>;
export type Entry = [name: string, value: PushValue];

/** Levels; what is deeper stays text, so that nobody who walks through the values runs out of stack. */
export const MAX_DEPTH = 32;

export interface ReadDocument {
  /** What stands at the top, in its order. */
  entries: Entry[];
  /** By name: in which entries it occurs as a name, at any depth. */
  mentions: ReadonlyMap<string, readonly number[]>;
  /** Its parts do not fit together, so a sender may have written some: how many entries came before. */
  tornAt: number | undefined;
  /** It has its end. */
  whole: boolean;
}

/** Entries as fields. `__proto__` is a name like any other, and an own property. */
export function gather(entries: readonly Entry[]): Record<string, PushValue> {
  const grouped = new Map<string, PushValue[]>();
  for (const [name, value] of entries) {
    const values = grouped.get(name);
    if (values === undefined) grouped.set(name, [value]);
    else values.push(value);
  }
  return Object.fromEntries(
    Array.from(grouped, ([name, values]): Entry => {
      const [first = '', ...more] = values;
      return [name, more.length === 0 ? first : values];
    }),
  );
}

/** A field as the exact string it is; undefined when it is missing, repeated or nested. */
export function textOf(fields: PushFields, name: string): string | undefined {
  const value = Object.hasOwn(fields, name) ? fields[name] : undefined;
  return typeof value === 'string' ? value : undefined;
}
