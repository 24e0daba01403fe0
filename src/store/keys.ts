/**
 * Every Redis key, in one place. The braces are literal: cluster hash tags that keep all keys of
 * one subject in one slot, so that a script may touch them together.
 *
 * Only `mirror*` and `events` are for other services; the rest is ours and may change.
 */
export interface CredentialId {
  kind: CredentialKindName;
  /** The appid this credential is for. */
  subject: string;
}

/** WeChat's own words, also used in URLs and JSON. */
export type CredentialKindName = 'component_access_token' | 'pre_auth_code';

const MIRROR_NAMES: Readonly<Record<CredentialKindName, string>> = {
  component_access_token: 'component_access_token',
  pre_auth_code: 'component_pre_auth_code',
};

export interface Keys {
  ticketMirror(appid: string): string;
  ticketRecord(appid: string): string;
  mirror(id: CredentialId): string;
  record(id: CredentialId): string;
  /** List of JSON entries, newest first: when each value was obtained. */
  history(id: CredentialId): string;
  /** Stream of every accepted event of one component. */
  events(appid: string): string;
  /** Exists for some minutes after a push was accepted. */
  seen(appid: string, fingerprint: string): string;
  /** Hash of counters about one component's pushes. */
  pushStats(appid: string): string;
  /** Hash: job name to the JSON of its last run. */
  jobs: string;
  /** Channel that announces each new value, never the value itself. */
  rotations: string;
}

export function createKeys(prefix: string): Keys {
  return {
    ticketMirror: (appid) => `${prefix}component_verify_ticket:{${appid}}`,
    ticketRecord: (appid) => `${prefix}record:component_verify_ticket:{${appid}}`,
    mirror: ({ kind, subject }) => `${prefix}${MIRROR_NAMES[kind]}:{${subject}}`,
    record: ({ kind, subject }) => `${prefix}record:${kind}:{${subject}}`,
    history: ({ kind, subject }) => `${prefix}history:${kind}:{${subject}}`,
    events: (appid) => `${prefix}events:{${appid}}`,
    seen: (appid, fingerprint) => `${prefix}seen:{${appid}}:${fingerprint}`,
    pushStats: (appid) => `${prefix}push_stats:{${appid}}`,
    jobs: `${prefix}jobs`,
    rotations: `${prefix}rotations`,
  };
}
