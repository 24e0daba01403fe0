/**
 * Every Redis key, in one place. The braces are literal: cluster hash tags that keep all keys of
 * one subject in one slot, so that a script may touch them together.
 *
 * Only `mirror*` and `events` are for other services; the rest is ours and may change.
 */
export interface CredentialId {
  kind: CredentialKindName;
  /** An appid; for an authorizer's credential `COMPONENT:AUTHORIZER`. */
  subject: string;
}

/** WeChat's own words, also used in URLs and JSON. */
export type CredentialKindName =
  | 'component_access_token'
  | 'pre_auth_code'
  | 'authorizer_access_token'
  | 'access_token'
  | 'jsapi_ticket'
  | 'wx_card_ticket';

/** Mirrors are named after their kind, but for one that peers already read under another name. */
const MIRROR_NAMES: Readonly<Partial<Record<CredentialKindName, string>>> = {
  pre_auth_code: 'component_pre_auth_code',
};

/** Sorted sets of ids of pushes by epoch ms, but for the last two. */
export interface DeliveryQueues {
  /** Never tried, by the moment at which they came. */
  fresh: string;
  /** To be tried again, by the moment at which. */
  again: string;
  /** Under way, by the moment at which they are anybody's again. */
  leased: string;
  /** Asked for a reply while WeChat waits, by the moment at which they are anybody's. */
  replying: string;
  /** Given up, by the moment at which. */
  dead: string;
  /** Hash: id to how often it was tried. */
  attempts: string;
  /** Hash: how the target fares. */
  target: string;
}

export interface Keys {
  ticketMirror(appid: string): string;
  ticketRecord(appid: string): string;
  mirror(id: CredentialId): string;
  record(id: CredentialId): string;
  /** List of JSON entries, newest first: when each value was obtained. */
  history(id: CredentialId): string;
  /** Where a record is kept aside that a person has spoiled. */
  spoiled(id: CredentialId): string;
  spoiledTicket(appid: string): string;
  /** Sorted set of authorizer appids of one component, by the moment to look at them next. */
  due(kind: CredentialKindName, component: string): string;
  /** Hash: how many authorizers of one component may be refreshed just now. */
  pace(component: string): string;
  /** Hash: authorizer appid to what people see of it, as JSON; and their appids in order. */
  authorizers(component: string): string;
  authorizerIndex(component: string): string;
  /** Hash: authorization codes that are exchanged, or were just now, by the hash of the code. */
  exchanges(component: string): string;
  /** Hash: what a start link says, and the accounts that it brought, each with the moment. */
  linkOutcome(component: string, id: string): string;
  /** The start link by which a pre_auth_code was handed out, by the hash of the code; some hours. */
  linkOfCode(component: string, hash: string): string;
  /** Exists while one replica does a piece of work for a component. */
  lease(work: string, component: string): string;
  /** Hash: how far the comparison with WeChat's list has come; and the set of whom it has seen. */
  reconciliation(component: string): string;
  reconciliationSeen(component: string): string;
  /** Stream of every accepted event of one component. */
  events(appid: string): string;
  /** Exists for some minutes after a push was accepted. */
  seen(appid: string, fingerprint: string): string;
  /** Hash: what is kept of a push until it is delivered, and each attempt. */
  push(appid: string, id: string): string;
  /** What a user was answered to a push; a minute, for WeChat's repeats of it. */
  reply(appid: string, id: string): string;
  /** Whose a token is that was handed out in WeChat's own form, by the hash of the token. */
  issued(hash: string): string;
  /** Hash: how the layout of this name fares, under which keys are published for applications. */
  layout(name: string): string;
  /** Sorted set of pushes that are not to be delivered before their authorization code is exchanged. */
  heldPushes(appid: string): string;
  /** Of one target: see `DeliveryQueues`. */
  deliveries(appid: string, target: string): DeliveryQueues;
  /** Hash of counters about one component's pushes. */
  pushStats(appid: string): string;
  /** Hash: how many pushes were refused, where and why. */
  refusedPushes(appid: string): string;
  /** List of moments, newest first: when the last tickets came. */
  ticketArrivals(appid: string): string;
  /** Hash: job name to the JSON of its last run. */
  jobs: string;
  /** Hash: replica to the JSON of its last sign of life. */
  replicas: string;
  /** Hash: what people were told of problems, and what they are still to be told. */
  alerts: string;
  /** Hash: name of a sealing key to a known text sealed with it. */
  sealKeys: string;
  /** Part of what signs the sessions of the dashboard. Only wxkeeper may read it. */
  sessionSecret: string;
  /** Sorted set: sessions that a person has ended, by the moment at which they would have ended. */
  endedSessions: string;
  /** Channel that announces each new value, never the value itself. */
  rotations: string;
  /** Prefix of keys that only live while a connection is tried out; the tag chooses the shard. */
  selfTest(name: string, tag?: string): string;
}

export function createKeys(prefix: string): Keys {
  return {
    ticketMirror: (appid) => `${prefix}component_verify_ticket:{${appid}}`,
    ticketRecord: (appid) => `${prefix}record:component_verify_ticket:{${appid}}`,
    mirror: (id) => `${prefix}${MIRROR_NAMES[id.kind] ?? id.kind}:${tagged(id.subject)}`,
    record: (id) => `${prefix}record:${id.kind}:${tagged(id.subject)}`,
    history: (id) => `${prefix}history:${id.kind}:${tagged(id.subject)}`,
    spoiled: (id) => `${prefix}spoiled:${id.kind}:${tagged(id.subject)}`,
    spoiledTicket: (appid) => `${prefix}spoiled:component_verify_ticket:{${appid}}`,
    due: (kind, component) => `${prefix}due:${kind}:{${component}}`,
    pace: (component) => `${prefix}pace:{${component}}`,
    authorizers: (component) => `${prefix}authorizers:{${component}}`,
    authorizerIndex: (component) => `${prefix}authorizer_index:{${component}}`,
    exchanges: (component) => `${prefix}exchanges:{${component}}`,
    linkOutcome: (component, id) => `${prefix}authorization_link:{${component}}:${id}`,
    linkOfCode: (component, hash) => `${prefix}link_code:{${component}}:${hash}`,
    lease: (work, component) => `${prefix}lease:${work}:{${component}}`,
    reconciliation: (component) => `${prefix}reconciliation:{${component}}`,
    reconciliationSeen: (component) => `${prefix}reconciliation_seen:{${component}}`,
    events: (appid) => `${prefix}events:{${appid}}`,
    seen: (appid, fingerprint) => `${prefix}seen:{${appid}}:${fingerprint}`,
    push: (appid, id) => `${prefix}push:{${appid}}:${id}`,
    reply: (appid, id) => `${prefix}reply:{${appid}}:${id}`,
    issued: (hash) => `${prefix}issued:${hash}`,
    layout: (name) => `${prefix}layout:{${name}}`,
    heldPushes: (appid) => `${prefix}held_pushes:{${appid}}`,
    deliveries: (appid, target) => {
      const name = (what: string) => `${prefix}deliveries_${what}:{${appid}}:${target}`;
      return {
        fresh: name('fresh'),
        again: name('again'),
        leased: name('leased'),
        replying: name('replying'),
        dead: name('dead'),
        attempts: name('attempts'),
        target: `${prefix}target:{${appid}}:${target}`,
      };
    },
    pushStats: (appid) => `${prefix}push_stats:{${appid}}`,
    refusedPushes: (appid) => `${prefix}refused_pushes:{${appid}}`,
    ticketArrivals: (appid) => `${prefix}history:component_verify_ticket:{${appid}}`,
    jobs: `${prefix}jobs`,
    replicas: `${prefix}replicas`,
    alerts: `${prefix}alerts`,
    sealKeys: `${prefix}seal_keys`,
    sessionSecret: `${prefix}session_secret`,
    endedSessions: `${prefix}ended_sessions`,
    rotations: `${prefix}rotations`,
    selfTest: (name, tag = 'self_test') => `${prefix}self_test:{${tag}}:${name}`,
  };
}

export type KeyType = 'hash' | 'list' | 'set' | 'stream' | 'string' | 'zset';

/**
 * The keys of one component or account, and those of all together, with what belongs into each. `needed`:
 * pushes or refreshes fail without it, until a maintenance round has put aside what is there instead.
 */
export function keyTypes(keys: Keys, appid: string): [string, KeyType, 'needed' | 'shown'][] {
  return [
    [keys.events(appid), 'stream', 'needed'],
    [keys.ticketRecord(appid), 'hash', 'needed'],
    [keys.exchanges(appid), 'hash', 'needed'],
    [keys.ticketMirror(appid), 'string', 'shown'],
    [keys.ticketArrivals(appid), 'list', 'shown'],
    [keys.pushStats(appid), 'hash', 'shown'],
    [keys.authorizers(appid), 'hash', 'shown'],
    [keys.authorizerIndex(appid), 'zset', 'shown'],
  ];
}

export function sharedKeyTypes(keys: Keys): [string, KeyType, 'needed' | 'shown'][] {
  return [
    [keys.sealKeys, 'hash', 'needed'],
    [keys.jobs, 'hash', 'shown'],
    [keys.replicas, 'hash', 'shown'],
  ];
}

/** `wxC:wxA` becomes `wxC:{wxA}`: the keys of 100,000 authorizers must not share one slot. */
function tagged(subject: string): string {
  const at = subject.lastIndexOf(':') + 1;
  return `${subject.slice(0, at)}{${subject.slice(at)}}`;
}
