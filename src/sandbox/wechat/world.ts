import { createActivity, type Activity } from './activity.ts';
import { createScaledClock, createTimers, type SimulatorClock, type Timers } from './clock.ts';
import { parseRule, type FaultRule, type PushFault } from './faults.ts';
import type { Authorization } from './authorizers.ts';
import { createLedger, type Ledger, type MintKind } from './ledger.ts';
import type { Host } from './hosts.ts';
import { createOperations, type Operations } from './operations.ts';
import { CONFIRMATION, type Confirmation } from './confirmation.ts';
import {
  resolveSettings,
  type AccountOptions,
  type ComponentOptions,
  type Settings,
  type SimulatorOptions,
} from './options.ts';
import { adopt, currentOf, issue, type Issued, type MintNote } from './values.ts';

/** Every token of a component ends the one before it. */
const COMPONENT_FAMILY = 'component';

export interface Component extends ComponentOptions {
  /** Whether tickets are pushed on schedule. */
  pushing: boolean;
  cancelNextPush: (() => void) | undefined;
}

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

/** @throws RangeError when an option makes no sense */
export function createWorld(options: SimulatorOptions): World {
  const settings = resolveSettings(options);
  const clock = options.clock ?? createScaledClock({ speed: 1 });
  return {
    settings,
    clock,
    timers: createTimers(clock),
    activity: createActivity(),
    ledger: createLedger(),
    faults: [],
    components: new Map(options.components.map((one) => [one.appid, createComponent(one)])),
    accounts: new Map((options.accounts ?? []).map((one) => [one.appid, one])),
    authorizations: new Map(),
    issued: {
      component_verify_ticket: new Map(),
      component_access_token: new Map(),
      pre_auth_code: new Map(),
      access_token: new Map(),
      jsapi_ticket: new Map(),
      wx_card_ticket: new Map(),
      authorizer_access_token: new Map(),
      authorization_code: new Map(),
    },
    current: new Map(),
    forces: new Map(),
    confirmation: CONFIRMATION,
    dateOffsetMs: 0,
    operations: createOperations(),
    hosts: [],
    onCall: options.onCall,
    onPush: options.onPush,
    stopped: false,
  };
}

function createComponent(options: ComponentOptions): Component {
  return { ...options, pushing: false, cancelNextPush: undefined };
}

/**
 * The component named so, or the first one when no name is given.
 * @throws RangeError when there is none
 */
export function componentOf(world: World, appid?: string): Component {
  const component =
    appid === undefined ? [...world.components.values()][0] : world.components.get(appid);
  if (component === undefined) throw new RangeError(`no component ${appid ?? ''} here`);
  return component;
}

/**
 * The component named so, or all of them when no name is given.
 * @throws RangeError when there is none of that name
 */
export function componentsOf(world: World, appid?: string): Component[] {
  return appid === undefined ? [...world.components.values()] : [componentOf(world, appid)];
}

/**
 * Puts a rule at the end of the queue.
 * @throws ZodError when it is not a rule, RangeError when a component lacks what it asks for
 */
export function addFault(world: World, rule: unknown): void {
  const parsed = parseRule(rule);
  // Now, because by the time of a scheduled push there is nobody left to tell.
  if ('push' in parsed) {
    for (const component of world.components.values()) signingSecrets(component, parsed.push);
  }
  world.faults.push(parsed);
}

/** @throws RangeError when an old key or token is wanted that the component does not have */
export function signingSecrets(
  component: Component,
  fault: PushFault,
): { key: string; token: string } {
  const key = fault.previousKey ? component.previousEncodingAesKey : component.encodingAesKey;
  const token = fault.previousToken ? component.previousToken : component.token;
  if (key === undefined) throw new RangeError(`${component.appid} has no previousEncodingAesKey`);
  if (token === undefined) throw new RangeError(`${component.appid} has no previousToken`);
  return { key, token };
}

/** A component token, bought with a ticket, or by somebody else who knows the secret. */
export function mintComponentToken(
  world: World,
  { appid }: Component,
  more: MintNote,
): { value: string } {
  const succession = { family: COMPONENT_FAMILY, overlapMs: world.settings.overlapMs };
  return issue(world, appid, 'component_access_token', succession, more);
}

/** With `adoptTokens`, one of an earlier simulator, while this one has issued none. */
export function adoptComponentToken(
  world: World,
  { appid }: Component,
  value: string,
): Issued | undefined {
  if (!world.settings.adoptTokens) return undefined;
  if (currentOf(world, COMPONENT_FAMILY, appid) !== undefined) return undefined;
  return adopt(world, appid, 'component_access_token', value, COMPONENT_FAMILY);
}
