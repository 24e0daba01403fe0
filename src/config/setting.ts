import type * as z from 'zod';
import type { Text } from '../lib/language.ts';

/** One setting: its variable, what its text must look like, and what people read about it. */
export interface Setting<T = unknown> {
  /** Of its variable. */
  name: string;
  /** Another name of the variable, by which it goes first. */
  otherName?: string;
  /** Makes of its text what the code works with. What does not accept undefined is required. */
  schema: z.ZodType<T>;
  /** Text of the default, or undefined when there is none. */
  default?: string;
  /** For the documents: nothing works without it, whatever else is set. */
  required?: boolean;
  /** May also come from the file that `NAME_FILE` names, and is hidden in the log. */
  secret?: boolean;
  /** What of a secret is to be hidden; unless given, the whole text. */
  secretParts?(value: T): readonly string[];
  example?: string;
  doc: Text;
}

export type SettingGroup = Readonly<Record<string, Setting>>;

/** What the settings of a group say, each under its name in the code. */
export type ValuesOf<Group extends SettingGroup> = {
  readonly [Field in keyof Group]: z.infer<Group[Field]['schema']>;
};

/** Ties the type of what is secret in a value to its schema. */
export function setting<T>(one: Setting<T>): Setting<T> {
  return one;
}
