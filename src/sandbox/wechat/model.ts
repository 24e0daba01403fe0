import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Activity } from './activity.ts';
import type { SimulatorClock, Timers } from './clock.ts';
import type { Confirmation } from './confirmation.ts';
import type { FaultRule } from './faults.ts';
import type { CallRecord, Ledger, MintKind } from './ledger.ts';
import type { AccountOptions, ComponentOptions, Settings, SimulatorOptions } from './options.ts';

/** What the simulator is made of: every type that more than one of its parts speaks of. */

export const ACCOUNT_KINDS = ['official', 'mini'] as const;

export type AccountKind = (typeof ACCOUNT_KINDS)[number];

/** The whole state of one simulator. Everything else is free functions over it. */
export interface World {
  readonly settings: Settings;
  readonly clock: SimulatorClock;
  readonly timers: Timers;
  readonly activity: Activity;
  readonly ledger: Ledger;
  /** In the order in which they are tried. */
  readonly faults: FaultRule[];
  readonly components: ReadonlyMap<string, Component>;
  readonly accounts: ReadonlyMap<string, AccountOptions>;
  /** By component and account. */
  readonly authorizations: Map<string, Map<string, Authorization>>;
  /** Every value issued, by kind and text. */
  readonly issued: Readonly<Record<MintKind, Map<string, Issued>>>;
  /** The newest value of each family and owner. */
  readonly current: Map<string, Issued>;
  /** When the stable token of each account was renewed by force. */
  readonly forces: Map<string, number[]>;
  readonly operations: Operations;
  readonly hosts: Host[];
  readonly onCall: SimulatorOptions['onCall'];
  readonly onPush: SimulatorOptions['onPush'];
  /** What comes of a merchant's confirmation on a page. */
  confirmation: Confirmation;
  /** By how much the `Date` of answers differs from the clock. */
  dateOffsetMs: number;
  /** Set by stop: whatever ends because of it must not begin anything new. */
  stopped: boolean;
}

export interface Component extends ComponentOptions {
  /** Whether tickets are pushed on schedule. */
  pushing: boolean;
  cancelNextPush: (() => void) | undefined;
}

/** One value that WeChat issued. Times are epoch milliseconds. */
export interface Issued {
  value: string;
  /** Whom it is for: an appid, or `component:authorizer`. */
  owner: string;
  issuedAt: number;
  expiresAt: number;
  /** When a newer token killed it or somebody used the code; Infinity until then. */
  endedAt: number;
}

export interface Authorization {
  /** Empty until the first of its codes is exchanged. */
  refreshToken: string;
  /** Each use of the refresh token brings another one and ends it. */
  rotating: boolean;
  /** Epoch milliseconds. */
  authTime: number;
  kind: AccountKind;
  /** Without one, a name made from the appid. */
  nickname?: string;
  /** Ids of the permission sets. */
  funcs: readonly number[];
  /** Issued for it; absent while there were none, which keeps a hundred thousand accounts small. */
  codes?: Issued[];
}

export type Handler = (host: number, incoming: IncomingMessage, response: ServerResponse) => void;

/** One pretended API host: a port of its own in front of the shared world. */
export interface Host {
  readonly index: number;
  /** Stays the same over killing and reviving. */
  readonly port: number;
  readonly url: string;
  readonly handler: Handler;
  /** Undefined while dead. */
  server: Server | undefined;
}

/** What WeChat remembers of calls: who made them, which of them count, and what its refusals were about. */
export interface Operations {
  /** Whose a call was that named nobody, by the token in its query. */
  readonly callers: WeakMap<CallRecord, string>;
  /** Calls that a clearing has made good. */
  readonly cleared: WeakSet<CallRecord>;
  /** When each account's counters were cleared. */
  readonly clearings: Map<string, number[]>;
  /** Calls that are not answered yet. */
  readonly open: WeakMap<ServerResponse, { record: CallRecord; text: string }>;
  /** Refused calls by their rid, oldest first. */
  readonly traces: Map<string, Trace>;
}

export interface Trace {
  owner: string;
  at: number;
  tookMs: number;
  url: string;
  requestBody: string;
  responseBody: string;
  clientIp: string;
}

export interface ApiRequest {
  method: string;
  query: URLSearchParams;
  /** The body as it came. */
  text: string;
  /** The body if it is a JSON object. */
  body: Readonly<Record<string, unknown>> | undefined;
}

/** The JSON that is sent; an `errcode` other than 0 makes it a refusal. */
export type Answer = Readonly<Record<string, unknown>>;

/** A call either answers or names the errcode it fails with. */
export type Outcome = Answer | number;
