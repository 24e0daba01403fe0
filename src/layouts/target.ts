import type { Layout, LayoutKey, LayoutKind } from '../config/layouts.ts';
import { parseTemplate, wordsIn, type TemplatePart } from '../config/layout-template.ts';
import type { LayoutConnection } from '../store/layouts/connect.ts';
import type { CredentialId, CredentialKindName } from '../store/redis/keys.ts';
import { presetOf } from './presets.ts';

/** One layout at work: its keys, where they are written, and what is known of them. */
export interface LayoutTarget {
  layout: Layout;
  prefix: string;
  keys: readonly TargetKey[];
  connection: LayoutConnection;
  /** Since when it cannot be published, epoch ms; only rounds try it again. */
  failingSince: number | undefined;
  /** By credential: the mark of what has been published. */
  published: Map<string, string>;
  known: Map<string, KnownKeys>;
  /** Where the round goes on among the authorizers. */
  cursor: { component: number; after: string };
  /** Keys that belong there, of the round under way. */
  counted: number;
}

export interface TargetKey extends LayoutKey {
  template: readonly TemplatePart[];
  /** Its name changes with the ticket. */
  ofTicket: boolean;
}

/** What this process has last seen in the keys of one credential; hashes, in the order of the keys. */
export interface KnownKeys {
  /** Of the credential. */
  seq: number;
  now: (string | undefined)[];
  /** What was there before that: another replica may not have come to it yet. */
  before: (string | undefined)[];
}

/** What is published of a credential: itself, and what stands for what it is made with. */
const KINDS_OF: Readonly<Partial<Record<CredentialKindName, readonly LayoutKind[]>>> = {
  component_access_token: ['component_verify_ticket', 'component_access_token'],
  authorizer_access_token: ['authorizer_refresh_token', 'authorizer_access_token'],
};

export function createTarget(layout: Layout, connection: LayoutConnection): LayoutTarget {
  const { prefix, keys } = presetOf(layout);
  return {
    layout,
    prefix,
    keys: keys.map((key) => {
      const template = parseTemplate(key.name);
      if (typeof template === 'string') throw new Error(`a layout's name: ${template}`);
      return { ...key, template, ofTicket: wordsIn(template).includes('ticket') };
    }),
    connection,
    failingSince: undefined,
    published: new Map(),
    known: new Map(),
    cursor: { component: 0, after: '' },
    counted: 0,
  };
}

/** The keys that a credential of this kind has in a layout. */
export function keysFor(
  { keys }: Pick<LayoutTarget, 'keys'>,
  { kind }: Pick<CredentialId, 'kind'>,
): TargetKey[] {
  const kinds = KINDS_OF[kind] ?? [kind];
  return keys.filter((key) => kinds.includes(key.kind));
}

/** Whose credentials are configured. */
export interface Configured {
  components: readonly string[];
  accounts: readonly string[];
}

/**
 * Whether a layout publishes this credential. A platform that is named stands for all accounts that have
 * authorized it, unless some accounts are named, too.
 */
export function covers(
  target: Pick<LayoutTarget, 'layout' | 'keys'>,
  id: CredentialId,
  { components, accounts }: Configured,
): boolean {
  const { appids } = target.layout;
  if (keysFor(target, id).length === 0) return false;
  if (appids === 'any') return true;
  const [owner = '', authorizer] = id.subject.split(':');
  if (authorizer === undefined) return appids.includes(owner);
  const anyPlatform = appids.some((one) => components.includes(one));
  if (anyPlatform && !appids.includes(owner)) return false;
  const named = namedAuthorizers(appids, { components, accounts });
  return named.length === 0 ? anyPlatform : named.includes(authorizer);
}

/** The appids of a layout that are accounts of others. */
export function namedAuthorizers(
  appids: readonly string[],
  { components, accounts }: Configured,
): string[] {
  return appids.filter((one) => !components.includes(one) && !accounts.includes(one));
}
