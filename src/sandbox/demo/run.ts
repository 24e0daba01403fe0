import { setTimeout as sleep } from 'node:timers/promises';
import type { PushRecord } from '../wechat/ledger.ts';
import type { Wishes } from './flags.ts';
import { introduction, opening } from './greeting.ts';
import { startObserver, type Happening, type Observer } from './observer.ts';
import type { Screen } from './screen.ts';
import { describeExit, lastWords, type Exit } from './service.ts';
import { setUpStage, type Stage } from './stage.ts';
import { judge, summaryTable, type Facts, type Pushes } from './summary.ts';
import { block, clock, summaryLine, type Scene } from './view.ts';
import { shortcomings } from './scale.ts';

/** One run from the first line to the last. */

export type Outcome = 'passed' | 'failed' | 'interrupted';

type End = 'time' | 'interruption' | Exit;

const DRAW_EVERY_MS = 1_000;
const LINE_EVERY_MS = 10_000;
/** As many of the last happenings stay in the picture. */
const SHOWN_HAPPENINGS = 5;
/** Faster than this, tickets would drown all else in a file: they are only counted there. */
const CALM_TICKET_SECONDS = 5;
/** A credential may be just about to be refreshed: that is not how the run ends. */
const SETTLED_TIMEOUT_MS = 5_000;

interface Run {
  wishes: Wishes;
  screen: Screen;
  pushes: Pushes;
  happenings: string[];
  /** Epoch ms when the pushes began; 0 before. */
  startedAt: number;
}

/**
 * @param interruption aborted when the person wants to end it
 * @throws what `setUpStage` throws
 */
export async function runDemo(
  wishes: Wishes,
  screen: Screen,
  env: Readonly<Record<string, string | undefined>>,
  interruption: AbortSignal,
): Promise<Outcome> {
  const run: Run = {
    wishes,
    screen,
    happenings: [],
    startedAt: 0,
    pushes: { sent: 0, accepted: 0, times: [] },
  };
  for (const line of opening(wishes.scale)) screen.print(line);
  const tooShort =
    wishes.seconds === undefined ? undefined : shortcomings(wishes.scale, wishes.seconds);
  if (tooShort !== undefined) screen.print(`${tooShort}\n`);

  const stage = await setUpStage(wishes, {
    env,
    // Followed by the introduction, which it is no part of.
    say: (line) => screen.print(`${line}\n`),
    onPush: (push) => notePush(run, push),
    signal: interruption,
  });
  try {
    for (const line of introduction(stage, wishes.scale)) screen.print(line);
    return await perform(run, stage, interruption);
  } finally {
    screen.close();
    await stage.stop();
  }
}

async function perform(run: Run, stage: Stage, interruption: AbortSignal): Promise<Outcome> {
  const { screen, wishes } = run;
  const observer = await startObserver(stage, (happening) => noteHappening(run, happening));
  run.startedAt = Date.now();
  stage.begin();
  let end: End;
  try {
    end = await watch(run, stage, observer, interruption);
    if (end === 'time') await untilSettled(observer, interruption);
    else await observer.askStatus();
  } finally {
    await observer.stop();
  }
  const mints = [...stage.simulator.ledger.mints];
  const elapsedSeconds = (Date.now() - run.startedAt) / 1000;
  screen.close();
  if (typeof end === 'object') {
    screen.print(
      `\nThe service ended by itself (${describeExit(end)}). ${lastWords(stage.service.log)}`,
    );
    return 'failed';
  }
  screen.print('\nStopping ...\n');
  const exit = await stage.stopService();
  const facts: Facts = {
    elapsedSeconds,
    exit,
    mints,
    scale: wishes.scale,
    seen: observer.seen,
    status: observer.seen.status,
    log: stage.service.log,
    pushes: run.pushes,
  };
  for (const line of summaryTable(facts)) screen.print(line);
  await stage.stop();
  return conclude(run, facts, end === 'time' ? 'judged' : 'interrupted');
}

function conclude(run: Run, facts: Facts, how: 'judged' | 'interrupted'): Outcome {
  const { screen, wishes } = run;
  const left = wishes.data === undefined ? 'nothing' : `nothing but the data in ${wishes.data}`;
  const stopped = `Everything is stopped, and ${left} is left behind.`;
  if (how === 'interrupted') {
    screen.print(`\n${stopped}`);
    return 'interrupted';
  }
  const checks = judge(facts);
  screen.print('');
  for (const { ok, text } of checks) screen.print(`  ${ok ? 'ok    ' : 'FAILED'}  ${text}`);
  const failed = checks.filter((check) => !check.ok).length;
  const verdict = failed === 0 ? 'All is well.' : `${failed} of ${checks.length} checks failed.`;
  screen.print(`\n${verdict} ${stopped}`);
  return failed === 0 ? 'passed' : 'failed';
}

/** Shows what goes on until something ends it. */
async function watch(
  run: Run,
  stage: Stage,
  observer: Observer,
  interruption: AbortSignal,
): Promise<End> {
  const { screen, wishes } = run;
  const over = new AbortController();
  const stopped = new Promise<End>((resolve) => {
    interruption.addEventListener('abort', () => resolve('interruption'), { once: true });
    if (interruption.aborted) resolve('interruption');
  });
  const contenders: Promise<End>[] = [stopped, stage.service.exited];
  if (wishes.seconds !== undefined) {
    const time = sleep(wishes.seconds * 1000, 'time' as const, { signal: over.signal });
    contenders.push(time.catch(() => 'time' as const));
  }
  const show = () => {
    const scene = sceneOf(run, stage, observer);
    if (screen.isLive) screen.draw(block(scene));
    else screen.print(summaryLine(scene));
  };
  if (screen.isLive) show();
  const timer = setInterval(show, screen.isLive ? DRAW_EVERY_MS : LINE_EVERY_MS);
  try {
    return await Promise.race(contenders);
  } finally {
    clearInterval(timer);
    over.abort();
    if (screen.isLive) show();
  }
}

function sceneOf(run: Run, stage: Stage, observer: Observer): Scene {
  const now = Date.now();
  return {
    elapsedMs: now - run.startedAt,
    now,
    seconds: run.wishes.seconds,
    seen: observer.seen,
    log: stage.service.log,
    pushes: run.pushes,
    happenings: run.happenings,
  };
}

/** Asks until the status is ok, for as long as the next tick may take. */
async function untilSettled(observer: Observer, interruption: AbortSignal): Promise<void> {
  const giveUpAt = performance.now() + SETTLED_TIMEOUT_MS;
  while ((await observer.askStatus())?.verdict !== 'ok') {
    if (performance.now() > giveUpAt || interruption.aborted) return;
    await sleep(DRAW_EVERY_MS / 5);
  }
}

const TICKET = 'component_verify_ticket';
const TOLD: Readonly<Record<string, string>> = {
  authorized: 'an account has authorized the platform',
  unauthorized: 'an account has ended its authorization',
};

function notePush(run: Run, push: PushRecord): void {
  const told = push.accepted ? TOLD[push.infoType] : undefined;
  if (told !== undefined) {
    happen(run, told);
    return;
  }
  // What users write is many, and told by the dashboard.
  if (push.accepted && push.infoType !== TICKET) return;
  run.pushes.sent += 1;
  if (push.accepted) {
    run.pushes.accepted += 1;
    run.pushes.times.push(push.at);
    return;
  }
  happen(run, `a push was not answered success: ${push.error ?? `status ${push.status ?? 0}`}`);
}

function noteHappening(run: Run, happening: Happening): void {
  if (happening.what === 'renewed') {
    const { kind, seq } = happening;
    happen(run, `${kind} ${seq === 1 ? 'obtained' : 'refreshed'} (seq ${seq})`);
    return;
  }
  const isCalm = run.wishes.scale.ticketSeconds >= CALM_TICKET_SECONDS;
  if (run.screen.isLive || isCalm || happening.count === 1) {
    happen(run, `ticket ${happening.count} received`);
  }
}

function happen(run: Run, text: string): void {
  const line = `${clock(Date.now() - run.startedAt)}  ${text}`;
  run.happenings = [...run.happenings, line].slice(-SHOWN_HAPPENINGS);
  if (!run.screen.isLive) run.screen.print(line);
}
