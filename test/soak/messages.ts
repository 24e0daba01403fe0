import type { PushFault } from '../../src/sandbox/wechat/faults.ts';
import { createRandom } from '../interleavings/random.ts';
import { COMPONENT, type Station } from './station.ts';
import type { RouteName } from './targets.ts';

/** What users and WeChat send all day, each with a mark of its own. */
export interface Messages {
  /** By mark. */
  sent: Map<string, SentPush>;
  /** Sends what is due. */
  send(): void;
}

export interface SentPush {
  mark: string;
  routes: readonly RouteName[];
  /** Monotonic ms. */
  at: number;
  acknowledged: boolean;
}

const AUTHORIZER = 'wx00000000000000b2';
/** Seconds between two; now and then some come at once. */
const PAUSE = { least: 60, most: 600 };
const BURST = { chance: 0.05, least: 5, most: 15 };
/** WeChat says it again although it was answered. */
const TWICE = 0.05;
/** The application fails on what is in it. */
const SPURNED = 0.02;

const KINDS = [
  { weight: 4, kind: 'text', routes: ['steady', 'flaky', 'replier'] },
  { weight: 3, kind: 'click', routes: ['steady', 'flaky'] },
  { weight: 3, kind: 'notice', routes: ['steady', 'flaky'] },
] as const;
type Kind = (typeof KINDS)[number]['kind'];

export function createMessages(station: Station, seed: number): Messages {
  const random = createRandom(seed * 11 + 5);
  const { targets, clock } = station;
  const sent: Messages['sent'] = new Map();
  let nextAt = 0;
  let repliesOpen = 0;
  // A repeat waits for the reply to the first, and looks for it by the clock.
  station.waits.push(() => repliesOpen > 0);
  const sendOne = () => {
    const { kind, routes } = random.pickWeighted(KINDS);
    const mark = `mark-${sent.size}`;
    const push: SentPush = { mark, routes, at: clock.monotonic(), acknowledged: false };
    sent.set(mark, push);
    const flaky = targets?.all.find(({ route }) => route === 'flaky');
    if (random.chance(SPURNED)) flaky?.spurned.add(mark);
    const mayReply = kind === 'text';
    if (mayReply) repliesOpen += 1;
    // Given, so that it takes no fault that was meant for a ticket.
    const fault = random.chance(TWICE) ? { twice: true } : {};
    void sendAs(station, kind, mark, fault).then((isAcknowledged) => {
      push.acknowledged ||= isAcknowledged;
      if (mayReply) repliesOpen -= 1;
    });
  };
  return {
    sent,
    send() {
      const isAnybodyUp = station.replicas.some(({ state }) => state === 'up');
      if (targets === undefined || clock.monotonic() < nextAt || !isAnybodyUp) return;
      nextAt = clock.monotonic() + random.between(PAUSE.least, PAUSE.most) * 1_000;
      const isBurst = random.chance(BURST.chance);
      for (let left = isBurst ? random.between(BURST.least, BURST.most) : 1; left > 0; left -= 1)
        sendOne();
    },
  };
}

/** @returns whether WeChat takes it for delivered; a reply to the user is as good as `success` */
async function sendAs(
  { simulator }: Station,
  kind: Kind,
  mark: string,
  fault: PushFault,
): Promise<boolean> {
  const { appid } = COMPONENT;
  const fields = {
    text: { MsgType: 'text', Content: mark },
    click: { MsgType: 'event', Event: 'CLICK', EventKey: mark },
  };
  const { status } =
    kind === 'notice'
      ? await simulator.push(appid, 'soak_notice', { Mark: mark }, fault)
      : await simulator.pushMessage(appid, AUTHORIZER, fields[kind], fault);
  return status === 200;
}
