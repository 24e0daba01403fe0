import type { Gap, Interval } from '../../status/dashboard.ts';
import { html, type Html } from '../pages/html.ts';

/**
 * Drawings as plain SVG. They carry no text but a label: what is to be read stands beside them, in the
 * reader's size of letters. Everything is stretched to the width of its place.
 */

const DAY_MINUTES = 1440;
const MINUTE = 60_000;

/** A day of arrivals as ticks, gaps and what is not on record shaded. */
export function arrivalStrip(options: {
  label: string;
  arrivals: readonly number[];
  gaps: readonly Gap[];
  since: number;
  now: number;
}): Html {
  const { label, arrivals, gaps, since, now } = options;
  const x = (at: number) => round(clamp(DAY_MINUTES - (now - at) / MINUTE, 0, DAY_MINUTES));
  const ticks = arrivals
    .filter((at) => at <= now && now - at < DAY_MINUTES * MINUTE)
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
    viewBox="0 0 1440 40"
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

/** The top of a scale that is easy to halve. Minutes. */
export function scaleOf(intervals: readonly Interval[]): number {
  const longest = Math.max(0, ...intervals.map(({ minutes }) => minutes));
  const tops = [10, 20, 30, 60, 120, 240, 480, 960, 1440, 2880, 5760, 11_520];
  return tops.find((top) => longest <= top) ?? 23_040;
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
