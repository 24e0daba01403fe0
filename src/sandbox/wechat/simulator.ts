import {
  pushAuthorized,
  pushUnauthorized,
  type AuthorizedEvent,
  type UnauthorizedEvent,
} from './authorization-events.ts';
import {
  authorize,
  findAuthorization,
  grant,
  populate,
  unauthorize,
  type AccountTraits,
  type Authorized,
  type Grant,
  type GrantOptions,
} from './authorizers.ts';
import { firstOwner, mintElsewhere, type ForeignKind } from './foreign-refresher.ts';
import { handleRequest } from './endpoint.ts';
import type { FaultRule, PushFault } from './faults.ts';
import { killHost, openHosts, reviveHost } from './hosts.ts';
import {
  latestMint,
  type Ledger,
  type MintKind,
  type MintRecord,
  type PushRecord,
} from './ledger.ts';
import { CONFIRMATION, type Confirmation } from './confirmation.ts';
import { checkCallbackUrl, type SimulatorOptions } from './options.ts';
import type { PushFields, PushFormat } from './push-document.ts';
import { buildPush, TICKET_INFO_TYPE, type PushMessage } from './push-message.ts';
import { push, pushMessage, setPushing } from './pusher.ts';
import { isLive, issue, usePreAuthCode } from './values.ts';
import { addFault, componentOf, componentsOf, createWorld } from './world.ts';
import type { World } from './model.ts';

/** A pretend WeChat. Where an appid may be left out, the first component is meant. */
export interface Simulator extends Authorizations {
  /** Opens the hosts and begins to push. */
  start(): Promise<void>;
  /** Ends everything: pushes under way, hanging answers, timers, sockets. Can be started again. */
  stop(): Promise<void>;
  /** Base URLs of the API hosts; empty before the first start. */
  readonly urls: readonly string[];
  /** The first of them. */
  readonly url: string;
  readonly ledger: Ledger;
  /** Rules that are still waiting for their call or push. */
  readonly faults: readonly FaultRule[];

  /** `undefined` ends all pushes to that component. */
  setCallbackUrl(appid: string, url: string | undefined): void;
  /** Pushes a new ticket now. See `push`. */
  pushTicket(appid?: string, fault?: PushFault): Promise<PushRecord>;
  /**
   * Pushes now; resolves with what came of it (of the last sending, if there are several).
   * @param infoTypeOrDocument an InfoType, or a whole inner document beginning with `<` or `{`
   * @param fields without any, those of a sample; see samples.ts
   * @param fault what to do wrong; without it the next push rule of the queue applies
   * @throws RangeError without a callback URL
   */
  push(
    appid: string | undefined,
    infoTypeOrDocument: string,
    fields?: PushFields,
    fault?: PushFault,
  ): Promise<PushRecord>;
  /**
   * Pushes what a user sends to an account, to the message & event URL. Resolves as `push` does, with
   * what the user sees of the answer.
   * @param fields beside those that every message has, or instead of them
   */
  pushMessage(
    componentAppid: string | undefined,
    authorizerAppid: string,
    fields: PushFields,
    fault?: PushFault,
  ): Promise<PushRecord>;
  /** The form of its pushes, and what they are declared as if not as usual. */
  readonly pushForm: { format: PushFormat; contentType: string | undefined };
  /** The same as `push` without sending, for forging and replaying. A ticket in it is a real one. */
  buildPush(
    appid: string | undefined,
    infoTypeOrDocument: string,
    fields?: PushFields,
    fault?: PushFault,
  ): PushMessage;
  /** A ticket that reaches nobody by push. */
  issueTicket(appid?: string): string;
  /** Turns the schedule on (first push at once) or off, for one component or for all. */
  setPushing(on: boolean, appid?: string): void;

  /** @throws ZodError or RangeError when the rule cannot work */
  addFault(rule: FaultRule): void;
  clearFaults(): void;
  killHost(index: number): Promise<void>;
  reviveHost(index: number): Promise<void>;

  /**
   * Somebody else who knows our secret mints: a value of ours dies as by our own hand.
   * @param appid of an authorizer's token: `component:authorizer`
   * @throws RangeError when there is nobody of that name whose value it could be
   */
  mintElsewhere(kind: ForeignKind, appid?: string): void;
  /** By how much WeChat's clock, as its answers show it, differs from the simulator's. */
  setDateOffset(ms: number): void;

  /** What a merchant's scan does. */
  usePreAuthCode(code: string): 'ok' | 'used' | 'expired' | 'unknown';
  /** `at` in epoch milliseconds, default now. */
  isLive(kind: MintKind, value: string, at?: number): boolean;
  latestMint(kind: MintKind, appid?: string): MintRecord | undefined;
  /**
   * Resolves when no call and no push is under way; those waiting for the clock do not count.
   * Await it before moving a manual clock, or the push under way runs into its timeout.
   */
  idle(): Promise<void>;
}

/** What merchants do. All throw or reject with a RangeError when there is no such component. */
interface Authorizations {
  /** The merchant authorizes and the code is exchanged; a second time, it authorizes anew. */
  authorize(componentAppid: string, authorizerAppid: string, options?: AccountTraits): Authorized;
  /** The merchant authorizes; the codes that come of it are to be exchanged, and nothing is pushed. */
  grant(componentAppid: string, authorizerAppid: string, options?: GrantOptions): Grant;
  unauthorize(componentAppid: string, authorizerAppid: string): void;
  /** Pushes the event that carries the code of a `grant`. Resolves as `push` does. */
  pushAuthorized(
    componentAppid: string,
    authorizerAppid: string,
    code: string,
    event?: AuthorizedEvent,
  ): Promise<PushRecord>;
  /** Ends the authorization, unless told to `keep` it, and pushes the event. */
  pushUnauthorized(
    componentAppid: string,
    authorizerAppid: string,
    event?: UnauthorizedEvent,
  ): Promise<PushRecord>;
  /**
   * Many accounts that have authorized and whose codes were exchanged; fit for 100,000.
   * @param options number of the first, default 0; the same numbers are the same accounts
   * @returns their appids
   */
  populate(componentAppid: string, count: number, options?: { from?: number }): string[];
  /** What comes of confirming on the authorization page from now on; what is left out is normal. */
  setConfirmation(confirmation: Partial<Confirmation>): void;
  /** The one that works now; undefined without an authorization and before its first exchange. */
  refreshTokenOf(componentAppid: string, authorizerAppid: string): string | undefined;
}

/** @throws RangeError when an option makes no sense */
export function createSimulator(options: SimulatorOptions): Simulator {
  const world = createWorld(options);
  return {
    ...lifecycle(world),
    ...authorizations(world),
    get urls() {
      return world.hosts.map((host) => host.url);
    },
    get url() {
      return world.hosts[0]?.url ?? '';
    },
    ledger: world.ledger,
    faults: world.faults,
    setCallbackUrl(appid, url) {
      if (url !== undefined) checkCallbackUrl(url);
      componentOf(world, appid).callbackUrl = url;
    },
    // Async, so that a missing callback URL rejects instead of throwing past the promise.
    pushTicket: async (appid, fault) =>
      push(world, componentOf(world, appid), TICKET_INFO_TYPE, {}, fault),
    push: async (appid, infoTypeOrDocument, fields, fault) =>
      push(world, componentOf(world, appid), infoTypeOrDocument, fields, fault),
    pushMessage: async (appid, authorizer, fields, fault) =>
      pushMessage(world, componentOf(world, appid), authorizer, fields, fault),
    pushForm: { format: world.settings.format, contentType: world.settings.contentType },
    buildPush: (appid, infoTypeOrDocument, fields, fault) =>
      buildPush(world, componentOf(world, appid), infoTypeOrDocument, fields, fault),
    issueTicket: (appid) => issue(world, componentOf(world, appid).appid, TICKET_INFO_TYPE).value,
    setPushing(on, appid) {
      for (const component of componentsOf(world, appid)) setPushing(world, component, on);
    },
    addFault: (rule) => addFault(world, rule),
    clearFaults() {
      world.faults.length = 0;
    },
    killHost: (index) => killHost(world, index),
    reviveHost: (index) => reviveHost(world, index),
    usePreAuthCode: (code) => usePreAuthCode(world, code),
    isLive: (kind, value, at = world.clock.now()) => isLive(world, kind, value, at),
    latestMint: (kind, appid) => latestMint(world.ledger, kind, appid ?? firstOwner(world, kind)),
    mintElsewhere: (kind, appid) => mintElsewhere(world, kind, appid),
    setDateOffset(ms) {
      world.dateOffsetMs = ms;
    },
    idle: () => world.activity.idle(),
  };
}

function authorizations(world: World): Authorizations {
  return {
    authorize: (component, authorizer, options) => authorize(world, component, authorizer, options),
    grant: (component, authorizer, options) => grant(world, component, authorizer, options),
    unauthorize: (component, authorizer) => unauthorize(world, component, authorizer),
    pushAuthorized: async (component, authorizer, code, event) =>
      pushAuthorized(world, component, authorizer, code, event),
    pushUnauthorized: async (component, authorizer, event) =>
      pushUnauthorized(world, component, authorizer, event),
    populate: (component, count, options) => populate(world, component, count, options),
    setConfirmation(confirmation) {
      world.confirmation = { ...CONFIRMATION, ...confirmation };
    },
    refreshTokenOf: (component, authorizer) =>
      findAuthorization(world, component, authorizer)?.refreshToken || undefined,
  };
}

function lifecycle(world: World): Pick<Simulator, 'start' | 'stop'> {
  const { settings } = world;

  async function stop(): Promise<void> {
    world.stopped = true;
    for (const component of world.components.values()) setPushing(world, component, false);
    world.timers.stopAll();
    await Promise.all(world.hosts.map((host) => killHost(world, host.index)));
    await world.activity.idle();
  }

  async function start(): Promise<void> {
    world.stopped = false;
    try {
      await openHosts(world, (host, incoming, response) => {
        void handleRequest(world, host, incoming, response);
      });
    } catch (error) {
      // One of several ports may be taken: the others must not stay open behind an error.
      await stop();
      throw error;
    }
    if (!settings.pushing) return;
    const firstAfterMs = settings.pushOnStart ? 0 : settings.ticketIntervalMs;
    for (const component of world.components.values()) {
      setPushing(world, component, true, firstAfterMs);
    }
  }

  return { start, stop };
}
