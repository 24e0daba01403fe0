import type { Gap, Interval } from '../../status/dashboard.ts';
import { count } from '../../lib/time-format.ts';
import { html, type Html } from '../pages/html.ts';
import type { View } from './view.ts';

/**
 * Drawings as plain SVG. They carry no text but a label: what is to be read stands beside them, in the
 * reader's size of letters. Everything is stretched to the width of its place.
 */

const SECOND = 1_000;
const MINUTE = 60_000;
const HOUR = 3_600_000;
const DAY = 86_400_000;

/** The stretch of time that is drawn: it ends now. */
export interface Span {
  ms: number;
  /** How long ago the labels are, in milliseconds: evenly spaced, the oldest first, 0 the last. */
  marks: readonly number[];
  /** There is less on record than the full span: all of it is drawn. */
  young: boolean;
}

/** With less than this, each look would see another scale. */
const SHORTEST_SPAN = MINUTE;
/** Distances between labels that people count in, in milliseconds. */
const STEPS = [
  ...[10, 15, 20, 30].map((count) => count * SECOND),
  ...[1, 2, 3, 5, 10, 15, 20, 30].map((count) => count * MINUTE),
  ...[1, 2, 3, 4, 6, 8, 12].map((count) => count * HOUR),
  ...[1, 2].map((count) => count * DAY),
];

/**
 * The full span, or what a young installation has of it: up to the first round length that holds the
 * first known moment, so that the labels are round, too.
 * @param first epoch ms of the first known moment; undefined when nothing is known
 * @param full how much is drawn at most, and by how many steps it is labelled
 * @param divisions by how many steps a shorter one may be labelled
 */
export function spanOf(
  first: number | undefined,
  now: number,
  full: { ms: number; steps: number },
  divisions: readonly number[],
): Span {
  const wanted = Math.max(SHORTEST_SPAN, now - (first ?? -Infinity));
  const candidates = STEPS.flatMap((step) =>
    divisions.map((steps) => ({ ms: step * steps, steps })),
  );
  const shortest = candidates
    .filter(({ ms }) => ms >= wanted && ms < full.ms)
    .sort((a, b) => a.ms - b.ms || b.steps - a.steps)[0];
  const { ms, steps } = shortest ?? full;
  const marks = Array.from({ length: steps + 1 }, (_, index) => ms - (ms / steps) * index);
  return { ms, marks, young: shortest !== undefined };
}

/** What is written under a drawing, all in one unit. */
export function scaleBelow({ words, language }: View, { marks }: Span): Html {
  const step = marks.at(-2) ?? 0;
  const unit = step < MINUTE ? 'second' : step < HOUR ? 'minute' : step < DAY ? 'hour' : 'day';
  return html`<p class="scale" aria-hidden="true">
    ${marks.map((ms) => html`<span>${ms === 0 ? words.now : words.ago(count(ms, unit, language))}</span>`)}
  </p>`;
}

/** Width of the strip in its own units. */
const STRIP = 1440;

/** Arrivals as ticks, gaps and what is not on record shaded. */
export function arrivalStrip(options: {
  label: string;
  arrivals: readonly number[];
  gaps: readonly Gap[];
  since: number;
  now: number;
  spanMs: number;
}): Html {
  const { label, arrivals, gaps, since, now, spanMs } = options;
  const x = (at: number) => round(clamp(1 - (now - at) / spanMs, 0, 1) * STRIP);
  const ticks = arrivals
    .filter((at) => at <= now && now - at <= spanMs)
    .map((at) => `M${x(at)} 5V35`)
    .join('');
  const shaded = gaps.map(
    ({ from, to }) =>
      html`<rect class="gap" x="${x(from)}" y="0" width="${round(x(to) - x(from))}" height="40" />`,
  );
  const unknown =
    x(since) === 0 ? undefined : html`<rect class="blank" width="${x(since)}" height="40" />`;
  return html`<svg
    class="strip"
    viewBox="0 0 ${STRIP} 40"
    preserveAspectRatio="none"
    role="img"
    aria-label="${label}"
  >
    ${unknown}${shaded}
    <path class="tick" d="${ticks}" />
  </svg>`;
}

/** How far a life has gone. Shares of the whole, from 0 to 1. */
export function countdownBar(label: string, tone: string, age: number, windowAt: number): Html {
  const done = round(clamp(age, 0, 1) * 1000);
  const due = round(clamp(windowAt, 0, 1) * 1000);
  return html`<svg
    class="countdown ${tone}"
    viewBox="0 0 1000 10"
    preserveAspectRatio="none"
    role="img"
    aria-label="${label}"
  >
    <rect class="rest" width="1000" height="10" />
    <rect class="window" x="${due}" width="${round(1000 - due)}" height="10" />
    <rect class="age" width="${done}" height="10" />
    <path class="due" d="M${due} 0V10" />
  </svg>`;
}

/** Above so many, bars would run into each other. */
const MAX_BARS = 40;

/** How many minutes each refresh came after the one before: bars, or dots when there are many. */
export function intervalChart(options: {
  label: string;
  intervals: readonly Interval[];
  now: number;
  spanMs: number;
  max: number;
}): Html {
  const { label, intervals, now, spanMs, max } = options;
  const dots = intervals.length > MAX_BARS;
  const marks = (some: readonly Interval[]) =>
    some
      .map(({ at, minutes }) => {
        const x = round(((at - now + spanMs) / spanMs) * 1000);
        const y = round(100 - clamp(minutes / max, 0.01, 1) * 100);
        return dots ? `M${x} ${y}h0` : `M${x} 100V${y}`;
      })
      .join('');
  const early = intervals.filter(isUnplanned);
  const planned = intervals.filter((one) => !isUnplanned(one));
  const kind = dots ? 'dot' : 'bar';
  return html`<svg
    class="chart"
    viewBox="0 0 1000 100"
    preserveAspectRatio="none"
    role="img"
    aria-label="${label}"
  >
    <path class="grid" d="M0 0H1000M0 50H1000M0 100H1000" />
    <path class="${kind}" d="${marks(planned)}" />
    <path class="${kind} early" d="${marks(early)}" />
  </svg>`;
}

/** Somebody asked for it, or called the value before it dead. */
export function isUnplanned({ reason }: Interval): boolean {
  return reason === 'refused' || reason === 'forced';
}

/** Up to so many minutes, they are counted in seconds. */
const FEW_MINUTES = 2;

/** The top of a scale that is easy to halve, in minutes, and what its figures are counted in. */
export function scaleOf(intervals: readonly Interval[]): { top: number; unit: 's' | 'min' } {
  const longest = Math.max(0, ...intervals.map(({ minutes }) => minutes));
  if (longest > 0 && longest <= FEW_MINUTES) {
    const tops = [10, 20, 30, 60].map((seconds) => seconds / 60);
    return { top: tops.find((top) => longest <= top) ?? FEW_MINUTES, unit: 's' };
  }
  const tops = [10, 20, 30, 60, 120, 240, 480, 960, 1440, 2880, 5760, 11_520];
  return { top: tops.find((top) => longest <= top) ?? 23_040, unit: 'min' };
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
